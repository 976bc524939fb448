"""Nothing is made for a peer before it has taken what was made for it: what waits for one that
reads slowly, or not at all, is bounded, whatever it is told.

In: sessions that are told at length (at_length.py), and how much waits for each. Out: pieces, as
there is room for them. Who does not even read the news is told none until it has, and then what has
come of it (telling.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.model.ccsi import Peer

log = logging.getLogger("ccn.session")

AHEAD = 4 << 20
"""Octets that may wait for a peer before no more are made for it."""
BEHIND = 64 << 20
"""Octets of news that may wait for a peer: it then hears no more until it has read nearly all."""


class Speaking(Protocol):
    """What speakers.py does."""

    def send(self, peers: Sequence[Peer], messages: bytes) -> None:
        """The same messages to these peers."""

    def hears(self, peer: Peer) -> bool:
        """What is sent to this peer goes somewhere; else a SessionDown is on its way."""

    def backlog(self, peer: Peer) -> int:
        """Octets that its TCP has not taken."""

    def ask_room(self, peer: Peer, octets: int) -> None:
        """Have a Room come when fewer octets than these wait for this peer."""


class Pacing:
    """``next_piece``: what a session is to be sent next, None if it has been told all. ``failed``:
    that was a fault of ours, and nobody knows what its peer holds."""

    def __init__(
        self,
        speakers: Speaking,
        next_piece: Callable[[PeerSession], bytes | None],
        failed: Callable[[PeerSession], None],
    ) -> None:
        self._speakers = speakers
        self._next_piece = next_piece
        self._failed = failed

    def go_on(self, sessions: Iterable[PeerSession]) -> None:
        """Each is sent what its peer takes now, and asks for room for the rest. The same piece
        goes to those in step at once."""
        waiting = [s for s in sessions if s.telling is not None]
        while waiting:
            pieces: dict[int, tuple[bytes, list[PeerSession]]] = {}
            for session in waiting:
                if (piece := self._due(session)) is not None:
                    pieces.setdefault(id(piece), (piece, []))[1].append(session)
            for piece, some in pieces.values():
                self._speakers.send([session.peer for session in some], piece)
            waiting = [session for _, some in pieces.values() for session in some]

    def _due(self, session: PeerSession) -> bytes | None:
        if session.decoder is None or not self._speakers.hears(session.peer):
            return None  # its session is being ended, or has ended
        if self._speakers.backlog(session.peer) >= AHEAD:
            self._speakers.ask_room(session.peer, AHEAD)
            return None
        try:
            return self._next_piece(session)
        except Exception:
            log.exception("a fault of ours in what a peer is told")
            session.telling = None
            self._failed(session)
            return None

    def behind(self, sessions: Iterable[PeerSession]) -> list[PeerSession]:
        """Who is to be told no more news."""
        found = []
        for session in sessions:
            if session.up and session.greeted and session.telling is None:
                unread = self._speakers.backlog(session.peer)
                if unread > BEHIND:
                    name, megabytes = session.peer.name, unread >> 20
                    log.warning(
                        "peer %s: has not read %d MB: no news until it has", name, megabytes
                    )
                    found.append(session)
        return found
