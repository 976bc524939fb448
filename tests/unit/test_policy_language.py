# ruff: noqa: E501  the tables of messages are read by line
"""The policy language: sets, conditions, changes, includes; and what is said when they are wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.model.bgp import Asn, Ip, Prefix, RouteTarget
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.communities import KINDS, Member
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.load import load_policies, read_policies
from ccn_bgp.policy.regex import Regex, translate
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.sets import NameSet
from ccn_bgp.policy.trace import trace


def written(tmp_path: Path, text: str, name: str = "p.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def loaded(tmp_path: Path, text: str) -> PolicySet:
    return load_policies([written(tmp_path, text)])


def route(prefix: str = "10.0.0.0/8", **fields: object) -> BgpPath:
    return BgpPath("peer", Unicast(Prefix.parse(prefix)), PathAttributes(**fields))  # type: ignore[arg-type]


def sequence(*asns: int) -> tuple[Segment, ...]:
    return (Segment(SegmentType.AS_SEQUENCE, tuple(map(Asn, asns))),)


def passed(policies: PolicySet, path: BgpPath, **context: object) -> PathAttributes | None:
    found = evaluate(policies, ["p"], path, default="reject", context=Context(**context))  # type: ignore[arg-type]
    return found.attributes if isinstance(found, Accepted) else None


@pytest.mark.parametrize(
    ("regex", "matching", "other"),
    [
        ("_65001_", ["65001", "1 65001", "65001 1", "{65001,2}", "(65001 3)"], ["650011", "165001"]),
        ("^65001_", ["65001", "65001 2"], ["65001122", "2 65001"]),
        ("^$", [""], ["1"]),
        ("_1_2_", ["1 2", "3 1 2 4", "{1,2}"], ["1 3 2", "12"]),
        ("^[0-9]+_2$", ["1 2"], ["1 12", "2"]),
        ("[_]2", ["1 2", "{2}"], ["12"]),
        (r"\{[[:digit:]]+", ["{1,2}"], ["1 2"]),
    ],
)  # fmt: skip
def test_as_path_regexes_are_those_of_routers(
    regex: str, matching: list[str], other: list[str]
) -> None:
    compiled = Regex(regex, underscore=True)
    assert [text for text in matching if not compiled.search(text)] == []
    assert [text for text in other if compiled.search(text)] == []


def test_translation_leaves_what_is_escaped_and_classes_alone() -> None:
    assert translate(r"\_[]_a][^]_][[:alpha:]_]") == r"\_[] ,{}()a][^] ,{}()][[:alpha:] ,{}()]"


@pytest.mark.parametrize("bomb", ["(a*)*b", "(a|aa)+$", "(((a?){20}){20})b", "(.*a){12}"])
def test_no_regex_takes_longer_than_the_text_is_long(bomb: str) -> None:
    try:
        compiled = Regex(bomb, underscore=False)
    except ValueError:
        return  # refused when it is read: as good
    begun = time.process_time()
    compiled.search("a" * 20_000 + "c")
    assert time.process_time() - begun < 1


def test_names_with_stars_are_matched_in_no_time() -> None:
    text = "a" * 60
    held = NameSet("", "", ("a*" * 30 + "b", "*a*" * 20 + "c", "*a" * 25))
    begun = time.process_time()
    assert held.matches(text)
    assert not held.matches(text + "d")
    assert time.process_time() - begun < 1
    for pattern, name, hit in (
        ("a*", "a", True), ("a*a", "a", False), ("*", "x", True), ("lf-*-r?", "lf-1-r?", True),
        ("*b*", "abc", True), ("*b", "abc", False), ("a*b*c", "abbc", True), ("a*c", "ab", False),
    ):  # fmt: skip
        assert NameSet("", "", (pattern,)).matches(name) is hit, (pattern, name)


def test_stars_in_communities_are_matched_in_no_time() -> None:
    kind = KINDS["extended-community"]
    member = Member(kind, "*" * 15 + "0")
    begun = time.process_time()
    assert not member.matches(b"\xff" * 8)
    assert member.matches(bytes(8))
    assert time.process_time() - begun < 1


def test_next_statement_passes_the_changed_route_on(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        """
policies:
  p:
    - {name: mark, set: {local-pref: 200, tag: 7}, then: next-statement}
    - {name: seen, match: {local-pref: 200, tag: {ge: 7}}, set: {med: +5}, then: accept}
