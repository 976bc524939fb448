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
from weakref import ref

from ccn_bgp.gateway.at_length import (
    KEPT,
    AtLength,
    Everything,
    FirstWords,
    Kept,
    Text,
    encoded,
)
from ccn_bgp.gateway.out_feed import RowFeed, routes_of
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.portions import Parts, Whole
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
from ccn_bgp.session.encode import end_of_rib, route_refresh
from ccn_bgp.session.events import OpenFacts

log = logging.getLogger("ccn.session")

EVPN_ROLES = ("gateway", "reflector")
"""Who hears what this gateway exports; a host hears nothing, an IDC router its CCN's routes."""


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
    """One update group under one Rib. ``moved``: how many routes its members were told as news."""

    def __init__(self, out: AdjRibOut, rib: Rib) -> None:
        self.out = out
        self.rib = rib
        self.moved = 0
        self._standing: tuple[int, ref[Told]] | None = None
        self._everything: ref[Everything] | None = None

    def take(self) -> Changes:
        """The news, now counted as told."""
        news = self.out.take()
        self.moved += sum(news.counts)
        return news

    def standing(self) -> Told:
        """What has been told so far, for itself: one copy for all who ask while nothing changes."""
        if (held := self._still()) is None:
            held = self.out.frozen()
            self._standing = self.moved, ref(held)
        return held

    def is_at(self, told: Told) -> bool:
        """Who knows this knows all that has been told."""
        return told is self.out or told is self._still()

    def _still(self) -> Told | None:
        if self._standing is None or self._standing[0] != self.moved:
            return None
        return self._standing[1]()

    def first_words(self, facts: OpenFacts, kept: Kept) -> FirstWords:
        """Everything, for who knows nothing: one text for all who come while little changes. What
        has come since it was made is told behind it."""
        text = self._everything() if self._everything is not None else None
        if text is None or (self.moved - text.moved) * 8 > self.out.size:
            text = Everything(self.standing(), self.moved, facts, kept)
            self._everything = ref(text)
        return FirstWords(text)


