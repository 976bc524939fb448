"""The kernel's side of every port: in comes a gateway of a topology, out come persistent taps.

BGP, ping and the like run in the kernel over one tap per uplink and per hand-off (port, VLAN); the
forwarder moves their frames between tap and port. A tap is persistent and kept when it is there:
its ifindex survives the forwarder and the gateway, so that bound sockets (SO_BINDTODEVICE) do. Two
taps may have the same address: each IDC session is bound to its own. What the kernel sends to a
hand-off's subnet without such a socket (answers to fragments, to closed ports) cannot be told apart
and goes nowhere: a route over ``lo`` comes before those of the taps.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.linux.links import Link, addresses, links, set_sysctl, wait_for_ports
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.ccsi import peers, tap_name, uplink_tap
from ccn_bgp.model.topology import Gateway, Interface, Topology

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_LO = 1
_MAIN_TABLE = 254
_SINK_METRIC, _TAP_METRIC = 1, 100
_METRIC6 = 1024  # the kernel's own of IPv6 (IP6_RT_PRIO_USER)
ROUTE_PROTOCOL = 204
"""Marks our routes in the kernel's table (rtnetlink ``proto``): only these are ever removed."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One tap as it should be. ``routes`` are reached over ``via`` from ``address``."""

    name: str
    port: str
    address: Interface
    mtu: int
    via: Ip | None = None
    routes: tuple[Prefix, ...] = ()
    metric: int = 0
    """Of ``routes``; 0: the kernel's own. Among several uplinks those without a carrier do not
    count: the forwarder takes it from the tap of an uplink that is dead."""
    extra: tuple[Interface, ...] = ()
    source: Ip | None = None
    """Of what the kernel sends over ``routes``; None: ``address``."""
    bound: bool = False
    """Only sockets bound to the tap reach its subnet: a hand-off, which may share its addresses."""


def wanted_taps(topology: Topology, gateway: Gateway) -> tuple[Tap, ...]:
    """The taps of a gateway, uplinks first.

    Over an uplink with ``via`` the kernel reaches the uplink subnets of the other regions and every
    BGP peer that is not on-link. Of several such uplinks the first that is alive carries them, and
    also the subnets of the others. A tunnel address of its own is on the first uplink's tap.
    """
    on_link = [uplink.address.subnet for uplink in gateway.uplinks]
    far = {
        uplink.address.subnet
        for other in topology.gateways.values()
        for uplink in other.uplinks
        if not any(subnet.overlaps(uplink.address.subnet) for subnet in on_link)
    }
    own = {gateway.vtep, *(uplink.address.address for uplink in gateway.uplinks)}
    for peer in peers(topology, gateway):
        local = peer.source_interface or _is_loopback(peer.address)
        near = any(prefix.contains(peer.address) for prefix in (*on_link, *far))
        if not local and not near and peer.local_address in own:
            far.add(peer.address.host_prefix)
    routed = [uplink for uplink in gateway.uplinks if uplink.via]
    found: list[Tap] = []
    for uplink in gateway.uplinks:
        others = {u.address.subnet for u in gateway.uplinks} - {uplink.address.subnet}
        found.append(
            Tap(
                uplink_tap(uplink.port),
                uplink.port,
                uplink.address,
                topology.fabric.underlay_mtu,
                uplink.via,
                routes=tuple(sorted(far | others if len(routed) > 1 else far))
                if uplink.via
                else (),
                metric=routed.index(uplink) + 1 if uplink.via and len(routed) > 1 else 0,
                extra=(Interface(gateway.vtep, len(gateway.vtep) * 8),)
                if gateway.has_own_tunnel_address and not found
                else (),
                source=gateway.vtep if gateway.has_own_tunnel_address else None,
            )
        )
    found += [
        Tap(tap_name(gateway, r), r.port, r.gateway_address, topology.fabric.mtu, bound=True)
        for r in topology.routers
        if r.gateway == gateway.name
    ]
    return tuple(found)


