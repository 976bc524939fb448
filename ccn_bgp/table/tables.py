"""Routing tables as values, and the blocks of columns in which many are made at once.

In: rows of many tables, one table behind the other, and the Answers that they name. Out: Tables. A
Table is a view of its part of a Block: what is done with thousands of them is done with the block's
columns, and what a single one is asked for is worked out when it is asked. A Table is shared
between snapshots as long as nothing in it changed: ``is`` means unchanged.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.route import Answer, NextHop, Route

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]

_HOP = struct.Struct("<BIBBH")
"""Kind, VNI, then the octets of address, MAC and interface of a next hop."""
TOGETHER = 1 << 16
"""Rows, roughly, whose digests are made at once: what the caches hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Routes of one table and one family, sorted by (address, length), all arrays of length n.

    ``address``: uint8[n, 4 or 16], network order. ``length``: uint8[n]. ``next_hop``, ``origin``,
    ``peer``: uint32[n], indexes into the tuples of the Table. ``next_table``: int32[n], index, or
    -1 where the packet meets no other table.
    """

    address: U1
    length: U1
    next_hop: U4
    origin: U4
    peer: U4
    next_table: I4

    def __len__(self) -> int:
        return len(self.length)

    def prefix(self, row: int) -> Prefix:
        """The prefix of one row."""
        return Prefix(self.address[row].tobytes() + bytes((int(self.length[row]),)))


Names = tuple[tuple[NextHop, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Next hops, origins, peers, next tables."""


class Contender(NamedTuple):
    """A valid route that lost to the row of the same prefix although its origin is another CCN."""

    prefix: Prefix
    origin: str
    peer: str = ""


Claims = Iterable[tuple[Prefix, str] | tuple[Prefix, str, str]]


class Head(NamedTuple):
    """What a Table is beside its rows. ``contenders``: each once, sorted by (octets, content)."""

    name: str
    id: int
    ccn: str
    contenders: tuple[Contender, ...] = ()


class BlockRows(NamedTuple):
    """Rows of one family, table by table, each table's sorted by (address, length).

    ``address``: uint8[n, 4 or 16]. ``length``: uint8[n]. ``answer``: uint32[n], places in the
    answers of the block. ``bounds``: where the rows of each table begin, and where the last end.
    """

    address: U1
    length: U1
    answer: U4
    bounds: list[int]


class Block:
    """Tables that were made together. ``answers``: those of each table behind one another, each
    once; ``bounds``: where those of each table begin, and where the last end."""

    __slots__ = ("_digests", "answers", "bounds", "heads", "v4", "v6")

    def __init__(
        self,
        heads: Sequence[Head],
        answers: Sequence[Answer],
        bounds: list[int],
        v4: BlockRows,
        v6: BlockRows,
        *,
        digests: list[bytes] | None = None,
    ) -> None:
        """``digests``: as far as they are known."""
        self.heads = heads
        self.answers = answers
        self.bounds = bounds
        self.v4 = v4
        self.v6 = v6
        self._digests = digests

    def tables(self) -> list[Table]:
        """All of them."""
        sizes = np.diff(self.v4.bounds) + np.diff(self.v6.bounds)
        heads = enumerate(zip(self.heads, sizes.tolist(), strict=True))
        return [Table(head, self, place, size) for place, (head, size) in heads]

    @property
    def rows(self) -> int:
        """Of both families."""
        return self.v4.bounds[-1] + self.v6.bounds[-1]

    @property
    def digested(self) -> bool:
        """Whether the digests have been worked out."""
        return self._digests is not None

    @property
    def digests(self) -> list[bytes]:
        """32 octets of each table: equal for equal content, but for who said it."""
        if self._digests is None:
            self._digests = self._digested()
        return self._digests

    def _digested(self) -> list[bytes]:
        # In the digest stands the place of each row's answer among those of its table, sorted.
        place: list[int] = []
        texts = []
        for head, begin, end in zip(self.heads, self.bounds, self.bounds[1:], strict=False):
            answers = self.answers[begin:end]
            ways = [(hop, origin, following) for hop, origin, _, following in answers]
            different = sorted(set(ways)) if len(ways) > 1 else ways
            if len(different) > 1:
                rank = {way: number for number, way in enumerate(different)}
                place += [rank[way] for way in ways]
            else:
                place += [0] * len(ways)
            texts.append(_text(head, different))
        answer = np.array(place, np.uint32)
        found: list[bytes] = []
        first = 0
        while first < len(texts):
            behind, most = first + 1, self._before(first) + TOGETHER
            while behind < len(texts) and self._before(behind + 1) <= most:
                behind += 1
            parts = [_Octets.of(rows, answer, first, behind) for rows in (self.v4, self.v6)]
            for number in range(first, behind):
                content = [texts[number]]
                for part in parts:
                    part.put(content, number - first)
                octets = b"".join(content)
                found.append(hashlib.blake2b(octets, digest_size=32).digest())
            first = behind
        return found

    def _before(self, place: int) -> int:
        return self.v4.bounds[place] + self.v6.bounds[place]


