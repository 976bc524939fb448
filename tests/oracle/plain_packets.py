"""What the plain forwarder is built of: checksums, the flow hash, IP packets read from octets, and
what one hop does to them. Octets in, octets out; written from the RFCs, slow and plain."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_VLAN, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
VXLAN_PORT = 4789
LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE = 131, 137
CONGESTION_EXPERIENCED = 3  # of the ECN field, RFC 3168 §5
BUCKETS = 512  # of a group of next hops


class Drop(Exception):
    """The packet ends here; ``reason`` is the counter's name."""

    def __init__(self, reason):
        self.reason = reason


def number(octets):
    return int.from_bytes(octets, "big")


def checksum(octets):
    """RFC 1071: the one's complement of the one's complement sum. 0 over what holds a right one."""
    if len(octets) % 2:
        octets = octets + b"\0"
    total = number(octets) % 0xFFFF if any(octets) else 0
    if total == 0 and any(octets):
        total = 0xFFFF  # of the two zeros of one's complement, a sum of non-zero words is this
    return total ^ 0xFFFF


def pseudo_header(packet):
    """RFC 8200 §8.1, for a payload that is one ICMPv6 message."""
    payload = packet[4:6]
    return packet[8:40] + b"\0\0" + payload + b"\0\0\0" + bytes([ICMPV6])


def _crc_table():
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def crc32c(crc, octets):
    """Castagnoli's CRC continued over the octets; neither end is inverted."""
    for octet in octets:
        crc = crc >> 8 ^ _CRC[(crc ^ octet) & 0xFF]
    return crc


@dataclass
class Packet:
    """An IP packet that has been found whole: exactly its octets, without what stands behind it."""

    family: int
    octets: bytes

    @property
    def source(self):
        return self.octets[12:16] if self.family == 4 else self.octets[8:24]

    @property
    def destination(self):
        return self.octets[16:20] if self.family == 4 else self.octets[24:40]

    @property
    def protocol(self):
        return self.octets[9] if self.family == 4 else self.octets[6]

    @property
    def header(self):
        """Octets of the header with its options."""
        return (self.octets[0] & 15) * 4 if self.family == 4 else 40

    @property
    def traffic_class(self):
        """DSCP and ECN: RFC 2474 §3, RFC 3168 §5."""
        if self.family == 4:
            return self.octets[1]
        return number(self.octets[:2]) >> 4 & 0xFF

    @property
    def hops(self):
        """TTL or hop limit."""
        return self.octets[8] if self.family == 4 else self.octets[7]

    @property
    def fragment(self):
        """Whether it is one of several of an IPv4 packet: RFC 791 §3.1."""
        return self.family == 4 and number(self.octets[6:8]) & 0x3FFF != 0

    @property
    def flow_hash(self):
        """By addresses and protocol; by ports too where every packet of the flow shows them."""
        value = crc32c(self.protocol, self.source + self.destination)
        ports = self.octets[self.header : self.header + 4]
        if self.protocol in (TCP, UDP) and not self.fragment and len(ports) == 4:
            value = crc32c(value, ports)
        return value * 0x9E3779B1 & 0xFFFFFFFF

    def after_hop(self, outer_ecn):
        """What is sent on: one hop less (RFC 1812 §5.3.1, RFC 8200 §3), and marked if the tunnel
        saw congestion and the packet's ends can be told (RFC 6040 §4.2)."""
        octets = bytearray(self.octets)
        inner_ecn = self.traffic_class & 3
        marks = inner_ecn in (1, 2) and outer_ecn in (1, CONGESTION_EXPERIENCED)
        if self.family == 6:
            octets[7] -= 1
            if marks:
                octets[1] = octets[1] & 0xCF | outer_ecn << 4
            return bytes(octets)
        octets[8] -= 1
        if marks:
            octets[1] = octets[1] & 0xFC | outer_ecn
        return with_header_checksum(octets)


def with_header_checksum(octets):
    """The IPv4 packet with the checksum of its header made anew."""
    header = (octets[0] & 15) * 4
    octets = bytearray(octets)
    octets[10:12] = b"\0\0"
    octets[10:12] = checksum(bytes(octets[:header])).to_bytes(2, "big")
    return bytes(octets)


def read_packet(octets, ethertype):
    """The IP packet at the front of the octets; Drop if there is none that may be forwarded."""
    if ethertype == ETHERTYPE_IPV4:
        return _read_ipv4(octets)
    if ethertype == ETHERTYPE_IPV6:
        return _read_ipv6(octets)
    raise Drop("inner-type")


