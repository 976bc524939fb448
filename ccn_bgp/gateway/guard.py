"""The guard: nothing reaches the forwarder before it has been proved.

In: a Rib with dirty prefixes. Out: a Snapshot without an error, and every Finding. Routes that the
verifier names are quarantined, and only they; the rest goes on. The check of a table begins with no
quarantine in it nor in any that it shares routes or packets with, so the refused set depends on
what is held and never on the order of arrival. Where nothing was decided since, it stands; where
very much is refused, only the part of it is tried again that a change can reach.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ccn_bgp.gateway.fixed import (
    LegalVteps,
    acls,
    gateway_addresses,
    interfaces,
    neighbors,
    vnis,
)
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.quarantine import Quarantine, Reach
from ccn_bgp.gateway.sources import sources, unchecked
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.reason import Refused
from ccn_bgp.model.route import VmEntry, tables_next
from ccn_bgp.model.suppression import marked
from ccn_bgp.table.block_use import BlockUse
from ccn_bgp.table.building import TableRows, build_tables
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Contender, Head, Table
from ccn_bgp.table.verify.incremental import Verifier
from ccn_bgp.table.verify.incremental_rows import changed_prefixes

log = logging.getLogger("ccn.guard")

BESIDE = 20_000
"""Decisions from which on a check is worth a thread: what follows it is done beside it."""
FEW = 500
"""Refused rows up to which all of them are tried again together: a check costs more."""
FAR = 1000
"""Changed rows from which on a change is as good as everywhere."""
LOGGED = 20
"""Findings that one commit logs in full: a peer gone wild must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A snapshot, what was found on the way, and how often it was checked.

    ``standing`` are errors that no quarantine could end; with any of them nothing may be committed.
    """

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    rounds: int
    standing: tuple[Finding, ...] = ()


class Guard:
    """Builds and proves the snapshots of one Intent; unchanged tables are taken over.

    The first check of a Guard looks at everything, each later one at what has changed.
    """

    def __init__(self, intent: Intent, rib: Rib) -> None:
        self.intent = intent
        self.rib = rib
        self._tables: dict[str, Table] = {}
        self._vms: Sequence[VmEntry] = ()
        self._interfaces = interfaces(intent.topology, intent.gateway)
        self._vnis = vnis(intent.topology, intent.gateway)
        self._vteps = LegalVteps(intent.topology, intent.gateway)
        self._addresses = gateway_addresses(intent.topology, intent.gateway)
        self._acls = acls(intent.topology, intent.gateway)
        self._neighbors = neighbors(intent.topology, intent.gateway, self._interfaces)
        self._sources = sources(intent.topology, intent.gateway)
        self._unchecked = unchecked(intent.topology, intent.gateway)
        self._verifier = Verifier(intent.topology, intent.gateway.name)
        self._quarantined = Quarantine()
        self._reach: dict[str, Reach] = {}
        self._proved: Mapping[str, Table] = {}
        self._begun = False
        self._made: list[Table] = []
        self._blocks = BlockUse()
        self._heads = {
            name: Head(name, loc.ccsi.id, loc.ccsi.ccn) for name, loc in rib.tables.items()
        }
        self._group = {name: name for name in rib.tables}
        self._members = {name: [name] for name in rib.tables}
        for name in rib.tables:
            for taker in rib.takers(name):
                self._join(name, taker)

    def prove(
        self, *, whole: bool = False, meanwhile: Callable[[Snapshot], None] | None = None
    ) -> Proved:
        """Settle, build and verify until nothing is left to refuse; ``whole``: all tables again.

        ``meanwhile`` is called beside a long check with what is being checked: it may get ready
        for that, but what it did is void if another Snapshot is the result."""
        rib = self.rib
        if whole:
            self._verifier.forget()
        rib.settle()
        touched = set(self._members) if whole else self._touched()
        wide = set()
        if self._begun and not whole and self._quarantined:
            wide = {g for g in touched if self._quarantined.count(self._members[g]) > FEW}
        self._release(touched - wide)
        self._reach = {}
        if wide:
            self._narrow(wide)
        rounds = 0
        while True:
            rounds += 1
            rib.settle()
            snapshot = self._snapshot()
            if self._link():
                self._release_all()
                continue
            found = marked(
                self._check(snapshot, meanwhile if rounds == 1 else None),
                self.intent.topology.suppressions,
            )
            if not (fresh := self._quarantine(found)):
                break
            self._widen(fresh)
        self._begun, self._proved = True, self._tables
        self._blocks.tidy(self._tables)
        rib.decided.clear()
        rib.deciding.decisions = 0
        for table in rib.tables.values():
            table.stirred.clear()
        findings = [*self._quarantined.findings(), *found, *rib.findings.values()]
        findings += [*rib.limit_findings(), *rib.vms.findings()]
        findings.sort(key=lambda f: f.sort_key)
        standing = tuple(f for f in found if f.stands)
        return Proved(snapshot, tuple(findings), rounds, standing)

    def _check(
        self, snapshot: Snapshot, meanwhile: Callable[[Snapshot], None] | None
    ) -> list[Finding]:
        if meanwhile is None or self.rib.decisions < BESIDE:
            return self._verifier.check(snapshot)
        # Most of both is NumPy's, which lets go of the interpreter while it works.
        with ThreadPoolExecutor(1, "verify") as pool:
            checked = pool.submit(self._verifier.check, snapshot)
            meanwhile(snapshot)
            return checked.result()

    def _touched(self) -> set[str]:
        """The groups in which something has been decided since the last proof."""
        if not self._begun:
            return set(self._members)
        return {self._group[name] for name in self.rib.decided}

    def _release(self, groups: set[str]) -> None:
        """End the quarantine of some groups of tables."""
        if self._begun and not self._quarantined:
            return
        for name in self._of(groups):
            self._quarantined.clear(name)
            table = self.rib.tables[name]
            if table.refused:
                table.release()

    def _release_all(self) -> None:
        self._release(set(self._members))
        self._reach = {}

    def _narrow(self, groups: set[str]) -> None:
        """End the quarantine of these groups where what has changed can reach it."""
        self._snapshot()
        if self._link():
            self._release_all()
            return
        for group in sorted(groups):
            reach = Reach()
            for name in self._members[group]:
                changed = changed_prefixes(self._proved[name], self._tables[name])
                if len(changed) > FAR:
                    self._release({group})
                    break
                reach.add((*changed, *self.rib.tables[name].stirred))
            else:
                self._reach[group] = reach
                self._release_in(group)

    def _release_in(self, group: str) -> None:
        """End the quarantine of all rows that hold an address of the reach of their group, which
        grows by them."""
        reach, grown = self._reach[group], True
        while grown:
            grown = False
            for name in self._members[group]:
                if met := self._quarantined.overlapping(name, reach):
                    self._quarantined.drop(name, met)
                    self.rib.tables[name].release(met)
                    grown |= reach.add(met)

    def _widen(self, fresh: Iterable[tuple[str, Prefix]]) -> None:
        """A row that is refused now, and reaches beyond what was thought to be touched: rows that
        it meets there are tried again with it."""
        grown = set()
        for name, prefix in fresh:
            group = self._group[name]
            reach = self._reach.get(group)
            if reach is not None and not reach.holds(prefix):
                reach.add((prefix,))
                grown.add(group)
        for group in sorted(grown):
            self._release_in(group)

    def _of(self, groups: set[str]) -> Iterator[str]:
        for group in sorted(groups):
            yield from self._members[group]

    def _link(self) -> bool:
        """Join the groups of tables whose packets meet; true if any were apart."""
        apart = False
        ways = {answer.next_table for made in self._made[:1] for answer in made.at[0].answers}
        if self._group.keys().isdisjoint(tables_next(sorted(ways))):
            return False
        for table in self._made:
            for other in tables_next(table.next_tables):
                apart |= other in self._group and self._join(table.name, other)
        return apart

    def _join(self, name: str, other: str) -> bool:
        new, old = self._group[name], self._group[other]
        if new == old:
            return False
        if len(self._members[new]) < len(self._members[old]):
            new, old = old, new
        for member in self._members[old]:
            self._group[member] = new
        self._members[new] += self._members.pop(old)
        return True

    def _quarantine(self, found: list[Finding]) -> list[tuple[str, Prefix]]:
        """Refuse the rows that errors name, and keep the findings: table and prefix of each row of
        which anything new was refused."""
        named: dict[str, dict[Prefix, list[Finding]]] = {}
        for finding in found:
            if finding.stands and finding.prefix and finding.table in self.rib.tables:
                rows = named.setdefault(finding.table, {})
                rows.setdefault(Prefix.parse(finding.prefix), []).append(finding)
        acted = []
        for name, rows in named.items():
            table = self.rib.tables[name]
            with table.located(rows):
                for prefix, findings in rows.items():
                    fresh = False
                    for finding in findings:
                        if _refused(table, prefix, finding):
                            self._quarantined.add(name, prefix, finding)
                            fresh = True
                    acted += [(name, prefix)] * fresh
        return acted

    def _build(self, names: list[str]) -> dict[str, Table]:
        """The tables of these names as they are now."""
        if not names:
            return {}
        heads = {head.id: head for head in map(self._head, names)}
        rows = self.rib.filled(names)
        return build_tables(heads, TableRows(*rows[4]), TableRows(*rows[16]), self.rib.book.answers)

    def _head(self, name: str) -> Head:
        head = self._heads[name]
        loc = self.rib.tables[name]
        return head._replace(contenders=_contenders(loc)) if loc.contenders else head

    def _snapshot(self) -> Snapshot:
        rib, intent = self.rib, self.intent
        wanted = set(rib.changed)
        if len(self._tables) < len(rib.tables):
            wanted |= rib.tables.keys() - self._tables.keys()
        made = self._build(sorted(wanted))
        rib.changed.clear()
        self._made = list(made.values())
        self._blocks.replace(self._tables, self._made)
        tables = self._tables | made
        if len(self._tables) < len(rib.tables):
            tables = {name: tables[name] for name in rib.tables}
        self._tables = tables
        if rib.vms_changed:
            self._vms = rib.vm_entries()
        return Snapshot(
            gateway=intent.gateway.name,
            tables=tables,
            interfaces=self._interfaces,
            vnis=self._vnis,
            vteps=self._vteps.rows(self._vms, tables),
            gateway_addresses=self._addresses,
            peers=self._neighbors,
            acls=self._acls,
            sources=self._sources,
            unchecked=self._unchecked,
            vms=self._vms,
        )


def _refused(table: LocRib, prefix: Prefix, finding: Finding) -> bool:
    """Refuse what the finding is about; False if that was refused already."""
    sides = finding.witness.get("origins", ())
    accused = table.accused(prefix, finding.peer, sides)
    fresh = [slot for slot in accused if (prefix, slot) not in table.refused]
    for slot in fresh:
        table.refuse(prefix, slot, Refused(finding.rule, finding.message))
    return bool(fresh)


def _contenders(loc: LocRib) -> tuple[Contender, ...]:
    lost = {
        Contender(prefix, origin, peer)
        for prefix, others in loc.contenders.items()
        for origin, peer in others
    }
    return tuple(sorted(lost, key=lambda c: (len(c.prefix), c)))


def new_findings(before: Mapping[tuple[str, ...], Finding], now: tuple[Finding, ...]) -> None:
    """Log each finding once, when it appears, and once when it has gone; many are counted."""
    keys = {f.sort_key for f in now}
    fresh = [f for f in now if f.sort_key not in before]
    for finding in fresh[:LOGGED]:
        log.warning("finding %s: %s", finding.rule, finding.message)
    if len(fresh) > LOGGED:
        log.warning("%d more findings: ccn show findings", len(fresh) - LOGGED)
    gone = [f for key, f in before.items() if key not in keys]
    for finding in gone[:LOGGED]:
        log.info("finding gone %s: %s", finding.rule, finding.message)
    if len(gone) > LOGGED:
        log.info("%d more findings gone", len(gone) - LOGGED)
