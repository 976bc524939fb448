"""What the gateway says of a session goes to that session, however late it hears of its end."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from ccn_bgp.session.channel import FrameQueue, Frames, Kind
from ccn_bgp.session.events import Block, Event, Room, SessionDown, SessionUp
from ccn_bgp.session.hub import TOTAL_LIMIT
from ccn_bgp.session.speaker import GRANT, Speaker

OPEN = {
    "asn": 64601,
    "router-id": "192.0.2.1",
    "hold-time": 90,
    "asn4": True,
    "families": [[25, 70]],
    "route-refresh": True,
    "enhanced-refresh": False,
    "max-message": 4096,
}


class Wire:
    """A speaker, what its child says and what it hears."""

    def __init__(self, state: FilePath) -> None:
        self.speaker = Speaker("t", [], state)
        ours, self.child = socket.socketpair()
        for end in (ours, self.child):
            end.setblocking(False)
        self.ours = ours
        self.speaker._socket, self.speaker._queue = ours, FrameQueue(ours)
        self._frames = Frames()
        self._events = self.speaker.events()

    def say(self, kind: Kind, session: int, payload: bytes) -> None:
        self.speaker._take(kind, session, payload)

    def up(self, session: int, peer: str = "p") -> None:
        self.say(Kind.UP, session, json.dumps({"peer": peer, "open": OPEN}).encode())

    def down(self, session: int) -> None:
        self.say(Kind.DOWN, session, b'{"reason": "gone"}')

    def sent(self, session: int, octets: int) -> None:
        self.say(Kind.SENT, session, struct.pack("<I", octets))

    def next(self) -> Event:
        """What the gateway hears next; something has to wait."""
        try:
            self._events.__anext__().send(None)
        except StopIteration as found:
            event: Event = found.value
            return event
        raise AssertionError("nothing waits")

    def frames(self) -> list[tuple[Kind, int, bytes]]:
        """What the child has been sent since the last call."""
        try:
            return list(self._frames.feed(self.child.recv(1 << 20)))
        except BlockingIOError:
            return []

    def heard(self) -> list[tuple[Kind, int, bytes]]:
        """The same without what the gateway has dealt with."""
        return [frame for frame in self.frames() if frame[0] is not Kind.TAKEN]


@pytest.fixture
def wire(tmp_path: FilePath) -> Iterator[Wire]:
    made = Wire(tmp_path)
    yield made
    made.ours.close()
    made.child.close()


def test_the_next_session_hears_nothing_of_what_was_for_the_last(wire: Wire) -> None:
    wire.up(1)
    assert isinstance(wire.next(), SessionUp)
    wire.speaker.send("p", b"first")
    wire.speaker.ask_room("p", 5)
    assert wire.heard() == [(Kind.SEND, 1, b"first")]
    wire.say(Kind.BLOCK, 1, b"late")
    wire.sent(1, 1)
    wire.down(1)
    wire.up(2)
    while not isinstance(event := wire.next(), SessionUp):
        assert isinstance(event, Block | Room | SessionDown)
        wire.speaker.send("p", b"the rest")
        wire.speaker.teardown("p", 2, 2)
        wire.speaker.ask_room("p", 5)
        assert not wire.speaker.hears("p") and wire.speaker.backlog("p") == 0
        assert not wire.heard()
    wire.speaker.send("p", b"second")
    assert wire.speaker.hears("p") and wire.heard() == [(Kind.SEND, 2, b"second")]
    wire.speaker.teardown("p", 6, 4)
    assert wire.heard() == [(Kind.TEARDOWN, 2, b"\6\4")]


def test_a_session_that_has_gone_when_it_is_heard_of_is_told_nothing(wire: Wire) -> None:
    wire.up(1)
    wire.down(1)
    wire.up(2)
    assert isinstance(wire.next(), SessionUp)
    wire.speaker.send("p", b"too late")
    assert isinstance(wire.next(), SessionDown)
    wire.speaker.send("p", b"too early")
    assert isinstance(wire.next(), SessionUp)
    wire.speaker.send("p", b"second")
    assert wire.heard() == [(Kind.SEND, 2, b"second")]


def test_a_number_of_the_last_child_is_not_one_of_the_next(wire: Wire) -> None:
    wire.up(1, "p")
    wire.up(2, "q")
    wire.speaker._child_gone("it died")
    wire.up(1, "q")
    wire.up(2, "p")
    ups = 0
    for _ in range(4):
        event = wire.next()
        assert isinstance(event, SessionUp | SessionDown)
        ups += isinstance(event, SessionUp)
        wire.speaker.send(event.peer, b"to the last")
    assert ups == 2 and not wire.heard()
    wire.next()
    for _ in range(2):
        event = wire.next()
        assert isinstance(event, SessionUp)
        wire.speaker.send(event.peer, event.peer.encode())
    assert sorted(wire.heard()) == [(Kind.SEND, 1, b"q"), (Kind.SEND, 2, b"p")]


def test_what_the_child_does_not_hear_of_never_keeps_it_from_reading(wire: Wire) -> None:
    """However many sessions there are: it reads none while TOTAL_LIMIT is under way."""
    block, sessions = bytes(GRANT - 1), 2 * TOTAL_LIMIT // GRANT
    untold, most = dict.fromkeys(range(1, sessions + 1), 0), 0
    for session in untold:
        wire.up(session, f"p{session}")
        wire.say(Kind.BLOCK, session, block)
        assert isinstance(wire.next(), SessionUp) and isinstance(wire.next(), Block)
        wire.say(Kind.FAILED, 0, b'{"peer": "x", "reason": "y"}')
        wire.next()  # it asks for more: it has dealt with the block
        untold[session] += len(block)
        for _, number, octets in wire.frames():
            untold[number] -= struct.unpack("<I", octets)[0]
        most = max(most, sum(untold.values()))
    assert min(untold.values()) == 0 and most < TOTAL_LIMIT * 3 // 4
    assert untold[1] == len(block)  # few small words cost no answers
