"""Sets of prefixes that answer for a million prefixes at once: is it covered, does it overlap?

In: (group, start, end) of the members, positions of one Space. Out: booleans. Prefixes never cross,
so of the members that start at or before a prefix the one that reaches farthest decides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccn_bgp.table.verify.space import I8

Bools = npt.NDArray[np.bool_]


class IntervalSet:
    """Members in groups (numbers >= 0); ``stride`` is above every position. Ends are exclusive."""

    def __init__(self, group: I8, start: I8, end: I8, stride: int) -> None:
        self.stride = stride
        begins, ends = group * stride + start, group * stride + end
        order = np.argsort(begins, kind="stable")
        self.begins = begins[order]
        self.reach = np.maximum.accumulate(ends[order]) if len(order) else ends

    def covers(self, group: I8, start: I8, end: I8) -> Bools:
        """bool[n]: does one member of the group hold the whole of each prefix?

        A group that has no members, or is negative, covers nothing: what reaches into it from a
        lower group ends below its first position.
        """
        if not len(self.begins):
            return np.zeros(len(start), np.bool_)
        base = group * self.stride
        place = np.searchsorted(self.begins, base + start, "right") - 1
        found: Bools = (place >= 0) & (self.reach[place] >= base + end)
        return found

    def overlaps(self, group: I8, start: I8, end: I8) -> Bools:
        """bool[n]: does a member of the group have an address in common with each prefix?"""
        if not len(self.begins):
            return np.zeros(len(start), np.bool_)
        base = group * self.stride
        place = np.searchsorted(self.begins, base + start, "right") - 1
        inside = np.searchsorted(self.begins, base + end, "left") - 1 > place
        found: Bools = inside | ((place >= 0) & (self.reach[place] > base + start))
        return found
