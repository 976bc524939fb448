"""What is typed to build a lab: in comes a Layout, out come shell scripts, one per namespace.

Pure: nothing runs here. Every line is one that an operator could type in `ccn lab exec NODE -- sh`.
All devices are veths made between two namespaces, so deleting the namespaces deletes everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ccn_bgp.lab.layout import (
    Layout,
    RouterNode,
    Subnet,
    VmNode,
    device,
    host_node,
    port_node,
    underlay_node,
)
from ccn_bgp.model.bgp import Ip

_NO_CHECKSUM = "tx off"  # partial checksums never become whole on the way to the forwarder
_NODAD = {4: "", 6: " nodad"}
_ZERO_CHECKSUM = {4: "", 6: " udp6zerocsumrx"}  # as the forwarder sends it (RFC 6935)
_NO_TAG_OFFLOAD = "tx off txvlan off rxvlan off"  # or the tag vanishes between veth and af_xdp


@dataclass(frozen=True, slots=True)
class Script:
    """A shell script to run in one node."""

    node: str
    text: str


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth: device ``here`` in node ``node``, device ``there`` in node ``peer``."""

    node: str
    here: str
    peer: str
    there: str


def cables(layout: Layout) -> Iterator[Cable]:
    """All veths of the lab."""
    for one, two in _region_pairs(layout):
        yield Cable(
            underlay_node(one), device(f"to-{two}"), underlay_node(two), device(f"to-{one}")
        )
    for gateway in layout.topology.gateways.values():
        for uplink in gateway.uplinks:
            yield Cable(
                gateway.name,
                uplink.port,
                underlay_node(gateway.region),
                device(f"{gateway.name}.{uplink.port}"),
            )
    for host in layout.hosts:
        yield host_cable(layout, host)
    for vm in layout.vms:
        yield Cable(vm.name, "eth0", host_node(vm.host), vm.port)
    for gateway_name, port, routers in layout.shared_ports():
        if len(routers) == 1:
            yield Cable(gateway_name, port, routers[0].name, "gw")
            continue
        segment = port_node(gateway_name, port)
        yield Cable(gateway_name, port, segment, "gateway")
        for node in routers:
            yield Cable(segment, device(node.name), node.name, "gw")
    for node in layout.routers:
        yield Cable(node.name, "srv", node.server, "eth0")


def host_cable(layout: Layout, host: Ip) -> Cable:
    """The veth between a host and its region's underlay."""
    region = layout.subnet_of(host).region
    name = f"h{host}".replace(":", "-")  # which no device name may have
    return Cable(host_node(host), "eth0", underlay_node(region), device(name))


def scripts(layout: Layout) -> Iterator[Script]:
    """The scripts of all nodes, underlay first; they may run in any order."""
    for subnet in layout.subnets:
        yield _underlay(layout, subnet)
    for region in sorted({subnet.region for subnet in layout.subnets}):
        yield _tunnel_addresses(layout, region)
    for one, two in _region_pairs(layout):
        yield _region_link(layout, one, two, 1)
        yield _region_link(layout, two, one, 2)
    for gateway in layout.topology.gateways:
        yield _gateway(layout, gateway)
    for gateway, port, routers in layout.shared_ports():
        if len(routers) > 1:
            yield _segment(layout, gateway, port, routers)
    for host in layout.hosts:
        yield host_script(layout, host)
    for vm in layout.vms:
        yield _vm(layout, vm)
        yield vm_port_script(layout, vm, vm.host)
    for node in layout.routers:
        yield _router(layout, node)
        yield _server(layout, node)


def _region_pairs(layout: Layout) -> list[tuple[str, str]]:
    regions = sorted({subnet.region for subnet in layout.subnets})
    return [(one, two) for i, one in enumerate(regions) for two in regions[i + 1 :]]


def _underlay(layout: Layout, subnet: Subnet) -> Script:
    """A bridge per subnet; ``via`` addresses are the router's."""
    mtu, version = layout.topology.fabric.underlay_mtu, subnet.prefix.version
    ports = [
        device(f"{gateway.name}.{uplink.port}")
        for gateway in layout.topology.gateways.values()
        if gateway.region == subnet.region
        for uplink in gateway.uplinks
        if uplink.address.subnet == subnet.prefix
    ]
    ports += [host_cable(layout, h).there for h in layout.hosts if subnet.prefix.contains(h)]
    lines = [
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        f"ip link add {subnet.bridge} type bridge stp_state 0 mcast_snooping 0",
        f"sysctl -qw net/ipv6/conf/{subnet.bridge}/disable_ipv6={int(version == 4)}",
        *(
            f"ip addr add {via}/{subnet.prefix.length} dev {subnet.bridge}" + _NODAD[version]
            for via in subnet.routers
        ),
        *(line for port in ports for line in underlay_port(subnet, port, mtu)),
        f"ip link set {subnet.bridge} mtu {mtu} up",
    ]
    if subnet.routers and not any(subnet.prefix.contains(via) for via in subnet.routers):
        lines.append(f"ip route add {subnet.prefix} dev {subnet.bridge}")  # of link-local ones
    return Script(underlay_node(subnet.region), "\n".join(lines))


