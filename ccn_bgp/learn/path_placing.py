"""Paths that are no prefixes: type 2, which tell where VMs are, and types without effect.

In: what a peer says of one NLRI or takes back. Out: VMs among the candidates of their tables
(loc_rib.py) or, from hosts, among the claims on VMs of this region (region_vms.py), and Findings.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from ccn_bgp.learn.adj_rib_in import AdjRibIn, Heard
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.judging import Judge
from ccn_bgp.learn.loc_rib import LocRib, Slot
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnMacIp, Path


class PathPlacing:
    """Places such paths for one Rib."""

    def __init__(
        self,
        judge: Judge,
        tables: Mapping[str, LocRib],
        vms: RegionVms,
        speaks: Mapping[str, Speaks],
        findings: MutableMapping[Slot, Finding],
    ) -> None:
        self.judge = judge
        self.tables = tables
        self.vms = vms
        self.speaks = speaks
        self.findings = findings

    def hear(self, adj: AdjRibIn, path: Path) -> None:
        """A peer has said this."""
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
        self.place(adj.peer, heard)
        if before is not None:
            self.unplace(adj.peer, before, heard)

    def sweep(self, adj: AdjRibIn, family: Family | None) -> int:
        """Forget what is still stale of a family; how many those were."""
        gone = [
            key
            for key, heard in adj.others.items()
            if heard.stale and family in (None, heard.path.nlri.family)
        ]
        for key in gone:
            self.unplace(adj.peer, adj.others.pop(key))
        return len(gone)

    def judge_again(self, adj: AdjRibIn) -> None:
        """Judge all such paths of a peer again."""
        with self.vms.judged_again():
            for heard in adj.others.values():
                self.unplace(adj.peer, heard)
                self.place(adj.peer, heard)

    def decide_again(self, adj: AdjRibIn) -> None:
        """What this peer says is to be decided again."""
        for heard in adj.others.values():
            for name in heard.places:
                self.tables[name].decide_again(heard.path.nlri)

    def place(self, peer: Peer, heard: Heard) -> None:
        """Judge a path, and put it where it belongs."""
        judged = self.judge.judge(peer, heard.path)
        self.judge.hits.add(peer.name, judged.by, 1, heard.path.nlri)
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
                self.vms.hear(nlri, (peer.name, nlri.key), path)
                continue
            speaker, origin = self.speaks[peer.name], self.judge.origins.of(path)
            table.place_vm(nlri.ip, Candidate(path, nlri.key, Source.REMOTE, speaker, origin))

    def unplace(self, peer: Peer, heard: Heard, after: Heard | None = None) -> None:
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
                    self.vms.forget(nlri, slot)
                else:
                    self.tables[name].remove_vm(nlri.ip, slot)
        heard.places = ()


def _place(heard: Heard) -> int:
    """The VNI of a type 2: no part of its key, but of where it stands."""
    return heard.path.nlri.vni if isinstance(heard.path.nlri, EvpnMacIp) else 0
