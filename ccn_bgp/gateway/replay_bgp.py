"""A recording through the very code that learned it live, offline: `ccn replay-bgp`.

In: an Intent and MRT files (session/record.py, or of another maker). Out: a Replayed gateway, whose
tables, findings and views are those of the live one at that moment. No clock is asked and nothing
is sent: what time decided live (the end of a restart) stands in the recording.
"""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, BinaryIO, cast

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.gateway.configuration import Configuration
from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.history import History
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.link import Lost
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.session.events import CHILD_DOWN, Block, OpenFacts, SessionDown, SessionUp
from ccn_bgp.session.mrt import (
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    Link,
    Message,
    MrtError,
    Record,
    State,
    StateChange,
    opened,
    records,
)
from ccn_bgp.session.record import Unrecorded
from ccn_bgp.table.snapshot import NOTHING, Snapshot

log = logging.getLogger("ccn.replay")

DOWN = {State.CONNECT: CHILD_DOWN, State.ACTIVE: "lost, as recorded"}
"""New state → reason of a SessionDown; every other one is the end of all that the peer said."""
FORGOTTEN = "ended by a NOTIFICATION or for good, as recorded"


class OfflineSessions(Sessions):
    """Sessions that only listen: nothing is sent and no timer runs."""

    def _teardown(self, name: str, code: int, subcode: int) -> None:
        """The recording says when the session ended."""

    def _sweep_later(self, session: PeerSession, seconds: int) -> None:
        """The recording says when it was swept."""

    def _check_limit(self, session: PeerSession) -> None:
        """The recording says when the session ended."""

    def _check_complete(self) -> None:
        """To be complete is to speak, which does not happen here."""


@dataclass
class Heard:
    """What the recording was like. Times in microseconds since 1970, None for an empty one.

    ``strangers``: records by (address, AS) of peers that the topology does not have.
    ``cut_short``: peers whose recording begins in the midst of a session.
    """

    records: int = 0
    first: int | None = None
    last: int | None = None
    strangers: Counter[tuple[str, int]] = field(default_factory=Counter)
    cut_short: set[str] = field(default_factory=set)


class Replayed:
    """One gateway as the recording left it; the views of gateway/views.py can be asked of it."""

    def __init__(self, intent: Intent) -> None:
        self.intent = intent
        self.name = intent.gateway.name
        self.rib = new_rib(intent)
        self.sessions: Sessions = OfflineSessions(
            intent, self.rib, FilePath(), lambda: None, holding_back=True
        )
        self.proved = Proved(NOTHING, (), 0)
        self.held: Snapshot = NOTHING
        self.history = History()
        self.recorder = Unrecorded()
        self.configuration = Configuration(intent.topology.file)
        self.configuration.accepted(intent, time.time())
        self.trouble = ""
        self.lost = Lost()
        self.forwarder: str | None = "none"
        self.heard = Heard()
        self._facts: dict[str, OpenFacts] = {}
        self._names: dict[tuple[int, Ip, Ip], str | None] = {}

    @property
    def generation(self) -> int:
        """There is no forwarder."""
        return 0

    def counters(self) -> tuple[()]:
        """There is no forwarder."""
        return ()

    def offenders(self, ccsi: int = 0) -> tuple[()]:
        """There is no forwarder."""
        return ()

    def lookup(self, ccsi: int, ip: Ip) -> Any:
        """There is no forwarder."""
        return None

    # -- records ------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """One record. ValueError: it is not of this gateway, or an OPEN in it is broken."""
        heard, link = self.heard, record.link
        heard.records += 1
        heard.first = record.when if heard.first is None else heard.first
        heard.last = record.when
        if isinstance(record, StateChange) and link.number == 0 and link.peer == link.local:
            self._begin_anew()
            return
        if isinstance(record, Message):
            if record.ours:
                return
            if record.octets[18] == OPEN:
                self._open(record)
                return
        name = self._name(link)
        if name is None:
            heard.strangers[str(link.peer), link.peer_asn] += 1
        elif isinstance(record, StateChange):
            self._state(name, record)
        elif record.octets[18] in (UPDATE, ROUTE_REFRESH):
            if not self.sessions.peers[name].up:
                heard.cut_short.add(name)
                self._up(name, self._facts.get(name) or _assumed(record))
            self.sessions.take(Block(name, record.octets))

    def _begin_anew(self) -> None:
        """The gateway itself has started."""
        for name, peer in self.rib.peers.items():
            self._forget(name)
            self.sessions.peers[name] = PeerSession(peer, self.intent.export_policy)

    def _open(self, record: Message) -> None:
        said, link = opened(record.octets), record.link
        if said.gateway and said.gateway != self.name:
            raise ValueError(f"recorded by gateway '{said.gateway}'; give --gateway {said.gateway}")
        name: str | None = said.peer or self._name(link)
        if name not in self.sessions.peers:
            name = None
            self.heard.strangers[str(link.peer), link.peer_asn] += 1
        self._names[link.number, link.peer, link.local] = name
        if name is not None:
            self._facts[name] = said.facts

    def _name(self, link: Link) -> str | None:
        """Whose session this is: as its OPEN said, or the only peer with these ends."""
        key = link.number, link.peer, link.local
        if key not in self._names:
            peers = [s.peer for s in self.sessions.peers.values()]
            fitting = [p for p in peers if p.address == link.peer and p.asn == link.peer_asn]
            if len(fitting) > 1:
                fitting = [p for p in fitting if p.local_address == link.local]
            self._names[key] = fitting[0].name if len(fitting) == 1 else None
        return self._names[key]

    def _state(self, name: str, change: StateChange) -> None:
        up = self.sessions.peers[name].up
        established = int(State.ESTABLISHED)
        if change.old == change.new:
            self.sessions.sweep(name, 0)
        elif change.new == established:
            if up:
                self._forget(name)
            self._up(name, self._facts.get(name) or _assumed(change))
        elif (change.old, change.new) == (State.IDLE, State.CONNECT):
            self._forget(name)
        elif up and change.old == established:
            reason = DOWN.get(cast(State, change.new), FORGOTTEN)
            self.sessions.take(SessionDown(name, reason))

    def _up(self, name: str, facts: OpenFacts) -> None:
        self.sessions.take(SessionUp(name, facts))

    def _forget(self, name: str) -> None:
        if self.sessions.peers[name].up:
            self.sessions.take(SessionDown(name, FORGOTTEN))
        self.rib.session_down(name, keep=False)

    def prove(self) -> None:
        """Settle what was learned, prove it, and hold it if nothing stands against it."""
        self.sessions.holding_back = False
        self.proved = Guard(self.intent, self.rib).prove()
        if not self.proved.standing:
            self.held = self.proved.snapshot


