"""The control socket's client: in come record arrays, out go commits, dumps, counters, look-ups.

Blocking; a commit is short. One client holds one connection and is used by one thread at a time.
Arrays are sent as they lie in memory, in messages below CCN_MAX_MESSAGE.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.forwarder import answers, wire
from ccn_bgp.forwarder.answers import Counter, Offender, PortStatus
from ccn_bgp.forwarder.wire import Flag, MessageType, NakCode

Array = np.ndarray[Any, np.dtype[Any]]
Records = Iterable[tuple[int, int, Array]]
"""(message type, flags, array of that type's dtype), in the order in which they are sent."""


LOOK = 0.1
"""Seconds without an answer after which it is looked whether the forwarder was stopped."""
PROOF = 300
"""Seconds that may lie between ``prepare`` and ``finish``: a busy machine takes long to prove."""
OCTETS_PER_SECOND = 1e6
"""Of a transaction, at the slowest: who takes longer to answer is taken for stopped."""


class SilentError(UnreachableError):
    """The forwarder is there and does not answer: it was stopped, or has no CPU."""


class Hello(NamedTuple):
    """What the forwarder says of itself: ``generation`` 0 means that it holds no tables."""

    generation: int
    digest: bytes
    pid: int


class Nak(CcnError):  # noqa: N818 - the name of the message
    """The forwarder refused; nothing was changed. ``generation`` is the one in force."""

    def __init__(self, code: NakCode, text: str, generation: int, record: int = 0) -> None:
        self.code = code
        self.text = text
        self.generation = generation
        self.record = record
        super().__init__(Problem("forwarder", f"refused ({code.name.lower()}): {text}"))


class ForwarderClient:
    """One connection to a forwarder. Use ``connect``; close it or use it as a context manager."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._socket: socket.socket
        self._prepared: Array | None = None
        self._pid = 0
        self._told = 0  # octets of the transaction
        self.hello: Hello
        self._open()

    @classmethod
    def connect(cls, path: str | Path, timeout: float = 5.0) -> Self:
        """Connect and greet. UnreachableError if nobody is there, SilentError if somebody is who
        does not answer within ``timeout`` seconds."""
        return cls(Path(path), timeout)

    def _open(self) -> None:
        """Who has no room for one more hangs up at once: try again until the timeout."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return self._greet()
            except (ConnectionResetError, BrokenPipeError) as error:
                if time.monotonic() > deadline:
                    raise self._unreachable(error) from None
                time.sleep(0.02)

    def _greet(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(self._timeout)
        greeting = np.zeros(1, wire.HELLO)
        greeting["magic"] = wire.MAGIC
        greeting["version"] = wire.VERSION
        greeting["sizes"] = wire.SIZES
        greeting["client"] = wire.octets(b"ccn_bgp", 32)
        try:
            self._connect()
            self._send(MessageType.HELLO, 0, greeting)
            ack = self._expect(MessageType.HELLO_ACK)[0]
        except (ConnectionResetError, BrokenPipeError):
            self._socket.close()
            raise
        except OSError as error:
            self._socket.close()
            raise self._unreachable(error) from None
        except CcnError:
            self._socket.close()
            raise
        if int(ack["magic"]) != wire.MAGIC or tuple(ack["sizes"].tolist()) != wire.SIZES:
            self._socket.close()
            raise CcnError(
                Problem(
                    f"forwarder {self._path}",
                    "speaks another version of the wire contract",
                    "install the package and the forwarder from the same build",
                )
            )
        self.hello = Hello(int(ack["generation"]), ack["digest"].tobytes(), int(ack["pid"]))

    def _connect(self) -> None:
        """A socket whose backlog is full refuses at once, whatever the timeout: wait for room."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._socket.connect(str(self._path))
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(0.002)
        with contextlib.suppress(OSError):
            held = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            self._pid = struct.unpack("3i", held)[0]

    def _unreachable(self, error: OSError) -> UnreachableError:
        where = f"forwarder {self._path}"
        if isinstance(error, TimeoutError):
            hint = f"if it was stopped: `kill -CONT {self._pid}`" if self._pid else ""
            return SilentError(Problem(where, "is there and does not answer", hint))
        what = str(error.strerror or error)
        return UnreachableError(Problem(where, what, "is ccn-forwarder running?"))

    def close(self) -> None:
        """Close the connection; an open transaction is forgotten by the forwarder."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def at_end(self) -> bool:
        """True if the forwarder has closed the connection; does not wait."""
        # A socket with a timeout is waited for in recv, whatever MSG_DONTWAIT says.
        look = select.poll()
        try:
            look.register(self._socket, select.POLLIN)
            return bool(look.poll(0)) and self._socket.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    def stopped(self) -> bool:
        """True if its process was stopped (SIGSTOP, a debugger), and cannot answer before it is
        woken. False if it runs, or if that cannot be seen from here."""
        try:
            status = Path(f"/proc/{self._pid}/stat").read_bytes()
        except OSError:
            return False
        return status.rpartition(b")")[2].split()[0] in (b"T", b"t")

    # --- requests ---

    def commit(self, base: int, next: int, records: Records, digest: bytes, full: bool) -> int:
        """Put a transaction into force; the generation then in force.

        ``digest`` is kept by the forwarder (at most 32 octets). ``full`` replaces all tables,
        whatever the base. Raises ValueError for a wrong dtype, Nak (nothing changed) or
        UnreachableError (the commit may or may not have happened: reconnect and read ``hello``).
        """
        return self._end(self._tell(base, next, records, digest, full), prepared=False)

    def prepare(self, base: int, next: int, records: Records, full: bool = False) -> None:
        """Let the forwarder check and stage a transaction, and do not wait for it: nothing is in
        force, and nothing else may be asked, before ``finish`` or ``give_up``."""
        end = self._tell(base, next, records, b"", full)
        end["patience"] = PROOF
        try:
            self._send(MessageType.PREPARE, 0, end)
        except OSError as error:
            raise self._broken(error) from None
        self._prepared = end

    def finish(self, digest: bytes) -> int:
        """Put what was prepared into force, like ``commit``."""
        end, self._prepared = self._prepared, None
        assert end is not None
        end["digest"] = wire.octets(digest, 32)
        return self._end(end, prepared=True)

    def give_up(self) -> None:
        """Forget what was prepared, if anything was. UnreachableError."""
        if self._prepared is None:
            return
        self._prepared = None
        try:
            self._reopen()
        except OSError as error:
            raise self._unreachable(error) from None

    def _tell(self, base: int, next: int, records: Records, digest: bytes, full: bool) -> Array:
        """Send a transaction up to its end; what that end says."""
        begin = np.zeros(1, wire.BEGIN)
        begin["base"], begin["next"] = base, next
        end = np.zeros(1, wire.COMMIT)
        end["next"] = next
        end["digest"] = wire.octets(digest, 32)
        crc = 0
        self._told = 0
        if self.stopped():  # a large one would wait for room
            raise self._unreachable(TimeoutError())
        try:
            self._send(MessageType.BEGIN, Flag.FULL if full else 0, begin)
            for kind, flags, array in records:
                self._told += array.nbytes
                for chunk in _chunks(_checked(MessageType(kind), array)):
                    crc = self._send(kind, flags, chunk, crc)
        except OSError as error:
            raise self._broken(error) from None
        except BaseException:
            with contextlib.suppress(OSError, CcnError):
                self._reopen()  # a fault of ours: the forwarder forgets what it was told
            raise
        end["crc"] = crc
        return end

    def _end(self, end: Array, *, prepared: bool) -> int:
        try:
            self._send(MessageType.COMMIT, 0, end)
            # a large commit may take the forwarder longer than an answer should
            self._socket.settimeout(self._timeout + self._told / OCTETS_PER_SECOND)
            if prepared:
                self._expect(MessageType.ACK)
            generation = int(self._expect(MessageType.ACK)[0]["generation"])
            self._socket.settimeout(self._timeout)
        except Nak:
            self._reopen()  # what was still under way has been refused too
            raise
        except OSError as error:
            raise self._broken(error) from None
        self.hello = Hello(generation, end["digest"][0].tobytes(), self.hello.pid)
        return generation

    def dump(self) -> dict[MessageType, Array]:
        """Every record that the forwarder holds, per type; VTEPs and VMs sorted by key."""
        found = self._ask(MessageType.DUMP)
        records = {kind: found.get(kind, np.zeros(0, wire.RECORDS[kind])) for kind in wire.RECORDS}
        for kind, keys in ((MessageType.VTEP, 2), (MessageType.VM, 3)):
            array = records[kind]
            columns = (
                [array["vni"], array["address"]]
                if keys == 2
                else [
                    array["vni"],
                    array["family"],
                    array["ip"],
                ]
            )
            records[kind] = array[_order(columns)]
        return records

    def counters(self) -> list[Counter]:
        """All counters, as they stand."""
        return answers.counters(self._ask(MessageType.STATS))

    def offenders(self, ccsi: int = 0) -> list[Offender]:
        """Of each reason for a drop the first packet and the last; ``ccsi``: among its packets."""
        if not ccsi:
            return answers.offenders(self._ask(MessageType.STATS))
        question = np.zeros(1, wire.OFFENDERS)
        question["ccsi"] = ccsi
        return answers.offenders(self._ask(MessageType.OFFENDERS, question))

    def port_status(self) -> list[PortStatus]:
        """All ports, in the order of the command line."""
        return answers.ports(self._ask(MessageType.STATS))

    def lookup(self, ccsi: int, ip: bytes) -> np.void:
        """The rows that a packet to ``ip`` (4 or 16 octets) in this CCSI meets: LOOKUP_RESULT."""
        question = np.zeros(1, wire.LOOKUP)
        question["ccsi"] = ccsi
        question["family"] = 4 if len(ip) == 4 else 6
        question["ip"] = wire.octets(ip, 16)
        try:
            self._send(MessageType.LOOKUP, 0, question)
            answer: np.void = self._expect(MessageType.LOOKUP_RESULT)[0]
        except OSError as error:
            raise self._unreachable(error) from None
        return answer

    # --- messages ---

    def trace(self, port: str, frame: bytes, *, dry_run: bool) -> tuple[Array, list[Counter]]:
        """Send a frame of at most 512 octets through the packet path as if it had come by ``port``:
        what it met (TRACE_STEP), and the counters that it alone has moved, by how much."""
        question = np.zeros(1, wire.TRACE)
        question["port"] = wire.octets(port.encode(), 16)
        question["length"], question["dry_run"] = len(frame), dry_run
        question["frame"] = wire.octets(frame, wire.TRACE["frame"].shape[0])
        answer = self._ask(MessageType.TRACE, question)
        steps = answer.get(MessageType.TRACE_STEP, np.zeros(0, wire.TRACE_STEP))
        return steps, answers.counters(answer)

    def _ask(self, kind: MessageType, question: Array | None = None) -> dict[MessageType, Array]:
        """All records of the answer up to its ACK, per type."""
        parts: dict[MessageType, list[Array]] = {}
        try:
            self._send(kind, 0, question)
            while True:
                answer, array = self._receive()
                if answer is MessageType.ACK:
                    break
                parts.setdefault(answer, []).append(array)
        except OSError as error:
            raise self._unreachable(error) from None
        return {answer: np.concatenate(arrays) for answer, arrays in parts.items()}

    def _send(self, kind: int, flags: int, array: Array | None, crc: int = 0) -> int:
        """Send one message; the CRC-32 continued over its octets."""
        body = memoryview(b"") if array is None else array.view(np.uint8).data
        header = np.zeros(1, wire.HEADER)
        header["length"] = wire.HEADER.itemsize + len(body)
        header["type"], header["flags"] = kind, flags
        header["count"] = 0 if array is None else len(array)
        head = header.tobytes()
        self._socket.sendall(head)
        if body:
            self._socket.sendall(body)
        return zlib.crc32(body, zlib.crc32(head, crc))

    def _receive(self) -> tuple[MessageType, Array]:
        """The next message; Nak raised if it is one."""
        self._wait()
        header = np.frombuffer(self._exactly(wire.HEADER.itemsize), wire.HEADER)[0]
        kind = MessageType(int(header["type"]))
        body = self._exactly(int(header["length"]) - wire.HEADER.itemsize)
        array = np.frombuffer(body, wire.ANSWERS[kind])
        if kind is MessageType.NAK:
            nak = array[0]
            raise Nak(
                NakCode(int(nak["code"])),
                wire.text_of(nak["text"]),
                int(nak["generation"]),
                int(nak["record"]),
            )
        return kind, array

    def _wait(self) -> None:
        """Until there is something to read; TimeoutError after the timeout, and of one that was
        stopped as soon as that is seen: who asks has other things to do."""
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        deadline = time.monotonic() + (self._socket.gettimeout() or 0)
        while not look.poll(LOOK * 1e3):
            if time.monotonic() > deadline or self.stopped():
                raise TimeoutError

    def _expect(self, wanted: MessageType) -> Array:
        kind, array = self._receive()
        if kind is not wanted:
            raise CcnError(
                Problem(f"forwarder {self._path}", f"answered {kind.name} instead of {wanted.name}")
            )
        return array

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view)
            if count == 0:
                raise ConnectionResetError(0, "closed the connection")
            view = view[count:]
        return data

    def _broken(self, error: OSError) -> CcnError | Nak:
        """What it means that a transaction could not be sent. The refusal may be what closed the
        connection: it says more than a broken pipe."""
        refusal = self._pending_nak()
        if refusal is None:
            return self._unreachable(error)
        with contextlib.suppress(OSError, CcnError):
            self._reopen()
        return refusal

    def _pending_nak(self) -> Nak | None:
        try:
            self._receive()
        except Nak as nak:
            return nak
        except (OSError, CcnError):
            return None
        return None

    def _reopen(self) -> None:
        self._socket.close()
        self._open()


def _checked(kind: MessageType, array: Array) -> Array:
    """The array, contiguous; ValueError if it is not of the type's dtype."""
    wanted = wire.RECORDS[kind]
    if array.dtype != wanted:
        raise ValueError(f"{kind.name}: records have dtype {array.dtype}, not {wanted}")
    return np.ascontiguousarray(array)


def _chunks(array: Array) -> Iterator[Array]:
    """The array in pieces that fit a message."""
    size = (wire.MAX_MESSAGE - wire.HEADER.itemsize) // array.dtype.itemsize
    for first in range(0, len(array), size):
        yield array[first : first + size]


def _order(columns: list[Array]) -> Array:
    """Indices that sort by these columns, the first counting most."""
    keys: list[Array] = []
    for column in columns:
        keys.extend([column] if column.ndim == 1 else list(column.T))
    return np.lexsort(keys[::-1])
