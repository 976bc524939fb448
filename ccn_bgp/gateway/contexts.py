"""In which Context a policy is asked. In: a peer of one gateway. Out: the Context of its session.

One object per session and direction: changed attributes are shared by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccn_bgp.model.ccsi import Peer, export_targets
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.policy.flight import Context, OriginKind

_SAID_BY: Mapping[str, OriginKind] = {"idc": "idc", "gateway": "gateway", "host": "host"}
"""What a route is by who says it; of what a reflector passes on nobody knows."""


class Contexts:
    """The Contexts of one gateway's sessions, made when first asked for."""

    def __init__(self, topology: Topology, gateway: Gateway) -> None:
        self._topology = topology
        self._gateway = gateway
        self._known: dict[tuple[str, bool], Context] = {}

    def heard(self, peer: Peer) -> Context:
        """Of what a data centre's router says: it is from that data centre, in this region."""
        return self._of(peer, heard=True)

    def told(self, peer: Peer) -> Context:
        """Of what a data centre's router is told: of a CCN."""
        return self._of(peer, heard=False)

    def _of(self, peer: Peer, *, heard: bool) -> Context:
        found = self._known.get((peer.name, heard))
        if found is None:
            found = self._known[peer.name, heard] = self._made(peer, heard)
        return found

    def _made(self, peer: Peer, heard: bool) -> Context:
        router = peer.router
        ccn = router.ccn if router is not None else ""
        targets = export_targets(self._topology, self._topology.ccns[ccn]) if ccn else None
        return Context(
            neighbor=peer.name,
            address=peer.address,
            asn=peer.asn,
            own_asn=peer.local_asn,
            ccn=ccn,
            idc=router.idc if router is not None and heard else "",
            region=self._gateway.region if heard and peer.role in ("idc", "host") else "",
            origin_kind=_SAID_BY.get(peer.role) if heard else None,
            exportable=targets,
            narrows=router is None,  # of many CCNs: each route has what its own may export
        )
