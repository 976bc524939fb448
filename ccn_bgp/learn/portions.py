"""Much that is to be said, in portions: what is made of it at once is bounded, however much it is.

In: what peers know (told.py), or Changes. Out: Changes of some thousand routes, each made when it
is asked for.
"""

from __future__ import annotations

import numpy as np

from ccn_bgp.learn.keys import Array
from ccn_bgp.learn.out_changes import Changes, by_attributes, ordered_rows
from ccn_bgp.learn.told import Told
from ccn_bgp.learn.told_rows import I4, NONE, ToldRows, grouped
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.outgoing import RowChanges

PORTION = 1 << 14
"""Routes of a portion: of EVPN, about half a megabyte."""
_OBJECTS, _VMS = 0, 1
"""Forms in which routes are told beside rows, whose form is their width."""


class Whole:
    """All that ``told`` says in some families; ``told`` must not change meanwhile. Within a form,
    routes with equal attributes stand together: ``_orders`` has of each form which, if not all as
    they stand."""

    def __init__(self, told: Told, families: frozenset[Family]) -> None:
        self.told = told
        self._objects = sorted(k for k, (n, _) in told.objects.items() if n.family in families)
        self._orders: dict[int, I4 | None] = {}
        self._parts: list[tuple[int, int, int]] = []
        self._cut(_OBJECTS, len(self._objects))
        if told.vms is not None and Family.EVPN in families:
            orders = told.vms.ordered(told.sets.said(told.vms.numbers))
            order = np.concatenate(orders).astype(np.int32)
            self._orders[_VMS] = order
            self._cut(_VMS, len(order))
        for width, held in told.rows.items():
            if told.family_of(held) in families:
                rows = _in_order(told, held)
                self._orders[width] = rows
                self._cut(width, len(held) if rows is None else len(rows))

    def _cut(self, form: int, count: int) -> None:
        for begin in range(0, count, PORTION):
            self._parts.append((form, begin, min(begin + PORTION, count)))

    def __len__(self) -> int:
        return len(self._parts)

    def left(self, number: int) -> int:
        """How many routes the portions from this one on have."""
        return sum(end - begin for _, begin, end in self._parts[number:])

    def portion(self, number: int) -> Changes:
        """One portion of the announcements."""
        told = self.told
        form, begin, end = self._parts[number]
        if form == _OBJECTS:
            keys = self._objects[begin:end]
            return Changes(by_attributes({key: told.objects[key] for key in keys}))
        order = self._orders[form]
        which = slice(begin, end) if order is None else order[begin:end]
        if form == _VMS:
            assert told.vms is not None and not isinstance(which, slice)
            return Changes((), (), told.vms.in_order(which, told.sets))
        held = told.rows[form]
        rows = held.keys[which], held.numbers[which]
        said = ordered_rows(held, *rows, told.sets.attributes, told.row_originations)
        return Changes((), (), said)

    def so_far(self, number: int) -> Told:
        """What who has heard only the portions before this one knows."""
        knows = self.told.frozen()
        unsaid: dict[int, list[Array]] = {}
        for form, begin, end in self._parts[number:]:
            if form == _OBJECTS:
                for key in self._objects[begin:end]:
                    del knows.objects[key]
            else:
                order = self._orders[form]
                which = np.arange(begin, end) if order is None else order[begin:end]
                unsaid.setdefault(form, []).append(which)
        for form, parts in unsaid.items():
            if form != _VMS:
                knows.rows[form].forget(np.concatenate(parts))
            elif knows.vms is not None:
                knows.vms.numbers[np.concatenate(parts)] = NONE
        return knows


def _in_order(told: Told, held: ToldRows) -> I4 | None:
    """The rows that are said, those of one number together; None if they all stand so."""
    said = told.sets.said(held.numbers)
    index = None if said.all() else np.flatnonzero(said).astype(np.int32)
    order = grouped(held.numbers if index is None else held.numbers[index])
    if order is None:
        return index
    return order.astype(np.int32) if index is None else index[order]


class Parts:
    """Changes in portions; all withdrawals before all announcements, as they stand."""

    def __init__(self, changes: Changes) -> None:
        self._parts: list[Changes] = []
        for begin in range(0, len(changes.withdraw), PORTION):
            self._parts.append(Changes((), changes.withdraw[begin : begin + PORTION]))
        for rows in changes.withdraw_rows:
            self._parts += [Changes((), (), (), (part,)) for part in _parts(rows)]
        for rows in changes.announce_rows:
            self._parts += [Changes((), (), (part,)) for part in _parts(rows)]
        begin = size = 0
        for number, (_, nlris) in enumerate(changes.announce, 1):
            size += len(nlris)
            if size >= PORTION or number == len(changes.announce):
                self._parts.append(Changes(changes.announce[begin:number]))
                begin, size = number, 0

    def __len__(self) -> int:
        return len(self._parts)

    def portion(self, number: int) -> Changes:
        """One portion."""
        return self._parts[number]


def _parts(whole: RowChanges) -> list[RowChanges]:
    """Slices, which are views."""
    return [
        RowChanges(whole.rows.part(slice(begin, begin + PORTION)), whole.sets, whole.originations)
        for begin in range(0, len(whole.rows), PORTION)
    ]
