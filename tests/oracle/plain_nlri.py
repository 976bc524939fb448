"""Routes read literally: the NLRI fields of addresses (RFC 4271, RFC 4760) and of EVPN (RFC 7432,
RFC 9136).

In: the octets of one field. Out: its routes as ``ccn decode`` prints them.
"""

from oracle.plain_values import (
    RESET,
    WITHDRAW,
    Malformed,
    Octets,
    TooShort,
    address_of,
    administered,
    prefix_of,
)

# --- NLRI of addresses: RFC 4271 §4.3, RFC 4760 §5


def read_prefixes(octets, width):
    """RFC 7606 §5.3: a length over that of an address, or a prefix that does not fit into what is
    left, is a syntax error; §3 j: then nothing can be told of the field, and the session is
    reset."""
    family = "ipv4-unicast" if width == 4 else "ipv6-unicast"
    found, octets = [], Octets(octets)
    while octets.left:
        length = octets.number(1)
        try:
            if length > width * 8:
                raise Malformed(RESET)
            address = octets.take((length + 7) // 8)
        except TooShort:
            raise Malformed(RESET) from None
        found.append({"family": family, "prefix": prefix_of(address.ljust(width, b"\0"), length)})
    return found


# --- NLRI of EVPN: RFC 7432 §7, RFC 9136 §3.1


def read_evpn(octets, message, announcing):
    """(usable, route) of each; the route is None if its key cannot be told, so that there is
    nothing to withdraw."""
    found, octets = [], Octets(octets)
    while octets.left:
        try:
            kind, length = octets.number(1), octets.number(1)
            value = octets.take(length)
        except TooShort:  # RFC 7606 §5.3
            raise Malformed(RESET) from None
        if kind not in EVPN_TYPES:  # RFC 7606 §5.4: types that are not known are discarded
            continue
        try:
            usable, route = EVPN_TYPES[kind](Octets(value), length, message, announcing)
            found.append((usable, {"family": "evpn", "type": kind} | route))
        except (TooShort, Malformed):
            found.append((False, None))
    return found


def ethernet_auto_discovery(octets, length, message, announcing):
    """RFC 7432 §7.1: RD, ESI, Ethernet tag, label; 25 octets."""
    if length != 25:
        return False, raw_route(octets)
    route = {"rd": distinguisher(octets), "esi": octets.take(10).hex(":")}
    return True, route | {"etag": octets.number(4), "vni": octets.number(3)}


def mac_ip_advertisement(octets, length, message, announcing):
    """RFC 7432 §7.2. The MAC has 48 bits; the IP address none, 32 or 128; one label or two."""
    route = {"rd": distinguisher(octets), "esi": octets.take(10).hex(":")}
    route["etag"] = octets.number(4)
    mac_bits, mac, ip_bits = octets.number(1), octets.take(6), octets.number(1)
    if mac_bits != 48 or ip_bits not in (0, 32, 128):
        raise Malformed(WITHDRAW)
    route["mac"] = mac.hex(":")
    if ip_bits:
        route["ip"] = address_of(octets.take(ip_bits // 8))
    if len(octets.left) not in (3, 6):
        if length < 33:
            raise Malformed(WITHDRAW)
        return False, route | {"vni": 0}
    route["vni"] = vni(octets, message)
    if octets.left:
        route["vni2"] = vni(octets, message)
    return True, route


def inclusive_multicast(octets, length, message, announcing):
    """RFC 7432 §7.3: RD, Ethernet tag, address of the router with its length."""
    if length not in (17, 29):
        return False, raw_route(octets)
    route = {"rd": distinguisher(octets), "etag": octets.number(4)}
    bits = octets.number(1)
    return bits == len(octets.left) * 8, route | {"ip": address_of(octets.left)}


def ethernet_segment(octets, length, message, announcing):
    """RFC 7432 §7.4: RD, ESI, address of the router with its length."""
    if length not in (23, 35):
        return False, raw_route(octets)
    route = {"rd": distinguisher(octets), "esi": octets.take(10).hex(":")}
    bits = octets.number(1)
    return bits == len(octets.left) * 8, route | {"ip": address_of(octets.left)}


def ip_prefix(octets, length, message, announcing):
    """RFC 9136 §3.1: 34 octets for IPv4, 58 for IPv6."""
    if length not in (34, 58):
        raise Malformed(WITHDRAW)
    width = 4 if length == 34 else 16
    rd, esi, etag = distinguisher(octets), octets.take(10), octets.number(4)
    bits, address, gateway = octets.number(1), octets.take(width), octets.take(width)
    if bits > width * 8:
        raise Malformed(WITHDRAW)
    route = {"rd": rd, "esi": esi.hex(":"), "etag": etag, "prefix": prefix_of(address, bits)}
    if any(gateway):
        route["gateway"] = address_of(gateway)
    route["vni"] = vni(octets, message)
    if not announcing:
        return True, route
    # §3.1: ESI and gateway IP are not both set. §3.2, Table 1: a zero label wants an overlay
    # index: ESI, gateway IP or Router's MAC.
    both = any(esi) and any(gateway)
    nothing = route["vni"] == 0 and not (any(esi) or any(gateway) or message.router_mac)
    return not both and not nothing, route


EVPN_TYPES = {
    1: ethernet_auto_discovery,
    2: mac_ip_advertisement,
    3: inclusive_multicast,
    4: ethernet_segment,
    5: ip_prefix,
}


def raw_route(octets):
    """A route that nothing can be read of but its octets."""
    value = octets.left
    rd = {"rd": distinguisher(Octets(value))} if len(value) >= 8 else {}
    return rd | {"value": value.hex()}


def distinguisher(octets):
    """RFC 4364 §4.2: types 0, 1 and 2; any other is written as its octets."""
    value = octets.take(8)
    kind = int.from_bytes(value[:2], "big")
    return administered(kind, value[2:]) if kind <= 2 else value.hex()


def vni(octets, message):
    """RFC 8365 §5.1.3: with VXLAN the whole field of 24 bits; an MPLS label is its upper 20."""
    label = octets.number(3)
    if message.session.mpls and message.attributes.get("encapsulation") != 8:
        return label >> 4
    return label
