"""Files that were good until something happened to them: an answer, never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.policy.load import read_policies, undefined_sets
from ccn_bgp.source import read_source
from ccn_bgp.table.verify import verify_world
from ccn_bgp.table.verify.declared import declared_world

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
DEMO = read_source(TOPOLOGIES / "two-regions.yaml", "topology", ("name",)).data
POLICY = read_source(TOPOLOGIES / "policies" / "idc.yaml", "policy", ("policies",)).data

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70000),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["10.1.0.0/16", "0.0.0.0/0", "::/0", "fd00::1", "10.1.0.10", "192.0.2.11", "169.254.1.2/30"]
    ),
    st.sampled_from(["retail", "finance", "bj-gw1", "hk-gw1", "vpc/web", "idc/langfang", "eth1"]),
    st.sampled_from(["64600:100", "64600:200", "02:00:0a:01:00:0a", "accept", "idc-space"]),
    st.just([]),
    st.just({}),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3),
)


def paths(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in items:
        found += paths(value, (*at, key))
    return found


def changed(data: Any, path: tuple[Any, ...], change: str, leaf: Any) -> Any:
    """A copy of ``data`` with one place replaced, removed, renamed or doubled."""
    data = json.loads(json.dumps(data))
    parent = data
    for key in path[:-1]:
        if not isinstance(parent, (dict, list)) or (isinstance(parent, dict) and key not in parent):
            return data
        if isinstance(parent, list) and (not isinstance(key, int) or key >= len(parent)):
            return data
        parent = parent[key]
    key = path[-1]
    if isinstance(parent, dict) and key in parent:
        if change == "remove":
            del parent[key]
        elif change == "rename":
            parent[str(leaf)] = parent.pop(key)
        elif change == "double":
            parent[f"{key}2"] = parent[key]
        else:
            parent[key] = leaf
    elif isinstance(parent, list) and isinstance(key, int) and key < len(parent):
        if change == "remove":
            del parent[key]
        elif change == "double":
            parent.append(parent[key])
        else:
            parent[key] = leaf
    return data


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(paths(DEMO)),
        st.sampled_from(["replace", "replace", "remove", "rename", "double"]),
        LEAVES,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=250, deadline=None)
@given(CHANGES)
def test_a_changed_topology_is_judged(changes: list[tuple[tuple[Any, ...], str, Any]]) -> None:
    data = DEMO
    for path, change, leaf in changes:
        data = changed(data, path, change, leaf)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.yaml"
        (Path(folder) / "policies").mkdir()
        (Path(folder) / "policies" / "idc.yaml").write_text(json.dumps(POLICY))
        file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8", errors="replace")
        try:
            topology = load_topology(file)
        except InputError as error:
            for problem in error.problems:
                assert problem.what
                assert "\n" not in str(problem)
                assert problem.where.startswith(str(file))
            return
        findings = declared_findings(topology)
        assert findings == declared_findings(load_topology(file))
        assert all(f.where.startswith(f"{file}:") for f in findings)
        verify_world(declared_world(topology))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(paths(POLICY)),
    st.sampled_from(["replace", "remove", "rename", "double"]),
    LEAVES,
)
def test_a_changed_policy_is_judged(path: tuple[Any, ...], change: str, leaf: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "p.yaml"
        data = changed(POLICY, path, change, leaf)
        file.write_text(json.dumps(data), encoding="utf-8")
        try:
            undefined_sets(read_policies([file]))
        except InputError as error:
            assert all(p.where.startswith(str(file)) for p in error.problems)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=4))
def test_overwritten_octets(offset: int, octets: bytes) -> None:
    raw = (TOPOLOGIES / "two-regions.yaml").read_bytes()
    offset %= len(raw)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.yaml"
        file.write_bytes(raw[:offset] + octets + raw[offset + len(octets) :])
        with pytest.raises(InputError) as caught:  # the policy file is not there
            load_topology(file)
        assert caught.value.problems
