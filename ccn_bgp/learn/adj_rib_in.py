"""Adj-RIB-In of one peer: every Path it said, before policy, and what became of it.

In: PrefixRows (type 5 and unicast, the mass) and Paths of other kinds, one by one. Out: what has
changed since the last ``absorb``, for rib.py to judge, and every Path as a Heard. A route costs 18
octets: what it says stands in the Vocabulary, what became of it in a Verdict, once for many routes.
Stale marking for graceful restart is RFC 4724 §4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.keys import I8, OF_WIDTH, U4, WIDTHS, Array, Bools
from ccn_bgp.model.bgp import Family, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, PathAttributes, Unicast
from ccn_bgp.model.reason import Reason
from ccn_bgp.model.rows import UNICAST, PrefixRows, Vocabulary

UNJUDGED = 0xFFFFFFFF
"""In the place of a verdict's number: the row waits to be judged."""


class Verdict(NamedTuple):
    """What became of a Path: the CCSIs (by id) that take it, or the reason why none does.

    ``terms`` is the number of the candidate's Terms (learn/terms.py), -1 if policy or claims
    refused it. ``accused`` says that there is a Finding on it. ``each``: terms by table, if those
    of a share differ; ``terms`` are then those of the first.
    """

    reason: Reason | None = None
    tables: tuple[int, ...] = ()
    terms: int = -1
    accused: bool = False
    each: tuple[int, ...] = ()

    @property
    def all_terms(self) -> tuple[int, ...]:
        """The terms in each of the tables."""
        return self.each or (self.terms,) * len(self.tables)

    def renumbered(self, numbers: I8) -> Verdict:
        """With other numbers of terms, by old ones."""
        if self.terms < 0:
            return self
        each = tuple(int(numbers[n]) for n in self.each)
        return self._replace(terms=int(numbers[self.terms]), each=each)


class Heard:
    """One Path of one peer that is no prefix: as said, and the reason if it is not used."""

    __slots__ = ("path", "places", "reason", "stale")

    def __init__(
        self,
        path: Path,
        *,
        stale: bool = False,
        places: tuple[str, ...] = (),
        reason: Reason | None = None,
    ) -> None:
        self.path = path
        self.stale = stale
        self.places = places
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Delta:
    """What ``absorb`` changed, arrays by row: keys that are gone with the numbers of their
    verdicts; keys that are new or other than before, with the verdicts that they had (UNJUDGED if
    none)."""

    gone: Array
    gone_verdicts: U4
    put: Array
    put_verdicts: U4


