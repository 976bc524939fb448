"""Columns under a hostile hand: what a peer invents is forgotten, and what it asks costs little."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from ccn_bgp.gateway import pacing
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn import compaction
from ccn_bgp.learn import rib as rib_module
from ccn_bgp.learn.adj_rib_in import Delta, Rows
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh
from ccn_bgp.session.events import Block, OpenFacts, Room, SessionUp

INTENT = read_intent(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")
RD = RouteDistinguisher.parse("198.51.100.21:100")
MAC = Mac.parse("02:cc:c6:33:64:15")
SAID = PathAttributes(
    as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
    next_hop=Ip.parse("198.51.100.21"),
    extended_communities=tunnel_communities([RouteTarget.parse("64600:100")], MAC),
)


def type5(prefix: str) -> EvpnPrefix:
    return EvpnPrefix(RD, bytes(10), 0, Prefix.parse(prefix), None, 20100)


@pytest.fixture
def rib() -> Rib:
    return new_rib(INTENT)


def test_prefixes_that_a_peer_may_not_say_are_forgotten_with_their_findings(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SPARE", 100)
    rib._compaction = compaction.Compaction()
    guard = Guard(INTENT, rib)
    for number in range(20):
        said = [type5(f"10.1.{number}.{host}/32") for host in range(40)]
        rib.receive("hk-gw1", said, [], SAID)
        assert len(guard.prove().findings) >= 40
        rib.receive("hk-gw1", [], said, None)
    assert not guard.prove().findings
    assert len(rib._rows.verdicts) < 300


class Unread:
    """A peer that reads nothing."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.unread = True

    def send_to(self, peers: list[str], messages: bytes) -> None:
        self.sent.append(messages)

    def hears(self, peer: str) -> bool:
        return True

    def backlog(self, peer: str) -> int:
        return sum(map(len, self.sent)) if self.unread else 0

    def ask_room(self, peer: str, octets: int) -> None:
        assert self.backlog(peer) >= octets

    def preserve(self, names: frozenset[str]) -> None:
        """Nobody asks."""


@pytest.fixture
def sessions(rib: Rib) -> Sessions:
    sessions = Sessions(INTENT, rib, FilePath(), lambda: None, holding_back=True)
    up(sessions)
    return sessions


def up(sessions: Sessions) -> None:
    facts = OpenFacts(
        asn=Asn(64602),
        router_id=Ip.parse("198.51.100.21"),
        hold_time=90,
        asn4=True,
        families=frozenset((Family.EVPN,)),
        route_refresh=True,
        enhanced_refresh=False,
        max_message=4096,
        restart_time=None,
        restarted=False,
        restart_families=frozenset(),
        forwarding=frozenset(),
    )
    sessions.on_event(SessionUp("hk-gw1", facts))


