"""The tables of many CCSIs made at once from columns.

In: rows sorted by (table, address, length), each with the number of an Answer, and the Heads of the
tables to make. Out: the same Tables as Table.build() makes one by one from Routes. Python's share
of the work grows with tables and their different answers; what is done for each row is done in
columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.route import Answer
from ccn_bgp.table.snapshot import I4, U1, U4, Columns, Contender, Table, hop_octets

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
Number = TypeVar("Number", np.int64, np.uint64)
_TABLE = np.uint64(32)
_ANSWER = np.uint64(0xFFFFFFFF)
"""Where table and answer stand in a pair of both."""
_TABLE_PLACE = 32
_NONE: U4 = np.zeros(0, np.uint32)
_NONE_SIGNED: I4 = np.zeros(0, np.int32)


class Head(NamedTuple):
    """What a Table is beside its rows."""

    name: str
    id: int
    ccn: str
    contenders: tuple[Contender, ...] = ()


class TableRows(NamedTuple):
    """Rows of one family in many tables, sorted by (table, address, length), each key once.

    ``table``: uint32[n], the id of the CCSI. ``address``: uint8[n, 4 or 16], network order.
    ``length``: uint8[n]. ``answer``: uint32[n], an index into the answers.
    """

    table: U4
    address: U1
    length: U1
    answer: U4


def no_rows(width: int) -> TableRows:
    """No rows of the family whose addresses have ``width`` octets."""
    none = np.zeros(0, np.uint32)
    return TableRows(none, np.zeros((0, width), np.uint8), np.zeros(0, np.uint8), none)


def build_tables(
    heads: Mapping[int, Head], v4: TableRows, v6: TableRows, answers: Sequence[Answer]
) -> dict[str, Table]:
    """A Table for each Head (by CCSI id), by name in the order of the ids, empty where there are no
    rows. KeyError: rows of a table that has no Head."""
    numbers = sorted(heads)
    families = _Runs.of(v4), _Runs.of(v6)
    pairs = _distinct(np.concatenate([f.pairs for f in families]))
    bounds = _bounds(pairs >> _TABLE, numbers)
    place = np.repeat(np.arange(len(numbers)), np.diff(bounds))
    used = pairs & _ANSWER
    asked = _distinct(used)
    of_asked = np.searchsorted(asked, used)
    chosen = [answers[number] for number in asked.tolist()]
    told: tuple[list[Any], ...] = (
        [answer.next_hop for answer in chosen],
        [answer.origin for answer in chosen],
        [answer.peer for answer in chosen],
        [answer.next_table or None for answer in chosen],
    )
    named = [_Named.of(values, of_asked, place, len(numbers)) for values in told]
    index = [names.number for names in named]
    rows4, rows6 = (f.columns(pairs, index, numbers) for f in families)
    hops = named[0].cut([hop_octets(hop) for hop in named[0].values])
    tuples: Iterator[Any] = zip(*(names.cut(names.values) for names in named), strict=True)
    tables = {}
    for number, names, of4, of6, of_hops in zip(numbers, tuples, rows4, rows6, hops, strict=True):
        name, ident, ccn, contenders = heads[number]
        tables[name] = Table.of(
            name, ident, ccn, named=names, v4=of4, v6=of6, contenders=contenders, hops=of_hops
        )
    return tables


class _Runs(NamedTuple):
    """One family's rows, and where its runs of rows of one table and answer begin."""

    rows: TableRows
    first: I8
    pairs: U8

    @classmethod
    def of(cls, rows: TableRows) -> _Runs:
        pairs = rows.table.astype(np.uint64) << _TABLE | rows.answer
        fresh = np.ones(len(pairs), np.bool_)
        np.not_equal(pairs[1:], pairs[:-1], out=fresh[1:])
        first = np.flatnonzero(fresh)
        return cls(rows, first, pairs[first])

    def columns(self, pairs: U8, index: Sequence[I4], numbers: Sequence[int]) -> list[Columns]:
        """Of each table of ``numbers``; ``index`` has the columns' values for each of ``pairs``."""
        rows = self.rows
        none = Columns(rows.address[:0], rows.length[:0], _NONE, _NONE, _NONE, _NONE_SIGNED)
        if not len(rows.length):
            return [none] * len(numbers)
        place = np.searchsorted(pairs, self.pairs)
        count = np.diff(self.first, append=len(rows.length))
        next_hop, origin, peer, next_table = (np.repeat(i[place], count) for i in index)
        whole = Columns(
            rows.address,
            rows.length,
            next_hop.view(np.uint32),
            origin.view(np.uint32),
            peer.view(np.uint32),
            next_table,
        )
        bounds = pairwise(_bounds(rows.table, numbers))
        return [whole.cut(begin, end) if begin < end else none for begin, end in bounds]


def _bounds(tables: U4 | U8, numbers: Sequence[int]) -> list[int]:
    """Where the rows of each table begin among sorted ones, and where the last ends."""
    wanted = np.array(numbers, tables.dtype)
    begins = np.searchsorted(tables, wanted).tolist()
    ends = np.searchsorted(tables, wanted, "right").tolist()
    bounds = [*begins, len(tables)]
    if bounds[0] != 0 or bounds[1:] != ends:
        raise KeyError("rows of a table that is not among those to be made")
    return bounds


def _distinct(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    return ordered[fresh]


class _Named(NamedTuple):
    """What the tables name in one of their tuples, those of all tables behind one another.

    ``values`` are all different ones, sorted. ``places``: int64, indexes into them, ascending in
    each table; ``bounds``: where those of each table begin, and where the last ends. ``number``:
    int32, the place of each (table, answer) in the tuple of its table, -1 where nothing is named.
    """

    values: list[Any]
    places: list[int]
    bounds: list[int]
    number: I4

    @classmethod
    def of(cls, told: Sequence[Any], answer: I8, table: I8, tables: int) -> _Named:
        """``told``: what each answer names, or None; ``answer``, ``table``: an index each of all
        pairs."""
        values = sorted(set(told) - {None})
        rank = {value: number for number, value in enumerate(values)}
        ranks = np.array([rank.get(value, -1) for value in told], np.int64)[answer]
        keys = table << _TABLE_PLACE | ranks
        named = ranks >= 0
        held = _distinct(keys[named])
        bounds = np.searchsorted(held, np.arange(tables + 1) << _TABLE_PLACE)
        number = np.where(named, np.searchsorted(held, keys) - bounds[table], -1)
        places = held & ((1 << _TABLE_PLACE) - 1)
        return cls(values, places.tolist(), bounds.tolist(), number.astype(np.int32))

    def cut(self, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The tuple of each table, of these values in the place of ``values``."""
        held = [values[place] for place in self.places]
        return [tuple(held[begin:end]) for begin, end in pairwise(self.bounds)]
