"""Forwarding with small tables: TSC cycles per packet of a real forwarder on one CPU.

10 tenants with 100 routes each, 1,000 flows, 114-octet VXLAN frames from a pcap file that is read
for ever; every packet is looked up, rewritten and sent (and dropped by the device). dpdk-testpmd,
which only moves the same packets in and out, is the ceiling: the difference is what forwarding
itself costs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ccn_bgp.bench import frames, rows
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

TENANTS, ROUTES = 10, 100
WARM_UP = 1.0
TESTPMD = "dpdk-testpmd"


class Rate(NamedTuple):
    """Medians of several intervals: cycles of the packet loop per packet, packets and cycles per
    second."""

    cycles: float
    packets: float
    clock: float


def small(case: str, intervals: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``intervals`` of one second each; ours first, then dpdk-testpmd."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        directory = Path(name)
        source = directory / "in.pcap"
        destinations = rows.destination(np.arange(ROUTES)).tolist()
        count = frames.write_pcap(
            source,
            (
                frames.frame(tenant, destination, tenant * ROUTES + number)
                for number, destination in enumerate(destinations)
                for tenant in range(TENANTS)
            ),
        )
        say(f"{count} flows, {frames.LENGTH}-octet frames")
        ours = _ours(source, directory, intervals)
        say(f"ccn: {ours.cycles:.0f} cycles per packet, {ours.packets / 1e6:.2f} Mpps")
        rates: dict[str, float] = {}
        if shutil.which(TESTPMD):
            rates["testpmd"] = _testpmd(source, intervals)
            say(f"testpmd, moving packets only: {rates['testpmd'] / 1e6:.2f} Mpps")
        else:
            say(f"{TESTPMD}: not measured, it is not installed")
    io = {peer: ours.clock / rate for peer, rate in rates.items()}
    yield Figure(case, "cycles per packet", "TSC cycles", ours.cycles, io)
    yield Figure(
        case,
        "rate",
        "Mpps",
        ours.packets / 1e6,
        {peer: rate / 1e6 for peer, rate in rates.items()},
        higher_is_better=True,
    )
    if "testpmd" in io:
        net = ours.cycles - io["testpmd"]
        yield Figure(case, "cycles per packet net of I/O", "TSC cycles", net)


def cpu() -> int:
    """The last CPU that we may use: the first one has the interrupts."""
    return max(os.sched_getaffinity(0))


def _ours(source: Path, directory: Path, intervals: int) -> Rate:
    control = directory / "forwarder.sock"
    command = forwarder_command(
        control,
        {rows.PORT: f"pcap-loop:{source}"},
        name="bench",
        extra=("--static-neighbors", "--busy-poll", "--cpu", str(cpu())),
    )
    process = start_forwarder(command, control, directory / "forwarder.log")
    try:
        with ForwarderClient.connect(control, timeout=30.0) as client:
            client.commit(0, 1, rows.tables(TENANTS, ROUTES), b"bench", full=True)
            time.sleep(WARM_UP)
            return _measured(client, intervals)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _measured(client: ForwarderClient, intervals: int) -> Rate:
    cycles, rates, clocks = [], [], []
    for _ in range(intervals):
        before, begun = _counters(client), time.perf_counter()
        time.sleep(1.0)
        after, seconds = _counters(client), time.perf_counter() - begun
        change = {key: after[key] - before.get(key, 0) for key in after}
        packets = change["worker 0", "packets"]
        lost = {name: n for (scope, name), n in change.items() if scope == "drop" and n}
        if lost or packets == 0:
            raise CcnError(Problem("bench", f"of {packets} packets some were dropped: {lost}"))
        cycles.append(change["worker 0", "busy-cycles"] / packets)
        rates.append(packets / seconds)
        clocks.append(change["worker 0", "busy-cycles"] / seconds)
    # the loop is busy all the time, so its cycles are those of the clock
    return Rate(median(cycles), median(rates), max(clocks))


def _counters(client: ForwarderClient) -> dict[tuple[str, str], int]:
    return {(c.scope, c.name): c.value for c in client.counters()}


def _testpmd(source: Path, intervals: int) -> float:
    """Packets per second of testpmd's io engine on the same CPU; it reports once per second."""
    cpus = sorted(os.sched_getaffinity(0))
    lcores = f"0@{cpus[0]},1@{cpu()}"
    command = [TESTPMD, "--lcores", lcores, "--no-huge", "-m", "256", "--no-pci"]
    command += ["--no-telemetry", f"--file-prefix=bench-{os.getpid()}"]
    command += ["--vdev", f"net_pcap0,rx_pcap={source},infinite_rx=1", "--"]
    command += ["--forward-mode=io", "--nb-cores=1", "--burst=64", "--stats-period=1"]
    command += ["--total-num-mbufs=16384", "--no-lsc-interrupt"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found: list[float] = []
    seen: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(line)
            if match := re.search(r"Rx-pps:\s+(\d+)", line):
                found.append(float(match[1]))
            if len(found) > intervals:  # the first report is of the start
                break
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    if len(found) <= intervals:
        last = seen[-1].strip() if seen else "it said nothing"
        raise CcnError(Problem(TESTPMD, f"ended before it reported: {last}"))
    return median(found[1:])
