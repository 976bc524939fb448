"""The rows of the forwarder that routes do not decide: interfaces, VNIs and legal VTEPs.

In: the topology, one gateway of it; for VTEPs also the VM rows and tables of the snapshot at hand.
Out: entries of table/snapshot.py, sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.ccsi import ccsis, tap_name, uplink_tap
from ccn_bgp.model.route import Kind, VmEntry
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.table.snapshot import InterfaceEntry, Table, VniEntry, VtepEntry

UPLINK, HAND_OFF = 1, 2
VPC, L3 = 1, 2
NONE = Ip(bytes(4))


def interfaces(topology: Topology, gateway: Gateway) -> tuple[InterfaceEntry, ...]:
    """Uplinks, then hand-offs by port and VLAN; ids count from 1 in that order."""
    found: list[InterfaceEntry] = []
    for uplink in sorted(gateway.uplinks, key=lambda u: u.port):
        found.append(
            InterfaceEntry(
                id=len(found) + 1,
                role=UPLINK,
                port=uplink.port,
                vlan=0,
                ccsi=0,
                tap=uplink_tap(uplink.port),
                mac=gateway.mac,
                address=uplink.address.address,
                length=uplink.address.length,
                via=uplink.via or NONE,
                mtu=topology.fabric.underlay_mtu,
            )
        )
    routers = [r for r in topology.routers if r.gateway == gateway.name]
    for router in sorted(routers, key=lambda r: (r.port, r.vlan or 0, r.name)):
        v6 = router.gateway_address.address.version == 6
        address, length = router.gateway_address.address, router.gateway_address.length
        found.append(
            InterfaceEntry(
                id=len(found) + 1,
                role=HAND_OFF,
                port=router.port,
                vlan=router.vlan or 0,
                ccsi=topology.ccns[router.ccn].id,
                tap=tap_name(gateway, router),
                mac=Mac(bytes(6)),
                address=NONE if v6 else address,
                length=0 if v6 else length,
                via=NONE,
                mtu=topology.fabric.mtu,
                address6=address if v6 else Ip(b""),
                length6=length if v6 else 0,
            )
        )
    return tuple(found)


def vnis(topology: Topology, gateway: Gateway) -> tuple[VniEntry, ...]:
    """VNI → CCSI: the L3VNI of each CCSI and the VNIs of its VPCs in this region."""
    found: set[VniEntry] = set()
    for ccsi in ccsis(topology, gateway):
        found.add(VniEntry(ccsi.vni, ccsi.id, L3))
        found.update(VniEntry(vpc.vni, ccsi.id, VPC) for vpc in ccsi.vpcs)
    return tuple(sorted(found))


def vteps(
    topology: Topology, gateway: Gateway, vms: Iterable[VmEntry], tables: Mapping[str, Table]
) -> tuple[VtepEntry, ...]:
    """Who may send on which VNI: hosts with a VM in it; gateways of the CCN and of its consumers
    on the L3VNI; and whoever our own routes of that CCN lead to."""
    found = {VtepEntry(vm.vni, vm.vtep) for vm in vms}
    holders: dict[str, list[Gateway]] = {}
    for other in topology.gateways.values():
        if other.name != gateway.name:
            for ccsi in ccsis(topology, other):
                holders.setdefault(ccsi.ccn, []).append(other)
    for ccsi in ccsis(topology, gateway):
        users = {ccsi.ccn} | {s.consumer for s in topology.shares if s.provider == ccsi.ccn}
        for user in users:
            found |= {VtepEntry(ccsi.vni, other.vtep) for other in holders.get(user, ())}
        table = tables.get(ccsi.name)
        if table is not None:
            for next_hop in table.next_hops:
                if next_hop.kind is Kind.VTEP:
                    found.add(VtepEntry(ccsi.vni, next_hop.ip))
    return tuple(sorted(found))
