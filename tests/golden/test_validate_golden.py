"""`ccn validate` on one broken topology per rule: what an operator sees (text, JSON) in files.
Beside each stands the same with the fault just mended, which has no finding at all.

To renew after a wanted change: CCN_RENEW_GOLDEN=1 pytest tests/golden/test_validate_golden.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ccn_bgp.cli.main import main
from ccn_bgp.model.finding import ERRORS, WARNINGS

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "validate"
FOLDER = ROOT / "topologies" / "broken"
BROKEN = sorted(p.stem for p in FOLDER.glob("*.yaml"))
MENDED = sorted(p.stem for p in (FOLDER / "mended").glob("*.yaml"))
TABLES = "loop"
GOOD = (
    "two-regions",
    "quickstart",
    "shared-services",
    "dual-homed",
    "floating-vip",
    "two-uplinks",
    "ipv6-fabric",
)


def ccn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of the real command line, run in the root of the tree."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["ccn", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def golden(name: str, found: str) -> None:
    file = GOLDEN / name
    if os.environ.get("CCN_RENEW_GOLDEN"):
        file.write_text(found)
    assert found == file.read_text()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_topology(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = f"topologies/broken/{name}.yaml"
    code, out, err = ccn(monkeypatch, capsys, "validate", file)
    golden(f"{name}.txt", f"{out}{err}exit {code}\n")

    code_json, out, _ = ccn(monkeypatch, capsys, "validate", file, "--format", "json")
    golden(f"{name}.json", out)
    document = json.loads(out)
    standing = {f["rule"] for f in document["findings"] if "suppressed" not in f}
    assert code_json == code
    assert name in standing
    assert name in ERRORS | WARNINGS
    expected = 2 if name == "schema" else 3 if standing & ERRORS else 0
    assert code == expected
    assert document["ok"] is not bool(standing & ERRORS)
    for finding in document["findings"]:
        assert finding.keys() >= {"rule", "severity", "message", "where", "ccn", "witness"}
        path, line, column = finding["where"].rsplit(":", 2)
        assert (ROOT / path).is_file()
        assert int(line) >= 1
        assert int(column) >= 1
        witness = finding["witness"]
        assert name == "schema" or "chain" in witness or {"address", "hops"} <= witness.keys()


@pytest.mark.parametrize("name", MENDED)
def test_just_short_of_it_there_is_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = f"topologies/broken/mended/{name}.yaml"
    code, out, err = ccn(monkeypatch, capsys, "validate", file, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["ok"] is True
    assert [f for f in document["findings"] if "suppressed" not in f] == []


def test_every_finding_has_a_topology_and_one_just_short_of_it() -> None:
    """But a loop: what is declared goes from table to table by the fewest steps, and never back."""
    assert BROKEN == MENDED == sorted((ERRORS | WARNINGS) - {TABLES})


def test_a_loop_needs_tables_made_by_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = "topologies/broken/tables/loop.json"
    code, out, _ = ccn(monkeypatch, capsys, "verify", file, "--json")
    golden("loop.json", out)
    assert code == 3
    assert {f["rule"] for f in json.loads(out)["findings"]} == {"loop"}
    mended = "topologies/broken/tables/mended-loop.json"
    code, out, _ = ccn(monkeypatch, capsys, "verify", mended, "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "findings": []})


@pytest.mark.parametrize("name", GOOD)
def test_shipped_topologies_have_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = ccn(monkeypatch, capsys, "validate", f"topologies/{name}.yaml", "--json")
    assert code == 0
    assert err == ""
    assert json.loads(out)["ok"] is True


def test_no_golden_file_without_its_topology() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.txt")) == BROKEN
    assert sorted(p.stem for p in GOLDEN.glob("*.json")) == sorted([*BROKEN, TABLES])
    assert sorted(p.stem for p in (ROOT / "topologies").glob("*.yaml")) == sorted(GOOD)
