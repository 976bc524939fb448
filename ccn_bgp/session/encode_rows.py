"""Updates from columns: thousands of type 5, type 2 or unicast routes in, whole BGP messages out.
Pure.

The octets are those of encode.py for the same routes in the same order; what takes time there, one
NLRI after the other, is done here for many at once. RFC 4271 §4.3, 4760 §3, 9136 §3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.outgoing import NOTHING, Origination, OutRows, RowChanges
from ccn_bgp.session.encode import Frame, announcing, encode_updates, withdrawing

PIECE = 1 << 20
"""Octets of whole messages that go to the speaker at once."""
_BATCH = 1 << 15
"""Rows that are packed at once: so much is in memory, however many there are."""


class _Message(NamedTuple):
    """The rows of one message, and what stands around them; without a frame, rows that have to be
    told one by one because their attributes leave hardly any room."""

    begin: int
    end: int
    frame: Frame | None


def encode_rows(
    changes: RowChanges, asn4: bool = True, max_length: int = 4096, piece: int = PIECE
) -> Iterator[bytes]:
    """Pieces of about ``piece`` octets, each of whole UPDATE messages.

    As many NLRI stand in a message as fit into ``max_length`` octets. Routes whose attributes leave
    no room for one NLRI are withdrawn instead (RFC 8654 §4). ValueError: a next hop that the family
    cannot have.
    """
    waiting: list[bytes] = []
    size = 0
    for batch in _batches(_plan(changes, asn4, max_length)):
        first = batch[0].begin
        rows = changes.rows.part(slice(first, batch[-1].end))
        packed = _packed(rows, changes.originations)
        ends = _ends(rows)
        for begin, end, frame in batch:
            if frame is None:
                parts = list(_one_by_one(changes, slice(begin, end), asn4, max_length))
                octets = sum(map(len, parts))
            else:
                start, stop = ends[begin - first], ends[end - first]
                before, after = frame.around(stop - start)
                parts = [before, packed[start:stop], after]
                octets = len(before) + stop - start + len(after)
            waiting += parts
            size += octets
            if size >= piece:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _plan(changes: RowChanges, asn4: bool, max_length: int) -> Iterator[_Message]:
    """Which rows go into which message."""
    rows = changes.rows
    family = rows.family
    largest = _largest(rows)
    ends = None if rows.table is not None else np.cumsum(_sizes(rows))
    for begin, end, number in _runs(rows.attributes):
        if number == NOTHING:
            frame = withdrawing(family, max_length)
        else:
            frame = announcing(changes.sets[number], family, asn4, max_length)
        if frame.room < largest:
            yield _Message(begin, end, None)
            continue
        at = begin
        while at < end:
            if ends is None:
                stop = at + frame.room // largest
            else:
                before = int(ends[at - 1]) if at else 0
                stop = at
                if int(ends[end - 1]) - before <= frame.room:
                    stop = end
                else:
                    stop = int(np.searchsorted(ends, before + frame.room, "right"))
            stop = min(stop, end)
            yield _Message(at, stop, frame)
            at = stop


def _batches(messages: Iterator[_Message]) -> Iterator[list[_Message]]:
    batch: list[_Message] = []
    for message in messages:
        batch.append(message)
        if message.end - batch[0].begin >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _runs(numbers: npt.NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Where runs of one number begin and end, and the number."""
    if not len(numbers):
        return
    borders = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    begins = [0, *borders.tolist()]
    values = numbers[begins].tolist()
    for (begin, end), number in zip(pairwise([*begins, len(numbers)]), values, strict=True):
        yield begin, end, number


def _largest(rows: OutRows) -> int:
    """Octets of the longest NLRI that rows like these can have."""
    if rows.table is None:
        return 1 + rows.width
    if rows.mac is not None:
        return 2 + 36 + rows.width
    return 2 + 34 if rows.width == 4 else 2 + 58


def _sizes(rows: OutRows) -> npt.NDArray[np.int64]:
    """Octets of each unicast NLRI."""
    return 1 + (rows.length.astype(np.int64) + 7) // 8


def _ends(rows: OutRows) -> list[int]:
    """Where each NLRI ends in the packed octets; 0 stands first."""
    if rows.table is not None:
        step = _largest(rows)
        return list(range(0, step * len(rows) + 1, step))
    return [0, *np.cumsum(_sizes(rows)).tolist()]


def _packed(rows: OutRows, originations: Mapping[int, Origination]) -> bytes:
    """All NLRI, one after the other."""
    width = rows.width
    if rows.table is None:
        octets = np.empty((len(rows), 1 + width), np.uint8)
        octets[:, 0] = rows.length
        octets[:, 1:] = rows.address
        return octets[np.arange(1 + width) < _sizes(rows)[:, None]].tobytes()
    tables = rows.table
    borders = np.flatnonzero(tables[1:] != tables[:-1]) + 1
    begins = np.concatenate(([0], borders))
    head = _nlri_of if rows.mac is None else _vm_nlri_of
    heads = b"".join(head(originations[t], t, width) for t in tables[begins].tolist())
    templates = np.frombuffer(heads, np.uint8).reshape(len(begins), -1)
    counts = np.diff(np.concatenate((begins, [len(rows)])))
    octets = np.repeat(templates, counts, axis=0)
    if rows.mac is not None:
        octets[:, 25:31] = rows.mac
        octets[:, 32 : 32 + width] = rows.address
        return octets.tobytes()
    octets[:, 24] = rows.length
    octets[:, 25 : 25 + width] = rows.address
    return octets.tobytes()


def _vm_nlri_of(origination: Origination, vni: int, width: int) -> bytes:
    """A type 2 NLRI of the VPC without its addresses (RFC 7432 §7.2)."""
    rd, l3vni, etag = origination
    parts = (
        bytes((2, 36 + width)),
        rd,
        bytes(10),
        etag.to_bytes(4, "big"),
        bytes((48, *bytes(6), width * 8)),
        bytes(width),
        vni.to_bytes(3, "big"),
        l3vni.to_bytes(3, "big"),
    )
    return b"".join(parts)


def _nlri_of(origination: Origination, _: int, width: int) -> bytes:
    """A type 5 NLRI of the table without its prefix."""
    rd, vni, etag = origination
    parts = (
        bytes((5, 26 + 2 * width)),
        rd,
        bytes(10),
        etag.to_bytes(4, "big"),
        bytes(1 + 2 * width),
        vni.to_bytes(3, "big"),
    )
    return b"".join(parts)


def _one_by_one(changes: RowChanges, which: slice, asn4: bool, max_length: int) -> Iterator[bytes]:
    part = RowChanges(changes.rows.part(which), changes.sets, changes.originations)
    announced, withdrawn = part.expanded()
    yield from encode_updates(announced, withdrawn, asn4, max_length)
