"""Import policy that asks for the member of a prefix, of a peer that says IPv4 and IPv6 alike.

The verdict on an IPv4 route is none on an IPv6 route, though their attributes are the same octets
and their members of the same place in the topology.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from oracle.networks import FABRIC

from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType

TOPOLOGY = (
    "name: alike"
    + FABRIC.replace("asn: 64601,", "asn: 64601, import: [p],", 1)
    + """
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16, "fd00:a::/48"]}
  vd: {region: south, vni: 104, cidrs: [10.2.0.0/16]}
  ve: {region: south, vni: 105, cidrs: ["fd00:e::/48"]}
ccns:
  one: {id: 1, vni: 201, attach: [vpc/va, vpc/vd, vpc/ve]}
policies: [policy.yaml]
"""
)
POLICY = """
vpc-sets: {D: [vd]}
policies:
  p:
    - {name: no-d, match: {vpc-set: D}, then: reject}
    - {name: rest, then: accept}
"""
VTEP = Ip.parse("192.0.3.11")
DENIED, ACCEPTED = "10.2.0.0/16", "fd00:e::/48"
SAID = PathAttributes(
    as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
    next_hop=VTEP,
    extended_communities=tunnel_communities(
        [RouteTarget.parse("64600:1")], Mac.parse("02:cc:c0:00:03:0b")
    ),
)


def route(prefix: str) -> EvpnPrefix:
    distinguisher = RouteDistinguisher.of_router(VTEP, 1)
    return EvpnPrefix(distinguisher, bytes(10), 0, Prefix.parse(prefix), None, 201)


@pytest.fixture(scope="module")
def intent(tmp_path_factory: pytest.TempPathFactory) -> Intent:
    folder: Path = tmp_path_factory.mktemp("both")
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "topology.yaml").write_text(TOPOLOGY)
    return read_intent(folder / "topology.yaml", "a")


@pytest.mark.parametrize(
    "bursts",
    [[[DENIED, ACCEPTED]], [[DENIED], [ACCEPTED]], [[ACCEPTED], [DENIED]], [[ACCEPTED, DENIED]]],
)
def test_neither_family_is_judged_by_the_other(intent: Intent, bursts: list[list[str]]) -> None:
    rib = new_rib(intent)
    for prefixes in bursts:
        rib.receive("b", [route(prefix) for prefix in prefixes], [], SAID)
        rib.settle()
    accepted = {str(h.path.nlri.prefix): bool(h.places) for h in rib.heard("b").values()}
    assert accepted == {DENIED: False, ACCEPTED: True}
