"""IDC routers: a full IPv4 table from two of them, and an hour of churn at full speed.

The sessions are eBGP over hand-offs of our own (wiring.py), so root is needed. Ours stops the clock
when the last prefix of each router is a row in the forwarder; the peers hold what they are told by
the same number of speakers on loopback.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccn_bgp.bench import full_table
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.learners import Learner, installed
from ccn_bgp.bench.learning import (
    REST,
    Say,
    Taken,
    establish,
    memory_figures,
    timed,
)
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.sites import Router, topology
from ccn_bgp.bench.subject import NULL_PORTS, Subject
from ccn_bgp.bench.wiring import Wires, wires
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab import netns
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix

CCSI = 1
PORTS = {**NULL_PORTS, "i1": "null"}
FIRST_ASN = 65101
BGP = 179
IDLE = 0.2


def routers(count: int) -> list[Router]:
    """IDC routers, each with an AS of its own."""
    return [Router(n + 1, Asn(FIRST_ASN + n)) for n in range(count)]


def at_hand_off(router: Router, both: Wires, **more: bool) -> Sender:
    """The speaker of an IDC router, at the far end of its hand-off."""
    with netns.entered(both.far):
        return Sender(
            router.theirs,
            BGP,
            asn=router.asn,
            router_id=Ip.parse(router.theirs),
            family=Family.IPV4_UNICAST,
            **more,
        )


def on_loopback(router: Router, **more: bool) -> Sender:
    """The same speaker, for a peer that needs no hand-off."""
    return Sender(
        f"127.0.2.{router.number}",
        asn=router.asn,
        router_id=Ip.parse(router.theirs),
        family=Family.IPV4_UNICAST,
        **more,
    )


def marker(number: int) -> Prefix:
    """A prefix that is in no table: the last that a router says."""
    return Prefix.parse(f"203.0.113.{number * 4}/30")


def _nlri(prefix: Prefix) -> bytes:
    return full_table.packed(prefix.address, prefix.length)


def two_tables(
    case: str, data: Path | None, limit: int, repeats: int, say: Say
) -> Iterator[Figure]:
    """The table from two routers, ours and the peers', by turns; medians of ``repeats``."""
    table = full_table.entries(data, limit)
    both_routers = routers(2)
    messages = [
        full_table.messages(table, r.asn, Ip.parse(r.theirs), _nlri(marker(r.number)))
        for r in both_routers
    ]
    source = f"of {data}" if data else "drawn (give --data DIR for a real one)"
    size = sum(map(len, messages)) / 1e6
    say(f"{len(table)} prefixes {source}, {size:.1f} MB from two routers, {repeats} times")
    ours: list[Taken] = []
    peers = installed(say)
    theirs: dict[str, list[Taken]] = {learner.name: [] for learner in peers}
    for _ in range(repeats):
        ours.append(_ours(both_routers, messages, len(table) + 2))
        say(f"ccn: {ours[-1].learn:.3f} s, {ours[-1].memory.now:.0f} MB")
        for learner in peers:
            expected = 2 * (len(table) + 1)
            theirs[learner.name].append(_peer(learner, both_routers, messages, expected))
            last = theirs[learner.name][-1]
            say(f"{learner.name}: {last.learn:.3f} s, {last.memory.now:.0f} MB")
    times = {name: median([t.learn for t in taken]) for name, taken in theirs.items()}
    yield Figure(case, "time", "s", median([t.learn for t in ours]), times)
    yield from memory_figures(case, ours, theirs)


def _ours(both_routers: Sequence[Router], messages: Sequence[bytes], expected: int) -> Taken:
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(wires(both_routers))
        senders = [stack.enter_context(at_hand_off(r, both)) for r in both_routers]
        subject = stack.enter_context(Subject(topology(1, [], both_routers), PORTS))
        establish(senders, subject.check)
        markers = [marker(r.number) for r in both_routers]
        seconds = timed(
            senders,
            messages,
            subject.check,
            lambda: all(subject.has(CCSI, m) for m in markers),
            0.005,
        )
        if (held := subject.held()) != expected:
            raise CcnError(Problem("bench", f"the forwarder holds {held} of {expected} routes"))
        time.sleep(REST)
        return Taken(seconds, 0.0, subject.memory())


