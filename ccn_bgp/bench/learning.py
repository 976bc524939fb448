"""Many type 5 routes: from the wire to verified and committed rows in the forwarder, and back.

The clock starts with the first octet of the first UPDATE. Ours stops when the forwarder answers
with the last row of every sender (or no longer does) and a dump counts them all; each peer's stops
when it says that it holds all routes (or none). One after the other, on the same machine, with the
same octets.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.learners import Learner, installed
from ccn_bgp.bench.sender import ADDRESS, Sender, send_all
from ccn_bgp.bench.sites import topology
from ccn_bgp.bench.stream import Origin
from ccn_bgp.bench.subject import Memory, Subject
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Ip

PATIENCE = 900.0
SETTLE = 0.5
"""Seconds after Established before the clock starts: first commits and greetings are over."""
REST = 0.5
"""Seconds after the last route before steady memory is read."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: ``count`` routes by ``senders``, each its own share of them, one hundred to a
    CCN. ``distinct``: each route with an attribute set of its own."""

    count: int
    per_update: int = 100
    senders: int = 1
    distinct: bool = False

    def origins(self) -> list[tuple[str, Origin]]:
        """Loopback address and announced identity of each sender."""
        first = stream.SENDER_VTEP.number
        if self.senders == 1:
            return [(ADDRESS, stream.ORIGIN)]
        return [
            (f"127.0.1.{n + 1}", Origin(Ip((first + n).to_bytes(4, "big"))))
            for n in range(self.senders)
        ]

    @property
    def share(self) -> int:
        """Routes of each sender."""
        return self.count // self.senders

    def announcements(self) -> list[bytes]:
        """Of each sender."""
        return [
            stream.updates(
                n * self.share, self.share, self.per_update, origin, distinct=self.distinct
            )
            for n, (_, origin) in enumerate(self.origins())
        ]

    def withdrawals(self) -> list[bytes]:
        """Of each sender."""
        return [
            stream.withdrawals(n * self.share, self.share, self.per_update, origin)
            for n, (_, origin) in enumerate(self.origins())
        ]

    def last(self) -> list[int]:
        """The last route of each sender."""
        return [(n + 1) * self.share - 1 for n in range(self.senders)]


class Taken(NamedTuple):
    """Seconds to learn, seconds to forget (0 if that was not asked), and memory in between."""

    learn: float
    forget: float
    memory: Memory


def learning(case: str, load: Load, repeats: int, say: Say) -> Iterator[Figure]:
    """Time and memory to learn ``load``, ours and the peers', by turns; medians of ``repeats``."""
    ours, theirs = _runs(load, repeats, say, forget=False)
    seconds = median([t.learn for t in ours])
    peers = {name: median([t.learn for t in taken]) for name, taken in theirs.items()}
    yield Figure(case, "time", "s", seconds, peers)
    yield Figure(case, "routes per second", "1/s", load.count / seconds, higher_is_better=True)
    yield from memory_figures(case, ours, theirs)


def withdrawing(case: str, load: Load, repeats: int, say: Say) -> Iterator[Figure]:
    """Time to forget all of ``load`` again by withdrawals; medians of ``repeats``."""
    ours, theirs = _runs(load, repeats, say, forget=True)
    peers = {name: median([t.forget for t in taken]) for name, taken in theirs.items()}
    yield Figure(case, "time", "s", median([t.forget for t in ours]), peers)


def memory_figures(
    case: str, ours: Sequence[Taken], theirs: dict[str, list[Taken]]
) -> Iterator[Figure]:
    """Resident memory of all processes, steady and the sum of their peaks."""
    for metric, place in (("resident memory", 0), ("peak memory", 1)):
        peers = {n: median([t.memory[place] for t in taken]) for n, taken in theirs.items()}
        yield Figure(case, metric, "MB", median([t.memory[place] for t in ours]), peers)


