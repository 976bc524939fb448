"""Isolation at prefix level: leak, latent-leak, hijack, blackhole, loop, misdelivery and
ambiguous-owner, exact on every address of both families.

In: a World. Out: Findings at the entry route. The witness of each: ``ranges``, all addresses for
which the fault holds, as [first, last] texts, merged and in order (for `latent-leak` and
`ambiguous-owner`: the whole prefix, since no packet follows the route yet); ``address``, the first
of them; ``hops``, the names of the tables that a packet to it meets from the entry on (a loop ends
with the name that comes again).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.intervals import Bools, IntervalSet
from ccn_bgp.table.verify.space import I8, Space
from ccn_bgp.table.verify.world import DELIVER, DROP, Routes, World

FRONTIER = 1 << 21
"""Stretches of addresses that are followed at once: bounds the memory, not the answer."""


class _Fault(NamedTuple):
    """A rule broken by routes (sorted indexes) on stretches [start, end)."""

    rule: str
    route: I8
    start: I8
    end: I8


def prefix_findings(world: World) -> Iterator[Finding]:
    """Every fault of both families, in no particular order."""
    owner = _numbered(world.owners)
    for routes, octets in ((world.v4, 5), (world.v6, 17)):
        if len(routes):
            shares = [s for s in world.shares if len(s.prefix) == octets]
            yield from _Family(world, routes, Space.of(routes, shares), owner).findings()
    yield from _claims(world)


def _numbered(owners: tuple[str, ...]) -> I8:
    names = {name: number for number, name in enumerate(sorted(set(owners)))}
    return np.array([names[o] for o in owners], np.int64)


class _Family:
    """The rules over one family's Space; arrays are in the order of the Space."""

    def __init__(self, world: World, routes: Routes, space: Space, owner: I8) -> None:
        self.world = world
        self.routes = routes
        self.space = space
        self.owner = owner
        self.next = routes.next[space.row]
        self.origin_owner = owner[routes.origin[space.row]]
        self.foreign = self.origin_owner != owner[space.table]

    def findings(self) -> Iterator[Finding]:
        space = self.space
        wins = space.winning()
        leaking = np.zeros(len(space.row), np.bool_)
        suspects = np.flatnonzero(self.foreign)
        leaking[suspects[~self._shared(suspects)]] = True
        yield from self._report(_Fault("leak", *space.stretches(leaking)))
        latent = np.flatnonzero(leaking & ~wins)
        yield from self._report(
            _Fault("latent-leak", latent, space.start[latent], space.end[latent])
        )
        suspects = np.flatnonzero(self.foreign)
        taken = np.zeros(len(space.row), np.bool_)
        taken[suspects[self._own_above(suspects) >= 0]] = True
        yield from self._report(_Fault("hijack", *space.stretches(taken)))
        for fault in self._followed():
            yield from self._report(fault)

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

    def _followed(self) -> Iterator[_Fault]:
        """blackhole, loop and misdelivery of all routes whose next is a table.

        A frontier holds stretches of addresses and the table that they have reached; each step
        splits them at the borders of that table. ``mark`` is a table met before (Brent's method):
        a packet's way depends on its address and table alone, so meeting a table again is a loop.
        """
        faults: dict[str, list[tuple[I8, I8, I8]]] = {
            "blackhole": [],
            "loop": [],
            "misdelivery": [],
        }
        route, start, end = self.space.stretches(self.next >= 0)
        work = [(route, start, end, self.next[route], self.space.table[route], 1, 1)]
        while work:
            route, start, end, at, mark, power, steps = work.pop()
            low, count = self._pieces(start, end, at)
            if len(route) > 1 and int(count.sum()) > FRONTIER:
                half = len(route) // 2
                for part in (slice(None, half), slice(half, None)):
                    item = route[part], start[part], end[part], at[part], mark[part]
                    work.append((*item, power, steps))
                continue
            again = at == mark
            faults["loop"].append((route[again], start[again], end[again]))
            if steps == power:
                mark, power, steps = at, power * 2, 0
            away = self.world.external[at] & ~again
            self._arrived(faults["misdelivery"], route[away], start[away], end[away], at[away])
            count[again | away] = 0
            source = np.repeat(np.arange(len(route)), count)
            offset = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
            place = low[source] + offset
            route, at, mark = route[source], at[source], mark[source]
            piece_start, piece_end, winner = self._clip(place, start[source], end[source], at)
            then = np.where(winner >= 0, self.next[winner], DROP)
            lost = then == DROP
            faults["blackhole"].append((route[lost], piece_start[lost], piece_end[lost]))
            done = then == DELIVER
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
            yield _Fault(rule, *(np.concatenate(c) for c in zip(*parts, strict=True)))

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

    # -- findings ---------------------------------------------------------------------------------

    def _report(self, fault: _Fault) -> Iterator[Finding]:
        if not len(fault.route):
            return
        order = np.lexsort((fault.start, fault.route))
        route, start, end = fault.route[order], fault.start[order], fault.end[order]
        fresh = np.ones(len(route), np.bool_)
        fresh[1:] = (route[1:] != route[:-1]) | (start[1:] != end[:-1])
        first = np.flatnonzero(fresh)
        last = np.append(first[1:], len(route)) - 1
        ranges: dict[int, list[tuple[int, int]]] = {}
        for r, s, e in zip(
            route[first].tolist(), start[first].tolist(), end[last].tolist(), strict=True
        ):
            ranges.setdefault(r, []).append((s, e))
        for r, spans in ranges.items():
            yield self._finding(fault.rule, r, spans)

    def _finding(self, rule: str, route: int, spans: list[tuple[int, int]]) -> Finding:
        world, space = self.world, self.space
        row = int(space.row[route])
        table = int(space.table[route])
        origin = int(self.routes.origin[row])
        prefix = str(self.routes.prefix(row))
        witness = {
            "address": str(space.first(spans[0][0])),
            "ranges": [[str(space.first(s)), str(space.last(e))] for s, e in spans],
            "hops": [world.tables[t] for t in self._hops(route, spans[0][0])],
        }
        name, source = world.tables[table], world.tables[origin]
        owner, foreign = world.owners[table], world.owners[origin]
        match rule:
            case "leak":
                text = f"{name} reaches {prefix} of CCN {foreign} without a share"
            case "latent-leak":
                text = (
                    f"{name} holds {prefix} of CCN {foreign} without a share, behind longer routes"
                )
            case "hijack":
                above = int(self._own_above(np.array([route]))[0])
                cover = self.routes.prefix(int(space.row[above]))
                witness["covers"] = str(cover)
                text = (
                    f"{prefix} of CCN {foreign} takes addresses of {owner}'s own {cover} in {name}"
                )
            case "blackhole":
                text = f"packets of {name} to {prefix} are lost in {witness['hops'][-1]}"
            case "loop":
                text = f"packets of {name} to {prefix} come back to {witness['hops'][-1]} for ever"
            case _:
                text = (
                    f"packets of {name} to {prefix} of {source} are delivered in "
                    f"{witness['hops'][-1]}, which is not of CCN {foreign}"
                )
        return Finding(
            rule=rule,
            message=text,
            ccn=owner,
            table=name,
            prefix=prefix,
            peer=world.peer(int(self.routes.peer[row])),
            witness=witness,
        )

    def _hops(self, route: int, position: int) -> list[int]:
        """Tables that a packet meets from an entry route on; ends after the first that recurs."""
        hops = [int(self.space.table[route])]
        then = int(self.next[route])
        while then >= 0:
            again = then in hops
            hops.append(then)
            if again or self.world.external[then]:
                break
            match = self.space.match(then, position)
            then = int(self.next[match]) if match >= 0 else DROP
        return hops


