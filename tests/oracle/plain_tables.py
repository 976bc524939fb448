"""The tables of the plain forwarder: rows as a person would write them down, and the records of
ccn_wire.h that say the same to the real one. Addresses are octets; nothing is indexed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType

UPLINK, HAND_OFF = 1, 2
DROP, ON_LINK, VIP, REMOTE, NEIGHBOR = range(5)
VPC, L3 = 1, 2
REGION, HANDS_OFF = 1, 2


@dataclass(frozen=True)
class Interface:
    """``mac``, ``via`` and the addresses are empty where there is none. An uplink is of IPv4 if it
    has ``address``, else of IPv6; then only the fields ending in 6 count."""

    id: int
    role: int
    port: str
    vlan: int = 0
    ccsi: int = 0
    mtu: int = 1600
    address: bytes = b""
    length: int = 24
    via: bytes = b""
    mac: bytes = b""
    address6: bytes = b""
    length6: int = 0
    site: int = 0
    vtep: bytes = b""
    vtep6: bytes = b""
    via6: bytes = b""

    @property
    def underlay(self):
        """Of an uplink: its address, the length of its subnet, its router."""
        if self.address:
            return self.address, self.length, self.via
        return self.address6, self.length6, self.via6

    @property
    def tunnel(self):
        """Of an uplink: what tunnels come to and leave from."""
        return (self.vtep or self.address) if self.address else (self.vtep6 or self.address6)

    @property
    def own6(self):
        """Its IPv6 addresses."""
        six = self.role == UPLINK and not self.address
        return {a for a in (self.address6, self.tunnel if six else b"") if a}


@dataclass(frozen=True)
class NextHop:
    """Where a route leads: ``kind`` says which of the fields count."""

    kind: int
    vni: int = 0
    ip: bytes = b""
    mac: bytes = b""
    interface: int = 0


@dataclass(frozen=True)
class Group:
    """``members``: (key, weight, slot) each."""

    members: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Vm:
    """Where a VM is: its MAC, and the VTEPs of the host or hosts that it is behind."""

    mac: bytes
    vteps: tuple[bytes, ...]


ANY_PORT = 0, 65535


@dataclass(frozen=True)
class AclRow:
    """``protocol`` None: any. Prefixes are (address, length), of the row's family."""

    permit: bool
    family: int
    protocol: int | None
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    source_ports: tuple[int, int] = ANY_PORT
    destination_ports: tuple[int, int] = ANY_PORT


@dataclass
class Tables:
    """One generation."""

    interfaces: list[Interface] = field(default_factory=list)
    ccsis: list[int] = field(default_factory=list)
    vnis: dict[int, tuple[int, int]] = field(default_factory=dict)
    """VNI -> CCSI, kind."""
    vteps: set[tuple[int, bytes]] = field(default_factory=set)
    """VNI, outer source that may use it."""
    vtep_flags: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """Of those on an L3 VNI: REGION, HANDS_OFF."""
    unchecked: set[int] = field(default_factory=set)
    """CCSIs that take packets whatever their inner source."""
    sources: dict[tuple[int, bytes, int], tuple[int, bool]] = field(default_factory=dict)
    """CCSI, prefix, length -> the site whose hand-offs may send it, whether gateways may."""
    next_hops: dict[int, NextHop | Group] = field(default_factory=dict)
    vms: dict[tuple[int, bytes], Vm] = field(default_factory=dict)
    """VNI, address -> VM."""
    routes: dict[tuple[int, bytes, int], int] = field(default_factory=dict)
    """CCSI, prefix, length -> slot of a next hop."""

    acls: dict[int, list[AclRow]] = field(default_factory=dict)
    """CCSI -> its access list; who has none lets everything pass."""
    gateway_addresses: set[tuple[int, bytes]] = field(default_factory=set)
    """VNI, the router's own address inside that VPC."""
    vtep_names: dict[bytes, bytes] = field(default_factory=dict)
    """IPv6 address of a VTEP -> the four octets that stand for it in other records."""

    def word(self, vtep):
        """The four octets of a VTEP: of IPv4 its address, of IPv6 its name."""
        return self.vtep_names[vtep] if len(vtep) == 16 else vtep

    def longest_match(self, ccsi, address):
        """The slot of the longest prefix that covers the address, or None."""
        return longest(self.routes, ccsi, address)


def longest(rows, ccsi, address):
    """What the row of the longest prefix says, or None."""
    best, found = -1, None
    for (table, prefix, length), said in rows.items():
        if table == ccsi and length > best and covers(prefix, length, address):
            best, found = length, said
    return found


def covers(prefix, length, address):
    """Whether the address is of the same family as the prefix, and lies in it."""
    if len(prefix) != len(address):
        return False
    shift = len(address) * 8 - length
    return int.from_bytes(prefix, "big") >> shift == int.from_bytes(address, "big") >> shift