""",
    )
    found = passed(held, route(med=10))
    assert found is not None
    assert (found.local_pref, found.tag, found.med) == (200, 7, 15)


def test_next_policy_leaves_the_rest_of_its_own_and_reject_forgets_all_changes(
    tmp_path: Path,
) -> None:
    held = loaded(
        tmp_path,
        """
policies:
  p: [{set: {med: 1}, then: next-policy}, {name: never, then: accept}]
  q: [{match: {med: 1}, then: reject}]
""",
    )
    path = route()
    assert evaluate(held, ["p", "q"], path, default="accept") == Denied(
        "q", "1", f"{tmp_path}/p.yaml:4:7"
    )
    assert path.attributes.med is None
    told = evaluate(held, ["p"], path, default="accept")
    assert isinstance(told, Accepted)
    assert told.attributes.med == 1
    assert told.by_default
    assert str(told) == f"accepted by default after policy p/1 at {tmp_path}/p.yaml:3:7"
    last = evaluate(held, ["p"], path, default="reject")
    assert str(last) == "denied by policy p, statement none decided (default reject, RFC 8212)"


def test_prepend_needs_to_know_the_own_as(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        "policies: {p: [{set: {as-path-prepend: [2, {asn: 9, count: 1}]}, then: accept}]}",
    )
    path = route(as_path=sequence(1))
    known, unknown = passed(held, path, own_asn=65), passed(held, path)
    assert known is not None
    assert unknown is not None
    assert known.as_path_text == "9 65 65 1"
    assert unknown.as_path_text == "9 1"
    told = trace(held, ["p"], path, default="reject")
    assert "own AS not prepended: it is not known here" in told.steps[0].changes


def test_a_full_segment_is_not_overfilled(tmp_path: Path) -> None:
    held = loaded(tmp_path, "policies: {p: [{set: {as-path-prepend: 3}, then: accept}]}")
    found = passed(held, route(as_path=sequence(*range(1, 255))), own_asn=7)
    assert found is not None
    assert [len(s.asns) for s in found.as_path] == [2, 255]


def test_route_targets_that_the_ccn_may_not_export_are_not_added(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        'policies: {p: [{set: {route-target: {add: ["1:1", "1:2"]}, extended-community: {add: ["rt:1:3"]}}, then: accept}]}',
    )
    mine = RouteTarget.parse("1:1")
    found = passed(held, route(), exportable=frozenset([mine]), ccn="retail")
    assert found is not None
    assert found.route_targets == {mine}
    told = trace(
        held, ["p"], route(), default="reject",
        context=Context(ccn="retail", exportable=frozenset([mine])),
    )  # fmt: skip
    assert "1:2 not added: CCN retail may not export it" in told.steps[0].changes


def test_changed_attributes_are_shared_by_context(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        "policies: {p: [{set: {as-path-prepend: 1}, then: accept}], q: [{set: {med: 1}, then: accept}]}",
    )
    shared = PathAttributes()
    path = BgpPath("peer", Unicast(Prefix.parse("10.0.0.0/8")), shared)
    one, two = Context(own_asn=1), Context(own_asn=2)
    of = [evaluate(held, ["p"], path, default="reject", context=c) for c in (one, two, one)]
    assert [r.attributes.as_path_text for r in of if isinstance(r, Accepted)] == ["1", "2", "1"]
    assert of[0].attributes is of[2].attributes  # type: ignore[union-attr]
    same = [evaluate(held, ["q"], path, default="reject", context=c) for c in (one, two)]
    assert same[0].attributes is same[1].attributes  # type: ignore[union-attr]


def test_the_trace_tells_every_condition_and_every_change(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        """
prefix-sets: {space: [{prefix: 10.0.0.0/8, le: 24}], nest: [{set: space}]}
community-sets: {c: ["1:*"], d: [{regex: "^2:"}]}
as-path-sets: {a: [_65001_]}
policies:
  p:
    - {name: one, match: {prefix-set: nest, community-set: {all: [c, d]}, as-path-set: a}, then: reject}
    - {name: two, match: {neighbor-set: {invert: n}, med: unset}, set: {local-pref: 200, community: {remove: [{set: c}], add: [no-export]}}, then: accept}
