"""Hard limits: a peer that says more prefixes than it may loses its session, and for how long.

In: how many prefixes a peer holds. Out: Cease, Maximum Number of Prefixes Reached (RFC 4486 §4,
RFC 4271 §6.7); then the peer is not served until its time is over or an operator clears it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.counted import counted
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import HardLimit

log = logging.getLogger("ccn.session")

CEASE, TOO_MANY = 6, 1


@dataclass(slots=True)
class Shut:
    """A session held down. ``until``: by the monotonic clock, None for ever; known once it is
    down."""

    peer: Peer
    limit: HardLimit
    held: int
    until: float | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def reason(self) -> str:
        """One line for ``ccn show neighbors``."""
        text = f"more than {self.limit.limit} prefixes (max-prefixes, hard): held down"
        if self.limit.restart is None:
            return f"{text} until `ccn neighbor {self.peer.name} clear`"
        rest = self.limit.restart if self.until is None else max(self.until - time.monotonic(), 0)
        return f"{text} for another {rest:.0f} s"


class Limits:
    """The sessions of one gateway that are held down.

    ``teardown(peer, code, subcode)`` ends a session; ``serve()`` has the speakers serve all peers
    but those in ``shut``.
    """

    def __init__(
        self, teardown: Callable[[str, int, int], None], serve: Callable[[], None]
    ) -> None:
        self.shut: dict[str, Shut] = {}
        self._teardown = teardown
        self._serve = serve

    def check(self, peer: Peer, held: int) -> None:
        """End the session of a peer that holds ``held`` prefixes, if those are too many."""
        limit = peer.hard_limit
        if limit is None or held <= limit.limit or peer.name in self.shut:
            return
        log.error(
            "peer %s: says %s, max-prefixes is %d: session ended (RFC 4486 6/1)",
            peer.name,
            counted(held, "prefix", "prefixes"),
            limit.limit,
        )
        self.shut[peer.name] = Shut(peer, limit, held)
        self._teardown(peer.name, CEASE, TOO_MANY)

    def ended(self, name: str) -> None:
        """The session is down: if it is held down, its time begins."""
        shut = self.shut.get(name)
        if shut is None or shut.timer is not None:
            return
        seconds = shut.limit.restart
        if seconds is not None:
            shut.until = time.monotonic() + seconds
            shut.timer = asyncio.get_running_loop().call_later(seconds, self.release, name)
        self._serve()

    def release(self, name: str) -> bool:
        """Serve the peer again: its time is over, or the operator says so; False if it was not
        held down."""
        shut = self.shut.pop(name, None)
        if shut is None:
            return False
        if shut.timer is not None:
            shut.timer.cancel()
        log.warning("peer %s: no longer held down", name)
        self._serve()
        return True

    def adopt(self, peers: Mapping[str, Peer]) -> None:
        """Under a new file: who has another limit now, or is gone, is not held down. The caller
        has the speakers serve anew."""
        for name, shut in list(self.shut.items()):
            peer = peers.get(name)
            if peer is None or peer.hard_limit != shut.limit:
                if shut.timer is not None:
                    shut.timer.cancel()
                del self.shut[name]

    def stop(self) -> None:
        """No timer runs any more."""
        for shut in self.shut.values():
            if shut.timer is not None:
                shut.timer.cancel()

    def findings(self) -> list[Finding]:
        """One ``capacity`` finding for each session that is held down."""
        found = []
        for name, shut in sorted(self.shut.items()):
            router = shut.peer.router
            found.append(
                Finding(
                    rule="capacity",
                    message=f"{name} announced {counted(shut.held, 'prefix', 'prefixes')},"
                    f" max-prefixes is {shut.limit.limit}; its session is held down",
                    where=f"peer {name}",
                    ccn=router.ccn if router is not None else "",
                    peer=name,
                    witness={"hops": [f"peer {name}"]},
                )
            )
        return found
