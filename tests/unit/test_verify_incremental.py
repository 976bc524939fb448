"""The incremental check where generated histories do not go: names, numbers and failures."""

from __future__ import annotations

from random import Random

import pytest

from ccn_bgp.bench.verify_tables import Shape, with_origins, without_rows
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table
from ccn_bgp.table.verify import incremental, incremental_rows
from ccn_bgp.table.verify.incremental import PrefixState
from ccn_bgp.table.verify.incremental_rows import Rows, changed_prefixes, joined, within, without
from ccn_bgp.table.verify.prefixes import prefix_findings
from ccn_bgp.table.verify.snapshot import snapshot_world

SHAPE = Shape(4, 60, 60)


def whole(tables: dict[str, Table]) -> list[dict[str, object]]:
    found = prefix_findings(snapshot_world(Snapshot("gw", tables), ()))
    return [f.as_json() for f in sorted(found, key=lambda f: f.sort_key)]


def leaking(table: Table) -> Table:
    """The same columns under other names."""
    number = table.name.removeprefix("gw/ccn")
    other = f"/ccn{int(number) % SHAPE.ccsis + 1}"
    origins = tuple(o.replace(f"/ccn{number}", other) for o in table.origins)
    return with_origins(table, origins)


def test_other_names_for_the_same_numbers_are_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "CHANGE_COST", 0)
    tables = SHAPE.tables()
    state = PrefixState(())
    assert state.check(tables) == []
    bad = {**tables, "gw/ccn2": leaking(tables["gw/ccn2"])}
    found = [f.as_json() for f in state.check(bad)]
    assert len(found) > 100
    assert found == whole(bad)
    assert state.check(tables) == []


def test_a_check_that_broke_off_is_followed_by_a_whole_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incremental, "CHANGE_COST", 0)
    tables = SHAPE.tables()
    state = PrefixState(())
    state.check(tables)
    bad = {**tables, "gw/ccn3": leaking(tables["gw/ccn3"])}
    with monkeypatch.context() as patch:
        patch.setattr(incremental, "claim_findings", lambda world: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            state.check(bad)
    assert [f.as_json() for f in state.check(bad)] == whole(bad)


def test_what_differs_is_what_was_taken_away() -> None:
    table = SHAPE.tables()["gw/ccn1"]
    rows = [3, 4, 40]
    gone = {table.v4.prefix(row) for row in rows}
    assert changed_prefixes(table, without_rows(table, rows)) == gone
    assert changed_prefixes(without_rows(table, rows), table) == gone
    other = without_rows(table, [5])
    assert changed_prefixes(other, without_rows(table, rows)) == {*gone, table.v4.prefix(5)}
    assert changed_prefixes(table, with_origins(table, table.origins)) == set()


def test_single_addresses_by_look_up_and_by_trying_every_row() -> None:
    columns = SHAPE.tables()["gw/ccn1"].v6
    rows = Rows(columns)
    prefixes = [columns.prefix(row) for row in range(len(columns))]
    asked = (
        [p.first for p in prefixes] + [p.last for p in prefixes] + [p.last + 1 for p in prefixes]
    )
    for address in [0, (1 << 128) - 1, *asked]:
        held = [i for i, p in enumerate(prefixes) if p.first <= address <= p.last]
        best = max(held, key=lambda i: prefixes[i].length) if held else -1
        assert rows.longest(address) == best
    for row, prefix in enumerate(prefixes):
        assert rows.at(prefix) == row
        spans = ((prefix.first, prefix.last),)
        overlapping = [i for i, p in enumerate(prefixes) if p.overlaps(prefix)]
        assert rows.overlapping(spans).tolist() == overlapping
    assert rows.at(Prefix.parse("2001:db8::/33")) == -1


@pytest.mark.parametrize("many", [-1, 1 << 30])
def test_rows_in_spans_by_either_way(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(incremental_rows, "MANY", many)
    monkeypatch.setattr(incremental_rows, "ROWS_PER_SPAN", 1 << 30)
    columns = SHAPE.tables()["gw/ccn1"].v4
    rows, draw = Rows(columns), Random(7)
    prefixes = [columns.prefix(row) for row in range(len(columns))]
    edges = sorted({edge for p in prefixes for edge in (p.first - 1, p.first, p.last, p.last + 1)})
    edges = [0, 1, *(e for e in edges if 1 < e < (1 << 32) - 1), (1 << 32) - 1]
    for count in (2, 4, 10, 40):
        for _ in range(50):
            some = sorted(draw.sample(edges, count))
            spans = joined(zip(some[::2], some[1::2], strict=True))
            expected = [
                row
                for row, p in enumerate(prefixes)
                if any(p.first <= last and first <= p.last for first, last in spans)
            ]
            assert rows.overlapping(spans).tolist() == expected


def test_sums_of_addresses() -> None:
    spans = joined([(8, 9), (0, 3), (4, 5), (20, 29), (22, 23)])
    assert spans == ((0, 5), (8, 9), (20, 29))
    assert within(spans, ((3, 8), (25, 40))) == [(3, 5), (8, 8), (25, 29)]
    assert without(spans, ((3, 8), (25, 40))) == [(0, 2), (9, 9), (20, 24)]
    assert without(spans, ()) == list(spans)
    assert without(((0, 9),), ((2, 3), (5, 5))) == [(0, 1), (4, 4), (6, 9)]
