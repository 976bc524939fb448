"""Our side of a learning bench: one real gateway, ``ccn run`` over a ``ccn-forwarder``.

In: the sessions it shall have and the ports of its forwarder. Out: the running pair, what its
forwarder holds and the memory of all its processes. A ``null`` port holds tables and moves no
packets.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

import ccn_bgp
from ccn_bgp.bench import stream
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.bgp import Prefix

NULL_PORTS = {"p0": "null"}
PATIENCE = 120.0
"""Seconds until a gateway has read its topology and answers."""


class Memory(NamedTuple):
    """Of a process and all below it, MB: resident now, and the sum of their highest."""

    now: float
    peak: float


class Subject:
    """A gateway and its forwarder in a temporary directory; a context manager."""

    name = "ccn"

    def __init__(self, topology: str, ports: Mapping[str, str] = NULL_PORTS) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ccn-bench-")
        self.directory = Path(self._folder.name)
        self._topology, self._ports = topology, ports
        self._forwarder: subprocess.Popen[bytes] | None = None
        self._gateway: subprocess.Popen[bytes] | None = None
        self.client: ForwarderClient

    def __enter__(self) -> Self:
        try:
            control = self.directory / "forwarder.sock"
            (self.directory / "bench.yaml").write_text(self._topology)
            (self.directory / "policy.yaml").write_text(POLICY)
            command = forwarder_command(control, self._ports, name="bench")
            log = self.directory / "forwarder.log"
            self._forwarder = start_forwarder(command, control, log)
            self.start_gateway()
            self.client = ForwarderClient.connect(control, timeout=60.0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_gateway(self) -> None:
        """Start ``ccn run`` over the forwarder that runs."""
        run = [sys.executable, "-m", "ccn_bgp.cli.main", "run", str(self.directory / "bench.yaml")]
        run += ["--gateway", "gw", "--forwarder", str(self.directory / "forwarder.sock")]
        run += ["--state", str(self.directory / "state")]
        with (self.directory / "gateway.log").open("ab") as log:
            self._gateway = subprocess.Popen(
                run,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self._environment(),
            )

    def kill_gateway(self) -> None:
        """As if it had crashed; its speakers end by themselves, the forwarder goes on."""
        assert self._gateway is not None
        self._gateway.kill()
        self._gateway.wait()

    def _environment(self) -> dict[str, str]:
        """The package is found as we were found; other gateways of this machine are not seen."""
        packages = str(Path(ccn_bgp.__file__).resolve().parents[1])
        paths = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": paths, "CCN_RUN_DIR": str(self.directory / "run")}

    def check(self) -> None:
        """CcnError with its last word if a process of ours has ended."""
        for process, log in ((self._forwarder, "forwarder"), (self._gateway, "gateway")):
            if process is not None and process.poll() is not None:
                lines = (self.directory / f"{log}.log").read_text(errors="replace").splitlines()
                raise CcnError(Problem(f"bench {log}", "ended", lines[-1] if lines else ""))

    def holds(self, index: int) -> bool:
        """True if the forwarder has the row of this route of the stream."""
        return self.has(stream.ccn_id(index), stream.prefix(index))

    def has(self, ccsi: int, prefix: Prefix) -> bool:
        """True if an address of ``prefix`` is found in this table."""
        return bool(self.client.lookup(ccsi, prefix.address)["found"])

    def held(self) -> int:
        """Rows in the forwarder that are not of the gateway's own VPCs (10/8), in a dump."""
        return int(np.count_nonzero(self.client.dump()[MessageType.ROUTE]["prefix"][:, 0] != 10))

    def ask(self, what: str) -> Any:
        """What ``ccn show WHAT`` would get. CcnError: nobody answers."""
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(PATIENCE)
            try:
                api.connect(str(self.directory / "state" / "api.sock"))
                api.sendall(json.dumps({"command": "show", "what": what}).encode() + b"\n")
                with api.makefile("rb") as answers:
                    answer = json.loads(answers.readline() or b"{}")
            except OSError as error:
                raise CcnError(Problem("bench gateway", f"does not answer: {error}")) from None
        if not answer.get("ok"):
            raise CcnError(Problem("bench gateway", str(answer.get("error", "no answer"))))
        return answer["result"]

    def memory(self) -> Memory:
        """Of the gateway, its ExaBGPs and the forwarder."""
        own = [memory(p.pid) for p in (self._forwarder, self._gateway) if p is not None]
        return Memory(sum(m.now for m in own), sum(m.peak for m in own))

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.close()
        for process in (self._gateway, self._forwarder):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._folder.cleanup()


def memory(pid: int) -> Memory:
    """Of a process and all below it; what has ended is not counted. Shared pages count in each."""
    now = peak = 0
    for one in _family(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        values = dict(line.split(":", 1) for line in lines)
        now += int(values.get("VmRSS", "0").split()[0])
        peak += int(values.get("VmHWM", "0").split()[0])
    return Memory(now * 1024 / 1e6, peak * 1024 / 1e6)


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


POLICY = """\
policies:
  all: [{name: everything, then: accept}]
"""
