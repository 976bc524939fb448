"""A raw BGP speaker: it opens one session and writes messages that were encoded before.

In: whole messages. Out: TCP, as fast as the other side takes it; what that side says is read and
dropped. It waits on a loopback address of its own, so that every subject dials it. RFC 4271.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

from ccn_bgp.bench.stream import SENDER_ASN
from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.session.encode import MARKER, end_of_rib

ADDRESS = "127.0.0.2"
ROUTER_ID = Ip.parse("198.51.100.21")
HOLD_TIME = 180
KEEPALIVE_EVERY = 30.0
KEEPALIVE = MARKER + b"\0\x13\x04"
_OPEN, _NOTIFICATION, _KEEPALIVE = 1, 3, 4


def open_message(asn: Asn, router_id: Ip, hold_time: int) -> bytes:
    """OPEN with multiprotocol EVPN and 4-octet AS numbers (RFC 4760 §8, RFC 6793 §3)."""
    afi, safi = Family.EVPN.value
    capabilities = (
        b"\x01\x04"
        + afi.to_bytes(2, "big")
        + bytes((0, safi))
        + b"\x41\x04"
        + asn.to_bytes(4, "big")
    )
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
    """One listening speaker, one session. A context manager; ``port`` is where to dial."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((ADDRESS, 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._write = threading.Lock()
        self._ended = threading.Event()
        self.fault = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in (self._peer, self._listener):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def establish(self, timeout: float = 30.0) -> None:
        """Wait for the subject's session. UnreachableError if none comes up in that time."""
        deadline = time.monotonic() + timeout
        last = "nobody dialled"
        while (left := deadline - time.monotonic()) > 0:
            self._listener.settimeout(left)
            try:
                peer, _ = self._listener.accept()
            except TimeoutError:
                break
            peer.settimeout(10.0)
            try:
                self._greet(peer)
            except OSError as error:
                last = str(error)
                peer.close()
                continue
            peer.settimeout(None)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer = peer
            for work in (self._read, self._keep_alive):
                threading.Thread(target=work, daemon=True).start()
            return
        raise UnreachableError(
            Problem(f"{ADDRESS} port {self.port}", f"no session within {timeout:g} s: {last}")
        )

    def send(self, messages: bytes) -> None:
        """Write whole messages; returns when TCP has taken them. CcnError if the session ended."""
        if self._peer is None or self.fault:
            raise CcnError(Problem("bench sender", self.fault or "no session"))
        try:
            with self._write:
                self._peer.sendall(messages)
        except OSError as error:
            raise CcnError(Problem("bench sender", self.fault or str(error))) from None

    def end_of_rib(self) -> None:
        """Say that everything has been said."""
        self.send(end_of_rib(Family.EVPN))

    def _greet(self, peer: socket.socket) -> None:
        peer.sendall(open_message(SENDER_ASN, ROUTER_ID, HOLD_TIME))
        kind, body = _message(peer)
        if kind != _OPEN:
            raise OSError(f"message of type {kind} instead of OPEN: {body.hex()}")
        peer.sendall(KEEPALIVE)
        kind, body = _message(peer)
        if kind != _KEEPALIVE:
            raise OSError(f"message of type {kind} instead of KEEPALIVE: {body.hex()}")

    def _read(self) -> None:
        assert self._peer is not None
        try:
            while not self._ended.is_set():
                kind, body = _message(self._peer)
                if kind == _NOTIFICATION:
                    self.fault = f"the subject sent NOTIFICATION {body[0]}/{body[1]}"
                    return
        except OSError as error:
            if not self._ended.is_set():
                self.fault = f"the subject's session ended: {error}"

    def _keep_alive(self) -> None:
        while not self._ended.wait(KEEPALIVE_EVERY):
            try:
                self.send(KEEPALIVE)
            except CcnError:
                return


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
