"""The peers of a learning bench: FRR's bgpd and GoBGP, which only hold the routes in a table.

In: the Senders to dial. Out: running daemons in a temporary directory that can say how many routes
they hold. Neither resolves, verifies or commits anything.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.sites import GATEWAY_ASN
from ccn_bgp.bench.subject import Memory, memory
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Family

BGPD = Path("/usr/lib/frr/bgpd")
FRR = """\
router bgp {asn}
 bgp router-id 192.0.2.11
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
"""
FRR_NEIGHBOR = """\
 neighbor {address} remote-as {asn}
 neighbor {address} port {port}
 neighbor {address} disable-connected-check
 neighbor {address} ebgp-multihop 5
 neighbor {address} timers connect 1
 address-family {family}
  neighbor {address} activate
  neighbor {address} route-map {says} out
 exit-address-family
"""
FRR_MAPS = """\
exit
route-map everything permit 10
exit
route-map nothing deny 10
"""
FRR_FAMILY = {Family.EVPN: "l2vpn evpn", Family.IPV4_UNICAST: "ipv4 unicast"}
GOBGP = """\
[global.config]
  as = {asn}
  router-id = "192.0.2.11"
  port = {listen}
  local-address-list = ["127.0.0.1"]
"""
GOBGP_SILENCE = """\
[global.apply-policy.config]
  default-export-policy = "reject-route"
"""
GOBGP_NEIGHBOR = """\
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {asn}
  [neighbors.transport.config]
    passive-mode = true
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 5
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{family}"
"""
GOBGP_FAMILY = {Family.EVPN: "l2vpn-evpn", Family.IPV4_UNICAST: "ipv4-unicast"}


class Learner(ABC):
    """One peer daemon in the foreground; a context manager.

    It dials ``sessions``, or waits for them. Only with ``telling`` it announces
    what it has learned to the others.
    """

    name = ""
    needs: tuple[str, ...] = ()
    poll = 0.01
    """Seconds between two questions for its count."""
    dial = 0
    """The port at which it waits, if it does not dial by itself."""

    def __init__(self, sessions: Sequence[Sender], *, telling: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"ccn-bench-{self.name}-")
        self.directory = Path(self._folder.name)
        self.sessions, self.telling = sessions, telling
        self.family = sessions[0].family
        self._process: subprocess.Popen[bytes]

    @classmethod
    def missing(cls) -> str:
        """Which of its programs is not installed, or nothing."""
        return next((p for p in cls.needs if shutil.which(p) is None), "")

    @abstractmethod
    def command(self) -> list[str]:
        """Write its configuration; its command line."""

    def _each(self, template: str, families: Mapping[Family, str], **more: str) -> Iterator[str]:
        for s in self.sessions:
            yield template.format(
                address=s.address, asn=s.asn, port=s.port, family=families[s.family], **more
            )

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

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def memory(self) -> Memory:
        """Of its process."""
        return memory(self._process.pid)

    @abstractmethod
    def held(self) -> int:
        """Routes in its table, those of every session counted."""

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
        file = self.directory / "bgpd.conf"
        says = "everything" if self.telling else "nothing"
        neighbors = self._each(FRR_NEIGHBOR, FRR_FAMILY, says=says)
        file.write_text("".join([FRR.format(asn=GATEWAY_ASN), *neighbors, FRR_MAPS]))
        for path in (self.directory, file):
            shutil.chown(path, "frr", "frr")
        words = [str(BGPD), "--no_zebra", "-p", "0", "-P", "0"]
        words += ["--vty_socket", str(self.directory), "-i", str(self.directory / "bgpd.pid")]
        return [*words, "-f", str(file)]

    def held(self) -> int:
        """Prefixes received, by its vty socket: cheaper than a vtysh."""
        text = self._ask(f"show bgp {FRR_FAMILY[self.family]} summary json")
        found = json.loads(text) if text.startswith("{") else {}
        peers = found.get("peers") or found.get("ipv4Unicast", {}).get("peers", {})
        return sum(int(peer.get("pfxRcd", 0)) for peer in peers.values())

    def _ask(self, words: str) -> str:
        """One command; bgpd ends its answer with three NULs and a status."""
        with socket.socket(socket.AF_UNIX) as vty:
            vty.settimeout(60)
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
        file = self.directory / "gobgpd.toml"
        # it would wait for many seconds before it dials
        with socket.socket() as api, socket.socket() as bgp:
            for probe in (api, bgp):
                probe.bind(("127.0.0.1", 0))
            self._api = str(api.getsockname()[1])
            self.dial = bgp.getsockname()[1]
        lines = [GOBGP.format(asn=GATEWAY_ASN, listen=self.dial)]
        lines += ["" if self.telling else GOBGP_SILENCE]
        file.write_text("".join([*lines, *self._each(GOBGP_NEIGHBOR, GOBGP_FAMILY)]))
        words = ["gobgpd", "-f", str(file), "--pprof-disable"]
        return [*words, "--api-hosts", f"127.0.0.1:{self._api}"]

    def held(self) -> int:
        """Paths in its global table."""
        family = "evpn" if self.family is Family.EVPN else "ipv4"
        done = subprocess.run(
            ["gobgp", "-p", self._api, "-j", "global", "rib", "summary", "-a", family],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            return 0
        return int(json.loads(done.stdout).get("num_path", 0))


LEARNERS: tuple[type[Learner], ...] = (Frr, GoBgp)


def installed(say: Callable[[str], None]) -> list[type[Learner]]:
    """The peers that can be measured here; who is missing is said."""
    found = []
    for learner in LEARNERS:
        if missing := learner.missing():
            say(f"{learner.name}: not measured, {missing} is not installed")
        else:
            found.append(learner)
    return found
