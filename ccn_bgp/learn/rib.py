"""The one mutable learned state: Adj-RIB-Ins, the tables' Loc-RIBs, and what we say on.

In: announcements and withdrawals per peer. Out, after ``settle``: Routes per CCSI, VM rows, and the
EVPN routes that this gateway originates. No sockets, no clock: the caller brings time and bytes.
The result depends on what is held, never on the order in which it came.

Prefixes go as columns: absorbed into an Adj-RIB-In, judged (judging.py), placed among the
candidates, decided (candidates.py). What needs more than a row can say is decided one by one
(loc_rib.py). ``settle`` reads top to bottom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.adj_rib_in import UNJUDGED, AdjRibIn, Delta, Heard, HeardPaths, Rows
from ccn_bgp.learn.aggregates import Aggregates
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.candidates import CandidateRows, slots
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.deciding import Deciding
from ccn_bgp.learn.exports import Exports
from ccn_bgp.learn.filled import Filled, filled
from ccn_bgp.learn.importing import Imports, Origins
from ccn_bgp.learn.judging import Claim, Hits, ImportPolicy, Judge
from ccn_bgp.learn.keys import U4, WIDTHS, Array, Bools
from ccn_bgp.learn.limits import limit_findings, over_limit
from ccn_bgp.learn.loc_rib import Columnar, LocRib, Slot
from ccn_bgp.learn.multipath import Limits, Standing
from ccn_bgp.learn.originate import declared_prefixes
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.learn.row_exports import RowExports
from ccn_bgp.learn.row_judging import RowClaim, RowJudge, RowPolicy
from ccn_bgp.learn.saying import Saying
from ccn_bgp.learn.sharing import SharePolicy, Sharing, accept_all
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Family, Ip, Prefix
from ccn_bgp.model.ccsi import Ccsi, Peer, ccsis, peers, tap_name
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import (
    EvpnMacIp,
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
ELSEWHERE = -2
"""In the place of a winner that leads elsewhere now: it differs from every other."""
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
            self.origins.next_table,
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
        self._again: dict[int, list[Array]] = {width: [] for width in WIDTHS}
        self._vms_moved: set[tuple[int, Ip]] = set()
        self._limits: set[str] = set()
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

    def holding(self, peer: str, nlris: Iterable[Nlri]) -> set[bytes]:
        """The keys of those that the peer has said before. Like ``holds`` it takes in nothing that
        waits: a look is not to cost what a change of all that is held costs."""
        adj = self.adj_in[peer]
        return {n.key for n in nlris if n.key in adj.others or adj.find(n) is not None}

    def receive(
        self,
        peer: str,
        announced: Sequence[Nlri],
        withdrawn: Sequence[Nlri],
        attributes: PathAttributes | None,
    ) -> None:
        """One UPDATE, decoded. Withdrawals first (RFC 4271 §4.3: an NLRI in both is announced)."""
        adj = self.adj_in[peer]
        for nlri in withdrawn:
            if isinstance(nlri, EvpnPrefix | Unicast):
                adj.hear_one(nlri, None)
            elif (gone := adj.others.pop(nlri.key, None)) is not None:
                self._unplace(adj.peer, gone)
        for nlri in announced if attributes is not None else ():
            assert attributes is not None
            if isinstance(nlri, EvpnPrefix | Unicast):
                adj.hear_one(nlri, attributes)
            else:
                self._hear_other(adj, Path(peer, nlri, attributes))
        self._absorb_in_time(adj)

    def _hear_other(self, adj: AdjRibIn, path: Path) -> None:
        key = path.nlri.key
        heard = adj.others.get(key)
        if heard is not None:
            heard.stale = False
            if heard.path == path:
                return
        before, heard = heard, Heard(path)
        adj.others[key] = heard
        if before is not None:
            self.findings.pop((adj.peer.name, key), None)
        self._place(adj.peer, heard)
        if before is not None:
            self._unplace(adj.peer, before, heard)

    def heard(self, peer: str) -> HeardPaths:
        """Everything that a peer has said, by NLRI key."""
        self._absorb(self.adj_in[peer])
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
        adj = self.adj_in[peer]
        for width, rows in self.rows.items():
            self._again[width].append(rows.key[rows.slot >> np.uint64(32) == adj.number])
        for heard in adj.others.values():
            for name in heard.places:
                self.tables[name].decide_again(heard.path.nlri)

    def session_down(self, peer: str, *, keep: bool) -> None:
        """The session ended: keep what it said as stale (graceful restart), or forget it."""
        self._absorb(self.adj_in[peer])
        self.adj_in[peer].mark_stale()
        if not keep:
            self.sweep(peer, None)

    def said_anew(self, peer: str, family: Family) -> None:
        """What a peer has said of a family is stale until it says it again (RFC 7313 §4)."""
        self._absorb(self.adj_in[peer])
        self.adj_in[peer].mark_stale(family)

    def sweep(self, peer: str, family: Family | None) -> int:
        """End-of-RIB, or the restart timer has run out: forget what is still stale."""
        adj = self.adj_in[peer]
        if not adj.stale:
            return 0  # a peer may say End-of-RIB as often as it likes
        self._absorb(adj)
        adj.stale = family is not None
        count = 0
        for width, rows in adj.rows.items():
            delta = rows.sweep(family)
            if delta is not None:
                count += len(delta.gone)
                self._change(adj, width, delta)
        gone = [
            key
            for key, heard in adj.others.items()
            if heard.stale and family in (None, heard.path.nlri.family)
        ]
        for key in gone:
            self._unplace(adj.peer, adj.others.pop(key))
        return count + len(gone)

    def reapply(self, peer: str, policy: ImportPolicy) -> None:
        """Judge every held path of a peer again, under this policy from now on."""
        self._judge.policy = policy
        adj = self.adj_in[peer]
        self._absorb(adj)
        with self._vms.judged_again():
            for heard in adj.others.values():
                self._unplace(adj.peer, heard)
                self._place(adj.peer, heard)
        self._rows.forget()
        for width, rows in adj.rows.items():
            none = np.zeros(0, np.uint32)
            delta = Delta(rows.key[:0], none, rows.key.copy(), rows.verdict.copy())
            self._change(adj, width, delta)

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
                self._place(adj.peer, again)
            for width, rows in adj.rows.items():
                rows.take_over(old.rows[width])
                none = np.zeros(0, np.uint32)
                delta = Delta(rows.key[:0], none, rows.key.copy(), rows.verdict.copy())
                self._change(adj, width, delta)

    # -- rows: from what was said to candidates -----------------------------------------------

    def _absorb_in_time(self, adj: AdjRibIn) -> None:
        if adj.waiting > PATIENCE or adj.waiting_parts > PATIENCE_PARTS:
            self._absorb(adj)

    def _absorb(self, adj: AdjRibIn) -> None:
        for width, rows in adj.rows.items():
            delta = rows.absorb()
            if delta is not None:
                self._change(adj, width, delta)

    def _change(self, adj: AdjRibIn, width: int, delta: Delta) -> None:
        """Judge what is new or other, and put it among the candidates in the place of what was."""
        rows, judged = adj.rows[width], self._rows
        if adj.peer.router is not None:
            self._limits.add(adj.peer.name)
        if len(delta.gone):
            self._acquit(adj, rows, delta.gone, delta.gone_verdicts)
        before = np.flatnonzero(delta.put_verdicts != 0xFFFFFFFF)
        at = rows.at(delta.put)
        if len(before):
            self._acquit(adj, rows, delta.put[before], delta.put_verdicts[before])
            rows.held_back[at[before]] = False
        if len(at):
            judged.rows(adj, rows, at, self._accuse)
        gone_keys = np.concatenate((delta.gone, delta.put[before]))
        gone_verdicts = np.concatenate((delta.gone_verdicts, delta.put_verdicts[before]))
        self._move(
            adj, width, (gone_keys, gone_verdicts), (delta.put, keyed.taken(rows.verdict, at))
        )

    def _move(
        self, adj: AdjRibIn, width: int, gone: tuple[Array, U4], put: tuple[Array, U4]
    ) -> None:
        """Candidates by (keys in the Adj-RIB-In, verdicts): those to take away, those to put."""
        keys = keyed.OF_WIDTH[width]
        row, table, _ = self._rows.placed(gone[1])
        gone_slots = slots(adj.number, keys.number(gone[0][row]))
        gone_keys = keys.renumbered(gone[0][row], table)
        row, table, terms = self._rows.placed(put[1])
        said = keyed.taken(put[0], row)
        put_slots = slots(adj.number, keys.number(said))
        put_keys = keys.renumbered(said, table)
        touched = put_keys
        if len(gone_keys) or not keyed.rising(put_keys):
            touched = keyed.distinct(np.sort(np.concatenate((gone_keys, put_keys))))
        if not len(touched):
            return
        rows = self.rows[width]
        before = Standing.of(rows, touched)
        rows.change((gone_keys, gone_slots), (put_keys, put_slots, terms.astype(np.uint32)))
        self.deciding.decide(width, touched, before)

    def _acquit(self, adj: AdjRibIn, rows: Rows, keys: Array, verdicts: U4) -> None:
        """Forget the findings on rows that are gone or are judged again."""
        accused = self._rows.accused[verdicts]
        if not accused.any():
            return
        chosen = keys[accused]
        numbers = rows.keys.number(chosen).tolist()
        for number, prefix in zip(numbers, rows.keys.prefixes(chosen), strict=True):
            key = self.vocabulary.key(number, prefix)
            self.findings.pop((adj.peer.name, key), None)

    def _accuse(self, path: Path, finding: Finding) -> None:
        self.findings[path.peer, path.nlri.key] = finding

    # -- Paths that are no prefixes -----------------------------------------------------------

    def _place(self, peer: Peer, heard: Heard) -> None:
        """Judge a path that is no prefix, and put it where it belongs."""
        judged = self._judge.judge(peer, heard.path)
        self._judge.hits.add(peer.name, judged.by, 1, heard.path.nlri)
        heard.reason = judged.reason
        nlri = heard.path.nlri
        if judged.finding is not None:
            self.findings[peer.name, nlri.key] = judged.finding
        if judged.attributes is None or not isinstance(nlri, EvpnMacIp):
            return
        heard.places = tuple(table.ccsi.name for table in judged.takers)
        if nlri.ip is None:
            return
        path = heard.path
        if judged.attributes is not path.attributes:
            path = path._replace(attributes=judged.attributes)
        for table in judged.takers:
            if peer.role == "host":
                self._vms.hear(nlri, (peer.name, nlri.key), path)
                continue
            speaker, origin = self.speaks[peer.name], self.origins.of(path)
            table.place_vm(nlri.ip, Candidate(path, nlri.key, Source.REMOTE, speaker, origin))

    def _unplace(self, peer: Peer, heard: Heard, after: Heard | None = None) -> None:
        """Take a path away from where ``after``, another word on the same NLRI, is not now."""
        nlri = heard.path.nlri
        slot = (peer.name, nlri.key)
        if after is None:
            self.findings.pop(slot, None)
        for name in heard.places:
            if after is not None and name in after.places and _place(after) == _place(heard):
                continue
            if isinstance(nlri, EvpnMacIp) and nlri.ip is not None:
                if peer.role == "host":
                    self._vms.forget(nlri, slot)
                else:
                    self.tables[name].remove_vm(nlri.ip, slot)
        heard.places = ()

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
        for name in sorted(self.adj_in):
            self._absorb(self.adj_in[name])
        self._apply_limits()
        self._follow_vms()
        for width, again in self._again.items():
            if again:
                touched = keyed.distinct(np.sort(np.concatenate(again)))
                before = Standing.of(self.rows[width], touched)
                self.deciding.decide(width, touched, before)
                again.clear()
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

    def _follow_vms(self) -> None:
        """Rows whose gateway IP is the address of a VM that has moved lead elsewhere now."""
        moved: dict[int, list[int]] = {}
        for number, ip in self._vms_moved:
            if other := self._rows.follow(self.by_id[number], ip):
                moved.setdefault(number, []).extend(other)
        self._vms_moved.clear()
        if not moved:
            return
        other_terms = np.zeros(len(self.book), np.bool_)
        for numbers in moved.values():
            other_terms[numbers] = True
        tables = [self.by_id[number] for number in sorted(moved)]
        for width, rows in self.rows.items():
            found = [
                rows.key[first:behind][other_terms[rows.terms[first:behind]]]
                for first, behind in (table.extent(width) for table in tables)
            ]
            touched = keyed.distinct(np.concatenate(found))
            if len(touched):
                before = Standing.of(rows, touched)
                winner = before.winner
                winner[(winner >= 0) & other_terms[winner]] = ELSEWHERE
                self.deciding.decide(width, touched, before)

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

    def _apply_limits(self) -> None:
        """max-prefixes, soft: of the accepted prefixes the first N are used, shorter ones first."""
        for name in sorted(self._limits):
            adj = self.adj_in[name]
            router = adj.peer.router
            if router is None or router.max_prefixes is None:
                continue
            for width, over in over_limit(adj, self._rows.accepted, router.max_prefixes).items():
                rows = adj.rows[width]
                taken = np.flatnonzero(over & ~rows.held_back)
                given = np.flatnonzero(rows.held_back & ~over)
                rows.held_back = over
                self._move(
                    adj,
                    width,
                    (rows.key[taken], rows.verdict[taken]),
                    (rows.key[given], rows.verdict[given]),
                )
        self._limits.clear()

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
            count = int(sum(self._rows.accepted[r.verdict].sum() for r in adj.rows.values()))
            limit = adj.peer.router.max_prefixes
            return (), Refused("capacity", f"{count} prefixes accepted, max-prefixes is {limit}")
        return tuple(self.by_id[t].ccsi.name for t in verdict.tables), verdict.reason

    def filled(self, names: Iterable[str]) -> dict[int, Filled]:
        """What fills the prefixes of these tables, by width, for table/building.py."""
        tables = [self.tables[name] for name in names]
        return {width: filled(rows, self.book, tables) for width, rows in self.rows.items()}

    def accepted_count(self, peer: str) -> int:
        """How many Paths of a peer passed claims and policy and are used as candidates."""
        adj = self.adj_in[peer]
        rows = sum(
            int((self._rows.accepted[r.verdict] & ~r.held_back).sum()) for r in adj.rows.values()
        )
        return rows + sum(1 for h in adj.others.values() if h.reason is None)


def _place(heard: Heard) -> int:
    """The VNI of a type 2: no part of its key, but of where it stands."""
    return heard.path.nlri.vni if isinstance(heard.path.nlri, EvpnMacIp) else 0
