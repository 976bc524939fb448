"""SARIF 2.1.0: what `ccn validate --format sarif` writes, against the published schema.

tests/golden/sarif-2.1.0.json is the schema as carried by the npm package
@microsoft/sarif-multitool-linux 5.7.0 (MIT).
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.observe.findings import sarif

SOURCE = Path(__file__).parents[2]
SCHEMA = json.loads((SOURCE / "tests" / "golden" / "sarif-2.1.0.json").read_text())
FILES = [
    SOURCE / "topologies" / "two-regions.yaml",
    *sorted(p for p in (SOURCE / "topologies" / "broken").glob("*.yaml") if p.stem != "schema"),
]


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    kind = jsonschema.validators.validator_for(SCHEMA)
    kind.check_schema(SCHEMA)
    return kind(SCHEMA)


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_the_log_is_valid(file: Path, validator: jsonschema.protocols.Validator) -> None:
    log = json.loads(json.dumps(sarif(topology_findings(load_topology(file)))))
    assert log["runs"][0]["results"]
    assert [e.message for e in validator.iter_errors(log)] == []


def test_the_schema_refuses_what_is_no_log(validator: jsonschema.protocols.Validator) -> None:
    log = sarif(topology_findings(load_topology(FILES[0])))
    log["runs"][0]["results"][0]["level"] = "catastrophe"
    assert list(validator.iter_errors(log))
