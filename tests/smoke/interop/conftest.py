"""Real peers around real gateways: one namespace with all loopback addresses, others by one veth.

Gateways run with ``--forwarder none``: what is tested here is said and heard, not forwarded.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.forwarder.process import forwarder_command

SOURCE = Path(__file__).parents[3]
LIBC = ctypes.CDLL(None, use_errno=True)
CORE = "core"
FORWARDERS = "fwd"
REFLECTOR = "203.0.113.1"
STRANGER = "203.0.113.9"
ADDRESSES = {"bj-gw1": "192.0.2.11", "hk-gw1": "198.51.100.21"}
ASNS = {"bj-gw1": 64601, "hk-gw1": 64602}


def run(*command: str | Path, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def until(condition: Callable[[], Any], seconds: float = 30, every: float = 0.1) -> Any:
    """The first true answer of ``condition``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s; last answer: {condition()}")


class Frr:
    """A bgpd alone: without zebra every next hop counts as reachable."""

    def __init__(self, net: Net, name: str, namespace: str, listen: str, lines: str) -> None:
        self.net, self.namespace, self.listen = net, namespace, listen
        self.directory = net.directory / name
        self.directory.mkdir(mode=0o755)
        (self.directory / "bgpd.conf").write_text(lines)
        self.begin()

    def begin(self) -> None:
        """Start it; also after it was killed."""
        configuration = self.directory / "bgpd.conf"
        for left in ("bgpd.vty", "bgpd.pid"):
            (self.directory / left).unlink(missing_ok=True)
        self.process = self.net.start(
            self.namespace, "/usr/lib/frr/bgpd", "-Z", "-S", "-u", "root", "-g", "root",
            "-l", self.listen,
            "-P", "0", "-f", f"{configuration}", "-i", f"{self.directory}/bgpd.pid",
            "--vty_socket", f"{self.directory}", "--log", f"file:{self.directory}/bgpd.log",
        )  # fmt: skip
        until((self.directory / "bgpd.vty").exists)

    def kill(self) -> None:
        """Without a word to its peers."""
        self.process.kill()
        self.process.wait()

    def vtysh(self, *lines: str) -> str:
        words = [word for line in lines for word in ("-c", line)]
        return run("vtysh", "--vty_socket", self.directory, *words)

    def configure(self, *lines: str) -> None:
        self.vtysh("configure terminal", *lines)

    def json(self, command: str) -> Any:
        return json.loads(self.vtysh(f"{command} json"))

    def routes(self) -> dict[str, Any]:
        """Prefix → paths of the IPv4 table."""
        found = self.json("show bgp ipv4 unicast")["routes"]
        assert isinstance(found, dict)
        return found

    def heard(self) -> dict[str, Any]:
        """The same, without its own networks."""
        return {p: paths for p, paths in self.routes().items() if paths[0]["path"]}

    def sessions(self, neighbor: str) -> int:
        """How often a session with this neighbor has been established."""
        return int(self.json(f"show bgp neighbors {neighbor}")[neighbor]["connectionsEstablished"])


class Gobgp:
    """gobgpd in the core namespace and its command line."""

    def __init__(self, net: Net, name: str, lines: str) -> None:
        configuration = net.directory / f"{name}.toml"
        configuration.write_text(lines)
        self.net = net
        log = (net.directory / f"{name}.log").open("wb")
        self.process = net.start(
            CORE, "gobgpd", "-f", f"{configuration}", stdout=log, stderr=subprocess.STDOUT
        )
        until(lambda: self.try_command("global").returncode == 0)

    def try_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ("ip", "netns", "exec", self.net.names[CORE], "gobgp", *words)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def __call__(self, text: str) -> str:
        done = self.try_command(*text.split())
        assert done.returncode == 0, f"gobgp {text}: {done.stdout}{done.stderr}"
        return done.stdout

    def rib(self) -> dict[str, list[dict[str, Any]]]:
        """The NLRI as gobgp writes it → its paths, with attributes by type code."""
        found: dict[str, list[dict[str, Any]]] = {}
        for paths in json.loads(self("global rib -a evpn -j") or "{}").values():
            for path in paths:
                path["attrs"] = {a["type"]: a for a in path["attrs"]}
                found.setdefault(nlri_text(path["nlri"]), []).append(path)
        return found


