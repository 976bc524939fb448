"""A figure: one metric of one case, ours and the peers', measured in the same run.

In: samples. Out: ``{"case", "metric", "unit", "ours", "peers", "ratio"}``, where a ratio over 1
says how many times better ours is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DIGITS = 4
"""Significant digits: the machines are noisy by more than that."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``peers`` holds what each peer needed for the same, by its name; it may be empty."""

    case: str
    metric: str
    unit: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    higher_is_better: bool = False

    def ratio(self, peer: str) -> float:
        """How many times better than ``peer`` ours is."""
        theirs = self.peers[peer]
        better, worse = (self.ours, theirs) if self.higher_is_better else (theirs, self.ours)
        return better / worse if worse else math.inf

    def as_json(self) -> dict[str, Any]:
        """One entry of ``results``."""
        return {
            "case": self.case,
            "metric": self.metric,
            "unit": self.unit,
            "ours": rounded(self.ours),
            "peers": {name: rounded(value) for name, value in self.peers.items()},
            "ratio": {name: rounded(self.ratio(name)) for name in self.peers},
        }


def rounded(value: float) -> float:
    """``value`` with DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")


def median(samples: Sequence[float]) -> float:
    """The middle one, or the mean of the middle two. ValueError if there is none."""
    return percentile(samples, 50)


def percentile(samples: Sequence[float], percent: float) -> float:
    """By linear interpolation between the nearest ranks. ValueError if there is no sample."""
    if not samples:
        raise ValueError("no samples")
    order = sorted(samples)
    place = (len(order) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(order) - 1)
    return order[low] + (order[high] - order[low]) * (place - low)