def _read_ipv4(octets):
    """RFC 1812 §5.2.2, then the options."""
    if len(octets) < 20:
        raise Drop("ip-length")
    version, header, total = octets[0] >> 4, (octets[0] & 15) * 4, number(octets[2:4])
    if version != 4 or header < 20:
        raise Drop("ip-header")
    if total < header or total > len(octets):
        raise Drop("ip-length")
    if checksum(octets[:header]) != 0:
        raise Drop("ip-checksum")
    check_options(octets[20:header])
    return Packet(4, octets[:total])


def check_options(options):
    """RFC 791 §3.1: type, length, data; 0 ends them, 1 stands alone. RFC 7126: source routes are
    not followed and not passed on."""
    while options and options[0] != 0:
        if options[0] in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE):
            raise Drop("source-route")
        if options[0] == 1:
            options = options[1:]
        elif len(options) < 2 or not 2 <= options[1] <= len(options):
            raise Drop("ip-header")
        else:
            options = options[options[1] :]


def _read_ipv6(octets):
    """RFC 8200 §3."""
    if len(octets) < 40:
        raise Drop("ip-length")
    if octets[0] >> 4 != 6:
        raise Drop("ip-header")
    total = 40 + number(octets[4:6])
    if total > len(octets):
        raise Drop("ip-length")
    return Packet(6, octets[:total])


def check_addresses(packet):
    """Drop what no router forwards: RFC 1812 §5.3.7, RFC 3927 §7, RFC 4291 §2.5. Sources in
    169.254/16 pass: a router of an IDC reports errors from there."""
    source, destination = packet.source, packet.destination
    if packet.family == 4:
        martian = (
            destination[0] in (0, 127)
            or destination[0] >= 224
            or destination[:2] == b"\xa9\xfe"
            or source[0] == 127
            or source[0] >= 224
        )
    else:
        martian = destination in (bytes(16), bytes(15) + b"\1") or any(
            address[0] == 0xFF or is_link_local(address) for address in (source, destination)
        )
    if martian:
        raise Drop("martian")


def is_neighbor_message(ethertype, octets):
    """ARP, or neighbour discovery that came through no router (RFC 4861 §6.1, §7.1): whole enough
    to be one."""
    if ethertype == ETHERTYPE_ARP:
        return len(octets) >= 28
    return (
        ethertype == ETHERTYPE_IPV6
        and len(octets) >= 48
        and octets[6] == ICMPV6
        and octets[7] == 255
        and 133 <= octets[40] <= 137
    )


def is_link_local(address):
    """fe80::/10, RFC 4291 §2.5.6."""
    return number(address[:2]) >> 6 == 0xFE80 >> 6


# --- groups of next hops ---


def bucket_of(flow_hash):
    """Of BUCKETS. Not by the upper bits: the next gateway would get one UDP port per member."""
    return flow_hash >> 5 & BUCKETS - 1


def _mix(value):
    """splitmix64."""
    wide = (1 << 64) - 1
    value = value + 0x9E3779B97F4A7C15 & wide
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & wide
    value = (value ^ value >> 27) * 0x94D049BB133111EB & wide
    return value ^ value >> 31


def _draw(seed, bucket):
    """A permutation of the buckets, its own for each seed."""
    for shift in (0, 16, 32, 48):
        word = seed >> shift & 0xFFFFFFFF
        bucket = bucket * (word | 1) + (word >> 7) & BUCKETS - 1
        bucket ^= bucket >> 4
    return bucket


_LOGARITHM = [floor(-log((i + 0.5) / BUCKETS) * (1 << 20) + 0.5) for i in range(BUCKETS)]


def winner(members, bucket):
    """Weighted rendezvous of ``(key, weight)``: the place of the member that has the bucket. Lowest
    is best of -ln(u) / weight; whether a third is there makes no difference between two."""

    def beats(one, other):
        (a, weight_a), (b, weight_b) = one, other
        mine = _LOGARITHM[_draw(_mix(a), bucket)] * weight_b
        theirs = _LOGARITHM[_draw(_mix(b), bucket)] * weight_a
        if mine != theirs:
            return mine < theirs
        return _mix(_mix(a) ^ bucket) < _mix(_mix(b) ^ bucket)

    best = 0
    for place in range(1, len(members)):
        if beats(members[place], members[best]):
            best = place
    return best
