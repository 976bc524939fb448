"""The state of one peer's session: what OPEN agreed, what is awaited, what has been counted.

In: the facts of an OPEN, judged Updates. Out: the session's decoder, what the peer knows,
and what ``ccn show neighbors`` and ``ccn show malformed`` print. sessions.py drives it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, replace

from ccn_bgp.gateway.at_length import AtLength
from ccn_bgp.learn.adj_rib_out import ExportPolicy
from ccn_bgp.learn.told import Told
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.counted import counted
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session.decode import SessionParameters, Update
from ccn_bgp.session.decode_rows import RowDecoder
from ccn_bgp.session.events import OpenFacts

log = logging.getLogger("ccn.session")

RING = 64
"""Malformed messages kept per peer."""
NEVER = "not yet connected"
QUIET = 60.0
"""Seconds between two log lines of one cause."""
TURNS = 20
"""Lines in that time about a session that comes and goes."""


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A message that was not wholly usable, for ``ccn show malformed``."""

    when: float
    verdict: str
    causes: tuple[str, ...]
    octets: bytes


class PeerSession:
    """One peer of this gateway, up or down."""

    def __init__(self, peer: Peer, policy: ExportPolicy) -> None:
        self.peer = peer
        self.policy = policy
        self.out = Told(peer, {})
        """What the peer has been told: from its first words on its update group's (telling.py)."""
        self.open: OpenFacts | None = None
        self.decoder: RowDecoder | None = None
        self.since = time.monotonic()
        self.last_reason = NEVER
        self.attempt = ""
        """Why the last attempt to have a session failed, since there was one."""
        self.end_of_rib: set[Family] = set()
        self.ever_complete = False
        self.greeted = False
        self.preserved = False
        """The forwarder holds what this peer was told, without a break since."""
        self.timer: asyncio.TimerHandle | None = None
        self.asked: set[Family] = set()
        """Families that the peer wants to hear again (RFC 2918)."""
        self.anew: set[Family] = set()
        """Families of which the peer is saying all again, until it says that it has (RFC 7313)."""
        self.telling: AtLength | None = None
        """What it is told as it takes it, and no news until that is over (telling.py)."""
        self.owed = b""
        """What is to be said when it has been told everything: End-of-RIB."""
        self.updates = 0
        self.causes: Counter[str] = Counter()
        self.malformed: deque[MalformedMessage] = deque(maxlen=RING)
        self._logged: dict[str, float] = {}
        self._turns: deque[float] = deque(maxlen=TURNS)
        self._unsaid = 0

    @property
    def up(self) -> bool:
        """Established."""
        return self.open is not None

    @property
    def why_down(self) -> str:
        """One line: what keeps it from coming up, as far as is known, and why it went down."""
        if not self.attempt:
            return self.last_reason
        before = "" if self.last_reason == NEVER else f"; the last one ended: {self.last_reason}"
        return f"no session: {self.attempt}{before}"

    @property
    def seconds(self) -> float:
        """For how long it has been up, or down; steps of the clock are not counted."""
        return time.monotonic() - self.since

    @property
    def families(self) -> frozenset[Family]:
        """What the session carries: as negotiated, or nothing while it is down."""
        return self.open.families if self.open is not None else frozenset()

    @property
    def complete(self) -> bool:
        """End-of-RIB has come for every family of the session."""
        return self.up and self.families <= self.end_of_rib

    @property
    def told_count(self) -> int:
        """How many routes it has been told and still holds, as far as it has taken them."""
        return len(self.out.told) - (self.telling.left if self.telling is not None else 0)

    def establish(self, facts: OpenFacts, vocabulary: Vocabulary) -> None:
        """The session is up: a fresh decoder, and the peer knows nothing."""
        self.open = facts
        self.decoder = RowDecoder(
            SessionParameters(
                peer=self.peer.name,
                peer_asn=self.peer.asn,
                local_asn=self.peer.local_asn,
                asn4=facts.asn4,
                families=facts.families,
                enforce_first_as=self.peer.role != "reflector",
                label_is_mpls=self.peer.label_is_mpls,
            ),
            vocabulary,
        )
        self.end_of_rib.clear()
        self.asked.clear()
        self.anew.clear()
        self.greeted = False
        self.telling, self.owed = None, b""
        self.attempt = ""
        self.since = time.monotonic()
        self.out = Told(self.peer, {})

    def end(self, reason: str) -> None:
        """The session is down."""
        self.open = None
        self.decoder = None
        self.asked.clear()
        self.anew.clear()
        self.telling, self.owed = None, b""
        self.since = time.monotonic()
        self.last_reason, self.attempt = reason, ""
        self.out = Told(self.peer, {})

    def serves(self, peer: Peer) -> bool:
        """Is this peer, as now declared, the same session on the wire?

        Policies, limits, draining, what a label is and the name of a router's CCN are ours alone:
        the speaker does not reset for them.
        """

        def wire(of: Peer) -> Peer:
            return replace(
                of,
                router=None,
                site=b"",
                hard_limit=None,
                drained=False,
                label_is_mpls=False,
                imports=(),
                exports=(),
            )

        return wire(self.peer) == wire(peer)

    def take_over(self, peer: Peer, policy: ExportPolicy) -> None:
        """Go on with the same session under a new declaration and policy."""
        self.peer = peer
        self.policy = policy

    def stop_timer(self) -> None:
        """No sweep is due any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def turned(self, level: int, text: str, *values: object) -> None:
        """Log that the session has come up or gone down. Of one that does nothing else, TURNS lines
        a minute are enough, and one that says so."""
        now = time.monotonic()
        if len(self._turns) == TURNS and now - self._turns[0] < QUIET:
            if not self._unsaid:
                log.warning("peer %s: comes and goes: no line of each time", self.peer.name)
            self._unsaid += 1
            return
        self._turns.append(now)
        if self._unsaid:
            text += " (%s left out)"
            values += (counted(self._unsaid, "such line"),)
            self._unsaid = 0
        log.log(level, text, *values)

    def count_faults(self, update: Update, raw: bytes) -> list[str]:
        """Count the causes of one faulty message; returns those due for a log line."""
        now = time.monotonic()
        due = []
        for error in update.errors:
            cause = f"{error.text} ({error.rfc})"
            if len(self.causes) < 1000 or error.rfc in self.causes:
                self.causes[error.rfc] += 1
            if now - self._logged.get(error.rfc, -QUIET) >= QUIET:
                self._logged[error.rfc] = now
                due.append(cause)
        self.malformed.append(
            MalformedMessage(
                time.time(), update.verdict.value, tuple(str(e) for e in update.errors), raw
            )
        )
        return due
