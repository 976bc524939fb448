"""The rows of the forwarder that routes do not decide: interfaces, VNIs, legal VTEPs, the gateway's
addresses inside VPCs, and its BGP neighbours.

In: the topology, one gateway of it; for VTEPs also the VM rows and tables of the snapshot at hand.
Out: entries of table/snapshot.py, sorted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from ccn_bgp.gateway.sources import sites
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.ccsi import ccsis, peers, tap_name, uplink_tap
from ccn_bgp.model.route import Kind, VmEntry
from ccn_bgp.model.topology import Gateway, Topology, Uplink
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.table.snapshot import (
    AclEntry,
    GatewayAddressEntry,
    InterfaceEntry,
    PeerEntry,
    VniEntry,
    VtepEntry,
    touched_tables,
)
from ccn_bgp.table.tables import Table

UPLINK, HAND_OFF = 1, 2
VPC, L3 = 1, 2
NONE = Ip(bytes(4))
NOBODY: frozenset[VtepEntry] = frozenset()
FEW = 100
"""Changes up to which each entry is put in or out by itself."""


def interfaces(topology: Topology, gateway: Gateway) -> tuple[InterfaceEntry, ...]:
    """Uplinks, then hand-offs by port and VLAN; ids count from 1 in that order."""
    found: list[InterfaceEntry] = []
    for uplink in sorted(gateway.uplinks, key=lambda u: u.port):
        if uplink.address.address.version != gateway.vtep.version:
            continue  # `underlay-family` says so
        found.append(
            InterfaceEntry(
                id=len(found) + 1,
                role=UPLINK,
                port=uplink.port,
                vlan=0,
                ccsi=0,
                tap=uplink_tap(uplink.port),
                mac=gateway.mac,
                mtu=topology.fabric.underlay_mtu,
                **_ways(gateway, uplink),
            )
        )
    routers = [r for r in topology.routers if r.gateway == gateway.name]
    site_of = sites(topology)
    for router in sorted(routers, key=lambda r: (r.port, r.vlan or 0, r.name)):
        ends4, ends6 = router.ends(4), router.ends(6)
        found.append(
            InterfaceEntry(
                id=len(found) + 1,
                role=HAND_OFF,
                port=router.port,
                vlan=router.vlan or 0,
                ccsi=topology.ccns[router.ccn].id,
                tap=tap_name(gateway, router),
                mac=Mac(bytes(6)),
                address=ends4[1].address if ends4 else NONE,
                length=ends4[1].length if ends4 else 0,
                via=NONE,
                mtu=topology.fabric.mtu,
                address6=ends6[1].address if ends6 else Ip(b""),
                length6=ends6[1].length if ends6 else 0,
                site=site_of[router.idc],
            )
        )
    return tuple(found)


def _ways(gateway: Gateway, uplink: Uplink) -> dict[str, Any]:
    """The addresses of an uplink, in the fields of its family."""
    address, length, via = uplink.address.address, uplink.address.length, uplink.via
    apart = address.version == gateway.vtep.version and (
        gateway.has_own_tunnel_address or len(gateway.uplinks) > 1
    )
    if address.version == 4:
        tunnel = gateway.vtep if apart else NONE
        return {"address": address, "length": length, "via": via or NONE, "vtep": tunnel}
    return {
        "address": NONE,
        "length": 0,
        "via": NONE,
        "address6": address,
        "length6": length,
        "via6": via or Ip(b""),
        "vtep6": gateway.vtep if apart else Ip(b""),
    }


def vnis(topology: Topology, gateway: Gateway) -> tuple[VniEntry, ...]:
    """VNI → CCSI: the L3VNI of each CCSI and the VNIs of its VPCs in this region."""
    found: set[VniEntry] = set()
    for ccsi in ccsis(topology, gateway):
        found.add(VniEntry(ccsi.vni, ccsi.id, L3))
        found.update(VniEntry(vpc.vni, ccsi.id, VPC) for vpc in ccsi.vpcs)
    return tuple(sorted(found))


def gateway_addresses(topology: Topology, gateway: Gateway) -> tuple[GatewayAddressEntry, ...]:
    """What the forwarder answers to inside the VPCs of this region: their gateway addresses."""
    return tuple(
        sorted(
            {
                GatewayAddressEntry(vpc.vni, address)
                for ccsi in ccsis(topology, gateway)
                for vpc in ccsi.vpcs
                for address in vpc.gateways
            }
        )
    )


def acls(topology: Topology, gateway: Gateway) -> tuple[AclEntry, ...]:
    """The access lists of the gateway's CCSIs, by CCSI."""
    found = []
    for ccsi in ccsis(topology, gateway):
        if name := topology.ccns[ccsi.ccn].acl:
            found.append(AclEntry(ccsi.id, topology.acls[name]))
    return tuple(sorted(found, key=lambda entry: entry.ccsi))


def neighbors(
    topology: Topology, gateway: Gateway, interfaces: Iterable[InterfaceEntry]
) -> tuple[PeerEntry, ...]:
    """Whom the gateway has BGP sessions with, and over which interface their packets come; also the
    routers that the way to them leads over, whose ARP counts as much."""
    by_tap = {entry.tap: entry.id for entry in interfaces}
    return tuple(
        sorted(
            {
                PeerEntry(
                    0 if peer.router is None else by_tap[tap_name(gateway, peer.router)],
                    peer.address,
                )
                for peer in peers(topology, gateway)
            }
            | {PeerEntry(0, uplink.via) for uplink in gateway.uplinks if uplink.via is not None}
        )
    )