def port_names(topology: Topology, gateway: Gateway) -> tuple[str, ...]:
    """The ports that the forwarder takes, uplinks first, each once."""
    return tuple(dict.fromkeys(tap.port for tap in wanted_taps(topology, gateway)))


async def port_macs(topology: Topology, gateway: Gateway) -> Mapping[str, Mac]:
    """Port name → MAC. CcnError names the ports that do not exist."""
    async with AsyncIPRoute() as ip:
        found = await wait_for_ports(ip, port_names(topology, gateway))
        return {name: link.mac for name, link in found.items()}


async def prepare_taps(topology: Topology, gateway: Gateway) -> None:
    """Make the taps of ``gateway`` exactly as wanted; those that are right are not touched.

    CcnError: a port is missing or has an IP address of its own, no root, no /dev/net/tun.
    """
    taps = wanted_taps(topology, gateway)
    async with AsyncIPRoute() as ip:
        ports = await wait_for_ports(ip, (tap.port for tap in taps))
        await _refuse_addresses(ip, ports)
        for name in ports:
            _quiet_port(name)
        for tap in taps:
            await _prepare(ip, tap, ports[tap.port])
        await _drop_stale_sinks(ip)
        for link in ports.values():
            await ip.link("set", index=link.index, state="up")


async def remove_taps(topology: Topology, gateway: Gateway) -> None:
    """Remove the taps of ``gateway`` (their addresses and routes go with them); absent is fine."""
    await retire_taps(wanted_taps(topology, gateway), ())


async def retire_taps(old: Iterable[Tap], wanted: Iterable[Tap]) -> None:
    """Remove the taps of ``old`` that are no longer wanted, and let go of ports without any."""
    wanted = tuple(wanted)
    kept, ports = {tap.name for tap in wanted}, {tap.port for tap in wanted}
    gone = [tap for tap in old if tap.name not in kept]
    async with AsyncIPRoute() as ip:
        present = await links(ip)
        for tap in gone:
            if tap.name in present:
                await ip.link("del", index=present[tap.name].index)
        await _drop_stale_sinks(ip)
        for name in {tap.port for tap in gone} - ports:
            if name in present:
                _release_port(name)


async def _refuse_addresses(ip: AsyncIPRoute, ports: Mapping[str, Link]) -> None:
    problems = []
    for name, link in ports.items():
        if found := sorted(await addresses(ip, link.index)):
            problems.append(
                Problem(
                    f"port {name}",
                    f"has the address {', '.join(found)}, so the kernel would answer beside us",
                    f"ip address flush dev {name}",
                )
            )
    if problems:
        raise CcnError(*problems)


def _quiet_port(name: str) -> None:
    """The kernel says nothing by itself on a port that the forwarder owns."""
    set_sysctl("ipv6", name, "disable_ipv6", 1)
    set_sysctl("ipv4", name, "arp_ignore", 8)
    # af_packet leaves a copy to the kernel: the way back is over the tap, so strict mode drops it
    set_sysctl("ipv4", name, "rp_filter", 1)


def _release_port(name: str) -> None:
    set_sysctl("ipv4", name, "rp_filter", 0)
    set_sysctl("ipv4", name, "arp_ignore", 0)
    set_sysctl("ipv6", name, "disable_ipv6", 0)


