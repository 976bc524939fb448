"""Many type 5 routes, 100 per UPDATE: from the wire to verified and committed rows.

The clock starts with the first octet of the first UPDATE. Ours stops when the forwarder answers
with the last row, each peer's when it says that it holds all routes. One after the other, on the
same machine, with the same octets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.learners import LEARNERS, Learner
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.subject import Subject
from ccn_bgp.errors import CcnError, Problem

PER_UPDATE = 100
PATIENCE = 600.0
SETTLE = 1.0
"""Seconds after Established before the clock starts: first commits and greetings are over."""


def packed(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` routes to us and to each peer that is installed, by turns; medians of
    ``repeats``."""
    messages = b"".join(stream.updates(range(count), PER_UPDATE))
    say(f"{count} routes, {len(messages) / 1e6:.1f} MB, {repeats} times")
    ours: list[float] = []
    memory: list[float] = []
    theirs: dict[str, list[float]] = {}
    for learner in LEARNERS:
        if missing := learner.missing():
            say(f"{learner.name}: not measured, {missing} is not installed")
        else:
            theirs[learner.name] = []
    for _ in range(repeats):
        seconds, resident = _ours(messages, count)
        ours.append(seconds)
        memory.append(resident)
        say(f"ccn: {seconds:.3f} s, {resident:.0f} MB")
        for learner in LEARNERS:
            if learner.name in theirs:
                theirs[learner.name].append(_peer(learner, messages, count))
                say(f"{learner.name}: {theirs[learner.name][-1]:.3f} s")
    seconds = median(ours)
    yield Figure(case, "time", "s", seconds, {name: median(t) for name, t in theirs.items()})
    yield Figure(case, "routes per second", "1/s", count / seconds, higher_is_better=True)
    yield Figure(case, "resident memory", "MB", median(memory))


def _ours(messages: bytes, count: int) -> tuple[float, float]:
    """Seconds, and resident memory of all our processes afterwards, MB."""
    with Sender() as sender, Subject(sender.port) as subject:
        sender.establish()
        time.sleep(SETTLE)
        seconds = _timed(sender, messages, subject.check, lambda: subject.holds(count - 1), 0.005)
        if (held := subject.held()) != count:
            raise CcnError(Problem("bench", f"the forwarder holds {held} of {count} routes"))
        return seconds, subject.memory()


def _peer(learner: type[Learner], messages: bytes, count: int) -> float:
    with Sender() as sender, learner(sender.port) as peer:
        sender.establish()
        time.sleep(SETTLE)
        return _timed(sender, messages, peer.check, lambda: peer.held() >= count, peer.poll)


def _timed(
    sender: Sender,
    messages: bytes,
    check: Callable[[], None],
    done: Callable[[], bool],
    poll: float,
) -> float:
    """Seconds from the first octet until ``done``, asked every ``poll`` seconds."""
    begun = time.perf_counter()
    sender.send(messages)
    while not done():
        check()
        if sender.fault:
            raise CcnError(Problem("bench", sender.fault))
        if time.perf_counter() - begun > PATIENCE:
            raise CcnError(Problem("bench", f"not learned within {PATIENCE:g} s"))
        time.sleep(poll)
    return time.perf_counter() - begun
