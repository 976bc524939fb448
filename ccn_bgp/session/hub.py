"""The child's end of the channel: sessions, their buffers, and one turn per loop of the reactor.

In: blocks that a session read, frames of the gateway. Out: frames to the gateway, messages to the
peers' TCP. It knows ExaBGP only through the objects it is given and imports nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from ccn_bgp.session.bgp_stream import NOTIFICATION, SendBuffer
from ccn_bgp.session.channel import (
    PROTOCOL,
    ChannelError,
    FrameQueue,
    Frames,
    Kind,
    addressees,
    jsoned,
)

READ = 256 << 10
WRITE_PER_TURN = 1 << 20
PEER_LIMIT = 1 << 20
"""Octets of one peer that the gateway may have before it before the peer's TCP is no longer read:
here, on the channel and with the gateway, which says what it has dealt with."""
TOTAL_LIMIT = 64 << 20
"""Octets of all peers together."""
SEND_HOLD = 480.0
"""Seconds without a single octet taken after which a peer is given up, or twice the hold time if
that is longer (RFC 9687 §5). It sends KEEPALIVEs, and what it forwards by is what it read last."""
SAME, OTHER = 60.0, 1.0
"""Seconds between two words on attempts that failed, for the same reason and for another one."""
SEND_HOLD_EXPIRED = (8, 0)


def gateway_is_gone() -> NoReturn:
    """End now. The kernel closes TCP without a NOTIFICATION (RFC 4724 §4)."""
    os._exit(0)


class Session:
    """One Established session: its number, its buffers."""

    def __init__(self, number: int, name: str, protocol: Any, hold_time: int = 0) -> None:
        self.number = number
        self.name = name
        self.protocol = protocol
        self.rest = b""
        self.waiting = 0  # octets of this peer that the gateway has not dealt with
        self.buffer = SendBuffer()
        self.sent = 0
        self.patience = max(SEND_HOLD, 2.0 * hold_time) if hold_time else float("inf")
        self.moved = time.monotonic()  # when TCP took something, or nothing waited
        self.broken = ""
        self.notify: tuple[int, int] | None = None

    def flush(self) -> None:
        """Write to the peer what its TCP takes now."""
        connection = self.protocol.connection
        if self.broken or connection is None or connection.io is None:
            return
        before, now = self.buffer.octets, time.monotonic()
        try:
            self.sent += self.buffer.flush(connection.io.send, WRITE_PER_TURN)
        except OSError as error:
            self.broken = f"cannot write: {error.strerror}"
        if self.buffer.octets < before or not self.buffer.octets:
            self.moved = now
        elif now - self.moved > self.patience and self.notify is None:
            self.notify = SEND_HOLD_EXPIRED

    def writer(self, data: bytes) -> Iterator[bool]:
        """Stand-in for Connection.writer: KEEPALIVE and NOTIFICATION between our messages."""
        if data[18] == NOTIFICATION:
            self.buffer.clear()
        self.buffer.slip_in(data)
        self.flush()
        yield True


class Hub:
    """The channel to the gateway and the sessions that use it. One per process."""

    def __init__(self, channel: socket.socket, version: str) -> None:
        self.channel = channel
        self.version = version
        self.frames = Frames()
        self.queue = FrameQueue(channel)
        self.sessions: dict[int, Session] = {}
        self.reactor: Any = None
        self.preserved: frozenset[str] | None = None
        """Peers to which OPEN says that forwarding went on; None: the gateway has not said yet."""
        self.reload: Callable[[], str] = lambda: "not started"
        self._number = 0
        self._greeted = False
        self._failures: dict[str, tuple[str, float]] = {}
        self.ended: dict[int, Session] = {}  # of which the gateway has not dealt with all
        self.waiting: Counter[str] = Counter()  # octets by peer, whatever its sessions
        self.all_waiting = 0

    def push(self, kind: Kind, session: int = 0, payload: bytes = b"") -> None:
        """Append a frame to what the gateway will read."""
        self.queue.push(kind, session, payload)

    def flush(self) -> None:
        """Write what the gateway takes now."""
        try:
            self.queue.flush()
        except OSError:
            gateway_is_gone()

    def greet(self) -> None:
        """Say once that the configuration is loaded and the listeners are bound."""
        if not self._greeted:
            self._greeted = True
            self.push(Kind.HELLO, 0, jsoned({"protocol": PROTOCOL, "version": self.version}))

    def up(self, protocol: Any, facts: dict[str, Any]) -> Session:
        """A session is Established; ``facts`` become OpenFacts on the other side."""
        self.greet()
        self._number += 1
        name, hold_time = protocol.neighbor["description"], facts.get("hold-time", 0)
        session = Session(self._number, name, protocol, hold_time)
        self.sessions[session.number] = session
        self.push(Kind.UP, session.number, jsoned({"peer": session.name, "open": facts}))
        self.flush()
        return session

    def down(self, session: Session, reason: str) -> None:
        """The session has ended; a second call does nothing."""
        if self.sessions.pop(session.number, None):
            if session.waiting:
                self.ended[session.number] = session
            self.push(Kind.DOWN, session.number, jsoned({"reason": reason}))
            self.flush()

    def failed(self, name: str, reason: str) -> None:
        """An attempt to have a session has failed. The gateway hears of it at most once a second,
        and of the same again after a minute."""
        now = time.monotonic()
        before, when = self._failures.get(name, ("", -SAME))
        if now - when >= (SAME if reason == before else OTHER):
            self._failures[name] = reason, now
            self.greet()
            self.push(Kind.FAILED, 0, jsoned({"peer": name, "reason": reason}))
            self.flush()

    def block(self, session: Session, messages: bytes) -> None:
        """Hand over whole messages of a session."""
        self.push(Kind.BLOCK, session.number, messages)
        self._count(session, len(messages))

    def full(self, session: Session) -> bool:
        """True while the gateway is so far behind that this peer must wait."""
        return self.waiting[session.name] > PEER_LIMIT or self.all_waiting > TOTAL_LIMIT

    def _count(self, session: Session, octets: int) -> None:
        session.waiting += octets
        self.all_waiting += octets
        self.waiting[session.name] += octets
        if not self.waiting[session.name]:
            del self.waiting[session.name]
        if not session.waiting:
            self.ended.pop(session.number, None)

    def turn(self) -> None:
        """Once per loop of the reactor: take what the gateway says, write what waits."""
        self.greet()
        self._receive()
        poller = self.reactor._poller
        for session in list(self.sessions.values()):
            if session.buffer.octets:
                session.flush()
            if session.sent:
                self.push(Kind.SENT, session.number, struct.pack("<I", session.sent))
                session.sent = 0
            # A peer that must wait is not polled for input, or the loop would spin; one whose
            # window was closed is polled for output. Only what the reactor has registered by
            # itself is changed: it looks up every descriptor that is ready.
            wanted = 0 if self.full(session) else select.POLLIN | select.POLLPRI
            if session.buffer.octets and not session.broken:
                wanted |= select.POLLOUT
            with contextlib.suppress(OSError):
                poller.modify(session.protocol.fd(), wanted)
        self.flush()
        poller.register(
            self.channel.fileno(), select.POLLIN | (select.POLLOUT if self.queue.octets else 0)
        )

    def await_preserved(self, seconds: float = 5.0) -> None:
        """The gateway's first words, which the first OPENs need."""
        deadline = time.monotonic() + seconds
        while self.preserved is None and time.monotonic() < deadline:
            select.select([self.channel], [], [], 0.1)
            self._receive()

    def _receive(self) -> None:
        for _ in range(16):
            try:
                octets = self.channel.recv(READ)
            except BlockingIOError:
                return
            except OSError:
                gateway_is_gone()
            if not octets:
                gateway_is_gone()
            try:
                for kind, number, payload in self.frames.feed(octets):
                    of = (
                        self.ended if kind is Kind.TAKEN and number in self.ended else self.sessions
                    )
                    self._obey(kind, of.get(number), payload)
            except ChannelError as error:
                print(f"the gateway sent {error}", file=sys.stderr, flush=True)
                gateway_is_gone()

    def _obey(self, kind: Kind, session: Session | None, payload: bytes) -> None:
        if kind is Kind.SEND and session:
            session.buffer.append(payload)
        elif kind is Kind.SEND_MANY:
            numbers, messages = addressees(payload)
            for number in numbers:
                if one := self.sessions.get(number):
                    one.buffer.append(messages)
        elif kind is Kind.TAKEN and session:
            self._count(session, -struct.unpack("<I", payload)[0])
        elif kind is Kind.TEARDOWN and session:
            session.notify = (payload[0], payload[1])
        elif kind is Kind.RELOAD:
            self.push(Kind.RELOADED, 0, jsoned({"problem": self.reload()}))
        elif kind is Kind.PRESERVED:
            self.preserved = frozenset(json.loads(payload)["peers"])
        elif kind is Kind.STOP:
            self.reactor.signal.received = self.reactor.signal.SHUTDOWN
