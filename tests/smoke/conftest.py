"""A lab of the demo topology for the tests of one file, under a name of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.lab import netns, traffic
from ccn_bgp.lab.layout import Layout, lab_prefix
from ccn_bgp.lab.state import Lab, read_lab

SOURCE = Path(__file__).parents[2]


def ccn(*words: str, name: str = "") -> subprocess.CompletedProcess[str]:
    """Run `ccn` from this source tree; gateways of the lab ``name`` are found by theirs alone, so
    that a lab that is up beside it is not disturbed."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    if name:
        environment["CCN_RUN_DIR"] = f"/run/ccn/lab/{name}/gateways"
    return subprocess.run(
        [sys.executable, "-m", "ccn_bgp.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def left_behind(name: str) -> list[str]:
    """Namespaces, files, links and processes of a lab."""
    found = netns.present(lab_prefix(name))
    directory = Path("/run/ccn/lab") / name
    if directory.exists():
        found.append(str(directory))
    for link in directory.parents[1].glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(directory):
            found.append(str(link))
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if f"{directory}/".encode() in command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def topology_named(name: str, directory: Path, text: str = "") -> Path:
    """The demo topology (or this one) under another name, beside its policies."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copytree(SOURCE / "topologies" / "policies", directory / "policies")
    text = text or (SOURCE / "topologies" / "two-regions.yaml").read_text()
    file = directory / f"{name}.yaml"
    file.write_text(text.replace("name: two-regions", f"name: {name}"))
    return file


@dataclass(frozen=True)
class RunningLab:
    """What a test needs of a lab that is up."""

    file: Path
    lab: Lab
    run = staticmethod(ccn)
    left_behind = staticmethod(left_behind)
    topology_named = staticmethod(topology_named)

    @property
    def layout(self) -> Layout:
        return self.lab.layout()

    def ccn(self, *words: str) -> subprocess.CompletedProcess[str]:
        return ccn(*words, name=self.lab.name)

    def on(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """`ccn lab exec|kill|move-vm` in this lab."""
        return ccn("lab", command, "--lab", self.lab.name, *words)

    def show(self, what: str, gateway: str = "bj-gw1") -> Any:
        done = self.ccn("show", what, "--gateway", gateway, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def vtysh(self, router: str, *lines: str) -> None:
        """Configure an IDC router."""
        words = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        done = self.on("exec", router, "--", "vtysh", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def frr_routes(self, router: str) -> dict[str, list[str]]:
        return traffic.frr_routes(self.lab, self.layout, router, 4)

    def check(self, *options: str) -> dict[str, Any]:
        done = ccn("lab", "check", str(self.file), "--json", *options)
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        assert (done.returncode == 0) == document["ok"], done.stderr
        return document


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningLab]:
    """The demo topology (or TOPOLOGY of the test's module), up and converged; afterwards nothing of
    it may be left."""
    name = str(request.module.__name__).rpartition(".")[2].replace("_", "-")
    text = getattr(request.module, "TOPOLOGY", "")
    file = topology_named(name, tmp_path_factory.mktemp("topology"), text)
    done = ccn("lab", "up", str(file), name=name)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        lab = read_lab(name)
        assert lab is not None
        yield RunningLab(file, lab)
    finally:
        done = ccn("lab", "down", str(file))
    assert done.returncode == 0, done.stderr
    assert left_behind(name) == []
