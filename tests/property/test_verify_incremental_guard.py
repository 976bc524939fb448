"""The guard after any history of announcements: the state of one that begins with the outcome.

Each proof is compared with the whole check of the same snapshot; the last with a gateway that has
heard the same routes at once and in another order.
"""

from __future__ import annotations

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

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
PREFIXES = (
    "0.0.0.0/0 10.1.0.0/16 10.1.2.0/24 10.2.0.0/16 10.2.66.0/24 10.50.0.0/16 10.50.9.0/24 "
    "127.0.0.0/8 172.16.0.0/16 172.16.4.0/24 192.0.2.0/24 198.51.100.21/32 fd00:1::/64 fe80::/64"
).split()
VNIS = (20100, 20200, 77)
TARGETS = ("64600:100", "64600:200")


@cache
def intent() -> Intent:
    return read_intent(TOPOLOGY, "bj-gw1")


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


def fresh() -> tuple[Rib, Guard]:
    held = intent()
    rib = Rib(held.topology, held.gateway, held.import_policy, held.claims)
    return rib, Guard(held, rib)


def tell(rib: Rib, what: Said) -> None:
    peer, nlri, attributes = what
    rib.receive(peer, [nlri] if attributes else [], [] if attributes else [nlri], attributes)


def outcome(proved: Proved) -> Any:
    return proved.snapshot.digest, [f.as_json() for f in proved.findings]


@settings(max_examples=150, deadline=None)
@given(batches=st.lists(st.lists(said(), max_size=4), max_size=8), data=st.data())
def test_the_past_leaves_no_trace(batches: list[list[Said]], data: st.DataObject) -> None:
    rib, guard = fresh()
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
        assert not proved.standing
        checked = [f for f in verify_snapshot(proved.snapshot, intent().topology) if f.stands]
        assert checked == []
    assert outcome(guard.prove()) == outcome(proved)
    assert outcome(guard.prove(whole=True)) == outcome(proved)
    other, second = fresh()
    for what in data.draw(st.permutations(list(state.values()))):
        tell(other, what)
    assert outcome(second.prove()) == outcome(proved)
