"""How much of each block is still in use, so that what nobody has any more is not kept for ever.

In: Tables that take the place of others. Out: nothing; where fewer than half of a block's rows are
those of Tables in use, these move to a block of their own, and the memory is given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from ccn_bgp.table.tables import Block, BlockRows, Table
from ccn_bgp.table.together import together


def _block(table: Table) -> Block:
    return table.at[0]


class BlockUse:
    """The blocks of the Tables in use, and how many rows of each these have."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._spent: dict[int, Block] = {}

    def replace(self, before: Mapping[str, Table], made: Sequence[Table]) -> None:
        """``made``, all of one block, come into use; those of their names in ``before`` go."""
        if not made:
            return
        block, _ = made[0].at
        self._rows[id(block)] = block.rows
        gone = [old for table in made if (old := before.get(table.name)) is not None]
        for block, tables in groupby(gone, _block):
            left = self._rows[id(block)] - sum(map(len, tables))
            self._rows[id(block)] = left
            if left * 2 < block.rows or not left:
                self._spent[id(block)] = block

    def tidy(self, tables: Mapping[str, Table]) -> None:
        """Move what little is used of a block to another one. ``tables``: all in use."""
        if not self._spent:
            return
        left = [table for table in tables.values() if id(_block(table)) in self._spent]
        for number in self._spent:
            del self._rows[number]
        self._spent.clear()
        if left:
            block = _apart(left)
            for place, table in enumerate(left):
                table.move_to(block, place)
            self._rows[id(block)] = block.rows


def _apart(tables: list[Table]) -> Block:
    """These as a block that shares no memory with those where they are."""
    block = together(tables)
    v4, v6 = (
        BlockRows(rows.address.copy(), rows.length.copy(), rows.answer.copy(), rows.bounds)
        for rows in (block.v4, block.v6)
    )
    known = all(_block(table).digested for table in tables)
    digests = [table.digest for table in tables] if known else None
    return Block(block.heads, list(block.answers), block.bounds, v4, v6, digests=digests)
