"""The cases by area and name: what ``ccn bench AREA --case NAME`` runs.

Each is a function of ``quick`` and a line printer that yields Figures. ``quick`` takes fewer
samples or routes, to see that the bench works; its figures are not for the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ccn_bgp.bench import commits, forward_small, policies, verifying
from ccn_bgp.bench.figure import Figure
from ccn_bgp.bench.inventories import inventory
from ccn_bgp.bench.learn_latency import latency
from ccn_bgp.bench.learn_packed import packed
from ccn_bgp.bench.verify_tables import Shape
from ccn_bgp.errors import InputError, Problem

Say = Callable[[str], None]
Case = Callable[[bool, Say], Iterator[Figure]]

CASES: Mapping[str, Mapping[str, Case]] = {
    "learn": {
        "rt5-100k-packed": lambda quick, say: packed(
            "rt5-100k-packed", 10_000 if quick else 100_000, 1 if quick else 3, say
        ),
        "rt5-1m-packed": lambda quick, say: packed(
            "rt5-1m-packed", 20_000 if quick else 1_000_000, 1, say
        ),
        "update-latency": lambda quick, say: latency("update-latency", 20 if quick else 250, say),
        "inventory-1m": lambda quick, say: inventory(
            "inventory-1m", 10_000 if quick else 1_000_000, say
        ),
    },
    "verify": {
        "full-1m-10k": lambda quick, say: verifying.full(
            "full-1m-10k", Shape(100 if quick else 10_000, 100), 3 if quick else 9, say
        ),
        "full-4m": lambda quick, say: verifying.full(
            "full-4m", Shape(100 if quick else 10_000, 400), 2 if quick else 5, say
        ),
        "mixed-1m": lambda quick, say: verifying.full(
            "mixed-1m", Shape(100 if quick else 10_000, 50, 50), 3 if quick else 9, say
        ),
        "delta-1000": lambda quick, say: verifying.delta(
            "delta-1000", Shape(100 if quick else 10_000, 100), 1000, 3 if quick else 25, say
        ),
        "delta-1": lambda quick, say: verifying.delta(
            "delta-1", Shape(100 if quick else 10_000, 100), 1, 10 if quick else 500, say
        ),
        "rt-graph-10k": lambda quick, say: verifying.targets(
            "rt-graph-10k", 4, 25 if quick else 2_500, 20 if quick else 500, say
        ),
    },
    "forward": {
        "small": lambda quick, say: forward_small.small("small", 1 if quick else 5, say),
    },
    "commit": {
        "batch-100k": lambda quick, say: commits.batch(
            "batch-100k", 10_000 if quick else 100_000, 2 if quick else 7, say
        ),
        "single": lambda quick, say: commits.single("single", 100 if quick else 5_000, say),
    },
    "policy": {
        "eval-100k": lambda quick, say: policies.evaluation(
            "eval-100k", 10_000 if quick else 100_000, 2 if quick else 5, say
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
