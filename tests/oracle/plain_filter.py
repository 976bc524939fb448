"""Access lists of the plain forwarder: the first row of a list that matches decides. What no row
matches, or what cannot be read, is denied. Packets are read as RFC 791 and RFC 8200 have them."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.plain_packets import TCP, UDP, number
from oracle.plain_tables import covers

SCTP = 132
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
LONGEST_CHAIN = 8


@dataclass(frozen=True)
class Seen:
    """Of a packet, behind its extension headers. Ports are 0 where it has none."""

    protocol: int
    ports: tuple[int, int]


def denies(rows, packet):
    """Whether the list keeps the packet out."""
    seen = read(packet)
    if seen is None:
        return True
    return not next((row.permit for row in rows if _matches(row, packet, seen)), False)


def _matches(row, packet, seen):
    return (
        row.family == packet.family
        and row.protocol in (None, seen.protocol)
        and covers(*row.source, packet.source)
        and covers(*row.destination, packet.destination)
        and row.source_ports[0] <= seen.ports[0] <= row.source_ports[1]
        and row.destination_ports[0] <= seen.ports[1] <= row.destination_ports[1]
    )


def read(packet):
    """What a list sees, or None."""
    if packet.family == 4:
        later = number(packet.octets[6:8]) & 0x1FFF
        return _ported(packet.protocol, b"" if later else packet.octets[packet.header :], later)
    following, rest = packet.protocol, packet.octets[40:]
    passed = 0
    while following in (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS):
        if passed == LONGEST_CHAIN or len(rest) < 8:
            return None
        size = {FRAGMENT: 8, AUTHENTICATION: (rest[1] + 2) * 4}.get(following, (rest[1] + 1) * 8)
        later = following == FRAGMENT and number(rest[2:4]) >> 3
        if len(rest) < size:
            return None
        following, rest = rest[0], rest[size:]
        if later:  # what follows is the middle of something
            return _ported(following, b"", later)
        passed += 1
    return _ported(following, rest, 0)


def _ported(protocol, payload, later):
    if later or protocol not in (TCP, UDP, SCTP):
        return Seen(protocol, (0, 0))
    if len(payload) < 4:
        return None
    return Seen(protocol, (number(payload[:2]), number(payload[2:4])))
