"""One ExaBGP child process, as the gateway sees it.

In: the peers it serves, messages to send to them. Out: one ordered stream of events: sessions up
and down, blocks of whole UPDATE and ROUTE-REFRESH messages. The child is restarted when it dies.
A peer whose blocks are not consumed is not read on (hub.py); the others are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Timers
from ccn_bgp.session.channel import PROTOCOL, ChannelError, FrameQueue, Frames, Kind, jsoned
from ccn_bgp.session.child import Child, listen, receive
from ccn_bgp.session.events import (
    CHILD_DOWN,
    AttemptFailed,
    Block,
    Event,
    OpenFacts,
    Room,
    SessionDown,
    SessionUp,
    SpeakerDown,
    SpeakerUp,
)
from ccn_bgp.session.exabgp_config import RESTART_TIME, render
from ccn_bgp.session.hub import TOTAL_LIMIT
from ccn_bgp.session.sending import Outgoing, Sending, pump
from ccn_bgp.session.turns import Turns

log = logging.getLogger("ccn.speaker")

GRANT = 1 << 16
"""Octets of a session that are dealt with before the child hears of it: less than hub.PEER_LIMIT,
at which it no longer reads the peer."""
_GRANTS = TOTAL_LIMIT // GRANT // 2
"""Sessions at most of which it has yet to hear, or it would in the end read none of them."""
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the restarts of a child that dies again and again."""
_SETTLED = 10.0
START_LIMIT = 20
"""Seconds that a child has to load its configuration and to bind its ports."""


class _Waiting(NamedTuple):
    """An event, of which session of which child."""

    event: Event
    session: int
    child: int


