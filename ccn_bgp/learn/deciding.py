"""Which candidate fills each prefix, decided for thousands at once, and what follows from it.

In: keys of a width (ascending, each once) whose candidates have changed, and what filled them
before. Out: the rows that fill them now (candidates.py), marked; the tables that changed; what
peers are to hear (row_exports.py, saying.py). What needs more than a row can say is left to
loc_rib.py, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.keys import I8, Array
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.multipath import Standing
from ccn_bgp.learn.row_exports import RowExports
from ccn_bgp.learn.saying import Saying
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.rows import Vocabulary

ONE_BY_ONE = 64
"""Up to so many prefixes the special ones are looked up one by one, not in a sorted column."""


class Deciding:
    """Decides in columns for one Rib. ``decisions`` counts them, roughly, until it is set back."""

    def __init__(
        self,
        rows: Mapping[int, CandidateRows],
        book: TermsBook,
        words: Vocabulary,
        by_id: Mapping[int, LocRib],
        *,
        row_exports: RowExports,
        saying: Saying,
    ) -> None:
        self.rows = rows
        self.book = book
        self.words = words
        self.by_id = by_id
        self.row_exports = row_exports
        self.saying = saying
        self.special: dict[int, set[object]] = {width: set() for width in rows}
        """Keys that are decided one by one."""
        self.changed: set[str] = set()
        """Tables whose routes may not be what they were; emptied by who builds them."""
        self.decided: set[str] = set()
        """Tables in which a prefix was decided; emptied by who proves them."""
        self.decisions = 0

    def decide(self, width: int, touched: Array, before: Standing) -> None:
        """Decide keys (ascending, each once) in columns; those that need more become dirty."""
        for some in keyed.parts(len(touched)):
            self._decide(width, touched[some], before.take(some))

    def _decide(self, width: int, touched: Array, before: Standing) -> None:
        rows, book = self.rows[width], self.book
        single = self._single(width, touched)
        if single.any():
            self._one_by_one(rows, touched[single])
            touched, before = touched[~single], before.take(~single)
        decided = rows.decide(touched, book, self.words)
        if decided.mixed.any():
            self._one_by_one(rows, touched[decided.mixed])
        rows.set_best(decided, book)
        after = Standing.of_rows(rows, decided.winner)
        other = np.flatnonzero(before.differs(after) & ~decided.mixed)
        taken = keyed.taken
        was, now = taken(before.winner, other), taken(after.winner, other)
        self._tell(width, taken(touched, other), was, now)

    def _single(self, width: int, touched: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        special = self.special[width]
        if not special:
            return np.zeros(len(touched), np.bool_)
        if len(touched) <= ONE_BY_ONE:
            return np.array([key in special for key in touched.tolist()], np.bool_)
        place, found = keyed.member(touched, rows_of(width, special))
        single = np.zeros(len(touched), np.bool_)
        single[place[found]] = True
        return single

    def _one_by_one(self, rows: CandidateRows, touched: Array) -> None:
        numbers = rows.keys.number(touched).tolist()
        self.moved(rows.width, touched)
        for number, prefix in zip(numbers, rows.keys.prefixes(touched), strict=True):
            table = self.by_id[number]
            self.changed.add(table.ccsi.name)  # what filled it may have gone with its row
            table.ask((prefix,))

    def _tell(self, width: int, touched: Array, before: I8, after: I8) -> None:
        """Note what other winners mean: tables to build, and what peers and tables are to hear."""
        if not len(touched):
            return
        rows, of_idc = self.rows[width], self.book.of_idc
        numbers = rows.keys.number(touched)
        begin, counts = keyed.runs(numbers)
        said = np.zeros(len(touched), np.bool_)
        if of_idc.any():
            said[before >= 0] = of_idc[before[before >= 0]]
            said[after >= 0] |= of_idc[after[after >= 0]]
        tables = list(map(self.by_id.__getitem__, numbers[begin].tolist()))
        for table, count in zip(tables, counts.tolist(), strict=True):
            table.decided += count
        names = [table.name for table in tables]
        self.changed.update(names)
        self.decided.update(names)
        self.decisions += len(touched)
        anew = before != after  # and not only who shares a prefix
        self.row_exports.note(width, touched[anew], said[anew])
        chosen = np.flatnonzero(said)
        for number, prefix in (
            zip(numbers[chosen].tolist(), rows.keys.prefixes(touched[chosen]), strict=True)
            if self.saying.imported
            else ()
        ):
            self.saying.on(self.by_id[number], prefix)

    def moved(self, width: int, keys: Array) -> None:
        """Keys whose routes have come out of the rows, or gone into them."""
        self.row_exports.note(width, keys, np.ones(len(keys), np.bool_))


def rows_of(width: int, special: Iterable[object]) -> Array:
    """Keys of a set as a sorted column."""
    return keyed.OF_WIDTH[width].many(special)
