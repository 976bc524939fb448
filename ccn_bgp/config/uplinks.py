"""Whether the underlay can be what the file says; pure.

In: a Topology. Out: uplink-mismatch, underlay-family. Of uplinks only what one gateway says of
itself: addresses that two machines claim are vtep-collision (identity.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, Topology, Uplink
from ccn_bgp.model.vms import VmColumns


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
    subnet = uplink.address.subnet
    if uplink.via == uplink.address.address:
        yield "via", f"via {uplink.via} is its own address"
    elif uplink.via is not None and not subnet.contains(uplink.via):
        yield "via", f"via {uplink.via} is not in its subnet {subnet}"
    for other in gateway.uplinks[:index]:
        if other.port == uplink.port:
            yield "port", "another uplink has the same port"
        elif (
            other.address.length and uplink.address.length and other.address.subnet.overlaps(subnet)
        ):
            text = f"its subnet {subnet} is also that of uplink {other.port}"
            yield "address", text


def underlay_families(topology: Topology) -> Iterator[Finding]:
    """Tunnels of the forwarder are IPv4: what is to be reached over IPv6 is not, one finding for
    each address."""
    for name, gateway in topology.gateways.items():
        path: tuple[str, ...] = ("gateways", name, "vtep")
        places = [(gateway.vtep, path, "tunnel address")]
        for index, uplink in enumerate(gateway.uplinks):
            path = ("gateways", name, "uplinks", str(index), "address")
            places.append((uplink.address.address, path, f"address of uplink {uplink.port}"))
        for address, path, what in places:
            if address.version == 6:
                yield Finding(
                    rule="underlay-family",
                    message=f"{address}, the {what} of gateway {name}, is not used:"
                    " the forwarder's tunnels are IPv4",
                    where=topology.at(*path),
                    witness={"address": str(address), "hops": [name]},
                )
    for name, vpc in topology.vpcs.items():
        for host, index in VmColumns.of(vpc.vms).hosts_used.items() if len(vpc.vms) else ():
            if host.version == 6:
                yield Finding(
                    rule="underlay-family",
                    message=f"host {host} of VM {vpc.vms[index].ip} in vpc/{name} is not reached:"
                    " the forwarder's tunnels are IPv4",
                    where=topology.at("vpcs", name, "vms", index, "host"),
                    witness={"address": str(host), "hops": [f"vpc/{name}"]},
                )
