"""The guard after any history of announcements: the state of one that begins with the outcome.

Each proof is compared with the whole check of the same snapshot; the last with a gateway that has
heard the same routes at once and in another order.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.table.verify.snapshot import verify_snapshot

SHARED = """
name: shared
fabric: {asn: 64600}
gateways:
  bj-gw1:
    {region: beijing, asn: 64601, vtep: 192.0.2.11,
     uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}]}
neighbors:
  - {name: hk-gw1, gateway: bj-gw1, address: 198.51.100.21, asn: 64602, role: gateway}
vpcs:
  web: {region: beijing, vni: 10001, cidrs: [10.1.0.0/16]}
  dns: {region: beijing, vni: 10002, cidrs: [10.2.0.0/16]}
  alone: {region: beijing, vni: 10003, cidrs: [10.1.0.0/16]}
idcs:
  langfang:
    region: beijing
    cidrs: [172.16.0.0/16, 10.50.0.0/16]
    routers:
      lf-r1:
        {gateway: bj-gw1, port: eth2, ccn: retail, asn: 65101, address: 169.254.1.2/30,
         gateway-address: 169.254.1.1/30, import: [all], export: [all]}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web, idc/langfang]}
  finance: {id: 200, vni: 20200, attach: [vpc/dns]}
  other: {id: 300, vni: 20300, attach: [vpc/alone]}
shares:
  - {from: finance, to: retail, prefixes: [10.2.0.0/16, 10.50.0.0/16]}
  - {from: retail, to: finance, prefixes: [10.1.0.0/16, 172.16.0.0/16, 10.50.9.0/24]}
policies: [all.yaml]
"""
"""Two CCNs of three share, and import from each other at one gateway."""
PREFIXES = (
    "0.0.0.0/0 10.1.0.0/16 10.1.2.0/24 10.2.0.0/16 10.2.66.0/24 10.50.0.0/16 10.50.9.0/24 "
    "127.0.0.0/8 172.16.0.0/16 172.16.4.0/24 192.0.2.0/24 198.51.100.21/32 fd00:1::/64 fe80::/64"
).split()
VNIS = (20100, 20200, 20300, 77)
TARGETS = ("64600:100", "64600:200", "64600:300")


@cache
def intent(name: str) -> Intent:
    if name != "shared":
        file = FilePath(__file__).parents[2] / "topologies" / f"{name}.yaml"
        return read_intent(file, "bj-gw1")
    with tempfile.TemporaryDirectory() as place:
        file = FilePath(place) / "shared.yaml"
        file.write_text(SHARED)
        file.with_name("all.yaml").write_text("policies: {all: [{name: all, then: accept}]}")
        return read_intent(file, "bj-gw1")


def evpn(prefix: str, vni: int, rd: int) -> EvpnPrefix:
    number = RouteDistinguisher.parse(f"198.51.100.21:{rd}")
    return EvpnPrefix(number, bytes(10), 0, Prefix.parse(prefix), None, vni)


def tunnel(targets: tuple[str, ...]) -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities(
            [RouteTarget.parse(t) for t in targets], Mac.parse("02:cc:c6:33:64:15")
        ),
    )


def plain() -> PathAttributes:
    path = (Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),)
    return PathAttributes(as_path=path, next_hop=Ip.parse("169.254.1.2"))


Said = tuple[str, Nlri, PathAttributes | None]
"""(peer, what, its attributes or None for a withdrawal)."""


def said() -> st.SearchStrategy[Said]:
    prefixes = st.sampled_from(PREFIXES)
    nlri = st.builds(evpn, prefixes, st.sampled_from(VNIS), st.sampled_from((100, 200)))
    targets = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2, unique=True)
    gateway = st.tuples(
        st.just("hk-gw1"), nlri, st.one_of(st.none(), targets.map(tuple).map(tunnel))
    )
    router = st.tuples(
        st.just("lf-r1"),
        prefixes.map(lambda p: Unicast(Prefix.parse(p))),
        st.sampled_from((None, plain())),
    )
    return st.one_of(gateway, router)


def fresh(held: Intent) -> tuple[Rib, Guard]:
    rib = Rib(held.topology, held.gateway, held.import_policy, held.claims)
    return rib, Guard(held, rib)


def tell(rib: Rib, what: Said) -> None:
    peer, nlri, attributes = what
    rib.receive(peer, [nlri] if attributes else [], [] if attributes else [nlri], attributes)


def outcome(proved: Proved) -> Any:
    return proved.snapshot.digest, proved.standing, [f.as_json() for f in proved.findings]


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(("two-regions", "shared", "shared")),
    batches=st.lists(st.lists(said(), max_size=4), max_size=8),
    data=st.data(),
)
def test_the_past_leaves_no_trace(
    name: str, batches: list[list[Said]], data: st.DataObject
) -> None:
    held = intent(name)
    rib, guard = fresh(held)
    state: dict[tuple[str, bytes], Said] = {}
    proved = guard.prove()
    for batch in batches:
        for what in batch:
            tell(rib, what)
            key = what[0], what[1].key
            if what[2] is None:
                state.pop(key, None)
            else:
                state[key] = what
        proved = guard.prove()
        checked = tuple(f for f in verify_snapshot(proved.snapshot, held.topology) if f.stands)
        assert checked == proved.standing
    assert outcome(guard.prove()) == outcome(proved)
    assert outcome(guard.prove(whole=True)) == outcome(proved)
    other, second = fresh(held)
    for what in data.draw(st.permutations(list(state.values()))):
        tell(other, what)
    assert outcome(second.prove()) == outcome(proved)
