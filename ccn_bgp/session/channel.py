"""What the gateway and its ExaBGP child say to each other over one unix stream socket.

In: frames to send, octets received. Out: the same the other way round. Both sides share this file,
so it must not import exabgp. A frame is a 12-octet header (payload length, kind, session) and its
payload; ``session`` is a number that the child gives to each Established session and never uses
twice, so that octets meant for a session that has gone are recognised and dropped.
"""

from __future__ import annotations

import enum
import json
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

PROTOCOL = 4
"""Version of this channel; both sides compare it in HELLO."""
HEADER = struct.Struct("<IB3xI")
MAX_PAYLOAD = 64 << 20
"""A longer length field means that the two sides have lost each other."""
_IOVECS = 64


class Kind(enum.IntEnum):
    """The frames. JSON payloads are objects; the others are as said."""

    HELLO = 1  # child: {"protocol", "version"}: configuration loaded, listeners bound
    UP = 2  # child: {"peer", "open": {...}}: Established
    DOWN = 3  # child: {"reason"}
    BLOCK = 4  # child: whole UPDATE and ROUTE-REFRESH messages as they came
    SENT = 5  # child: u32, octets of SEND that the peer's TCP has taken
    RELOADED = 6  # child: {"problem"}, empty if the new configuration is served
    FAILED = 7  # child: {"peer", "reason"}: an attempt ended before it was Established
    SEND = 16  # gateway: whole messages for the peer
    TEARDOWN = 17  # gateway: u8 code, u8 subcode of the NOTIFICATION
    RELOAD = 18  # gateway: the configuration file was rewritten
    STOP = 19  # gateway: Cease to every peer, then exit
    SEND_MANY = 20  # gateway: u32 count, as many u32 sessions, whole messages for each of them
    TAKEN = 22  # gateway: u32, octets of BLOCKs of this session that it has dealt with
    PRESERVED = 21  # gateway: {"peers": [names]}, those to say the F bit to; also its first frame


class ChannelError(Exception):
    """The stream cannot be a stream of frames."""


def addressed(sessions: Sequence[int]) -> bytes:
    """What stands before the messages of SEND_MANY."""
    return struct.pack(f"<{1 + len(sessions)}I", len(sessions), *sessions)


def addressees(payload: bytes) -> tuple[tuple[int, ...], bytes]:
    """Sessions and messages of SEND_MANY; ChannelError if it is shorter than it says."""
    count = int.from_bytes(payload[:4], "little")
    if len(payload) < 4 + 4 * count:
        raise ChannelError(f"{len(payload)} octets for {count} sessions")
    return struct.unpack_from(f"<{count}I", payload, 4), payload[4 + 4 * count :]


def jsoned(value: dict[str, Any]) -> bytes:
    """A JSON payload."""
    return json.dumps(value, separators=(",", ":")).encode()


class Frames:
    """Octets in any pieces → whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> Iterator[tuple[Kind, int, bytes]]:
        """Yield (kind, session, payload) of each frame that is complete; ChannelError if broken.

        The iterator must be run to its end before the next call.
        """
        buffer = self._buffer
        buffer += octets
        at = 0
        while len(buffer) - at >= HEADER.size:
            length, kind, session = HEADER.unpack_from(buffer, at)
            if length > MAX_PAYLOAD:
                raise ChannelError(f"a frame of {length} octets")
            end = at + HEADER.size + length
            if end > len(buffer):
                break
            try:
                name = Kind(kind)
            except ValueError:
                raise ChannelError(f"a frame of unknown kind {kind}") from None
            yield name, session, bytes(memoryview(buffer)[at + HEADER.size : end])
            at = end
        del buffer[:at]


class FrameQueue:
    """Frames that wait to be written to a non-blocking socket, in order."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._parts: deque[memoryview] = deque()
        self.octets = 0

    def push(self, kind: Kind, session: int = 0, *payload: bytes | memoryview) -> None:
        """Append one frame; the parts of ``payload`` are not copied and must not change."""
        length = sum(map(len, payload))
        self._parts.append(memoryview(HEADER.pack(length, kind, session)))
        self._parts.extend(memoryview(part) for part in payload if part)
        self.octets += HEADER.size + length

    def flush(self) -> bool:
        """Write what the socket takes now; True when nothing waits. OSError as the socket says."""
        parts = self._parts
        while parts:
            batch = [parts[i] for i in range(min(len(parts), _IOVECS))]
            try:
                sent = self._socket.sendmsg(batch)
            except BlockingIOError:
                return False
            self.octets -= sent
            while sent:
                head = parts[0]
                if len(head) > sent:
                    parts[0] = head[sent:]
                    break
                sent -= len(head)
                parts.popleft()
        return True
