"""A table's routes, winners and candidates by prefix, made when they are asked for.

In: a LocRib. Out: mappings that keep nothing: what columns hold has no objects of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.learn.keys import WIDTHS
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.route import Route

if TYPE_CHECKING:
    from ccn_bgp.learn.loc_rib import LocRib, Slot


class _View(Mapping[Prefix, Any]):
    """Routes of a table by prefix, made when they are asked for."""

    def __init__(self, table: LocRib) -> None:
        self._table = table

    def __len__(self) -> int:
        rows = 0
        for width in WIDTHS:
            first, behind = self._table.extent(width)
            rows += int(self._table.columnar.rows[width].best[first:behind].sum())
        return rows + len(self._table.single)

    def __iter__(self) -> Iterator[Prefix]:
        yield from self._table.single
        for width in WIDTHS:
            rows = self._table.columnar.rows[width]
            first, behind = self._table.extent(width)
            chosen = rows.key[first:behind][rows.best[first:behind]]
            yield from rows.keys.prefixes(chosen)

    def _chosen(self, prefix: Prefix) -> tuple[Route, Candidate]:
        found = self._table.chosen(prefix)
        if found is None:
            raise KeyError(prefix)
        return found


class RoutesView(_View):
    """The route of each prefix."""

    def __getitem__(self, prefix: Prefix) -> Route:
        return self._chosen(prefix)[0]


class BestView(_View):
    """The candidate that each route is of."""

    def __getitem__(self, prefix: Prefix) -> Candidate:
        return self._chosen(prefix)[1]


class CandidatesView(_View):
    """Every candidate by prefix and slot."""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Prefix]:
        yield from self._table.fixed
        for width in WIDTHS:
            rows = self._table.columnar.rows[width]
            first, behind = self._table.extent(width)
            prefixes = rows.keys.prefixes(keyed.distinct(rows.key[first:behind]))
            yield from (p for p in prefixes if p not in self._table.fixed)

    def __getitem__(self, prefix: Prefix) -> dict[Slot, Candidate]:
        held = self._table.held(prefix)
        if not held:
            raise KeyError(prefix)
        return held
