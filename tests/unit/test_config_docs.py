"""The examples of the reference load as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.config.schema import ENTRIES
from ccn_bgp.model.finding import ERRORS, WARNINGS
from ccn_bgp.policy.load import load_policies

DOCS = Path(__file__).parents[2] / "docs"


def example(name: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", (DOCS / name).read_text(), re.S)
    assert found
    return found[1]


def test_examples_load(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "idc.yaml").write_text(example("policy.md"))
    (tmp_path / "t.yaml").write_text(example("topology.md"))
    topology = load_topology(tmp_path / "t.yaml")
    assert not [f for f in declared_findings(topology) if f.severity == "error"]
    policies = load_policies(topology.policies)
    assert {s.name for p in policies.policies.values() for s in p.statements} == {
        "no-default", "own-space", "all-of-ccn",
    }  # fmt: skip


def test_every_key_and_every_finding_is_documented() -> None:
    text = (DOCS / "topology.md").read_text()
    for entry in ENTRIES.values():
        for name, field in entry.model_fields.items():
            assert re.search(rf"\b{re.escape(field.alias or name)}\b", text), field.alias
    later = {"unreachable-statement"}
    for rule in (ERRORS | WARNINGS) - later:
        assert f"`{rule}`" in text
