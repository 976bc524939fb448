"""What is proved depends on what is held: good and bad paths of several peers, in any order, with
proofs in between, lead to one digest and one set of findings, and nothing that stands is left."""

from __future__ import annotations

from pathlib import Path as FilePath
from random import Random
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.gateway import guard
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)

INTENT = read_intent(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")
MAC = Mac.parse("02:cc:c6:33:64:15")
PREFIXES = [
    Prefix.parse(p)
    for p in (
        *("10.2.0.0/16", "10.50.0.0/16", "10.50.1.0/24", "10.50.1.128/25", "10.60.0.0/16"),
        *("172.16.1.0/24", "172.16.0.0/16", "10.1.9.0/24", "0.0.0.0/0"),
    )
]
TARGETS = [RouteTarget.parse(f"64600:{n}") for n in (100, 200)]


def attributes(asn: int, target: RouteTarget, next_hop: str) -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(asn),)),),
        next_hop=Ip.parse(next_hop),
        extended_communities=tunnel_communities([target], MAC),
    )


type5 = st.builds(
    lambda rd, prefix, gateway, vni, target: (
        "hk-gw1",
        EvpnPrefix(
            RouteDistinguisher.parse(f"198.51.100.21:{rd}"),
            bytes(10),
            0,
            prefix,
            Ip.parse("10.2.0.10") if gateway else None,
            vni,
        ),
        attributes(64602, target, "198.51.100.21"),
    ),
    st.sampled_from([100, 200, 300]),
    st.sampled_from(PREFIXES),
    st.booleans(),
    st.sampled_from([20100, 20200, 777]),
    st.sampled_from(TARGETS),
)
type2 = st.builds(
    lambda rd, vni2, target: (
        "hk-gw1",
        EvpnMacIp(
            RouteDistinguisher.parse(f"198.51.100.21:{rd}"),
            bytes(10),
            0,
            MAC,
            Ip.parse("10.2.0.10"),
            10002,
            vni2,
        ),
        attributes(64602, target, "198.51.100.21"),
    ),
    st.sampled_from([100, 200]),
    st.sampled_from([20100, 20200]),
    st.sampled_from(TARGETS),
)
unicast = st.builds(
    lambda peer, prefix: (peer, Unicast(prefix), attributes(65101, TARGETS[0], "169.254.1.2")),
    st.sampled_from(["lf-r1", "tj-r1"]),
    st.sampled_from(PREFIXES),
)
said = st.lists(st.one_of(type5, type2, unicast), max_size=14, unique_by=lambda s: (s[0], s[1].key))


def proved(intent: Intent, routes: list, random: Random | None) -> tuple:
    """The end of one history; with ``random`` in its order, with proofs and withdrawals between."""
    rib = new_rib(intent)
    prover = Guard(intent, rib)
    for peer, nlri, held in routes:
        if random is not None and random.random() < 0.3:
            rib.receive(peer, [nlri], [], attributes(7, TARGETS[1], "198.51.100.21"))
            prover.prove()
            if random.random() < 0.5:
                rib.receive(peer, [], [nlri], None)
        rib.receive(peer, [nlri], [], held)
        if random is not None and random.random() < 0.4:
            prover.prove()
    found = prover.prove()
    assert not found.standing
    return found.snapshot.digest, tuple(f.sort_key for f in found.findings)


@settings(max_examples=120, deadline=None)
@given(said, st.integers(0, 2**32), st.booleans())
def test_the_order_of_arrival_does_not_matter(routes: list, seed: int, narrow: bool) -> None:
    """``narrow``: of what is refused only what a change reaches is tried again."""
    random = Random(seed)
    shuffled = routes[:]
    random.shuffle(shuffled)
    wanted = proved(INTENT, routes, None)
    with mock.patch.object(guard, "FEW", -1 if narrow else guard.FEW):
        assert proved(INTENT, shuffled, random) == wanted
