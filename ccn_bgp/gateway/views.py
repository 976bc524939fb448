"""What a running gateway shows: its state as plain JSON values. Nothing is changed by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.aggregate_views import aggregates
from ccn_bgp.gateway.counter_views import counters_json
from ccn_bgp.gateway.history import intent_digest
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.policy_views import policy
from ccn_bgp.gateway.running import Running
from ccn_bgp.gateway.status_views import status
from ccn_bgp.gateway.vm_views import vms_json
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.path import (
    DEFAULT_PREFERENCE,
    EvpnMacIp,
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Unicast,
)
from ccn_bgp.model.reason import Reason
from ccn_bgp.model.route import NextHop, Route, tables_next
from ccn_bgp.policy.routes import route_json
from ccn_bgp.table.snapshot import Snapshot

Filters = Mapping[str, str]
Json = Any


def filters_of(request: Mapping[str, Any]) -> Filters:
    """``filters`` of a request; InputError if they are not texts by name."""
    filters = request.get("filters") or {}
    if not isinstance(filters, dict) or not all(isinstance(v, str) for v in filters.values()):
        raise InputError("filters are texts by name")
    return filters


def show(gateway: Running, what: str, filters: Filters) -> Json:
    """One view by its name; InputError for an unknown view, CCN or neighbor."""
    view = VIEWS.get(what)
    if view is None:
        raise InputError(f"there is nothing called '{what}' to show (one of {', '.join(VIEWS)})")
    ccn, neighbor = filters.get("ccn"), filters.get("neighbor")
    if ccn and ccn not in gateway.intent.topology.ccns:
        known = ", ".join(sorted(gateway.intent.topology.ccns))
        raise InputError(f"there is no CCN '{ccn}' (one of {known})")
    if neighbor and neighbor not in gateway.sessions.peers:
        raise InputError(gateway.sessions.no_neighbor(neighbor))
    return view(gateway, filters)


def neighbors(gateway: Running, filters: Filters) -> Json:
    """Sessions: state, what was negotiated, how much is held, why it went down last."""
    rows = []
    for name, session in sorted(gateway.sessions.peers.items()):
        if filters.get("neighbor") not in (None, name):
            continue
        peer, adj = session.peer, gateway.rib.adj_in[name]
        row: dict[str, Any] = {
            "name": name,
            "role": peer.role,
            "asn": peer.asn,
            "address": str(peer.address),
            "local-address": str(peer.local_address),
            "state": "established" if session.up else "down",
            "seconds": round(session.seconds, 1),
            "received": len(adj),
            "accepted": gateway.rib.accepted_count(name),
            "stale": adj.stale_count,
            "advertised": session.told_count,
            "waiting": adj.waiting,
            "unsent": gateway.sessions.speakers.backlog(peer),
            "updates": session.updates,
            "malformed": sum(session.causes.values()),
            "families": sorted(f.text for f in session.families),
            "end-of-rib": sorted(f.text for f in session.end_of_rib),
        }
        if peer.router is not None:
            row["ccn"] = peer.router.ccn
            row["idc"] = peer.router.idc
        if name in gateway.intent.drain.names:
            row["drained"] = True
        if (shut := gateway.sessions.limits.shut.get(name)) is not None:
            row["state"], row["reason"] = "held-down", shut.reason
        elif not session.up:
            row["reason"] = session.why_down
        if session.open is not None:
            row["hold-time"] = session.open.hold_time
            row["router-id"] = str(session.open.router_id)
        rows.append(row)
    return {"gateway": gateway.name, "neighbors": rows}


def tables(gateway: Running, filters: Filters) -> Json:
    """CCSIs: whose they are, their targets and how many routes they hold."""
    rows = []
    for ccsi in ccsis(gateway.intent.topology, gateway.intent.gateway):
        if filters.get("ccn") not in (None, ccsi.ccn):
            continue
        table = gateway.held.tables.get(ccsi.name)
        rows.append(
            {
                "name": ccsi.name,
                "ccn": ccsi.ccn,
                "id": ccsi.id,
                "vni": ccsi.vni,
                "rd": str(ccsi.rd),
                "import": sorted(str(t) for t in ccsi.import_rts),
                "export": sorted(str(t) for t in ccsi.export_rts),
                "vpcs": [v.name for v in ccsi.vpcs],
                "routers": [r.name for r in ccsi.routers],
                "routes": len(table) if table is not None else 0,
                "digest": table.digest.hex() if table is not None else None,
            }
        )
    return {"gateway": gateway.name, "ccsis": rows}


def _chosen(gateway: Running, filters: Filters) -> Iterator[Route]:
    for name in sorted(gateway.rib.tables):
        table = gateway.rib.tables[name]
        if filters.get("ccn") not in (None, table.ccsi.ccn):
            continue
        for prefix in sorted(table.routes, key=lambda p: (len(p), p)):
            route = table.routes[prefix]
            if filters.get("neighbor") in (None, route.path.peer):
                yield route


def routes(gateway: Running, filters: Filters) -> Json:
    """The chosen routes: prefix, who said it, where it leads."""
    rows = []
    for route in _chosen(gateway, filters):
        rows.append(
            {
                "table": route.table,
                "ccn": route.table.rpartition("/")[2],
                "prefix": str(route.prefix),
                "origin": route.origin,
                "peer": route.path.peer or "declared",
                "next-hop": next_hop_json(route.next_hop),
                "next-table": _named(route.next_table) or None,
                "as-path": route.path.attributes.as_path_text,
            }
        )
    return {"gateway": gateway.name, "routes": rows}


def _named(next_table: str) -> str | list[str]:
    """A table as it is; of a group that leads to several, their names."""
    return next_table.split(" ") if " " in next_table else next_table


def next_hop_json(next_hop: NextHop) -> Json:
    """A next hop with the fields that its kind uses; a group with its members."""
    found: dict[str, Any] = {"kind": next_hop.kind.name.lower().replace("_", "-")}
    if next_hop.members:
        found["members"] = [{"weight": w, **next_hop_json(hop)} for w, hop in next_hop.members]
    if next_hop.vni:
        found["vni"] = next_hop.vni
    if next_hop.ip:
        found["ip"] = str(next_hop.ip)
    if any(next_hop.mac):
        found["mac"] = str(next_hop.mac)
    if next_hop.interface:
        found["interface"] = next_hop.interface
    return found


def nlri_json(nlri: Nlri) -> dict[str, Any]:
    """An NLRI with the keys of ``ccn decode``."""
    if isinstance(nlri, Unicast):
        return {"family": nlri.family.text, "prefix": str(nlri.prefix)}
    if isinstance(nlri, EvpnPrefix):
        found = {"family": "evpn", "type": 5, "rd": str(nlri.rd), "prefix": str(nlri.prefix)}
        if nlri.gateway is not None:
            found["gateway"] = str(nlri.gateway)
        return {**found, "vni": nlri.vni}
    if isinstance(nlri, EvpnMacIp):
        found = {"family": "evpn", "type": 2, "rd": str(nlri.rd), "mac": str(nlri.mac)}
        if nlri.ip is not None:
            found["ip"] = str(nlri.ip)
        return {**found, "vni": nlri.vni, **({"vni2": nlri.vni2} if nlri.vni2 else {})}
    return {"family": "evpn", "type": nlri.kind, **nlri.fields}


def key_json(key: bytes) -> dict[str, Any]:
    """What the key of a unicast route, or of an EVPN type 2 or 5, tells of the route."""
    if len(key) in (5, 17):
        return nlri_json(Unicast(Prefix(key)))
    found = {"family": "evpn", "type": key[0], "rd": str(RouteDistinguisher(key[1:9]))}
    if key[0] == 5:
        return {**found, "prefix": str(Prefix(key[13:]))}
    found["mac"] = str(Mac(key[13:19]))
    return {**found, "ip": str(Ip(key[19:]))} if key[19:] else found


def attributes_json(attributes: PathAttributes) -> dict[str, Any]:
    """The attributes that are set."""
    found: dict[str, Any] = {
        "origin": attributes.origin.name.lower(),
        "as-path": attributes.as_path_text,
    }
    if attributes.next_hop is not None:
        found["next-hop"] = str(attributes.next_hop)
    if attributes.med is not None:
        found["med"] = attributes.med
    if attributes.local_pref is not None:
        found["local-pref"] = attributes.local_pref
    if attributes.atomic_aggregate:
        found["atomic-aggregate"] = True
    if attributes.aggregator is not None:
        found["aggregator"] = " ".join(map(str, attributes.aggregator))
    if attributes.tag is not None:
        found["tag"] = attributes.tag
    if attributes.preference != DEFAULT_PREFERENCE:
        found["preference"] = attributes.preference
    if attributes.communities:
        found["communities"] = [f"{c >> 16}:{c & 0xFFFF}" for c in attributes.communities]
    if attributes.large_communities:
        found["large-communities"] = [":".join(map(str, c)) for c in attributes.large_communities]
    if attributes.route_targets:
        found["route-targets"] = sorted(str(t) for t in attributes.route_targets)
    if attributes.router_mac is not None:
        found["router-mac"] = str(attributes.router_mac)
    if attributes.encapsulation is not None:
        found["encapsulation"] = attributes.encapsulation
    if attributes.link_bandwidth:
        found["link-bandwidth"] = attributes.link_bandwidth
    if attributes.originator_id is not None:
        found["originator-id"] = str(attributes.originator_id)
    return found


def received(gateway: Running, filters: Filters) -> Json:
    """Adj-RIB-In, before policy: each path and what became of it. With ``form: policy`` each as
    policies see it."""
    rows = []
    for name, adj in sorted(gateway.rib.adj_in.items()):
        if filters.get("neighbor") not in (None, name):
            continue
        for _, heard in gateway.rib.heard(name).sorted_by_key():
            ccns = {place.rpartition("/")[2] for place in heard.places}
            if adj.peer.router is not None:
                ccns.add(adj.peer.router.ccn)
            if filters.get("ccn") and filters["ccn"] not in ccns:
                continue
            if filters.get("form") == "policy":
                context = gateway.intent.contexts.heard(adj.peer, heard.path)
                rows.append(route_json(heard.path, context))
                continue
            row = {"peer": name, **nlri_json(heard.path.nlri)}
            row["attributes"] = attributes_json(heard.path.attributes)
            row["tables"] = list(heard.places)
            row["stale"] = heard.stale
            reason: Reason | None = heard.reason
            if reason is None and adj.peer.role == "host":
                reason = gateway.rib.vms.reason(name, heard.path.nlri)
            if reason is not None:
                row["reason"] = str(reason)
            rows.append(row)
    return {"gateway": gateway.name, "received": rows}


def advertised(gateway: Running, filters: Filters) -> Json:
    """Adj-RIB-Out: what each peer has been told, and what export policy held back."""
    rows = []
    for name, session in sorted(gateway.sessions.peers.items()):
        if filters.get("neighbor") not in (None, name):
            continue
        for _, (nlri, attributes) in session.out.told.by_key():
            row = {"peer": name, **nlri_json(nlri), "attributes": attributes_json(attributes)}
            rows.append(row)
        for key, denied in session.out.denied.by_key():
            rows.append({"peer": name, **key_json(key), "reason": str(denied)})
    return {"gateway": gateway.name, "advertised": rows}


def vms(gateway: Running, filters: Filters) -> Json:
    """The VM table: where each VM of this region is reached."""
    return {
        "gateway": gateway.name,
        "vms": vms_json(gateway, filters.get("ccn")),
    }


def fib(gateway: Running, filters: Filters) -> Json:
    """The tables in force, in the form that ``ccn verify`` reads."""
    return {
        "gateway": gateway.name,
        "generation": gateway.generation,
        **world_json(gateway.held, gateway.intent, filters.get("ccn")),
    }


def commit_world(gateway: Running, number: object) -> Json:
    """One commit with its certificate, tables and intent, to be proved again.

    None: the last one. InputError: it is not kept.
    """
    kept = gateway.history.kept
    if number is None and kept:
        number = kept[-1]
    if not isinstance(number, int):
        raise InputError("a commit is named by its number (see `ccn show commits`)")
    held = gateway.history.get(number)
    return {
        "gateway": gateway.name,
        "certificate": held.record.as_json(),
        "kept": kept,
        "digest": held.snapshot.digest.hex(),
        "intent": intent_digest(held.intent),
        "accepted": [[f.rule, f.table, f.prefix] for f in held.accepted],
        "world": world_json(held.snapshot, held.intent, None),
    }


def world_json(snapshot: Snapshot, intent: Intent, ccn: str | None) -> dict[str, Any]:
    """Tables and intent of one gateway as ``ccn verify`` reads them; of one CCN, or of all."""
    topology = intent.topology
    found: list[dict[str, Any]] = []
    elsewhere: set[str] = set()
    chosen = [
        snapshot.tables[name]
        for name in sorted(snapshot.tables)
        if ccn in (None, snapshot.tables[name].ccn)
    ]
    own = {t.name for t in chosen}
    for table in chosen:
        elsewhere |= {*table.origins, *tables_next(table.next_tables)} - own
        for columns in (table.v4, table.v6):
            for row in range(len(columns)):
                next_hop = table.next_hops[columns.next_hop[row]]
                at = int(columns.next_table[row])
                following = "drop" if next_hop.kind.value == 0 else "deliver"
                found.append(
                    {
                        "table": table.name,
                        "prefix": str(columns.prefix(row)),
                        "origin": table.origins[columns.origin[row]],
                        "next": _named(table.next_tables[at]) if at >= 0 else following,
                        "next-hop": next_hop_json(next_hop),
                    }
                )
    local = [c for c in ccsis(topology, intent.gateway) if c.name in own]
    return {
        "tables": [{"name": t.name, "ccn": t.ccn} for t in chosen],
        "external": [{"name": n, "ccn": n.rpartition("/")[2]} for n in sorted(elsewhere)],
        "routes": found,
        "shares": [
            {"table": c.name, "provider": s.provider, "prefix": str(p)}
            for c in local
            for s in c.shares
            for p in s.prefixes
        ],
        "ccsis": [
            {
                "name": c.name,
                "ccn": c.ccn,
                "import": sorted(str(t) for t in c.import_rts),
                "export": sorted(str(t) for t in c.export_rts),
                "reexport": c.reexport,
            }
            for c in local
        ],
        "shared-ccns": [[s.provider, s.consumer] for s in topology.shares],
    }


def commits(gateway: Running, _: Filters) -> Json:
    """The last commits: what changed, what was checked, how long it took."""
    return {"gateway": gateway.name, "commits": [c.as_json() for c in gateway.history.records]}


def findings(gateway: Running, filters: Filters) -> Json:
    """What the verifier holds against what was learned."""
    rows = [
        f.as_json()
        for f in (*gateway.proved.findings, *gateway.sessions.limits.findings())
        if filters.get("ccn") in (None, f.ccn) and filters.get("neighbor") in (None, f.peer)
    ]
    return {"gateway": gateway.name, "findings": rows}


def counters(gateway: Running, filters: Filters) -> Json:
    """The forwarder's counters, and whom it dropped."""
    return counters_json(gateway, filters.get("ccn"))


