"""The one mutable learned state: Adj-RIB-Ins, the tables' Loc-RIBs, and what we say on.

In: announcements and withdrawals per peer. Out, after ``settle``: Routes per CCSI, VM rows, and the
EVPN routes that this gateway originates. No sockets, no clock: the caller brings time and bytes.
The result depends on what is held, never on the order in which it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ccn_bgp.learn.adj_rib_in import AdjRibIn, Heard
from ccn_bgp.learn.candidate import OURSELVES, Candidate, Source, Speaks
from ccn_bgp.learn.importing import Import, Imports, Origins, not_imported, shared
from ccn_bgp.learn.loc_rib import LocRib, Slot
from ccn_bgp.learn.originate import (
    NO_ESI,
    declared_prefixes,
    tunnel_communities,
)
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.model.bgp import Family, Ip, Prefix
from ccn_bgp.model.ccsi import (
    Ccsi,
    Peer,
    ccsis,
    peers,
    tap_name,
)
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnOther,
    EvpnPrefix,
    Nlri,
    Path,
    PathAttributes,
    Unicast,
)
from ccn_bgp.model.reason import Denied, Looped, NotImported, Refused, Unresolved
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.topology import Gateway, Topology, Vpc

ImportPolicy = Callable[[Peer, Path], PathAttributes | Denied]
Claim = Callable[[Peer, str, Path], Finding | None]
"""Whether a peer may say this of a table at all: the guard before any decision."""


class Rib:
    """All that one gateway has learned under one intent (a Topology and its policies)."""

    def __init__(
        self, topology: Topology, gateway: Gateway, policy: ImportPolicy, claim: Claim
    ) -> None:
        self.topology = topology
        self.gateway = gateway
        self.policy = policy
        self.claim = claim
        self.peers: dict[str, Peer] = {p.name: p for p in peers(topology, gateway)}
        self.speaks: dict[str, Speaks] = {n: Speaks.of(p) for n, p in self.peers.items()}
        self.adj_in: dict[str, AdjRibIn] = {n: AdjRibIn(p) for n, p in self.peers.items()}
        self.findings: dict[Slot, Finding] = {}
        self.vpcs: dict[int, tuple[Ccsi, Vpc]] = {}
        self.tables: dict[str, LocRib] = {}
        self.exports: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self.dirty_exports: set[bytes] = set()
        self.dirty_routes: dict[str, set[Prefix]] = {}
        self._held_back: dict[str, frozenset[bytes]] = {}
        self._limits: set[str] = set()
        self._made: dict[tuple[int, str], tuple[PathAttributes, PathAttributes]] = {}
        self.origins = Origins(topology)
        self._build()

    def _build(self) -> None:
        topology, gateway = self.topology, self.gateway
        taps = {r.name: tap_name(gateway, r) for r in topology.routers if r.gateway == gateway.name}
        for ccsi in ccsis(topology, gateway):
            self.tables[ccsi.name] = LocRib(ccsi, taps, self.origins.next_table)
            for vpc in ccsi.vpcs:
                self.vpcs.setdefault(vpc.vni, (ccsi, vpc))
        self.imports = Imports(self.tables)
        self._importers: dict[str, tuple[Import, ...]] = {
            name: tuple(i for i in self.imports.of(t.ccsi.export_rts) if i[0] is not t)
            for name, t in self.tables.items()
        }
        self._vms = RegionVms(gateway, self.tables, self.vpcs, self._export, self._unexport)
        for table in self.tables.values():
            for candidate in declared_prefixes(gateway, table.ccsi):
                nlri = candidate.path.nlri
                assert isinstance(nlri, EvpnPrefix)
                table.place(nlri.prefix, candidate)

    # -- what peers say ---------------------------------------------------------------------

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
            heard = adj.heard.pop(nlri.key, None)
            if heard is not None:
                self._unplace(adj.peer, heard)
        if attributes is None:
            return
        for nlri in announced:
            key = nlri.key
            path = Path(peer, nlri, attributes)
            heard = adj.heard.get(key)
            if heard is not None:
                heard.epoch = adj.epoch
                if heard.path == path:
                    continue
                self._unplace(adj.peer, heard)
            heard = Heard(path, adj.epoch)
            adj.heard[key] = heard
            self._place(adj.peer, heard)

    def opened(self, peer: str, router_id: Ip) -> None:
        """The OPEN of a peer: the router-id decides ties, also of what is held as stale."""
        if self.speaks[peer].router_id == router_id:
            return
        self.speaks[peer].router_id = router_id
        for heard in self.adj_in[peer].heard.values():
            for name in heard.places:
                self.tables[name].decide_again(heard.path.nlri)

    def session_down(self, peer: str, *, keep: bool) -> None:
        """The session ended: keep what it said as stale (graceful restart), or forget it."""
        adj = self.adj_in[peer]
        adj.mark_stale()
        if not keep:
            self.sweep(peer, None)

    def sweep(self, peer: str, family: Family | None) -> int:
        """End-of-RIB, or the restart timer has run out: forget what is still stale."""
        adj = self.adj_in[peer]
        gone = list(adj.stale(family))
        for key in gone:
            self._unplace(adj.peer, adj.heard.pop(key))
        return len(gone)

    def reapply(self) -> None:
        """Judge every held path again, as after a change of policy."""
        for adj in self.adj_in.values():
            for heard in adj.heard.values():
                self._unplace(adj.peer, heard)
                self._place(adj.peer, heard)

    def renew(self, topology: Topology, claim: Claim) -> None:
        """Go on under a topology that differs in its VMs alone: no path is judged again."""
        self.topology, self.claim = topology, claim
        self.vpcs.clear()
        for ccsi in ccsis(topology, self.gateway):
            self.tables[ccsi.name].ccsi = ccsi
            for vpc in ccsi.vpcs:
                self.vpcs.setdefault(vpc.vni, (ccsi, vpc))
        self._vms.renew()

    def adopt(self, other: Rib) -> None:
        """Take over what another Rib has heard from peers that are still configured alike."""
        for name, adj in self.adj_in.items():
            old = other.adj_in.get(name)
            if old is None or old.peer.address != adj.peer.address or old.peer.asn != adj.peer.asn:
                continue
            self.speaks[name].router_id = other.speaks[name].router_id
            adj.epoch = old.epoch
            for key, heard in old.heard.items():
                again = Heard(heard.path, heard.epoch)
                adj.heard[key] = again
                self._place(adj.peer, again)

    # -- from a path to its places ------------------------------------------------------------

    def _looped(self, peer: Peer, path: Path) -> Looped | None:
        """RFC 4271 §9.1.2, RFC 4456 §8, and our own routes coming back from a reflector."""
        attributes = path.attributes
        if peer.local_asn in attributes.asns:
            return Looped(f"own AS {peer.local_asn} in the path {attributes.as_path_text}")
        if attributes.originator_id == self.gateway.router_id:
            return Looped("the originator is this gateway")
        if peer.role != "idc" and attributes.next_hop == self.gateway.vtep:
            return Looped("the next hop is this gateway")
        return None

    def _place(self, peer: Peer, heard: Heard) -> None:
        """Judge one path: loop, import, claims, policy; then put it where it belongs.

        Claims come before policy: no policy can switch them off, and what a peer may not say is a
        finding even where a policy would have dropped it in silence.
        """
        if peer.router is not None:
            self._limits.add(peer.name)
        heard.accepted, heard.places = None, ()
        heard.reason = self._looped(peer, heard.path)
        if heard.reason is not None:
            return
        nlri = heard.path.nlri
        if isinstance(nlri, EvpnOther):
            heard.reason = NotImported(f"EVPN type {nlri.kind}")
            return
        imports = self.imports.of_path(self.gateway.name, peer, heard.path, self.vpcs)
        if not imports:
            heard.reason = not_imported(peer, heard.path)
            return
        next_hop = heard.path.attributes.next_hop or Ip(b"")
        if peer.role == "host" and len(next_hop) != 4:
            heard.reason = Unresolved(next_hop, "is not IPv4: the underlay is")
            return
        takers = [table for table, prefixes in imports if shared(nlri, prefixes)]
        heard.reason = None if takers else NotImported("no share covers it")
        for table in list(takers):
            finding = self.claim(peer, table.ccsi.name, heard.path)
            if finding is not None:
                self.findings[peer.name, nlri.key] = finding
                heard.reason = Refused(finding.rule, finding.message)
                takers.remove(table)
        if not takers:
            return
        judged = self.policy(peer, heard.path)
        if isinstance(judged, Denied):
            heard.reason = judged
            return
        if peer.router is not None:
            judged = self._of_site(peer, judged)
        same = judged is heard.path.attributes
        accepted = heard.path if same else heard.path._replace(attributes=judged)
        for table in takers:
            self._insert(table, peer, accepted)
        heard.places = tuple(table.ccsi.name for table in takers)
        heard.accepted, heard.reason = accepted, None

    def _of_site(self, peer: Peer, attributes: PathAttributes) -> PathAttributes:
        """An IDC's attributes as from its site: its own extended communities end here."""
        return self._once(
            attributes,
            peer.name,
            lambda a: replace(a, extended_communities=(peer.site,)),
        )

    def _once(
        self,
        attributes: PathAttributes,
        use: str,
        make: Callable[[PathAttributes], PathAttributes],
    ) -> PathAttributes:
        """Attributes made of others stay one object, so that announcements group by it."""
        cached = self._made.get((id(attributes), use))
        if cached is not None and cached[0] is attributes:
            return cached[1]
        made = make(attributes)
        if len(self._made) > 100_000:
            self._made.clear()
        self._made[id(attributes), use] = (attributes, made)
        return made

    def _insert(self, table: LocRib, peer: Peer, path: Path) -> None:
        nlri = path.nlri
        speaker = self.speaks[peer.name]
        if isinstance(nlri, EvpnMacIp):
            if nlri.ip is None:
                return
            if peer.role == "host":
                self._vms.hear(nlri, (peer.name, nlri.key), path)
                return
            candidate = Candidate(path, nlri.key, Source.REMOTE, speaker, self.origins.of(path))
            table.place_vm(nlri.ip, candidate)
            return
        assert isinstance(nlri, EvpnPrefix | Unicast)
        idc = peer.role == "idc"
        candidate = Candidate(
            path,
            nlri.key,
            Source.IDC if idc else Source.REMOTE,
            speaker,
            table.ccsi.name if idc else self.origins.of(path),
        )
        table.place(nlri.prefix, candidate)

    def _unplace(self, peer: Peer, heard: Heard) -> None:
        nlri = heard.path.nlri
        slot = (peer.name, nlri.key)
        self.findings.pop(slot, None)
        for name in heard.places:
            table = self.tables[name]
            if isinstance(nlri, EvpnMacIp):
                if nlri.ip is not None:
                    if peer.role == "host":
                        self._vms.forget(nlri, slot)
                    else:
                        table.remove_vm(nlri.ip, slot)
            elif not isinstance(nlri, EvpnOther):
                table.remove(nlri.prefix, slot)
        if peer.router is not None:
            self._limits.add(peer.name)
        heard.places = ()

    # -- VMs of this region ---------------------------------------------------------------------

    @property
    def vms_changed(self) -> bool:
        """True until ``vm_entries`` has been asked for after a change."""
        return self._vms.changed

    def vm_entries(self) -> tuple[VmEntry, ...]:
        """The VM table: the inventory, and what hosts say; a higher mobility sequence wins."""
        return self._vms.entries()

    # -- decisions ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Decide every dirty prefix until nothing is dirty; local imports may make more so."""
        self._apply_limits()
        while dirty := [t for t in self.tables.values() if t.dirty]:
            for table in dirty:
                prefixes, table.dirty = table.dirty, set()
                touched = self.dirty_routes.setdefault(table.ccsi.name, set())
                for prefix in prefixes:
                    table.decide(prefix)
                    touched.add(prefix)
                    self._say_on(table, prefix)

    def _say_on(self, table: LocRib, prefix: Prefix) -> None:
        """Carry a winner to gateways (as our type 5) and to local tables that import from here."""
        best = table.exportable(prefix)
        nlri = EvpnPrefix(table.ccsi.rd, NO_ESI, 0, prefix, None, table.ccsi.vni)
        declared = table.declared(prefix)
        if declared is not None:
            self._export(declared.path.nlri, declared.path.attributes)
        elif best is not None:
            self._export(nlri, self._reoriginated(table.ccsi, best.path.attributes))
        else:
            self._unexport(nlri)
        slot = (f"table {table.ccsi.name}", nlri.key)
        for other, prefixes in self._importers[table.ccsi.name]:
            if best is None or not shared(nlri, prefixes) or other.ccsi.name in best.trail:
                other.remove(prefix, slot)
                continue
            other.place(
                prefix,
                Candidate(
                    path=Path(slot[0], best.path.nlri, best.path.attributes),
                    key=nlri.key,
                    source=Source.LOCAL_IMPORT,
                    speaker=OURSELVES,
                    origin=best.origin,
                    fixed=table.routes[prefix].next_hop,
                    trail=(*best.trail, table.ccsi.name),
                ),
            )

    def takers(self, name: str) -> tuple[str, ...]:
        """The tables of this gateway that take over what a table has."""
        return tuple(other.ccsi.name for other, _ in self._importers[name])

    def _export(self, nlri: Nlri, attributes: PathAttributes) -> None:
        said = (nlri, attributes)
        if self.exports.get(nlri.key) != said:
            self.exports[nlri.key] = said
            self.dirty_exports.add(nlri.key)

    def _unexport(self, nlri: Nlri) -> None:
        if self.exports.pop(nlri.key, None) is not None:
            self.dirty_exports.add(nlri.key)

    def _reoriginated(self, ccsi: Ccsi, attributes: PathAttributes) -> PathAttributes:
        """An IDC's attributes as our type 5: AS path and communities kept, next hop self."""
        sites = (c for c in attributes.extended_communities if c[:2] == b"\x00\x03")
        return self._once(
            attributes,
            ccsi.name,
            lambda a: replace(
                a,
                next_hop=self.gateway.vtep,
                med=None,
                extended_communities=(
                    *tunnel_communities(ccsi.export_rts, self.gateway.mac),
                    *sites,
                ),
                originator_id=None,
                cluster_list=(),
            ),
        )

    def _apply_limits(self) -> None:
        """max-prefixes, soft: of the accepted prefixes the first N are used, shorter ones first."""
        for name in sorted(self._limits):
            adj = self.adj_in[name]
            router = adj.peer.router
            if router is None or router.max_prefixes is None:
                continue
            before = self._held_back.get(name, frozenset())
            if len(adj.heard) <= router.max_prefixes and not before:
                continue
            accepted = {k: h for k, h in adj.heard.items() if h.accepted is not None}
            order = sorted(accepted, key=shorter_first)
            over = frozenset(order[router.max_prefixes :])
            table = self.tables[f"{self.gateway.name}/{router.ccn}"]
            text = f"{len(accepted)} prefixes accepted, max-prefixes is {router.max_prefixes}"
            for key in order:
                heard = accepted[key]
                nlri = heard.path.nlri
                assert isinstance(nlri, Unicast)
                if key in over:
                    heard.reason = Refused("capacity", text)
                    table.remove(nlri.prefix, (name, key))
                elif key in before:
                    heard.reason = None
                    assert heard.accepted is not None
                    self._insert(table, adj.peer, heard.accepted)
            self._held_back[name] = over
        self._limits.clear()

    def limit_findings(self) -> list[Finding]:
        """One `capacity` finding for each router that says more than it may."""
        found = []
        for name, adj in sorted(self.adj_in.items()):
            router = adj.peer.router
            if router is None or len(adj.heard) <= (router.max_prefixes or len(adj.heard)):
                continue
            over = self._held_back.get(name, frozenset())
            first = Prefix(min(over or adj.heard, key=shorter_first))
            text = f"{name} announces {len(adj.heard)} prefixes, max-prefixes is "
            if over:
                after = f"{len(over)} accepted ones are held back, from {first} on"
            else:
                after = "policy and claims accept no more than that"
            found.append(
                Finding(
                    rule="capacity",
                    message=f"{text}{router.max_prefixes}; {after}",
                    where=f"peer {name}",
                    ccn=router.ccn,
                    table=f"{self.gateway.name}/{router.ccn}",
                    prefix=str(first),
                    peer=name,
                    witness={"address": str(first.address), "hops": [f"peer {name}"]},
                )
            )
        return found


def shorter_first(key: bytes) -> tuple[int, int, bytes]:
    """IPv4 before IPv6, shorter before longer, then by address: the order of max-prefixes."""
    return (len(key), key[-1], key)