def _runs(
    load: Load, repeats: int, say: Say, *, forget: bool
) -> tuple[list[Taken], dict[str, list[Taken]]]:
    announced = load.announcements()
    withdrawn = load.withdrawals() if forget else []
    size = sum(map(len, announced)) / 1e6
    say(f"{load.count} routes in {stream.ccns(load.count)} CCNs, {size:.1f} MB, {repeats} times")
    ours: list[Taken] = []
    peers = installed(say)
    theirs: dict[str, list[Taken]] = {learner.name: [] for learner in peers}
    for _ in range(repeats):
        ours.append(_ours(load, announced, withdrawn))
        say(f"ccn: {_line(ours[-1])}")
        for learner in peers:
            theirs[learner.name].append(_peer(learner, load, announced, withdrawn))
            say(f"{learner.name}: {_line(theirs[learner.name][-1])}")
    return ours, theirs


def _line(taken: Taken) -> str:
    gone = f", gone in {taken.forget:.3f} s" if taken.forget else ""
    return f"{taken.learn:.3f} s{gone}, {taken.memory.now:.0f} MB, peak {taken.memory.peak:.0f} MB"


@contextlib.contextmanager
def senders_of(load: Load) -> Iterator[list[Sender]]:
    """The Senders of a load, listening."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Sender(address, asn=origin.asn, router_id=origin.vtep))
            for address, origin in load.origins()
        ]


def _ours(load: Load, announced: Sequence[bytes], withdrawn: Sequence[bytes]) -> Taken:
    with (
        senders_of(load) as senders,
        Subject(topology(stream.ccns(load.count), senders)) as subject,
    ):
        establish(senders, subject.check)
        last = load.last()
        learned = timed(
            senders, announced, subject.check, lambda: all(map(subject.holds, last)), 0.005
        )
        if (held := subject.held()) != load.count:
            raise CcnError(Problem("bench", f"the forwarder holds {held} of {load.count} routes"))
        time.sleep(REST)
        memory = subject.memory()
        forgotten = 0.0
        if withdrawn:
            forgotten = timed(
                senders, withdrawn, subject.check, lambda: not any(map(subject.holds, last)), 0.005
            )
            if held := subject.held():
                raise CcnError(Problem("bench", f"the forwarder still holds {held} routes"))
        return Taken(learned, forgotten, memory)


def _peer(
    learner: type[Learner], load: Load, announced: Sequence[bytes], withdrawn: Sequence[bytes]
) -> Taken:
    with senders_of(load) as senders, learner(senders) as peer:
        establish(senders, peer.check, peer.dial)
        learned = timed(
            senders,
            announced,
            peer.check,
            lambda: peer.held() >= load.count,
            peer.poll,
            gentle=True,
        )
        time.sleep(REST)
        memory = peer.memory()
        forgotten = 0.0
        if withdrawn:
            forgotten = timed(
                senders,
                withdrawn,
                peer.check,
                lambda: peer.held() == 0,
                peer.poll,
                gentle=True,
            )
        return Taken(learned, forgotten, memory)


def establish(senders: Sequence[Sender], check: Callable[[], None], dial: int = 0) -> None:
    """Wait until all sessions are up, and a moment longer."""
    for sender in senders:
        sender.establish(dial=dial, check=check)
    time.sleep(SETTLE)


def timed(
    senders: Sequence[Sender],
    messages: Sequence[bytes],
    check: Callable[[], None],
    done: Callable[[], bool],
    poll: float,
    *,
    gentle: bool = False,
) -> float:
    """Seconds from the first octet until ``done``, asked every ``poll`` seconds. With ``gentle`` a
    subject to whom the question is much work (GoBGP counts its whole table) is left alone for five
    times as long as it took to answer."""
    begun = time.perf_counter()
    send_all(list(zip(senders, messages, strict=True)))
    while True:
        asked = time.perf_counter()
        if done():
            return time.perf_counter() - begun
        check()
        if fault := next((s.fault for s in senders if s.fault), ""):
            raise CcnError(Problem("bench", fault))
        now = time.perf_counter()
        if now - begun > PATIENCE:
            raise CcnError(Problem("bench", f"not done within {PATIENCE:g} s"))
        time.sleep(max(poll, 5 * (now - asked)) if gentle else poll)
