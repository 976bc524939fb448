"""Rows judged by thousands. In: rows of an Adj-RIB-In. Out: numbers of Verdicts, written into them.

Rows of one peer that say the same (one body) and whose prefixes no set tells apart (one class) are
judged by one of them, as judging.py judges a Path; bodies whose attributes no policy tells apart by
one of those (alike.py). A row that a claim may bear on is judged by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import AdjRibIn, Rows, Verdict
from ccn_bgp.learn.alike import Looks, Member, families, terms_of, terms_of_site
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.judging import Judge
from ccn_bgp.learn.keys import I8, U1, U4, Array, Bools
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.resolve import resolve
from ccn_bgp.learn.row_takers import REMOTE, RowClaim, Takers
from ccn_bgp.learn.several import Several
from ccn_bgp.learn.terms import Terms, TermsBook
from ccn_bgp.learn.verdict_book import SEVERAL, VerdictBook
from ccn_bgp.model.bgp import Ip, RouteTarget
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnPrefix, Path, changed
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.rows import NO_ESI, UNICAST, PathBody

KINDS = 2_000_000
"""Verdicts on kinds of rows that are remembered."""
_CLASS = np.uint64(32)
_BY = 1 << 32
"""A verdict that is remembered is ``by * _BY + verdict``."""


class RowPolicy(Protocol):
    """Which rows a peer's import policy cannot tell apart."""

    def __call__(self, peer: Peer, address: U1, length: U1) -> U4:
        """A class for each row."""

    def blind(self, peer: Peer) -> bool:
        """Whether it asks for no prefix: all are of one class."""

    def looks(self, peer: Peer) -> Looks | None:
        """What it looks at of attributes; None: that cannot be told, each set is asked for."""


class _Said(NamedTuple):
    """Rows to be judged: which of the bodies each run has, how long it is; by row address and
    length."""

    which: I8
    size: I8
    address: U1
    length: U1


class _Kinds(NamedTuple):
    """Kinds of rows, each once: body, class of prefixes, pattern of tables, the number of the
    Taker, and a row of that kind; arrays of one length."""

    body: I8
    class_: U4
    pattern: I8
    taker: I8
    row: I8

    def at(self, numbers: I8) -> _Kinds:
        """Some of them."""
        return _Kinds(
            self.body[numbers],
            self.class_[numbers],
            self.pattern[numbers],
            self.taker[numbers],
            self.row[numbers],
        )


class _Family(NamedTuple):
    """Kinds of which one stands for all, the body of each, and the fields of attributes that policy
    may change."""

    kinds: _Kinds
    bodies: Sequence[PathBody]
    fields: tuple[str, ...]


class _Known(NamedTuple):
    """The verdict on a kind of row, and which word of policy was the last on it."""

    verdict: int
    by: Hashable


