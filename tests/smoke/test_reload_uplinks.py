"""SIGHUP after an edit of a gateway's uplinks, with a real forwarder between two network
namespaces: what can be changed is changed, a port that is not open is refused with the way out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccn_bgp.forwarder.process import find_forwarder

pytestmark = pytest.mark.smoke

TOPOLOGY = """\
name: uplinks
fabric: {asn: 64600, mtu: 1400, underlay-mtu: 1500}
gateways:
  g1: {region: r, asn: 64601, vtep: 192.0.2.11, uplinks: [UPLINKS]}
vpcs:
  web: {region: r, vni: 10001, cidrs: [10.1.0.0/16]}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web]}
"""
FIRST = "{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}"
SECOND = "{port: eth2, address: 198.51.100.11/24, via: 198.51.100.1}"
BOTH = f"{FIRST}, {SECOND}"


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Gateway:
    """``ccn run`` in one namespace; eth1 and eth2 lead to 192.0.2.1 and 198.51.100.1 in another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.log = folder / "topology.yaml", folder / "log"
        self.here, self.far = (f"ru{os.getpid()}{side}" for side in "gf")
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in (self.here, self.far):
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        for number, address in ((1, "192.0.2.1/24"), (2, "198.51.100.1/24")):
            pair = ("type", "veth", "peer", "name", f"far{number}", "netns", self.far)
            self.ip("-n", self.here, "link", "add", f"eth{number}", *pair)
            self.ip("-n", self.here, "link", "set", f"eth{number}", "up")
            self.ip("-n", self.far, "link", "set", f"far{number}", "up")
            self.ip("-n", self.far, "addr", "add", address, "dev", f"far{number}")

    def ip(self, *words: str) -> str:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            words = ["ip", "netns", "exec", self.here, *command]
            self.processes.append(subprocess.Popen(words, stderr=log, env=self.environment))
        return self.processes[-1]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CCN_RUN_DIR": f"{self.folder}/run"}

    def run(self, uplinks: str, *more: str) -> subprocess.Popen[bytes]:
        self.write(uplinks)
        command = ("-m", "ccn_bgp.cli.main", "run", f"{self.file}", "--gateway", "g1")
        return self.start(sys.executable, *command, "--state", f"{self.folder}/state", *more)

    def write(self, uplinks: str) -> None:
        self.file.write_text(TOPOLOGY.replace("UPLINKS", uplinks))

    def edit(self, uplinks: str) -> str:
        """What is said of an edit, up to its end."""
        said = len(self.log.read_text())
        self.write(uplinks)
        self.processes[-1].send_signal(signal.SIGHUP)
        ends = ("is in force", "reload refused")
        until(lambda: any(end in self.log.read_text()[said:] for end in ends))
        return self.log.read_text()[said:]

    def answers(self, address: str) -> bool:
        """It is the gateway's, and its kernel is there behind the forwarder."""
        command = ["ip", "netns", "exec", self.far, "ping", "-c", "1", "-W", "1", address]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def devices(self) -> set[str]:
        lines = self.ip("-n", self.here, "-brief", "link", "show").splitlines()
        return {line.split()[0].partition("@")[0] for line in lines}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    yield made
    for process in reversed(made.processes):
        process.terminate()
        process.wait(20)
    for name in (made.here, made.far):
        made.ip("netns", "del", name)


def test_an_uplink_is_changed_removed_and_comes_back(gateway: Gateway) -> None:
    gateway.run(BOTH)
    until(lambda: gateway.answers("192.0.2.11") and gateway.answers("198.51.100.11"))
    gateway.edit(BOTH.replace("198.51.100.11", "198.51.100.12"))
    until(lambda: gateway.answers("198.51.100.12"))
    assert not gateway.answers("198.51.100.11")
    said = gateway.edit(FIRST)
    assert "port eth2 stays open until its next start" in said
    assert gateway.devices() == {"lo", "eth1", "eth2", "eth1.t"}
    assert gateway.answers("192.0.2.11")
    gateway.edit(BOTH)  # its port is still open
    until(lambda: gateway.answers("198.51.100.11"))
    said = gateway.edit(BOTH.replace("port: eth1,", "port: eth1, driver: af_packet,"))
    assert "other settings, for its next start" in said
    assert gateway.answers("192.0.2.11")


def test_a_port_that_is_not_open_is_refused_and_a_restart_opens_it(gateway: Gateway) -> None:
    process = gateway.run(FIRST)
    until(lambda: gateway.answers("192.0.2.11"))
    said = gateway.edit(BOTH)
    assert "g1: port eth2 is not open in the running forwarder (restart the gateway" in said
    assert gateway.devices() == {"lo", "eth1", "eth2", "eth1.t"}
    assert gateway.answers("192.0.2.11")
    process.kill()  # its forwarder goes on, and would be adopted
    process.wait()
    gateway.run(BOTH)
    until(lambda: gateway.answers("192.0.2.11") and gateway.answers("198.51.100.11"))
    assert "has no port eth2: starting another" in gateway.log.read_text()


def test_nor_is_one_opened_in_a_forwarder_that_is_not_ours(gateway: Gateway) -> None:
    path = f"{gateway.folder}/other.sock"
    gateway.start(str(find_forwarder()), "--socket", path, "--port", "eth1=auto:eth1")
    until(lambda: "ready" in gateway.log.read_text())
    way_out = f"forwarder {path}: port eth2 is not open in it (start it again with --port eth2="
    assert gateway.run(BOTH, "--forwarder", path).wait(20) == 1
    assert gateway.log.read_text().splitlines()[-1].startswith(f"ccn: {way_out}")
    gateway.processes.pop()
    gateway.run(FIRST, "--forwarder", path)
    until(lambda: "runs, 0 peers" in gateway.log.read_text())
    assert way_out in gateway.edit(BOTH)
