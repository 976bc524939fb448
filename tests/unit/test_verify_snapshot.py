"""The guard's check of one gateway, and the declared network, on small topologies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.model.route import Kind, Member, NextHop, Route, joined_tables
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Contender, Table
from ccn_bgp.table.verify import verify_world
from ccn_bgp.table.verify.declared import declared_world
from ccn_bgp.table.verify.snapshot import verify_snapshot

TEXT = """
name: t
fabric: {asn: 64600}
gateways:
  bj: {region: beijing, asn: 64601, vtep: 192.0.2.11,
       uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}]}
  hk: {region: hongkong, asn: 64602, vtep: 198.51.100.21,
       uplinks: [{port: eth1, address: 198.51.100.21/24, via: 198.51.100.1}]}
vpcs:
  web: {region: beijing, vni: 10001, cidrs: [10.1.0.0/16, "fd00:1::/64"],
        vms: [{ip: 10.1.0.10, mac: "02:00:00:00:00:0a", host: 192.0.2.101}]}
  orders: {region: hongkong, vni: 10002, cidrs: [10.2.0.0/16],
           vms: [{ip: 10.2.0.10, mac: "02:00:00:00:00:0b", host: 198.51.100.102}],
           routes: [{prefix: 10.99.0.0/24, via: 10.2.0.10}, {prefix: 10.1.7.0/24, via: 10.2.0.10},
                    {prefix: 10.98.0.0/24, via: 10.2.0.99},
                    {prefix: 10.2.66.0/24, blackhole: true}]}
  ledger: {region: beijing, vni: 10003, cidrs: [10.1.0.0/16]}
idcs:
  langfang:
    region: beijing
    cidrs: [172.16.0.0/16, 0.0.0.0/0]
    routers:
      lf-r1: {gateway: bj, port: eth2, ccn: retail, asn: 65101, address: 10.255.1.2/30,
              gateway-address: 10.255.1.1/30}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web, vpc/orders, idc/langfang]}
  finance: {id: 200, vni: 20200, attach: [vpc/ledger]}