class RowJudge:
    """Verdicts by number, and rows judged by them."""

    def __init__(
        self,
        judge: Judge,
        book: TermsBook,
        speakers: Sequence[Speaks],
        row_policy: RowPolicy | None,
        row_claim: RowClaim | None,
    ) -> None:
        self.judge = judge
        self.book = book
        self.speakers = speakers
        self.row_policy = row_policy
        self.row_claim = row_claim
        self.held = VerdictBook()
        self._takers = Takers(judge)
        self._known: dict[tuple[int, int, int, int], dict[int, int]] = {}
        """By peer, width, class (of a width) and pattern, and by body (which may be of both)."""
        self._by: list[Hashable] = [None]
        self._by_number: dict[Hashable, int] = {None: 0}
        self._leads: dict[tuple[object, ...], NextHop | None] = {}

    @property
    def verdicts(self) -> list[Verdict]:
        """All that rows may refer to, by number."""
        return self.held.verdicts

    def forget(self) -> None:
        """The numbers of bodies are given out anew."""
        self._known.clear()
        self._by = [None]
        self._by_number = {None: 0}
        self._takers.forget()

    def keep(self, live: I8) -> I8:
        """Forget all verdicts but these (numbers, ascending); returns new numbers by old ones."""
        self.forget()
        return self.held.keep(live)

    def renumber_terms(self, renumbered: I8) -> None:
        """Terms have new numbers, by old ones."""
        self.forget()
        self.held.renumber_terms(renumbered)

    def verdict(
        self, adj: AdjRibIn, path: Path, unclaimed: LocRib | None = None
    ) -> tuple[_Known, Finding | None]:
        """Judge one path; ``unclaimed``: the one table that takes it, if no claim bears on it."""
        if unclaimed is not None:
            judged = self.judge.judge_unclaimed(adj.peer, path, unclaimed)
        else:
            judged = self.judge.judge(adj.peer, path)
        terms = -1
        if judged.attributes is not None:
            terms = self._terms_of(adj, path._replace(attributes=judged.attributes), judged.takers)
        each = tuple(
            self._terms_of(adj, path._replace(attributes=attributes), judged.takers)
            for attributes in judged.each
        )
        ids = tuple(table.ccsi.id for table in judged.takers)
        verdict = Verdict(judged.reason, ids, terms, judged.finding is not None, each)
        return _Known(self.held.number(verdict), judged.by), judged.finding

    def _terms_of(self, adj: AdjRibIn, path: Path, takers: Sequence[LocRib]) -> int:
        """The Terms of an accepted path."""
        nlri, idc = path.nlri, adj.peer.role == "idc"
        origin = takers[0].ccsi.name if idc else self.judge.origins.of(path)
        source = Source.IDC if idc else Source.REMOTE
        esi, gateway, vni, table = NO_ESI, None, 0, 0
        if isinstance(nlri, EvpnPrefix):
            esi, gateway, vni = nlri.esi, nlri.gateway, nlri.vni
        answer: NextHop | None = None
        if gateway is None:
            attributes = path.attributes
            leads = (adj.number, esi, vni, attributes.next_hop, attributes.router_mac)
            if leads not in self._leads:
                if len(self._leads) > 100_000:
                    self._leads.clear()  # a peer may invent next hops for ever
                self._leads[leads] = self._led(adj, path, source, origin, takers[0])
            answer = self._leads[leads]
        elif len(takers) == 1:
            table = takers[0].ccsi.id
            found = takers[0].find_vm(gateway, origin)
            answer = found if isinstance(found, NextHop) else None
        terms = Terms(adj.number, path.attributes, esi, gateway, vni, source, origin, answer, table)
        return self.book.number(terms)

    def follow(self, table: LocRib, ip: Ip) -> list[int]:
        """The VM of an address is another one: the Terms of this table that lead elsewhere now."""
        found = []
        for number in self.book.waiting.get((table.ccsi.id, ip), ()):
            hop = table.find_vm(ip, self.book.terms[number].origin)
            if self.book.follow(number, hop if isinstance(hop, NextHop) else None):
                found.append(number)
        return found

    def _led(
        self, adj: AdjRibIn, path: Path, source: Source, origin: str, table: LocRib
    ) -> NextHop | None:
        """Where a path without a gateway IP leads."""
        name = adj.peer.name
        candidate = Candidate(path, b"", source, self.speakers[adj.number], origin)
        found = resolve(
            candidate,
            table.find_vm,
            table.routers.get(name),
            table.taps.get(name, ""),
            table.ccsi.underlay,
        )
        return found if isinstance(found, NextHop) else None

    # -- rows -----------------------------------------------------------------------------------

    def rows(
        self, adj: AdjRibIn, rows: Rows, at: I8, accuse: Callable[[Path, Finding], None]
    ) -> U4:
        """Judge the rows ``at`` of a peer and write their verdicts into them; returns those."""
        key, peer = keyed.taken(rows.key, at), adj.peer
        # What one peer says in a row mostly has one body: most of this is done once for a run.
        begin, count = keyed.runs(body := keyed.taken(rows.body, at))
        bodies, which = keyed.numbered(body[begin], len(adj.vocabulary.bodies))
        address, length = rows.keys.address(key), rows.keys.length(key)
        takers = self._takers.of(adj, bodies, self.row_claim)
        said = _Said(which, count, address, length)
        alone, pattern = self._suspects(adj, takers, said)
        classes = np.zeros(len(at), np.uint32)
        if self.row_policy is not None and not self.row_policy.blind(peer):
            classes = self.row_policy(peer, address, length)
        together, single = begin, np.flatnonzero(alone)
        if len(single) or classes.any() or pattern.any():
            which, count = np.repeat(which, count), np.ones(len(at), np.int64)
            together = np.flatnonzero(~alone)
            which, count = which[together], count[together]
        classes, pattern = classes[together], pattern[together]
        verdicts = np.zeros(len(at), np.uint32)
        if len(together):
            first, kind = _kinds(which, len(bodies), classes, pattern)
            of_kind = which[first]
            kinds = _Kinds(
                bodies[of_kind],
                classes[first],
                pattern[first],
                takers[of_kind],
                at[together[first]],
            )
            found, by = np.divmod(self._judged(adj, rows, kinds), _BY)[::-1]
            if by.any():
                counts = np.bincount(by[kind], weights=count)
                self._count(adj, rows, kinds.row, by, counts)
            if together is begin:
                verdicts = np.repeat(found[kind].astype(np.uint32), count)
            else:
                verdicts[together] = found[kind]
        for row, path in zip(single.tolist(), adj.paths_at(rows, at[single]), strict=True):
            judged, finding = self.verdict(adj, path)
            verdicts[row] = judged.verdict
            self.judge.hits.add(peer.name, judged.by, 1, path.nlri)
            if finding is not None:
                accuse(path, finding)
        keyed.put(rows.verdict, at, verdicts)
        return verdicts

    def _count(self, adj: AdjRibIn, rows: Rows, row: I8, by: I8, counts: Array) -> None:
        """Count the words of policy that were the last on some rows: ``by`` the number of the word
        on each kind, ``row`` one of that kind; ``counts``: how many rows, by number of the word."""
        words, behind = np.unique(by[::-1], return_index=True)
        order = np.argsort(-behind)
        order = order[words[order] > 0]
        words, last = words[order], row[::-1][behind[order]]
        for word, path in zip(words.tolist(), adj.paths_at(rows, last), strict=True):
            self.judge.hits.add(adj.peer.name, self._by[word], int(counts[word]), path.nlri)

    def _judged(self, adj: AdjRibIn, rows: Rows, kinds: _Kinds) -> I8:
        """The verdict on each of some kinds of rows, found out now or known from before, as
        ``_known`` holds it."""
        if sum(map(len, self._known.values())) > KINDS:
            self._known.clear()
        groups = _groups(kinds.class_, kinds.pattern)
        judged = np.empty(len(kinds.body), np.int64)
        for class_, pattern, at in groups:
            known = self._known.setdefault((adj.number, rows.width, class_, pattern), {})
            bodies: list[int] = kinds.body[at].tolist()
            found = list(map(known.get, bodies))
            if None in found:
                fresh = np.array([verdict is None for verdict in found])
                self._judge(adj, rows, kinds.at(at[fresh]), known)
            judged[at] = [known[body] for body in bodies]
        return judged

    def _judge(self, adj: AdjRibIn, rows: Rows, kinds: _Kinds, known: dict[int, int]) -> None:
        """Judge kinds of rows of one class and pattern, each of another body."""
        left = list(range(len(kinds.body)))
        numbers: list[int] = kinds.body.tolist()
        looks = None
        if self.row_policy is not None and len(numbers) > 1:
            looks = self.row_policy.looks(adj.peer)
        if looks is not None:
            members, tunnel = self._members(adj, rows, kinds), adj.peer.router is None
            for family in families(members, looks, adj.peer.local_asn, tunnel=tunnel):
                if len(family) > 1:
                    at = np.array([number for number, _ in family], np.int64)
                    some = _Family(kinds.at(at), [body for _, body in family], looks.fields)
                    known.update(self._judge_family(adj, rows, some))
            left = [n for n in left if numbers[n] not in known]
        paths = adj.paths_at(rows, kinds.row[left])
        takers = self._takers.takers
        for number, path in zip(left, paths, strict=True):
            judged, _ = self.verdict(adj, path, takers[kinds.taker[number]].table)
            known[numbers[number]] = self._word(judged.by) * _BY + judged.verdict

    def _word(self, by: Hashable) -> int:
        """The number of a word of policy."""
        found = self._by_number.get(by)
        if found is None:
            found = self._by_number[by] = len(self._by)
            self._by.append(by)
        return found

    def _members(self, adj: AdjRibIn, rows: Rows, kinds: _Kinds) -> list[Member]:
        """The kinds that may be of a family: one table takes them, and what they say is of the kind
        that most peers say."""
        bodies = adj.vocabulary.bodies
        unicast = rows.keys.number(rows.key[kinds.row]) == UNICAST
        idc = adj.peer.router is not None
        if not idc and adj.peer.role not in REMOTE:
            return []
        some = np.flatnonzero(self._takers.one(kinds.taker) & (unicast == idc))
        numbers = kinds.body[some].tolist()
        said = zip(some.tolist(), [bodies[number] for number in numbers], strict=True)
        return [m for m in said if m[1].gateway is None and idc is (m[1].vni == 0)]

    def _judge_family(self, adj: AdjRibIn, rows: Rows, family: _Family) -> dict[int, int]:
        """Judge kinds that differ in nothing that anybody looks at by the first of them, if that is
        not barred: what is known of each body then."""
        peer, kinds = adj.peer, family.kinds
        path = adj.path(rows, int(kinds.row[0]))
        if self.judge.barred(peer, path) is not None:
            return {}
        permitted = self.judge.permitted(peer, path)
        if isinstance(permitted, Denied):
            found = [self.held.number(Verdict(permitted))] * len(family.bodies)
            word = self._word(permitted)
        else:
            said, made = path.attributes, permitted.attributes
            now = {name: getattr(made, name) for name in family.fields}
            fields = {name: v for name, v in now.items() if v != getattr(said, name)}
            if changed(said, **fields) != made:
                return {}  # not policy alone has changed it: the peer is drained
            found = self._accepted(adj, path, family, fields, permitted.targets)
            word = self._word(permitted.by)
        words = [word * _BY + verdict for verdict in found]
        return dict(zip(kinds.body.tolist(), words, strict=True))

    def _accepted(
        self,
        adj: AdjRibIn,
        first: Path,
        family: _Family,
        fields: Mapping[str, Any],
        targets: frozenset[RouteTarget],
    ) -> list[int]:
        """The verdicts on a family that is accepted, with these ``fields`` and route targets from
        policy; ``first``: a path of its first kind."""
        takers = [self._takers.takers[number] for number in family.kinds.taker.tolist()]
        tables = [taker.table for taker in takers if taker.table is not None]
        said = [body.attributes for body in family.bodies]
        sets = self.judge.made(adj.peer, said, fields, targets, tables[0])
        path = first._replace(attributes=sets[0])
        if adj.peer.router is not None:
            name = tables[0].ccsi.name
            hop = self._led(adj, path, Source.IDC, name, tables[0])
            terms = terms_of_site(adj.number, sets, hop, name)
        else:
            hop = self._led(adj, path, Source.REMOTE, "", tables[0])
            terms = terms_of(adj.number, family.bodies, sets, hop, self.judge.origins)
        return self.held.numbers([t.ccsi.id for t in tables], self.book.numbers(terms))

    def _suspects(self, adj: AdjRibIn, takers: I8, said: _Said) -> tuple[Bools, I8]:
        """Which rows are to be judged one by one; and for those that more than one table may take
        the number of the pattern of tables that do. ``takers``: of each body."""
        pattern = np.zeros(len(said.length), np.int64)
        if self.row_claim is None or (adj.peer.router is not None and self.row_policy is None):
            return np.ones(len(said.length), np.bool_), pattern
        suspects = self.row_claim.suspects
        ccn, region = self._takers.ccn(takers), self._takers.region(takers)
        of_row = np.repeat(ccn[said.which], said.size)
        of_next_hop = np.repeat(region[said.which], said.size)
        if len(ccn) and ccn.min() > SEVERAL:
            return suspects(adj.peer, of_row, of_next_hop, said.address, said.length), pattern
        found = np.zeros(len(said.length), np.bool_)
        ask = np.flatnonzero(of_row > SEVERAL)
        if len(ask):
            found[ask] = suspects(
                adj.peer,
                of_row[ask],
                of_next_hop[ask],
                said.address[ask],
                said.length[ask],
            )
        alike: dict[tuple[Several, int], list[int]] = {}
        for number in np.unique(takers[ccn == SEVERAL]).tolist():
            taker = self._takers.takers[number]
            if taker.several is not None:
                alike.setdefault((taker.several, taker.region), []).append(number)
        for (several, there), numbers in alike.items():
            mine = np.isin(takers, numbers)
            some = np.flatnonzero(np.repeat(mine[said.which], said.size))
            pattern[some], found[some] = several.judge(
                suspects, adj.peer, there, said.address[some], said.length[some]
            )
        return found, pattern


