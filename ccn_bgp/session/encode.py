"""Updates as octets: PathAttributes and NLRI in, whole BGP messages out. Pure.

Equal input gives equal octets: MP_REACH_NLRI stands first (RFC 7606 §5.1), the other attributes in
ascending order of their codes, families in a fixed order, NLRI in the order given.
RFC 4271 §4, 4724, 4760, 6793, 7432, 9136.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ccn_bgp.model.bgp import Asn, Family
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.session import attributes as wire
from ccn_bgp.session.attributes import AS_TRANS, EXTENDED, OPTIONAL, PARTIAL, TRANSITIVE

MARKER = b"\xff" * 16
_OPEN_END = 23  # header, both length fields
_WITHDRAWN = 0
_FAMILY_ORDER = (Family.IPV4_UNICAST, Family.IPV6_UNICAST, Family.EVPN)


def encode_attributes(attributes: PathAttributes, asn4: bool = True) -> bytes:
    """All attributes but MP_REACH_NLRI and NEXT_HOP, which depend on the family.

    Without ``asn4`` AS numbers over 65535 travel as AS_TRANS and in AS4_PATH and AS4_AGGREGATOR
    (RFC 6793 §4.2.2). Unknown attributes leave with the Partial bit set (RFC 4271 §5).
    """
    return b"".join(octets for _, octets in sorted(_attributes(attributes, asn4)))


def encode_nlri(nlri: Nlri) -> bytes:
    """One NLRI as it stands in its field."""
    if isinstance(nlri, Unicast):
        prefix = nlri.prefix
        return prefix[-1:] + prefix[: (prefix[-1] + 7) // 8]
    if isinstance(nlri, EvpnPrefix):
        prefix = nlri.prefix
        address = prefix[:-1]
        return b"".join(
            (
                b"\x05\x22" if len(address) == 4 else b"\x05\x3a",
                nlri.rd,
                nlri.esi,
                nlri.etag.to_bytes(4, "big"),
                prefix[-1:],
                address,
                nlri.gateway or bytes(len(address)),
                nlri.vni.to_bytes(3, "big"),
            )
        )
    if isinstance(nlri, EvpnMacIp):
        ip = nlri.ip or b""
        value = b"".join(
            (
                nlri.rd,
                nlri.esi,
                nlri.etag.to_bytes(4, "big"),
                b"\x30",
                nlri.mac,
                bytes((len(ip) * 8,)),
                ip,
                nlri.vni.to_bytes(3, "big"),
                b"" if nlri.vni2 is None else nlri.vni2.to_bytes(3, "big"),
            )
        )
        return bytes((2, len(value))) + value
    return bytes((nlri.kind, len(nlri.value))) + nlri.value


def encode_updates(
    announce: Iterable[tuple[PathAttributes, Sequence[Nlri]]],
    withdraw: Sequence[Nlri] = (),
    asn4: bool = True,
    max_length: int = 4096,
) -> Iterator[bytes]:
    """Whole UPDATE messages: the withdrawals first, then the announcements in the order given.

    As many NLRI stand in a message as fit into ``max_length`` octets (4096, or 65535 where extended
    messages were negotiated, RFC 8654). Groups with the same attributes are joined. Routes whose
    attributes leave no room are withdrawn instead of announced (RFC 8654 §4).
    """
    groups: dict[PathAttributes, list[Nlri]] = {}
    for attributes, routes in announce:
        groups.setdefault(attributes, []).extend(routes)
    yield from _withdrawals(withdraw, max_length)
    for attributes, routes in groups.items():
        common = sorted(_attributes(attributes, asn4))
        for family, members in _by_family(routes):
            yield from _announcements(attributes, common, family, members, max_length)


def end_of_rib(family: Family) -> bytes:
    """The End-of-RIB marker of a family, RFC 4724 §2."""
    if family is Family.IPV4_UNICAST:
        return _update(b"", b"", b"")
    return _update(b"", _attribute(OPTIONAL, wire.MP_UNREACH, _afi_safi(family)), b"")


def route_refresh(family: Family, subtype: int = 0) -> bytes:
    """ROUTE-REFRESH, RFC 2918 §3; ``subtype`` 1 and 2 mark begin and end (RFC 7313 §3)."""
    afi, safi = family.value
    return _message(5, afi.to_bytes(2, "big") + bytes((subtype, safi)))


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    """NOTIFICATION, RFC 4271 §4.5."""
    return _message(3, bytes((code, subcode)) + data)


def _by_family(routes: Sequence[Nlri]) -> Iterator[tuple[Family, list[Nlri]]]:
    found: dict[Family, list[Nlri]] = {family: [] for family in _FAMILY_ORDER}
    for nlri in routes:
        found[nlri.family].append(nlri)
    for family, members in found.items():
        if members:
            yield family, members


@dataclass(frozen=True, slots=True)
class Frame:
    """An UPDATE but for its NLRI. ``room``: how many octets of them fit in.

    ``field``: the attribute that they stand in (MP_REACH_NLRI, MP_UNREACH_NLRI), or None for the
    NLRI field of IPv4, or 0 for its withdrawn routes. ``head`` stands before them, ``rest`` after.
    """

    room: int
    field: int | None
    head: bytes
    rest: bytes

    def around(self, size: int) -> tuple[bytes, bytes]:
        """What stands before and after ``size`` octets of NLRI, header included."""
        head = self.head
        if self.field == _WITHDRAWN:
            head = size.to_bytes(2, "big")
        elif self.field is not None:
            value = len(head) + size
            if value > 255:
                kind = bytes((OPTIONAL | EXTENDED, self.field)) + value.to_bytes(2, "big")
            else:
                kind = bytes((OPTIONAL, self.field, value))
            length = len(kind) + value + len(self.rest)
            head = b"".join((b"\0\0", length.to_bytes(2, "big"), kind, head))
        length = 19 + len(head) + size + len(self.rest)
        return b"".join((MARKER, length.to_bytes(2, "big"), b"\2", head)), self.rest


def withdrawing(family: Family, max_length: int) -> Frame:
    """The frame of withdrawals."""
    if family is Family.IPV4_UNICAST:
        return Frame(max_length - _OPEN_END, _WITHDRAWN, b"", b"\0\0")
    return Frame(max_length - _OPEN_END - 7, wire.MP_UNREACH, _afi_safi(family), b"")


def announcing(attributes: PathAttributes, family: Family, asn4: bool, max_length: int) -> Frame:
    """The frame of announcements; ValueError: a next hop that the family cannot have."""
    return _announcing(attributes, sorted(_attributes(attributes, asn4)), family, max_length)


def _announcing(
    attributes: PathAttributes, common: list[tuple[int, bytes]], family: Family, max_length: int
) -> Frame:
    next_hop = attributes.next_hop
    if next_hop is None:
        raise ValueError(f"routes of {family.text} without a next hop cannot be announced")
    if family is Family.IPV4_UNICAST:
        if len(next_hop) != 4:
            raise ValueError(f"{next_hop} cannot be the next hop of IPv4 routes")
        hop = (wire.NEXT_HOP, _attribute(TRANSITIVE, wire.NEXT_HOP, next_hop))
        blob = b"".join(octets for _, octets in sorted([*common, hop]))
        # Over 65535 the length wraps; there is no room then, and such a frame is never used.
        head = b"\0\0" + (len(blob) & 0xFFFF).to_bytes(2, "big") + blob
        return Frame(max_length - _OPEN_END - len(blob), None, head, b"")
    head = _afi_safi(family) + bytes((len(next_hop),)) + next_hop + b"\0"
    rest = b"".join(octets for _, octets in common)
    room = max_length - _OPEN_END - len(rest) - 4 - len(head)
    return Frame(room, wire.MP_REACH, head, rest)


def _withdrawals(routes: Sequence[Nlri], max_length: int) -> Iterator[bytes]:
    for family, members in _by_family(routes):
        frame = withdrawing(family, max_length)
        for packed in _packed(members, frame.room):
            yield _framed(frame, packed)


def _announcements(
    attributes: PathAttributes,
    common: list[tuple[int, bytes]],
    family: Family,
    members: list[Nlri],
    max_length: int,
) -> Iterator[bytes]:
    frame = _announcing(attributes, common, family, max_length)
    too_large: list[Nlri] = []
    for packed in _packed(members, frame.room, too_large):
        yield _framed(frame, packed)
    yield from _withdrawals(too_large, max_length)


def _framed(frame: Frame, packed: bytes) -> bytes:
    before, after = frame.around(len(packed))
    return b"".join((before, packed, after))


def _packed(
    routes: Sequence[Nlri], room: int, too_large: list[Nlri] | None = None
) -> Iterator[bytes]:
    """The NLRI in portions of at most ``room`` octets; what fits into none goes to the list."""
    portion: list[bytes] = []
    size = 0
    for nlri in routes:
        octets = encode_nlri(nlri)
        if len(octets) > room:
            if too_large is not None:
                too_large.append(nlri)
            continue
        if size + len(octets) > room:
            yield b"".join(portion)
            portion, size = [], 0
        portion.append(octets)
        size += len(octets)
    if portion:
        yield b"".join(portion)


def _attributes(attributes: PathAttributes, asn4: bool) -> Iterator[tuple[int, bytes]]:
    a = attributes
    path = _chunks(a.as_path)
    yield wire.ORIGIN, _attribute(TRANSITIVE, wire.ORIGIN, bytes((a.origin,)))
    yield wire.AS_PATH, _attribute(TRANSITIVE, wire.AS_PATH, _as_path(path, 4 if asn4 else 2))
    if not asn4 and any(asn > 0xFFFF for s in path for asn in s.asns):
        plain = tuple(s for s in path if s.kind <= SegmentType.AS_SEQUENCE)
        yield _both(wire.AS4_PATH, _as_path(plain, 4))
    if a.med is not None:
        yield wire.MED, _attribute(OPTIONAL, wire.MED, a.med.to_bytes(4, "big"))
    if a.local_pref is not None:
        value = a.local_pref.to_bytes(4, "big")
        yield wire.LOCAL_PREF, _attribute(TRANSITIVE, wire.LOCAL_PREF, value)
    if a.atomic_aggregate:
        yield wire.ATOMIC_AGGREGATE, _attribute(TRANSITIVE, wire.ATOMIC_AGGREGATE, b"")
    if a.aggregator:
        asn, address = a.aggregator
        yield _both(wire.AGGREGATOR, _asn(asn, 4 if asn4 else 2) + address)
        if not asn4 and asn > 0xFFFF:
            yield _both(wire.AS4_AGGREGATOR, _asn(asn, 4) + address)
    if a.communities:
        yield _both(wire.COMMUNITIES, b"".join(c.to_bytes(4, "big") for c in a.communities))
    if a.originator_id is not None:
        yield wire.ORIGINATOR_ID, _attribute(OPTIONAL, wire.ORIGINATOR_ID, a.originator_id)
    if a.cluster_list:
        value = b"".join(a.cluster_list)
        yield wire.CLUSTER_LIST, _attribute(OPTIONAL, wire.CLUSTER_LIST, value)
    if a.extended_communities:
        yield _both(wire.EXTENDED_COMMUNITIES, b"".join(a.extended_communities))
    if a.large_communities:
        words = (word.to_bytes(4, "big") for c in a.large_communities for word in c)
        yield _both(wire.LARGE_COMMUNITIES, b"".join(words))
    if a.only_to_customer is not None:
        yield _both(wire.ONLY_TO_CUSTOMER, a.only_to_customer.to_bytes(4, "big"))
    for flags, code, value in a.unknown:
        partial = 0 if code in wire.NAMES else PARTIAL
        yield code, _attribute(flags & ~EXTENDED & 0xF0 | partial, code, value)


def _both(code: int, value: bytes) -> tuple[int, bytes]:
    return code, _attribute(OPTIONAL | TRANSITIVE, code, value)


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    if len(value) > 255:
        # Over 65535 the length wraps; such an attribute fits into no message and is never sent.
        length = len(value) & 0xFFFF
        return bytes((flags | EXTENDED, code)) + length.to_bytes(2, "big") + value
    return bytes((flags, code, len(value))) + value


def _chunks(path: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Segments of at most 255 AS numbers: their count is one octet (RFC 4271 §4.3)."""
    if all(0 < len(asns) <= 255 for _, asns in path):
        return path
    return tuple(
        Segment(kind, asns[start : start + 255])
        for kind, asns in path
        for start in range(0, len(asns), 255)
    )


def _as_path(path: tuple[Segment, ...], width: int) -> bytes:
    if width == 4:
        return b"".join(
            struct.pack(f">BB{len(asns)}I", kind, len(asns), *asns) for kind, asns in path
        )
    return b"".join(
        bytes((kind, len(asns))) + b"".join(_asn(asn, width) for asn in asns) for kind, asns in path
    )


def _asn(asn: Asn, width: int) -> bytes:
    if width == 2 and asn > 0xFFFF:
        return AS_TRANS.to_bytes(2, "big")
    return asn.to_bytes(width, "big")


def _afi_safi(family: Family) -> bytes:
    afi, safi = family.value
    return bytes((0, afi, safi))


def _update(withdrawn: bytes, attributes: bytes, nlri: bytes) -> bytes:
    return _message(
        2,
        b"".join(
            (
                len(withdrawn).to_bytes(2, "big"),
                withdrawn,
                len(attributes).to_bytes(2, "big"),
                attributes,
                nlri,
            )
        ),
    )


def _message(kind: int, body: bytes) -> bytes:
    return MARKER + (19 + len(body)).to_bytes(2, "big") + bytes((kind,)) + body
