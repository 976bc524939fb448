"""Rows judged by thousands. In: rows of an Adj-RIB-In. Out: numbers of Verdicts, written into them.

Rows of one peer that say the same (one body) and whose prefixes no set tells apart (one class) are
judged by one of them, as judging.py judges a Path; a row that a claim may bear on is judged by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import AdjRibIn, Rows, Verdict
from ccn_bgp.learn.alike import families, terms_of
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.growing import Growing
from ccn_bgp.learn.importing import Import
from ccn_bgp.learn.judging import Judge
from ccn_bgp.learn.keys import I8, U1, U4, Bools
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.resolve import resolve
from ccn_bgp.learn.several import Several
from ccn_bgp.learn.terms import Terms, TermsBook
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import (
    EvpnPrefix,
    Path,
)
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.rows import NO_ESI, PathBody, new_numbers

NOBODY, SEVERAL = -3, -2
"""In the place of a table: none; several, or one that takes only what a share covers."""
KINDS = 2_000_000
"""Verdicts on kinds of rows that are remembered."""
_REMOTE = ("gateway", "reflector")
"""Roles of peers whose routes are taken by route target."""
_CLASS = np.uint64(32)


_FACTS = np.dtype([("table", np.int64), ("terms", np.int64), ("accused", np.bool_)])


class RowPolicy(Protocol):
    """Which rows a peer's import policy cannot tell apart."""

    def __call__(self, peer: Peer, address: U1, length: U1) -> U4:
        """A class for each row."""

    def blind(self, peer: Peer) -> bool:
        """Whether it makes the same of attributes that differ in their route targets alone."""


class RowClaim(Protocol):
    """Which rows a Claim says something of (table/verify/claims_rows.py)."""

    def ccn(self, table: str) -> int:
        """The number of the CCN of a table."""

    def region(self, next_hop: Ip | None) -> int:
        """The number of the region of the gateway with this VTEP."""

    def suspects(
        self, peer: Peer, ccns: I8 | int, regions: I8 | int, address: U1, length: U1
    ) -> Bools:
        """True for rows that a Claim says something of."""


class _Said(NamedTuple):
    """Rows to be judged: which of the bodies each run has, how long it is; by row address and
    length."""

    which: I8
    size: I8
    address: U1
    length: U1


class _Taker(NamedTuple):
    """The one table that takes paths with a body, if there is one; the number of its CCN (or
    SEVERAL, NOBODY) and of the region of their next hop, as RowClaim numbers them."""

    table: LocRib | None
    ccn: int
    region: int
    several: Several | None = None


