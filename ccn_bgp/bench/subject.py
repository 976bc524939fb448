"""Our side of a learning bench: one real gateway, ``ccn run`` over a ``ccn-forwarder``.

In: the port of a Sender. Out: the running pair, and what its forwarder holds. The forwarder has a
``null`` port: it holds all tables and moves no packets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import numpy as np

import ccn_bgp
from ccn_bgp.bench import stream
from ccn_bgp.bench.sender import ADDRESS
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import MessageType

CCSI = 100
TOPOLOGY = """
name: bench
fabric: {{asn: 64600}}
gateways:
  gw: {{region: here, asn: 64601, vtep: 192.0.2.11,
       uplinks: [{{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}}]}}
vpcs:
  web: {{region: here, vni: 10001, cidrs: [10.1.0.0/16],
        vms: [{{ip: 10.1.0.10, mac: "02:00:0a:01:00:0a", host: 192.0.2.101}}]}}
ccns:
  retail: {{id: 100, vni: 20100, attach: [vpc/web]}}
neighbors:
  - {{name: sender, gateway: gw, address: {address}, port: {port}, asn: {asn}, role: gateway}}
"""


def topology(port: int) -> str:
    """The file of a gateway that dials the Sender at ``port``."""
    return TOPOLOGY.format(address=ADDRESS, port=port, asn=stream.SENDER_ASN)


class Subject:
    """A gateway and its forwarder in a temporary directory; a context manager."""

    name = "ccn"

    def __init__(self, port: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ccn-bench-")
        self.directory = Path(self._folder.name)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port = port
        self.client: ForwarderClient

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        control = self.directory / "forwarder.sock"
        file = self.directory / "bench.yaml"
        file.write_text(topology(self._port))
        command = forwarder_command(control, {"p0": "null"}, name="bench")
        self._processes.append(start_forwarder(command, control, self.directory / "forwarder.log"))
        run = [sys.executable, "-m", "ccn_bgp.cli.main", "run", str(file), "--gateway", "gw"]
        run += ["--forwarder", str(control), "--state", str(self.directory / "state")]
        with (self.directory / "gateway.log").open("wb") as log:
            gateway = subprocess.Popen(
                run,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self._environment(),
            )
        self._processes.append(gateway)
        self.client = ForwarderClient.connect(control, timeout=60.0)

    def _environment(self) -> dict[str, str]:
        """The package is found as we were found; other gateways of this machine are not seen."""
        packages = str(Path(ccn_bgp.__file__).resolve().parents[1])
        paths = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": paths, "CCN_RUN_DIR": str(self.directory / "run")}

    def check(self) -> None:
        """CcnError with its last word if a process of ours has ended."""
        for process, log in zip(self._processes, ("forwarder", "gateway"), strict=False):
            if process.poll() is not None:
                lines = (self.directory / f"{log}.log").read_text(errors="replace").splitlines()
                raise CcnError(Problem(f"bench {log}", "ended", lines[-1] if lines else ""))

    def holds(self, index: int) -> bool:
        """True if the forwarder has the row of this prefix of the stream."""
        return bool(self.client.lookup(CCSI, stream.prefix(index).address)["found"])

    def held(self) -> int:
        """Rows of the stream in the forwarder, counted in a dump."""
        routes = self.client.dump()[MessageType.ROUTE]
        first = routes["prefix"][:, 0]
        return int(np.count_nonzero((first >= 20) & (routes["length"] == 24)))

    def memory(self) -> float:
        """Resident memory of the gateway and its children and the forwarder, MB."""
        return sum(_resident(pid) for p in self._processes for pid in _family(p.pid)) / 1e6

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.close()
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
