"""Candidates of many prefixes that come and go at once, against a plain dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidates import CandidateRows, slots
from ccn_bgp.learn.keys import OF_WIDTH, U8, Array
from ccn_bgp.learn.multipath import Limits

Held = dict[tuple[object, int], int]


def columns(width: int, chosen: list[tuple[int, int, int]]) -> tuple[Array, U8]:
    """Keys and slots of (table, prefix, peer), ascending by key."""
    table, prefix, peer = np.array(chosen, np.int64).reshape(-1, 3).T
    address = np.zeros((len(table), width), np.uint8)
    address[:, 0], address[:, 1] = prefix >> 8, prefix & 255
    keys = OF_WIDTH[width].make(table, address, np.full(len(table), 24, np.uint8))
    order = np.argsort(keys, kind="stable")
    return keys[order], slots(peer[order], np.zeros(len(table), np.uint32))


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("several", [1, 4])
@pytest.mark.parametrize("most", [3, 40, 1500])
def test_changes_are_those_of_a_dictionary(width: int, several: int, most: int) -> None:
    draw = np.random.default_rng(width + several + most)
    rows, held = CandidateRows(width, Limits({7: several})), Held()
    for round_ in range(12):
        everything = np.unique(
            np.stack([draw.integers(0, n, 2 * most) for n in (3, max(most // 2, 1), 4)], 1), axis=0
        )
        if round_ % 4 == 0:  # behind all that there are
            everything[:, 0] += 10 * (round_ + 1)
        some = [tuple(row) for row in draw.permutation(everything).tolist()]
        count = int(draw.integers(0, most))
        gone = columns(width, [*some[:count], *(row for row in some[-3:] if round_ % 2)])
        put = columns(width, [*some[count:], *some[: count // 4]])
        terms = draw.integers(0, 100, len(put[0])).astype(np.uint32)
        rows.change(gone, (*put, terms))
        for key in zip(gone[0].tolist(), gone[1].tolist(), strict=True):
            held.pop(key, None)
        for key, slot, number in zip(*(c.tolist() for c in (*put, terms)), strict=True):
            held[key, slot] = number
        found = zip(rows.key.tolist(), rows.slot.tolist(), strict=True)
        assert dict(zip(found, rows.terms.tolist(), strict=True)) == held
        assert len(rows) == len(held) == len(rows.best)
        assert bool((rows.key[1:] >= rows.key[:-1]).all())
        for column in (rows.sharing, rows.group):
            assert (column is None) is (several == 1)
            assert column is None or len(column) == len(held)


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("few", [0, 1024])
def test_ranges_are_where_the_keys_stand(
    width: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all keys between two of them, of some, and of one said twice."""
    monkeypatch.setattr(keyed, "FEW", few)
    draw = np.random.default_rng(width + few)
    for round_ in range(200):
        held = [(1, n, p) for n in range(12) for p in range(draw.integers(1, 2 + round_ % 4))]
        rows = CandidateRows(width)
        key, slot = columns(width, [row for row in held if draw.random() < 0.8])
        if not len(key):
            continue
        rows.change((key[:0], slot[:0]), (key, slot, np.zeros(len(key), np.uint32)))
        first, last = np.sort(draw.integers(0, len(key), 2))
        wanted = key[first : last + 1]
        if round_ % 3:
            wanted = np.unique(wanted)
        elif round_ % 2:
            wanted = np.sort(np.concatenate((wanted[draw.random(len(wanted)) < 0.6], wanted[:1])))
        begin, behind = rows.ranges(wanted)
        every = key.tolist()
        assert begin.tolist() == [every.index(k) for k in wanted.tolist()]
        assert (behind - begin).tolist() == [every.count(k) for k in wanted.tolist()]
