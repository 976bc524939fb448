"""Numbers as operators read them."""

from ccn_bgp.model.counted import counted


def test_one_is_not_several() -> None:
    assert [counted(n, "route") for n in (0, 1, 2)] == ["0 routes", "1 route", "2 routes"]
    assert [counted(n, "prefix", "prefixes") for n in (1, 2)] == ["1 prefix", "2 prefixes"]
