"""Answers of the API as text for a terminal. In: the JSON values of a view. Out: lines on stdout.

Plain columns: they survive a pipe, grep and a narrow terminal at 3 a.m.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from ccn_bgp.policy.trace import trace_lines

Row = Mapping[str, Any]

COLUMNS: Mapping[str, Sequence[str]] = {
    "neighbors": (
        "name role asn address state seconds received accepted stale advertised malformed drained"
        " reason"
    ).split(),
    "ccsis": "name ccn id vni rd import export routes".split(),
    "routes": "ccn prefix peer next-hop as-path origin".split(),
    "received": "peer prefix ip vni as-path next-hop tables stale reason".split(),
    "advertised": "peer prefix ip vni as-path next-hop reason".split(),
    "vms": "vni ip mac host also-on said-by sequence claims state".split(),
    "commits": "id generation when summary routes findings prove-seconds commit-seconds".split(),
    "findings": "severity rule ccn prefix peer message".split(),
    "malformed": "when peer verdict causes hex".split(),
    "policy": "neighbor direction policy statement then hits last where".split(),
    "aggregates": "ccn name prefix state contributing routes summary-only told-to".split(),
}
_STATES = {"ok": (" ", "green"), "note": ("-", "yellow"), "wrong": ("!", "red")}
_MARKS = {"chosen": ("*", "green"), "multipath": ("+", "green")}
"""Of paths in use, by the first word of their result."""


def draw(what: str, answer: Row) -> None:
    """One view as aligned columns; an empty one says so."""
    console = Console(soft_wrap=True, highlight=False)
    if what == "digest":
        for key, value in answer.items():
            console.print(f"{key:<11}{'no' if value is False else text(key, value)}")
        return
    if what == "status":
        _draw_status(console, answer)
        return
    if what == "counters":
        _draw_counters(console, answer)
        return
    if what == "fib":
        table(console, "table prefix next next-hop origin".split(), answer["routes"])
        return
    rows = answer[what]
    flat = [{**row.get("attributes", {}), **row} for row in rows]
    table(console, COLUMNS[what], flat)


def _draw_status(console: Console, answer: Row) -> None:
    """What is wrong has ``!`` before it, what may be meant so ``-``; under it what to do."""
    rows = answer["status"]
    width = max(len(row["about"]) for row in rows)
    for row in rows:
        mark, style = _STATES[row["state"]]
        about = escape(row["about"].ljust(width))
        console.print(f"[{style}]{mark} {about}[/]  {escape(row['says'])}")
        if row["do"] and row["state"] != "ok":
            console.print(f"  {' ' * width}  [dim]do: {escape(row['do'])}[/]")
    console.print(f"{escape(answer['gateway'])}: " + ("all is well" if answer["ok"] else "see `!`"))


def _draw_counters(console: Console, answer: Row) -> None:
    """By scope, CCNs by name; then each drop with what it means and whom it hit."""
    named = ("ccsi", "drop", "drop-ccsi")
    scopes = {k: v for k, v in answer["counters"].items() if k.partition(" ")[0] not in named}
    for name, values in answer["ccns"].items():
        drops = {f"dropped {reason}": n for reason, n in values.get("drops", {}).items()}
        scopes[f"ccn {name}"] = {k: v for k, v in values.items() if k != "drops"} | drops
    for scope, values in scopes.items():
        if not any(values.values()):
            continue
        console.print(f"[bold]{escape(scope)}[/]")
        for name, value in values.items():
            if value:
                console.print(f"  {name:<28}{value}{_per_packet(name, values)}")
    console.print("[bold]drop[/]" if answer["drops"] else "nothing was dropped")
    for drop in answer["drops"]:
        console.print(f"  {drop['reason']:<28}{drop['packets']}  {escape(drop['means'])}")
        for which in ("first", "last"):
            if hit := drop[which]:
                console.print(f"    {which:<6}{escape(_offender(hit))}")
        console.print(f"    do    {escape(drop['do'])}")


def _offender(hit: Row) -> str:
    words = [text("when", hit["when"]), f"port {hit['port']}"]
    words += [f"{key} {hit[key]}" for key in ("vni", "hand-off", "from") if key in hit]
    if "source" in hit:
        words.append(f"{hit['source']} to {hit['destination']}")
    return "  ".join(words)


def _per_packet(name: str, counters: Mapping[str, int]) -> str:
    """Of a worker's cycles: how many for each packet they were measured over."""
    if name != "busy-cycles" and not name.startswith("cycles-"):
        return ""
    packets = counters.get("packets" if name == "busy-cycles" else "sampled-packets", 0)
    return f"  ({counters[name] / packets:.1f} per packet)" if packets else ""