def _tunnel_addresses(layout: Layout, region: str) -> Script:
    """Tunnel addresses that are no uplink's: behind all uplinks of their gateway, flows spread."""
    lines = [f"sysctl -qw net.ipv{v}.fib_multipath_hash_policy=1" for v in (4, 6)]
    for gateway in layout.topology.gateways.values():
        if gateway.region == region and gateway.has_own_tunnel_address:
            ways = " ".join(f"nexthop via {u.address.address}" for u in gateway.uplinks)
            lines.append(f"ip route add {gateway.vtep} {ways}")
    return Script(underlay_node(region), "\n".join(lines))


def underlay_port(subnet: Subnet, port: str, mtu: int) -> list[str]:
    """The lines that join a veth end to a subnet's bridge."""
    return [
        f"ethtool -K {port} {_NO_CHECKSUM} >/dev/null",
        f"sysctl -qw net/ipv6/conf/{port}/disable_ipv6=1",
        f"ip link set {port} mtu {mtu} master {subnet.bridge} up",
    ]


def _region_link(layout: Layout, here: str, there: str, end: int) -> Script:
    """The routed link to another region: IPv6 link-local next hops, so no address is used up."""
    port = device(f"to-{there}")
    lines = [
        f"ethtool -K {port} {_NO_CHECKSUM} >/dev/null",
        f"ip link set {port} mtu {layout.topology.fabric.underlay_mtu} up",
        f"ip -6 addr add fe80::{end}/64 dev {port} nodad",
    ]
    lines += [
        f"ip route add {subnet.prefix} {_next(subnet.prefix.version, end)} dev {port}"
        for subnet in layout.subnets
        if subnet.region == there
    ]
    lines += [
        f"ip route add {gateway.vtep} {_next(gateway.vtep.version, end)} dev {port}"
        for gateway in layout.topology.gateways.values()
        if gateway.region == there and gateway.has_own_tunnel_address
    ]
    return Script(underlay_node(here), "\n".join(lines))


def _next(version: int, end: int) -> str:
    return f"via {'inet6 ' if version == 4 else ''}fe80::{3 - end}"


def _gateway(layout: Layout, name: str) -> Script:
    """Ports without any address: the forwarder takes them."""
    fabric = layout.topology.fabric
    lines = ["ip link set lo up"]
    ports = {u.port: fabric.underlay_mtu for u in layout.topology.gateways[name].uplinks}
    ports |= {n.router.port: fabric.mtu for n in layout.routers if n.router.gateway == name}
    for port, mtu in ports.items():
        lines += [
            f"ethtool -K {port} {_NO_TAG_OFFLOAD} >/dev/null",
            f"sysctl -qw net/ipv6/conf/{port}/disable_ipv6=1",
            f"ip link set {port} mtu {mtu} up",
        ]
    return Script(name, "\n".join(lines))


def _segment(layout: Layout, gateway: str, port: str, routers: tuple[RouterNode, ...]) -> Script:
    """A switch between one hand-off port and the routers on it; it passes tags as they are."""
    mtu = layout.topology.fabric.mtu
    lines = [
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        "ip link add br0 type bridge stp_state 0 mcast_snooping 0",
        f"ip link set br0 mtu {mtu} up",
    ]
    for name in ("gateway", *(device(node.name) for node in routers)):
        lines += [
            f"ethtool -K {name} {_NO_TAG_OFFLOAD} >/dev/null",
            f"ip link set {name} mtu {mtu} master br0 up",
        ]
    return Script(port_node(gateway, port), "\n".join(lines))


def host_script(layout: Layout, host: Ip) -> Script:
    """The underlay side of a host; its bridges come with the first VM of a VPC."""
    subnet = layout.subnet_of(host)
    # bridges and tunnels never speak IPv6 themselves
    silent = "net.ipv6.conf.default.disable_ipv6=1"
    if host.version == 4:
        silent += " net.ipv6.conf.all.disable_ipv6=1"
    lines = [
        f"sysctl -qw {silent}",
        "ip link set lo up",
        f"ethtool -K eth0 {_NO_CHECKSUM} >/dev/null",
        f"ip link set eth0 mtu {layout.topology.fabric.underlay_mtu} up",
        f"ip addr add {host}/{subnet.prefix.length} dev eth0" + _NODAD[host.version],
    ]
    if subnet.routers:
        lines.append(f"ip route add default via {subnet.routers[0]} dev eth0")
    return Script(host_node(host), "\n".join(lines))


