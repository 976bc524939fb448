"""`ccn validate`: where the verifier's findings point, the forms of output, the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from ccn_bgp.cli.main import main
from ccn_bgp.cli.validate import Form, show, validate
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import placed, topology_findings
from ccn_bgp.model.finding import Finding
from ccn_bgp.observe.findings import sarif

TOPOLOGIES = Path(__file__).parents[2] / "topologies"


def copy(tmp_path: Path, *edits: tuple[str, str]) -> Path:
    """The demo with edits, its policies beside it."""
    text = (TOPOLOGIES / "two-regions.yaml").read_text()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "policies" / "idc.yaml").write_text(
        (TOPOLOGIES / "policies" / "idc.yaml").read_text()
    )
    file = tmp_path / "t.yaml"
    file.write_text(text)
    return file


EXTRA = ("{id: 200, vni: 20200,", '{id: 200, vni: 20200, import-rts: ["64600:200", "64600:100"],')


def test_an_extra_import_is_a_leak_with_its_position_and_chain(tmp_path: Path) -> None:
    found = topology_findings(load_topology(copy(tmp_path, EXTRA)))
    leaks = [f for f in found if f.rule == "rt-leak"]
    assert leaks
    line = next(
        n
        for n, t in enumerate(copy(tmp_path, EXTRA).read_text().split("\n"), 1)
        if "import-rts" in t
    )
    for finding in leaks:
        path, row, _ = finding.where.rsplit(":", 2)
        assert (path, int(row)) == (f"{tmp_path}/t.yaml", line)
        assert finding.ccn == "finance"
        assert finding.witness["chain"][0].endswith("/retail")
        assert finding.witness["chain"][-1].endswith("/finance")
    text = copy(tmp_path, EXTRA).read_text().split("\n")[line - 1]
    column = int(leaks[0].where.rsplit(":", 1)[1])
    assert text[column - 1 :].startswith('"64600:100"')


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(copy(tmp_path))
    assert capsys.readouterr().out.endswith("t.yaml: no errors, 4 warnings\n")
    with pytest.raises(typer.Exit) as caught:
        validate(copy(tmp_path, EXTRA))
    assert caught.value.exit_code == 3
    with pytest.raises(InputError):
        validate(tmp_path / "none.yaml")


def test_json_of_a_bad_file_goes_to_stdout_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy(tmp_path, ("asn: 64601", "asn: 0"), ("region: hongkong", "region: hongkng"))
    with pytest.raises(InputError) as caught:
        validate(file, form=Form.JSON)
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [f["rule"] for f in document["findings"]] == ["schema"] * len(caught.value.problems)
    assert document["findings"][0]["where"] == f"{file}:12:10"
    assert document["findings"][0]["severity"] == "error"


def test_json_has_exactly_the_agreed_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate(copy(tmp_path), json=True)
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"ok", "findings"}
    assert document["ok"] is True
    for finding in document["findings"]:
        assert finding["severity"] == "warning"
        assert finding.keys() >= {"rule", "severity", "message", "where", "ccn", "witness"}


def test_faults_of_policies_are_told(tmp_path: Path) -> None:
    file = copy(tmp_path)
    policy = tmp_path / "policies" / "idc.yaml"
    policy.write_text(policy.read_text().replace("prefix-set: idc-space}", "prefix-set: idc-spac}"))
    assert "undefined-set" in {f.rule for f in topology_findings(load_topology(file))}
    policy.write_text("policies: {from-idc: [{then: maybe}], to-idc: []}\n")
    with pytest.raises(InputError, match="'maybe' is not known"):
        topology_findings(load_topology(file))


def test_sarif(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy(tmp_path, EXTRA)
    found = topology_findings(load_topology(file))
    show(found, Form.SARIF, file)
    document = json.loads(capsys.readouterr().out)
    assert document == sarif(found)
    assert document["version"] == "2.1.0"
    run = document["runs"][0]
    ids = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert len(run["results"]) == len(found)
    for result in run["results"]:
        assert result["ruleId"] in ids
        assert result["level"] in ("error", "warning")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == str(file)
        assert place["region"]["startLine"] > 1


def test_positions_of_findings_without_one(tmp_path: Path) -> None:
    topology = load_topology(copy(tmp_path))
    file = tmp_path / "t.yaml"
    rows = {t.strip().split(":")[0]: n for n, t in enumerate(file.read_text().split("\n"), 1) if t}
    by_ccn = placed(Finding("loop", "", ccn="finance"), topology)
    assert by_ccn.where == f"{file}:{rows['finance']}:3"
    by_peer = placed(Finding("transit-leak", "", ccn="retail", peer="tj-r1"), topology)
    assert by_peer.where.startswith(f"{file}:{rows['tj-r1'] + 3}:")
    kept = Finding("mtu", "", where="x:1:1")
    assert placed(kept, topology) is kept
    assert placed(Finding("loop", ""), topology).where == f"{file}:{rows['ccns']}:1"


def test_where_has_line_and_column_even_if_there_is_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError):
        validate(tmp_path / "none.yaml", json=True)
    document = json.loads(capsys.readouterr().out)
    assert [f["where"] for f in document["findings"]] == [f"{tmp_path}/none.yaml:1:1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["validate"], "Missing argument 'FILE'"),
        (["validate", "x", "--format", "xml"], "'xml' is not one of 'text', 'json', 'sarif'"),
        (["nope"], "No such command 'nope'"),
        (["validate", "a", "b"], "unexpected extra argument"),
        (["validate", "--nope", "a"], "No such option"),
    ],
)
def test_wrong_words_on_the_command_line_cost_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["ccn", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ccn: ")
    assert err.count("\n") == 1
    assert expected in err
