"""Searches that see a run of keys at a glance find what a plain search finds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.keys import OF_WIDTH, WIDTHS, Array

NUMBERS = st.integers(0, 6)
HELD = st.lists(NUMBERS, max_size=12).map(sorted)
RUNS = st.tuples(NUMBERS, NUMBERS).map(lambda ends: list(range(*sorted(ends))))
WANTED = st.one_of(st.lists(NUMBERS, max_size=5), RUNS)


def column(width: int, numbers: list[int]) -> Array:
    """Keys in the order of their numbers."""
    address = np.zeros((len(numbers), width), np.uint8)
    address[:, -1] = numbers
    length = np.full(len(numbers), width * 8, np.uint8)
    return OF_WIDTH[width].make(np.array([7]), address, length)


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=300)
@given(HELD, WANTED)
def test_member(width: int, held: list[int], wanted: list[int]) -> None:
    held = sorted(set(held))
    with patch.object(keyed, "FEW", 1):
        place, found = keyed.member(column(width, held), column(width, wanted))
    assert place.tolist() == [bisect_left(held, w) for w in wanted]
    assert found.tolist() == [w in held for w in wanted]


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=300)
@given(HELD, WANTED)
def test_ranges(width: int, held: list[int], wanted: list[int]) -> None:
    rows = CandidateRows(width)
    rows.key = column(width, held)
    with patch.object(keyed, "FEW", 1):
        first, behind = rows.ranges(column(width, wanted))
    assert first.tolist() == [bisect_left(held, w) for w in wanted]
    assert behind.tolist() == [bisect_right(held, w) for w in wanted]
