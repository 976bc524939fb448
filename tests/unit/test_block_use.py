"""Rows of tables that were replaced are given back; what stays in use says the same as before."""

from __future__ import annotations

import gc
import weakref

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.table.block_use import BlockUse
from ccn_bgp.table.tables import Table
from ccn_bgp.table.together import together

TABLES, ROUTES = 8, 5


def table(number: int, routes: int = ROUTES) -> Table:
    name = f"bj/c{number}"
    prefixes = [Prefix.parse(f"10.{number}.{n}.0/24") for n in range(routes)]
    prefixes += [Prefix.parse(f"fd00:{number}:{n}::/48") for n in range(routes)]
    paths = [Path("hk", Unicast(p), PathAttributes()) for p in prefixes]
    hop = NextHop(Kind.ON_LINK, number)
    routes_ = [
        Route(name, p, f"hk/c{number}", hop, "", path)
        for p, path in zip(prefixes, paths, strict=True)
    ]
    return Table.build(name, number, f"c{number}", routes_)


def made() -> dict[str, Table]:
    return {t.name: t for t in together([table(n) for n in range(TABLES)]).tables()}


def said(of: Table) -> tuple[object, ...]:
    columns = [(c.address.tobytes(), c.next_hop.tobytes(), len(c)) for c in (of.v4, of.v6)]
    return of.digest, len(of), of.next_hops, of.origins, columns


def test_few_that_are_left_move_and_the_block_goes() -> None:
    use, tables = BlockUse(), made()
    use.replace({}, list(tables.values()))
    block = next(iter(tables.values())).at[0]
    before = {name: said(t) for name, t in tables.items()}
    addresses = weakref.ref(block.v4.address)
    for number in range(TABLES - 3):
        fresh = table(number, ROUTES + 1)
        use.replace(tables, [fresh])
        tables[fresh.name] = fresh
        use.tidy(tables)
        gone = number + 1
        assert all(
            (t.at[0] is block) == (2 * gone <= TABLES and n >= gone)
            for n, t in enumerate(tables.values())
        ), gone
    del block
    gc.collect()
    assert addresses() is None, "the memory is given back"
    for number in range(TABLES - 3, TABLES):
        name = f"bj/c{number}"
        assert said(tables[name]) == before[name]


def test_what_moved_may_move_again() -> None:
    use, tables = BlockUse(), made()
    use.replace({}, list(tables.values()))
    for _ in range(5):
        for number in range(TABLES):
            fresh = table(number, number % 3)
            use.replace(tables, [fresh])
            tables[fresh.name] = fresh
            use.tidy(tables)
        again = {t.name: t for t in together([table(n) for n in range(TABLES)]).tables()}
        use.replace(tables, list(again.values()))
        tables = again
        use.tidy(tables)
    rows = sum(len(t) for t in tables.values())
    assert sum({id(t.at[0]): t.at[0].rows for t in tables.values()}.values()) == rows
