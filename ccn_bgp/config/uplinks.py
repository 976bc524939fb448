"""Whether the underlay can be what the file says; pure.

In: a Topology. Out: uplink-mismatch, underlay-family. Of uplinks only what one gateway says of
itself: addresses that two machines claim are vtep-collision (identity.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, Topology, Uplink
from ccn_bgp.model.vms import VmColumns
from ccn_bgp.model.vtep_sets import is_group


def uplink_mismatches(topology: Topology) -> Iterator[Finding]:
    """A port that two uplinks take, subnets that overlap, a router that is not on the subnet."""
    for name, gateway in topology.gateways.items():
        for index, uplink in enumerate(gateway.uplinks):
            for key, text in _faults(gateway, index, uplink):
                yield Finding(
                    rule="uplink-mismatch",
                    message=f"uplink {uplink.port} of gateway {name}: {text}",
                    where=topology.at("gateways", name, "uplinks", str(index), key),
                    witness={"chain": [name, uplink.port, f"{uplink.address}"]},
                )


def _faults(gateway: Gateway, index: int, uplink: Uplink) -> Iterator[tuple[str, str]]:
    """Key and text of each fault; of two uplinks at odds the later has it."""
    subnet, address, via = uplink.address.subnet, uplink.address.address, uplink.via
    if is_group(address) or _is_link_local(address):
        kind = "a multicast" if is_group(address) else "a link-local"
        yield "address", f"{address} is {kind} address"
    if via == address:
        yield "via", f"via {via} is its own address"
    elif (
        via is not None
        and not subnet.contains(via)
        and not (_is_link_local(via) and len(via) == len(address))
    ):
        yield "via", f"via {via} is not in its subnet {subnet}"
    for other in gateway.uplinks[:index]:
        if other.port == uplink.port:
            yield "port", "another uplink has the same port"
        elif (
            other.address.length and uplink.address.length and other.address.subnet.overlaps(subnet)
        ):
            text = f"its subnet {subnet} is also that of uplink {other.port}"
            yield "address", text


def _is_link_local(ip: Ip) -> bool:
    """fe80::/10: a neighbour on the link, which has no other address there."""
    return len(ip) == 16 and ip[0] == 0xFE and ip[1] & 0xC0 == 0x80


def underlay_families(topology: Topology) -> Iterator[Finding]:
    """The underlay of a gateway is IPv4 or IPv6: its uplinks, the hosts of its region, and the
    gateways that it exchanges packets with."""
    for name, gateway in topology.gateways.items():
        for index, uplink in enumerate(gateway.uplinks):
            address = uplink.address.address
            if len(address) != len(gateway.vtep):
                yield _finding(
                    topology.at("gateways", name, "uplinks", str(index), "address"),
                    f"{address}, the address of uplink {uplink.port} of gateway {name}, is not"
                    f" used: its vtep {gateway.vtep} is IPv{gateway.vtep.version}",
                    str(address),
                    [name],
                )
    yield from _hosts(topology)
    yield from _gateways(topology)


def _finding(where: str, message: str, address: str, hops: list[str]) -> Finding:
    return Finding(
        rule="underlay-family",
        message=message,
        where=where,
        witness={"address": address, "hops": hops},
    )


def _hosts(topology: Topology) -> Iterator[Finding]:
    by_region: dict[str, list[Gateway]] = {}
    for gateway in topology.gateways.values():
        by_region.setdefault(gateway.region, []).append(gateway)
    for name, vpc in topology.vpcs.items():
        gateways = by_region.get(vpc.region, []) if len(vpc.vms) else []
        versions = {gateway.vtep.version for gateway in gateways}
        if not versions:
            continue
        for host, index in VmColumns.of(vpc.vms).hosts_used.items():
            if versions != {host.version}:
                other = next(g for g in gateways if g.vtep.version != host.version)
                yield _finding(
                    topology.at("vpcs", name, "vms", index, "host"),
                    f"host {host} of VM {vpc.vms[index].ip} in vpc/{name} is not reached:"
                    f" the tunnels of gateway {other.name} are IPv{other.vtep.version}",
                    str(host),
                    [other.name, f"vpc/{name}"],
                )


def _gateways(topology: Topology) -> Iterator[Finding]:
    """One finding for each CCN, or share, whose gateways cannot all reach each other."""
    holders: dict[str, dict[int, str]] = {}
    for name, gateway in topology.gateways.items():
        for ccsi in ccsis(topology, gateway):
            holders.setdefault(ccsi.ccn, {}).setdefault(gateway.vtep.version, name)
    pairs = [(ccn, ccn, f"ccn {ccn}") for ccn in topology.ccns]
    pairs += [
        (s.provider, s.consumer, f"the share of ccn {s.provider} to ccn {s.consumer}")
        for s in topology.shares
    ]
    said: set[tuple[str, str]] = set()
    for one, other, what in pairs:
        four = holders.get(one, {}).get(4) or holders.get(other, {}).get(4)
        six = holders.get(one, {}).get(6) or holders.get(other, {}).get(6)
        if four and six and (four, six) not in said:
            said.add((four, six))
            yield _finding(
                topology.at("gateways", six, "vtep"),
                f"gateway {six} is not reached from gateway {four} in {what}:"
                f" its vtep {topology.gateways[six].vtep} is IPv6, the other's IPv4",
                str(topology.gateways[six].vtep),
                [four, six],
            )
