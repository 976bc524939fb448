"""UPDATEs made of columns are, octet for octet, those made of the same routes one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Asn, Ip, Prefix, RouteDistinguisher
from ccn_bgp.model.outgoing import NOTHING, Origination, OutRows, RowChanges
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType
from ccn_bgp.session.encode import encode_updates
from ccn_bgp.session.encode_rows import encode_rows

ORIGINATIONS = {
    1: Origination(RouteDistinguisher.parse("192.0.2.11:100"), 20100),
    7: Origination(RouteDistinguisher.parse("4200000000:7"), 0xFFFFFF, 9),
    70000: Origination(RouteDistinguisher.parse("64600:1"), 1),
}


def attributes(communities: int) -> PathAttributes:
    path = (Segment(SegmentType.AS_SEQUENCE, (Asn(64601), Asn(4200000000))),)
    return PathAttributes(
        as_path=path, next_hop=Ip(b"\xc0\0\2\x0b"), communities=tuple(range(communities))
    )


@st.composite
def changes(draw: st.DrawFn) -> RowChanges:
    """Rows in the order of sending, of any family and with attributes of any size."""
    width = draw(st.sampled_from((4, 16)))
    evpn, vms = draw(st.sampled_from(((False, False), (True, False), (True, True))))
    sizes = draw(st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True))
    runs = draw(st.permutations(range(len(sizes))))
    numbers = [NOTHING] * draw(st.integers(0, 40))
    for run in runs:
        numbers += [run] * draw(st.integers(0, 60))
    prefixes = [
        Prefix.of(
            draw(st.binary(min_size=width, max_size=width)),
            width * 8 if vms else draw(st.integers(0, width * 8)),
        )
        for _ in numbers
    ]
    macs = [draw(st.binary(min_size=6, max_size=6)) for _ in numbers]
    tables = [draw(st.sampled_from(sorted(ORIGINATIONS))) for _ in numbers]
    octets = np.frombuffer(b"".join(prefixes), np.uint8).reshape(-1, width + 1)
    rows = OutRows(
        np.array(tables, np.uint32) if evpn else None,
        octets[:, :width],
        octets[:, width],
        np.array(numbers, np.int64),
        np.frombuffer(b"".join(macs), np.uint8).reshape(-1, 6) if vms else None,
    )
    if not evpn and width == 16:
        hop = Ip(b"\x20\x01" + bytes(13) + b"\1")
        sets = [
            PathAttributes(next_hop=hop, communities=attributes(size).communities) for size in sizes
        ]
    else:
        sets = [attributes(size) for size in sizes]
    return RowChanges(rows, sets, ORIGINATIONS)


@given(changes(), st.booleans(), st.integers(64, 700), st.integers(1, 5000))
@settings(max_examples=300, deadline=None)
def test_the_octets_are_the_same(rows: RowChanges, asn4: bool, max_length: int, piece: int) -> None:
    announced, withdrawn = rows.expanded()
    one_by_one = list(encode_updates(announced, withdrawn, asn4, max_length))
    pieces = list(encode_rows(rows, asn4, max_length, piece))
    assert b"".join(pieces) == b"".join(one_by_one)
    ends = set(np.cumsum([len(message) for message in one_by_one]).tolist())
    assert set(np.cumsum([len(octets) for octets in pieces]).tolist()) <= ends, "whole messages"


@pytest.mark.parametrize("max_length", [4096, 65535])
@pytest.mark.parametrize("width", [4, 16])
def test_so_are_those_of_more_routes_than_are_packed_at_once(width: int, max_length: int) -> None:
    count = 70_000
    address = np.zeros((count, width), np.uint8)
    address[:, :4] = np.arange(count, dtype=">u4").view(np.uint8).reshape(-1, 4)
    for table in (None, np.repeat(np.array([1, 7], np.uint32), count // 2)):
        hop = Ip(address[-1].tobytes())
        rows = RowChanges(
            OutRows(
                table,
                address,
                np.full(count, 32, np.uint8),
                np.repeat(np.array([NOTHING, 0, 1], np.int64), [5000, 60_000, 5000]),
            ),
            [PathAttributes(next_hop=hop), PathAttributes(next_hop=hop, med=1)],
            ORIGINATIONS,
        )
        one_by_one = encode_updates(*rows.expanded(), max_length=max_length)
        assert b"".join(encode_rows(rows, max_length=max_length)) == b"".join(one_by_one)


def test_nothing_makes_no_message() -> None:
    none = OutRows(None, np.empty((0, 4), np.uint8), np.empty(0, np.uint8), np.empty(0, np.int64))
    assert list(encode_rows(RowChanges(none, [], {}))) == []
