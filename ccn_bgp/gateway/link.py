"""The forwarder as the gateway sees it: start or adopt it, keep it, notice when it dies.

A forwarder that survived its control plane is adopted with what it holds (HELLO{generation}); one
that died is started again and told everything. NoForwarder stands in for ``--forwarder none``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple, TypeVar

from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.forwarder.client import ForwarderClient, Nak, Records, SilentError
from ccn_bgp.forwarder.process import forwarder_command, settings_arguments, start_forwarder
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.linux.taps import port_names
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import Kind
from ccn_bgp.model.vtep_names import vtep_of

log = logging.getLogger("ccn.forwarder")

Answer = TypeVar("Answer")

LOOK = 0.05
"""Seconds between two looks whether the forwarder still lives."""
PATIENCE = 5.0
"""Seconds that a forwarder may take to answer."""
BACKOFF = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds before the next attempt to reach or restart a forwarder."""


class Lost(NamedTuple):
    """How often a forwarder was lost since the gateway began, and of the last time when (seconds
    since 1970) and which."""

    times: int = 0
    when: float = 0.0
    what: str = ""


class NoForwarder:
    """``--forwarder none``: learn and verify; commits go nowhere."""

    generation = 0
    adopted = False
    lost = Lost()
    preserves = False
    """Nothing forwards: there is nothing to go on while BGP restarts (RFC 4724 §3, F bit)."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def leave(self) -> None:
        """Nothing to leave."""

    async def watch(self, back: Callable[[], Awaitable[None]]) -> None:
        """Nothing to watch."""
        await asyncio.Event().wait()

    def commit(self, records: Records, digest: bytes, *, full: bool) -> None:
        """Count the generation."""
        self.generation += 1

    def prepare(self, records: Records) -> None:
        """Nothing to prepare."""

    def finish(self, digest: bytes) -> None:
        """Count the generation."""
        self.generation += 1

    def give_up(self) -> None:
        """Nothing was prepared."""

    def dump(self) -> Mapping[MessageType, Any]:
        """It holds nothing."""
        return {}

    def counters(self) -> Sequence[Counter]:
        """It counts nothing."""
        return ()

    def offenders(self, ccsi: int = 0) -> Sequence[Offender]:
        """It drops nothing."""
        return ()

    def lookup(self, ccsi: int, ip: Ip) -> Any:
        """It has no rows."""
        return None

    def trace(self, port: str, frame: bytes, *, dry_run: bool) -> tuple[Any, Sequence[Counter]]:
        """It takes no frames."""
        raise UnreachableError(
            Problem("forwarder", "there is none: nothing to trace", "run without --forwarder none")
        )

    def check_ports(self, intent: Intent) -> None:
        """It has no ports."""

    def adopt(self, intent: Intent) -> None:
        """It needs to know nothing."""


class ForwarderLink:
    """The control socket of one forwarder, and its process where it is ours."""

    def __init__(self, intent: Intent, state: FilePath, external: str | None) -> None:
        self.intent = intent
        self.state = state
        self.ours = external is None
        self.path = FilePath(external) if external else state / "forwarder.sock"
        self.generation = 0
        self.adopted = False
        self.lost = Lost()
        self.client: ForwarderClient | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid_file = state / "forwarder.pid"
        self._pid = 0
        self._absent = Problem(str(self.path), "the forwarder is being restarted")
        """Why there is no client, while there is none."""

    @property
    def preserves(self) -> bool:
        """It holds tables, and goes on forwarding by them while BGP restarts."""
        return self.client is not None and self.generation > 0

    async def start(self) -> None:
        """Adopt the forwarder that runs, or start one. CcnError, UnreachableError; SilentError: one
        is there, and a second one would have no port."""
        try:
            await self._connect()
            missing = self._missing(self.intent)
        except SilentError:
            self.leave()
            raise
        except UnreachableError:
            self.leave()
            self._pid = 0
            if not self.ours:
                raise
            await self._spawn()
            return
        if missing:
            await self._replace(missing)
            return
        self.adopted = True
        log.info("forwarder %d adopted, generation %d", self._pid, self.generation)

    async def _connect(self) -> None:
        # In a thread: one that was stopped is waited for, and sessions and `ccn show` are not.
        self.client = await asyncio.to_thread(ForwarderClient.connect, self.path, PATIENCE)
        self._pid = self.client.hello.pid
        self.generation = self.client.hello.generation
        if self.ours:
            self._pid_file.write_text(f"{self._pid}\n")

    async def _replace(self, missing: Sequence[str]) -> None:
        """The forwarder that runs has not all ports: our own makes room for one that has."""
        if not self.ours:
            self.leave()
            raise CcnError(self._without(missing))
        log.warning("forwarder %d has no port %s: starting another", self._pid, ", ".join(missing))
        await self.stop()
        await self._spawn()

    async def _spawn(self) -> None:
        gateway, ports = self.intent.gateway, _ports(self.intent)
        extra = settings_arguments(gateway.forwarder)
        command = forwarder_command(self.path, ports, name=gateway.name, extra=extra)
        self._process = await asyncio.to_thread(
            start_forwarder, command, self.path, self.state / "forwarder.log"
        )
        await self._connect()
        self.adopted = False
        log.info("forwarder %d started on %s", self._pid, ", ".join(ports))

    def leave(self) -> None:
        """Let the forwarder go on with what it holds, for the next gateway to adopt."""
        if self.client is not None:
            self.client.close()
            self.client = None

    async def stop(self) -> None:
        """End our own forwarder, also one that does not answer; an external one goes on."""
        pid = self._pid
        if self.client is not None:
            self.client.close()
            self.client = None
        if not self.ours or not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # it may have been stopped
            for _ in range(100):
                await asyncio.sleep(0.03)
                self._reap()
                os.kill(pid, 0)
            os.kill(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _reap(self) -> None:
        """Take the exit status of a child; an adopted forwarder is not our child."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    async def watch(self, back: Callable[[], Awaitable[None]]) -> None:
        """For ever: when the forwarder is gone, get it back, then call ``back``."""
        while True:
            await self._lost()
            then = "restarting it" if self.ours else "waiting for it"
            log.error("forwarder %d is gone or does not answer: %s", self._pid, then)
            what = f"forwarder {self._pid} was gone or did not answer"
            self.lost = Lost(self.lost.times + 1, time.time(), what)
            if self.client is not None:
                self.client.close()
            self.client = None
            self.generation = 0
            self._absent = Problem(str(self.path), f"is gone or does not answer: {then}")
            attempt = 0
            while self.client is None:
                self._reap()
                try:
                    await self.start()
                except CcnError as error:
                    self._absent = error.problems[0]
                    await asyncio.sleep(BACKOFF[min(attempt, len(BACKOFF) - 1)])
                    attempt += 1
                    log.error("forwarder: %s", error)
            await back()

    async def _lost(self) -> None:
        """Returns when the control socket has reached its end; a look costs a microsecond."""
        # Looked at, not waited for: a refused commit goes on over a new socket.
        while self.client is not None and not self.client.at_end():  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    def commit(self, records: Records, digest: bytes, *, full: bool) -> None:
        """One transaction. UnreachableError: it is gone; Nak: it refused."""
        base = self.generation
        self._put(lambda client: client.commit(base, base + 1, records, digest, full=full))
        self.generation = base + 1

    def prepare(self, records: Records) -> None:
        """Let the forwarder stage a transaction meanwhile: ``finish`` or ``give_up`` must follow.
        UnreachableError."""
        base = self.generation
        self._put(lambda client: client.prepare(base, base + 1, records))

    def finish(self, digest: bytes) -> None:
        """Put what was prepared into force. UnreachableError, Nak."""
        self._put(lambda client: client.finish(digest))
        self.generation += 1

    def give_up(self) -> None:
        """What was prepared is not to be. UnreachableError."""
        self._put(lambda client: client.give_up())

    def _put(self, step: Callable[[ForwarderClient], object]) -> None:
        if self.client is None:
            raise UnreachableError(self._absent)
        client = self.client
        try:
            step(client)
        except Nak:
            self.generation = client.hello.generation
            raise
        except UnreachableError:
            # Half of a transaction may be on its way: what comes back would be read out of step.
            client.close()
            raise

    def _ask(self, question: Callable[[ForwarderClient], Answer]) -> Answer:
        """One question and its answer; a connection that gave none is given up."""
        if self.client is None:
            raise UnreachableError(self._absent)
        try:
            return question(self.client)
        except UnreachableError:
            self.client.close()
            raise

    def dump(self) -> Mapping[MessageType, Any]:
        """All records that the forwarder holds."""
        return self._ask(lambda client: client.dump())

    def counters(self) -> Sequence[Counter]:
        """All counters."""
        return self._ask(lambda client: client.counters())

    def offenders(self, ccsi: int = 0) -> Sequence[Offender]:
        """Of each reason for a drop the first packet and the last; ``ccsi``: among its packets."""
        return self._ask(lambda client: client.offenders(ccsi))

    def trace(self, port: str, frame: bytes, *, dry_run: bool) -> tuple[Any, Sequence[Counter]]:
        """A frame through the packet path: what it met, and the counters that it moved."""
        return self._ask(lambda client: client.trace(port, frame, dry_run=dry_run))

    def lookup(self, ccsi: int, ip: Ip) -> Any:
        """What the forwarder would do with a packet to ``ip`` in this CCSI."""
        return lookup_json(self._ask(lambda client: client.lookup(ccsi, ip)))

    def check_ports(self, intent: Intent) -> None:
        """CcnError if the new intent needs a port that this forwarder has not opened."""
        if self.client is not None and (missing := self._missing(intent)):
            raise CcnError(self._without(missing))

    def _missing(self, intent: Intent) -> list[str]:
        have = {status.name for status in self._ask(lambda client: client.port_status())}
        return [port for port in _ports(intent) if port not in have]

    def _without(self, missing: Sequence[str]) -> Problem:
        where = self.intent.gateway.name if self.ours else f"forwarder {self.path}"
        way_out = (
            "restart the gateway, which starts a forwarder with it"
            if self.ours
            else "start it again with --port " + " --port ".join(f"{p}=auto:{p}" for p in missing)
        )
        what = "port {} is" if len(missing) == 1 else "ports {} are"
        name = "the running forwarder" if self.ours else "it"
        return Problem(where, f"{what.format(', '.join(missing))} not open in {name}", way_out)

    def adopt(self, intent: Intent) -> None:
        """From now on a forwarder is started by this intent; what this one does not take over while
        it runs is said."""
        before, self.intent = self.intent, intent
        if not self.ours or not self._pid:
            return
        old, new = _ports(before), _ports(intent)
        later = f"its next start (`kill {self._pid}` has one at once)"
        for port in sorted(old.keys() - new.keys()):
            log.warning("forwarder: port %s stays open until %s", port, later)
        other = {port for port in old.keys() & new.keys() if old[port] != new[port]}
        if other or intent.gateway.forwarder != before.gateway.forwarder:
            log.warning("forwarder: other settings, for %s", later)


