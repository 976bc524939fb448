"""What peers may not say, in columns, against Claims asked of one path at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, Vni
from ccn_bgp.model.ccsi import peers
from ccn_bgp.model.covering import covered
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Unicast
from ccn_bgp.model.path import Path as BgpPath
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
    Vpc,
    VpcRoute,
)
from ccn_bgp.table.verify.claims import Claims
from ccn_bgp.table.verify.claims_rows import ClaimRows

BASES = ["10.0.0.0", "224.0.0.0", "169.254.0.0", "192.0.2.0", "198.51.100.0", "0.0.0.0"]
BASES6 = ["fd00::", "fe80::", "::", "2001:db8::"]
NEXT_HOPS = (None, *(Ip.parse(t) for t in ("192.0.2.11", "198.51.100.21", "192.0.2.9")))
RD = RouteDistinguisher(bytes(8))


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    """Few bits in use, so that prefixes meet: lengths from 0 to all."""
    if draw(st.booleans()):
        base, bits = Ip.parse(draw(st.sampled_from(BASES))), 32
    else:
        base, bits = Ip.parse(draw(st.sampled_from(BASES6))), 128
    low = draw(st.integers(0, 3)) << draw(st.sampled_from([0, 2, 8, 62, bits - 18, bits - 9]))
    address = ((base.number ^ low) & ((1 << bits) - 1)).to_bytes(bits // 8, "big")
    lengths = [0, 1, 3, 8, 9, 10, 15, 16, 17, 18, 24, 30, 31, 32, 63, 64, 65, 66, 127, 128]
    return Prefix.of(address, min(draw(st.sampled_from(lengths)), bits))


some = st.lists(prefixes(), max_size=3).map(tuple)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    gateways = {}
    for name, region, vtep in (("bj", "b", "192.0.2.11"), ("hk", "h", "198.51.100.21")):
        ip = Ip.parse(vtep)
        links = (Uplink("eth1", Interface(ip, draw(st.sampled_from([24, 30]))), None),)
        gateways[name] = Gateway(name, region, Asn(64600), ip, ip, Mac(bytes(6)), links)
    vpcs = {
        name: Vpc(
            name,
            region,
            Vni(10000 + number),
            draw(some),
            (),
            routes=tuple(VpcRoute(p, None) for p in draw(some)),
        )
        for number, (name, region) in enumerate(
            (("v", "b"), ("w", "h"), ("x", "h"), ("y", "without a gateway"))
        )
    }
    link = Interface(Ip.parse("10.255.0.1"), 30)
    idcs = {}
    for name in ("i", "j"):
        router = IdcRouter(f"{name}r", name, "bj", "eth2", None, "c", Asn(65000), link, link)
        idcs[name] = Idc(name, "b", draw(some), (router,))
    ccns = {
        "c": Ccn("c", 1, Vni(1), tuple(Attachment("vpc", v) for v in ("v", "w", "y"))),
        "d": Ccn("d", 2, Vni(2), tuple(Attachment("vpc", v) for v in ("x", "v"))),
        "e": Ccn("e", 3, Vni(3), ()),
    }
    host = Neighbor("host", "bj", Ip.parse("192.0.2.101"), Asn(64600), "host")
    return Topology("t", Path("t"), Fabric(Asn(64600)), gateways, vpcs, idcs, ccns, (), (host,), ())


Row = tuple[Prefix, str, Ip | None]
rows_ = st.lists(
    st.tuples(
        prefixes(),
        st.sampled_from(["bj/c", "bj/d", "bj/e", "bj/unknown"]),
        st.sampled_from(NEXT_HOPS),
    ),
    max_size=20,
)


def suspects(judge: ClaimRows, peer: str, topology: Topology, rows: list[Row]) -> dict[Row, bool]:
    speaker = next(p for p in peers(topology, topology.gateways["bj"]) if p.name == peer)
    said = {}
    for width in (4, 16):
        mine = [row for row in rows if len(row[0]) == width + 1]
        raw = np.frombuffer(b"".join(p for p, _, _ in mine), np.uint8).reshape(-1, width + 1)
        ccns = np.array(judge.ccns(table for _, table, _ in mine), np.int64)
        regions = np.array([judge.region(ip) for _, _, ip in mine], np.int64)
        found = judge.suspects(speaker, ccns, regions, raw[:, :width], raw[:, width])
        said |= dict(zip(mine, found.tolist(), strict=True))
    return said


@settings(max_examples=250, deadline=None)
@given(topologies(), st.sampled_from(["hk", "host", "ir", "jr"]), rows_)
def test_every_row(topology: Topology, peer: str, rows: list[Row]) -> None:
    claims = Claims(topology)
    speaker = next(p for p in peers(topology, topology.gateways["bj"]) if p.name == peer)
    said = suspects(ClaimRows(claims), peer, topology, rows)
    for row in rows:
        prefix, table, next_hop = row
        nlri = Unicast(prefix) if speaker.router else EvpnPrefix(RD, bytes(10), 0, prefix, None, 9)
        path = BgpPath(peer, nlri, PathAttributes(next_hop=next_hop))
        assert said[row] == (claims(speaker, table, path) is not None)


@settings(max_examples=100, deadline=None)
@given(topologies(), st.sampled_from(["bj/c", "bj/d"]))
def test_a_gateway_is_believed_about_its_own_region(topology: Topology, table: str) -> None:
    """The mass of honest routes needs no second look: the CIDRs and declared routes of a region's
    VPCs, from its gateway, as far as they are nobody's who cannot have them."""
    ccn = topology.ccns[table[3:]]
    vpcs = [topology.vpcs[a.name] for a in ccn.attach if topology.vpcs[a.name].region == "h"]
    own = [p for v in vpcs for p in (*v.cidrs, *(r.prefix for r in v.routes))]
    taken = [Prefix.parse("192.0.2.0/24"), Prefix.parse("198.51.100.0/24")]
    reserved = ["224.0.0.0/3", "169.254.0.0/16", "0.0.0.0/8", "127.0.0.0/8"]
    taken += [Prefix.parse(t) for t in (*reserved, "::1/128", "fe80::/10", "ff00::/8")]
    honest = [p for p in own if p.length == 0 or not any(t.overlaps(p) for t in taken)]
    rows: list[Row] = [(p, table, Ip.parse("198.51.100.21")) for p in honest]
    assert not any(suspects(ClaimRows(Claims(topology)), "hk", topology, rows).values())


@settings(max_examples=200, deadline=None)
@given(some, st.lists(prefixes(), max_size=12))
def test_what_a_share_lets_through(shared: tuple[Prefix, ...], rows: list[Prefix]) -> None:
    for width in (4, 16):
        mine = [p for p in rows if len(p) == width + 1]
        raw = np.frombuffer(b"".join(mine), np.uint8).reshape(-1, width + 1)
        found = covered(shared, raw[:, :width], raw[:, width])
        assert found.tolist() == [any(s.covers(p) for s in shared) for p in mine]
