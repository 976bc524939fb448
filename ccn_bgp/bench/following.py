"""Do packets follow? Probes through the real forwarder, or look-ups in it where nobody is root.

In: a route of the stream. Out: which gateway a packet to it is sent to. A probe is a VXLAN frame of
a VM, written to the far end of the uplink; what comes out of the forwarder is seen there too.
"""

from __future__ import annotations

import itertools
import select
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

from ccn_bgp.bench import frames, stream
from ccn_bgp.bench.sites import FIRST_VPC_VNI, VM, VMS
from ccn_bgp.bench.subject import Subject
from ccn_bgp.bench.wiring import UPLINK, UPLINK_FAR, Wires
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab import netns
from ccn_bgp.model.bgp import Ip

FORWARDER_PORT = {UPLINK: f"auto:{UPLINK}"}
PATIENCE = 60.0
GAP = 0.0002
"""Seconds between two probes or look-ups."""
_IPV4 = 0x0800
_SOL_PACKET, _IGNORE_OUTGOING = 263, 23  # linux/if_packet.h
_FLOW = 1 << 30
"""Numbers from here on are of a steady flow."""
_MAGIC = b"CCNBENCH"
_PROBE = struct.Struct("!8sI10x")
_OUTER_DESTINATION = slice(30, 34)
_PAYLOAD = slice(92, 114)
_SOURCE = Ip.parse(VM)


class Follower(ABC):
    """Where packets to a route go; ``kind`` says how that is known."""

    kind = ""

    def until(self, index: int, vtep: Ip) -> float:
        """The moment (time.perf_counter()) at which the first packet to this route is sent to
        ``vtep``. CcnError: none within PATIENCE."""
        begun = time.perf_counter()
        self.begin()
        while not self.goes(index, vtep):
            if time.perf_counter() - begun > PATIENCE:
                raise CcnError(Problem("bench", f"route {index} takes more than {PATIENCE:g} s"))
        return time.perf_counter()

    @abstractmethod
    def begin(self) -> None:
        """What was asked before does not count any more."""

    @abstractmethod
    def goes(self, index: int, vtep: Ip) -> bool:
        """Does a packet to this route go there? An answer takes GAP if it is no."""


class Rows(Follower):
    """LOOKUP on the forwarder's control socket."""

    kind = "row in the forwarder"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def begin(self) -> None:
        """Nothing is under way: every look-up is answered."""

    def goes(self, index: int, vtep: Ip) -> bool:
        """What the row says."""
        answer = self.subject.client.lookup(stream.ccn_id(index), stream.prefix(index).address)
        if answer["found"] and answer["next_hop"]["ip"].tobytes()[:4] == vtep:
            return True
        time.sleep(GAP)
        return False


class Packets(Follower):
    """Probes: one every GAP."""

    kind = "packet"

    def __init__(self, subject: Subject, wires: Wires) -> None:
        with netns.entered(wires.far):
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4))
        self._wire.bind((UPLINK_FAR, 0))
        self._wire.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._mac = subject.client.port_status()[0].mac
        self._number = self._first = 0

    def close(self) -> None:
        """Give the socket back."""
        self._wire.close()

    def send(self, index: int, number: int) -> None:
        """One probe to a route of the first VMS CCNs."""
        vpc = stream.ccn_id(index) - 1
        if vpc >= VMS:
            raise ValueError(f"no VM in the CCN of route {index}")
        payload = _PROBE.pack(_MAGIC, number)
        destination = Ip((stream.prefix(index).address.number + 9).to_bytes(4, "big"))
        flow = number % 1000
        self._wire.send(
            frames.vxlan(
                FIRST_VPC_VNI + vpc, _SOURCE, destination, payload, flow=flow, port_mac=self._mac
            )
        )

    def receive(self, seconds: float) -> tuple[int, Ip] | None:
        """Number and outer destination of the next probe that comes out, within that time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if not select.select([self._wire], [], [], left)[0]:
                return None
            frame = self._wire.recv(2048)
            if frame[_PAYLOAD][:8] != _MAGIC:
                continue
            _, number = _PROBE.unpack(frame[_PAYLOAD])
            return number, Ip(frame[_OUTER_DESTINATION])
        return None

    def begin(self) -> None:
        """Probes that are still under way are of an earlier question."""
        self._first = self._number + 1

    def goes(self, index: int, vtep: Ip) -> bool:
        """One more probe; is it, or one before it, on its way to ``vtep``?"""
        self._number += 1
        self.send(index, self._number)
        end = time.perf_counter() + GAP
        while (left := end - time.perf_counter()) > 0:
            came = self.receive(left)
            if came is not None and came[0] >= self._first and came[1] == vtep:
                return True
        return False


class Flow(NamedTuple):
    """What became of a steady flow: packets sent and lost, longest time between two arrivals, s."""

    sent: int
    lost: int
    gap: float


class SteadyFlow:
    """A flow of probes to some routes in the background, as long as the context lasts."""

    RATE = 1000

    def __init__(self, packets: Packets, indexes: list[int]) -> None:
        self._packets, self._indexes = packets, indexes
        self._stop = threading.Event()
        self._ended = 0.0
        self._sent = 0
        self._arrived: dict[int, float] = {}
        self._threads = [threading.Thread(target=w) for w in (self._send, self._receive)]

    def __enter__(self) -> SteadyFlow:
        for thread in self._threads:
            thread.start()
        return self

    def _send(self) -> None:
        begun = time.perf_counter()
        while not self._stop.is_set():
            self._packets.send(self._indexes[self._sent % len(self._indexes)], _FLOW + self._sent)
            self._sent += 1
            time.sleep(max(begun + self._sent / self.RATE - time.perf_counter(), 0))

    def _receive(self) -> None:
        while not self._stop.is_set() or self._last():
            came = self._packets.receive(0.2)
            if came is not None and came[0] >= _FLOW:
                self._arrived[came[0]] = time.perf_counter()

    def _last(self) -> bool:
        """Is something still under way? Half a second after the end nothing is."""
        return time.perf_counter() < self._ended + 0.5 and len(self._arrived) < self._sent

    def __exit__(self, *_: object) -> None:
        self._ended = time.perf_counter()
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def result(self) -> Flow:
        """After the end."""
        moments = sorted(self._arrived.values())
        gap = max((b - a for a, b in itertools.pairwise(moments)), default=0.0)
        return Flow(self._sent, self._sent - len(self._arrived), gap)
