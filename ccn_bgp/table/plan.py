"""The difference of two snapshots, as a value: what a commit would change, and nothing done yet.

In: the Snapshot in force and the one wanted. Out: a Plan. Only rows that the forwarder holds count:
a route whose origin or peer alone has changed is no change. Tables that are the same object, or
have the same digest, are not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.route import NextHop
from ccn_bgp.model.vms import VmTable
from ccn_bgp.table.snapshot import Columns, InterfaceEntry, Snapshot, Table, VniEntry, VtepEntry

I8 = npt.NDArray[np.int64]
Entry = TypeVar("Entry")

MAX_NAMED = 4
"""Tables that a summary names before it counts."""


class CcsiEntry(NamedTuple):
    """A routing table of the forwarder, as struct ccn_ccsi."""

    id: int
    name: str


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
        return VmTable(np.concatenate((self.added.rows, self.replaced.rows)))


class Rows(NamedTuple):
    """Row numbers in the columns of a Table, ascending: int64[n] for each family."""

    v4: I8
    v6: I8

    def __len__(self) -> int:
        return len(self.v4) + len(self.v6)


@dataclass(frozen=True, slots=True, eq=False)
class TableChange:
    """Routes of one CCSI. ``added`` and ``changed`` are rows of ``after``, ``removed`` of
    ``before``; a table that is new or goes has None on the other side."""

    id: int
    ccn: str
    before: Table | None
    after: Table | None
    added: Rows
    changed: Rows
    removed: Rows

    @property
    def next_hops(self) -> tuple[tuple[NextHop, ...], tuple[NextHop, ...]]:
        """(used from now on, no longer used) by this table, sorted."""
        old = set() if self.before is None else set(self.before.next_hops)
        new = set() if self.after is None else set(self.after.next_hops)
        return tuple(sorted(new - old)), tuple(sorted(old - new))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that changes, kind by kind. ``taps``: interface ids by tap name, as wanted. ``rebound``:
    taps whose interface id differs, so that next hops over them must be said again."""

    digest: bytes
    interfaces: Change[InterfaceEntry]
    ccsis: Change[CcsiEntry]
    vnis: Change[VniEntry]
    vteps: Change[VtepEntry]
    vms: VmChange
    tables: tuple[TableChange, ...]
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
            or self.vms
            or self.rebound
            or any(len(t.added) + len(t.changed) + len(t.removed) for t in self.tables)
        )

    def summary(self) -> str:
        """One line for the log, ``+3 -1 routes in retail; 1 VM moved``; empty for no change."""
        words = []
        touched = [t for t in self.tables if len(t.added) + len(t.changed) + len(t.removed)]
        for table in touched[:MAX_NAMED]:
            counts = [
                f"{sign}{len(rows)}"
                for sign, rows in (("+", table.added), ("~", table.changed), ("-", table.removed))
                if len(rows)
            ]
            total = len(table.added) + len(table.changed) + len(table.removed)
            words.append(f"{' '.join(counts)} route{'' if total == 1 else 's'} in {table.ccn}")
        if len(touched) > MAX_NAMED:
            words.append(f"routes in {len(touched) - MAX_NAMED} more tables")
        kinds: tuple[tuple[Change[Any] | VmChange, str, str], ...] = (
            (self.vms, "VM", "moved"),
            (self.ccsis, "table", "renamed"),
            (self.interfaces, "interface", "changed"),
            (self.vnis, "VNI", "changed"),
            (self.vteps, "VTEP", "changed"),
        )
        for change, name, replaced in kinds:
            for entries, verb in (
                (change.added, "added"),
                (change.replaced, replaced),
                (change.removed, "removed"),
            ):
                if len(entries):
                    many = "" if len(entries) == 1 else "s"
                    words.append(f"{len(entries)} {name}{many} {verb}")
        return "; ".join(words)


