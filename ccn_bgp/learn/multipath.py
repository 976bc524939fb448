"""Prefixes that several paths share, thousands at a time: who shares, and the Answers they make.

In: rows of candidates.py in the order of the numbered steps, or with the marks that this made. Out:
the rows that share a prefix with its best one, and numbers of Answers whose next hop is a group.
``equals`` and ``spread`` of bestpath.py are the definition; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.keys import I8, U4, U8, Array, Bools
from ccn_bgp.learn.terms import TermsBook

_EXTERNAL = np.uint64(63)
"""Where ``TermsBook.after`` keeps step 7."""


class Rows(Protocol):
    """What is read of CandidateRows."""

    key: Array
    terms: U4
    sharing: Bools | None
    group: U4 | None

    def chosen(self, keys: Array) -> I8:
        """The row that fills each key, -1 where none does."""

    def behind_all(self, keys: Array) -> bool:
        """Whether these keys rise, and stand behind all that there are."""


class Limits:
    """How many next hops may share a prefix, by the id of the table; 1 where nothing is said."""

    def __init__(self, limits: Mapping[int, int]) -> None:
        several = sorted((table, limit) for table, limit in limits.items() if limit > 1)
        self._table: U4 = np.array([table for table, _ in several], np.uint32)
        self._limit: I8 = np.array([limit for _, limit in several], np.int64)

    def __bool__(self) -> bool:
        return len(self._table) > 0

    def of(self, tables: U4) -> I8:
        """The limit of each table."""
        place, found = keyed.member(self._table, tables)
        limit = np.ones(len(tables), np.int64)
        limit[found] = self._limit[place[found]]
        return limit


def sharers(group: I8, after: U8, terms: U4, limit: I8, book: TermsBook) -> I8:
    """Of candidates left after step 6, sorted by prefix and the steps from 7 on: which of them (but
    the first of each prefix, which is its best) share it. ``group``: the prefix of each; ``limit``:
    of each; ``after``: its steps from 7 on; all of length n. Returns places among the n, ascending.
    """
    asked = np.flatnonzero(limit > 1)
    if not len(asked):
        return asked
    best = _first_of_run(group[asked])
    external = after[asked] >> _EXTERNAL
    left = asked[external == external[best]]
    pairs = group[left].astype(np.uint64) << np.uint64(32) | book.hop_numbers(terms[left])
    _, first = np.unique(pairs, return_index=True)  # the first of each next hop
    left = left[np.sort(first)]
    nth = np.arange(len(left)) - _first_of_run(group[left])
    found: I8 = left[(nth > 0) & (nth < limit[left])]
    return found


def regroup(rows: Rows, book: TermsBook, chosen: I8) -> None:
    """Note where the prefixes of these best rows (ascending) lead that others share."""
    at, others = _shared(rows, chosen)
    if rows.group is not None and len(at):
        rows.group[chosen[np.unique(at)]] = _grouped(rows, book, chosen, at, others) + 1


def answers(rows: Rows, book: TermsBook, chosen: I8) -> U4:
    """The number of the Answer of each row that fills its prefix."""
    found = book.answer_numbers[keyed.taken(rows.terms, chosen)]
    if rows.group is not None:
        group = rows.group[chosen]
        found = np.where(group > 0, group - np.uint32(1), found)
    return found


class Standing(NamedTuple):
    """What fills some keys, to be compared with what fills them later: ``winner``, the Terms of the
    best, -1 for none; ``group``, the ``group`` of its row. Both int64[n]; where no table lets paths
    share, ``group`` is ``winner``."""

    winner: I8
    group: I8

    @classmethod
    def of(cls, rows: Rows, keys: Array) -> Standing:
        """What fills these keys."""
        if rows.behind_all(keys):
            none = np.broadcast_to(np.int64(-1), len(keys))
            return cls(none, none if rows.group is None else np.zeros(len(keys), np.int64))
        return cls.of_rows(rows, rows.chosen(keys))

    @classmethod
    def of_rows(cls, rows: Rows, chosen: I8) -> Standing:
        """The same of the rows that fill them, -1 for none."""
        there = chosen >= 0
        if rows.group is None and there.all():
            every = keyed.taken(rows.terms, chosen).astype(np.int64)
            return cls(every, every)
        winner = np.full(len(chosen), -1, np.int64)
        winner[there] = rows.terms[chosen[there]]
        if rows.group is None:
            return cls(winner, winner)
        group = np.zeros(len(chosen), np.int64)
        group[there] = rows.group[chosen[there]]
        return cls(winner, group)

    def take(self, which: Bools | slice) -> Standing:
        """Of some of the keys."""
        winner = self.winner[which]
        return Standing(winner, winner if self.group is self.winner else self.group[which])

    def differs(self, other: Standing) -> Bools:
        """Where it is not the same."""
        found: Bools = self.winner != other.winner
        if self.group is not self.winner:
            found |= self.group != other.group
        return found


def _shared(rows: Rows, chosen: I8) -> tuple[I8, I8]:
    """(place among the chosen, row) of each row that shares a prefix with a chosen one."""
    none = np.zeros(0, np.int64)
    if rows.sharing is None or not len(chosen):
        return none, none
    ends = rows.key[chosen[[0, -1]]]
    begin = int(np.searchsorted(rows.key, ends[0]))
    end = int(np.searchsorted(rows.key, ends[1], side="right"))
    others = begin + np.flatnonzero(rows.sharing[begin:end])
    if not len(others):
        return none, none
    at, held = keyed.member(rows.key[chosen], rows.key[others])
    return at[held], others[held]


def _grouped(rows: Rows, book: TermsBook, chosen: I8, at: I8, others: I8) -> I8:
    """The Answer of each prefix that occurs in ``at``. Prefixes with the same offers have the same:
    each is made once."""
    several, group = np.unique(at, return_inverse=True)
    best = rows.terms[chosen[several]]
    offered, offer = book.offers(np.concatenate((best, rows.terms[others])))
    mine, rest = offer[: len(several)], offer[len(several) :]
    order = np.lexsort((rest, group))
    rest, group = rest[order], group[order]
    nth = np.arange(len(rest)) - _first_of_run(group)
    code = mine.astype(np.int64)
    columns = [code]
    for place in range(int(nth.max()) + 1):
        column = np.full(len(several), -1, np.int64)
        column[group[nth == place]] = rest[nth == place]
        columns.append(column)
        code = np.unique(code * (len(offered) + 1) + column + 1, return_inverse=True)[1]
    _, first, kind = np.unique(code, return_index=True, return_inverse=True)
    numbers = [
        book.shared(tuple(offered[o] for o in of if o >= 0))
        for of in zip(*(c[first].tolist() for c in columns), strict=True)
    ]
    return np.array(numbers, np.int64)[kind]


def _first_of_run(values: Array) -> I8:
    """Where the run of equal values that each value is in begins."""
    fresh = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    start = np.flatnonzero(fresh)
    found: I8 = start[np.cumsum(fresh) - 1]
    return found
