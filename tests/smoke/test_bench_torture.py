"""Tables change under traffic: no packet meets two generations, nothing leaks, nothing stalls."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ccn_bgp.bench.torture_tables import Kind
from ccn_bgp.cli.main import app

pytestmark = pytest.mark.smoke


def tortured(*options: str) -> dict[str, float]:
    words = ["bench", "commit", "--case", "torture", "--json", *options]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return {figure["metric"]: figure["ours"] for figure in json.loads(done.stdout)["results"]}


def check(found: dict[str, float], flips: int, kinds: int) -> None:
    assert found["flips"] == flips
    assert found["packets"] > 100 * flips
    assert found["kinds of change met"] >= kinds
    assert (found["mixed"], found["backwards"], found["dropped"]) == (0, 0, 0)
    assert found["memory grown"] < 8
    assert found["buffers lost"] < 1024  # what is under way
    assert found["commit longest"] < 10_000 and found["longest silence"] < 10_000


def test_a_thousand_flips() -> None:
    # on a busy machine so short a run may send no packet while one kind of change is in force
    check(tortured("--quick"), 1_000, len(Kind) - 2)


@pytest.mark.long
def test_a_hundred_thousand_flips() -> None:
    check(tortured(), 100_000, len(Kind))
