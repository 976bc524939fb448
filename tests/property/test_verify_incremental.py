"""Checking a difference gives what checking everything gives, and what asking each address gives.

A 6-bit universe laid over real prefixes of both families; random states of a few tables, one after
another. After each the incremental answer is compared with the whole check, finding by finding and
witness by witness, and with the independent re-checker, address by address.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes
from ccn_bgp.model.route import Kind, Member, NextHop, Route, joined_tables
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table
from ccn_bgp.table.verify import incremental
from ccn_bgp.table.verify.incremental import PrefixState
from ccn_bgp.table.verify.prefixes import prefix_findings
from ccn_bgp.table.verify.recheck import Recheck
from ccn_bgp.table.verify.snapshot import snapshot_world

BITS = 6
PLACES = [
    ("0.0.0.0", 0),
    ("10.1.2.0", 26),
    ("255.255.255.192", 26),
    ("::", 0),
    ("2001:db8::", 61),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0", 122),
]
"""(address, length) of the prefix that stands for the whole universe."""
TABLES = 4
PACKET_RULES = ("leak", "hijack", "blackhole", "loop", "misdelivery")

Short = tuple[int, int]
Key = tuple[int, Short]
"""(table, (first address in the universe, length))."""
Next = int | str | tuple[int | str, ...]
Row = tuple[int, Next, str]
"""(table of origin, next, peer). Several next: tables and "deliver", of a group."""


def shorts() -> st.SearchStrategy[Short]:
    return st.integers(0, BITS).flatmap(
        lambda n: st.integers(0, (1 << n) - 1).map(lambda v: (v << (BITS - n), n))
    )


@st.composite
def histories(draw: st.DrawFn) -> dict[str, Any]:
    """Owners of TABLES tables and two external ones, shares, and changes one after another."""
    names = TABLES + 2
    owners = draw(st.lists(st.sampled_from("abc"), min_size=names, max_size=names))
    anywhere = st.integers(0, names - 1)
    either = st.one_of(anywhere, anywhere, st.just("deliver"))
    several = st.sets(either, min_size=2, max_size=3).map(lambda s: tuple(sorted(s, key=str)))
    following = st.one_of(st.sampled_from(["deliver", "drop"]), anywhere, anywhere, several)
    row = st.tuples(anywhere, following, st.sampled_from(["p", "q"]))
    key = st.tuples(st.integers(0, TABLES - 1), shorts())
    contender = st.tuples(anywhere, st.sampled_from(["p", "q", "r"]))
    step = st.fixed_dictionaries(
        {
            "rows": st.dictionaries(key, st.one_of(st.none(), row, row), max_size=5),
            "lost": st.dictionaries(key, st.sets(contender, max_size=2), max_size=2),
            "again": st.sets(st.integers(0, TABLES - 1), max_size=1),
        }
    )
    return {
        "owners": owners,
        "rows": draw(st.dictionaries(key, row, max_size=20)),
        "steps": draw(st.lists(step, min_size=1, max_size=6)),
        "shares": draw(
            st.lists(
                st.tuples(st.integers(0, TABLES - 1), st.sampled_from("abc"), shorts()), max_size=4
            )
        ),
    }


class Universe:
    """Tables made of short prefixes."""

    def __init__(self, history: dict[str, Any], place: tuple[str, int]) -> None:
        self.history = history
        self.base = ipaddress.ip_address(place[0])
        self.length = place[1]
        self.shift = self.base.max_prefixlen - place[1] - BITS
        self.names = [f"gw{i}/{owner}" for i, owner in enumerate(history["owners"])]
        self.shares = [(self.names[t], owner, self.prefix(p)) for t, owner, p in history["shares"]]
        self.rows: dict[Key, Row] = {}
        self.lost: dict[Key, set[tuple[int, str]]] = {}
        self.tables: dict[str, Table] = {}
        self.change({"rows": history["rows"], "lost": {}, "again": set(range(TABLES))})

    def prefix(self, short: Short) -> Prefix:
        return Prefix.parse(f"{self.base + (short[0] << self.shift)}/{self.length + short[1]}")

    def change(self, step: dict[str, Any]) -> None:
        touched = set(step["again"])
        for key, row in step["rows"].items():
            touched.add(key[0])
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        for key, others in step["lost"].items():
            touched.add(key[0])
            self.lost[key] = others
        tables = dict(self.tables)
        for number in sorted(touched):
            tables[self.names[number]] = self.table(number)
        self.tables = tables

    def table(self, number: int) -> Table:
        routes = []
        for (t, short), (origin, following, peer) in self.rows.items():
            if t == number:
                routes.append(self.route(number, self.prefix(short), origin, following, peer))
        return Table.build(
            self.names[number],
            number + 1,
            self.history["owners"][number],
            routes,
            [
                (self.prefix(short), self.names[origin], peer)
                for (t, short), others in self.lost.items()
                for origin, peer in others
                if t == number
            ],
        )

    def route(self, number: int, prefix: Prefix, origin: int, following: Next, peer: str) -> Route:
        if isinstance(following, tuple):
            hop = NextHop.group(Member(1, self.hop(n)) for n in following)
        elif isinstance(following, int):
            hop = self.hop(following)
        else:
            hop = NextHop(Kind.DROP if following == "drop" else Kind.ON_LINK)
        nlri = EvpnPrefix(RouteDistinguisher(bytes(8)), bytes(10), 0, prefix, None, 100)
        then = self.names[following] if isinstance(following, int) else ""
        if isinstance(following, tuple):
            then = joined_tables(self.names[n] if isinstance(n, int) else "" for n in following)
        path = Path(peer, nlri, PathAttributes())
        return Route(self.names[number], prefix, self.names[origin], hop, then, path)

    def hop(self, following: int | str) -> NextHop:
        if isinstance(following, str):
            return NextHop(Kind.HAND_OFF, ip=Ip(bytes((169, 254, 1, 1))), interface="t")
        return NextHop(Kind.VTEP, 100, Ip((following + 1).to_bytes(4, "big")), Mac(bytes(6)))

    def named(self, following: Next) -> str | list[str]:
        if isinstance(following, tuple):
            return [self.names[n] if isinstance(n, int) else n for n in following]
        return self.names[following] if isinstance(following, int) else following

    def whole(self) -> list[Finding]:
        world = snapshot_world(Snapshot("gw", self.tables), tuple(self.shares))
        return sorted(prefix_findings(world), key=lambda f: f.sort_key)

    def recheck(self) -> set[tuple[str, str, str, int]]:
        """(rule, table, prefix, address) of all that the second opinion finds."""
        owners = self.history["owners"]
        named = [{"name": n, "ccn": o} for n, o in zip(self.names, owners, strict=True)]
        checker = Recheck(
            {
                "tables": named[:TABLES],
                "external": named[TABLES:],
                "routes": [
                    {
                        "table": self.names[t],
                        "prefix": str(self.prefix(short)),
                        "origin": self.names[origin],
                        "next": self.named(then),
                    }
                    for (t, short), (origin, then, _) in self.rows.items()
                ],
                "shares": [
                    {"table": t, "provider": owner, "prefix": str(p)} for t, owner, p in self.shares
                ],
            }
        )
        found = set()
        for table in self.names[:TABLES]:
            for number in range(1 << BITS):
                address = int(self.base) + (number << self.shift)
                for fault in checker.at(table, self.base.version, address):
                    found.add((fault.rule, fault.table, fault.prefix, address))
        return found

    def by_address(self, findings: list[Finding]) -> set[tuple[str, str, str, int]]:
        found = set()
        for finding in findings:
            for first, last in finding.witness["ranges"]:
                low, high = int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
                if finding.rule in PACKET_RULES:
                    for address in range(low, high + 1, 1 << self.shift):
                        found.add((finding.rule, finding.table, finding.prefix, address))
        return found


def walk(history: dict[str, Any], place: tuple[str, int], second_opinion: bool) -> None:
    universe = Universe(history, place)
    state = PrefixState(universe.shares)
    for step in ({"rows": {}, "lost": {}, "again": set()}, *history["steps"]):
        universe.change(step)
        found = state.check(universe.tables)
        expected = universe.whole()
        assert [f.as_json() for f in found] == [f.as_json() for f in expected]
        assert state.check(universe.tables) == found
        if second_opinion:
            assert universe.by_address(found) == universe.recheck()


@settings(max_examples=800, deadline=None)
@given(history=histories(), place=st.sampled_from(PLACES))
def test_a_difference_is_checked_as_well_as_everything(
    history: dict[str, Any], place: tuple[str, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "CHANGE_COST", 0)  # never look at everything
        walk(history, place, second_opinion=False)


@settings(max_examples=80, deadline=None)
@given(history=histories(), place=st.sampled_from(PLACES))
def test_every_address_after_every_difference(
    history: dict[str, Any], place: tuple[str, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "CHANGE_COST", 0)
        walk(history, place, second_opinion=True)


@settings(max_examples=100, deadline=None)
@given(history=histories(), place=st.sampled_from(PLACES))
def test_by_either_way_as_the_cost_says(history: dict[str, Any], place: tuple[str, int]) -> None:
    """Small tables are cheaper to check whole."""
    walk(history, place, second_opinion=False)


@settings(max_examples=300, deadline=None)
@given(history=histories(), place=st.sampled_from(PLACES), batch=st.sampled_from([0, 10]))
def test_changed_tables_looked_at_anew(
    history: dict[str, Any], place: tuple[str, int], batch: int
) -> None:
    """As if nothing were known of them, one after another or some at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "CHANGE_COST", 1e9)
        patch.setattr(incremental, "BATCH", batch)
        walk(history, place, second_opinion=False)


@settings(max_examples=100, deadline=None)
@given(history=histories(), gone=st.integers(0, TABLES - 1))
def test_tables_come_and_go(history: dict[str, Any], gone: int) -> None:
    universe = Universe(history, PLACES[1])
    state = PrefixState(universe.shares)
    for tables in (universe.tables, {**universe.tables}, universe.tables):
        if tables is not universe.tables:
            del tables[universe.names[gone]]
        world = snapshot_world(Snapshot("gw", tables), tuple(universe.shares))
        expected = sorted(prefix_findings(world), key=lambda f: f.sort_key)
        assert [f.as_json() for f in state.check(tables)] == [f.as_json() for f in expected]
