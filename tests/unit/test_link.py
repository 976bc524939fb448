"""The forwarder as the gateway sees it: one that is there and does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from ccn_bgp.errors import UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient, SilentError
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.gateway import link
from ccn_bgp.gateway.link import ForwarderLink


@pytest.fixture
def deaf(tmp_path, monkeypatch):
    """A forwarder that was stopped: its socket takes connections, and nothing answers."""
    monkeypatch.setattr(link, "PATIENCE", 0.4)
    monkeypatch.setattr(link, "start_forwarder", lambda *_: pytest.fail("a second one is started"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "forwarder.sock"))
        listener.listen(8)
        yield tmp_path


STOPS = """
import os, signal, socket, sys
import numpy as np
from ccn_bgp.forwarder import wire
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(8)
peer, _ = listener.accept()
peer.recv(4096)
head, ack = np.zeros(1, wire.HEADER), np.zeros(1, wire.ANSWERS[wire.MessageType.HELLO_ACK])
head["length"], head["type"], head["count"] = 16 + ack.nbytes, wire.MessageType.HELLO_ACK, 1
ack["magic"], ack["sizes"], ack["generation"] = wire.MAGIC, wire.SIZES, 7
peer.sendall(head.tobytes() + ack.tobytes())
if sys.argv[2] == "late":
    peer.recv(4096)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def stopping(tmp_path):
    """Links to a forwarder that says HELLO and is stopped then, or (late) by the next message."""
    processes = []

    def begin(when):
        path = tmp_path / "forwarder.sock"
        processes.append(subprocess.Popen([sys.executable, "-c", STOPS, str(path), when]))
        made = ForwarderLink(SimpleNamespace(), tmp_path, str(path))
        deadline = time.monotonic() + 20
        while made.client is None or (when == "early" and not made.client.stopped()):
            assert time.monotonic() < deadline
            with contextlib.suppress(UnreachableError):
                made.client = made.client or ForwarderClient.connect(path)
        return made

    yield begin
    for process in processes:
        process.kill()
        process.wait()


MANY = [(MessageType.ROUTE, 0, np.zeros(200_000, wire.ROUTE))]
"""More than a socket takes in."""


@pytest.mark.parametrize(
    ("when", "ask"),
    [
        ("early", lambda link: link.commit(MANY, b"", full=False)),
        ("early", lambda link: link.prepare(MANY)),
        ("early", lambda link: link.counters()),
        ("late", lambda link: link.commit([], b"", full=False)),
        ("late", lambda link: link.counters()),
    ],
)
def test_one_that_was_stopped_is_not_waited_for(stopping, when, ask):
    """The loop of the gateway, which serves BGP, asks."""
    link = stopping(when)
    begun = time.monotonic()
    with pytest.raises(SilentError, match=r"is there and does not answer.*kill -CONT \d+"):
        ask(link)
    assert time.monotonic() - begun < 1
    assert link.client.at_end()  # so that the watch gets it back


async def longest_stall(work: asyncio.Task[object]) -> float:
    """Seconds for which the loop did nothing else while this went on."""
    longest, before = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    return longest


def test_one_that_does_not_answer_holds_up_nobody_and_is_not_doubled(deaf):
    ours = ForwarderLink(SimpleNamespace(), deaf, None)

    async def start():
        work = asyncio.create_task(ours.start())
        stalled = await longest_stall(work)
        with pytest.raises(SilentError, match=r"is there and does not answer.*kill -CONT \d+"):
            await work
        return stalled

    assert asyncio.run(start()) < 0.3


def test_one_that_does_not_answer_is_waited_for(deaf, caplog):
    ours = ForwarderLink(SimpleNamespace(), deaf, None)

    async def watch():
        task = asyncio.create_task(ours.watch(lambda: pytest.fail("it is not back")))
        await asyncio.sleep(1.2)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(watch())
    assert [r.message for r in caplog.records if "does not answer" in r.message][1:]


def test_one_that_does_not_answer_is_ended_all_the_same(deaf):
    ours = ForwarderLink(SimpleNamespace(), deaf, None)
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        ours._pid, ours._process = process.pid, process
        asyncio.run(ours.stop())
        assert process.wait(5) == -signal.SIGTERM
    assert not (deaf / "forwarder.sock").exists()


def test_one_that_does_not_answer_is_not_said_to_be_restarted_nor_to_drop_nothing(deaf):
    ours = ForwarderLink(SimpleNamespace(), deaf, None)

    async def watch():
        task = asyncio.create_task(ours.watch(lambda: pytest.fail("it is not back")))
        await asyncio.sleep(0.8)
        for ask in (
            ours.counters,
            ours.offenders,
            lambda: ours.lookup(100, b""),
            lambda: ours.trace("eth1", b"", dry_run=True),
        ):
            with pytest.raises(UnreachableError, match="is there and does not answer"):
                ask()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with pytest.raises(UnreachableError, match="is being restarted"):
        ours.counters()
    asyncio.run(watch())
