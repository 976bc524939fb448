"""VMs of the inventory that a peer has been told, in columns: type 2, a million at a time.

In: the VM table as the inventory gives it, and a number of what is said of each row. Out: rows to
announce and withdraw, and the row of an NLRI. The table is the inventory's own and never changed;
a VM that is told one by one from then on leaves it for good.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn.keys import I8, Array, Bools
from ccn_bgp.learn.told_rows import I4, NONE, grouped
from ccn_bgp.learn.told_sets import ToldSets
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.outgoing import (
    NOTHING,
    Classes,
    Origination,
    OutRows,
    OutVms,
    RowChanges,
    type2,
)
from ccn_bgp.model.path import Nlri
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vms import IP_OCTETS


class ToldVms:
    """``numbers``: int32, of what is said of each row of ``table``; NONE: nothing in this form.
    ``originations``: what goes with the VMs of each VNI."""

    def __init__(
        self, table: VmTable, numbers: I4, originations: Mapping[int, Origination]
    ) -> None:
        self.table = table
        self.numbers = numbers
        self.originations = originations
        self._vnis: dict[bytes, list[int]] = {}
        for vni, origination in originations.items():
            self._vnis.setdefault(bytes(origination.rd), []).append(vni)

    def frozen(self) -> ToldVms:
        """What has been told so far, for itself."""
        held = copy.copy(self)
        held.numbers = self.numbers.copy()
        return held

    def find(self, key: bytes) -> int | None:
        """The row of an NLRI key, if it is told here."""
        if key[:1] != b"\x02" or key[9:13] != bytes(4) or len(key) - 19 not in (4, 16):
            return None
        for vni in self._vnis.get(key[1:9], ()):
            row = self.table.find(vni, Ip(key[19:]))
            if (
                row is not None
                and self.numbers[row] != NONE
                and self.table.rows[row]["mac"].tobytes() == key[13:19]
            ):
                return row
        return None

    def drop(self, key: bytes) -> bool:
        """Forget one NLRI; whether it was told here."""
        row = self.find(key)
        if row is not None:
            self.numbers[row] = NONE
        return row is not None

    def nlri(self, row: int) -> Nlri:
        """The NLRI of one row."""
        vni, ip, mac, *_ = self.table[row]
        return type2(self.originations[vni], vni, mac, ip)

    def announced(self, which: Bools, sets: ToldSets) -> tuple[RowChanges, ...]:
        """These rows with what is said of them."""
        orders = self.ordered(which)
        return tuple(change for order in orders for change in self.in_order(order, sets))

    def in_order(self, order: Array, sets: ToldSets) -> tuple[RowChanges, ...]:
        """The same of rows (of both families, one after the other) in this order."""
        families = self.table.rows["family"][order]
        return tuple(
            RowChanges(self._out(some, self.numbers[some]), sets.attributes, self.originations)
            for family in IP_OCTETS
            if len(some := order[families == family])
        )

    def withdrawn(self, which: Bools) -> tuple[RowChanges, ...]:
        """These rows without anything."""
        nothing = np.full(len(self.table), NOTHING, np.int32)
        return tuple(
            RowChanges(self._out(some, nothing[some]), (), self.originations)
            for family in IP_OCTETS
            if len(some := np.flatnonzero(which & (self.table.rows["family"] == family)))
        )

    def ordered(self, which: Bools) -> list[I8]:
        """Some of the rows, by family; those of one number stand together."""
        found: list[I8] = []
        for family in IP_OCTETS:
            chosen = np.flatnonzero(which & (self.table.rows["family"] == family))
            order = grouped(self.numbers[chosen])
            found.append(chosen if order is None else chosen[order])
        return found

    def _out(self, some: Array, numbers: Array) -> OutRows:
        """Rows of one family."""
        every = self.table.rows
        width = IP_OCTETS[int(every["family"][some[0]])]
        together = len(some) == len(every) and bool((some[1:] > some[:-1]).all())
        rows = every if together else every[some]
        return OutRows(
            np.ascontiguousarray(rows["vni"]),
            np.ascontiguousarray(rows["ip"][:, :width]),
            np.full(len(rows), width * 8, np.uint8),
            numbers.astype(np.int64),
            np.ascontiguousarray(rows["mac"]),
        )


class VmDifference(NamedTuple):
    """Rows (bool[n]) of the one that are to be withdrawn, of the other to be announced."""

    gone: Bools
    fresh: Bools


def vm_difference(old: ToldVms, was: ToldSets, new: ToldVms, now: ToldSets) -> VmDifference:
    """What makes a peer that was told ``old`` know ``new``."""
    told, wanted = was.said(old.numbers), now.said(new.numbers)
    place = old.table.places(new.table)
    found = np.flatnonzero((place >= 0) & wanted)
    held = place[found]
    kept = old.originations == new.originations
    alike = [v for v in new.originations if new.originations[v] == old.originations.get(v)]
    same: Bools = told[held]
    same &= (old.table.rows["mac"][held] == new.table.rows["mac"][found]).all(axis=1)
    if not kept:
        same &= np.isin(new.table.rows["vni"][found], np.array(alike, np.uint32))
    stays = np.zeros(len(old.table), np.bool_)
    stays[held[same]] = True
    common = np.array([now.find(was.value(n)) for n in range(len(was))], np.int64)
    said_so = same.copy()
    said_so[same] = common[old.numbers[held[same]]] == new.numbers[found[same]]
    fresh = wanted.copy()
    fresh[found[said_so]] = False
    return VmDifference(told & ~stays, fresh)


def vm_kinds(vms: OutVms, classes: Classes | None) -> tuple[I8, I8]:
    """Which VMs a policy cannot tell apart: equal attributes, one VNI, addresses of one class
    (without ``classes`` none is like another). Returns int64[n], the kind of each row or NOTHING,
    and for each kind the number of its attributes."""
    rows, numbers = vms.table.rows, vms.attributes
    class_ = np.arange(len(rows), dtype=np.int64)
    if classes is not None:
        for version, width in ((4, 4), (6, 16)):
            mine = np.flatnonzero(rows["family"] == version)
            address = np.ascontiguousarray(rows["ip"][mine, :width])
            class_[mine] = classes(address, np.full(len(mine), width * 8, np.uint8))
    said = np.flatnonzero(numbers >= 0)
    keys = np.stack((numbers[said], rows["vni"][said].astype(np.int64), class_[said]))
    known, which = np.unique(keys, axis=1, return_inverse=True)
    kinds = np.full(len(rows), NOTHING, np.int64)
    kinds[said] = which.reshape(-1)
    return kinds, known[0]