class _Asked(NamedTuple):
    """A kind of row: body, class of prefixes and pattern of tables; the one table that takes it, if
    there is one; and a row of that kind."""

    body: int
    class_: int
    pattern: int
    table: LocRib | None
    row: int


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
        self.verdicts: list[Verdict] = []
        self._number: dict[Verdict, int] = {}
        self._facts = Growing(_FACTS)
        self._known: dict[tuple[int, int, int, int], _Known] = {}
        self._several: dict[tuple[Import, ...], Several] = {}
        self._leads: dict[tuple[object, ...], NextHop | None] = {}
        self._taker: dict[tuple[int, int], _Taker] = {}

    @property
    def accused(self) -> Bools:
        """By number of a verdict: whether there is a Finding on its row."""
        return self._facts["accused"]

    @property
    def accepted(self) -> Bools:
        """By number of a verdict: whether policy and claims let it pass."""
        found: Bools = self._facts["terms"] >= 0
        return found

    def forget(self) -> None:
        """The numbers of bodies are given out anew."""
        self._known.clear()
        self._taker.clear()
        self._several.clear()

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
        self.forget()
        self.verdicts = []
        self._number = {}
        self._facts = Growing(_FACTS)
        for verdict in verdicts:
            self._numbered(verdict)

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
        return _Known(self._numbered(verdict), judged.by), judged.finding

    def _numbered(self, verdict: Verdict) -> int:
        found = self._number.get(verdict)
        if found is None:
            found = self._number[verdict] = len(self.verdicts)
            self.verdicts.append(verdict)
            tables = verdict.tables
            table = -1 if not tables else tables[0] if len(tables) == 1 else SEVERAL
            self._facts.add(table, verdict.terms, verdict.accused)
        return found

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
        found = resolve(candidate, table.find_vm, table.routers.get(name), table.taps.get(name, ""))
        return found if isinstance(found, NextHop) else None

    # -- rows -----------------------------------------------------------------------------------

    def rows(
        self, adj: AdjRibIn, rows: Rows, at: I8, accuse: Callable[[Path, Finding], None]
    ) -> None:
        """Judge the rows ``at`` of a peer and write their verdicts into them."""
        key, peer = keyed.taken(rows.key, at), adj.peer
        # What one peer says in a row mostly has one body: most of this is done once for a run.
        begin, count = keyed.runs(body := keyed.taken(rows.body, at))
        bodies, which = keyed.numbered(body[begin], len(adj.vocabulary.bodies))
        address, length = rows.keys.address(key), rows.keys.length(key)
        takers = [self._take(adj, number) for number in bodies.tolist()]
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
            asked = [
                _Asked(body, class_, number, takers[said].table, row)
                for said, body, row, class_, number in zip(
                    which[first].tolist(),
                    bodies[which[first]].tolist(),
                    at[together[first]].tolist(),
                    classes[first].tolist(),
                    pattern[first].tolist(),
                    strict=True,
                )
            ]
            known = self._judged(adj, rows, asked)
            found = np.array([verdict for verdict, _ in known], np.uint32)
            heard = [number for number, (_, by) in enumerate(known) if by is not None]
            if heard:
                counts = np.bincount(kind, weights=count, minlength=len(first))
                some = adj.paths_at(rows, np.array([asked[number].row for number in heard]))
                for number, path in zip(heard, some, strict=True):
                    self.judge.hits.add(peer.name, known[number].by, int(counts[number]), path.nlri)
            if together is begin:
                verdicts = np.repeat(found[kind], count)
            else:
                verdicts[together] = found[kind]
        for row, path in zip(single.tolist(), adj.paths_at(rows, at[single]), strict=True):
            judged, finding = self.verdict(adj, path)
            verdicts[row] = judged.verdict
            self.judge.hits.add(peer.name, judged.by, 1, path.nlri)
            if finding is not None:
                accuse(path, finding)
        rows.verdict[at] = verdicts

    def _judged(self, adj: AdjRibIn, rows: Rows, asked: Sequence[_Asked]) -> list[_Known]:
        """The verdict on each of some kinds of rows, found out now or known from before."""
        keys = [(adj.number, *kind[:3]) for kind in asked]
        known = self._known
        left = [number for number, key in enumerate(keys) if key not in known]
        if left and len(known) > KINDS:
            known.clear()
            left = list(range(len(keys)))
        if left:
            peer, bodies = adj.peer, adj.vocabulary.bodies
            if self.row_policy is not None and peer.role in _REMOTE and self.row_policy.blind(peer):
                plain = []
                for number in left:
                    kind = asked[number]
                    body = bodies[kind.body]
                    if kind.table is not None and body.vni and body.gateway is None:
                        plain.append((number, body))
                for family in families(plain):
                    self._judge_family(adj, [(asked[n], body) for n, body in family])
                left = [number for number in left if keys[number] not in known]
            paths = adj.paths_at(rows, np.array([asked[number].row for number in left], np.int64))
            for number, path in zip(left, paths, strict=True):
                known[keys[number]], _ = self.verdict(adj, path, asked[number].table)
        return [known[key] for key in keys]

    def _judge_family(self, adj: AdjRibIn, family: Sequence[tuple[_Asked, PathBody]]) -> None:
        """Judge kinds that differ in their targets, tables and VNIs alone, if there are several and
        they are accepted as they are."""
        (first, said), *others = family
        if not others:
            return
        assert first.table is not None
        path = adj.vocabulary.path(adj.peer.name, 1, _ANY, first.body)
        judged = self.judge.judge_unclaimed(adj.peer, path, first.table)
        if judged.attributes is not said.attributes or judged.by is not None:
            return
        hop = self._led(adj, path, Source.REMOTE, "", first.table)
        terms = terms_of(adj.number, [body for _, body in family], hop, self.judge.origins)
        for (kind, _), number in zip(family, self.book.numbers(terms), strict=True):
            assert kind.table is not None
            verdict = Verdict(None, (kind.table.ccsi.id,), number)
            key = (adj.number, *kind[:3])
            self._known[key] = _Known(self._numbered(verdict), None)

    def _suspects(self, adj: AdjRibIn, takers: Sequence[_Taker], said: _Said) -> tuple[Bools, I8]:
        """Which rows are to be judged one by one; and for those that more than one table may take
        the number of the pattern of tables that do."""
        pattern = np.zeros(len(said.length), np.int64)
        if self.row_claim is None or (adj.peer.router is not None and self.row_policy is None):
            return np.ones(len(said.length), np.bool_), pattern
        suspects = self.row_claim.suspects
        ccn = np.array([taker.ccn for taker in takers], np.int64)
        region = np.array([taker.region for taker in takers], np.int64)
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
        for number, taker in enumerate(takers):
            if taker.several is not None:
                alike.setdefault((taker.several, taker.region), []).append(number)
        for (several, there), numbers in alike.items():
            mine = np.zeros(len(takers), np.bool_)
            mine[numbers] = True
            some = np.flatnonzero(np.repeat(mine[said.which], said.size))
            pattern[some], found[some] = several.judge(
                suspects, adj.peer, there, said.address[some], said.length[some]
            )
        return found, pattern

    def _take(self, adj: AdjRibIn, body: int) -> _Taker:
        """Who takes paths with this body."""
        found = self._taker.get((adj.number, body))
        if found is None:
            found = self._taker[adj.number, body] = self._taker_of(adj, body)
        return found

    def _taker_of(self, adj: AdjRibIn, body: int) -> _Taker:
        words = adj.vocabulary
        said = words.bodies[body]
        if adj.peer.role in _REMOTE:
            imports = self.judge.imports.of(said.attributes.route_targets)
        else:
            path = words.path(adj.peer.name, 1 if said.vni else 0, _ANY, body)
            imports = self.judge.takers(adj.peer, path)
        if not imports:
            return _Taker(None, NOBODY, 0)
        claim, table = self.row_claim, imports[0][0]
        region = 0 if claim is None else claim.region(said.attributes.next_hop)
        if len(imports) == 1 and imports[0][1] is None:
            return _Taker(table, 0 if claim is None else claim.ccn(table.name), region)
        several = self._several.get(imports)
        if several is None:
            ccns = [0 if claim is None else claim.ccn(t.name) for t, _ in imports]
            several = self._several[imports] = Several(imports, ccns)
        return _Taker(None, SEVERAL, region, several)

    def placed(self, verdicts: U4) -> tuple[I8, I8, I8]:
        """Where rows with these verdicts are candidates: (row, table id, number of Terms), a row
        once for each table that takes it."""
        begin, count = keyed.runs(verdicts)
        table, terms = self._facts["table"][verdicts[begin]], self._facts["terms"]
        if len(table) and table.min() >= 0:
            of_run = terms[verdicts[begin]]
            return np.arange(len(verdicts)), np.repeat(table, count), np.repeat(of_run, count)
        table = np.repeat(table, count)
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


_ANY = Prefix(bytes(5))


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
