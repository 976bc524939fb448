"""What is told to a session at length: as fast as its peer takes it, and not before.

In: all that an update group has been told, or what differs, in portions. Out: pieces of whole
messages, one after the other, and what the peer knows when it has them. What peers at one pace are
told is made once. News is kept from such a session; afterwards it is told what has come of it
(telling.py). RFC 4271 §9.2.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.portions import Parts, Whole
from ccn_bgp.learn.told import Told
from ccn_bgp.session.encode import encode_updates
from ccn_bgp.session.encode_rows import PIECE, encode_rows
from ccn_bgp.session.events import OpenFacts

KEPT = 8 << 20
"""Octets of portions that are kept for who is told the same, of all groups together: more than are
made ahead for one peer (pacing.py), or the next would find none of the first."""
TEXTS = 16
"""Of how many texts there may be some: each holds on to all that it is made of."""
_FEW = 3
"""Pieces of a portion: one of more, whose routes have long attributes, is not kept."""


class Kept:
    """The portions that were last asked for."""

    def __init__(self, octets: int = KEPT) -> None:
        self._room = octets
        self._portions: OrderedDict[tuple[Text, int], tuple[bytes, ...]] = OrderedDict()
        self._texts: Counter[Text] = Counter()

    def get(self, text: Text, number: int) -> tuple[bytes, ...] | None:
        """One portion, if it is there."""
        found = self._portions.get((text, number))
        if found is not None:
            self._portions.move_to_end((text, number))
        return found

    def put(self, text: Text, number: int, pieces: tuple[bytes, ...]) -> None:
        """Keep one that is not there, in the place of what nobody has asked for longest."""
        self._portions[text, number] = pieces
        self._texts[text] += 1
        self._room -= sum(map(len, pieces))
        while self._room < 0 or len(self._texts) > TEXTS:
            (of, _), gone = self._portions.popitem(last=False)
            self._room += sum(map(len, gone))
            self._texts[of] -= 1
            if not self._texts[of]:
                del self._texts[of]


class Text:
    """Portions as messages for sessions that came up with these facts."""

    def __init__(self, source: Whole | Parts, facts: OpenFacts, kept: Kept) -> None:
        self._source = source
        self._facts = facts
        self._kept = kept

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self.pieces(number) for number in range(len(self)))

    def pieces(self, number: int) -> Iterable[bytes]:
        """One portion."""
        if (kept := self._kept.get(self, number)) is not None:
            return kept
        made = encoded(self._source.portion(number), self._facts)
        first = tuple(islice(made, _FEW))
        if len(first) == _FEW:
            return chain(first, made)
        if first:
            self._kept.put(self, number, first)
        return first


class Everything(Text):
    """All that was told, at the moment when ``moved`` routes of the group had been news."""

    def __init__(self, told: Told, moved: int, facts: OpenFacts, kept: Kept) -> None:
        self.whole = Whole(told, facts.families)
        self.moved = moved
        super().__init__(self.whole, facts, kept)


class AtLength:
    """What one session is still to be told. ``knows``: what its peer knows when it has all."""

    def __init__(self, knows: Told, pieces: Iterable[bytes] = ()) -> None:
        self.knows = knows
        self._pieces = iter(pieces)

    @property
    def left(self) -> int:
        """How many of the routes that its peer is to know it does not know yet, as far as that is
        counted."""
        return 0

    def next_piece(self) -> bytes | None:
        """About a megabyte at most; None if nothing is left."""
        return next(self._pieces, None)

    def cut(self) -> None:
        """It is not what is to be said any more."""


class FirstWords(AtLength):
    """Everything, to who knows nothing. It can be left in the midst: ``knows`` is then what
    has been said."""

    def __init__(self, text: Everything) -> None:
        super().__init__(text.whole.told)
        self._text = text
        self._at, self._end = 0, len(text)

    @property
    def left(self) -> int:
        """See AtLength."""
        return self._text.whole.left(self._at) if self._end == len(self._text) else 0

    def next_piece(self) -> bytes | None:
        """See AtLength."""
        while (piece := next(self._pieces, None)) is None and self._at < self._end:
            self._pieces = iter(self._text.pieces(self._at))
            self._at += 1
        return piece

    def cut(self) -> None:
        """See AtLength; what has been begun is said to its end."""
        if self._at < self._end:
            self._end = self._at
            self.knows = self._text.whole.so_far(self._at)


def encoded(changes: Changes, facts: OpenFacts) -> Iterator[bytes]:
    """Pieces: the messages of all changes in the families of the session, withdrawals first."""
    waiting: list[bytes] = []
    size = 0
    for octets in _messages(changes, facts):
        waiting.append(octets)
        size += len(octets)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _messages(changes: Changes, facts: OpenFacts) -> Iterator[bytes]:
    how = (facts.asn4, facts.max_message)
    announce = [(a, n) for a, n in changes.announce if n[0].family in facts.families]
    withdraw = [n for n in changes.withdraw if n.family in facts.families]
    yield from encode_updates((), withdraw, *how)
    for rows in (*changes.withdraw_rows, *changes.announce_rows):
        if rows.rows.family in facts.families:
            yield from encode_rows(rows, *how)
    yield from encode_updates(announce, (), *how)
