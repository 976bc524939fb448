"""Which tables take a path, and where it began. In: the intent. Out: answers about single Paths.

Import is by route target (RFC 4364 §4.3.1); a share bounds it by prefix as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.model.bgp import Ip, Prefix, RouteTarget
from ccn_bgp.model.ccsi import Ccsi, Peer, export_targets, owners_by_vni
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, Path, PathAttributes
from ccn_bgp.model.reason import Denied, NotImported, Reason
from ccn_bgp.model.route import Kind, NextHop, joined_tables
from ccn_bgp.model.topology import Topology, Vpc

Import = tuple[LocRib, tuple[Prefix, ...] | None]
"""A table that takes a route, and the prefixes to which a share bounds it (None: all)."""

NO_ADDRESS = Ip(bytes(4))
_NEXT_HOP = attrgetter("next_hop")


def shared(nlri: Nlri, prefixes: tuple[Prefix, ...] | None) -> bool:
    """True if the bound of an Import lets this NLRI through."""
    if prefixes is None:
        return True
    if isinstance(nlri, EvpnMacIp):
        # It makes no row: it says where the gateway IP of a shared prefix is.
        return nlri.ip is not None
    if isinstance(nlri, EvpnOther):
        return False
    return any(p.covers(nlri.prefix) for p in prefixes)


class Imports:
    """Route targets → tables, remembered per set of targets."""

    def __init__(self, tables: Mapping[str, LocRib]) -> None:
        self.tables = tables
        self._known: dict[frozenset[RouteTarget], tuple[Import, ...]] = {}
        self._takers: dict[RouteTarget, set[str]] = {}
        for name, table in tables.items():
            targets = table.ccsi.import_rts.union(*(s.targets for s in table.ccsi.shares))
            for target in targets:
                self._takers.setdefault(target, set()).add(name)
        self._alone: dict[RouteTarget, tuple[Import, ...]] = {}
        """Of targets that one table takes, all of it."""
        for target, names in self._takers.items():
            (name, *others) = names
            if not others and target in tables[name].ccsi.import_rts:
                self._alone[target] = ((tables[name], None),)

    def of(self, targets: frozenset[RouteTarget]) -> tuple[Import, ...]:
        """Tables that take these targets, by name; bounded where only a share does."""
        if len(targets) == 1:
            (target,) = targets
            if (alone := self._alone.get(target)) is not None:
                return alone
        found = self._known.get(targets)
        if found is None:
            taken: list[Import] = []
            for name in sorted({name for t in targets for name in self._takers.get(t, ())}):
                table = self.tables[name]
                if table.ccsi.import_rts & targets:
                    taken.append((table, None))
                    continue
                prefixes = tuple(
                    p for s in table.ccsi.shares if s.targets & targets for p in s.prefixes
                )
                if prefixes:
                    taken.append((table, prefixes))
            if len(self._known) > 100_000:
                self._known.clear()  # a peer may invent targets for ever
            found = self._known[targets] = tuple(taken)
        return found

    def of_many(self, many: Iterable[frozenset[RouteTarget]]) -> list[tuple[Import, ...]]:
        """The same of many."""
        alone, of = self._alone, self.of
        return [(alone.get(min(t)) if len(t) == 1 else None) or of(t) for t in many]

    def of_path(
        self, gateway: str, peer: Peer, path: Path, vpcs: Mapping[int, tuple[Ccsi, Vpc]]
    ) -> tuple[Import, ...]:
        """An IDC session ends in one table, a host's VM belongs to that of its VNI, the rest goes
        by route target."""
        if peer.router is not None:
            table = self.tables[f"{gateway}/{peer.router.ccn}"]
            return () if f"idc/{peer.router.idc}" in table.ccsi.silent else ((table, None),)
        nlri = path.nlri
        if peer.role == "host":
            if isinstance(nlri, EvpnMacIp) and nlri.vni in vpcs:
                return ((self.tables[vpcs[nlri.vni][0].name], None),)
            return ()
        return self.of(path.attributes.route_targets)


def not_imported(peer: Peer, path: Path) -> Reason:
    """Why ``of_path`` gave no table."""
    if peer.router is not None:
        return Denied(f"attachment idc/{peer.router.idc}", "propagate: false")
    if peer.role == "host":
        return NotImported("a VNI of a VPC of this region")
    targets = " ".join(str(t) for t in sorted(path.attributes.route_targets))
    return NotImported(targets or "a path without a route target")


class Origins:
    """Names the table where a gateway's route began: its VNI says whose tables the packet meets."""

    def __init__(self, topology: Topology) -> None:
        self.owners = owners_by_vni(topology)
        self.vteps: dict[Ip, str] = {g.vtep: g.name for g in topology.gateways.values()}
        self.claimants: dict[RouteTarget, str] = {}
        self._names: dict[tuple[Ip | None, str], str] = {}
        for name in sorted(topology.ccns, reverse=True):
            for target in export_targets(topology, topology.ccns[name]):
                self.claimants[target] = name

    def of(self, path: Path) -> str:
        """``gateway/ccn``; the CCN by VNI, else by route target; the gateway by next hop."""
        nlri = path.nlri
        vni = nlri.vni if isinstance(nlri, EvpnPrefix) else 0
        if isinstance(nlri, EvpnMacIp):
            vni = nlri.vni2 or nlri.vni
        return self.of_vni(vni, path.attributes)

    def of_vni(self, vni: int, attributes: PathAttributes) -> str:
        """The same by the VNI and what came with it."""
        owner = self.owners.get(vni) or self._claimant(vni, attributes)
        return self._name(attributes.next_hop, owner)

    def of_vnis(self, vnis: Sequence[int], sets: Sequence[PathAttributes]) -> list[str]:
        """The same of many."""
        found = map(self.owners.get, vnis)
        each = zip(found, vnis, sets, strict=True)
        owners = [owner or self._claimant(vni, said) for owner, vni, said in each]
        return self._named(list(zip(map(_NEXT_HOP, sets), owners, strict=True)))

    def _claimant(self, vni: int, attributes: PathAttributes) -> str:
        """Whose routes are those with a VNI that is nobody's."""
        claims = sorted(self.claimants[t] for t in attributes.route_targets if t in self.claimants)
        return claims[0] if claims else f"vni-{vni}"

    def _name(self, next_hop: Ip | None, owner: str) -> str:
        return self._named([(next_hop, owner)])[0]

    def _named(self, pairs: Sequence[tuple[Ip | None, str]]) -> list[str]:
        """The names of tables, by next hop and owner; one text for many routes."""
        if len(self._names) > 100_000:
            self._names.clear()  # a peer may invent next hops for ever
        known = self._names
        gateways: dict[Ip | None, str] = {}
        for pair in pairs:
            if pair not in known:
                next_hop, owner = pair
                gateway = gateways.get(next_hop)
                if gateway is None:
                    vtep = next_hop or NO_ADDRESS
                    gateway = gateways[next_hop] = self.vteps.get(vtep) or str(vtep)
                known[pair] = f"{gateway}/{owner}"
        return [known[pair] for pair in pairs]

    def next_table(self, next_hop: NextHop) -> str:
        """The table of another gateway that a tunnelled packet meets, or empty; all of a group."""
        return self.next_tables((next_hop,))[0]

    def next_tables(self, hops: Iterable[NextHop]) -> list[str]:
        """The same of many."""
        tunnels: list[tuple[Ip | None, str]] = []
        other: list[str | None] = []
        owners = self.owners
        for hop in hops:
            kind, vni, ip, _, _, _ = hop
            if kind is Kind.VTEP:
                tunnels.append((ip, owners.get(vni) or f"vni-{vni}"))
                other.append(None)
            elif kind is Kind.GROUP:
                other.append(joined_tables(self.next_tables(hop.hops)))
            else:
                other.append("")
        named = iter(self._named(tunnels))
        return [next(named) if name is None else name for name in other]
