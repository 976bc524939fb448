"""Forgetting what no route says any more, so that churn costs no memory.

In: what is held, by rows. Out: the same rows with new numbers; bodies, distinguishers, verdicts and
terms that no row refers to are gone. Nothing that is decided depends on numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ccn_bgp.learn.adj_rib_in import AdjRibIn
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.keys import I8, Array
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.rows import Vocabulary

SPARE = 1 << 14
"""So many dead numbers are no reason to count; a body with all that hangs on it takes 3 KB."""
PER_ROW = 1 / 64
"""Nor are so many for each row that would have to be numbered anew."""
_NUMBER = np.uint64(0xFFFFFFFF)


class Compaction:
    """Looks from time to time whether it is worth while: when there are twice as many numbers as
    were alive the last time."""

    def __init__(self, tables: int = 0) -> None:
        self._bodies = self._distinguishers = self._verdicts = self._terms = SPARE
        self._answers = SPARE + 4 * tables  # each has some of its own

    def due(self, words: Vocabulary, judge: RowJudge) -> bool:
        """True if it is time to look."""
        book = judge.book
        return (
            len(words.bodies) > self._bodies
            or len(words.distinguishers) > self._distinguishers
            or len(judge.verdicts) > self._verdicts  # of a refusal it may name the prefix
            or len(book) > self._terms
            or len(book.answers) > self._answers
        )

    def run(
        self,
        adjs: Collection[AdjRibIn],
        rows: Mapping[int, CandidateRows],
        judge: RowJudge,
        words: Vocabulary,
    ) -> None:
        """Give out all numbers anew, if most are dead. No rows may be waiting in an
        Adj-RIB-In."""
        book = judge.book
        held = [r for adj in adjs for r in adj.rows.values()]
        numbers = [r.keys.number(r.key) for r in held]
        bodies = _used(len(words.bodies), [r.body for r in held])
        dids = _used(len(words.distinguishers), numbers)
        verdicts = _used(len(judge.verdicts), [r.verdict for r in held])
        terms = _used(len(book), [judge.held.terms_of(verdicts), *(r.terms for r in rows.values())])
        spare = SPARE + int(PER_ROW * sum(map(len, held)))
        self._bodies = 2 * len(bodies) + spare
        self._distinguishers = 2 * len(dids) + spare
        self._verdicts = 2 * len(verdicts) + spare
        self._terms = 2 * len(terms) + spare
        if not self.due(words, judge):
            return
        new_body, new_did = words.keep_bodies(bodies), words.keep_distinguishers(dids)
        new_verdict, new_terms = judge.keep(verdicts), book.keep(terms)
        judge.renumber_terms(new_terms)
        for mine, number in zip(held, numbers, strict=True):
            mine.body = new_body[mine.body].astype(np.uint32)
            mine.verdict = new_verdict[mine.verdict].astype(np.uint32)
            # Numbers keep their order, and so do keys.
            mine.key = mine.keys.renumbered(mine.key, new_did[number])
        for candidates in rows.values():
            candidates.terms = new_terms[candidates.terms].astype(np.uint32)
            did = new_did[(candidates.slot & _NUMBER).astype(np.int64)].astype(np.uint64)
            candidates.slot = candidates.slot & ~_NUMBER | did
            candidates.renumbered(book)
        self._answers = 2 * len(book.answers) + spare
        held_sets = [body.attributes for body in words.bodies]
        judge.judge.keep((*held_sets, *(terms.attributes for terms in book.terms)))


def _used(count: int, columns: Sequence[Array]) -> I8:
    """Which of ``count`` numbers occur, ascending."""
    used = np.zeros(count, np.bool_)
    for column in columns:
        used[column] = True
    return np.flatnonzero(used)