def vm_port_script(layout: Layout, vm: VmNode, host: Ip) -> Script:
    """The host side of a VM: its veth on the bridge of the VPC's VNI, made if it is not there."""
    vni, mtu = vm.vpc.vni, layout.topology.fabric.mtu
    bridge, tunnel = f"br{vni}", f"vx{vni}"
    remote = layout.gateway_of(vm.vpc.region).vtep
    lines = [
        f"if ! test -e /proc/sys/net/ipv4/conf/{bridge}; then",
        f"ip link add {bridge} type bridge stp_state 0 mcast_snooping 0",
        f"ip link set {bridge} mtu {mtu} up",
        f"ip link add {tunnel} type vxlan id {vni} local {host} remote {remote} dstport 4789"
        " nolearning" + _ZERO_CHECKSUM[host.version],
        f"ethtool -K {tunnel} {_NO_CHECKSUM} >/dev/null",
        f"ip link set {tunnel} mtu {mtu} master {bridge} up",
        "fi",
        f"ethtool -K {vm.port} {_NO_CHECKSUM} >/dev/null",
        f"ip link set {vm.port} mtu {mtu} master {bridge} up",
    ]
    return Script(host_node(host), "\n".join(lines))


def _vm(layout: Layout, vm: VmNode) -> Script:
    """Host routes: all traffic goes to the VPC's gateway address, which the forwarder answers."""
    lines = [
        # no link-local address: nothing to solicit, nothing for the forwarder to drop
        "sysctl -qw net/ipv6/conf/eth0/accept_ra=0 net/ipv6/conf/eth0/addr_gen_mode=1",
        "ip link set lo up",
        f"ethtool -K eth0 {_NO_CHECKSUM} >/dev/null",
        f"ip link set eth0 address {vm.mac} mtu {layout.topology.fabric.mtu} up",
    ]
    lines += [_address(address, "eth0") for address in vm.addresses]
    for version in sorted({address.version for address in vm.addresses}):
        via = _gateway_address(vm, version)
        lines += [
            f"ip -{version} route add {via} dev eth0",
            f"ip -{version} route add default via {via} dev eth0",
        ]
    lines += [_address(address, "lo") for address in vm.behind]
    return Script(vm.name, "\n".join(lines))


def _address(address: Ip, name: str) -> str:
    if address.version == 6:
        return f"ip addr add {address}/128 dev {name} nodad"
    return f"ip addr add {address}/32 dev {name}"


def _gateway_address(vm: VmNode, version: int) -> Ip:
    """The VPC's gateway address in the CIDR that holds the VM's first address of this family."""
    address = next(a for a in vm.addresses if a.version == version)
    pairs = list(zip(vm.vpc.cidrs, vm.vpc.gateways, strict=False))
    for cidr, gateway in pairs:
        if cidr.contains(address):
            return gateway
    return next(gateway for _, gateway in pairs if gateway.version == version)


def _router(layout: Layout, node: RouterNode) -> Script:
    mtu = layout.topology.fabric.mtu
    address = node.router.address
    nodad = " nodad" if address.address.version == 6 else ""
    lines = [
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        "ip link set lo up",
        f"ethtool -K gw {_NO_TAG_OFFLOAD} >/dev/null",
        f"ethtool -K srv {_NO_CHECKSUM} >/dev/null",
        f"ip link set gw mtu {mtu} up",
        f"ip addr add {address} dev gw{nodad}",
        f"ip link set srv mtu {mtu} up",
    ]
    if node.router.address6 is not None:
        lines.append(f"ip addr add {node.router.address6} dev gw nodad")
    for stub in node.stubs:
        nodad = " nodad" if stub.version == 6 else ""
        lines.append(f"ip addr add {node.router_address(stub)}/{stub.length} dev srv{nodad}")
    if node.router.vlan is not None:
        lines += [
            "tc qdisc add dev gw clsact",
            *(
                f"tc filter add dev gw {way} bpf direct-action"
                f' object-file "$SHIM/vlan-{node.router.vlan}.o" section {way}'
                for way in ("ingress", "egress")
            ),
        ]
    return Script(node.name, "\n".join(lines))


def _server(layout: Layout, node: RouterNode) -> Script:
    lines = [
        "ip link set lo up",
        f"ethtool -K eth0 {_NO_CHECKSUM} >/dev/null",
        f"ip link set eth0 mtu {layout.topology.fabric.mtu} up",
    ]
    routed: set[int] = set()
    for stub in node.stubs:
        nodad = " nodad" if stub.version == 6 else ""
        lines.append(f"ip addr add {node.server_address(stub)}/{stub.length} dev eth0{nodad}")
        if stub.version not in routed:
            routed.add(stub.version)
            lines.append(f"ip -{stub.version} route add default via {node.router_address(stub)}")
    return Script(node.server, "\n".join(lines))
