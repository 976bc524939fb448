"""What the router says inside a CCN: to a VM that asks for its gateway, to a ping of it, and to the
sender of a packet that goes no further. IP packets in, IP packets out (RFC 792, RFC 1812 section
4.3, RFC 4443); fragments too (RFC 791 section 3.2)."""

from __future__ import annotations

from oracle.plain_own import advertisement, echo_reply, solicited
from oracle.plain_packets import (
    ETHERTYPE_ARP,
    ICMP,
    ICMPV6,
    Packet,
    checksum,
    number,
    pseudo_header,
    with_header_checksum,
)

TIME_EXCEEDED, NO_ROUTE, NO_HOST, NO_PORT, TOO_BIG, PROHIBITED = range(6)
ERRORS4 = {
    TIME_EXCEEDED: (11, 0),
    NO_ROUTE: (3, 0),
    NO_HOST: (3, 1),
    NO_PORT: (3, 3),
    TOO_BIG: (3, 4),
    PROHIBITED: (3, 13),
}
ERRORS6 = {
    TIME_EXCEEDED: (3, 0),
    NO_ROUTE: (1, 0),
    NO_HOST: (1, 3),
    NO_PORT: (1, 4),
    TOO_BIG: (2, 0),
    PROHIBITED: (1, 1),
}
TOLD = {
    "ttl": TIME_EXCEEDED,
    "no-route": NO_ROUTE,
    "no-vm": NO_HOST,
    "mtu": TOO_BIG,
    "acl": PROHIBITED,
}
"""The drop reasons that a sender is told."""
CONTROL = 0xC0  # precedence of errors, RFC 1812 §4.3.2.5
QUESTIONS4 = {0, 8, 13, 14, 15, 16, 17, 18}
"""Types of ICMP that are no errors."""
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60


def vm_asks(frame):
    """Who asks for which address, or None: (sender, target)."""
    if number(frame[12:14]) == ETHERTYPE_ARP:
        arp = frame[14:42]
        sane = arp[:8] == b"\0\1\x08\0\6\4\0\1" and not arp[8] & 1
        return (arp[14:18], arp[24:28]) if sane and arp[14:18] != arp[24:28] else None
    target = solicited(frame[14:])
    return (frame[22:38], target) if target and not frame[6] & 1 else None


def vm_told(frame, target, mac):
    """The answer to what vm_asks found: a frame."""
    if len(target) == 16:
        return advertisement(frame, target, mac)
    arp = frame[14:42]
    body = b"\0\1\x08\0\6\4\0\2" + mac + target + arp[8:14] + arp[14:18]
    return arp[8:14] + mac + b"\x08\x06" + body


def ping_answered(packet):
    """The echo reply, or None."""
    reply = echo_reply(bytes(12) + b"\0\0" + packet.octets, packet.family, packet.destination)
    return Packet(packet.family, reply[14:]) if reply else None


def is_owed(packet):
    """Whether an error may be sent about the packet: RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)."""
    return _is_owed4(packet) if packet.family == 4 else _is_owed6(packet)


def _is_owed4(packet):
    source, octets = packet.source, packet.octets
    if number(octets[6:8]) & 0x1FFF or packet.destination[0] >= 224:
        return False
    if source[0] in (0, 127) or source[0] >= 224:
        return False
    if packet.protocol != ICMP:
        return True
    return len(octets) > packet.header and octets[packet.header] in QUESTIONS4


def _is_owed6(packet):
    """What stands behind the extension headers counts: RFC 8200 §4."""
    source, octets = packet.source, packet.octets
    if source[0] == 0xFF or number(source) <= 1 or packet.destination[0] == 0xFF:
        return False
    following, at = packet.protocol, 40
    for _ in range(8):
        if at + 8 > len(octets):
            break
        if following == ICMPV6:
            return octets[at] >= 128 and octets[at] != 137
        if following == FRAGMENT:
            if number(octets[at + 2 : at + 4]) >> 3:
                return False
            following, at = octets[at], at + 8
        elif following in (HOP_BY_HOP, ROUTING, OPTIONS):
            following, at = octets[at], at + (octets[at + 1] + 1) * 8
        elif following == AUTHENTICATION:  # RFC 4302 §2.2
            following, at = octets[at], at + (octets[at + 1] + 2) * 4
        else:
            return True
    return following != ICMPV6 and at <= len(octets)


def error(packet, what, mtu, ours):
    """The error about the packet, to its source from our address."""
    if packet.family == 4:
        kind, code = ERRORS4[what]
        rest = bytes(2) + (mtu if what == TOO_BIG else 0).to_bytes(2, "big")
        message = bytes([kind, code, 0, 0]) + rest + packet.octets[: 576 - 28]
        message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
        head = bytes([0x45, CONTROL]) + (20 + len(message)).to_bytes(2, "big") + bytes(4)
        head += bytes([64, ICMP, 0, 0]) + ours + packet.source
        return Packet(4, with_header_checksum(head) + message)
    kind, code = ERRORS6[what]
    rest = (mtu if what == TOO_BIG else 0).to_bytes(4, "big")
    message = bytes([kind, code, 0, 0]) + rest + packet.octets[: 1280 - 48]
    head = (6 << 28 | CONTROL << 20).to_bytes(4, "big") + len(message).to_bytes(2, "big")
    head += bytes([ICMPV6, 64]) + ours + packet.source
    seal = checksum(pseudo_header(head) + message).to_bytes(2, "big")
    return Packet(6, head + message[:2] + seal + message[4:])


def fragments(packet, mtu):
    """The IPv4 packet in pieces of at most ``mtu`` octets; None if there is no room for eight."""
    octets, header = packet.octets, packet.header
    if mtu < header + 8:
        return None
    field, payload = number(octets[6:8]), octets[header:]
    first, later = octets[20:header], _copied(octets[20:header])
    found, at = [], 0
    while at < len(payload):
        options = first if at == 0 else later
        room = mtu - 20 - len(options)
        size = len(payload) - at if len(payload) - at <= room else room // 8 * 8
        more = 0x2000 if at + size < len(payload) else 0
        head = bytearray(octets[:20])
        head[0] = 0x40 | (20 + len(options)) // 4
        head[2:4] = (20 + len(options) + size).to_bytes(2, "big")
        head[6:8] = (field + at // 8 | more).to_bytes(2, "big")
        piece = bytes(head) + options + payload[at : at + size]
        found.append(Packet(4, with_header_checksum(piece)))
        at += size
    return found


def _copied(options):
    """Those with the copied flag, padded to words."""
    found = b""
    while options and options[0] != 0:
        size = 1 if options[0] == 1 else options[1]
        if options[0] & 0x80:
            found += options[:size]
        options = options[size:]
    return found + bytes(-len(found) % 4)
