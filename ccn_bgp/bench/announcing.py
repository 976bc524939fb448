"""Everything that is known, to peers that have just come up.

The routes are learned first, by ours as type 5 in one CCN, by the peers as the IPv4 unicast routes
that they handle best. The sinks, IDC routers of that CCN, have been dialled meanwhile but have not
answered. The clock starts when all of them answer and stops with the last octet of the last route
at the last of them; what they got is counted when it has stopped. Ours runs over hand-offs of our
own (wiring.py), so root is needed.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from ccn_bgp.bench import full_table, stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.learn_tables import PORTS, at_hand_off, on_loopback, routers
from ccn_bgp.bench.learners import Learner, installed
from ccn_bgp.bench.learning import PATIENCE, REST, Say, Taken, establish, memory_figures, timed
from ccn_bgp.bench.sender import ADDRESS, Sender
from ccn_bgp.bench.sites import Router, topology
from ccn_bgp.bench.subject import Subject
from ccn_bgp.bench.wiring import wires
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Family

CCN = 1
QUIET = 0.5
"""Seconds without an octet before what has come is counted."""


def announcing(case: str, count: int, sinks: int, repeats: int, say: Say) -> Iterator[Figure]:
    """``count`` routes to each of ``sinks`` routers, by ours and the peers, by turns; medians of
    ``repeats``."""
    say(f"{count} routes to each of {sinks} peers, {repeats} times")
    ours: list[Taken] = []
    peers = installed(say)
    theirs: dict[str, list[Taken]] = {learner.name: [] for learner in peers}
    for _ in range(repeats):
        ours.append(_ours(count, routers(sinks)))
        say(f"ccn: {ours[-1].learn:.3f} s, {ours[-1].memory.now:.0f} MB")
        for learner in peers:
            theirs[learner.name].append(_peer(learner, count, routers(sinks)))
            last = theirs[learner.name][-1]
            say(f"{learner.name}: {last.learn:.3f} s, {last.memory.now:.0f} MB")
    seconds = median([t.learn for t in ours])
    times = {name: median([t.learn for t in taken]) for name, taken in theirs.items()}
    yield Figure(case, "time", "s", seconds, times)
    total = count * sinks
    rates = {name: total / time for name, time in times.items()}
    yield Figure(case, "routes per second", "1/s", total / seconds, rates, higher_is_better=True)
    yield from memory_figures(case, ours, theirs)


def _ours(count: int, some: Sequence[Router]) -> Taken:
    messages = stream.updates(0, count, 100, ccn=CCN)
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(wires(some))
        feeder = stack.enter_context(Sender())
        sinks = [stack.enter_context(at_hand_off(r, both, keep=True)) for r in some]
        subject = stack.enter_context(Subject(topology(1, [feeder], some), PORTS))
        establish([feeder], subject.check)
        last = stream.prefix(count - 1)
        timed([feeder], [messages], subject.check, lambda: subject.has(CCN, last), 0.05)
        time.sleep(REST)
        seconds = _told(sinks, count, subject.check)
        return Taken(seconds, 0.0, subject.memory())


def _peer(learner: type[Learner], count: int, some: Sequence[Router]) -> Taken:
    with contextlib.ExitStack() as stack:
        feeder = stack.enter_context(Sender(ADDRESS, family=Family.IPV4_UNICAST))
        sinks = [stack.enter_context(on_loopback(r, keep=True)) for r in some]
        peer = stack.enter_context(learner([feeder, *sinks], telling=True))
        establish([feeder], peer.check, peer.dial)
        timed(
            [feeder],
            [_unicast(count)],
            peer.check,
            lambda: peer.held() >= count,
            peer.poll,
            gentle=True,
        )
        time.sleep(REST)
        seconds = _told(sinks, count, peer.check, peer.dial)
        return Taken(seconds, 0.0, peer.memory())


def _unicast(count: int) -> bytes:
    """The prefixes of the stream with one attribute set, a hundred to a message."""
    blob = full_table.attributes((stream.SENDER_ASN,), stream.SENDER_VTEP)
    parts = []
    for start in range(0, count, 100):
        some = (stream.prefix(i) for i in range(start, min(start + 100, count)))
        parts.append(
            full_table.update(blob, b"".join(full_table.packed(p.address, 24) for p in some))
        )
    return b"".join(parts)


def _told(sinks: Sequence[Sender], count: int, check: Callable[[], None], dial: int = 0) -> float:
    """Seconds from the moment at which the sinks answer until the last of them has everything."""
    faults: list[CcnError] = []

    def answer(sink: Sender) -> None:
        try:
            sink.establish(dial=dial, check=check)
        except CcnError as error:
            faults.append(error)

    threads = [threading.Thread(target=answer, args=(s,), daemon=True) for s in sinks]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    while True:
        seen = [_pieces(sink) for sink in sinks]
        time.sleep(QUIET)
        check()
        if fault := next((s.fault for s in sinks if s.fault), ""):
            raise CcnError(Problem("bench sink", fault))
        if seen == [_pieces(sink) for sink in sinks]:
            counted = [received(sink.heard or []) for sink in sinks]
            if all(routes == count for routes, _ in counted):
                return max(moment for _, moment in counted) - begun
        if time.perf_counter() - begun > PATIENCE:
            raise CcnError(Problem("bench sink", f"has not got all within {PATIENCE:g} s"))


def _pieces(sink: Sender) -> int:
    """How many pieces it has heard."""
    return len(sink.heard or [])


def received(heard: Sequence[tuple[float, bytes]]) -> tuple[int, float]:
    """How many different /24 stand in what was heard, and when the last new one had come."""
    octets = b"".join(piece for _, piece in heard)
    ends = list(itertools.accumulate(len(piece) for _, piece in heard))
    found: set[bytes] = set()
    position = last = 0
    while position + 19 <= len(octets):
        end = position + (octets[position + 16] << 8 | octets[position + 17])
        if end > len(octets) or end < position + 19:
            break
        if octets[position + 18] == 2:
            before = len(found)
            found.update(_announced(octets, position, end))
            last = end if len(found) > before else last
        position = end
    return len(found), heard[bisect.bisect_left(ends, last)][0] if found else 0.0


def _announced(octets: bytes, position: int, end: int) -> Iterator[bytes]:
    """The /24 among the NLRI of an UPDATE, RFC 4271 §4.3."""
    at = position + 19
    at += 2 + (octets[at] << 8 | octets[at + 1])
    at += 2 + (octets[at] << 8 | octets[at + 1])
    while at < end:
        size = 1 + (octets[at] + 7) // 8
        if octets[at] == 24:
            yield octets[at : at + size]
        at += size
