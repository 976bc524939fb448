"""`ccn lab check` and the wait for convergence: in comes a layout, out comes a judged probe run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab.layout import Layout
from ccn_bgp.lab.members import Pair, members, pairs, shared_pairs, trespasses
from ccn_bgp.lab.probe import RATE, PairResult, Prober, ProbeResult


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged run. ``bad`` are the pairs that lost more than allowed."""

    result: ProbeResult
    max_outage: float
    bad: tuple[PairResult, ...]

    @property
    def ok(self) -> bool:
        """No loss beyond the bound, nothing foreign, and every control was seen."""
        result = self.result
        return (
            not self.bad
            and not result.foreign
            and not result.misdelivered
            and result.controls_seen == result.controls
        )

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        result = self.result
        return {
            "ok": self.ok,
            "sent": result.sent,
            "lost": result.lost,
            "longest-outage": round(max((p.longest_outage for p in result.pairs), default=0), 4),
            "max-loss": self.max_outage,
            "foreign": [
                {"receiver": str(f.receiver), "ccn": f.receiver.ccn, "stamp-of": f.ccn}
                for f in result.foreign
            ],
            "misdelivered": result.misdelivered,
            "trespasses": result.trespasses,
            "control": {"sent": result.controls, "seen": result.controls_seen},
            "seconds": round(result.seconds, 2),
            "pairs": [
                {
                    "ccn": one.pair.source.ccn,
                    "from": one.pair.source.node,
                    "from-address": str(one.pair.source.address),
                    "to": one.pair.target.node,
                    "to-ccn": one.pair.target.ccn,
                    "to-address": str(one.pair.target.address),
                    "sent": one.sent,
                    "lost": one.lost,
                    "longest-outage": round(one.longest_outage, 4),
                }
                for one in result.pairs
            ],
        }


def probes_per_pair(wanted: Sequence[Pair], each_way: int) -> list[int]:
    """How many probes each pair gets, so that every CCN sends at least ``each_way`` each way, and
    as many to each CCN that shares something with it."""
    directions: dict[tuple[str, str], int] = {}
    ways = [(pair.source.ccn, pair.target.ccn) for pair in wanted]
    for way in ways:
        directions[way] = directions.get(way, 0) + 1
    return [
        math.ceil((2 if source == target else 1) * each_way / directions[source, target])
        for source, target in ways
    ]


def check(
    layout: Layout,
    each_way: int,
    max_outage: float,
    rate: int = RATE,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Probe all pairs of a running lab and judge: ``max_outage`` 0 allows no loss at all.

    CcnError: there is nothing to probe, so nothing could be proved.
    """
    found = members(layout)
    wanted = pairs(found) + shared_pairs(layout, found)
    if not wanted:
        name = layout.topology.name
        raise CcnError(
            Problem(f"lab {name}", "no two members of a CCN, nothing shared", "nothing to probe")
        )
    with Prober(found) as prober:
        result = prober.run(
            wanted,
            probes_per_pair(wanted, each_way),
            trespass=trespasses(layout, found),
            rate=rate,
            progress=progress,
        )
    bad = tuple(p for p in result.pairs if p.lost and p.longest_outage > max_outage)
    return Verdict(result, max_outage, bad)


@dataclass(frozen=True, slots=True)
class Convergence:
    """``missing`` pairs never answered; ``first`` and ``all`` are seconds since the start."""

    missing: tuple[Pair, ...]
    first: float | None
    all: float | None


def wait_until_converged(layout: Layout, patience: float, began: float) -> Convergence:
    """Probe every pair until all of one round arrive, for at most ``patience`` seconds.

    ``began`` is the ``time.monotonic()`` that times are counted from.
    """
    found = members(layout)
    wanted = pairs(found) + shared_pairs(layout, found)
    deadline = time.monotonic() + patience
    first: float | None = None
    with Prober(found) as prober:
        while True:
            result = prober.run(wanted, [1] * len(wanted), control=False, linger=0.25)
            missing = tuple(one.pair for one in result.pairs if one.lost)
            if first is None and len(missing) < len(wanted):
                first = time.monotonic() - began
            if not missing:
                return Convergence((), first, time.monotonic() - began)
            if time.monotonic() > deadline:
                return Convergence(missing, first, None)
