"""Values of the wire as texts."""

from __future__ import annotations

import pytest

from ccn_bgp.model.bgp import RouteDistinguisher
from ccn_bgp.model.path import EvpnOther


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("0000fc5800000064", "64600:100"),
        ("0001c000020b0064", "192.0.2.11:100"),
        ("000200010002000a", "65538:10"),
        ("0003fc5800000064", "0003fc5800000064"),
        ("0101c000020b0064", "0101c000020b0064"),
    ],
)
def test_a_route_distinguisher_of_an_unknown_type_is_its_octets(octets: str, text: str) -> None:
    assert str(RouteDistinguisher(bytes.fromhex(octets))) == text


def test_the_label_of_a_type_1_is_not_part_of_its_key() -> None:
    """RFC 7432 §7.1: a withdrawal with label 0 takes it back."""
    known = bytes.fromhex("0001c000020b0064 00112233445566778899 00000007")
    announced, withdrawn = (EvpnOther(1, known + label.to_bytes(3, "big")) for label in (10001, 0))
    assert announced.key == withdrawn.key
    assert EvpnOther(3, known).key != EvpnOther(3, known[:-1]).key
