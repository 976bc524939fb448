"""The cases by area and name: what ``ccn bench AREA --case NAME`` runs.

Each is a function of a Run that yields Figures. A quick run takes fewer samples or routes, to see
that the bench works; its figures are not for the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.bench import commits, forward_workers, policies, verifying
from ccn_bgp.bench.announcing import announcing
from ccn_bgp.bench.commit_stream import stream
from ccn_bgp.bench.figure import Figure
from ccn_bgp.bench.forward_tables import Scale
from ccn_bgp.bench.forwarding import forwarding
from ccn_bgp.bench.inventories import inventory
from ccn_bgp.bench.learn_latency import Change, latency
from ccn_bgp.bench.learn_tables import trace, two_tables
from ccn_bgp.bench.learning import Load, learning, withdrawing
from ccn_bgp.bench.restarting import cold_restart
from ccn_bgp.bench.table_lookups import lookups
from ccn_bgp.bench.torture import torture
from ccn_bgp.bench.verify_tables import Shape
from ccn_bgp.errors import InputError, Problem

Say = Callable[[str], None]

MILLION = 1_000_000
FEW = 10_000
WHOLE_TABLE = 600_000
"""More than a full table has."""


class Run(NamedTuple):
    """How a case is run: quick or for the record, where it says what is under way, and the folder
    with real tables and traces, if there is one."""

    quick: bool
    say: Say
    data: Path | None = None


Case = Callable[[Run], Iterator[Figure]]


def _learn(case: str, count: int, repeats: int, few: int = FEW, **shape: int | bool) -> Case:
    """A Load to learn; ``few``: the routes of a quick run."""

    def run(r: Run) -> Iterator[Figure]:
        load = Load(few if r.quick else count, **shape)  # type: ignore[arg-type]
        return learning(case, load, 1 if r.quick else repeats, r.say)

    return run


LEARN: Mapping[str, Case] = {
    "rt5-100k-packed": _learn("rt5-100k-packed", 100_000, 3),
    "rt5-1m-packed": _learn("rt5-1m-packed", MILLION, 3),
    "rt5-1m-single": _learn("rt5-1m-single", MILLION, 1, per_update=1),
    "rt5-1m-distinct": _learn("rt5-1m-distinct", MILLION, 1, per_update=1, distinct=True),
    "v4-full-table-2-peers": lambda r: two_tables(
        "v4-full-table-2-peers", r.data, FEW if r.quick else WHOLE_TABLE, 1 if r.quick else 3, r.say
    ),
    "withdraw-1m": lambda r: withdrawing(
        "withdraw-1m", Load(FEW if r.quick else MILLION), 1, r.say
    ),
    "peers-100": lambda r: learning(
        "peers-100", Load(FEW, senders=10) if r.quick else Load(MILLION, senders=100), 1, r.say
    ),
    "update-latency": lambda r: latency(
        "update-latency", Change(FEW, 20) if r.quick else Change(MILLION, 250), r.say
    ),
    "update-latency-storm": lambda r: latency(
        "update-latency-storm",
        Change(FEW, 10, 1000) if r.quick else Change(MILLION, 250, 100_000),
        r.say,
    ),
    "announce-1m": lambda r: announcing("announce-1m", FEW if r.quick else MILLION, 1, 1, r.say),
    "announce-100k-50-peers": lambda r: announcing(
        "announce-100k-50-peers",
        1000 if r.quick else 100_000,
        5 if r.quick else 50,
        1 if r.quick else 3,
        r.say,
    ),
    "ris-trace": lambda r: trace("ris-trace", r.data, 2000, 2 if r.quick else 100, r.say),
    "inventory-1m": lambda r: inventory("inventory-1m", FEW if r.quick else MILLION, r.say),
    "cold-restart-1m": lambda r: cold_restart(
        "cold-restart-1m", FEW if r.quick else MILLION, r.say
    ),
}

VERIFY: Mapping[str, Case] = {
    "full-1m-10k": lambda r: verifying.full(
        "full-1m-10k", Shape(100 if r.quick else 10_000, 100), 3 if r.quick else 9, r.say
    ),
    "full-4m": lambda r: verifying.full(
        "full-4m", Shape(100 if r.quick else 10_000, 400), 2 if r.quick else 5, r.say
    ),
    "mixed-1m": lambda r: verifying.full(
        "mixed-1m", Shape(100 if r.quick else 10_000, 50, 50), 3 if r.quick else 9, r.say
    ),
    "delta-1000": lambda r: verifying.delta(
        "delta-1000", Shape(100 if r.quick else 10_000, 100), 1000, 3 if r.quick else 25, r.say
    ),
    "delta-1": lambda r: verifying.delta(
        "delta-1", Shape(100 if r.quick else 10_000, 100), 1, 10 if r.quick else 500, r.say
    ),
    "rt-graph-10k": lambda r: verifying.targets(
        "rt-graph-10k", 4, 25 if r.quick else 2_500, 20 if r.quick else 500, r.say
    ),
}


def _forward(case: str, scale: Scale, *, ovs: bool = False, source: str = "pcap") -> Case:
    """Tables and flows of this scale, from this source; a quick run has fewer of both."""

    def run(r: Run) -> Iterator[Figure]:
        few = scale._replace(
            tenants=min(scale.tenants, 10), routes=min(scale.routes, 100), flows=1000, vms=1
        )
        return forwarding(
            case, few if r.quick else scale, 1 if r.quick else 5, r.say, ovs=ovs, source=source
        )

    return run


_LARGE = Scale(10_000, 100, 30_000, vms=2, senders=16)

FORWARD: Mapping[str, Case] = {
    "small": _forward("small", Scale(10, 100, 1000), ovs=True),
    "medium": _forward("medium", Scale(100, 1000, 100_000, senders=16), ovs=True),
    "large": _forward("large", _LARGE, ovs=True),
    "large-1m-flows": _forward("large-1m-flows", _LARGE._replace(flows=MILLION)),
    "small-ring": _forward("small-ring", Scale(10, 100, 1000), source="ring"),
    "large-ring": _forward("large-ring", _LARGE, source="ring"),
    "small-unchecked": _forward("small-unchecked", Scale(10, 100, 1000, checked=False)),
    "large-unchecked": _forward("large-unchecked", _LARGE._replace(checked=False)),
    "small-acl": _forward("small-acl", Scale(10, 100, 1000, rules=20)),
    "large-acl": _forward("large-acl", _LARGE._replace(rules=20)),
    "workers": lambda r: forward_workers.workers("workers", 1 if r.quick else 5, r.say),
    "lpm": lambda r: lookups("lpm", "lpm", r.quick, r.say),
    "vms": lambda r: lookups("vms", "vms", r.quick, r.say),
    "small-remote": _forward("small-remote", Scale(10, 100, 1000, remote=True)),
    "large-remote": _forward("large-remote", _LARGE._replace(remote=True)),
    "small-v6": _forward("small-v6", Scale(10, 100, 1000, family=6)),
    "large-v6": _forward("large-v6", _LARGE._replace(family=6)),
    **{
        f"{name}-underlay6": _forward(f"{name}-underlay6", scale._replace(underlay=6))
        for name, scale in {
            "small": Scale(10, 100, 1000),
            "large": _LARGE,
            "small-v6": Scale(10, 100, 1000, family=6),
            "small-remote": Scale(10, 100, 1000, remote=True),
        }.items()
    },
}

CASES: Mapping[str, Mapping[str, Case]] = {
    "learn": LEARN,
    "verify": VERIFY,
    "forward": FORWARD,
    "commit": {
        "batch-100k": lambda r: commits.batch(
            "batch-100k", FEW if r.quick else 100_000, 2 if r.quick else 7, r.say
        ),
        "single": lambda r: commits.single("single", 100 if r.quick else 5_000, r.say),
        "stream-1m": lambda r: stream(
            "stream-1m", FEW if r.quick else MILLION, 2_000 if r.quick else 50_000, r.say
        ),
        "torture": lambda r: torture("torture", 1_000 if r.quick else 100_000, r.say),
    },
    "policy": {
        "eval-100k": lambda r: policies.evaluation(
            "eval-100k", FEW if r.quick else 100_000, 2 if r.quick else 5, r.say
        ),
        "statements-1m": lambda r: policies.statements(
            "statements-1m",
            10 * FEW if r.quick else MILLION,
            2 if r.quick else 5,
            r.say,
            peers=FEW if r.quick else MILLION // 2,
        ),
    },
}


def chosen(area: str, name: str | None) -> Mapping[str, Case]:
    """All cases of an area, or the one that is named. InputError: there is no such area or case."""
    if area not in CASES:
        raise InputError(Problem("", f"there is no bench '{area}'", f"one of {', '.join(CASES)}"))
    cases = CASES[area]
    if name is None:
        return cases
    if name not in cases:
        hint = f"one of {', '.join(cases)}"
        raise InputError(Problem("", f"'{area}' has no case '{name}'", hint))
    return {name: cases[name]}
