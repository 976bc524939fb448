"""Bringing a lab up: in comes a topology, out come running nodes, or one line that says why not.

Steps are short and reported as they end. Whatever goes wrong, Ctrl-C included, what was built is
taken down again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab import frr, netns
from ccn_bgp.lab.layout import Layout, plan_layout
from ccn_bgp.lab.scripts import Cable, Script, cables, scripts
from ccn_bgp.lab.state import Lab, copy_topology, read_lab, remove
from ccn_bgp.model.topology import Topology

Report = Callable[[str, float], None]
"""Called after each step with its name and the seconds it took."""

_PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "ethtool": "ethtool",
    "sysctl": "procps",
    "setpriv": "util-linux",
}
_RESPAWN = """
fast=0
while :; do
	began=$(date +%s)
	"$@"
	echo "ccn lab: ended with status $?, starting again"
	if [ $(($(date +%s) - began)) -lt 5 ]; then fast=$((fast + 1)); else fast=0; fi
	if [ $fast -gt 3 ]; then sleep 3; else sleep 0.2; fi
done
"""


def up(topology: Topology, report: Report) -> Lab:
    """Build the lab of a topology and start everything in it; does not wait for convergence.

    CcnError: not root, a program is missing, the lab is up already, a step failed.
    """
    layout = plan_layout(topology)
    _require(layout)
    _claim(topology)
    lab = Lab(
        name=topology.name,
        prefix=layout.prefix,
        file=str(topology.file.resolve()),
        topology=f"topology/{topology.file.name}",
        phase="building",
        builder=os.getpid(),
    )
    try:
        lab.directory.mkdir(parents=True, exist_ok=True)
        lab.save()
        copy_topology(topology, lab.directory / "topology")
        started = time.monotonic()

        def step(name: str) -> None:
            nonlocal started
            now = time.monotonic()
            report(name, now - started)
            started = now

        shims = _compile_shims(lab, layout)
        connect(layout, layout.kinds, cables(layout))
        step(f"{len(layout.kinds)} namespaces and their links")
        run_scripts(layout, scripts(layout), {"SHIM": str(shims)})
        step("underlay, hosts and VMs")
        _start_routers(lab, layout)
        if layout.routers:
            step(f"FRR on {', '.join(node.name for node in layout.routers)}")
        for gateway in topology.gateways:
            _start_gateway(lab, layout, gateway)
        step(f"gateways {', '.join(topology.gateways)}")
        built = replace(lab, phase="up")
        built.save()
        return built
    except BaseException:
        remove(lab.name, lab.prefix)
        raise


def connect(layout: Layout, nodes: Iterable[str], links: Iterable[Cable]) -> None:
    """Create the namespaces of these nodes and the veths between them."""
    lines = [f"netns add {layout.netns(node)}" for node in nodes]
    lines += [
        f"link add {c.here} netns {layout.netns(c.node)} type veth"
        f" peer name {c.there} netns {layout.netns(c.peer)}"
        for c in links
    ]
    netns.batch(lines)


def run_scripts(
    layout: Layout, wanted: Iterable[Script], environment: dict[str, str] | None = None
) -> None:
    """Run scripts in their nodes, those of one node in order, two nodes at a time."""
    texts: dict[str, list[str]] = {}
    for script in wanted:
        texts.setdefault(script.node, []).append(script.text)
    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(netns.run, layout.netns(node), "\n".join(parts), environment)
            for node, parts in texts.items()
        ]
        for result in done:
            result.result()


def down(topology_name: str, prefix: str) -> list[str]:
    """Take a lab down, also one that was left half-built; says what was there."""
    if os.geteuid() != 0:
        raise CcnError(Problem("ccn lab", "needs root for network namespaces", "sudo"))
    return remove(topology_name, prefix)


def _require(layout: Layout) -> None:
    if os.geteuid() != 0:
        raise CcnError(Problem("ccn lab", "needs root for network namespaces", "sudo"))
    problems = [
        Problem(name, "command not found", f"apt-get install {package}")
        for name, package in _PROGRAMS.items()
        if shutil.which(name) is None
    ]
    if layout.routers:
        problems += [
            Problem(str(frr.PROGRAMS / daemon), "not found", "apt-get install frr")
            for daemon in frr.DAEMONS
            if not (frr.PROGRAMS / daemon).exists()
        ]
    if any(node.router.vlan is not None for node in layout.routers) and not shutil.which("clang"):
        problems.append(Problem("clang", "command not found", "apt-get install clang libbpf-dev"))
    if forwarder() is None:
        problems.append(Problem("ccn-forwarder", "not found", "make setup, or put it on PATH"))
    if problems:
        raise CcnError(*problems)


def forwarder() -> str | None:
    """The forwarder's program: what CCN_FORWARDER names, beside Python, on PATH."""
    if named := os.environ.get("CCN_FORWARDER"):
        return named
    return shutil.which("ccn-forwarder", path=str(Path(sys.executable).parent)) or shutil.which(
        "ccn-forwarder"
    )