class Rows:
    """Prefixes of one width, sorted by key (distinguisher, address, length), arrays of length n.

    ``body``: uint32, number in the Vocabulary. ``verdict``: uint32. ``fresh``: bool, False for
    stale. ``held_back``: bool, over max-prefixes.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.keys = OF_WIDTH[width]
        self.key: Array = np.zeros(0, self.keys.dtype)
        self.body: U4 = np.zeros(0, np.uint32)
        self.verdict: U4 = np.zeros(0, np.uint32)
        self.fresh: Bools = np.zeros(0, np.bool_)
        self.held_back: Bools = np.zeros(0, np.bool_)
        self.waiting: list[PrefixRows] = []
        self.waiting_rows = 0

    def __len__(self) -> int:
        return len(self.key)

    def absorb(self) -> Delta | None:
        """Take in what waits. Of several words on a route the last one holds."""
        if not self.waiting:
            return None
        key, announced, body = self._last_words()
        if (not len(self.key) or key[0] > self.key[-1]) and announced.all():
            # A peer begins: nothing to compare.
            verdicts = np.broadcast_to(np.uint32(UNJUDGED), len(key))
            self._insert(key, body, None)
            return Delta(key[:0], verdicts[:0], key, verdicts)
        place, held = keyed.member(self.key, key)
        gone = place[held & ~announced]
        again = held & announced
        same = again.copy()
        same[again] = (self.body[place[again]] == body[again]) & (
            self.verdict[place[again]] != UNJUDGED
        )
        self.fresh[place[same]] = True
        other = again & ~same
        fresh = announced & ~held
        put = other | fresh
        verdicts = np.full(len(key), UNJUDGED, np.uint32)
        verdicts[other] = self.verdict[place[other]]
        self.body[place[other]] = body[other]
        self.fresh[place[other]] = True
        delta = Delta(self.key[gone], self.verdict[gone], key[put], verdicts[put])
        at = place[fresh]
        if len(gone):
            at = at - np.searchsorted(gone, at)  # as many rows before it are gone
            self._drop(gone)
        self._insert(key[fresh], body[fresh], at)
        return delta

    def _last_words(self) -> tuple[Array, Bools, U4]:
        """(keys ascending, announced, body), each key once."""
        waiting, self.waiting, self.waiting_rows = self.waiting, [], 0
        make = self.keys.make
        key = _joined([make(r.distinguisher, r.address, r.length) for r in waiting])
        announced = _joined([r.announced for r in waiting])
        body = _joined([r.body for r in waiting])
        if not keyed.rising(key):
            order = np.argsort(key, kind="stable" if len(waiting) < 3 else None)
            ordered = key[order]
            last = np.ones(len(key), np.bool_)
            np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
            if not last.all():
                order = np.argsort(key, kind="stable")
            order = order[last]
            key, announced, body = key[order], announced[order], body[order]
        return key, announced, body

    def _drop(self, rows: I8) -> None:
        if not len(rows):
            return
        kept = np.ones(len(self.key), np.bool_)
        kept[rows] = False
        self.key, self.body, self.verdict = self.key[kept], self.body[kept], self.verdict[kept]
        self.fresh, self.held_back = self.fresh[kept], self.held_back[kept]

    def _insert(self, key: Array, body: U4, at: I8 | None) -> None:
        """Rows to be judged, before these (ascending); None: behind all."""
        if not len(key):
            return
        insert = keyed.Splice(len(self.key), at, len(key))
        self.key, self.body = insert(self.key, key), insert(self.body, body)
        self.verdict = insert(self.verdict, UNJUDGED)
        self.fresh, self.held_back = insert(self.fresh, 1), insert(self.held_back, 0)

    def at(self, keys: Array) -> I8:
        """Where these keys (ascending, each once) stand; they must be there."""
        if len(keys) > keyed.FEW:
            begin = int(np.searchsorted(self.key, keys[0]))
            end = begin + len(keys)
            if end <= len(self.key) and self.key[end - 1] == keys[-1]:
                return np.arange(begin, end)
        return np.searchsorted(self.key, keys)

    def sweep(self, family: Family | None) -> Delta | None:
        """Forget what is stale (of one family), None if nothing is."""
        stale = ~self.fresh
        if stale.any():
            stale &= self.of_family(family)
        rows = np.flatnonzero(stale)
        if not len(rows):
            return None
        none = np.zeros(0, np.uint32)
        delta = Delta(self.key[rows], self.verdict[rows], np.zeros(0, self.key.dtype), none)
        self._drop(rows)
        return delta

    def of_family(self, family: Family | None) -> Bools:
        """bool[n]: the routes of this family; None: all."""
        if family is None:
            return np.ones(len(self), np.bool_)
        unicast: Bools = self.keys.number(self.key) == UNICAST
        if family is Family.EVPN:
            return np.logical_not(unicast)
        if (family is Family.IPV4_UNICAST) is not (self.width == 4):
            return np.zeros(len(self), np.bool_)
        return unicast

    def take_over(self, other: Rows) -> None:
        """Hold what another has heard, all of it to be judged again."""
        self.key, self.body = other.key.copy(), other.body.copy()
        self.fresh = other.fresh.copy()
        self.verdict = np.full(len(self.key), UNJUDGED, np.uint32)
        self.held_back = np.zeros(len(self.key), np.bool_)
        self.waiting, self.waiting_rows = list(other.waiting), other.waiting_rows


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)


class AdjRibIn:
    """What one peer has said and not taken back."""

    def __init__(self, peer: Peer, number: int, vocabulary: Vocabulary) -> None:
        self.peer = peer
        self.number = number
        self.vocabulary = vocabulary
        self.rows: dict[int, Rows] = {width: Rows(width) for width in WIDTHS}
        self.others: dict[bytes, Heard] = {}
        """Paths that are no prefixes: type 2, and types without effect on forwarding."""
        self.stale = False
        """Something may be stale: set by ``mark_stale``, until all of it has been swept."""

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows.values()) + len(self.others)

    @property
    def waiting(self) -> int:
        """Rows that have come and not been absorbed."""
        return sum(rows.waiting_rows for rows in self.rows.values())

    @property
    def waiting_parts(self) -> int:
        """How many parts they came in; a part costs a thousand octets, however small it is."""
        return sum(len(rows.waiting) for rows in self.rows.values())

    def hear(self, rows: PrefixRows) -> None:
        """Remember announcements and withdrawals until the next ``absorb``."""
        if len(rows):
            held = self.rows[rows.width]
            held.waiting.append(rows)
            held.waiting_rows += len(rows)

    def hear_each(
        self, nlris: Sequence[EvpnPrefix | Unicast], attributes: PathAttributes | None
    ) -> None:
        """The same of single routes, each as it comes; None for withdrawals."""
        words = self.vocabulary
        if attributes is None:
            for _, rows in self.known(nlris):
                self.hear(rows)
            return
        for some in _by_width(nlris):
            numbers, bodies = [], []
            for nlri in some:
                if isinstance(nlri, EvpnPrefix):
                    numbers.append(words.distinguisher(nlri.rd, nlri.etag))
                    bodies.append(words.body(attributes, nlri.esi, nlri.gateway, nlri.vni))
                else:
                    numbers.append(UNICAST)
                    bodies.append(words.body(attributes))
            self.hear(_rows(some, numbers, bodies))

    def known(
        self, nlris: Sequence[EvpnPrefix | Unicast]
    ) -> Iterator[tuple[Sequence[EvpnPrefix | Unicast], PrefixRows]]:
        """Those that may have been said, as withdrawals in columns: of one width at a time. A
        distinguisher that nobody has said stays unknown."""
        words = self.vocabulary
        for every in _by_width(nlris):
            some, numbers = [], []
            for nlri in every:
                number: int | None = UNICAST
                if isinstance(nlri, EvpnPrefix):
                    number = words.known(nlri.rd, nlri.etag)
                if number is not None:
                    some.append(nlri)
                    numbers.append(number)
            if some:
                yield some, _rows(some, numbers, None)

    def mark_stale(self, family: Family | None = None) -> None:
        """All that is held (of one family) is stale until said again: the session has ended, or
        the peer begins to say it anew (RFC 7313 §4)."""
        self.stale = True
        for rows in self.rows.values():
            rows.fresh[rows.of_family(family)] = False
        for heard in self.others.values():
            if family in (None, heard.path.nlri.family):
                heard.stale = True

    @property
    def stale_count(self) -> int:
        """How many Paths have not been said again since the session ended."""
        rows = sum(int((~r.fresh).sum()) for r in self.rows.values())
        return rows + sum(h.stale for h in self.others.values())

    def find(self, nlri: Nlri) -> tuple[Rows, int] | None:
        """Where a prefix stands, as (rows, row)."""
        if not isinstance(nlri, EvpnPrefix | Unicast):
            return None
        number = UNICAST
        if isinstance(nlri, EvpnPrefix):
            known = self.vocabulary.known(nlri.rd, nlri.etag)
            if known is None:
                return None
            number = known
        rows = self.rows[keyed.of(nlri.prefix)]
        wanted = rows.keys.many([rows.keys.one(number, nlri.prefix)])
        place, found = keyed.member(rows.key, wanted)
        return (rows, int(place[0])) if found[0] else None

    def path(self, rows: Rows, row: int) -> Path:
        """The Path of one row."""
        (path,) = self.paths_at(rows, np.array([row]))
        return path

    def paths_at(self, rows: Rows, at: I8) -> Iterator[Path]:
        """The Paths of some rows."""
        key, name, words = rows.key[at], self.peer.name, self.vocabulary
        numbers, bodies = rows.keys.number(key).tolist(), rows.body[at].tolist()
        for number, prefix, body in zip(numbers, rows.keys.prefixes(key), bodies, strict=True):
            yield words.path(name, number, prefix, body)

    def paths(self) -> Iterator[tuple[Rows, int, Path]]:
        """Every prefix as (rows, row, Path)."""
        for rows in self.rows.values():
            every = self.paths_at(rows, np.arange(len(rows)))
            for row, path in enumerate(every):
                yield rows, row, path


def _by_width(nlris: Sequence[EvpnPrefix | Unicast]) -> Iterator[list[EvpnPrefix | Unicast]]:
    for width in WIDTHS:
        if some := [nlri for nlri in nlris if len(nlri.prefix) == width + 1]:
            yield some


def _rows(
    nlris: Sequence[EvpnPrefix | Unicast], numbers: list[int], bodies: list[int] | None
) -> PrefixRows:
    """Announcements with these bodies, or withdrawals."""
    count = len(nlris)
    octets = np.frombuffer(b"".join([n.prefix for n in nlris]), np.uint8).reshape(count, -1)
    return PrefixRows(
        np.full(count, bodies is not None),
        np.array(numbers, np.uint32),
        octets[:, :-1],
        octets[:, -1],
        np.zeros(count, np.uint32) if bodies is None else np.array(bodies, np.uint32),
    )


class HeardPaths(Mapping[bytes, Heard]):
    """All Paths of a peer by NLRI key, each a view that is made when it is asked for."""

    def __init__(self, adj: AdjRibIn, verdicts: VerdictBook) -> None:
        self._adj = adj
        self._verdicts = verdicts

    def __len__(self) -> int:
        return len(self._adj)

    def __iter__(self) -> Iterator[bytes]:
        yield from (path.nlri.key for _, _, path in self._adj.paths())
        yield from self._adj.others

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self._find(key) is not None

    def __getitem__(self, key: bytes) -> Heard:
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        return found

    def _find(self, key: bytes) -> Heard | None:
        if key in self._adj.others:
            return self._adj.others[key]
        nlri = _nlri_of(key)
        place = None if nlri is None else self._adj.find(nlri)
        return None if place is None else self._heard(*place)

    def _heard(self, rows: Rows, row: int) -> Heard:
        places, reason = self._verdicts.of(self._adj, rows, row)
        return Heard(
            self._adj.path(rows, row),
            stale=not bool(rows.fresh[row]),
            places=places,
            reason=reason,
        )

    def sorted_by_key(self) -> Iterable[tuple[bytes, Heard]]:
        """All, in the order of their keys."""
        places = sorted((path.nlri.key, rows, row) for rows, row, path in self._adj.paths())
        found = [(key, self._heard(rows, row)) for key, rows, row in places]
        return sorted([*found, *self._adj.others.items()], key=lambda item: item[0])


class VerdictBook(Protocol):
    """Says what became of a row: rib.py, which holds the verdicts."""

    def of(self, adj: AdjRibIn, rows: Rows, row: int) -> tuple[tuple[str, ...], Reason | None]:
        """(names of the tables that take it, reason if none does)."""


def _nlri_of(key: bytes) -> EvpnPrefix | Unicast | None:
    """The prefix that an NLRI key is of; None for a key of another kind."""
    if len(key) in (5, 17):
        return Unicast(Prefix(key))
    if len(key) in (18, 30) and key[0] == 5:
        rd, etag = RouteDistinguisher(key[1:9]), int.from_bytes(key[9:13], "big")
        return EvpnPrefix(rd, bytes(10), etag, Prefix(key[13:]), None, 0)
    return None
