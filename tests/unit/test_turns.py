"""Events of many peers, taken one by one."""

import pytest

from ccn_bgp.session.turns import Turns


def all_of(turns: Turns[str]) -> str:
    found = ""
    while turns:
        found += turns.take()
    with pytest.raises(IndexError):
        turns.take()
    return found


def test_a_peer_that_says_much_waits_for_itself_alone() -> None:
    turns: Turns[str] = Turns()
    for word in "abcdef":
        turns.put("much", word)
    for word in "12":
        turns.put("little", word)
    assert turns.take() + turns.take() == "a1"
    turns.put("late", "!")
    assert all_of(turns) == "b2!cdef"


def test_what_concerns_all_has_its_place() -> None:
    turns: Turns[str] = Turns()
    turns.put("", "^")
    for word in "ab":
        turns.put("p", word)
    turns.put("", "|")
    turns.put("q", "x")
    turns.put("p", "c")
    turns.put("", "$")
    assert all_of(turns) == "^ab|xc$"
    turns.put("p", "d")
    assert all_of(turns) == "d"
