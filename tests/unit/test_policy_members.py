"""What policies know of the member that a route is from, in both directions: ccn-set, vpc-set,
idc-set, region-set, origin-kind; in columns and one by one. And the preference between members.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.gateway.contexts import Contexts
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.ccsi import site_of_origin
from ccn_bgp.model.outgoing import Origination, OutRows
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)

DEMO = (Path(__file__).parents[2] / "topologies" / "two-regions.yaml").read_text()
SHARE = "shares: [{from: finance, to: retail, prefixes: [10.77.0.0/16]}]\n"
SETS = """
vpc-sets: {orders: [orders], web: [web], archive: [archive]}
idc-sets: {langfang: [langfang], macau: [macau]}
region-sets: {hongkong: [hongkong], beijing: [beijing]}
ccn-sets: {finance: [finance], retail: [retail]}
prefix-sets: {half: [{prefix: 0.0.0.0/1, le: 32}], ten: [{prefix: 10.1.0.10/32}]}
"""


def intent_of(folder: Path, match: str, where: str = "lf-r1") -> Intent:
    """The demo with a Hong Kong data centre that is in retail, and a share from finance. What is
    matched is marked and accepted, the rest is rejected."""
    (folder / "policies").mkdir(parents=True)
    text = f"{SETS}policies:\n  asked:\n    - {{name: it, match: {{{match}}}, then: accept}}\n"
    text += "    - {name: others, then: reject}\n  all: [{name: all, then: accept}]\n"
    (folder / "policies" / "idc.yaml").write_text(text)
    topology = DEMO.replace("[from-idc]", "[all]")
    if where == "lf-r1":
        topology = topology.replace("[to-idc]", "[asked]", 1)
    else:
        topology = topology.replace(
            "    asn: 64601\n", f"    asn: 64601\n    {where}: [asked]\n", 1
        )
    topology = topology.replace("[to-idc]", "[all]")
    macau = "  macau: {region: hongkong, cidrs: [172.20.0.0/16]}\nccns:\n"
    topology = topology.replace("ccns:\n", macau, 1).replace(
        "idc/langfang]", "idc/langfang, idc/macau]"
    )
    orders = 'vms:\n      - {ip: 10.2.0.10, mac: "02:00:0a:02:00:0a", host: 198.51.100.102}\n'
    archive = topology.rindex(orders)
    routes = "routes: [{prefix: 10.77.1.0/24, via: 10.2.0.10}]\n    "
    topology = topology[:archive] + routes + topology[archive:] + SHARE
    (folder / "t.yaml").write_text(topology)
    return read_intent(folder / "t.yaml", "bj-gw1")


def path(*asns: int, hop: str, communities: tuple[bytes, ...] = ()) -> PathAttributes:
    segments = (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),)
    return PathAttributes(
        as_path=segments, next_hop=Ip.parse(hop), extended_communities=communities
    )


def everything(intent: Intent) -> Rib:
    """What the members say: Hong Kong its VPC, a route behind its VM, its data centre, a share and
    what nobody has declared; langfang two prefixes."""
    rib = new_rib(intent)
    for number, said in ((100, HONGKONG), (200, ("10.77.1.0/24",))):
        rd = RouteDistinguisher.parse(f"198.51.100.21:{number}")
        for prefix in said:
            communities: Any = tunnel_communities(
                [RouteTarget.parse(f"64600:{number}")], Mac.parse("02:cc:c6:33:64:15")
            )
            if prefix.startswith("172.20"):
                communities += (site_of_origin(intent.topology, "macau"),)
            attributes = path(64602, hop="198.51.100.21", communities=communities)
            nlri = EvpnPrefix(rd, bytes(10), 0, Prefix.parse(prefix), None, 20000 + number)
            rib.receive("hk-gw1", [nlri], [], attributes)
    for prefix in ("172.16.1.0/24", "172.16.2.0/24"):
        rib.receive("lf-r1", [Unicast(Prefix.parse(prefix))], [], path(65101, hop="169.254.1.2"))
    rib.settle()
    return rib


HONGKONG = ("10.2.0.0/16", "10.99.0.0/24", "172.20.1.0/24", "10.200.0.0/16")
WEB = {"10.1.0.0/16"}
KNOWN = [
    ("vpc-set: orders", {"10.2.0.0/16", "10.99.0.0/24"}),
    ("vpc-set: {invert: [orders, web]}", {"172.20.1.0/24", "10.200.0.0/16", "10.77.1.0/24"}),
    ("origin-kind: vpc", {"10.2.0.0/16", *WEB}),
    ("origin-kind: static", {"10.99.0.0/24", "10.77.1.0/24"}),
    ("origin-kind: [idc, gateway]", {"172.20.1.0/24", "10.200.0.0/16"}),
    ("origin-kind: idc", {"172.20.1.0/24"}),
    ("idc-set: macau", {"172.20.1.0/24"}),
    ("region-set: hongkong", {*HONGKONG, "10.77.1.0/24"}),
    ("region-set: beijing", WEB),
    ("ccn-set: finance", {"10.77.1.0/24"}),
    ("ccn-set: retail", {*HONGKONG, *WEB}),
    ("vpc-set: archive", {"10.77.1.0/24"}),
    ("vpc-set: web, prefix-set: half", WEB),
]


def told(intent: Intent, rib: Rib, peer: str, *, columns: bool) -> set[Nlri]:
    """What a peer is told, its policy asked once for each class of prefixes, or for each route."""
    known = rib.peers[peer]
    classes = export_classes(intent.policies, known, intent.contexts.members)
    assert classes is not None
    originations = {t.ccsi.id: Origination(t.ccsi.rd, t.ccsi.vni) for t in rib.tables.values()}
    out = AdjRibOut(known, intent.export_policy, originations, classes if columns else None)
    sets, exports, routes = rib.row_exports.whole()
    if known.router is None:
        if (vms := rib.exports.vms()) is not None:
            out.offer_vms(vms)
        for key, export in rib.exports.one_by_one():
            out.offer_evpn(key, export)
        for rows in exports:
            out.offer_rows(rows, sets)
    else:
        table = rib.tables[f"bj-gw1/{known.router.ccn}"]
        for prefix in (p for p, _, _ in table.each()) if not columns else table.single:
            route, best = table.chosen(prefix) or (None, None)
            out.offer_route(prefix, route, best)
        for rows in routes if columns else ():
            mine = rows.table == table.ccsi.id
            out.offer_rows(
                OutRows(None, rows.address[mine], rows.length[mine], rows.attributes[mine]), sets
            )
    out.take()
    return {nlri for nlri, _ in out.told.values()}


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(("match", "found"), KNOWN)
def test_an_export_policy_knows_the_member(
    tmp_path: Path, match: str, found: set[str], columns: bool
) -> None:
    intent = intent_of(tmp_path, match)
    rib = everything(intent)
    said = told(intent, rib, "lf-r1", columns=columns)
    assert {str(n.prefix) for n in said if isinstance(n, Unicast)} == found


@pytest.mark.parametrize(
    ("match", "prefixes", "vms"),
    [
        ("vpc-set: web", {"10.1.0.0/16", "fd00:1::/64"}, {"10.1.0.10", "fd00:1::10"}),
        ("ccn-set: finance", {"10.1.0.0/16"}, {"10.1.0.10"}),
        ("origin-kind: idc", {"172.16.1.0/24", "172.16.2.0/24"}, set()),
        ("idc-set: langfang", {"172.16.1.0/24", "172.16.2.0/24"}, set()),
        ("route-type: 2, prefix-set: ten", set(), {"10.1.0.10"}),
        ("route-type: 2, vpc-set: web, prefix-set: ten", set(), {"10.1.0.10"}),
        ("vni: 10003", set(), {"10.1.0.10"}),
    ],
)
def test_what_gateways_are_told_is_known_as_well(
    tmp_path: Path, match: str, prefixes: set[str], vms: set[str]
) -> None:
    intent = intent_of(tmp_path, match, "export")
    rib = everything(intent)
    for columns in (True, False):
        said = told(intent, rib, "hk-gw1", columns=columns)
        assert {str(n.prefix) for n in said if isinstance(n, EvpnPrefix)} == prefixes
        assert {str(n.ip) for n in said if isinstance(n, EvpnMacIp)} == vms


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ("origin-kind: gateway", set(HONGKONG)),
        ("vpc-set: orders", {"10.2.0.0/16", "10.99.0.0/24"}),
        ("idc-set: macau", {"172.20.1.0/24"}),
        ("region-set: hongkong, vpc-set: {invert: orders}", {"172.20.1.0/24", "10.200.0.0/16"}),
        ("ccn-set: finance", set()),
    ],
)
def test_so_is_what_gateways_say(tmp_path: Path, match: str, found: set[str]) -> None:
    rib = everything(intent_of(tmp_path, match, "import"))
    routes = rib.tables["bj-gw1/retail"].routes
    assert {str(p) for p in routes if str(p) in HONGKONG} == found


def test_a_context_is_one_object_for_each_member(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, "vpc-set: web")
    contexts = Contexts(intent.topology, intent.gateway)
    rib = everything(intent)
    heard = [each.path for each in rib.heard("hk-gw1").values()]
    made = [contexts.heard(rib.peers["hk-gw1"], path) for path in (*heard, *heard)]
    assert len({id(context) for context in made}) == len(set(made)) < len(made)


@pytest.mark.parametrize(
    ("idc", "gateway", "wins"),
    [
        ("", "", "lf-r1"),
        ("preference: 101", "", "lf-r1"),
        ("preference: 99", "", "hk-gw1"),
        ("", "preference: 101", "hk-gw1"),
        ("", "preference: 99", "lf-r1"),
        ("preference: 200", "preference: 150", "lf-r1"),
        ("preference: 150", "preference: 200", "hk-gw1"),
        ("preference: 200", "local-pref: 101", "hk-gw1"),  # step 2 comes before step 3
    ],
)
def test_preference_decides_between_members_either_way(
    tmp_path: Path, idc: str, gateway: str, wins: str
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "idc.yaml").write_text(
        f"policies:\n  from-idc: [{{set: {{{idc}}}, then: accept}}]\n"
        f"  from-gw: [{{set: {{{gateway}}}, then: accept}}]\n  to-idc: [{{then: accept}}]\n"
    )
    text = DEMO.replace("    asn: 64601\n", "    asn: 64601\n    import: [from-gw]\n", 1)
    (tmp_path / "t.yaml").write_text(text)
    rib = new_rib(read_intent(tmp_path / "t.yaml", "bj-gw1"))
    prefix = Prefix.parse("172.16.1.0/24")
    rib.receive("lf-r1", [Unicast(prefix)], [], path(65101, hop="169.254.1.2"))
    communities: Any = tunnel_communities(
        [RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15")
    )
    rd = RouteDistinguisher.parse("198.51.100.21:100")
    said = path(64602, hop="198.51.100.21", communities=communities)
    rib.receive("hk-gw1", [EvpnPrefix(rd, bytes(10), 0, prefix, None, 20100)], [], said)
    rib.settle()
    assert rib.tables["bj-gw1/retail"].best[prefix].path.peer == wins
