"""What the views may ask of a running gateway; daemon.py is one. Keeps the arrows one-way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.gateway.configuration import Configuration
from ccn_bgp.gateway.guard import Proved
from ccn_bgp.gateway.history import History
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.link import Lost
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Ip
from ccn_bgp.session.record import Unrecorded
from ccn_bgp.table.snapshot import Snapshot


class Running(Protocol):
    """The state of one gateway at this moment."""

    name: str
    intent: Intent
    rib: Rib
    sessions: Sessions
    proved: Proved
    held: Snapshot
    history: History
    configuration: Configuration
    recorder: Unrecorded
    trouble: str
    """Why the last commit has failed; empty if it has not."""
    forwarder: str | None
    """The socket of one that somebody else started, or ``none``; None: our own."""

    @property
    def lost(self) -> Lost:
        """How often the forwarder was."""

    @property
    def generation(self) -> int:
        """In force in the forwarder."""

    def counters(self) -> Sequence[Counter]:
        """Of the forwarder."""

    def offenders(self, ccsi: int = 0) -> Sequence[Offender]:
        """Whom the forwarder dropped, of each reason the first and the last; ``ccsi``: of its
        packets."""

    def lookup(self, ccsi: int, ip: Ip) -> Any:
        """The row that the forwarder holds for an address, as JSON values."""


class Tracing(Running, Protocol):
    """One with a forwarder that takes probes."""

    def trace(self, port: str, frame: bytes, *, dry_run: bool) -> tuple[Any, Sequence[Counter]]:
        """A frame through the forwarder: the steps it took, and the counters it moved."""
