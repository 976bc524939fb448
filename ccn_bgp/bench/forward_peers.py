"""Running a forwarder's process for a bench: ours, and dpdk-testpmd as the ceiling.

In: a pcap file that is read for ever, and (ours) the tables. Out: a Rate. Cycles are those that the
packet loop's thread had the CPU for, so that other work on the machine takes packets but not the
figure; it still shares caches and cores with us.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.bench import rows
from ccn_bgp.bench.figure import median
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

WARM_UP = 1.0
TESTPMD = "dpdk-testpmd"
BUFFER = 2816
"""Octets of memory per packet buffer, roughly."""


class Rate(NamedTuple):
    """Medians of several intervals: cycles per packet, packets per second of the CPU's time;
    ``stages``: cycles per packet of each stage, from samples."""

    cycles: float
    packets: float
    stages: Mapping[str, float] = {}


class Sample(NamedTuple):
    """Packets so far, and nanoseconds that the thread has run."""

    packets: int
    ran: int


def cpu() -> int:
    """The last CPU that we may use: the first one has the interrupts."""
    return max(os.sched_getaffinity(0))


def clock() -> float:
    """TSC cycles per second, from what the kernel has measured."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("cpu MHz"):
            return float(line.partition(":")[2]) * 1e6
    raise CcnError(Problem("/proc/cpuinfo", "does not say how fast the CPU is"))


def nanoseconds(process: int, thread: str) -> int:
    """How long the thread whose name begins so has had a CPU."""
    for task in Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().startswith(thread):
            return int((task / "schedstat").read_text().split()[0])
    raise CcnError(Problem(f"process {process}", f"has no thread {thread}"))


def sampled(take: Callable[[], Sample], intervals: int, pause: float = 1.0) -> Rate:
    """The median of so many intervals, with a ``pause`` if taking a sample does not wait."""
    cycles = []
    for _ in range(intervals):
        before = take()
        time.sleep(pause)
        after = take()
        if after.packets == before.packets:
            raise CcnError(Problem("bench", "no packet was forwarded within a second"))
        ran = (after.ran - before.ran) / 1e9
        cycles.append(ran * clock() / (after.packets - before.packets))
    return Rate(median(cycles), clock() / median(cycles))


def forget_runtime(prefix: str) -> None:
    """Removes what a peer's DPDK leaves: its directory, with nothing in it that anybody needs."""
    shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)


@contextmanager
def ended(process: subprocess.Popen[bytes], how: int) -> Iterator[None]:
    """Ends the process when done."""
    try:
        yield
    finally:
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- ours ---


def ours(
    port: str, tables: Sequence[rows.Record], frames: int, directory: Path, intervals: int
) -> Rate:
    """``ccn-forwarder`` with these tables, whose ``port`` sends so many frames over and over.
    CcnError if it drops anything."""
    control = directory / "forwarder.sock"
    command = forwarder_command(
        control,
        {rows.PORT: port},
        name="bench",
        extra=("--static-neighbors", "--busy-poll", "--cpu", str(cpu()), *_memory(frames)),
    )
    process = start_forwarder(command, control, directory / "forwarder.log", timeout=60.0)
    with ended(process, signal.SIGTERM), ForwarderClient.connect(control, timeout=60.0) as client:
        client.commit(0, 1, tables, b"bench", full=True)
        time.sleep(WARM_UP)
        begin = _counters(client)
        rate = sampled(
            lambda: Sample(
                _counters(client)["worker 0", "packets"], nanoseconds(process.pid, "ccn-worker")
            ),
            intervals,
        )
        end = _counters(client)
    change = {key: value - begin.get(key, 0) for key, value in end.items()}
    if lost := {name: n for (scope, name), n in change.items() if scope == "drop" and n}:
        raise CcnError(Problem("bench", f"packets were dropped: {lost}"))
    return rate._replace(stages=_stages(change, rate.cycles))


def _memory(frames: int) -> tuple[str, ...]:
    """A pcap file is kept in buffers: room for it and for what is under way."""
    return ("--memory", str(256 + 2 * frames * BUFFER // 1048576))


def _counters(client: ForwarderClient) -> dict[tuple[str, str], int]:
    return {(c.scope, c.name): c.value for c in client.counters()}


def _stages(change: Mapping[tuple[str, str], int], total: float) -> dict[str, float]:
    """What each stage has of the ``total`` cycles per packet: samples count the time of others."""
    samples = {
        name.removeprefix("cycles-"): cycles
        for (scope, name), cycles in change.items()
        if scope == "worker 0" and name.startswith("cycles-") and cycles
    }
    return {name: total * cycles / sum(samples.values()) for name, cycles in samples.items()}


# --- dpdk-testpmd ---


def testpmd(source: Path, frames: int, intervals: int) -> Rate:
    """Its io engine on the same CPU: packets in and out, and nothing else."""
    cpus = sorted(os.sched_getaffinity(0))
    command = [TESTPMD, "--lcores", f"0@{cpus[0]},1@{cpu()}", "--no-huge", "--no-pci"]
    command += ["-m", str(256 + 2 * frames * BUFFER // 1048576), "--no-telemetry"]
    prefix = f"bench-{os.getpid()}"
    command += [f"--file-prefix={prefix}"]
    command += ["--vdev", f"net_pcap0,rx_pcap={source},infinite_rx=1", "--"]
    command += ["--forward-mode=io", "--nb-cores=1", "--burst=64", "--stats-period=1"]
    command += [f"--total-num-mbufs={16384 + frames}", "--no-lsc-interrupt"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    reports = _reports(process)
    try:
        with ended(process, signal.SIGINT):
            next(reports)  # it has started
            return sampled(
                lambda: Sample(next(reports), nanoseconds(process.pid, "rte-worker")),
                intervals,
                pause=0.0,
            )
    finally:
        forget_runtime(prefix)


def _reports(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Packets received so far, of each report; the newest when one is asked for."""
    assert process.stdout is not None
    last = b"it said nothing"
    for line in process.stdout:
        last = line
        if b"RX-packets:" in line:
            yield int(line.split()[1])
    text = last.decode(errors="replace").strip()
    raise CcnError(Problem(TESTPMD, f"ended before it reported: {text}"))
