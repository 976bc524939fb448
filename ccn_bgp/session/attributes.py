"""Path attributes: one blob of octets in, PathAttributes and faults out; never raises.

MP_REACH_NLRI and MP_UNREACH_NLRI are taken out first (``split``), so equal blobs can be parsed once
and shared. Rules: RFC 4271 §5 and §6.3, RFC 7606 §3, §4 and §7, RFC 6793, RFC 7607.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.path import Origin, PathAttributes, Segment, SegmentType, UnknownAttribute
from ccn_bgp.session.decode_faults import Fault, Verdict, discard, reset, withdraw

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


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """What one blob says. ``base.next_hop`` is that of the NEXT_HOP attribute; ``seen`` the codes
    that stand in the blob, malformed ones included."""

    base: PathAttributes
    seen: frozenset[int]
    faults: tuple[Fault, ...]


class Split(NamedTuple):
    """A blob without its multiprotocol attributes, and those: (flags, value)."""

    rest: bytes
    reach: tuple[int, bytes] | None
    unreach: tuple[int, bytes] | None
    fault: Fault | None


def split(blob: bytes) -> Split:
    """Take MP_REACH_NLRI and MP_UNREACH_NLRI out. A second one of a kind ends the session
    (RFC 7606 §3 g). What does not parse stays in ``rest``, where ``parse`` finds it again."""
    found: dict[int, tuple[int, bytes]] = {}
    fault = None
    kept, begin = [], 0
    for flags, code, start, value_at, stop in walk(blob):
        if code in (MP_REACH, MP_UNREACH):
            kept.append(blob[begin:start])
            begin = stop
            if code in found:
                fault = reset("RFC 7606 §3 g", f"{NAMES[code]} stands there twice")
            else:
                found[code] = (flags, blob[value_at:stop])
    kept.append(blob[begin:])
    return Split(b"".join(kept), found.get(MP_REACH), found.get(MP_UNREACH), fault)


def walk(blob: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(flags, code, first octet, first octet of the value, octet behind it) of each whole
    attribute. Stops where the next one does not fit."""
    position, end = 0, len(blob)
    while position + 3 <= end:
        flags = blob[position]
        if flags & EXTENDED:
            if position + 4 > end:
                return
            value_at = position + 4
            stop = value_at + (blob[position + 2] << 8 | blob[position + 3])
        else:
            value_at = position + 3
            stop = value_at + blob[position + 2]
        if stop > end:
            return
        yield flags, blob[position + 1], position, value_at, stop
        position = stop


def parse(blob: bytes, session: Session) -> AttributeSet:
    """Read a blob that ``split`` has left. Values of malformed attributes are absent."""
    fields: dict[str, Any] = {}
    seen: set[int] = set()
    faults: list[Fault] = []
    unknown: list[UnknownAttribute] = []
    as4: dict[int, Any] = {}
    position = 0
    for flags, code, _, value_at, position in walk(blob):
        if code in seen:
            name = NAMES.get(code, f"attribute {code}")
            text = f"{name} stands there twice, the first counts"
            faults.append(discard("RFC 7606 §3 g", text))
            continue
        seen.add(code)
        value = blob[value_at:position]
        reader = _READERS.get(code)
        if reader is None:
            if not flags & OPTIONAL:
                text = f"attribute {code} is marked well-known but is not"
                faults.append(reset("RFC 4271 §6.3", text, subcode=UNRECOGNIZED_WELL_KNOWN))
            elif flags & TRANSITIVE:
                unknown.append(UnknownAttribute(flags & ~EXTENDED & 0xF0, code, value))
            continue
        if flags & 0xC0 != KIND.get(code, OPTIONAL | TRANSITIVE):
            text = f"{NAMES[code]}: the flags are 0x{flags:02x}"
            faults.append(withdraw("RFC 7606 §3 c", text))
            continue
        name, read = reader
        result = read(value, session)
        if isinstance(result, Fault):
            faults.append(result)
        elif code in (AS4_PATH, AS4_AGGREGATOR):
            as4[code] = result
        elif name:
            fields[name] = result
        else:
            unknown.append(UnknownAttribute(flags & ~EXTENDED & 0xF0, code, value))
    if position != len(blob):
        faults.append(_remainder(blob[position:]))
    if as4:
        _merge_as4(fields, as4)
    if unknown:
        fields["unknown"] = tuple(sorted(unknown, key=lambda u: u.code))
    return AttributeSet(PathAttributes(**fields), frozenset(seen), tuple(faults))


