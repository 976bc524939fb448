"""How long a commit waits for more: as long as peers begin to speak, or for a moment."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from ccn_bgp.gateway import daemon
from ccn_bgp.gateway.daemon import BITE, LONGEST, Daemon


class Burst:
    """Sessions that have heard something each time that one looks, ``count`` times."""

    def __init__(self, count: int, *, beginning: bool) -> None:
        self.left, self.beginning, self.looks = count, beginning, 0

    @property
    def events(self) -> int:
        self.looks += self.left > 0
        self.left -= self.left > 0
        return self.looks


def waited(burst: Burst, waiting: int = 0, patience: float = LONGEST) -> float:
    """Seconds until the commit."""
    gateway = Daemon.__new__(Daemon)
    gateway.sessions, gateway.rib = burst, SimpleNamespace(waiting=waiting)  # type: ignore[assignment]
    gateway._dirty_since = begun = time.monotonic()
    asyncio.run(gateway._burst(patience))
    return time.monotonic() - begun


def test_a_commit_waits_for_the_end_of_a_burst() -> None:
    burst = Burst(3, beginning=False)
    waited(burst, patience=60)
    assert burst.left == 0


def test_not_for_ever() -> None:
    burst = Burst(10_000_000, beginning=False)
    assert waited(burst) >= LONGEST
    assert burst.left


def test_a_storm_is_taken_in_bites() -> None:
    burst = Burst(10_000_000, beginning=False)
    waited(burst, BITE + 1, patience=60)
    assert burst.looks < 3


def test_what_peers_say_at_first_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "PATIENCE", 60)
    burst = Burst(50, beginning=True)
    waited(burst, BITE + 1, patience=0)
    assert burst.left == 0
