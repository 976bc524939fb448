"""The tables of many CCSIs made at once from columns.

In: rows sorted by (table, address, length), each with the number of an Answer, and the Heads of the
tables to make. Out: the same Tables as Table.build() makes one by one from Routes. Python's share
of the work grows with tables and their different answers; what is done for each row is done in
columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.route import Answer, NextHop
from ccn_bgp.table.snapshot import I4, U1, U4, Columns, Contender, Table

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
_TABLE = np.uint64(32)
_ANSWER = np.uint64(0xFFFFFFFF)
"""Where table and answer stand in a pair of both."""
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
    used = (pairs & _ANSWER).tolist()
    named: list[_Names] = []
    columns: tuple[list[int], ...] = ([], [], [], [])
    for begin, end in pairwise(bounds):
        names, local = _named([answers[number] for number in used[begin:end]])
        named.append(names)
        for column, numbered in zip(columns, local, strict=True):
            column.extend(numbered)
    index = tuple(np.array(column, np.int32) for column in columns)
    rows4, rows6 = (f.columns(pairs, index, numbers) for f in families)
    tables = {}
    for number, names, of4, of6 in zip(numbers, named, rows4, rows6, strict=True):
        name, ident, ccn, contenders = heads[number]
        tables[name] = Table.of(
            name, ident, ccn, named=names, v4=of4, v6=of6, contenders=contenders
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
        if not len(rows.length):
            return [Columns(rows.address, rows.length, _NONE, _NONE, _NONE, _NONE_SIGNED)] * len(
                numbers
            )
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
        return [whole.cut(b, e) for b, e in pairwise(_bounds(rows.table, numbers))]


def _bounds(tables: U4 | U8, numbers: Sequence[int]) -> list[int]:
    """Where the rows of each table begin among sorted ones, and where the last ends."""
    wanted = np.array(numbers, tables.dtype)
    begins = np.searchsorted(tables, wanted).tolist()
    ends = np.searchsorted(tables, wanted, "right").tolist()
    bounds = [*begins, len(tables)]
    if bounds[0] != 0 or bounds[1:] != ends:
        raise KeyError("rows of a table that is not among those to be made")
    return bounds


def _distinct(values: U8) -> U8:
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    return ordered[fresh]


_Names = tuple[tuple[NextHop, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _named(used: Sequence[Answer]) -> tuple[_Names, tuple[list[int], ...]]:
    """The tuples of one table, and the index of each answer in each of them."""
    if not used:
        return ((), (), (), ()), ([], [], [], [])
    if len(used) == 1:
        hop, origin, peer, following = used[0]
        if following:
            return ((hop,), (origin,), (peer,), (following,)), ([0], [0], [0], [0])
        return ((hop,), (origin,), (peer,), ()), ([0], [0], [0], [-1])
    hops, of_hop = _indexed([a.next_hop for a in used])
    origins, of_origin = _indexed([a.origin for a in used])
    peers, of_peer = _indexed([a.peer for a in used])
    tables, of_table = _indexed([a.next_table for a in used])
    if not tables[0]:  # nothing sorts before the empty name
        tables, of_table = tables[1:], [place - 1 for place in of_table]
    return (hops, origins, peers, tables), (of_hop, of_origin, of_peer, of_table)


def _indexed(values: list[Any]) -> tuple[tuple[Any, ...], list[int]]:
    names = tuple(sorted(set(values)))
    if len(names) < 2:
        return names, [0] * len(values)
    place = {name: number for number, name in enumerate(names)}
    return names, [place[value] for value in values]
