"""What rows of candidates mean for peers: type 5 for gateways, routes of a CCSI for its routers.

In: keys whose winner may have changed. Out: OutRows with the numbers of attribute sets, and the
same exports as values for who asks for one. What was decided one by one is told one by one
(rib.py), and is nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, overload

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.exports import Export
from ccn_bgp.learn.keys import I8, WIDTHS, Array
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import NO_ESI
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.outgoing import NOTHING, OutRows
from ccn_bgp.model.path import EvpnPrefix, PathAttributes

_TERMS = np.uint64(32)
Reoriginated = Callable[[Ccsi, PathAttributes], PathAttributes]


class Sets(Sequence[PathAttributes]):
    """What numbers of attributes stand for, made when they are asked for: there may be nobody to
    tell. To be read before the Rib settles again."""

    def __init__(self, exports: RowExports) -> None:
        self._of = exports
        self._pairs: list[int] = []

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, pairs: Array) -> int:
        """More of them, each a table (0 for what is not re-originated) << 32 | terms; returns the
        number of the first."""
        first = len(self._pairs)
        self._pairs += pairs.tolist()
        return first

    @overload
    def __getitem__(self, number: int) -> PathAttributes: ...
    @overload
    def __getitem__(self, number: slice) -> list[PathAttributes]: ...
    def __getitem__(self, number: int | slice) -> PathAttributes | list[PathAttributes]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        pair = self._pairs[number]
        attributes = self._of.book.terms[pair & 0xFFFFFFFF].attributes
        if not pair >> 32:
            return attributes
        return self._of.reoriginated(self._of.tables[pair >> 32].ccsi, attributes)


class Told(NamedTuple):
    """``sets``: what numbers of attributes stand for. ``exports``: of all tables. ``routes``: of
    tables that have routers; sorted by table."""

    sets: Sets
    exports: list[OutRows]
    routes: list[OutRows]


class RowExports:
    """Remembers which keys peers have not been told of yet."""

    def __init__(
        self,
        rows: Mapping[int, CandidateRows],
        book: TermsBook,
        tables: Mapping[int, LocRib],
        reoriginated: Reoriginated,
    ) -> None:
        self.rows = rows
        self.book = book
        self.tables = tables
        self.reoriginated = reoriginated
        self._exports: dict[int, list[Array]] = {width: [] for width in WIDTHS}
        self._routes: dict[int, list[Array]] = {width: [] for width in WIDTHS}

    def note(self, width: int, keys: Array, of_idc: Array) -> None:
        """Winners of these keys are other than before; ``of_idc`` (bool[n]): before or now a data
        centre's, which gateways are to hear."""
        if of_idc.any():
            self._exports[width].append(keys[of_idc])
        if len(with_routers := self._with_routers):
            mine = keyed.member(with_routers, self.rows[width].keys.number(keys))[1]
            if mine.any():
                self._routes[width].append(keys[mine])

    def take(self) -> Told:
        """All that was noted since the last call, as it is now."""
        told = Told(Sets(self), [], [])
        for width in WIDTHS:
            for noted, add in (
                (self._exports[width], self._add_exports),
                (self._routes[width], self._add_routes),
            ):
                if noted:
                    keys = keyed.distinct(np.sort(np.concatenate(noted)))
                    noted.clear()
                    add(told, width, keys, self.rows[width].winners(keys))
        return told

    def whole(self) -> Told:
        """Everything there is to tell."""
        told = Told(Sets(self), [], [])
        with_routers = self._with_routers
        for width, rows in self.rows.items():
            chosen = np.flatnonzero(rows.best)
            keys, terms = rows.key[chosen], rows.terms[chosen].astype(np.int64)
            ours = self.book.of_idc[terms]
            self._add_exports(told, width, keys[ours], terms[ours])
            mine = keyed.member(with_routers, rows.keys.number(keys))[1]
            self._add_routes(told, width, keys[mine], terms[mine])
        return told

    @cached_property
    def _with_routers(self) -> Array:
        ids = sorted(table.ccsi.id for table in self.tables.values() if table.ccsi.routers)
        return np.array(ids, np.uint32)

    def _add_exports(self, told: Told, width: int, keys: Array, terms: I8) -> None:
        if not len(keys):
            return
        table = self.rows[width].keys.number(keys)
        said = terms >= 0
        said[said] = self.book.of_idc[terms[said]]
        pairs = table[said].astype(np.uint64) << _TERMS | terms[said].astype(np.uint64)
        known, inverse = np.unique(pairs, return_inverse=True)
        numbers = np.full(len(keys), NOTHING, np.int64)
        numbers[said] = inverse + told.sets.add(known)
        told.exports.append(self._out(width, keys, numbers))

    def _add_routes(self, told: Told, width: int, keys: Array, terms: I8) -> None:
        if not len(keys):
            return
        said = terms >= 0
        known, inverse = np.unique(terms[said], return_inverse=True)
        numbers = np.full(len(keys), NOTHING, np.int64)
        numbers[said] = inverse + told.sets.add(known)
        told.routes.append(self._out(width, keys, numbers))

    def _out(self, width: int, keys: Array, numbers: I8) -> OutRows:
        of = self.rows[width].keys
        return OutRows(of.number(keys), of.address(keys), of.length(keys), numbers)

    # -- one at a time ------------------------------------------------------------------------

    def export(self, key: bytes) -> Export | None:
        """The export with this NLRI key."""
        if key[:1] != b"\x05" or len(key) not in (18, 30):
            return None
        prefix = Prefix(key[13:])
        table = self._by_rd.get(key[1:9])
        if table is not None:
            winner = self.rows[keyed.of(prefix)].winners(table.keys(prefix))
            if winner[0] >= 0 and self.book.of_idc[winner[0]]:
                return self._value(table, prefix, int(winner[0]))
        return None

    @cached_property
    def _by_rd(self) -> dict[bytes, LocRib]:
        """A table by its route distinguisher, which is made of its id."""
        return {bytes(table.ccsi.rd): table for table in self.tables.values()}

    def exports(self) -> Iterator[Export]:
        """All, by table and prefix."""
        for rows in self.rows.values():
            chosen = np.flatnonzero(rows.best)
            chosen = chosen[self.book.of_idc[rows.terms[chosen]]]
            keys, numbers = rows.key[chosen], rows.terms[chosen].tolist()
            tables: Sequence[int] = rows.keys.number(keys).tolist()
            for table, prefix, number in zip(
                tables, rows.keys.prefixes(keys), numbers, strict=True
            ):
                yield self._value(self.tables[table], prefix, number)

    def exports_count(self) -> int:
        """How many there are."""
        of_idc = self.book.of_idc
        return sum(int(of_idc[r.terms[r.best]].sum()) for r in self.rows.values())

    def _value(self, table: LocRib, prefix: Prefix, terms: int) -> Export:
        ccsi = table.ccsi
        nlri = EvpnPrefix(ccsi.rd, NO_ESI, 0, prefix, None, ccsi.vni)
        return nlri, self.reoriginated(ccsi, self.book.terms[terms].attributes)
