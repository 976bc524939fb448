"""What policies do to live routes, statement by statement, for ``ccn explain``.

In: a running gateway and a path that it holds. Out: traces as JSON values: of a path that a peer
has said (import), of a route that peers are told (export), and of what a share brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.running import Running
from ccn_bgp.learn.judging import Permitted
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import NO_ESI
from ccn_bgp.learn.saying import exported_targets
from ccn_bgp.learn.sharing import Sharing
from ccn_bgp.model.bgp import Prefix, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, Unicast
from ccn_bgp.model.reason import Denied
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


def share_traces(gateway: Running, table: LocRib, concerns: Callable[[Prefix], bool]) -> list[Json]:
    """What the policies of shares made of each route that one covers: of what gateways have said,
    and of what other tables here have chosen. Those of shares without a policy are left out."""
    if not any(share.named for share in table.ccsi.shares):
        return []
    rib, found = gateway.rib, list[Json]()
    for name, peer in sorted(rib.peers.items()):
        if peer.role in ("gateway", "reflector"):
            for _, heard in rib.heard(name).sorted_by_key():
                nlri = heard.path.nlri
                if isinstance(nlri, EvpnPrefix) and concerns(nlri.prefix):
                    judged = gateway.intent.import_policy(peer, heard.path)
                    if isinstance(judged, Permitted):
                        judged = judged.attributes
                    if not isinstance(judged, Denied):
                        path = heard.path._replace(attributes=judged)
                        targets = heard.path.attributes.route_targets
                        found += _shared(gateway, table, targets, path)
    for name in sorted(rib.tables):
        other = rib.tables[name]
        if table.ccsi.name in rib.takers(name):
            for prefix in sorted(p for p in other.routes if concerns(p)):
                if (best := other.exportable(prefix)) is not None:
                    nlri = EvpnPrefix(other.ccsi.rd, NO_ESI, 0, prefix, None, other.ccsi.vni)
                    path = Path(f"table {name}", nlri, best.path.attributes)
                    targets = exported_targets(other.ccsi, best.path.attributes)
                    found += _shared(gateway, table, targets, path)
    return found


def _shared(
    gateway: Running, table: LocRib, targets: frozenset[RouteTarget], path: Path
) -> list[Json]:
    """One route, through each share that covers it until one lets it pass."""
    found: list[Json] = []
    if table.ccsi.import_rts & targets or not isinstance(path.nlri, EvpnPrefix):
        return found
    intent = gateway.intent
    for share in Sharing.around(table, targets, path):
        said, result = path, "accepted"
        steps: list[Json] = []
        for names in (share.exports, share.imports):
            context = intent.contexts.shared(share, said)
            told = trace(intent.policies, names, said, default="accept", context=context)
            if names:
                steps.append(told.as_json())
            if isinstance(told.result, Denied):
                result = str(told.result)
                break
            said = said._replace(attributes=told.result.attributes)
        found.append(
            {
                "share": f"{share.provider} to {table.ccsi.ccn}",
                "prefix": str(path.nlri.prefix),
                "from": path.peer,
                "result": result,
                "policies": steps,
            }
        )
        if result == "accepted":
            break
    return found
