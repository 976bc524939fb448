# ruff: noqa: E501  the tables of messages are read by line
"""Policy files: what they accept, what they say when they are wrong, and that they are quick."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.covering import AT_ONCE
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, PathAttributes, Unicast
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.changes import Change, CommunityChange, Med
from ccn_bgp.policy.classes import PrefixClasses
from ccn_bgp.policy.columns import Columns
from ccn_bgp.policy.communities import KINDS
from ccn_bgp.policy.evaluate import NO_POLICY, Accepted, evaluate
from ccn_bgp.policy.flight import Context, Flight
from ccn_bgp.policy.load import load_policies, read_policies, undefined_sets
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.sets import PrefixRange, PrefixSet

TEXT = """\
prefix-sets:
  exact: [10.1.0.0/16, "fd00::/32"]
  ranges:
    - {prefix: 172.16.0.0/16, le: 24}
    - {prefix: 192.168.0.0/16, ge: 24}
    - {prefix: 10.0.0.0/8, ge: 12, le: 13}
    - {prefix: 0.0.0.0/0}
  none: []
policies:
  import:
    - {name: bad, match: {prefix-set: exact}, then: reject}
    - {name: good, match: {prefix-set: ranges}, set: {local-pref: 200, med: 7, community: {add: ["64600:1", blackhole]}}, then: accept}
  either:
    - {match: {prefix-set: [exact, ranges]}, then: accept}
  nothing:
    - {match: {prefix-set: none}, then: accept}
  all:
    - {name: all, then: accept}
