"""VMs that moved too often go on when their time is over (RFC 7432 §15.1). In: the Rib at work.
Out: a commit where one may be elsewhere now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ccn_bgp.learn.rib import Rib

EVERY = 1.0
"""Seconds between two looks."""


class FreezeWatch:
    """``changed`` is called when an address has been released."""

    def __init__(self, rib: Callable[[], Rib], changed: Callable[[], None]) -> None:
        self.rib = rib
        self.changed = changed

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EVERY)
            if self.rib().vms.release():
                self.changed()
