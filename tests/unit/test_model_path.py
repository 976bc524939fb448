"""Attributes made of others: what was worked out of what has changed is worked out anew."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import pytest

from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, changed

WORKED_OUT = [n for n, v in vars(PathAttributes).items() if isinstance(v, cached_property)]
SAID = PathAttributes(
    as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(7), Asn(8))),),
    next_hop=Ip.parse("192.0.2.1"),
    extended_communities=(
        bytes.fromhex("0002fc5800000064"),
        bytes.fromhex("060302cc00000001"),
        bytes.fromhex("030c000000000008"),
        bytes.fromhex("0600000000000005"),
        bytes.fromhex("4004000044480000"),
    ),
)
FIELDS = {
    "as_path": (Segment(SegmentType.AS_SET, (Asn(9),)),),
    "extended_communities": (bytes.fromhex("0002fc58000000c8"),),
    "med": 7,
    "next_hop": None,
}


@pytest.mark.parametrize("field", FIELDS)
def test_changed_is_replace(field: str) -> None:
    before = {name: getattr(SAID, name) for name in WORKED_OUT}
    made = changed(SAID, **{field: FIELDS[field]})
    wanted = replace(SAID, **{field: FIELDS[field]})
    assert made == wanted
    assert hash(made) == hash(wanted)
    assert {n: getattr(made, n) for n in WORKED_OUT} == {n: getattr(wanted, n) for n in WORKED_OUT}
    assert {name: getattr(SAID, name) for name in WORKED_OUT} == before
