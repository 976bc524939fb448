"""The forwarder as a function: tables, a frame and its port in; out goes what becomes of it. Read
top to bottom, written from the RFCs; slow, and it shares no code with the real one.

With ``--static-neighbors`` the MAC of a neighbour is 02:00 and the last four octets of its address,
and frames to any MAC are taken; without, no neighbour is known."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.plain_own import answer
from oracle.plain_packets import (
    CONGESTION_EXPERIENCED,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_VLAN,
    UDP,
    VXLAN_PORT,
    Drop,
    bucket_of,
    check_addresses,
    checksum,
    is_link_local,
    is_neighbor_message,
    number,
    read_packet,
    winner,
    with_header_checksum,
)
from oracle.plain_tables import (
    DROP,
    HAND_OFF,
    NEIGHBOR,
    ON_LINK,
    REMOTE,
    UPLINK,
    VIP,
    VPC,
    Group,
    Interface,
    Tables,
    covers,
)

BUFFER = 2048  # octets of a frame that are taken
OUTER = 20 + 8 + 8 + 14  # IPv4, UDP, VXLAN, inner Ethernet


@dataclass(frozen=True)
class Forwarded:
    """The frame that leaves by ``port``; ``octets`` of IP are counted for the CCSI."""

    port: str
    frame: bytes
    ccsi: int
    octets: int


@dataclass(frozen=True)
class Dropped:
    """``reason`` is the counter's name."""

    reason: str


@dataclass(frozen=True)
class Answered:
    """The router itself answers, by the port that the frame came from."""

    frame: bytes


@dataclass(frozen=True)
class Taken:
    """Read by the router itself, and nothing follows."""


@dataclass(frozen=True)
class Frame:
    """What stands before the IP packet: VLAN and addresses; ``payload`` begins behind the tag."""

    vlan: int
    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes

    @property
    def untagged(self):
        return self.destination + self.source + self.ethertype.to_bytes(2, "big") + self.payload


