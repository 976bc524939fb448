"""The guard's question asked again and again: only what has changed is looked at.

In: the Snapshots of one gateway, one after another, whose unchanged Tables are the same objects.
Out: the Findings of verify_snapshot(), always the same. Small tables that have changed are looked
at anew, with those that send packets there, some at a time: what a table's rows break depends on
the tables alone that its packets can meet. A change in large ones can alter a packet's way only
inside the prefixes that changed, so only there are rows taken from the tables that a packet could
meet, judged by the same rules as everything, and the answer laid over the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.route import DELIVERED, Kind, tables_next
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Snapshot, touched_tables
from ccn_bgp.table.tables import Columns, Table
from ccn_bgp.table.together import together
from ccn_bgp.table.verify.incremental_rows import (
    Rows,
    changed_prefixes,
    joined,
    taken,
    within,
    without,
)
from ccn_bgp.table.verify.prefixes import prefix_faults
from ccn_bgp.table.verify.prefixes_faults import Fault, Spans, claim_findings
from ccn_bgp.table.verify.snapshot import Part, Share, block_world, declared, parts_world
from ccn_bgp.table.verify.ways import ARRIVED, way
from ccn_bgp.table.verify.world import World, owner_of_name

FAMILIES = (5, 17)
"""Octets of an IPv4 and an IPv6 Prefix."""
ROUTE_COST, TABLE_COST, CHANGE_COST, PREFIX_COST = 0.2, 15, 150, 8
"""Microseconds, roughly: of a route and a table that are looked at anew; of a table, and of each
prefix in it, of which only the difference is."""
BATCH = 1 << 15
"""Routes, roughly, that are looked at together: what the caches hold."""

Reach = dict[str, tuple[Spans, Spans]]
"""Table → addresses of both families."""
ByPrefix = dict[Prefix, list[Finding]]
RowRules = Callable[[World], Iterable[Finding]]
"""Rules that look at single rows."""


class Verifier:
    """The last state of one gateway that was checked, and its findings."""

    def __init__(self, topology: Topology, gateway: str) -> None:
        intent = declared(topology, gateway)
        self._declared = intent.declared
        self._state = PrefixState(intent.shares, intent.territory.findings)

    def check(self, snapshot: Snapshot) -> list[Finding]:
        """What verify_snapshot() finds, sorted by content."""
        return sorted([*self._state.check(snapshot.tables), *self._declared], key=_sort_key)

    def forget(self) -> None:
        """The next check looks at everything."""
        self._state.forget()


def _sort_key(finding: Finding) -> tuple[str, ...]:
    return finding.sort_key


class PrefixState:
    """The isolation rules on tables that change. ``shares``: (table, provider, prefix)."""

    def __init__(
        self, shares: Iterable[tuple[str, str, Prefix]], row_rules: RowRules | None = None
    ) -> None:
        self._shares: dict[str, list[tuple[str, str, Prefix]]] = {}
        for share in shares:
            self._shares.setdefault(share[0], []).append(share)
        self._row_rules = row_rules
        self.forget()

    def forget(self) -> None:
        """Start from nothing."""
        self._tables: dict[str, Table] = {}
        self._entering: dict[str, set[str]] = {}
        self._leading: dict[str, list[str]] = {}
        self._faults: dict[str, dict[Prefix, dict[str, Fault]]] = {}
        self._told: dict[str, ByPrefix] = {}
        self._of_rows: dict[str, ByPrefix] = {}
        self._findings: list[Finding] | None = None

    def check(self, tables: Mapping[str, Table]) -> list[Finding]:
        """Every finding on these tables, sorted by content; the list is the caller's."""
        changed = touched_tables(self._tables, tables)
        if changed:
            try:
                self._look(tables, changed)
            except BaseException:
                self.forget()  # half a step taken is no state to go on from
                raise
        if self._findings is None:
            stores = (*self._told.values(), *self._of_rows.values())
            found = [f for store in stores for told in store.values() for f in told]
            self._findings = sorted(found, key=_sort_key)
        return list(self._findings)

    def _look(self, tables: Mapping[str, Table], changed: Sequence[str]) -> None:
        for name in changed:
            old, new = self._tables.get(name), tables.get(name)
            if old is None or new is None or old.ccn != new.ccn or old.name != new.name:
                self.forget()
                self._tables = dict(tables)
                self._enter(tables.values())
                return self._anew(set(tables))
        before = {name: self._tables[name] for name in changed}
        for name in changed:
            for following in self._leading.get(name, ()):
                self._entering[following].discard(name)
            self._tables[name] = tables[name]
        self._enter([tables[name] for name in changed])
        affected = self._spread(changed, self._sending)
        met = self._spread(affected, self._following)
        routes = sum(len(self._tables[name]) for name in met)
        least = sum(abs(len(self._tables[name]) - len(old)) for name, old in before.items())
        allowed = routes * ROUTE_COST + len(met) * TABLE_COST - len(changed) * CHANGE_COST
        if least * PREFIX_COST > allowed:
            return self._anew(affected)
        differing = self._differing(before, int(allowed / PREFIX_COST))
        if differing is None:
            return self._anew(affected)
        return self._part(before, differing)

    def _sending(self, name: str) -> Iterable[str]:
        """Tables whose packets may come to this one next."""
        return self._entering.get(name, ())

    def _following(self, name: str) -> Iterable[str]:
        """Tables of this gateway that packets may meet next."""
        return self._leading.get(name, ())

    def _spread(self, names: Iterable[str], onward: Callable[[str], Iterable[str]]) -> set[str]:
        """These and all further ones."""
        found = set(names)
        if not self._leading:
            return found  # no packet meets a second table here
        work = list(found)
        while work:
            for name in onward(work.pop()):
                if name not in found:
                    found.add(name)
                    work.append(name)
        return found

    # -- whole tables -----------------------------------------------------------------------------

    def _anew(self, names: set[str]) -> None:
        """Look at these tables as if nothing were known of them. They must be all that can meet a
        table that has changed."""
        for name in names:
            known = self._faults.pop(name, None), self._of_rows.pop(name, None)
            self._told.pop(name, None)
            if any(known):
                self._findings = None
        for batch in self._batches(names):
            tables = [self._tables[name] for name in batch]
            world = block_world(together(tables), self._shares_of(batch), self._owner_of)
            for fault in prefix_faults(world):
                if fault.table in names:
                    self._findings = None
                    store = self._faults.setdefault(fault.table, {})
                    store.setdefault(fault.prefix, {})[fault.rule] = fault
            self._tell_rows(f for f in claim_findings(world) if f.table in names)
            if self._row_rules is not None:
                self._tell_rows(f for f in self._row_rules(world) if f.table in names)
        for name in names & self._faults.keys():
            self._told[name] = {
                prefix: [f.finding() for f in faults.values()]
                for prefix, faults in self._faults[name].items()
            }

    def _batches(self, names: set[str]) -> Iterator[list[str]]:
        """All of them and what their packets meet, some at a time: two tables of which one sends
        packets to the other are never apart."""
        met = self._spread(names, self._following)

        def tied(name: str) -> list[str]:
            return [n for n in (*self._following(name), *self._sending(name)) if n in met]

        batch: list[str] = []
        done: set[str] = set()
        held = 0
        ordered = sorted(met, key=self._number)
        if not self._leading:
            sizes = np.cumsum([len(self._tables[name]) for name in ordered], dtype=np.int64)
            cuts = np.flatnonzero(np.diff(sizes // BATCH)) + 1
            bounds = [0, *cuts.tolist(), len(ordered)]
            yield from (ordered[a:b] for a, b in pairwise(bounds) if a < b)
            return
        for name in ordered:
            if name not in self._leading and not self._sending(name):
                batch.append(name)
                held += len(self._tables[name])
            elif name not in done:
                group = self._spread((name,), tied)
                done |= group
                batch += group
                held += sum(len(self._tables[n]) for n in group)
            if held > BATCH:
                yield sorted(batch, key=self._number)
                batch, held = [], 0
        if batch:
            yield sorted(batch, key=self._number)

    def _number(self, name: str) -> int:
        """What stands together in a block is looked at together."""
        return self._tables[name].id

    def _enter(self, tables: Iterable[Table]) -> None:
        """Note which tables of this gateway their packets may meet next: of most blocks none."""
        leading: dict[int, bool] = {}
        for table in tables:
            block, _ = table.at
            leads = leading.get(id(block))
            if leads is None:
                ways = tables_next(sorted({way.next_table for way in block.answers}))
                leads = leading[id(block)] = not self._tables.keys().isdisjoint(ways)
            onward = (
                [n for n in tables_next(table.next_tables) if n in self._tables] if leads else []
            )
            for name in onward:
                self._entering.setdefault(name, set()).add(table.name)
            if onward:
                self._leading[table.name] = onward
            else:
                self._leading.pop(table.name, None)

    def _shares_of(self, names: Iterable[str]) -> list[Share]:
        return [share for name in names for share in self._shares.get(name, ())]

    def _owner_of(self, name: str) -> str:
        table = self._tables.get(name)
        return table.ccn if table is not None else owner_of_name(name)

    def _tell_rows(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._findings = None
            store = self._of_rows.setdefault(finding.table, {})
            store.setdefault(Prefix.parse(finding.prefix), []).append(finding)

    # -- a difference -----------------------------------------------------------------------------

    def _differing(self, before: Mapping[str, Table], most: int) -> dict[str, set[Prefix]] | None:
        """The prefixes that differ in each changed table; None if they are more than ``most``."""
        differing: dict[str, set[Prefix]] = {}
        for name, old in before.items():
            if prefixes := changed_prefixes(old, self._tables[name]):
                differing[name] = prefixes
                most -= len(prefixes)
                if most < 0:
                    return None
        return differing

    def _part(self, before: Mapping[str, Table], differing: Mapping[str, set[Prefix]]) -> None:
        """``before``: the changed tables as they were; ``differing``: where they have changed."""
        if not differing:
            return
        reach = self._reach(differing)
        rows = self._rows(self._met(reach))
        world = parts_world(self._parts(rows, differing), self._shares_of(rows), self._owner_of)
        found: dict[str, dict[Prefix, dict[str, Fault]]] = {}
        for fault in prefix_faults(world):
            if fault.table in reach:
                store = found.setdefault(fault.table, {})
                store.setdefault(fault.prefix, {})[fault.rule] = fault
        for name, spans in reach.items():
            self._lay_over(name, before.get(name), spans, found.get(name, {}))
        self._judge_rows(differing, world)

    def _reach(self, differing: Mapping[str, set[Prefix]]) -> Reach:
        """Table → addresses whose packets may go another way from there on than before."""
        own: Reach = {
            name: (
                joined((p.first, p.last) for p in prefixes if len(p) == FAMILIES[0]),
                joined((p.first, p.last) for p in prefixes if len(p) == FAMILIES[1]),
            )
            for name, prefixes in differing.items()
        }
        return _flooded(own, self._sending)

    def _met(self, reach: Reach) -> Reach:
        """Table → addresses of packets that may come there."""
        return _flooded(reach, self._following)

    def _rows(self, met: Reach) -> dict[str, tuple[Columns, Columns]]:
        found = {}
        for name in sorted(met):
            table, (v4, v6) = self._tables[name], met[name]
            found[name] = (
                taken(table.v4, Rows(table.v4).overlapping(v4)),
                taken(table.v6, Rows(table.v6).overlapping(v6)),
            )
        return found

    def _parts(
        self,
        rows: Mapping[str, tuple[Columns, Columns]],
        differing: Mapping[str, set[Prefix]],
    ) -> list[Part]:
        parts = []
        for name, (v4, v6) in rows.items():
            table, prefixes = self._tables[name], differing.get(name, set())
            claims = tuple(c for c in table.contenders if c.prefix in prefixes)
            parts.append(Part(table, v4, v6, claims))
        return parts

    def _lay_over(
        self,
        name: str,
        before: Table | None,
        reach: tuple[Spans, Spans],
        found: Mapping[Prefix, Mapping[str, Fault]],
    ) -> None:
        """Put the faults found inside ``reach`` in the place of those known there."""
        known = self._faults.get(name, {})
        touched = {p for p in found if within(((p.first, p.last),), reach[len(p) == FAMILIES[1]])}
        if known:
            old = before or self._tables[name]
            for columns, spans in zip((old.v4, old.v6), reach, strict=True):
                held = Rows(columns)
                touched.update(p for p in held.prefixes(held.overlapping(spans)) if p in known)
        if not touched:
            return
        told = self._told.setdefault(name, {})
        known = self._faults.setdefault(name, {})
        for prefix in touched:
            spans = reach[len(prefix) == FAMILIES[1]]
            faults = dict(self._merged(known.get(prefix, {}), found.get(prefix, {}), spans))
            if faults == known.get(prefix, {}):
                continue
            self._findings = None
            if faults:
                known[prefix] = faults
                told[prefix] = [f.finding() for f in faults.values()]
            else:
                known.pop(prefix, None)
                told.pop(prefix, None)

    def _merged(
        self, known: Mapping[str, Fault], found: Mapping[str, Fault], reach: Spans
    ) -> Iterator[tuple[str, Fault]]:
        """By rule, the faults of one row. Outside ``reach`` nothing has changed. A row that leaks
        and is the longest match nowhere is a `latent-leak`."""
        for rule in sorted({*known, *found} - {"latent-leak"}):
            inside = within(found[rule].spans, reach) if rule in found else []
            outside = without(known[rule].spans, reach) if rule in known else []
            if spans := joined((*inside, *outside)):
                yield rule, self._placed(found.get(rule) or known[rule], spans, reach)
        leaking = found.get("latent-leak") or found.get("leak")
        if leaking is None:
            return
        wins = "leak" in found and within(found["leak"].spans, reach)
        if not wins and not ("leak" in known and without(known["leak"].spans, reach)):
            prefix = leaking.prefix
            latent = leaking._replace(rule="latent-leak")
            yield "latent-leak", self._placed(latent, ((prefix.first, prefix.last),), ())

    def _placed(self, fault: Fault, spans: Spans, reach: Spans) -> Fault:
        """The fault on other addresses; the hops are those of the first of them."""
        first = spans[0][0]
        hops = fault.hops
        if first != fault.spans[0][0] or not within(((first, first),), reach):
            hops = self._hops(fault, first)
        return fault._replace(spans=spans, hops=hops)

    def _hops(self, fault: Fault, address: int) -> tuple[str, ...]:
        """Tables that a packet meets from the row of the fault on, by single look-ups."""

        def following(table: Table, row: int) -> list[str]:
            """Empty for a drop and for no row."""
            columns = _family(table, fault.prefix)
            if row < 0:
                return []
            if (then := int(columns.next_table[row])) >= 0:
                return table.next_tables[then].split(" ")
            drops = table.next_hops[columns.next_hop[row]].kind is Kind.DROP
            return [] if drops else [DELIVERED]

        def look(name: str) -> tuple[str, list[str]]:
            here = ARRIVED if self._owner_of(name) == fault.foreign else "misdelivery"
            if (table := self._tables.get(name)) is None:
                return here, []
            then = following(table, Rows(_family(table, fault.prefix)).longest(address))
            if not then:
                return "blackhole", []
            return here if DELIVERED in then else "", [n for n in then if n != DELIVERED]

        table = self._tables[fault.table]
        then = following(table, Rows(_family(table, fault.prefix)).at(fault.prefix))
        onward = [n for n in then if n != DELIVERED]
        return tuple(way(fault.table, onward, look, fault.rule))

    # -- rules on single rows ---------------------------------------------------------------------

    def _judge_rows(self, differing: Mapping[str, set[Prefix]], world: World) -> None:
        for name, prefixes in differing.items():
            store = self._of_rows.get(name)
            for prefix in prefixes if store else ():
                assert store is not None
                if store.pop(prefix, None):
                    self._findings = None
        rules = [claim_findings(world)]
        if self._row_rules is not None:
            rules.append(self._row_rules(world))
        for finding in (f for found in rules for f in found):
            if Prefix.parse(finding.prefix) in differing.get(finding.table, ()):
                self._tell_rows((finding,))


def _family(table: Table, prefix: Prefix) -> Columns:
    return table.v4 if len(prefix) == FAMILIES[0] else table.v6


def _flooded(reach: Reach, onward: Callable[[str], Iterable[str]]) -> Reach:
    """Each table's addresses are also those of every table onward."""
    found = dict(reach)
    work = sorted(found)
    while work:
        name = work.pop()
        for after in onward(name):
            held = found.get(after, ((), ()))
            more = (
                joined((*held[0], *found[name][0])),
                joined((*held[1], *found[name][1])),
            )
            if more != held:
                found[after] = more
                work.append(after)
    return found
