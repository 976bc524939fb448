"""What makes a peer that was told one thing know another.

In: two states of what peers know (told.py), perhaps of different update groups. Out: Changes.
"""

from __future__ import annotations

import numpy as np

from ccn_bgp.learn.keys import Array, Bools, member
from ccn_bgp.learn.out_changes import (
    Changes,
    Objects,
    announced_rows,
    by_attributes,
    withdrawn_rows,
)
from ccn_bgp.learn.told import Told
from ccn_bgp.learn.told_rows import ToldRows
from ccn_bgp.learn.told_vms import ToldVms, vm_difference
from ccn_bgp.model.outgoing import RowChanges


def difference(old: Told, new: Told) -> Changes:
    """What makes a peer that was told ``old`` know ``new``; neither is changed."""
    known, now_known = old.told, new.told
    announce = {k: said for k, said in new.objects.items() if known.get(k) != said}
    gone_objects = sorted(old.objects.keys() - new.objects.keys())
    withdraw = tuple(old.objects[k][0] for k in gone_objects if k not in now_known)
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
        moved = _moved(before, before.keys, old, new)
        gone = was & (~found & ~_one_by_one(before, new) | moved)
        withdraw_rows += withdrawn_rows(before, before.keys[gone], old.row_originations)
    return Changes(by_attributes(announce), withdraw, announce_rows, withdraw_rows)


Rows = tuple[RowChanges, ...]


def _vms(old: Told, new: Told) -> tuple[Rows, Rows]:
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


def _one_by_one(held: ToldRows, new: Told) -> Bools:
    """Which rows are told one by one from now on: that replaces them."""
    keys = (new.row_key(nlri, held.width) for nlri, _ in new.objects.values())
    return member(held.of.many(key for key in keys if key is not None), held.keys)[1]


def _moved(held: ToldRows, keys: Array, old: Told, new: Told) -> Array:
    """Which rows stand in tables whose Origination has changed."""
    before, after = old.row_originations, new.row_originations
    if before is None or after is None or before is after:
        return np.zeros(len(keys), np.bool_)
    changed = [t for t in before.keys() | after.keys() if before.get(t) != after.get(t)]
    return np.isin(held.of.number(keys), np.array(changed, np.uint32))
