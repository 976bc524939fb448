"""What peers have been told: objects, and columns of prefixes and VMs, with what was said of them.

In: what adj_rib_out.py counts as told. Out: the same again, whole or as a mapping of NLRI keys. A
copy (``frozen``) is what a peer knows that is told nothing new for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccn_bgp.learn.judging import Hits
from ccn_bgp.learn.keys import Array
from ccn_bgp.learn.out_changes import announced_rows
from ccn_bgp.learn.told_rows import NONE, ToldRows
from ccn_bgp.learn.told_sets import ToldSets
from ccn_bgp.learn.told_view import ToldView
from ccn_bgp.learn.told_vms import ToldVms
from ccn_bgp.model.bgp import Family, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.outgoing import Origination, RowChanges, type5
from ccn_bgp.model.path import EvpnPrefix, Nlri, PathAttributes, Unicast
from ccn_bgp.model.reason import Denied


class Told:
    """What one peer, or all peers of an update group, know from us. ``originations``: what goes
    with the prefixes of each table (``OutRows.table``)."""

    def __init__(self, peer: Peer, originations: Mapping[int, Origination]) -> None:
        self.peer = peer
        self.originations = originations
        self.objects: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self.sets = ToldSets()
        self.rows: dict[int, ToldRows] = {4: ToldRows(4), 16: ToldRows(16)}
        self.vms: ToldVms | None = None
        self.hits = Hits()
        self._denied: dict[bytes, Denied] = {}
        self._tables = {(o.rd, o.etag): table for table, o in self.originations.items()}

    def frozen(self) -> Told:
        """The same as it is now, for itself."""
        held = Told.__new__(Told)
        held.peer, held.originations, held._tables = self.peer, self.originations, self._tables
        held.objects, held._denied = dict(self.objects), dict(self._denied)
        held.sets, held.hits = self.sets, Hits()
        held.rows = {width: rows.frozen() for width, rows in self.rows.items()}
        held.vms = self.vms and self.vms.frozen()
        return held

    @property
    def size(self) -> int:
        """How many routes are held in any form, told or denied."""
        return len(self.objects) + sum(len(numbers) for numbers in self._all_numbers())

    def whole_vms(self) -> tuple[RowChanges, ...]:
        """All VMs that have been told in columns, once more."""
        if self.vms is None:
            return ()
        return self.vms.announced(self.sets.said(self.vms.numbers), self.sets)

    def tells_in_columns(self, key: bytes) -> bool:
        """Whether this NLRI is a VM that is told so."""
        if self.vms is None or (row := self.vms.find(key)) is None:
            return False
        return int(self.vms.numbers[row]) not in self.sets.denials

    def _announced(self, held: ToldRows, keys: Array, numbers: Array) -> tuple[Any, ...]:
        return announced_rows(held, keys, numbers, self.sets.attributes, self.row_originations)

    @property
    def row_originations(self) -> Mapping[int, Origination] | None:
        """What goes with the tables of rows; None if they are unicast and have none."""
        return self.originations if self.peer.router is None else None

    def family_of(self, held: ToldRows) -> Family:
        """Of what is told in these rows."""
        if self.peer.router is None:
            return Family.EVPN
        return Family.IPV4_UNICAST if held.width == 4 else Family.IPV6_UNICAST

    @property
    def told(self) -> ToldView[tuple[Nlri, PathAttributes]]:
        """What has been told, by NLRI key."""
        count = sum(int(self.sets.said(numbers).sum()) for numbers in self._all_numbers())
        return ToldView(self.objects, count, self._all_rows, self._find, self._told)

    @property
    def denied(self) -> ToldView[Denied]:
        """What export policy held back, by NLRI key."""
        count = sum(int((~self.sets.said(n) & (n != NONE)).sum()) for n in self._all_numbers())
        return ToldView(
            self._denied, count, self._all_rows, self._find, lambda _, n: self.sets.denials.get(n)
        )

    def _told(self, nlri: Nlri, number: int) -> tuple[Nlri, PathAttributes] | None:
        if number in self.sets.denials:
            return None
        return nlri, self.sets.attributes[number]

    def _all_numbers(self) -> Iterator[Array]:
        for held in self.rows.values():
            yield held.numbers
        if self.vms is not None:
            yield self.vms.numbers

    def _all_rows(self) -> Iterator[tuple[Nlri, int]]:
        every: tuple[Any, ...] = ()
        if self.vms is not None:
            every = self.vms.announced(self.vms.numbers != NONE, self.sets)
        for held in self.rows.values():
            every += self._announced(held, held.keys, held.numbers)
        for changes in every:
            yield from zip(changes.nlri(), changes.rows.attributes.tolist(), strict=True)

    def _find(self, key: bytes) -> tuple[Nlri, int] | None:
        prefix = Prefix(key)
        nlri: Nlri = Unicast(prefix)
        if self.vms is not None and (row := self.vms.find(key)) is not None:
            return self.vms.nlri(row), int(self.vms.numbers[row])
        if self.peer.router is None:
            prefix = Prefix(key[13:])
            table = self._tables.get(
                (RouteDistinguisher(key[1:9]), int.from_bytes(key[9:13], "big"))
            )
            if key[:1] != b"\x05" or table is None:
                return None
            nlri = type5(self.originations[table], prefix)
        width = len(prefix) - 1
        row_key = self.row_key(nlri, width) if width in self.rows else None
        number = NONE if row_key is None else self.rows[width].find(row_key)
        return None if number == NONE else (nlri, number)

    def _object(self, key: bytes) -> tuple[Nlri, PathAttributes] | None:
        """What has been told of an NLRI one by one, or of a VM in columns."""
        told = self.objects.get(key)
        if told is not None or self.vms is None or (row := self.vms.find(key)) is None:
            return told
        return self._told(self.vms.nlri(row), int(self.vms.numbers[row]))

    def row_key(self, nlri: Nlri, width: int) -> Any:
        """The key that a row of the same route would have, or None."""
        if isinstance(nlri, Unicast):
            table: int | None = 0
        elif isinstance(nlri, EvpnPrefix):
            table = self._tables.get((nlri.rd, nlri.etag))
        else:
            return None
        if table is None or len(nlri.prefix) != width + 1:
            return None
        return self.rows[width].of.one(table, nlri.prefix)
