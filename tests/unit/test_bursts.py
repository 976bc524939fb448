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
    rib = SimpleNamespace(waiting=waiting, decisions=0, held=0)
    rib.settle = lambda: rib.__dict__.update(waiting=0, decisions=rib.decisions + rib.waiting)
    gateway.sessions, gateway.rib = burst, rib  # type: ignore[assignment]
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


class Pausing(Burst):
    """One that draws breath for three looks in the middle."""

    @property
    def events(self) -> int:
        self.left -= self.left > 0
        self.looks += 0 if 20 <= self.left < 23 else self.left > 0
        return self.looks


@pytest.mark.parametrize(("waiting", "whole"), [(BITE + 1, True), (10, False)])
def test_much_that_is_said_at_first_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, waiting: int, whole: bool
) -> None:
    """A pause ends a burst only if it was small: few routes are not to wait."""
    monkeypatch.setattr(daemon, "PATIENCE", 60)
    burst = Pausing(50, beginning=True)
    waited(burst, waiting)
    assert (burst.left == 0) is whole


def test_it_ends_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "PATIENCE", 60)
    monkeypatch.setattr(daemon, "QUIET", 0.05)
    assert 0.05 <= waited(Burst(1, beginning=True), BITE + 1) < 5


def test_a_fault_while_waiting_is_left_to_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "PATIENCE", 60)
    monkeypatch.setattr(daemon, "QUIET", 0.05)

    def fail() -> None:
        raise ValueError("a fault of ours")

    gateway = Daemon.__new__(Daemon)
    gateway.sessions = Burst(1, beginning=True)  # type: ignore[assignment]
    gateway.rib = SimpleNamespace(waiting=daemon.EARLY + 1, decisions=0, held=0)  # type: ignore[assignment]
    gateway.rib.settle = fail  # type: ignore[method-assign]
    begun = gateway._dirty_since = time.monotonic()
    asyncio.run(gateway._burst(LONGEST))
    assert time.monotonic() - begun < 10  # and not tried again until patience ends


def test_what_has_come_is_decided_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not again and again: what that costs grows with all that is held."""
    monkeypatch.setattr(daemon, "QUIET", 0.05)
    for held, times in ((0, 1), (daemon.EARLY * 8, 0)):
        settled = []
        gateway = Daemon.__new__(Daemon)
        gateway.sessions = Burst(1, beginning=True)  # type: ignore[assignment]
        rib = SimpleNamespace(waiting=daemon.EARLY + 1, decisions=0, held=held)
        rib.settle = lambda rib=rib, said=settled: said.append(rib.__dict__.update(waiting=0))
        gateway.rib = rib  # type: ignore[assignment]
        gateway._dirty_since = time.monotonic()
        asyncio.run(gateway._burst(LONGEST))
        assert len(settled) == times
