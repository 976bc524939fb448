"""Which of several tables take rows, in columns, against shares and claims asked one at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.learn import several
from ccn_bgp.learn.importing import shared
from ccn_bgp.learn.several import Several
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Unicast

PREFIXES = [
    Prefix.parse(text)
    for text in (
        "0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "10.128.7.0/24", "10.128.7.1/32", "11.0.0.0/8",
        "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::1/128", "ff00::/8",
    )
]  # fmt: skip
imports = st.lists(
    st.one_of(st.none(), st.lists(st.sampled_from(PREFIXES), max_size=3).map(tuple)),
    min_size=1,
    max_size=9,
)
rows = st.lists(st.tuples(st.sampled_from([4, 16]), st.integers(0, 10)), max_size=30)
PEER: Any = SimpleNamespace()


def suspects(_: Any, ccns: Any, regions: Any, address: Any, length: Any) -> Any:
    """A rule that looks at everything it is given."""
    return (ccns * 7 + regions + address.astype(np.int64).sum(axis=1) + length) % 5 == 0


@settings(max_examples=200, deadline=None)
@given(imports, rows, st.integers(0, 3), st.integers(1, 12))
def test_every_row_goes_where_its_shares_let_it(
    bounds: list[Any], wanted: list[tuple[int, int]], region: int, pairs: int
) -> None:
    judge = Several([(PEER, bound) for bound in bounds], range(len(bounds)))
    several.PAIRS, kept = pairs, several.PAIRS
    try:
        for width in (4, 16):
            mine = [p for p in PREFIXES if len(p) == width + 1]
            said = [mine[number % len(mine)] for of, number in wanted if of == width]
            raw = np.frombuffer(b"".join(said), np.uint8).reshape(-1, width + 1)
            pattern, alone = judge.judge(suspects, PEER, region, raw[:, :width], raw[:, width])
            takers = [tuple(shared(Unicast(p), bound) for bound in bounds) for p in said]
            numbers = set(zip(pattern.tolist(), takers, strict=True))
            assert len(numbers) == len({n for n, _ in numbers}) == len(set(takers))
            for prefix, taken, found in zip(said, takers, alone.tolist(), strict=True):
                rule = (
                    sum(prefix[:-1]) + prefix[-1] + region + 7 * n for n, t in enumerate(taken) if t
                )
                assert found == any(number % 5 == 0 for number in rule)
    finally:
        several.PAIRS = kept
