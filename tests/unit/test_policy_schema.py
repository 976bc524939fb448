"""The JSON Schema says of policy files what their reader says, as far as form goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from oracle.policy_documents import documents
from ruamel.yaml import YAML
from typer.testing import CliRunner

from ccn_bgp.cli.main import app
from ccn_bgp.policy import read_change, read_match
from ccn_bgp.policy.schema import schema
from ccn_bgp.policy_files import KEYS

VALIDATOR = Draft202012Validator(schema())
SHIPPED = sorted(Path("topologies").glob("**/policies/*.yaml"))


def test_it_is_a_schema_and_knows_every_key() -> None:
    made = json.loads(CliRunner().invoke(app, ["policy", "schema"]).stdout)
    assert made == schema()
    Draft202012Validator.check_schema(made)
    assert set(made["properties"]) == set(KEYS)
    statement = made["properties"]["policies"]["additionalProperties"]["items"]["properties"]
    assert set(statement["match"]["properties"]) == set(read_match.KEYS)
    assert set(statement["set"]["properties"]) == set(read_change.KEYS)


@pytest.mark.parametrize("file", SHIPPED, ids=str)
def test_shipped_files_are_valid(file: Path) -> None:
    VALIDATOR.validate(YAML(typ="safe").load(file.read_text()))


@settings(max_examples=15, deadline=None)
@given(documents())
def test_what_the_reader_takes_is_valid(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {"prefix-set": {}},
        {"prefix-sets": {"a b": []}},
        {"prefix-sets": {"a": [{"prefix": "10.0.0.0/8", "lt": 3}]}},
        {"as-path-sets": {"a": [65001]}},
        {"policies": {"p": [{"match": {"local_pref": 1}, "then": "accept"}]}},
        {"policies": {"p": [{"match": {"prefix-set": {"all": "a"}}, "then": "accept"}]}},
        {"policies": {"p": [{"then": "next"}]}},
        {"policies": {"p": [{"set": {"med": 1}}]}},
        {"policies": {"p": [{"set": {"as-path-prepend": 33}, "then": "accept"}]}},
        {"tests": [{"policy": "p", "route": {"prefx": "10.0.0.0/8"}, "expect": "accept"}]},
    ],
)
def test_what_the_reader_refuses_is_not(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)
