"""Tables that are changed under traffic, and frames whose way through them can be read off what
comes out.

In: how often each kind of table has been changed. Out: records, and one frame for each lane. A lane
is a packet with a stamp (its kind and its number) in its last octets. Each change of a kind gives
what its lanes lead to the next of SIGNATURES signatures: tunnel endpoint, VNI and MAC that belong
together; a frame whose three do not has met half of one generation and half of another.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.bench.frames import inner_packet, tunnel
from ccn_bgp.bench.rows import Record
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import Flag, MessageType, NextHopKind, Role, VniKind

SIGNATURES = 16
MEMBERS = 3
STAMP = 0xCC
UDP_OF_IPV4, UDP_OF_IPV6 = 28, 8
"""Octets of payload, so that all frames are equally long."""


class Kind(enum.IntEnum):
    """What is changed, and so how often the packets of a lane may go back: never."""

    ROUTES = 0
    ROUTES6 = 1
    NEXT_HOP = 2
    VM = 3
    VM6 = 4
    GROUP = 5
    CCSI = 6


class Lanes(NamedTuple):
    """``together``: the lanes of the kind change in one store, so they share one order."""

    number: int
    together: bool
    v6: bool = False


LANES = {
    Kind.ROUTES: Lanes(12, together=True),
    Kind.ROUTES6: Lanes(6, together=True, v6=True),
    Kind.NEXT_HOP: Lanes(6, together=True),
    Kind.VM: Lanes(8, together=False),
    Kind.VM6: Lanes(4, together=False, v6=True),
    Kind.GROUP: Lanes(20, together=False),
    Kind.CCSI: Lanes(8, together=True),
}
"""64 in all: every burst has each of them."""

GATEWAY, HOST = bytes([198, 18, 255, 11]), bytes([198, 18, 255, 101])
SENDER = bytes([198, 18, 255, 12])
"""The gateway's address on the port that packets leave by."""
STAYS, COMES_AND_GOES = 100, 300
"""CCSIs, and with 10,000 the VNIs that lead to them."""
SOURCE4, SOURCE6 = bytes([10, 9, 0, 1]), b"\xfd\x09" + bytes(13) + b"\1"
OUT_MAC = b"\x02pcap\x01"
"""Of the second pcap port: net_pcap makes MACs of its device's number."""
ROUTER_MAC, HOST_MAC = b"\x02\xcc\xc6\x12\xff\x0b", b"\x02\x00\x0a\x09\x00\x01"
_SLOTS = {kind: 1000 * (1 + kind) for kind in Kind}


def ccsi_of(kind: Kind) -> int:
    """The table that the kind's lanes are routed by."""
    return COMES_AND_GOES if kind is Kind.CCSI else STAYS


def _prefix(kind: Kind, lane: int) -> bytes:
    if LANES[kind].v6:
        return bytes([0xFD, kind, 0, 0, 0, 0, 0, lane]) + bytes(8)
    return bytes([10, kind, lane, 0])


def destination(kind: Kind, lane: int) -> bytes:
    """The address that the lane's packets go to."""
    return _prefix(kind, lane)[:-1] + b"\x07"


LENGTH = 14 + 20 + 8 + 8 + 14 + 20 + 8 + UDP_OF_IPV4
"""Of a frame, in octets."""


def frames(port_mac: bytes) -> list[bytes]:
    """One for each lane, kinds by turns."""
    found = []
    for lane in range(max(lanes.number for lanes in LANES.values())):
        for kind, lanes in LANES.items():
            if lane < lanes.number:
                ethernet = ROUTER_MAC + HOST_MAC + (b"\x86\xdd" if lanes.v6 else b"\x08\x00")
                found.append(
                    tunnel(
                        10_000 + ccsi_of(kind),
                        ethernet + _packet(kind, lane, hops=64),
                        lane,
                        port_mac,
                        source=HOST,
                        gateway=GATEWAY,
                    )
                )
    return found


def _packet(kind: Kind, lane: int, hops: int) -> bytes:
    """The inner IP packet, stamped."""
    v6 = LANES[kind].v6
    stamp = bytes([STAMP, kind]) + lane.to_bytes(2, "big")
    payload = bytes((UDP_OF_IPV6 if v6 else UDP_OF_IPV4) - len(stamp)) + stamp
    source = SOURCE6 if v6 else SOURCE4
    return inner_packet(source, destination(kind, lane), payload, flow=lane, hops=hops)


def expected(kind: Kind, lane: int, signature: int, member: int = 0) -> bytes:
    """The frame that comes out under this signature; its UDP source port is not said."""
    number = lane if kind in (Kind.VM, Kind.VM6) else member
    to = vtep(kind, signature, member)
    ethernet = mac(kind, signature, number) + ROUTER_MAC
    ethernet += b"\x86\xdd" if LANES[kind].v6 else b"\x08\x00"
    inner = ethernet + _packet(kind, lane, hops=63)
    frame = tunnel(vni(kind, signature), inner, 0, b"\x02\x00" + to, source=SENDER, gateway=to)
    return frame[:6] + OUT_MAC + frame[12:]


