"""Watches the kernel's side of the ports. In: link events. Out: one log line per change worth
knowing, and a tap that somebody removed is made again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

from ccn_bgp.errors import CcnError
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.linux.links import LinkEvent, link_events
from ccn_bgp.linux.taps import port_names, prepare_taps, wanted_taps

log = logging.getLogger("ccn.ports")


class PortWatch:
    """The ports and taps of the intent at hand; ``intent`` is asked anew at every event."""

    def __init__(
        self,
        intent: Callable[[], Intent],
        events: Callable[[], AsyncIterator[LinkEvent]] = link_events,
    ) -> None:
        self.intent = intent
        self.events = events
        self._carrier: dict[str, bool] = {}

    async def run(self) -> None:
        """For ever."""
        async for event in self.events():
            intent = self.intent()
            if event.link.name in port_names(intent.topology, intent.gateway):
                self._port(event)
            elif not event.present and self._is_tap(event.link.name):
                log.error("tap %s was removed: making it again", event.link.name)
                try:
                    await prepare_taps(intent.topology, intent.gateway)
                except CcnError as error:
                    log.error("tap %s: %s", event.link.name, error)

    def _is_tap(self, name: str) -> bool:
        intent = self.intent()
        return any(t.name == name for t in wanted_taps(intent.topology, intent.gateway))

    def _port(self, event: LinkEvent) -> None:
        name = event.link.name
        if not event.present:
            log.error("port %s has gone: no packets pass it until it is back", name)
            self._carrier.pop(name, None)
            return
        carrier = event.link.up and event.link.carrier
        if self._carrier.get(name) == carrier:
            return
        if carrier:
            # The first event of a port that was never down is no news.
            if name in self._carrier:
                log.info("port %s is up", name)
        elif event.link.up:
            log.error("port %s: no carrier", name)
        else:
            log.error("port %s: set down", name)
        self._carrier[name] = carrier