def _peer(
    learner: type[Learner], both_routers: Sequence[Router], messages: Sequence[bytes], expected: int
) -> Taken:
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(on_loopback(r)) for r in both_routers]
        peer = stack.enter_context(learner(senders))
        establish(senders, peer.check, peer.dial)
        seconds = timed(
            senders,
            messages,
            peer.check,
            lambda: peer.held() >= expected,
            peer.poll,
            gentle=True,
        )
        time.sleep(REST)
        return Taken(seconds, 0.0, peer.memory())


def trace(case: str, data: Path | None, updates: int, passes: int, say: Say) -> Iterator[Figure]:
    """Recorded UPDATEs of some peers at full speed, ``passes`` times over, to ours alone: how
    fast, and does memory grow once the commits that are kept are as many as may be, or what waits
    to be decided or to be sent?"""
    peers = full_table.churn(data, updates)
    some = [Router(n + 1, c.peer) for n, c in enumerate(peers)]
    said = [
        b"".join(full_table.through(m, Ip.parse(r.theirs)) for m in c.messages)
        for r, c in zip(some, peers, strict=True)
    ]
    count = sum(len(c.messages) for c in peers)
    say(f"{count} UPDATEs of {len(peers)} peers, {passes} passes")
    times: list[float] = []
    resident: list[float] = []
    held: list[int] = []
    queued: list[int] = []
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(wires(some))
        senders = [
            stack.enter_context(at_hand_off(r, both, asn4=c.asn4))
            for r, c in zip(some, peers, strict=True)
        ]
        subject = stack.enter_context(Subject(topology(1, [], some), PORTS))
        establish(senders, subject.check)
        for number in range(passes):
            wanted = number % 2 == 0
            ends = [_end(r, c.asn4, wanted) for r, c in zip(some, peers, strict=True)]
            markers = [marker(r.number) for r in some]
            times.append(
                timed(
                    senders,
                    [s + end for s, end in zip(said, ends, strict=True)],
                    subject.check,
                    lambda markers=markers, wanted=wanted: all(  # type: ignore[misc]
                        subject.has(CCSI, m) is wanted for m in markers
                    ),
                    0.01,
                )
            )
            time.sleep(IDLE)
            resident.append(subject.memory().now)
            held.append(subject.held())
            neighbors = subject.ask("neighbors")["neighbors"]
            queued.append(max(n[queue] for n in neighbors for queue in ("waiting", "unsent")))
            if held[-1] != held[number % 2]:
                text = f"{held[-1]} routes after pass {number + 1}, it were {held[number % 2]}"
                raise CcnError(Problem("bench", text))
            if number in (0, passes - 1) or number % 10 == 9:
                say(f"pass {number + 1}: {times[-1]:.2f} s, {resident[-1]:.0f} MB")
        peak = subject.memory().peak
    yield Figure(case, "updates per second", "1/s", count / median(times), higher_is_better=True)
    yield Figure(case, "slowest pass", "s", max(times))
    yield Figure(case, "resident memory", "MB", resident[-1])
    yield Figure(case, "peak memory", "MB", peak)
    yield Figure(case, "growth after the first pass", "MB", resident[-1] - resident[0])
    quarter = resident[passes // 4]
    yield Figure(case, "growth after a quarter of the passes", "MB", resident[-1] - quarter)
    yield Figure(case, "longest queue between passes", "routes or octets", max(queued))


def _end(router: Router, asn4: bool, announce: bool) -> bytes:
    """The marker of a router, there or gone."""
    nlri = _nlri(marker(router.number))
    if not announce:
        return full_table.update(b"", b"", nlri)
    path = (router.asn,)
    return full_table.update(full_table.attributes(path, Ip.parse(router.theirs), asn4=asn4), nlri)