neighbor-sets: {n: [lf-*, 192.0.2.0/24, {asn: 3}]}
""",
    )
    path = route("10.1.0.0/16", communities=(1 << 16 | 5,), as_path=sequence(65002))
    told = list(trace(held, ["p"], path, default="reject").lines())
    where = f"{tmp_path}/p.yaml"
    assert told == [
        "policies: p; default: reject",
        f"p/one ({where}:7:7): does not match",
        "  yes  prefix-set nest: 10.1.0.0/16 is in nest (10.0.0.0/8 lengths 8-24)",
        "  no   community-set c, d (all): it has 1:5 and not regex ^2:",
        "  no   as-path-set a: the AS path is 65002",
        f"p/two ({where}:8:7): matches",
        "  yes  neighbor-set n (invert): the neighbor is unset",
        "  yes  med unset: med is unset",
        "  set  local-pref unset → 200",
        "  set  community 1:5 → 65535:65281",
        "  then accept",
        "result: accepted by p/two",
    ]
    for context in (
        Context(neighbor="lf-r1"),
        Context(address=Ip.parse("192.0.2.3")),
        Context(asn=3),
    ):
        told = list(trace(held, ["p"], path, default="reject", context=context).lines())
        assert told[-1] == (
            "result: rejected: no statement decided, the default is reject (RFC 8212)"
        )


def test_files_include_files_and_names_are_one_space(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    written(
        tmp_path,
        "include: [sub/sets.yaml, other.yaml]\npolicies: {p: [{match: {prefix-set: s}, then: accept}]}\n",
    )
    written(tmp_path, "include: [../other.yaml]\nprefix-sets: {s: [{set: t}]}\n", "sub/sets.yaml")
    written(tmp_path, "prefix-sets: {t: [10.0.0.0/8]}\n", "other.yaml")
    held = load_policies([tmp_path / "p.yaml"])
    assert passed(held, route()) is not None
    assert held.used == {("prefix-sets", "s"), ("prefix-sets", "t")}


def test_a_topology_knows_the_policies_of_included_files(tmp_path: Path) -> None:
    text = Path("topologies/two-regions.yaml").read_text()
    (tmp_path / "t.yaml").write_text(text.replace("policies/idc.yaml", "top.yaml"))
    written(tmp_path, "include: [idc.yaml]\n", "top.yaml")
    written(tmp_path, Path("topologies/policies/idc.yaml").read_text(), "idc.yaml")
    assert [f.name for f in load_topology(tmp_path / "t.yaml").policies] == ["top.yaml"]


SETS = """\
prefix-sets: {p: [10.0.0.0/8]}
community-sets: {c: ["1:1"]}
as-path-sets: {a: ["_1_"]}
neighbor-sets: {n: [x]}
policies:
  q:
    - {name: s, match: {prefix-set: p}, set: {med: 1}, then: accept}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["1:1"]', '["1:1:1"]', "p.yaml:2:22: '1:1:1' is not a community; write it as ASN:NUMBER"),
        ('["1:1"]', '["*:99999999"]', "p.yaml:2:22: '*:99999999' is not a community with *; write it as ASN:NUMBER, * for any part"),
        ('["1:1"]', "[{regex: '(1'}]", "p.yaml:2:30: the regex '(1' does not compile: missing ): (1"),
        ('["1:1"]', "[{regex: 'x{1001}'}]", "p.yaml:2:30: the regex 'x{1001}' does not compile: invalid repetition size"),
        ('["1:1"]', "[{regx: a}]", "p.yaml:2:23: unknown key 'regx' (did you mean 'regex'?)"),
        ('["1:1"]', "[7]", "p.yaml:2:22: 7 is not a community; write it as ASN:NUMBER, in quotes"),
        ('["1:1"]', "[{set: d}]", "p.yaml:2:28: community set c: community set 'd' is not defined (community sets: c)"),
        ('["1:1"]', "[{set: c}]", "p.yaml:2:28: community set c includes itself: c → c"),
        ('["_1_"]', "[1]", "p.yaml:3:20: an as-path set lists regexes, {contains: AS}, {origin-as: AS} or {length: {ge, le}} (write {contains: 1} or '_1_')"),
        ('["_1_"]', "[{contains: 0}]", "p.yaml:3:31: contains: 0 is not a whole number from 1 to 4294967295"),
        ('["_1_"]', "[{length: {ge: 3, le: 2}}]", "p.yaml:3:34: ge 3 is over le 2: nothing can match"),
        ("n: [x]", "n: [{asn: 0}]", "p.yaml:4:27: asn: 0 is not a whole number"),
        ("n: [x]", "n: [10.0.0.1/8]", "p.yaml:4:21: '10.0.0.1/8' has host bits set; did you mean 10.0.0.0/8?"),
        ("{prefix-set: p}", "{community-set: {none: c}}", "p.yaml:7:25: community-set is a name, a list of names, or one of {any: NAMES}, {all: NAMES}, {invert: NAMES}"),
        ("{prefix-set: p}", "{prefix-set: {all: p}}", "p.yaml:7:25: prefix-set is a name, a list of names, or one of {any: NAMES}, {invert: NAMES}"),
        ("{prefix-set: p}", "{family: ipv4}", "p.yaml:7:33: family: 'ipv4' is not known (one of: evpn, ipv4-unicast, ipv6-unicast)"),
        ("{prefix-set: p}", "{gateway-ip: yes}", "p.yaml:7:37: gateway-ip: 'yes' is neither true nor false"),
        ("{prefix-set: p}", "{med: high}", "p.yaml:7:30: med: 'high' is not a whole number from 0 to 4294967295"),
        ("{prefix-set: p}", "{locl-pref: 3}", "p.yaml:7:25: unknown key 'locl-pref' (did you mean 'local-pref'?)"),
        ("{prefix-set: p}", "{community-set: x}", "p.yaml:7:40: policy q, statement s: community set 'x' is not defined"),
        ("{med: 1}", "{as-path-prepend: 33}", "p.yaml:7:64: as-path-prepend: 33 is not a whole number from 1 to 32"),
        ("{med: 1}", "{next-hop: 10.0.0}", "p.yaml:7:57: next-hop: '10.0.0' is not an IP address"),
        ("{med: 1}", '{med: "+x"}', "p.yaml:7:52: med: '+x' is not a whole number"),
        ("{med: 1}", '{community: {add: ["1:*"]}}', "p.yaml:7:65: '1:*' is not a community; write it as ASN:NUMBER"),
        ("{med: 1}", '{route-target: [a]}', "p.yaml:7:47: route-target must be a mapping: {add: [ASN:NUMBER]}, with add, remove, replace"),
        ("{med: 1}", "{weight: 1}", "p.yaml:7:47: unknown key 'weight' (known keys:"),
        ("then: accept", "then: next", "p.yaml:7:62: then: 'next' is not known"),
        ("prefix-sets:", "prefix-set:", "p.yaml:1:1: unknown key 'prefix-set' (did you mean 'prefix-sets'?)"),
        ("prefix-sets:", "include: p.yaml\nprefix-sets:", "p.yaml:1:10: include must be a list of files"),
        ("prefix-sets:", "include: [p.yaml]\nprefix-sets:", "p.yaml:1:11: the include closes a circle: p.yaml → p.yaml"),
        ("prefix-sets:", "include: [no.yaml]\nprefix-sets:", "p.yaml:1:11: include: no.yaml cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_each_fault_says_where_what_and_the_way_out(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in SETS
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, SETS.replace(old, new, 1))
    found = [str(p).replace(f"{tmp_path}/", "") for p in caught.value.problems]
    assert any(line.startswith(expected) for line in found), found


