"""Forwarding: TSC cycles per packet of a real forwarder on one CPU, beside others.

VXLAN frames of 114 octets from a pcap file that is read for ever; every packet is looked up,
rewritten and sent (and dropped by the device). dpdk-testpmd, which only moves the same packets in
and out, is the ceiling: the difference is what forwarding itself costs. OVS-DPDK does the same from
VXLAN to VXLAN.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ccn_bgp.bench import forward_ovs, forward_peers, forward_tables
from ccn_bgp.bench.figure import Figure
from ccn_bgp.bench.forward_peers import Rate
from ccn_bgp.bench.forward_tables import Scale

Say = Callable[[str], None]


def forwarding(
    case: str, scale: Scale, intervals: int, say: Say, ovs: bool = True
) -> Iterator[Figure]:
    """``intervals`` of one second each; ours first, then the peers that are installed."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        directory = Path(name)
        source = directory / "in.pcap"
        forward_tables.write_traffic(source, scale)
        say(f"{scale.tenants} tenants of {scale.routes} routes, {scale.flows} flows")
        tables = forward_tables.records(scale)
        ours = forward_peers.ours(source, tables, scale.flows, directory, intervals)
        _tell(say, "ccn", ours)
        peers: dict[str, Rate] = {}
        if shutil.which(forward_peers.TESTPMD):
            peers["testpmd"] = forward_peers.testpmd(source, scale.flows, intervals)
            _tell(say, "testpmd, moving packets only", peers["testpmd"])
        else:
            say(f"{forward_peers.TESTPMD}: not measured, it is not installed")
        if ovs and (reason := forward_ovs.why_not()):
            say(f"OVS-DPDK: not measured, {reason}")
        elif ovs:
            peers["ovs-dpdk"] = forward_ovs.measure(source, scale, directory, intervals)
            _tell(say, "OVS-DPDK", peers["ovs-dpdk"])
    yield Figure(
        case,
        "cycles per packet",
        "TSC cycles",
        ours.cycles,
        {name: rate.cycles for name, rate in peers.items()},
    )
    yield Figure(
        case,
        "rate",
        "Mpps",
        ours.packets / 1e6,
        {name: rate.packets / 1e6 for name, rate in peers.items()},
        higher_is_better=True,
    )
    if "testpmd" in peers:
        net = ours.cycles - peers["testpmd"].cycles
        yield Figure(case, "cycles per packet net of I/O", "TSC cycles", net)
    for stage, cycles in ours.stages.items():
        yield Figure(case, f"of that {stage}", "TSC cycles", cycles)


def _tell(say: Say, who: str, rate: Rate) -> None:
    say(f"{who}: {rate.cycles:.0f} cycles per packet, {rate.packets / 1e6:.2f} Mpps")
