"""Tables that change as fast as they can under traffic, in a real forwarder.

In: how often. Out: how many packets met two generations at once (there must be none), and whether
anything leaked or stalled. The packets come from a file that is read for ever and leave by a FIFO,
where a process of its own looks at every one (torture_check.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.frames import write_pcap
from ccn_bgp.bench.torture_tables import Tortured, frames
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

PORT_IN, PORT_OUT = "p0", "p1"
FULL_EVERY = 40
"""One change of so many replaces all tables at once."""
MEMORY_MB = 64
"""For the forwarder's buffers: what leaks is soon missed."""
EXPECTED_DROPS = {"unknown-vni", "no-route"}
"""Of the CCSI that comes and goes."""


class Outcome(NamedTuple):
    """``times``: of each commit until its ACK; ``drops``: by reason; memory in octets."""

    times: list[float]
    seen: dict[str, Any]
    drops: dict[str, int]
    grown: int
    buffers_lost: int


def torture(case: str, flips: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``flips`` changes of tables, one after the other, each waited for."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        outcome = _flipped(Path(name), flips, say)
    seen, times = outcome.seen, outcome.times
    wrong_drops = {r: n for r, n in outcome.drops.items() if r not in EXPECTED_DROPS}
    say(f"{seen['packets']} packets, next generations met: {seen['changes']}")
    if wrong_drops:
        say(f"dropped: {wrong_drops}")
    if seen["example"]:
        say(f"the first that was wrong: {seen['example']}")
    yield Figure(case, "flips", "", len(times))
    yield Figure(case, "packets", "", seen["packets"])
    yield Figure(case, "mixed", "packets", seen["mixed"])
    yield Figure(case, "backwards", "packets", seen["backwards"])
    yield Figure(case, "dropped", "packets", sum(wrong_drops.values()))
    yield Figure(case, "kinds of change met", "", sum(n > 0 for n in seen["changes"].values()))
    yield Figure(case, "commit p50", "ms", median(times) * 1e3)
    yield Figure(case, "commit p99", "ms", percentile(times, 99) * 1e3)
    yield Figure(case, "commit longest", "ms", max(times) * 1e3)
    yield Figure(case, "longest silence", "ms", seen["silence"] * 1e3)
    yield Figure(case, "memory grown", "MB", outcome.grown / 1e6)
    yield Figure(case, "buffers lost", "", outcome.buffers_lost)


def _flipped(directory: Path, flips: int, say: Callable[[str], None]) -> Outcome:
    outlet = directory / "out.pcap"
    os.mkfifo(outlet)
    # net_pcap numbers its devices and makes their MACs of that
    write_pcap(directory / "in.pcap", frames(b"\x02pcap\x00"))
    with _checker(outlet) as checker, _forwarder(directory, outlet) as (client, process):
        times, warm = [], 0
        free = 0
        tables = Tortured(PORT_IN, PORT_OUT)
        begun = time.monotonic()
        for number in range(flips):
            whole = number % FULL_EVERY == 0
            records = tables.everything() if whole else tables.change(number)
            before = time.perf_counter()
            client.commit(number, number + 1, records, b"torture", full=whole)
            times.append(time.perf_counter() - before)
            if number == flips // 10:
                warm, free = _resident(process), _free_buffers(client)
            if number % 10_000 == 9_999:
                say(f"{number + 1} flips after {time.monotonic() - begun:.0f} s")
        lost = free - _free_buffers(client)
        grown = _resident(process) - warm
        drops = {c.name: c.value for c in client.counters() if c.scope == "drop" and c.value}
        process.terminate()
        process.wait(30)
        seen = _verdict(checker)
    return Outcome(times, seen, drops, grown, lost)


def _resident(process: subprocess.Popen[bytes]) -> int:
    """Octets of memory in use."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_buffers(client: ForwarderClient) -> int:
    """The most of some looks: packets are under way."""
    return max(
        counter.value
        for _ in range(10)
        for counter in client.counters()
        if (counter.scope, counter.name) == ("buffers", "free")
    )


@contextmanager
def _checker(outlet: Path) -> Iterator[subprocess.Popen[str]]:
    """Reads what comes out; it must be there before the forwarder, which waits for a reader."""
    command = [sys.executable, "-m", "ccn_bgp.bench.torture_check", str(outlet)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _verdict(checker: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = checker.communicate(timeout=60)
    if checker.returncode != 0:
        raise CcnError(Problem("bench", "what came out of the forwarder could not be read"))
    seen: dict[str, Any] = json.loads(said)
    return seen


@contextmanager
def _forwarder(
    directory: Path, outlet: Path
) -> Iterator[tuple[ForwarderClient, subprocess.Popen[bytes]]]:
    control = directory / "forwarder.sock"
    write_pcap(directory / "none.pcap", [])
    ports = {
        PORT_IN: f"pcap-loop:{directory}/in.pcap",
        PORT_OUT: f"pcap:{directory}/none.pcap,{outlet}",
    }
    extra = ["--static-neighbors", "--no-icmp", "--memory", str(MEMORY_MB)]
    command = forwarder_command(control, ports, name="bench", extra=extra)
    process = start_forwarder(command, control, directory / "forwarder.log")
    try:
        with ForwarderClient.connect(control, timeout=60.0) as client:
            yield client, process
    finally:
        process.kill()
        process.wait()
