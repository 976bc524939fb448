"""Peers that take what they are told in their own time: what waits for them is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
from oracle.aggregates import OPEN

from ccn_bgp.gateway.at_length import AtLength
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.pacing import AHEAD, BEHIND, Pacing
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.learn.told import Told
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.rows import Vocabulary

INTENT = read_intent(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")
PIECE = 1 << 20


class Wire:
    """What waits for each peer, and who asked for room."""

    def __init__(self) -> None:
        self.waits: dict[str, int] = {}
        self.asked: list[str] = []
        self.sent: list[list[str]] = []
        self.ended: set[str] = set()

    def send(self, peers: Sequence[Peer], messages: bytes) -> None:
        self.sent.append([peer.name for peer in peers])
        for peer in peers:
            self.waits[peer.name] = self.waits.get(peer.name, 0) + len(messages)

    def hears(self, peer: Peer) -> bool:
        return peer.name not in self.ended

    def backlog(self, peer: Peer) -> int:
        return self.waits.get(peer.name, 0)

    def ask_room(self, peer: Peer, octets: int) -> None:
        assert octets == AHEAD
        self.asked.append(peer.name)


class Talk:
    """One gateway's sessions, each told the same pieces."""

    def __init__(self) -> None:
        peer = new_rib(INTENT).peers["hk-gw1"]
        peers = [replace(peer, name=name) for name in ("one", "two", "three")]
        self.sessions = [PeerSession(peer, INTENT.export_policy) for peer in peers]
        for session in self.sessions:
            session.establish(OPEN, Vocabulary())
            session.greeted = True
        self.wire = Wire()
        self.failed: list[str] = []
        self.pacing = Pacing(self.wire, next_piece, lambda s: self.failed.append(s.peer.name))


def next_piece(session: PeerSession) -> bytes | None:
    assert session.telling is not None
    piece = session.telling.next_piece()
    if piece is None:
        session.telling = None
    return piece


def told(session: PeerSession, pieces: Sequence[bytes] | Iterator[bytes]) -> None:
    session.telling = AtLength(Told(session.peer, {}), pieces)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_no_more_is_made_than_a_peer_takes(talk: Talk) -> None:
    session, made = talk.sessions[0], []
    name = session.peer.name

    def pieces() -> Iterator[bytes]:
        for number in range(40):
            made.append(number)
            yield bytes(PIECE)

    told(session, pieces())
    talk.pacing.go_on(talk.sessions)
    talk.pacing.go_on(talk.sessions)
    assert (len(made), talk.wire.waits[name], talk.wire.asked) == (4, AHEAD, [name, name])
    talk.wire.waits[name] = AHEAD - 1
    talk.pacing.go_on([session])
    assert len(made) == 5
    for _ in range(40):
        talk.wire.waits[name] = 0
        talk.pacing.go_on([session])
    assert len(made) == 40 and session.telling is None


def test_those_in_step_are_sent_a_piece_at_once(talk: Talk) -> None:
    pieces = [bytes(PIECE) for _ in range(6)]
    first, second = talk.sessions[:2]
    talk.wire.waits[second.peer.name] = 3 * PIECE
    for session in (first, second):
        told(session, pieces)
    talk.pacing.go_on(talk.sessions)
    both = [first.peer.name, second.peer.name]
    assert talk.wire.sent == [both, [both[0]], [both[0]], [both[0]]]
    assert talk.wire.asked == [both[1], both[0]]


def test_a_session_that_is_being_ended_is_told_nothing(talk: Talk) -> None:
    told(talk.sessions[0], [b"piece"])
    talk.sessions[0].decoder = None
    talk.pacing.go_on(talk.sessions)
    assert talk.wire.sent == []


def test_nothing_is_made_for_a_session_that_has_ended_before_it_is_heard_of(talk: Talk) -> None:
    gone, there = talk.sessions[:2]
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(40):
            made.append(number)
            yield bytes(PIECE)

    told(gone, pieces())
    told(there, [b"piece"])
    talk.wire.ended.add(gone.peer.name)
    talk.pacing.go_on(talk.sessions)
    assert talk.wire.sent == [[there.peer.name]]
    assert not made and not talk.wire.asked and gone.telling is not None


def test_a_fault_of_ours_costs_one_session(talk: Talk) -> None:
    def broken() -> Iterator[bytes]:
        yield b"piece"
        raise ZeroDivisionError

    first, second = talk.sessions[:2]
    told(first, broken())
    told(second, [b"one", b"two", b"three"])
    talk.pacing.go_on(talk.sessions)
    assert talk.failed == [first.peer.name] and first.telling is None
    assert talk.wire.waits[second.peer.name] == len(b"onetwothree")


def test_who_does_not_read_the_news_is_told_no_more(
    talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    slow, at_length, new = talk.sessions[:3]
    for session in (slow, at_length, new):
        talk.wire.waits[session.peer.name] = BEHIND
    assert talk.pacing.behind(talk.sessions) == []
    for session in (slow, at_length, new):
        talk.wire.waits[session.peer.name] = BEHIND + 1
    told(at_length, [])
    new.greeted = False
    assert talk.pacing.behind(talk.sessions) == [slow]
    assert len(caplog.records) == 1 and "has not read 64 MB" in caplog.text
