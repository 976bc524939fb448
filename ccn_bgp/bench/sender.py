"""A raw BGP speaker: it waits for one session and writes messages that were encoded before.

In: whole messages. Out: TCP, as fast as the other side takes it. What the other side says is read
and dropped, or kept with its time (``keep``) to be counted when the clock has stopped. It waits on
a loopback address of its own, or on one end of a hand-off. RFC 4271.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

from ccn_bgp.bench.stream import SENDER_ASN, SENDER_VTEP
from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.session.encode import MARKER, end_of_rib

ADDRESS = "127.0.0.2"
HOLD_TIME = 180
KEEPALIVE_EVERY = 30.0
KEEPALIVE = MARKER + b"\0\x13\x04"
PIECE = 1 << 18
_OPEN, _NOTIFICATION, _KEEPALIVE = 1, 3, 4


def open_message(
    asn: Asn, router_id: Ip, hold_time: int, family: Family = Family.EVPN, *, asn4: bool = True
) -> bytes:
    """OPEN with one family and 4-octet AS numbers (RFC 4760 §8, RFC 6793 §3)."""
    afi, safi = family.value
    capabilities = b"\x01\x04" + afi.to_bytes(2, "big") + bytes((0, safi))
    if asn4:
        capabilities += b"\x41\x04" + asn.to_bytes(4, "big")
    parameters = bytes((2, len(capabilities))) + capabilities
    short = asn if asn < 65536 else 23456
    body = (
        b"\x04"
        + short.to_bytes(2, "big")
        + hold_time.to_bytes(2, "big")
        + router_id
        + bytes((len(parameters),))
        + parameters
    )
    return MARKER + (19 + len(body)).to_bytes(2, "big") + bytes((_OPEN,)) + body


class Sender:
    """One speaker, one session. A context manager; ``port`` is where to dial.

    With ``deaf`` it refuses whoever dials until ``establish`` is called.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        port: int = 0,
        *,
        asn: Asn = SENDER_ASN,
        router_id: Ip = SENDER_VTEP,
        family: Family = Family.EVPN,
        asn4: bool = True,
        keep: bool = False,
        deaf: bool = False,
    ) -> None:
        self.address, self.asn, self.family, self.asn4 = address, asn, family, asn4
        self.router_id = router_id
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        if not deaf:
            self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._write = threading.Lock()
        self._ended = threading.Event()
        self.fault = ""
        self.established = 0.0
        self.heard: list[tuple[float, bytes]] | None = [] if keep else None
        """(time.perf_counter(), octets) of everything since the session is up."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in (self._peer, self._listener):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def establish(
        self,
        timeout: float = 120.0,
        dial: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait for the subject's session, the first or another one after it has ended.

        With ``dial`` we dial that port of 127.0.0.1. ``check`` is called while nobody comes: it
        raises if the subject has ended. UnreachableError if no session comes up in that time.
        """
        deadline = time.monotonic() + timeout
        last = "nobody dialled"
        if not dial:
            self._listener.listen()
        while (left := deadline - time.monotonic()) > 0:
            peer: socket.socket | None = None
            try:
                peer = self._dialled(dial) if dial else self._accepted(min(left, 1.0))
                peer.settimeout(10.0)
                self._greet(peer)
            except OSError as error:
                check()
                if peer is not None or dial:
                    last = str(error)
                if peer is not None:
                    peer.close()
                time.sleep(0.02)
                continue
            peer.settimeout(None)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer, self.fault = peer, ""
            self.established = time.perf_counter()
            for work in (self._read, self._keep_alive):
                threading.Thread(target=work, args=(peer,), daemon=True).start()
            return
        raise UnreachableError(
            Problem(f"{self.address} port {self.port}", f"no session within {timeout:g} s: {last}")
        )

    def _accepted(self, seconds: float) -> socket.socket:
        self._listener.settimeout(seconds)
        return self._listener.accept()[0]

    def _dialled(self, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), 10.0, (self.address, 0))

    def send(self, messages: bytes) -> None:
        """Write whole messages; returns when TCP has taken them. CcnError if the session ended."""
        if self._peer is None or self.fault:
            raise CcnError(Problem("bench sender", self.fault or "no session"))
        self._send(self._peer, messages)

    def _send(self, peer: socket.socket, messages: bytes) -> None:
        try:
            with self._write:
                peer.sendall(messages)
        except OSError as error:
            raise CcnError(Problem("bench sender", self.fault or str(error))) from None

    def end_of_rib(self) -> None:
        """Say that everything has been said."""
        self.send(end_of_rib(self.family))

    def _greet(self, peer: socket.socket) -> None:
        peer.sendall(open_message(self.asn, self.router_id, HOLD_TIME, self.family, asn4=self.asn4))
        kind, body = _message(peer)
        if kind != _OPEN:
            raise OSError(f"message of type {kind} instead of OPEN: {body.hex()}")
        peer.sendall(KEEPALIVE)
        kind, body = _message(peer)
        if kind != _KEEPALIVE:
            raise OSError(f"message of type {kind} instead of KEEPALIVE: {body.hex()}")

    def _read(self, peer: socket.socket) -> None:
        fault = "the subject's session ended"
        try:
            rest = b""
            while piece := peer.recv(PIECE):
                if self.heard is not None:
                    self.heard.append((time.perf_counter(), piece))
                rest, notification = _notified(rest + piece)
                if notification:
                    code, subcode = notification
                    fault = f"the subject sent NOTIFICATION {code}/{subcode}"
                    break
        except OSError as error:
            fault = f"{fault}: {error}"
        if not self._ended.is_set() and self._peer is peer:
            self.fault = fault

    def _keep_alive(self, peer: socket.socket) -> None:
        while not self._ended.wait(KEEPALIVE_EVERY) and self._peer is peer:
            try:
                self._send(peer, KEEPALIVE)
            except CcnError:
                return


def send_all(senders: Sequence[tuple[Sender, bytes]]) -> None:
    """Each sender its messages, all at the same time; returns when TCP has taken all of them.

    CcnError: a session ended.
    """
    faults: list[CcnError] = []

    def work(sender: Sender, messages: bytes) -> None:
        try:
            sender.send(messages)
        except CcnError as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def _notified(octets: bytes) -> tuple[bytes, tuple[int, int] | None]:
    """What is left behind the last whole message, and the code of a NOTIFICATION if there is one:
    nothing follows it."""
    position, end = 0, len(octets)
    while position + 19 <= end:
        length = max(octets[position + 16] << 8 | octets[position + 17], 19)
        if position + length > end:
            break
        if octets[position + 18] == _NOTIFICATION and length > 20:
            return b"", (octets[position + 19], octets[position + 20])
        position += length
    return octets[position:], None


def _message(peer: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next message; OSError at the end of the stream."""
    header = _exactly(peer, 19)
    return header[18], _exactly(peer, max((header[16] << 8 | header[17]) - 19, 0))


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            raise OSError("closed")
        data += piece
    return data
