"""The ExaBGP processes of one gateway: one for gateway peers, one for IDC peers, each read by a
task of its own. In: the peers to serve, what to say to them. Out: events, one call for each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path as FilePath

from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Timers
from ccn_bgp.session.events import Event
from ccn_bgp.session.exabgp_config import render
from ccn_bgp.session.speaker import Speaker

log = logging.getLogger("ccn.session")

GROUPS = ("gateways", "idcs")
COSTLY, BREATH = 0.05, 0.02
"""Seconds that a block may take before all others get some time for themselves, and how much."""


def group_of(peer: Peer) -> str:
    """The speaker that serves this peer: a fault of one group never meets the other."""
    return "idcs" if peer.role == "idc" else "gateways"


class Speakers:
    """Started when there is a peer to serve; ``take`` is given each event."""

    def __init__(self, state: FilePath, take: Callable[[Event], None]) -> None:
        self.running: dict[str, Speaker] = {}
        self._state = state
        self._take = take
        self._readers: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()
        self._serving: set[asyncio.Future[None]] = set()

    async def serve(
        self,
        peers: Sequence[Peer],
        timers: Timers,
        *,
        restarting: bool = False,
        preserved: frozenset[str] = frozenset(),
    ) -> None:
        """Serve these peers from now on; sessions whose settings are the same go on.

        ``restarting``: a speaker that is started now sets the R bit (RFC 4724 §4.1).
        """
        for name in GROUPS:
            members = [p for p in peers if group_of(p) == name]
            if name in self.running:
                await self.running[name].reconfigure(members, timers)
            elif members:
                await self._start(
                    Speaker(
                        name,
                        members,
                        self._state,
                        hold_time=timers.hold,
                        restart_time=timers.restart,
                        restarting=restarting,
                        preserved=preserved,
                    )
                )

    def soon(self, serve: Callable[[], Coroutine[None, None, None]]) -> None:
        """Serve from where nothing can be waited for; what is wrong with it is logged."""
        task = asyncio.ensure_future(serve())
        self._serving.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Future[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the same peers as before are served: %s", error)

    async def _start(self, speaker: Speaker) -> None:
        await speaker.start()
        self.running[speaker.name] = speaker
        reader = asyncio.create_task(self.read(speaker), name=f"speaker {speaker.name}")
        self._readers.append(reader)
        self._started.set()

    async def read(self, speaker: Speaker) -> None:
        """Until it is stopped."""
        async for event in speaker.events():
            begun = time.monotonic()
            self._take(event)
            # One block is milliseconds of work: let the API and the other speaker in between. What
            # a peer has made costly is not to come between each of their steps.
            took = time.monotonic() - begun
            await asyncio.sleep(min(took / 10, BREATH) if took > COSTLY else 0)

    async def fault(self) -> None:
        """Ends only when a speaker is no longer read: with the fault that ended its reader."""
        while True:
            await self._started.wait()
            self._started.clear()
            started = asyncio.create_task(self._started.wait())
            try:
                await asyncio.wait([started, *self._readers], return_when=asyncio.FIRST_COMPLETED)
            finally:
                started.cancel()
            for reader in self._readers:
                if reader.done():
                    reader.result()

    async def stop(self, *, keep_routes: bool = False) -> None:
        """End the speakers; with ``keep_routes`` peers hold on to what we said."""
        for task in (*self._readers, *self._serving):
            task.cancel()
        await asyncio.gather(*self._readers, *self._serving, return_exceptions=True)
        for speaker in self.running.values():
            await speaker.stop(keep_routes=keep_routes)

    def send(self, peers: Sequence[Peer], messages: bytes) -> None:
        """The same whole messages to these peers, after those sent before: at most about 1 MB at a
        time, so that peers take turns."""
        for name in GROUPS:
            if names := [p.name for p in peers if group_of(p) == name]:
                self.running[name].send_to(names, messages)

    def hears(self, peer: Peer) -> bool:
        """What is sent to this peer goes somewhere; else a SessionDown is on its way."""
        speaker = self.running.get(group_of(peer))
        return speaker is not None and speaker.hears(peer.name)

    def backlog(self, peer: Peer) -> int:
        """Octets that were sent to this peer and that its TCP has not taken yet."""
        speaker = self.running.get(group_of(peer))
        return 0 if speaker is None else speaker.backlog(peer.name)  # None: it has yet to start

    def ask_room(self, peer: Peer, octets: int) -> None:
        """Have a Room come when fewer octets than these wait for this peer."""
        self.running[group_of(peer)].ask_room(peer.name, octets)

    def teardown(self, peer: Peer, code: int, subcode: int) -> None:
        """End a session with this NOTIFICATION."""
        self.running[group_of(peer)].teardown(peer.name, code, subcode)

    def preserve(self, names: frozenset[str]) -> None:
        """The peers to whom the next OPEN says that forwarding went on (the F bit)."""
        for speaker in self.running.values():
            speaker.preserve(names)


def check(peers: Sequence[Peer]) -> None:
    """InputError if the speakers could not serve these peers: nothing is changed."""
    for name in GROUPS:
        render([p for p in peers if group_of(p) == name])


def same_on_the_wire(old: Peer, new: Peer) -> bool:
    """Whether a speaker that serves ``old`` would go on with the session when it is given
    ``new``."""
    return render([old]) == render([new])
