"""The encoder against octets written by hand, against Scapy, and against its size limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scapy.contrib import bgp as scapy_bgp

from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
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
    UnknownAttribute,
)
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Update, Verdict
from ccn_bgp.session.encode import (
    encode_attributes,
    encode_nlri,
    encode_updates,
    end_of_rib,
    notification,
    route_refresh,
)

RD = RouteDistinguisher.parse("192.0.2.11:100")
SESSION = SessionParameters("peer", 64601, 64602)


def path(*asns: int) -> tuple[Segment, ...]:
    return (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),)


def unicast(text: str) -> Unicast:
    return Unicast(Prefix.parse(text))


def type5(text: str, gateway: str | None = None) -> EvpnPrefix:
    return EvpnPrefix(
        RD, bytes(10), 0, Prefix.parse(text), Ip.parse(gateway) if gateway else None, 20100
    )


BASE = PathAttributes(as_path=path(64601), next_hop=Ip.parse("192.0.2.11"))


def decoded(messages: list[bytes], session: SessionParameters = SESSION) -> list[Update]:
    decoder = Decoder(session)
    updates = [u for raw in messages for u in decoder.message(raw)]
    assert all(isinstance(u, Update) and u.verdict is Verdict.OK for u in updates), updates
    return [u for u in updates if isinstance(u, Update)]


def test_ipv4_octets() -> None:
    (raw,) = encode_updates([(BASE, [unicast("10.0.0.0/8"), unicast("0.0.0.0/0")])])
    assert raw.hex() == (
        "ff" * 16
        + "002e 02 0000 0014".replace(" ", "")
        + "40010100"
        + "400206" + "0201" + "0000fc59"
        + "400304" + "c000020b"
        + "080a" + "00"
    )  # fmt: skip


def test_evpn_octets() -> None:
    """RFC 7606 §5.1: MP_REACH_NLRI is the first attribute. Type 5 has 34 or 58 octets."""
    (raw,) = encode_updates([(BASE, [type5("10.1.0.0/16", "10.2.0.10")])])
    value = "0019460" + "4c000020b00"
    value += "0522" + RD.hex() + "00" * 10 + "00000000" + "10" + "0a010000" + "0a02000a" + "004e84"
    assert raw[23:].hex() == f"800e{len(value) // 2:02x}{value}" + "40010100" + "4002060201" + (
        "0000fc59"
    )
    assert len(encode_nlri(type5("2001:db8::/32"))) == 2 + 58


def test_markers() -> None:
    assert end_of_rib(Family.IPV4_UNICAST).hex() == "ff" * 16 + "00170200000000"
    assert end_of_rib(Family.EVPN).hex() == "ff" * 16 + "001d" + "02" + "00000006" + "800f03001946"
    assert route_refresh(Family.EVPN, 1).hex() == "ff" * 16 + "0017" + "05" + "00190146"
    assert notification(6, 2, b"\0").hex() == "ff" * 16 + "0016" + "03" + "060200"
    for family in Family:
        (eor,) = Decoder(SESSION).message(end_of_rib(family))
        assert isinstance(eor, Update)
        assert eor.end_of_rib is family
        assert Decoder(SESSION).message(route_refresh(family)) == (RouteRefresh(family, 0),)
    assert Decoder(SESSION).message(notification(6, 2)) == ()


def test_attributes_in_ascending_order() -> None:
    full = replace(
        BASE,
        origin=Origin.INCOMPLETE,
        med=1,
        local_pref=2,
        atomic_aggregate=True,
        aggregator=(Asn(1), Ip.parse("1.1.1.1")),
        communities=tuple(range(100)),
        originator_id=Ip.parse("2.2.2.2"),
        cluster_list=(Ip.parse("3.3.3.3"),),
        extended_communities=(bytes(RouteTarget.parse("64600:100")),),
        large_communities=((1, 2, 3),),
        only_to_customer=Asn(4),
        unknown=(UnknownAttribute(0xC0, 99, b"x" * 300), UnknownAttribute(0xC0, 24, b"")),
    )
    raw = encode_attributes(full)
    codes, position = [], 0
    while position < len(raw):
        wide = bool(raw[position] & 0x10)
        length = int.from_bytes(raw[position + 2 : position + 3 + wide], "big")
        codes.append((raw[position] & ~0x10, raw[position + 1]))
        position += 3 + wide + length
    expected = [
        (0x40, 1), (0x40, 2), (0x80, 4), (0x40, 5), (0x40, 6), (0xC0, 7), (0xC0, 8), (0x80, 9),
        (0x80, 10), (0xC0, 16), (0xE0, 24), (0xC0, 32), (0xC0, 35), (0xE0, 99),
    ]  # fmt: skip
    assert codes == expected


def test_long_paths_are_cut_into_segments() -> None:
    long = replace(BASE, as_path=path(64601, *range(1, 600)))
    (update,) = decoded(list(encode_updates([(long, [unicast("10.0.0.0/8")])])))
    assert update.attributes is not None
    assert [len(s.asns) for s in update.attributes.as_path] == [255, 255, 90]
    assert update.attributes.asns == long.asns


def test_2_octet_sessions() -> None:
    old = replace(SESSION, asn4=False)
    wide = replace(
        BASE, as_path=path(64601, 4200000000, 7), aggregator=(Asn(4200000000), Ip(b"\1" * 4))
    )
    raw = list(encode_updates([(wide, [unicast("10.0.0.0/8")])], asn4=False))
    (update,) = decoded(raw, old)
    assert update.attributes == wide
    assert b"\x40\x02\x08\x02\x03\xfc\x59\x5b\xa0\x00\x07" in raw[0], "AS_TRANS, RFC 6793"
    narrow = list(encode_updates([(BASE, [unicast("10.0.0.0/8")])], asn4=False))
    assert b"\xc0\x11" not in narrow[0]


def test_packing_and_grouping() -> None:
    routes: list[Nlri] = [type5(f"10.{i // 256}.{i % 256}.0/24") for i in range(1000)]
    mixed: list[Nlri] = [unicast("10.0.0.0/8"), *routes, unicast("2001:db8::/32")]
    six = replace(BASE, next_hop=Ip.parse("2001:db8::1"))
    other = replace(BASE, med=7)
    messages = list(
        encode_updates(
            [(BASE, mixed[:500]), (six, mixed[-1:]), (other, mixed[:1]), (BASE, mixed[500:-1])],
            [unicast("192.0.2.0/24"), unicast("2001:db8:1::/48"), type5("10.0.0.0/8")],
        )
    )
    updates = decoded(messages)
    assert all(len(m) <= 4096 for m in messages)
    assert len(messages) == 3 + 1 + 9 + 1 + 1, "112 routes of 36 octets fit into a message"
    assert [n.family for u in updates[:3] for n in u.withdrawn] == list(Family)
    assert [n for u in updates for n in u.announced if n in set(routes)] == routes
    wide = list(encode_updates([(BASE, routes)], max_length=65535))
    assert len(wide) == 1
    assert decoded(wide)[0].announced == tuple(routes)


@pytest.mark.parametrize("max_length", range(100, 200))
def test_no_message_is_over_its_limit(max_length: int) -> None:
    routes: list[Nlri] = [
        EvpnMacIp(RD, bytes(10), 0, Mac(bytes((2, 0, 0, 0, 0, i))), None, 1, None) for i in range(9)
    ]
    four: list[Nlri] = [Unicast(Prefix.of(bytes((10, i, 0, 0)), 16 + i % 9)) for i in range(45)]
    messages = list(encode_updates([(BASE, routes + four)], routes + four, max_length=max_length))
    assert all(len(m) <= max_length for m in messages)
    updates = decoded(messages)
    assert sorted(n.key for u in updates for n in u.announced) == sorted(
        n.key for n in routes + four
    )


def test_attributes_that_leave_no_room_withdraw_their_routes() -> None:
    """RFC 8654 §4: the peer must not keep what it had."""
    huge = replace(BASE, communities=tuple(range(1020)))
    over = replace(BASE, communities=tuple(range(17000)))
    for attributes in (huge, over):
        updates = decoded(
            list(encode_updates([(attributes, [unicast("10.0.0.0/8"), type5("10.1.0.0/16")])]))
        )
        assert [len(u.announced) for u in updates] == [0, 0]
        assert [n.family for u in updates for n in u.withdrawn] == [
            Family.IPV4_UNICAST,
            Family.EVPN,
        ]


@pytest.mark.parametrize("hop", [None, Ip.parse("2001:db8::1")])
def test_a_next_hop_that_cannot_be_is_refused(hop: Ip | None) -> None:
    with pytest.raises(ValueError, match="next hop"):
        list(encode_updates([(replace(BASE, next_hop=hop), [unicast("10.0.0.0/8")])]))


def test_other_evpn_types_pass() -> None:
    routes = (EvpnOther(3, RD + bytes(4) + b"\x20" + bytes(4)),)
    assert decoded(list(encode_updates([(BASE, routes)])))[0].announced == routes


def scapy_fields(raw: bytes) -> dict[int, Any]:
    message = scapy_bgp.BGPHeader(raw)
    return {attribute.type_code: attribute.attribute for attribute in message.path_attr}


def test_scapy_reads_what_we_write() -> None:
    attributes = replace(BASE, med=5, local_pref=200, communities=((64601 << 16) + 1,))
    (raw,) = encode_updates(
        [(attributes, [unicast("10.0.0.0/8"), unicast("172.16.0.0/12")])],
        [],
        asn4=False,
    )
    message = scapy_bgp.BGPHeader(raw)
    assert [n.prefix for n in message.nlri] == ["10.0.0.0/8", "172.16.0.0/12"]
    fields = scapy_fields(raw)
    assert fields[3].next_hop == "192.0.2.11"
    assert fields[4].med == 5
    assert fields[5].local_pref == 200
    assert fields[8].sprintf("%community%")
    six = replace(BASE, next_hop=Ip.parse("2001:db8::1"))
    (raw,) = encode_updates([(six, [unicast("2001:db8:1::/48")])])
    reach = scapy_fields(raw)[14]
    assert (reach.afi, reach.safi, reach.nh_v6_addr) == (2, 1, "2001:db8::1")
    assert [n.prefix for n in reach.nlri] == ["2001:db8:1::/48"]


def test_we_read_what_scapy_writes() -> None:
    attributes = [
        scapy_bgp.BGPPathAttr(type_flags=0x40, type_code=1, attribute=scapy_bgp.BGPPAOrigin()),
        scapy_bgp.BGPPathAttr(
            type_flags=0x40,
            type_code=2,
            attribute=scapy_bgp.BGPPAAS4BytesPath(
                segments=[
                    scapy_bgp.BGPPAAS4BytesPath.ASPathSegment(
                        segment_type=2, segment_value=[64601, 65541]
                    )
                ]
            ),
        ),
        scapy_bgp.BGPPathAttr(
            type_flags=0x40, type_code=3, attribute=scapy_bgp.BGPPANextHop(next_hop="192.0.2.9")
        ),
        scapy_bgp.BGPPathAttr(
            type_flags=0xC0,
            type_code=8,
            attribute=scapy_bgp.BGPPACommunity(community=0xFC590001),
        ),
    ]
    message = scapy_bgp.BGPHeader() / scapy_bgp.BGPUpdate(
        path_attr=attributes,
        nlri=[scapy_bgp.BGPNLRI_IPv4(prefix="10.1.0.0/16")],
        withdrawn_routes=[scapy_bgp.BGPNLRI_IPv4(prefix="10.2.0.0/16")],
    )
    (update,) = decoded([bytes(message)])
    assert update.announced == (unicast("10.1.0.0/16"),)
    assert update.withdrawn == (unicast("10.2.0.0/16"),)
    assert update.attributes == PathAttributes(
        as_path=path(64601, 65541), next_hop=Ip.parse("192.0.2.9"), communities=(0xFC590001,)
    )
