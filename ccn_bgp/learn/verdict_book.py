"""Verdicts by number: what many rows of Adj-RIB-Ins refer to, and what columns ask of it.

In: Verdicts, one by one or thousands that differ in their Terms alone. Out: their numbers, given
out in order of arrival, and columns by that number.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import Verdict
from ccn_bgp.learn.growing import Growing
from ccn_bgp.learn.keys import I8, U4, Bools
from ccn_bgp.model.rows import new_numbers, tuples

NOBODY, SEVERAL = -3, -2
"""In the place of a table: none; several, or one that takes only what a share covers."""
_FEW = 16
"""So many verdicts are added one by one."""
_FACTS = np.dtype([("table", np.int64), ("terms", np.int64), ("accused", np.bool_)])


class VerdictBook:
    """All verdicts that rows may have."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self._number: dict[Verdict, int] = {}
        self._plain: dict[int, int] = {}
        """Of those that one table takes and nobody accuses: by ``table << 32 | terms``."""
        self._facts = Growing(_FACTS)

    @property
    def accused(self) -> Bools:
        """By number of a verdict: whether there is a Finding on its row."""
        return self._facts["accused"]

    @property
    def accepted(self) -> Bools:
        """By number of a verdict: whether policy and claims let it pass."""
        found: Bools = self._facts["terms"] >= 0
        return found

    def number(self, verdict: Verdict) -> int:
        """The number of a verdict; equal ones have one number."""
        reason, tables, terms, accused, each = verdict
        if reason is None and len(tables) == 1 and terms >= 0 and not accused and not each:
            return self.numbers(tables, (terms,))[0]
        found = self._number.get(verdict)
        if found is None:
            found = self._number[verdict] = len(self.verdicts)
            self.verdicts.append(verdict)
            table = -1 if not tables else tables[0] if len(tables) == 1 else SEVERAL
            self._facts.add(table, terms, accused)
        return found

    def numbers(self, tables: Sequence[int], terms: Sequence[int]) -> list[int]:
        """The numbers of verdicts by which one table each takes a row with these Terms."""
        known, held = self._plain, self.verdicts
        keys = [table << 32 | number for table, number in zip(tables, terms, strict=True)]
        fresh = [key for key in dict.fromkeys(keys) if key not in known]
        known.update(zip(fresh, count(len(held)), strict=False))
        if len(fresh) < _FEW:
            for key in fresh:
                held.append(Verdict(None, (key >> 32,), key & 0xFFFFFFFF))
                self._facts.add(key >> 32, key & 0xFFFFFFFF, False)
        else:
            table, number = np.divmod(np.array(fresh, np.int64), 1 << 32)
            ids, each = zip(table.tolist(), strict=True), number.tolist()
            held += tuples(Verdict, repeat(None), ids, each, repeat(False), repeat(()))
            none = np.zeros(len(fresh), np.bool_)
            columns = {"table": table, "terms": number, "accused": none}
            self._facts.extend(len(fresh), columns)
        return [known[key] for key in keys]

    def terms_of(self, verdicts: I8) -> I8:
        """The numbers of the Terms of these verdicts, of those that have any."""
        found = self._facts["terms"][verdicts]
        terms: I8 = found[found >= 0]
        several = verdicts[self._facts["table"][verdicts] == SEVERAL].tolist()
        more = [number for verdict in several for number in self.verdicts[verdict].each]
        return np.concatenate((terms, np.array(more, np.int64))) if more else terms

    def keep(self, live: I8) -> I8:
        """Forget all verdicts but these (numbers, ascending); returns new numbers by old ones."""
        kept = [self.verdicts[number] for number in live.tolist()]
        renumbered = new_numbers(len(self.verdicts), live)
        self._begin(kept)
        return renumbered

    def renumber_terms(self, renumbered: I8) -> None:
        """Terms have new numbers, by old ones."""
        self._begin([verdict.renumbered(renumbered) for verdict in self.verdicts])

    def _begin(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = []
        self._number = {}
        self._plain = {}
        self._facts = Growing(_FACTS)
        for verdict in verdicts:
            self.number(verdict)

    def one(self, verdicts: U4) -> bool:
        """Whether one table each takes rows with these verdicts."""
        begin, _ = keyed.runs(verdicts)
        return bool((self._facts["table"][verdicts[begin]] >= 0).all())

    def taken(self, verdicts: U4) -> tuple[I8, I8]:
        """The table that takes each of such rows, and the number of its Terms."""
        begin, count = keyed.runs(verdicts)
        facts = self._facts
        table, terms = facts["table"][verdicts[begin]], facts["terms"][verdicts[begin]]
        return np.repeat(table, count), np.repeat(terms, count)

    def placed(self, verdicts: U4) -> tuple[I8, I8, I8]:
        """Where rows with these verdicts are candidates: (row, table id, number of Terms), a row
        once for each table that takes it."""
        table, terms = self._facts["table"][verdicts], self._facts["terms"]
        one = np.flatnonzero(table >= 0)
        found = one, table[one], terms[verdicts[one]]
        several = np.flatnonzero(table == SEVERAL)
        if not len(several):
            return found
        known, which = keyed.numbered(verdicts[several], len(self.verdicts))
        takers = [np.array(self.verdicts[verdict].tables) for verdict in known.tolist()]
        count = np.array([len(tables) for tables in takers])[which]
        rows = np.repeat(several, count)
        # Each row's tables stand together, wherever those of its verdict do among all.
        begin = np.cumsum([0, *map(len, takers)])[which]
        place = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(len(rows))
        number = np.concatenate(takers)[place]
        each = np.concatenate([self.verdicts[verdict].all_terms for verdict in known.tolist()])
        return (
            np.concatenate((one, rows)),
            np.concatenate((found[1], number)),
            np.concatenate((found[2], each[place])),
        )
