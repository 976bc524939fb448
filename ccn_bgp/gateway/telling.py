"""What sessions are told. In: the Rib, and what has changed in it. Out: whole BGP messages.

Peers that are told the same form an update group: they share one Adj-RIB-Out, and their messages
are made once. A session belongs to the group whose Adj-RIB-Out it refers to, from its first words
on; everything here moves that on as if the messages had been sent, and sessions.py sends them.
RFC 4271 §9.2, 2918, 4724 §3 (End-of-RIB), 7313.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ccn_bgp.gateway.out_feed import RowFeed, routes_of
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.summaries import Summaries
from ccn_bgp.learn.told import Told
from ccn_bgp.learn.told_difference import difference
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Family, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.counted import counted
from ccn_bgp.model.outgoing import Classes, Origination
from ccn_bgp.model.path import Nlri, PathAttributes
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh
from ccn_bgp.session.encode_rows import PIECE, encode_rows
from ccn_bgp.session.events import OpenFacts

log = logging.getLogger("ccn.session")

EVPN_ROLES = ("gateway", "reflector")
"""Who hears what this gateway exports; a host hears nothing, an IDC router its CCN's routes."""
Pieces = Iterable[bytes]
"""Whole messages in pieces of about a megabyte: the speaker interleaves peers by piece."""
KEPT = 4 << 20
"""Octets of first words that are kept, of all groups together."""


@dataclass(frozen=True, slots=True)
class ExportChanges:
    """What has changed since the peers were last told: exports by key, prefixes by table, and the
    mass of both in columns."""

    exports: tuple[tuple[bytes, tuple[Nlri, PathAttributes] | None], ...]
    routes: Mapping[str, set[Prefix]]
    rows: RowFeed = field(default_factory=RowFeed)

    @classmethod
    def of(cls, rib: Rib, rows: RowFeed | None = None) -> ExportChanges:
        """In the order of the keys: the same changes make the same messages."""
        keys = sorted(rib.dirty_exports)
        exports = tuple((key, rib.exports.single(key)) for key in keys)
        return cls(exports, rib.dirty_routes, rows or RowFeed(*rib.row_exports.take()))

    def __bool__(self) -> bool:
        return bool(self.exports or self.routes or self.rows)


class _Group:
    """One update group under one Rib. ``greeting``: the first words to its members as pieces, for
    the next one; None if they are not known, or too many."""

    def __init__(self, out: AdjRibOut, rib: Rib) -> None:
        self.out = out
        self.rib = rib
        self.greeting: tuple[bytes, ...] | None = None


