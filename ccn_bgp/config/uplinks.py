"""Whether the uplinks of a gateway can be what the file says; pure.

In: a Topology. Out: uplink-mismatch. Only what one gateway says of itself: addresses that two
machines claim are vtep-collision (identity.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, Topology, Uplink


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
