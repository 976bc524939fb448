"""Our policies in the words of FRR and GoBGP; what they have no word for is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.bench.policy_text import UnsupportedError, frr, gobgp
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.rules import PolicySet

SETS = """\
prefix-sets:
  nested: [{prefix: 10.0.0.0/8, ge: 9, le: 24}, {prefix: 10.1.0.0/16, le: 17}, "2001:db8::/32"]
community-sets: {c: ["1:1", "2:*"], l: ["1:1"], r: [{regex: "^1:[0-9]$"}], dot: [{regex: "1.1"}]}
as-path-sets: {a: [_7_, {origin-as: 9}], n: [{length: {le: 3}}]}
neighbor-sets: {here: [192.0.2.1], all: ["*"]}
ccn-sets: {x: [x]}
"""


def read(tmp_path: Path, *statements: str) -> PolicySet:
    file = tmp_path / "p.yaml"
    file.write_text(f"{SETS}policies:\n  p:\n" + "".join(f"    - {{{s}}}\n" for s in statements))
    return load_policies([file])


def test_a_route_map(tmp_path: Path) -> None:
    policies = read(
        tmp_path,
        "match: {prefix-set: nested, as-path-set: a}, set: {med: '+3', as-path-prepend: 2},"
        " then: next-policy",
        "match: {community-set: {invert: c}}, set: {community: {remove: ['2:*']}}, then: accept",
        "match: {community-set: r}, then: reject",
    )
    assert frr(policies, ["p"], "reject", 65000).splitlines() == [
        "ip prefix-list s1c1 seq 1 permit 10.0.0.0/8 ge 9 le 24",
        "ip prefix-list s1c1 seq 2 permit 10.1.0.0/16 le 17",
        "bgp as-path access-list s1c2 permit _7_",
        "bgp as-path access-list s1c2 permit _9$",
        "bgp as-path access-list s1c2 deny .*",
        "bgp community-list expanded s2c1 deny _1:1_",
        "bgp community-list expanded s2c1 deny _2:[0-9]+_",
        "bgp community-list expanded s2c1 permit .*",
        "bgp community-list expanded s2r permit _2:[0-9]+_",
        "bgp community-list expanded s3c1 permit _1:[0-9]_",
        "bgp community-list expanded s3c1 deny .*",
        "route-map policy permit 10",
        " match ip address prefix-list s1c1",
        " match as-path s1c2",
        " set metric +3",
        " set as-path prepend 65000 65000",
        " on-match goto 65000",
        "exit",
        "route-map policy permit 20",
        " match community s2c1",
        " set comm-list s2r delete",
        "exit",
        "route-map policy deny 30",
        " match community s3c1",
        "exit",
        "route-map policy deny 65000",
        "exit",
    ]


def test_gobgp_is_told_the_lengths_of_shorter_prefixes_again(tmp_path: Path) -> None:
    """It looks at the longest prefix of a set that holds the route alone."""
    lines = gobgp(read(tmp_path, "match: {prefix-set: nested}, then: accept"), ["p"], "reject", 1)
    said = [line for line in lines.splitlines() if line.startswith(("ip-prefix", "masklength"))]
    assert said == [
        'ip-prefix = "10.0.0.0/8"',
        'masklength-range = "9..24"',
        'ip-prefix = "10.1.0.0/16"',
        'masklength-range = "16..24"',
        'ip-prefix = "10.1.0.0/16"',
        'masklength-range = "16..17"',
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "match: {ccn-set: x}, then: accept",
        "match: {as-path-set: n}, then: accept",
        "match: {neighbor-set: all}, then: accept",
        "match: {community-set: {all: c}}, then: accept",
        "match: {community-set: dot}, then: accept",
        "match: {med: {ge: 3}}, then: accept",
        "match: {tag: 1}, then: accept",
        "set: {tag: 1}, then: accept",
        "set: {large-community: {add: ['1:1:1']}}, then: accept",
        "set: {community: {add: ['1:1'], remove: ['2:*']}}, then: accept",
    ],
)
def test_frr_has_no_word_for_it(tmp_path: Path, statement: str) -> None:
    with pytest.raises(UnsupportedError):
        frr(read(tmp_path, statement), ["p"], "reject", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "match: {origin: igp}, then: accept",
        "match: {neighbor-set: {invert: here}}, then: accept",
        "then: next-policy",
        "set: {origin: igp}, then: accept",
        "set: {as-path-prepend: [1, {asn: 7}]}, then: accept",
        "set: {community: {add: ['1:1'], remove: ['2:*']}}, then: accept",
    ],
)
def test_gobgp_has_no_word_for_it(tmp_path: Path, statement: str) -> None:
    with pytest.raises(UnsupportedError):
        gobgp(read(tmp_path, statement), ["p"], "reject", 1)
