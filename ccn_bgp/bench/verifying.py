"""The verifier by itself: a whole snapshot, and the same with one route changed.

In: a topology of many CCNs and their tables, made before the clock starts. Out: the time of
``verify_snapshot``. It has no way yet to check a difference only: ``delta-1`` is the time of the
whole check after the intent has been seen once, with one table new.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Prefix, Vni
from ccn_bgp.model.path import EvpnPrefix, Path
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Snapshot, Table
from ccn_bgp.table.verify.snapshot import verify_snapshot

GATEWAY = "gw"
CCNS = 100


def full(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` routes in 100 tables, checked whole; the median of ``repeats``."""
    network, snapshot = _network(count)
    times = [_timed(snapshot, network) for _ in range(repeats)]
    say(f"{snapshot.route_count} routes in {CCNS} tables, {repeats} times")
    yield Figure(case, "time", "ms", median(times) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    yield Figure(case, "peak memory of this process", "MB", peak)


def delta(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """One route more among ``count`` each time."""
    network, snapshot = _network(count)
    _timed(snapshot, network)
    times = []
    for number in range(repeats):
        name = f"{GATEWAY}/ccn{number % CCNS + 1}"
        more = _table(number % CCNS + 1, count // CCNS + 1)
        changed = replace(snapshot, tables={**snapshot.tables, name: more})
        times.append(_timed(changed, network))
    say(f"1 route more among {snapshot.route_count}, {repeats} times; checked whole")
    yield Figure(case, "time", "ms", median(times) * 1e3)


def _timed(snapshot: Snapshot, network: Topology) -> float:
    begun = time.perf_counter()
    found = verify_snapshot(snapshot, network)
    seconds = time.perf_counter() - begun
    if errors := [f for f in found if f.severity == "error"]:
        raise CcnError(Problem("bench", f"clean tables were refused: {errors[0].message}"))
    return seconds


def _network(count: int) -> tuple[Topology, Snapshot]:
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        file = FilePath(name) / "bench.yaml"
        file.write_text(_topology())
        network = load_topology(file)
    tables = {f"{GATEWAY}/ccn{n}": _table(n, count // CCNS) for n in range(1, CCNS + 1)}
    return network, Snapshot(gateway=GATEWAY, tables=tables)


def _topology() -> str:
    lines = [
        "name: bench",
        "fabric: {asn: 64600}",
        "gateways:",
        f"  {GATEWAY}: {{region: here, asn: 64601, vtep: 192.0.2.11,"
        " uplinks: [{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}]}",
        "vpcs:",
    ]
    numbers = range(1, CCNS + 1)
    lines += [
        f"  vpc{n}: {{region: here, vni: {10000 + n}, cidrs: [10.1.0.0/16]}}" for n in numbers
    ]
    lines.append("ccns:")
    lines += [f"  ccn{n}: {{id: {n}, vni: {20000 + n}, attach: [vpc/vpc{n}]}}" for n in numbers]
    return "\n".join(lines) + "\n"


def _table(number: int, count: int) -> Table:
    """The same prefixes in each table: its VPC, and ``count`` - 1 of a remote gateway."""
    ccn = f"ccn{number}"
    name, origin = f"{GATEWAY}/{ccn}", f"{stream.SENDER_VTEP}/{ccn}"
    hop = NextHop(Kind.VTEP, vni=20000 + number, ip=stream.SENDER_VTEP, mac=stream.ROUTER_MAC)
    shared = stream.attributes()
    learned = stream.route(0)

    def remote(index: int) -> Route:
        prefix = stream.prefix(index)
        nlri = learned._replace(prefix=prefix, vni=hop.vni)
        return Route(name, prefix, origin, hop, origin, Path("sender", nlri, shared))

    own = Prefix.parse("10.1.0.0/16")
    said = EvpnPrefix(learned.rd, bytes(10), 0, own, None, hop.vni)
    local = NextHop(Kind.ON_LINK, vni=Vni(10000 + number))
    routes = [Route(name, own, name, local, "", Path("", said, shared))]
    routes += [remote(index) for index in range(count - 1)]
    return Table.build(name, number, ccn, routes)
