"""The checker of the torture bench sees what it is there to see."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from ccn_bgp.bench import torture_tables as tables
from ccn_bgp.bench.torture_check import Checker, check
from ccn_bgp.bench.torture_tables import LANES, LENGTH, SIGNATURES, Kind, Tortured, expected


def taken(*frames):
    checker = Checker()
    checker.take(np.frombuffer(b"".join(frames), np.uint8).reshape(-1, LENGTH))
    return checker.seen


def every_frame():
    for kind, lanes in LANES.items():
        for lane in range(lanes.number):
            for signature in range(SIGNATURES):
                yield expected(kind, lane, signature)


def test_what_is_of_one_generation_is_right():
    seen = taken(*every_frame())
    assert (seen.mixed, seen.packets) == (0, 64 * SIGNATURES)


@pytest.mark.parametrize("kind", Kind)
def test_parts_of_two_generations_are_mixed(kind):
    one, other = (expected(kind, 1, signature) for signature in (3, 4))
    for part in (slice(0, 6), slice(24, 34), slice(46, 49), slice(50, 56)):
        if one[part] != other[part]:  # a VM's VNI stays
            both = one[: part.start] + other[part] + one[part.stop :]
            seen = taken(one, both, other)
            assert (seen.mixed, seen.backwards) == (1, 0), part
            assert seen.example == both.hex()


def test_another_kinds_way_is_mixed():
    frame = expected(Kind.ROUTES, 0, 5)
    strange = expected(Kind.NEXT_HOP, 0, 5)
    assert taken(frame[:-4] + strange[-4:]).mixed == 1
    assert taken(frame[:-3] + b"\xff" + frame[-2:]).mixed == 1
    assert taken(frame[:-1] + b"\xff").mixed == 1


def test_every_octet_counts_but_those_of_the_flow_hash():
    frame = expected(Kind.VM6, 2, 7)
    for place in range(LENGTH):
        changed = frame[:place] + bytes([frame[place] ^ 0x40]) + frame[place + 1 :]
        assert taken(changed).mixed == (place not in (34, 35)), place


def test_a_later_packet_never_meets_an_older_generation():
    def way(kind, *steps):
        return taken(*(expected(kind, lane, signature) for lane, signature in steps))

    assert way(Kind.ROUTES, (0, 1), (1, 2), (0, 2)).backwards == 0
    assert way(Kind.ROUTES, (0, 2), (1, 1), (0, 2)).backwards == 1  # one table
    assert way(Kind.VM, (0, 2), (1, 1), (0, 2)).backwards == 0  # each VM is one row
    assert way(Kind.VM, (0, 2), (0, 1)).backwards == 1
    assert way(Kind.GROUP, (0, SIGNATURES - 1), (0, 0)).backwards == 0
    assert way(Kind.ROUTES, (0, 1), (1, 2), (0, 2)).changes["ROUTES"] == 1
    pieces = Checker()
    for signature in (4, 3):
        frame = expected(Kind.NEXT_HOP, 0, signature)
        pieces.take(np.frombuffer(frame, np.uint8).reshape(1, -1))
    assert pieces.seen.backwards == 1


def test_a_stream_is_read_to_its_end():
    def stream(length, *frames):
        head = struct.pack("<IIII", 0, 0, length, length)
        return io.BufferedReader(io.BytesIO(bytes(24) + b"".join(head + f for f in frames)))

    frames = list(every_frame())
    seen = check(stream(LENGTH, *frames))
    assert (seen.packets, seen.mixed) == (len(frames), 0)
    with pytest.raises(ValueError, match="another length"):
        check(stream(9, bytes(LENGTH)))


def test_frames_and_changes_are_of_every_kind():
    frames = tables.frames(bytes(6))
    assert len(frames) == 64 and {len(frame) for frame in frames} == {LENGTH}
    assert {frame[-3] for frame in frames} == set(Kind)
    tortured = Tortured("p0", "p1")
    tortured.everything()
    for number in range(10):
        tortured.change(number)
    assert all(count >= 2 for count in tortured.changes.values())
