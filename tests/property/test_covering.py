"""Covering prefixes in columns against asking each member in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model import covering
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.covering import Covering


@st.composite
def prefixes(draw: st.DrawFn, width: int) -> Prefix:
    """Few bits in use, at both ends and around the seam of an IPv6 address's two words."""
    bits = width * 8
    shift = draw(st.sampled_from([0, bits - 4, 62] if width == 16 else [0, bits - 4]))
    number = draw(st.integers(0, 15)) << shift
    if draw(st.booleans()):
        number |= (1 << bits) - (1 << (bits - 1))
    seam = [62, 63, 64, 65, 66] if width == 16 else [16]
    length = draw(st.sampled_from([0, 1, 2, 3, 4, *seam, bits - 4, bits - 2, bits - 1, bits]))
    return Prefix.of(number.to_bytes(width, "big"), length)


def columns(held: list[Prefix], width: int) -> tuple[Any, Any]:
    raw = np.frombuffer(b"".join(held), np.uint8).reshape(-1, width + 1)
    return raw[:, :width], raw[:, width]


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("width", [4, 16])
def test_every_row(width: int, folded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if folded:
        monkeypatch.setattr(covering, "WORD_BITS", 8)
        monkeypatch.setattr(covering, "_LARGE", 0)
    grouped = st.tuples(st.integers(0, 3), prefixes(width))

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(grouped, max_size=14),
        st.lists(st.tuples(st.integers(-1, 4), prefixes(width)), max_size=14),
    )
    def check(members: list[tuple[int, Prefix]], rows: list[tuple[int, Prefix]]) -> None:
        built = Covering(width, [p for _, p in members], [g for g, _ in members])
        address, length = columns([p for _, p in rows], width)
        group = np.array([g for g, _ in rows], np.int64)
        longest = built.longest(address, length, group)
        covered = built.covered(address, length, group)
        overlaps = built.overlaps(address, length, group)
        for number, (g, row) in enumerate(rows):
            mine = [(p.length, -i) for i, (h, p) in enumerate(members) if h == g and p.covers(row)]
            assert longest[number] == (-max(mine)[1] if mine else -1)
            assert covered[number] == bool(mine)
            assert overlaps[number] == any(h == g and p.overlaps(row) for h, p in members)
        for place, up in enumerate(built.parent.tolist()):
            g, own = members[built.member[place]]
            over = [p for h, p in members if h == g and p != own and p.covers(own)]
            assert (up < 0) == (not over)
            if over:
                assert members[built.member[up]] == (g, max(over, key=lambda p: p.length))

    check()


def test_one_group_for_all_rows_and_no_rows() -> None:
    held = Covering(4, [Prefix.parse("10.0.0.0/8")])
    address, length = columns([Prefix.parse("10.1.0.0/16"), Prefix.parse("11.0.0.0/8")], 4)
    assert held.covered(address, length).tolist() == [True, False]
    assert held.covered(address, length, 1).tolist() == [False, False]
    assert held.covered(address[:0], length[:0]).tolist() == []


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="highest number of a group"):
        Covering(4, [Prefix.parse("10.0.0.0/8")], [1 << 25])
