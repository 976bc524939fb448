"""The candidates of all tables in columns, and the decision for thousands of prefixes at once.

In: candidates to put and to take away, by (table, prefix) and slot (who said it, under which
distinguisher). Out: for each prefix the row that wins by the numbered steps of bestpath.py, or that
it must be decided one by one. bestpath.py is the definition; tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.keys import I8, OF_WIDTH, U4, U8, Array, Bools
from ccn_bgp.learn.multipath import Limits, regroup, sharers
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.rows import Vocabulary

_PEER = np.uint64(32)
_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer for keys (ascending, each once), arrays of length n.

    ``winner``: int64, row of the candidate that wins, -1 for none. ``mixed``: bool, True where
    candidates of several CCNs contend or a gateway IP is to be resolved: to be decided one by one.
    ``first``, ``size``: int64, where the candidates stand and how many there are. ``sharing``:
    int64, the rows that share a key with its winner.
    """

    winner: I8
    mixed: Bools
    first: I8
    size: I8
    sharing: I8


class CandidateRows:
    """Candidates of one width, sorted by key (table, address, length), arrays of length n.

    ``slot``: uint64, peer << 32 | distinguisher. ``terms``: uint32. ``best``: bool, True for the
    candidate that fills its prefix; never where the prefix is decided one by one. ``sharing``:
    bool, True for those that fill it together with the best. ``group``: uint32, where such a prefix
    leads: at its best row the number of an Answer + 1, else 0. None if no table lets paths share.
    """

    def __init__(self, width: int, limits: Limits | None = None) -> None:
        self.width = width
        self.limits = limits or Limits({})
        self.keys = OF_WIDTH[width]
        self.key: Array = np.zeros(0, self.keys.dtype)
        self.slot: U8 = np.zeros(0, np.uint64)
        self.terms: U4 = np.zeros(0, np.uint32)
        self.best: Bools = np.zeros(0, np.bool_)
        self.sharing: Bools | None = np.zeros(0, np.bool_) if self.limits else None
        self.group: U4 | None = np.zeros(0, np.uint32) if self.limits else None

    def __len__(self) -> int:
        return len(self.key)

    def ranges(self, keys: Array) -> tuple[I8, I8]:
        """(first row, row behind the last) of each key."""
        if (found := self._window(keys)) is not None:
            return found
        if (place := keyed.gap(self.key, keys)) >= 0:
            none = np.full(len(keys), place)
            return none, none
        first = np.searchsorted(self.key, keys)
        if len(keys) < keyed.FEW or not len(self.key):
            return first, np.searchsorted(self.key, keys, side="right")
        # Most keys have one candidate: look at its neighbour before searching again.
        last = len(self.key) - 1
        behind = first + (self.key[np.minimum(first, last)] == keys)
        more = np.flatnonzero((behind > first) & (self.key[np.minimum(behind, last)] == keys))
        more = more[behind[more] <= last]
        behind[more] = np.searchsorted(self.key, keys[more], side="right")
        return first, behind

    def _window(self, keys: Array) -> tuple[I8, I8] | None:
        """``ranges`` without a search for each, if these are all the keys that there are between
        the first and the last of them."""
        count = len(keys)
        if count <= keyed.FEW or not len(self.key):
            return None
        begin = int(np.searchsorted(self.key, keys[0]))
        end = int(np.searchsorted(self.key, keys[-1], side="right"))
        if not count <= end - begin <= 4 * count:
            return None
        held = self.key[begin:end]
        new = np.ones(len(held), np.bool_)
        np.not_equal(held[1:], held[:-1], out=new[1:])
        if end - begin == count:
            if not new.all() or not np.array_equal(held, keys):
                return None
            return np.arange(begin, end), np.arange(begin + 1, end + 1)
        first = np.flatnonzero(new)
        if len(first) != count or not np.array_equal(held[first], keys):
            return None
        first += begin
        return first, np.append(first[1:], end)

    def locate(self, keys: Array, slots: U8) -> I8:
        """The row of each (key, slot), -1 where there is none."""
        first, behind = self.ranges(keys)
        return self._found(first, behind, slots)

    def _found(self, first: I8, behind: I8, slots: U8) -> I8:
        """``locate`` among the rows of each key."""
        found = np.full(len(first), -1, np.int64)
        left = np.flatnonzero(first < behind)
        step = 0
        while len(left):
            row = first[left] + step
            hit = self.slot[row] == slots[left]
            found[left[hit]] = row[hit]
            step += 1
            left = left[~hit]
            left = left[first[left] + step < behind[left]]
        return found

    def winners(self, keys: Array) -> I8:
        """The terms of the row that fills each key, -1 where none does."""
        found = self.chosen(keys)
        there = found >= 0
        found[there] = self.terms[found[there]]
        return found

    def chosen(self, keys: Array) -> I8:
        """The row that fills each key, -1 where none does."""
        if self.behind_all(keys):
            return np.full(len(keys), -1, np.int64)
        first, behind = self.ranges(keys)
        found = np.full(len(keys), -1, np.int64)
        left = np.flatnonzero(first < behind)
        step = 0
        while len(left):
            row = first[left] + step
            hit = self.best[row]
            found[left[hit]] = row[hit]
            step += 1
            left = left[~hit]
            left = left[first[left] + step < behind[left]]
        return found

    def change(self, gone: tuple[Array, U8], put: tuple[Array, U8, U4]) -> None:
        """Take candidates away and put others; who is in both has new terms. Those gone in any
        order; those put ascending by key, each (key, slot) at most once."""
        keys, slots, terms = put
        if not len(gone[0]) and self._all_before(keys):
            self._insert(None, keys, slots, terms)
            return
        first, behind = self.ranges(keys)
        place = self._found(first, behind, slots)
        leaving = self.locate(*gone)
        drop = np.zeros(len(self.key), np.bool_)
        drop[leaving[leaving >= 0]] = True
        held = place >= 0
        drop[place[held]] = False
        self.terms[place[held]] = terms[held]
        fresh = ~held
        at = first[fresh]
        if drop.any():
            at -= np.append(0, np.cumsum(drop))[at]
            self._keep(~drop)
        if len(at):
            self._insert(at, keys[fresh], slots[fresh], terms[fresh])

    def _keep(self, kept: Bools) -> None:
        """Forget all rows but these."""
        self.key, self.slot = self.key[kept], self.slot[kept]
        self.terms, self.best = self.terms[kept], self.best[kept]
        if self.sharing is not None and self.group is not None:
            self.sharing, self.group = self.sharing[kept], self.group[kept]

    def _insert(self, at: I8 | None, keys: Array, slots: U8, terms: U4) -> None:
        """Candidates before these rows (ascending); None: behind all."""
        insert = keyed.Splice(len(self.key), at, len(keys))
        self.key, self.slot = insert(self.key, keys), insert(self.slot, slots)
        self.terms, self.best = insert(self.terms, terms), insert(self.best, 0)
        if self.sharing is not None and self.group is not None:
            self.sharing, self.group = insert(self.sharing, 0), insert(self.group, 0)

    def _all_before(self, keys: Array) -> bool:
        """Whether all rows stand before these keys (ascending)."""
        return not len(self.key) or not len(keys) or bool(keys[0] > self.key[-1])

    def behind_all(self, keys: Array) -> bool:
        """Whether these keys rise, and stand behind all that there are."""
        if len(self.key) and len(keys) and not keys[0] > self.key[-1]:
            return False
        return keyed.rising(keys)

    def decide(self, keys: Array, book: TermsBook, words: Vocabulary) -> Decided:
        """Choose for each key (ascending, each once); nothing is changed."""
        first, behind = self.ranges(keys)
        if len(keys) and int((size := behind - first).min()) == int(size.max()) == 1:
            terms = keyed.taken(self.terms, first)
            mixed = book.gateway[terms]
            winner = np.where(book.usable[terms] & ~mixed, first, -1)
            return Decided(winner, mixed, first, size, np.zeros(0, np.int64))
        winner = np.full(len(keys), -1, np.int64)
        mixed = np.zeros(len(keys), np.bool_)
        alone = np.flatnonzero(behind - first == 1)
        terms = self.terms[first[alone]]
        winner[alone] = np.where(book.usable[terms], first[alone], -1)
        mixed[alone] = book.gateway[terms]
        several, sharing = np.flatnonzero(behind - first > 1), np.zeros(0, np.int64)
        if len(several):
            some = _Contest(self, first[several], behind[several], book)
            winner[several] = some.winners(words)
            mixed[several] = some.mixed(winner[several])
            sharing = some.row[some.sharing[~mixed[several][some.group[some.sharing]]]]
        winner[mixed] = -1
        return Decided(winner, mixed, first, behind - first, sharing)

    def set_best(self, decided: Decided, book: TermsBook) -> None:
        """Let the winners fill their keys, and those that share with them."""
        first, size = decided.first, decided.size
        alone = first[size == 1]
        keyed.put(self.best, alone, 0)
        if self.sharing is not None and self.group is not None:
            keyed.put(self.sharing, alone, 0)
            keyed.put(self.group, alone, 0)
        if (several := size > 1).any():
            first, size = first[several], size[several]
            begin = np.repeat(first - np.cumsum(size) + size, size)
            rows = begin + np.arange(len(begin))
            self.best[rows] = False
            if self.sharing is not None and self.group is not None:
                self.sharing[rows], self.group[rows] = False, 0
                self.sharing[decided.sharing] = True
        winner = decided.winner[decided.winner >= 0]
        keyed.put(self.best, winner, 1)
        if len(decided.sharing):
            regroup(self, book, winner)

    def fill(self, first: int, behind: int, chosen: I8, book: TermsBook) -> None:
        """Of the rows of one key let these fill it, the best first; none: decided elsewhere."""
        self.best[first:behind] = False
        self.best[chosen[:1]] = True
        if self.sharing is not None and self.group is not None:
            self.sharing[first:behind], self.group[first:behind] = False, 0
            self.sharing[chosen[1:]] = True
            regroup(self, book, chosen[:1])

    def renumbered(self, book: TermsBook) -> None:
        """The book has given out its Answers anew."""
        if self.sharing is not None:
            regroup(self, book, np.flatnonzero(self.best))


