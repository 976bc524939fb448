"""Forwarding: TSC cycles per packet of a real forwarder on one CPU, beside others.

VXLAN frames of 114 octets; every packet is looked up, rewritten and sent. Either from a pcap file
that is read for ever (each is allocated, copied and, once sent, freed): dpdk-testpmd, which only
moves the same packets in and out, is the ceiling, and the difference is what forwarding costs;
OVS-DPDK does the same from VXLAN to VXLAN. Or from a ring in which they go round (each is copied),
which no peer has: there the stages of receiving and sending are taken off.
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


MOST_RULES = 20_000
"""OVS-DPDK is left out where it would need more: they take it minutes to load."""
_IO = ("receive", "send")


def forwarding(
    case: str,
    scale: Scale,
    intervals: int,
    say: Say,
    *,
    ovs: bool = True,
    source: str = "pcap",
) -> Iterator[Figure]:
    """``intervals`` of one second each; ours first, then the peers that are installed. ``source``:
    ``pcap`` or ``ring``."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        directory = Path(name)
        file = directory / "in.pcap"
        forward_tables.write_traffic(file, scale)
        say(f"{scale.tenants} tenants of {scale.routes} routes, {scale.flows} flows")
        tables = forward_tables.records(scale)
        ours = forward_peers.ours(
            f"{source}-loop:{file}", tables, scale.flows, directory, intervals
        )
        _tell(say, "ccn", ours)
        peers: dict[str, Rate] = {}
        if source == "pcap":
            peers = dict(_peers(file, scale, intervals, say, ovs=ovs))
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
    if source == "ring":
        net = sum(cycles for stage, cycles in ours.stages.items() if stage not in _IO)
        yield Figure(case, "cycles per packet net of I/O", "TSC cycles", net)
    if "testpmd" in peers:
        net = ours.cycles - peers["testpmd"].cycles
        yield Figure(case, "cycles per packet net of I/O", "TSC cycles", net)
    for stage, cycles in ours.stages.items():
        yield Figure(case, f"of that {stage}", "TSC cycles", cycles)


def _peers(
    file: Path, scale: Scale, intervals: int, say: Say, *, ovs: bool
) -> Iterator[tuple[str, Rate]]:
    """Those that are installed, on the same frames."""
    if shutil.which(forward_peers.TESTPMD):
        rate = forward_peers.testpmd(file, scale.flows, intervals)
        _tell(say, "testpmd, moving packets only", rate)
        yield "testpmd", rate
    else:
        say(f"{forward_peers.TESTPMD}: not measured, it is not installed")
    if not ovs:
        return
    rules = scale.tenants * ((scale.routes + 1) // 2 * scale.vms + scale.routes // 2)
    reason = forward_ovs.why_not()
    if rules > MOST_RULES:
        reason = f"{rules} rules would take it minutes to load"
    if reason:
        say(f"OVS-DPDK: not measured, {reason}")
        return
    rate = forward_ovs.measure(file, scale, file.parent, intervals)
    _tell(say, "OVS-DPDK", rate)
    yield "ovs-dpdk", rate


def _tell(say: Say, who: str, rate: Rate) -> None:
    say(f"{who}: {rate.cycles:.0f} cycles per packet, {rate.packets / 1e6:.2f} Mpps")
