"""`ccn lab demo`: in comes a converged lab, out comes what real packets and real peers show.

Nothing is believed from our own tables alone: FRR is asked for its view, ping and iperf3 for
theirs, and the forwarders' counters must have moved with the packets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ccn_bgp.errors import Problem
from ccn_bgp.lab import traffic
from ccn_bgp.lab.layout import Layout
from ccn_bgp.lab.members import Pair, members, pairs
from ccn_bgp.lab.state import Lab
from ccn_bgp.model.ccsi import ccsis, peers


def show_json(lab: Lab, gateway: str, what: str) -> Any:
    """What `ccn show WHAT --json` prints for a gateway of the lab, or None if it is not there."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ccn_bgp.cli.main", "show", what),
            *("--gateway", gateway, "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CCN_RUN_DIR": str(lab.gateway_state(gateway).parent)},
    )
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        return None


def sessions(lab: Lab, gateway: str) -> list[dict[str, Any]]:
    """The BGP sessions of a gateway; empty if the gateway does not answer."""
    found = show_json(lab, gateway, "neighbors")
    return list(found["neighbors"]) if found else []


def show(lab: Lab, out: Console) -> list[Problem]:
    """Print what is seen; returns what ought to be there and is not."""
    layout = lab.layout()
    faults: list[Problem] = []
    before = {name: _counters(lab, name) for name in layout.topology.gateways}
    faults += _learned(lab, layout, out)
    faults += _frr(lab, layout, out)
    faults += _pings(layout, out)
    faults += _transfers(layout, out)
    faults += _moved(lab, before, out)
    return faults


def _learned(lab: Lab, layout: Layout, out: Console) -> Iterator[Problem]:
    """Every prefix of every table, and who said it."""
    for gateway in layout.topology.gateways:
        for session in sessions(lab, gateway):
            if session["state"] != "established":
                yield Problem(f"{gateway}: session {session['name']}", str(session["state"]))
        found = show_json(lab, gateway, "routes")
        if found is None:
            yield Problem(f"gateway {gateway}", "does not answer", "ccn lab status")
            continue
        table = _table(f"{gateway} has learned", "CCN", "prefix", "from", "AS path", "leads to")
        for route in found["routes"]:
            next_hop = route["next-hop"]
            leads = " ".join(str(next_hop[k]) for k in ("kind", "ip", "vni") if k in next_hop)
            table.add_row(route["ccn"], route["prefix"], route["peer"], route["as-path"], leads)
        out.print(table)
        has_peers = peers(layout.topology, layout.topology.gateways[gateway])
        if has_peers and all(route["peer"] == "declared" for route in found["routes"]):
            yield Problem(f"gateway {gateway}", "has learned nothing from anybody")


def _counters(lab: Lab, gateway: str) -> dict[str, dict[str, int]]:
    found = show_json(lab, gateway, "counters")
    return dict(found["counters"]) if found else {}


def _moved(
    lab: Lab, before: Mapping[str, dict[str, dict[str, int]]], out: Console
) -> Iterator[Problem]:
    """What the forwarders counted during all this: every CCN must have had packets."""
    table = _table("forwarders counted", "gateway", "what", "packets", "octets")
    layout = lab.layout()
    for gateway, then in before.items():
        now = _counters(lab, gateway)
        for scope, values in sorted(now.items()):
            delta = {
                name: value - then.get(scope, {}).get(name, 0) for name, value in values.items()
            }
            if scope.startswith("port "):
                for way in ("rx", "tx"):
                    row = (f"{scope} {way}", delta[f"{way}-packets"], delta[f"{way}-bytes"])
                    table.add_row(gateway, row[0], str(row[1]), str(row[2]))
            elif scope.startswith("ccsi "):
                name = _ccn_name(layout, scope)
                table.add_row(gateway, f"CCN {name}", str(delta["packets"]), str(delta["bytes"]))
            elif scope == "drop":
                for reason, count in sorted(delta.items()):
                    if count:
                        table.add_row(gateway, f"dropped: {reason}", str(count), "")
        for ccsi in ccsis(layout.topology, layout.topology.gateways[gateway]):
            scope = f"ccsi {ccsi.id}"
            count = now.get(scope, {}).get("packets", 0) - then.get(scope, {}).get("packets", 0)
            if count <= 0:
                yield Problem(f"forwarder of {gateway}", f"no packet counted for CCN {ccsi.ccn}")
    out.print(table)