def table(console: Console, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Aligned columns with a header; columns that are empty throughout are left out."""
    texts = [[text(column, row.get(column)) for column in columns] for row in rows]
    if not texts:
        console.print("nothing")
        return
    used = [i for i in range(len(columns)) if any(line[i] for line in texts)]
    widths = [max(len(columns[i]), *(len(line[i]) for line in texts)) for i in used]

    def line(cells: Sequence[str]) -> str:
        padded = (cells[i].ljust(w) for i, w in zip(used, widths, strict=True))
        return escape("  ".join(padded).rstrip())

    console.print(f"[bold]{line(columns)}[/]")
    for cells in texts:
        console.print(line(cells))


def text(column: str, value: Any) -> str:
    """One cell."""
    if value is None or value is False or value == []:
        return ""
    if value is True:
        return "yes"
    if column == "when":
        return datetime.datetime.fromtimestamp(value).astimezone().strftime("%F %T")
    if isinstance(value, float):
        return f"{value:.0f}" if column == "seconds" else f"{value:.4f}"
    if isinstance(value, Mapping):
        return " ".join(text(k, v) for k, v in value.items())
    if column == "members":
        return "of " + "; ".join(_member(member) for member in value)
    if isinstance(value, list):
        return " ".join(str(v) for v in value)
    return str(value)


def _member(member: Row) -> str:
    """One next hop of a group."""
    hop = {k: v for k, v in member.items() if k != "weight"}
    return f"{text('next-hop', hop)} (weight {member['weight']})"


def _aggregate(row: Row) -> str:
    """One aggregate that the target lies in."""
    words = [f"aggregate {row['name']} {row['prefix']}: {row['state']}"]
    words.append(f"{row['contributing']} contributing ({', '.join(row['routes'])})")
    if row["told-to"]:
        instead = " in their place" if row["summary-only"] else ""
        words.append(f"told{instead} to {', '.join(row['told-to'])}")
    return "; ".join(words)


def draw_explanation(answer: Row) -> None:
    """The paths, longest prefix first, then the answer."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"[bold]{escape(answer['target'])}[/] in CCN {answer['ccn']} on {answer['gateway']}"
    )
    if not answer["paths"]:
        console.print("  no path has been heard")
    for path in answer["paths"]:
        result = path["result"].partition(":")[0]
        mark, style = _MARKS.get(result, ("-", "yellow"))
        console.print(
            f"[{style}]{mark}[/] {path['prefix']} from {escape(path['peer'])}: "
            f"[{style}]{escape(path['result'])}[/]"
        )
        attributes = path.get("attributes", {})
        if attributes:
            words = (f"{k} {text(k, v)}" for k, v in attributes.items() if text(k, v))
            console.print("    " + escape("  ".join(words)))
        if "least-preferred" in path:
            console.print(f"    [yellow]{escape(path['least-preferred'])}[/]")
        if "resolves-to" in path:
            console.print(f"    resolves to {escape(path['resolves-to'])}")
        _draw_policy(console, path.get("policy"))
    for vm in answer["vms"]:
        mark, style = _MARKS.get(vm["result"].partition(":")[0], ("-", "yellow"))
        console.print(
            f"[{style}]{mark}[/] VM {vm['ip']} ({vm['mac']}) on host {vm['host']}, sequence"
            f" {vm['sequence']}, from {escape(vm['said-by'])}: [{style}]{escape(vm['result'])}[/]"
            f" {vm.get('state', '')}".rstrip()
        )
    for shared in answer.get("shares", ()):
        style = "green" if shared["result"] == "accepted" else "yellow"
        console.print(
            f"  share {escape(shared['share'])}: {shared['prefix']} from {escape(shared['from'])}:"
            f" [{style}]{escape(shared['result'])}[/]"
        )
        for told in shared["policies"]:
            _draw_policy(console, told)
    for aggregate in answer.get("aggregates", ()):
        console.print(f"  {escape(_aggregate(aggregate))}")
    for finding in answer["findings"]:
        console.print(
            f"[red]! {finding['rule']}[/] {finding.get('prefix', '')}: {escape(finding['message'])}"
        )
    for peer in answer.get("silent", ()):
        of = f" of idc/{peer['idc']}" if "idc" in peer else ""
        console.print(
            f"[red]! {escape(peer['name'])}[/]{of} is {peer['state']} for"
            f" {peer['seconds']:.0f} s: {escape(peer['reason'])}"
        )
    route = answer["route"]
    if route is None:
        console.print("=> no route: packets are dropped and counted as no-route")
    else:
        console.print(f"=> {route['prefix']} ({route['peer']}): {escape(route['text'])}")
    if (vni := answer.get("no-vm")) is not None:
        console.print(
            f"   [yellow]no VM of VNI {vni} has {answer['target']}[/]: packets are dropped and"
            " counted as no-vm"
        )
    if (acl := answer.get("acl")) is not None:
        rules = ", ".join(map(_rule, acl["rules"]))
        console.print(f"   acl {escape(acl['name'])} before it, in order: {escape(rules)}")
    for uplink in answer.get("uplinks", ()):
        console.print(f"   [red]! uplink {escape(uplink['uplink'])} {uplink['says']}[/]")
    held = answer["forwarder"]
    if held is not None and "unreachable" in held:
        console.print(f"   [red]{escape(held['unreachable'])}[/]")
    elif held is not None:
        row = "  ".join(f"{k} {text(k, v)}" for k, v in held.items() if k != "found") or "no row"
        console.print(f"   forwarder: {escape(row)}")
    for told in answer.get("told", ()):
        style = "green" if told["result"] == "told" else "yellow"
        console.print(f"   to {escape(told['neighbor'])}: [{style}]{escape(told['result'])}[/]")
        _draw_policy(console, told.get("policy"))


