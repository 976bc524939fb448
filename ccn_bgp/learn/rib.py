"""The one mutable learned state: Adj-RIB-Ins, the tables' Loc-RIBs, and what we say on.

In: announcements and withdrawals per peer. Out, after ``settle``: Routes per CCSI, VM rows, and the
EVPN routes that this gateway originates. No sockets, no clock: the caller brings time and bytes.
The result depends on what is held, never on the order in which it came.

Prefixes go as columns: absorbed into an Adj-RIB-In, judged (judging.py), placed among the
candidates (row_placing.py), decided (candidates.py). What needs more than a row can say is decided
one by one (loc_rib.py), what is no prefix is placed by path_placing.py. ``settle`` reads top to
bottom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import UNJUDGED, AdjRibIn, Heard, HeardPaths, Rows
from ccn_bgp.learn.aggregates import Aggregates
from ccn_bgp.learn.candidate import Speaks
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.deciding import Deciding
from ccn_bgp.learn.exports import Exports
from ccn_bgp.learn.filled import Filled, filled
from ccn_bgp.learn.importing import Imports, Origins
from ccn_bgp.learn.judging import Claim, Hits, ImportPolicy, Judge
from ccn_bgp.learn.keys import WIDTHS, Bools
from ccn_bgp.learn.limits import limit_findings
from ccn_bgp.learn.loc_rib import Columnar, LocRib, Slot
from ccn_bgp.learn.multipath import Limits
from ccn_bgp.learn.originate import declared_prefixes
from ccn_bgp.learn.path_placing import PathPlacing
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.learn.row_exports import RowExports
from ccn_bgp.learn.row_judging import RowJudge, RowPolicy
from ccn_bgp.learn.row_placing import RowPlacing
from ccn_bgp.learn.row_takers import RowClaim
from ccn_bgp.learn.saying import Saying
from ccn_bgp.learn.sharing import SharePolicy, Sharing, accept_all
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Family, Ip, Prefix
from ccn_bgp.model.ccsi import Ccsi, Peer, ccsis, peers, tap_name
from ccn_bgp.model.counted import counted
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import (
    EvpnPrefix,
    Nlri,
    Path,
    PathAttributes,
    Unicast,
)
from ccn_bgp.model.reason import Reason, Refused
from ccn_bgp.model.rows import PrefixRows, Vocabulary
from ccn_bgp.model.topology import Gateway, Topology, Vpc
from ccn_bgp.model.vm_table import VmTable

__all__ = ["Claim", "ImportPolicy", "Rib"]

NO_AGGREGATES: Mapping[str, Sequence[Aggregate]] = {}
PATIENCE = 1 << 20
"""Rows that may wait in an Adj-RIB-In before they are absorbed without a settle."""
PATIENCE_PARTS = 1 << 16
"""The same of parts, of which each message that is read by itself makes one for each route."""


class Outcome(NamedTuple):
    """Of a Path: why it is not used, or the attributes with which it is (None where they are not
    kept). ``each``: its tables by name, with the attributes in each."""

    reason: Reason | None
    attributes: PathAttributes | None
    each: tuple[tuple[str, PathAttributes], ...] = ()


class Rib:
    """All that one gateway has learned under one intent (a Topology and its policies)."""

    def __init__(
        self,
        topology: Topology,
        gateway: Gateway,
        policy: ImportPolicy,
        claim: Claim,
        *,
        row_policy: RowPolicy | None = None,
        row_claim: RowClaim | None = None,
        aggregates: Mapping[str, Sequence[Aggregate]] = NO_AGGREGATES,
        share_policy: SharePolicy = accept_all,
    ) -> None:
        self.topology = topology
        self.gateway = gateway
        self.vocabulary = Vocabulary()
        self.peers: dict[str, Peer] = {p.name: p for p in peers(topology, gateway)}
        self.speaks: dict[str, Speaks] = {n: Speaks.of(p) for n, p in self.peers.items()}
        self.adj_in: dict[str, AdjRibIn] = {
            name: AdjRibIn(peer, number, self.vocabulary)
            for number, (name, peer) in enumerate(self.peers.items())
        }
        self.findings: dict[Slot, Finding] = {}
        self.vpcs: dict[int, tuple[Ccsi, Vpc]] = {}
        self.tables: dict[str, LocRib] = {}
        self.by_id: dict[int, LocRib] = {}
        self.exports = Exports()
        self.dirty_routes: dict[str, set[Prefix]] = {}
        limits = Limits({ccn.id: ccn.multipath for ccn in topology.ccns.values()})
        self.rows: dict[int, CandidateRows] = {w: CandidateRows(w, limits) for w in WIDTHS}
        self.origins = Origins(topology)
        self.book = TermsBook(
            list(self.speaks.values()),
            list(self.speaks),
            self.origins,
            multipath=bool(limits),
        )
        self.dirty: set[str] = set()
        """Tables with prefixes to decide one by one."""
        self._judge = Judge(
            gateway, self.vpcs, self.origins, policy, claim, sharing=Sharing(share_policy)
        )
        self._rows = RowJudge(
            self._judge, self.book, list(self.speaks.values()), row_policy, row_claim
        )
        self._saying = Saying(gateway, self.exports, self._judge)
        self.row_exports = RowExports(self.rows, self.book, self.by_id, self._saying.reoriginated)
        self.exports.rows = self.row_exports
        self.deciding = Deciding(
            self.rows,
            self.book,
            self.vocabulary,
            self.by_id,
            row_exports=self.row_exports,
            saying=self._saying,
        )
        self.changed, self.decided = self.deciding.changed, self.deciding.decided
        self._placing = RowPlacing(self._rows, self.rows, self.deciding, self.findings)
        self._vms_moved: set[tuple[int, Ip]] = set()
        self._wanted = aggregates
        self._compaction = Compaction(len(topology.ccns))
        self.compacts = True
        """False while another Rib uses the same vocabulary."""
        self._build()

    def _build(self) -> None:
        topology, gateway = self.topology, self.gateway
        taps = {r.name: tap_name(gateway, r) for r in topology.routers if r.gateway == gateway.name}
        columnar = Columnar(
            self.rows,
            self.book,
            self.vocabulary,
            self.deciding.special,
            self.dirty,
            self.changed,
            self.decided,
            self._vms_moved,
            self.deciding.moved,
        )
        for ccsi in ccsis(topology, gateway):
            table = LocRib(ccsi, taps, self.origins.next_table, columnar)
            self.tables[ccsi.name] = self.by_id[ccsi.id] = table
            self.changed.add(ccsi.name)
            for vpc in ccsi.vpcs:
                self.vpcs.setdefault(vpc.vni, (ccsi, vpc))
        self.aggregates = Aggregates(gateway, self.tables, self._wanted)
        self._judge.know(self.tables)
        self._saying.know(self.tables)
        self._vms = RegionVms(
            gateway,
            self.tables,
            self.vpcs,
            self.exports,
            said=self._saying.again,
            limits=topology.mac_mobility,
        )
        self._others = PathPlacing(self._judge, self.tables, self._vms, self.speaks, self.findings)
        for table in self.tables.values():
            for candidate in declared_prefixes(gateway, table.ccsi):
                nlri = candidate.path.nlri
                assert isinstance(nlri, EvpnPrefix)
                table.place(nlri.prefix, candidate)

    # -- what peers say ---------------------------------------------------------------------

    def hear(self, peer: str, rows: PrefixRows) -> None:
        """Prefixes in columns; their numbers are those of this Rib's vocabulary."""
        adj = self.adj_in[peer]
        adj.hear(rows)
        self._absorb_in_time(adj)

    def holds(self, peer: str, rows: PrefixRows) -> Bools:
        """For each row whether the peer has said it before."""
        held = self.adj_in[peer].rows[rows.width]
        key = held.keys.make(rows.distinguisher, rows.address, rows.length)
        return keyed.member(held.key, key)[1]

    def holding(self, peer: str, nlris: Sequence[Nlri]) -> set[bytes]:
        """The keys of those that the peer has said before. Like ``holds`` it takes in nothing that
        waits: a look is not to cost what a change of all that is held costs."""
        adj = self.adj_in[peer]
        prefixes = [n for n in nlris if isinstance(n, EvpnPrefix | Unicast)]
        found = {n.key for n in nlris if n.key in adj.others} if adj.others else set()
        for some, rows in adj.known(prefixes):
            found.update(n.key for n in compress(some, self.holds(peer, rows).tolist()))
        return found

    def receive(
        self,
        peer: str,
        announced: Sequence[Nlri],
        withdrawn: Sequence[Nlri],
        attributes: PathAttributes | None,
    ) -> None:
        """One UPDATE, decoded. Withdrawals first (RFC 4271 §4.3: an NLRI in both is announced)."""
        adj = self.adj_in[peer]
        adj.hear_each([n for n in withdrawn if isinstance(n, EvpnPrefix | Unicast)], None)
        for nlri in withdrawn if adj.others else ():
            if (gone := adj.others.pop(nlri.key, None)) is not None:
                self._others.unplace(adj.peer, gone)
        if attributes is not None:
            said = [n for n in announced if isinstance(n, EvpnPrefix | Unicast)]
            adj.hear_each(said, attributes)
            for nlri in announced if len(said) < len(announced) else ():
                if not isinstance(nlri, EvpnPrefix | Unicast):
                    self._others.hear(adj, Path(peer, nlri, attributes))
        self._absorb_in_time(adj)

    def heard(self, peer: str) -> HeardPaths:
        """Everything that a peer has said, by NLRI key."""
        self._placing.absorb((self.adj_in[peer],))
        return HeardPaths(self.adj_in[peer], self)

    def outcome(self, verdict: int) -> Outcome:
        """What the number of a verdict in an Adj-RIB-In stands for."""
        if verdict == UNJUDGED:
            return Outcome(None, None)
        found = self._rows.verdicts[verdict]
        if found.terms < 0:
            return Outcome(found.reason, None)
        each = tuple(
            (self.by_id[table].ccsi.name, self.book.terms[number].attributes)
            for table, number in zip(found.tables, found.all_terms, strict=True)
        )
        return Outcome(found.reason, self.book.terms[found.terms].attributes, each)

    def opened(self, peer: str, router_id: Ip) -> None:
        """The OPEN of a peer: the router-id decides ties, also of what is held as stale."""
        if self.speaks[peer].router_id == router_id:
            return
        self.speaks[peer].router_id = router_id
        self._placing.decide_again(self.adj_in[peer])
        self._others.decide_again(self.adj_in[peer])

    def session_down(self, peer: str, *, keep: bool) -> None:
        """The session ended: keep what it said as stale (graceful restart), or forget it."""
        self._placing.absorb((self.adj_in[peer],))
        self.adj_in[peer].mark_stale()
        if not keep:
            self.sweep(peer, None)

    def said_anew(self, peer: str, family: Family) -> None:
        """What a peer has said of a family is stale until it says it again (RFC 7313 §4)."""
        self._placing.absorb((self.adj_in[peer],))
        self.adj_in[peer].mark_stale(family)

    def sweep(self, peer: str, family: Family | None) -> int:
        """End-of-RIB, or the restart timer has run out: forget what is still stale."""
        adj = self.adj_in[peer]
        if not adj.stale:
            return 0  # a peer may say End-of-RIB as often as it likes
        self._placing.absorb((adj,))
        adj.stale = family is not None
        count = 0
        for width, rows in adj.rows.items():
            delta = rows.sweep(family)
            if delta is not None:
                count += len(delta.gone)
                self._placing.sweep(adj, width, delta)
        return count + self._others.sweep(adj, family)

    def reapply(self, peer: str, policy: ImportPolicy) -> None:
        """Judge every held path of a peer again, under this policy from now on."""
        self._judge.policy = policy
        adj = self.adj_in[peer]
        self._placing.absorb((adj,))
        self._others.judge_again(adj)
        self._rows.forget()
        self._placing.judge_again(adj)

    def renew(self, topology: Topology, claim: Claim, row_claim: RowClaim | None = None) -> None:
        """Go on under a topology that differs in its VMs alone: no path is judged again."""
        self.topology = topology
        self._judge.claim, self._rows.row_claim = claim, row_claim
        self.vpcs.clear()
        for ccsi in ccsis(topology, self.gateway):
            self.tables[ccsi.name].ccsi = ccsi
            for vpc in ccsi.vpcs:
                self.vpcs.setdefault(vpc.vni, (ccsi, vpc))
        self._vms.renew()

    def adopt(self, other: Rib) -> None:
        """Take over what another Rib has heard from peers that are still configured alike. The
        vocabulary is the other's from now on."""
        self.vocabulary.take_over(other.vocabulary)
        for name, adj in self.adj_in.items():
            old = other.adj_in.get(name)
            if old is None or old.peer.address != adj.peer.address or old.peer.asn != adj.peer.asn:
                continue
            self.speaks[name].router_id = other.speaks[name].router_id
            adj.stale = old.stale
            for key, heard in old.others.items():
                again = adj.others[key] = Heard(heard.path, stale=heard.stale)
                self._others.place(adj.peer, again)
            for width, rows in adj.rows.items():
                rows.take_over(old.rows[width])
            self._placing.judge_again(adj)

    def _absorb_in_time(self, adj: AdjRibIn) -> None:
        if adj.waiting > PATIENCE or adj.waiting_parts > PATIENCE_PARTS:
            self._placing.absorb((adj,))

    # -- VMs of this region ---------------------------------------------------------------------

    @property
    def vms_changed(self) -> bool:
        """True until ``vm_entries`` has been asked for after a change."""
        return self._vms.changed

    @property
    def vms(self) -> RegionVms:
        """The VMs of this region: who claims them, and who moved too often."""
        return self._vms

    def vm_entries(self) -> VmTable:
        """The VM table: the inventory, and what hosts say; a higher mobility sequence wins."""
        return self._vms.entries()

    # -- decisions ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Decide every dirty prefix until nothing is dirty; local imports may make more so."""
        self._placing.absorb(self.adj_in.values())
        self._placing.apply_limits(self.adj_in)
        moved = [(self.by_id[number], ip) for number, ip in self._vms_moved]
        self._vms_moved.clear()
        self._placing.follow_vms(moved)
        self._placing.settle()
        self._decide_dirty()
        while self.aggregates.settle():
            self._decide_dirty()
        self.aggregates.settled()
        if self.compacts and self._compaction.due(self.vocabulary, self._rows):
            self._compaction.run(self.adj_in.values(), self.rows, self._rows, self.vocabulary)

    def _decide_dirty(self) -> None:
        while self.dirty:
            for name in sorted(self.dirty):
                self.dirty.discard(name)
                table = self.tables[name]
                prefixes, table.dirty = table.dirty, set()
                touched_prefixes = self.dirty_routes.setdefault(table.ccsi.name, set())
                for prefix in table.decide_each(prefixes):
                    touched_prefixes.add(prefix)
                    self._saying.on(table, prefix)
                    self.aggregates.note(table, prefix)

    @property
    def waiting(self) -> int:
        """Rows that were heard and are not yet decided."""
        return sum(adj.waiting for adj in self.adj_in.values())

    @property
    def decisions(self) -> int:
        """How often, roughly, something was decided since who proves it has set this back."""
        return self.deciding.decisions

    @property
    def held(self) -> int:
        """Candidates in all tables."""
        return sum(map(len, self.rows.values()))

    def takers(self, name: str) -> tuple[str, ...]:
        """The tables of this gateway that take over what a table has."""
        return tuple(other.ccsi.name for other, _ in self._saying.importers[name])

    @property
    def dirty_exports(self) -> set[bytes]:
        """Keys of the exports that peers are to hear of, or hear no more; emptied by who tells."""
        return self._saying.dirty

    @dirty_exports.setter
    def dirty_exports(self, keys: set[bytes]) -> None:
        self._saying.dirty = keys

    @property
    def hits(self) -> Hits:
        """How often each word of import policy was the last one, since this Rib began."""
        return self._judge.hits

    @property
    def imports(self) -> Imports:
        """Which tables take which route targets."""
        return self._judge.imports

    def limit_findings(self) -> list[Finding]:
        """One `capacity` finding for each router that says more than it may."""
        found = (limit_findings(self.adj_in[n], self.gateway) for n in sorted(self.adj_in))
        return [finding for findings in found for finding in findings]

    def of(self, adj: AdjRibIn, rows: Rows, row: int) -> tuple[tuple[str, ...], Reason | None]:
        """What became of a row: names of the tables that take it, or why none does."""
        number = int(rows.verdict[row])
        if number >= len(self._rows.verdicts):
            return (), None
        verdict = self._rows.verdicts[number]
        if rows.held_back[row]:
            assert adj.peer.router is not None
            count = int(sum(self._rows.held.accepted[r.verdict].sum() for r in adj.rows.values()))
            limit = adj.peer.router.max_prefixes
            accepted = counted(count, "prefix", "prefixes")
            return (), Refused("capacity", f"{accepted} accepted, max-prefixes is {limit}")
        return tuple(self.by_id[t].ccsi.name for t in verdict.tables), verdict.reason

    def filled(self, names: Iterable[str]) -> dict[int, Filled]:
        """What fills the prefixes of these tables, by width, for table/building.py."""
        tables = [self.tables[name] for name in names]
        return {width: filled(rows, self.book, tables) for width, rows in self.rows.items()}

    def accepted_count(self, peer: str) -> int:
        """How many Paths of a peer passed claims and policy and are used as candidates."""
        adj = self.adj_in[peer]
        rows = sum(
            int((self._rows.held.accepted[r.verdict] & ~r.held_back).sum())
            for r in adj.rows.values()
        )
        return rows + sum(1 for h in adj.others.values() if h.reason is None)
