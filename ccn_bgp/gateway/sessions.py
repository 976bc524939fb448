"""All sessions of one gateway: events of the speakers in, learned paths and answers out.

What a lost peer said is kept as stale if it can restart gracefully or if the loss was ours
(restarting.py), and swept by End-of-RIB or its timer. After a start over tables that are already in
force, nothing is taken or said before every peer has told all (or time is up). limits.py ends the
sessions of peers that say too much, draining.py marks what is to be left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np

from ccn_bgp.errors import InputError
from ccn_bgp.gateway import restarting
from ccn_bgp.gateway.draining import Drain
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.limits import Limits
from ccn_bgp.gateway.pacing import Pacing
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.speakers import Speakers, check, same_on_the_wire
from ccn_bgp.gateway.telling import (
    ExportChanges,
    UpdateGroups,
)
from ccn_bgp.gateway.withdrawals import REMEMBERED, Withdrawals
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.counted import counted
from ccn_bgp.model.outgoing import Classes
from ccn_bgp.model.rows import PrefixRows
from ccn_bgp.session.decode import RouteRefresh, Update, Verdict
from ccn_bgp.session.encode import route_refresh
from ccn_bgp.session.events import (
    CHILD_DOWN,
    AttemptFailed,
    Block,
    Event,
    Room,
    SessionDown,
    SessionUp,
    SpeakerDown,
    SpeakerUp,
)
from ccn_bgp.session.mrt import State
from ccn_bgp.session.record import Unrecorded

log = logging.getLogger("ccn.session")

BEGINNING = 60.0
"""Seconds after which nobody expects the End-of-RIB of a peer that may not say it at all."""


class Sessions:
    """Peers, their speakers and what they have been told."""

    def __init__(
        self,
        intent: Intent,
        rib: Rib,
        state: FilePath,
        changed: Callable[[], None],
        *,
        holding_back: bool,
        preserves: Callable[[], bool] = lambda: False,
        recorder: Unrecorded | None = None,
    ) -> None:
        self.intent = intent
        self.rib = rib
        self.changed = changed
        self.peers: dict[str, PeerSession] = {
            name: PeerSession(peer, intent.export_policy) for name, peer in rib.peers.items()
        }
        self.speakers = Speakers(state, self.take)
        self.holding_back = holding_back
        self.limits = Limits(self._teardown, lambda: self.speakers.soon(self._serve))
        self.events = 0
        self.withdrawn = Withdrawals()
        self.recorder = recorder or Unrecorded()
        self._preserves = preserves
        self.groups = UpdateGroups(self._apart, self._classes)
        self.pacing = Pacing(self.speakers, self._next_piece, self._reset)
        if holding_back:  # what the forwarder holds is what peers were told before
            for session in self.peers.values():
                session.preserved = True

    # -- speakers ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Start one ExaBGP for gateway peers and one for IDC peers, where there are any."""
        await self._serve()
        if self.holding_back:
            seconds = self.intent.topology.timers.hold_back
            asyncio.get_running_loop().call_later(seconds, self._enough)
            self._check_complete()

    async def _serve(self) -> None:
        """Serve all peers that are not held down."""
        await self.speakers.serve(
            [s.peer for n, s in self.peers.items() if n not in self.limits.shut],
            self.intent.topology.timers,
            restarting=self.holding_back,
            preserved=self._preserved(),
        )

    def _preserved(self) -> frozenset[str]:
        """The peers to which the F bit is the truth: what they were told, the forwarder has held
        ever since."""
        if not self._preserves():
            for session in self.peers.values():
                session.preserved = False
        return frozenset(n for n, s in self.peers.items() if s.preserved)

    async def stop(self, *, keep_routes: bool = False) -> None:
        """End the speakers; with ``keep_routes`` peers hold on to what we said."""
        await self.speakers.stop(keep_routes=keep_routes)
        for session in self.peers.values():
            session.stop_timer()
        self.limits.stop()

    def check(self, rib: Rib) -> None:
        """InputError if the speakers could not serve the peers of ``rib``: nothing is changed."""
        check(tuple(rib.peers.values()))

    async def adopt(self, intent: Intent, rib: Rib) -> None:
        """Go on under a new intent: sessions whose settings are the same are not touched."""
        self.intent, self.rib = intent, rib
        before = self.peers
        self.peers = {}
        for name, peer in rib.peers.items():
            old = before.pop(name, None)
            if old is not None and old.serves(peer):
                read_otherwise = old.up and old.peer.label_is_mpls != peer.label_is_mpls
                old.take_over(peer, intent.export_policy)
                self.peers[name] = old
                if read_otherwise:  # what it has said means something else
                    self._teardown(name, 6, 6)
            else:
                alike = False
                self.peers[name] = session = PeerSession(peer, intent.export_policy)
                if old is not None:
                    if old.up:
                        old.stop_timer()
                    # What is stale goes in time, whether or not the new session ever comes up.
                    session.timer = old.timer
                    alike = old.up and same_on_the_wire(old.peer, peer)
                if not len(rib.adj_in[name]):
                    self.recorder.forgotten(name)
                if alike:  # the speaker would see no difference, and go on with what is over for us
                    self._teardown(name, 6, 6)
        for gone in before.values():
            gone.stop_timer()
        self.limits.adopt(rib.peers)
        await self._serve()
        for session in self.peers.values():
            self._check_limit(session)
        self._check_complete()  # the peer that was waited for may be the one that has gone

    def _check_limit(self, session: PeerSession) -> None:
        limit, name = session.peer.hard_limit, session.peer.name
        adj = self.rib.adj_in[name]
        # What waits may take back or repeat what is held: that is only counted when it matters.
        if session.up and limit is not None and len(adj) + adj.waiting > limit.limit:
            self.limits.check(session.peer, len(self.rib.heard(name)))

    # -- events -----------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """One event; a fault of ours in it costs that one session, which then says all again."""
        try:
            self.on_event(event)
        except Exception:
            log.exception("a fault of ours while taking what a speaker said")
            name = getattr(event, "peer", None)
            session = self.peers.get(name) if name is not None else None
            if session is not None and session.up:
                self._reset(session)

    def on_event(self, event: Event) -> None:
        """One event of a speaker."""
        self.events += 1
        match event:
            case Block(peer, messages):
                self._block(peer, messages)
                if (session := self.peers.get(peer)) is not None:
                    self._check_limit(session)
            case SessionUp(peer, _):
                self._up(event)
            case SessionDown(peer, reason):
                self._down(peer, reason)
            case AttemptFailed(peer, reason):
                self._failed(peer, reason)
            case Room(peer):
                if (session := self.peers.get(peer)) is not None:
                    self.pacing.go_on([session])
            case SpeakerUp():
                log.info("speaker up")
            case SpeakerDown(reason):
                log.warning("speaker down: %s; it is being restarted", reason)

    def _block(self, name: str, messages: bytes) -> None:
        session = self.peers.get(name)
        if session is None or session.decoder is None:
            return
        decoder, before = session.decoder, session.decoder.updates
        decoder.taken = 0
        try:
            for part in decoder.block(messages):
                if isinstance(part, PrefixRows):
                    self._rows(name, part)
                elif isinstance(part.decoded, RouteRefresh):
                    self._refresh(session, part.decoded)
                elif not self._update(session, part.decoded, part.raw):
                    return
        finally:  # what stands behind the end of a session was never taken
            session.updates += decoder.updates - before
            whole = decoder.taken >= len(messages)
            self.recorder.heard(name, messages if whole else messages[: decoder.taken])
        self._answer(session)
        self.pacing.go_on([session])
        self.changed()

    def _rows(self, name: str, rows: PrefixRows) -> None:
        """Take many routes that are all as they should be."""
        gone = np.flatnonzero(~rows.announced)
        if len(gone):
            last = rows.taken(gone[-REMEMBERED:])
            self.withdrawn.remember_rows(
                name, last, self.rib.vocabulary, self.rib.holds(name, last)
            )
        self.rib.hear(name, rows)

    def _update(self, session: PeerSession, update: Update, raw: bytes) -> bool:
        """Take one UPDATE; False if it ends the session."""
        name = session.peer.name
        if update.errors:
            for cause in session.count_faults(update, raw):
                log.warning("peer %s: %s: %s", name, update.verdict.value, cause)
        if update.verdict is Verdict.SESSION_RESET:
            code, subcode = update.notification or (3, 1)
            self._teardown(name, code, subcode)
            return False
        if update.end_of_rib is not None:
            self._end_of_rib(session, update.end_of_rib)
            return True
        if update.withdrawn:
            why = "withdrawn" if update.verdict is Verdict.OK else str(update.errors[0])
            held = self.rib.holding(name, update.withdrawn)
            self.withdrawn.remember(name, update.withdrawn, held, why)
        self.rib.receive(name, update.announced, update.withdrawn, update.attributes)
        return True

    def _up(self, event: SessionUp) -> None:
        session = self.peers.get(event.peer)
        if session is None:
            return
        if event.peer in self.limits.shut:
            # It was quicker than the speaker, which is to let go of it.
            self._teardown(event.peer, 6, 1)
            return
        session.stop_timer()
        facts = event.open_received
        self.rib.opened(event.peer, facts.router_id)
        adj = self.rib.adj_in[event.peer]
        lost = restarting.lost(facts, session.last_reason)
        session.establish(facts, self.rib.vocabulary)
        self.recorder.up(session.peer, facts)
        up = "peer %s: up, AS %d, router-id %s"
        session.turned(logging.INFO, up, event.peer, facts.asn, facts.router_id)
        for family in sorted(lost, key=lambda f: f.value):
            self.rib.sweep(event.peer, family)
        if adj.stale_count:
            self._sweep_later(session, self.intent.topology.timers.stale)
        if not self.holding_back:
            self.groups.greet(session, self.rib)
            self.pacing.go_on([session])
        self.changed()

    def _down(self, name: str, reason: str) -> None:
        session = self.peers.get(name)
        if session is None:
            return
        facts = session.open
        ours = reason == CHILD_DOWN
        kept = restarting.kept(facts, reason)
        keep = bool(kept)
        self.recorder.left(name, State.CONNECT if ours else State.ACTIVE if keep else State.IDLE)
        if session.up and not ours:
            self._end_restart(session)
        session.end(reason)
        self.rib.session_down(name, keep=keep)
        for family in Family:
            if keep and family not in kept:
                self.rib.sweep(name, family)
        held = len(self.rib.adj_in[name])
        became = f"{counted(held, 'route')} kept" if keep else "its routes are forgotten"
        session.turned(logging.WARNING, "peer %s: down: %s; %s", name, reason, became)
        if keep:
            stale_time = self.intent.topology.timers.stale
            self._sweep_later(session, restarting.seconds_kept(facts, reason, stale_time))
        self.limits.ended(name)
        self._check_complete()  # nobody waits for a peer that is held down
        self._tell_preserved()
        self.changed()

    def _end_restart(self, session: PeerSession) -> None:
        """The session of a peer in restart is lost again: what was stale before is forgotten (a
        MUST of RFC 4724 §4.2), or a peer that comes and goes would keep it alive for ever. What it
        was about to say anew (RFC 7313) it has not lost."""
        for family in sorted(frozenset(Family) - session.anew, key=lambda f: f.value):
            self.rib.sweep(session.peer.name, family)

    def _failed(self, name: str, reason: str) -> None:
        session = self.peers.get(name)
        if session is not None and not session.up:
            if session.attempt != reason:
                log.warning("peer %s: no session: %s", name, reason)
            session.attempt = reason

    def _tell_preserved(self) -> None:
        """Of whom the next OPEN may say that forwarding went on (the F bit)."""
        self.speakers.preserve(self._preserved())

    def _sweep_later(self, session: PeerSession, seconds: int) -> None:
        session.stop_timer()
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(seconds, self.sweep, session.peer.name, seconds)

    def sweep(self, name: str, seconds: int) -> None:
        """The time to say everything again is over."""
        gone = self.rib.sweep(name, None)
        self.peers[name].anew.clear()
        self.recorder.swept(name, up=self.peers[name].up)
        if gone:
            log.warning("peer %s: %s swept after %d s", name, counted(gone, "stale route"), seconds)
        self.changed()

    def _end_of_rib(self, session: PeerSession, family: Family) -> None:
        name = session.peer.name
        session.end_of_rib.add(family)
        # The last End-of-RIB also ends what is stale of families that the session no longer has.
        over = frozenset(Family) if session.complete else frozenset((family,))
        gone = sum(self.rib.sweep(name, each) for each in over - session.anew)
        if gone:
            stale = counted(gone, "stale route")
            log.info("peer %s: End-of-RIB %s, %s swept", name, family.text, stale)
        if session.complete and not session.anew:
            session.stop_timer()
        self._check_complete()

    def _refresh(self, session: PeerSession, refresh: RouteRefresh) -> None:
        """Everything of one family is to be said again (RFC 2918): once, however often it was
        asked for before the answer begins. Or the peer does so by itself (RFC 7313 §4)."""
        family, facts = refresh.family, session.open
        if refresh.subtype == 0:
            if session.greeted:
                session.asked.add(family)
        elif facts is not None and facts.enhanced_refresh:
            restarting_ = facts.restart_time is not None and family not in session.end_of_rib
            if refresh.subtype == 2:
                self._said_anew(session, family)
            elif not restarting_:  # before its End-of-RIB a BoRR MUST be ignored
                session.anew.add(family)
                self.rib.said_anew(session.peer.name, family)
                self._sweep_later(session, self.intent.topology.timers.stale)

    def _said_anew(self, session: PeerSession, family: Family) -> None:
        """The end of a refresh: what was not said again is gone. Without a beginning it is none."""
        if family not in session.anew:
            return
        session.anew.discard(family)
        name = session.peer.name
        if gone := self.rib.sweep(name, family):
            stale = counted(gone, "stale route")
            log.info("peer %s: refreshed %s, %s swept", name, family.text, stale)
        if session.complete and not session.anew:
            session.stop_timer()

    def _answer(self, session: PeerSession) -> None:
        """Say again what was asked for, if nothing else is being said at length. A peer that asks
        faster than it reads waits, and not we for its memory."""
        if session.asked and session.greeted and session.telling is None:
            asked, session.asked = frozenset(session.asked), set()
            self.groups.again(session, asked)

    @property
    def beginning(self) -> bool:
        """A peer has not said End-of-RIB yet, and may still do so: what it has to say at first is
        on its way."""
        return any(s.up and not s.complete and s.seconds < BEGINNING for s in self.peers.values())

    # -- holding back after a restart -------------------------------------------------------

    def _check_complete(self) -> None:
        waited_for = (s for n, s in self.peers.items() if n not in self.limits.shut)
        if self.holding_back and all(s.complete for s in waited_for):
            self._enough()

    def _enough(self) -> None:
        if not self.holding_back:
            return
        missing = [n for n, s in self.peers.items() if not s.complete]
        self.holding_back = False
        if missing:
            seconds = self.intent.topology.timers.hold_back
            log.warning("no End-of-RIB from %s in %d s: going on", ", ".join(missing), seconds)
        self.changed()

    # -- the operator ---------------------------------------------------------------------------

    def operate(self, name: str, action: str) -> dict[str, str]:
        """``clear`` ends the session (Cease, Administrative Reset) or the time that it is held
        down, ``refresh`` asks for all routes again and says ours again, ``drain`` and ``undrain``
        as in draining.py. ``clear`` also lets its VMs move again. InputError: no such neighbor or
        action, or it is down."""
        session = self.peers.get(name)
        if session is None:
            raise InputError(self.no_neighbor(name))
        if action == "clear" and self.rib.vms.thaw(name):
            self.changed()
        if action in ("drain", "undrain"):
            self._drain(session, action == "drain")
        elif action == "clear" and self.limits.release(name):
            pass
        elif not session.up:
            raise InputError(f"neighbor {name} is down: {session.why_down}")
        elif action == "clear":
            self._teardown(name, 6, 4)
        elif action == "refresh":
            for family in sorted(session.families, key=lambda f: f.value):
                self.speakers.send([session.peer], route_refresh(family, 0))
            if session.greeted:
                session.asked |= session.families
                self._answer(session)
                self.pacing.go_on([session])
        else:
            raise InputError(f"'{action}' is not one of clear, refresh, drain, undrain")
        return {"neighbor": name, "action": action}

    def _drain(self, session: PeerSession, wanted: bool) -> None:
        """Judge again what this peer said and is told; every other session goes on as it was."""
        name, drain = session.peer.name, self.intent.drain
        names = drain.names | {name} if wanted else drain.names - {name}
        if names == drain.names:
            return
        self.intent = replace(self.intent, drain=Drain(names))
        self.rib.reapply(name, self.intent.import_policy)
        for each in self.peers.values():
            each.policy = self.intent.export_policy
        self.resend(session)
        log.warning("peer %s: %s", name, "drained (RFC 8326)" if wanted else "no longer drained")
        self.changed()

    def no_neighbor(self, name: str) -> str:
        """What to tell an operator who names a neighbor that there is not."""
        known = f"one of {', '.join(sorted(self.peers))}" if self.peers else "it has none"
        return f"there is no neighbor '{name}' ({known})"

    # -- what we say --------------------------------------------------------------------------

    def tell_all(self) -> None:
        """After a commit: every peer that is up hears what has changed, or everything at first."""
        self.groups.leave_behind(self.pacing.behind(self.peers.values()))
        changes = ExportChanges.of(self.rib)
        for sessions, piece in self.groups.tell(self.peers.values(), self.rib, changes):
            if piece is not None:
                self.speakers.send([session.peer for session in sessions], piece)
            else:
                for session in sessions:
                    self._reset(session)
        self.pacing.go_on(self.peers.values())
        for session in self.peers.values():
            if session.up:
                session.preserved = self._preserves()
        self.rib.dirty_exports = set()
        self.rib.dirty_routes = {}
        self._tell_preserved()

    def resend(self, session: PeerSession) -> None:
        """What another export policy makes of what it has been told; what is no longer to be said
        is withdrawn."""
        if session.up and session.greeted:
            self.groups.regroup(session, self.rib)
            self.pacing.go_on([session])

    def _next_piece(self, session: PeerSession) -> bytes | None:
        """What a session that is told at length is to be sent next; what its peer has asked for
        comes behind all else."""
        piece = self.groups.next_piece(session, self.rib)
        if piece is None:
            self._answer(session)
            piece = self.groups.next_piece(session, self.rib)
        return piece

    def _apart(self, peer: Peer) -> Hashable:
        """By the Intent of the day."""
        return self.intent.apart(peer)

    def _classes(self, peer: Peer) -> Classes | None:
        """Which prefixes its export policies cannot tell apart."""
        return export_classes(self.intent.policies, peer, self.intent.contexts.members)

    def _reset(self, session: PeerSession) -> None:
        """After a fault of ours; it then says all again, and so do we."""
        log.error("peer %s: reset after a fault of ours", session.peer.name)
        # Cease, Out of Resources (RFC 4486 §4): none of the peer's doing.
        self._teardown(session.peer.name, 6, 8)

    def _teardown(self, name: str, code: int, subcode: int) -> None:
        """End a session with this NOTIFICATION; what was under way before it is not heard."""
        session = self.peers[name]
        session.decoder = None
        self.speakers.teardown(session.peer, code, subcode)
