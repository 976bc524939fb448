"""Learning: from what peers say to routes, exports and reasons, on the demo's topology."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.bestpath import select, why_not
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.outbound import Outbound, prepend
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Origin,
    Path,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.reason import Denied, Guarded, Looped, NotImported, Refused, Unresolved
from ccn_bgp.model.route import Kind
from ccn_bgp.table.verify.claims import Claims

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
RETAIL, FINANCE = RouteTarget.parse("64600:100"), RouteTarget.parse("64600:200")
HK_MAC = Mac.parse("02:cc:c6:33:64:15")


def sequence(*asns: int) -> tuple[Segment, ...]:
    return (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),)


def hk(
    prefix: str, target: RouteTarget = RETAIL, vni: int = 20100, gateway: str | None = None
) -> tuple[EvpnPrefix, PathAttributes]:
    """A type 5 as hk-gw1 says it."""
    rd = RouteDistinguisher.parse("198.51.100.21:100")
    nlri = EvpnPrefix(
        rd, bytes(10), 0, Prefix.parse(prefix), Ip.parse(gateway) if gateway else None, vni
    )
    attributes = PathAttributes(
        as_path=sequence(64602),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities([target], HK_MAC),
    )
    return nlri, attributes


def idc(prefix: str, *asns: int, **more: object) -> tuple[Unicast, PathAttributes]:
    """A unicast route as an IDC router says it."""
    attributes = PathAttributes(
        as_path=sequence(*(asns or (65101,))), next_hop=Ip.parse("169.254.1.2"), **more
    )  # type: ignore[arg-type]
    return Unicast(Prefix.parse(prefix)), attributes


@pytest.fixture
def rib() -> Rib:
    topology = load_topology(TOPOLOGY)
    rib = Rib(
        topology, topology.gateways["bj-gw1"], lambda _, path: path.attributes, Claims(topology)
    )
    rib.settle()
    return rib


def said(rib: Rib, peer: str, *routes: tuple) -> None:
    for nlri, attributes in routes:
        rib.receive(peer, [nlri], [], attributes)
    rib.settle()


def route(rib: Rib, prefix: str, ccn: str = "retail"):
    return rib.tables[f"bj-gw1/{ccn}"].routes.get(Prefix.parse(prefix))


def test_declared_prefixes_are_on_link_and_exported(rib: Rib) -> None:
    found = route(rib, "10.1.0.0/16")
    assert found.next_hop.kind is Kind.ON_LINK
    assert found.next_hop.vni == 10001
    kinds = sorted(type(n).__name__ for n, _ in rib.exports.values())
    assert kinds == ["EvpnMacIp"] * 3 + ["EvpnPrefix"] * 3
    for nlri, attributes in rib.exports.values():
        assert attributes.next_hop == Ip.parse("192.0.2.11")
        assert attributes.router_mac == Mac.parse("02:cc:c0:00:02:0b")
        assert attributes.encapsulation == 8
        assert nlri.rd in {RouteDistinguisher.parse(f"192.0.2.11:{i}") for i in (100, 200)}


def test_a_remote_prefix_leads_to_its_gateway_with_the_l3vni(rib: Rib) -> None:
    said(rib, "hk-gw1", hk("10.2.0.0/16"))
    found = route(rib, "10.2.0.0/16")
    assert (found.next_hop.kind, found.next_hop.vni) == (Kind.VTEP, 20100)
    assert found.next_hop.mac == HK_MAC
    assert found.origin == found.next_table == "hk-gw1/retail"
    assert route(rib, "10.2.0.0/16", "finance") is None


def test_what_came_from_a_gateway_is_not_told_to_gateways(rib: Rib) -> None:
    before = dict(rib.exports)
    said(rib, "hk-gw1", hk("10.2.0.0/16"))
    assert rib.exports == before


def test_a_gateway_ip_waits_for_its_type_2_and_follows_it(rib: Rib) -> None:
    said(rib, "hk-gw1", hk("10.99.0.0/24", gateway="10.2.0.10"))
    assert route(rib, "10.99.0.0/24") is None
    table = rib.tables["bj-gw1/retail"]
    prefix = Prefix.parse("10.99.0.0/24")
    (candidate,) = table.candidates[prefix].values()
    assert table.reason(prefix, candidate) == Unresolved(
        Ip.parse("10.2.0.10"), "has no type-2 route in this CCN"
    )
    vm = EvpnMacIp(
        RouteDistinguisher.parse("198.51.100.21:100"),
        bytes(10),
        0,
        Mac.parse("02:00:0a:02:00:0a"),
        Ip.parse("10.2.0.10"),
        10002,
        20100,
    )
    said(rib, "hk-gw1", (vm, hk("10.99.0.0/24")[1]))
    assert route(rib, "10.99.0.0/24").next_hop.ip == Ip.parse("198.51.100.21")
    rib.receive("hk-gw1", [], [vm], None)
    rib.settle()
    assert route(rib, "10.99.0.0/24") is None


def test_an_idc_route_is_handed_off_and_re_originated(rib: Rib) -> None:
    said(rib, "lf-r1", idc("172.16.5.0/24"))
    found = route(rib, "172.16.5.0/24")
    assert (found.next_hop.kind, found.next_hop.interface) == (Kind.HAND_OFF, "eth2.101t")
    assert route(rib, "172.16.5.0/24", "finance") is None
    (export,) = [
        (n, a)
        for n, a in rib.exports.values()
        if isinstance(n, EvpnPrefix) and n.prefix == Prefix.parse("172.16.5.0/24")
    ]
    assert export[0].vni == 20100
    assert export[1].as_path_text == "65101"
    assert export[1].route_targets == {RETAIL}
    rib.receive("lf-r1", [], [export_key(idc("172.16.5.0/24"))], None)
    rib.settle()
    assert route(rib, "172.16.5.0/24") is None
    assert export[0].key not in rib.exports


def export_key(route: tuple[Unicast, PathAttributes]) -> Unicast:
    return route[0]


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("10.1.0.0/16", "owned-space"),  # a VPC
        ("10.1.7.0/24", "owned-space"),  # a longer piece of it
        ("192.0.2.11/32", "owned-space"),  # a VTEP
        ("198.51.100.0/25", "owned-space"),  # the underlay of another region
        ("172.17.0.0/16", "owned-space"),  # outside its cidrs
        ("127.1.0.0/16", "bogon"),
        ("0.0.0.0/0", "owned-space"),  # a default that its cidrs do not cover
    ],
)
def test_what_an_idc_may_not_say_is_a_finding_with_the_peer(
    rib: Rib, prefix: str, rule: str
) -> None:
    said(rib, "lf-r1", idc("172.16.1.0/24"), idc(prefix))
    (finding,) = rib.findings.values()
    assert (finding.rule, finding.peer, finding.prefix) == (rule, "lf-r1", prefix)
    heard = rib.heard("lf-r1")[Prefix.parse(prefix)]
    assert isinstance(heard.reason, Refused)
    assert route(rib, "172.16.1.0/24") is not None
    if route(rib, prefix) is not None:
        assert route(rib, prefix).path.peer == ""
    rib.receive("lf-r1", [], [Unicast(Prefix.parse(prefix))], None)
    rib.settle()
    assert not rib.findings


def test_claims_come_before_policy(rib: Rib) -> None:
    denied = Denied("from-idc", "own-space")
    rib = Rib(rib.topology, rib.gateway, lambda *_: denied, Claims(rib.topology))
    said(rib, "lf-r1", idc("10.1.0.0/16"), idc("172.16.1.0/24"))
    assert [f.rule for f in rib.findings.values()] == ["owned-space"]
    heard = rib.heard("lf-r1")[Prefix.parse("172.16.1.0/24")]
    assert heard.reason == Denied("from-idc", "own-space")


def test_a_remote_gateway_may_not_say_a_vpc_of_another_region(rib: Rib) -> None:
    said(rib, "hk-gw1", hk("10.1.9.0/24"), hk("10.2.0.0/16"))
    assert [f.prefix for f in rib.findings.values()] == ["10.1.9.0/24"]
    assert route(rib, "10.1.9.0/24") is None
    assert route(rib, "10.2.0.0/16") is not None


def test_max_prefixes_keeps_the_shorter_first_whatever_the_order(rib: Rib) -> None:
    router = rib.peers["lf-r1"].router
    limit = router.max_prefixes
    many = [idc(f"172.16.{i // 256}.{i % 256}/32") for i in range(limit)]
    good = idc("172.16.200.0/24")
    said(rib, "lf-r1", *many, good)
    assert route(rib, "172.16.200.0/24") is not None
    (finding,) = rib.limit_findings()
    assert (finding.rule, finding.peer) == ("capacity", "lf-r1")
    table = rib.tables["bj-gw1/retail"]
    assert sum(1 for r in table.routes.values() if r.path.peer == "lf-r1") == limit
    last = many[-1][0].prefix
    assert last not in table.routes
    rib.receive("lf-r1", [], [many[0][0]], None)
    rib.settle()
    assert last in table.routes
    assert not rib.limit_findings()


def test_loops_are_refused(rib: Rib) -> None:
    said(rib, "lf-r1", idc("172.16.1.0/24", 65101, 64601))
    assert isinstance(rib.heard("lf-r1")[Prefix.parse("172.16.1.0/24")].reason, Looped)
    nlri, attributes = next(v for v in rib.exports.values() if isinstance(v[0], EvpnPrefix))
    said(rib, "hk-gw1", (nlri, attributes))
    assert isinstance(rib.heard("hk-gw1")[nlri.key].reason, Looped)


def test_what_is_for_customers_only_does_not_come_back_from_one(rib: Rib) -> None:
    """RFC 9234 §5: a data centre is a customer; what we tell it is marked, unless it was."""
    nlri, attributes = idc("172.16.1.0/24", 65101, 65102)
    said(rib, "lf-r1", (nlri, replace(attributes, only_to_customer=Asn(65102))))
    reason = rib.heard("lf-r1")[nlri.key].reason
    assert isinstance(reason, Guarded)
    assert "AS 65102" in str(reason)
    assert route(rib, "172.16.1.0/24") is None
    said(rib, "lf-r1", (nlri, attributes))
    assert route(rib, "172.16.1.0/24") is not None

    peer, outbound = rib.peers["lf-r1"], Outbound()
    assert outbound(peer, attributes).only_to_customer == peer.local_asn
    marked = replace(attributes, only_to_customer=Asn(65102))
    assert outbound(peer, marked).only_to_customer == 65102
    assert Outbound()(rib.peers["hk-gw1"], attributes).only_to_customer is None, "not on EVPN"


@pytest.mark.parametrize(("hops", "used"), [(255, True), (256, False)])
def test_no_path_is_longer_than_any_real_one(rib: Rib, hops: int, used: bool) -> None:
    nlri, attributes = idc("172.16.1.0/24", *[65101] * hops)
    said(rib, "lf-r1", (nlri, attributes))
    assert (route(rib, "172.16.1.0/24") is not None) is used
    assert isinstance(rib.heard("lf-r1")[nlri.key].reason, Guarded) is not used


def test_an_unknown_route_target_is_not_imported(rib: Rib) -> None:
    nlri, attributes = hk("10.50.0.0/16", RouteTarget.parse("64600:999"))
    said(rib, "hk-gw1", (nlri, attributes))
    assert rib.heard("hk-gw1")[nlri.key].reason == NotImported("64600:999")


def test_stale_routes_stay_until_end_of_rib(rib: Rib) -> None:
    said(rib, "hk-gw1", hk("10.2.0.0/16"), hk("10.50.0.0/16"))
    rib.session_down("hk-gw1", keep=True)
    rib.settle()
    assert route(rib, "10.50.0.0/16") is not None
    assert rib.adj_in["hk-gw1"].stale_count == 2
    said(rib, "hk-gw1", hk("10.2.0.0/16"))
    assert rib.sweep("hk-gw1", Family.EVPN) == 1
    rib.settle()
    assert route(rib, "10.2.0.0/16") is not None
    assert route(rib, "10.50.0.0/16") is None
    rib.session_down("hk-gw1", keep=False)
    rib.settle()
    assert route(rib, "10.2.0.0/16") is None


# -- the decision process ---------------------------------------------------------------------


def candidate(name: str, **attributes: object) -> Candidate:
    number = sum(name.encode())
    speaker = Speaks(
        name,
        "gateway",
        bool(attributes.pop("external", True)),
        Ip(bytes((9, 9, 9, number & 255))),
        Ip(bytes((1, 1, 1, number & 255))),
    )
    source = attributes.pop("source", Source.REMOTE)
    path = Path(name, Unicast(Prefix.parse("10.0.0.0/8")), PathAttributes(**attributes))  # type: ignore[arg-type]
    return Candidate(path, name.encode(), source, speaker, f"{name}/x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "better", "worse"),
    [
        (1, {"source": Source.DECLARED, "local_pref": 1}, {"local_pref": 900}),
        (2, {"local_pref": 200, "as_path": sequence(1, 2, 3)}, {"as_path": sequence(1)}),
        (3, {"source": Source.IDC, "as_path": sequence(1, 2, 3)}, {"as_path": sequence(1)}),
        (4, {"as_path": sequence(1), "origin": Origin.INCOMPLETE}, {"as_path": sequence(1, 2)}),
        (5, {"origin": Origin.IGP, "med": 9}, {"origin": Origin.EGP, "med": 1}),
        (6, {"as_path": sequence(7), "med": 1, "external": False}, {"as_path": sequence(7)}),
        (7, {"external": True}, {"external": False}),
        (8, {"originator_id": Ip.parse("0.0.0.1")}, {}),
        (9, {"originator_id": Ip.parse("0.0.0.1")},
            {"originator_id": Ip.parse("0.0.0.1"), "cluster_list": (Ip.parse("1.1.1.1"),)}),
    ],
)  # fmt: skip
def test_each_step_decides_and_is_named(step: int, better: dict, worse: dict) -> None:
    if step == 6:
        worse = {**worse, "med": 2}
    good, bad = candidate("b", **better), candidate("a", **worse)
    for order in ([good, bad], [bad, good]):
        assert select(order) is good
        assert why_not(bad, order).step == step


def test_med_is_compared_only_within_one_neighbouring_as() -> None:
    """The classic trap: without grouping, the result depends on the order."""
    a = candidate("a", as_path=sequence(1), med=10)
    b = candidate("b", as_path=sequence(2), med=5)
    c = candidate("c", as_path=sequence(1), med=1)
    import itertools

    assert {select(list(order)).path.peer for order in itertools.permutations((a, b, c))} == {"b"}
    assert why_not(a, [a, b, c]).step == 6


# -- Adj-RIB-Out ------------------------------------------------------------------------------


def test_a_gateway_hears_our_as_and_an_idc_router_both(rib: Rib) -> None:
    said(rib, "hk-gw1", hk("10.2.0.0/16"))
    table = rib.tables["bj-gw1/retail"]
    out = AdjRibOut(rib.peers["lf-r1"], lambda _, path: path.attributes)
    for prefix, found in table.routes.items():
        out.offer_route(prefix, found, table.best[prefix])
    changes = out.take()
    paths = {str(n.prefix): a.as_path_text for a, nlris in changes.announce for n in nlris}
    assert paths == {"10.1.0.0/16": "64601", "10.2.0.0/16": "64601 64602"}
    assert all(a.next_hop == Ip.parse("169.254.1.1") for a, _ in changes.announce)
    assert not any(a.extended_communities for a, _ in changes.announce)
    assert not out.take()

    far = AdjRibOut(rib.peers["hk-gw1"], lambda _, path: path.attributes)
    for key, export in rib.exports.items():
        far.offer_evpn(key, export)
    changes = far.take()
    assert {a.as_path_text for a, _ in changes.announce} == {"64601"}
    assert sum(len(n) for _, n in changes.announce) == len(rib.exports)
    gone = next(iter(rib.exports))
    far.offer_evpn(gone, None)
    assert [n.key for n in far.take().withdraw] == [gone]


def test_an_idc_never_gets_its_own_routes_back(rib: Rib) -> None:
    said(rib, "lf-r1", idc("172.16.5.0/24"))
    table = rib.tables["bj-gw1/retail"]
    prefix = Prefix.parse("172.16.5.0/24")
    out = AdjRibOut(rib.peers["lf-r1"], lambda _, path: path.attributes)
    out.offer_route(prefix, table.routes[prefix], table.best[prefix])
    assert not out.take()


def test_prepending_to_a_full_segment_opens_a_new_one() -> None:
    full = sequence(*range(1, 256))
    made = prepend(full, [Asn(7)])
    assert [len(s.asns) for s in made] == [1, 255]


# -- names of devices ---------------------------------------------------------------------------


def test_no_two_ports_share_a_tap_however_long_their_names_are() -> None:
    from dataclasses import replace

    from ccn_bgp.model.ccsi import tap_name, uplink_tap

    topology = load_topology(TOPOLOGY)
    gateway, router = topology.gateways["bj-gw1"], topology.routers[0]
    ports = ["enp194s0f0np0", "enp194s0f0np1", "enp194s0f1np0", "enp194s0f1np1", "eth1", "eth10"]
    names = [uplink_tap(port) for port in ports]
    names += [
        tap_name(gateway, replace(router, port=port, vlan=vlan))
        for port in ports
        for vlan in (None, 1, 4094)
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 15 for name in names)
    assert tap_name(gateway, router) == "eth2.101t"
