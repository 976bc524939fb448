"""Tables made at once from columns are those that are made one by one from Routes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Answer, Kind, NextHop, Route
from ccn_bgp.table.building import Head, TableRows, build_tables, no_rows
from ccn_bgp.table.tables import Columns, Contender, Table

PREFIXES = [
    Prefix.parse(p)
    for p in (
        *("0.0.0.0/0", "0.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "255.255.255.255/32"),
        *("::/0", "::/128", "fd00::/8", "fd00::/64", "ffff::/16"),
    )
]
HOPS = [
    NextHop(Kind.DROP),
    NextHop(Kind.ON_LINK, 10001),
    NextHop(Kind.VIP, 10001, Ip.parse("fd00::9")),
    NextHop(Kind.VTEP, 20100, Ip.parse("192.0.2.9"), Mac.parse("02:cc:c0:00:02:09")),
    NextHop(Kind.HAND_OFF, ip=Ip.parse("169.254.1.2"), interface="eth2.101t"),
]
ANSWERS = st.builds(
    Answer,
    st.sampled_from(HOPS),
    st.sampled_from(["gw/a", "hk/a", "hk/b"]),
    st.sampled_from(["", "p", "q"]),
    st.sampled_from(["", "hk/a", "hk/b"]),
)
CONTENDERS = st.sets(
    st.builds(
        Contender, st.sampled_from(PREFIXES), st.sampled_from(["x/b", "y/b"]), st.sampled_from("pq")
    ),
    max_size=3,
).map(lambda found: tuple(sorted(found, key=lambda c: (len(c.prefix), c))))


@st.composite
def inputs(draw: st.DrawFn) -> tuple[dict[int, Head], list[Answer], dict[int, dict[Prefix, int]]]:
    """Heads, answers (some twice, some unused), and for each table the answer of each prefix."""
    answers = draw(st.lists(ANSWERS, min_size=1, max_size=6))
    numbers = draw(st.lists(st.integers(1, 65535), max_size=4, unique=True))
    heads = {n: Head(f"gw/c{n}", n, f"c{n}", draw(CONTENDERS)) for n in numbers}
    chosen = st.dictionaries(st.sampled_from(PREFIXES), st.integers(0, len(answers) - 1))
    return heads, answers, {n: draw(chosen) for n in numbers}


def rows_of(held: dict[int, dict[Prefix, int]], width: int) -> TableRows:
    rows = sorted(
        (n, p, a) for n, table in held.items() for p, a in table.items() if len(p) == width + 1
    )
    if not rows:
        return no_rows(width)
    raw = np.frombuffer(b"".join(p for _, p, _ in rows), np.uint8).reshape(-1, width + 1)
    return TableRows(
        np.array([n for n, _, _ in rows], np.uint32),
        np.ascontiguousarray(raw[:, :width]),
        np.ascontiguousarray(raw[:, width]),
        np.array([a for _, _, a in rows], np.uint32),
    )


def one_by_one(head: Head, answers: list[Answer], rows: dict[Prefix, int]) -> Table:
    routes = []
    for prefix, number in rows.items():
        hop, origin, peer, following = answers[number]
        path = Path(peer, Unicast(prefix), PathAttributes())
        routes.append(Route(head.name, prefix, origin, hop, following, path))
    return Table.build(head.name, head.id, head.ccn, routes, head.contenders)


TABLE = ("name", "id", "ccn", "contenders", "digest", "v4", "v6")
TABLE += ("next_hops", "origins", "peers", "next_tables")


def content(value: object) -> object:
    """Whatever a Table holds, comparable, dtypes included."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Table):
        return {name: content(getattr(value, name)) for name in TABLE}
    if isinstance(value, Columns):
        return {f.name: content(getattr(value, f.name)) for f in fields(value)}
    return value


@given(inputs())
@settings(max_examples=200, deadline=None)
def test_at_once_is_one_by_one(
    given_: tuple[dict[int, Head], list[Answer], dict[int, dict[Prefix, int]]],
) -> None:
    heads, answers, held = given_
    made = build_tables(heads, rows_of(held, 4), rows_of(held, 16), answers)
    assert [t.id for t in made.values()] == sorted(heads)
    for number, head in heads.items():
        assert content(made[head.name]) == content(one_by_one(head, answers, held[number]))


@given(inputs())
@settings(max_examples=100, deadline=None)
def test_equal_digest_is_equal_content(
    given_: tuple[dict[int, Head], list[Answer], dict[int, dict[Prefix, int]]],
) -> None:
    """A table with one answer, prefix or contender changed has another digest, unless only who
    said it has changed."""
    heads, answers, held = given_
    tables = [
        one_by_one(Head("gw/c", 1, "c", head.contenders), answers, held[number])
        for number, head in heads.items()
    ]

    def meaning(table: Table) -> object:
        told = content(table)
        assert isinstance(told, dict)
        for family in ("v4", "v6"):
            told[family] = {k: v for k, v in told[family].items() if k != "peer"}
        told["contenders"] = sorted({c[:2] for c in table.contenders})
        return {k: v for k, v in told.items() if k not in ("peers", "digest")}

    for table in tables:
        for other in tables:
            assert (table.digest == other.digest) == (meaning(table) == meaning(other))


def test_rows_without_a_head_are_refused() -> None:
    answers = [Answer(HOPS[0], "gw/a", "", "")]
    rows = rows_of({7: {PREFIXES[0]: 0}}, 4)
    for heads in ({}, {6: Head("gw/x", 6, "x")}, {8: Head("gw/x", 8, "x")}):
        with pytest.raises(KeyError):
            build_tables(heads, rows, no_rows(16), answers)
