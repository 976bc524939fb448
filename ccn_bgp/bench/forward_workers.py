"""Two workers beside one: packets per second of a real forwarder, each worker on a CPU of its own.

The frames of the case small, from files that net_pcap holds in a ring and copies into buffers for
ever: one ring for each worker, or (fan-out) one ring for both, whose reader hands half of the flows
to the other one by a ring of ours. In: CPUs that we may use, at least two, of which the highest are
taken. Out: rates, and how many times that of one worker they are. Time is what each thread had a
CPU for (schedstat), so that a busy machine does not halve the rate of who had to wait.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ccn_bgp.bench import frames, rows
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.forward_peers import ended
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

TENANTS, ROUTES = 10, 100
WARM_UP = 0.5
INTERVAL = 0.5
ROUNDS = 3
"""Each layout is started anew so often, by turns: what else runs meets all of them."""


class Sample(NamedTuple):
    """Of one interval: packets per second of all workers, and nanoseconds per packet of each."""

    packets: float
    cost: tuple[float, ...]


def workers(case: str, intervals: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``intervals`` of half a second for each layout in each round. CcnError: there is one CPU."""
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    if len(cpus) < 2:
        raise CcnError(Problem("bench", "two workers need two CPUs", "run it on a larger machine"))
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        directory = Path(name)
        sources = [_source(directory / f"in{half}.pcap", half) for half in range(2)]
        both = directory / "both.pcap"
        _write(both, range(ROUTES))
        layouts = {
            "one": ([both], [cpus[1]], ()),
            "two": (sources, cpus, ()),
            "fan-out": ([both], cpus, ("--fan-out",)),
        }
        found: dict[str, list[Sample]] = {layout: [] for layout in layouts}
        for _ in range(ROUNDS):
            for layout, (files, on, extra) in layouts.items():
                found[layout] += _measure(directory, files, on, extra, intervals)
    rate = {layout: median([s.packets for s in samples]) for layout, samples in found.items()}
    for layout, packets in rate.items():
        say(f"{layout}: {packets / 1e6:.2f} Mpps")
    for layout, metric in (
        ("two", "rate, a queue each"),
        ("fan-out", "rate, one queue shared out"),
    ):
        one = {"one worker": rate["one"] / 1e6}
        yield Figure(case, metric, "Mpps", rate[layout] / 1e6, one, higher_is_better=True)
    cost = {
        layout: median([c for s in samples for c in s.cost]) for layout, samples in found.items()
    }
    yield Figure(
        case,
        "time per packet of each, a queue each",
        "ns",
        cost["two"],
        {"one worker": cost["one"]},
    )


def _source(path: Path, half: int) -> Path:
    """Half of the flows: all tenants, every other destination pair (on-link and remote)."""
    _write(path, [n for n in range(ROUTES) if n // 2 % 2 == half])
    return path


def _write(path: Path, numbers: Sequence[int]) -> None:
    destinations = rows.destination(np.array(numbers)).tolist()
    frames.write_pcap(
        path,
        (
            frames.frame(tenant, destination, tenant * ROUTES + number)
            for number, destination in zip(numbers, destinations, strict=True)
            for tenant in range(TENANTS)
        ),
    )


def _measure(
    directory: Path, files: list[Path], on: Sequence[int], extra: Sequence[str], intervals: int
) -> list[Sample]:
    control = directory / "forwarder.sock"
    command = forwarder_command(
        control,
        {rows.PORT: f"pcap-loop:{','.join(map(str, files))}"},
        name="bench",
        extra=("--static-neighbors", "--busy-poll", "--cpu", ",".join(map(str, on)), *extra),
    )
    process = start_forwarder(command, control, directory / "forwarder.log")
    with (
        ended(process, signal.SIGTERM),
        ForwarderClient.connect(control, timeout=30.0) as client,
    ):
        client.commit(0, 1, rows.tables(TENANTS, ROUTES), b"bench", full=True)
        time.sleep(WARM_UP)
        return [_interval(client, process.pid, len(on)) for _ in range(intervals)]


def _interval(client: ForwarderClient, pid: int, count: int) -> Sample:
    before, begun = _counters(client), _cpu_time(pid)
    time.sleep(INTERVAL)
    after, ended = _counters(client), _cpu_time(pid)
    change = {key: value - before.get(key, 0) for key, value in after.items()}
    lost = {
        name: n
        for (scope, name), n in change.items()
        if scope == "drop" and n and name != "fan-out-full"
    }
    packets = [change[f"worker {index}", "packets"] for index in range(count)]
    if lost or not all(packets):
        raise CcnError(Problem("bench", f"of {packets} packets some were dropped: {lost}"))
    cost = tuple((ended[i] - begun[i]) / n for i, n in enumerate(packets))
    return Sample(sum(1e9 / c for c in cost), cost)


def _counters(client: ForwarderClient) -> dict[tuple[str, str], int]:
    return {(c.scope, c.name): c.value for c in client.counters()}


def _cpu_time(pid: int) -> dict[int, int]:
    """Nanoseconds that each worker has had a CPU."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("ccn-worker-"):
            found[int(name[11:])] = int((task / "schedstat").read_text().split()[0])
    return found
