"""BGP as octets on real TCP, for tests that play a peer: well-behaved ones, and others.

In: what to say. Out: messages, connections that remember what they heard, and ``Steady``, a peer
that goes on announcing whatever happens to others. RFC 4271 §4, 5492, 9136.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterable

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5


def message(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """One message; ``length`` says otherwise than it is."""
    return MARKER + struct.pack("!HB", 19 + len(body) if length is None else length, kind) + body


ALIVE = message(KEEPALIVE)


def capability(code: int, value: bytes = b"") -> bytes:
    """A capability (RFC 5492 §4)."""
    return bytes((code, len(value))) + value


EVPN = capability(1, b"\0\x19\0\x46")
REFRESH = capability(2) + capability(70)


def four_octets(asn: int) -> bytes:
    """The capability that carries the AS number (RFC 6793 §3)."""
    return capability(65, asn.to_bytes(4))


def opening(
    asn: int,
    parameters: bytes | None = None,
    *,
    version: int = 4,
    hold: int = 90,
    router_id: bytes = b"\x0a\x09\x09\x09",
    more: bytes = b"",
) -> bytes:
    """An OPEN for EVPN with ``more`` capabilities, or with these optional parameters."""
    if parameters is None:
        told = EVPN + four_octets(asn) + more
        parameters = bytes((2, len(told))) + told
    two = asn if asn < 65536 else 23456
    head = struct.pack("!BHH", version, two, hold) + router_id
    return message(OPEN, head + bytes((len(parameters),)) + parameters)


def update(attributes: bytes = b"", withdrawn: bytes = b"", nlri: bytes = b"") -> bytes:
    """An UPDATE of these fields."""
    fields = len(withdrawn).to_bytes(2), withdrawn, len(attributes).to_bytes(2), attributes, nlri
    return message(UPDATE, b"".join(fields))


END_OF_RIB = update(b"\x80\x0f\x03\0\x19\x46")


def type5(asn: int, number: int) -> bytes:
    """An UPDATE with the EVPN prefix 100.64.0.0/24 or one of those behind it; CCN 100, AS 64600."""
    route = (
        b"\0\1\xcb\0\x71\x01\0\x64" + bytes(14) + b"\x18" + (0x64400000 + number * 256).to_bytes(4)
    )
    reach = b"\0\x19\x46\x04\xcb\0\x71\x01\0\x05\x22" + route + bytes(4) + (20100).to_bytes(3)
    return update(
        b"\x40\x01\x01\x00\x40\x02\x06\x02\x01" + asn.to_bytes(4)
        + b"\xc0\x10\x18\0\2\xfc\x58\0\0\0\x64\x03\x0c\0\0\0\0\0\x08\x06\x03\x02\x99\0\0\0\x09"
        + b"\x90\x0e" + len(reach).to_bytes(2) + reach
    )  # fmt: skip


class Line:
    """A TCP connection to a speaker; everything that comes is kept."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = bytearray()
        self.ended = ""

    def say(self, octets: bytes) -> None:
        """Send, whether or not anybody still reads."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(10)
            self.sock.sendall(octets)

    def listen(self, seconds: float) -> bool:
        """Read once, for so long at most; False at the end of the connection."""
        self.sock.settimeout(max(seconds, 0.001))
        try:
            octets = self.sock.recv(1 << 16)
        except TimeoutError:
            return True
        except OSError as error:
            self.ended = error.strerror or "error"
            return False
        self.heard += octets
        self.ended = "" if octets else "closed"
        return bool(octets)

    def until(self, kind: int, seconds: float = 10) -> bytes:
        """The body of the next message of this kind that came, or comes; "" if none does before
        the connection ends."""
        end = time.monotonic() + seconds
        while True:
            for found, body in self.messages():
                if found == kind:
                    return body or b"-"
            if time.monotonic() > end or not self.listen(end - time.monotonic()):
                return b""

    def closed(self, seconds: float = 10) -> bool:
        """Whether the other end ends the connection within so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.listen(end - time.monotonic()):
                return True
        return False

    def messages(self) -> Iterable[tuple[int, bytes]]:
        """(kind, body) of what has come whole."""
        at = 0
        while len(self.heard) >= at + 19:
            length, kind = struct.unpack_from("!HB", self.heard, at + 16)
            if len(self.heard) < at + length:
                return
            yield kind, bytes(self.heard[at + 19 : at + length])
            at += length

    @property
    def notification(self) -> tuple[int, int] | None:
        """(code, subcode) of the one that came."""
        return next(((b[0], b[1]) for kind, b in self.messages() if kind == NOTIFICATION), None)

    def reset(self) -> None:
        """End without a word: RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Steady(threading.Thread):
    """A peer that waits to be dialled and announces one more prefix each ``pause`` seconds."""

    def __init__(
        self, listener: socket.socket, asn: int, hold: int = 9, pause: float = 0.1
    ) -> None:
        super().__init__(daemon=True)
        self.listener, self.asn, self.hold, self.pause = listener, asn, hold, pause
        self.announced: list[float] = []
        self.sessions = 0
        self.ended = ""
        self.stop = threading.Event()

    def run(self) -> None:
        self.listener.settimeout(30)
        line = Line(self.listener.accept()[0])
        self.sessions += 1
        line.say(opening(self.asn, hold=self.hold))
        line.until(OPEN)
        line.say(ALIVE + END_OF_RIB)
        alive = time.monotonic()
        while not self.stop.wait(self.pause) and not line.ended:
            if time.monotonic() - alive > self.hold / 3:
                line.say(ALIVE)
                alive = time.monotonic()
            line.say(type5(self.asn, len(self.announced)))
            self.announced.append(time.monotonic())
            line.listen(0)
            line.heard.clear()
        self.ended = line.ended
        line.close()
