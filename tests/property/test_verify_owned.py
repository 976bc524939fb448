"""owned-space and bogon against a reading of the rules with one prefix at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, Vni
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.model.topology import (
    Attachment,
    Ccn,
    Fabric,
    Gateway,
    Idc,
    IdcRouter,
    Interface,
    Neighbor,
    Topology,
    Uplink,
    Vm,
    Vpc,
    VpcRoute,
)
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table
from ccn_bgp.table.verify.owned import BOGONS, Territory
from ccn_bgp.table.verify.snapshot import snapshot_world

BASES = ["10.0.0.0", "224.0.0.0", "127.0.0.0", "169.254.0.0", "192.0.2.0", "0.0.0.0"]
BASES6 = ["fd00::", "fe80::", "::", "ff00::"]


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    """Few bits in use, so that prefixes meet: lengths from 0 to all."""
    if draw(st.booleans()):
        base, bits = Ip.parse(draw(st.sampled_from(BASES))), 32
    else:
        base, bits = Ip.parse(draw(st.sampled_from(BASES6))), 128
    low = draw(st.integers(0, 3)) << draw(st.integers(0, bits - 3))
    address = (base.number | low).to_bytes(bits // 8, "big")
    length = draw(
        st.sampled_from([0, 1, 3, 8, 9, 10, 16, 23, 24, 25, 30, 31, 32, 63, 64, 65, 127, 128])
    )
    return Prefix.of(address, min(length, bits))


some = st.lists(prefixes(), max_size=3).map(tuple)


def gateway(name: str, region: str, vtep: str) -> Gateway:
    ip = Ip.parse(vtep)
    return Gateway(
        name, region, Asn(64600), ip, ip, Mac(bytes(6)), (Uplink("eth1", Interface(ip, 24), None),)
    )


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    gateways = {"bj": gateway("bj", "b", "192.0.2.11"), "hk": gateway("hk", "h", "198.51.100.21")}
    vpcs = {
        name: Vpc(
            name,
            region,
            Vni(10000 + number),
            draw(some),
            (),
            (Vm(Ip.parse("10.0.0.1"), Mac(bytes(6)), Ip.parse("192.0.2.101")),),
            tuple(VpcRoute(p, None) for p in draw(some)),
        )
        for number, (name, region) in enumerate((("v", "b"), ("w", "h"), ("x", "h")))
    }
    link = Interface(Ip.parse("10.255.0.1"), 30)
    idcs = {}
    for name in ("i", "j"):
        router = IdcRouter(f"{name}r", name, "bj", "eth2", None, "c", Asn(65000), link, link)
        idcs[name] = Idc(name, "b", draw(some), (router,))
    ccns = {
        "c": Ccn("c", 1, Vni(1), (Attachment("vpc", "v"), Attachment("vpc", "w"))),
        "d": Ccn("d", 2, Vni(2), (Attachment("vpc", "x"), Attachment("vpc", "v"))),
    }
    host = Neighbor("host", "bj", Ip.parse("192.0.2.101"), Asn(64600), "host")
    return Topology("t", Path("t"), Fabric(Asn(64600)), gateways, vpcs, idcs, ccns, (), (host,), ())


def expected(topology: Topology, ccn: str, row: Route) -> set[str]:
    prefix, peer = row.prefix, row.path.peer
    routers = {r.name: r for r in topology.routers}
    if peer not in ("hk", "host", *routers):
        return set()
    found = set()
    if prefix.length and any(b.overlaps(prefix) for b in BOGONS):
        found.add("bogon")
    under = [g.vtep.host_prefix for g in topology.gateways.values()]
    under += [u.address.subnet for g in topology.gateways.values() for u in g.uplinks]
    under += [m.host.host_prefix for v in topology.vpcs.values() for m in v.vms]
    if prefix.length and any(u.overlaps(prefix) for u in under):
        found.add("owned-space")
    members = [topology.vpcs[a.name] for a in topology.ccns[ccn].attach]
    cidrs = [c for v in members for c in v.cidrs]
    if peer in routers:
        if not any(c.covers(prefix) for c in topology.idcs[routers[peer].idc].cidrs):
            found.add("owned-space")
        if prefix.length and any(c.overlaps(prefix) for c in cidrs):
            found.add("owned-space")
    elif prefix.length and any(c.covers(prefix) for c in cidrs):
        home = topology.gateways.get(row.origin.split("/")[0])
        own = [v for v in members if home is not None and v.region == home.region]
        mine = [c for v in own for c in (*v.cidrs, *(r.prefix for r in v.routes))]
        if not any(c.covers(prefix) for c in mine):
            found.add("owned-space")
    return found


@settings(max_examples=600, deadline=None)
@given(topologies(), st.data())
def test_every_row(topology: Topology, data: Any) -> None:
    tables, wanted = {}, {}
    for number, ccn in enumerate(("c", "d")):
        rows = []
        for prefix in data.draw(st.frozensets(prefixes(), max_size=8)):
            peer = data.draw(st.sampled_from(["", "hk", "host", "ir", "jr", "table bj/d"]))
            origin = data.draw(st.sampled_from(["bj/c", "hk/c", "hk/d", "192.0.2.9/c"]))
            path = BgpPath(peer, Unicast(prefix), PathAttributes())
            rows.append(Route(f"bj/{ccn}", prefix, origin, NextHop(Kind.DROP), "", path))
            for rule in expected(topology, ccn, rows[-1]):
                wanted[rule, f"bj/{ccn}", str(prefix)] = peer
        tables[f"bj/{ccn}"] = Table.build(f"bj/{ccn}", number, ccn, rows)
    world = snapshot_world(Snapshot("bj", tables), ())
    found = list(Territory(topology, topology.gateways["bj"]).findings(world))
    said = {(f.rule, f.table, f.prefix): f.peer for f in found}
    assert len(said) == len(found)
    assert said == wanted
