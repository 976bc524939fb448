"""From a proved Snapshot to rows in force: the difference, as one transaction.

In: snapshots, one after another. Out: transactions over a link, and a line that says what changed.
What is in force is known from the last commit; after a restart it is read back from the forwarder,
so that the first commit too is a difference against what it holds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from ccn_bgp.errors import UnreachableError
from ccn_bgp.forwarder.client import Nak, Records
from ccn_bgp.forwarder.records import (
    encode,
    encode_against,
    encode_full,
    held_from_dump,
)
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.counted import counted
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import NOTHING, Snapshot

log = logging.getLogger("ccn.commit")


class Link(Protocol):
    """Where transactions go: gateway/link.py."""

    @property
    def generation(self) -> int:
        """In force; 0 means that nothing has been committed."""

    def commit(self, records: Records, digest: bytes, *, full: bool) -> None:
        """One transaction. Nak: nothing changed. UnreachableError: it may have happened."""

    def prepare(self, records: Records) -> None:
        """One transaction but for its end, which is ``finish`` or ``give_up``. UnreachableError."""

    def finish(self, digest: bytes) -> None:
        """Like ``commit``."""

    def give_up(self) -> None:
        """What was prepared is not to be. UnreachableError."""

    def dump(self) -> Mapping[MessageType, Any]:
        """All records held."""


class _Prepared(NamedTuple):
    """What the forwarder has staged; ``slots`` are those before."""

    snapshot: Snapshot
    summary: str
    slots: NextHopSlots


class Committer:
    """What is in force, and the way from there to the next snapshot."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.held: Snapshot | None = None
        self._slots = NextHopSlots()
        self._prepared: _Prepared | None = None
        if link.generation == 0:
            self.held = NOTHING

    def forget(self) -> None:
        """The forwarder is back. One that has started again holds nothing; of one that was only
        out of reach the rows are read back before the next commit."""
        self.held = NOTHING if self.link.generation == 0 else None
        self._slots = NextHopSlots()
        self._prepared = None

    def prepare(self, snapshot: Snapshot) -> None:
        """Let the forwarder stage the way to ``snapshot`` while that is still being proved. Nothing
        is in force before ``commit`` is asked for the very same one."""
        self.give_up()
        if self.held is None:
            return
        plan = diff(self.held, snapshot)
        if plan.is_empty:
            return
        slots = self._slots.copy()
        self._prepared = _Prepared(snapshot, plan.summary(), slots)
        try:
            self.link.prepare(encode(plan, self._slots))
        except (UnreachableError, Nak):
            self._prepared, self._slots = None, slots  # commit will meet it again
            return
        # Found out while the forwarder stages the rows: it is told with the end alone.
        _ = snapshot.digest

    def give_up(self) -> None:
        """What was prepared is not to be in force: it was refused, or is old."""
        if self._prepared is None:
            return
        prepared, self._prepared = self._prepared, None
        self._slots = prepared.slots
        try:
            self.link.give_up()
        except UnreachableError as error:
            log.warning("commit: %s", error)

    def commit(self, snapshot: Snapshot) -> str:
        """Put ``snapshot`` in force; what changed, in one line, or nothing if nothing did.

        UnreachableError: the forwarder is gone; it is told everything when it is back. A refusal is
        logged and answered with everything at once; a second one is raised as Nak.
        """
        try:
            if self._prepared is not None and self._prepared.snapshot is snapshot:
                return self._finish(self._prepared)
            self.give_up()
            return self._commit(snapshot)
        except BaseException:
            # Next-hop slots have moved on, the forwarder perhaps not: read its rows back next time.
            self.held = self._prepared = None
            raise

    def _commit(self, snapshot: Snapshot) -> str:
        if self.held is None:
            return self._take_over(snapshot)
        plan = diff(self.held, snapshot)
        summary = plan.summary()
        if plan.is_empty:
            self.held = snapshot
            return ""
        # A next hop that changed its interface has no row of its own in the summary.
        try:
            self.link.commit(encode(plan, self._slots), snapshot.digest, full=False)
        except Nak as refusal:
            log.error("commit refused, sending everything: %s", refusal)
            self._everything(snapshot)
        self.held = snapshot
        return summary or "next hops changed"

    def _finish(self, prepared: _Prepared) -> str:
        self._prepared = None
        try:
            self.link.finish(prepared.snapshot.digest)
        except Nak as refusal:
            log.error("commit refused, sending everything: %s", refusal)
            self._everything(prepared.snapshot)
        self.held = prepared.snapshot
        return prepared.summary or "next hops changed"

    def _everything(self, snapshot: Snapshot) -> None:
        self._slots = NextHopSlots()
        self.link.commit(encode_full(snapshot, self._slots), snapshot.digest, full=True)

    def _take_over(self, snapshot: Snapshot) -> str:
        """The first commit over a forwarder that is at work: the difference to its own rows."""
        if self.link.generation == 0:
            self.forget()
            return self.commit(snapshot)
        records, self._slots = encode_against(held_from_dump(self.link.dump()), snapshot)
        count = sum(len(array) for _, _, array in records)
        if records:
            try:
                self.link.commit(records, snapshot.digest, full=False)
            except Nak as refusal:
                log.error("commit refused, sending everything: %s", refusal)
                self._everything(snapshot)
        self.held = snapshot
        return f"taken over, {counted(count, 'record')} differed"