class _Contest:
    """Several candidates for each of some prefixes. ``row`` and ``group``: int64[m], candidates and
    which prefix each is for; ``terms``: their terms. ``sharing``: int64, which of them share a
    prefix with the winner; known when the winners are."""

    def __init__(self, rows: CandidateRows, first: I8, behind: I8, book: TermsBook) -> None:
        size = behind - first
        self.book = book
        self.rows = rows
        self.begin = np.cumsum(size) - size
        self.group = np.repeat(np.arange(len(size)), size)
        self.row = np.repeat(first - self.begin, size) + np.arange(int(size.sum()))
        self.terms = rows.terms[self.row]
        self.usable = book.usable[self.terms]
        self.sharing = np.zeros(0, np.int64)

    def winners(self, words: Vocabulary) -> I8:
        """The row that wins each prefix, -1 if none of its candidates leads anywhere."""
        book, rows, groups = self.book, self.rows, len(self.begin)
        winner = np.full(groups, -1, np.int64)
        rank = np.where(self.usable, book.before[self.terms], _NONE)
        least = np.minimum.reduceat(rank, self.begin)
        left = np.flatnonzero(self.usable & (rank == least[self.group]))
        left = self._settled(left, winner)
        if not len(left):
            return winner
        left = self._settled(self._lowest_med(left), winner)
        if not len(left):
            return winner
        after = book.after(self.terms[left])
        distinguisher = rows.slot[self.row[left]] & np.uint64(0xFFFFFFFF)
        last = _distinguisher_ranks(distinguisher, words)
        order = np.lexsort((last, after, self.group[left]))
        groups_of = self.group[left][order]
        first = np.ones(len(order), np.bool_)
        first[1:] = groups_of[1:] != groups_of[:-1]
        winner[groups_of[first]] = self.row[left][order][first]
        if rows.limits:
            ranked = left[order]
            limit = rows.limits.of(rows.keys.number(rows.key[self.row[ranked]]))
            among = sharers(groups_of, after[order], self.terms[ranked], limit, book)
            self.sharing = ranked[among]
        return winner

    def _settled(self, left: I8, winner: I8) -> I8:
        """Note prefixes with one candidate left; what is left of the others."""
        count = np.bincount(self.group[left], minlength=len(winner))
        single = count[self.group[left]] == 1
        winner[self.group[left][single]] = self.row[left][single]
        several: I8 = left[~single]
        return several

    def _lowest_med(self, left: I8) -> I8:
        """RFC 4271 §9.1.2.2 c: among paths of one neighbouring AS, those of the lowest MED."""
        terms, group = self.terms[left], self.group[left]
        asn, med = self.book.med_group[terms], self.book.med[terms]
        if not (med != med[0]).any():
            return left
        order = np.lexsort((med, asn, group))
        new = np.ones(len(order), np.bool_)
        new[1:] = (group[order][1:] != group[order][:-1]) | (asn[order][1:] != asn[order][:-1])
        lowest = med[order][np.flatnonzero(new)[np.cumsum(new) - 1]]
        kept: I8 = np.sort(left[order[med[order] == lowest]])
        return kept

    def mixed(self, winner: I8) -> Bools:
        """Where a gateway IP is to be resolved, or an answer is another CCN's than the winner's."""
        book = self.book
        gateway = book.gateway[self.terms]
        owner = np.full(len(winner), -1, np.int64)
        won = winner >= 0
        owner[won] = book.ccn[self.rows.terms[winner[won]]]
        foreign = self.usable & (book.ccn[self.terms] != owner[self.group])
        found: Bools = np.logical_or.reduceat(gateway | foreign, self.begin)
        return found


def _distinguisher_ranks(numbers: U8, words: Vocabulary) -> I8:
    """Where each distinguisher stands by its octets: the last step, unique within a peer."""
    known = keyed.distinct(np.sort(numbers))
    octets = [words.distinguishers[number] for number in known.tolist()]
    order = sorted(range(len(octets)), key=lambda i: octets[i])
    rank = np.empty(len(octets), np.int64)
    rank[order] = np.arange(len(octets))
    found: I8 = np.asarray(rank[np.searchsorted(known, numbers)], np.int64)
    return found


def slots(peer: Array | int, distinguishers: U4) -> U8:
    """The slots of rows that a peer said, or each its own."""
    found: U8 = np.asarray(peer, np.uint64) << _PEER | distinguishers.astype(np.uint64)
    return found