def _ports(intent: Intent) -> dict[str, str]:
    """Name → what ccn-forwarder is told of it, for every port of the gateway."""
    drivers = {u.port: u.driver for u in intent.gateway.uplinks}
    names = port_names(intent.topology, intent.gateway)
    return {name: f"{drivers.get(name, 'auto')}:{name}" for name in names}


def lookup_json(answer: Any) -> dict[str, Any]:
    """LOOKUP_RESULT as JSON values: the next hop, its members if it is a group, and the VM row that
    it leads to."""
    if not answer["found"]:
        return {"found": False}
    vm, group = answer["vm"], answer["group"]
    found: dict[str, Any] = {"found": True, **_hop_json(answer["next_hop"])}
    if group["count"]:
        found["members"] = [
            {"weight": int(group["member"]["weight"][i]), **_hop_json(answer["member"][i])}
            for i in range(int(group["count"]))
        ]
    if answer["vm_found"]:
        hosts = answer["vtep_set"]["vtep"][: int(answer["vtep_set"]["count"])]
        found["vm-host"] = " ".join(str(vtep_of(h.tobytes())) for h in hosts) or str(
            vtep_of(vm["vtep"].tobytes())
        )
        found["vm-mac"] = str(Mac(vm["mac"].tobytes()))
    return found


def _hop_json(hop: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": Kind(int(hop["kind"])).name.lower()}
    if hop["vni"]:
        said["vni"] = int(hop["vni"])
    if hop["family"]:
        said["ip"] = str(Ip(hop["ip"].tobytes()[: 4 if hop["family"] == 4 else 16]))
    return said
