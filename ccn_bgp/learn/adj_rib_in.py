"""Adj-RIB-In of one peer: every Path it said, before policy, and what became of it.

In: decoded announcements. Out: Heard entries that rib.py places into tables. Stale marking for
graceful restart (RFC 4724 §4.2) is an epoch: entries of an older epoch are swept by End-of-RIB.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.bgp import Family
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import Path
from ccn_bgp.model.reason import Reason


class Heard:
    """One Path of one peer: as said, as accepted after policy, or the reason why not."""

    __slots__ = ("accepted", "epoch", "path", "places", "reason")

    def __init__(self, path: Path, epoch: int) -> None:
        self.path = path
        self.epoch = epoch
        self.accepted: Path | None = None
        self.reason: Reason | None = None
        self.places: tuple[str, ...] = ()


class AdjRibIn:
    """What one peer has said and not taken back, by NLRI key."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.heard: dict[bytes, Heard] = {}
        self.epoch = 0

    def mark_stale(self) -> None:
        """The session has ended: all that is held is stale until said again."""
        self.epoch += 1

    def stale(self, family: Family | None = None) -> Iterator[bytes]:
        """Keys not said again since the session ended."""
        for key, heard in self.heard.items():
            if heard.epoch != self.epoch and family in (None, heard.path.nlri.family):
                yield key

    @property
    def stale_count(self) -> int:
        """How many entries are stale."""
        return sum(1 for h in self.heard.values() if h.epoch != self.epoch)

    @property
    def accepted_count(self) -> int:
        """How many entries passed policy and claims."""
        return sum(1 for h in self.heard.values() if h.reason is None)
