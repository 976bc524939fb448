"""SARIF 2.1.0: every object that we write, held against what the standard says of it (OASIS,
sarif-v2.1.0-os, the sections named below): keys it must have, keys it may have, and their values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.model.finding import ERRORS, WARNINGS, Finding
from ccn_bgp.model.suppression import marked
from ccn_bgp.observe.advice import ADVICE, hint
from ccn_bgp.observe.findings import sarif

BROKEN = Path(__file__).parents[2] / "topologies" / "broken"
NAMES = sorted(p.stem for p in BROKEN.glob("*.yaml") if p.stem != "schema")
LEVELS = ("none", "note", "warning", "error")

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def uri(value: Any) -> bool:
    """RFC 3986: a reference without characters that must be escaped."""
    return text(value) and re.fullmatch(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+", value) is not None


def positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def one_of(*words: str) -> Check:
    return lambda value: value in words


def items(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(v) for v in value)


def record(must: dict[str, Check], may: dict[str, Check] | None = None) -> Check:
    """An object: additionalProperties is false all over the schema."""
    known = {**must, **(may or {})}

    def check(value: Any) -> bool:
        assert isinstance(value, dict), value
        assert must.keys() <= value.keys() <= known.keys(), value.keys()
        for key, inner in value.items():
            assert known[key](inner), (key, inner)
        return True

    return check


MESSAGE = record({"text": text})  # §3.11
REGION = record({"startLine": positive, "startColumn": positive})  # §3.30
LOCATION = record(  # §3.28, §3.29, §3.4
    {"physicalLocation": record({"artifactLocation": record({"uri": uri}), "region": REGION})}
)
SUPPRESSION = record(  # §3.35
    {"kind": one_of("inSource", "external")},
    {"status": one_of("accepted", "underReview", "rejected"), "justification": text},
)
RESULT = record(  # §3.27
    {"message": MESSAGE},
    {
        "ruleId": text,
        "ruleIndex": lambda v: isinstance(v, int) and v >= 0,
        "level": one_of(*LEVELS),
        "locations": items(LOCATION),
        "suppressions": items(SUPPRESSION),
    },
)
RULE = record(  # §3.49, §3.50
    {"id": text},
    {
        "shortDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": record({}, {"level": one_of(*LEVELS)}),
    },
)
RUN = record(  # §3.14, §3.18, §3.19
    {"tool": record({"driver": record({"name": text}, {"version": text, "rules": items(RULE)})})},
    {
        "results": items(RESULT),
        "columnKind": one_of("utf16CodeUnits", "unicodeCodePoints"),
    },
)
LOG = record({"version": one_of("2.1.0"), "runs": items(RUN)}, {"$schema": uri})  # §3.13


@pytest.mark.parametrize("name", NAMES)
def test_the_log_of_each_broken_topology_is_sarif(name: str) -> None:
    found = topology_findings(load_topology(BROKEN / f"{name}.yaml"))
    log = sarif(found)
    assert LOG(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({r["id"] for r in rules}) == len(rules)
    assert len(run["results"]) == len(found)
    for result, finding in zip(run["results"], found, strict=True):
        # §3.27.6: where both are given, they name the same rule.
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        assert ("suppressions" in result) is bool(finding.suppressed)


def test_a_file_of_any_name_is_a_uri() -> None:
    finding = Finding("mtu", "x", where="a b/ü[1]#2%.yaml:3:4")
    log = sarif(marked([finding], ()))
    assert LOG(log)
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/%C3%BC%5B1%5D%232%25.yaml"
    assert place["region"] == {"startLine": 3, "startColumn": 4}


def test_no_findings_are_a_run_without_results() -> None:
    log = sarif([])
    assert LOG(log)
    assert log["runs"][0]["results"] == []


def test_every_rule_says_what_it_means_and_the_way_out() -> None:
    assert ADVICE.keys() == ERRORS | WARNINGS
    for rule in ADVICE:
        for finding in (
            Finding(rule, "x"),
            Finding(rule, "x", ccn="retail", prefix="10.0.0.0/8", peer="r1"),
        ):
            line = hint(finding)
            assert line
            assert "\n" not in line
            assert "{" not in line


def test_the_check_itself_can_fail() -> None:
    log = sarif([Finding("mtu", "x", where="f:1:1")])
    result = log["runs"][0]["results"][0]
    for key, wrong in (("level", "bad"), ("message", {}), ("extra", 1), ("locations", [{}])):
        with pytest.raises(AssertionError):
            LOG({**log, "runs": [{**log["runs"][0], "results": [{**result, key: wrong}]}]})