def diff(old: Snapshot, new: Snapshot) -> Plan:
    """What turns ``old`` into ``new``; pure, and empty for equal content."""
    before = {t.id: t for t in old.tables.values()}
    after = {t.id: t for t in new.tables.values()}
    ids = sorted(before.keys() | after.keys())
    changes = [_table(before.get(i), after.get(i)) for i in ids]
    old_taps, new_taps = _taps(old), _taps(new)
    return Plan(
        digest=new.digest,
        interfaces=_entries(old.interfaces, new.interfaces, lambda e: e.id),
        ccsis=_entries(_ccsis(before), _ccsis(after), lambda e: e.id),
        vnis=_entries(old.vnis, new.vnis, lambda e: e.vni),
        vteps=_entries(old.vteps, new.vteps, lambda e: e),
        vms=_vms(old.vm_table, new.vm_table),
        tables=tuple(c for c in changes if c is not None),
        taps=new_taps,
        rebound=frozenset(
            tap
            for tap in old_taps.keys() | new_taps.keys()
            if old_taps.get(tap) != new_taps.get(tap)
        ),
    )


def taps_of(interfaces: Iterable[InterfaceEntry]) -> dict[str, int]:
    """Interface id by tap name."""
    return {e.tap: e.id for e in interfaces if e.tap}


def _taps(snapshot: Snapshot) -> dict[str, int]:
    return taps_of(snapshot.interfaces)


def _ccsis(tables: Mapping[int, Table]) -> tuple[CcsiEntry, ...]:
    return tuple(CcsiEntry(number, tables[number].ccn) for number in sorted(tables))


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


def _vms(old: VmTable, new: VmTable) -> VmChange:
    """Where rows stand alike in both, from the front and from the back, no key is looked up."""
    if old is new:
        return VmChange(*(VmTable(old.rows[:0]) for _ in range(3)))
    least = min(len(old), len(new))
    front = _alike(old.rows[:least], new.rows[:least])
    back = _alike(
        old.rows[len(old) - least + front :][::-1], new.rows[len(new) - least + front :][::-1]
    )
    before = VmTable(old.rows[front : len(old) - back])
    after = VmTable(new.rows[front : len(new) - back])
    place = before.places(after)
    held = np.flatnonzero(place >= 0)
    differs = (_words(before.rows[place[held]]) != _words(after.rows[held])).any(axis=1)
    gone = np.ones(len(before), np.bool_)
    gone[place[held]] = False
    return VmChange(
        VmTable(after.rows[place < 0]),
        VmTable(after.rows[held[differs]]),
        VmTable(before.rows[gone]),
    )


def _alike(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """How many rows are the same from the first on."""
    differs = (_words(one) != _words(other)).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(differs)


def _words(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), 4)


def _table(before: Table | None, after: Table | None) -> TableChange | None:
    # An empty Table is false: ask for None.
    if before is after:
        return None
    if before is None or after is None:
        some = before if after is None else after
        assert some is not None
        every = _every(some)
        none = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return TableChange(
            id=some.id,
            ccn=some.ccn,
            before=before,
            after=after,
            added=none if after is None else every,
            changed=none,
            removed=none if before is None else every,
        )
    if before.digest == after.digest:
        return None
    index = {hop: number for number, hop in enumerate(after.next_hops)}
    moved = np.array([*(index.get(hop, -1) for hop in before.next_hops), -1], np.int64)
    v4 = _rows(before.v4, after.v4, moved)
    v6 = _rows(before.v6, after.v6, moved)
    added, changed, removed = (Rows(a, b) for a, b in zip(v4, v6, strict=True))
    return TableChange(after.id, after.ccn, before, after, added, changed, removed)


def _every(table: Table) -> Rows:
    return Rows(np.arange(len(table.v4)), np.arange(len(table.v6)))


def _rows(before: Columns, after: Columns, moved: I8) -> tuple[I8, I8, I8]:
    """(added, changed, removed) of one family; ``moved``: old next-hop index → new, or -1."""
    old, new = _keys(before), _keys(after)
    place = np.searchsorted(old, new)
    held = place < len(old)
    held[held] = old[place[held]] == new[held]
    kept = np.zeros(len(old), np.bool_)
    kept[place[held]] = True
    same = np.flatnonzero(held)
    differs = moved[before.next_hop[place[same]]] != after.next_hop[same]
    return np.flatnonzero(~held), same[differs], np.flatnonzero(~kept)


def _keys(columns: Columns) -> npt.NDArray[Any]:
    """A sorted, comparable key for each row: address and length."""
    if columns.address.shape[1] == 4:
        number = columns.address.view(">u4").reshape(-1).astype(np.uint64)
        return number << np.uint64(8) | columns.length.astype(np.uint64)
    packed = np.concatenate((columns.address, columns.length[:, None]), axis=1)
    return np.ascontiguousarray(packed).view("S17").reshape(-1)
