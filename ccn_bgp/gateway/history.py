"""What was put in force: a certificate for each commit, and the last snapshots to prove again.

In: proved snapshots as they are committed. Out: rows of ``ccn show commits``, and a commit's tables
and intent as ``ccn verify-commit`` re-proves them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.model.finding import ERRORS, Finding
from ccn_bgp.table.snapshot import Snapshot, touched_tables

KEPT = 200
"""Certificates."""
KEPT_SNAPSHOTS = 16
"""Snapshots; those of one gateway share their unchanged tables."""
KEPT_ROWS = 2_000_000
"""Routes of kept snapshots that the newest does not share."""


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """The certificate of one commit: what was checked against what, what changed, what it took.

    ``id`` counts the commits of this process, ``generation`` is the forwarder's. ``intent`` is the
    digest of the declared network. Times in seconds, ``when`` since 1970.
    """

    id: int
    generation: int
    when: float
    summary: str
    tables: int
    routes: int
    digest: str
    intent: str
    rounds: int
    findings: int
    prove_seconds: float
    commit_seconds: float

    def as_json(self) -> dict[str, Any]:
        """For ``ccn show commits``; ``rules`` are those that the check asked about."""
        found = {name.replace("_", "-"): value for name, value in asdict(self).items()}
        return {**found, "rules": sorted(ERRORS)}


class Kept(NamedTuple):
    """A commit that can still be proved again; ``accepted`` are its suppressed findings."""

    record: CommitRecord
    snapshot: Snapshot
    intent: Intent
    accepted: tuple[Finding, ...]


class History:
    """The commits of one daemon, newest last."""

    def __init__(self) -> None:
        self.records: deque[CommitRecord] = deque(maxlen=KEPT)
        self._kept: dict[int, Kept] = {}
        self._replaced: dict[int, int] = {}
        """Routes of tables that are in one commit and not in the next: they are held until the
        commit goes, since the oldest goes first."""
        self._next = 1

    def add(
        self,
        record: CommitRecord,
        snapshot: Snapshot,
        intent: Intent,
        findings: Sequence[Finding] = (),
    ) -> CommitRecord:
        """Keep one commit, with those of its findings that the operator accepts; it gets its id."""
        record = replace(record, id=self._next)
        self._next += 1
        self.records.append(record)
        accepted = tuple(f for f in findings if f.suppressed and f.prefix)
        if self._kept:
            last = max(self._kept)
            before = self._kept[last].snapshot.tables
            tables = map(before.get, touched_tables(before, snapshot.tables))
            self._replaced[last] = sum(len(t) for t in tables if t is not None)
        self._kept[record.id] = Kept(record, snapshot, intent, accepted)
        while len(self._kept) > KEPT_SNAPSHOTS or sum(self._replaced.values()) > KEPT_ROWS:
            oldest = min(self._kept)
            del self._kept[oldest]
            del self._replaced[oldest]
        return record

    @property
    def kept(self) -> list[int]:
        """Ids of the commits whose tables are still here."""
        return sorted(self._kept)

    def get(self, number: int) -> Kept:
        """One commit. InputError: unknown, or too old to have its tables."""
        held = self._kept.get(number)
        if held is None:
            known = f"{self.kept[0]} to {self.kept[-1]}" if self._kept else "none yet"
            raise InputError(f"commit {number} is not kept (kept: {known})")
        return held


def intent_digest(intent: Intent) -> str:
    """One hash of the declared network: equal for equal content, wherever its file lies."""
    topology = intent.topology
    parts = (
        topology.fabric,
        sorted(topology.gateways.items()),
        sorted(topology.vpcs.items()),
        sorted(topology.idcs.items()),
        sorted(topology.ccns.items()),
        topology.shares,
        topology.neighbors,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=32).hexdigest()
