"""``ccn policy``: routes as JSON lines, inline tests, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ccn_bgp.cli.main import app
from ccn_bgp.errors import InputError, RefusedError
from ccn_bgp.policy.routes import RouteError, attributes_json, read_route

POLICY = """\
prefix-sets: {space: [{prefix: 172.16.0.0/16, le: 24}]}
policies:
  from-idc:
    - name: own
      match: {prefix-set: space}
      set: {local-pref: 200, community: {add: ["64600:1"]}}
      then: accept
    - {name: never, match: {tag: 3}, then: reject}
tests:
  - name: own space
    policy: from-idc
    route: {prefix: 172.16.1.0/24}
    expect: {result: accept, by: own, attributes: {local-pref: 200, communities: ["64600:1"]}}
  - {name: others, policy: from-idc, route: 8.0.0.0/8, expect: reject}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "p.yaml"
    found.write_text(POLICY)
    return found


def ccn(*words: str | Path, stdin: str = "") -> Result:
    found = CliRunner().invoke(app, ["policy", *map(str, words)], input=stdin)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def evaluated(file: Path, *routes: Any) -> list[dict[str, Any]]:
    stdin = "\n".join(json.dumps(route) for route in routes)
    words = ("eval", file, "--policy", "from-idc", "--routes", "-", "--json")
    return [json.loads(line) for line in ccn(*words, stdin=stdin).stdout.splitlines()]


def test_routes_in_results_out(file: Path) -> None:
    own = {"prefix": "172.16.1.0/24", "attributes": {"as-path": "65101 {1,2}", "med": 5}, "id": 7}
    del own["id"]
    first, second = evaluated(file, own, "8.0.0.0/8")
    assert first == {
        "line": 1,
        "route": own,
        "result": "accept",
        "by": {"policy": "from-idc", "statement": "own", "where": f"{file}:4:7"},
        "default": "reject",
        "by-default": False,
        "attributes": {
            "origin": "igp",
            "as-path": "65101 {1,2}",
            "med": 5,
            "local-pref": 200,
            "communities": ["64600:1"],
        },
        "changed": ["communities", "local-pref"],
    }
    assert second == {
        "line": 2,
        "route": {"prefix": "8.0.0.0/8"},
        "result": "reject",
        "by": None,
        "default": "reject",
        "by-default": True,
    }


def test_what_decode_writes_is_read(file: Path) -> None:
    message = {
        "announce": [{"family": "ipv4-unicast", "prefix": "172.16.1.0/24", "next-hop": "10.0.0.1"}],
        "attributes": {"as-path": "1", "extended-communities": ["0002fc5800000064"]},
    }
    (found,) = evaluated(file, message)
    assert found["attributes"]["next-hop"] == "10.0.0.1"
    assert found["attributes"]["route-targets"] == ["64600:100"]


def test_attributes_come_back_as_they_were() -> None:
    entry = {
        "origin": "egp",
        "as-path": "1 2 {3,4} (5 6) 7",
        "next-hop": "2001:db8::1",
        "med": 0,
        "local-pref": 4294967295,
        "tag": 9,
        "preference": 7,
        "communities": ["1:2", "65535:65281"],
        "large-communities": ["1:2:3"],
        "extended-communities": ["0002fc5800000064", "030c000000000008"],
        "route-targets": ["64600:100"],
    }
    path, _ = read_route({"prefix": "fd00::/64", "attributes": entry})
    assert attributes_json(path.attributes) == entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"prefix": "10.0.0.1/8"}, "prefix: '10.0.0.1/8' has host bits set"),
        ({}, "prefix: the route has no prefix"),
        ({"prefix": "10.0.0.0/8", "family": "ipv6-unicast"}, "family: 'ipv6-unicast' is not"),
        ({"prefix": "10.0.0.0/8", "attributes": {"metd": 1}}, "unknown attribute 'metd'"),
        ({"prefx": "10.0.0.0/8"}, "unknown key 'prefx' (did you mean 'prefix'?)"),
        ({"prefix": "10.0.0.0/8", "attributes": {"med": -1}}, "attributes.med: -1 is not"),
        ({"prefix": "10.0.0.0/8", "attributes": {"as-path": "a"}}, "'a' is not an AS path"),
        ({"prefix": "10.0.0.0/8", "attributes": {"communities": ["x"]}}, "'x' is not a community"),
        ({"prefix": "10.0.0.0/8", "attributes": {"communities": "1:1"}}, "'1:1' is not a list"),
        (
            {"prefix": "10.0.0.0/8", "origin-kind": "vp"},
            "origin-kind: 'vp' is not known (did you mean 'vpc'?)",
        ),
        ([], "a route is a mapping"),
    ],
)
def test_a_wrong_route_says_what_is_wrong(entry: Any, said: str) -> None:
    with pytest.raises(RouteError) as caught:
        read_route(entry)
    assert said in str(caught.value)


