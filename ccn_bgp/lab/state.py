"""Where a lab keeps itself: one directory per lab under /run/ccn/lab, written before anything else.

lab.json            name, prefix, the file it came from, who builds it, phase: up, or building (also
                    when it is being taken down)
topology/           the lab's own copy of the topology and its policies: gateways run on it
gateways/NAME/      state of `ccn run`: pid files, sockets, logs
routers/NAME/       FRR's configuration, sockets, pid files
shim/               compiled 802.1Q programs
"""

from __future__ import annotations

import difflib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.lab import netns
from ccn_bgp.lab.layout import Layout, plan_layout
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.topology import Topology
from ccn_bgp.policy_files import Files

ROOT = Path("/run/ccn/lab")


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab on this machine. ``topology`` is its own copy."""

    name: str
    prefix: str
    file: str
    topology: str
    phase: Literal["building", "up"]
    builder: int

    @property
    def directory(self) -> Path:
        """All its files."""
        return ROOT / self.name

    @property
    def topology_file(self) -> Path:
        """The copy of the topology that its gateways run on."""
        return self.directory / self.topology

    def gateway_state(self, gateway: str) -> Path:
        """The state directory of a gateway."""
        return self.directory / "gateways" / gateway

    def router_state(self, router: str) -> Path:
        """FRR's directory of a router."""
        return self.directory / "routers" / router

    def layout(self) -> Layout:
        """The nodes as they stand now, VMs where they have moved to."""
        return plan_layout(load_topology(self.topology_file))

    def save(self) -> None:
        """Write lab.json whole or not at all."""
        replace_file(self.directory / "lab.json", json.dumps(asdict(self), indent=1))


def read_lab(name: str) -> Lab | None:
    """The lab of this name, or None; a state file that is not readable counts as none."""
    try:
        return Lab(**json.loads((ROOT / name / "lab.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def labs() -> list[Lab]:
    """All labs on this machine, by name."""
    if not ROOT.is_dir():
        return []
    found = (read_lab(entry.name) for entry in sorted(ROOT.iterdir()))
    return [lab for lab in found if lab is not None]


def find_lab(name: str | None, has: Callable[[Layout], bool] = lambda _: True) -> Lab:
    """The lab of this name, or the only one; of several, the only one that ``has`` what is meant.

    CcnError: none, several, or no such name.
    """
    known = labs()
    names = [lab.name for lab in known]
    if not known:
        raise CcnError(Problem("lab", "no lab is up", "ccn lab up FILE"))
    if name is None:
        if len(known) == 1:
            return known[0]
        fitting = [lab for lab in known if _fits(lab, has)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            what = f"{len(fitting)} labs are up: {', '.join(lab.name for lab in fitting)}"
        else:
            what = f"none of the {len(known)} labs that are up has it: {', '.join(names)}"
        raise CcnError(Problem("lab", what, "give --lab"))
    if name not in names:
        raise CcnError(Problem(f"lab {name}", "is not up", nearest(name, names)))
    return known[names.index(name)]


def _fits(lab: Lab, has: Callable[[Layout], bool]) -> bool:
    try:
        return has(lab.layout())
    except CcnError:
        return False  # a lab that is half made, or whose copy of the topology is broken


def name_of_file(file: Path) -> str:
    """The name of the lab of this topology file; a lab that is known needs no readable file."""
    for lab in labs():
        if lab.file == str(file.resolve()):
            return lab.name
    return load_topology(file).name


def lab_of_file(file: Path) -> Lab:
    """The lab that was brought up from this topology file (or one of the same name)."""
    name = name_of_file(file)
    lab = read_lab(name)
    if lab is None or lab.phase != "up":
        raise CcnError(Problem(f"lab {name}", "is not up", f"ccn lab up {file}"))
    return lab


def has_node(layout: Layout, node: str) -> bool:
    """Whether the lab has this node, planned or (a host that a VM moved to) made since."""
    return node in layout.kinds or layout.netns(node) in netns.present(layout.prefix)


def find_node(layout: Layout, node: str) -> str:
    """The network namespace of a node. InputError: unknown, with the nearest name."""
    if not has_node(layout, node):
        raise InputError(Problem(f"node {node}", "unknown", nearest(node, list(layout.kinds))))
    return layout.netns(node)


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint for a name that does not exist."""
    if close := difflib.get_close_matches(word, known, n=1, cutoff=0.5):
        return f"did you mean {close[0]}?"
    return f"there are: {', '.join(known)}" if known else ""


def copy_topology(topology: Topology, directory: Path) -> Path:
    """Copy a topology file, its policies (and what they include) and inventories into
    ``directory``; returns the copy.

    What lies beside the topology keeps its relative path; what lies elsewhere is named absolutely.
    """
    source = topology.file.resolve().parent
    target = directory / topology.file.name
    directory.mkdir(parents=True, exist_ok=True)
    document = _yaml().load(topology.file.read_text())
    for key, files in (("policies", topology.policies), ("inventory", topology.inventory)):
        for index, file in enumerate(files):
            path = file.resolve()
            parts = [path]
            if key == "policies":
                parts = [each.file.resolve() for each in Files().add([file]).sources]
            if all(part.is_relative_to(source) for part in parts):
                for part in parts:
                    copy = directory / part.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(part, copy)
                document[key][index] = str(path.relative_to(source))
            else:
                document[key][index] = str(path)
    for holder in _password_holders(document):
        holder["password-file"] = str((source / holder["password-file"]).resolve())
    _write_yaml(document, target)
    return target


def move_host(file: Path, vpc: str, addresses: Sequence[Ip], host: Ip) -> None:
    """Rewrite ``host:`` of these VMs in a topology file, by rename. InputError: one of them stands
    in an inventory file."""
    document = _yaml().load(file.read_text())
    left = set(addresses)
    for vm in document["vpcs"][vpc].get("vms") or ():
        if (ip := Ip.parse(str(vm["ip"]))) in left:
            vm["host"] = str(host)
            left.discard(ip)
    if left:
        names = ", ".join(sorted(map(str, left)))
        raise InputError(
            Problem(f"{vpc}:{names}", "stands in an inventory file", f"edit it beside {file}")
        )
    _write_yaml(document, file)


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)


def remove(name: str, prefix: str) -> list[str]:
    """End the processes, namespaces and files of a lab; says what was there."""
    if (lab := read_lab(name)) is not None and lab.phase == "up":
        replace(lab, phase="building", builder=os.getpid()).save()
    left = netns.end_processes(prefix)
    if left:
        raise CcnError(
            Problem(f"lab {name}", f"these processes do not end: {', '.join(map(str, left))}")
        )
    found = netns.present(prefix)
    netns.delete(found)
    directory = ROOT / name
    if directory.exists():
        found.append(str(directory))
        shutil.rmtree(directory)
    for entry in ROOT.parent.iterdir() if ROOT.parent.is_dir() else ():
        # `ccn run` puts a link to its state here; a killed one leaves it
        if entry.is_symlink() and entry.readlink().is_relative_to(directory):
            entry.unlink()
    for parent in (ROOT, ROOT.parent):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    return found


def _password_holders(document: Any) -> list[Any]:
    idcs = (document.get("idcs") or {}).values()
    routers = [router for idc in idcs for router in ((idc or {}).get("routers") or {}).values()]
    holders = [*routers, *(document.get("neighbors") or [])]
    return [holder for holder in holders if holder.get("password-file")]


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _write_yaml(document: Any, path: Path) -> None:
    text = io.StringIO()
    _yaml().dump(document, text)
    replace_file(path, text.getvalue())