def test_what_is_said_in_turns_is_not_taken_in_one_by_one(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take in one row costs what a change of all that is held costs: a peer that says a prefix
    and takes back a MAC address in turns, or ends its table again and again, would stop us."""
    taken: list[int] = []
    absorb = Rows.absorb

    def counted(rows: Rows) -> Delta | None:
        taken.extend([1] if rows.waiting else [])
        return absorb(rows)

    monkeypatch.setattr(Rows, "absorb", counted)
    vm = EvpnMacIp(RD, bytes(10), 0, MAC, Ip.parse("10.2.0.10"), 10002, None)
    for number in range(50):
        octets = [
            *encode_updates([(SAID, [type5(f"10.50.{number}.0/24"), vm])]),
            *encode_updates([], [vm]),
            end_of_rib(Family.EVPN),
        ]
        sessions.on_event(Block("hk-gw1", b"".join(octets)))
    assert not taken
    assert len(sessions.rib.heard("hk-gw1")) == 50
    assert [gone.nlri for gone in sessions.withdrawn] == [vm]


def test_a_look_at_a_route_that_nobody_said_leaves_nothing_behind(rib: Rib) -> None:
    before = len(rib.vocabulary.distinguishers)
    assert not rib.holding("hk-gw1", [type5("10.50.0.0/24")])
    assert type5("10.50.0.0/24").key not in rib.heard("hk-gw1")
    assert len(rib.vocabulary.distinguishers) == before


def test_one_message_is_one_part_however_it_was_judged(sessions: Sessions) -> None:
    """A message that is treated as withdraw names thousands of routes: what is done with each of
    them by itself holds up all other peers."""
    rib = sessions.rib
    many = [type5(f"10.50.{n >> 8}.{n & 255}/32") for n in range(1000)]
    (octets,) = encode_updates([(SAID, many)], max_length=65535)
    sessions.on_event(Block("hk-gw1", octets))
    broken = octets.replace(b"\x40\x01\x01\0", b"\x40\x01\x01\7", 1)
    assert broken != octets
    rib.settle()
    parts = rib.adj_in["hk-gw1"].waiting_parts
    sessions.on_event(Block("hk-gw1", broken))
    assert rib.adj_in["hk-gw1"].waiting_parts == parts + 1
    assert len(rib.heard("hk-gw1")) == 0
    assert [gone.nlri.key for gone in sessions.withdrawn] == [nlri.key for nlri in many]


def test_what_is_taken_back_and_was_never_said_leaves_nothing_behind(rib: Rib) -> None:
    before = len(rib.vocabulary.distinguishers)
    rib.receive("hk-gw1", [], [type5("10.50.0.0/24")], None)
    assert not rib.adj_in["hk-gw1"].waiting
    assert len(rib.vocabulary.distinguishers) == before


def test_a_peer_that_asks_faster_than_it_reads_waits(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand requests are answered at once with one answer, and no more is made before that
    has been read."""
    monkeypatch.setattr(pacing, "AHEAD", 1)
    peer = Unread()
    sessions = Sessions(INTENT, rib, FilePath(), lambda: None, holding_back=False)
    sessions.speakers.running = {"gateways": peer}  # type: ignore[dict-item]
    rib.settle()
    peer.unread = False
    up(sessions)
    first = len(peer.sent) - 1  # without End-of-RIB
    peer.sent.clear()
    asked = Block("hk-gw1", route_refresh(Family.EVPN, 0) * 1000)
    sessions.on_event(asked)
    assert len(peer.sent) == first > 1
    peer.sent.clear()
    peer.unread = True
    for _ in range(3):
        sessions.on_event(asked)
    assert len(peer.sent) == 1
    peer.unread = False
    sessions.on_event(Room("hk-gw1"))
    assert len(peer.sent) == 2 * first  # what was begun, and one for all that came meanwhile


IN_A_RING = """\
name: ring
fabric: {asn: 64600}
gateways:
  a: {region: north, asn: 64601, vtep: 192.0.2.11,
      uplinks: [{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}]}
  b: {region: south, asn: 64602, vtep: 192.0.3.11,
      uplinks: [{port: p0, address: 192.0.3.11/24, via: 192.0.3.1}]}
vpcs:
  v1: {region: north, vni: 101, cidrs: [10.1.0.0/16]}
  v2: {region: north, vni: 102, cidrs: [10.2.0.0/16]}
  v3: {region: north, vni: 103, cidrs: [10.3.0.0/16]}
  v4: {region: south, vni: 104, cidrs: [10.4.0.0/16]}
idcs:
  d:
    region: north
    cidrs: [172.16.0.0/16]
    routers:
      r1: {gateway: a, port: eth2, ccn: three, asn: 65101, address: 169.254.1.2/30,
           gateway-address: 169.254.1.1/30, import: [all], export: [all]}
ccns:
  one: {id: 1, vni: 201, import-rts: ["64600:1", "64600:9"], attach: [vpc/v1, vpc/v4],
        reexport: true}
  two: {id: 2, vni: 202, attach: [vpc/v2], reexport: true}
  three: {id: 3, vni: 203, attach: [vpc/v3, idc/d]}
shares:
  - {from: three, to: one, prefixes: [172.16.0.0/16]}
  - {from: three, to: two, prefixes: [172.16.0.0/16]}
  - {from: one, to: two, prefixes: [172.16.0.0/16]}
  - {from: two, to: one, prefixes: [172.16.0.0/16]}
policies: [policy.yaml]
"""


def test_tables_that_say_on_to_each_other_hold_the_same_after_any_history(
    tmp_path: FilePath,
) -> None:
    """One and two both hear three, and each what the other says on: whoever had it first must not
    be believed for ever."""
    (tmp_path / "policy.yaml").write_text("policies:\n  all: [{name: all, then: accept}]\n")
    (tmp_path / "ring.yaml").write_text(IN_A_RING)
    prefix = Prefix.parse("172.16.1.0/24")
    own = PathAttributes(as_path=SAID.as_path, next_hop=Ip.parse("169.254.1.2"))
    better = PathAttributes(
        local_pref=200,
        next_hop=Ip.parse("192.0.3.11"),
        extended_communities=tunnel_communities([RouteTarget.parse("64600:9")], MAC),
    )
    far = EvpnPrefix(RD, bytes(10), 0, prefix, None, 201)
    found = []
    for detour in (False, True):
        rib = new_rib(read_intent(tmp_path / "ring.yaml", "a"))
        if detour:
            rib.receive("b", [far], [], better)
            rib.settle()
        rib.receive("r1", [Unicast(prefix)], [], own)
        rib.settle()
        rib.receive("b", [], [far], None)
        rib.settle()
        found.append({name: table.routes[prefix] for name, table in rib.tables.items()})
    assert found[0] == found[1]
    assert {route.path.peer for route in found[0].values()} == {"table a/three", "r1"}


def test_what_waits_is_counted_as_it_comes(rib: Rib, monkeypatch: pytest.MonkeyPatch) -> None:
    """To count it anew for each message was quadratic; what comes in single routes costs room."""
    monkeypatch.setattr(rib_module, "PATIENCE_PARTS", 10)
    adj = rib.adj_in["hk-gw1"]
    for number in range(25):
        rib.receive("hk-gw1", [type5(f"10.50.{number}.0/24")], [], SAID)
        assert adj.waiting == adj.waiting_parts <= 10
    assert len(adj) == 22
    rib.settle()
    assert (len(adj), adj.waiting, adj.waiting_parts) == (25, 0, 0)
