"""One route at a time over a small table: UPDATE written to the wire → row in the forwarder.

The control socket is asked without a pause, so a sample is late by one look-up at most (reported).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.subject import Subject
from ccn_bgp.errors import CcnError, Problem

BACKGROUND = 100
"""Routes that are there before."""
PATIENCE = 10.0
BETWEEN = 0.02
"""Seconds between two changes: each is a commit of its own."""


def latency(case: str, changes: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``changes`` announcements, each withdrawn again; p50 and p99 of both together."""
    samples: list[float] = []
    with Sender() as sender, Subject(sender.port) as subject:
        sender.establish()
        sender.send(b"".join(stream.updates(range(BACKGROUND), 100)))
        sender.end_of_rib()
        _until(subject, BACKGROUND - 1, True)
        looked = _look_up_time(subject)
        for number in range(BACKGROUND, BACKGROUND + changes):
            for message, there in (
                (stream.updates([number], 1)[0], True),
                (stream.withdrawal(number), False),
            ):
                time.sleep(BETWEEN)
                begun = time.perf_counter()
                sender.send(message)
                _until(subject, number, there)
                samples.append(time.perf_counter() - begun)
        subject.check()
    say(f"{len(samples)} changes, a look-up takes {looked * 1e3:.2f} ms")
    yield Figure(case, "p50", "ms", median(samples) * 1e3)
    yield Figure(case, "p99", "ms", percentile(samples, 99) * 1e3)


def _look_up_time(subject: Subject) -> float:
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        subject.holds(0)
        times.append(time.perf_counter() - begun)
    return median(times)


def _until(subject: Subject, index: int, there: bool) -> None:
    deadline = time.perf_counter() + PATIENCE
    while subject.holds(index) is not there:
        if time.perf_counter() > deadline:
            subject.check()
            raise CcnError(Problem("bench", f"route {index} took more than {PATIENCE:g} s"))
