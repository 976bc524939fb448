"""The peers of a learning bench: FRR's bgpd and GoBGP, which only hold the routes in a table.

In: the port of a Sender. Out: running daemons in a temporary directory that can say how many EVPN
routes they hold. Neither resolves, verifies or commits anything.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from ccn_bgp.bench import stream
from ccn_bgp.bench.sender import ADDRESS
from ccn_bgp.errors import CcnError, Problem

BGPD = Path("/usr/lib/frr/bgpd")
ASN = 64601
FRR = """
router bgp {asn}
 bgp router-id 192.0.2.11
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor {address} remote-as {sender}
 neighbor {address} port {port}
 neighbor {address} disable-connected-check
 neighbor {address} ebgp-multihop 5
 neighbor {address} timers connect 1
 address-family l2vpn evpn
  neighbor {address} activate
 exit-address-family
"""
GOBGP = """
[global.config]
  as = {asn}
  router-id = "192.0.2.11"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {sender}
  [neighbors.transport.config]
    remote-port = {port}
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 5
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "l2vpn-evpn"
"""


class Learner(ABC):
    """One peer daemon in the foreground; a context manager."""

    name = ""
    needs: tuple[str, ...] = ()
    poll = 0.01
    """Seconds between two questions for its count."""

    def __init__(self, port: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"ccn-bench-{self.name}-")
        self.directory = Path(self._folder.name)
        self.settings = {
            "asn": ASN,
            "address": ADDRESS,
            "sender": stream.SENDER_ASN,
            "port": port,
        }
        self._process: subprocess.Popen[bytes]

    @classmethod
    def missing(cls) -> str:
        """Which of its programs is not installed, or nothing."""
        return next((p for p in cls.needs if shutil.which(p) is None), "")

    @abstractmethod
    def command(self) -> list[str]:
        """Write its configuration; its command line."""

    def __enter__(self) -> Self:
        command = self.command()
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def check(self) -> None:
        """CcnError if it has ended."""
        if self._process.poll() is not None:
            text = (self.directory / "log").read_text(errors="replace").splitlines()
            raise CcnError(Problem(self.name, "ended", text[-1] if text else ""))

    @abstractmethod
    def held(self) -> int:
        """EVPN routes in its table."""

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


class Frr(Learner):
    """bgpd alone, without zebra."""

    name = "frr"
    needs = (str(BGPD),)

    def command(self) -> list[str]:
        """Write bgpd.conf; its command line."""
        (self.directory / "bgpd.conf").write_text(FRR.format(**self.settings))
        for path in (self.directory, self.directory / "bgpd.conf"):
            shutil.chown(path, "frr", "frr")
        words = [str(BGPD), "--no_zebra", "-p", "0", "-P", "0"]
        words += ["--vty_socket", str(self.directory), "-i", str(self.directory / "bgpd.pid")]
        return [*words, "-f", str(self.directory / "bgpd.conf")]

    def held(self) -> int:
        """Prefixes received from the sender, by its vty socket: cheaper than a vtysh."""
        text = self._ask("show bgp l2vpn evpn summary json")
        peers = json.loads(text or "{}").get("peers", {}) if text.startswith("{") else {}
        return int(peers.get(ADDRESS, {}).get("pfxRcd", 0))

    def _ask(self, words: str) -> str:
        """One command; bgpd ends its answer with three NULs and a status."""
        with socket.socket(socket.AF_UNIX) as vty:
            vty.settimeout(30)
            try:
                vty.connect(str(self.directory / "bgpd.vty"))
                for line in ("enable", words):
                    vty.sendall(line.encode() + b"\0")
                    answer = b""
                    while answer[-4:-1] != b"\0\0\0":
                        piece = vty.recv(65536)
                        if not piece:
                            return ""
                        answer += piece
            except (FileNotFoundError, ConnectionRefusedError):
                return ""
            return answer[:-4].decode().strip("\0\n ")


class GoBgp(Learner):
    """gobgpd."""

    name = "gobgp"
    needs = ("gobgpd", "gobgp")
    poll = 0.1

    def command(self) -> list[str]:
        """Write its configuration; its command line."""
        (self.directory / "gobgpd.toml").write_text(GOBGP.format(**self.settings))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._api = str(probe.getsockname()[1])
        words = ["gobgpd", "-f", str(self.directory / "gobgpd.toml"), "--pprof-disable"]
        return [*words, "--api-hosts", f"127.0.0.1:{self._api}"]

    def held(self) -> int:
        """Paths in its global table."""
        done = subprocess.run(
            ["gobgp", "-p", self._api, "-j", "global", "rib", "summary", "-a", "evpn"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            return 0
        return int(json.loads(done.stdout).get("num_path", 0))


LEARNERS: tuple[type[Learner], ...] = (Frr, GoBgp)
