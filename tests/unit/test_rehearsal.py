"""An edit of policies before it is in force: what it changes is told, what the verifier refuses
leaves all as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.errors import RefusedError
from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.rehearsal import lines, rehearse, shifts
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast

TOPOLOGY = """\
name: two-sites
fabric: {asn: 64600}
gateways:
  gw: {region: r, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}],
       import: [from-gateways]}
  g2: {region: q, asn: 64602, vtep: 198.51.100.21,
       uplinks: [{port: eth1, address: 198.51.100.21/24}]}
vpcs:
  web: {region: r, vni: 10001, cidrs: [10.1.0.0/16]}
  orders: {region: q, vni: 10002, cidrs: [10.2.0.0/16]}
idcs:
  north:
    region: r
    cidrs: [172.16.0.0/17]
    routers:
      n1: {gateway: gw, port: eth2, vlan: 1, ccn: retail, asn: 65101, address: 169.254.1.2/30,
           gateway-address: 169.254.1.1/30, import: [from-north], export: [out]}
  south:
    region: r
    cidrs: [172.16.200.0/24]
    routers:
      s1: {gateway: gw, port: eth2, vlan: 2, ccn: other, asn: 65102, address: 169.254.2.2/30,
           gateway-address: 169.254.2.1/30, import: [from-south], export: [out]}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web, vpc/orders, idc/north]}
  other: {id: 200, vni: 20200, attach: [idc/south]}
shares: [{from: other, to: retail, prefixes: [172.16.200.0/24]}]
policies: [p.yaml]
"""
POLICIES = """\
prefix-sets: {low: [{prefix: 172.16.0.0/17, le: 24}], high: [172.16.128.0/17]}
policies:
  from-north: [{name: low, match: {prefix-set: low}, set: {med: 1}, then: accept}]
  from-gateways: [{name: not-that, match: {prefix-set: high}, then: reject}]
  from-south: [{name: all, then: accept}]
  out: [{name: all, then: accept}]
"""


TUNNEL = tunnel_communities([RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15"))


def attributes(asn: Asn, next_hop: Ip, **more: Any) -> PathAttributes:
    path = (Segment(SegmentType.AS_SEQUENCE, (asn,)),)
    return PathAttributes(as_path=path, next_hop=next_hop, **more)


class Site:
    """A gateway that has heard two data centres."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "t.yaml").write_text(TOPOLOGY)
        self.intent = self.read(POLICIES)
        self.rib = new_rib(self.intent)
        for name, prefixes in (
            ("n1", ("172.16.1.0/24", "172.16.2.0/24")),
            ("s1", ("172.16.200.0/24",)),
        ):
            peer = self.rib.peers[name]
            said = [Unicast(Prefix.parse(p)) for p in prefixes]
            self.rib.receive(name, said, [], attributes(peer.asn, peer.address))
        remote = attributes(Asn(64602), Ip.parse("198.51.100.21"), extended_communities=TUNNEL)
        rd = RouteDistinguisher.parse("198.51.100.21:100")
        route = EvpnPrefix(rd, bytes(10), 0, Prefix.parse("172.16.128.0/17"), None, 20100)
        self.rib.receive("g2", [route], [], remote)
        self.proved: Proved = Guard(self.intent, self.rib).prove()

    def read(self, policies: str) -> Any:
        (self.directory / "p.yaml").write_text(policies)
        return read_intent(self.directory / "t.yaml", "gw")

    def edit(self, policies: str) -> tuple[Any, Rib]:
        intent = self.read(policies)
        return intent, new_rib(intent)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def in_force(rib: Rib) -> dict[str, str]:
    return {str(p): r.path.peer for p, r in rib.tables["gw/retail"].routes.items()}


def test_what_an_edit_changes_is_told_by_peer_and_kind(site: Site) -> None:
    intent, rib = site.edit(
        POLICIES.replace("le: 24", "ge: 24")
        .replace("med: 1", "med: 2")
        .replace("[{name: all, then: accept}]\n  out", "[{name: none, then: reject}]\n  out")
    )
    rehearse(site.intent, site.proved, site.rib, intent, rib)
    told = list(lines(site.intent, site.rib, intent, rib))
    where = site.directory / "p.yaml"
    assert told == [
        "n1: 2 routes are accepted with other attributes, such as 172.16.1.0/24"
        " (accepted by from-north/low → accepted by from-north/low; med 1 → 2)",
        "s1: 1 route is no longer accepted, such as 172.16.200.0/24 (accepted by from-south/all"
        f" → denied by policy from-south, statement none ({where}:5:16))",
    ]
    assert rib.compacts


def test_an_edit_without_effect_is_told_as_such(site: Site) -> None:
    intent, rib = site.edit(POLICIES.replace("name: low", "name: lower"))
    rehearse(site.intent, site.proved, site.rib, intent, rib)
    assert list(shifts(site.rib, rib)) == []
    told = list(lines(site.intent, site.rib, intent, rib))
    assert told == ["no route that has been heard is judged otherwise"]


def test_an_edit_that_would_cost_a_route_in_force_is_refused_whole(site: Site) -> None:
    """A route of the CCN's own covers one that is shared with it: to lead its packets there would
    be a hijack. While that one is not believed the shared one is reached."""
    before, digest = in_force(site.rib), site.proved.snapshot.digest
    assert before["172.16.200.0/24"].endswith("gw/other")
    intent, rib = site.edit(POLICIES.replace("high}, then: reject", "high}, then: accept"))
    with pytest.raises(RefusedError) as refused:
        rehearse(site.intent, site.proved, site.rib, intent, rib)
    (problem,) = refused.value.problems
    assert "172.16.200.0/24 would be refused" in str(problem)
    assert "hijack" in str(problem)
    assert "\n" not in str(problem)
    assert in_force(site.rib) == before
    site.rib.receive(
        "n1", [], [Unicast(Prefix.parse("172.16.1.0/24"))], None
    )  # the old one goes on, and learns
    proved = Guard(site.intent, site.rib).prove()
    assert proved.snapshot.digest != digest
    assert in_force(site.rib) == {p: w for p, w in before.items() if p != "172.16.1.0/24"}


def test_with_another_network_a_refused_row_is_a_finding_as_ever(site: Site) -> None:
    text = TOPOLOGY.replace("[10.1.0.0/16]", "[10.1.0.0/16, 10.3.0.0/16]")
    (site.directory / "t.yaml").write_text(text)
    intent, rib = site.edit(POLICIES.replace("high}, then: reject", "high}, then: accept"))
    guard = rehearse(site.intent, site.proved, site.rib, intent, rib)
    rules = {f.rule for f in guard.prove().findings if f.stands}
    assert rules == {"hijack"}


def test_of_a_new_peer_nothing_is_told(site: Site) -> None:
    text = TOPOLOGY.replace("asn: 65102", "asn: 65199")
    (site.directory / "t.yaml").write_text(text)
    intent, rib = site.edit(POLICIES)
    rehearse(site.intent, site.proved, site.rib, intent, rib)
    assert rib.peers["s1"].asn == Asn(65199)
    assert rib.peers["s1"].address == Ip.parse("169.254.2.2")
    assert [s.peer for s in shifts(site.rib, rib)] == []
