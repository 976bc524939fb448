"""RowDecoder says what Decoder says: the same routes in the same order per key, the same verdicts,
the same octets taken; for good messages, broken ones and any mixture of both in one block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.heard_blocks import attribute, by_messages, by_rows, message

from ccn_bgp.model.bgp import Family
from ccn_bgp.model.rows import PrefixRows, Vocabulary
from ccn_bgp.session import decode_fields
from ccn_bgp.session.decode import Decoder, SessionParameters, Update, Verdict
from ccn_bgp.session.decode_rows import RowDecoder


@pytest.fixture(scope="module", autouse=True)
def few_are_many() -> Iterator[None]:
    """Let two messages of one length go the way of thousands."""
    usual, decode_fields._FEW = decode_fields._FEW, 2
    yield
    decode_fields._FEW = usual


few = st.integers(0, 2)
# Few of everything, so that messages often speak of the same route.
distinguishers = st.sampled_from((0, 0, 0, 1, 2, 3)).map(lambda kind: bytes((0, kind)) + bytes(6))
tags = st.sampled_from((0, 0, 0, 1)).map(lambda n: n.to_bytes(4, "big"))
addresses = {
    4: st.sampled_from((bytes((10, 0, 0, 0)), bytes((10, 1, 255, 255)), b"\xff" * 4)),
    16: st.sampled_from((b"\x20\1" + bytes(14), b"\x20\1\x0d\xb8" + b"\xff" * 12)),
}
rare = st.integers(0, 19).map(lambda n: n == 0)


@st.composite
def type5(draw: st.DrawFn, width: int) -> bytes:
    most = width * 8
    bits = draw(st.sampled_from((0, 7, 8, 8, 8, 23, most)))
    if draw(rare):
        bits = draw(st.integers(0, 255))
    esi = draw(st.sampled_from((bytes(10), bytes(10), b"\1" * 10)))
    gateway = draw(st.sampled_from((bytes(width), bytes(width), b"\x0a" + bytes(width - 1))))
    label = draw(st.sampled_from((0, 1, 15, 16, 20100, 0xFFFFFF)))
    value = draw(distinguishers) + esi + draw(tags) + bytes((bits,))
    value += draw(addresses[width]) + gateway + label.to_bytes(3, "big")
    kind = 5
    if draw(rare):
        value, kind = draw(
            st.sampled_from(((value[:-1], 5), (value, 2), (value[:25], 1), (value[:17], 3)))
        )
    return bytes((kind, len(value))) + value


@st.composite
def unicast(draw: st.DrawFn, width: int) -> bytes:
    bits = draw(st.sampled_from((0, 1, 8, 8, 8, 20, width * 8)))
    if draw(rare):
        bits = draw(st.integers(0, 255))
    return bytes((bits,)) + draw(addresses[width])[: (bits + 7) // 8]


def many(routes: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(routes, min_size=1, max_size=5).map(b"".join)


FAMILIES = {
    (25, 70): many(type5(4)) | many(type5(16)) | many(type5(4) | type5(16)),
    (1, 1): many(unicast(4)),
    (2, 1): many(unicast(16)),
}
VXLAN, ROUTER_MAC = bytes.fromhex("030c000000000008"), bytes.fromhex("060302ccc0000201")
TARGET, GROUP_MAC = bytes.fromhex("0002fc5800000064"), bytes.fromhex("060303ccc0000201")
# The last of each is wrong, and seldom taken.
ORIGINS = (b"\0", b"\1", b"\3")
PATHS = ("0201 0000fc59", "0202 0000fc59 0000fc5a", "0201 0000fc5b")
next_hops = {
    4: st.sampled_from((bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))),
    16: st.just(b"\x20\1" + bytes(13) + b"\1"),
    0: st.sampled_from((bytes(4), bytes((127, 0, 0, 1)))),
    32: st.just(b"\x20\1" + bytes(13) + b"\1" + b"\xfe\x80" + bytes(14)),
    5: st.just(bytes(5)),
}
COMMUNITIES = (ROUTER_MAC + TARGET + VXLAN, TARGET + ROUTER_MAC, TARGET, GROUP_MAC + VXLAN)


@st.composite
def common(draw: st.DrawFn) -> list[bytes]:
    """The attributes beside the multiprotocol ones."""
    parts = [
        attribute(0x40, 1, ORIGINS[-draw(rare) or draw(st.integers(0, 1))]),
        attribute(0x40, 2, bytes.fromhex(PATHS[-draw(rare) or draw(st.integers(0, 1))])),
        attribute(0x40, 3, draw(next_hops[0 if draw(rare) else 4])),
        attribute(0xC0, 16, COMMUNITIES[-draw(rare) or draw(st.integers(0, 2))]),
    ]
    more = draw(st.integers(0, 63))
    if more & 1:
        parts.append(attribute(0x80, 4, draw(few).to_bytes(4, "big")))
    if more & 2:
        parts.append(attribute(0x40, 6, b""))
    if more & 4:
        parts.append(attribute(0xC0, 99, b"unknown"))
    if more & 56 == 8:
        del parts[draw(st.integers(0, 3))]
    if more & 56 == 16:
        parts.append(draw(st.sampled_from((parts[0], b"\x50\x05\0", b"\x40\x06"))))
    return parts


@st.composite
def updates(draw: st.DrawFn) -> bytes:
    parts = draw(common())
    # 1: MP_REACH_NLRI, 2: MP_UNREACH_NLRI, 4: IPv4 NLRI, 8: withdrawn IPv4 routes.
    what = draw(st.sampled_from((1, 1, 1, 1, 2, 2, 4, 4, 8, 3, 6, 12, 5, 9, 15, 0)))
    nlri = withdrawn = b""
    if what == 2 and draw(st.booleans()):
        parts.clear()
    if what & 1:
        (afi, safi), size = (
            draw(st.sampled_from(list(FAMILIES))),
            draw(st.sampled_from((4, 4, 16, 32, 5))),
        )
        if not draw(rare):
            size = 16 if afi == 2 else 4
        routes = draw(FAMILIES[afi, safi]) if not draw(rare) else b""
        value = afi.to_bytes(2, "big") + bytes((safi, size)) + draw(next_hops[size])
        flags = 0xC0 if draw(rare) else draw(st.sampled_from((0x80, 0x90)))
        place = draw(st.sampled_from((0, 0, len(parts))))
        parts.insert(place, attribute(flags, 14, value + b"\0" + routes))
    if what & 2:
        afi, safi = draw(st.sampled_from(list(FAMILIES)))
        routes = draw(FAMILIES[afi, safi]) if not draw(rare) else b""
        value = afi.to_bytes(2, "big") + bytes((safi,)) + routes
        parts.insert(draw(st.integers(0, len(parts))), attribute(0x90, 15, value))
    if what & 4:
        nlri = draw(FAMILIES[1, 1])
    if what & 8:
        withdrawn = draw(FAMILIES[1, 1])
    blob = b"".join(parts)
    body = len(withdrawn).to_bytes(2, "big") + withdrawn + len(blob).to_bytes(2, "big") + blob
    return message(2, body + nlri)


@st.composite
def changed(draw: st.DrawFn, good: bytes) -> bytes:
    """One to three octets changed, mostly behind the header: the length stays."""
    raw = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0 if len(raw) < 20 or draw(rare) else 19, len(raw) - 1))
        raw[where] = draw(few | st.integers(0, 255))
    return bytes(raw)


others = st.sampled_from(
    (
        message(2, bytes(4)),
        message(2, bytes.fromhex("0000 0006 800f03 001946")),
        message(5, bytes.fromhex("00190046")),
        message(4, b""),
    )
)


@st.composite
def blocks(draw: st.DrawFn) -> list[bytes]:
    """The same messages, and some that differ from them in an octet, again and again: so what was
    kept of one is used, or must not be used, for the next."""
    some = draw(st.lists(updates() | updates() | updates() | others, min_size=1, max_size=4))
    some += [draw(changed(draw(st.sampled_from(some)))) for _ in range(draw(st.integers(0, 4)))]
    return draw(st.lists(st.sampled_from(some), min_size=1, max_size=40))


sessions = st.builds(
    SessionParameters,
    st.just("peer"),
    st.sampled_from((64601, 64602)),
    st.just(64602),
    st.just(True),
    st.sampled_from((frozenset(Family), frozenset(Family), frozenset({Family.EVPN}))),
    st.booleans(),
    st.booleans(),
)


def taken(raw: bytes, session: SessionParameters) -> tuple[int, int]:
    """The octets and UPDATEs up to a session reset, message by message."""
    decoder, position, updates_taken = Decoder(session), 0, 0
    while position < len(raw):
        size = max(int.from_bytes(raw[position + 16 : position + 18], "big"), 19)
        one = raw[position : position + size]
        position += len(one)
        updates_taken += one[18:19] == b"\2"
        for decoded in decoder.message(one):
            if isinstance(decoded, Update) and decoded.verdict is Verdict.SESSION_RESET:
                return position, updates_taken
    return position, updates_taken


@settings(max_examples=400)
@given(st.lists(blocks(), min_size=1, max_size=3), sessions, st.integers(0, 30))
def test_rows_say_what_messages_say(
    some: list[list[bytes]], session: SessionParameters, cut: int
) -> None:
    vocabulary = Vocabulary()
    rows, messages = RowDecoder(session, vocabulary), Decoder(session)
    total = 0
    for number, block in enumerate(some):
        raw = b"".join(block)
        if number == len(some) - 1 and cut < 12:
            raw = raw[: len(raw) - cut]
        assert by_rows(raw, rows, vocabulary) == by_messages(raw, messages)
        octets, updates_taken = taken(raw, session)
        total += updates_taken
        assert (rows.taken, rows.updates) == (octets, total)


@given(blocks(), st.binary(max_size=80), sessions)
def test_any_octets_behind(block: list[bytes], noise: bytes, session: SessionParameters) -> None:
    vocabulary = Vocabulary()
    raw = b"".join(block) + noise
    heard = by_rows(raw, RowDecoder(session, vocabulary), vocabulary)
    assert heard == by_messages(raw, Decoder(session))


@given(blocks(), sessions)
def test_equal_octets_are_one_object(block: list[bytes], session: SessionParameters) -> None:
    """Bodies are numbered by identity: what is said twice must have the same number."""
    vocabulary = Vocabulary()
    decoder = RowDecoder(session, vocabulary)
    raw = b"".join(block)
    first = [p for p in decoder.block(raw) if isinstance(p, PrefixRows)]
    bodies = len(vocabulary.bodies)
    again = [p for p in decoder.block(raw) if isinstance(p, PrefixRows)]
    assert len(vocabulary.bodies) == bodies
    assert [p.body.tolist() for p in first] == [p.body.tolist() for p in again]