# --- signatures ---


def vtep(kind: int, signature: int, member: int = 0) -> bytes:
    """The tunnel endpoint; it says all there is to know of where a packet was sent."""
    return bytes([198, 18, kind, 1 + signature + SIGNATURES * member])


def vni(kind: int, signature: int) -> int:
    """The VNI; that of a VM stays when the VM moves."""
    return 0x100000 | kind << 8 | (0 if kind in (Kind.VM, Kind.VM6) else signature)


def mac(kind: int, signature: int, number: int = 0) -> bytes:
    """The inner destination; ``number``: of a group's member, or of a VM."""
    return bytes([2, 0xAA, kind, 0, number, signature])


# --- records ---


def _remote(kind: Kind, signature: int, slot: int, member: int = 0) -> npt.NDArray[Any]:
    row = np.zeros(1, wire.NEXT_HOP)
    row["slot"], row["kind"], row["family"] = slot, NextHopKind.REMOTE, 4
    row["vni"] = vni(kind, signature)
    row["ip"] = wire.octets(vtep(kind, signature, member), 16)
    row["mac"] = wire.octets(mac(kind, signature, member), 6)
    return row


def _routes(kind: Kind, slot: int) -> npt.NDArray[Any]:
    lanes = LANES[kind]
    row = np.zeros(lanes.number, wire.ROUTE)
    row["ccsi"], row["next_hop"] = ccsi_of(kind), slot
    row["family"], row["length"] = (6, 64) if lanes.v6 else (4, 24)
    for lane in range(lanes.number):
        row["prefix"][lane] = wire.octets(_prefix(kind, lane), 16)
    return row


def _vm(number: int, ip: bytes, host: bytes, address: bytes) -> npt.NDArray[Any]:
    row = np.zeros(1, wire.VM)
    row["vni"], row["family"] = number, 4 if len(ip) == 4 else 6
    row["ip"], row["vtep"] = wire.octets(ip, 16), wire.octets(host, 4)
    row["mac"] = wire.octets(address, 6)
    return row


def _vms(kind: Kind, signature: int) -> npt.NDArray[Any]:
    return np.concatenate(
        [
            _vm(
                vni(kind, 0),
                destination(kind, lane),
                vtep(kind, signature),
                mac(kind, signature, lane),
            )
            for lane in range(LANES[kind].number)
        ]
    )


def _member_slot(signature: int, member: int) -> int:
    return _SLOTS[Kind.GROUP] + 1 + signature * MEMBERS + member


def _members(signature: int) -> npt.NDArray[Any]:
    return np.concatenate(
        [
            _remote(Kind.GROUP, signature, _member_slot(signature, member), member)
            for member in range(MEMBERS)
        ]
    )


def _group(signature: int) -> npt.NDArray[Any]:
    row = np.zeros(1, wire.NEXT_HOP_GROUP)
    row["slot"], row["count"] = _SLOTS[Kind.GROUP], MEMBERS
    for member in range(MEMBERS):
        held = row["member"][0, member : member + 1]
        held["key"], held["weight"] = signature * MEMBERS + member + 1, 1 + member
        held["slot"] = _member_slot(signature, member)
    return row


def _named_ccsi(number: int) -> npt.NDArray[Any]:
    row = np.zeros(1, wire.CCSI)
    row["id"], row["name"] = number, wire.octets(b"torture-%d" % number, 32)
    return row


def _vni(number: int) -> npt.NDArray[Any]:
    row = np.zeros(1, wire.VNI)
    row["vni"], row["ccsi"], row["kind"] = 10_000 + number, number, VniKind.VPC
    return row


def _uplinks(port_in: str, port_out: str) -> npt.NDArray[Any]:
    """One that packets come by, with nobody on its subnet, and one that they leave by."""
    row = np.zeros(2, wire.INTERFACE)
    row["id"], row["role"], row["mtu"] = (1, 2), Role.UPLINK, 1600
    row["length"] = 32, 15
    row["mac"] = wire.octets(ROUTER_MAC, 6)
    for place, (port, address) in enumerate(((port_in, GATEWAY), (port_out, SENDER))):
        row["port"][place] = wire.octets(port.encode(), 16)
        row["address"][place] = wire.octets(address, 4)
    return row


