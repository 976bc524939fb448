"""Each path attribute by itself: its code, name and flags, and how its value reads.

In: the octets of one value; out: what they mean, or a Fault. RFC 4271 §5, RFC 7606 §7, RFC 6793,
RFC 7607, RFC 8092, RFC 9012, RFC 9234.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack
from typing import NamedTuple

from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.path import Origin, Segment, SegmentType
from ccn_bgp.session.decode_faults import Fault, discard, withdraw

OPTIONAL, TRANSITIVE, PARTIAL, EXTENDED = 0x80, 0x40, 0x20, 0x10

ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, ATOMIC_AGGREGATE, AGGREGATOR = 1, 2, 3, 4, 5, 6, 7
COMMUNITIES, ORIGINATOR_ID, CLUSTER_LIST = 8, 9, 10
MP_REACH, MP_UNREACH = 14, 15
EXTENDED_COMMUNITIES, AS4_PATH, AS4_AGGREGATOR = 16, 17, 18
PMSI_TUNNEL, TUNNEL_ENCAPSULATION, IPV6_EXTENDED_COMMUNITIES = 22, 23, 25
LARGE_COMMUNITIES, ONLY_TO_CUSTOMER, ATTR_SET = 32, 35, 128

AS_TRANS = 23456
"""Stands for a 4-octet AS where only two octets fit (RFC 6793 §9)."""

UNRECOGNIZED_WELL_KNOWN = 2

NAMES = {
    ORIGIN: "ORIGIN",
    AS_PATH: "AS_PATH",
    NEXT_HOP: "NEXT_HOP",
    MED: "MULTI_EXIT_DISC",
    LOCAL_PREF: "LOCAL_PREF",
    ATOMIC_AGGREGATE: "ATOMIC_AGGREGATE",
    AGGREGATOR: "AGGREGATOR",
    COMMUNITIES: "COMMUNITIES",
    ORIGINATOR_ID: "ORIGINATOR_ID",
    CLUSTER_LIST: "CLUSTER_LIST",
    MP_REACH: "MP_REACH_NLRI",
    MP_UNREACH: "MP_UNREACH_NLRI",
    EXTENDED_COMMUNITIES: "EXTENDED_COMMUNITIES",
    AS4_PATH: "AS4_PATH",
    AS4_AGGREGATOR: "AS4_AGGREGATOR",
    PMSI_TUNNEL: "PMSI_TUNNEL",
    TUNNEL_ENCAPSULATION: "TUNNEL_ENCAPSULATION",
    IPV6_EXTENDED_COMMUNITIES: "IPV6_EXTENDED_COMMUNITIES",
    LARGE_COMMUNITIES: "LARGE_COMMUNITIES",
    ONLY_TO_CUSTOMER: "ONLY_TO_CUSTOMER",
    ATTR_SET: "ATTR_SET",
}

KIND = dict.fromkeys(
    (ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, ATOMIC_AGGREGATE), TRANSITIVE
) | dict.fromkeys((MED, ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH), OPTIONAL)
"""The Optional and Transitive bits of each known attribute, where they are not both set."""


class Session(NamedTuple):
    """What parsing depends on: eBGP or not, octets of an AS number (RFC 6793)."""

    external: bool
    asn4: bool


_SEGMENT_TYPES = (SegmentType.AS_SET, *SegmentType)
"""By number, from 1: a call of the enum costs more than the rest of a segment."""
_ORIGINS = tuple(Origin)
_UNPACK_ASNS = {
    width: [Struct(f">{count}{letter}").unpack_from for count in range(256)]
    for width, letter in ((2, "H"), (4, "I"))
}


def parse_as_path(value: bytes, width: int) -> tuple[Segment, ...] | str:
    """The segments of an AS_PATH with AS numbers of ``width`` octets, or what is wrong with it
    (RFC 7606 §7.2, RFC 7607)."""
    segments = []
    unpack = _UNPACK_ASNS[width]
    position, end = 0, len(value)
    while position < end:
        if position + 2 > end:
            return "one octet is left behind the last segment"
        kind, count = value[position], value[position + 1]
        if not 1 <= kind <= 4:
            return f"segment type {kind} is unknown"
        if count == 0:
            return "a segment is empty"
        start, position = position + 2, position + 2 + count * width
        if position > end:
            return "a segment ends behind the attribute"
        asns = unpack[count](value, start)
        if 0 in asns:
            return "AS 0 is in the path"
        segments.append(Segment(_SEGMENT_TYPES[kind], asns))
    return tuple(segments)


def bad_next_hop(address: Ip) -> str:
    """Why this cannot be a next hop, or an empty text (RFC 4271 §6.3: a unicast host)."""
    if len(address) == 4:
        if address[0] == 0:
            return "is not a host address"
        if address[0] == 127:
            return "is a loopback address"
        return "is not a unicast address" if address[0] >= 224 else ""
    if address[0] == 0xFF:
        return "is a multicast address"
    if not any(address[:15]):
        return {0: "is not a host address", 1: "is a loopback address"}.get(address[15], "")
    return ""


def _origin(value: bytes, _: Session) -> Origin | Fault:
    if len(value) != 1:
        return withdraw("RFC 7606 §7.1", f"ORIGIN: length {len(value)}, not 1")
    if value[0] > 2:
        return withdraw("RFC 7606 §7.1", f"ORIGIN: value {value[0]} is undefined")
    return _ORIGINS[value[0]]


def _as_path(value: bytes, session: Session) -> tuple[Segment, ...] | Fault:
    path = parse_as_path(value, 4 if session.asn4 else 2)
    if isinstance(path, str):
        return withdraw("RFC 7607 §2" if "AS 0" in path else "RFC 7606 §7.2", f"AS_PATH: {path}")
    if session.external:
        for kind, _ in path:
            if kind > 2:
                text = "AS_PATH: confederation segments from an external peer"
                return withdraw("RFC 5065 §5", text)
    return path


def _next_hop(value: bytes, _: Session) -> Ip | Fault:
    if len(value) != 4:
        return withdraw("RFC 7606 §7.3", f"NEXT_HOP: length {len(value)}, not 4")
    return Ip(value)


def _med(value: bytes, _: Session) -> int | Fault:
    if len(value) != 4:
        return withdraw("RFC 7606 §7.4", f"MULTI_EXIT_DISC: length {len(value)}, not 4")
    return int.from_bytes(value, "big")


def _local_pref(value: bytes, session: Session) -> int | Fault:
    if session.external:
        return discard("RFC 7606 §7.5", "LOCAL_PREF from an external peer")
    if len(value) != 4:
        return withdraw("RFC 7606 §7.5", f"LOCAL_PREF: length {len(value)}, not 4")
    return int.from_bytes(value, "big")


def _atomic_aggregate(value: bytes, _: Session) -> bool | Fault:
    if value:
        return discard("RFC 7606 §7.6", f"ATOMIC_AGGREGATE: length {len(value)}, not 0")
    return True


def _aggregator(value: bytes, session: Session) -> tuple[Asn, Ip] | Fault:
    length = 8 if session.asn4 else 6
    if len(value) != length:
        return discard("RFC 7606 §7.7", f"AGGREGATOR: length {len(value)}, not {length}")
    return _aggregator_of(value, "AGGREGATOR")


def _aggregator_of(value: bytes, name: str) -> tuple[Asn, Ip] | Fault:
    asn = int.from_bytes(value[:-4], "big")
    if asn == 0:
        return discard("RFC 7607 §2", f"{name}: AS 0")
    return Asn(asn), Ip(value[-4:])


def _communities(value: bytes, _: Session) -> tuple[int, ...] | Fault:
    if not value or len(value) % 4:
        text = f"COMMUNITIES: length {len(value)} is not a multiple of 4"
        return withdraw("RFC 7606 §7.8", text)
    return unpack(f">{len(value) // 4}I", value)


def _originator_id(value: bytes, session: Session) -> Ip | Fault:
    if session.external:
        return discard("RFC 7606 §7.9", "ORIGINATOR_ID from an external peer")
    if len(value) != 4:
        return withdraw("RFC 7606 §7.9", f"ORIGINATOR_ID: length {len(value)}, not 4")
    return Ip(value)


def _cluster_list(value: bytes, session: Session) -> tuple[Ip, ...] | Fault:
    if session.external:
        return discard("RFC 7606 §7.10", "CLUSTER_LIST from an external peer")
    if not value or len(value) % 4:
        text = f"CLUSTER_LIST: length {len(value)} is not a multiple of 4"
        return withdraw("RFC 7606 §7.10", text)
    return tuple(Ip(value[i : i + 4]) for i in range(0, len(value), 4))


def _extended_communities(value: bytes, _: Session) -> tuple[bytes, ...] | Fault:
    if not value or len(value) % 8:
        text = f"EXTENDED_COMMUNITIES: length {len(value)} is not a multiple of 8"
        return withdraw("RFC 7606 §7.14", text)
    return tuple(value[i : i + 8] for i in range(0, len(value), 8))


def _as4_path(value: bytes, session: Session) -> tuple[Segment, ...] | Fault:
    if session.asn4:
        return discard("RFC 6793 §4.1", "AS4_PATH from a peer with 4-octet AS numbers")
    path = parse_as_path(value, 4) if value else "it is empty"
    if isinstance(path, str):
        return discard("RFC 6793 §6", f"AS4_PATH: {path}")
    # Confederation segments must not be there and are taken out (RFC 6793 §6).
    return tuple(s for s in path if s.kind <= SegmentType.AS_SEQUENCE)


def _as4_aggregator(value: bytes, session: Session) -> tuple[Asn, Ip] | Fault:
    if session.asn4:
        return discard("RFC 6793 §4.1", "AS4_AGGREGATOR from a peer with 4-octet AS numbers")
    if len(value) != 8:
        return discard("RFC 6793 §6", f"AS4_AGGREGATOR: length {len(value)}, not 8")
    return _aggregator_of(value, "AS4_AGGREGATOR")


def _tunnel_encapsulation(value: bytes, _: Session) -> bytes | Fault:
    position = 0
    while position + 4 <= len(value):
        position += 4 + int.from_bytes(value[position + 2 : position + 4], "big")
    if not value or position != len(value):
        text = "TUNNEL_ENCAPSULATION: its parts do not fill it"
        return withdraw("RFC 9012 §13", text)
    return value


def _pmsi_tunnel(value: bytes, _: Session) -> bytes | Fault:
    if len(value) < 5:
        return withdraw("RFC 6514 §5", f"PMSI_TUNNEL: length {len(value)} is under 5")
    return value


def _ipv6_extended_communities(value: bytes, _: Session) -> bytes | Fault:
    if not value or len(value) % 20:
        text = f"IPV6_EXTENDED_COMMUNITIES: length {len(value)} is not a multiple of 20"
        return withdraw("RFC 7606 §7.15", text)
    return value


def _large_communities(value: bytes, _: Session) -> tuple[tuple[int, int, int], ...] | Fault:
    if not value or len(value) % 12:
        text = f"LARGE_COMMUNITIES: length {len(value)} is not a multiple of 12"
        return withdraw("RFC 8092 §6", text)
    words = unpack(f">{len(value) // 4}I", value)
    # Repeated values are silently removed (RFC 8092 §5).
    return tuple(dict.fromkeys(zip(words[::3], words[1::3], words[2::3], strict=True)))


def _only_to_customer(value: bytes, _: Session) -> Asn | Fault:
    if len(value) != 4:
        return withdraw("RFC 9234 §5", f"ONLY_TO_CUSTOMER: length {len(value)}, not 4")
    return Asn(int.from_bytes(value, "big"))


def _attr_set(value: bytes, _: Session) -> bytes | Fault:
    if len(value) < 4:
        return withdraw("RFC 7606 §7.16", f"ATTR_SET: length {len(value)} is under 4")
    return value


READERS: dict[int, tuple[str, Callable[[bytes, Session], object]]] = {
    ORIGIN: ("origin", _origin),
    AS_PATH: ("as_path", _as_path),
    NEXT_HOP: ("next_hop", _next_hop),
    MED: ("med", _med),
    LOCAL_PREF: ("local_pref", _local_pref),
    ATOMIC_AGGREGATE: ("atomic_aggregate", _atomic_aggregate),
    AGGREGATOR: ("aggregator", _aggregator),
    COMMUNITIES: ("communities", _communities),
    ORIGINATOR_ID: ("originator_id", _originator_id),
    CLUSTER_LIST: ("cluster_list", _cluster_list),
    EXTENDED_COMMUNITIES: ("extended_communities", _extended_communities),
    AS4_PATH: ("", _as4_path),
    AS4_AGGREGATOR: ("", _as4_aggregator),
    PMSI_TUNNEL: ("", _pmsi_tunnel),
    TUNNEL_ENCAPSULATION: ("", _tunnel_encapsulation),
    IPV6_EXTENDED_COMMUNITIES: ("", _ipv6_extended_communities),
    LARGE_COMMUNITIES: ("large_communities", _large_communities),
    ONLY_TO_CUSTOMER: ("only_to_customer", _only_to_customer),
    ATTR_SET: ("", _attr_set),
}
"""By code: the field of PathAttributes (empty: none) and the reader of its value."""
