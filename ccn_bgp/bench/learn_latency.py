"""One changed route among many: UPDATE written to the wire → packets follow it.

A change moves a route to another gateway. The clock stops when the first probe packet leaves the
forwarder for that gateway; probes are sent every 0.2 ms, so a sample is late by no more than that
and the probe's own way. Without root there are no wires for packets: the row is looked up instead,
which the metric says.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median, percentile
from ccn_bgp.bench.following import FORWARDER_PORT, Follower, Packets, Rows
from ccn_bgp.bench.learning import Say, establish, timed
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.sites import VMS, topology
from ccn_bgp.bench.stream import ORIGIN, Origin
from ccn_bgp.bench.subject import Subject
from ccn_bgp.bench.wiring import Wires, wires
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Ip

OTHER_VTEP = Ip.parse("198.51.100.22")
STORMER = Origin(Ip.parse("198.51.100.23"))
STORM_ADDRESS = "127.0.0.3"
CALM = 5.0
BETWEEN = 0.02
"""Seconds between two changes: each is a commit of its own."""


@dataclass(frozen=True, slots=True)
class Change:
    """``count`` routes are there, ``samples`` of them change one after the other, while a second
    peer moves ``storm`` other routes to and fro as fast as TCP takes it."""

    count: int
    samples: int
    storm: int = 0


@contextlib.contextmanager
def wired() -> Iterator[Wires | None]:
    """Namespaces with an uplink; None without root."""
    if os.geteuid() != 0:
        yield None
        return
    with wires(uplink=True) as both:
        yield both


def latency(case: str, change: Change, say: Say) -> Iterator[Figure]:
    """p50 and p99 of all samples. CcnError: a change did not come through."""
    samples: list[float] = []
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(wired())
        senders = [stack.enter_context(Sender())]
        if change.storm:
            storming = Sender(STORM_ADDRESS, router_id=STORMER.vtep)
            senders.append(stack.enter_context(storming))
        file = topology(stream.ccns(change.count) + stream.ccns(change.storm), senders)
        subject = stack.enter_context(Subject(file, FORWARDER_PORT) if both else Subject(file))
        follower: Follower = Rows(subject)
        if both:
            packets = Packets(subject, both)
            stack.callback(packets.close)
            follower = packets
        establish(senders, subject.check)
        _load(change, senders, subject)
        say(f"{change.count} routes loaded; clock stops at the {follower.kind}")
        storm = Storm(senders[-1], change) if change.storm else contextlib.nullcontext()
        with storm:
            samples += _samples(change, senders[0], follower, subject)
        if isinstance(storm, Storm):
            say(f"beside {storm.rate:.0f} changes per second of the second peer")
            yield Figure(case, "storm", "1/s", storm.rate, higher_is_better=True)
    yield Figure(case, "p50", "ms", median(samples) * 1e3)
    yield Figure(case, "p99", "ms", percentile(samples, 99) * 1e3)
    yield Figure(case, "worst", "ms", max(samples) * 1e3)


def _load(change: Change, senders: list[Sender], subject: Subject) -> None:
    messages = [stream.updates(0, change.count, 100)]
    last = [change.count - 1]
    if change.storm:
        messages.append(stream.updates(change.count, change.storm, 100, STORMER))
        last.append(change.count + change.storm - 1)
    timed(senders, messages, subject.check, lambda: all(map(subject.holds, last)), 0.05)
    for sender in senders:
        sender.end_of_rib()
    time.sleep(1.0)


def _samples(
    change: Change, sender: Sender, follower: Follower, subject: Subject
) -> Iterator[float]:
    """Seconds of each change: routes drawn from the CCNs that have a VM, there and back."""
    draw = random.Random(3)
    within = range(min(change.count, VMS * stream.ROUTES_PER_CCN))
    moved: set[int] = set()
    follower.until(0, ORIGIN.vtep)  # neighbours are resolved now
    for index in (draw.choice(within) for _ in range(change.samples)):
        before, after = ORIGIN.vtep, OTHER_VTEP
        if index in moved:
            before, after = after, before
        moved ^= {index}
        follower.until(index, before)
        time.sleep(BETWEEN)
        message = stream.update(index, via=after)
        begun = time.perf_counter()
        sender.send(message)
        yield follower.until(index, after) - begun
    subject.check()
    if sender.fault:
        raise CcnError(Problem("bench", sender.fault))


class Storm:
    """The second peer: all its routes to one gateway and back to the other, without a pause."""

    def __init__(self, sender: Sender, change: Change) -> None:
        self._sender, self._size = sender, change.storm
        first = change.count
        self._waves = [
            stream.updates(first, change.storm, 100, STORMER, via=via)
            for via in (OTHER_VTEP, STORMER.vtep)
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._blow, daemon=True)
        self.routes = 0
        self.fault: CcnError | None = None
        self._begun = self._ended = 0.0

    @property
    def rate(self) -> float:
        """Routes per second that TCP took."""
        return self.routes / (self._ended - self._begun)

    def __enter__(self) -> Storm:
        self._begun = time.perf_counter()
        self._thread.start()
        time.sleep(0.5)
        return self

    def _blow(self) -> None:
        try:
            while not self._stop.is_set():
                for wave in self._waves:
                    self._sender.send(wave)
                    self.routes += self._size
        except CcnError as error:
            self.fault = error

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended = time.perf_counter()
        self._stop.set()
        self._thread.join(CALM)  # it may be in the midst of a wave that nobody takes
        if self.fault is not None and kind is None:
            raise self.fault