def digest(gateway: Running, _: Filters) -> Json:
    """One hash of all tables in force."""
    return {
        "gateway": gateway.name,
        "digest": gateway.held.digest.hex(),
        "generation": gateway.generation,
        "routes": gateway.held.route_count,
        "converged": not gateway.sessions.holding_back,
    }


def malformed(gateway: Running, filters: Filters) -> Json:
    """The last messages that were not wholly usable, with their octets."""
    rows = []
    for name, session in sorted(gateway.sessions.peers.items()):
        if filters.get("neighbor") not in (None, name):
            continue
        for message in session.malformed:
            rows.append(
                {
                    "peer": name,
                    "when": message.when,
                    "verdict": message.verdict,
                    "causes": list(message.causes),
                    "hex": message.octets.hex(),
                }
            )
    return {"gateway": gateway.name, "malformed": rows}


VIEWS: Mapping[str, Callable[[Running, Filters], Json]] = {
    "status": status,
    "neighbors": neighbors,
    "ccsis": tables,
    "routes": routes,
    "received": received,
    "advertised": advertised,
    "vms": vms,
    "fib": fib,
    "commits": commits,
    "findings": findings,
    "counters": counters,
    "digest": digest,
    "malformed": malformed,
    "policy": policy,
    "aggregates": aggregates,
}


def target_of(text: str) -> tuple[Prefix | None, Ip]:
    """``explain`` takes a prefix or an address; InputError if it is neither."""
    try:
        if "/" in text:
            prefix = Prefix.parse(text)
            return prefix, prefix.address
        return None, Ip.parse(text)
    except ValueError as error:
        raise InputError(str(error)) from None
