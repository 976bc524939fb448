"""Numbers and addresses that must be one network's alone: findings on what a file declares.

In: a Topology. Out: vni-, rt-, rd- and vtep-collision, duplicate-vm. The first claimant in the file
has the number; each further one is a finding at its own position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ccn_bgp.model.bgp import Ip, Mac, RouteTarget
from ccn_bgp.model.ccsi import export_targets
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Topology, Vm, Vpc
from ccn_bgp.model.vms import Array, VmColumns


def owners_of_vpcs(topology: Topology) -> dict[str, list[str]]:
    """VPC → the CCNs that attach it, in the order of the file."""
    found: dict[str, list[str]] = {}
    for ccn in topology.ccns.values():
        for attachment in ccn.attach:
            if attachment.kind == "vpc":
                found.setdefault(attachment.name, []).append(ccn.name)
    return found


def vni_collisions(topology: Topology) -> Iterator[Finding]:
    """A VNI says which table a packet is looked up in: two users would share one table."""
    owners = owners_of_vpcs(topology)
    claims = [
        (vpc.vni, f"vpc/{name}", ("vpcs", name, "vni"), (owners.get(name) or [""])[0])
        for name, vpc in topology.vpcs.items()
    ]
    claims += [
        (ccn.vni, f"ccn {name}", ("ccns", name, "vni"), name) for name, ccn in topology.ccns.items()
    ]
    first: dict[int, str] = {}
    for vni, user, path, ccn_name in claims:
        if vni in first:
            yield Finding(
                rule="vni-collision",
                message=f"VNI {vni} of {user} is already that of {first[vni]}",
                where=topology.at(*path),
                ccn=ccn_name,
                witness={"chain": [first[vni], f"VNI {vni}", user]},
            )
        first.setdefault(vni, user)
    for ccn in topology.ccns.values():
        for index, attachment in enumerate(ccn.attach):
            users = owners.get(attachment.name, []) if attachment.kind == "vpc" else []
            if len(users) > 1 and users[0] != ccn.name:
                vni = topology.vpcs[attachment.name].vni
                what = f"vpc/{attachment.name} is attached to ccn {users[0]} and to ccn {ccn.name}"
                yield Finding(
                    rule="vni-collision",
                    message=f"{what}: VNI {vni} cannot belong to both; share its prefixes instead",
                    where=topology.at("ccns", ccn.name, "attach", index),
                    ccn=ccn.name,
                    witness={"chain": [f"ccn {users[0]}", f"VNI {vni}", f"ccn {ccn.name}"]},
                )


def rt_collisions(topology: Topology) -> Iterator[Finding]:
    """Two CCNs that export one route target cannot be told apart by any importer."""
    first: dict[RouteTarget, str] = {}
    for name, ccn in topology.ccns.items():
        for target in sorted(export_targets(topology, ccn)):
            if target in first:
                path: tuple[str | int, ...] = ("ccns", name, "id")
                if ccn.export_rts is not None:
                    path = ("ccns", name, "export-rts", ccn.export_rts.index(target))
                yield Finding(
                    rule="rt-collision",
                    message=f"ccn {name} exports route target {target},"
                    f" which is already that of ccn {first[target]}",
                    where=topology.at(*path),
                    ccn=name,
                    witness={"chain": [f"ccn {first[target]}", str(target), f"ccn {name}"]},
                )
            first.setdefault(target, name)


def rd_collisions(topology: Topology) -> Iterator[Finding]:
    """RD = router-id:ccn.id; two tables with one RD overwrite each other's routes at every peer."""
    routers: dict[Ip, str] = {}
    for name, gateway in topology.gateways.items():
        if (other := routers.setdefault(gateway.router_id, name)) != name:
            key = "router-id" if f"gateways.{name}.router-id" in topology.positions else "vtep"
            yield Finding(
                rule="rd-collision",
                message=f"gateway {name} has the router-id {gateway.router_id} of gateway {other}:"
                " their route distinguishers are the same",
                where=topology.at("gateways", name, key),
                witness={"chain": [other, f"router-id {gateway.router_id}", name]},
            )
    present = _presence(topology)
    ids: dict[int, list[str]] = {}
    for name, ccn in topology.ccns.items():
        for other in ids.setdefault(ccn.id, []):
            if not (both := sorted(present[name] & present[other])):
                continue
            rd = f"{topology.gateways[both[0]].router_id}:{ccn.id}"
            yield Finding(
                rule="rd-collision",
                message=f"ccn {name} has the id {ccn.id} of ccn {other}:"
                f" on gateway {both[0]} both have the route distinguisher {rd}",
                where=topology.at("ccns", name, "id"),
                ccn=name,
                witness={"chain": [f"{both[0]}/{other}", rd, f"{both[0]}/{name}"]},
            )
            break
        ids[ccn.id].append(name)


def _presence(topology: Topology) -> dict[str, set[str]]:
    """CCN → the gateways that hold a table of it."""
    by_region: dict[str, set[str]] = {}
    for name, gateway in topology.gateways.items():
        by_region.setdefault(gateway.region, set()).add(name)
    found: dict[str, set[str]] = {name: set() for name in topology.ccns}
    for name, ccn in topology.ccns.items():
        for attachment in ccn.attach:
            if attachment.kind == "vpc":
                found[name] |= by_region.get(topology.vpcs[attachment.name].region, set())
    for router in topology.routers:
        found[router.ccn].add(router.gateway)
    return found