"""


def policies(tmp_path: Path, text: str = TEXT) -> PolicySet:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    return load_policies([file])


def path(prefix: str, attributes: PathAttributes | None = None) -> BgpPath:
    return BgpPath("peer", Unicast(Prefix.parse(prefix)), attributes or PathAttributes())


@pytest.mark.parametrize(
    ("prefix", "inside"),
    [
        ("10.1.0.0/16", True), ("10.1.0.0/17", False), ("10.0.0.0/15", False),
        ("fd00::/32", True), ("fd00::/33", False),
    ],
)  # fmt: skip
def test_exact_prefixes(tmp_path: Path, prefix: str, inside: bool) -> None:
    held = policies(tmp_path).sets["prefix-sets", "exact"]
    assert isinstance(held, PrefixSet)
    assert held.matches(Prefix.parse(prefix)) is inside


@pytest.mark.parametrize(
    ("prefix", "inside"),
    [
        ("172.16.0.0/16", True), ("172.16.255.0/24", True), ("172.16.0.0/25", False),
        ("172.16.0.0/15", False), ("172.17.0.0/16", False),
        ("192.168.0.0/16", False), ("192.168.7.0/24", True), ("192.168.7.7/32", True),
        ("10.0.0.0/8", False), ("10.16.0.0/12", True), ("10.8.0.0/13", True), ("10.4.0.0/14", False),
        ("0.0.0.0/0", True), ("1.0.0.0/8", False), ("::/0", False),
    ],
)  # fmt: skip
def test_ranges(tmp_path: Path, prefix: str, inside: bool) -> None:
    held = policies(tmp_path).sets["prefix-sets", "ranges"]
    assert isinstance(held, PrefixSet)
    assert held.matches(Prefix.parse(prefix)) is inside


def test_two_ranges_of_one_prefix_add_up() -> None:
    ten = Prefix.parse("10.0.0.0/8")
    held = PrefixSet("s", "", (PrefixRange(ten, 8, 8), PrefixRange(ten, 24, 24)))
    found = [n for n in range(8, 33) if held.matches(Prefix.of(Ip.parse("10.0.0.0"), n))]
    assert found == [8, 24]


def test_a_range_holds_no_prefix_that_is_shorter_than_its_own() -> None:
    held = PrefixSet("s", "", (PrefixRange(Prefix.parse("10.0.0.0/8"), 0, 32),))
    assert not held.matches(Prefix.parse("10.0.0.0/7"))
    assert held.matches(Prefix.parse("10.0.0.0/8"))


def test_what_is_cached_of_changed_attributes_is_theirs() -> None:
    """Change copies what was worked out: true only while none of it depends on what it sets."""
    names = [n for n, v in vars(PathAttributes).items() if isinstance(v, cached_property)]
    before = PathAttributes(extended_communities=(bytes.fromhex("0002fc5800000064"),))
    assert names
    for name in names:
        getattr(before, name)
    after = Change(
        local_pref=200, med=Med(7), communities=(CommunityChange(KINDS["community"], add=(1, 2)),)
    ).apply(before)
    fresh = replace(before, local_pref=200, med=7, communities=(1, 2))
    assert after == fresh
    assert hash(after) == hash(fresh)
    assert [getattr(after, n) for n in names] == [getattr(fresh, n) for n in names]


def test_classes_of_a_chain_that_looks_at_no_prefix(tmp_path: Path) -> None:
    held = policies(tmp_path)
    four, six = np.zeros((3, 4), np.uint8), np.zeros((2, 16), np.uint8)
    for names in ((), ("all",), ("nothing",)):
        built = PrefixClasses(held, names)
        assert built.count == 1
        assert built.classes(four, np.array([0, 8, 32], np.uint8)).tolist() == [0, 0, 0]
        assert built.classes(six, np.array([0, 128], np.uint8)).tolist() == [0, 0]
    assert PrefixClasses(held, ("import",)).count > 1
    with pytest.raises(KeyError):
        PrefixClasses(held, ("nope",))


def test_classes_of_more_rows_than_are_asked_at_once(tmp_path: Path) -> None:
    built = PrefixClasses(policies(tmp_path), ("import",))
    n = 2 * AT_ONCE + 3
    address = np.zeros((n, 4), np.uint8)
    address[:] = (8, 0, 0, 0)
    some = [0, AT_ONCE - 1, AT_ONCE, n - 1]
    address[some] = (10, 1, 0, 0)
    found = built.classes(address, np.full(n, 16, np.uint8))
    assert np.flatnonzero(found).tolist() == some


def test_first_statement_that_matches_decides(tmp_path: Path) -> None:
    held = policies(tmp_path)
    denied = evaluate(held, ("import",), path("10.1.0.0/16"), default="reject")
    assert denied == Denied("import", "bad", f"{tmp_path}/p.yaml:11:7")
    assert str(denied) == f"denied by policy import, statement bad ({tmp_path}/p.yaml:11:7)"
    accepted = evaluate(held, ("import",), path("172.16.1.0/24"), default="reject")
    assert isinstance(accepted, Accepted)
    assert accepted.attributes.local_pref == 200
    assert accepted.attributes.med == 7
    assert accepted.attributes.communities == (64600 << 16 | 1, 0xFFFF029A)
    assert [s.name for s in accepted.trace] == ["good"]
    assert str(accepted) == f"accepted by policy import/good at {tmp_path}/p.yaml:12:7"


def test_chain_goes_on_to_the_next_policy(tmp_path: Path) -> None:
    held = policies(tmp_path)
    found = evaluate(held, ("nothing", "import", "all"), path("10.1.0.0/16"), default="accept")
    assert isinstance(found, Denied)
    found = evaluate(held, ("nothing", "import", "all"), path("8.0.0.0/8"), default="reject")
    assert isinstance(found, Accepted)
    assert found.trace[0].policy == "all"


def test_defaults(tmp_path: Path) -> None:
    held = policies(tmp_path)
    route = path("8.0.0.0/8")
    assert evaluate(held, (), route, default="reject") is NO_POLICY
    assert "RFC 8212" in str(NO_POLICY)
    assert evaluate(held, (), route, default="accept") == Accepted(
        route.attributes, by_default=True
    )
    missed = evaluate(held, ("import",), route, default="reject")
    assert isinstance(missed, Denied)
    assert missed.policy == "import"
    assert isinstance(evaluate(held, ("import",), route, default="accept"), Accepted)


def test_empty_set_matches_nothing_and_no_match_matches_all(tmp_path: Path) -> None:
    held = policies(tmp_path)
    assert isinstance(evaluate(held, ("nothing",), path("10.1.0.0/16"), default="reject"), Denied)
    assert isinstance(evaluate(held, ("all",), path("10.1.0.0/16"), default="reject"), Accepted)
    assert isinstance(evaluate(held, ("either",), path("10.1.0.0/16"), default="reject"), Accepted)
    assert isinstance(evaluate(held, ("either",), path("10.16.0.0/12"), default="reject"), Accepted)


def test_every_kind_of_route_has_its_prefix(tmp_path: Path) -> None:
    text = 'prefix-sets: {s: [10.1.0.10/32, "fd00::/64"]}\npolicies: {p: [{match: {prefix-set: s}, then: accept}]}\n'
    held = policies(tmp_path, text)
    rd = RouteDistinguisher.parse("1:1")
    mac = Mac.parse("02:00:00:00:00:01")
    cases: list[tuple[Nlri, bool]] = [
        (EvpnPrefix(rd, bytes(10), 0, Prefix.parse("fd00::/64"), None, 5), True),
        (EvpnPrefix(rd, bytes(10), 0, Prefix.parse("fd01::/64"), None, 5), False),
        (EvpnMacIp(rd, bytes(10), 0, mac, Ip.parse("10.1.0.10"), 5, None), True),
        (EvpnMacIp(rd, bytes(10), 0, mac, None, 5, None), False),
        (EvpnOther(3, b""), False),
    ]
    for nlri, accepted in cases:
        route = BgpPath("peer", nlri, PathAttributes())
        assert isinstance(evaluate(held, ("p",), route, default="reject"), Accepted) is accepted


def test_shared_attributes_stay_shared_and_unchanged_ones_the_same_object(tmp_path: Path) -> None:
    held = policies(tmp_path)
    attributes = PathAttributes(local_pref=100)
    first = evaluate(held, ("import",), path("172.16.1.0/24", attributes), default="reject")
    second = evaluate(held, ("import",), path("172.16.2.0/24", attributes), default="reject")
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.attributes is second.attributes
    assert attributes.local_pref == 100
    again = evaluate(held, ("import",), path("172.16.2.0/24", first.attributes), default="reject")
    assert isinstance(again, Accepted)
    assert again.attributes is first.attributes


def test_unknown_policy_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        evaluate(policies(tmp_path), ("nope",), path("10.0.0.0/8"), default="reject")


def test_a_hundred_thousand_routes_pass_in_a_blink(tmp_path: Path) -> None:
    held = policies(tmp_path)
    shared = [PathAttributes(med=n) for n in range(1000)]
    routes = [path(f"172.16.{n % 256}.0/24", shared[n // 100]) for n in range(100_000)]
    best = 9.0
    for _ in range(3):
        began = time.process_time()
        count = sum(
            isinstance(evaluate(held, ("import",), r, default="reject"), Accepted) for r in routes
        )
        best = min(best, time.process_time() - began)
    assert count == 100_000
    assert best < 0.5  # 0.15 s on an idle machine; the goal is 0.3


def test_undefined_set_is_a_finding_and_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TEXT.replace("{prefix-set: exact}", "{prefix-set: exakt}"))
    held = read_policies([file])
    finding = undefined_sets(held)[0]
    assert finding.rule == "undefined-set"
    assert finding.severity == "error"
    assert finding.where == f"{file}:11:39"
    assert "did you mean 'exact'?" in finding.message
    found = evaluate(held, ("import",), path("10.1.0.0/16"), default="reject")
    assert isinstance(found, Denied)
    assert found.statement.startswith("none matched")
    with pytest.raises(InputError, match="prefix set 'exakt' is not defined"):
        load_policies([file])


def test_sets_of_one_file_serve_policies_of_another(tmp_path: Path) -> None:
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    one.write_text("policies: {p: [{match: {prefix-set: s}, then: accept}]}\n")
    two.write_text("prefix-sets: {s: [10.0.0.0/8]}\n")
    held = load_policies([one, two, one])
    assert isinstance(evaluate(held, ("p",), path("10.0.0.0/8"), default="reject"), Accepted)
    two.write_text("prefix-sets: {s: [10.0.0.0/8]}\npolicies: {p: []}\n")
    with pytest.raises(InputError, match="the policy 'p' is defined twice"):
        load_policies([one, two])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("then: reject", "then: rejct", "p.yaml:11:53: then: 'rejct' is not known (did you mean 'reject'?)"),
        (", then: reject", "", "p.yaml:11:7: statement bad lacks 'then: accept' or 'then: reject'"),
        ("match: {prefix-set: exact}", "mach: {prefix-set: exact}",
         "p.yaml:11:19: unknown key 'mach' (did you mean 'match'?)"),
        ("le: 24", "le: 33", "p.yaml:4:35: le: 33 is not a whole number from 16 to 32"),
        ("le: 24", "le: '24'", "p.yaml:4:35: le: '24' is not a whole number from 16 to 32"),
        ("ge: 12, le: 13", "ge: 13, le: 12", "p.yaml:6:32: ge 13 is over le 12: nothing can match"),
        ("172.16.0.0/16", "172.16.1.0/16",
         "p.yaml:4:16: '172.16.1.0/16' has host bits set; did you mean 172.16.0.0/16?"),
        ("{prefix: 0.0.0.0/0}", "{le: 3}", "p.yaml:7:7: the key 'prefix' is missing or is no text"),
        ("local-pref: 200", "local-pref: -1",
         "p.yaml:12:67: local-pref: -1 is not a whole number from 0 to 4294967295"),
        ("blackhole", "blackhol", "p.yaml:12:109: 'blackhol' is not a community; write it as ASN:NUMBER"
         " (did you mean 'blackhole'?)"),
        ("64600:1", "64600:70000", "p.yaml:12:98: '64600:70000' is not a community;"),
        ("policies:", "policy:", "p.yaml:9:1: unknown key 'policy' (did you mean 'policies'?)"),
        ("{name: all, then: accept}", "accept", "p.yaml:18:7: a statement is a mapping"),
        ("    - {name: all, then: accept}", "    {name: all}", "p.yaml:17:3: policies.all must be a list"),
        ("name: good", "name: bad", "p.yaml:12:7: policy import has two statements named 'bad'"),
    ],
)  # fmt: skip
def test_each_fault_says_where_what_and_the_way_out(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        policies(tmp_path, TEXT.replace(old, new, 1))
    found = [str(p).replace(f"{tmp_path}/", "") for p in caught.value.problems]
    assert any(line.startswith(expected) for line in found), found


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    one.write_text("policies: {p: [{then: x}, {then: y}]}\n")
    two.write_text("prefix-sets: [\n")
    with pytest.raises(InputError) as caught:
        load_policies([one, two, tmp_path / "3.yaml"])
    assert len(caught.value.problems) == 4


def test_columns_of_few_rows_among_many_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ways to number what occurs, by room; both number alike."""
    held = policies(tmp_path)
    bodies = [Flight(path("0.0.0.0/0").nlri, PathAttributes(med=n), Context()) for n in range(9)]
    which = np.array([8, 0, 8, 3, 8], np.int64)
    prefixes = ["10.1.0.0/16", "172.16.1.0/24", "172.16.2.0/24", "8.0.0.0/8", "10.1.0.0/16"]
    raw = np.frombuffer(b"".join(Prefix.parse(p) for p in prefixes), np.uint8).reshape(-1, 5)
    columns = Columns(held, ["import"], "accept")
    found = [columns.judge(bodies, which, raw[:, :4], raw[:, 4])]
    monkeypatch.setattr("ccn_bgp.policy.columns._SPARE", -(10**9))
    found.append(columns.judge(bodies, which, raw[:, :4], raw[:, 4]))
    for judged in found:
        assert judged.accepted.tolist() == [False, True, True, True, False]
        verdicts = [judged.verdicts[n] for n in judged.which.tolist()]
        assert verdicts[0] is verdicts[4]
        assert [v.attributes.med for v in verdicts if isinstance(v, Accepted)] == [7, 7, 3]
    assert columns.judge(bodies, which[:0], raw[:0, :4], raw[:0, 4]).verdicts == ()
