"""What the guard refuses, and how far a change reaches into it.

In: findings on rows of tables, and addresses where something has changed. Out: the rows whose
quarantine a check must begin without. What a row breaks depends on the rows alone that hold some of
its addresses, so a quarantine that no changed address meets stands as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.incremental_rows import joined, within
from ccn_bgp.table.verify.prefixes_faults import Spans

WIDTHS = (4, 16)


class Quarantine:
    """Findings by table and row."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Prefix, list[Finding]]] = {}
        self._ordered: dict[str, dict[int, tuple[list[int], list[Prefix]]]] = {}
        self._findings: list[Finding] | None = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, table: str, prefix: Prefix, finding: Finding) -> None:
        """One more finding for which the row is refused."""
        self._held.setdefault(table, {}).setdefault(prefix, []).append(finding)
        self._forget(table)

    def clear(self, table: str) -> None:
        """Nothing of this table is refused any more."""
        if self._held.pop(table, None):
            self._forget(table)

    def drop(self, table: str, prefixes: Iterable[Prefix]) -> None:
        """These rows are refused no more."""
        held = self._held.get(table, {})
        for prefix in prefixes:
            held.pop(prefix, None)
        self._forget(table)

    def count(self, tables: Iterable[str]) -> int:
        """How many rows of these tables are refused."""
        return sum(len(self._held.get(name, ())) for name in tables)

    def findings(self) -> list[Finding]:
        """All, sorted by content; not to be changed."""
        if self._findings is None:
            every = (f for rows in self._held.values() for found in rows.values() for f in found)
            self._findings = sorted(every, key=lambda f: f.sort_key)
        return self._findings

    def overlapping(self, table: str, reach: Reach) -> set[Prefix]:
        """The refused rows of a table that hold an address of ``reach``."""
        found: set[Prefix] = set()
        for width in WIDTHS if table in self._held else ():
            firsts, prefixes = self._order(table, width)
            for first, last in reach.spans(width) if prefixes else ():
                found.update(prefixes[bisect_left(firsts, first) : bisect_right(firsts, last)])
                found.update(self._covering(table, width, first))
        return found

    def _covering(self, table: str, width: int, address: int) -> Iterator[Prefix]:
        held, octets = self._held[table], address.to_bytes(width, "big")
        for length in range(width * 8 + 1):
            if (prefix := Prefix.of(octets, length)) in held:
                yield prefix

    def _order(self, table: str, width: int) -> tuple[list[int], list[Prefix]]:
        known = self._ordered.setdefault(table, {})
        if width not in known:
            prefixes = [p for p in self._held[table] if len(p) == width + 1]
            prefixes.sort(key=lambda p: p.first)
            known[width] = [p.first for p in prefixes], prefixes
        return known[width]

    def _forget(self, table: str) -> None:
        self._ordered.pop(table, None)
        self._findings = None


class Reach:
    """Addresses of both families."""

    def __init__(self, prefixes: Iterable[Prefix] = ()) -> None:
        self._spans: dict[int, Spans] = dict.fromkeys(WIDTHS, ())
        self.add(prefixes)

    def spans(self, width: int) -> Spans:
        """Those of one family, in order and merged."""
        return self._spans[width]

    def add(self, prefixes: Iterable[Prefix]) -> bool:
        """All addresses of these, too; true if any is new."""
        some = list(prefixes)
        grown = False
        for width in WIDTHS:
            if more := [(p.first, p.last) for p in some if len(p) == width + 1]:
                spans = joined((*self._spans[width], *more))
                grown |= spans != self._spans[width]
                self._spans[width] = spans
        return grown

    def holds(self, prefix: Prefix) -> bool:
        """Whether all addresses of a prefix are in it."""
        whole = ((prefix.first, prefix.last),)
        return tuple(within(whole, self._spans[len(prefix) - 1])) == whole
