"""The cookbook's policies do what they say: lint has no word against them, and their tests pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.load import read_policies
from ccn_bgp.policy.testing import coverage, run

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "topologies" / "policies" / "cookbook").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recipe_works(file: Path) -> None:
    policies = read_policies([file])
    outcomes = list(run(policies))
    assert outcomes
    assert [(o.test.name, o.differences) for o in outcomes if o.differences] == []
    assert coverage(policies, outcomes).missed == ()
    assert [str(f.message) for f in lint(policies)] == []


def test_every_recipe_is_in_the_book() -> None:
    text = (ROOT / "docs" / "policy-cookbook.md").read_text()
    assert FILES
    for file in FILES:
        assert f"topologies/policies/cookbook/{file.name}" in text
