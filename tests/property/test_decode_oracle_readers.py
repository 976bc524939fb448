"""What we encode, scapy and tshark read as we do; what scapy builds, we read as it was meant.

tshark guesses without an OPEN how wide AS numbers are and whether there are path ids; messages here
leave it no doubt. scapy knows no EVPN. Neither judges: both only read.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scapy.contrib import bgp
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from ccn_bgp.cli.decode import to_json
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnOther,
    EvpnPrefix,
    Nlri,
    Origin,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.session.decode import Decoder, SessionParameters
from ccn_bgp.session.encode import encode_updates, end_of_rib

SESSION = SessionParameters("peer", 64600, 64600)
ROUTER_MAC = bytes.fromhex("060302ccc000020b")
VXLAN = bytes.fromhex("030c000000000008")
RDS = [RouteDistinguisher.parse(t) for t in ("192.0.2.11:100", "64600:100", "4200000001:7")]
ESIS = [bytes(10), bytes.fromhex("00112233445566778899")]


def attribute_set(pick: random.Random, next_hop: Ip) -> PathAttributes:
    def some(values: list[Any]) -> tuple[Any, ...]:
        return tuple(pick.sample(values, pick.randrange(len(values) + 1)))

    asns = [Asn(pick.choice((64601, 65101, 4200000001))) for _ in range(pick.randrange(1, 6))]
    path = [Segment(SegmentType.AS_SEQUENCE, tuple(asns))]
    if pick.random() < 0.3:
        path.append(Segment(SegmentType.AS_SET, (Asn(65001), Asn(65002))))
    targets = [bytes(RouteTarget.parse(t)) for t in ("64600:100", "4200000001:9", "192.0.2.1:4")]
    return PathAttributes(
        origin=pick.choice(list(Origin)),
        as_path=tuple(path),
        next_hop=next_hop,
        med=pick.choice((None, 0, 70)),
        local_pref=pick.choice((None, 100, 4294967295)),
        atomic_aggregate=pick.random() < 0.3,
        aggregator=pick.choice((None, (Asn(4200000001), Ip.parse("192.0.2.9")))),
        communities=some([0xFC590001, 0xFC5A0009, 65101 << 16 | 7]),
        large_communities=some([(65101, 1, 2), (4200000001, 0, 4294967295)]),
        extended_communities=some([*targets, VXLAN, ROUTER_MAC]),
        originator_id=pick.choice((None, Ip.parse("192.0.2.3"))),
        cluster_list=some([Ip.parse("192.0.2.4"), Ip.parse("192.0.2.5")]),
    )


def routes(pick: random.Random, kind: str) -> Iterator[Nlri]:
    for _ in range(pick.randrange(1, 6)):
        four = Prefix.of(pick.randbytes(4), pick.randrange(9, 33))
        six = Prefix.of(b"\x20\x01\x0d\xb8" + pick.randbytes(12), pick.randrange(33, 129))
        rd, etag, vni = pick.choice(RDS), pick.choice((0, 7)), pick.choice((20100, 2**24 - 1))
        mac = Mac.parse("02:00:0a:01:00:0a")
        if kind == "ipv4":
            yield Unicast(four)
        elif kind == "ipv6":
            yield Unicast(six)
        elif (what := pick.randrange(5)) == 0:
            gateway = pick.choice((None, Ip.parse("10.2.0.10")))
            yield EvpnPrefix(rd, bytes(10), etag, four, gateway, vni)
        elif what == 1:
            gateway = pick.choice((None, Ip.parse("fd00::10")))
            yield EvpnPrefix(rd, bytes(10), etag, six, gateway, vni)
        elif what == 4:
            yield EvpnOther(3, rd + etag.to_bytes(4, "big") + b"\x20" + pick.randbytes(4))
        else:
            ip = pick.choice((None, Ip.parse("10.1.0.10"), Ip.parse("fd00:1::10")))
            second = pick.choice((None, 20100))
            yield EvpnMacIp(rd, pick.choice(ESIS), etag, mac, ip, 10001, second)


def encoded() -> list[bytes]:
    """120 announcements and 120 withdrawals of three families, and their End-of-RIBs."""
    pick, found = random.Random(4271), []
    hops = {"ipv4": ["192.0.2.1"], "ipv6": ["2001:db8::1"], "evpn": ["192.0.2.11", "2001:db8::b"]}
    for number in range(120):
        kind = ("ipv4", "ipv6", "evpn")[number % 3]
        attributes = attribute_set(pick, Ip.parse(pick.choice(hops[kind])))
        said, gone = list(routes(pick, kind)), list(routes(pick, kind))
        found += encode_updates([(attributes, said)], gone)
    return [*found, *(end_of_rib(f) for f in SESSION.families)]


MESSAGES = encoded()


def ours(raw: bytes) -> dict[str, Any]:
    return to_json(Decoder(SESSION).message(raw))


# --- tshark


def read_by_tshark(messages: list[bytes], file: Path) -> list[ElementTree.Element]:
    """The BGP part of each message, which is a packet of a connection of its own."""
    # Both addresses of the frame given: scapy would ask the network for them.
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    address = {"src": "192.0.2.1", "dst": "192.0.2.2"}
    packets = [
        ether / IP(**address) / TCP(sport=10000 + i, dport=179, flags="PA") / Raw(raw)
        for i, raw in enumerate(messages)
    ]
    wrpcap(str(file), packets)
    done = subprocess.run(
        ["tshark", "-r", file, "-T", "pdml"], capture_output=True, text=True, check=True
    )
    root = ElementTree.fromstring(done.stdout)
    found = [p for packet in root for p in packet if p.get("name") == "bgp"]
    assert len(found) == len(messages)
    return found


UPDATE = "bgp.update.path_attribute."


class Field:
    """One field of tshark and those within."""

    def __init__(self, node: ElementTree.Element) -> None:
        self.node = node

    def all(self, *names: str) -> list[str]:
        """What fields of these names say, in the order of the message."""
        return [f.get("show", "") for f in self.node.iter() if f.get("name") in names]

    def one(self, *names: str) -> str | None:
        return next(iter(self.all(*names)), None)

    def parts(self, name: str) -> list[Field]:
        return [Field(f) for f in self.node.iter() if f.get("name") == name]

    def prefixes(self, name: str) -> list[str]:
        lengths = self.all("bgp.prefix_length")
        return [f"{a}/{n}" for a, n in zip(self.all(name), lengths, strict=True)]


def tshark_evpn(nlri: Field) -> dict[str, Any]:
    kind = int(nlri.one("bgp.evpn.nlri.rt") or 0)
    found: dict[str, Any] = {"family": "evpn", "type": kind}
    rd = bytes.fromhex((nlri.one("bgp.evpn.nlri.rd") or "").replace(":", ""))
    found |= {"rd": str(RouteDistinguisher(rd)), "etag": int(nlri.one("bgp.evpn.nlri.etag") or 0)}
    if kind != 3:
        found["esi"] = nlri.one("bgp.evpn.nlri.esi")
    address = nlri.one("bgp.evpn.nlri.ip.addr", "bgp.evpn.nlri.ipv6.addr")
    if kind == 5:
        found["prefix"] = f"{address}/{nlri.one('bgp.evpn.nlri.prefix_len')}"
        gateway = nlri.one("bgp.evpn.nlri.ipv4.gtw_addr", "bgp.evpn.nlri.ipv6.gtw_addr")
        if gateway not in ("0.0.0.0", "::"):
            found["gateway"] = gateway
        # One field with two readings, 24 bits and 20.
        found["vni"] = int(nlri.one(f"{UPDATE}mpls_label_value") or 0)
        return found
    if address:
        found["ip"] = address
    if kind == 2:
        found["mac"] = nlri.one("bgp.evpn.nlri.mac_addr")
        labels = nlri.all("bgp.evpn.nlri.mpls_ls1", "bgp.evpn.nlri.mpls_ls2")
        found |= dict(zip(("vni", "vni2"), map(int, labels), strict=False))
    return found


def tshark_routes(message: Field, code: str) -> tuple[str, list[dict[str, Any]]]:
    """The next hop and the routes of a multiprotocol attribute."""
    name = "mp_reach_nlri" if code == "14" else "mp_unreach_nlri"
    for attribute in message.parts("bgp.update.path_attribute"):
        if attribute.one(f"{UPDATE}type_code") != code:
            continue
        hop = f"{UPDATE}mp_reach_nlri.next_hop"
        evpn = [tshark_evpn(n) for n in attribute.parts("bgp.evpn.nlri")]
        six = attribute.prefixes(f"bgp.{name}_ipv6_prefix")
        routes = [*evpn, *({"family": "ipv6-unicast", "prefix": p} for p in six)]
        return attribute.one(f"{hop}.ipv4", f"{hop}.ipv6") or "", routes
    return "", []


def tshark_reading(message: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"announce": [], "withdraw": []}
    next_hop = message.one(f"{UPDATE}next_hop")
    for field, name, word in (
        ("bgp.update.nlri", "bgp.nlri_prefix", "announce"),
        ("bgp.update.withdrawn_routes", "bgp.withdrawn_prefix", "withdraw"),
    ):
        four = list(chain.from_iterable(f.prefixes(name) for f in message.parts(field)))
        found[word] = [{"family": "ipv4-unicast", "prefix": p} for p in four]
    hop, reached = tshark_routes(message, "14")
    found["announce"] += reached
    found["withdraw"] += tshark_routes(message, "15")[1]
    attributes: dict[str, Any] = {}
    if found["announce"]:
        segments = message.parts(f"{UPDATE}as_path_segment")
        texts = []
        for segment in segments:
            asns = segment.all(f"{UPDATE}as_path_segment.as4")
            kind = segment.one(f"{UPDATE}as_path_segment.type")
            texts.append("{" + ",".join(asns) + "}" if kind == "1" else " ".join(asns))
        origin = int(message.one(f"{UPDATE}origin") or 0)
        attributes = {
            "origin": ("igp", "egp", "incomplete")[origin],
            "as-path": " ".join(texts),
            "next-hop": hop or next_hop,
            "med": message.one(f"{UPDATE}multi_exit_disc"),
            "local-pref": message.one(f"{UPDATE}local_pref"),
            "aggregator": " ".join(
                message.all(f"{UPDATE}aggregator_as", f"{UPDATE}aggregator_origin")
            ),
            "originator-id": message.one(f"{UPDATE}originator_id"),
            "cluster-list": message.all("bgp.path_attribute.cluster_id"),
            "communities": [
                ":".join(c.all(f"{UPDATE}community_as", f"{UPDATE}community_value"))
                for c in message.parts(f"{UPDATE}community")
            ],
            "large-communities": [
                ":".join(c.all(*(f"bgp.large_communities.{w}" for w in ("ga", "ldp1", "ldp2"))))
                for c in message.parts("bgp.large_communities")
            ],
            "route-targets": [
                # A 4-octet AS it writes twice: 64086.59905(4200000001)
                re.sub(r"[\d.]+\((\d+)\)", r"\1", text).split()[2]
                for text in (c.node.get("showname", "") for c in message.parts("bgp.ext_community"))
                if text.startswith("Route Target: ")
            ],
            "router-mac": message.one("bgp.ext_com_evpn.esi.router_mac"),
            "encapsulation": message.one("bgp.ext_com.tunnel_type"),
        }
    return found | {"attributes": {k: v for k, v in attributes.items() if v not in (None, "", [])}}


def test_tshark_reads_what_we_read(tmp_path: Path) -> None:
    read = read_by_tshark(MESSAGES, tmp_path / "bgp.pcap")
    for raw, node in zip(MESSAGES, read, strict=True):
        mine, theirs = ours(raw), tshark_reading(Field(node))
        assert mine["verdict"] == "ok"
        for route in mine["announce"] + mine["withdraw"]:
            route.pop("next-hop", None)
            if route.get("type") == 2:  # tshark takes the label for one of MPLS
                route |= {k: route[k] >> 4 for k in ("vni", "vni2") if k in route}
        assert (theirs["announce"], theirs["withdraw"]) == (mine["announce"], mine["withdraw"])
        wanted = {k: v if isinstance(v, list) else str(v) for k, v in mine["attributes"].items()}
        for name in ("extended-communities", "atomic-aggregate"):
            wanted.pop(name, None)
        assert theirs["attributes"] == wanted


# --- scapy


@pytest.fixture(autouse=True)
def four_octet_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bgp.bgp_module_conf, "use_2_bytes_asn", False)


def scapy_update(**fields: Any) -> bytes:
    attributes = [bgp.BGPPathAttr(**a) for a in fields.pop("path_attr", [])]
    return bytes(bgp.BGPHeader() / bgp.BGPUpdate(path_attr=attributes, **fields))


def four(text: str) -> Any:
    return bgp.BGPNLRI_IPv4(prefix=text)


COMMON = [
    {"type_flags": 0x40, "type_code": 1, "attribute": bgp.BGPPAOrigin(origin=2)},
    {"type_flags": 0x40, "type_code": 2, "attribute": bgp.BGPPAAS4BytesPath(segments=[
        bgp.BGPPAAS4BytesPath.ASPathSegment(segment_type=2, segment_value=[64600, 4200000001]),
        bgp.BGPPAAS4BytesPath.ASPathSegment(segment_type=1, segment_value=[65001, 65002]),
    ])},
    {"type_flags": 0x80, "type_code": 4, "attribute": bgp.BGPPAMultiExitDisc(med=70)},
    {"type_flags": 0x40, "type_code": 5, "attribute": bgp.BGPPALocalPref(local_pref=200)},
    {"type_flags": 0xC0, "type_code": 8, "attribute": bgp.BGPPACommunity(community=0xFC590001)},
]  # fmt: skip
HOP = {"type_flags": 0x40, "type_code": 3, "attribute": bgp.BGPPANextHop(next_hop="192.0.2.1")}
SAID = {
    "origin": "incomplete", "as-path": "64600 4200000001 {65001,65002}", "med": 70,
    "local-pref": 200, "communities": ["64601:1"],
}  # fmt: skip


def test_what_scapy_builds_we_read_as_meant() -> None:
    raw = scapy_update(
        withdrawn_routes=[four("10.9.0.0/16")],
        path_attr=[*COMMON, HOP],
        nlri=[four("10.0.0.0/8"), four("172.16.3.128/25"), four("192.0.2.7/32")],
    )
    got = ours(raw)
    entry = {"family": "ipv4-unicast", "next-hop": "192.0.2.1"}
    assert got["announce"] == [
        entry | {"prefix": p} for p in ("10.0.0.0/8", "172.16.3.128/25", "192.0.2.7/32")
    ]
    assert got["withdraw"] == [{"family": "ipv4-unicast", "prefix": "10.9.0.0/16"}]
    assert (got["verdict"], got["attributes"]) == ("ok", SAID | {"next-hop": "192.0.2.1"})

    reach = bgp.BGPPAMPReachNLRI(
        afi=2, safi=1, nh_addr_len=16, nh_v6_addr="2001:db8::1",
        nlri=[bgp.BGPNLRI_IPv6(prefix="fd00:1::/64"), bgp.BGPNLRI_IPv6(prefix="2001:db8::/33")],
    )  # fmt: skip
    gone = bgp.BGPPAMPUnreachNLRI(
        afi=2, safi=1,
        afi_safi_specific=bgp.BGPPAMPUnreachNLRI_IPv6(
            withdrawn_routes=[bgp.BGPNLRI_IPv6(prefix="fd00:9::/48")]
        ),
    )  # fmt: skip
    both = [
        {"type_flags": 0x80, "type_code": 14, "attribute": reach},
        {"type_flags": 0x80, "type_code": 15, "attribute": gone},
    ]
    got = ours(scapy_update(path_attr=[*COMMON, *both]))
    assert [r["prefix"] for r in got["announce"]] == ["fd00:1::/64", "2001:db8::/33"]
    assert got["withdraw"] == [{"family": "ipv6-unicast", "prefix": "fd00:9::/48"}]
    assert (got["verdict"], got["attributes"]) == ("ok", SAID | {"next-hop": "2001:db8::1"})
    assert ours(scapy_update())["end-of-rib"] == "ipv4-unicast"


def scapy_path(attribute: Any) -> str:
    texts = []
    for segment in attribute.segments:
        asns = [str(asn) for asn in segment.segment_value]
        texts.append("{" + ",".join(asns) + "}" if segment.segment_type == 1 else " ".join(asns))
    return " ".join(texts)


def test_scapy_reads_what_we_encode() -> None:
    seen = 0
    for raw in MESSAGES:
        mine = ours(raw)
        update = bgp.BGPHeader(raw)[bgp.BGPUpdate]
        assert bytes(bgp.BGPHeader(raw)) == raw
        routes = mine["announce"] + mine["withdraw"]
        if not routes or routes[0]["family"] == "evpn":
            continue
        parts = {a.type_code: a.attribute for a in update.path_attr}
        reached = parts[14].nlri if 14 in parts else update.nlri
        gone = (
            parts[15].afi_safi_specific.withdrawn_routes if 15 in parts else update.withdrawn_routes
        )
        assert [n.prefix for n in reached] == [r["prefix"] for r in mine["announce"]]
        assert [n.prefix for n in gone] == [r["prefix"] for r in mine["withdraw"]]
        wanted = mine["attributes"]
        if not wanted:
            continue
        seen += 1
        hop = parts[14].nh_v6_addr if 14 in parts else parts[3].next_hop
        assert (hop, scapy_path(parts[2])) == (wanted["next-hop"], wanted["as-path"])
        assert ("igp", "egp", "incomplete")[parts[1].origin] == wanted["origin"]
        for code, name, key in (
            (4, "med", "med"),
            (5, "local_pref", "local-pref"),
            (9, "originator_id", "originator-id"),
        ):
            assert (getattr(parts[code], name) if code in parts else None) == wanted.get(key)
    assert seen > 60
