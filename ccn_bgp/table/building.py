"""The tables of many CCSIs made at once from columns.

In: rows sorted by (table, address, length), each with the number of an Answer, and the Heads of the
tables to make. Out: the same Tables as Table.build() makes one by one from Routes, in one Block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.route import Answer
from ccn_bgp.table.tables import I8, U1, U4, Block, BlockRows, Head, Table

U8 = npt.NDArray[np.uint64]
Number = TypeVar("Number", np.int64, np.uint64)
_TABLE = np.uint64(32)
_ANSWER = np.uint64(0xFFFFFFFF)
"""Where table and answer stand in a pair of both."""


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
    rows. The rows are kept, not copied. KeyError: rows of a table that has no Head."""
    numbers = sorted(heads)
    families = _Runs.of(v4), _Runs.of(v6)
    pairs = _distinct(np.concatenate([f.pairs for f in families]))
    block = Block(
        [heads[number] for number in numbers],
        [answers[number] for number in (pairs & _ANSWER).tolist()],
        _bounds(pairs >> _TABLE, numbers),
        *(f.rows_of(pairs, numbers) for f in families),
    )
    return {table.name: table for table in block.tables()}


class _Runs(NamedTuple):
    """One family's rows, and where its runs of rows of one table and answer begin."""

    rows: TableRows
    first: I8
    pairs: U8

    @classmethod
    def of(cls, rows: TableRows) -> _Runs:
        fresh = np.ones(len(rows.table), np.bool_)
        np.not_equal(rows.answer[1:], rows.answer[:-1], out=fresh[1:])
        fresh[1:] |= rows.table[1:] != rows.table[:-1]
        first = np.flatnonzero(fresh)
        pairs = rows.table[first].astype(np.uint64) << _TABLE | rows.answer[first]
        return cls(rows, first, pairs)

    def rows_of(self, pairs: U8, numbers: Sequence[int]) -> BlockRows:
        """In a block whose answers are those of ``pairs`` and whose tables ``numbers`` are."""
        rows = self.rows
        count = np.diff(self.first, append=len(rows.length))
        answer = np.repeat(np.searchsorted(pairs, self.pairs).astype(np.uint32), count)
        return BlockRows(rows.address, rows.length, answer, _bounds(rows.table, numbers))


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
