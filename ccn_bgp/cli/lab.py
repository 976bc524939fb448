"""`ccn lab …`: a topology as namespaces on this machine, with real peers and real packets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, InputError, Problem, RefusedError
from ccn_bgp.lab import building, checking, demo, moving, state
from ccn_bgp.lab.layout import host_node, lab_prefix
from ccn_bgp.lab.status import dead_parts
from ccn_bgp.lab.status import status as node_status
from ccn_bgp.model.counted import counted

app = typer.Typer(
    no_args_is_help=True,
    help="A topology as namespaces on this machine: real forwarders, ExaBGP, FRR, VXLAN hosts.",
)
out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False)

File = Annotated[Path, typer.Argument(metavar="FILE", help="topology file")]
LabName = Annotated[str | None, typer.Option("--lab", help="which lab, if several are up")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout")]


@app.command()
def up(
    file: File,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="until all reach all")] = True,
    patience: Annotated[float, typer.Option(help="seconds to wait for that")] = 60.0,
) -> None:
    """Build the lab of a topology, start it, and wait until every member reaches every other."""
    began = time.monotonic()
    topology = load_topology(file)
    with interruptible(topology.name):
        lab = building.up(topology, _report)
        if wait:
            wait_converged(lab, began, patience)


@app.command()
def down(file: File) -> None:
    """End a lab without a trace, also one that crashed half-way. Safe to repeat."""
    name = state.name_of_file(file)
    found = building.down(name, lab_prefix(name))
    namespaces = sum(1 for item in found if not item.startswith("/"))
    out.print(f"lab {name} is down ({namespaces} namespaces)" if found else f"lab {name} is not up")


@app.command()
def status(file: File, as_json: Json = False) -> None:
    """Nodes, their processes and BGP sessions."""
    lab = state.lab_of_file(file)
    nodes = node_status(lab, lab.layout())
    sessions = {n.name: demo.sessions(lab, n.name) for n in nodes if n.kind == "gateway"}
    if as_json:
        document = {
            "lab": lab.name,
            "directory": str(lab.directory),
            "up": all(node.up for node in nodes),
            "nodes": [node.as_json() for node in nodes],
            "sessions": sessions,
        }
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("node", "kind", "namespace", "state", "processes"):
        table.add_column(title)
    for node in nodes:
        processes = ", ".join(f"{p.name} {p.pid or 'DOWN'}" for p in node.processes)
        table.add_row(node.name, node.kind, node.netns, "up" if node.up else "DOWN", processes)
    out.print(table)
    for gateway, found in sessions.items():
        for session in found:
            out.print(f"session {gateway} - {session['name']}: {session['state']}")


@app.command()
def check(
    file: File,
    max_loss: Annotated[
        str,
        typer.Option(metavar="TIME", help="longest outage a pair may have, such as 2s; 0: none"),
    ] = "0",
    probes: Annotated[int, typer.Option(min=1, help="per CCN, each way")] = 10_000,
    rate: Annotated[int, typer.Option(min=1, help="probes per second in all")] = 4000,
    as_json: Json = False,
) -> None:
    """Send stamped probes between all members of all CCNs: loss per pair, foreign stamps.

    Exit 3 if a pair lost more than allowed, a stamp of another CCN was seen, or the positive
    control (a deliberate foreign stamp at every receiver) was not.
    """
    bound = seconds(max_loss)
    lab = state.lab_of_file(file)
    with Progress(
        TextColumn("probes"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    ) as bar:
        task = bar.add_task("probes")
        verdict = checking.check(
            lab.layout(),
            probes,
            bound,
            rate,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(json.dumps(verdict.as_json(), indent=1) + "\n")
    else:
        _print_verdict(verdict)
    if not verdict.ok:
        raise RefusedError(*_faults(verdict))


@app.command(
    "exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True}
)
def exec_(
    node: Annotated[str, typer.Argument(metavar="NODE")],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…")],
    name: LabName = None,
) -> None:
    """Run a command in a node. On an IDC router `vtysh` finds its FRR by itself."""
    lab = state.find_lab(name, lambda layout: state.has_node(layout, node))
    layout = lab.layout()
    netns = state.find_node(layout, node)
    if command[0] == "--":
        command = command[1:]
    if command and command[0] == "vtysh" and layout.kinds.get(node) == "router":
        command[1:1] = ["--vty_socket", str(lab.router_state(node))]
    if not command:
        raise InputError(Problem("ccn lab exec", "no command", "ccn lab exec NODE -- CMD"))
    os.execvp("ip", ["ip", "netns", "exec", netns, *command])


@app.command()
def kill(
    target: Annotated[str, typer.Argument(metavar="NODE/speaker|gateway|forwarder")],
    number: Annotated[str, typer.Option("--signal", help="number or name")] = "9",
    name: LabName = None,
) -> None:
    """Signal a part of a gateway, to see the others go on."""
    signal_number = moving.signal_number(number)
    gateway = target.partition("/")[0]
    lab = state.find_lab(name, lambda layout: gateway in layout.topology.gateways)
    pids = moving.kill(lab, target, signal_number)
    out.print(f"{target}: signal {number} to {', '.join(map(str, pids))}")


@app.command("move-vm")
def move_vm(
    which: Annotated[str, typer.Argument(metavar="VPC:IP")],
    to: Annotated[str, typer.Option("--to", metavar="HOST", help="address or node name")],
    name: LabName = None,
) -> None:
    """Move a VM to another host of its region; the host is made if it is new."""
    lab = state.find_lab(name, lambda layout: moving.has_vm(layout, which))
    vm, host = moving.move_vm(lab, which, to)
    out.print(f"{vm.name}: {host_node(vm.host)} -> {host_node(host)}")


@app.command("demo")
def demo_(file: File) -> None:
    """Bring the lab up if it is not, prove it with real packets, and print what was seen."""
    topology = load_topology(file)
    began = time.monotonic()
    lab = state.read_lab(topology.name)
    if lab is None or lab.phase != "up":
        with interruptible(topology.name):
            lab = building.up(topology, _report)
            wait_converged(lab, began, 60.0)
    else:
        wait_converged(lab, began, 60.0)
    faults = demo.show(lab, out)
    if faults:
        raise CcnError(*faults)


@contextlib.contextmanager
def interruptible(name: str) -> Iterator[None]:
    """Ctrl-C or SIGTERM takes the lab down again; another one does not stop that half-way."""
    now = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {n: handler for n, handler in now.items() if handler is not signal.SIG_IGN}

    def once(_number: int, _frame: object) -> None:
        for number in before:  # ignored by what is started from here on, too
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number in before:
            signal.signal(number, once)
        yield
    except KeyboardInterrupt:
        err.print(f"interrupted: lab {name} is taken down")
        building.down(name, lab_prefix(name))
        raise
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is once:  # else it is over, and only the exit is left
                signal.signal(number, handler)


def wait_converged(lab: state.Lab, began: float, patience: float) -> None:
    """Wait and report; CcnError with one line per pair that does not reach."""
    layout = lab.layout()
    found = checking.wait_until_converged(layout, patience, began)
    if found.missing:
        raise CcnError(
            *dead_parts(lab, layout),
            *(Problem(str(pair), f"nothing arrived in {patience:.0f} s") for pair in found.missing),
        )
    if found.first is not None and found.all is not None:
        out.print(f"first packet after {found.first:.1f} s, every pair after {found.all:.1f} s")


def seconds(text: str) -> float:
    """``2s``, ``500ms`` or ``2`` in seconds. InputError: anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text)
    if match is None:
        raise InputError(Problem(f"--max-loss {text}", "is not a time", "such as 2s or 500ms"))
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _report(step: str, took: float) -> None:
    out.print(f"[dim]{took:5.1f} s[/dim]  {step}")


