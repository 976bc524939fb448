"""What comes out of a forwarder whose tables change: every frame must be of one generation.

In: a pcap stream of frames that torture_tables.py stamped. Each is compared, octet for octet, with
what its lane gives under the generation that its endpoint names. Out: how many were seen, how many
were of two generations, and how often a later packet met an older one. Run as a process of its own
(``python -m ccn_bgp.bench.torture_check FILE``), it prints that as JSON.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ccn_bgp.bench import torture_tables as tables
from ccn_bgp.bench.torture_tables import LANES, LENGTH, MEMBERS, SIGNATURES, Kind

FILE_HEADER, RECORD_HEADER = 24, 16
PIECE = 1 << 20
_LANES = sum(lanes.number for lanes in LANES.values())
_NO_SIGNATURE = -1
_ENDPOINT, _KIND, _LANE = 33, LENGTH - 3, LENGTH - 1
"""Octets that tell what a frame should be."""
_PORT = slice(34, 36)
"""The outer UDP source port, a hash."""

Octets = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


@dataclass
class Seen:
    """``changes``: how often a lane's packets went over to a next generation, by kind."""

    packets: int = 0
    mixed: int = 0
    backwards: int = 0
    silence: float = 0.0
    """Longest time without a packet, in seconds."""
    changes: dict[str, int] = field(default_factory=dict)
    example: str = ""
    """The first frame that was wrong, in hex."""


def _expected() -> Octets:
    """The frame for each lane, member and signature; zeros where there is none."""
    frames = np.zeros((_LANES + 1, MEMBERS, SIGNATURES, LENGTH), np.uint8)
    at = 0
    for kind, lanes in LANES.items():
        for lane in range(lanes.number):
            for member in range(MEMBERS if kind is Kind.GROUP else 1):
                for signature in range(SIGNATURES):
                    frame = tables.expected(kind, lane, signature, member)
                    frames[at, member, signature] = np.frombuffer(frame, np.uint8)
            at += 1
    return frames.reshape(-1, LENGTH)


class Checker:
    """Takes frames as they come."""

    def __init__(self) -> None:
        self.seen = Seen(changes={kind.name: 0 for kind in Kind})
        self._expected = _expected().view(np.uint64)
        mask = np.full((1, LENGTH), 0xFF, np.uint8)
        mask[0, _PORT] = 0
        self._mask = mask.view(np.uint64)
        self._expected &= self._mask
        self._lane = np.full((256, 256), _LANES, np.int64)
        """Of kind and number, in the order of all lanes; one more for those that there are not."""
        self._order = np.zeros(_LANES, np.uint8)
        """For each lane the one whose order it shares: itself, or the first of its kind."""
        self._kind = np.zeros(_LANES, np.int64)
        at = 0
        for kind, lanes in LANES.items():
            own = np.arange(lanes.number)
            self._lane[kind, : lanes.number] = at + own
            self._order[at : at + lanes.number] = at + (0 if lanes.together else own)
            self._kind[at : at + lanes.number] = kind
            at += lanes.number
        self._last = np.full(_LANES, _NO_SIGNATURE, np.int64)

    def take(self, frames: Octets) -> None:
        """``frames``: uint8[n, LENGTH], in the order in which they were sent."""
        lane = self._lane[frames[:, _KIND], frames[:, _LANE]]
        member, signature = np.divmod(frames[:, _ENDPOINT].astype(np.int64) - 1, SIGNATURES)
        known = (member >= 0) & (member < MEMBERS)
        place = (np.where(known, lane, _LANES) * MEMBERS + member * known) * SIGNATURES + signature
        words = np.ascontiguousarray(frames).view(np.uint64) & self._mask
        right = (words == self._expected[place]).all(axis=1)
        self.seen.packets += len(frames)
        if not right.all():
            self.seen.mixed += int(np.count_nonzero(~right))
            self._note(frames[np.argmin(right)])
            frames, lane, signature = frames[right], lane[right], signature[right]
        if len(frames):
            self._follow(frames, lane, signature)

    def _note(self, frame: Octets) -> None:
        self.seen.example = self.seen.example or frame.tobytes().hex()

    def _follow(self, frames: Octets, lane: Numbers, signature: Numbers) -> None:
        """In what shares an order no packet meets an older generation than the one before it."""
        place = np.argsort(self._order[lane], kind="stable")
        order, now = self._order[lane][place], signature[place]
        before = np.empty_like(now)
        before[1:] = now[:-1]
        first = np.flatnonzero(np.diff(order, prepend=order[0] + 1))
        held = self._last[order[first]]
        before[first] = np.where(held == _NO_SIGNATURE, now[first], held)
        self._last[order] = now  # of several the last one stays
        steps = (now - before) % SIGNATURES
        back = steps > SIGNATURES // 2
        if back.any():
            self.seen.backwards += int(np.count_nonzero(back))
            self._note(frames[place[np.argmax(back)]])
        changed = np.bincount(self._kind[lane[place[steps != 0]]], minlength=len(Kind))
        for kind in Kind:
            self.seen.changes[kind.name] += int(changed[kind])


def check(stream: BinaryIO) -> Seen:
    """Everything up to the end of the stream. ValueError if a frame has another length."""
    checker = Checker()
    size = RECORD_HEADER + LENGTH
    stream.read(FILE_HEADER)
    rest = b""
    last = time.monotonic()
    while piece := stream.read1(PIECE):  # type: ignore[attr-defined]
        checker.seen.silence = max(checker.seen.silence, time.monotonic() - last)
        octets = rest + piece
        whole = len(octets) // size * size
        rest = octets[whole:]
        records = np.frombuffer(octets, np.uint8, whole).reshape(-1, size)
        if (np.ascontiguousarray(records[:, 8:12]).view("<u4") != LENGTH).any():
            raise ValueError("a frame of another length came out")
        if len(records):
            checker.take(records[:, RECORD_HEADER:])
        last = time.monotonic()
    return checker.seen


def main(path: str) -> None:
    """Check the file (or FIFO) and print what was seen."""
    with Path(path).open("rb", buffering=PIECE) as stream:
        if Path(path).is_fifo():
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIECE)
        print(json.dumps(asdict(check(stream))))


if __name__ == "__main__":
    main(sys.argv[1])