class UpdateGroups:
    """The update groups of one gateway.

    ``aside``: whatever else of a peer its export policy looks at, as a value to compare.
    ``classes``: of prefixes, as AdjRibOut wants them for a peer. ``whole``: everything that a Rib
    has in columns, for the first words to a group. ``kept``: octets of portions that may be kept
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
        self._kept = Kept(kept)
        self._groups: dict[Hashable, _Group] = {}

    def tell(
        self, sessions: Iterable[PeerSession], rib: Rib, changes: ExportChanges
    ) -> Iterator[tuple[list[PeerSession], bytes | None]]:
        """All sessions of the gateway that are in step hear what has changed: pieces, and to whom
        each goes. The others are told at length what they do not know. To be run to its end.

        None in the place of a piece: a fault of ours in what this group is told. Nobody knows what
        its sessions hold: they have to be reset.
        """
        told: dict[Hashable, list[PeerSession]] = {}
        for session in sessions:
            if session.up:
                told.setdefault(self._identity(session, rib), []).append(session)
        self._groups = {key: group for key, group in self._groups.items() if key in told}
        for key, members in told.items():
            listening = [s for s in members if s.telling is None]
            try:
                group = self._groups.get(key)
                if group is None:
                    self._groups[key] = self._begun(members[0], rib)
                else:
                    yield from self._news(group, members[0], listening, changes)
                self._join(listening, rib)
            except Exception:
                log.exception("a fault of ours in what peers are told")
                self._groups.pop(key, None)
                yield listening, None

    def _news(
        self,
        group: _Group,
        member: PeerSession,
        listening: list[PeerSession],
        changes: ExportChanges,
    ) -> Iterator[tuple[list[PeerSession], bytes]]:
        self._renew(group, member)
        in_step = [s for s in listening if s.out is group.out]
        _offer_changes(group, changes)
        news = group.take()
        if in_step and member.open is not None:
            for piece in encoded(news, member.open):
                yield in_step, piece

    def next_piece(self, session: PeerSession, rib: Rib) -> bytes | None:
        """What a session that is told at length is to be sent next; None if that is all. Then it
        is in step with its group, or joins it after the next commit if there is none yet."""
        while (telling := session.telling) is not None:
            if (piece := telling.next_piece()) is not None:
                return piece
            session.out, session.telling = telling.knows, None
            if self._identity(session, rib) in self._groups:
                self._join([session], rib)
        return None

    def leave_behind(self, sessions: Iterable[PeerSession]) -> None:
        """Tell these sessions nothing more: what they know stands still, and so does what waits
        for them. When there is room for a next piece they are told the difference."""
        still: dict[int, Told] = {}
        for session in sessions:
            held = still.get(id(session.out)) or session.out.frozen()
            still[id(session.out)] = held
            session.out, session.telling = held, AtLength(held)

    def greet(self, session: PeerSession, rib: Rib) -> None:
        """The first words on a new session: everything, then End-of-RIB of each family."""
        self._join([session], rib)

    def again(self, session: PeerSession, families: frozenset[Family]) -> None:
        """Everything of these families once more, framed if the peer can tell the frame (RFC 7313).
        Not to a session that is being told at length."""
        assert session.open is not None and session.telling is None
        held = session.out.frozen()
        session.out = held
        session.telling = AtLength(held, _once_more(held, families, session.open))

    def regroup(self, session: PeerSession, rib: Rib) -> None:
        """After a change of what it may be told, a session is told as its group is; what is no
        longer to be said is withdrawn. One that is told at length hears no more first words, and
        the rest when it comes to its end."""
        if session.telling is not None:
            session.telling.cut()
            session.out = session.telling.knows
        else:
            self._join([session], rib)

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

    def _join(self, sessions: Sequence[PeerSession], rib: Rib) -> None:
        """New members of one group: they are to be told all that it has been told if they know
        nothing, the difference if they come from another one or were told nothing for a while."""
        if not sessions:
            return
        key = self._identity(sessions[0], rib)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._begun(sessions[0], rib)
        self._renew(group, sessions[0])
        parties: dict[int, list[PeerSession]] = {}
        for session in sessions:
            if session.out is not group.out:
                parties.setdefault(id(session.out) if session.greeted else 0, []).append(session)
        for party in parties.values():
            if party[0].greeted:
                self._tell_difference(party, group)
            else:
                self._tell_everything(party, group)

    def _tell_everything(self, party: Sequence[PeerSession], group: _Group) -> None:
        facts = party[0].open
        assert facts is not None
        owed = b"".join(map(end_of_rib, sorted(facts.families, key=lambda f: f.value)))
        for session in party:
            session.telling = group.first_words(facts, self._kept)
            session.out, session.greeted, session.owed = session.telling.knows, True, owed

    def _tell_difference(self, party: Sequence[PeerSession], group: _Group) -> None:
        text: Iterable[bytes] = ()
        facts, knows = party[0].open, party[0].out
        assert facts is not None
        if not group.is_at(knows) and (news := difference(knows, group.out)):
            names = ", ".join(session.peer.name for session in party)
            otherwise, gone = news.counts
            said = f"{counted(otherwise, 'route')} {'are' if otherwise != 1 else 'is'}"
            log.info("%s: %s told otherwise, %d withdrawn", names, said, gone)
            text = Text(Parts(news), facts, self._kept)
        for session in party:
            owed, session.owed = session.owed, b""
            session.out = group.out
            if text or owed:
                session.out = group.standing()
                session.telling = AtLength(session.out, chain(text, [owed] if owed else []))

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


def _once_more(told: Told, families: frozenset[Family], facts: OpenFacts) -> Iterator[bytes]:
    """All that was told of these families, each between BoRR and EoRR (RFC 7313 §4) if the peer
    knows them."""
    for family in sorted(families & facts.families, key=lambda f: f.value):
        if facts.enhanced_refresh:
            yield route_refresh(family, 1)
        whole = Whole(told, frozenset((family,)))
        for number in range(len(whole)):
            yield from encoded(whole.portion(number), facts)
        if facts.enhanced_refresh:
            yield route_refresh(family, 2)


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