class UpdateGroups:
    """The update groups of one gateway.

    ``aside``: whatever else of a peer its export policy looks at, as a value to compare.
    ``classes``: of prefixes, as AdjRibOut wants them for a peer. ``whole``: everything that a Rib
    has in columns, for the first words to a group. ``kept``: octets of such words that may be kept
    for the next member.
    """

    def __init__(
        self,
        aside: Callable[[Peer], Hashable] = lambda _: None,
        classes: Callable[[Peer], Classes | None] = lambda _: None,
        whole: Callable[[Rib], RowFeed] = lambda rib: RowFeed(*rib.row_exports.whole()),
        kept: int = KEPT,
    ) -> None:
        self._aside = aside
        self._classes = classes
        self._whole = whole
        self._kept = kept
        self._groups: dict[Hashable, _Group] = {}

    def tell(
        self, sessions: Iterable[PeerSession], rib: Rib, changes: ExportChanges
    ) -> Iterator[tuple[list[PeerSession], bytes | None]]:
        """All sessions of the gateway hear what has changed, or everything at first: pieces, and
        to whom each goes. To be run to its end.

        None in the place of a piece: a fault of ours in what this group is told. Nobody knows what
        its sessions hold: they have to be reset.
        """
        told: dict[Hashable, list[PeerSession]] = {}
        for session in sessions:
            if session.up and not session.behind:
                told.setdefault(self._identity(session, rib), []).append(session)
        self._groups = {key: group for key, group in self._groups.items() if key in told}
        for key, members in told.items():
            try:
                yield from self._tell(members, key, rib, changes)
            except Exception:
                log.exception("a fault of ours in what peers are told")
                self._groups.pop(key, None)
                yield members, None

    def _tell(
        self, members: list[PeerSession], key: Hashable, rib: Rib, changes: ExportChanges
    ) -> Iterator[tuple[list[PeerSession], bytes]]:
        group = self._groups.get(key)
        if group is not None:
            self._renew(group, members[0])
            in_step = [s for s in members if s.out is group.out]
            _offer_changes(group, changes)
            if news := group.out.take():
                group.greeting = None
            for piece in encoded(news, members[0].open) if in_step else ():
                yield in_step, piece
        if others := [s for s in members if group is None or s.out is not group.out]:
            yield from self._join(others, key, rib)

    def leave_behind(self, sessions: Iterable[PeerSession]) -> None:
        """Tell these sessions nothing more: what they know stands still, and so does what waits
        for them. One that is no longer ``behind`` is told the difference."""
        still: dict[int, Told] = {}
        for session in sessions:
            session.behind = True
            held = still.get(id(session.out)) or session.out.frozen()
            still[id(session.out)] = session.out = held
            still[id(held)] = held

    def greet(self, session: PeerSession, rib: Rib) -> Pieces:
        """The first words on a new session: everything, then End-of-RIB of each family."""
        key = self._identity(session, rib)
        return [piece for _, piece in self._join([session], key, rib)]

    def regroup(self, session: PeerSession, rib: Rib) -> Pieces:
        """What it takes for a session to be told as its group is, after a change of what it may be
        told; what is no longer to be said is withdrawn. One that is ``behind`` hears of it with all
        the rest, when it has read."""
        if session.behind:
            return []
        key = self._identity(session, rib)
        group = self._groups.get(key)
        if group is not None and group.out is session.out:
            return []
        return [piece for _, piece in self._join([session], key, rib)]

    def rehearse(
        self, sessions: Iterable[PeerSession], rib: Rib
    ) -> Iterator[tuple[list[PeerSession], Told]]:
        """What sessions that know the same would be told under a Rib; nobody is told anything."""
        parties: dict[Hashable, list[PeerSession]] = {}
        for session in sessions:
            key = id(session.out), self._identity(session, rib)
            parties.setdefault(key, []).append(session)
        for members in parties.values():
            yield members, self._begun(members[0], rib).out

    def _identity(self, session: PeerSession, rib: Rib) -> Hashable:
        """Equal for sessions that are told the same octets."""
        peer, facts = session.peer, session.open
        assert facts is not None
        router = peer.router
        table = router and (router.ccn, router.ends(4), router.ends(6), peer.site)
        role = "evpn" if peer.role in EVPN_ROLES else peer.role
        encoding = (facts.families, facts.asn4, facts.max_message)
        policy = peer.exports, self._aside(peer)
        told = tuple(a.name for a in told_summaries(session, rib))
        return rib, role, peer.external, peer.local_asn, table, policy, told, encoding

    def _join(
        self, sessions: Sequence[PeerSession], key: Hashable, rib: Rib
    ) -> Iterator[tuple[list[PeerSession], bytes]]:
        """New members of one group: all that it has been told to those that know nothing, the
        difference to those that come from another one."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._begun(sessions[0], rib)
        self._renew(group, sessions[0])
        parties: dict[int, list[PeerSession]] = {}
        for session in sessions:
            parties.setdefault(id(session.out) if session.greeted else 0, []).append(session)
        for party in parties.values():
            first = party[0]
            if first.greeted:
                news = difference(first.out, group.out)
                if news:
                    names = ", ".join(session.peer.name for session in party)
                    otherwise, gone = news.counts
                    are = "are" if otherwise != 1 else "is"
                    said = f"{counted(otherwise, 'route')} {are}"
                    log.info("%s: %s told otherwise, %d withdrawn", names, said, gone)
                pieces = encoded(news, first.open)
            else:
                pieces = self._greeting(group, first)
            for session in party:
                session.out, session.greeted = group.out, True
            for piece in pieces:
                yield party, piece

    def _greeting(self, group: _Group, session: PeerSession) -> Iterator[bytes]:
        """All that a group has been told, then End-of-RIB. Many peers that come up one after the
        other hear the same octets: they are made once while nothing changes, if they are few."""
        if group.greeting is not None:
            yield from group.greeting
            return
        ends = sorted(session.families, key=lambda f: f.value)
        last = b"".join(map(end_of_rib, ends))
        room = self._kept - sum(len(p) for g in self._groups.values() for p in g.greeting or ())
        kept: list[bytes] = []
        for piece in encoded(group.out.whole(), session.open, last):
            room -= len(piece)
            if room >= 0:
                kept.append(piece)
            yield piece
        if room >= 0:
            group.greeting = tuple(kept)

    def _begun(self, session: PeerSession, rib: Rib) -> _Group:
        """A group that has been told everything, with a first member to be."""
        peer = session.peer
        originations = {t.ccsi.id: Origination(t.ccsi.rd, t.ccsi.vni) for t in rib.tables.values()}
        summaries = Summaries(told_summaries(session, rib))
        classes, families = self._classes(peer), session.families
        out = AdjRibOut(peer, session.policy, originations, classes, summaries, families=families)
        group = _Group(out, rib)
        _offer_all(group, self._whole(rib))
        out.take()
        return group

    @staticmethod
    def _renew(group: _Group, member: PeerSession) -> None:
        """Policy is asked in the name of a member, as it is now."""
        group.out.peer, group.out.policy = member.peer, member.policy


def told_summaries(session: PeerSession, rib: Rib) -> list[Aggregate]:
    """The summary-only aggregates that an IDC router is told, as its policy and its site have it;
    what lies in them it is not told. As one comes or goes the session is told as another group."""
    peer = session.peer
    if peer.router is None:
        return []
    table = rib.tables[f"{rib.gateway.name}/{peer.router.ccn}"]
    found = []
    for standing in rib.aggregates.of(table.ccsi.name):
        aggregate = standing.aggregate
        if not (aggregate.summary_only and standing.held):
            continue
        asked = AdjRibOut(peer, session.policy)
        asked.offer_route(aggregate.prefix, *table.single[aggregate.prefix])
        if asked.take():
            found.append(aggregate)
    return found


def again(session: PeerSession, families: frozenset[Family]) -> Pieces:
    """Everything of these families once more, framed if the peer can tell the frame (RFC 7313)."""
    framed = session.open is not None and session.open.enhanced_refresh
    for family in sorted(families, key=lambda f: f.value):
        if framed:
            yield route_refresh(family, 1)
        last = route_refresh(family, 2) if framed else b""
        yield from encoded(session.out.whole(frozenset((family,))), session.open, last)


def encoded(changes: Changes, facts: OpenFacts | None, after: bytes = b"") -> Iterator[bytes]:
    """Pieces: the messages of all changes in the families of the session, withdrawals first; then
    ``after``."""
    waiting: list[bytes] = []
    size = 0
    for octets in chain(_messages(changes, facts), [after] if after else []):
        waiting.append(octets)
        size += len(octets)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _messages(changes: Changes, facts: OpenFacts | None) -> Iterator[bytes]:
    if facts is None:
        return
    how = (facts.asn4, facts.max_message)
    announce = [(a, n) for a, n in changes.announce if n[0].family in facts.families]
    withdraw = [n for n in changes.withdraw if n.family in facts.families]
    yield from encode_updates((), withdraw, *how)
    for rows in (*changes.withdraw_rows, *changes.announce_rows):
        if rows.rows.family in facts.families:
            yield from encode_rows(rows, *how)
    yield from encode_updates(announce, (), *how)


def _offer_changes(group: _Group, changes: ExportChanges) -> None:
    out = group.out
    if out.peer.role in EVPN_ROLES:
        for key, export in changes.exports:
            out.offer_evpn(key, export)
        for rows in changes.rows.exports:
            out.offer_rows(rows, changes.rows.sets)
    elif (table := _table(group)) is not None:
        for prefix in changes.routes.get(table.ccsi.name, ()):
            out.offer_route(prefix, *table.single.get(prefix, (None, None)))
        _offer_routes(out, table, changes.rows)


def _offer_all(group: _Group, rows: RowFeed) -> None:
    out = group.out
    if out.peer.role in EVPN_ROLES:
        for key, export in group.rib.exports.one_by_one():
            out.offer_evpn(key, export)
        if (vms := group.rib.exports.vms()) is not None:
            out.offer_vms(vms)
        for exports in rows.exports:
            out.offer_rows(exports, rows.sets)
    elif (table := _table(group)) is not None:
        for prefix, (route, best) in table.single.items():
            out.offer_route(prefix, route, best)
        _offer_routes(out, table, rows)


def _offer_routes(out: AdjRibOut, table: LocRib, rows: RowFeed) -> None:
    for routes in rows.routes:
        if len(part := routes_of(routes, table.ccsi.id)):
            out.offer_rows(part, rows.sets)


def _table(group: _Group) -> LocRib | None:
    router = group.out.peer.router
    return group.rib.tables[f"{group.rib.gateway.name}/{router.ccn}"] if router else None
