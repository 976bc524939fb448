"""The difference of two snapshots, as a value: what a commit would change, and nothing done yet.

In: the Snapshot in force and the one wanted. Out: a Plan. Only rows that the forwarder holds count:
a route whose origin or peer alone has changed is no change. Tables that are the same object are not
looked into.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ccn_bgp.model.vm_table import VmTable, alike_ends, words
from ccn_bgp.model.vtep_sets import Hosts
from ccn_bgp.table.plan_rows import TableChanges
from ccn_bgp.table.snapshot import (
    AclEntry,
    GatewayAddressEntry,
    InterfaceEntry,
    PeerEntry,
    Snapshot,
    SourceEntry,
    VniEntry,
    VtepEntry,
    VtepNameEntry,
    same_ends,
    touched_tables,
)
from ccn_bgp.table.tables import Table
from ccn_bgp.table.together import together

Entry = TypeVar("Entry")

MAX_NAMED = 4
"""Tables that a summary names before it counts."""


class CcsiEntry(NamedTuple):
    """A routing table of the forwarder, as struct ccn_ccsi."""

    id: int
    name: str
    checked: bool = True


class VtepSetEntry(NamedTuple):
    """The hosts that rows of the VM table have by name, as struct ccn_vtep_set."""

    name: bytes
    hosts: Hosts


@dataclass(frozen=True, slots=True)
class Change(Generic[Entry]):
    """Entries of one kind: to add, to replace (the new value), to remove (the old value)."""

    added: tuple[Entry, ...] = ()
    replaced: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.replaced or self.removed)

    @property
    def put(self) -> tuple[Entry, ...]:
        """What is to be sent as add-or-replace."""
        return self.added + self.replaced


class AclChange(NamedTuple):
    """Access lists of CCSIs whose rows differ: as they were and as they are wanted, by CCSI."""

    before: tuple[AclEntry, ...] = ()
    after: tuple[AclEntry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.before or self.after)


class VmChange(NamedTuple):
    """Rows of the VM table: to add, to replace (the new rows), to remove (the old rows)."""

    added: VmTable
    replaced: VmTable
    removed: VmTable

    def __bool__(self) -> bool:
        return bool(len(self.added) or len(self.replaced) or len(self.removed))

    @property
    def put(self) -> VmTable:
        """What is to be sent as add-or-replace."""
        return VmTable(np.concatenate((self.added.rows, self.replaced.rows)), self.added.sets)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that changes, kind by kind. ``taps``: interface ids by tap name, as wanted. ``rebound``:
    taps whose interface id differs, so that next hops over them must be said again."""

    interfaces: Change[InterfaceEntry]
    ccsis: Change[CcsiEntry]
    vnis: Change[VniEntry]
    vteps: Change[VtepEntry]
    gateway_addresses: Change[GatewayAddressEntry]
    peers: Change[PeerEntry]
    vtep_names: Change[VtepNameEntry]
    vtep_sets: Change[VtepSetEntry]
    acls: AclChange
    sources: Change[SourceEntry]
    vms: VmChange
    tables: TableChanges
    taps: Mapping[str, int]
    rebound: frozenset[str]

    @property
    def is_empty(self) -> bool:
        """True if the forwarder already holds every row."""
        return not (
            self.interfaces
            or self.ccsis
            or self.vnis
            or self.vteps
            or self.vtep_names
            or self.vtep_sets
            or self.gateway_addresses
            or self.peers
            or self.acls
            or self.sources
            or self.vms
            or self.rebound
            or not self.tables.rows_stay
        )

    def summary(self) -> str:
        """One line for the log, ``+3 -1 routes in retail; 1 VM moved``; empty for no change."""
        words = []
        touched, named = self.tables.counts(MAX_NAMED)
        for ccn, counts in named:
            signs = [f"{sign}{count}" for sign, count in zip("+~-", counts, strict=True) if count]
            words.append(f"{' '.join(signs)} route{'' if sum(counts) == 1 else 's'} in {ccn}")
        if touched > MAX_NAMED:
            words.append(f"routes in {touched - MAX_NAMED} more tables")
        kinds: tuple[tuple[Change[Any] | VmChange, str, str], ...] = (
            (self.vms, "VM", "moved"),
            (self.ccsis, "table", "changed"),
            (self.interfaces, "interface", "changed"),
            (self.vnis, "VNI", "changed"),
            (self.vteps, "VTEP", "changed"),
            (self.gateway_addresses, "gateway address", "changed"),
            (self.peers, "peer", "changed"),
            (self.sources, "source", "changed"),
        )
        for change, name, replaced in kinds:
            for entries, verb in (
                (change.added, "added"),
                (change.replaced, replaced),
                (change.removed, "removed"),
            ):
                if len(entries):
                    many = "" if len(entries) == 1 else "es" if name.endswith("s") else "s"
                    words.append(f"{len(entries)} {name}{many} {verb}")
        if self.acls:
            count = len({e.ccsi for e in (*self.acls.before, *self.acls.after)})
            words.append(f"ACL of {count} CCSI{'' if count == 1 else 's'} changed")
        return "; ".join(words)


