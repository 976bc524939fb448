"""Many tables as one block: their rows behind one another, in columns.

In: Tables, made together or not. Out: a Block. Tables that stand together in one block are taken as
one stretch of it, without a copy where nothing else is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.table.tables import Block, BlockRows, Head, Table

Stretch = tuple[Block, int, int]
"""Tables ``first`` to ``behind`` of a block."""

_NOBODY = Head("", 0, "")


def together(tables: Sequence[Table | None]) -> Block:
    """These tables in this order, as they are now; None stands for one without rows."""
    stretches, lengths = _stretches(tables)
    if len(stretches) == 1 and lengths == [len(tables)]:
        block, first, behind = stretches[0]
        if first == 0 and behind == len(block.heads) == len(tables):
            return block
    answers: list[Any] = []
    bounds = [0]
    shifts = []
    for (block, first, behind), length in zip(stretches, lengths, strict=True):
        begin, end = block.bounds[first], block.bounds[behind]
        shifts.append(shift := len(answers) - begin)
        answers += block.answers[begin:end]
        bounds += [bound + shift for bound in block.bounds[first + 1 : behind + 1]]
        bounds += [len(answers)] * (length - behind + first)
    heads = [_NOBODY if table is None else table.head for table in tables]
    v4, v6 = (
        _rows([getattr(b, family) for b, _, _ in stretches], stretches, lengths, shifts, width)
        for family, width in (("v4", 4), ("v6", 16))
    )
    return Block(heads, answers, bounds, v4, v6)


_EMPTY = Block(
    [],
    [],
    [0],
    *(
        BlockRows(
            np.zeros((0, width), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.uint32), [0]
        )
        for width in (4, 16)
    ),
)


def _stretches(tables: Sequence[Table | None]) -> tuple[list[Stretch], list[int]]:
    """What stands together, and how many of ``tables`` each is: what is None goes with the one
    before."""
    found: list[Stretch] = []
    lengths: list[int] = []
    block, first, behind, length = _EMPTY, 0, 0, 0
    for table in tables:
        if table is None:
            length += 1
            continue
        of, place = table.at
        if of is block and place == behind and length == behind - first:
            behind += 1
            length += 1
            continue
        if length:
            found.append((block, first, behind))
            lengths.append(length)
        block, first, behind, length = of, place, place + 1, 1
    if length:
        found.append((block, first, behind))
        lengths.append(length)
    return found, lengths


def _rows(
    parts: Sequence[BlockRows],
    stretches: Sequence[Stretch],
    lengths: Sequence[int],
    shifts: Sequence[int],
    width: int,
) -> BlockRows:
    address, length, answer, counts = [], [], [], []
    bounds = [0]
    total = 0
    for rows, (_, first, behind), tables in zip(parts, stretches, lengths, strict=True):
        begin, end = rows.bounds[first], rows.bounds[behind]
        shift = total - begin
        bounds += [bound + shift for bound in rows.bounds[first + 1 : behind + 1]]
        total += end - begin
        bounds += [total] * (tables - behind + first)
        counts.append(end - begin)
        if end > begin:
            address.append(rows.address[begin:end])
            length.append(rows.length[begin:end])
            answer.append(rows.answer[begin:end])
    if not total:
        empty = _EMPTY.v4 if width == 4 else _EMPTY.v6
        return empty._replace(bounds=bounds)
    number = _one(answer)
    if any(shifts):
        moved = np.array(shifts, np.int64).astype(np.uint32)  # wraps, and back
        number = number + (
            moved[counts.index(total)] if len(answer) == 1 else np.repeat(moved, counts)
        )
    return BlockRows(_one(address), _one(length), number, bounds)


def _one(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)
