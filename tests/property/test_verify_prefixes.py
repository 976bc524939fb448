"""The prefix rules against a literal reading of them: a 6-bit universe, address by address.

The universe is laid over real prefixes, those at both ends of the space included. The
oracle follows each address by plain dictionary look-ups and shares no code with the verifier.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify import parse_world, prefixes, space, verify_world

BITS = 6
ADDRESSES = range(1 << BITS)
PLACES = [
    ("0.0.0.0", 0),
    ("10.1.2.0", 26),
    ("255.255.255.192", 26),
    ("0.0.0.0", 10),
    ("::", 0),
    ("fd00::ffff:ffff:ffff:0", 122),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0", 122),
    ("2001:db8::", 61),
    ("2001:db8:ffff:fff0::", 60),
    ("ffff:ffff:ffff:ffff::", 64),
]
"""(address, length) of the prefix that stands for the whole universe."""
RULES = ("leak", "latent-leak", "hijack", "blackhole", "loop", "misdelivery")

Short = tuple[int, int]
"""(first address in the universe, length 0..6)."""


def shorts() -> st.SearchStrategy[Short]:
    return st.integers(0, BITS).flatmap(
        lambda n: st.integers(0, (1 << n) - 1).map(lambda v: (v << (BITS - n), n))
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Tables by number, the last of them external; routes: {(t, short): (origin, next)}."""
    count = draw(st.integers(1, 5))
    extra = draw(st.integers(0, 2))
    owners = draw(st.lists(st.sampled_from("abc"), min_size=count + extra, max_size=count + extra))
    anywhere = st.integers(0, count + extra - 1)
    following = st.one_of(st.sampled_from(["deliver", "drop"]), anywhere, anywhere)
    routes = draw(
        st.dictionaries(
            st.tuples(st.integers(0, count - 1), shorts()),
            st.tuples(anywhere, following),
            max_size=24,
        )
    )
    shares = draw(
        st.lists(
            st.tuples(st.integers(0, count - 1), st.sampled_from("abcd"), shorts()), max_size=5
        )
    )
    return {"owners": owners, "count": count, "routes": routes, "shares": shares}


def covers(a: Short, b: Short) -> bool:
    return a[1] <= b[1] and b[0] >> (BITS - a[1]) == a[0] >> (BITS - a[1])


def oracle(world: dict[str, Any]) -> dict[tuple[str, int, Short], set[int]]:
    """(rule, table, prefix) → the addresses for which it holds; empty for latent-leak."""
    owners, routes, count = world["owners"], world["routes"], world["count"]

    def longest(table: int, address: int) -> Short | None:
        held = [p for t, p in routes if t == table and covers(p, (address, BITS))]
        return max(held, key=lambda p: p[1]) if held else None

    found: dict[tuple[str, int, Short], set[int]] = {}
    for (table, prefix), (origin, following) in routes.items():
        mine = {d for d in ADDRESSES if longest(table, d) == prefix}
        if owners[origin] != owners[table]:
            if not any(
                t == table and provider == owners[origin] and covers(p, prefix)
                for t, provider, p in world["shares"]
            ):
                found["leak" if mine else "latent-leak", table, prefix] = mine
            if mine and any(
                t == table and p[1] < prefix[1] and covers(p, prefix) and owners[o] == owners[t]
                for (t, p), (o, _) in routes.items()
            ):
                found["hijack", table, prefix] = mine
        for address in mine:
            step, met = following, {table}
            while isinstance(step, int):
                if step in met:
                    found.setdefault(("loop", table, prefix), set()).add(address)
                    break
                met.add(step)
                if step >= count:
                    arrived: int | None = step
                else:
                    match = longest(step, address)
                    then = routes[step, match][1] if match is not None else "drop"
                    if then == "drop":
                        found.setdefault(("blackhole", table, prefix), set()).add(address)
                        break
                    if then != "deliver":
                        step = then
                        continue
                    arrived = step
                if owners[arrived] != owners[origin]:
                    found.setdefault(("misdelivery", table, prefix), set()).add(address)
                break
    return found