def vtep_collisions(topology: Topology) -> Iterator[Finding]:
    """An underlay address is one machine's: two gateways, or a gateway and a host, cannot share."""
    first: dict[Ip, str] = {}
    for name, gateway in topology.gateways.items():
        addresses: list[tuple[Ip, tuple[str, ...]]] = [(gateway.vtep, ("gateways", name, "vtep"))]
        addresses += [
            (u.address.address, ("gateways", name, "uplinks", str(i), "address"))
            for i, u in enumerate(gateway.uplinks)
        ]
        for address, path in addresses:
            if (other := first.setdefault(address, name)) != name:
                yield Finding(
                    rule="vtep-collision",
                    message=f"gateway {name} has the address {address} of gateway {other}",
                    where=topology.at(*path),
                    witness={"address": str(address), "hops": [other, name]},
                )
    for name, vpc in topology.vpcs.items():
        for host, index in VmColumns.of(vpc.vms).hosts_used.items():
            if host in first:
                yield Finding(
                    rule="vtep-collision",
                    message=f"the host of VM {vpc.vms[index].ip} in vpc/{name} has the address"
                    f" {host} of gateway {first[host]}",
                    where=topology.at("vpcs", name, "vms", index, "host"),
                    witness={"address": str(host), "hops": [first[host], f"vpc/{name}"]},
                )


def duplicate_vms(topology: Topology) -> Iterator[Finding]:
    """(VNI, IP) and (VNI, MAC) lead to one host."""
    owners = owners_of_vpcs(topology)
    by_ip: dict[tuple[int, Ip], tuple[str, Vm]] = {}
    by_mac: dict[tuple[int, Mac], tuple[str, Vm]] = {}
    doubtful = _doubtful(topology)
    for name, vpc in topology.vpcs.items():
        if vpc.vni not in doubtful:
            continue  # a million VMs take this way
        ccn = (owners.get(name) or [""])[0]
        for index, vm in enumerate(vpc.vms):
            if fault := _vm_fault(vpc, vm, by_ip, by_mac):
                host = _said(vm.hosts)
                yield Finding(
                    rule="duplicate-vm",
                    message=f"VM {vm.ip} ({vm.mac}) on host {host} in vpc/{name}: {fault}",
                    where=topology.at("vpcs", name, "vms", index),
                    ccn=ccn,
                    witness={"address": str(vm.ip), "hops": [f"vpc/{name}", str(vm.host)]},
                )
            by_ip.setdefault((vpc.vni, vm.ip), (name, vm))
            by_mac.setdefault((vpc.vni, vm.mac), (name, vm))


def _doubtful(topology: Topology) -> set[int]:
    """The VNIs in which any address or MAC stands twice: only those are looked at one by one."""
    vpcs = [vpc for vpc in topology.vpcs.values() if len(vpc.vms)]
    if not vpcs:
        return set()
    vms = VmColumns.joined([vpc.vms for vpc in vpcs])
    vni = np.repeat([vpc.vni for vpc in vpcs], [len(vpc.vms) for vpc in vpcs]).astype(np.uint64)
    found: set[int] = set()
    for size in (4, 16):
        rows = np.flatnonzero(vms.family == (4 if size == 4 else 6))
        words = np.ascontiguousarray(vms.address[rows, :size]).view(f">u{min(size, 8)}")
        keys = [*words.astype(np.uint64).T[::-1], vni[rows]]
        order = np.lexsort(keys) if size == 16 else np.argsort(keys[1] << np.uint64(32) | keys[0])
        twice = _alike(keys, order)
        found.update(vni[rows][order[1:][twice]].tolist())
    mac = np.zeros((len(vms), 8), np.uint8)
    mac[:, 2:] = vms.mac
    number = mac.view(">u8").reshape(-1).astype(np.uint64)
    different, rank = np.unique(vni, return_inverse=True)
    if len(different) <= 1 << 16:
        order = np.argsort(rank.astype(np.uint64) << np.uint64(48) | number)
    else:
        order = np.lexsort((number, vni))
    twice = _alike([number, vni], order) & (vms.host[order[1:]] != vms.host[order[:-1]])
    found.update(vni[order[1:][twice]].tolist())
    found.update(vpc.vni for vpc in vpcs if VmColumns.of(vpc.vms).having(vpc.gateways))
    return found


def _alike(keys: Sequence[Array], order: Array) -> Array:
    """Of neighbours in an order whether they have the same key."""
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    return same


def _vm_fault(
    vpc: Vpc,
    vm: Vm,
    by_ip: dict[tuple[int, Ip], tuple[str, Vm]],
    by_mac: dict[tuple[int, Mac], tuple[str, Vm]],
) -> str:
    if vm.ip in vpc.gateways:
        return "this is the address of the VPC's own gateway"
    if held := by_ip.get((vpc.vni, vm.ip)):
        where = f"{_said(held[1].hosts)} (vpc/{held[0]})"
        return f"VNI {vpc.vni} already has this address on host {where}"
    held = by_mac.get((vpc.vni, vm.mac))
    if held and held[1].hosts != vm.hosts:
        return (
            f"VNI {vpc.vni} already has this MAC on host {_said(held[1].hosts)}, VM {held[1].ip}"
            f" (vpc/{held[0]})"
        )
    return ""


def _said(hosts: Sequence[Ip]) -> str:
    return " and ".join(map(str, hosts))
