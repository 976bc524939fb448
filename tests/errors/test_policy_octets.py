"""Policy files with octets changed, and routes with strange values: they load, or each problem is a
line with its place. Nothing else is ever raised."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.routes import ATTRIBUTES, KEYS, RouteError, read_route, route_json

FILES = sorted((Path(__file__).parents[2] / "topologies" / "policies").rglob("*.yaml"))
TOKENS = (
    b"{", b"}", b"[", b"]", b": ", b", ", b"- ", b"\n", b"\n  ", b"#", b"&a ", b"*a", b"!x ", b"|",
    b">", b"'", b'"', b"\\", b"\x00", b"\xff", "é".encode(), b"~", b"<<: ", b"---\n", b"? ", b"-1",
    b"4294967296", b"0x10", b"1e9", b"_", b"(", b"*", b"prefix: ", b"set: ", b"then: accept",
)  # fmt: skip
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**70, "", "*", "é", "x" * 300, [], [[]], [None], ["igp"], {}, {"a": 1},
    "0.0.0.0/0", "::/0", "10.0.0.1/8", "1 {2,3} (4)", "1:1", ["1:1", "1:x"], "igp", "evpn", 5, 256,
)  # fmt: skip


def changed(dice: random.Random, raw: bytes) -> bytes:
    """The same with one to four changes."""
    for _ in range(dice.randint(1, 4)):
        at, end = sorted(dice.randrange(len(raw) + 1) for _ in "ab")
        raw = dice.choice(
            (
                raw[:at] + dice.choice(TOKENS) + raw[at:],
                raw[:at] + raw[min(end, at + 8) :],
                raw[:at] + raw[at : at + 40] + raw[at:],
                raw[:at] + bytes((dice.randrange(256),)) + raw[at + 1 :],
                raw[:end],
            )
        )
    return raw


def read(file: Path) -> None:
    try:
        policies = load_policies([file])
    except InputError as error:
        assert error.problems
        for problem in error.problems:
            assert "\n" not in str(problem)
            assert problem.where.startswith(str(file.parent))
    else:
        lint(policies)


def files(tmp_path: Path, count: int) -> None:
    for seed in range(count):
        dice = random.Random(seed)
        source = dice.choice(FILES)
        file = tmp_path / "p.yaml"
        file.write_bytes(changed(dice, source.read_bytes()))
        try:
            read(file)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {source.name}: {error!r}") from error


def test_files(tmp_path: Path) -> None:
    assert len(FILES) > 3
    files(tmp_path, 150)


@pytest.mark.long
def test_many_files(tmp_path: Path) -> None:
    files(tmp_path, 20_000)


def test_routes() -> None:
    for seed in range(3000):
        dice = random.Random(seed)
        entry: Any = {"prefix": "10.0.0.0/8", "attributes": {"as-path": "1 2", "med": 1}}
        for _ in range(dice.randint(1, 3)):
            place = entry["attributes"] if dice.random() < 0.5 else entry
            if not isinstance(place, dict):
                break
            place[dice.choice(ATTRIBUTES if place is not entry else KEYS)] = dice.choice(STRANGE)
        try:
            route = read_route(entry)
        except RouteError as error:
            assert str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {json.dumps(entry)}: {error!r}") from error
        else:
            again = read_route(json.loads(json.dumps(route_json(*route))))
            assert again[1].neighbor == route[1].neighbor
