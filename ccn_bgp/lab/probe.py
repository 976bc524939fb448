"""Stamped probes: in come the members of all CCNs, out come loss, outage and foreign stamps.

UDP from real sockets inside the namespaces of VMs and servers. Every probe carries the stamp of its
CCN: a receiver that finds another CCN's stamp has seen a leak unless a share lets it come. The rate
is bounded, so that loss comes from faults and not from overload.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ccn_bgp.lab import netns
from ccn_bgp.lab.members import Member, Pair

PORT = 7007
RATE = 4000
"""Probes per second over all pairs: a tenth of what an af_xdp copy-mode forwarder carries."""
_PROBE = struct.Struct("!4s16sII")
_MAGIC = b"CCNP"
_PADDING = bytes(36)
CONTROL = 0xFFFFFFFF
TRESPASS = 0xFFFFFFFE
_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33


@dataclass(slots=True)
class PairResult:
    """What became of the probes of one pair; times in seconds."""

    pair: Pair
    sent_at: array[float] = field(default_factory=lambda: array("d"))
    arrived: bytearray = field(default_factory=bytearray)

    @property
    def sent(self) -> int:
        """Probes sent."""
        return len(self.sent_at)

    @property
    def lost(self) -> int:
        """Probes that did not arrive."""
        return self.sent - sum(self.arrived)

    @property
    def longest_outage(self) -> float:
        """Longest time from the first probe lost in a row to the next that arrived."""
        longest, began = 0.0, -1.0
        for moment, arrived in zip(self.sent_at, self.arrived, strict=True):
            if not arrived:
                began = moment if began < 0 else began
            elif began >= 0:
                longest, began = max(longest, moment - began), -1.0
        if began >= 0:
            interval = (self.sent_at[-1] - self.sent_at[0]) / max(self.sent - 1, 1)
            longest = max(longest, self.sent_at[-1] - began + interval)
        return longest


@dataclass(frozen=True, slots=True)
class Foreign:
    """A probe of another CCN, seen where it must not be."""

    receiver: Member
    ccn: str


@dataclass(slots=True)
class ProbeResult:
    """One run. ``controls_seen`` of ``controls`` deliberate foreign stamps were recognised."""

    pairs: list[PairResult]
    foreign: list[Foreign] = field(default_factory=list)
    misdelivered: int = 0
    trespasses: int = 0
    controls: int = 0
    controls_seen: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """All probes between members."""
        return sum(pair.sent for pair in self.pairs)

    @property
    def lost(self) -> int:
        """All that did not arrive."""
        return sum(pair.lost for pair in self.pairs)


class Stamps:
    """What a probe carries: the stamp of a CCN, drawn anew for every Prober, and its number."""

    def __init__(self, ccns: Iterable[str]) -> None:
        nonce = os.urandom(16)
        self._by_name = {
            name: hashlib.sha256(nonce + name.encode()).digest()[:16] for name in sorted(ccns)
        }
        self._by_stamp = {stamp: name for name, stamp in self._by_name.items()}

    def probe(self, ccn: str, index: int, sequence: int) -> bytes:
        """The payload of one probe."""
        return _PROBE.pack(_MAGIC, self._by_name[ccn], index, sequence) + _PADDING

    def other(self, ccn: str) -> str:
        """A CCN that is not this one."""
        return next(name for name in self._by_name if name != ccn)

    def judge(self, result: ProbeResult, receiver: Member, octets: bytes) -> None:
        """Enter into ``result`` what this datagram means at this receiver."""
        if len(octets) < _PROBE.size:
            return
        magic, stamp, index, sequence = _PROBE.unpack_from(octets)
        ccn = self._by_stamp.get(stamp)
        if magic != _MAGIC or ccn is None:
            return  # of another run
        pair = result.pairs[index].pair if index < len(result.pairs) else None
        if pair and (pair.source.ccn, pair.target) == (ccn, receiver):
            if sequence < result.pairs[index].sent:
                result.pairs[index].arrived[sequence] = 1
        elif ccn == receiver.ccn:
            result.misdelivered += 1
        elif index == CONTROL:
            result.controls_seen += 1
        else:
            result.foreign.append(Foreign(receiver, ccn))


class Prober:
    """Sockets in the namespaces of all members, kept open from run to run."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        # a lab of one CCN needs a second name for its positive control
        self._stamps = Stamps({m.ccn for m in members} | {"no such CCN"})
        self._sockets: dict[Member, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        try:
            for member in self.members:
                self._open(member)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every socket."""
        self._selector.close()
        for handle in self._sockets.values():
            handle.close()

    def run(
        self,
        pairs: Sequence[Pair],
        counts: Sequence[int],
        *,
        trespass: Sequence[Pair] = (),
        control: bool = True,
        rate: int = RATE,
        linger: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> ProbeResult:
        """Send ``counts[i]`` probes over ``pairs[i]``, interleaved, at ``rate`` per second.

        ``trespass`` are pairs that must not reach each other: a few probes each. ``linger``:
        seconds to wait for what is still under way.
        """
        result = ProbeResult([PairResult(pair) for pair in pairs])
        began = time.monotonic()
        if control:
            self._send_controls(result)
        for pair in trespass:
            for _ in range(3):
                self._send(pair.source, pair.target, TRESPASS, 0)
                result.trespasses += 1
        plan = interleave(counts)
        total = len(plan)
        start, done = time.monotonic(), 0
        while done < total:
            due = min(total, int((time.monotonic() - start) * rate) + 1)
            for index in plan[done:due]:
                one = result.pairs[index]
                one.arrived.append(0)
                one.sent_at.append(time.monotonic())
                self._send(one.pair.source, one.pair.target, index, one.sent - 1)
            done = due
            self._receive(result, 0.001)
            if progress:
                progress(done, total)
        end = time.monotonic() + linger
        while time.monotonic() < end and (
            result.lost or result.controls_seen < result.controls or trespass
        ):
            self._receive(result, 0.02)
        result.seconds = time.monotonic() - began
        return result

    def _open(self, member: Member) -> None:
        family = socket.AF_INET if member.address.version == 4 else socket.AF_INET6
        with netns.entered(member.netns):
            handle = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sockets[member] = handle
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind((str(member.address), PORT))
        self._selector.register(handle, selectors.EVENT_READ, member)

    def _send(self, source: Member, target: Member, index: int, sequence: int) -> None:
        probe = self._stamps.probe(source.ccn, index, sequence)
        with contextlib.suppress(OSError):  # a probe that cannot leave is a lost probe
            self._sockets[source].sendto(probe, (str(target.address), PORT))

    def _send_controls(self, result: ProbeResult) -> None:
        """Positive control: every receiver gets one stamp of another CCN, from beside it."""
        for member in self.members:
            probe = self._stamps.probe(self._stamps.other(member.ccn), CONTROL, 0)
            self._sockets[member].sendto(probe, (str(member.address), PORT))
            result.controls += 1

    def _receive(self, result: ProbeResult, patience: float) -> None:
        for key, _ in self._selector.select(patience):
            handle, member = key.fileobj, key.data
            assert isinstance(handle, socket.socket)
            with contextlib.suppress(OSError):
                while True:
                    self._stamps.judge(result, member, handle.recv(2048))


def interleave(counts: Sequence[int]) -> array[int]:
    """Pair numbers in sending order: every pair evenly over the whole run."""
    total = sum(counts)
    keyed = sorted(
        ((step + 0.5) / count, index)
        for index, count in enumerate(counts)
        for step in range(count)
        if count
    )
    plan = array("I", bytes(4 * total))
    for position, (_, index) in enumerate(keyed):
        plan[position] = index
    return plan
