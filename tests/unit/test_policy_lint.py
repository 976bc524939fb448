"""`ccn policy lint`: each fault with its place; nothing is said of what is right."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ccn_bgp.cli.main import app
from ccn_bgp.model.finding import Finding
from ccn_bgp.policy.automata import (
    AS_PATHS,
    COMMUNITIES,
    LARGE_COMMUNITIES,
    Texts,
    automaton,
    text_for,
)
from ccn_bgp.policy.lint import lint, undecided
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.regex import Regex, translate

SETS = """\
prefix-sets:
  halves: [{prefix: 0.0.0.0/1, le: 32}, {prefix: 128.0.0.0/1, le: 32}]
  all4: [{prefix: 0.0.0.0/0, ge: 1}]
  ten: [{prefix: 10.0.0.0/8, le: 24}]
  sub: [{prefix: 10.1.0.0/16, ge: 20, le: 22}]
  six: [{prefix: "::/0", le: 128}]
community-sets:
  one: ["1:1"]
  ones: ["1:*"]
  low: [{regex: "^1:[0-9]$"}]
as-path-sets:
  via1: [_1_]
  not1: [{length: {le: 1}}]
  from2: [{origin-as: 2}]
  from3: [{origin-as: 3}]
"""


def found(tmp_path: Path, *statements: str, used: bool = True) -> list[Finding]:
    file = tmp_path / "p.yaml"
    lines = "".join(f"    - {{name: s{n}, {s}}}\n" for n, s in enumerate(statements))
    file.write_text(f"{SETS}policies:\n  p:\n{lines}")
    findings = lint(load_policies([file]))
    return [f for f in findings if f.rule != "unused-set"] if used else findings


def rules(tmp_path: Path, *statements: str) -> list[str]:
    return [f"{f.rule} {f.message}" for f in found(tmp_path, *statements)]


@pytest.mark.parametrize(
    "statements",
    [
        ("match: {prefix-set: ten}, then: reject", "match: {prefix-set: sub}, then: accept"),
        # only both halves together leave nothing; but the default route is in neither
        ("match: {prefix-set: halves}, then: reject", "match: {prefix-set: all4}, then: accept"),
        ("match: {community-set: ones}, then: reject", "match: {community-set: one}, then: accept"),
        ("match: {community-set: ones}, then: reject", "match: {community-set: low}, then: accept"),
        ("match: {community-set: {invert: one}}, then: reject",
         "match: {community-set: {invert: ones}}, then: accept"),
        ("match: {local-pref: {ge: 10}}, then: reject",
         "match: {local-pref: [{ge: 20, le: 30}, 40]}, then: accept"),
        ("match: {family: [evpn, ipv6-unicast]}, then: reject",
         "match: {prefix-set: six}, then: accept"),
        ("match: {as-path-set: not1}, then: reject",
         "match: {as-path-set: {all: [not1, via1]}}, then: accept"),
        ("match: {gateway-ip: true}, then: reject",
         "match: {gateway-ip: true, route-type: 5}, then: accept"),
        ("then: next-policy", "then: accept"),
    ],
)  # fmt: skip
def test_a_statement_that_earlier_ones_leave_nothing(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    said = rules(tmp_path, *statements)
    expected = (
        "unreachable-statement policy p, statement s1: every route that it matches is decided"
        " before, last by statement s0"
    )
    assert expected in said, said


@pytest.mark.parametrize(
    "statements",
    [
        ("match: {prefix-set: sub}, then: reject", "match: {prefix-set: ten}, then: accept"),
        ("match: {community-set: one}, then: reject", "match: {community-set: low}, then: accept"),
        ("match: {prefix-set: ten, med: 1}, then: reject",
         "match: {prefix-set: sub}, then: accept"),
        ("match: {prefix-set: ten}, then: next-statement", "match: {prefix-set: sub}, then: accept",
         "then: reject"),
        ("match: {tag: 1}, then: reject", "match: {tag: [1, unset]}, then: accept"),
        # the first changes what the third looks at
        ("match: {tag: 1}, then: reject", "set: {tag: 1}, then: next-statement",
         "match: {tag: 1}, then: accept", "then: reject"),
        ("match: {as-path-set: not1}, then: reject", "match: {as-path-set: via1}, then: accept"),
    ],
)  # fmt: skip
def test_what_can_be_reached_is_left_alone(tmp_path: Path, statements: tuple[str, ...]) -> None:
    assert rules(tmp_path, *statements) == []


@pytest.mark.parametrize(
    "match",
    [
        "{prefix-set: six, family: ipv4-unicast}",
        "{route-type: 3, prefix-set: ten}",
        "{vni: unset, route-type: 5}",
        "{as-path-set: {all: [from2, from3]}}",
        "{gateway-ip: true, family: ipv4-unicast}",
    ],
)
def test_conditions_that_exclude_each_other(tmp_path: Path, match: str) -> None:
    (said,) = rules(tmp_path, f"match: {match}, then: accept")
    assert "its conditions exclude each other" in said


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (("set: {med: 1}, then: reject",), "what is set on a route that is rejected is lost"),
        (("set: {community: {add: ['1:1'], remove: ['1:1']}}, then: accept",),
         "community: 1:1 is removed and added; what is added stays"),
        (("set: {community: {replace: ['1:1'], remove: ['2:2']}}, then: accept",),
         "community: remove does nothing beside replace"),
        (("set: {med: 1}, then: next-statement", "set: {med: 2}, then: accept"),
         "the med that it sets is set again by statement s1 before it counts"),
    ],
)  # fmt: skip
def test_actions_in_vain(tmp_path: Path, statements: tuple[str, ...], reason: str) -> None:
    assert f"undone-action policy p, statement s0: {reason}" in rules(tmp_path, *statements)


@pytest.mark.parametrize(
    "statements",
    [
        ("set: {med: 1}, then: next-statement", "set: {med: +2}, then: accept"),
        ("set: {med: 1}, then: next-statement", "match: {med: 1}, then: reject",
         "set: {med: 2}, then: accept"),
        ("set: {med: 1}, then: next-statement", "match: {prefix-set: ten}, then: accept",
         "set: {med: 2}, then: accept"),
        ("set: {community: {add: ['1:1'], remove: ['1:*']}}, then: accept",),
        ("set: {community: {add: ['1:1']}}, then: next-statement",
         "set: {community: {add: ['1:2']}}, then: accept"),
    ],
)  # fmt: skip
def test_actions_that_count(tmp_path: Path, statements: tuple[str, ...]) -> None:
    assert rules(tmp_path, *statements) == []


def test_a_chain_that_lets_routes_fall_out_of_its_end(tmp_path: Path) -> None:
    let_go = ("match: {prefix-set: ten}, set: {med: 1}, then: next-statement",)
    (finding,) = found(tmp_path, *let_go, "match: {prefix-set: sub}, then: accept")
    assert finding.rule == "falls-through"
    route = finding.witness["chain"][2].removeprefix("route ")
    assert json.loads(route) == {"prefix": "10.0.0.0/8"}
    assert found(tmp_path, *let_go, "match: {prefix-set: ten}, then: accept") == []
    assert found(tmp_path, *let_go, "then: reject") == []


def test_what_is_left_to_the_default_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        f"{SETS}policies:\n  p: [{{match: {{prefix-set: [all4, six]}}, then: accept}}]\n"
    )
    policies = load_policies([file])
    assert json.loads(undecided(policies, ("p",))) == {"prefix": "0.0.0.0/0"}
    file.write_text(f"{SETS}policies:\n  p: [{{then: accept}}]\n")
    assert undecided(load_policies([file]), ("p",)) == ""


def test_unused_sets_are_told_but_not_those_of_a_library(tmp_path: Path) -> None:
    said = found(tmp_path, "match: {prefix-set: ten}, then: accept", used=False)
    assert "community set one: no statement asks for it" in [f.message for f in said]
    (tmp_path / "sets.yaml").write_text(SETS)
    file = tmp_path / "top.yaml"
    file.write_text("include: [sets.yaml]\npolicies: {p: [{then: accept}]}\n")
    assert lint(load_policies([file])) == []


@pytest.mark.parametrize(
    ("texts", "regex", "example"),
    [
        (AS_PATHS, "_65001_", "65001"),
        (AS_PATHS, "^$", ""),
        (AS_PATHS, "^65001 [0-9]+$", "65001 1"),
        (AS_PATHS, "[{]1,", "{1,1}"),
        (AS_PATHS, "_0_", None),
        (AS_PATHS, "_4294967296_", None),
        (AS_PATHS, "65001$1", None),
        (AS_PATHS, "AS65001", None),
        (AS_PATHS, "[[:digit:]]{11}", None),
        (AS_PATHS, "[)][0-9]", None),
        (COMMUNITIES, "^65000:", "65000:0"),
        (COMMUNITIES, "^7[0-9]{4}:", None),
        (COMMUNITIES, "^65535:6553[6-9]", None),
        (COMMUNITIES, "1:1:1", None),
        (COMMUNITIES, ":01", None),
        (LARGE_COMMUNITIES, "^[0-9]+:7:4294967295$", "0:7:4294967295"),
    ],
)
def test_what_a_regex_can_match(texts: Texts, regex: str, example: str | None) -> None:
    translated = translate(regex) if texts is AS_PATHS else regex
    made = automaton(translated, texts.alphabet)
    assert made is not None
    assert text_for(texts, [made], []) == (example, True)
    if example is not None:
        assert Regex(regex, underscore=texts is AS_PATHS).search(example)


@pytest.mark.parametrize("regex", [r"(?P<a>1)(?P=a)", "(?=1)", r"\b1", "1{300}{300}"])
def test_of_what_is_not_understood_nothing_is_claimed(regex: str) -> None:
    assert automaton(regex, AS_PATHS.alphabet) is None


def test_the_command_exits_with_three_for_errors(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("policies: {p: [{match: {community-set: x}, then: accept}]}\n")
    done = CliRunner().invoke(app, ["policy", "lint", str(file), "--json"])
    assert done.exit_code == 3
    document = json.loads(done.stdout)
    assert [f["rule"] for f in document["findings"]] == ["undefined-set"]
    file.write_text("policies: {p: [{set: {med: 1}, then: reject}]}\n")
    done = CliRunner().invoke(app, ["policy", "lint", str(file)])
    assert done.exit_code == 0
    assert "warning undone-action" in done.stdout


def test_a_large_set_is_looked_through_in_seconds(tmp_path: Path) -> None:
    prefixes = ", ".join(f"{n >> 8 & 255}.{n & 255}.{n >> 16}.0/24" for n in range(30_000))
    literals = ", ".join(f'"{n >> 8}:{n & 255}"' for n in range(30_000))
    file = tmp_path / "p.yaml"
    file.write_text(
        f"prefix-sets: {{big: [{prefixes}], one: [1.2.0.0/24]}}\n"
        f'community-sets: {{big: [{literals}], one: ["0:1"]}}\n'
        "policies:\n  p:\n"
        "    - {match: {prefix-set: big}, then: accept}\n"
        "    - {match: {prefix-set: one}, then: accept}\n"
        "    - {match: {community-set: big}, then: accept}\n"
        "    - {match: {community-set: one}, then: accept}\n"
    )
    policies = load_policies([file])
    begun = time.process_time()
    said = lint(policies)
    assert [f.where for f in said] == [f"{file}:6:7", f"{file}:8:7"]
    assert time.process_time() - begun < 8  # 1 s on an idle machine


def test_a_dead_pattern_is_named_where_it_stands_and_only_there(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "as-path-sets:\n  a:\n    - _1_\n    - '_065102_'\n  b: [{set: a}, '1$2']\n"
        "community-sets:\n  c: ['1:*', {regex: '^9:9:9$'}]\n"
        "policies:\n  p: [{match: {as-path-set: b, community-set: c}, then: accept}]\n"
    )
    places = [f.where for f in lint(load_policies([file])) if f.rule == "dead-regex"]
    assert places == [f"{file}:4:7", f"{file}:5:17", f"{file}:7:14"]
