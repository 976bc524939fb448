"""What a peer is to be sent: the form of it, and the difference between two Adj-RIB-Outs.

In: objects and columns as AdjRibOut keeps them. Out: Changes, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ccn_bgp.learn.keys import Array, Bools, member
from ccn_bgp.learn.told_rows import ToldRows, grouped
from ccn_bgp.learn.told_vms import ToldVms, vm_difference
from ccn_bgp.model.outgoing import NOTHING, Origination, OutRows, RowChanges
from ccn_bgp.model.path import Nlri, PathAttributes

if TYPE_CHECKING:
    from ccn_bgp.learn.adj_rib_out import AdjRibOut

Objects = Mapping[bytes, tuple[Nlri, PathAttributes]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What to send, all withdrawals before all announcements: attribute sets with their NLRI, and
    withdrawals; the mass of both in rows. Everything in a fixed order."""

    announce: tuple[tuple[PathAttributes, tuple[Nlri, ...]], ...] = ()
    withdraw: tuple[Nlri, ...] = ()
    announce_rows: tuple[RowChanges, ...] = ()
    withdraw_rows: tuple[RowChanges, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.announce or self.withdraw or self.announce_rows or self.withdraw_rows)

    @property
    def counts(self) -> tuple[int, int]:
        """How many routes are announced, and how many withdrawn."""
        announced = sum(len(nlris) for _, nlris in self.announce)
        announced += sum(len(changes.rows) for changes in self.announce_rows)
        return announced, len(self.withdraw) + sum(len(c.rows) for c in self.withdraw_rows)

    def announced(self) -> Iterator[tuple[PathAttributes, tuple[Nlri, ...]]]:
        """All announcements as values, rows too."""
        yield from self.announce
        for changes in self.announce_rows:
            for attributes, nlris in changes.expanded()[0]:
                yield attributes, tuple(nlris)

    def withdrawn(self) -> Iterator[Nlri]:
        """All withdrawals as values, rows too."""
        yield from self.withdraw
        for changes in self.withdraw_rows:
            yield from changes.nlri()


def by_attributes(objects: Objects) -> tuple[tuple[PathAttributes, tuple[Nlri, ...]], ...]:
    """Grouped by attribute set; NLRI in the order of their keys, groups in that of their first."""
    groups: dict[PathAttributes, list[Nlri]] = {}
    by_identity: dict[int, list[Nlri]] = {}
    for key in sorted(objects):
        nlri, attributes = objects[key]
        members = by_identity.get(id(attributes))
        if members is None:
            members = by_identity[id(attributes)] = groups.setdefault(attributes, [])
        members.append(nlri)
    return tuple((a, tuple(n)) for a, n in groups.items())


def announced_rows(
    held: ToldRows,
    keys: Array,
    numbers: Array,
    sets: Sequence[PathAttributes],
    originations: Mapping[int, Origination] | None,
) -> tuple[RowChanges, ...]:
    """Announcements of sorted keys, brought together by their numbers."""
    if not len(keys):
        return ()
    order = grouped(numbers)
    if order is not None:
        keys, numbers = keys[order], numbers[order]
    return (RowChanges(_rows(held, keys, numbers, originations), sets, originations or {}),)


def withdrawn_rows(
    held: ToldRows, keys: Array, originations: Mapping[int, Origination] | None
) -> tuple[RowChanges, ...]:
    """Withdrawals of sorted keys."""
    if not len(keys):
        return ()
    nothing = np.full(len(keys), NOTHING, np.int64)
    return (RowChanges(_rows(held, keys, nothing, originations), (), originations or {}),)


def _rows(
    held: ToldRows, keys: Array, numbers: Array, originations: Mapping[int, Origination] | None
) -> OutRows:
    table = None if originations is None else held.of.number(keys)
    return OutRows(
        table, held.of.address(keys), held.of.length(keys), numbers.astype(np.int64, copy=False)
    )


def difference(old: AdjRibOut, new: AdjRibOut) -> Changes:
    """What makes a peer that was told ``old`` know ``new``; neither is changed."""
    announce = {k: said for k, said in new.objects.items() if old.objects.get(k) != said}
    withdraw = tuple(
        old.objects[k][0]
        for k in sorted(old.objects.keys() - new.objects.keys())
        if not new.tells_in_columns(k)
    )
    announce_rows, withdraw_rows = _vms(old, new)
    for width, after in new.rows.items():
        before = old.rows[width]
        was, now = old.sets.said(before.numbers), new.sets.said(after.numbers)
        place, found = member(before.keys, after.keys)
        same = np.zeros(len(after), np.bool_)
        common = np.array([new.sets.find(old.sets.value(n)) for n in range(len(old.sets))], int)
        same[found] = common[before.numbers[place[found]]] == after.numbers[found]
        same &= ~_moved(after, after.keys, old, new)
        fresh = now & ~same
        announce_rows += announced_rows(
            after,
            after.keys[fresh],
            after.numbers[fresh],
            new.sets.attributes,
            new.row_originations,
        )
        _, found = member(after.keys[now], before.keys)
        # Under another route distinguisher it is another route.
        gone = was & (~found | _moved(before, before.keys, old, new))
        withdraw_rows += withdrawn_rows(before, before.keys[gone], old.row_originations)
    return Changes(by_attributes(announce), withdraw, announce_rows, withdraw_rows)


Rows = tuple[RowChanges, ...]


def _vms(old: AdjRibOut, new: AdjRibOut) -> tuple[Rows, Rows]:
    """Announced and withdrawn VMs of the inventory."""
    if old.vms is None or new.vms is None:
        withdrawn: Rows = ()
        if old.vms is not None:
            gone = old.sets.said(old.vms.numbers)
            withdrawn = old.vms.withdrawn(_but(gone, old.vms, new.objects))
        said = () if new.vms is None else new.whole_vms()
        return said, withdrawn
    gone, fresh = vm_difference(old.vms, old.sets, new.vms, new.sets)
    gone = _but(gone, old.vms, new.objects)
    return new.vms.announced(fresh, new.sets), old.vms.withdrawn(gone)


def _but(rows: Bools, held: ToldVms, objects: Objects) -> Bools:
    """Without those that are told one by one from now on."""
    for key in objects:
        if (row := held.find(key)) is not None:
            rows[row] = False
    return rows


def _moved(held: ToldRows, keys: Array, old: AdjRibOut, new: AdjRibOut) -> Array:
    """Which rows stand in tables whose Origination has changed."""
    before, after = old.row_originations, new.row_originations
    if before is None or after is None or before is after:
        return np.zeros(len(keys), np.bool_)
    changed = [t for t in before.keys() | after.keys() if before.get(t) != after.get(t)]
    return np.isin(held.of.number(keys), np.array(changed, np.uint32))
