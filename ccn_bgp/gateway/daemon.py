"""One running gateway: files in, sessions and packets out. One asyncio loop; read it top to bottom.

start    intent → taps → forwarder → first proof → speakers → API
learn    events of the speakers dirty the Rib (sessions.py)
commit   settle → snapshot → VERIFY → plan → COMMIT → tell the peers
SIGHUP   the file again, as one plan; whatever is wrong with it, the old state goes on
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from ccn_bgp.errors import CcnError, InputError, Problem, UnreachableError
from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.gateway import collecting
from ccn_bgp.gateway.commit import Committer
from ccn_bgp.gateway.configuration import Configuration, fault_of_ours
from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.guard import Guard, Proved, new_findings
from ccn_bgp.gateway.history import CommitRecord, History, intent_digest
from ccn_bgp.gateway.intent import Intent, finding_line, read_intent, still_drained
from ccn_bgp.gateway.learning import claim_rows, new_rib
from ccn_bgp.gateway.link import ForwarderLink, Lost, NoForwarder
from ccn_bgp.gateway.ports import PortWatch
from ccn_bgp.gateway.rehearsal import rehearse
from ccn_bgp.gateway.rehearsal_out import told_lines
from ccn_bgp.gateway.renewal import InventoryWatch
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.gateway.thawing import FreezeWatch
from ccn_bgp.gateway.tracing import trace
from ccn_bgp.gateway.views import commit_world, filters_of, show
from ccn_bgp.learn.rib import Rib
from ccn_bgp.linux.taps import prepare_taps, remove_taps, retire_taps, wanted_taps
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.counted import counted
from ccn_bgp.observe.api import Api, register, unregister
from ccn_bgp.session.record import Recorder, Unrecorded
from ccn_bgp.table.snapshot import NOTHING, Snapshot

log = logging.getLogger("ccn.gateway")

LINGER = 0.001
"""Seconds that a commit waits for more of the same burst."""
RETRY = (0.5, 1.0, 2.0, 5.0)
"""Seconds before a commit that failed is tried again."""
QUIET = 0.01
"""The same of a burst that a peer begins with: what it says at first it may say with pauses."""
EARLY = 50_000
"""Routes that may wait while their peer draws breath before they are decided meanwhile."""
PATIENCE = 2.0
"""Seconds that a commit waits at most, however long the last one took."""
BITE = 8_000
"""Routes that may wait for a commit while more of them keep coming."""
LONGEST = 0.03
"""Seconds after which a commit is made even while UPDATEs keep coming."""
AT_REST = 0.3
"""Seconds without a commit after which memory is given back."""


class Daemon:
    """One gateway, from ``ccn run`` until SIGTERM."""

    def __init__(
        self,
        file: FilePath,
        name: str,
        state: FilePath,
        forwarder: str | None,
        record: FilePath | None = None,
    ) -> None:
        self.file = file
        self.name = name
        self.state = state
        self.forwarder = forwarder
        self.record = record
        self.recorder = Unrecorded()
        self.intent: Intent
        self.rib: Rib
        self.guard: Guard
        self.sessions: Sessions
        self.proved = Proved(NOTHING, (), 0)
        self.held: Snapshot = NOTHING
        self.link: ForwarderLink | NoForwarder
        self.committer: Committer
        self.history = History()
        self.configuration = Configuration(file)
        self.trouble = ""
        self._wake = asyncio.Event()
        self._dirty_since = 0.0
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._taking = asyncio.Lock()

    # -- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. InputError, RefusedError, CcnError if it cannot start."""
        collecting.begin()
        begun = time.time()
        self.intent = read_intent(self.file, self.name)
        self.configuration.accepted(self.intent, begun)
        with self._locked_state():
            for number, event in (
                (signal.SIGTERM, self._stop),
                (signal.SIGINT, self._stop),
                (signal.SIGHUP, self._reload),
            ):
                asyncio.get_running_loop().add_signal_handler(number, event.set)
            try:
                await self._start()
            except BaseException:
                # A forwarder that was at work before us stays at work.
                await self._leave(spare=hasattr(self, "link") and self.link.adopted)
                raise
            try:
                await self._serve()
            except BaseException:
                # A fault of ours must not stop packets: the next gateway adopts the forwarder,
                # peers keep our routes meanwhile (RFC 4724).
                await self._leave(spare=True)
                raise
            await self._leave()

    @contextlib.contextmanager
    def _locked_state(self) -> Any:
        """One daemon per state directory; the lock goes with the process."""
        try:
            self.state.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = os.open(self.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CcnError(
                Problem(str(self.state), f"cannot be used: {error.strerror}", "give --state DIR")
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise CcnError(
                Problem(
                    str(self.state),
                    f"gateway {self.name} is running already",
                    "stop it, or give another --state",
                )
            ) from None
        (self.state / "gateway.pid").write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            (self.state / "gateway.pid").unlink(missing_ok=True)
            os.close(lock)

    async def _start(self) -> None:
        intent = self.intent
        if self.record is not None:
            self.recorder = Recorder(self.record, intent.gateway)
        if self.forwarder == "none":
            self.link = NoForwarder()
        else:
            if self.forwarder is None:
                await prepare_taps(intent.topology, intent.gateway)
            self.link = ForwarderLink(intent, self.state, self.forwarder)
        await self.link.start()
        self.committer = Committer(self.link)
        self.rib = new_rib(intent)
        self.rib.vms.clock = time.monotonic
        self.guard = Guard(intent, self.rib)
        self._intent_digest = intent_digest(intent)
        self.sessions = Sessions(
            intent,
            self.rib,
            self.state,
            self.changed,
            holding_back=self.link.generation > 0,
            preserves=lambda: self.link.preserves,
            recorder=self.recorder,
        )
        if self.sessions.holding_back:
            log.info("the forwarder holds generation %d: waiting for peers", self.link.generation)
        self.commit()
        self.api = Api(self.state / "api.sock", self.answer)
        await self.api.start()
        if not register(self.name, self.state):
            log.warning("another gateway %s runs here: `ccn show` finds that one", self.name)
        collecting.renewed()
        await self.sessions.start()
        log.info("gateway %s runs, %s", self.name, counted(len(self.sessions.peers), "peer"))

    async def _leave(self, *, spare: bool = False) -> None:
        """Planned end: sessions closed with a Cease, the forwarder and the taps removed. With
        ``spare`` forwarder and taps go on, and peers are told nothing."""
        unregister(self.name, self.state)
        if hasattr(self, "api"):
            await self.api.stop()
        if hasattr(self, "sessions"):
            await self.sessions.stop(keep_routes=spare)
        self.recorder.close()
        if spare:
            self.link.leave()
            return
        if hasattr(self, "link"):
            await self.link.stop()
        if self.forwarder is None:
            with contextlib.suppress(CcnError):
                await remove_taps(self.intent.topology, self.intent.gateway)

    async def _serve(self) -> None:
        waits = {
            "stop": asyncio.create_task(self._stop.wait()),
            "commit": asyncio.create_task(self._committing()),
            "reload": asyncio.create_task(self._reloading()),
            "forwarder": asyncio.create_task(self.link.watch(self._forwarder_back)),
            "speakers": asyncio.create_task(self.sessions.speakers.fault()),
        }
        watch = InventoryWatch(lambda: self.intent, self._renew, self.configuration)
        waits["inventory"] = asyncio.create_task(watch.run())
        waits["moves"] = asyncio.create_task(FreezeWatch(lambda: self.rib, self.changed).run())
        if self.forwarder is None:
            waits["ports"] = asyncio.create_task(PortWatch(lambda: self.intent).run())
        done, rest = await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()

    # -- commit -----------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something was learned or lost: a commit is due soon."""
        if not self._wake.is_set():
            self._dirty_since = time.monotonic()
        self._wake.set()

    async def _committing(self) -> None:
        took, failed = 0.0, 0
        while True:
            await self._wanted()
            if self.sessions.holding_back:
                await asyncio.sleep(0.02)
                continue
            await self._burst(min(max(LONGEST, took / 4), PATIENCE))
            self._wake.clear()
            begun = time.monotonic()
            failed = 0 if self._tried() else failed + 1
            took = time.monotonic() - begun
            collecting.committed(took)
            if failed:
                await asyncio.sleep(RETRY[min(failed, len(RETRY)) - 1])
                self.changed()

    async def _wanted(self) -> None:
        """Wait until a commit is due; what the last ones took for a moment goes back meanwhile."""
        if collecting.owing():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), AT_REST)
                return
            collecting.at_rest()
        await self._wake.wait()

    async def _burst(self, patience: float) -> None:
        """Wait for the end of a burst, but not for ever: commits that wait for ever longer bursts
        would feed on themselves. What a peer has to say at first is better learned in one piece;
        after that a peer that storms must not keep the others waiting."""
        sessions, rib = self.sessions, self.rib
        beginning = sessions.beginning
        seen, heard = -1, 0.0
        while True:
            now = time.monotonic()
            if now - self._dirty_since > (PATIENCE if beginning else patience):
                return
            if not beginning and rib.waiting > BITE:
                return
            if seen != sessions.events:
                seen, heard = sessions.events, now
            elif not beginning or rib.waiting + rib.decisions <= BITE or now - heard > QUIET:
                return
            elif rib.waiting > max(EARLY, rib.held // 4):
                try:
                    rib.settle()
                except Exception:
                    return  # the commit meets it again, and says so
                heard = time.monotonic()  # what has come since then has not been read yet
            await asyncio.sleep(LINGER)

    def _tried(self) -> bool:
        """Commit; False if that failed: the old tables stay in force and it is tried again."""
        try:
            self.commit()
        except UnreachableError as error:
            self.trouble = str(error)
            log.warning("commit: %s", error)
        except CcnError as error:
            self.trouble = str(error)
            log.error("commit failed, the old tables stay: %s", error)
        except Exception as error:
            self.trouble = str(fault_of_ours(error))
            log.exception("commit failed by a fault of ours, the old tables stay")
        else:
            self.trouble = ""
            return True
        return False

    def commit(self) -> None:
        """Prove what is known and put it in force; then tell the peers."""
        if self.sessions.holding_back:
            return  # what is in force stays in force until every peer has spoken
        begun = time.perf_counter()
        before = {f.sort_key: f for f in self.proved.findings}
        proved = self.guard.prove(meanwhile=self.committer.prepare)
        new_findings(before, proved.findings)
        self.proved = proved
        if proved.standing:
            self.committer.give_up()
            for finding in proved.standing:
                log.error("commit refused, the old tables stay: %s", finding_line(finding))
            return
        middle = time.perf_counter()
        summary = self.committer.commit(proved.snapshot)
        self.held = proved.snapshot
        if summary:
            record = CommitRecord(
                id=0,
                generation=self.link.generation,
                when=time.time(),
                summary=summary,
                tables=len(proved.snapshot.tables),
                routes=proved.snapshot.route_count,
                digest=proved.snapshot.digest.hex(),
                intent=self._intent_digest,
                rounds=proved.rounds,
                findings=len(proved.findings),
                prove_seconds=middle - begun,
                commit_seconds=time.perf_counter() - middle,
            )
            record = self.history.add(record, proved.snapshot, self.intent, proved.findings)
            log.info(
                "commit %d: %s (%s, proved in %.1f ms, committed in %.1f ms)",
                record.generation,
                summary,
                counted(record.routes, "route"),
                record.prove_seconds * 1e3,
                record.commit_seconds * 1e3,
            )
        self.sessions.tell_all()

    async def _forwarder_back(self) -> None:
        """The forwarder was restarted or was out of reach: what it lacks, at once."""
        self.committer.forget()
        if self.sessions.holding_back and self.link.generation == 0:
            # It has lost what was worth waiting for.
            self.sessions.holding_back = False
        if not self._tried():
            self.changed()

    @property
    def generation(self) -> int:
        """In force in the forwarder."""
        return self.link.generation

    @property
    def lost(self) -> Lost:
        """Of the forwarder."""
        return self.link.lost

    # -- reload -----------------------------------------------------------------------------------

    async def _reloading(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            begun = time.time()
            try:
                async with self._taking:
                    await self._take_over(read_intent(self.file, self.name), begun)
                log.info("reload: %s is in force", self.file)
            except CcnError as error:
                self.configuration.refused("topology", error.problems)
                for problem in error.problems:
                    log.error("reload refused, the old state goes on: %s", problem)
            except Exception as error:
                self.configuration.refused("topology", [fault_of_ours(error)])
                log.exception("reload failed by a fault of ours")

    async def _renew(self, before: Intent, intent: Intent) -> None:
        """Take over other VMs than ``before``, unless a SIGHUP has come between."""
        async with self._taking:
            if self.intent.topology is not before.topology:
                return
            intent = replace(intent, drain=self.intent.drain)
            self.rib.renew(intent.topology, intent.claims, claim_rows(intent))
            self.intent = self.sessions.intent = intent
            self.guard = Guard(intent, self.rib)
            self._intent_digest = intent_digest(intent)
            if not self._tried():
                self.changed()
            self.configuration.inventory_accepted()
            log.info("inventory: as it is now, it is in force")

    async def _take_over(self, intent: Intent, begun: float) -> None:
        """All that can be refused is asked first; from the swap on nothing is turned back.
        ``begun``: when the reading of the files began, seconds since 1970."""
        changes: list[str] = []

        def say(line: str) -> None:
            changes.append(line)
            log.info("reload: %s", line)

        intent = still_drained(intent, self.intent)
        rib = new_rib(intent)
        self.link.check_ports(intent)
        self.sessions.check(rib)
        before = self.intent
        if self.forwarder is None:
            await prepare_taps(intent.topology, intent.gateway)
        try:
            guard = rehearse(before, self.proved, self.rib, intent, rib, say=say)
        except CcnError:
            if self.forwarder is None:
                old, new = (wanted_taps(i.topology, i.gateway) for i in (before, intent))
                await retire_taps(new, old)
            self.changed()
            raise
        try:
            for line in told_lines(self.sessions.peers, intent, rib):
                say(line)
        except Exception:  # it says what will be, and must not be what stops it
            log.exception("reload: a fault of ours in the rehearsal of what peers are told")
        self.intent, self.rib, self.guard = intent, rib, guard
        self._intent_digest = intent_digest(intent)
        self.link.adopt(intent)
        await self.sessions.adopt(intent, rib)
        if not self._tried():
            self.changed()
        for session in self.sessions.peers.values():
            self.sessions.resend(session)
        if self.forwarder is None:
            old, new = (wanted_taps(i.topology, i.gateway) for i in (before, intent))
            await retire_taps(old, new)
        self.configuration.accepted(intent, begun, changes)
        collecting.renewed()

    # -- answers ----------------------------------------------------------------------------------

    def counters(self) -> Sequence[Counter]:
        """Of the forwarder; empty without one."""
        return self.link.counters()

    def offenders(self, ccsi: int = 0) -> Sequence[Offender]:
        """Whom the forwarder dropped, of one CCSI if it is not 0; empty without a forwarder."""
        return self.link.offenders(ccsi)

    def trace(self, port: str, frame: bytes, *, dry_run: bool) -> tuple[Any, Sequence[Counter]]:
        """A frame through the forwarder (gateway/tracing.py)."""
        return self.link.trace(port, frame, dry_run=dry_run)

    def lookup(self, ccsi: int, ip: Ip) -> Any:
        """The row that the forwarder holds for an address, as JSON values."""
        return self.link.lookup(ccsi, ip)

    async def answer(self, request: dict[str, Any]) -> Any:
        """One request of the API (cli/show.py, cli/explain.py, cli/neighbor.py)."""
        match request.get("command"):
            case "show":
                return show(self, str(request.get("what")), filters_of(request))
            case "explain":
                return explain(self, str(request.get("target")), str(request.get("ccn")))
            case "trace":
                return trace(self, request)
            case "commit":
                return commit_world(self, request.get("id"))
            case "neighbor":
                name, action = str(request.get("name")), str(request.get("action"))
                async with self._taking:  # who is drained is part of the intent
                    done = self.sessions.operate(name, action)
                    self.intent = self.sessions.intent
                return done
            case other:
                raise InputError(f"unknown request '{other}'")
