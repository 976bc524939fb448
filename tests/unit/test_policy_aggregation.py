"""What `ccn policy diff` says of aggregates: an edit of them, and of what contributes to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ccn_bgp.cli.policy import app

OLD = """\
prefix-sets: {some: [{prefix: 10.2.0.0/16, le: 24}]}
policies:
  p: [{name: some, match: {prefix-set: some}, then: accept}]
aggregates:
  low: {prefix: 10.2.0.0/17, min-contributing: 2}
  tens: {prefix: 10.0.0.0/8, set: {med: 7}}
"""
ROUTES = [f"10.2.{n}.0/24" for n in (1, 2, 3, 200)] + ["10.2.0.0/17", "192.0.2.0/24"]


def diff(
    folder: Path, new: str, *, routes: bool, text: bool = False, more: tuple[Any, ...] = ()
) -> tuple[int, Any]:
    (folder / "old.yaml").write_text(OLD)
    (folder / "new.yaml").write_text(new)
    (folder / "r.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (*ROUTES, *more)))
    words = ["diff", str(folder / "old.yaml"), str(folder / "new.yaml"), "--policy", "p"]
    words += ["--routes", str(folder / "r.jsonl")] if routes else []
    done = CliRunner().invoke(app, words if text else [*words, "--json"])
    return done.exit_code, done.stdout if text else json.loads(done.stdout)


@pytest.mark.parametrize("routes", [False, True])
def test_the_same_is_equal(tmp_path: Path, routes: bool) -> None:
    code, found = diff(tmp_path, OLD, routes=routes)
    assert code == 0
    assert found["equal"] and found["aggregates"] == []


def test_what_contributes_no_longer_is_counted(tmp_path: Path) -> None:
    edit = OLD.replace("{prefix: 10.2.0.0/16, le: 24}", "{prefix: 10.2.0.0/22, ge: 24, le: 24}")
    edit = edit.replace("le: 24}]", "le: 24}, {prefix: 10.2.0.0/17}]").replace("/22", "/23")
    code, found = diff(tmp_path, edit, routes=True)
    assert code == 3
    low, tens = found["aggregates"]
    assert low["name"] == "low"
    assert (low["before"]["contributing"], low["before"]["in-force"]) == (3, True)
    assert (low["after"]["contributing"], low["after"]["in-force"]) == (1, False)
    assert low["no-longer"] == {"routes": 2, "example": "10.2.2.0/24"}
    assert (tens["before"]["contributing"], tens["after"]["contributing"]) == (5, 2)
    assert tens["after"]["attributes"]["med"] == 7
    (group,) = found["differences"]
    assert group["aggregates"] == ["low", "tens"]
    _, text = diff(tmp_path, edit, routes=True, text=True)
    assert "aggregate low, 10.2.0.0/17:\n" in text
    assert "    contributing: 3 → 1\n    in-force: yes → no\n" in text
    assert "    no longer contributing: 2 routes, such as 10.2.2.0/24\n" in text
    assert "    which contributes to: low, tens\n" in text


def test_an_edit_of_an_aggregate_alone_is_a_difference(tmp_path: Path) -> None:
    edit = OLD.replace("med: 7", "med: 8").replace(
        "  low: {prefix: 10.2.0.0/17, min", "  few: {prefix: 10.2.0.0/16, min"
    )
    for routes in (False, True):
        code, found = diff(tmp_path, edit, routes=routes)
        assert code == 3
        assert not found["equal"] and not found["differences"]
        few, low, tens = found["aggregates"]
        assert few["before"] is None and low["after"] is None
        assert tens["before"]["attributes"]["med"] == 7
        assert tens["after"]["attributes"]["med"] == 8
    _, text = diff(tmp_path, edit, routes=True, text=True)
    assert "aggregate few is new: 10.2.0.0/16, 5 routes contributing\n" in text
    assert "aggregate low is gone: 10.2.0.0/17, 3 routes contributing\n" in text
    assert "    attributes: origin igp, med 7 → origin igp, med 8\n" in text
    assert "no change" not in text


def test_a_way_to_tell_two_chains_apart_names_the_aggregates(tmp_path: Path) -> None:
    code, found = diff(tmp_path, OLD.replace("le: 24", "le: 23"), routes=False)
    assert code == 3
    assert found["aggregates"] == []
    assert all("tens" in d["aggregates"] for d in found["differences"])


def test_the_worst_origin_is_the_aggregates(tmp_path: Path) -> None:
    attributes = {"origin": "incomplete", "as-path": "65001"}
    more = {"prefix": "10.2.9.0/24", "attributes": attributes}
    edit = OLD.replace("then: accept", "set: {origin: egp}, then: accept")
    _, found = diff(tmp_path, edit, routes=True, more=(more,))
    low, tens = found["aggregates"]
    assert low["before"]["attributes"]["origin"] == "incomplete"
    assert low["after"]["attributes"] == {"origin": "egp", "atomic-aggregate": True}
    assert tens["after"]["attributes"] == {"origin": "egp", "med": 7, "atomic-aggregate": True}
