"""Loc-RIB of one CCSI: what is decided prefix by prefix, and the view of what columns decided.

In: Candidates placed and taken away by rib.py, and the rows of candidates.py. Out: ``routes``
(resolved winners), ``best`` (what may be re-announced) and the reason of every loser. The mass is
decided in columns; here are the prefixes that something else bears on: a declaration, a local
import, a gateway IP that several tables look up, a quarantine, two CCNs that contend. Holds no
sockets and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.bestpath import equals, latest_vms, select, spread, why_not
from ccn_bgp.learn.candidate import Candidate, Source, owner
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.keys import WIDTHS, Array
from ccn_bgp.learn.loc_views import BestView, CandidatesView, RoutesView
from ccn_bgp.learn.multipath import answers
from ccn_bgp.learn.resolve import resolve, through
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Nlri
from ccn_bgp.model.reason import Multipath, Reason, Refused, Unresolved
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.model.topology import IdcRouter

Slot = tuple[str, bytes]
"""Who said it and which NLRI: what a withdrawal takes away."""
_Usable = tuple[Candidate, NextHop]
"""A candidate, and where it leads."""
_NUMBER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Columnar:
    """What all tables of a gateway share: candidates by width, their terms, the vocabulary.

    ``special``: keys (by width) that are never decided in columns. ``dirty``: tables by name that
    have prefixes to decide one by one. ``changed``: those whose routes may not be what they were.
    ``decided``: those in which a prefix was decided.
    ``vms_moved``: (id of a table, address) of VMs that rows lead to and that may have moved.
    ``moved`` is told (by width) of keys that were decided one by one: what fills them may have come
    out of the rows or gone into them.
    """

    rows: Mapping[int, CandidateRows]
    book: TermsBook
    words: Vocabulary
    special: Mapping[int, set[Any]]
    dirty: set[str]
    changed: set[str]
    decided: set[str]
    vms_moved: set[tuple[int, Ip]]
    moved: Callable[[int, Array], None]


class LocRib:
    """The decisions of one CCSI. ``dirty`` are the prefixes to decide again, one by one."""

    def __init__(
        self,
        ccsi: Ccsi,
        taps: dict[str, str],
        next_table: Callable[[NextHop], str],
        columnar: Columnar,
    ) -> None:
        self.ccsi = ccsi
        self.name = ccsi.name
        self.taps = taps
        self.next_table = next_table
        self.columnar = columnar
        self.routers: dict[str, IdcRouter] = {r.name: r for r in ccsi.routers}
        self.fixed: dict[Prefix, dict[Slot, Candidate]] = {}
        """What no peer said: declared prefixes, and imports from other tables of this gateway."""
        self.vms: dict[Ip, dict[Slot, Candidate]] = {}
        self.own_vms: Callable[[Ip], Iterable[Candidate]] = lambda _: ()
        """The VMs of our region at an address; the other ones are in ``vms``."""
        self.dependents: dict[Ip, set[Prefix]] = {}
        self.single: dict[Prefix, tuple[Route, Candidate]] = {}
        """Routes that were decided one by one."""
        self.contenders: dict[Prefix, frozenset[tuple[str, str]]] = {}
        self.refused: dict[tuple[Prefix, Slot], Refused] = {}
        self.dirty: set[Prefix] = set()
        self.decided = 0
        """How often a prefix was decided: who remembers it sees that something was asked again."""
        self.routes: Mapping[Prefix, Route] = RoutesView(self)
        self.best: Mapping[Prefix, Candidate] = BestView(self)
        self.candidates: Mapping[Prefix, dict[Slot, Candidate]] = CandidatesView(self)
        self._gateways: dict[Prefix, frozenset[Ip]] = {}
        self._places: dict[Prefix, tuple[int, int]] = {}
        self._led: dict[tuple[Ip, str], NextHop | Unresolved | None] | None = None
        """Where candidates stand and VMs are, for as long as many prefixes are decided."""
        self._moved: dict[int, list[Any]] = {width: [] for width in WIDTHS}
        """Keys of which ``Columnar.moved`` is to be told."""
        self.stirred: set[Prefix] = set()
        """Quarantined prefixes that were decided: something is held of them that was not."""
        self._quarantined: dict[Prefix, list[Slot]] = {}

    # -- rows ---------------------------------------------------------------------------------

    def key(self, prefix: Prefix) -> Any:
        """The key of a prefix in the rows of its width."""
        return keyed.OF_WIDTH[keyed.of(prefix)].one(self.ccsi.id, prefix)

    def keys(self, prefix: Prefix) -> Array:
        """The same as a column of one."""
        return keyed.OF_WIDTH[keyed.of(prefix)].many([self.key(prefix)])

    def extent(self, width: int) -> tuple[int, int]:
        """(first, behind the last) of this table's candidates in the rows of a width."""
        rows = self.columnar.rows[width]
        numbers = np.array([self.ccsi.id, self.ccsi.id + 1])
        first, behind = np.searchsorted(rows.key, rows.keys.begin(numbers)).tolist()
        return first, behind

    def _place(self, prefix: Prefix) -> tuple[int, int]:
        """(first, behind the last) of the rows of a prefix."""
        found = self._places.get(prefix)
        if found is None:
            first, behind = self.columnar.rows[keyed.of(prefix)].ranges(self.keys(prefix))
            found = int(first[0]), int(behind[0])
        return found

    def _mark(self, prefix: Prefix) -> None:
        """Keep in mind whether a prefix is decided here or in columns."""
        special = self.columnar.special[keyed.of(prefix)]
        if (
            prefix in self.fixed
            or prefix in self.single
            or prefix in self._gateways
            or prefix in self._quarantined
        ):
            special.add(self.key(prefix))
        else:
            special.discard(self.key(prefix))

    def held(self, prefix: Prefix) -> dict[Slot, Candidate]:
        """Every candidate of a prefix."""
        found: dict[Slot, Candidate] = dict(self.fixed.get(prefix, {}))
        rows = self.columnar.rows[keyed.of(prefix)]
        for row in range(*self._place(prefix)):
            candidate = self.of_row(rows, row, prefix)
            found[candidate.path.peer, candidate.key] = candidate
        return found

    def _slot(self, width: int, row: int, prefix: Prefix) -> Slot:
        """The Slot of one row."""
        rows, book = self.columnar.rows[width], self.columnar.book
        number = int(rows.slot[row]) & _NUMBER
        name = book.names[book.terms[int(rows.terms[row])].peer]
        return name, self.columnar.words.key(number, prefix)

    def of_row(self, rows: CandidateRows, row: int, prefix: Prefix) -> Candidate:
        """The Candidate of one row."""
        number = int(rows.slot[row]) & _NUMBER
        return self.columnar.book.candidate(
            self.columnar.words, int(rows.terms[row]), number, prefix
        )

    def chosen(self, prefix: Prefix) -> tuple[Route, Candidate] | None:
        """The route of a prefix and the candidate it is of."""
        if prefix in self.single:
            return self.single[prefix]
        rows = self.columnar.rows[keyed.of(prefix)]
        for row in range(*self._place(prefix)):
            if rows.best[row]:
                return self.route_of_row(rows, row, prefix)
        return None

    def route_of_row(
        self, rows: CandidateRows, row: int, prefix: Prefix
    ) -> tuple[Route, Candidate]:
        """The route of a row that fills its prefix."""
        book, candidate = self.columnar.book, self.of_row(rows, row, prefix)
        answer = book.answers[int(answers(rows, book, np.array([row]))[0])]
        route = Route(
            self.ccsi.name,
            prefix,
            answer.origin,
            answer.next_hop,
            answer.next_table,
            candidate.path,
        )
        return route, candidate

    def each(self) -> Iterator[tuple[Prefix, Route, Candidate]]:
        """All routes of the table, in no particular order."""
        for prefix, (route, candidate) in self.single.items():
            yield prefix, route, candidate
        for width in WIDTHS:
            rows = self.columnar.rows[width]
            first, behind = self.extent(width)
            chosen = first + np.flatnonzero(rows.best[first:behind])
            prefixes = rows.keys.prefixes(rows.key[chosen])
            for row, prefix in zip(chosen.tolist(), prefixes, strict=True):
                yield prefix, *self.route_of_row(rows, row, prefix)

    def ask(self, prefixes: Collection[Prefix]) -> None:
        """Decide these again, one by one, at the next settle."""
        if prefixes:
            self.dirty.update(prefixes)
            self.columnar.dirty.add(self.ccsi.name)

    # -- what is placed here ------------------------------------------------------------------

    def place(self, prefix: Prefix, candidate: Candidate) -> None:
        """Add or replace one candidate that no peer said."""
        slot = (candidate.path.peer, candidate.key)
        held = self.fixed.setdefault(prefix, {})
        if held.get(slot) == candidate:
            return
        held[slot] = candidate
        self._mark(prefix)
        self.ask((prefix,))

    def remove(self, prefix: Prefix, slot: Slot) -> None:
        """Take one such candidate away, if it is there."""
        held = self.fixed.get(prefix)
        if held is None or held.pop(slot, None) is None:
            return
        if not held:
            del self.fixed[prefix]
            self._mark(prefix)
        self.ask((prefix,))

    def _depends(self, prefix: Prefix) -> None:
        """Remember which gateway IPs a prefix waits for, but for those that its rows follow; forget
        those that it no longer does."""
        rows, book = self.columnar.rows[keyed.of(prefix)], self.columnar.book
        first, behind = self._place(prefix)
        terms = rows.terms[first:behind]
        asked = {book.terms[number].gateway for number in terms[book.gateway[terms]].tolist()}
        for candidate in self.fixed.get(prefix, {}).values():
            if isinstance(candidate.path.nlri, EvpnPrefix):
                asked.add(candidate.path.nlri.gateway)
        now = frozenset(ip for ip in asked if ip is not None)
        before = self._gateways.get(prefix, frozenset())
        if now == before:
            return
        for gateway in before - now:
            prefixes = self.dependents[gateway]
            prefixes.discard(prefix)
            if not prefixes:
                del self.dependents[gateway]
        for gateway in now - before:
            self.dependents.setdefault(gateway, set()).add(prefix)
        if now:
            self._gateways[prefix] = now
        else:
            del self._gateways[prefix]

    def decide_again(self, nlri: Nlri) -> None:
        """What ranks a type 2 has changed, not what it says."""
        if isinstance(nlri, EvpnMacIp) and nlri.ip is not None:
            self.resolve_again(nlri.ip)

    def place_vm(self, ip: Ip, candidate: Candidate) -> None:
        """Add or replace a type 2; what resolves through the address is decided again."""
        self.vms.setdefault(ip, {})[(candidate.path.peer, candidate.key)] = candidate
        self.resolve_again(ip)

    def remove_vm(self, ip: Ip, slot: Slot) -> None:
        """Take a type 2 away."""
        held = self.vms.get(ip, {})
        if held.pop(slot, None) is not None:
            if not held:
                del self.vms[ip]
            self.resolve_again(ip)

    def resolve_again(self, ip: Ip) -> None:
        """The VM at an address is another one, or may be."""
        self.ask(self.dependents.get(ip, ()))
        if (self.ccsi.id, ip) in self.columnar.book.waiting:
            self.columnar.vms_moved.add((self.ccsi.id, ip))

    def find_vm(self, ip: Ip, origin: str) -> NextHop | Unresolved | None:
        """Where the VM at an address is, by the chosen type 2 (several, if they are as good) in the
        CCN of a path's origin: a share may bring the same address of two CCNs here."""
        ccn = owner(origin)
        if self._led is None:
            return self._find_vm(ip, ccn)
        if (ip, ccn) not in self._led:
            self._led[ip, ccn] = self._find_vm(ip, ccn)
        return self._led[ip, ccn]

    def _find_vm(self, ip: Ip, ccn: str) -> NextHop | Unresolved | None:
        every = (*self.vms.get(ip, {}).values(), *self.own_vms(ip))
        held = [c for c in every if owner(c.origin) == ccn]
        if not held:
            return None
        latest = latest_vms(held)
        first = through(select(latest), self.ccsi.underlay)
        if self.ccsi.multipath < 2 or isinstance(first, Unresolved):
            return first
        hops = ((c, through(c, self.ccsi.underlay)) for c in latest)
        return self._shared([(c, hop) for c, hop in hops if isinstance(hop, NextHop)])[0]

    def accused(self, prefix: Prefix, peer: str, sides: Collection[str] = ()) -> list[Slot]:
        """Which of the paths of a peer a finding is about: a reflector says the good and the bad.

        Without ``sides`` it is the row; with them, the tables that both claim the prefix, it is
        what comes from another CCN, and the row only where its rival is the CCN's own.
        """
        first, behind = self._place(prefix)
        if behind - first == 1 and prefix not in self.fixed:
            only = self._slot(keyed.of(prefix), first, prefix)
            return [only] if only[0] == peer else []
        held = {s: c for s, c in self.held(prefix).items() if s[0] == peer}
        best = self.best.get(prefix)
        row = (best.path.peer, best.key) if best is not None else None
        if not sides:
            return [row] if row is not None and row in held else sorted(held)
        own = self.ccsi.ccn
        found = [s for s, c in held.items() if c.origin in sides and owner(c.origin) != own]
        if all(owner(side) != own for side in sides):
            found = [s for s in found if s != row]
        return sorted(found or held)

    def refuse(self, prefix: Prefix, slot: Slot, refused: Refused) -> None:
        """Quarantine one path of a prefix."""
        self.refused[prefix, slot] = refused
        self._quarantined.setdefault(prefix, []).append(slot)
        self._mark(prefix)
        self.ask((prefix,))

    def release(self, some: Collection[Prefix] | None = None) -> None:
        """End every quarantine, or that of some prefixes; the next check decides anew."""
        released = [*self._quarantined] if some is None else sorted(some)
        for prefix in released:
            for slot in self._quarantined.pop(prefix):
                del self.refused[prefix, slot]
            self._mark(prefix)
        self.ask(released)

    def answer(self, candidate: Candidate) -> NextHop | Unresolved:
        """What a packet would do by this candidate."""
        peer = candidate.path.peer
        tap = self.taps.get(peer, "")
        router = self.routers.get(peer)
        return resolve(candidate, self.find_vm, router, tap, self.ccsi.underlay)

    def decide_each(self, prefixes: Iterable[Prefix]) -> Iterator[Prefix]:
        """Choose and resolve these again, in order; each is given back when it is decided. No row
        and no VM may change meanwhile."""
        ordered = sorted(prefixes, key=lambda p: (len(p), p))
        self._led = {}
        try:
            with self.located(ordered):
                for prefix in ordered:
                    self.decide(prefix)
                    yield prefix
        finally:
            self._led = None
            for width, moved in self._moved.items():
                if moved:
                    self.columnar.moved(width, self.columnar.rows[width].keys.many(moved))
                    moved.clear()

    @contextmanager
    def located(self, prefixes: Collection[Prefix]) -> Iterator[None]:
        """Look up together where the candidates of many prefixes stand. No row may change."""
        for width in WIDTHS if len(prefixes) > 1 else ():
            some = [p for p in prefixes if len(p) == width + 1]
            octets = np.frombuffer(b"".join(some), np.uint8).reshape(len(some), width + 1)
            rows = self.columnar.rows[width]
            keys = rows.keys.make(np.array([self.ccsi.id]), octets[:, :-1], octets[:, -1])
            first, behind = (column.tolist() for column in rows.ranges(keys))
            self._places.update(zip(some, zip(first, behind, strict=True), strict=True))
        try:
            yield
        finally:
            self._places = {}

    def decide(self, prefix: Prefix) -> None:
        """Choose and resolve one prefix again."""
        self.decided += 1
        self.columnar.decided.add(self.ccsi.name)
        if prefix in self._quarantined:
            self.stirred.add(prefix)
        held, before = self.held(prefix), self.chosen(prefix)
        self._depends(prefix)
        usable = self._usable(prefix, held)
        chosen, sharing = None, list[Candidate]()
        if usable:
            next_hop, sharing = self._shared(usable)
            best = sharing[0]
            chosen = (
                Route(
                    table=self.ccsi.name,
                    prefix=prefix,
                    origin=best.origin,
                    next_hop=next_hop,
                    next_table=self.next_table(next_hop),
                    path=best.path,
                ),
                best,
            )
        if (before and before[0]) != (chosen and chosen[0]):
            self.columnar.changed.add(self.ccsi.name)
        self._contend(prefix, chosen and chosen[1], [c for c, _ in usable])
        self._fill(prefix, chosen, sharing)

    def _usable(self, prefix: Prefix, held: Mapping[Slot, Candidate]) -> list[_Usable]:
        """The candidates that are not refused and lead somewhere."""
        found: list[_Usable] = []
        for slot, candidate in held.items():
            if self.refused and (prefix, slot) in self.refused:
                continue
            answer = self.answer(candidate)
            if isinstance(answer, NextHop):
                found.append((candidate, answer))
        return found

    def _shared(self, usable: Sequence[_Usable]) -> tuple[NextHop, list[Candidate]]:
        """The next hop of at least one candidate, and the candidates that it is made of, best
        first."""
        hops = {id(candidate): hop for candidate, hop in usable}
        sharing = equals([c for c, _ in usable], self.ccsi.multipath, lambda c: hops[id(c)])
        offers = [(hops[id(c)], c.path.attributes.link_bandwidth) for c in sharing]
        return spread(offers), sharing

    def _fill(
        self,
        prefix: Prefix,
        chosen: tuple[Route, Candidate] | None,
        sharing: Sequence[Candidate],
    ) -> None:
        """Keep the route here, or leave it to its row where nothing but rows bears on it."""
        rows = self.columnar.rows[keyed.of(prefix)]
        first, behind = self._place(prefix)
        filled = rows.best[first:behind].any()
        self.single.pop(prefix, None)
        mine: list[int] = []
        alone = prefix not in self.fixed and prefix not in self._gateways
        if alone and prefix not in self._quarantined and prefix not in self.contenders:
            slots = {self.of_row(rows, row, prefix).slot: row for row in range(first, behind)}
            mine = [slots[candidate.slot] for candidate in sharing]
        elif chosen is not None:
            self.single[prefix] = chosen
        if filled or mine:
            self._moved[rows.width].append(self.key(prefix))
            rows.fill(first, behind, np.array(mine, np.int64), self.columnar.book)
        self._mark(prefix)

    def _contend(self, prefix: Prefix, best: Candidate | None, usable: Sequence[Candidate]) -> None:
        """Keep losers that began in another CCN: `ambiguous-owner` is found from them."""
        others: frozenset[tuple[str, str]] = frozenset()
        if best is not None and len(usable) > 1:
            own = owner(best.origin)
            others = frozenset((c.origin, c.path.peer) for c in usable if owner(c.origin) != own)
        if others != self.contenders.get(prefix, frozenset()):
            self.columnar.changed.add(self.ccsi.name)
        if others:
            self.contenders[prefix] = others
        else:
            self.contenders.pop(prefix, None)

    def reason(self, prefix: Prefix, candidate: Candidate) -> Reason | None:
        """Why a candidate is not the row (or not alone), or None if it is."""
        if refused := self.refused.get((prefix, (candidate.path.peer, candidate.key))):
            return refused
        answer = self.answer(candidate)
        if isinstance(answer, Unresolved):
            return answer
        best = self.best.get(prefix)
        if best is None or best == candidate:
            return None
        usable = self._usable(prefix, self.held(prefix))
        if candidate in self._shared(usable)[1]:
            return Multipath()
        return why_not(candidate, [c for c, _ in usable])

    def declared(self, prefix: Prefix) -> Candidate | None:
        """The declared candidate that is announced whatever else is heard; blackholes are not."""
        for candidate in self.fixed.get(prefix, {}).values():
            dropped = candidate.fixed is not None and candidate.fixed.kind is Kind.DROP
            if candidate.source is Source.DECLARED and not dropped:
                return candidate
        return None

    def exportable(self, prefix: Prefix) -> Candidate | None:
        """The winner, if this CCSI may say it on: its own, an IDC's, or anything if it re-exports
        (but never what another gateway said)."""
        chosen = self.chosen(prefix)
        if chosen is None or chosen[0].next_hop.kind is Kind.DROP:
            return None
        best = chosen[1]
        if best.source in (Source.DECLARED, Source.IDC):
            return best
        if best.source is Source.LOCAL_IMPORT and self.ccsi.reexport:
            return best
        return None