class Speaker:
    """One child and its sessions. All methods are for the event loop's thread.

    ``name`` distinguishes several speakers of one gateway: their files in ``state`` are
    ``speaker-NAME.conf|sock|log|err|pid``. ``restarting``: set the R bit (RFC 4724 §4.1) in the
    first OPEN to each peer, because the gateway itself comes back from a crash. ``preserved``: see
    ``preserve``.
    """

    def __init__(
        self,
        name: str,
        peers: Sequence[Peer],
        state: Path,
        *,
        hold_time: int = 90,
        restart_time: int = RESTART_TIME,
        restarting: bool = False,
        preserved: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self._peers = tuple(peers)
        self._hold_time = hold_time
        self._restart_time = restart_time
        self._restarting = restarting
        self._preserved = preserved
        self._files = {
            kind: state / f"speaker-{name}.{kind}" for kind in ("conf", "sock", "log", "err", "pid")
        }
        self._child: Child | None = None
        self._listener: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._queue: FrameQueue | None = None
        self._writing = False
        self._names: dict[int, str] = {}
        self._sending = Sending()
        self._events: Turns[_Waiting] = Turns()
        self._taken: dict[int, int] = {}  # octets by session, not yet told to the child
        self._children = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.alive else None

    async def start(self) -> None:
        """Write the configuration, start the child, wait until it listens.

        InputError: peers that cannot be served, an unreadable password. CcnError: the child did
        not start, with its last words (a port that is taken, an address that is missing).
        """
        self._write_config(self._peers)
        try:
            self._listener = listen(self._files["sock"])
            await self._spawn()
        except BaseException as error:
            await self._reap()
            self._remove_files()
            if isinstance(error, OSError):
                raise CcnError(f"speaker {self.name}: cannot start ExaBGP: {error}") from None
            raise
        self._put(SpeakerUp())
        self._task = asyncio.create_task(self._run(), name=f"speaker-{self.name}")
        self._task.add_done_callback(lambda _: self._changed.set())

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens, in order for each peer, with the peers in turn; ends after
        ``stop``. For one consumer. What it has not dealt with counts against the peer."""
        while True:
            while not self._events:
                if self._stopping:
                    return
                if self._task and self._task.done():
                    self._task.result()  # a fault of ours: let it be seen
                self._changed.clear()
                await self._changed.wait()
            waited = self._events.take()
            if type(waited.event) is SessionUp:
                self._begin(waited.event.peer, waited)
            yield waited.event
            if waited.session and waited.child == self._children:
                self._dealt_with(waited.event, waited.session)

    def _begin(self, peer: str, waited: _Waiting) -> None:
        """From now on what is said to this peer is said on this session, unless it has ended: until
        here the consumer may speak of the last one."""
        if waited.child == self._children and waited.session in self._names:
            self._sending.begin(peer, waited.session)

    def _dealt_with(self, event: Event, session: int) -> None:
        """The consumer has done a block, or all of a session: the child may read as much again."""
        taken = self._taken.pop(session, 0)
        if type(event) is Block:
            taken += len(event.messages)
            if taken < GRANT and len(self._taken) < _GRANTS:
                self._taken[session] = taken
                return
        if taken and self._queue is not None:
            self._queue.push(Kind.TAKEN, session, struct.pack("<I", taken))
            self._flush()

    def send(self, peer: str, messages: bytes) -> None:
        """Queue whole BGP messages for ``peer``, after those queued before.

        Never blocks; look at ``backlog`` and hand over pieces of at most about 1 MB. Octets for a
        session that is down are dropped.
        """
        self.send_to((peer,), messages)

    def send_to(self, peers: Iterable[str], messages: bytes) -> None:
        """The same messages to several peers: they cross the channel once for all that are in
        step."""
        if messages:
            self._pump(self._sending.append(peers, messages))

    def hears(self, peer: str) -> bool:
        """There is a session that ``send`` would send on: else the SessionDown of the one that the
        consumer knows is on its way."""
        return self._sending.get(peer) is not None

    def backlog(self, peer: str) -> int:
        """Octets given to ``send`` that the peer's TCP has not taken yet."""
        out = self._sending.get(peer)
        return out.unread if out else 0

    def ask_room(self, peer: str, octets: int) -> None:
        """Have a Room come when fewer octets than these (and there are more now) wait for the
        peer. Once; never, if its session ends."""
        self._sending.ask_room(peer, octets)

    def teardown(self, peer: str, code: int, subcode: int) -> None:
        """End the session with a NOTIFICATION; nothing more is sent on it. ExaBGP dials again."""
        if (out := self._sending.end(peer)) and self._queue:
            self._queue.push(Kind.TEARDOWN, out.session, bytes((code, subcode)))
            self._flush()

    def preserve(self, names: frozenset[str]) -> None:
        """The peers to which the next OPEN says that forwarding has gone on while BGP restarts:
        the F bit of each family (RFC 4724 §3)."""
        if names != self._preserved:
            self._preserved = names
            self._push_preserved()

    def _push_preserved(self) -> None:
        if self._queue:
            names = jsoned({"peers": sorted(self._preserved)})
            self._queue.push(Kind.PRESERVED, 0, names)
            self._flush()

    async def reconfigure(self, peers: Sequence[Peer], timers: Timers | None = None) -> None:
        """Serve ``peers`` from now on: only sessions whose settings changed are re-established.

        InputError leaves everything as it was. What ExaBGP does not accept is logged.
        """
        if timers is not None:
            self._hold_time, self._restart_time = timers.hold, timers.restart
        self._write_config(peers)
        self._peers = tuple(peers)
        if self._queue:
            self._queue.push(Kind.RELOAD)
            self._flush()

    async def stop(self, *, keep_routes: bool = False) -> None:
        """End the child and remove its files.

        Peers get a Cease (Administrative Shutdown), or nothing at all with ``keep_routes``: in
        graceful restart they then keep our routes for a while.
        """
        self._stopping = True
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._child and self._queue and not keep_routes:
            self._queue.push(Kind.STOP)
            with contextlib.suppress(OSError, TimeoutError):
                self._flush()
                await asyncio.wait_for(self._child.wait(), 3)
        await self._reap()
        self._remove_files()
        self._changed.set()

    # -- the child -----------------------------------------------------------------------------

    def _write_config(self, peers: Sequence[Peer]) -> None:
        text = render(peers, self._hold_time, self._restart_time)
        path = self._files["conf"]
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
                file.write(text)
            new.replace(path)
        except OSError as error:
            raise InputError(
                Problem(f"{path}", f"cannot write: {error.strerror}", "choose another --state")
            ) from None

    async def _spawn(self) -> None:
        """Start one child and wait for its HELLO; CcnError with its last words."""
        assert self._listener is not None
        self._child = await Child.start(self.name, self._files, self._restarting)
        try:
            async with asyncio.timeout(START_LIMIT):
                self._socket = await self._child.accept(self._listener)
                self._frames = Frames()
                self._queue = FrameQueue(self._socket)
                self._push_preserved()  # it waits for this before it says OPEN
                await self._hello(self._socket)
        except TimeoutError:
            raise CcnError(
                f"speaker {self.name}: no answer from ExaBGP in {START_LIMIT} s"
            ) from None

    async def _hello(self, sock: socket.socket) -> None:
        assert self._child is not None
        greeted = False
        while not greeted:
            octets = await receive(sock)
            if not octets:
                await self._child.wait()
                raise CcnError(self._child.last_words())
            for kind, session, payload in self._frames.feed(octets):
                if kind is Kind.HELLO:
                    greeted = True
                    if (theirs := json.loads(payload)["protocol"]) != PROTOCOL:
                        raise CcnError(f"speaker {self.name}: channel version {theirs}")
                else:
                    self._take(kind, session, payload)

    async def _run(self) -> None:
        """Read the child for ever; start it again when it is gone."""
        deaths = 0
        while True:
            since = time.monotonic()
            pid = self.pid
            reason = await self._read()
            await self._reap()
            self._child_gone(reason)
            deaths = 0 if time.monotonic() - since > _SETTLED else deaths
            while True:
                pause = BACKOFF[min(deaths, len(BACKOFF) - 1)]
                deaths += 1
                log.error("%s (pid %s); starting it again in %.1f s", reason, pid, pause)
                await asyncio.sleep(pause)
                self._restarting = True
                try:
                    await self._spawn()
                    break
                except (CcnError, OSError) as error:
                    reason, pid = str(error), None
                    await self._reap()
            log.info("speaker %s: ExaBGP is up again (pid %s)", self.name, self.pid)
            self._put(SpeakerUp())

    def _child_gone(self, reason: str) -> None:
        """All its sessions are down; what it said before is still to be heard."""
        for name in list(self._names.values()):
            self._put(SessionDown(name, CHILD_DOWN))
        self._names.clear()
        self._taken.clear()
        self._children += 1
        self._sending.end_all()
        self._put(SpeakerDown(reason))

    async def _read(self) -> str:
        """Read frames until the child ends; why it did."""
        sock = self._socket
        assert sock is not None and self._child is not None
        while True:
            octets = await receive(sock)
            try:
                for kind, session, payload in self._frames.feed(octets):
                    self._take(kind, session, payload)
            except ChannelError as error:
                return f"speaker {self.name}: ExaBGP sent {error}"
            self._pump(self._sending.eased())
            if not octets:
                try:
                    await asyncio.wait_for(self._child.wait(), 1)
                except TimeoutError:
                    return f"speaker {self.name}: ExaBGP closed the channel"
                return self._child.last_words()

    def _take(self, kind: Kind, session: int, payload: bytes) -> None:
        """One frame of the child."""
        if kind is Kind.RELOADED:
            if problem := json.loads(payload)["problem"]:
                log.error("speaker %s: the new configuration: %s", self.name, problem)
        elif kind is Kind.FAILED:
            failed = json.loads(payload)
            self._put(AttemptFailed(failed["peer"], failed["reason"]))
        elif kind is Kind.UP:
            up = json.loads(payload)
            self._names[session] = up["peer"]
            self._put(SessionUp(up["peer"], OpenFacts.of(up["open"])), session)
        elif name := self._names.get(session):
            if kind is Kind.BLOCK:
                self._put(Block(name, payload), session)
            elif kind is Kind.DOWN:
                del self._names[session]
                if (out := self._sending.get(name)) and out.session == session:
                    self._sending.end(name)
                self._put(SessionDown(name, json.loads(payload)["reason"]), session)
            elif kind is Kind.SENT and self._sending.taken(name, struct.unpack("<I", payload)[0]):
                self._put(Room(name))

    def _put(self, event: Event, session: int = 0) -> None:
        of = "" if isinstance(event, SpeakerUp | SpeakerDown) else event.peer
        self._events.put(of, _Waiting(event, session, self._children))
        self._changed.set()

    # -- towards the child ---------------------------------------------------------------------

    def _pump(self, outs: list[Outgoing]) -> None:
        """Let what the windows admit go to the child."""
        if self._queue is not None and outs:
            pump(outs, self._queue)
            self._flush()

    def _flush(self) -> None:
        if self._queue is None or self._socket is None or self._writing:
            return
        try:
            done = self._queue.flush()
        except OSError:
            return  # the reader sees the end
        if not done:
            self._writing = True
            asyncio.get_running_loop().add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        assert self._queue is not None and self._socket is not None
        try:
            done = self._queue.flush()
        except OSError:
            done = True
        if done:
            self._writing = False
            asyncio.get_running_loop().remove_writer(self._socket)

    # -- the end of a child ---------------------------------------------------------------------

    async def _reap(self) -> None:
        """Close the channel; end the child if that does not."""
        if self._socket is not None:
            if self._writing:
                asyncio.get_running_loop().remove_writer(self._socket)
                self._writing = False
            self._socket.close()
            self._socket = None
        self._queue = None
        if self._child is not None:
            await self._child.end()
            self._child = None

    def _remove_files(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for kind in ("sock", "pid", "conf"):
            self._files[kind].unlink(missing_ok=True)
