"""What fills the prefixes of some tables, as columns for table/building.py.

In: the candidates' rows and the routes that were decided one by one. Out: for each width table ids,
addresses, lengths and numbers of Answers, in the order of (table, address, length).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidates import CandidateRows
from ccn_bgp.learn.keys import I8, U1, U4
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.multipath import answers
from ccn_bgp.learn.terms import TermsBook
from ccn_bgp.model.route import Answer, Route

FEW = 64
"""Tables up to which each is cut out of the rows by itself."""


class Filled(NamedTuple):
    """Arrays of length n: ``table``: uint32, the id of the CCSI. ``address``: uint8[n, width].
    ``length``: uint8. ``answer``: uint32, number in the book's answers."""

    table: U4
    address: U1
    length: U1
    answer: U4


def filled(rows: CandidateRows, book: TermsBook, tables: Collection[LocRib]) -> Filled:
    """The rows of one width that fill a prefix in one of these tables."""
    chosen = _best(rows, tables)
    key, answer = keyed.taken(rows.key, chosen), answers(rows, book, chosen)
    single = [
        (table.ccsi.id, prefix, book.answer(_answer(route)))
        for table in tables
        if table.single
        for prefix, (route, _) in table.single.items()
        if len(prefix) == rows.width + 1
    ]
    if single:
        of, prefixes, singles = zip(*single, strict=True)
        octets = np.frombuffer(b"".join(prefixes), np.uint8).reshape(-1, rows.width + 1)
        more = rows.keys.make(np.array(of), octets[:, :-1], octets[:, -1])
        order = np.argsort(more, kind="stable")
        place = np.searchsorted(key, more[order])
        key = np.insert(key, place, more[order])
        answer = np.insert(answer, place, np.array(singles, np.uint32)[order])
    return Filled(rows.keys.number(key), rows.keys.address(key), rows.keys.length(key), answer)


def _answer(route: Route) -> Answer:
    return Answer(route.next_hop, route.origin, route.path.peer, route.next_table)


def _best(rows: CandidateRows, tables: Collection[LocRib]) -> I8:
    """The rows that fill a prefix in one of these tables, ascending."""
    if len(tables) <= FEW:
        parts: Sequence[I8] = [
            first + np.flatnonzero(rows.best[first:behind])
            for first, behind in sorted(table.extent(rows.width) for table in tables)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)
    numbers = np.sort(np.array([table.ccsi.id for table in tables], np.uint32))
    first, behind = (np.searchsorted(rows.key, rows.keys.begin(n)) for n in (numbers, numbers + 1))
    count = behind - first
    if int(count.sum()) == len(rows.key):
        return np.flatnonzero(rows.best)
    inside = np.repeat(first - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
    found: I8 = inside[rows.best[inside]]
    return found
