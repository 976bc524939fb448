"""``ccn run``, ``show`` and ``explain`` with something wrong: one line each, the right exit code,
nothing left behind. No root, no network, no forwarder."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
TOPOLOGY = """\
name: faults
fabric: {asn: 64600, mtu: 1500, underlay-mtu: 1600}
gateways:
  g1: {region: r, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: io-none1, address: 192.0.2.11/24}]}
vpcs:
  web: {region: r, vni: 10001, cidrs: [10.1.0.0/16]}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web]}
"""
NEIGHBOR = """\
neighbors:
  - {name: peer, gateway: g1, address: 127.9.1.1, port: 1799, local-address: 127.9.1.2, asn: 64999,
     role: gateway, password-file: PASSWORD}
"""


class Workplace:
    """A topology file, a state directory and a run directory of one's own."""

    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "topology.yaml"
        self.state = directory / "state"
        self.run_directory = directory / "run"
        self.file.write_text(TOPOLOGY)

    def command(self, *words, **environment):
        return {
            "args": [sys.executable, "-m", "ccn_bgp.cli.main", *map(str, words)],
            "env": {
                **os.environ, "PYTHONPATH": f"{SOURCE}", "CCN_RUN_DIR": f"{self.run_directory}",
                **environment,
            },
            "text": True,
        }  # fmt: skip

    def ccn(self, *words, **environment):
        """It must end by itself, and soon."""
        command = self.command(*words, **environment)
        return subprocess.run(**command, capture_output=True, check=False, timeout=30)

    def gateway(self, *words, **environment):
        given = ("run", self.file, "--gateway", "g1", "--state", self.state)
        return self.ccn(*given, *words, **environment)

    def running(self):
        words = ("run", self.file, "--gateway", "g1", "--forwarder", "none", "--state", self.state)
        process = subprocess.Popen(
            **self.command(*words), stderr=(self.directory / "log").open("wb")
        )
        end = time.monotonic() + 20
        while self.ccn("show", "digest").returncode:
            assert process.poll() is None and time.monotonic() < end
        return process

    def left(self):
        """Sockets and pid files, and processes that know this directory."""
        found = [p.name for p in self.state.glob("*") if p.is_socket() or p.suffix == ".pid"]
        found += [p.name for p in self.run_directory.glob("*")]
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes()
            except OSError:
                continue
            if f"{self.state}".encode() in command:
                found.append(command.decode(errors="replace"))
        return found


@pytest.fixture
def place(tmp_path):
    workplace = Workplace(tmp_path)
    yield workplace
    assert workplace.left() == []


@pytest.fixture
def alive(tmp_path):
    """The same with a gateway that runs; it must end well."""
    workplace = Workplace(tmp_path)
    process = workplace.running()
    try:
        yield workplace
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert workplace.left() == []


def refused(done, code, *parts):
    """Exit code, and one line of ccn among what was logged, with all these parts in it."""
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == code, said
    lines = [line for line in done.stderr.splitlines() if line.startswith("ccn: ")]
    assert len(lines) == 1, said
    assert lines[0] == done.stderr.splitlines()[-1]
    for part in parts:
        assert part in lines[0]
    return lines[0]


def test_a_gateway_that_the_file_does_not_have(place):
    words = ("run", place.file, "--gateway", "g2", "--forwarder", "none", "--state", place.state)
    refused(place.ccn(*words), 2, f"{place.file}", "no gateway 'g2'", "one of g1")
    assert not place.state.exists()


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_topology_half_written(place, share):
    place.file.write_text(TOPOLOGY[: int(len(TOPOLOGY) * share)])
    done = place.gateway("--forwarder", "none")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(line.startswith(f"ccn: {place.file}:") for line in done.stderr.splitlines())
    assert not place.state.exists()


def test_no_topology_at_all(place):
    place.file.unlink()
    refused(place.gateway("--forwarder", "none"), 2, f"{place.file}", "No such file")


def test_a_topology_that_leaks(place):
    vpc = "  own: {region: r, vni: 10002, cidrs: [10.2.0.0/16]}\n"
    ccn = '  other: {id: 200, vni: 20200, attach: [vpc/own], import-rts: ["64600:100"]}\n'
    place.file.write_text(TOPOLOGY.replace("ccns:", f"{vpc}ccns:") + ccn)
    done = place.gateway("--forwarder", "none")
    assert done.returncode == 3
    assert [line.split(": ")[:3] for line in done.stderr.splitlines()] == [
        ["ccn", f"{place.file}:10:64", f"error {rule}"] for rule in ("leak", "rt-leak")
    ]
    assert not place.state.exists()


