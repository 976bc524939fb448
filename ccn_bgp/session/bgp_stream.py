"""A BGP session as two streams of octets: what to cut out of one, what may be put into the other.

In: octets as TCP delivers them, whole messages to send. Out: where the UPDATEs and ROUTE-REFRESHes
stand, which KEEPALIVE or NOTIFICATION was among them, and a send buffer into which a message can be
slipped at the next message boundary. Pure apart from the ``send`` it is given. RFC 4271 §4.1, §6.1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MARKER = b"\xff" * 16
HEADER_LENGTH = 19
NOTIFICATION_LENGTH = 21
"""At least: the header, an error code and a subcode."""
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
NAMES = {1: "OPEN", 2: "UPDATE", 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A NOTIFICATION that must be sent: code, subcode, data; ``text`` is for our operator alone."""

    code: int
    subcode: int
    data: bytes
    text: str = ""


@dataclass(slots=True)
class Cut:
    """What stands in a piece of stream.

    ``runs`` are (start, end) of unbroken runs of UPDATE and ROUTE-REFRESH messages, in order;
    ``used`` octets are dealt with, the rest begins a message that is not complete. ``heard`` says
    that a whole message of any kind was there. After a ``notification`` (its body), a ``fault`` or
    something ``unanswerable`` nothing more is read.
    """

    runs: list[tuple[int, int]] = field(default_factory=list)
    used: int = 0
    heard: bool = False
    notification: bytes | None = None
    fault: Fault | None = None
    unanswerable: str = ""
    """Why the session ends without a NOTIFICATION."""


def cut(data: bytes, maximum: int) -> Cut:
    """Find the messages of an Established session in ``data``, which starts at a boundary.

    ``maximum`` is the negotiated message length, 4096 or 65535 octets (RFC 8654). Header faults
    are those of RFC 4271 §6.1, of a ROUTE-REFRESH's length of RFC 7313 §5, of an OPEN of RFC 6608.
    """
    found = Cut()
    start = at = 0
    end = len(data)
    while end - at >= HEADER_LENGTH:
        if data[at : at + 16] != MARKER:
            found.fault = Fault(1, 1, b"")
            break
        length = data[at + 16] << 8 | data[at + 17]
        kind = data[at + 18]
        after = at + length
        if kind == UPDATE:
            if not 23 <= length <= maximum:
                found.fault = Fault(1, 2, data[at + 16 : at + 18])
                break
            if after > end:
                break
            at = after
            continue
        if kind == NOTIFICATION:
            found.unanswerable = notification_fault(length, maximum)
        else:
            found.fault = _header_fault(kind, length, maximum, data[at + 16 : at + 18])
        if found.fault or found.unanswerable or after > end:
            break
        if kind == ROUTE_REFRESH:
            if length != 23:
                found.fault = Fault(7, 1, data[at:after])
                break
            at = after
            continue
        if start < at:
            found.runs.append((start, at))
        start = after
        if kind == NOTIFICATION:
            found.notification = data[at + HEADER_LENGTH : after]
            at = after
            break
        at = after
    if start < at:
        found.runs.append((start, at))
    found.used = at
    found.heard = at > 0
    return found


def early_fault(kind: int, awaited: int) -> Fault | None:
    """What is wrong with a message of this kind before the session is Established, where OPEN or
    KEEPALIVE is awaited."""
    if not OPEN <= kind <= ROUTE_REFRESH:
        return Fault(1, 3, bytes((kind,)), f"type {kind}")
    if kind in (awaited, NOTIFICATION):
        return None
    return unexpected(1 if awaited == OPEN else 2, kind)


def _header_fault(kind: int, length: int, maximum: int, field_: bytes) -> Fault | None:
    if kind == OPEN:
        return unexpected(3, kind)
    if not OPEN <= kind <= ROUTE_REFRESH:
        return Fault(1, 3, bytes((kind,)), f"type {kind}")
    # RFC 8654 §4: OPEN and KEEPALIVE stay within 4096; a KEEPALIVE is a header and nothing else.
    most = 19 if kind == KEEPALIVE else maximum
    return None if HEADER_LENGTH <= length <= most else Fault(1, 2, field_)


def unexpected(state: int, kind: int) -> Fault:
    """A message in a state that has no place for it: OpenSent is 1, OpenConfirm 2, Established 3
    (RFC 6608 §3). The data are its type (§4)."""
    return Fault(5, state, bytes((kind,)), NAMES[kind])


def notification_fault(length: int, maximum: int) -> str:
    """What is wrong with a NOTIFICATION of this length, or ``""``. It is not answered with one:
    RFC 4271 §6.4."""
    if NOTIFICATION_LENGTH <= length <= maximum:
        return ""
    allowed = f"{NOTIFICATION_LENGTH} to {maximum}"
    return f"a NOTIFICATION of {length} octets (RFC 4271 §4.5: {allowed})"


class SendBuffer:
    """Messages for one TCP connection; a message is never broken by another."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[bytes, bool]] = deque()
        self._sent = 0  # octets of the first block that TCP has taken
        self.octets = 0

    def append(self, messages: bytes) -> None:
        """Whole messages, after everything that waits."""
        if messages:
            self._blocks.append((messages, True))
            self.octets += len(messages)

    def slip_in(self, message: bytes) -> None:
        """One message of the session itself, at the next message boundary."""
        self.octets += len(message)
        if not self._sent:
            self._blocks.appendleft((message, False))
            return
        block, counted = self._blocks.popleft()
        boundary = _boundary(block, self._sent)
        if boundary < len(block):
            self._blocks.appendleft((block[boundary:], counted))
        self._blocks.appendleft((message, False))
        if boundary > self._sent:
            self._blocks.appendleft((block[:boundary], counted))
        else:
            self._sent = 0

    def clear(self) -> None:
        """Forget what waits, save for the rest of a message that is partly out."""
        if self._sent:
            block, counted = self._blocks[0]
            head = block[: _boundary(block, self._sent)]
            self._blocks = deque([(head, counted)] if len(head) > self._sent else [])
            self._sent = self._sent if self._blocks else 0
        else:
            self._blocks.clear()
        self.octets = sum(len(block) for block, _ in self._blocks) - self._sent

    def flush(self, send: Callable[[memoryview], int], budget: int) -> int:
        """Give ``send`` what it takes, up to about ``budget`` octets; BlockingIOError ends it.

        Returns how many octets of appended messages (not of those slipped in) went out.
        """
        out = 0
        while self._blocks and budget > 0:
            block, counted = self._blocks[0]
            try:
                sent = send(memoryview(block)[self._sent :])
            except BlockingIOError:
                break
            budget -= sent
            self.octets -= sent
            self._sent += sent
            if counted:
                out += sent
            if self._sent == len(block):
                self._blocks.popleft()
                self._sent = 0
        return out


def _boundary(block: bytes, sent: int) -> int:
    """The first message boundary of ``block`` at or after ``sent``."""
    at = 0
    while at < sent:
        at += block[at + 16] << 8 | block[at + 17]
    return at
