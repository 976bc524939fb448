"""A rogue gateway exports another CCN's prefix with retail's route target, among good routes: the
good ones carry packets at once, the leaking one carries none and names its peer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.smoke

ROGUE, MAC = "192.0.2.200", "02:00:00:00:02:00"
NEIGHBOR = f"""
neighbors:
  - {{name: rogue, gateway: bj-gw1, address: {ROGUE}, asn: 64777, role: gateway}}
"""
GOBGP = f"""\
[global.config]
as = 64777
router-id = "{ROGUE}"
local-address-list = ["{ROGUE}"]
[[neighbors]]
[neighbors.config]
neighbor-address = "192.0.2.11"
peer-as = 64601
[neighbors.transport.config]
local-address = "{ROGUE}"
passive-mode = true
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "l2vpn-evpn"
"""
COUNT = f"""\
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("{ROGUE}", 4789))
sock.settimeout(3)
print("listening", flush=True)
try:
    while True:
        frame = sock.recv(2048)
        vni, target = int.from_bytes(frame[4:7], "big"), frame[38:42]
        print(vni, ".".join(map(str, target)), flush=True)
except TimeoutError:
    pass
"""
SEND = """\
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(10):
    for target in sys.argv[1:]:
        sock.sendto(b"probe", (target, 9))
    time.sleep(0.1)
"""


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout + done.stderr)
    return done.stdout


def within(seconds: float, holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


class Rogue:
    """GoBGP in a namespace of its own on Beijing's underlay."""

    def __init__(self, running: Any, folder: Path) -> None:
        self.running = running
        underlay = running.layout.netns("underlay-beijing")
        self.netns = underlay.replace("underlay-beijing", "rogue")
        run("ip", "netns", "add", self.netns)
        run("ip", "-n", underlay, "link", "add", "rogue", "type", "veth", "peer", "name", "eth0",
            "netns", self.netns)  # fmt: skip
        bridge = run("ip", "-n", underlay, "-o", "link", "show", "type", "bridge").split(": ")[1]
        run("ip", "-n", underlay, "link", "set", "rogue", "master", bridge, "up")
        for words in (
            f"ip addr add {ROGUE}/24 dev eth0",
            f"ip link set eth0 address {MAC} up",
            "ip link set lo up",
            "ethtool -K eth0 tx off",
        ):
            run("ip", "netns", "exec", self.netns, *words.split())
        config = folder / "gobgpd.toml"
        config.write_text(GOBGP)
        with (folder / "gobgpd.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.netns, "gobgpd", "-f", str(config)],
                stdout=log,
                stderr=log,
            )

    def says(self, verb: str, prefix: str, label: int) -> None:
        words = f"gobgp global rib {verb} -a evpn prefix {prefix} etag 0 label {label}"
        words += f" rd {ROGUE}:1 rt 64600:100 encap vxlan router-mac {MAC} nexthop {ROGUE}"
        run("ip", "netns", "exec", self.netns, *words.split())

    def arrivals(self, *targets: str) -> set[str]:
        """``VNI inner-target`` of what reaches the rogue when a VM of retail sends to each."""
        listen = ("ip", "netns", "exec", self.netns, sys.executable, "-c", COUNT)
        vm = self.running.layout.netns("vm-web-10-1-0-10")
        with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline().strip() == "listening"
            run("ip", "netns", "exec", vm, sys.executable, "-c", SEND, *targets)
            return {line.strip() for line in listener.stdout}

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        run("ip", "netns", "del", self.netns)


@pytest.fixture(scope="module")
def rogue(running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rogue]:
    copy = next((Path("/run/ccn/lab") / running.lab.name / "topology").glob("*.yaml"))
    copy.write_text(copy.read_text() + NEIGHBOR)
    found = Rogue(running, tmp_path_factory.mktemp("rogue"))
    try:
        assert running.on("kill", "bj-gw1/gateway", "--signal", "HUP").returncode == 0
        within(20, lambda: neighbor(running).get("state") == "established")
        yield found
    finally:
        found.end()


def neighbor(running: Any) -> dict[str, Any]:
    rows = running.show("neighbors")["neighbors"]
    return next((row for row in rows if row["name"] == "rogue"), {})


def test_the_leak_is_refused_with_a_witness_and_the_good_routes_carry_packets(
    running: Any, rogue: Rogue
) -> None:
    before = {n["name"]: n["seconds"] for n in running.show("neighbors")["neighbors"]}
    rogue.says("add", "10.50.0.0/16", 20100)
    rogue.says("add", "10.77.0.0/16", 20200)  # finance's VNI under retail's target
    rogue.says("add", "10.51.0.0/16", 20100)
    within(10, lambda: neighbor(running)["received"] == 3)
    within(5, lambda: {"10.50.0.0/16", "10.51.0.0/16"} <= learned(running))
    assert "10.77.0.0/16" not in learned(running)
    (finding,) = [f for f in running.show("findings")["findings"] if f["severity"] == "error"]
    assert (finding["rule"], finding["peer"], finding["ccn"]) == ("leak", "rogue", "retail")
    assert finding["witness"]["address"].startswith("10.77.")

    arrived = rogue.arrivals("10.50.0.1", "10.51.0.1", "10.77.0.1")
    assert arrived == {"20100 10.50.0.1", "20100 10.51.0.1"}
    done = running.ccn("explain", "10.77.0.1", "--ccn", "retail", "--gateway", "bj-gw1")
    assert "refused: leak" in done.stdout and "no route" in done.stdout
    again = running.ccn("verify-commit", "--gateway", "bj-gw1")
    assert again.returncode == 0, again.stdout
    after = {n["name"]: n["seconds"] for n in running.show("neighbors")["neighbors"]}
    assert all(after[name] > seconds for name, seconds in before.items()), "no session was lost"


def test_the_right_vni_releases_it(running: Any, rogue: Rogue) -> None:
    rogue.says("add", "10.77.0.0/16", 20100)
    within(5, lambda: "10.77.0.0/16" in learned(running))
    assert not [f for f in running.show("findings")["findings"] if f["severity"] == "error"]
    assert rogue.arrivals("10.77.0.1") == {"20100 10.77.0.1"}


def learned(running: Any) -> set[str]:
    return {r["prefix"] for r in running.show("routes")["routes"] if r["peer"] == "rogue"}
