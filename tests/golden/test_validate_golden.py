"""`ccn validate` on one broken topology per rule: the text as an operator sees it, kept in files.

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
BROKEN = sorted(p.stem for p in (ROOT / "topologies" / "broken").glob("*.yaml"))
GOOD = ("two-regions", "quickstart")


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


@pytest.mark.parametrize("name", BROKEN)
def test_broken_topology(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = f"topologies/broken/{name}.yaml"
    code, out, err = ccn(monkeypatch, capsys, "validate", file)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("CCN_RENEW_GOLDEN"):
        golden.write_text(f"{out}{err}exit {code}\n")
    assert f"{out}{err}exit {code}\n" == golden.read_text()

    code_json, out, _ = ccn(monkeypatch, capsys, "validate", file, "--format", "json")
    document = json.loads(out)
    rules = {f["rule"] for f in document["findings"]}
    assert code_json == code
    assert name in rules
    assert name in ERRORS | WARNINGS
    expected = 2 if name == "schema" else 3 if rules & ERRORS else 0
    assert code == expected
    assert document["ok"] is not bool(rules & ERRORS)
    for finding in document["findings"]:
        assert finding.keys() >= {"rule", "severity", "message", "where", "ccn", "witness"}
        path, line, column = finding["where"].rsplit(":", 2)
        assert (ROOT / path).is_file()
        assert int(line) >= 1
        assert int(column) >= 1
        witness = finding["witness"]
        assert name == "schema" or "chain" in witness or {"address", "hops"} <= witness.keys()


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