def test_includes_that_go_in_a_circle_name_all_of_it(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        written(tmp_path, f"include: [{other}.yaml]\n", f"{name}.yaml")
    with pytest.raises(InputError, match=r"a\.yaml → b\.yaml → c\.yaml → a\.yaml"):
        load_policies([tmp_path / "a.yaml"])
    (tmp_path / "b.yaml").write_bytes(b"include: [\xff]\n")
    with pytest.raises(InputError, match=r"b\.yaml:1:11: is not UTF-8 text"):
        load_policies([tmp_path / "a.yaml"])


def test_sets_nested_without_end_or_measure_are_refused(tmp_path: Path) -> None:
    chain = ", ".join(f"s{n}: [{{set: s{n + 1}}}]" for n in range(200))
    with pytest.raises(InputError, match="nested deeper than 50 levels"):
        loaded(tmp_path, f"community-sets: {{{chain}, s200: []}}\npolicies: {{}}\n")
    double = ", ".join(f"s{n}: [{{set: s{n + 1}}}, {{set: s{n + 1}}}]" for n in range(40))
    begun = time.process_time()
    held = loaded(tmp_path, f'community-sets: {{{double}, s40: ["1:1"]}}\npolicies: {{}}\n')
    assert time.process_time() - begun < 2
    assert len(held.sets["community-sets", "s0"].members) == 1  # type: ignore[union-attr]


def test_many_entries_are_read_in_seconds(tmp_path: Path) -> None:
    prefixes = ", ".join(f"{n >> 8 & 255}.{n & 255}.{n >> 16}.0/24" for n in range(40_000))
    text = f"prefix-sets: {{big: [{prefixes}]}}\npolicies: {{p: [{{match: {{prefix-set: big}}, then: accept}}]}}\n"
    begun = time.process_time()
    held = loaded(tmp_path, text)
    assert passed(held, route("1.2.0.0/24")) is not None
    assert time.process_time() - begun < 6  # 1 s on an idle machine
    broken = text.replace(".0/24", ".1/24")
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, broken)
    assert len(caught.value.problems) == 201
    assert "39800 more problems" in str(caught.value.problems[-1])


