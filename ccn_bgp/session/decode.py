"""BGP messages of one session: octets in, Updates and RouteRefreshes out.

Pure, and for hostile bytes: nothing here raises, every broken rule comes back as a value with its
RFC section. RFC 4271 §4 and §6, 4760, 6793, 7313, 7432, 7606, 8654, 9136, 9234.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ccn_bgp.model.bgp import Family, Ip, Mac
from ccn_bgp.model.path import EvpnPrefix, PathAttributes
from ccn_bgp.model.reason import Malformed
from ccn_bgp.session import attributes as wire
from ccn_bgp.session import decode_messages
from ccn_bgp.session.decode_attributes import AttributeSet, Split, split
from ccn_bgp.session.decode_cache import NOTHING, AttributeCache
from ccn_bgp.session.decode_faults import (
    HEADER_ERROR,
    REFRESH_ERROR,
    Fault,
    Verdict,
    discard,
    reset,
    strongest,
    withdraw,
    withdrawing,
)
from ccn_bgp.session.decode_update import (
    Decoded,
    RouteRefresh,
    Update,
    reset_update,
    usable_update,
    withdrawn_update,
)
from ccn_bgp.session.nlri import (
    INVALID_NETWORK_FIELD,
    OPTIONAL_ATTRIBUTE_ERROR,
    DistinguisherCache,
    ParsedNlri,
    parse_evpn,
    parse_unicast,
)

__all__ = ["Decoder", "RouteRefresh", "SessionParameters", "Update", "Verdict"]

MARKER = b"\xff" * 16
UPDATE, ROUTE_REFRESH = 2, 5
_ALL_FAMILIES = frozenset(Family)
_FAMILIES = {family.value: family for family in Family}
NEXT_HOP_LENGTHS = {
    Family.IPV4_UNICAST: (4,),
    Family.IPV6_UNICAST: (16, 32),
    Family.EVPN: (4, 16),
}
_MANDATORY = (wire.ORIGIN, wire.AS_PATH)
VXLAN = 8
_NO_NLRI = ParsedNlri()


@dataclass(frozen=True, slots=True)
class SessionParameters:
    """What OPEN negotiated and configuration say of one session.

    ``label_is_mpls``: routes without the VXLAN encapsulation community carry an MPLS label, VNI =
    label field >> 4; otherwise the VNI fills all 24 bits (RFC 8365 §5.1.3). ``enforce_first_as``:
    an external peer's own AS must be the leftmost of AS_PATH (RFC 4271 §6.3).
    """

    peer: str
    peer_asn: int
    local_asn: int
    asn4: bool = True
    families: frozenset[Family] = _ALL_FAMILIES
    label_is_mpls: bool = False
    enforce_first_as: bool = True

    @property
    def external(self) -> bool:
        """True for eBGP."""
        return self.peer_asn != self.local_asn


class Decoder:
    """Decodes one session. Keeps parsed attributes, so that equal octets give the same object."""

    def __init__(self, session: SessionParameters) -> None:
        self.session = session
        self.cache = AttributeCache(wire.Session(session.external, session.asn4))
        self._distinguishers = DistinguisherCache()

    def block(self, raw: bytes) -> Iterator[Decoded]:
        """Decode whole messages that stand one behind the other. Ends after a session reset."""
        position, end = 0, len(raw)
        while position < end:
            length = raw[position + 16] << 8 | raw[position + 17] if position + 18 <= end else 0
            stop = min(position + max(length, 19), end)
            for decoded in self.message(raw[position:stop]):
                yield decoded
                if isinstance(decoded, Update) and decoded.verdict is Verdict.SESSION_RESET:
                    return
            position = stop

    def message(self, raw: bytes) -> tuple[Decoded, ...]:
        """Decode one message with its 19-octet header.

        An UPDATE whose IPv4 routes and MP_REACH_NLRI have different next hops gives two Updates;
        a correct message that says nothing of routes (OPEN, KEEPALIVE, NOTIFICATION, a refresh of
        a family that was not negotiated) gives none.
        """
        if len(raw) < 19:
            return _header(f"length {len(raw)} is under 19")
        if raw[:16] != MARKER:
            text = "the marker is not all ones"
            return (reset_update([reset("RFC 4271 §6.1", text, HEADER_ERROR, 1)]),)
        length = raw[16] << 8 | raw[17]
        if length != len(raw):
            return _header(f"the header says {length} octets, there are {len(raw)}")
        kind = raw[18]
        if kind == UPDATE:
            return self._update(raw)
        if kind == ROUTE_REFRESH:
            return self._refresh(raw)
        fault = decode_messages.check(raw)
        return (reset_update([fault]),) if fault else ()

    def _refresh(self, raw: bytes) -> tuple[Decoded, ...]:
        if len(raw) < 23:
            return _header(f"ROUTE-REFRESH: length {len(raw)} is under 23")
        subtype = raw[21]
        if subtype in (1, 2) and len(raw) != 23:
            text = f"ROUTE-REFRESH of subtype {subtype}: length {len(raw)}, not 23"
            return (reset_update([reset("RFC 7313 §5", text, REFRESH_ERROR, 1)]),)
        family = _FAMILIES.get((raw[19] << 8 | raw[20], raw[22]))
        if subtype > 2 or family is None or family not in self.session.families:
            return ()  # to be ignored: RFC 7313 §5, RFC 2918 §4
        return (RouteRefresh(family, subtype),)

    def _update(self, raw: bytes) -> tuple[Update, ...]:
        end = len(raw)
        if end < 23:
            return _header(f"UPDATE: length {end} is under 23")
        attributes_at = 21 + (raw[19] << 8 | raw[20])
        if attributes_at + 2 > end:
            return _list_broken("UPDATE: the withdrawn routes end behind the message")
        blob_at = attributes_at + 2
        nlri_at = blob_at + (raw[attributes_at] << 8 | raw[attributes_at + 1])
        if nlri_at > end:
            return _list_broken("UPDATE: the path attributes end behind the message")
        if end == 23:
            return self._end_of_rib(Family.IPV4_UNICAST)
        rest, reach, unreach, broken = self._split(raw[blob_at:nlri_at])
        if unreach and not rest and not reach and attributes_at == 21 and nlri_at == end:
            flags, value = unreach
            if len(value) == 3 and flags & 0xC0 == wire.OPTIONAL:  # RFC 4724 §2
                return self._end_of_rib(_FAMILIES.get((value[0] << 8 | value[1], value[2])))

        known = self.cache.parsed(rest) if rest else NOTHING
        faults = [*known.faults]
        if broken:
            faults.append(broken)
        classic = before = gone = _NO_NLRI
        arrived = _NO_REACH
        if attributes_at > 21:
            before = self._classic(raw[21:attributes_at], "withdrawn routes", faults)
        if unreach:
            gone = self._unreach(*unreach, faults)
        if reach:
            arrived = self._reach(*reach, known.base, faults)
        if nlri_at < end:
            classic = self._classic(raw[nlri_at:], "NLRI", faults)
        if not classic.empty or arrived.reachable:
            faults += self.mandatory(known, classic=not classic.empty)
        elif withdrawing(faults) and (rest or reach):
            # RFC 7606 §5.2: attributes without a route in sight; one may have been overlooked.
            text = "faulty attributes, and no reachable NLRI to treat as withdrawn"
            faults.append(reset("RFC 7606 §5.2", text))
        fields = (before, gone, classic, arrived.nlri)
        verdict = Verdict.OK
        errors: tuple[Malformed, ...] = ()
        if faults or classic.faults or arrived.nlri.faults or before.faults or gone.faults:
            everything = list(dict.fromkeys(chain(faults, *(f.faults for f in fields))))
            verdict = strongest(everything)
            if verdict is Verdict.SESSION_RESET:
                return (reset_update(everything),)
            errors = tuple(f.reason for f in everything)
            if withdrawing(faults):
                return (withdrawn_update(verdict, errors, fields),)
        shared = NOTHING.base
        if arrived.nlri.usable:
            shared = self.cache.share(known.base, rest, arrived.next_hop)
        return usable_update(verdict, errors, fields, known.base, shared)

    def _end_of_rib(self, family: Family | None) -> tuple[Update, ...]:
        if family not in self.session.families:
            family = None
        return (Update(Verdict.OK, end_of_rib=family),)

    def _split(self, blob: bytes) -> Split:
        """As ``wire.split``, but quick where MP_REACH_NLRI stands first (RFC 7606 §5.1) and what
        follows has been seen before: such octets hold no further multiprotocol attribute."""
        if len(blob) > 4 and blob[1] == wire.MP_REACH:
            value_at, stop = 3, 3 + blob[2]
            if blob[0] & wire.EXTENDED:
                value_at, stop = 4, 4 + (blob[2] << 8 | blob[3])
            rest = blob[stop:]
            if stop <= len(blob) and rest in self.cache.sets:
                return Split(rest, (blob[0], blob[value_at:stop]), None, None)
        return split(blob)

    def _classic(self, data: bytes, where: str, faults: list[Fault]) -> ParsedNlri:
        parsed = parse_unicast(data, 4, where, INVALID_NETWORK_FIELD)
        if Family.IPV4_UNICAST not in self.session.families:
            faults.append(_not_negotiated(where, 1, 1))
            return ParsedNlri(faults=parsed.faults, empty=False)
        return parsed

    def _reach(self, flags: int, value: bytes, base: PathAttributes, faults: list[Fault]) -> _Reach:
        """MP_REACH_NLRI, RFC 4760 §3, RFC 7606 §5.3 and §7.11."""
        if len(value) < 5:
            faults.append(_too_short("MP_REACH_NLRI", value, 5))
            return _NO_REACH
        faults += _bad_flags("MP_REACH_NLRI", flags)
        afi, safi, size = value[0] << 8 | value[1], value[2], value[3]
        family = _FAMILIES.get((afi, safi))
        if family is None or family not in self.session.families:
            # Also the state in which RFC 4760 §7 leaves a family after an error: ignored.
            faults.append(_not_negotiated("MP_REACH_NLRI", afi, safi))
            return _Reach(b"", _NO_NLRI, len(value) > size + 5)
        if size not in NEXT_HOP_LENGTHS[family] or len(value) < size + 5:
            text = f"MP_REACH_NLRI: a next hop of {size} octets for {family.text}"
            faults.append(reset("RFC 7606 §7.11", text, subcode=OPTIONAL_ATTRIBUTE_ERROR))
            return _NO_REACH
        next_hop = value[4 : 4 + min(size, 16)]
        parsed = self._routes(family, value[5 + size :], base, announcing=True)
        if not parsed.empty:
            if why_not := wire.bad_next_hop(Ip(next_hop)):
                text = f"MP_REACH_NLRI: next hop {Ip(next_hop)} {why_not}"
                faults.append(withdraw("RFC 4271 §6.3", text))
            mac = base.router_mac
            if mac and bad_mac(mac) and any(type(n) is EvpnPrefix for n in parsed.usable):
                text = f"type 5 with Router's MAC {mac}, which is not a unicast address"
                faults.append(withdraw("RFC 9136 §3.2", text))
        return _Reach(next_hop, parsed, not parsed.empty)

    def _unreach(self, flags: int, value: bytes, faults: list[Fault]) -> ParsedNlri:
        """MP_UNREACH_NLRI, RFC 4760 §4, RFC 7606 §5.3."""
        if len(value) < 3:
            faults.append(_too_short("MP_UNREACH_NLRI", value, 3))
            return _NO_NLRI
        faults += _bad_flags("MP_UNREACH_NLRI", flags)
        afi, safi = value[0] << 8 | value[1], value[2]
        family = _FAMILIES.get((afi, safi))
        if family is None or family not in self.session.families:
            faults.append(_not_negotiated("MP_UNREACH_NLRI", afi, safi))
            return _NO_NLRI
        return self._routes(family, value[3:], NOTHING.base, announcing=False)

    def _routes(
        self, family: Family, data: bytes, base: PathAttributes, *, announcing: bool
    ) -> ParsedNlri:
        if family is not Family.EVPN:
            width = 4 if family is Family.IPV4_UNICAST else 16
            where = "MP_REACH_NLRI" if announcing else "MP_UNREACH_NLRI"
            return parse_unicast(data, width, where, OPTIONAL_ATTRIBUTE_ERROR)
        mpls = self.session.label_is_mpls and base.encapsulation != VXLAN
        return parse_evpn(
            data,
            self._distinguishers,
            announcing=announcing,
            label_shift=4 if mpls else 0,
            router_mac=base.router_mac is not None,
        )

    def mandatory(self, known: AttributeSet, *, classic: bool) -> list[Fault]:
        """What every announcement must carry (RFC 7606 §3 d), and that its path begins at the
        peer and, for ``classic`` NLRI, its NEXT_HOP is a host."""
        faults = []
        for code in (wire.ORIGIN, wire.AS_PATH, wire.NEXT_HOP) if classic else _MANDATORY:
            if code not in known.seen:
                faults.append(withdraw("RFC 7606 §3 d", f"{wire.NAMES[code]} is missing"))
        base, session = known.base, self.session
        if classic and base.next_hop is not None and (why := wire.bad_next_hop(base.next_hop)):
            faults.append(withdraw("RFC 4271 §6.3", f"NEXT_HOP: {base.next_hop} {why}"))
        if (
            session.enforce_first_as
            and session.external
            and wire.AS_PATH in known.seen
            and base.first_asn != session.peer_asn
            and not withdrawing(known.faults)
        ):
            text = f"AS_PATH: '{base.as_path_text}' does not begin with the peer's AS"
            faults.append(withdraw("RFC 4271 §6.3", f"{text} {session.peer_asn}"))
        return faults


class _Reach(NamedTuple):
    """What MP_REACH_NLRI brought; ``reachable`` if there were any octets of NLRI."""

    next_hop: bytes
    nlri: ParsedNlri
    reachable: bool


_NO_REACH = _Reach(b"", _NO_NLRI, False)


def _bad_flags(name: str, flags: int) -> list[Fault]:
    if flags & 0xC0 == wire.OPTIONAL:
        return []
    # Its routes are read all the same, so that they can be treated as withdrawn.
    return [withdraw("RFC 7606 §3 c", f"{name}: the flags are 0x{flags:02x}")]


def _too_short(name: str, value: bytes, least: int) -> Fault:
    text = f"{name}: length {len(value)} is under {least}"
    return reset("RFC 7606 §5.3", text, subcode=OPTIONAL_ATTRIBUTE_ERROR)


def bad_mac(mac: Mac) -> bool:
    """Not the address of one interface: a group's, or all zero."""
    return bool(mac[0] & 1) or not any(mac)


def _not_negotiated(where: str, afi: int, safi: int) -> Fault:
    return discard("RFC 4760 §8", f"{where}: AFI {afi} SAFI {safi} was not negotiated")


def _header(text: str) -> tuple[Update, ...]:
    return (reset_update([reset("RFC 4271 §6.1", text, HEADER_ERROR, 2)]),)


def _list_broken(text: str) -> tuple[Update, ...]:
    return (reset_update([reset("RFC 4271 §6.3", text)]),)