def _groups(classes: U4, patterns: I8) -> list[tuple[int, int, I8]]:
    """Rows by class and pattern: those two, and which rows."""
    if not classes.any() and not patterns.any():
        return [(0, 0, np.arange(len(classes)))]
    order = np.lexsort((patterns, classes))
    ordered: list[Array] = [classes[order], patterns[order]]
    new = np.ones(len(order), np.bool_)
    new[1:] = (ordered[0][1:] != ordered[0][:-1]) | (ordered[1][1:] != ordered[1][:-1])
    begin = np.flatnonzero(new)
    parts = np.split(order, begin[1:])
    found = zip(ordered[0][begin].tolist(), ordered[1][begin].tolist(), parts, strict=True)
    return [(class_, pattern, np.sort(part)) for class_, pattern, part in found]


def _kinds(which: I8, count: int, classes: U4, pattern: I8) -> tuple[I8, I8]:
    """Rows of one kind say the same (``which`` of ``count`` bodies) of prefixes that policy cannot
    tell apart, to the same tables: one row of each kind, and for each row which kind it is."""
    for finer in (classes, pattern):
        if finer.any():
            pairs = which.astype(np.uint64) << _CLASS | finer.astype(np.uint64)
            known, which = np.unique(pairs, return_inverse=True)
            count = len(known)
    kinds, kind = keyed.numbered(which, count)
    first = np.empty(len(kinds), np.int64)
    first[kind[::-1]] = np.arange(len(kind))[::-1]
    return first, kind