def _assumed(record: Record) -> OpenFacts:
    """What recordings without OPENs leave out: every family, no restart."""
    link = record.link
    return OpenFacts(
        asn=Asn(link.peer_asn),
        router_id=link.peer if len(link.peer) == 4 else Ip(bytes(4)),
        hold_time=90,
        asn4=record.asn4 if isinstance(record, Message) else True,
        families=frozenset(Family),
        route_refresh=False,
        enhanced_refresh=False,
        max_message=65535,
        restart_time=None,
        restarted=False,
        restart_families=frozenset(),
        forwarding=frozenset(),
    )


def replay_bgp(intent: Intent, files: Sequence[FilePath], until: int | None = None) -> Replayed:
    """Learn from ``files``, in this order, what was recorded until that moment (microseconds since
    1970), and prove it. InputError: a file cannot be read, is cut or is no recording of this
    gateway."""
    replayed = Replayed(intent)
    for file, record in recorded(files):
        if until is not None and record.when > until:
            break
        last = replayed.heard.last
        if last is not None and record.when < last - 60_000_000:
            log.warning("%s: a minute or more before what came ahead of it: wrong order?", file)
        try:
            replayed.take(record)
        except ValueError as error:
            raise InputError(Problem(str(file), str(error))) from None
    if not replayed.heard.records:
        raise InputError(Problem(str(files[0]), "holds no record of any session"))
    replayed.prove()
    return replayed


def recorded(files: Sequence[FilePath]) -> Iterator[tuple[FilePath, Record]]:
    """The records of these files (also gzipped), in order. InputError: cut, or no recording."""
    for file in files:
        try:
            with file.open("rb") as raw:
                packed = raw.read(2) == b"\x1f\x8b"
                raw.seek(0)
                with gzip.GzipFile(fileobj=raw) if packed else raw as plain:
                    for record in records(cast(BinaryIO, plain)):
                        yield file, record
        except MrtError as error:
            hint = f"'truncate -s {error.at}' keeps what is whole" if error.at else ""
            what = f"not a recording, at octet {error.at}: {error}"
            raise InputError(Problem(str(file), what, hint)) from None
        except (OSError, EOFError, zlib.error) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise InputError(Problem(str(file), f"cannot be read: {words}")) from None


def summary(replayed: Replayed) -> dict[str, Any]:
    """What came out, as JSON values."""
    heard, rib = replayed.heard, replayed.rib
    return {
        "gateway": replayed.name,
        "digest": replayed.held.digest.hex(),
        "routes": replayed.held.route_count,
        "records": heard.records,
        "from": _seconds(heard.first),
        "to": _seconds(heard.last),
        "neighbors": [
            _neighbor(session.peer, session, rib)
            for _, session in sorted(replayed.sessions.peers.items())
        ],
        "findings": [f.as_json() for f in replayed.proved.findings],
        "standing": len(replayed.proved.standing),
        "strangers": [
            {"address": address, "asn": asn, "records": count}
            for (address, asn), count in sorted(heard.strangers.items())
        ],
        "cut-short": sorted(heard.cut_short),
    }


def _neighbor(peer: Peer, session: PeerSession, rib: Rib) -> dict[str, Any]:
    adj = rib.adj_in[peer.name]
    return {
        "name": peer.name,
        "state": "established" if session.up else "down",
        "received": len(adj),
        "accepted": rib.accepted_count(peer.name),
        "stale": adj.stale_count,
        "updates": session.updates,
        "malformed": sum(session.causes.values()),
    }


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1e6
