"""Transactions of one route each into a table of a million, sent one behind the other.

Nobody waits for an answer before the next is sent, so that what counts is the forwarder: its time
per commit is what its control thread had a CPU for. In: how many routes and changes. Out: figures.
"""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ccn_bgp.bench import rows
from ccn_bgp.bench.commits import forwarder
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.forward_peers import nanoseconds
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType

CONTROL = "ccn-control"
ANSWER = wire.HEADER.itemsize + wire.ANSWERS[MessageType.ACK].itemsize


def stream(case: str, routes: int, changes: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """All ``routes`` in one CCSI; then they move at once, then ``changes`` of them one by one."""
    kind, _, held = rows.routes(1, routes)
    with forwarder() as (client, path):
        process = client.hello.pid
        client.commit(1, 2, [(kind, 0, held)], b"bench", full=False)
        swaps = []
        for number in range(3):
            held["next_hop"] ^= 1
            begun = nanoseconds(process, CONTROL)
            client.commit(2 + number, 3 + number, [(kind, 0, held)], b"bench", full=False)
            swaps.append((nanoseconds(process, CONTROL) - begun) / 1e6)
        yield Figure(case, f"{routes} routes swapped, CPU time", "ms", median(swaps))
        say(f"{routes} routes in one table")
        draw = np.random.default_rng(7)
        costs = []
        generation = 5
        for many in (1, 1000):
            count = max(changes // many, 1)
            chosen = draw.integers(routes, size=count * many)
            moved = held[chosen].copy()
            moved["next_hop"] ^= 1
            messages = _transactions(moved.reshape(count, many), generation)
            begun = nanoseconds(process, CONTROL)
            _exchange(path, messages, count)
            costs.append((nanoseconds(process, CONTROL) - begun) / 1e9 / count)
            generation += count
    yield Figure(case, "one route, CPU time per commit", "us", costs[0] * 1e6)
    rate = 1 / costs[0]
    yield Figure(case, "commits per second of CPU time", "1/s", rate, higher_is_better=True)
    rate = 1000 / costs[1]
    yield Figure(case, "routes per second, 1000 a commit", "1/s", rate, higher_is_better=True)


def _message(kind: MessageType, array: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    header = np.zeros(1, wire.HEADER)
    header["length"] = wire.HEADER.itemsize + array.nbytes
    header["type"], header["count"] = kind, len(array)
    return header.tobytes() + array.tobytes()


def _greeting() -> bytes:
    hello = np.zeros(1, wire.HELLO)
    hello["magic"], hello["version"], hello["sizes"] = wire.MAGIC, wire.VERSION, wire.SIZES
    return _message(MessageType.HELLO, hello)


def _transactions(changes: np.ndarray[Any, np.dtype[Any]], generation: int) -> bytes:
    """Each row of routes as a transaction of its own, on from ``generation``."""
    begin, end = np.zeros(1, wire.BEGIN), np.zeros(1, wire.COMMIT)
    out = []
    for number, routes in enumerate(changes):
        begin["base"], begin["next"] = generation + number, generation + number + 1
        records = _message(MessageType.ROUTE, routes)
        end["next"], end["crc"] = generation + number + 1, zlib.crc32(records)
        out += [_message(MessageType.BEGIN, begin), records, _message(MessageType.COMMIT, end)]
    return b"".join(out)


def _exchange(path: Path, messages: bytes, count: int) -> None:
    """Send all, and take as many ACKs. CcnError: one was refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to:
        to.settimeout(60.0)
        to.connect(str(path))
        to.sendall(_greeting())
        left = wire.HEADER.itemsize + wire.HELLO_ACK.itemsize
        while left:
            left -= len(to.recv(left))
        sender = threading.Thread(target=to.sendall, args=(messages,))
        sender.start()
        answers = bytearray()
        while len(answers) < count * ANSWER and (more := to.recv(1 << 16)):
            answers += more
        sender.join()
    kinds = np.frombuffer(bytes(answers[: count * ANSWER]), np.uint8).reshape(-1, ANSWER)[:, 4]
    if len(kinds) < count or (kinds != MessageType.ACK).any():
        raise CcnError(Problem("bench", "the forwarder refused a transaction"))
