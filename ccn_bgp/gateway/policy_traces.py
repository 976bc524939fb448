"""What policies do to live routes, statement by statement, for ``ccn explain``.

In: a running gateway and a path that it holds. Out: traces as JSON values: of a path that a peer
has said (import), and of a route that peers are told (export).
"""

from __future__ import annotations

from typing import Any

from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.running import Running
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import NO_ESI
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, Unicast
from ccn_bgp.policy.trace import trace

Json = dict[str, Any]


def import_trace(gateway: Running, name: str, nlri: Nlri) -> Json | None:
    """Of what a peer has said of an NLRI, as it said it; None where no policy binds the peer, or
    nothing is held."""
    peer = gateway.rib.peers.get(name)
    if peer is None or not (peer.imports or peer.default == "reject"):
        return None
    heard = gateway.rib.heard(name).get(nlri.key)
    if heard is None:
        return None
    intent = gateway.intent
    context = intent.contexts.heard(peer, heard.path)
    told = trace(intent.policies, peer.imports, heard.path, default=peer.default, context=context)
    return told.as_json()


def told(gateway: Running, table: LocRib, prefix: Prefix) -> list[Json]:
    """Who is told the route for a prefix, and what export policy made of it: sessions that are up
    and hear of this table, but those that no policy binds and that hear nothing of it."""
    found = []
    route = table.routes[prefix]
    export = EvpnPrefix(table.ccsi.rd, NO_ESI, 0, prefix, None, table.ccsi.vni)
    exported = gateway.rib.exports.get(export.key)
    for name, session in sorted(gateway.sessions.peers.items()):
        router = session.peer.router
        offered = None if exported is None else Path("", *exported)
        if router is not None:
            offered = route.path._replace(nlri=Unicast(prefix))
            if router.ccn != table.ccsi.ccn:
                continue
        elif session.peer.role == "host":
            continue
        if offered is not None and session.up:
            found.append({"neighbor": name, **_told(gateway, session, offered)})
    return found


def _told(gateway: Running, session: PeerSession, path: Path) -> Json:
    peer, intent, nlri = session.peer, gateway.intent, path.nlri
    said = session.out.told.get(nlri.key)
    if said is not None:
        result = "told"
    elif (denied := session.out.denied.get(nlri.key)) is not None:
        result = str(denied)
    else:
        return {"result": "not offered: it is from there, or of another family"}
    found: Json = {"result": result}
    if peer.exports or peer.default == "reject":
        context = intent.contexts.told(peer, path)
        found["policy"] = trace(
            intent.policies, peer.exports, path, default=peer.default, context=context
        ).as_json()
    return found
