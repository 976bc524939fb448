"""What a peer may say at all, asked at the door: the same answers as of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, Vni
from ccn_bgp.model.ccsi import peers
from ccn_bgp.model.covering import AT_ONCE
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Nlri, PathAttributes, Unicast
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

RD = RouteDistinguisher(bytes(8))
MAC = Mac(bytes(6))
HK = Ip.parse("198.51.100.21")


def prefix(text: str) -> Prefix:
    return Prefix.parse(text)


def gateway(name: str, region: str, vtep: Ip) -> Gateway:
    uplink = Uplink("eth1", Interface(vtep, 24), None)
    return Gateway(name, region, Asn(64600), vtep, vtep, MAC, (uplink,))


def topology() -> Topology:
    link = Interface(Ip.parse("10.255.0.1"), 30)
    router = IdcRouter("r", "i", "bj", "eth2", None, "c", Asn(65000), link, link)
    vpcs = {
        "web": Vpc("web", "beijing", Vni(1), (prefix("10.1.0.0/16"),), ()),
        "far": Vpc(
            "far",
            "hongkong",
            Vni(2),
            (prefix("10.1.5.0/24"), prefix("10.2.0.0/16")),
            (),
            routes=(VpcRoute(prefix("10.1.9.0/24"), Ip.parse("10.2.0.9")),),
        ),
    }
    return Topology(
        name="t",
        file=Path("t"),
        fabric=Fabric(Asn(64600)),
        gateways={
            "bj": gateway("bj", "beijing", Ip.parse("192.0.2.11")),
            "hk": gateway("hk", "hongkong", HK),
        },
        vpcs=vpcs,
        idcs={"i": Idc("i", "beijing", (prefix("172.16.0.0/16"),), (router,))},
        ccns={"c": Ccn("c", 1, Vni(9), (Attachment("vpc", "web"), Attachment("vpc", "far")))},
        shares=(),
        neighbors=(Neighbor("host", "bj", Ip.parse("192.0.2.101"), Asn(64600), "host"),),
        policies=(),
    )


def judged(name: str, nlri: Nlri, next_hop: Ip = HK) -> str:
    declared = topology()
    peer = next(p for p in peers(declared, declared.gateways["bj"]) if p.name == name)
    path = BgpPath(name, nlri, PathAttributes(next_hop=next_hop))
    claims = Claims(declared)
    finding = claims(peer, "bj/c", path)
    if isinstance(nlri, EvpnPrefix | Unicast):
        rows = ClaimRows(claims)
        octets = np.frombuffer(nlri.prefix, np.uint8).reshape(1, -1)
        where = (rows.ccns(["bj/c"])[0], rows.region(next_hop))
        suspects = rows.suspects(peer, *where, octets[:, :-1], octets[:, -1])
        assert suspects.tolist() == [finding is not None]
    if finding is None:
        return ""
    assert (finding.table, finding.peer, finding.ccn) == ("bj/c", name, "c")
    return finding.rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.2.0.0/16", ""),
        ("10.2.7.0/24", ""),
        ("10.1.5.0/24", ""),  # a VPC of its own region, though it lies in another's
        ("10.1.9.0/24", ""),  # a declared route of its own region
        ("10.1.6.0/24", "owned-space"),
        ("10.1.0.0/16", "owned-space"),
        ("10.0.0.0/8", ""),
        ("0.0.0.0/0", ""),
        ("192.0.2.11/32", "owned-space"),
        ("192.0.0.0/16", "owned-space"),
        ("127.0.0.0/16", "bogon"),
        ("fe80::/64", "bogon"),
    ],
)
def test_a_gateway(text: str, rule: str) -> None:
    assert judged("hk", EvpnPrefix(RD, bytes(10), 0, prefix(text), None, 9)) == rule


def test_a_next_hop_of_nobody_owns_nothing() -> None:
    nlri = EvpnPrefix(RD, bytes(10), 0, prefix("10.2.0.0/16"), None, 9)
    assert judged("hk", nlri, Ip.parse("203.0.113.1")) == "owned-space"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("172.16.4.0/24", ""),
        ("172.17.0.0/16", "owned-space"),
        ("10.1.0.0/24", "owned-space"),
        ("0.0.0.0/0", "owned-space"),
    ],
)
def test_an_idc_router(text: str, rule: str) -> None:
    assert judged("r", Unicast(prefix(text)), Ip.parse("10.255.0.2")) == rule


def test_a_host() -> None:
    inside = EvpnMacIp(RD, bytes(10), 0, MAC, Ip.parse("10.1.0.7"), 1, None)
    assert judged("host", inside) == ""
    assert judged("host", inside._replace(ip=Ip.parse("10.3.0.7"))) == "vm-outside-cidr"


def test_more_rows_than_are_judged_at_once_keep_their_order() -> None:
    declared = topology()
    peer = next(p for p in peers(declared, declared.gateways["bj"]) if p.name == "hk")
    rows = ClaimRows(Claims(declared))
    n = 2 * AT_ONCE + 3
    address = np.zeros((n, 4), np.uint8)
    address[:] = (10, 2, 1, 0)
    wrong = [0, AT_ONCE - 1, AT_ONCE, n - 1]
    address[wrong] = (10, 1, 1, 0)
    length = np.full(n, 24, np.uint8)
    found = rows.suspects(peer, rows.ccns(["bj/c"])[0], rows.region(HK), address, length)
    assert np.flatnonzero(found).tolist() == wrong
