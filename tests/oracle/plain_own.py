"""What a router says for itself: to ARP, to neighbour discovery, to a ping. In: an untagged frame
and the interfaces it may be meant for, with their MACs. Out: the answer, or None where nothing is
said; Drop for what only the kernel could take."""

from __future__ import annotations

from oracle.plain_packets import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ICMP,
    ICMPV6,
    Drop,
    checksum,
    is_link_local,
    number,
    pseudo_header,
    with_header_checksum,
)
from oracle.plain_tables import HAND_OFF, covers

REQUEST, REPLY = 1, 2
ECHO_REQUEST, ECHO_REPLY, ECHO_REQUEST6, ECHO_REPLY6 = 8, 0, 128, 129
SOLICITATION, ADVERTISEMENT = 135, 136
SOURCE_MAC = 1  # an option's type, RFC 4861 §4.6
SOLICITED_NODE = b"\xff\x02" + bytes(9) + b"\1\xff"  # and the last three octets: RFC 4291 §2.7.1
ALL_NODES, ALL_NODES_MAC = b"\xff\x02" + bytes(13) + b"\1", b"\x33\x33\0\0\0\1"


def answer(frame, interfaces):
    """``interfaces``: (Interface, MAC) each; the first is who the frame is for, the others hear it
    too: ARP and IPv6 only."""
    ethertype = number(frame[12:14])
    if ethertype == ETHERTYPE_ARP:
        return _arp(frame, interfaces)
    reply = None
    if ethertype == ETHERTYPE_IPV4:
        ((interface, mac),) = interfaces
        reply = echo_reply(frame, 4, frame[30:34], mac)
    elif ethertype == ETHERTYPE_IPV6:
        reply = _answer6(frame, sorted(interfaces, key=lambda one: one[0].role))
    if reply is not None:
        return reply
    interface = interfaces[0][0]
    if interface.role == HAND_OFF and not _on_link(frame, interface):
        raise Drop("off-link")
    raise Drop("tap")  # the kernel's, and there is none


def _answer6(frame, interfaces):
    """By who has the address."""
    asked = solicited(frame[14:])
    for interface, mac in interfaces:
        if asked in interface.own6 and not frame[6] & 1:
            return advertisement(frame, asked, mac)
        for address in interface.own6:
            reply = echo_reply(frame, 6, address, mac)
            if reply is not None:
                return reply
    return None


def _arp(frame, interfaces):
    """RFC 826, for Ethernet and IPv4."""
    arp = frame[14:42]
    if len(arp) < 28 or arp[:6] != b"\0\1\x08\0\6\4" or arp[8] & 1:
        raise Drop("runt")
    operation, sender_mac, sender, target = number(arp[6:8]), arp[8:14], arp[14:18], arp[24:28]
    for interface, mac in interfaces:
        ours = interface.address, interface.vtep
        if target in ours and operation == REQUEST:
            body = b"\0\1\x08\0\6\4" + REPLY.to_bytes(2, "big") + mac + target + sender_mac + sender
            return sender_mac + mac + b"\x08\x06" + body + bytes(18)  # to the least of Ethernet
    if sender == target or any(target in (i.address, i.vtep) for i, _ in interfaces):
        raise Drop("tap")
    return None


def echo_reply(frame, family, us, mac=bytes(6)):
    """The frame that answers a ping of our address; None if it is none."""
    return _echo4(frame, mac) if family == 4 else _echo6(frame, us, mac)


def _echo4(frame, mac):
    """RFC 1122 §3.2.2.6."""
    ip = frame[14:]
    header, total = (ip[0] & 15) * 4, number(ip[2:4])
    if ip[9] != ICMP or number(ip[6:8]) & 0x3FFF:
        return None
    if frame[6] & 1 or ip[12] >= 224:  # an answer would go to many
        return None
    if header < 20 or not header + 8 <= total <= len(ip) or checksum(ip[:header]) != 0:
        return None
    message = ip[header:total]
    if message[:2] != bytes([ECHO_REQUEST, 0]) or checksum(message) != 0:
        return None
    message = bytes([ECHO_REPLY, 0, 0, 0]) + message[4:]
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    back = ip[:8] + bytes([64]) + ip[9:12] + ip[16:20] + ip[12:16] + ip[20:header]
    back = with_header_checksum(back)
    return frame[6:12] + mac + frame[12:14] + back + message + ip[total:]


def _message6(ip):
    """The ICMPv6 message of an IPv6 packet, b"" if there is none that is right."""
    message = ip[40 : 40 + number(ip[4:6])]
    if len(ip) < 48 or ip[6] != ICMPV6 or len(message) < max(8, number(ip[4:6])):
        return b""
    return message if checksum(pseudo_header(ip) + message) == 0 else b""


def _echo6(frame, us, mac):
    """RFC 4443 §4.2."""
    ip = frame[14:]
    message = _message6(ip)
    if message[:2] != bytes([ECHO_REQUEST6, 0]) or ip[24:40] != us:
        return None
    if frame[6] & 1 or ip[8] == 0xFF or ip[8:24] == bytes(16):  # nobody, or many
        return None
    head = ip[:7] + bytes([64]) + us + ip[8:24]
    message = _sealed(head, bytes([ECHO_REPLY6, 0]) + message[2:])
    return frame[6:12] + mac + frame[12:14] + head + message + ip[40 + len(message) :]


def solicited(ip):
    """Whom a neighbour solicitation asks for, or None: RFC 4861 §7.1.1."""
    message = _message6(ip)
    if message[:2] != bytes([SOLICITATION, 0]) or len(message) < 24 or ip[7] != 255:
        return None
    source, to, target, options = ip[8:24], ip[24:40], message[8:24], message[24:]
    kinds = set()
    while options:
        if len(options) < 8 or not 8 <= options[1] * 8 <= len(options):
            return None
        kinds.add(options[0])
        options = options[options[1] * 8 :]
    # who looks for duplicates has no MAC to tell, and asks the address's group
    if source == bytes(16) and (SOURCE_MAC in kinds or to != SOLICITED_NODE + target[13:]):
        return None
    return None if target[0] == 0xFF or source[0] == 0xFF else target


def advertisement(frame, us, mac):
    """The answer to a solicitation: RFC 4861 §7.2.4."""
    source = frame[22:38]
    known = source != bytes(16)  # else it looks for duplicates
    flags = b"\xe0" if known else b"\xa0"
    head = b"\x60\0\0\0\0\x20" + bytes([ICMPV6, 255]) + us + (source if known else ALL_NODES)
    message = bytes([ADVERTISEMENT, 0, 0, 0]) + flags + bytes(3) + us + b"\2\1" + mac
    to = frame[6:12] if known else ALL_NODES_MAC
    return to + mac + b"\x86\xdd" + head + _sealed(head, message)


def _sealed(head, message):
    """The message with the checksum that RFC 4443 §2.3 wants."""
    message = message[:2] + b"\0\0" + message[4:]
    return message[:2] + checksum(pseudo_header(head) + message).to_bytes(2, "big") + message[4:]


def _on_link(frame, interface):
    """Whether it comes from the hand-off's own subnet: the kernel knows one table only."""
    ip = frame[14:]
    if number(frame[12:14]) == ETHERTYPE_IPV4:
        return covers(interface.address, interface.length, ip[12:16])
    if is_link_local(ip[8:24]):
        return True
    return bool(interface.address6) and covers(interface.address6, interface.length6, ip[8:24])
