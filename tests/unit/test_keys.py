"""Columns of keys: rows that are taken out of them."""

from __future__ import annotations

import numpy as np
import pytest

from ccn_bgp.learn import keys as keyed


@pytest.mark.parametrize(
    "rows",
    [[], [3], [1, 2, 3], [0, 2, 2], [0, 0, 2], [2, 1], [0, 2, 1, 3], [-1, 0, 1], [0, 5]],
)
def test_rows_taken_are_those_that_were_named(rows: list[int]) -> None:
    column, at = np.arange(10, 17), np.array(rows, np.int64)
    assert keyed.taken(column, at).tolist() == [column[row] for row in rows]


def test_rows_that_stand_together_are_not_copied() -> None:
    column = np.arange(10, 17)
    assert np.shares_memory(keyed.taken(column, np.arange(2, 5)), column)


@pytest.mark.parametrize("length", [0, 1, 40, 4000])
@pytest.mark.parametrize("places", [1, 7, keyed.PIECES, 2 * keyed.PIECES])
def test_splice_puts_values_where_insert_does(length: int, places: int) -> None:
    draw = np.random.default_rng(length + places)
    column = draw.integers(0, 1000, length)
    where = draw.integers(0, length + 1, places)
    at = np.sort(np.repeat(where, draw.integers(1, 4, places)))
    values = draw.integers(1000, 2000, len(at))
    insert = keyed.Splice(length, at, len(at))
    assert insert(column, values).tolist() == np.insert(column, at, values).tolist()
    assert insert(column, 5).tolist() == np.insert(column, at, 5).tolist()


def test_splice_without_places_puts_values_behind() -> None:
    insert = keyed.Splice(2, None, 3)
    assert insert(np.array([b"b", b"a"]), np.array([b"d", b"c", b"c"])).tolist() == [
        b"b", b"a", b"d", b"c", b"c",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_columns_of_few_keys_do_not_keep_all_keys_alive(width: int, count: int) -> None:
    """A table keeps them as they are; the keys are of all tables, and made anew at every change."""
    of = keyed.OF_WIDTH[width]
    address = np.arange(50 * width, dtype=np.uint8).reshape(-1, width)
    every = of.make(np.arange(50), address, np.full(50, 8 * width, np.uint8))
    some = keyed.taken(every, np.arange(7, 7 + count))
    for column in (of.address(some), of.length(some), of.number(some)):
        assert len(column) == count
        assert not np.shares_memory(column, every)
        assert column.base is None or column.base.nbytes <= 64 * count
