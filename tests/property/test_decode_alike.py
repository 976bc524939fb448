"""Messages that are read by an example are what they are if each is read by itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.heard_blocks import attribute, by_messages, by_rows, message

from ccn_bgp.model.bgp import Asn, Family
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.rows import PrefixRows, Vocabulary
from ccn_bgp.session import decode_alike, decode_fields
from ccn_bgp.session.decode import Decoder, SessionParameters
from ccn_bgp.session.decode_rows import RowDecoder

SESSION = SessionParameters(
    peer="peer", peer_asn=Asn(64602), local_asn=Asn(64601), families=frozenset(Family)
)
TARGET = bytes.fromhex("0002fc5800000001")
OTHERS = [bytes.fromhex(c) for c in ("030c000000000008", "060302ccc000030b", "4004fc684e6e6b28")]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(decode_fields, "_FEW", 2)
    yield


def route(number: int, vni: int) -> bytes:
    value = b"\0\1\xc0\0\3\x0b" + number.to_bytes(2, "big") + bytes(14) + b"\x18\x0a"
    return b"\5\x22" + value + number.to_bytes(2, "big") + bytes(5) + vni.to_bytes(3, "big")


def update(
    communities: list[bytes],
    numbers: list[int],
    *,
    leading: bool,
    path: int,
    plain: tuple[int, ...] = (),
) -> bytes:
    routes = b"".join(route(n, 20000 + n) for n in numbers)
    reach = attribute(0x90, 14, b"\0\x19\x46\4\xc0\0\3\x0b\0" + routes)
    rest = attribute(0x40, 1, b"\0") + attribute(0x40, 2, b"\2\1" + path.to_bytes(4, "big"))
    rest += attribute(0xC0, 16, b"".join(communities)) if communities else b""
    rest += attribute(0xC0, 8, struct.pack(f">{len(plain)}I", *plain)) if plain else b""
    blob = reach + rest if leading else rest + reach
    return message(2, b"\0\0" + len(blob).to_bytes(2, "big") + blob)


targets = st.sampled_from(
    [TARGET[:4] + n.to_bytes(4, "big") for n in range(4)]
    + [b"\1\2abcdef", b"\2\2abcdef", b"\0\3abcdef", b"\0\2" * 4]
)
sets = st.one_of(
    st.tuples(targets, st.just(OTHERS[0]), st.just(OTHERS[1])),
    st.tuples(st.just(OTHERS[0]), targets, st.just(OTHERS[1])),
    st.tuples(targets, targets, st.just(OTHERS[1])),
    st.tuples(st.just(OTHERS[0]), st.just(OTHERS[1]), st.just(OTHERS[2])),
    st.tuples(targets, st.just(bytes.fromhex("0603010000000001")), st.just(OTHERS[0])),
)
updates = st.builds(
    lambda communities, numbers, leading, path, plain: update(
        list(communities), numbers, leading=leading, path=path, plain=plain
    ),
    sets,
    st.lists(st.integers(0, 3), min_size=1, max_size=2),
    st.booleans(),
    # The last is an AS path with the octets of a route target in it.
    st.sampled_from([64602, 64602, 64602, 0x0002FC58]),
    # Some stand in the AS path or the route target as well.
    st.sampled_from([(), (1,), (2, 1), (3, 3), (64602,), (64602, 7), (0x0002FC58,), (0,)]),
)
broken = st.tuples(updates, st.integers(19, 140), st.integers(0, 255)).map(
    lambda m: m[0] if m[1] >= len(m[0]) else m[0][: m[1]] + bytes((m[2],)) + m[0][m[1] + 1 :]
)


@settings(max_examples=300)
@given(st.lists(st.lists(st.one_of(updates, updates, broken), min_size=2), min_size=1, max_size=3))
def test_what_is_read_by_example_is_what_it_says(some: list[list[bytes]]) -> None:
    vocabulary = Vocabulary()
    rows, messages = RowDecoder(SESSION, vocabulary), Decoder(SESSION)
    for block in some:
        raw = b"".join(block)
        assert by_rows(raw, rows, vocabulary) == by_messages(raw, messages)
        for body in vocabulary.bodies:
            fresh = PathAttributes(extended_communities=body.attributes.extended_communities)
            for meaning in ("route_targets", "router_mac", "encapsulation"):
                assert getattr(body.attributes, meaning) == getattr(fresh, meaning)


@pytest.mark.parametrize("leading", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_the_shortcut_is_taken(monkeypatch: pytest.MonkeyPatch, leading: bool, plain: bool) -> None:
    """Of a hundred sets one is read; said again in another message they are the same objects."""
    read: list[bytes] = []
    good = decode_fields.FieldFinder._of_message
    monkeypatch.setattr(
        decode_fields.FieldFinder, "_of_message", lambda *a: read.append(a[1]) or good(*a)
    )
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)

    def said(numbers: list[int]) -> list[int]:
        raw = b"".join(
            update(
                [TARGET[:6] + n.to_bytes(2, "big")],
                numbers,
                leading=leading,
                path=64602,
                plain=(0xFC5A0000 + n % 3, n) if plain else (),
            )
            for n in range(100)
        )
        parts = list(decoder.block(raw))
        assert all(isinstance(part, PrefixRows) for part in parts)
        return [body for part in parts for body in part.body.tolist()]

    first, second = said([1]), said([1])
    assert len(read) < 10
    assert first == second
    assert len({id(body.attributes) for body in vocabulary.bodies}) == 100
    said([1, 2])
    assert len({id(body.attributes) for body in vocabulary.bodies}) == 100


@pytest.mark.parametrize("leading", [True, False])
def test_octets_that_stand_elsewhere_too_are_no_communities(leading: bool) -> None:
    """The AS path of the first has the octets of its community; that of the last is another."""
    said = [(1, 64602), (2, 64602), (3, 64602), (4, 65001)]
    raw = b"".join(
        update([TARGET[:7] + bytes((n,))], [1], leading=leading, path=path, plain=(64602,))
        for n, path in said
    )
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    assert by_rows(raw, decoder, vocabulary) == by_messages(raw, Decoder(SESSION))


def test_examples_are_bounded() -> None:
    """A peer may invent messages for ever."""
    examples = decode_alike.Examples()
    attributes = PathAttributes(extended_communities=(TARGET,))
    for number in range(1000):
        around = bytes(20) + number.to_bytes(2, "big") + TARGET
        examples.add(around, decode_alike.Reach(5, 10, b""), attributes)
    assert len(examples._known) <= decode_alike.EXAMPLES
