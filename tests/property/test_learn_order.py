"""The same announcements in any order give the same tables, byte for byte."""

from __future__ import annotations

from pathlib import Path as FilePath
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.config.load import load_topology
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Origin,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.table.tables import Contender, Table
from ccn_bgp.table.verify.claims import Claims

TOPOLOGY = load_topology(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml")
MAC = Mac(b"\x02\xcc\xc6\x33\x64\x15")
TARGETS = [RouteTarget.parse("64600:100"), RouteTarget.parse("64600:200")]
PREFIXES = [Prefix.parse(f"10.{n}.0.0/16") for n in (1, 2, 50, 51)] + [
    Prefix.parse(p) for p in ("10.50.1.0/24", "172.16.1.0/24", "172.16.2.0/24", "0.0.0.0/0")
]

attribute_sets = st.builds(
    lambda asns, origin, med, target, next_hop: PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),),
        origin=origin,
        med=med,
        next_hop=Ip.parse(next_hop),
        extended_communities=tunnel_communities([target], MAC),
    ),
    st.lists(st.sampled_from([64602, 65101, 7]), min_size=1, max_size=3),
    st.sampled_from(Origin),
    st.sampled_from([None, 0, 5]),
    st.sampled_from(TARGETS),
    st.sampled_from(["198.51.100.21", "203.0.113.9"]),
)
evpn_routes = st.one_of(
    st.builds(
        lambda rd, prefix, gateway, vni: EvpnPrefix(rd, bytes(10), 0, prefix, gateway, vni),
        st.sampled_from([RouteDistinguisher.parse(r) for r in ("198.51.100.21:100", "9:9")]),
        st.sampled_from(PREFIXES),
        st.sampled_from([None, Ip.parse("10.2.0.10")]),
        st.sampled_from([20100, 20200, 777]),
    ),
    st.builds(
        lambda vni2: EvpnMacIp(
            RouteDistinguisher.parse("9:9"), bytes(10), 0, MAC, Ip.parse("10.2.0.10"), 10002, vni2
        ),
        st.sampled_from([None, 20100]),
    ),
)
idc_routes = st.builds(Unicast, st.sampled_from(PREFIXES))
said = st.fixed_dictionaries(
    {
        "hk-gw1": st.lists(st.tuples(evpn_routes, attribute_sets), max_size=8),
        "lf-r1": st.lists(st.tuples(idc_routes, attribute_sets), max_size=6),
        "tj-r1": st.lists(st.tuples(idc_routes, attribute_sets), max_size=6),
    }
)


def learned(final: dict, seed: int) -> tuple:
    """The state after everything was said in a random order, with noise that is taken back."""
    random = Random(seed)
    gateway = TOPOLOGY.gateways["bj-gw1"]
    rib = Rib(TOPOLOGY, gateway, lambda _, path: path.attributes, Claims(TOPOLOGY))
    script = [(peer, nlri, a) for peer, held in final.items() for nlri, a in held.values()]
    noise = [(p, n, PathAttributes(next_hop=Ip.parse("198.51.100.21"))) for p, n, _ in script]
    random.shuffle(noise)
    for peer, nlri, attributes in noise[: random.randint(0, len(noise))]:
        rib.receive(peer, [nlri], [], attributes)
        if random.random() < 0.5:
            rib.settle()
        if random.random() < 0.5:
            rib.receive(peer, [], [nlri], None)
    random.shuffle(script)
    for peer, nlri, attributes in script:
        rib.receive(peer, [nlri], [], attributes)
        if random.random() < 0.3:
            rib.settle()
    rib.settle()
    tables = tuple(
        Table.build(
            name,
            loc.ccsi.id,
            loc.ccsi.ccn,
            loc.routes.values(),
            (Contender(p, o, w) for p, others in loc.contenders.items() for o, w in others),
        ).digest
        for name, loc in sorted(rib.tables.items())
    )
    findings = sorted(f.sort_key for f in rib.findings.values())
    return tables, sorted(rib.exports.items()), findings, rib.vm_entries()


@settings(max_examples=150, deadline=None)
@given(said, st.integers(0, 2**32), st.integers(0, 2**32))
def test_order_does_not_matter(routes: dict, one: int, other: int) -> None:
    final = {
        peer: {nlri.key: (nlri, attributes) for nlri, attributes in pairs}
        for peer, pairs in routes.items()
    }
    assert learned(final, one) == learned(final, other)
