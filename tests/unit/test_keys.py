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