def _ccn_name(layout: Layout, scope: str) -> str:
    number = int(scope.split()[1])
    return next((c.name for c in layout.topology.ccns.values() if c.id == number), scope)


def _frr(lab: Lab, layout: Layout, out: Console) -> Iterator[Problem]:
    for node in layout.routers:
        version = node.router.address.address.version
        routes = traffic.frr_routes(lab, layout, node.name, version)
        table = _table(f"FRR {node.name} (AS {node.router.asn})", "prefix", "AS path")
        for prefix, paths in routes.items():
            table.add_row(prefix, ", ".join(path or "own" for path in paths))
        out.print(table)
        for prefix, path in expected_paths(layout, node.name):
            if path not in routes.get(prefix, []):
                yield Problem(
                    f"router {node.name}",
                    f"{prefix} not seen with AS path '{path}'",
                    f"it has: {', '.join(routes.get(prefix, [])) or 'nothing'}",
                )


def expected_paths(layout: Layout, router: str) -> list[tuple[str, str]]:
    """The VPC prefixes that this router must hold, with their AS path."""
    node = next(n for n in layout.routers if n.name == router)
    topology = layout.topology
    gateway = topology.gateways[node.router.gateway]
    found = []
    for attachment in topology.ccns[node.router.ccn].attach:
        if attachment.kind != "vpc" or not attachment.propagate or not node.router.export:
            continue
        vpc = topology.vpcs[attachment.name]
        path = str(gateway.asn)
        if vpc.region != gateway.region:
            path += f" {layout.gateway_of(vpc.region).asn}"
        found += [
            (str(cidr), path)
            for cidr in vpc.cidrs
            if cidr.version == node.router.address.address.version
        ]
    return found


def _pings(layout: Layout, out: Console) -> Iterator[Problem]:
    wanted = _one_way(pairs(members(layout)))
    table = _table("ping", "CCN", "from", "to", "answers", "average")
    for one in traffic.ping(wanted):
        pair = one.pair
        rtt = "-" if one.rtt is None else f"{one.rtt:.2f} ms"
        answers = f"{one.received}/{one.sent}"
        table.add_row(pair.source.ccn, str(pair.source), str(pair.target), answers, rtt)
        if one.received < one.sent:
            yield Problem(f"ping {pair}", f"{one.received} answers of {one.sent}")
    out.print(table)


def _transfers(layout: Layout, out: Console) -> Iterator[Problem]:
    """TCP between two regions, once per CCN that spans them."""
    table = _table("iperf3 TCP", "CCN", "from", "to", "Mbit/s", "retransmits")
    done: set[str] = set()
    regions = {vm.name: vm.vpc.region for vm in layout.vms}
    for pair in _one_way(pairs(members(layout))):
        here, there = regions.get(pair.source.node), regions.get(pair.target.node)
        if pair.target.behind or None in (here, there) or here == there:
            continue
        if pair.source.ccn in done:
            continue
        done.add(pair.source.ccn)
        result = traffic.iperf3(pair)
        table.add_row(
            pair.source.ccn,
            str(pair.source),
            str(pair.target),
            f"{result.megabits:.0f}",
            str(result.retransmits),
        )
        if result.octets < 1_000_000:
            yield Problem(f"iperf3 {pair}", f"only {result.octets} octets arrived")
    if done:
        out.print(table)


def _one_way(wanted: tuple[Pair, ...]) -> list[Pair]:
    """Each two members once: ping and TCP go both ways by themselves."""
    found: dict[frozenset[object], Pair] = {}
    for pair in wanted:
        found.setdefault(frozenset((pair.source, pair.target)), pair)
    return list(found.values())


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
