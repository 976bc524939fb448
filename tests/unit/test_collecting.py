"""The garbage collector lets alone what a gateway has learned."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ccn_bgp.gateway import collecting


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_what_a_large_commit_leaves_is_not_walked() -> None:
    collecting.begin()
    collecting.renewed()
    before = gc.get_freeze_count()
    small: list[list[int]] = [[] for _ in range(collecting.MANY // 4)]
    collecting.committed(0.0)
    assert gc.get_freeze_count() == before
    large: list[list[int]] = [[] for _ in range(collecting.MANY)]
    collecting.committed(0.0)
    assert gc.get_freeze_count() >= before + len(small) + len(large)


def test_what_is_replaced_goes() -> None:
    """An intent is full of cycles: that it was kept out of sight must not keep it for ever."""
    collecting.begin()
    intent = Cycle()
    collecting.renewed()
    gone = weakref.ref(intent)
    del intent
    gc.collect()
    assert gone() is not None
    collecting.renewed()
    assert gone() is None


def test_what_short_commits_leave_goes_back_once_nothing_more_comes() -> None:
    collecting.at_rest()
    collecting.committed(collecting.SOME / 2)
    assert not collecting.owing()
    collecting.committed(collecting.SOME)
    assert collecting.owing()
    collecting.at_rest()
    assert not collecting.owing()
    collecting.committed(collecting.LONG * 2)
    assert not collecting.owing()  # that was given back at once
