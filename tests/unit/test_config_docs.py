"""The examples of the references load as they stand and print what they say."""

from __future__ import annotations

import re
from pathlib import Path

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.config.schema import ENTRIES
from ccn_bgp.model.finding import ERRORS, WARNINGS
from ccn_bgp.observe.advice import ADVICE
from ccn_bgp.policy.load import load_policies

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = Path(__file__).parents[1] / "golden" / "validate"


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


def test_every_key_is_documented() -> None:
    text = (DOCS / "topology.md").read_text()
    for entry in ENTRIES.values():
        for name, field in entry.model_fields.items():
            assert re.search(rf"\b{re.escape(field.alias or name)}\b", text), field.alias


def test_every_finding_is_documented_with_what_is_really_printed() -> None:
    """Headings are the catalogue, examples are lines of golden files, hints are the tool's own."""
    text = (DOCS / "findings.md").read_text()
    parts = re.split(r"^### `([a-z-]+)`\n", text, flags=re.M)
    assert sorted(parts[1::2]) == sorted(ERRORS | WARNINGS)
    for rule, part in zip(parts[1::2], parts[2::2], strict=True):
        found = re.search(r"```\n(.*?)```", part, re.S)
        assert found, rule
        if rule != "loop":  # its golden file is JSON
            golden = (GOLDEN / f"{rule}.txt").read_text().replace("topologies/broken/", "")
            for line in found[1].splitlines():
                assert line in golden, (rule, line)
        mend = re.search(r"^Mend: (.*?)\.$", part, re.S | re.M)
        assert mend, rule
        words = ADVICE[rule].hint.format(ccn="the CCN", prefix="the prefix", peer="the peer")
        assert " ".join(mend[1].split()).lower() == words.lower()


def test_the_example_of_suppress_loads(tmp_path: Path) -> None:
    text = (DOCS / "topology.md").read_text()
    found = re.search(r"```yaml\n(.*?)```", text[text.index("### `suppress`") :], re.S)
    assert found
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "idc.yaml").write_text(example("policy.md"))
    base = example("topology.md")
    assert "policies: [" in base
    base = base.replace("policies: [", "  finance: {id: 200, vni: 20200}\npolicies: [")
    (tmp_path / "t.yaml").write_text(base + found[1])
    assert len(load_topology(tmp_path / "t.yaml").suppressions) == 3
