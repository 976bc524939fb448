"""A policy file in which one value is replaced by another: it loads, or each problem is a line."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.policy_documents import documents

from ccn_bgp.errors import InputError
from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.load import load_policies
from ccn_bgp.source import place

STRANGE: list[Any] = [
    None, True, 0, -1, 1.5, 2**70, "", "*", "**", "1:", ":1", "::", "0.0.0.0/0", "_", "(", "[",
    "\\",
    "\x00", "é", "a" * 2000, [], [[]], {}, {"": ""}, {"set": "s"}, {"set": 1}, {"regex": "("},
    {"regex": None}, {"ge": 5, "le": 1}, {"any": []}, {"all": "s"}, {"invert": ["s", 1]}, "unset",
    {"prefix": "10.0.0.0/8", "ge": 33}, {"asn": -1}, {"length": {}}, {"add": [None]},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        found += places(item, (*path, key))
    return found


@settings(max_examples=150, deadline=None)
@given(documents(), st.data())
def test_one_strange_value(document: dict[str, Any], data: st.DataObject) -> None:
    document = copy.deepcopy(document)  # what strategies draw from stays as it is
    route = {"prefix": "10.0.0.0/8", "attributes": {"med": 1}}
    document["tests"] = [{"policy": ["p"], "route": route, "expect": "reject"}]
    *path, last = data.draw(st.sampled_from(places(document)[1:]))
    held = document
    for key in path:
        held = held[key]
    if isinstance(held, dict) and data.draw(st.booleans()):
        held[data.draw(st.sampled_from(["", "x", "set", "prefix", "regex"]))] = held.pop(last)
    else:
        held[last] = data.draw(st.sampled_from(STRANGE))
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "p.yaml"
        file.write_text(json.dumps(document))
        try:
            policies = load_policies([file])
        except InputError as error:
            assert error.problems
            for problem in error.problems:
                assert "\n" not in str(problem)
                assert place(problem.where)[0] == str(file), problem
                assert place(problem.where)[1] > 0, problem
        else:
            lint(policies)
