"""The path attributes of an UPDATE: a blob of octets in, values and faults out; never raises.

MP_REACH_NLRI and MP_UNREACH_NLRI are taken out first (``split``), so equal blobs can be parsed once
and shared. RFC 4271 §6.3, RFC 7606 §3 and §4, RFC 6793 §4.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, UnknownAttribute, holding
from ccn_bgp.session.attributes import (
    AS4_AGGREGATOR,
    AS4_PATH,
    AS_TRANS,
    EXTENDED,
    EXTENDED_COMMUNITIES,
    KIND,
    MED,
    MP_REACH,
    MP_UNREACH,
    NAMES,
    OPTIONAL,
    READERS,
    TRANSITIVE,
    UNRECOGNIZED_WELL_KNOWN,
    Session,
)
from ccn_bgp.session.decode_faults import Fault, discard, reset, withdraw


class AttributeSet(NamedTuple):
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
    repeated: set[int] = set()
    position = 0
    for flags, code, _, value_at, position in walk(blob):
        if code in repeated:
            continue  # said already: thousands fit into one message
        if code in seen:
            repeated.add(code)
            name = NAMES.get(code, f"attribute {code}")
            text = f"{name} stands there twice, the first counts"
            faults.append(discard("RFC 7606 §3 g", text))
            continue
        seen.add(code)
        value = blob[value_at:position]
        reader = READERS.get(code)
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
    return AttributeSet(attributes_of(fields), frozenset(seen), tuple(faults))


Value = tuple[int, str, Any]
"""What one good attribute says: its code, the field of PathAttributes and its value; without a
name, the value is several fields."""


def parse_good(
    blob: bytes, session: Session, values: dict[bytes, Value], next_hop: Ip | None = None
) -> tuple[PathAttributes, list[int]] | None:
    """As ``parse``, far quicker: attributes and codes, or None if there are faults, or attributes
    that are rare or multiprotocol. ``values`` keeps what each attribute's octets say; ``next_hop``
    is that of MP_REACH_NLRI, if given."""
    fields: dict[str, Any] = {}
    codes: list[int] = []
    position, end = 0, len(blob)
    while position + 3 <= end:
        if blob[position] & EXTENDED:
            if position + 4 > end:
                return None
            stop = position + 4 + (blob[position + 2] << 8 | blob[position + 3])
        else:
            stop = position + 3 + blob[position + 2]
        octets = blob[position:stop]
        known = values.get(octets)
        if known is None:
            if stop > end or (known := _good(octets, session)) is None:
                return None
            if known[0] != MED:  # a number: read as quickly as found
                values[octets] = known
        code, name, value = known
        if code in codes:
            return None
        codes.append(code)
        if name:
            fields[name] = value
        else:
            fields.update(value)
        position = stop
    if position != end:
        return None
    if next_hop is not None:
        fields["next_hop"] = next_hop
    return holding(fields), codes


def _good(octets: bytes, session: Session) -> Value | None:
    """One whole attribute, or None if it is not good or has no field of its own."""
    flags, code = octets[0], octets[1]
    name, read = READERS.get(code, ("", None))
    if not name or read is None or flags & 0xC0 != KIND.get(code, OPTIONAL | TRANSITIVE):
        return None
    result = read(octets[4 if flags & EXTENDED else 3 :], session)
    if type(result) is Fault:
        return None
    if code != EXTENDED_COMMUNITIES:
        return code, name, result
    # Few sets of communities, many sets of attributes: what they mean is found out once.
    fields = {name: result}
    made = holding(fields)
    for meaning in _MEANINGS:
        fields[meaning] = getattr(PathAttributes, meaning).func(made)
    return code, "", fields


_MEANINGS = ("route_targets", "router_mac", "encapsulation")


_NO_FIELDS = holding({})


def attributes_of(fields: dict[str, Any], base: PathAttributes = _NO_FIELDS) -> PathAttributes:
    """``base`` with these fields. Far quicker than ``dataclasses.replace``, which counts where
    every route has attributes of its own."""
    return holding(base.__dict__ | fields)


def _remainder(rest: bytes) -> Fault:
    if len(rest) < 3 or (rest[0] & EXTENDED and len(rest) < 4):
        return withdraw("RFC 7606 §4", f"{len(rest)} octets behind the last attribute")
    name = NAMES.get(rest[1], f"attribute {rest[1]}")
    text = f"{name} ends behind the total attribute length"
    if rest[1] in (MP_REACH, MP_UNREACH):
        # Its routes cannot be found, so they cannot be withdrawn either (§3 j).
        return reset("RFC 7606 §3 j", text)
    return withdraw("RFC 7606 §4", text)


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
