"""What a lab consists of: in comes a Topology, out come its nodes, their names and addresses.

Pure: the same topology gives the same names, so that a lab can be taken down from its file alone.
A node is a network namespace; its name is unique within the lab and short enough to type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.topology import Gateway, IdcRouter, Topology, Vpc

Kind = Literal["underlay", "gateway", "host", "vm", "port", "router", "server"]
_DEVICE_LENGTH = 15


@dataclass(frozen=True, slots=True)
class Subnet:
    """One underlay subnet of a region: a bridge in the region's underlay node."""

    region: str
    prefix: Prefix
    bridge: str
    routers: tuple[Ip, ...]


@dataclass(frozen=True, slots=True)
class VmNode:
    """One virtual machine: all addresses of a VPC that share a MAC and a host. Of a VM behind
    several hosts there is one on each; they are ``alike``."""

    name: str
    vpc: Vpc
    mac: Mac
    host: Ip
    addresses: tuple[Ip, ...]
    alike: bool = False

    @property
    def behind(self) -> tuple[Ip, ...]:
        """First host address of every prefix that is routed to this machine."""
        return tuple(
            route.prefix.host(1 if route.prefix.length < len(route.prefix.address) * 8 else 0)
            for route in self.vpc.routes
            if route.via in self.addresses
        )

    @property
    def port(self) -> str:
        """Its device on the host."""
        return "v" + hashlib.sha256(self.name.encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class RouterNode:
    """An IDC router and the server behind it: one stub subnet per CIDR of the data centre."""

    router: IdcRouter
    stubs: tuple[Prefix, ...]

    @property
    def name(self) -> str:
        """The router's node."""
        return self.router.name

    @property
    def server(self) -> str:
        """The server's node."""
        return f"srv-{self.router.name}"

    def router_address(self, stub: Prefix) -> Ip:
        """The router's address in a stub subnet: the first."""
        return stub.host(1)

    def server_address(self, stub: Prefix) -> Ip:
        """The server's address in a stub subnet: the tenth, or the second of a small one."""
        return stub.host(10 if stub.last - stub.first > 10 else 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """All nodes of a lab. ``prefix`` begins the name of every network namespace."""

    topology: Topology
    prefix: str
    subnets: tuple[Subnet, ...]
    hosts: tuple[Ip, ...]
    vms: tuple[VmNode, ...]
    routers: tuple[RouterNode, ...]
    kinds: dict[str, Kind] = field(compare=False)

    def netns(self, node: str) -> str:
        """The network namespace of a node."""
        return self.prefix + node

    def subnet_of(self, address: Ip) -> Subnet:
        """The underlay subnet that holds this address."""
        return next(s for s in self.subnets if s.prefix.contains(address))

    def gateway_of(self, region: str) -> Gateway:
        """The gateway that a region's hosts tunnel to: the first in the file."""
        return next(g for g in self.topology.gateways.values() if g.region == region)

    def shared_ports(self) -> Iterator[tuple[str, str, tuple[RouterNode, ...]]]:
        """Hand-off ports as (gateway, port, routers on it), by gateway and port."""
        found: dict[tuple[str, str], list[RouterNode]] = {}
        for node in self.routers:
            found.setdefault((node.router.gateway, node.router.port), []).append(node)
        for gateway, port in sorted(found):
            yield gateway, port, tuple(found[gateway, port])


def lab_prefix(name: str) -> str:
    """What the namespaces of the lab of this topology begin with."""
    return f"ccn-{hashlib.sha256(name.encode()).hexdigest()[:6]}-"


def host_node(address: Ip) -> str:
    """The node of a host."""
    return "host-" + _dashed(address)


def underlay_node(region: str) -> str:
    """The node that is a region's underlay."""
    return f"underlay-{region}"


def port_node(gateway: str, port: str) -> str:
    """The node that joins several routers on one hand-off port."""
    return f"port-{gateway}-{port}"


def device(name: str) -> str:
    """A device name the kernel takes: at most 15 characters, still distinct."""
    if len(name) <= _DEVICE_LENGTH:
        return name
    return name[:8] + hashlib.sha256(name.encode()).hexdigest()[: _DEVICE_LENGTH - 8]


def plan_layout(topology: Topology) -> Layout:
    """The nodes of a topology. InputError: a host outside the underlay, a region without gateway,
    two nodes of one name."""
    problems: list[Problem] = []
    subnets = _subnets(topology)
    regions = {gateway.region for gateway in topology.gateways.values()}
    vms: list[VmNode] = []
    hosts: dict[Ip, None] = {}
    for vpc in topology.vpcs.values():
        if vpc.vms and vpc.region not in regions:
            problems.append(
                Problem(
                    topology.at("vpcs", vpc.name, "region"),
                    f"region {vpc.region} has no gateway, so its VMs have no tunnel",
                )
            )
            continue
        for index, vm in enumerate(vpc.vms):
            here = [s.prefix for s in subnets if s.region == vpc.region]
            for host in vm.hosts:
                if not any(prefix.contains(host) for prefix in here):
                    problems.append(
                        Problem(
                            topology.at("vpcs", vpc.name, "vms", index, "host"),
                            f"host {host} is in no uplink subnet of region {vpc.region}",
                            "subnets: " + ", ".join(map(str, here)),
                        )
                    )
                hosts.setdefault(host)
        vms += _vms(vpc)
    routers = _routers(topology)
    kinds: dict[str, Kind] = {}
    for name, kind in _names(topology, regions, tuple(hosts), vms, routers):
        if name in kinds:
            problems.append(
                Problem(str(topology.file), f"a {kind} and a {kinds[name]} are both named {name}")
            )
        kinds[name] = kind
    if problems:
        raise InputError.of(problems)
    return Layout(
        topology,
        lab_prefix(topology.name),
        subnets,
        tuple(sorted(hosts)),
        tuple(vms),
        routers,
        kinds,
    )


def _names(
    topology: Topology,
    regions: set[str],
    hosts: tuple[Ip, ...],
    vms: list[VmNode],
    routers: tuple[RouterNode, ...],
) -> Iterator[tuple[str, Kind]]:
    for region in sorted(regions):
        yield underlay_node(region), "underlay"
    for gateway in topology.gateways:
        yield gateway, "gateway"
    for host in sorted(hosts):
        yield host_node(host), "host"
    for vm in vms:
        yield vm.name, "vm"
    ports = [(node.router.gateway, node.router.port) for node in routers]
    for gateway, port in sorted({p for p in ports if ports.count(p) > 1}):
        yield port_node(gateway, port), "port"
    for node in routers:
        yield node.name, "router"
    for node in routers:
        yield node.server, "server"


def _subnets(topology: Topology) -> tuple[Subnet, ...]:
    routers: dict[tuple[str, Prefix], dict[Ip, None]] = {}
    for gateway in topology.gateways.values():
        for uplink in gateway.uplinks:
            known = routers.setdefault((gateway.region, uplink.address.subnet), {})
            if uplink.via is not None:
                known.setdefault(uplink.via)
    return tuple(
        Subnet(region, prefix, f"br{index}", tuple(routers[region, prefix]))
        for index, (region, prefix) in enumerate(sorted(routers))
    )


def _vms(vpc: Vpc) -> list[VmNode]:
    found: dict[tuple[Mac, tuple[Ip, ...]], list[Ip]] = {}
    for vm in vpc.vms:
        found.setdefault((vm.mac, vm.hosts), []).append(vm.ip)
    nodes = []
    for (mac, hosts), addresses in found.items():
        name = f"vm-{vpc.name}-{_dashed(addresses[0])}"
        nodes += [
            VmNode(
                name if host == hosts[0] else f"{name}-at-{_dashed(host)}",
                vpc,
                mac,
                host,
                tuple(addresses),
                alike=len(hosts) > 1,
            )
            for host in hosts
        ]
    return nodes


def _routers(topology: Topology) -> tuple[RouterNode, ...]:
    """The n-th router of a data centre serves the n-th /24 (or /64) of each of its CIDRs."""
    found = []
    for idc in topology.idcs.values():
        for index, router in enumerate(idc.routers):
            stubs = []
            for cidr in idc.cidrs:
                if router.ends(cidr.version) is None:
                    continue
                length = max(cidr.length, 24 if cidr.version == 4 else 64)
                step = 1 << (len(cidr.address) * 8 - length)
                if step >= 4 and cidr.first + index * step <= cidr.last:
                    stubs.append(Prefix.of(cidr.host(index * step), length))
            found.append(RouterNode(router, tuple(stubs)))
    return tuple(found)


def _dashed(address: Ip) -> str:
    return str(address).replace(".", "-").replace("::", "--").replace(":", "-")
