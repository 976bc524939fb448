"""Recording of all sessions of one gateway as MRT files (mrt.py), by a thread of its own.

In: what Sessions hears, as it takes it. Out: files ``GATEWAY.NNNNNN.YYYYMMDDThhmmssZ.mrt`` of
bounded size and age, the oldest removed when all together are too much. The event loop only hands
octets over; a disk that is full or too slow ends the recording with one log line, and nothing else.

What MRT has no field for is said so (docs/operations.md, "Recording"):
- the interface index is the number of the peer, which the FQDN capability of its OPEN names;
- Established → Idle: all that it said is forgotten; → Active: what it named for graceful restart
  is kept; → Connect: our speaker was lost, all is kept; X → X: what was still stale is swept;
- Idle → Connect: begin anew with nothing, this peer or (number 0) the whole gateway.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Gateway
from ccn_bgp.session.events import OpenFacts
from ccn_bgp.session.mrt import (
    Frame,
    Link,
    State,
    message_records,
    open_message,
    state_record,
    whole_records,
)

log = logging.getLogger("ccn.record")

BACKLOG = 128 << 20
"""Octets that may wait for the disk."""
BATCH = 1 << 20


class Bounds(NamedTuple):
    """Octets and seconds of one file, octets of all files of the gateway."""

    file_octets: int = 64 << 20
    file_seconds: float = 3600
    total_octets: int = 1 << 30


class Unrecorded:
    """Takes what Sessions hears, and keeps nothing of it. ``failed``: why a recording has ended."""

    failed = ""

    def up(self, peer: Peer, facts: OpenFacts) -> None:
        """A session is Established."""

    def heard(self, peer: str, messages: bytes) -> None:
        """Whole messages of a session, as they were taken."""

    def left(self, peer: str, state: State) -> None:
        """A session has ended; ``state`` says what is kept of it (see above)."""

    def swept(self, peer: str, *, up: bool) -> None:
        """What was still stale of this peer is forgotten."""

    def forgotten(self, peer: str) -> None:
        """All that this peer ever said is forgotten."""

    def close(self) -> None:
        """Write what is waiting and end."""


class _Item(NamedTuple):
    """For the thread: what happened to the session of this number. ``octets`` are messages;
    ``change`` is a state change; ``opens`` an OPEN that every later file begins with."""

    when: int
    number: int
    frame: Frame
    octets: bytes = b""
    change: tuple[State, State] | None = None
    opens: bool = False


class Recorder(Unrecorded):
    """Records one gateway into a directory. Methods are for the event loop's thread."""

    def __init__(self, directory: Path, gateway: Gateway, bounds: Bounds | None = None) -> None:
        """InputError: the directory cannot be made or written to."""
        self.directory = directory
        self.gateway = gateway.name
        self.bounds = bounds or Bounds()
        self.failed = ""
        self._numbers: dict[str, int] = {}
        self._frames: dict[str, Frame] = {}
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._given = self._taken = 0
        self._opens: dict[int, _Item] = {}
        self._file = -1
        self._path = directory
        self._octets = 0
        self._opened_at = 0.0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._rotate()
        except OSError as error:
            what = f"cannot record there: {error.strerror}"
            raise InputError(Problem(str(directory), what, "give another --record")) from None
        link = Link(gateway.asn, gateway.asn, 0, gateway.vtep, gateway.vtep)
        itself = Frame.of(link, asn4=True)
        self._put(_Item(_now(), 0, itself, change=(State.IDLE, State.CONNECT)))
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def up(self, peer: Peer, facts: OpenFacts) -> None:
        """Number the peer, record its OPEN and that it is Established."""
        number = self._numbers.setdefault(peer.name, len(self._numbers) + 1)
        link = Link(facts.asn, peer.local_asn, number, peer.address, peer.local_address)
        frame = self._frames[peer.name] = Frame.of(link, facts.asn4)
        now, message = _now(), open_message(facts, peer.name, self.gateway)
        self._put(_Item(now, number, frame, message, opens=True))
        change = (State.OPEN_CONFIRM, State.ESTABLISHED)
        self._put(_Item(now, number, frame, change=change))

    def heard(self, peer: str, messages: bytes) -> None:
        """Record messages; no copy is made here."""
        frame = self._frames.get(peer)
        if frame is not None:
            self._put(_Item(_now(), self._numbers[peer], frame, messages))

    def left(self, peer: str, state: State) -> None:
        """Record the end of a session."""
        self._change(peer, State.ESTABLISHED, state)

    def swept(self, peer: str, *, up: bool) -> None:
        """Record that a restart took too long."""
        state = State.ESTABLISHED if up else State.IDLE
        self._change(peer, state, state)

    def forgotten(self, peer: str) -> None:
        """Record that a peer is another one from now on."""
        self._change(peer, State.IDLE, State.CONNECT)

    def close(self) -> None:
        """End the thread, at most 5 s later."""
        self._queue.put(None)
        self._thread.join(5)

    def _change(self, peer: str, old: State, new: State) -> None:
        frame = self._frames.get(peer)
        if frame is not None:
            self._put(_Item(_now(), self._numbers[peer], frame, change=(old, new)))

    def _put(self, item: _Item) -> None:
        if self.failed:
            return
        if self._given - self._taken > BACKLOG:
            self._fail(f"the disk is {BACKLOG >> 20} MiB behind")
            return
        self._given += len(item.octets)
        self._queue.put(item)

    def _fail(self, why: str) -> None:
        """Say it once; from now on nothing is recorded until the gateway starts again."""
        if not self.failed:
            self.failed = f"{self._path}: {why}"
            log.error("recording ends, learning goes on: %s: %s", self._path, why)

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            batch, size = [item], len(item.octets)
            while size < BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._queue.put(None)
                    break
                batch.append(more)
                size += len(more.octets)
            if not self.failed:
                try:
                    self._write(batch)
                except OSError as error:
                    self._fail(error.strerror or str(error))
            self._taken += size
        self._close()

    def _write(self, batch: list[_Item]) -> None:
        octets = b"".join(_octets(item) for item in batch)
        old = time.monotonic() - self._opened_at > self.bounds.file_seconds
        if self._octets and (old or self._octets + len(octets) > self.bounds.file_octets):
            self._rotate()
        for item in batch:
            if item.opens:
                self._opens[item.number] = item
            elif item.change and item.change[1] is not State.ESTABLISHED:
                self._opens.pop(item.number, None)
        self._append(octets)

    def _append(self, octets: bytes) -> None:
        """Whole records; on a full disk those that fit."""
        written = 0
        try:
            while written < len(octets):
                written += os.write(self._file, memoryview(octets)[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._octets + whole_records(octets, written))
            raise
        self._octets += len(octets)

    def _rotate(self) -> None:
        """Begin the next file, with the OPEN of every session that is up."""
        self._close()
        held = self._files()
        number = held[-1][0] + 1 if held else 1
        room = self.bounds.total_octets - self.bounds.file_octets
        sizes = [path.stat().st_size for _, path in held]
        while held and sum(sizes) > room:
            held.pop(0)[1].unlink(missing_ok=True)
            sizes.pop(0)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._path = self.directory / f"{self.gateway}.{number:06d}.{stamp}.mrt"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o640)
        self._octets, self._opened_at = 0, time.monotonic()
        now = _now()
        self._append(b"".join(_octets(i._replace(when=now)) for i in self._opens.values()))

    def _files(self) -> list[tuple[int, Path]]:
        """Recordings of this gateway, oldest first."""
        form = re.compile(rf"{re.escape(self.gateway)}\.(\d{{6,}})\.\w+\.mrt")
        found = [
            (int(match[1]), path)
            for path in self.directory.iterdir()
            if (match := form.fullmatch(path.name))
        ]
        return sorted(found)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _octets(item: _Item) -> bytes:
    if item.change is not None:
        return state_record(item.when, item.frame, *item.change)
    return message_records(item.when, item.frame, item.octets)


def _now() -> int:
    return time.time_ns() // 1000
