"""`ccn reach FILE`: the answers, their chains, and what the command says of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.cli import main

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

RING = """
name: ring
fabric: {asn: 64600}
gateways:
  gw: {region: r, asn: 64601, vtep: 192.0.2.1}
vpcs:
  a: {region: r, vni: 1, cidrs: [10.1.0.0/16]}
  h: {region: r, vni: 2, cidrs: [10.2.0.0/16]}
  z: {region: r, vni: 3, cidrs: [10.3.0.0/16]}
ccns:
  alpha: {id: 1, vni: 11, attach: [vpc/a]}
  hub: {id: 2, vni: 12, attach: [vpc/h], reexport: true, import-rts: ["64600:2", "64600:1"]}
  zulu: {id: 3, vni: 13, attach: [vpc/z], import-rts: ["64600:3", "64600:2"]}
"""


def ccn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["ccn", "reach", *words])
    with pytest.raises(SystemExit) as left:
        main.main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    file = tmp_path / "ring.yaml"
    file.write_text(RING)
    return file


def test_shares_declare_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(TOPOLOGIES / "shared-services.yaml")
    code, out, err = ccn(monkeypatch, capsys, file, "--json")
    said = json.loads(out)
    assert (code, err, said["ok"]) == (0, "", True)
    assert {(r["from"], r["to"], r["hops"], r["declared"]) for r in said["reaches"]} == {
        ("services", "blue", 1, True),
        ("blue", "services", 1, True),
        ("services", "red", 1, True),
        ("red", "services", 1, True),
    }
    assert said["undeclared-imports"] == said["one-way-imports"] == said["cycles"] == []
    code, out, _ = ccn(monkeypatch, capsys, file, "--from", "blue")
    assert code == 0
    assert out.splitlines() == [
        "services can receive routes of blue in 1 hop: declared by a share",
        "    ss-gw1/blue -(64600:31)-> ss-gw1/services",
        "1 pair, none undeclared, no undeclared imports, no one-way imports, no cycles",
    ]


def test_a_share_of_one_direction_is_declared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(TOPOLOGIES / "broken" / "asymmetric.yaml")
    code, out, _ = ccn(monkeypatch, capsys, file, "--json")
    said = json.loads(out)
    (reach,) = said["reaches"]
    assert (code, reach["declared"], reach["returned"]) == (0, True, False)
    assert said["one-way-imports"] == []


def test_through_a_hub(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ring: Path
) -> None:
    code, out, err = ccn(monkeypatch, capsys, str(ring), "--json")
    said: dict[str, Any] = json.loads(out)
    assert (code, err, said["ok"]) == (3, "", False)
    ways = {(r["from"], r["to"]): (r["hops"], r["chain"], r["by"]) for r in said["reaches"]}
    assert ways == {
        ("alpha", "hub"): (1, ["gw/alpha", "gw/hub"], ["64600:1"]),
        ("alpha", "zulu"): (2, ["gw/alpha", "gw/hub", "gw/zulu"], ["64600:1", "64600:2"]),
        ("hub", "zulu"): (1, ["gw/hub", "gw/zulu"], ["64600:2"]),
    }
    # Over the hub zulu imports nothing of alpha's: that is hub's import.
    assert [(i["table"], i["target"], i["from"]) for i in said["undeclared-imports"]] == [
        ("gw/hub", "64600:1", "alpha"),
        ("gw/zulu", "64600:2", "hub"),
    ]
    assert {(r["from"], r["to"]) for r in said["one-way-imports"]} == ways.keys()
    assert said["cycles"] == []


def test_a_cycle_is_told_with_its_chain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ring: Path
) -> None:
    back = '"64600:3", "64600:2"], reexport: true'
    ring.write_text(
        RING.replace('"64600:3", "64600:2"]', back).replace(
            "attach: [vpc/a]", 'attach: [vpc/a], reexport: true, import-rts: ["64600:3"]'
        )
    )
    code, out, _ = ccn(monkeypatch, capsys, str(ring))
    assert code == 3
    lines = out.splitlines()
    at = lines.index("cycle through alpha, hub, zulu: no share declares it")
    assert lines[at + 1] == (
        "    gw/alpha -(64600:1)-> gw/hub -(64600:2)-> gw/zulu -(64600:3)-> gw/alpha"
    )
    # All hear all: nothing is one-way.
    assert lines[-1] == ("6 pairs, 6 undeclared, 3 undeclared imports, no one-way imports, 1 cycle")


def test_only_what_was_asked_for_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ring: Path
) -> None:
    code, out, _ = ccn(monkeypatch, capsys, str(ring), "--from", "zulu", "--json")
    assert (code, json.loads(out)["reaches"]) == (0, [])
    code, out, _ = ccn(monkeypatch, capsys, str(ring), "--from", "alpha", "--to", "zulu")
    assert code == 3
    assert out.splitlines()[:2] == [
        "zulu can receive routes of alpha in 2 hops: no share declares it",
        "    gw/alpha -(64600:1)-> gw/hub -(64600:2)-> gw/zulu",
    ]


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_an_unknown_ccn_costs_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ring: Path,
    option: str,
) -> None:
    code, out, err = ccn(monkeypatch, capsys, str(ring), option, "alpa", "--json")
    assert (code, out) == (2, "")
    assert err == f"ccn: {ring}: {option}: there is no CCN 'alpa' (did you mean 'alpha'?)\n"


def test_a_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = ccn(monkeypatch, capsys, str(tmp_path / "none.yaml"))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