class Tortured:
    """The tables as they stand, and their changes. ``present``: the CCSI that comes and goes."""

    def __init__(self, port_in: str, port_out: str) -> None:
        self.ports = port_in, port_out
        self.changes = dict.fromkeys(Kind, 0)
        self.present = True

    def _signature(self, kind: Kind) -> int:
        return self.changes[kind] % SIGNATURES

    def _next(self, kind: Kind) -> int:
        self.changes[kind] += 1
        return self._signature(kind)

    def everything(self) -> list[Record]:
        """All tables, after one more change of each kind, as one FULL transaction."""
        for kind in Kind:
            self._next(kind)
        senders = np.zeros(2, wire.VTEP)
        senders["vni"] = 10_000 + STAYS, 10_000 + COMES_AND_GOES
        senders["address"] = wire.octets(HOST, 4)
        sources = [
            _vm(10_000 + ccsi, ip, HOST, HOST_MAC)
            for ccsi in (STAYS, COMES_AND_GOES)
            for ip in (SOURCE4, SOURCE6)
        ]
        hops, groups, routes = [], [], []
        for kind in (Kind.ROUTES, Kind.ROUTES6, Kind.NEXT_HOP):
            signature = self._signature(kind)
            single = kind is Kind.NEXT_HOP
            for each in [signature] if single else range(SIGNATURES):
                hops.append(_remote(kind, each, _SLOTS[kind] + (0 if single else each)))
            routes.append(_routes(kind, _SLOTS[kind] + (0 if single else signature)))
        for kind in (Kind.VM, Kind.VM6):
            on_link = np.zeros(1, wire.NEXT_HOP)
            on_link["slot"], on_link["kind"] = _SLOTS[kind], NextHopKind.ON_LINK
            on_link["vni"] = vni(kind, 0)
            hops.append(on_link)
            routes.append(_routes(kind, _SLOTS[kind]))
            sources.append(_vms(kind, self._signature(kind)))
        hops.append(_members(self._signature(Kind.GROUP)))
        groups.append(_group(self._signature(Kind.GROUP)))
        routes.append(_routes(Kind.GROUP, _SLOTS[Kind.GROUP]))
        return [
            (MessageType.CCSI, 0, _named_ccsi(STAYS)),
            (MessageType.INTERFACE, 0, _uplinks(*self.ports)),
            (MessageType.VNI, 0, _vni(STAYS)),
            (MessageType.VTEP, 0, senders),
            (MessageType.NEXT_HOP, 0, np.concatenate(hops)),
            (MessageType.NEXT_HOP_GROUP, 0, np.concatenate(groups)),
            (MessageType.VM, 0, np.concatenate(sources)),
            (MessageType.ROUTE, 0, np.concatenate(routes)),
            *(self._ccsi_comes() if self.present else []),
        ]

    def change(self, number: int) -> list[Record]:
        """The records of change ``number``: the kinds by turns."""
        turns = (self._routes_change, self._hop_changes, self._vms_move, self._group_changes)
        if number % 5 == 4:
            return self._ccsi_changes()
        return turns[number % 5]()

    def _routes_change(self) -> list[Record]:
        changed = [
            _routes(kind, _SLOTS[kind] + self._next(kind)) for kind in (Kind.ROUTES, Kind.ROUTES6)
        ]
        return [(MessageType.ROUTE, 0, np.concatenate(changed))]

    def _hop_changes(self) -> list[Record]:
        signature = self._next(Kind.NEXT_HOP)
        row = _remote(Kind.NEXT_HOP, signature, _SLOTS[Kind.NEXT_HOP])
        return [(MessageType.NEXT_HOP, 0, row)]

    def _vms_move(self) -> list[Record]:
        moved = [_vms(kind, self._next(kind)) for kind in (Kind.VM, Kind.VM6)]
        return [(MessageType.VM, 0, np.concatenate(moved))]

    def _group_changes(self) -> list[Record]:
        """New members, the group, old members gone: make before break."""
        old, new = self._signature(Kind.GROUP), self._next(Kind.GROUP)
        return [
            (MessageType.NEXT_HOP, 0, _members(new)),
            (MessageType.NEXT_HOP_GROUP, 0, _group(new)),
            (MessageType.NEXT_HOP, Flag.DELETE, _members(old)),
        ]

    def _ccsi_changes(self) -> list[Record]:
        """It goes with all that it holds, or comes back with routes elsewhere."""
        self.present = not self.present
        if self.present:
            self._next(Kind.CCSI)
            return self._ccsi_comes()
        slot = _SLOTS[Kind.CCSI] + self._signature(Kind.CCSI)
        return [
            (MessageType.VNI, Flag.DELETE, _vni(COMES_AND_GOES)),
            (MessageType.CCSI, Flag.DELETE, _named_ccsi(COMES_AND_GOES)),
            (MessageType.NEXT_HOP, Flag.DELETE, _remote(Kind.CCSI, 0, slot)),
        ]

    def _ccsi_comes(self) -> list[Record]:
        signature = self._signature(Kind.CCSI)
        slot = _SLOTS[Kind.CCSI] + signature
        return [
            (MessageType.CCSI, 0, _named_ccsi(COMES_AND_GOES)),
            (MessageType.NEXT_HOP, 0, _remote(Kind.CCSI, signature, slot)),
            (MessageType.VNI, 0, _vni(COMES_AND_GOES)),
            (MessageType.ROUTE, 0, _routes(Kind.CCSI, slot)),
        ]
