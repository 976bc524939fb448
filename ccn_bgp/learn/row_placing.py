"""From what peers have said to candidates: rows of Adj-RIB-Ins are judged, placed and decided.

In: rows that wait in the Adj-RIB-Ins of one peer or of many, rows that are gone or to be judged
again. Out: other candidates (candidates.py), decided (deciding.py), and the Findings on rows. What
many peers have said goes among the candidates at once: the cost follows what was said, and not the
number of peers times that of all candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import UNJUDGED, AdjRibIn, Delta, Rows
from ccn_bgp.learn.candidates import CandidateRows, slots
from ccn_bgp.learn.deciding import Deciding
from ccn_bgp.learn.keys import OF_WIDTH, U4, WIDTHS, Array, Keys
from ccn_bgp.learn.limits import over_limit
from ccn_bgp.learn.loc_rib import LocRib, Slot
from ccn_bgp.learn.multipath import Standing
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import Path

ELSEWHERE = -2
"""In the place of a winner that leads elsewhere now: it differs from every other."""


class _Said(NamedTuple):
    """Rows of Adj-RIB-Ins, arrays of length n: key there, number of the verdict, and of the peer
    (one for all, or an array)."""

    key: Array
    verdict: U4
    peer: Array | int


class _Move(NamedTuple):
    """Rows of one peer that are candidates no longer, and those that are now."""

    gone: _Said
    put: _Said


class RowPlacing:
    """Moves rows of one Rib. ``limited``: routers with max-prefixes to be looked at again."""

    def __init__(
        self,
        judge: RowJudge,
        rows: Mapping[int, CandidateRows],
        deciding: Deciding,
        findings: MutableMapping[Slot, Finding],
    ) -> None:
        self.judge = judge
        self.rows = rows
        self.deciding = deciding
        self.findings = findings
        self.limited: set[str] = set()
        self._again: dict[int, list[Array]] = {width: [] for width in WIDTHS}

    def absorb(self, adjs: Collection[AdjRibIn]) -> None:
        """Take in what waits in these."""
        for width in WIDTHS:
            moves: list[_Move] = []
            try:
                for adj in adjs:
                    delta = adj.rows[width].absorb()
                    if delta is not None:
                        moves.append(self._judged(adj, width, delta))
            finally:  # a fault of ours in what one peer says is none of the others'
                self._move(width, moves)

    def sweep(self, adj: AdjRibIn, width: int, delta: Delta) -> None:
        """Rows of one peer that are gone."""
        self._move(width, [self._judged(adj, width, delta)])

    def judge_again(self, adj: AdjRibIn) -> None:
        """Judge all rows of one peer again, or for the first time."""
        for width, rows in adj.rows.items():
            none = np.zeros(0, np.uint32)
            delta = Delta(rows.key[:0], none, rows.key.copy(), rows.verdict.copy())
            self._move(width, [self._judged(adj, width, delta)])

    def decide_again(self, adj: AdjRibIn) -> None:
        """What this peer says is to be decided again, with the next ``settle``."""
        for width, rows in self.rows.items():
            self._again[width].append(rows.key[rows.slot >> np.uint64(32) == adj.number])

    def settle(self) -> None:
        """Decide what was to be decided again."""
        for width, again in self._again.items():
            if again:
                touched = keyed.distinct(np.sort(np.concatenate(again)))
                before = Standing.of(self.rows[width], touched)
                self.deciding.decide(width, touched, before)
                again.clear()

    def _judged(self, adj: AdjRibIn, width: int, delta: Delta) -> _Move:
        """Judge what is new or other: it takes the place of what was."""
        rows = adj.rows[width]
        if adj.peer.router is not None:
            self.limited.add(adj.peer.name)
        if len(delta.gone):
            self._acquit(adj, rows, delta.gone, delta.gone_verdicts)
        before = np.flatnonzero(delta.put_verdicts != UNJUDGED)
        gone, verdicts = delta.gone, delta.gone_verdicts
        if len(before):
            self._acquit(adj, rows, delta.put[before], delta.put_verdicts[before])
            rows.held_back[rows.at(delta.put[before])] = False
            gone = np.concatenate((gone, delta.put[before]))
            verdicts = np.concatenate((verdicts, delta.put_verdicts[before]))
        judged = np.empty(len(delta.put), np.uint32)
        for some in keyed.parts(len(judged)):
            at = rows.at(delta.put[some])
            judged[some] = self.judge.rows(adj, rows, at, self._accuse)
        return _Move(_Said(gone, verdicts, adj.number), _Said(delta.put, judged, adj.number))

    def _move(self, width: int, moves: Sequence[_Move]) -> None:
        """Candidates of one peer or many: take away those that are gone, put the others."""
        if not moves:
            return
        gone_keys, gone_slots, _ = self._placed(width, [move.gone for move in moves])
        put_keys, put_slots, terms = self._placed(width, [move.put for move in moves])
        if not bool((put_keys[1:] >= put_keys[:-1]).all()):
            order = np.argsort(put_keys, kind="stable")  # runs, one of each peer and distinguisher
            put_keys, put_slots, terms = put_keys[order], put_slots[order], terms[order]
        touched = keyed.distinct(put_keys)
        if len(gone_keys):
            touched = keyed.distinct(np.sort(np.concatenate((touched, gone_keys)), kind="stable"))
        if not len(touched):
            return
        rows = self.rows[width]
        before = Standing.of(rows, touched)
        rows.change((gone_keys, gone_slots), (put_keys, put_slots, terms))
        self.deciding.decide(width, touched, before)

    def _placed(self, width: int, parts: Sequence[_Said]) -> tuple[Array, Array, U4]:
        """Where these rows are candidates: (keys, slots, numbers of Terms)."""
        keys = OF_WIDTH[width]
        said = _joined(parts)
        if self.judge.held.one(said.verdict):
            return self._placed_once(keys, said)
        row, table, terms = self.judge.held.placed(said.verdict)
        key = keyed.taken(said.key, row)
        peer = said.peer if isinstance(said.peer, int) else keyed.taken(said.peer, row)
        found = keys.renumbered(key, table), slots(peer, keys.number(key))
        return *found, terms.astype(np.uint32)

    def _placed_once(self, keys: Keys, said: _Said) -> tuple[Array, Array, U4]:
        """The same of rows that one table each takes."""
        count = len(said.key)
        key, terms = np.empty(count, keys.dtype), np.empty(count, np.uint32)
        slot = np.empty(count, np.uint64)
        for some in keyed.parts(count):
            table, number = self.judge.held.taken(said.verdict[some])
            peer = said.peer if isinstance(said.peer, int) else said.peer[some]
            key[some] = keys.renumbered(said.key[some], table)
            slot[some] = slots(peer, keys.number(said.key[some]))
            terms[some] = number
        return key, slot, terms

    def _acquit(self, adj: AdjRibIn, rows: Rows, keys: Array, verdicts: U4) -> None:
        """Forget the findings on rows that are gone or are judged again."""
        accused = self.judge.held.accused[verdicts]
        if not accused.any():
            return
        chosen = keys[accused]
        numbers = rows.keys.number(chosen).tolist()
        for number, prefix in zip(numbers, rows.keys.prefixes(chosen), strict=True):
            key = adj.vocabulary.key(number, prefix)
            self.findings.pop((adj.peer.name, key), None)

    def _accuse(self, path: Path, finding: Finding) -> None:
        self.findings[path.peer, path.nlri.key] = finding

    # -- what bears on rows that have been placed -----------------------------------------------

    def apply_limits(self, adjs: Mapping[str, AdjRibIn]) -> None:
        """max-prefixes, soft: of the accepted prefixes the first N are used, shorter ones first."""
        for name in sorted(self.limited):
            adj = adjs[name]
            router = adj.peer.router
            if router is None or router.max_prefixes is None:
                continue
            for width, over in over_limit(
                adj, self.judge.held.accepted, router.max_prefixes
            ).items():
                rows = adj.rows[width]
                taken = np.flatnonzero(over & ~rows.held_back)
                given = np.flatnonzero(rows.held_back & ~over)
                rows.held_back = over
                gone = _Said(rows.key[taken], rows.verdict[taken], adj.number)
                put = _Said(rows.key[given], rows.verdict[given], adj.number)
                self._move(width, [_Move(gone, put)])
        self.limited.clear()

    def follow_vms(self, moved: Iterable[tuple[LocRib, Ip]]) -> None:
        """Rows whose gateway IP is the address of a VM that has moved lead elsewhere now."""
        book = self.judge.book
        others: dict[int, list[int]] = {}
        tables: dict[int, LocRib] = {}
        for table, ip in moved:
            if other := self.judge.follow(table, ip):
                tables[table.ccsi.id] = table
                others.setdefault(table.ccsi.id, []).extend(other)
        if not others:
            return
        other_terms = np.zeros(len(book), np.bool_)
        for numbers in others.values():
            other_terms[numbers] = True
        for width, rows in self.rows.items():
            extents = (tables[number].extent(width) for number in sorted(tables))
            found = [
                rows.key[first:behind][other_terms[rows.terms[first:behind]]]
                for first, behind in extents
            ]
            touched = keyed.distinct(np.concatenate(found))
            if len(touched):
                before = Standing.of(rows, touched)
                winner = before.winner
                winner[(winner >= 0) & other_terms[winner]] = ELSEWHERE
                self.deciding.decide(width, touched, before)


def _joined(parts: Sequence[_Said]) -> _Said:
    """Rows of several peers as one column."""
    if len(parts) == 1:
        return parts[0]
    return _Said(
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.verdict for part in parts]),
        np.repeat([part.peer for part in parts], [len(part.key) for part in parts]),
    )