def _print_verdict(verdict: checking.Verdict) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("ccn", "from", "to"):
        table.add_column(title)
    for title in ("sent", "lost", "outage"):
        table.add_column(title, justify="right")
    for one in verdict.result.pairs:
        style = "red" if one in verdict.bad else None
        table.add_row(
            one.pair.source.ccn,
            str(one.pair.source),
            str(one.pair.target),
            str(one.sent),
            str(one.lost),
            f"{one.longest_outage:.2f} s",
            style=style,
        )
    out.print(table)
    result = verdict.result
    out.print(
        f"{counted(result.sent, 'probe')}, {result.lost} lost, {len(result.foreign)} foreign"
        f" ({result.trespasses} sent across CCNs on purpose);"
        f" control: {result.controls_seen} of {result.controls} foreign stamps recognised"
    )


def _faults(verdict: checking.Verdict) -> list[Problem]:
    result = verdict.result
    faults = [
        Problem(
            str(one.pair),
            f"lost {one.lost} of {one.sent}, longest outage {one.longest_outage:.2f} s",
        )
        for one in verdict.bad
    ]
    seen: dict[tuple[str, str, str], int] = {}
    for foreign in result.foreign:
        key = (str(foreign.receiver), foreign.receiver.ccn, foreign.ccn)
        seen[key] = seen.get(key, 0) + 1
    faults += [
        Problem(f"{ccn}: {receiver}", f"saw {counted(count, 'probe')} stamped {other}")
        for (receiver, ccn, other), count in sorted(seen.items())
    ]
    if result.misdelivered:
        faults.append(
            Problem("probes", f"{result.misdelivered} reached another member of their CCN")
        )
    if result.controls_seen != result.controls:
        faults.append(
            Problem("control", f"only {result.controls_seen} of {result.controls} were recognised")
        )
    return faults