def document(
    world: dict[str, Any], place: tuple[str, int], order: Callable[[list[Any]], list[Any]]
) -> Any:
    """The world as a file, with the universe at ``place``."""
    base = ipaddress.ip_address(place[0])
    shift = base.max_prefixlen - place[1] - BITS

    def text(prefix: Short) -> str:
        return f"{base + (prefix[0] << shift)}/{place[1] + prefix[1]}"

    def name(table: int) -> str:
        return f"gw{table}/{world['owners'][table]}"

    return {
        "tables": order(
            [{"name": name(t), "ccn": world["owners"][t]} for t in range(world["count"])]
        ),
        "external": [name(t) for t in range(world["count"], len(world["owners"]))],
        "routes": order(
            [
                {
                    "table": name(t),
                    "prefix": text(p),
                    "origin": name(o),
                    "next": name(n) if isinstance(n, int) else n,
                }
                for (t, p), (o, n) in world["routes"].items()
            ]
        ),
        "shares": [
            {"table": name(t), "provider": provider, "prefix": text(p)}
            for t, provider, p in world["shares"]
        ],
    }


def check(
    world: dict[str, Any], place: tuple[str, int], file: Path, order: Callable[[Any], Any]
) -> Any:
    form = document(world, place, order)
    file.write_text(json.dumps(form))
    base = int(ipaddress.ip_address(place[0]))
    shift = ipaddress.ip_address(place[0]).max_prefixlen - place[1] - BITS

    def inside(address: str) -> int:
        return int(ipaddress.ip_address(address)) - base

    expected = oracle(world)
    said: dict[tuple[str, int, Short], set[int]] = {}
    findings = verify_world(parse_world([file]))
    for finding in findings:
        network = ipaddress.ip_network(finding.prefix)
        short = inside(str(network.network_address)) >> shift, network.prefixlen - place[1]
        table = int(finding.table.removeprefix("gw").split("/")[0])
        spans = []
        for first, last in finding.witness["ranges"]:
            assert inside(first) % (1 << shift) == 0 and (inside(last) + 1) % (1 << shift) == 0
            spans.append((inside(first) >> shift, inside(last) >> shift))
        assert all(a <= b for a, b in spans)
        assert all(b + 1 < c for (_, b), (c, _) in itertools.pairwise(spans)), "merged"
        assert finding.witness["address"] == finding.witness["ranges"][0][0]
        assert finding.witness["hops"][0] == finding.table
        held = {d for a, b in spans for d in range(a, b + 1)}
        key = finding.rule, table, short
        assert key not in said
        said[key] = held if finding.rule != "latent-leak" else set()
        if finding.rule == "loop":
            assert finding.witness["hops"][-1] in finding.witness["hops"][:-1]
    assert said == expected
    assert {rule for rule, _, _ in said} <= set(RULES)
    return [f.as_json() for f in findings]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world") / "world.json"


@settings(
    max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=worlds(), place=st.sampled_from(PLACES), data=st.randoms(use_true_random=False))
def test_every_address(
    world: dict[str, Any], place: tuple[str, int], data: Any, file: Path
) -> None:
    def shuffled(items: list[Any]) -> list[Any]:
        data.shuffle(items)
        return items

    first = check(world, place, file, list)
    assert check(world, place, file, shuffled) == first


@settings(max_examples=300, deadline=None)
@given(world=worlds(), place=st.sampled_from(PLACES))
def test_small_frontier(world: dict[str, Any], place: tuple[str, int], file: Path) -> None:
    """Splitting the work bounds memory and changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefixes, "FRONTIER", 1)
        check(world, place, file, list)


@settings(max_examples=100, deadline=None)
@given(world=worlds(), place=st.sampled_from(PLACES))
def test_keys_beyond_a_word(world: dict[str, Any], place: tuple[str, int], file: Path) -> None:
    """Where table, address and length do not fit one word, they are sorted as two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "LENGTH_BITS", 62)
        check(world, place, file, list)