def _claims(world: World) -> Iterable[Finding]:
    """`ambiguous-owner`: a claim of another CCN than the row's. The blame is on the side that is
    not of the table's own CCN; if neither is, on the claim, which is not installed."""
    if not world.claims:
        return
    held = {}
    wanted = {(c.table, c.prefix) for c in world.claims}
    tables = np.array(sorted({c.table for c in world.claims}), np.int64)
    for routes in (world.v4, world.v6):
        for row in np.flatnonzero(np.isin(routes.table, tables)).tolist():
            key = int(routes.table[row]), routes.prefix(row)
            if key in wanted:
                held[key] = int(routes.origin[row]), int(routes.peer[row])
    seen = set()
    for claim in sorted(set(world.claims)):
        row_of = held.get((claim.table, claim.prefix))
        if row_of is None or world.owners[row_of[0]] == world.owners[claim.origin]:
            continue
        owner = world.owners[claim.table]
        row_is_foreign = world.owners[row_of[0]] != owner
        peer = row_of[1] if row_is_foreign and world.owners[claim.origin] == owner else claim.peer
        name, text = world.tables[claim.table], str(claim.prefix)
        sides = sorted((world.tables[row_of[0]], world.tables[claim.origin]))
        blame = claim.table, claim.prefix, peer, *sides
        if blame in seen:
            continue
        seen.add(blame)
        last = claim.prefix.host(claim.prefix.last - claim.prefix.first)
        yield Finding(
            rule="ambiguous-owner",
            message=f"{name} is offered {text} by {sides[0]} and by {sides[1]}",
            ccn=owner,
            table=name,
            prefix=text,
            peer=world.peer(peer),
            witness={
                "address": str(claim.prefix.address),
                "ranges": [[str(claim.prefix.address), str(last)]],
                "hops": [name],
                "origins": sides,
            },
        )