def nlri_text(nlri: Mapping[str, Any]) -> str:
    """Type 5: the prefix; type 2: the address; the RD before it."""
    value = nlri["value"]
    rd = value["rd"]
    what = value.get("prefix") if nlri["type"] == 5 else value.get("ip")
    return f"{nlri['type']} {rd.get('admin')}:{rd.get('assigned')} {what}"


class Gateway:
    """``ccn run`` of one gateway, without a forwarder."""

    def __init__(self, net: Net, name: str, file: Path, *options: str) -> None:
        self.net, self.name, self.file, self.options = net, name, file, options
        self.state = net.directory / name
        self.log = net.directory / f"{name}.log"
        self.process: subprocess.Popen[Any]
        self.begin()

    def begin(self) -> None:
        """Start it and wait for its API; also after its end."""
        self.process = self.net.start(
            CORE, sys.executable, "-m", "ccn_bgp.cli.main", "run", f"{self.file}",
            "--gateway", self.name, "--forwarder", "none", "--state", f"{self.state}",
            *self.options, stderr=self.log.open("ab"), env=self.net.environment,
        )  # fmt: skip
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.show("neighbors") is not None)
        except OSError:
            return False

    def show(self, what: str, **filters: str) -> Any:
        """A view, over the API's socket: a poll must not cost an interpreter."""
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(60)
            api.connect(f"{self.state}/api.sock")
            request = {"command": "show", "what": what, "filters": filters}
            api.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(api.makefile("rb").readline())
        assert answer["ok"], answer
        return answer["result"][what] if isinstance(answer["result"].get(what), list) else answer[
            "result"
        ]  # fmt: skip

    def ccn(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Any command of ccn, as an operator gives it."""
        return subprocess.run(
            [sys.executable, "-m", "ccn_bgp.cli.main", *words, "--gateway", self.name],
            capture_output=True, text=True, check=False, env=self.net.environment,
        )  # fmt: skip

    def routes(self, ccn: str = "retail") -> dict[str, dict[str, Any]]:
        return {r["prefix"]: r for r in self.show("routes", ccn=ccn)}

    def neighbor(self, name: str) -> dict[str, Any]:
        return next(n for n in self.show("neighbors") if n["name"] == name)

    def established(self, *names: str) -> bool:
        """All these sessions are up and have told all."""
        rows = [self.neighbor(n) for n in names]
        return all(r["state"] == "established" and r["end-of-rib"] == r["families"] for r in rows)

    def digest(self) -> str:
        return str(self.show("digest")["digest"])

    def lines(self, part: str) -> list[str]:
        """Its log lines with this text."""
        return [line for line in self.log.read_text().splitlines() if part in line]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def speaker(self, group: str = "gateways") -> int:
        return int((self.state / f"speaker-{group}.pid").read_text())

    def end(self) -> None:
        self.signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.log.read_text()


class Net:
    """Namespaces, processes and files of one test; all gone at its end."""

    ccn_source = SOURCE
    addresses: Mapping[str, str] = ADDRESSES
    asns: Mapping[str, int] = ASNS
    reflector = REFLECTOR
    stranger = STRANGER
    until = staticmethod(until)
    run = staticmethod(run)

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names: dict[str, str] = {}
        self.processes: list[subprocess.Popen[Any]] = []
        self.environment = {
            **os.environ, "PYTHONPATH": f"{SOURCE}", "CCN_RUN_DIR": f"{directory}/run",
        }  # fmt: skip
        self.namespace(CORE)
        for address in (*ADDRESSES.values(), REFLECTOR, STRANGER):
            self.ip(CORE, "address", "add", f"{address}/32", "dev", "lo")

    def namespace(self, name: str) -> None:
        self.names[name] = f"io-{os.getpid()}-{name}"
        run("ip", "netns", "add", self.names[name])
        self.ip(name, "link", "set", "lo", "up")

    def ip(self, name: str, *words: str) -> None:
        run("ip", "-n", self.names[name], *words)

    def start(self, name: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        # `ip netns exec` becomes the command itself: the process is the one started here.
        words = ("ip", "netns", "exec", self.names[name], *command)
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def frr(self, name: str, lines: str, listen: str = REFLECTOR, namespace: str = CORE) -> Frr:
        return Frr(self, name, namespace, listen, lines)

    def gobgp(self, lines: str, name: str = "gobgp") -> Gobgp:
        return Gobgp(self, name, lines)

    def gobgp_peer(self, gateway: str, address: str, asn: int, hold: int = 90) -> Gobgp:
        """An EVPN speaker that waits for ``gateway`` and keeps its routes while it restarts."""
        return self.gobgp(
            f"[global.config]\nas = {asn}\nrouter-id = '{address}'\n"
            f"local-address-list = ['{address}']\n"
            "[[neighbors]]\n[neighbors.config]\n"
            f"neighbor-address = '{ADDRESSES[gateway]}'\npeer-as = {ASNS[gateway]}\n"
            "[neighbors.transport.config]\n"
            f"passive-mode = true\nlocal-address = '{address}'\n"
            f"[neighbors.timers.config]\nhold-time = {hold}\n"
            "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 30\n"
            "[[neighbors.afi-safis]]\n"
            "[neighbors.afi-safis.config]\nafi-safi-name = 'l2vpn-evpn'\n"
            "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
        )

    def socket(self, name: str = CORE) -> socket.socket:
        """A TCP socket of that namespace; it stays there."""
        home, there = Path("/proc/thread-self/ns/net"), Path("/run/netns") / self.names[name]
        with home.open() as back, there.open() as namespace:
            assert LIBC.setns(namespace.fileno(), 0) == 0, "setns"
            try:
                return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                assert LIBC.setns(back.fileno(), 0) == 0, "setns"

    def idc(self, name: str, tap: str, networks: Sequence[str], extra: str = "") -> Frr:
        """FRR of a data centre, in a namespace of its own, on a veth in place of the tap."""
        self.namespace(name)
        self.ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", tap,
                "netns", self.names[CORE])  # fmt: skip
        ends = ((name, "eth0", "169.254.1.2/30"), (CORE, tap, "169.254.1.1/30"))
        for place, device, address in ends:
            self.ip(place, "address", "add", address, "dev", device)
            self.ip(place, "link", "set", device, "up")
        lines = (
            "router bgp 65101", f" bgp router-id 10.0.0.{len(self.names)}",
            " no bgp ebgp-requires-policy", " no bgp network import-check", " timers bgp 3 9",
            " neighbor 169.254.1.1 remote-as external", " neighbor 169.254.1.1 passive",
            " neighbor 169.254.1.1 advertisement-interval 0", extra,
            " address-family ipv4 unicast", *(f"  network {n}" for n in networks),
        )  # fmt: skip
        return self.frr(name, "\n".join(lines) + "\n", "169.254.1.2", name)

    def topology(
        self, neighbors: Sequence[Mapping[str, Any]] = (), *, idcs: bool = False, asn: int = 0
    ) -> Path:
        """The demo's file with these neighbors; without its data centres unless ``idcs``; with one
        AS for all gateways if ``asn`` is given."""
        text = (SOURCE / "topologies" / "two-regions.yaml").read_text()
        if not idcs:
            before, rest = text.split("\nidcs:", 1)
            text = f"{before}\n\nccns:{rest.split('ccns:', 1)[1]}"
            text = text.replace(", idc/langfang", "").replace(", idc/tianjin", "")
        for own in ASNS.values() if asn else ():
            text = text.replace(f"asn: {own}", f"asn: {asn}")
        policies = SOURCE / "topologies" / "policies"
        text = text.replace("policies/idc.yaml", f"{policies}/idc.yaml")
        file = self.directory / f"topology-{len(list(self.directory.glob('*.yaml')))}.yaml"
        file.write_text(f"{text}\nneighbors: {json.dumps(list(neighbors))}\n")
        return file

    def forwarder(self, name: str, *ports: str) -> Path:
        """A ccn-forwarder that holds tables and sees no packet; its control socket. In a namespace
        of its own, so that it takes no device of a test for its tap."""
        if FORWARDERS not in self.names:
            self.namespace(FORWARDERS)
        path = self.directory / f"{name}.sock"
        command = forwarder_command(
            path, dict.fromkeys(ports, "null"), name=name, extra=("--memory", "128")
        )
        self.start(FORWARDERS, *command, stderr=(self.directory / f"{name}.fwd").open("ab"))
        until(path.exists)
        return path

    def gateway(self, name: str, file: Path, *options: str) -> Gateway:
        return Gateway(self, name, file, *options)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        left = {name: run("ip", "netns", "pids", name).split() for name in self.names.values()}
        for name in self.names.values():
            run("ip", "netns", "del", name)
        assert not any(left.values()), f"processes left behind: {left}"


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    network = Net(tmp_path)
    try:
        yield network
    finally:
        network.close()