def test_an_undefined_set_matches_nothing_even_inverted(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "policies: {p: [{match: {community-set: {invert: x}, idc-set: {invert: y}}, then: accept}]}",
    )
    held = read_policies([file])
    assert [u.name for u in held.undefined] == ["x", "y"]
    assert passed(held, route()) is None


def test_where_policies_narrow_no_route_target_comes_on_top(tmp_path: Path) -> None:
    held = loaded(
        tmp_path,
        """
policies:
  p: [{set: {route-target: {replace: ["1:1", "1:3"]}}, then: accept}]
  q: [{set: {extended-community: {add: ["rt:1:3", "soo:1:3"]}}, then: accept}]
""",
    )
    one, two = RouteTarget.parse("1:1"), RouteTarget.parse("1:2")
    path, context = route(extended_communities=(one, two)), Context(narrows=True)
    found = evaluate(held, ["p"], path, default="reject", context=context)
    assert isinstance(found, Accepted)
    assert found.attributes.route_targets == {one}
    told = trace(held, ["p"], path, default="reject", context=context)
    assert "1:3 not added: the route has not been exported with it" in told.steps[0].changes
    found = evaluate(held, ["q"], path, default="reject", context=context)
    assert isinstance(found, Accepted)
    assert found.attributes.extended_communities == (one, two, b"\x00\x03\x00\x01\x00\x00\x00\x03")
