"""NLRI fields of UPDATE messages: octets in, NLRI values and faults out; never raises.

A field whose framing breaks ends the session (RFC 7606 §5.3: nothing behind the break can be
trusted). An EVPN route that is well framed but wrong inside costs only that route: it counts as
withdrawn (RFC 7606 §3 j, RFC 9136 §3.1 and §3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct

from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, Unicast
from ccn_bgp.session.decode_faults import Fault, reset, withdraw

NO_ESI = bytes(10)
INVALID_NETWORK_FIELD = 10
OPTIONAL_ATTRIBUTE_ERROR = 9

_MASK4 = [(0xFFFFFFFF << (32 - n)) & 0xFFFFFFFF for n in range(33)]
_PREFIX4 = Struct(">IB").pack
_TYPE5_V4 = Struct(">8s10sIBI4sBH").unpack_from
_TYPE5_V6 = Struct(">8s10sIB16s16sBH").unpack_from
_TYPE2 = Struct(">8s10sIB6sB").unpack_from
_NO_GATEWAY4, _NO_GATEWAY6 = bytes(4), bytes(16)


@dataclass(slots=True)
class ParsedNlri:
    """One field. ``unusable`` holds routes that count as withdrawn, before ``usable`` counts;
    ``empty`` says that the field had no octets at all."""

    usable: list[Nlri] = field(default_factory=list)
    unusable: list[Nlri] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    empty: bool = True
    _replaced: dict[bytes, int] = field(default_factory=dict)

    def refuse(self, nlri: Nlri, why: Fault) -> None:
        """The route counts as withdrawn, and so does what the field said of it before."""
        self.faults.append(why)
        self.unusable.append(nlri)
        self._replaced[nlri.key] = len(self.usable)

    def settle(self) -> None:
        """Called at the end of a field: the last word on each route holds, as if each stood in a
        message of its own."""
        if self._replaced:
            first = self._replaced.get
            self.usable = [n for i, n in enumerate(self.usable) if i >= first(n.key, 0)]


class DistinguisherCache(dict[bytes, RouteDistinguisher]):
    """Few distinguishers stand in many routes; one object each. Bounded."""

    def __missing__(self, raw: bytes) -> RouteDistinguisher:
        if len(self) >= 65536:
            self.clear()
        self[raw] = found = RouteDistinguisher(raw)
        return found


def parse_unicast(data: bytes, width: int, where: str, subcode: int) -> ParsedNlri:
    """IPv4 (``width`` 4) or IPv6 (16) prefixes, RFC 4271 §4.3. Trailing bits are irrelevant there,
    so host bits are cleared. ``where`` and ``subcode`` name the field if it is broken."""
    parsed = ParsedNlri(empty=not data)
    usable = parsed.usable
    position, end, bits = 0, len(data), width * 8
    made: dict[bytes, Unicast] = {}  # one that stands there again and again is one object
    while position < end:
        length = data[position]
        stop = position + 1 + (length + 7) // 8
        if (again := made.get(raw := data[position:stop])) is not None:
            usable.append(again)
            position = stop
            continue
        if length > bits:
            text = f"{where}: prefix length {length} is over {bits}"
            parsed.faults.append(reset("RFC 7606 §5.3", text, subcode=subcode))
            break
        if stop > end:
            text = f"{where}: the last prefix (/{length}) ends behind the field"
            parsed.faults.append(reset("RFC 7606 §5.3", text, subcode=subcode))
            break
        address = data[position + 1 : stop].ljust(width, b"\0")
        if length & 7:
            nlri = Unicast(Prefix.of(address, length))
        else:
            nlri = Unicast(Prefix(address + data[position : position + 1]))
        made[raw] = nlri
        usable.append(nlri)
        position = stop
    return parsed


def parse_evpn(
    data: bytes,
    distinguishers: DistinguisherCache,
    *,
    announcing: bool,
    label_shift: int = 0,
    router_mac: bool = True,
) -> ParsedNlri:
    """EVPN routes (RFC 7432 §7, RFC 9136 §3.1).

    ``label_shift`` is 4 if the label field holds an MPLS label instead of a VNI (RFC 8365 §5.1.3).
    Route types that are not known are dropped without a word (RFC 7606 §5.4). When announcing,
    routes that RFC 9136 calls unusable are refused; ``router_mac`` says whether the attributes hold
    a Router's MAC, the last overlay index that a zero label may rest on (§3.1).
    """
    parsed = ParsedNlri(empty=not data)
    usable, faults = parsed.usable, parsed.faults
    position, end = 0, len(data)
    new = tuple.__new__
    while position < end:
        if position + 2 > end or (stop := position + 2 + data[position + 1]) > end:
            text = "the last EVPN route ends behind its attribute"
            faults.append(reset("RFC 7606 §5.3", text, subcode=OPTIONAL_ATTRIBUTE_ERROR))
            break
        kind, length = data[position], stop - position - 2
        if kind == 5 and length == 34:
            rd, esi, etag, bits, number, gateway, high, low = _TYPE5_V4(data, position + 2)
            position = stop
            if bits > 32:
                text = f"type 5: prefix length {bits} is over 32"
                faults.append(withdraw("RFC 9136 §3.1", text))
                continue
            # RFC 9136 says nothing of host bits; RFC 4271 §4.3 calls them irrelevant: cleared.
            prefix = Prefix(_PREFIX4(number & _MASK4[bits], bits))
            via = None if gateway == _NO_GATEWAY4 else Ip(gateway)
        elif kind == 5 and length == 58:
            rd, esi, etag, bits, address, gateway, high, low = _TYPE5_V6(data, position + 2)
            position = stop
            if bits > 128:
                text = f"type 5: prefix length {bits} is over 128"
                faults.append(withdraw("RFC 9136 §3.1", text))
                continue
            prefix = Prefix.of(address, bits)
            via = None if gateway == _NO_GATEWAY6 else Ip(gateway)
        else:
            _other(parsed, kind, data[position + 2 : stop], distinguishers, label_shift)
            position = stop
            continue
        if esi == NO_ESI:
            esi = NO_ESI
        vni = (high << 16 | low) >> label_shift
        route = new(EvpnPrefix, (distinguishers[rd], esi, etag, prefix, via, vni))
        if announcing and (via is not None or vni == 0) and (why := _unusable(route, router_mac)):
            parsed.refuse(route, why)
        else:
            usable.append(route)
    parsed.settle()
    return parsed


def _unusable(route: EvpnPrefix, router_mac: bool) -> Fault | None:
    if route.gateway is not None and route.esi is not NO_ESI:
        text = f"type 5 {route.prefix}: both ESI and gateway IP are set"
        return withdraw("RFC 9136 §3.2", text)
    if route.vni == 0 and route.gateway is None and route.esi is NO_ESI and not router_mac:
        text = f"type 5 {route.prefix}: the label is zero and there is no overlay index"
        return withdraw("RFC 9136 §3.1", text)
    return None


def _other(
    parsed: ParsedNlri,
    kind: int,
    value: bytes,
    distinguishers: DistinguisherCache,
    label_shift: int,
) -> None:
    if kind == 2:
        _mac_ip(parsed, value, distinguishers, label_shift)
    elif kind == 5:
        text = f"type 5: length {len(value)}, not 34 or 58"
        parsed.faults.append(withdraw("RFC 9136 §3.1", text))
    elif known := _SHAPES.get(kind):
        route = EvpnOther(kind, value)
        if known(value):
            parsed.usable.append(route)
        else:
            text = f"type {kind}: its lengths do not agree"
            parsed.refuse(route, withdraw(f"RFC 7432 §7.{kind}", text))


def _mac_ip(
    parsed: ParsedNlri, value: bytes, distinguishers: DistinguisherCache, label_shift: int
) -> None:
    """Type 2. Where its key cannot be told it cannot be withdrawn either."""
    if len(value) < 33:
        text = f"type 2: length {len(value)} is under 33"
        parsed.faults.append(withdraw("RFC 7432 §7.2", text))
        return
    rd, esi, etag, mac_bits, mac, ip_bits = _TYPE2(value)
    labels = 30 + ip_bits // 8
    if mac_bits != 48 or ip_bits not in (0, 32, 128) or labels > len(value):
        text = f"type 2: {len(value)} octets, MAC length {mac_bits}, IP length {ip_bits}"
        parsed.faults.append(withdraw("RFC 7432 §7.2", text))
        return
    first, second = value[labels : labels + 3], value[labels + 3 :]
    route = EvpnMacIp(
        distinguishers[rd],
        NO_ESI if esi == NO_ESI else esi,
        etag,
        Mac(mac),
        Ip(value[30:labels]) if ip_bits else None,
        int.from_bytes(first, "big") >> label_shift,
        int.from_bytes(second, "big") >> label_shift if second else None,
    )
    if len(value) in (labels + 3, labels + 6):
        parsed.usable.append(route)
        return
    text = f"type 2: {len(value) - labels} octets of labels, not 3 or 6"
    blank = route._replace(vni=0, vni2=None)
    parsed.refuse(blank, withdraw("RFC 7432 §7.2", text))


def _address_at(position: int) -> Callable[[bytes], bool]:
    """True for a route that ends with an IP length octet at ``position`` and that address."""
    lengths = {position + 5: 32, position + 17: 128}
    return lambda value: lengths.get(len(value)) == (value + bytes(32))[position]


_SHAPES: dict[int, Callable[[bytes], bool]] = {
    1: lambda value: len(value) == 25,
    3: _address_at(12),
    4: _address_at(18),
}
