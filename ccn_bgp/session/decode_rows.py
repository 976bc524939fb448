"""UPDATEs of one session into columns: whole blocks of messages in, PrefixRows out.

What is plain (an UPDATE without fault that speaks of type 5 and unicast routes alone) is read for
thousands of messages at once; everything else goes message by message through Decoder, in its
place in the order. That the two say the same is held by tests/property/test_decode_rows.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.rows import PrefixRows, Vocabulary
from ccn_bgp.session.decode import UPDATE, Decoder, RouteRefresh, SessionParameters, Update, Verdict
from ccn_bgp.session.decode_columns import ColumnReader, Columns
from ccn_bgp.session.decode_fields import FieldFinder, Frames, framed


class Judged(NamedTuple):
    """One message that was read by itself, and what it says."""

    decoded: Update | RouteRefresh
    raw: bytes


class RowDecoder:
    """Decodes one session into rows numbered by ``vocabulary``.

    ``updates`` counts the UPDATEs taken since the beginning, ``taken`` the octets of the block
    that is being read: what stands behind a session reset is never taken. Numbers in rows hold as
    long as the vocabulary is not renumbered, which must not happen in the middle of a block.
    """

    def __init__(self, parameters: SessionParameters, vocabulary: Vocabulary) -> None:
        self.decoder = Decoder(parameters)
        self.updates = 0
        self.taken = 0
        self._vocabulary = vocabulary
        self._fields = FieldFinder(self.decoder)
        self._reader = ColumnReader(self._fields, self.decoder, vocabulary)
        self._caches = (0, 0)

    def block(self, raw: bytes) -> Iterator[PrefixRows | Judged]:
        """The parts of one block in order. Rows of different widths may change places between
        two Judged: their routes have nothing in common. Ends after a session reset."""
        self.taken = 0
        self._renew()
        frames = framed(raw)
        fields, others = self._fields.find(frames)
        columns, refused = self._reader.read(frames, fields)
        counted = np.cumsum(frames.octets[frames.starts + 18] == UPDATE)
        before = self.updates
        cut = [0] * len(columns)
        for message in sorted(refused.union(others)):
            yield from _until(columns, cut, message)
            start = int(frames.starts[message])
            self.taken = start + int(frames.sizes[message])
            self.updates = before + int(counted[message])
            for judged in self._judged(raw[start : self.taken]):
                yield judged
                if _is_reset(judged):
                    return
        yield from _until(columns, cut, len(frames.starts))
        self.taken = frames.end
        self.updates = before + (int(counted[-1]) if len(counted) else 0)
        if frames.end < len(raw):
            yield from self._broken(frames)

    def _renew(self) -> None:
        """Numbers that have become void since the last block are forgotten."""
        caches = self.decoder.cache.generation, self._vocabulary.generation
        if caches != self._caches:
            if caches[0] != self._caches[0]:
                self._fields.forget()
            self._reader.forget()
            self._caches = caches

    def _judged(self, raw: bytes) -> Iterator[Judged]:
        for decoded in self.decoder.message(raw):
            yield Judged(decoded, raw)

    def _broken(self, frames: Frames) -> Iterator[Judged]:
        """What stands behind the last whole message: its length is wrong, or it is cut off."""
        rest = frames.raw[frames.end :]
        length = int.from_bytes(rest[16:18], "big")
        raw = rest[: max(length, 19)]
        self.taken = frames.end + len(raw)
        self.updates += raw[18:19] == bytes((UPDATE,))
        yield from self._judged(raw)


def _is_reset(judged: Judged) -> bool:
    decoded = judged.decoded
    return isinstance(decoded, Update) and decoded.verdict is Verdict.SESSION_RESET


def _until(columns: list[Columns], cut: list[int], message: int) -> Iterator[PrefixRows]:
    """The rows of all messages before ``message`` that have not been given out yet."""
    for index, (origin, rows) in enumerate(columns):
        first, stop = cut[index], int(np.searchsorted(origin, message))
        if stop > first:
            cut[index] = stop
            yield rows if stop - first == len(rows) else _part(rows, slice(first, stop))


def _part(rows: PrefixRows, part: slice) -> PrefixRows:
    return PrefixRows(
        rows.announced[part],
        rows.distinguisher[part],
        rows.address[part],
        rows.length[part],
        rows.body[part],
    )
