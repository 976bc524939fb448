"""Commits through the control socket of a real forwarder: many routes at once, and one at a time.

In: record arrays that are ready. Out: the time until the ACK, which comes after the grace period.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ccn_bgp.bench import rows
from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import Flag, MessageType

TENANTS = 100


def batch(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` routes over 100 tables in one transaction, added to and removed from a forwarder
    that has the tables already; the median of ``repeats``."""
    kind, _, routes = rows.routes(TENANTS, count // TENANTS)
    added: list[float] = []
    removed: list[float] = []
    with forwarder() as (client, _):
        for number in range(repeats):
            base = 1 + 2 * number
            added.append(_timed(client, base, [(kind, 0, routes)]))
            _check_held(client, len(routes))
            removed.append(_timed(client, base + 1, [(kind, Flag.DELETE, routes)]))
    say(f"{len(routes)} routes in {TENANTS} tables, {repeats} times")
    yield Figure(case, "add time", "ms", median(added) * 1e3)
    yield Figure(case, "remove time", "ms", median(removed) * 1e3)
    rate = len(routes) / median(added)
    yield Figure(case, "routes per second", "1/s", rate, higher_is_better=True)


def single(case: str, count: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` transactions of one route each, beside 1,000 others, each waited for."""
    kind, _, held = rows.routes(TENANTS, 10)
    _, _, more = rows.routes(TENANTS, 10 + count // TENANTS)
    fresh = more[more["prefix"][:, 2] >= 10][:count]
    times: list[float] = []
    with forwarder() as (client, _):
        client.commit(1, 2, [(kind, 0, held)], b"bench", full=False)
        for number in range(len(fresh)):
            times.append(_timed(client, 2 + number, [(kind, 0, fresh[number : number + 1])]))
        _check_held(client, len(held) + len(fresh))
    say(f"{len(times)} commits, one after the other")
    yield Figure(case, "p50", "ms", median(times) * 1e3)
    yield Figure(case, "p99", "ms", percentile(times, 99) * 1e3)
    rate = len(times) / sum(times)
    yield Figure(case, "commits per second", "1/s", rate, higher_is_better=True)


def _check_held(client: ForwarderClient, count: int) -> None:
    """CcnError if the forwarder does not hold so many routes."""
    if (found := len(client.dump()[MessageType.ROUTE])) != count:
        raise CcnError(Problem("bench", f"the forwarder holds {found} of {count} routes"))


def _timed(client: ForwarderClient, base: int, records: list[rows.Record]) -> float:
    begun = time.perf_counter()
    client.commit(base, base + 1, records, b"bench", full=False)
    return time.perf_counter() - begun


@contextmanager
def forwarder() -> Iterator[tuple[ForwarderClient, Path]]:
    """A forwarder on a null port, with tables and next hops (generation 1) but no routes; a client
    and its socket."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        control = Path(name) / "forwarder.sock"
        command = forwarder_command(control, {rows.PORT: "null"}, name="bench")
        process = start_forwarder(command, control, Path(name) / "forwarder.log")
        try:
            with ForwarderClient.connect(control, timeout=60.0) as client:
                start = [rows.uplink(), *rows.tenants(TENANTS), rows.next_hops(TENANTS)]
                client.commit(0, 1, start, b"bench", full=True)
                yield client, control
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