def network(address, length):
    """The address without the bits beyond the length."""
    shift = len(address) * 8 - length
    return (int.from_bytes(address, "big") >> shift << shift).to_bytes(len(address), "big")


def _row(dtype, **fields):
    row = np.zeros(1, dtype)
    for name, value in fields.items():
        wanted = row.dtype[name].shape
        row[name] = wire.octets(value, wanted[0]) if isinstance(value, bytes) else value
    return row


def _family(address):
    return {0: 0, 4: 4, 16: 6}[len(address)]


def records(tables):
    """Everything as records of one FULL transaction, in an order that the forwarder takes."""
    found = []

    def say(message, dtype, **fields):
        found.append((message, 0, _row(dtype, **fields)))

    for ccsi in tables.ccsis:
        say(
            MessageType.CCSI,
            wire.CCSI,
            id=ccsi,
            name=b"ccn-%d" % ccsi,
            flags=wire.CcsiFlag.SOURCE_OPEN if ccsi in tables.unchecked else 0,
        )
    for i in tables.interfaces:
        fields = vars(i) | {"port": i.port.encode(), "role": i.role}
        say(MessageType.INTERFACE, wire.INTERFACE, **fields)
    for vni, (ccsi, kind) in tables.vnis.items():
        say(MessageType.VNI, wire.VNI, vni=vni, ccsi=ccsi, kind=kind)
    for address, name in tables.vtep_names.items():
        say(MessageType.VTEP_NAME, wire.VTEP_NAME, name=name, address=address)
    for vni, address in sorted(tables.vteps):
        flags = tables.vtep_flags.get((vni, address), 0)
        say(MessageType.VTEP, wire.VTEP, vni=vni, address=tables.word(address), flags=flags)
    for slot, hop in tables.next_hops.items():
        if isinstance(hop, NextHop):
            fields = vars(hop) | {"family": _family(hop.ip)}
            say(MessageType.NEXT_HOP, wire.NEXT_HOP, slot=slot, **fields)
    for slot, hop in tables.next_hops.items():
        if isinstance(hop, Group):
            found.append((MessageType.NEXT_HOP_GROUP, 0, _group_row(slot, hop)))
    for vni, ip in sorted(tables.gateway_addresses):
        say(
            MessageType.GATEWAY_ADDRESS,
            wire.GATEWAY_ADDRESS,
            vni=vni,
            family=_family(ip),
            ip=ip,
        )
    names = {}
    for several in sorted({vm.vteps for vm in tables.vms.values() if len(vm.vteps) > 1}):
        names[several] = (0xE0000000 + len(names)).to_bytes(4, "big")
        row = _row(wire.VTEP_SET, name=names[several], count=len(several))
        for place, vtep in enumerate(several):
            row["vtep"][0, place] = wire.octets(tables.word(vtep), 4)
        found.append((MessageType.VTEP_SET, 0, row))
    for (vni, ip), vm in tables.vms.items():
        fields = {"family": _family(ip), "ip": ip, "mac": vm.mac, "shared": len(vm.vteps) > 1}
        where = names.get(vm.vteps) or tables.word(vm.vteps[0])
        say(MessageType.VM, wire.VM, vni=vni, vtep=where, **fields)
    for (ccsi, prefix, length), slot in tables.routes.items():
        fields = {"prefix": prefix, "length": length, "family": _family(prefix)}
        say(MessageType.ROUTE, wire.ROUTE, ccsi=ccsi, next_hop=slot, **fields)
    for (ccsi, prefix, length), (site, gateways) in tables.sources.items():
        say(
            MessageType.SOURCE,
            wire.SOURCE,
            ccsi=ccsi,
            family=_family(prefix),
            length=length,
            prefix=prefix,
            site=site,
            flags=wire.SourceFlag.GATEWAYS if gateways else 0,
        )
    for ccsi, rows in tables.acls.items():
        for place, row in enumerate(rows):
            found.append((MessageType.ACL_RULE, 0, _acl_row(ccsi, place, row)))
    return found


def _acl_row(ccsi, place, row):
    made = _row(
        wire.ACL_RULE,
        ccsi=ccsi,
        sequence=place * 10,
        rule=place,
        action=1 if row.permit else 2,
        family=row.family,
        protocol=row.protocol or 0,
        any_protocol=row.protocol is None,
        source=row.source[0],
        source_length=row.source[1],
        destination=row.destination[0],
        destination_length=row.destination[1],
        name=b"rule-%d" % place,
    )
    made["source_port"], made["destination_port"] = row.source_ports, row.destination_ports
    return made


def _group_row(slot, group):
    row = _row(wire.NEXT_HOP_GROUP, slot=slot, count=len(group.members))
    for place, (key, weight, member) in enumerate(group.members):
        held = row["member"][0, place : place + 1]
        held["key"], held["weight"], held["slot"] = key, weight, member
    return row
