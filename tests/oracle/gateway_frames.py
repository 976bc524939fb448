"""Frames that a gateway may meet, made from random numbers: right ones for its tables, such as are
wrong in one thing, and such as are wrong in any."""

from __future__ import annotations

from oracle.gateway_tables import ADDRESSES, ENDS, HOSTS, PORTS, ROUTERS, VNIS, octets
from oracle.plain_forwarder import OUTER, OUTER6, ethernet, tagged
from oracle.plain_packets import (
    ETHERTYPE_ARP,
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    checksum,
    pseudo_header,
    with_header_checksum,
)
from oracle.plain_tables import DROP, HAND_OFF, NEIGHBOR, ON_LINK, REMOTE, UPLINK, Group, NextHop

MARTIANS = [
    octets(text)
    for text in (
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "169.254.1.1",
        "169.254.77.77",
        "224.0.0.5",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "ff02::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
    )
]
KNOWN_PORTS = [number.to_bytes(2, "big") for number in (0, 22, 80, 443, 65535)]
OPTIONS = [
    b"\1\1\1\0",
    b"\7\7\4" + bytes(4) + b"\0",  # record route
    b"\x94\4\0\0",  # router alert
    b"\x83\7\4" + bytes(4) + b"\0",  # loose source route
    b"\1\x89\3\4",  # strict source route
    b"\x44\0\0\0",  # length 0
    b"\x44\x09\0\0",  # longer than the header
    b"\1\1\1\x44",  # without a length
]


def rarely(random, usual, *odd):
    """The usual, but once in thirty times."""
    return usual if random.random() < 0.97 else random.choice(odd)


def header(destination, source, family_or_type):
    """Of Ethernet, before IPv4, IPv6 or what has this type."""
    if family_or_type in (4, 6):
        return ethernet(destination, source, family_or_type)
    return destination + source + family_or_type.to_bytes(2, "big")


