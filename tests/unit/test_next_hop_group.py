"""``NextHop.group``: one value for one set of members, whatever the order and the scale."""

from __future__ import annotations

import itertools

import pytest

from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import (
    MAX_MEMBERS,
    Kind,
    Member,
    NextHop,
    joined_tables,
    tables_next,
)

HOPS = [
    NextHop(Kind.VTEP, 20100, Ip.parse(f"198.51.100.{n}"), Mac.parse("02:cc:c6:33:64:15"))
    for n in range(1, 21)
]
ROUTER = NextHop(Kind.HAND_OFF, ip=Ip.parse("169.254.1.2"), interface="eth2.101t")


def weights(group: NextHop) -> list[int]:
    return [weight for weight, _ in group.members]


def test_any_order_is_the_same_value() -> None:
    members = [Member(1, HOPS[0]), Member(3, HOPS[1]), Member(2, ROUTER)]
    groups = {NextHop.group(order) for order in itertools.permutations(members)}
    assert len(groups) == 1
    (group,) = groups
    assert (group.kind, group.hops) == (Kind.GROUP, (HOPS[0], HOPS[1], ROUTER))
    assert NextHop.group(group.members) == group


def test_one_hop_is_no_group() -> None:
    assert NextHop.group([Member(7, HOPS[0])]) == HOPS[0]
    assert NextHop.group([Member(1, HOPS[0]), Member(2, HOPS[0])]) == HOPS[0]
    assert HOPS[0].hops == (HOPS[0],)


def test_equal_hops_are_added_up_and_the_ratio_is_the_smallest() -> None:
    group = NextHop.group([Member(2, HOPS[0]), Member(4, HOPS[1]), Member(4, HOPS[0])])
    assert weights(group) == [3, 2]
    assert weights(NextHop.group([Member(1250, HOPS[0]), Member(1250, HOPS[1])])) == [1, 1]


def test_a_bandwidth_becomes_at_most_255_and_at_least_1() -> None:
    group = NextHop.group([Member(12_500_000_001, HOPS[0]), Member(1, HOPS[1])])
    assert weights(group) == [255, 1]
    group = NextHop.group([Member(1_000_003, HOPS[0]), Member(500_001, HOPS[1])])
    assert weights(group) == [255, 127]
    assert NextHop.group(group.members) == group


def test_of_too_many_the_heaviest_stay() -> None:
    group = NextHop.group([Member(1 + (n == 19), hop) for n, hop in enumerate(HOPS)])
    assert len(group.members) == MAX_MEMBERS
    assert group.hops == (*HOPS[: MAX_MEMBERS - 1], HOPS[19])


@pytest.mark.parametrize(
    "members",
    [
        [],
        [Member(0, HOPS[0])],
        [Member(1, NextHop(Kind.DROP)), Member(1, HOPS[0])],
        [Member(1, NextHop(Kind.ON_LINK, 1)), Member(1, HOPS[0])],
        [Member(1, NextHop.group([Member(1, HOPS[0]), Member(1, HOPS[1])]))],
    ],
)
def test_what_cannot_be_a_group_is_refused(members: list[Member]) -> None:
    with pytest.raises(ValueError, match="group"):
        NextHop.group(members)


def test_it_reads_as_its_members() -> None:
    text = str(NextHop.group([Member(1, HOPS[0]), Member(3, ROUTER)]))
    assert text == f"group of {HOPS[0]} (weight 1); {ROUTER} (weight 3)"


def test_the_tables_of_its_members_are_one_text() -> None:
    assert joined_tables(["hk/b", "bj/a", "hk/b"]) == "bj/a hk/b"
    assert joined_tables(["bj/a", "bj/a"]) == "bj/a"
    assert joined_tables(["", "hk/b"]) == "deliver hk/b"
    assert joined_tables(["", ""]) == ""
    assert tables_next(["", "hk/b", "bj/a deliver", "bj/a hk/b"]) == ["bj/a", "hk/b"]