def diff(old: Snapshot, new: Snapshot) -> Plan:
    """What turns ``old`` into ``new``; pure, and empty for equal content."""
    names = touched_tables(old.tables, new.tables)
    before = {t.id: t for t in map(old.tables.get, names) if t is not None}
    after = {t.id: t for t in map(new.tables.get, names) if t is not None}
    old_taps, new_taps = _taps(old), _taps(new)
    return Plan(
        interfaces=_entries(old.interfaces, new.interfaces, lambda e: e.id),
        ccsis=_ccsis(old, new, names),
        vnis=_entries(old.vnis, new.vnis, lambda e: e.vni),
        vteps=_entries(*_apart(old.vteps, new.vteps), lambda e: e[:2]),
        gateway_addresses=_entries(old.gateway_addresses, new.gateway_addresses, lambda e: e),
        peers=_entries(old.peers, new.peers, lambda e: e),
        vtep_names=_entries(old.vtep_names, new.vtep_names, lambda e: e.name),
        vtep_sets=_entries(vtep_sets(old.vm_table), vtep_sets(new.vm_table), lambda e: e.name),
        acls=_acls(old.acls, new.acls),
        sources=_entries(old.sources, new.sources, lambda e: e[:2]),
        vms=_vms(old.vm_table, new.vm_table),
        tables=_tables(before, after),
        taps=new_taps,
        rebound=frozenset(
            tap
            for tap in old_taps.keys() | new_taps.keys()
            if old_taps.get(tap) != new_taps.get(tap)
        ),
    )


def vtep_sets(table: VmTable) -> tuple[VtepSetEntry, ...]:
    """All that rows of the table name, in order."""
    return tuple(itertools.starmap(VtepSetEntry, table.named_sets.items()))


def taps_of(interfaces: Iterable[InterfaceEntry]) -> dict[str, int]:
    """Interface id by tap name."""
    return {e.tap: e.id for e in interfaces if e.tap}


def _taps(snapshot: Snapshot) -> dict[str, int]:
    return taps_of(snapshot.interfaces)


def ccsi_entries(snapshot: Snapshot, names: Iterable[str]) -> tuple[CcsiEntry, ...]:
    """Of these tables, as far as the snapshot has them; by id."""
    unchecked = frozenset(snapshot.unchecked)
    tables = [table for name in names if (table := snapshot.tables.get(name)) is not None]
    return tuple(sorted(CcsiEntry(t.id, t.ccn, t.id not in unchecked) for t in tables))


def _ccsis(old: Snapshot, new: Snapshot, touched: Sequence[str]) -> Change[CcsiEntry]:
    pairs = ((name, old.tables.get(name), new.tables.get(name)) for name in touched)
    names = {
        name
        for name, before, after in pairs
        if before is None or after is None or before.id != after.id or before.ccn != after.ccn
    }
    if changed := set(old.unchecked) ^ set(new.unchecked):
        names |= {name for name, table in new.tables.items() if table.id in changed}
    return _entries(ccsi_entries(old, names), ccsi_entries(new, names), lambda e: e.id)


def _entries(
    old: tuple[Entry, ...], new: tuple[Entry, ...], key: Callable[[Entry], Hashable]
) -> Change[Entry]:
    """By key, in the order of the snapshots."""
    if old is new or old == new:
        return Change()
    held = {key(entry): entry for entry in old}
    wanted = {key(entry): entry for entry in new}
    return Change(
        added=tuple(e for k, e in wanted.items() if k not in held),
        replaced=tuple(e for k, e in wanted.items() if k in held and held[k] != e),
        removed=tuple(e for k, e in held.items() if k not in wanted),
    )


def _acls(old: tuple[AclEntry, ...], new: tuple[AclEntry, ...]) -> AclChange:
    if old is new:
        return AclChange()
    held = {entry.ccsi: entry.acl for entry in old}
    wanted = {entry.ccsi: entry.acl for entry in new}
    same = {n for n, acl in held.items() if n in wanted and wanted[n].digest == acl.digest}
    return AclChange(
        tuple(entry for entry in old if entry.ccsi not in same),
        tuple(entry for entry in new if entry.ccsi not in same),
    )


def _apart(
    old: tuple[Entry, ...], new: tuple[Entry, ...]
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Both without what stands alike at their front and at their back: of thousands of entries few
    change."""
    front, back = same_ends(old, new)
    return old[front : len(old) - back], new[front : len(new) - back]


def _vms(old: VmTable, new: VmTable) -> VmChange:
    """Where rows stand alike in both, from the front and from the back, no key is looked up."""
    if old is new:
        return VmChange(*(VmTable(old.rows[:0]) for _ in range(3)))
    front, back = alike_ends((words(old.rows), words(new.rows)))
    before = VmTable(old.rows[front : len(old) - back], old.sets)
    after = VmTable(new.rows[front : len(new) - back], new.sets)
    place = before.places(after)
    held = np.flatnonzero(place >= 0)
    differs = (words(before.rows[place[held]]) != words(after.rows[held])).any(axis=1)
    gone = np.ones(len(before), np.bool_)
    gone[place[held]] = False
    return VmChange(
        VmTable(after.rows[place < 0], new.sets),
        VmTable(after.rows[held[differs]], new.sets),
        VmTable(before.rows[gone], old.sets),
    )


def _tables(before: Mapping[int, Table], after: Mapping[int, Table]) -> TableChanges:
    """By id."""
    numbers = sorted(before.keys() | after.keys())
    old, new = [list(map(tables.get, numbers)) for tables in (before, after)]
    return TableChanges.of(
        together(old),
        together(new),
        came=frozenset(place for place, table in enumerate(old) if table is None),
        gone=frozenset(place for place, table in enumerate(new) if table is None),
    )
