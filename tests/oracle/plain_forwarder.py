"""The forwarder as a function: tables, a frame and its port in; out goes what becomes of it. Read
top to bottom, written from the RFCs; slow, and it shares no code with the real one.

With ``--static-neighbors`` the MAC of a neighbour is 02:00 and the last four octets of its address,
and frames to any MAC are taken; without, no neighbour is known."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.plain_filter import denies
from oracle.plain_inside import (
    NO_PORT,
    TOLD,
    error,
    fragments,
    is_owed,
    ping_answered,
    vm_asks,
    vm_told,
)
from oracle.plain_own import answer
from oracle.plain_packets import (
    BUCKETS,
    CONGESTION_EXPERIENCED,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_VLAN,
    TCP,
    UDP,
    VXLAN_PORT,
    Drop,
    Packet,
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
from oracle.plain_sources import forged
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
    NextHop,
    Tables,
    covers,
)

BUFFER = 2048  # octets of a frame that are taken
OUTER = 20 + 8 + 8 + 14  # IPv4, UDP, VXLAN, inner Ethernet
OUTER6 = OUTER + 20
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60  # RFC 8200 §4


@dataclass(frozen=True)
class Forwarded:
    """The frame that leaves by ``port``; ``octets`` of IP are counted for the CCSI."""

    port: str
    frame: bytes
    ccsi: int
    octets: int
    own: bool = False
    """It was made by the router: it leaves when it is ready."""


@dataclass(frozen=True)
class Dropped:
    """``reason`` is the counter's name."""

    reason: str


@dataclass(frozen=True)
class Answered:
    """The router itself answers."""

    port: str
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


Outcome = Forwarded | Dropped | Answered | Taken


@dataclass
class Arrived:
    """A packet in its CCSI, and how it came: by a VNI or a hand-off, or it is the router's own."""

    packet: Packet
    ccsi: int
    ecn: int = 0
    vni: int = 0
    interface: Interface | None = None
    own: bool = False
    to_vni: int = 0
    """The VPC that its route leads into."""
    mtu: int = 0
    """Of the way out, for this packet."""