class _Octets(NamedTuple):
    """Rows of some tables of one family, as octets. ``bounds`` are those of the rows."""

    address: bytes
    length: bytes
    answer: bytes
    width: int
    bounds: list[int]

    @classmethod
    def of(cls, rows: BlockRows, answer: U4, first: int, behind: int) -> _Octets:
        begin, end = rows.bounds[first], rows.bounds[behind]
        return cls(
            rows.address[begin:end].tobytes(),
            rows.length[begin:end].tobytes(),
            answer[rows.answer[begin:end]].tobytes() if end > begin else b"",
            rows.address.shape[1],
            [bound - begin for bound in rows.bounds[first : behind + 1]],
        )

    def put(self, content: list[bytes], place: int) -> None:
        """Add the rows of a table, behind a text that says how many they are."""
        begin, end = self.bounds[place], self.bounds[place + 1]
        if begin < end:
            content.append(b"%d %d\n" % (self.width, end - begin))
            content.append(self.address[begin * self.width : end * self.width])
            content.append(self.length[begin:end])
            content.append(self.answer[begin * 4 : end * 4])


def _text(head: Head, ways: Sequence[tuple[NextHop, str, str]]) -> bytes:
    """What a table is beside its rows. Lengths stand before what they are of: no two contents give
    the same octets."""
    name, number, ccn, contenders = head
    names = "".join([f"{len(way[1])},{len(way[2])},{way[1]}{way[2]}" for way in ways])
    text = f"{number},{len(name)},{len(ccn)},{len(ways)},{name}{ccn}{names}"
    if contenders:
        text += repr(sorted({c[:2] for c in contenders}, key=_by_octets))
    return b"".join((text.encode(), b"\n", *[hop_octets(way[0]) for way in ways]))