@dataclass
class PlainForwarder:
    """``macs``: of each port. ``static``: as with ``--static-neighbors``."""

    tables: Tables
    macs: dict[str, bytes]
    static: bool = True

    def forward(self, port, octets):
        """What becomes of a frame that came in by the port."""
        try:
            return self._forward(port, octets)
        except Drop as drop:
            return Dropped(drop.reason)

    def _forward(self, port, octets):
        frame = read_frame(octets)
        uplink = self._interface(UPLINK, port, frame.vlan)
        hand_off = self._interface(HAND_OFF, port, frame.vlan)
        if frame.vlan == 4095 or not (uplink or hand_off):  # IEEE 802.1Q table 9-2
            raise Drop("no-interface")
        self._check_mac(frame, hand_off or uplink)
        if frame.ethertype == ETHERTYPE_ARP:
            return self._answer(frame, [i for i in (uplink, hand_off) if i])
        if frame.ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
            raise Drop("not-vxlan")
        if frame.ethertype == ETHERTYPE_IPV4:
            if len(frame.payload) < 20:
                raise Drop("runt")
            destination = frame.payload[16:20]
            if hand_off and hand_off.address == destination:
                return self._answer(frame, [hand_off])
            if uplink and uplink.address == destination:
                return self._from_underlay(frame, uplink)
        if not hand_off:
            raise Drop("not-ours")
        return self._from_hand_off(frame, hand_off)

    # --- in ---

    def _interface(self, role, port, vlan):
        for i in self.tables.interfaces:
            if (i.role, i.port, i.vlan) == (role, port, vlan):
                return i
        return None

    def mac(self, interface: Interface):
        """Of frames on the wire; what an uplink's record says is the router's MAC, seen inside."""
        if interface.role == UPLINK or not interface.mac:
            return self.macs[interface.port]
        return interface.mac

    def _check_mac(self, frame, interface):
        group = frame.destination[0] & 1
        known = (self.macs[interface.port], self.mac(interface))
        if not self.static and not group and frame.destination not in known:
            raise Drop("other-mac")

    def _answer(self, frame, interfaces):
        reply = answer(frame.untagged, [(i, self.mac(i)) for i in interfaces])
        if reply is None:
            return Taken()
        return Answered(tagged(reply, frame.vlan))

    def _from_underlay(self, frame, uplink):
        """A packet to our VTEP: RFC 791 §3.1, RFC 768, RFC 7348 §5."""
        ip = frame.payload
        header, total = (ip[0] & 15) * 4, number(ip[2:4])
        if ip[0] >> 4 != 4 or header < 20:
            raise Drop("outer-header")
        if not header <= total <= len(ip):
            raise Drop("outer-length")
        datagram, fragment = ip[header:total], number(ip[6:8])
        if (
            ip[9] != UDP
            or len(datagram) < 8
            or fragment & 0x1FFF  # not the first: nobody knows its port
            or number(datagram[2:4]) != VXLAN_PORT
        ):
            return self._answer(frame, [uplink])
        if fragment & 0x2000:  # RFC 7348 §4.3: a VTEP may discard fragments
            raise Drop("outer-fragment")
        if checksum(ip[:header]) != 0:
            raise Drop("outer-checksum")
        return self._from_tunnel(source=ip[12:16], ecn=ip[1] & 3, datagram=datagram)

    def _from_tunnel(self, source, ecn, datagram):
        """The UDP checksum is not looked at: RFC 7348 §5 allows it, and it says little of what the
        inner packet's own checksums do not say."""
        length = number(datagram[4:6])
        if not 8 + 8 + 14 <= length <= len(datagram):
            raise Drop("vxlan-length")
        if not datagram[8] & 0x08:
            raise Drop("vxlan-flags")
        vni, inner = number(datagram[12:15]), datagram[16:length]
        if vni not in self.tables.vnis:
            raise Drop("unknown-vni")
        if (vni, source) not in self.tables.vteps:
            raise Drop("unknown-vtep")
        ccsi, kind = self.tables.vnis[vni]
        if kind == VPC and is_neighbor_message(number(inner[12:14]), inner[14:]):
            raise Drop("vm-neighbor")  # these tables have no gateway address to ask for
        if inner[0] & 1 and not self.static:
            raise Drop("inner-multicast")
        packet = read_packet(inner[14:], number(inner[12:14]))
        check_addresses(packet)
        return self._route(ccsi, packet, ecn)

    def _from_hand_off(self, frame, interface):
        if frame.ethertype == ETHERTYPE_IPV6:
            if len(frame.payload) < 40:
                raise Drop("runt")
            destination = frame.payload[24:40]
            ours = destination == interface.address6 or destination[0] == 0xFF
            if ours or is_link_local(destination):
                return self._answer(frame, [interface])
        if frame.destination[0] & 1 and not self.static:  # RFC 1812 §5.3.4
            raise Drop("not-ours")
        packet = read_packet(frame.payload, frame.ethertype)
        check_addresses(packet)
        return self._route(interface.ccsi, packet, ecn=0)

    # --- where to ---

    def _route(self, ccsi, packet, ecn):
        slot = self.tables.longest_match(ccsi, packet.destination)
        if slot is None:
            raise Drop("no-route")
        hop = self.tables.next_hops[slot]
        if isinstance(hop, Group):
            place = winner([(k, w) for k, w, _ in hop.members], bucket_of(packet.flow_hash))
            hop = self.tables.next_hops[hop.members[place][2]]
        if hop.kind == DROP:
            raise Drop("blackhole")
        if hop.kind in (ON_LINK, VIP):
            to = packet.destination if hop.kind == ON_LINK else hop.ip
            if (hop.vni, to) not in self.tables.vms:
                raise Drop("no-vm")
            vm = self.tables.vms[hop.vni, to]
            mac, vtep = vm.mac, vm.vtep
        elif hop.kind == REMOTE:
            mac, vtep = hop.mac, hop.ip
        self._check_life(packet, ecn)
        if hop.kind == NEIGHBOR:
            port, frame = self._to_neighbor(hop, packet, ecn)
        else:
            port, frame = self._to_tunnel(hop.vni, mac, vtep, packet, ecn)
        return Forwarded(port, frame, ccsi, len(packet.octets))

    def _check_life(self, packet, ecn):
        if packet.hops <= 1:  # RFC 1812 §5.3.1, RFC 8200 §3
            raise Drop("ttl")
        if ecn == CONGESTION_EXPERIENCED and packet.traffic_class & 3 == 0:  # RFC 6040 §4.2
            raise Drop("ecn")

    def _to_neighbor(self, hop, packet, ecn):
        out = next(i for i in self.tables.interfaces if i.id == hop.interface)
        if len(packet.octets) > out.mtu:
            raise Drop("mtu")
        frame = ethernet(self._neighbor_mac(hop.ip), self.mac(out), packet.family)
        return out.port, tagged(frame + packet.after_hop(ecn), out.vlan)

    def _to_tunnel(self, vni, mac, vtep, packet, ecn):
        """RFC 7348 §5; RFC 6040 §4.1 in normal mode; DSCP as in the uniform model of RFC 2983."""
        out, neighbor = self._uplink_to(vtep)
        if len(packet.octets) + OUTER > out.mtu:
            raise Drop("mtu")
        router_mac = out.mac or self.macs[out.port]
        inner = ethernet(mac, router_mac, packet.family) + packet.after_hop(ecn)
        vxlan = b"\x08\0\0\0" + vni.to_bytes(3, "big") + b"\0"
        length = 8 + len(vxlan) + len(inner)
        source_port = 49152 + (packet.flow_hash >> 18)  # of the dynamic range
        udp = b"".join(n.to_bytes(2, "big") for n in (source_port, VXLAN_PORT, length, 0))
        ip = b"\x45" + bytes([packet.traffic_class]) + (20 + length).to_bytes(2, "big")
        ip += b"\0\0\x40\0" + bytes([64, UDP, 0, 0]) + out.address + vtep
        frame = ethernet(self._neighbor_mac(neighbor), self.mac(out), 4)
        return out.port, tagged(
            frame + with_header_checksum(ip) + udp + vxlan + inner,
            out.vlan,
        )

    def _neighbor_mac(self, address):
        if not self.static:
            raise Drop("no-neighbor")
        return b"\x02\0" + address[-4:]

    def _uplink_to(self, vtep):
        """The uplink and the neighbour on it that a VTEP is reached by: on its own subnet first,
        then by a router; of equals the one with the lowest id."""
        uplinks = sorted(
            (i for i in self.tables.interfaces if i.role == UPLINK), key=lambda i: i.id
        )
        if any(i.address == vtep for i in uplinks):
            raise Drop("no-uplink")
        for i in uplinks:
            if covers(i.address, i.length, vtep):
                return i, vtep
        for i in uplinks:
            if i.via:
                return i, i.via
        raise Drop("no-uplink")


def read_frame(octets):
    """Ethernet and at most one tag; VID 0 says a priority and no VLAN: IEEE 802.1Q §9.6."""
    if len(octets) > BUFFER:
        raise Drop("oversize")
    if len(octets) < 14:
        raise Drop("runt")
    vlan, at = 0, 12
    if number(octets[12:14]) == ETHERTYPE_VLAN:
        if len(octets) < 18:
            raise Drop("runt")
        vlan, at = number(octets[14:16]) & 0xFFF, 16
    return Frame(vlan, octets[:6], octets[6:12], number(octets[at : at + 2]), octets[at + 2 :])


def ethernet(destination, source, family):
    """The header before a packet of this family."""
    ethertype = ETHERTYPE_IPV4 if family == 4 else ETHERTYPE_IPV6
    return destination + source + ethertype.to_bytes(2, "big")


def tagged(frame, vlan):
    """The frame with a tag, unless the VLAN is 0."""
    if vlan == 0:
        return frame
    return frame[:12] + ETHERTYPE_VLAN.to_bytes(2, "big") + vlan.to_bytes(2, "big") + frame[12:]
