"""In which Context a policy is asked. In: a peer of one gateway, and a Path. Out: the Context of
its session, with the member that the route is from.

One object per session, direction and member: changed attributes are shared by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccn_bgp.gateway.members import Member, Members
from ccn_bgp.model.ccsi import Peer, ShareImport, export_targets
from ccn_bgp.model.path import Path
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.policy.flight import Context, OriginKind
from ccn_bgp.policy.rules import PolicySet

_SAID_BY: Mapping[str, OriginKind] = {"idc": "idc", "gateway": "gateway", "host": "host"}
"""What a route is by who says it; what a reflector passes on is its gateway's."""
_REMEMBERED = 100_000


class Contexts:
    """The Contexts of one gateway's sessions, made when first asked for."""

    def __init__(self, topology: Topology, gateway: Gateway) -> None:
        self._topology = topology
        self._gateway = gateway
        self.members = Members(topology)
        self._known: dict[tuple[str, bool, Member], Context] = {}
        self._shared: dict[Member, Context] = {}
        self._asks: dict[tuple[str, ...], bool] = {}

    def asked(self, policies: PolicySet, names: tuple[str, ...], path: Path) -> Path | None:
        """The path, if a chain of these policies (always the same ones) asks which member a route
        is from; None: it makes no difference, and to find it out would cost more than the chain."""
        asks = self._asks.get(names)
        if asks is None:
            asks = self._asks[names] = policies.tells_members_apart(names)
        return path if asks else None

    def heard(self, peer: Peer, path: Path | None) -> Context:
        """Of what a peer says: a data centre's router speaks for that data centre, the others for
        whom their routes are from. Without a path that is left open."""
        router = peer.router
        if router is not None:
            region = self._gateway.region
            return self._of(peer, Member(router.ccn, "", router.idc, region, "idc"), heard=True)
        if path is None:
            return self._of(peer, Member(), heard=True)
        member = self.members.of(path)
        if (kind := _SAID_BY.get(peer.role)) is not None:
            member = member._replace(kind=kind)
        elif member.kind is not None:
            member = member._replace(kind="gateway")
        if peer.role == "host":
            member = member._replace(region=self._gateway.region)
        return self._of(peer, member, heard=True)

    def told(self, peer: Peer, path: Path | None) -> Context:
        """Of what a peer is told: the member that the route is from, as what it began. Without a
        path that is left open."""
        ccn = "" if peer.router is None else peer.router.ccn
        member = Member(ccn) if path is None else self.members.of(path, ccn)
        return self._of(peer, member, heard=False)

    def shared(self, share: ShareImport, path: Path) -> Context:
        """Of what a share brings: the provider's member that it is from, as what it began. There
        is no neighbor, and no route target to be set."""
        member = self.members.of(path, share.provider)
        known = self._shared.get(member)
        if known is None:
            if len(self._shared) > _REMEMBERED:
                self._shared.clear()
            known = self._shared[member] = Context(
                own_asn=self._gateway.asn,
                ccn=member.ccn,
                vpc=member.vpc,
                idc=member.idc,
                region=member.region,
                origin_kind=member.kind,
                exportable=frozenset(),
            )
        return known

    def _of(self, peer: Peer, member: Member, *, heard: bool) -> Context:
        key = peer.name, heard, member
        found = self._known.get(key)
        if found is None:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._made(peer, member)
        return found

    def _made(self, peer: Peer, member: Member) -> Context:
        router = peer.router
        targets = None
        if router is not None:
            targets = export_targets(self._topology, self._topology.ccns[router.ccn])
        return Context(
            neighbor=peer.name,
            address=peer.address,
            asn=peer.asn,
            own_asn=peer.local_asn,
            ccn=member.ccn,
            vpc=member.vpc,
            idc=member.idc,
            region=member.region,
            origin_kind=member.kind,
            exportable=targets,
            narrows=router is None,  # of many CCNs: each route has what its own may export
        )