def _by_octets(claim: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
    return len(claim[0]), claim


class Table:
    """The routes of one CCSI. The tuples are sorted; the columns index them.

    ``contenders`` are what `ambiguous-owner` is found from; who said them is not in the digest.
    A value: nothing in it changes but where its rows are kept.
    """

    __slots__ = ("_size", "_v4", "_v6", "at", "ccn", "contenders", "id", "name")

    def __init__(self, head: Head, block: Block, place: int, size: int) -> None:
        self.name, self.id, self.ccn, self.contenders = head
        self.at = block, place
        """Where its rows are: the block, and which of its tables this is."""
        self._size = size
        self._v4: Columns | None = None
        self._v6: Columns | None = None

    @classmethod
    def build(
        cls, name: str, number: int, ccn: str, routes: Iterable[Route], contenders: Claims = ()
    ) -> Table:
        """Make the columns of one CCSI; ``routes`` in any order, one per prefix."""
        rows = sorted(routes, key=lambda r: (len(r.prefix), r.prefix))
        ways = [Answer(r.next_hop, r.origin, r.path.peer, r.next_table) for r in rows]
        index = {way: number for number, way in enumerate(dict.fromkeys(ways))}
        answer = np.array([index[way] for way in ways], np.uint32)
        split = sum(len(r.prefix) == 5 for r in rows)
        families = []
        for some, width in ((slice(0, split), 4), (slice(split, None), 16)):
            octets = b"".join([r.prefix for r in rows[some]])
            raw = np.frombuffer(octets, np.uint8).reshape(-1, width + 1)
            address, length = (np.ascontiguousarray(c) for c in (raw[:, :width], raw[:, width]))
            families.append(BlockRows(address, length, answer[some], [0, len(raw)]))
        head = Head(name, number, ccn, _sorted_contenders(contenders))
        return Block([head], list(index), [0, len(index)], *families).tables()[0]

    @classmethod
    def of(
        cls,
        name: str,
        number: int,
        ccn: str,
        *,
        named: Names,
        v4: Columns,
        v6: Columns,
        contenders: Claims = (),
    ) -> Table:
        """A Table of columns that are made; ``named``: the tuples (next hops, origins, peers, next
        tables) that they index. What no row names is left out."""
        hops, origins, peers, following = named
        ways = np.concatenate(
            [
                np.column_stack([c.next_hop, c.origin, c.peer, c.next_table]).astype(np.int64)
                for c in (v4, v6)
            ]
        )
        different, answer = np.unique(ways, axis=0, return_inverse=True)
        answers = [
            Answer(hops[h], origins[o], peers[p], following[n] if n >= 0 else "")
            for h, o, p, n in different.tolist()
        ]
        numbers = answer.reshape(-1).astype(np.uint32)
        head = Head(name, number, ccn, _sorted_contenders(contenders))
        rows4 = BlockRows(v4.address, v4.length, numbers[: len(v4)], [0, len(v4)])
        rows6 = BlockRows(v6.address, v6.length, numbers[len(v4) :], [0, len(v6)])
        return Block([head], answers, [0, len(answers)], rows4, rows6).tables()[0]

    def __len__(self) -> int:
        return self._size

    @property
    def head(self) -> Head:
        """What it is beside its rows."""
        return Head(self.name, self.id, self.ccn, self.contenders)

    @property
    def digest(self) -> bytes:
        """32 octets, equal for equal content but for who said it."""
        block, place = self.at
        return block.digests[place]

    @property
    def answers(self) -> Sequence[Answer]:
        """All different ones of its rows."""
        block, place = self.at
        return block.answers[block.bounds[place] : block.bounds[place + 1]]

    @property
    def next_hops(self) -> tuple[NextHop, ...]:
        """All, sorted."""
        return _different([answer.next_hop for answer in self.answers])

    @property
    def origins(self) -> tuple[str, ...]:
        """All, sorted."""
        return _different([answer.origin for answer in self.answers])

    @property
    def peers(self) -> tuple[str, ...]:
        """All, sorted."""
        return _different([answer.peer for answer in self.answers])

    @property
    def next_tables(self) -> tuple[str, ...]:
        """All, sorted; without that of packets that meet no other table."""
        return _different([answer.next_table for answer in self.answers if answer.next_table])

    @property
    def v4(self) -> Columns:
        """The IPv4 rows; the same object as long as the Table stays where it is."""
        if self._v4 is None:
            block, place = self.at
            self._v4 = self._columns(block.v4, block.bounds[place], place)
        return self._v4

    @property
    def v6(self) -> Columns:
        """The IPv6 rows; the same object as long as the Table stays where it is."""
        if self._v6 is None:
            block, place = self.at
            self._v6 = self._columns(block.v6, block.bounds[place], place)
        return self._v6

    def move_to(self, block: Block, place: int) -> None:
        """Keep the rows there from now on, where equal ones are: the block before may go."""
        self.at, self._v4, self._v6 = (block, place), None, None

    def _columns(self, rows: BlockRows, shift: int, place: int) -> Columns:
        begin, end = rows.bounds[place], rows.bounds[place + 1]
        index = [
            {value: number for number, value in enumerate(values)}
            for values in (self.next_hops, self.origins, self.peers, self.next_tables)
        ]
        answer = rows.answer[begin:end] - np.uint32(shift)
        numbers = [
            np.array([i.get(way[field], -1) for way in self.answers], np.int32)[answer]
            for field, i in zip((0, 1, 2, 3), index, strict=True)
        ]
        return Columns(
            rows.address[begin:end],
            rows.length[begin:end],
            numbers[0].view(np.uint32),
            numbers[1].view(np.uint32),
            numbers[2].view(np.uint32),
            numbers[3],
        )


def _different(values: list[Any]) -> tuple[Any, ...]:
    return tuple(values) if len(values) <= 1 else tuple(sorted(set(values)))


def _sorted_contenders(contenders: Claims) -> tuple[Contender, ...]:
    return tuple(sorted({Contender(*c) for c in contenders}, key=_by_octets))


def hop_octets(hop: NextHop) -> bytes:
    """A next hop as octets that no other has."""
    interface = hop.interface.encode()
    sizes = _HOP.pack(hop.kind, hop.vni, len(hop.ip), len(hop.mac), len(interface))
    if not hop.members:
        return b"".join((sizes, hop.ip, hop.mac, interface))
    parts = [bytes((weight,)) + hop_octets(member) for weight, member in hop.members]
    return b"".join((sizes, hop.ip, hop.mac, interface, bytes((len(parts),)), *parts))
