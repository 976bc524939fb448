"""Inventory files are read again when they change. In: the Intent in force. Out: the next one, as
one plan; sessions are not touched, and an edit that is wrong is refused as on SIGHUP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ccn_bgp.config.inventory import stamps, stamps_read
from ccn_bgp.errors import CcnError
from ccn_bgp.gateway.configuration import Configuration, fault_of_ours
from ccn_bgp.gateway.intent import Intent, renewed

log = logging.getLogger("ccn.gateway")

EVERY = 1.0
"""Seconds between two looks. A file that is still being written changes from look to look."""


class InventoryWatch:
    """Looks at the inventory files of ``intent()``. ``take_over`` is given that intent and the one
    that follows from it."""

    def __init__(
        self,
        intent: Callable[[], Intent],
        take_over: Callable[[Intent, Intent], Awaitable[None]],
        configuration: Configuration,
    ) -> None:
        self.intent = intent
        self.take_over = take_over
        self.configuration = configuration

    async def run(self) -> None:
        """For ever."""
        before = tried = stamps_read(self.intent().topology)
        while True:
            await asyncio.sleep(EVERY)
            held = self.intent()
            now = stamps(held.topology.inventory)
            if now == before and now not in (tried, stamps_read(held.topology)):
                await self._renew(held)
                tried = now
            elif now == stamps_read(held.topology):
                self.configuration.inventory_accepted()
            before = now

    async def _renew(self, held: Intent) -> None:
        try:
            # A million rows take seconds: learning goes on meanwhile.
            intent = await asyncio.to_thread(renewed, held)
            await self.take_over(held, intent)
        except CcnError as error:
            self.configuration.refused("inventory", error.problems)
            for problem in error.problems:
                log.error("inventory refused, the old one stays: %s", problem)
        except Exception as error:
            self.configuration.refused("inventory", [fault_of_ours(error)])
            log.exception("reading the inventory failed by a fault of ours")
