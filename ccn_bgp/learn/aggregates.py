"""Aggregates in force. In: the routes of tables as they are decided. Out: Candidates that drop, for
what lies in an aggregate and in no route of it, and of which the routers of the CCN are told.

RFC 4271 §9.2.2.2: ORIGIN is the worst of the contributing routes, AGGREGATOR says who did it. There
is no AS_SET (RFC 9774), so ATOMIC_AGGREGATE says that ASes are missing where a contributing route
has any. What drops packets itself, and other aggregates, contribute nothing. The result depends on
the routes of the table alone, never on their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.candidate import OURSELVES, Candidate, Source
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import NO_ESI
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnPrefix, Origin, Path, PathAttributes
from ccn_bgp.model.route import Kind, NextHop
from ccn_bgp.model.topology import Gateway

ROUTE_ORIGIN = b"\x00\x03"
"""Type and subtype of the community that names a data centre (RFC 4360 §5)."""
_REMEMBERED = 100_000


class _Offer(NamedTuple):
    """What an aggregate is made of: equal for routes that change it alike."""

    sites: tuple[bytes, ...]
    origin: Origin
    has_path: bool


class Standing(NamedTuple):
    """How an aggregate stands in one table. ``contributing``: how many routes are. ``held``: it
    fills its prefix there."""

    aggregate: Aggregate
    table: str
    contributing: int
    held: bool


class _Kept:
    """One aggregate in one table. ``single``: what routes that were decided one by one offer."""

    def __init__(self, aggregate: Aggregate, table: LocRib) -> None:
        self.aggregate = aggregate
        self.table = table
        self.single: dict[Prefix, _Offer] = {}
        self.offers: Counter[_Offer] = Counter()
        self.count = 0


class Aggregates:
    """Of all tables of a gateway; ``wanted`` by CCN."""

    def __init__(
        self,
        gateway: Gateway,
        tables: Mapping[str, LocRib],
        wanted: Mapping[str, Sequence[Aggregate]],
    ) -> None:
        self._gateway = gateway
        self._kept: dict[str, tuple[_Kept, ...]] = {
            name: tuple(_Kept(a, table) for a in wanted[table.ccsi.ccn])
            for name, table in sorted(tables.items())
            if wanted.get(table.ccsi.ccn)
        }
        self._seen: dict[str, int] = {}
        self._offered: dict[int, tuple[PathAttributes, _Offer]] = {}

    def note(self, table: LocRib, prefix: Prefix) -> None:
        """A prefix has been decided one by one."""
        for kept in self._kept.get(table.ccsi.name, ()):
            if not kept.aggregate.gathers(prefix):
                continue
            before = kept.single.pop(prefix, None)
            if before is not None:
                kept.offers[before] -= 1
            chosen = table.single.get(prefix)
            if chosen is not None and chosen[0].next_hop.kind is not Kind.DROP:
                offer = self._offer(chosen[1].path.attributes)
                kept.single[prefix] = offer
                kept.offers[offer] += 1

    def settle(self) -> bool:
        """Put the aggregates of all tables in force or out of it; whether a prefix is to be decided
        because of that."""
        for name, all_kept in self._kept.items():
            table = all_kept[0].table
            if self._seen.get(name) != table.decided:
                self._seen[name] = table.decided
                for kept in all_kept:
                    self._stand(kept)
        return any(kept[0].table.dirty for kept in self._kept.values())

    def settled(self) -> None:
        """What was decided since is the aggregates' own prefixes: nobody counts them."""
        for name, all_kept in self._kept.items():
            self._seen[name] = all_kept[0].table.decided

    def of(self, table: str) -> Iterator[Standing]:
        """How the aggregates of a table stand."""
        for kept in self._kept.get(table, ()):
            chosen = kept.table.single.get(kept.aggregate.prefix)
            held = chosen is not None and chosen[0].path.peer == kept.aggregate.peer
            yield Standing(kept.aggregate, table, kept.count, held)

    def contributing(self, table: str, name: str, most: int) -> list[Prefix]:
        """The first so many routes that contribute to one, by address and length."""
        for kept in self._kept.get(table, ()):
            if kept.aggregate.name == name:
                rows = kept.table.columnar.rows[keyed.of(kept.aggregate.prefix)]
                chosen = _inside(kept)[:most]
                found = {*rows.keys.prefixes(rows.key[chosen]), *kept.single}
                return list(islice(sorted(found), most))
        return []

    def _stand(self, kept: _Kept) -> None:
        aggregate, table = kept.aggregate, kept.table
        offers = self._columns(kept)
        offers.update(kept.offers)
        kept.count = offers.total()
        slot = (aggregate.peer, aggregate.name.encode())
        if kept.count < aggregate.least:
            table.remove(aggregate.prefix, slot)
            return
        nlri = EvpnPrefix(table.ccsi.rd, NO_ESI, 0, aggregate.prefix, None, table.ccsi.vni)
        attributes = aggregate.change(self._attributes(aggregate, kept.count, +offers))
        table.place(
            aggregate.prefix,
            Candidate(
                path=Path(slot[0], nlri, attributes),
                key=slot[1],
                source=Source.AGGREGATE,
                speaker=OURSELVES,
                origin=table.ccsi.name,
                fixed=NextHop(Kind.DROP),
            ),
        )

    def _attributes(
        self, aggregate: Aggregate, count: int, offers: Counter[_Offer]
    ) -> PathAttributes:
        """``extended_communities`` name the data centres that are not to hear of it: without their
        own routes too few are left, and nobody is told what is his."""
        of_site: Counter[bytes] = Counter()
        for offer, number in offers.items():
            for site in offer.sites:
                of_site[site] += number
        own = (site for site, number in of_site.items() if count - number < aggregate.least)
        return PathAttributes(
            origin=max(offer.origin for offer in offers),
            next_hop=self._gateway.vtep,
            atomic_aggregate=any(offer.has_path for offer in offers),
            aggregator=(self._gateway.asn, self._gateway.router_id),
            extended_communities=tuple(sorted(own)),
        )

    def _columns(self, kept: _Kept) -> Counter[_Offer]:
        """What routes that were decided in columns offer."""
        columnar = kept.table.columnar
        rows, book = columnar.rows[keyed.of(kept.aggregate.prefix)], columnar.book
        found: Counter[_Offer] = Counter()
        chosen = _inside(kept)
        if len(chosen):
            known, which = keyed.numbered(rows.terms[chosen], len(book.terms))
            counts = np.bincount(which, minlength=len(known)).tolist()
            for number, count in zip(known.tolist(), counts, strict=True):
                found[self._offer(book.terms[number].attributes)] += count
        return found

    def _offer(self, attributes: PathAttributes) -> _Offer:
        known = self._offered.get(id(attributes))
        if known is None or known[0] is not attributes:
            if len(self._offered) >= _REMEMBERED:
                self._offered.clear()
            sites = (c for c in attributes.extended_communities if c[:2] == ROUTE_ORIGIN)
            offer = _Offer(tuple(sorted(sites)), attributes.origin, bool(attributes.as_path))
            known = self._offered[id(attributes)] = (attributes, offer)
        return known[1]


def _inside(kept: _Kept) -> keyed.I8:
    """The rows that fill a longer prefix in the aggregate's, ascending."""
    prefix, table = kept.aggregate.prefix, kept.table
    rows = table.columnar.rows[keyed.of(prefix)]
    width = keyed.of(prefix)
    last = Prefix(prefix.last.to_bytes(width, "big") + bytes((width * 8,)))
    # Keys lie by (table, address, length): behind the prefix itself come those within it.
    bounds = np.array([table.key(prefix), table.key(last)], rows.keys.dtype)
    first, behind = np.searchsorted(rows.key, bounds, "right").tolist()
    chosen: keyed.I8 = first + np.flatnonzero(rows.best[first:behind])
    return chosen
