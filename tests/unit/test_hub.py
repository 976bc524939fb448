"""How much of a peer waits for the gateway, as the child counts it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ccn_bgp.session.hub import PEER_LIMIT, READ, Hub, Session

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


def test_a_gateway_that_keeps_up_never_makes_a_peer_wait(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Although something always waits in the channel."""
    ours, theirs = ends
    hub = Hub(ours, "test")
    session = Session(1, "a", None)
    for _ in range(3 * PEER_LIMIT // PIECE):
        hub.block(session, bytes(PIECE))
        while hub.queue.octets > PIECE // 2:
            hub.flush()
            drained(theirs, READ)
        assert hub.queue.octets
        assert not hub.full(session)
        assert session.waiting <= 2 * PIECE


def test_a_peer_waits_for_a_gateway_that_does_not_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    hub = Hub(ours, "test")
    session, other = Session(1, "a", None), Session(2, "b", None)
    while not hub.full(session):
        hub.block(session, bytes(PIECE))
        hub.flush()
    assert session.waiting > PEER_LIMIT
    assert not hub.full(other)
    while hub.queue.octets:
        drained(theirs, PIECE)
        hub.flush()
    assert not hub.full(session)
    assert session.waiting == 0