class LegalVteps:
    """Who may send on which VNI: hosts with a VM in it; gateways of the CCN and of its consumers
    on the L3VNI; and whoever our own routes of that CCN lead to.

    What the intent says is worked out once, what a table says once for each change of it.
    """

    def __init__(self, topology: Topology, gateway: Gateway) -> None:
        self._l3vnis = {ccsi.name: ccsi.vni for ccsi in ccsis(topology, gateway)}
        self._marks = _gateway_marks(topology, gateway)
        self._declared = frozenset(
            self._entry(vni, vtep) for vni, vtep in _declared_vteps(topology, gateway)
        )
        self._tables: Mapping[str, Table] = {}
        self._led: dict[str, frozenset[VtepEntry]] = {}
        self._uses: Counter[VtepEntry] = Counter()
        self._fixed: Set[VtepEntry] = frozenset()
        self._vms: Sequence[VmEntry] | None = None
        self._rows: tuple[VtepEntry, ...] = ()

    def rows(self, vms: Sequence[VmEntry], tables: Mapping[str, Table]) -> tuple[VtepEntry, ...]:
        """Sorted; the very same tuple where nothing has changed. ``tables`` is kept: it must not be
        changed afterwards."""
        legal: dict[VtepEntry, bool] = {}  # before, of what changes
        for name in touched_tables(self._tables, tables):
            before, now = self._led.get(name, NOBODY), self._led_to(tables.get(name))
            if before != now:
                for entry in before ^ now:
                    legal.setdefault(entry, entry in self._uses)
                    self._uses[entry] += 1 if entry in now else -1
                    if not self._uses[entry]:
                        del self._uses[entry]
                self._led[name] = now
        self._tables = tables
        if vms is not self._vms:
            self._vms = vms
            senders = {self._entry(vni, vtep) for vni, vtep in VmTable.of(vms).senders}
            self._fixed = senders | self._declared
            rows = tuple(sorted(self._fixed | self._uses.keys()))
            self._rows = self._rows if rows == self._rows else rows
        elif legal:
            self._move(legal)
        return self._rows

    def _move(self, legal: Mapping[VtepEntry, bool]) -> None:
        """Put in what is legal now and was not, and out what was: most changes of a route are of no
        or one."""
        moved = [e for e, was in legal.items() if was is not (e in self._uses)]
        moved = [e for e in moved if e not in self._fixed]
        if not moved:
            return
        if len(moved) <= FEW:
            rows = list(self._rows)
            for entry in moved:
                place = bisect_left(rows, entry)
                if entry in self._uses:
                    rows.insert(place, entry)
                else:
                    del rows[place]
        else:
            gone = {e for e in moved if legal[e]}
            rows = [e for e in self._rows if e not in gone] if gone else list(self._rows)
            rows += sorted(e for e in moved if not legal[e])
            rows.sort()  # two runs: a merge
        self._rows = tuple(rows)

    def _led_to(self, table: Table | None) -> frozenset[VtepEntry]:
        """Where a table's packets are sent, with its VNI."""
        if table is None:
            return NOBODY
        vni = self._l3vnis[table.name]
        answers = table.answers
        if len(answers) == 1 and (hop := answers[0].next_hop).kind is Kind.VTEP:
            return frozenset((self._entry(vni, hop.ip),))
        led: set[Ip] = set()
        for hop, *_ in answers:
            if hop.kind is Kind.VTEP:
                led.add(hop.ip)
            elif hop.members:
                led |= {part.ip for part in hop.hops if part.kind is Kind.VTEP}
        return frozenset([self._entry(vni, vtep) for vtep in led])

    def _entry(self, vni: int, vtep: Ip) -> VtepEntry:
        """The entry of this key: always the same, whoever asks for it."""
        return VtepEntry(vni, vtep, *self._marks.get((vni, vtep), (False, False)))


def _gateway_marks(topology: Topology, gateway: Gateway) -> dict[tuple[int, Ip], tuple[bool, bool]]:
    """(L3VNI, VTEP of a gateway) → (it is of our region, it has IDC routers of the CCN or of one of
    its consumers): what the forwarder lets it bring."""
    consumers: dict[str, set[str]] = {}
    for share in topology.shares:
        consumers.setdefault(share.provider, set()).add(share.consumer)
    handing_off: dict[str, set[str]] = {}
    for router in topology.routers:
        handing_off.setdefault(router.ccn, set()).add(router.gateway)
    near = {g.name for g in topology.gateways.values() if g.region == gateway.region}
    found: dict[tuple[int, Ip], tuple[bool, bool]] = {}
    for ccsi in ccsis(topology, gateway):
        users = {ccsi.ccn} | consumers.get(ccsi.ccn, set())
        hands_off = set().union(*(handing_off.get(user, set()) for user in users))
        for name in (near | hands_off) - {gateway.name}:
            key = ccsi.vni, topology.gateways[name].vtep
            found[key] = name in near, name in hands_off
    return found


def _declared_vteps(topology: Topology, gateway: Gateway) -> Iterator[tuple[int, Ip]]:
    holders: dict[str, list[Ip]] = {}
    for other in topology.gateways.values():
        if other.name != gateway.name:
            for ccsi in ccsis(topology, other):
                holders.setdefault(ccsi.ccn, []).append(other.vtep)
    consumers: dict[str, set[str]] = {}
    for share in topology.shares:
        consumers.setdefault(share.provider, set()).add(share.consumer)
    for ccsi in ccsis(topology, gateway):
        for user in {ccsi.ccn} | consumers.get(ccsi.ccn, set()):
            for vtep in holders.get(user, ()):
                yield ccsi.vni, vtep