async def _prepare(ip: AsyncIPRoute, tap: Tap, port: Link) -> None:
    present = (await links(ip)).get(tap.name)
    if present is None:
        create_tap(tap.name)
        present = (await links(ip))[tap.name]
    version4 = tap.address.address.version == 4
    set_sysctl("ipv6", tap.name, "disable_ipv6", 1 if version4 else 0)
    set_sysctl("ipv6", tap.name, "accept_ra", 0)
    set_sysctl("ipv6", tap.name, "accept_dad", 0)
    # loose: two taps may share an address and a subnet, and `all` may be strict on this machine
    set_sysctl("ipv4", tap.name, "rp_filter", 2)
    set_sysctl("ipv4", tap.name, "arp_ignore", 1)
    set_sysctl("ipv4", tap.name, "arp_announce", 2)
    for family in ("ipv4", "ipv6"):
        set_sysctl(family, tap.name, "ignore_routes_with_linkdown", 1 if tap.metric else 0)
    await ip.link(
        "set", index=present.index, mtu=tap.mtu, address=str(port.mac), txqlen=1000, state="up"
    )
    wanted = {str(one): one for one in (tap.address, *tap.extra)}
    held = await addresses(ip, present.index)
    for other in sorted(held - wanted.keys()):
        address, _, length = other.partition("/")
        await ip.addr("del", index=present.index, address=address, prefixlen=int(length))
    if tap.bound:
        await _sink(ip, tap.address.subnet)
    for text, one in wanted.items():
        if text not in held:
            metric = {"rt_priority": _TAP_METRIC} if tap.bound else {}
            await ip.addr(
                "add",
                index=present.index,
                address=str(one.address),
                prefixlen=one.length,
                **metric,
            )
    await _routes(ip, tap, present.index)


async def _sink(ip: AsyncIPRoute, subnet: Prefix) -> None:
    """What no bound socket sends to this subnet goes nowhere; before the first tap leads there."""
    await ip.link("set", index=_LO, state="up")
    await ip.route("replace", dst=str(subnet), oif=_LO, priority=_SINK_METRIC, proto=ROUTE_PROTOCOL)


async def _drop_stale_sinks(ip: AsyncIPRoute) -> None:
    """Remove the sinks of subnets that no tap has any more, whoever made them."""
    for family in (socket.AF_INET, socket.AF_INET6):
        sinks, others = set(), set()
        async for message in await ip.get_routes(family=family, table=_MAIN_TABLE):
            destination = f"{message.get('dst')}/{message['dst_len']}"
            if message["proto"] == ROUTE_PROTOCOL and message.get("oif") == _LO:
                sinks.add(destination)
            else:
                others.add(destination)
        for destination in sorted(sinks - others):
            await ip.route(
                "del", dst=destination, oif=_LO, priority=_SINK_METRIC, proto=ROUTE_PROTOCOL
            )


async def _routes(ip: AsyncIPRoute, tap: Tap, index: int) -> None:
    six = tap.address.address.version == 6
    usual = _METRIC6 if six else 0
    wanted = {(str(prefix), tap.metric or usual) for prefix in tap.routes}
    held = set()
    family = socket.AF_INET6 if six else socket.AF_INET
    async for message in await ip.get_routes(family=family, oif=index):
        if message["proto"] == ROUTE_PROTOCOL and message.get("oif") == index:
            prefix = f"{message.get('dst')}/{message['dst_len']}"
            held.add((prefix, message.get("priority") or 0))
    for prefix, metric in sorted(held - wanted):
        await ip.route("del", dst=prefix, oif=index, priority=metric, proto=ROUTE_PROTOCOL)
    for prefix, metric in sorted(wanted):
        try:
            await ip.route(
                "replace",
                dst=prefix,
                gateway=str(tap.via),
                prefsrc=str(tap.source or tap.address.address),
                oif=index,
                priority=metric,
                proto=ROUTE_PROTOCOL,
            )
        except NetlinkError as error:
            raise CcnError(
                Problem(f"tap {tap.name}", f"no route to {prefix} via {tap.via}: {error}")
            ) from error


def create_tap(name: str) -> None:
    """Create a persistent tap of this name. CcnError: no /dev/net/tun, no root, name in use."""
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise CcnError(
            Problem("/dev/net/tun", error.strerror or "cannot be opened", "modprobe tun")
        ) from error
    try:
        request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    except OSError as error:
        hint = "run as root" if error.errno == errno.EPERM else "another process holds it"
        raise CcnError(Problem(f"tap {name}", error.strerror or "refused", hint)) from error
    finally:
        os.close(descriptor)


def _is_loopback(address: Ip) -> bool:
    return address.number == 1 if address.version == 6 else address[0] == 127
