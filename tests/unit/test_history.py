"""Which commits can still be proved again: as many as fit, the newest always."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway import history
from ccn_bgp.gateway.history import CommitRecord, History
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
RECORD = CommitRecord(0, 1, 0.0, "", 1, 1, "", "", 1, 0, 0.0, 0.0)


@pytest.fixture(scope="module")
def intent() -> Intent:
    return read_intent(TOPOLOGY, "bj-gw1")


def table(name: str, rows: int) -> Table:
    prefixes = [Prefix.parse(f"10.{n}.0.0/16") for n in range(rows)]
    return Table.build(
        name,
        ord(name[-1]),
        name,
        [
            Route(name, p, name, NextHop(Kind.DROP), "", Path("p", Unicast(p), PathAttributes()))
            for p in prefixes
        ],
    )


def keep(held: History, intent: Intent, *tables: Table) -> None:
    held.add(RECORD, Snapshot("gw", {t.name: t for t in tables}), intent)


def test_as_many_snapshots_as_are_kept(intent: Intent) -> None:
    held, same = History(), table("gw/a", 9)
    for _ in range(20):
        keep(held, intent, same)
    assert held.kept == list(range(5, 21))
    assert [r.id for r in held.records] == list(range(1, 21))


def test_rows_that_the_newest_does_not_share_are_bounded(
    intent: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_ROWS", 10)
    held, shared = History(), table("gw/s", 50)
    for _ in range(4):
        keep(held, intent, shared, table("gw/a", 5))
    assert held.kept == [2, 3, 4]  # 5 rows each of the second and the third are held for them alone
    keep(held, intent, shared)
    assert held.kept == [3, 4, 5]
    keep(held, intent, table("gw/a", 5))
    assert held.kept == [6]  # the fifty are gone with the last that had them
    with pytest.raises(InputError, match="kept: 6 to 6"):
        held.get(5)


def test_the_newest_is_kept_whatever_its_size(
    intent: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_ROWS", 0)
    held = History()
    for number in range(1, 4):
        keep(held, intent, table("gw/a", 50))
        assert held.kept == [number]
        assert len(held.get(number).snapshot.tables["gw/a"]) == 50