@pytest.mark.parametrize("line", ["{", "nul", "[" * 100_000, '{"prefix": 1e999}', "\udcff"])
def test_a_line_that_is_no_route_costs_one_line(file: Path, tmp_path: Path, line: str) -> None:
    routes = tmp_path / "r.jsonl"
    routes.write_bytes(b'"10.0.0.0/8"\n' + line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(InputError) as caught:
        ccn("eval", file, "--policy", "from-idc", "--routes", routes)
    (problem,) = caught.value.problems
    assert problem.where == f"{routes}:2:1"
    assert "\n" not in problem.what


def test_explain_takes_a_prefix_or_a_route(file: Path) -> None:
    words = ("explain", file, "--policy", "from-idc", "--route")
    told = ccn(*words, '{"prefix": "8.0.0.0/8", "attributes": {"tag": 3}}').stdout
    assert "yes  tag 3: tag is 3" in told
    assert told.splitlines()[-1] == "result: rejected by from-idc/never"
    found = json.loads(ccn(*words, "172.16.0.0/16", "--json").stdout)
    assert found["result"] == "accept"
    assert found["attributes"]["local-pref"] == 200
    assert [s["matched"] for s in found["steps"]] == [True]
    with pytest.raises(InputError, match="there is no policy 'from-id'"):
        ccn("explain", file, "--policy", "from-id", "--route", "8.0.0.0/8")
    with pytest.raises(InputError, match="is not a prefix"):
        ccn(*words, "8.0.0.0")


def test_inline_tests_pass_and_coverage_is_told(file: Path) -> None:
    told = ccn("test", file).stdout.splitlines()
    assert told[:3] == ["passed  own space", "passed  others", "coverage: 1 of 2 statements"]
    assert told[3].endswith(f"not reached: from-idc/never at {file}:8:7")


def test_a_failed_test_shows_the_difference_and_the_way(file: Path) -> None:
    file.write_text(POLICY.replace("local-pref: 200, communities", "local-pref: 100, communities"))
    with pytest.raises(
        RefusedError, match="'own space' failed: local-pref: expected 100, found 200"
    ):
        ccn("test", file)
    file.write_text(
        POLICY.replace("by: own", "by: never").replace("expect: reject", "expect: accept")
    )
    found = CliRunner().invoke(app, ["policy", "test", str(file), "--json"])
    document = json.loads(found.stdout)
    assert [t["differences"] for t in document["tests"]] == [
        ["by: expected never, found from-idc/own"],
        ["result: expected accept, found reject by default"],
    ]
    assert document["coverage"]["reached"] == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("policy: from-idc\n", "policy: frm\n", "11:13: policy: there is no policy 'frm'"),
        ("172.16.1.0/24}", "172.16.1.1/24}", "12:21: route: prefix: '172.16.1.1/24' has host bits"),
        ("result: accept", "result: acept", "expect: 'acept' is neither accept nor reject"),
        ("local-pref: 200, comm", "localpref: 200, comm", "6:"),
        ("{local-pref: 200, communities", "{lpref: 200, communities", "13:52: unknown key 'lpref'"),
        ("expect: reject", "expects: reject", "14:56: unknown key 'expects'"),
        ("expect: reject", "expect: {}", "expect: None is neither accept nor reject"),
        (
            "expect: reject",
            "expect: {result: reject, attributes: {med: 7}}",
            "expect: a route that is rejected has no attributes",
        ),
    ],
)
def test_a_wrong_test_says_where(file: Path, old: str, new: str, said: str) -> None:
    assert old in POLICY
    file.write_text(POLICY.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        ccn("test", file)
    assert said in str(caught.value), str(caught.value)


WIDER = POLICY.replace("le: 24", "le: 25")


def test_diff_finds_the_route_that_tells_two_versions_apart(file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(WIDER)
    done = ccn("diff", file, new, "--policy", "from-idc")
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        "reject by default → accept by from-idc/own",
        '    such as {"prefix": "172.16.0.0/25"}',
        "reject by from-idc/never → accept by from-idc/own",
        '    such as {"prefix": "172.16.0.0/25", "attributes": {"tag": 3}}',
    ]
    done = ccn("diff", file, file, "--policy", "from-idc")
    assert (done.exit_code, done.stdout) == (0, "no route can tell the two apart\n")
    new.write_text(POLICY.replace("space", "room").replace("local-pref: 200", "local-pref: 201"))
    found = json.loads(ccn("diff", file, new, "--policy", "from-idc", "--json").stdout)
    assert found["equal"] is False and found["not-ruled-out"] == []
    (difference,) = found["differences"]
    assert difference["attributes"] == {"local-pref": {"before": 200, "after": 201}}


def test_diff_proves_that_another_way_to_say_it_is_the_same(file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    halves = "[{prefix: 172.16.0.0/17, le: 24}, {prefix: 172.16.128.0/17, le: 24}, 172.16.0.0/16]"
    new.write_text(POLICY.replace("[{prefix: 172.16.0.0/16, le: 24}]", halves))
    assert ccn("diff", file, new, "--policy", "from-idc").exit_code == 0


def test_diff_counts_given_routes(file: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(WIDER)
    routes = [{"prefix": f"172.16.{n}.0/{24 + n % 2}"} for n in range(0, 10)]
    stdin = "\n".join(map(json.dumps, [r for r in routes if r["prefix"].endswith("4")]))
    words = ("diff", file, new, "--policy", "from-idc", "--routes", "-")
    done = ccn(*words, stdin=stdin)
    assert (done.exit_code, done.stdout) == (0, "5 routes: no change\n")
    long = "\n".join(json.dumps({"prefix": f"172.16.{n}.128/25"}) for n in range(3))
    done = ccn(*words, stdin=stdin + "\n" + long)
    assert done.exit_code == 3
    assert done.stdout.startswith("3 routes: reject by default → accept by from-idc/own\n")


def test_diff_reads_recordings(file: Path, tmp_path: Path) -> None:
    from ccn_bgp.model.bgp import Asn, Ip, Prefix
    from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, Unicast
    from ccn_bgp.session.encode import encode_updates
    from ccn_bgp.session.mrt import Frame, Link, message_records

    new, recording = tmp_path / "new.yaml", tmp_path / "r.mrt"
    new.write_text(WIDER)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
    )
    said = [Unicast(Prefix.parse(p)) for p in ("172.16.1.0/24", "172.16.2.128/25")]
    link = Link(65101, 64601, 0, Ip.parse("169.254.1.2"), Ip.parse("169.254.1.1"))
    messages = b"".join(encode_updates([(attributes, said)]))
    recording.write_bytes(message_records(1_000_000, Frame.of(link, asn4=True), messages))
    done = ccn("diff", file, new, "--policy", "from-idc", "--routes", recording)
    assert done.exit_code == 3
    assert done.stdout.splitlines()[0] == "1 route: reject by default → accept by from-idc/own"
    recording.write_bytes(b"no recording at all")
    with pytest.raises(InputError, match=r"is cut|not a recording"):
        ccn("diff", file, new, "--policy", "from-idc", "--routes", recording)
