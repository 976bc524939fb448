"""`ccn lab status`: in comes a lab, out come its nodes and the processes that run in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccn_bgp.errors import Problem
from ccn_bgp.lab import frr, netns
from ccn_bgp.lab.layout import Layout
from ccn_bgp.lab.moving import PARTS, part_pids
from ccn_bgp.lab.state import Lab
from ccn_bgp.model.ccsi import peers


@dataclass(frozen=True, slots=True)
class Process:
    """A part that ought to run; ``pid`` None means that it does not."""

    name: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node; ``up`` is False if its namespace has gone or a process of it does not run."""

    name: str
    kind: str
    netns: str
    present: bool
    processes: tuple[Process, ...]

    @property
    def up(self) -> bool:
        """All of it is there."""
        return self.present and all(p.pid is not None for p in self.processes)

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "node": self.name,
            "kind": self.kind,
            "netns": self.netns,
            "up": self.up,
            "processes": {p.name: p.pid for p in self.processes},
        }


def status(lab: Lab, layout: Layout) -> tuple[NodeStatus, ...]:
    """Every node, in the order in which it was built."""
    there = set(netns.present(lab.prefix))
    return tuple(
        NodeStatus(
            name,
            kind,
            layout.netns(name),
            layout.netns(name) in there,
            tuple(_processes(lab, layout, name, kind)),
        )
        for name, kind in layout.kinds.items()
    )


def dead_parts(lab: Lab, layout: Layout) -> list[Problem]:
    """Every process that ought to run and does not, with the last line of its log."""
    found = []
    for node in status(lab, layout):
        for process in node.processes:
            if process.pid is None:
                directory = (
                    lab.gateway_state(node.name)
                    if node.kind == "gateway"
                    else lab.router_state(node.name)
                )
                log = directory / f"{process.name}.log"
                found.append(Problem(f"{node.name}/{process.name}", _last_line(log), f"see {log}"))
    return found


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "does not run"
    said = [line for line in lines if line.strip() and not line.startswith("ccn lab:")]
    return f"does not run: {said[-1].strip()}" if said else "does not run"


def _processes(lab: Lab, layout: Layout, node: str, kind: str) -> list[Process]:
    if kind == "gateway":
        found = []
        for part in PARTS:
            if part == "speaker":
                files = sorted(lab.gateway_state(node).glob("speaker-*.pid"))
                found += [Process(path.stem, _running(path)) for path in files]
                if not files and peers(layout.topology, layout.topology.gateways[node]):
                    found.append(Process(part, None))
            else:
                pids = part_pids(lab, node, part)
                found.append(Process(part, pids[0] if pids else None))
        return found
    if kind == "router":
        directory = lab.router_state(node)
        return [Process(d, _running(directory / f"{d}.pid")) for d in frr.DAEMONS]
    return []


def _running(path: Path) -> int | None:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return None
    return pid if netns.alive(pid) else None