def _claim(topology: Topology) -> None:
    """Make sure that no other lab has this name; remains of one that crashed are removed."""
    found = read_lab(topology.name)
    if found is not None and found.phase == "up" and netns.present(found.prefix):
        raise CcnError(
            Problem(f"lab {topology.name}", "is up already", f"ccn lab down {found.file}")
        )
    if found is not None and found.phase == "building" and netns.alive(found.builder):
        raise CcnError(
            Problem(f"lab {topology.name}", f"is being built by process {found.builder}")
        )
    remove(topology.name, plan_layout(topology).prefix)


def _compile_shims(lab: Lab, layout: Layout) -> Path:
    """One 802.1Q program per VLAN."""
    directory = lab.directory / "shim"
    directory.mkdir(exist_ok=True)
    source = Path(__file__).with_name("vlan_shim.c")
    headers = f"/usr/include/{os.uname().machine}-linux-gnu"
    for vlan in sorted({n.router.vlan for n in layout.routers if n.router.vlan is not None}):
        done = subprocess.run(
            [
                *("clang", "-O2", "-g", "-target", "bpf", f"-DVLAN={vlan}", f"-I{headers}"),
                *("-c", str(source), "-o", str(directory / f"vlan-{vlan}.o")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            word = (done.stderr.splitlines() or ["failed"])[0]
            raise CcnError(Problem("vlan_shim.c", word, "apt-get install clang libbpf-dev"))
    return directory


def _start_routers(lab: Lab, layout: Layout) -> None:
    for node in layout.routers:
        directory = lab.router_state(node.name)
        directory.mkdir(parents=True)
        texts = {
            "zebra": f"hostname {node.name}\n",
            "bgpd": frr.bgpd_configuration(layout.topology, node),
        }
        for daemon, text in texts.items():
            path = directory / f"{daemon}.conf"
            path.touch(mode=0o640)
            path.write_text(text)
            shutil.chown(path, "frr", "frr")
        shutil.chown(directory, "frr", "frr")
    for daemon, socket in (("zebra", "zserv.api"), ("bgpd", "bgpd.vty")):
        for node in layout.routers:
            directory = lab.router_state(node.name)
            netns.spawn(
                layout.netns(node.name), frr.command(daemon, directory), directory / f"{daemon}.out"
            )
        for node in layout.routers:
            _wait_for(lab.router_state(node.name) / socket, f"router {node.name}: {daemon}")


def _wait_for(path: Path, what: str, patience: float = 10.0) -> None:
    deadline = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            raise CcnError(Problem(what, f"did not start within {patience:.0f} s"))
        time.sleep(0.02)


def _start_gateway(lab: Lab, layout: Layout, gateway: str) -> None:
    """`ccn run` under a loop that starts it again, slower if it keeps dying: systemd's part."""
    state = lab.gateway_state(gateway)
    state.mkdir(parents=True)
    program = [sys.executable, "-m", "ccn_bgp.cli.main", "run", str(lab.topology_file)]
    program += ["--gateway", gateway, "--state", str(state)]
    package = str(Path(__file__).resolve().parents[2])
    modules = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    found = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    netns.spawn(
        layout.netns(gateway),
        ["sh", "-c", _RESPAWN, "ccn-lab", *program],
        state / "gateway.log",
        {"PATH": found, "PYTHONPATH": modules},
    )