@pytest.mark.parametrize("fault", ["absent", "a directory", "empty", "binary"])
def test_a_password_file_that_cannot_be_used(place, fault):
    password = place.directory / "key"
    match fault:
        case "a directory":
            password.mkdir()
        case "empty":
            password.write_text("")
        case "binary":
            password.write_bytes(bytes(range(256)))
    place.file.write_text(TOPOLOGY + NEIGHBOR.replace("PASSWORD", f"{password}"))
    refused(place.gateway("--forwarder", "none"), 2, f"{password}")


def test_a_state_directory_that_cannot_be(place):
    words = ("run", place.file, "--gateway", "g1", "--forwarder", "none", "--state")
    refused(place.ccn(*words, place.file / "x"), 1, f"{place.file}/x", "--state")
    deep = place.directory / ("x" * 120)
    refused(place.ccn(*words, deep), 1, f"{deep}", "too long", "--state")
    assert [p.name for p in deep.iterdir()] == ["lock"]


def test_a_second_gateway_on_the_same_state(alive):
    line = refused(alive.gateway("--forwarder", "none"), 1, f"{alive.state}", "running already")
    assert "--state" in line
    assert alive.ccn("show", "digest").returncode == 0


def test_a_second_gateway_of_the_same_name_does_not_hide_the_first(alive):
    second = Workplace(alive.directory)
    second.state = alive.directory / "second"
    words = ("run", alive.file, "--gateway", "g1", "--forwarder", "none", "--state", second.state)
    log = alive.directory / "second.log"
    process = subprocess.Popen(**alive.command(*words), stderr=log.open("wb"))
    try:
        end = time.monotonic() + 20
        while "gateway g1 runs, 0 peers" not in log.read_text():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        assert (alive.run_directory / "g1").readlink() == alive.state
        assert "`ccn show` finds that one" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert alive.ccn("show", "digest", "--gateway", "g1").returncode == 0


def test_a_forwarder_that_is_not_there(place):
    nobody = place.directory / "nobody.sock"
    refused(place.gateway("--forwarder", nobody), 4, f"{nobody}")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{nobody}")
        refused(place.gateway("--forwarder", nobody), 4, f"{nobody}")
        deaf.listen(1)  # takes the connection and never says HELLO
        refused(place.gateway("--forwarder", nobody), 4, f"{nobody}")


def test_an_interface_that_is_missing(place):
    refused(place.gateway(), 1, "port io-none1", "no such interface")


def test_nobody_to_ask(place):
    for words in (("show", "routes"), ("explain", "10.1.0.1", "--ccn", "x"),
                  ("neighbor", "x", "clear")):  # fmt: skip
        refused(place.ccn(*words), 4, "no gateway runs here", "ccn run")
        refused(place.ccn(*words, "--gateway", "g1"), 4, "g1", "none runs here")


def test_questions_that_make_no_sense(alive):
    refused(alive.ccn("show", "routes", "--ccn", "retial"), 2, "no CCN 'retial'", "retail")
    refused(alive.ccn("show", "routes", "--neighbor", "x"), 2, "no neighbor 'x'")
    refused(alive.ccn("show", "bananas"), 2, "bananas", "routes")
    refused(alive.ccn("explain", "10.1.0.0/33", "--ccn", "retail"), 2, "10.1.0.0/33")
    refused(alive.ccn("explain", "banana", "--ccn", "retail"), 2, "banana")
    refused(alive.ccn("explain", "10.1.0.0/16", "--ccn", "x"), 2, "'x'", "retail")
    refused(alive.ccn("neighbor", "x", "clear"), 2, "'x'")
    refused(alive.ccn("show", "routes", "--gateway", "g2"), 4, "g2", "running: g1")


def test_a_killed_gateway_is_not_there_and_may_start_again(place):
    process = place.running()
    process.kill()
    process.wait()
    assert (place.state / "api.sock").exists()
    refused(place.ccn("show", "routes", "--gateway", "g1"), 4, "g1")
    process = place.running()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
