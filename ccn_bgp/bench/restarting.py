"""A gateway that is killed while packets flow, and learns everything again.

``kill -9`` of ``ccn run``; the forwarder goes on with what it holds, the next ``ccn run`` adopts it
and holds back until its peer has said everything. Out: seconds from the kill until the new
gateway's digest is the old one's, and what a steady flow of packets lost meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure
from ccn_bgp.bench.following import FORWARDER_PORT, Flow, Packets, SteadyFlow
from ccn_bgp.bench.learn_latency import wired
from ccn_bgp.bench.learning import PATIENCE, Say, establish, timed
from ccn_bgp.bench.sender import Sender
from ccn_bgp.bench.sites import topology
from ccn_bgp.bench.subject import Subject
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.client import ForwarderClient


def cold_restart(case: str, count: int, say: Say) -> Iterator[Figure]:
    """Of ``count`` routes. CcnError: the tables were touched, or the digest is another one."""
    messages = stream.updates(0, count, 100)
    flow: SteadyFlow | None = None
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(wired())
        sender = stack.enter_context(Sender())
        file = topology(stream.ccns(count), [sender])
        subject = stack.enter_context(Subject(file, FORWARDER_PORT) if both else Subject(file))
        establish([sender], subject.check)
        timed([sender], [messages], subject.check, lambda: subject.holds(count - 1), 0.05)
        sender.end_of_rib()
        time.sleep(1.0)
        digest, held = subject.ask("digest")["digest"], _held(subject)
        say(f"{count} routes, digest {digest}")
        if both:
            packets = Packets(subject, both)
            stack.callback(packets.close)
            indexes = list(range(0, min(count, 1000), 7))
            for index in indexes[:1]:
                packets.until(index, stream.SENDER_VTEP)
            flow = stack.enter_context(SteadyFlow(packets, indexes))
            time.sleep(1.0)
        begun = time.perf_counter()
        subject.kill_gateway()
        subject.start_gateway()
        sender.establish(check=subject.check)
        up = time.perf_counter() - begun
        sender.send(messages)
        sender.end_of_rib()
        while (now := _digest(subject)) != digest:
            if time.perf_counter() - begun > PATIENCE:
                raise CcnError(Problem("bench", f"the digest is {now}, it was {digest}"))
            time.sleep(0.05)
        again = time.perf_counter() - begun
        if _held(subject) != held:
            raise CcnError(Problem("bench", "the forwarder's tables have been changed"))
    say(f"session up again after {up:.2f} s, all learned after {again:.2f} s")
    yield Figure(case, "digest equal again", "s", again)
    yield Figure(case, "until the session is up", "s", up)
    if flow is None:
        say("packets: not measured, only root has wires for them")
        return
    result: Flow = flow.result()
    say(f"{result.sent} packets sent meanwhile")
    yield Figure(case, "packets lost", "packets", result.lost)
    yield Figure(case, "longest silence", "ms", result.gap * 1e3)


def _digest(subject: Subject) -> str:
    """Of the gateway; empty as long as it does not answer."""
    subject.check()
    try:
        return str(subject.ask("digest")["digest"])
    except CcnError:
        return ""


def _held(subject: Subject) -> bytes:
    """The digest that the forwarder keeps."""
    with ForwarderClient.connect(subject.directory / "forwarder.sock", timeout=60.0) as client:
        return client.hello.digest