"""
LINK = NextHop(Kind.ON_LINK, 10001)
IDC = NextHop(Kind.HAND_OFF, ip=Ip.parse("10.255.1.2"), interface="eth2.0t")
TUNNEL = NextHop(Kind.VTEP, 20100, Ip.parse("198.51.100.21"), Mac.parse("02:cc:c6:33:64:15"))


def topology(tmp_path: Path, text: str = TEXT) -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(text)
    return load_topology(file)


def route(
    prefix: str,
    hop: NextHop = TUNNEL,
    peer: str = "hk",
    origin: str = "hk/retail",
    table: str = "bj/retail",
) -> Route:
    following = origin if hop is TUNNEL else ""
    parsed = Prefix.parse(prefix)
    return Route(
        table, parsed, origin, hop, following, BgpPath(peer, Unicast(parsed), PathAttributes())
    )


OWN = [
    route("10.1.0.0/16", LINK, "", "bj/retail"),
    route("10.2.0.0/16"),
    route("10.99.0.0/24"),
    route("10.1.7.0/24"),
    route("172.16.5.0/24", IDC, "lf-r1", "bj/retail"),
    route("0.0.0.0/0", IDC, "lf-r1", "bj/retail"),
]


def snapshot(*more: Route, contenders: Any = ()) -> Snapshot:
    held = {r.prefix: r for r in (*OWN, *more)}
    retail = Table.build("bj/retail", 100, "retail", held.values(), contenders)
    ledger = route("10.1.0.0/16", NextHop(Kind.ON_LINK, 10003), "", "bj/finance", "bj/finance")
    finance = Table.build("bj/finance", 200, "finance", [ledger])
    return Snapshot("bj", {"bj/retail": retail, "bj/finance": finance})


def told(findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [(f.rule, f.table, f.prefix, f.peer) for f in findings]


def test_what_is_legal_is_clean(tmp_path: Path) -> None:
    assert verify_snapshot(snapshot(), topology(tmp_path)) == []


@pytest.mark.parametrize(
    ("bad", "rules"),
    [
        # an IDC router: its cidrs, a VPC, a piece of it, a cover of it, a VTEP, the underlay
        (route("172.17.0.0/24", IDC, "lf-r1", "bj/retail"), []),
        (route("10.2.0.0/16", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        (route("10.1.5.0/24", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        (route("10.0.0.0/8", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        (route("192.0.2.11/32", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        (route("198.51.100.0/25", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        (route("::/0", IDC, "lf-r1", "bj/retail"), ["owned-space"]),
        # a gateway: its own region's space is its own, another's is not, nor is the underlay
        (route("10.2.8.0/24"), []),
        (route("10.99.0.128/25"), []),
        (route("10.1.8.0/24"), ["owned-space"]),
        (route("fd00:1::/65"), ["owned-space"]),
        (route("10.0.0.0/8"), []),
        (route("198.51.100.102/32"), ["owned-space"]),
        (route("10.2.8.0/24", origin="203.0.113.9/retail"), ["owned-space"]),
        (route("10.50.0.0/16", origin="203.0.113.9/retail"), []),
        # nobody
        (route("127.1.0.0/16"), ["bogon"]),
        (route("224.0.0.0/4"), ["bogon"]),
        (route("0.0.0.0/1"), ["bogon"]),
        (route("fe80::/64"), ["bogon"]),
        (route("::/0"), []),
        # another CCN
        (route("10.77.0.0/16", origin="hk/finance"), ["hijack", "leak"]),
        (route("fd77::/16", origin="hk/finance"), ["leak"]),
        (route("10.1.8.0/24", origin="hk/finance"), ["hijack", "leak", "owned-space"]),
        (route("10.1.8.0/24", LINK, "table bj/finance", "bj/finance"), ["hijack", "leak"]),
    ],
)
def test_a_bad_row_is_named_with_its_peer(tmp_path: Path, bad: Route, rules: list[str]) -> None:
    findings = verify_snapshot(snapshot(bad), topology(tmp_path))
    peer = bad.path.peer
    assert told(findings) == [(rule, "bj/retail", str(bad.prefix), peer) for rule in rules]
    assert all(f.ccn == "retail" for f in findings)
    assert all(f.witness["address"] and f.witness["hops"] for f in findings)


def test_outside_the_cidrs(tmp_path: Path) -> None:
    text = TEXT.replace(", 0.0.0.0/0]", "]")
    findings = verify_snapshot(
        snapshot(route("172.17.0.0/24", IDC, "lf-r1", "bj/retail")), topology(tmp_path, text)
    )
    assert told(findings) == [
        ("owned-space", "bj/retail", "0.0.0.0/0", "lf-r1"),
        ("owned-space", "bj/retail", "172.17.0.0/24", "lf-r1"),
    ]
    assert findings[1].message == "lf-r1 announces 172.17.0.0/24, outside the cidrs of its IDC"
    assert findings[1].where == "peer lf-r1"


def spread(*tables: str) -> Route:
    """A route whose flows are spread over the gateways of these tables."""
    hops = [TUNNEL._replace(ip=Ip(bytes((198, 51, 100, n + 1)))) for n in range(len(tables))]
    found = route("10.2.8.0/24", NextHop.group(Member(1, hop) for hop in hops))
    return found._replace(next_table=joined_tables(tables))


def test_every_table_of_a_group_counts(tmp_path: Path) -> None:
    assert verify_snapshot(snapshot(spread("hk/retail", "sz/retail")), topology(tmp_path)) == []
    for tables in (["hk/retail", "hk/finance"], ["hk/finance", "sz/finance"], ["", "hk/finance"]):
        findings = verify_snapshot(snapshot(spread(*tables)), topology(tmp_path))
        assert told(findings) == [("misdelivery", "bj/retail", "10.2.8.0/24", "hk")]
        assert findings[0].witness["hops"] == ["bj/retail", "hk/finance"]
        assert findings[0].witness["ranges"] == [["10.2.8.0", "10.2.8.255"]]


def test_a_share_does_not_excuse_a_hijack(tmp_path: Path) -> None:
    """A default route of its own covers everything: the rule makes no exception."""
    text = TEXT + "shares: [{from: finance, to: retail, prefixes: [10.77.0.0/16]}]\n"
    findings = verify_snapshot(
        snapshot(route("10.77.3.0/24", origin="hk/finance")), topology(tmp_path, text)
    )
    assert told(findings) == [("hijack", "bj/retail", "10.77.3.0/24", "hk")]
    assert findings[0].witness["covers"] == "0.0.0.0/0"


def test_two_owners_blame_the_stranger(tmp_path: Path) -> None:
    lost = Contender(Prefix.parse("10.2.0.0/16"), "hk/finance", "evil")
    findings = verify_snapshot(snapshot(contenders=[lost]), topology(tmp_path))
    assert told(findings) == [("ambiguous-owner", "bj/retail", "10.2.0.0/16", "evil")]
    assert findings[0].witness["origins"] == ["hk/finance", "hk/retail"]
    won = route("10.2.0.0/16", peer="evil", origin="hk/finance")
    lost = Contender(Prefix.parse("10.2.0.0/16"), "hk/retail", "hk")
    findings = verify_snapshot(snapshot(won, contenders=[lost]), topology(tmp_path))
    assert ("ambiguous-owner", "bj/retail", "10.2.0.0/16", "evil") in told(findings)
    assert all(f.peer == "evil" for f in findings)
    same = Contender(Prefix.parse("10.2.0.0/16"), "bj/retail", "other")
    assert verify_snapshot(snapshot(contenders=[same]), topology(tmp_path)) == []


def test_a_share_opens_exactly_its_prefixes(tmp_path: Path) -> None:
    text = TEXT + 'shares: [{from: finance, to: retail, prefixes: ["fd77::/32"]}]\n'
    declared = topology(tmp_path, text)
    inside = route("fd77:0:3::/48", origin="hk/finance")
    assert verify_snapshot(snapshot(inside), declared) == []
    cover = route("fd77::/31", origin="hk/finance")
    assert [f.rule for f in verify_snapshot(snapshot(cover), declared)] == ["leak"]


def test_a_topology_that_leaks_is_said_without_a_prefix(tmp_path: Path) -> None:
    text = TEXT.replace("vni: 20200,", 'vni: 20200, import-rts: ["64600:200", "64600:100"],')
    findings = verify_snapshot(snapshot(), topology(tmp_path, text))
    assert told(findings) == [("rt-leak", "bj/finance", "", "")] * 2
    assert [f.witness["chain"] for f in findings] == [
        ["bj/retail", "bj/finance"],
        ["hk/retail", "bj/finance"],
    ]


def test_a_hundred_thousand_routes(tmp_path: Path) -> None:
    declared = topology(tmp_path)
    many = [route(f"20.{n >> 8}.{n & 255}.0/24") for n in range(50_000)]
    many += [route(f"2001:db8:{n:x}::/48") for n in range(50_000)]
    held = snapshot(*many)
    verify_snapshot(held, declared)
    began = time.perf_counter()
    assert verify_snapshot(held, declared) == []
    assert time.perf_counter() - began < 1.0


def test_the_declared_network_is_clean(tmp_path: Path) -> None:
    world = declared_world(topology(tmp_path))
    assert verify_world(world) == []
    names = {
        (world.tables[t], str(world.v4.prefix(row))): int(world.v4.next[row])
        for row, t in enumerate(world.v4.table.tolist())
    }
    bj, hk = world.tables.index("bj/retail"), world.tables.index("hk/retail")
    assert names["bj/retail", "10.2.0.0/16"] == hk
    assert names["hk/retail", "172.16.0.0/16"] == bj
    assert names["hk/retail", "10.2.66.0/24"] == names["bj/retail", "10.2.66.0/24"] == -2
    assert names["bj/retail", "10.99.0.0/24"] == hk
    assert ("bj/retail", "10.98.0.0/24") not in names
    assert ("bj/finance", "10.2.0.0/16") not in names


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "vni: 20200,",
            'vni: 20200, import-rts: ["64600:200", "64600:100"],',
            {"rt-leak", "leak", "hijack", "ambiguous-owner"},
        ),
        (
            "vni: 20200,",
            'vni: 20200, export-rts: ["64600:200", "64600:100"],',
            {"rt-leak", "transit-leak", "ambiguous-owner"},
        ),
    ],
)
def test_a_leaking_file(tmp_path: Path, old: str, new: str, expected: set[str]) -> None:
    assert {
        f.rule for f in verify_world(declared_world(topology(tmp_path, TEXT.replace(old, new))))
    } == expected


def test_silent_members_and_shares_and_reexport(tmp_path: Path) -> None:
    text = TEXT.replace("vpc/orders,", "{member: vpc/orders, propagate: false},")
    text = text.replace("vni: 20100,", "vni: 20100, reexport: true,")
    text += "shares: [{from: finance, to: retail, prefixes: [10.1.0.0/16]}]\n"
    text = text.replace(", 0.0.0.0/0]", "]")
    text = text.replace("[10.1.0.0/16, ", "[10.7.0.0/16, ").replace(
        "ip: 10.1.0.10", "ip: 10.7.0.10"
    )
    world = declared_world(topology(tmp_path, text))
    assert verify_world(world) == []
    names = {
        (world.tables[t], str(world.v4.prefix(row)))
        for row, t in enumerate(world.v4.table.tolist())
    }
    assert ("bj/retail", "10.1.0.0/16") in names
    assert ("hk/retail", "10.1.0.0/16") in names
    assert ("bj/retail", "10.2.0.0/16") not in names