def _remainder(rest: bytes) -> Fault:
    if len(rest) < 3 or (rest[0] & EXTENDED and len(rest) < 4):
        return withdraw("RFC 7606 §4", f"{len(rest)} octets behind the last attribute")
    name = NAMES.get(rest[1], f"attribute {rest[1]}")
    text = f"{name} ends behind the total attribute length"
    if rest[1] in (MP_REACH, MP_UNREACH):
        # Its routes cannot be found, so they cannot be withdrawn either (§3 j).
        return reset("RFC 7606 §3 j", text)
    return withdraw("RFC 7606 §4", text)


def parse_as_path(value: bytes, width: int) -> tuple[Segment, ...] | str:
    """The segments of an AS_PATH with AS numbers of ``width`` octets, or what is wrong with it
    (RFC 7606 §7.2, RFC 7607)."""
    segments = []
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
        asns = tuple(
            Asn(int.from_bytes(value[i : i + width], "big")) for i in range(start, position, width)
        )
        if 0 in asns:
            return "AS 0 is in the path"
        segments.append(Segment(SegmentType(kind), asns))
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
    return Origin(value[0])


def _as_path(value: bytes, session: Session) -> tuple[Segment, ...] | Fault:
    path = parse_as_path(value, 4 if session.asn4 else 2)
    if isinstance(path, str):
        return withdraw("RFC 7607 §2" if "AS 0" in path else "RFC 7606 §7.2", f"AS_PATH: {path}")
    if session.external and any(s.kind > SegmentType.AS_SEQUENCE for s in path):
        return withdraw("RFC 5065 §5", "AS_PATH: confederation segments from an external peer")
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
    return tuple(int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value), 4))


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
    words = [int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value), 4)]
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


_READERS: dict[int, tuple[str, Callable[[bytes, Session], object]]] = {
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


def _merge_as4(fields: dict[str, Any], as4: dict[int, Any]) -> None:
    """Put the true AS numbers of a 2-octet peer in their places, RFC 6793 §4.2.3."""
    aggregator = fields.get("aggregator")
    if aggregator and AS4_AGGREGATOR in as4:
        if aggregator[0] != AS_TRANS:
            # A speaker of 2 octets has aggregated behind: both AS4 attributes are stale.
            return
        fields["aggregator"] = as4[AS4_AGGREGATOR]
    path: tuple[Segment, ...] = fields.get("as_path", ())
    true: tuple[Segment, ...] = as4.get(AS4_PATH, ())
    surplus = _hops(path) - _hops(true)
    if not true or surplus < 0:
        return
    leading: list[Segment] = []
    for segment in path:
        if surplus <= 0:
            break
        if segment.kind is SegmentType.AS_SEQUENCE:
            leading.append(Segment(segment.kind, segment.asns[:surplus]))
            surplus -= len(segment.asns)
        else:
            leading.append(segment)
            surplus -= segment.kind is SegmentType.AS_SET
    if (
        leading
        and leading[-1].kind is true[0].kind is SegmentType.AS_SEQUENCE
        and len(leading[-1].asns) + len(true[0].asns) <= 255
    ):
        # One sequence again, as the path was before it met a 2-octet speaker.
        joined = Segment(SegmentType.AS_SEQUENCE, leading.pop().asns + true[0].asns)
        true = (joined, *true[1:])
    fields["as_path"] = (*leading, *true)


def _hops(path: tuple[Segment, ...]) -> int:
    return PathAttributes(as_path=path).as_path_length


def withdrawing(faults: Iterable[Fault]) -> bool:
    """True if any of these costs the routes."""
    return any(f.verdict.severity > Verdict.ATTRIBUTE_DISCARD.severity for f in faults)
