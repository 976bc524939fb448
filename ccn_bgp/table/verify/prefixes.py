"""Isolation at prefix level: leak, latent-leak, hijack, blackhole, loop, misdelivery and
ambiguous-owner, exact on every address of both families.

In: a World. Out: Findings at the entry route. The witness of each: ``ranges``, all addresses for
which the fault holds, as [first, last] texts, merged and in order (for `latent-leak` and
`ambiguous-owner`: the whole prefix, since no packet follows the route yet); ``address``, the first
of them; ``hops``, the names of the tables that a packet to it meets from the entry on (a loop ends
with the name that comes again).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.intervals import Bools, IntervalSet
from ccn_bgp.table.verify.prefixes_faults import Fault, claim_findings
from ccn_bgp.table.verify.space import I8, Space
from ccn_bgp.table.verify.ways import ARRIVED, way
from ccn_bgp.table.verify.world import DELIVER, DROP, Routes, ShareRow, World

FRONTIER = 1 << 21
"""Stretches of addresses that are followed at once: bounds the memory, not the answer."""


class Broken(NamedTuple):
    """A rule broken by routes (sorted indexes) on stretches of positions [start, end)."""

    rule: str
    route: I8
    start: I8
    end: I8


def prefix_findings(world: World) -> Iterator[Finding]:
    """Every fault of both families, in no particular order."""
    for fault in prefix_faults(world):
        yield fault.finding()
    yield from claim_findings(world)


def prefix_faults(world: World) -> Iterator[Fault]:
    """The same as values, without `ambiguous-owner`."""
    for family in families(world):
        for broken in family.broken():
            yield from family.told(broken)


def families(world: World) -> Iterator[Family]:
    """IPv4 and IPv6, as far as there are routes."""
    owner = _numbered(world.owners)
    for routes, octets in ((world.v4, 5), (world.v6, 17)):
        if len(routes):
            shares = [s for s in world.shares if len(s.prefix) == octets]
            yield Family(world, routes, shares, owner)


def _numbered(owners: tuple[str, ...]) -> I8:
    names = {name: number for number, name in enumerate(sorted(set(owners)))}
    return np.array([names[o] for o in owners], np.int64)


class Family:
    """The rules over one family's Space; arrays are in the order of the Space."""

    def __init__(self, world: World, routes: Routes, shares: list[ShareRow], owner: I8) -> None:
        self.world = world
        self.routes = routes
        self.shares = shares
        self.owner = owner

    @cached_property
    def space(self) -> Space:
        """The routes laid out."""
        return Space(self.routes, self.shares)

    @cached_property
    def next(self) -> I8:
        """What follows each route."""
        following: I8 = self.routes.next[self.space.row]
        return following

    @cached_property
    def origin_owner(self) -> I8:
        """The CCN where each route began."""
        return self.owner[self.routes.origin[self.space.row]]

    @cached_property
    def foreign(self) -> Bools:
        """Is that another CCN than the table's?"""
        found: Bools = self.origin_owner != self.owner[self.space.table]
        return found

    @cached_property
    def leaking(self) -> Bools:
        """Is it so without a share?"""
        suspects = np.flatnonzero(self.foreign)
        found = np.zeros(len(self.foreign), np.bool_)
        found[suspects[~self._shared(suspects)]] = True
        return found

    @property
    def is_plain(self) -> bool:
        """No route is of another CCN, and packets go nowhere but straight to their own CCN: then
        nothing can be broken, and nothing need be laid out."""
        origin = self.owner[self.routes.origin]
        if (origin != self.owner[self.routes.table]).any():
            return False
        return not self._unsure(self.routes.next, origin).any()

    def _unsure(self, following: I8, origin_owner: I8) -> Bools:
        """Must packets of these routes be followed? Not those that are sent to a table held
        elsewhere of the CCN where the route began: they have arrived rightly."""
        onward: Bools = following >= 0
        at = np.where(onward, following, 0)
        external, owner = self._there
        arrived: Bools = external[at] & (owner[at] == origin_owner)
        return onward & ~arrived

    @cached_property
    def _there(self) -> tuple[Bools, I8]:
        """(is it held elsewhere, by whom) of all tables, then of all choices: of these, do all
        their tables have one owner and are held elsewhere?"""
        external, owner = self.world.external, self.owner
        if not self.world.choices:
            return external, owner
        tables = [[t for t in choice if t >= 0] for choice in self.world.choices]
        away = [bool(external[t].all()) and len(set(owner[t].tolist())) == 1 for t in tables]
        first = [int(owner[t[0]]) for t in tables]
        return np.concatenate((external, away)), np.concatenate((owner, first))

    def broken(self) -> Iterator[Broken]:
        """Every rule and where it is broken."""
        if self.is_plain:
            return
        space = self.space
        if self.leaking.any():
            wins = space.winning()
            yield Broken("leak", *space.stretches(self.leaking))
            latent = np.flatnonzero(self.leaking & ~wins)
            yield Broken("latent-leak", latent, space.start[latent], space.end[latent])
        suspects = np.flatnonzero(self.foreign)
        if len(suspects):
            taken = np.zeros(len(space.row), np.bool_)
            taken[suspects[self._own_above(suspects) >= 0]] = True
            yield Broken("hijack", *space.stretches(taken))
        yield from self._followed()

    def _shared(self, suspects: I8) -> Bools:
        """bool[n]: does a share of its table and its origin's CCN cover each (a sorted index)?"""
        space, world = self.space, self.world
        octets = self.routes.address.shape[1] + 1
        shares = [s for s in world.shares if len(s.prefix) == octets]
        if not shares:
            return np.zeros(len(suspects), np.bool_)
        names = {name: int(self.owner[i]) for i, name in enumerate(world.owners)}
        ccns = len(names) + 1
        pair = [s.table * ccns + names.get(s.provider, ccns - 1) for s in shares]
        groups = {p: number for number, p in enumerate(sorted(set(pair)))}
        allowed = IntervalSet(
            np.array([groups[p] for p in pair], np.int64),
            space.share_start,
            space.share_end,
            space.stride,
        )
        wanted = space.table[suspects] * ccns + self.origin_owner[suspects]
        known = np.array(sorted(groups), np.int64)
        group = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        same: Bools = known[group] == wanted
        return same & allowed.covers(group, space.start[suspects], space.end[suspects])

    def _own_above(self, suspects: I8) -> I8:
        """The nearest shorter covering route that originates in the table's own CCN, or -1."""
        above = self.space.parent[suspects]
        active = np.flatnonzero(above >= 0)
        active = active[self.foreign[above[active]]]
        while len(active):
            above[active] = self.space.parent[above[active]]
            active = active[above[active] >= 0]
            active = active[self.foreign[above[active]]]
        return above

    # -- following packets from table to table ---------------------------------------------------

    def _followed(self) -> Iterator[Broken]:
        """blackhole, loop and misdelivery of all routes whose next is a table.

        A frontier holds stretches of addresses and the table that they have reached; each step
        splits them at the borders of that table. ``mark`` is a table met before (Brent's method):
        a packet's way depends on its address and table alone, so meeting a table again is a loop.
        Where flows may go several ways each is followed, and a loop is found by the number of its
        steps: there are no more tables to be met once.
        """
        unsure = self._unsure(self.next, self.origin_owner)
        if not unsure.any():
            return
        faults: dict[str, list[tuple[I8, I8, I8]]] = {
            "blackhole": [],
            "loop": [],
            "misdelivery": [],
        }
        route, start, end = self.space.stretches(unsure)
        choices = len(self.world.choices) > 0
        tables = int(np.count_nonzero(~self.world.external))
        work = [(route, start, end, self.next[route], self.space.table[route], 1, 1)]
        while work:
            route, start, end, at, mark, power, steps = work.pop()
            again = at == mark
            if choices:
                route, start, end, at, mark = self._parted(route, start, end, at)
                again = at == self.space.table[route]
                again |= ~self.world.external[at] & (steps >= tables)
            faults["loop"].append((route[again], start[again], end[again]))
            away = self.world.external[at] & ~again
            self._arrived(faults["misdelivery"], route[away], start[away], end[away], at[away])
            on = ~(again | away)
            if not on.all():
                route, start, end, at, mark = (c[on] for c in (route, start, end, at, mark))
            low, count = self._pieces(start, end, at)
            if len(route) > 1 and int(count.sum()) > FRONTIER:
                half = len(route) // 2
                for part in (slice(None, half), slice(half, None)):
                    item = route[part], start[part], end[part], at[part], mark[part]
                    work.append((*item, power, steps))
                continue
            if steps == power:
                mark, power, steps = at, power * 2, 0
            source = np.repeat(np.arange(len(route)), count)
            offset = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
            place = low[source] + offset
            route, at, mark = route[source], at[source], mark[source]
            piece_start, piece_end, winner = self._clip(place, start[source], end[source], at)
            then = np.where(winner >= 0, self.next[winner], DROP)
            lost = then == DROP
            faults["blackhole"].append((route[lost], piece_start[lost], piece_end[lost]))
            done = then == DELIVER
            if choices:
                done = self._may_deliver[then]
            self._arrived(
                faults["misdelivery"], route[done], piece_start[done], piece_end[done], at[done]
            )
            on = then >= 0
            if on.any():
                work.append(
                    (
                        route[on],
                        piece_start[on],
                        piece_end[on],
                        then[on],
                        mark[on],
                        power,
                        steps + 1,
                    )
                )
        for rule, parts in faults.items():
            found = Broken(rule, *(np.concatenate(c) for c in zip(*parts, strict=True)))
            yield self._united(found) if choices else found

    @cached_property
    def _may_deliver(self) -> Bools:
        """By value of ``next`` (DROP and DELIVER count from the end): may the packet stay?"""
        choices = [DELIVER in choice for choice in self.world.choices]
        return np.array([*([False] * len(self.world.tables)), *choices, False, True])

    def _parted(self, route: I8, start: I8, end: I8, at: I8) -> tuple[I8, I8, I8, I8, I8]:
        """Each stretch once for each table that it goes to; the last column is a mark that no
        table has."""
        if not len(at):
            return route, start, end, at, at
        first = len(self.world.tables)
        rows = [np.column_stack((route, start, end, at))[at < first]]
        for number, choice in enumerate(self.world.choices):
            mine = at == first + number
            for table in choice if mine.any() else ():
                if table >= 0:
                    to = np.full(len(route), table)
                    rows.append(np.column_stack((route, start, end, to))[mine])
        route, start, end, at = np.unique(np.concatenate(rows), axis=0).T.copy()
        return route, start, end, at, np.full(len(route), -1)

    def _united(self, broken: Broken) -> Broken:
        """Stretches that several ways have found, each address once."""
        base = broken.route * self.space.stride
        order = np.argsort(base + broken.start, kind="stable")
        start, end = (base + broken.start)[order], (base + broken.end)[order]
        if not len(order):
            return broken
        reached = np.maximum.accumulate(end)
        route, base = broken.route[order], base[order]
        apart = (start[1:] > reached[:-1]) | (route[1:] != route[:-1])
        first = np.flatnonzero(np.append(True, apart))
        last = np.append(first[1:], len(order)) - 1
        base = base[first]
        return Broken(broken.rule, route[first], start[first] - base, reached[last] - base)

    def _arrived(
        self, faults: list[tuple[I8, I8, I8]], route: I8, start: I8, end: I8, at: I8
    ) -> None:
        wrong = self.owner[at] != self.origin_owner[route]
        faults.append((route[wrong], start[wrong], end[wrong]))

    def _pieces(self, start: I8, end: I8, at: I8) -> tuple[I8, I8]:
        """(index of the border at or before each start, number of intervals that are met)."""
        base = at * self.space.stride
        low = np.searchsorted(self.space.border, base + start, "right") - 1
        high = np.searchsorted(self.space.border, base + end, "left")
        return low, high - low

    def _clip(self, place: I8, start: I8, end: I8, at: I8) -> tuple[I8, I8, I8]:
        """Each interval cut to the stretch that met it; a border of another table matches none."""
        border = self.space.border
        base = at * self.space.stride
        inside = (place >= 0) & (border[place] >= base)
        begins = np.where(inside, np.maximum(border[place] - base, start), start)
        following = np.minimum(place + 1, len(border) - 1)
        more = (place + 1 < len(border)) & (border[following] > base + begins)
        ends = np.where(more, np.minimum(border[following] - base, end), end)
        return begins, ends, np.where(inside, self.space.winner[place], -1)

    # -- what is told -----------------------------------------------------------------------------

    def told(self, broken: Broken) -> Iterator[Fault]:
        """One Fault for each route, its stretches merged."""
        if not len(broken.route):
            return
        order = np.lexsort((broken.start, broken.route))
        route, start, end = broken.route[order], broken.start[order], broken.end[order]
        fresh = np.ones(len(route), np.bool_)
        fresh[1:] = (route[1:] != route[:-1]) | (start[1:] != end[:-1])
        first = np.flatnonzero(fresh)
        last = np.append(first[1:], len(route)) - 1
        begins, ends, of = start[first].tolist(), end[last].tolist(), route[first]
        opens = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
        closes = np.append(opens[1:], len(of)).tolist()
        number = self.space.number
        for fields, low, high in zip(
            self._fields(broken.rule, of[opens]), opens.tolist(), closes, strict=True
        ):
            spans = tuple(
                (number(s), number(e) - 1)
                for s, e in zip(begins[low:high], ends[low:high], strict=True)
            )
            at, then, (table, ccn, prefix, origin, foreign, peer), covers = fields
            hops: tuple[str, ...] = (table,)
            if then >= 0:
                hops = tuple(self.world.tables[t] for t in self._hops(at, begins[low], broken.rule))
            yield Fault(broken.rule, table, ccn, prefix, origin, foreign, peer, spans, hops, covers)

    def _fields(
        self, rule: str, route: I8
    ) -> Iterator[tuple[int, int, tuple[str, str, Prefix, str, str, str], Prefix | None]]:
        """(sorted index, next, (table, CCN, prefix, origin, its CCN, peer), covering prefix)."""
        world, routes = self.world, self.routes
        row = self.space.row[route]
        raw = np.column_stack((routes.address[row], routes.length[row]))
        octets, width = raw.tobytes(), raw.shape[1]
        cover = self._own_above(route).tolist() if rule == "hijack" else [-1] * len(route)
        columns = (route, self.next[route], routes.table[row], routes.origin[row], routes.peer[row])
        for place, (at, then, table, origin, peer) in enumerate(
            zip(*(c.tolist() for c in columns), strict=True)
        ):
            told = (
                world.tables[table],
                world.owners[table],
                Prefix(octets[place * width : (place + 1) * width]),
                world.tables[origin],
                world.owners[origin],
                world.peer(peer),
            )
            above = cover[place]
            yield at, then, told, routes.prefix(int(self.space.row[above])) if above >= 0 else None

    def _hops(self, route: int, position: int, rule: str) -> list[int]:
        """Tables that a packet meets from an entry route on, to where the rule is broken."""
        world, right = self.world, self.origin_owner[route]

        def look(table: int) -> tuple[str, list[int]]:
            here = ARRIVED if self.owner[table] == right else "misdelivery"
            if world.external[table]:
                return here, []
            match = self.space.match(table, position)
            then = world.ways(int(self.next[match])) if match >= 0 else (DROP,)
            if then[0] == DROP:
                return "blackhole", []
            return here if DELIVER in then else "", [t for t in then if t >= 0]

        onward = [t for t in world.ways(int(self.next[route])) if t >= 0]
        return way(int(self.space.table[route]), onward, look, rule)
