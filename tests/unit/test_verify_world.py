"""`ccn verify`: the form of its files, what it says of bad ones, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ccn_bgp.cli.verify import verify
from ccn_bgp.errors import InputError
from ccn_bgp.table.verify import parse_world, verify_world

A, B, HK = "bj/retail", "bj/finance", "hk/retail"


def good() -> dict[str, Any]:
    return {
        "gateway": "bj",
        "generation": 7,
        "tables": [{"name": A, "ccn": "retail"}, {"name": B, "ccn": "finance"}],
        "external": [HK],
        "routes": [
            {"table": A, "prefix": "10.1.0.0/16", "origin": A, "next": "deliver"},
            {"table": A, "prefix": "10.2.0.0/16", "origin": HK, "next": HK, "peer": "hk"},
            {"table": A, "prefix": "10.9.0.0/16", "origin": A, "next": "drop"},
            {"table": B, "prefix": "10.1.0.0/16", "origin": B, "next": "deliver"},
            {"table": B, "prefix": "fd00::/64", "origin": B, "next": "deliver"},
        ],
        "shares": [{"table": B, "provider": "retail", "prefix": "10.1.0.0/16"}],
        "ccsis": [
            {"name": A, "ccn": "retail", "import": ["1:1"], "export": ["1:1"], "reexport": False},
            {"name": B, "ccn": "finance", "import": ["1:2"], "export": ["1:2"]},
        ],
        "idcs": [],
        "shared-ccns": [["retail", "finance"]],
    }


def write(folder: Path, *documents: Any) -> list[Path]:
    files = []
    for number, document in enumerate(documents):
        files.append(folder / f"{number}.json")
        files[-1].write_text(document if isinstance(document, str) else json.dumps(document))
    return files


def problems(folder: Path, *documents: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_world(write(folder, *documents))
    return [str(p).removeprefix(f"{folder}/") for p in caught.value.problems]


def test_good_file_is_clean(tmp_path: Path) -> None:
    world = parse_world(write(tmp_path, good()))
    assert verify_world(world) == []
    assert world.tables == (A, B, HK)
    assert world.owners == ("retail", "finance", "retail")
    assert world.external.tolist() == [False, False, True]
    assert (len(world.v4), len(world.v6)) == (4, 1)


def test_empty_object_is_clean(tmp_path: Path) -> None:
    assert verify_world(parse_world(write(tmp_path, {}))) == []


def test_default_routes_of_both_families(tmp_path: Path) -> None:
    form = good()
    for prefix in ("0.0.0.0/0", "::/0"):
        form["routes"].append({"table": A, "prefix": prefix, "origin": B, "next": "deliver"})
    leaks = verify_world(parse_world(write(tmp_path, form)))
    assert [(f.rule, f.prefix) for f in leaks] == [("leak", "0.0.0.0/0"), ("leak", "::/0")]
    assert leaks[0].witness["ranges"] == [
        ["0.0.0.0", "10.0.255.255"],
        ["10.3.0.0", "10.8.255.255"],
        ["10.10.0.0", "255.255.255.255"],
    ]
    last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    assert leaks[1].witness["ranges"] == [["::", last]]


def test_external_counts_as_delivered_until_its_file_comes_too(tmp_path: Path) -> None:
    other = {
        "tables": [{"name": HK, "ccn": "retail"}],
        "routes": [{"table": HK, "prefix": "10.2.0.0/17", "origin": HK, "next": "deliver"}],
    }
    findings = verify_world(parse_world(write(tmp_path, good(), other)))
    assert [(f.rule, f.table, f.prefix) for f in findings] == [("blackhole", A, "10.2.0.0/16")]
    assert findings[0].witness == {
        "address": "10.2.128.0",
        "ranges": [["10.2.128.0", "10.2.255.255"]],
        "hops": [A, HK],
    }
    assert findings[0].peer == "hk"


def test_external_object_and_misdelivery(tmp_path: Path) -> None:
    form = good()
    form["external"] = [{"name": HK, "ccn": "finance"}]
    form["routes"] = [{"table": A, "prefix": "10.2.0.0/16", "origin": A, "next": HK}]
    findings = verify_world(parse_world(write(tmp_path, form)))
    assert [(f.rule, f.prefix) for f in findings] == [("misdelivery", "10.2.0.0/16")]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda f: f["routes"][1].update(prefix="10.2.0.1/16"),
            "0.json: routes[1].prefix: '10.2.0.1/16' has host bits set; did you mean 10.2.0.0/16?",
        ),
        (lambda f: f["routes"][1].update(prefix=7), "0.json: routes[1].prefix: must be a prefix"),
        (
            lambda f: f["routes"][1].update(next="hk/retial"),
            "0.json: routes[1].next: no table is called \"hk/retial\" (did you mean 'hk/retail'?)",
        ),
        (lambda f: f["routes"][1].update(origin="x"), "0.json: routes[1].origin: no table is"),
        (
            lambda f: f["routes"][1].update(table=HK),
            "0.json: routes[1].table: 'hk/retail' is declared external: it has no routes here",
        ),
        (lambda f: f["routes"][1].pop("next"), "0.json: routes[1]: has no 'next'"),
        (
            lambda f: f["routes"][1].update(nextt=1),
            "0.json: routes[1]: has an unknown key 'nextt' (did you mean 'next'?)",
        ),
        (lambda f: f["routes"].append(7), "0.json: routes[5]: must be an object, not 7"),
        (
            lambda f: f["routes"].append(f["routes"][0]),
            "0.json: routes[5]: 10.1.0.0/16 stands twice in table 'bj/retail' (first in ",
        ),
        (lambda f: f.update(routes={}), "0.json: routes: must be a list, not {}"),
        (
            lambda f: f.update(share=[]),
            "0.json: share: is not a known key (did you mean 'shares'?)",
        ),
        (lambda f: f["tables"][0].update(ccn=""), "0.json: tables[0].ccn: must be a name"),
        (
            lambda f: f["tables"].append({"name": A, "ccn": "x"}),
            "0.json: tables[2]: table 'bj/retail' is of CCN 'retail' elsewhere, here 'x'",
        ),
        (
            lambda f: f["tables"].append({"name": "drop", "ccn": "x"}),
            "0.json: tables: no table may be called 'drop'",
        ),
        (lambda f: f["shares"][0].update(table="z"), "0.json: shares[0].table: no table is called"),
        (
            lambda f: f["ccsis"][0].update(reexport="no"),
            '0.json: ccsis[0].reexport: must be true or false, not "no"',
        ),
        (lambda f: f["ccsis"][0].update({"import": "1:1"}), "0.json: ccsis[0].import: must be a"),
        (
            lambda f: f["ccsis"].append({"name": A, "ccn": "z"}),
            "0.json: ccsis[2]: CCSI 'bj/retail' is declared twice, and differently",
        ),
        (
            lambda f: f["idcs"].append({"from": A, "into": "bj/financ"}),
            "0.json: idcs[0].into: no CCSI is called \"bj/financ\" (did you mean 'bj/finance'?)",
        ),
        (
            lambda f: f["shared-ccns"].append(["a"]),
            '0.json: shared-ccns[1]: must be [PROVIDER, CONSUMER], not ["a"]',
        ),
    ],
)
def test_bad_item_is_one_line(tmp_path: Path, change: Any, line: str) -> None:
    form = good()
    change(form)
    said = problems(tmp_path, form)
    assert len(said) == 1
    assert said[0].startswith(line)
    assert "\n" not in said[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "0.json:1:1: is not JSON: Expecting value (was it written to its end?)"),
        ('{"tables": [', "0.json:1:13: is not JSON"),
        ("[]", "0.json: must be a JSON object"),
        ('{"routes": [], "routes": []}', "0.json: the key 'routes' stands twice in one object"),
        ("[" * 100_000, "0.json: is nested too deeply"),
    ],
)
def test_bad_text_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    said = problems(tmp_path, text)
    assert len(said) == 1
    assert said[0].startswith(line)


def test_not_text_missing_and_folder(tmp_path: Path) -> None:
    binary = tmp_path / "b.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as caught:
        parse_world([binary, tmp_path / "none.json", tmp_path])
    words = [p.what for p in caught.value.problems]
    assert words == [
        "is not UTF-8 text",
        "cannot be read: No such file or directory",
        "cannot be read: Is a directory",
    ]


def test_the_same_prefix_in_two_files(tmp_path: Path) -> None:
    said = problems(tmp_path, good(), good())
    assert len(said) == 5
    assert said[0].startswith("1.json: routes[0]: 10.1.0.0/16 stands twice")
    assert "0.json: routes[0]" in said[0]


def test_a_thousand_faults_end_soon(tmp_path: Path) -> None:
    form = good()
    form["routes"] = [{"table": "?", "prefix": "x", "origin": "?", "next": "?"}] * 1000
    assert len(problems(tmp_path, form)) == 20


def run(*words: str | Path) -> Any:
    app = typer.Typer()
    app.command()(verify)
    return CliRunner().invoke(app, [str(w) for w in words])


def test_exit_codes_and_forms(tmp_path: Path) -> None:
    clean = write(tmp_path, good())[0]
    shown = run(clean)
    assert (shown.exit_code, shown.stdout) == (0, "no finding in 3 tables, 5 routes\n")
    shown = run(clean, "--json")
    assert (shown.exit_code, json.loads(shown.stdout)) == (0, {"ok": True, "findings": []})
    form = good()
    form["shared-ccns"] = []
    form["ccsis"][1]["import"] = ["1:1", "1:2"]
    form["routes"][4]["origin"] = A
    faulty = write(tmp_path, form)[0]
    shown = run(faulty, "--json")
    assert shown.exit_code == 3
    assert json.loads(shown.stdout) == {
        "ok": False,
        "findings": [
            {
                "rule": "leak",
                "severity": "error",
                "message": "bj/finance reaches fd00::/64 of CCN retail without a share",
                "ccn": "finance",
                "table": B,
                "prefix": "fd00::/64",
                "witness": {
                    "address": "fd00::",
                    "ranges": [["fd00::", "fd00::ffff:ffff:ffff:ffff"]],
                    "hops": [B],
                },
            },
            {
                "rule": "rt-leak",
                "severity": "error",
                "message": "bj/finance can hold routes of bj/retail (CCN retail) by route target"
                " 1:1, and no share allows it",
                "ccn": "finance",
                "table": B,
                "from": A,
                "to": B,
                "witness": {"chain": [A, B], "by": ["1:1"]},
            },
        ],
    }
    shown = run(faulty)
    assert shown.exit_code == 3
    assert shown.stdout.splitlines() == [
        "error leak: bj/finance reaches fd00::/64 of CCN retail without a share",
        "  addresses: fd00:: - fd00::ffff:ffff:ffff:ffff",
        "  fd00:: meets: bj/finance",
        "error rt-leak: bj/finance can hold routes of bj/retail (CCN retail) by route target 1:1,"
        " and no share allows it",
        "  chain: bj/retail -> bj/finance",
    ]


def test_flows_that_go_several_ways(tmp_path: Path) -> None:
    form = good()
    form["external"] += ["sz/retail", "sz/finance"]
    form["routes"][1]["next"] = ["sz/retail", HK]
    assert verify_world(parse_world(write(tmp_path, form))) == []
    form["routes"][1]["next"] = [HK, "sz/finance", A]
    findings = verify_world(parse_world(write(tmp_path, form)))
    assert [(f.rule, f.prefix, f.witness["hops"]) for f in findings] == [
        ("loop", "10.2.0.0/16", [A, A]),
        ("misdelivery", "10.2.0.0/16", [A, "sz/finance"]),
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([HK], "two different names or more"),
        ([], "two different names or more"),
        ([HK, HK, A], "two different names or more"),
        ([HK, "drop"], '"drop" is neither a table nor "deliver"'),
        ([HK, "hk/retial"], "did you mean 'hk/retail'?"),
        ([HK, 5], "5 is neither a table nor"),
    ],
)
def test_several_ways_that_are_none(tmp_path: Path, said: list[Any], why: str) -> None:
    form = good()
    form["routes"][1]["next"] = said
    (problem,) = problems(tmp_path, form)
    assert problem.startswith("0.json: routes[1].next: ")
    assert why in problem