def _rule(rule: Row) -> str:
    """One rule of an access list, with the packets that it has met where that is known."""
    packets = "?" if rule["packets"] is None else rule["packets"]
    return f"{rule['action']} {rule['name']} ({packets})"


def _draw_policy(console: Console, told: Row | None) -> None:
    if told is not None:
        for line in trace_lines(told):
            console.print(f"    [dim]|[/] {escape(line)}")


def draw_trace(answer: Row) -> None:
    """One line per table that the probe met, gateway by gateway, each with the counters moved."""
    console = Console(soft_wrap=True, highlight=False)
    dry = ", dry run" if answer["dry-run"] else ""
    legs = [answer, *answer.get("onward", ())]
    console.print(
        f"[bold]{answer['from']} -> {answer['to']}[/] at {answer['gateway']}:"
        f" {answer['protocol']}, mark ccn-trace {answer['mark']}{dry}"
    )
    for number, leg in enumerate(legs):
        if number:
            console.print(f"[bold]handed to {leg['gateway']}[/], without the underlay between")
        for step in leg["steps"]:
            style = "red" if step["step"] == "dropped" or step.get("action") == "deny" else "cyan"
            words = _TRACED[step["step"]](step)
            console.print(f"  [{style}]{step['step']:<11}[/]{escape(words)}")
        for scope, counts in leg["counters"].items():
            moved = "  ".join(f"{name} +{value}" for name, value in counts.items())
            console.print(f"  [dim]counted    {escape(scope)}: {escape(moved)}[/]")
    style = "red" if answer["result"] == "dropped" else "green"
    said = "would be forwarded" if dry and answer["result"] == "forwarded" else answer["result"]
    more = legs[-1].get("next")
    console.print(
        f"=> [{style}]{said}[/]" + (f" to {more}, which does not run here" if more else "")
    )


def _frame(step: Row) -> str:
    parts = [f"{step['octets']} octets, port {step['port']}"]
    if "vlan" in step:
        parts.append(f"VLAN {step['vlan']}")
    parts.append(f"{step['from-mac']} -> {step['to-mac']}")
    if "tunnel-to" in step:
        parts.append(
            f"{step['tunnel-from']} -> {step['tunnel-to']} VXLAN {step['vni']} (UDP port"
            f" {step['udp-port']})"
        )
        parts.append(f"{step['inner-from-mac']} -> {step['inner-to-mac']}")
    if "ttl" in step:
        parts.append(f"{step['source']} -> {step['destination']} TTL {step['ttl']}")
    return ", ".join(parts)


def _hop(step: Row) -> str:
    named = (f"{key} {step[key]}" for key in ("vni", "ip", "mac") if key in step)
    return "  ".join((f"slot {step['slot']}: {step['kind']}", *named))


_TRACED: dict[str, Callable[[Row], str]] = {
    "received": _frame,
    "classified": lambda s: (
        (f"VNI {s['vni']} from VTEP {s['vtep']}" if "vni" in s else "a hand-off")
        + f" -> CCSI {s['ccsi']} ({s['ccn']})"
    ),
    "source": lambda s: f"{s['ip']} {'may send from there' if s['checked'] else 'is not checked'}",
    "acl": lambda s: f"{s.get('acl', '')}: rule {s['rule']}: {s['action']}",
    "route": lambda s: f"{s['prefix']} -> slot {s['slot']}" if s["prefix"] else "no match",
    "next-hop": _hop,
    "member": _hop,
    "vm": lambda s: (
        f"VNI {s['vni']} {s['ip']}: MAC {s['mac']}"
        + (f", one of {s['hosts']} hosts by its flow" if s["hosts"] > 1 else "")
    ),
    "adjacency": lambda s: (
        f"{s['ip']} by port {s['port']}: MAC {s['mac'] or 'not resolved yet'}"
        if s["port"]
        else f"{s['ip']}: no uplink leads there"
    ),
    "sent": _frame,
    "dropped": lambda s: f"{s['reason']}",
    "punted": lambda _: "to the slow path: it is for the gateway itself, or its sender is told",
}