@dataclass
class PlainForwarder:
    """``macs``: of each port. ``static``: as with ``--static-neighbors``. ``icmp``: errors are
    sent, and what may be cut is cut."""

    tables: Tables
    macs: dict[str, bytes]
    static: bool = True
    icmp: bool = False

    def forward(self, port, octets) -> list[Outcome]:
        """What becomes of a frame that came in by the port; first of itself, then what the router
        says of it."""
        try:
            found = self._forward(port, octets)
        except Drop as drop:
            return [Dropped(drop.reason)]
        return found if isinstance(found, list) else [found]

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
        for_us = self._for_us4 if frame.ethertype == ETHERTYPE_IPV4 else self._for_us6
        found = for_us(frame, uplink, hand_off)
        if found is not None:
            return found
        if not hand_off:
            raise Drop("not-ours")
        return self._from_hand_off(frame, hand_off, uplink)

    # --- in ---

    def _for_us4(self, frame, uplink, hand_off):
        """What becomes of a frame that is for one of the two; None: it is for neither."""
        if len(frame.payload) < 20:
            raise Drop("runt")
        destination = frame.payload[16:20]
        if hand_off and hand_off.address == destination:
            return self._answer(frame, [hand_off])
        if uplink and uplink.address and uplink.tunnel == destination:
            return self._from_underlay(frame, uplink)
        if uplink and uplink.address == destination:
            return self._answer(frame, [uplink])
        return None

    def _for_us6(self, frame, uplink, hand_off):
        """As _for_us4; an uplink of IPv4 is asked for nothing over IPv6. What is for everybody on
        the link is the hand-off's, if there is one."""
        if not uplink or uplink.address:
            return None
        if len(frame.payload) < 40:
            raise Drop("runt")
        destination = frame.payload[24:40]
        if uplink.tunnel == destination:
            return self._from_underlay6(frame, uplink, hand_off)
        link = destination[0] == 0xFF or is_link_local(destination)
        if destination in uplink.own6 or (link and not hand_off):
            return self._answer(frame, [i for i in (uplink, hand_off) if i])
        return None

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
        return Answered(interfaces[0].port, tagged(reply, frame.vlan))

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

    def _from_underlay6(self, frame, uplink, hand_off):
        """The same over IPv6: RFC 8200 §3. Extension headers before VXLAN are those of nobody's
        tunnels, and a fragment's port may be anything."""
        ip = frame.payload
        if ip[0] >> 4 != 6:
            raise Drop("outer-header")
        length, following = number(ip[4:6]), ip[6]
        if length > len(ip) - 40:
            raise Drop("outer-length")
        payload = ip[40 : 40 + length]
        if following in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS):
            raise Drop("outer-extension")
        if following == FRAGMENT and length >= 8 and payload[0] == UDP:
            raise Drop("outer-fragment")
        if following != UDP or length < 8 or number(payload[2:4]) != VXLAN_PORT:
            return self._answer(frame, [i for i in (uplink, hand_off) if i])
        ecn = number(ip[:2]) >> 4 & 3
        return self._from_tunnel(source=ip[8:24], ecn=ecn, datagram=payload)

    def _from_tunnel(self, source, ecn, datagram):
        """The UDP checksum is not looked at: RFC 7348 §5 allows it, and it says little of what the
        inner packet's own checksums do not say. Over IPv6 it would protect the outer addresses:
        the source is judged by the tables (RFC 6936 §5), the destination is ours."""
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
            return self._vm_asks(vni, source, inner)
        if inner[0] & 1 and not self.static:
            raise Drop("inner-multicast")
        packet = read_packet(inner[14:], number(inner[12:14]))
        check_addresses(packet)
        return self._route_if_legal(Arrived(packet, ccsi, ecn, vni=vni), source)

    def _vm_asks(self, vni, source, frame):
        """ARP and neighbour discovery for the VPC's gateway, answered into the tunnel it came by:
        not to a VM that is elsewhere, and not to a host that nothing leads to."""
        asked = vm_asks(frame)
        if asked is None or (vni, asked[1]) not in self.tables.gateway_addresses:
            raise Drop("vm-neighbor")
        vm = self.tables.vms.get((vni, asked[0]))
        if (vm and source not in vm.vteps) or source not in self._endpoints():
            raise Drop("vm-neighbor")
        try:
            word = int.from_bytes(self.tables.word(source), "little")
            out, neighbor = self._uplink_to(source, word)
            mac = self._neighbor_mac(neighbor)
        except Drop:
            raise Drop("vm-neighbor") from None
        reply = vm_told(frame, asked[1], out.mac or self.macs[out.port])
        return Answered(out.port, self._tunnel(out, mac, source, vni, 0, 0, reply))

    def _endpoints(self):
        """VTEPs that VMs or next hops name."""
        hops = [h for h in self.tables.next_hops.values() if isinstance(h, NextHop)]
        found = {h.ip for h in hops if h.kind == REMOTE}
        return found.union(*(vm.vteps for vm in self.tables.vms.values()))

    def _from_hand_off(self, frame, interface, uplink):
        if frame.ethertype == ETHERTYPE_IPV6:
            if len(frame.payload) < 40:
                raise Drop("runt")
            destination = frame.payload[24:40]
            ours = destination == interface.address6 or destination[0] == 0xFF
            if ours or is_link_local(destination):
                return self._answer(frame, [i for i in (interface, uplink) if i])
        if frame.destination[0] & 1 and not self.static:  # RFC 1812 §5.3.4
            raise Drop("not-ours")
        packet = read_packet(frame.payload, frame.ethertype)
        check_addresses(packet)
        return self._route_if_legal(Arrived(packet, interface.ccsi, interface=interface))

    # --- where to ---

    def _route_if_legal(self, a, vtep=b""):
        reason = forged(self.tables, a, vtep)
        if reason:
            return Dropped(reason)
        if a.ccsi in self.tables.acls and denies(self.tables.acls[a.ccsi], a.packet):
            return self._refused(a, "acl")
        return self._route(a)

    def _route(self, a):
        try:
            return self._routed(a)
        except Drop as drop:
            return self._refused(a, drop.reason)

    def _routed(self, a):
        packet = a.packet
        slot = self.tables.longest_match(a.ccsi, packet.destination)
        if slot is None:
            raise Drop("no-route")
        hop = self.tables.next_hops[slot]
        if isinstance(hop, Group):
            place = winner([(k, w) for k, w, _ in hop.members], bucket_of(packet.flow_hash))
            hop = self.tables.next_hops[hop.members[place][2]]
        if hop.kind == DROP:
            raise Drop("blackhole")
        if hop.kind in (ON_LINK, VIP):
            a.to_vni = hop.vni
            to = packet.destination if hop.kind == ON_LINK else hop.ip
            if (hop.vni, to) not in self.tables.vms:
                gateway = (hop.vni, to) in self.tables.gateway_addresses
                if hop.kind == ON_LINK and gateway and not a.own:
                    return self._to_us(a)
                raise Drop("no-vm")
            vm = self.tables.vms[hop.vni, to]
            mac, vtep = vm.mac, self._host_of(vm, packet)
        elif hop.kind == REMOTE:
            mac, vtep = hop.mac, hop.ip
        if packet.hops <= 1:  # RFC 1812 §5.3.1, RFC 8200 §3
            raise Drop("ttl")
        if a.ecn == CONGESTION_EXPERIENCED and packet.traffic_class & 3 == 0:  # RFC 6040 §4.2
            raise Drop("ecn")
        if hop.kind == NEIGHBOR:
            port, frame = self._to_neighbor(hop, a)
        else:
            port, frame = self._to_tunnel(hop.vni, mac, vtep, a)
        return Forwarded(port, frame, a.ccsi, len(packet.octets), a.own)

    def _host_of(self, vm, packet):
        """Of several the one that has the flow's bucket: by rendezvous of equals."""
        if len(vm.vteps) == 1:
            return vm.vteps[0]
        words = map(self.tables.word, vm.vteps)
        keys = [(1 << 32 | int.from_bytes(word, "little"), 1) for word in words]
        return vm.vteps[winner(keys, bucket_of(packet.flow_hash))]

    def _to_neighbor(self, hop, a):
        out = next(i for i in self.tables.interfaces if i.id == hop.interface)
        a.mtu = out.mtu
        if len(a.packet.octets) > a.mtu:
            raise Drop("mtu")
        frame = ethernet(self._neighbor_mac(hop.ip), self.mac(out), a.packet.family)
        return out.port, tagged(frame + a.packet.after_hop(a.ecn), out.vlan)

    def _to_tunnel(self, vni, mac, vtep, a):
        """What one tunnel brought goes into the next: RFC 6040 §4.2, then §4.1 in normal mode; DSCP
        as in the uniform model of RFC 2983."""
        packet, sent = a.packet, Packet(a.packet.family, a.packet.after_hop(a.ecn))
        out, neighbor = self._uplink_to(vtep, packet.flow_hash)
        a.mtu = out.mtu - (OUTER if out.address else OUTER6)
        if len(packet.octets) > a.mtu:
            raise Drop("mtu")
        router_mac = out.mac or self.macs[out.port]
        inner = ethernet(mac, router_mac, packet.family) + sent.octets
        to, tos = self._neighbor_mac(neighbor), sent.traffic_class
        return out.port, self._tunnel(out, to, vtep, vni, tos, packet.flow_hash, inner)

    def _tunnel(self, out, to, vtep, vni, tos, flow_hash, inner):
        """The inner frame in VXLAN: RFC 7348 §5."""
        vxlan = b"\x08\0\0\0" + vni.to_bytes(3, "big") + b"\0"
        length = 8 + len(vxlan) + len(inner)
        source_port = 49152 + (flow_hash >> 18)  # of the dynamic range
        udp = b"".join(n.to_bytes(2, "big") for n in (source_port, VXLAN_PORT, length, 0))
        if len(vtep) == 16:
            # a label that is not zero, of the flow: RFC 6437 §3, RFC 6438
            head = 6 << 28 | tos << 20 | (flow_hash >> 12 or 1)
            ip = head.to_bytes(4, "big") + length.to_bytes(2, "big") + bytes([UDP, 64])
            frame = ethernet(to, self.mac(out), 6) + ip + out.tunnel + vtep + udp + vxlan + inner
            return tagged(frame, out.vlan)
        ip = b"\x45" + bytes([tos]) + (20 + length).to_bytes(2, "big")
        ip += b"\0\0\x40\0" + bytes([64, UDP, 0, 0]) + out.tunnel + vtep
        frame = ethernet(to, self.mac(out), 4) + with_header_checksum(ip) + udp + vxlan + inner
        return tagged(frame, out.vlan)

    # --- what the router says ---

    def _say(self, a, packet, ecn=0):
        """A packet of our own, routed like any other in the CCSI."""
        found = self._route(Arrived(packet, a.ccsi, ecn, own=True))
        return found if isinstance(found, list) else [found]

    def _to_us(self, a):
        """To the gateway's address inside a VPC."""
        reply = ping_answered(a.packet)
        if reply:
            return self._say(a, reply)
        told = []
        if a.packet.protocol in (TCP, UDP) and is_owed(a.packet):
            told = self._say(a, error(a.packet, NO_PORT, 0, a.packet.destination))
        return [Dropped("gateway-address"), *told]

    def _refused(self, a, reason):
        """Counted; and told, or cut, as RFC 1812 §4.3.3 and §4.2.2.7 want."""
        if not self.icmp:
            return Dropped(reason)
        if reason == "mtu" and a.packet.family == 4 and not a.packet.octets[6] & 0x40:
            pieces = fragments(a.packet, a.mtu)
            if pieces is None:
                return Dropped("mtu")
            return [outcome for piece in pieces for outcome in self._say(a, piece, a.ecn)]
        if a.own:
            return Dropped(reason if reason == "ecn" else "answer")
        ours = self._address(a)
        if reason not in TOLD or not is_owed(a.packet) or ours is None:
            return Dropped(reason)
        return [Dropped(reason), *self._say(a, error(a.packet, TOLD[reason], a.mtu, ours))]

    def _address(self, a):
        """Whom an error is from: the gateway of the sender's VPC, or of the hand-off it came by;
        else of where it would have gone, or anything of ours in the CCSI; RFC 7600 §4.8 has one
        for who has none."""
        size = 4 if a.packet.family == 4 else 16
        gateways = [x for x in sorted(self.tables.gateway_addresses) if len(x[1]) == size]
        hand_offs = [i for i in self.tables.interfaces if i.role == HAND_OFF and i.ccsi == a.ccsi]
        arrived = [a.interface] if a.interface else []
        found = [ip for vni, ip in gateways if vni == a.vni]
        found += [i.address if size == 4 else i.address6 for i in arrived]
        found += [ip for vni, ip in gateways if vni == a.to_vni]
        found += [ip for vni, ip in gateways if self.tables.vnis[vni][0] == a.ccsi]
        found += [i.address if size == 4 else i.address6 for i in hand_offs]
        found += [b"\xc0\0\0\x08"] if size == 4 else []
        return next((address for address in found if address), None)

    def _uplink_to(self, vtep, flow_hash):
        """The uplink and the neighbour on it that a VTEP is reached by: on its own subnet first, of
        those the one with the lowest id; else by the routers, who share the flows."""
        found = (i for i in self.tables.interfaces if i.role == UPLINK)
        uplinks = sorted(
            (i for i in found if bool(i.address) == (len(vtep) == 4)), key=lambda i: i.id
        )
        if any(vtep in (i.underlay[0], i.tunnel) for i in uplinks):
            raise Drop("no-uplink")
        for i in uplinks:
            address, length, _ = i.underlay
            if covers(address, length, vtep):
                return i, vtep
        routed = [i for i in uplinks if i.underlay[2]]
        if not routed:
            raise Drop("no-uplink")
        i = routed[winner([(i.id, 1) for i in routed], flow_hash >> 18 & BUCKETS - 1)]
        return i, i.underlay[2]

    def _neighbor_mac(self, address):
        if not self.static:
            raise Drop("no-neighbor")
        return b"\x02\0" + address[-4:]


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
