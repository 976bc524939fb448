"""How much of a peer waits for the gateway, as the child counts it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

import ccn_bgp.session.hub as hub_module
from ccn_bgp.session.channel import HEADER, Frames, Kind
from ccn_bgp.session.hub import PEER_LIMIT, READ, SEND_HOLD_EXPIRED, Hub, Session

PIECE = PEER_LIMIT


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def drained(end: socket.socket, octets: int) -> int:
    """Read what is there, at most about ``octets``."""
    taken = 0
    try:
        while taken < octets:
            taken += len(end.recv(READ))
    except BlockingIOError:
        pass
    return taken


def taken(number: int, octets: int) -> bytes:
    return HEADER.pack(4, Kind.TAKEN, number) + struct.pack("<I", octets)


def test_a_peer_waits_for_a_gateway_that_has_much_of_it_before_it(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is: what the gateway has read it may not have dealt with."""
    ours, theirs = ends
    hub = Hub(ours, "test")
    session, other = Session(1, "a", None), Session(2, "b", None)
    hub.sessions = {1: session, 2: other}
    for _ in range(2):
        hub.block(session, bytes(PIECE))
        while hub.queue.octets:
            hub.flush()
            drained(theirs, READ)
    assert hub.full(session) and not hub.full(other)
    theirs.send(taken(1, PIECE) + taken(9, PIECE))
    hub._receive()
    assert not hub.full(session)
    monkeypatch.setattr(hub_module, "TOTAL_LIMIT", PIECE - 1)
    assert hub.full(other), "all together have too much"
    # Its next session does not begin with nothing before it.
    hub.block(other, bytes(23))
    hub.down(session, "gone")
    assert hub.full(other) and hub.waiting["a"] == PIECE
    theirs.send(taken(1, PIECE))
    hub._receive()
    assert not hub.full(other) and not hub.ended and hub.waiting == {"b": 23}


class Wire:
    """A session's TCP that takes ``room`` octets."""

    def __init__(self) -> None:
        self.room = 0
        self.connection = self.io = self

    def send(self, octets: memoryview) -> int:
        taken = min(self.room, len(octets))
        self.room -= taken
        if not taken:
            raise BlockingIOError
        return taken


@pytest.mark.parametrize(("hold_time", "patience"), [(90, 480), (300, 600), (0, None)])
def test_a_peer_that_reads_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, hold_time: int, patience: int | None
) -> None:
    """RFC 9687: it keeps its own hold timer happy, and never hears of a withdrawal."""
    clock = [1000.0]
    monkeypatch.setattr(hub_module.time, "monotonic", lambda: clock[0])
    wire = Wire()
    session = Session(1, "a", wire, hold_time)
    session.buffer.append(b"\xff" * 16 + b"\0\x64\x02" + bytes(81))
    for room in (1, 0, 5):  # slow is not dead
        clock[0] += 400
        wire.room = room
        session.flush()
    assert session.notify is None
    clock[0] += (patience or 100_000) + 1
    for _ in session.writer(b"\xff" * 16 + b"\0\x13\x04"):  # a KEEPALIVE of ours
        pass
    assert session.notify == (SEND_HOLD_EXPIRED if patience else None)


def test_who_has_read_all_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(hub_module.time, "monotonic", lambda: clock[0])
    wire = Wire()
    session = Session(1, "a", wire, 90)
    for _ in range(40):
        clock[0] += 30
        wire.room = 19
        for _ in session.writer(b"\xff" * 16 + b"\0\x13\x04"):
            pass
    assert session.notify is None


def test_failed_attempts_are_said_at_a_bounded_rate(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer may connect a hundred times a second, and have a new complaint each time."""
    ours, theirs = ends
    clock, hub = [1000.0], Hub(ours, "test")
    monkeypatch.setattr(hub_module.time, "monotonic", lambda: clock[0])
    for number in range(600):
        clock[0] += 0.1
        hub.failed("same", "closed")
        hub.failed("inventive", f"complaint {number}")
    said = [payload for kind, _, payload in Frames().feed(theirs.recv(READ)) if kind is Kind.FAILED]
    assert len([p for p in said if b'"same"' in p]) == 1
    assert 55 <= len([p for p in said if b'"inventive"' in p]) <= 60
