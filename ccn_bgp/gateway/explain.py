"""Why a prefix is (not) reached: every path heard, what became of it, the row in force.

In: a prefix or an address, and a CCN. Out: JSON values that ``ccn explain`` prints.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ccn_bgp.errors import InputError, UnreachableError
from ccn_bgp.gateway.aggregate_views import around
from ccn_bgp.gateway.counter_views import UPLINK_FAULTS, uplink_faults
from ccn_bgp.gateway.policy_traces import import_trace, share_traces, told
from ccn_bgp.gateway.running import Running
from ccn_bgp.gateway.views import (
    attributes_json,
    neighbors,
    next_hop_json,
    nlri_json,
    target_of,
)
from ccn_bgp.gateway.vm_views import claims_json
from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnMacIp, EvpnOther
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.route import Kind


def explain(gateway: Running, target: str, ccn: str) -> dict[str, Any]:
    """Everything known of ``target`` in the table of ``ccn``. InputError: no such CCN here."""
    wanted, address = target_of(target)
    table = gateway.rib.tables.get(f"{gateway.name}/{ccn}")
    if table is None:
        known = ", ".join(sorted(t.ccsi.ccn for t in gateway.rib.tables.values()))
        raise InputError(f"CCN '{ccn}' has no table on {gateway.name} (it has {known})")
    match = longest_match(table, address)
    prefixes = {p for p in table.candidates if _concerns(p, wanted, address)}
    paths = [
        _candidate_json(gateway, table, prefix, candidate)
        for prefix in sorted(prefixes, key=lambda p: (-p.length, p))
        for candidate in _ordered(table, prefix)
    ]
    paths += _unused(gateway, table, wanted, address)
    paths += _taken_back(gateway, table, wanted, address)
    chosen = table.routes.get(match) if match is not None else None
    found: dict[str, Any] = {
        "gateway": gateway.name,
        "ccn": ccn,
        "target": target,
        "paths": paths,
        "vms": claims_json(gateway, table, address) if _one(wanted) else [],
        "route": None,
        "told": [],
        "shares": share_traces(gateway, table, lambda p: _concerns(p, wanted, address)),
        "findings": [
            f.as_json()
            for f in gateway.proved.findings
            if f.table == table.ccsi.name
            and (f.prefix or f.rule == "duplicate-vm")
            and _concerns(_of(f), wanted, address)
        ],
        "aggregates": around(gateway, table.ccsi.name, wanted or address.host_prefix),
        "forwarder": (held := _forwarder(gateway, table, address)),
        "acl": _acl(gateway, table, wanted or address.host_prefix, counts=not unreachable(held)),
        "silent": [],
        "uplinks": [],
    }
    if chosen is not None:
        found["route"] = {
            "prefix": str(chosen.prefix),
            "peer": chosen.path.peer or "declared",
            "origin": chosen.origin,
            "next-hop": next_hop_json(chosen.next_hop),
            "text": str(chosen.next_hop),
        }
        found["told"] = told(gateway, table, chosen.prefix)
        on_link = chosen.next_hop.kind is Kind.ON_LINK
        if on_link and _one(wanted) and not found["vms"] and not _ours(table, address):
            found["no-vm"] = chosen.next_hop.vni
        if chosen.next_hop.kind not in (Kind.DROP, Kind.HAND_OFF) and not unreachable(held):
            found["uplinks"] = [
                {"uplink": name, "says": UPLINK_FAULTS[what]}
                for name, what in uplink_faults(gateway.counters())
            ]
    if chosen is None or chosen.next_hop.kind is Kind.DROP:
        found["silent"] = list(_silent(gateway, table, wanted or address.host_prefix))
    return found


def unreachable(held: Any) -> bool:
    """The forwarder could not be asked."""
    return held is not None and "unreachable" in held


def _forwarder(gateway: Running, table: LocRib, address: Ip) -> Any:
    """The row that it holds, or why it cannot be asked: all else can be told without it."""
    try:
        return gateway.lookup(table.ccsi.id, address)
    except UnreachableError as error:
        return {"unreachable": str(error)}


def _ours(table: LocRib, address: Ip) -> bool:
    """The forwarder answers for it: the gateway address of a VPC."""
    return any(address in vpc.gateways for vpc in table.ccsi.vpcs)


def _silent(gateway: Running, table: LocRib, target: Prefix) -> Iterator[dict[str, Any]]:
    """Peers without a session that may have a route to ``target``: routers whose data centre may
    announce it, and speakers of EVPN but for hosts; gateways only if they have the CCN."""
    topology, ccn = gateway.intent.topology, table.ccsi.ccn
    for name, session in sorted(gateway.sessions.peers.items()):
        peer = session.peer
        if session.up or peer.role == "host":
            continue
        if peer.router is not None:
            cidrs = topology.idcs[peer.router.idc].cidrs
            if peer.router.ccn != ccn or not any(
                c.version == target.version and c.overlaps(target) for c in cidrs
            ):
                continue
        elif (far := topology.gateways.get(name)) is not None and all(
            c.ccn != ccn for c in ccsis(topology, far)
        ):
            continue
        (row,) = neighbors(gateway, {"neighbor": name})["neighbors"]
        said = ("name", "state", "seconds", "reason", "idc")
        yield {key: row[key] for key in said if key in row}


def _acl(gateway: Running, table: LocRib, target: Prefix, *, counts: bool) -> dict[str, Any] | None:
    """The rules of the access list that a packet to ``target`` may meet, with their counts; None
    for a count that cannot be asked for."""
    topology = gateway.intent.topology
    name = topology.ccns[table.ccsi.ccn].acl
    if name is None:
        return None
    scope = f"acl {table.ccsi.id}"
    counters = gateway.counters() if counts else ()
    counted = {c.name: c.value for c in counters if c.scope == scope}
    return {
        "name": name,
        "rules": [
            {
                "name": rule.name,
                "action": rule.action,
                "packets": counted.get(f"{rule.action} {rule.name}", 0) if counts else None,
            }
            for rule in topology.acls[name].all_rules
            if target.version in rule.versions
            and (
                not rule.destination
                or any(p.version == target.version and p.overlaps(target) for p in rule.destination)
            )
        ],
    }


def _one(wanted: Prefix | None) -> bool:
    """True if a single address was asked for."""
    return wanted is None or wanted.length == (len(wanted) - 1) * 8


def _of(finding: Finding) -> Prefix:
    """The prefix that a finding is about, or its address."""
    if finding.prefix:
        return Prefix.parse(finding.prefix)
    return Ip.parse(str(finding.witness["address"])).host_prefix


def longest_match(table: LocRib, address: Ip) -> Prefix | None:
    """The chosen prefix that a packet to ``address`` meets."""
    bits = len(address) * 8
    for length in range(bits, -1, -1):
        prefix = Prefix.of(address, length)
        if prefix in table.routes:
            return prefix
    return None


def _concerns(prefix: Prefix, wanted: Prefix | None, address: Ip) -> bool:
    if wanted is not None:
        return prefix.overlaps(wanted) and (prefix.length > 0 or wanted.length == 0)
    return prefix.contains(address)


def _ordered(table: LocRib, prefix: Prefix) -> list[Candidate]:
    held = table.candidates[prefix]
    return [held[slot] for slot in sorted(held)]


def _candidate_json(
    gateway: Running, table: LocRib, prefix: Prefix, candidate: Candidate
) -> dict[str, Any]:
    reason = table.reason(prefix, candidate)
    answer = table.answer(candidate)
    found = {
        "prefix": str(prefix),
        "peer": candidate.path.peer or "declared",
        "source": candidate.source.text,
        "origin": candidate.origin,
        **{k: v for k, v in nlri_json(candidate.path.nlri).items() if k != "prefix"},
        "attributes": attributes_json(candidate.path.attributes),
        "resolves-to": str(answer),
        "result": "chosen" if reason is None else str(reason),
    }
    if policy := import_trace(gateway, candidate.path.peer, candidate.path.nlri):
        found["policy"] = policy
    peer = gateway.rib.peers.get(candidate.path.peer)
    if peer and (text := gateway.intent.drain.reason(peer, candidate.path.attributes)):
        found["least-preferred"] = text
    return found


def _unused(
    gateway: Running, table: LocRib, wanted: Prefix | None, address: Ip
) -> list[dict[str, Any]]:
    """Paths that never became candidates: looped, denied, refused, held back."""
    rows = []
    for name, adj in sorted(gateway.rib.adj_in.items()):
        if adj.peer.router is not None and adj.peer.router.ccn != table.ccsi.ccn:
            continue
        for _, heard in gateway.rib.heard(name).sorted_by_key():
            nlri = heard.path.nlri
            if heard.reason is None or isinstance(nlri, EvpnMacIp | EvpnOther):
                continue
            if not _concerns(nlri.prefix, wanted, address):
                continue
            if adj.peer.router is None and not _meant_for(gateway, table, heard.path.attributes):
                continue
            row = {
                "prefix": str(nlri.prefix),
                "peer": name,
                **{k: v for k, v in nlri_json(nlri).items() if k != "prefix"},
                "attributes": attributes_json(heard.path.attributes),
                "result": str(heard.reason),
            }
            if isinstance(heard.reason, Denied):
                row["policy"] = import_trace(gateway, name, nlri)
            rows.append(row)
    return rows


def _taken_back(
    gateway: Running, table: LocRib, wanted: Prefix | None, address: Ip
) -> list[dict[str, Any]]:
    """Routes that were withdrawn lately and have not been said again."""
    rows = []
    for gone in gateway.sessions.withdrawn:
        name = gone.peer
        adj = gateway.rib.adj_in.get(name)
        if adj is None or isinstance(gone.nlri, EvpnMacIp | EvpnOther):
            continue
        if gone.nlri.key in gateway.rib.heard(name):
            continue
        if adj.peer.router is not None and adj.peer.router.ccn != table.ccsi.ccn:
            continue
        if _concerns(gone.nlri.prefix, wanted, address):
            ago = time.monotonic() - gone.when
            rows.append(
                {
                    "prefix": str(gone.nlri.prefix),
                    "peer": name,
                    "result": f"{gone.why} by {name} {ago:.0f} s ago",
                }
            )
    return rows


def _meant_for(gateway: Running, table: LocRib, attributes: Any) -> bool:
    taking = gateway.rib.imports.of(attributes.route_targets)
    return any(t is table for t, _ in taking) or not taking
