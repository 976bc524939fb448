"""Peers that do not read what they are told, or not as fast as there is news.

In: how much waits for each. Out: who is left behind, told nothing until it has read, and then what
has come of all the news meanwhile (telling.py): what waits for a peer is bounded, whatever it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.model.ccsi import Peer

log = logging.getLogger("ccn.session")

UNREAD = 8 << 20
"""Octets that a peer may have left unread before it is told all again at its own request."""
BEHIND = 64 << 20
"""Octets that may wait for a peer: it then hears no news until it has read all but UNREAD."""
PAUSE = 0.5
"""Seconds after which is seen whether it has read them."""


class Unread:
    """``backlog(peer)``: octets that its TCP has not taken; ``look()``: have all told anew."""

    def __init__(self, backlog: Callable[[Peer], int], look: Callable[[], None]) -> None:
        self._backlog = backlog
        self._look = look
        self._looking: asyncio.TimerHandle | None = None

    def full(self, sessions: Iterable[PeerSession]) -> list[PeerSession]:
        """Who is to be left behind from now on. Who has read is not ``behind`` any more."""
        full, waiting = [], False
        for session in sessions:
            unread = self._backlog(session.peer) if session.up else 0
            if session.behind:
                session.behind = unread > UNREAD
            elif session.greeted and unread > BEHIND:
                name, megabytes = session.peer.name, unread >> 20
                log.warning("peer %s: has not read %d MB: no news until it has", name, megabytes)
                full.append(session)
            waiting = waiting or session.behind
        if (full or waiting) and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(PAUSE, self._look_now)
        return full

    def _look_now(self) -> None:
        self._looking = None
        self._look()

    def stop(self) -> None:
        """Nobody is looked at any more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
