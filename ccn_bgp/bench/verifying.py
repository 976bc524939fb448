"""The verifier by itself: whole tables, differences, and the route-target graph.

In: tables made before the clock starts (verify_tables.py). Out: times, and the peak memory of a
process that holds the tables and checks them. Beside them stands what a plain networkx graph with a
node for each prefix takes, at a size that it can bear, as time per route.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path as FilePath

import networkx as nx
import numpy as np

from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.verify_tables import GATEWAY, Shape, plain_routes, without_rows
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table
from ccn_bgp.table.verify.incremental import Verifier
from ccn_bgp.table.verify.targets_incremental import TargetVerifier
from ccn_bgp.table.verify.world import CcsiNode, World, routes_of

Say = Callable[[str], None]
NAIVE_CCSIS = 200
"""Tables of 100 routes that the plain graph is given."""
NAIVE = f"networkx on prefixes, {NAIVE_CCSIS * 100} routes"


def full(case: str, shape: Shape, repeats: int, say: Say) -> Iterator[Figure]:
    """Everything, as at start; the median of ``repeats`` in a process of its own."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        times, cpu, peak = pool.submit(_whole, shape, repeats).result()
    routes = shape.ccsis * (shape.v4 + shape.v6)
    say(f"{routes} routes in {shape.ccsis} CCSIs, {repeats} times")
    yield Figure(case, "time", "ms", median(times) * 1e3)
    yield Figure(case, "peak memory", "MB", peak)
    yield Figure(case, "CPU time", "ms", median(cpu) * 1e3)
    naive = {NAIVE: naive_time() / (NAIVE_CCSIS * 100) * 1e6}
    yield Figure(case, "time per route", "us", median(times) / routes * 1e6, naive)


def delta(case: str, shape: Shape, changes: int, repeats: int, say: Say) -> Iterator[Figure]:
    """``changes`` routes withdrawn, each in another table as far as there are, and put back."""
    tables = shape.tables()
    names = sorted(tables)
    verifier = Verifier(_network(shape), GATEWAY)
    check(verifier, tables)
    random = np.random.default_rng(1)
    times, cpu, builds = [], [], []
    for _ in range(repeats):
        after = dict(tables)
        for place in random.choice(len(names), changes, replace=changes > len(names)):
            table = after[names[place]]
            after[table.name] = without_rows(table, random.integers(1, len(table.v4), 1))
        for state in (after, tables):
            begun = time.process_time()
            times.append(check(verifier, state))
            cpu.append(time.process_time() - begun)
        routes = plain_routes(tables[names[0]])
        begun = time.perf_counter()
        Table.build(names[0], 1, "ccn1", routes)
        builds.append(time.perf_counter() - begun)
    count = sum(len(t) for t in tables.values())
    say(f"{changes} of {count} routes in {shape.ccsis} CCSIs, {len(times)} times")
    naive = {NAIVE: naive_time() * 1e3}
    yield Figure(case, "time", "ms", median(times) * 1e3, naive)
    yield Figure(case, "time, p99", "ms", percentile(times, 99) * 1e3)
    yield Figure(case, "CPU time", "ms", median(cpu) * 1e3)
    yield Figure(case, "making one touched table", "ms", median(builds) * 1e3)


def targets(case: str, gateways: int, ccns: int, repeats: int, say: Say) -> Iterator[Figure]:
    """The route-target graph at once, then CCSIs that import what they may not, and stop it."""
    nodes = [
        CcsiNode(f"gw{g}/ccn{c}", f"ccn{c}", frozenset((f"1:{c}",)), frozenset((f"1:{c}",)))
        for g in range(gateways)
        for c in range(ccns)
    ]
    v4, v6 = routes_of([])
    world = World((), (), np.zeros(0, np.bool_), v4, v6, ccsis=tuple(nodes))
    whole = []
    for _ in range(3):
        begun = time.perf_counter()
        verifier = TargetVerifier(world)
        whole.append(time.perf_counter() - begun)
    random = np.random.default_rng(1)
    times = []
    for _ in range(repeats):
        node = nodes[random.integers(len(nodes))]
        more = node._replace(imports=node.imports | {f"1:{random.integers(ccns)}"})
        for changed in (more, node):
            begun = time.perf_counter()
            verifier.put(changed)
            times.append(time.perf_counter() - begun)
    if verifier.findings():
        raise CcnError(Problem("bench", "a clean route-target graph was refused"))
    say(f"{len(nodes)} CCSIs of {ccns} CCNs; one edge, {len(times)} times")
    yield Figure(case, "build and check", "ms", median(whole) * 1e3)
    yield Figure(case, "one edge, p50", "ms", median(times) * 1e3)
    yield Figure(case, "one edge, p99", "ms", percentile(times, 99) * 1e3)


def check(verifier: Verifier, tables: dict[str, Table]) -> float:
    """Seconds; a CcnError if anything is found."""
    snapshot = Snapshot(gateway=GATEWAY, tables=tables)
    begun = time.perf_counter()
    found = verifier.check(snapshot)
    seconds = time.perf_counter() - begun
    if errors := [f for f in found if f.severity == "error"]:
        raise CcnError(Problem("bench", f"clean tables were refused: {errors[0].message}"))
    return seconds


def _whole(shape: Shape, repeats: int) -> tuple[list[float], list[float], float]:
    tables = shape.tables()
    verifier = Verifier(_network(shape), GATEWAY)
    times, cpu = [], []
    for _ in range(repeats):
        verifier.forget()
        begun = time.process_time()
        times.append(check(verifier, tables))
        cpu.append(time.process_time() - begun)
    return times, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _network(shape: Shape) -> Topology:
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        file = FilePath(name) / "bench.yaml"
        file.write_text(shape.topology())
        return load_topology(file)


def naive_time() -> float:
    """Seconds that the plain graph needs to be built and asked: a node for each prefix, edges from
    a table to its prefixes and from them to what follows; leaks are origins of another CCN among
    the descendants of a table."""
    tables = Shape(NAIVE_CCSIS, 100).tables()
    begun = time.perf_counter()
    graph: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
    owner = {}
    for table in tables.values():
        above: list[tuple[int, int, tuple[str, str]]] = []
        for row in range(len(table.v4)):
            prefix = table.v4.prefix(row)
            node = table.name, str(prefix)
            owner[node] = table.origins[table.v4.origin[row]].rpartition("/")[2]
            while above and above[-1][1] < prefix.first:
                above.pop()
            graph.add_edge(above[-1][2] if above else (table.name, ""), node)
            above.append((prefix.first, prefix.last, node))
            then = int(table.v4.next_table[row])
            if then >= 0:
                graph.add_edge(node, (table.next_tables[then], ""))
    for table in tables.values():
        for node in nx.descendants(graph, (table.name, "")):
            if owner.get(node, table.ccn) != table.ccn:
                raise CcnError(Problem("bench", f"the plain graph found a leak at {node}"))
    return time.perf_counter() - begun
