"""What new peers cost that take their first words slowly, or not at all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import pytest
from oracle.aggregates import OPEN

from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.out_feed import RowFeed
from ccn_bgp.gateway.pacing import AHEAD, Pacing
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.telling import ExportChanges, UpdateGroups
from ccn_bgp.learn import portions
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Family, Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.outgoing import OutRows
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session.encode import end_of_rib
from ccn_bgp.session.sending import Sending

INTENT = read_intent(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")
FACTS = replace(OPEN, families=frozenset((Family.EVPN,)))
ROUTES = 500_000
MEGABYTE = 1 << 20


class Wire:
    """It keeps what the peers have not read, as one object however many it is for."""

    def __init__(self) -> None:
        self.waits: dict[str, list[bytes]] = {}
        self.last = b""

    def send(self, peers: Sequence[Peer], messages: bytes) -> None:
        self.last = messages
        for peer in peers:
            self.waits.setdefault(peer.name, []).append(messages)

    def hears(self, peer: Peer) -> bool:
        return True

    def backlog(self, peer: Peer) -> int:
        return sum(map(len, self.waits.get(peer.name, [])))

    def ask_room(self, peer: Peer, octets: int) -> None:
        assert self.backlog(peer) >= octets

    @property
    def octets(self) -> int:
        """Without what waits for several."""
        return sum({id(p): len(p) for pieces in self.waits.values() for p in pieces}.values())


class Groups:
    """Update groups that have been told many prefixes of one table in columns."""

    def __init__(self) -> None:
        self.rib: Rib = new_rib(INTENT)
        self.rib.settle()
        number = (10 << 24) + (np.arange(ROUTES, dtype=np.uint32) << 4)
        rows = OutRows(
            np.full(ROUTES, self.rib.tables["bj-gw1/retail"].ccsi.id, np.uint32),
            number.astype(">u4").view(np.uint8).reshape(-1, 4),
            np.full(ROUTES, 28, np.uint8),
            np.arange(ROUTES, dtype=np.int64) % 2,
        )
        sets = [PathAttributes(next_hop=Ip.parse("192.0.2.11"), med=med) for med in (1, 2)]
        self.groups = UpdateGroups(whole=lambda _: RowFeed(sets, [rows]))
        self.wire = Wire()
        self.pacing = Pacing(self.wire, self.next_piece, lambda _: None)
        self.first = self.up("first")  # whose group the others join
        list(self.groups.tell([self.first], self.rib, ExportChanges.of(self.rib)))

    def next_piece(self, session: PeerSession) -> bytes | None:
        return self.groups.next_piece(session, self.rib)

    def up(self, name: str) -> PeerSession:
        peer = replace(self.rib.peers["hk-gw1"], name=name)
        session = PeerSession(peer, INTENT.export_policy)
        session.establish(FACTS, Vocabulary())
        return session

    def greet(self, session: PeerSession) -> None:
        self.groups.greet(session, self.rib)
        self.pacing.go_on([session])


@pytest.fixture(scope="module")
def groups() -> Groups:
    return Groups()


def test_a_new_peer_that_never_reads_costs_little(groups: Groups) -> None:
    """A few octets for each route, and a few megabytes of messages: of ten that come one after the
    other it is the same few."""
    tracemalloc.start()
    try:
        groups.greet(groups.up("silent"))
        _, one = tracemalloc.get_traced_memory()
        assert AHEAD <= groups.wire.octets < AHEAD + MEGABYTE
        for number in range(9):
            groups.greet(groups.up(f"silent {number}"))
        _, ten = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert groups.wire.octets < AHEAD + MEGABYTE
    assert one < 14 * MEGABYTE  # all messages are 19 MB
    assert ten < one + MEGABYTE


def test_what_has_been_told_is_counted_as_it_is_taken(groups: Groups) -> None:
    session = groups.up("slow")
    groups.greet(session)
    every = len(session.out.told)
    assert every >= ROUTES
    assert ROUTES // 10 < session.told_count < ROUTES // 2
    pieces = 0
    while session.telling is not None:
        pieces += len(groups.wire.waits.pop("slow"))
        groups.pacing.go_on([session])
    assert pieces > ROUTES // 20_000
    assert session.told_count == every and groups.wire.last == end_of_rib(Family.EVPN)


def test_who_is_left_in_the_midst_of_a_portion_hears_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it is taken to know it has heard: at least 36 octets of each type 5."""
    monkeypatch.setattr(portions, "PORTION", 1 << 17)  # more than four pieces
    groups = Groups()
    session = groups.up("left")
    groups.groups.greet(session, groups.rib)
    telling, octets = session.telling, 0
    assert telling is not None
    while octets < MEGABYTE:
        octets += len(telling.next_piece() or b"")
    telling.cut()
    octets += sum(map(len, iter(telling.next_piece, None)))
    known = len(telling.knows.told)
    assert 1 << 17 <= known < ROUTES // 2
    assert 36 * (1 << 17) < octets < 40 * known


def test_room_is_told_of_once_when_it_was_asked_for() -> None:
    sending = Sending()
    sending.begin("peer", 1)
    (out,) = sending.append(["peer"], bytes(100))
    out.waiting.clear()
    out.octets, out.flying = 0, 100
    assert not sending.taken("peer", 10)
    sending.ask_room("peer", 50)
    assert not sending.taken("peer", 40)  # fifty are left, which is not fewer
    assert sending.taken("peer", 1)
    assert not sending.taken("peer", 1)
    sending.end("peer")
    assert not sending.taken("peer", 10)
    sending.ask_room("peer", 50)