class FrameMaker:
    """Makes frames for these tables; ``macs``: of each port."""

    def __init__(self, tables, macs):
        self.tables, self.macs = tables, macs
        self.uplinks = [i for i in tables.interfaces if i.role == UPLINK]
        self.hand_offs = [i for i in tables.interfaces if i.role == HAND_OFF]
        prefixes = [prefix for _, prefix, _ in tables.routes]
        self.addresses = [*ADDRESSES, *ROUTERS, *prefixes, *(ip for _, ip in tables.vms)]
        self.useful = {ccsi: self.reached(ccsi) for ccsi in tables.ccsis}
        mtus = {i.mtu for i in tables.interfaces}
        more = (0, 1, -OUTER, 1 - OUTER, -OUTER6, 1 - OUTER6)
        self.edges = [mtu + n for mtu in mtus for n in more]
        self.underlay = 4 if self.uplinks[0].address else 6

    def make(self, random):
        """A port, and a frame that comes in by it."""
        chance = random.random()
        if chance < 0.62 or (chance < 0.84 and not self.hand_offs):
            port, frame = self.tunnelled(random)
        elif chance < 0.84:
            port, frame = self.plain(random)
        elif chance < 0.93:
            port, frame = self.for_ourselves(random)
        else:
            port, frame = random.choice(PORTS), random.randbytes(random.randrange(1, 120))
        if random.random() < 0.2:
            frame = damaged(random, frame)
        return port, frame

    # --- IP packets ---

    def reached(self, ccsi):
        """Addresses that the CCSI leads somewhere."""
        found = []
        for address in self.addresses:
            slot = self.tables.longest_match(ccsi, address)
            hop = self.tables.next_hops.get(slot, NextHop(DROP))
            if (
                isinstance(hop, Group)
                or hop.kind in (REMOTE, NEIGHBOR)
                or (hop.vni, address if hop.kind == ON_LINK else hop.ip) in self.tables.vms
            ):
                found.append(address)
        return found

    def address(self, random, family, ccsi):
        """Mostly one that the tables know something of."""
        size = 4 if family == 4 else 16
        if random.random() < 0.8 and (useful := [a for a in self.useful[ccsi] if len(a) == size]):
            return random.choice(useful)
        chance = random.random()
        if chance < 0.08:
            return random.choice([a for a in MARTIANS if len(a) == size])
        if chance < 0.12:
            return random.randbytes(size)
        found = random.choice([a for a in self.addresses if len(a) == size])
        if chance < 0.5:
            return found
        near = int.from_bytes(found, "big") ^ random.getrandbits(random.randrange(1, size * 8))
        return near.to_bytes(size, "big")

    def packet(self, random, ccsi, legal=()):
        """An IP packet, its family; mostly from one of the legal sources."""
        family = random.choice((4, 4, 6))
        source, destination = (self.address(random, family, ccsi) for _ in range(2))
        legal = [ip for ip in legal if len(ip) == len(source)]
        if legal and random.random() < 0.85:
            source = random.choice(legal)
        hops = random.choice((64, 64, 64, 64, 64, 64, 64, 255, 2, 2, 1, 0))
        traffic_class = random.choice((0, 0, random.randrange(256)))
        if random.random() < 0.1:
            return family, self.ping(random, source, destination, hops)
        protocol = random.choice((UDP, UDP, TCP, TCP, ICMP, ICMPV6, 47, 132, 0))
        options = random.choice(OPTIONS) if random.random() < 0.1 else b""
        fixed = 20 + len(options) if family == 4 else 40
        payload = self.payload(random, fixed)
        if protocol in (UDP, TCP, 132) and len(payload) >= 4 and random.random() < 0.7:
            payload = b"".join(random.choice(KNOWN_PORTS) for _ in range(2)) + payload[4:]
        if family == 6:
            if random.random() < 0.2:
                protocol, payload = self.chain(random, protocol, payload)
            first = 6 << 28 | traffic_class << 20 | random.getrandbits(20)
            head = first.to_bytes(4, "big") + len(payload).to_bytes(2, "big")
            return family, head + bytes([protocol, hops]) + source + destination + payload
        fragment = random.choice((0, 0, 0, 0x4000, 0x2000, 0x2010, 0x0010, 0x8000))
        head = bytes([0x40 | fixed // 4, traffic_class]) + (fixed + len(payload)).to_bytes(2, "big")
        head += random.randbytes(2) + fragment.to_bytes(2, "big") + bytes([hops, protocol, 0, 0])
        return family, with_header_checksum(head + source + destination + options) + payload

    def chain(self, random, protocol, payload):
        """Extension headers before a payload: RFC 8200 §4, RFC 4302; now and then too long ones."""
        for _ in range(random.choice((1, 1, 2, 3, 8, 9))):
            kind = random.choice((0, 43, 44, 51, 51, 60))
            units = rarely(random, random.choice((0, 0, 1)), 255)
            octets = {44: 8, 51: (units + 2) * 4}.get(kind, (units + 1) * 8)
            offset = random.choice((0, 0, 1, 8)) if kind == 44 else 0
            octets = min(octets, 40)
            head = bytes([protocol, units]) + offset.to_bytes(2, "big")
            protocol, payload = kind, head + bytes(octets - 4) + payload
        return protocol, payload

    def ping(self, random, source, destination, hops):
        """An ICMP message from one address to the other, mostly an echo request."""
        body = b"\0\7\0\1" + random.randbytes(random.randrange(40))
        if len(source) == 16:
            kind = random.choice((128, 128, 128, 129, 1, 3, 137))
            return self.icmp6(
                random, None, destination, bytes([kind, 0, 0, 0]) + body, hops, source
            )
        message = bytes([random.choice((8, 8, 8, 0, 3, 11, 13)), 0, 0, 0]) + body
        message = message[:2] + checksum(message).to_bytes(2, "big") + body
        ip = b"\x45\0" + (20 + len(message)).to_bytes(2, "big") + bytes(4)
        return with_header_checksum(ip + bytes([hops, ICMP, 0, 0]) + source + destination) + message

    def payload(self, random, header):
        if random.random() < 0.06:
            return bytes(max(0, random.choice(self.edges) - header))
        return random.randbytes(random.choice((0, 1, 3, 4, 8, 20, 33, 64)))

    def padding(self, random):
        return bytes(random.choice((0, 0, 0, 1, 6, 18)))

    # --- frames ---

    def mac(self, random, port, known=b""):
        chance = random.random()
        if chance < 0.85:
            return known or self.macs[port]
        if chance < 0.95:
            return b"\x02\0\0\0\0\x99"
        return random.choice((b"\xff" * 6, b"\x33\x33\0\0\0\1"))

    def on(self, random, interface, family_or_type, payload):
        """A frame with this payload, as the interface would see it."""
        sender = b"\x02\0\xc0\0\x02\x65"
        frame = self.mac(random, interface.port, interface.mac) + sender
        frame = header(frame[:6], sender, family_or_type)
        vlan = interface.vlan if random.random() < 0.97 else random.choice((0, 5, 101, 4094, 4095))
        frame = tagged(frame + payload + self.padding(random), vlan)
        if vlan == 0 and random.random() < 0.1:  # a priority and no VLAN
            frame = frame[:12] + b"\x81\0\xa0\0" + frame[12:]
        return interface.port, frame

    def tunnelled(self, random):
        """VXLAN to one of our uplinks."""
        uplink = random.choice(self.uplinks)
        size = 4 if self.underlay == 4 else 16
        known = [key for key in sorted(self.tables.vteps) if len(key[1]) == size]
        if known and random.random() < 0.93:
            vni, source = random.choice(known)
        else:
            vni, source = random.choice(VNIS), self.stranger(random)
        ccsi = self.tables.vnis[vni][0] if vni in self.tables.vnis else self.tables.ccsis[0]
        held = sorted(self.tables.vms.items())
        there = [ip for (number, ip), vm in held if number == vni and source in vm.vteps]
        family, packet = self.packet(random, ccsi, there)
        if random.random() < 0.05:
            family, packet = self.vm_asks(random, vni)
        mac = rarely(random, b"\x02\xcc\0\0\0\1", b"\xff" * 6)
        inner = header(mac, b"\x02\0\x0a\1\0\x0a", family) + packet + self.padding(random)
        if random.random() < 0.04:  # a VM asks who has the gateway's address
            kind, asked = random.choice((self.arp, self.solicitation))(random, uplink)
            inner = ethernet(mac, b"\x02\0\x0a\1\0\x0a", kind) + asked
            if kind == ETHERTYPE_ARP:
                inner = inner[:12] + kind.to_bytes(2, "big") + asked
        flags = rarely(random, 8, 0, 0x88, 0xF7)
        vxlan = bytes([flags]) + bytes(3) + vni.to_bytes(3, "big") + random.choice((b"\0", b"\xff"))
        length = 8 + len(vxlan) + len(inner) + rarely(random, 0, -1, 1, -90)
        ports = random.randrange(1 << 16), rarely(random, 4789, 4790, 8472)
        udp = b"".join(
            n.to_bytes(2, "big")
            for n in (*ports, max(length, 0), random.choice((0, random.randrange(65536))))
        )
        outer = self.outer if self.underlay == 4 else self.outer6
        ip = outer(random, source, uplink.tunnel, udp + vxlan + inner)
        return self.on(random, uplink, self.underlay, ip)

    def stranger(self, random):
        """An outer source that is somebody's on another VNI, or nobody's."""
        if self.underlay == 6:
            return random.choice([*ENDS[6], octets("2001:db8::bad"), bytes(16), octets("ff02::1")])
        names = sorted(self.tables.vtep_names.values())  # stand for IPv6 addresses, and are none
        return random.choice([*ENDS[4], *ENDS[4], random.choice(names)])

    def outer(self, random, source, to, datagram):
        options = random.choice(OPTIONS) if random.random() < 0.03 else b""
        total = 20 + len(options) + len(datagram)
        fragment = rarely(random, random.choice((0, 0x4000)), 0x2000, 0x0001)
        ip = bytes([0x45 + len(options) // 4, self.outer_class(random)])
        ip += total.to_bytes(2, "big") + bytes(2) + fragment.to_bytes(2, "big")
        ip += bytes([random.choice((64, 1)), UDP, 0, 0]) + source + to + options
        return with_header_checksum(ip) + datagram

    def outer6(self, random, source, to, datagram):
        """Any flow label and hop limit; now and then extension headers, or a length that is not
        that of what follows."""
        following = UDP
        if random.random() < 0.06:
            following, datagram = self.chain(random, UDP, datagram)
        if random.random() < 0.02:
            fragment = bytes([UDP, 0]) + random.choice((b"\0\0", b"\0\1", b"\0\x08")) + bytes(4)
            following, datagram = 44, fragment + datagram
        length = rarely(random, len(datagram), 0, 7, 8, 38, len(datagram) - 1, len(datagram) + 40)
        first = (
            6 << 28 | self.outer_class(random) << 20 | random.choice((0, random.getrandbits(20)))
        )
        hops = random.choice((64, 64, 255, 1, 0))
        head = first.to_bytes(4, "big") + max(length, 0).to_bytes(2, "big")
        return head + bytes([following, hops]) + source + to + datagram

    def outer_class(self, random):
        """Traffic class or type of service, of the tunnel."""
        return random.choice((0, 0, 0, 3, 2, random.randrange(256)))

    def vm_asks(self, random, vni):
        """ARP or a solicitation for the gateway's address in the VPC."""
        ours = [ip for number, ip in sorted(self.tables.gateway_addresses) if number == vni]
        target = random.choice(ours * 5 + ROUTERS)
        others = [ip for ip in self.addresses if len(ip) == len(target)]
        sender = random.choice(others)
        if len(target) == 4:
            head = b"\0\1\x08\0\6\4\0" + bytes([rarely(random, 1, 2)])
            mac = rarely(random, b"\x02\0\x0a\1\0\x0a", b"\x03\0\0\0\0\1")
            return ETHERTYPE_ARP, head + mac + sender + bytes(6) + rarely(random, target, sender)
        message = b"\x87\0\0\0" + bytes(4) + target + b"\1\1\x02\0\x0a\1\0\x0a"
        to = random.choice((target, octets("ff02::1:ff00:0")[:13] + target[13:]))
        hops = rarely(random, 255, 64)
        source = random.choice((sender, sender, bytes(16), octets("fe80::2")))
        return 6, self.icmp6(random, None, to, message, hops, source)

    def plain(self, random):
        """IP from an IDC, by a hand-off."""
        interface = random.choice(self.hand_offs)
        return self.on(random, interface, *self.packet(random, interface.ccsi))

    # --- for ourselves ---

    def for_ourselves(self, random):
        interface = random.choice(self.tables.interfaces)
        kinds = (self.arp, self.echo, self.echo, self.solicitation, self.session, self.told)
        return self.on(random, interface, *random.choice(kinds)(random, interface))

    def arp(self, random, interface):
        mac = random.choice((b"\x02\0\xc0\0\x02\x65", b"\x03\0\0\0\0\1"))
        ours = interface.address or bytes(4)
        target = random.choice((ours, interface.vtep or ours, octets("192.0.2.77")))
        sender = random.choice((octets("192.0.2.77"), octets("169.254.1.2")))
        head = random.choice(
            (b"\0\1\x08\0\6\4\0\1",) * 4 + (b"\0\1\x08\0\6\4\0\2", b"\0\6\x08\0\6\4\0\1")
        )
        return ETHERTYPE_ARP, head + mac + sender + bytes(6) + target

    def peer(self, random, interface, size):
        """Somebody on the interface's subnet, or elsewhere."""
        if size == 16:
            found = ("fe80::2", "fe80::2", "fd00:1::2", "2001:db8::1", "2001:db8:0:2::1")
            return octets(rarely(random, random.choice(found), "::", "ff02::1"))
        return (interface.address or bytes(4))[:3] + b"\2" if random.random() < 0.7 else HOSTS[0]

    def echo(self, random, interface):
        code = random.choice((0, 0, 0, 1))
        if random.random() < 0.5 and interface.address:
            body = b"\0\7\0\1" + random.randbytes(random.randrange(40))
            message = bytes([random.choice((8, 8, 8, 0, 13)), code, 0, 0]) + body
            message = message[:2] + checksum(message).to_bytes(2, "big") + body
            options = random.choice((b"", b"", b"\1\1\1\0"))
            ip = bytes([0x45 + len(options) // 4, 0])
            ip += (20 + len(options) + len(message)).to_bytes(2, "big") + bytes(4)
            ip += bytes([random.choice((64, 1)), ICMP, 0, 0]) + self.peer(random, interface, 4)
            to = random.choice((interface.address, interface.vtep or interface.address))
            return 4, with_header_checksum(ip + to + options) + message
        message = bytes([128, code, 0, 0, 0, 7, 0, 1]) + random.randbytes(random.randrange(40))
        return 6, self.icmp6(random, interface, self.our6(random, interface), message, 64)

    def our6(self, random, interface):
        """One of its addresses, or of whoever shares the link with it."""
        there = [
            i
            for i in self.tables.interfaces
            if (i.port, i.vlan) == (interface.port, interface.vlan)
        ]
        found = sorted(set().union(*(i.own6 for i in rarely(random, [interface], there))))
        return random.choice(found or [bytes(16), octets("fd00:1::1")])

    def told(self, random, interface):
        """A router's or a neighbour's word, to all of the link or to us; BGP over IPv6."""
        us = self.our6(random, interface)
        to = random.choice((us, us, octets("ff02::1"), octets("fe80::99")))
        router = b"\x86\0\0\0\x40\0\x07\x08" + bytes(8)
        neighbor = b"\x88\0\0\0\xe0\0\0\0" + random.choice((us, octets("fe80::2")))
        message = random.choice((router, neighbor)) + b"\2\1\x02\0\0\0\0\1"
        if random.random() < 0.5:
            return 6, self.icmp6(random, interface, to, message, rarely(random, 255, 64))
        tcp = b"\x90\0\0\xb3" + bytes(8) + bytes([0x50, 2]) + bytes(6)
        head = b"\x60\0\0\0" + len(tcp).to_bytes(2, "big") + bytes([TCP, 64])
        return 6, head + self.peer(random, interface, 16) + to + tcp

    def solicitation(self, random, interface):
        target = self.our6(random, interface)
        message = b"\x87\0\0\0" + bytes(4) + target + random.choice((b"", b"\1\1\x02\0\0\0\0\1"))
        group = octets("ff02::1:ff00:0")[:13] + target[13:]
        to = random.choice((group, target))
        hops = random.choice((255, 255, 64))
        packet = self.icmp6(random, interface, to, message, hops)
        if random.random() < 0.2:
            packet = self.icmp6(random, interface, group, message, 255, source=bytes(16))
        return 6, packet

    def icmp6(self, random, interface, to, message, hops, source=b""):
        source = source or self.peer(random, interface, 16)
        head = b"\x60\0\0\0" + len(message).to_bytes(2, "big") + bytes([ICMPV6, hops]) + source + to
        seal = checksum(pseudo_header(head) + message).to_bytes(2, "big")
        return head + message[:2] + seal + message[4:]

    def session(self, random, interface):
        """TCP to port 179: the kernel's."""
        tcp = b"\x90\0\0\xb3" + bytes(8) + bytes([0x50, random.choice((2, 16))]) + bytes(6)
        address = interface.address or octets("169.254.1.1")
        ip = b"\x45\0" + (40).to_bytes(2, "big") + bytes(4) + bytes([64, TCP, 0, 0])
        return 4, with_header_checksum(ip + self.peer(random, interface, 4) + address) + tcp


def damaged(random, frame):
    """Some octets changed, or the end cut off, or something added."""
    octets = bytearray(frame)
    for _ in range(random.randint(0, 3)):
        octets[random.randrange(len(octets))] = random.choice((0, 1, 255, random.randrange(256)))
    chance = random.random()
    if chance < 0.3:
        del octets[random.randrange(1, len(octets) + 1) :]
    elif chance < 0.35:
        octets += bytes(random.choice((1, 40, 2048)))
    return bytes(octets)
