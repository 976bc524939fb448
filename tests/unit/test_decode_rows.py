"""RowDecoder beside what the property test holds: order, numbers, bounds, what was taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ccn_bgp.model.bgp import Asn, Ip, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnPrefix,
    Nlri,
    Path,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.rows import PrefixRows, Vocabulary
from ccn_bgp.session.decode import Decoder, SessionParameters, Update, Verdict
from ccn_bgp.session.decode_rows import Judged, RowDecoder
from ccn_bgp.session.encode import encode_updates

SESSION = SessionParameters("hk-gw1", 64602, 64601)
VXLAN, ROUTER_MAC = bytes.fromhex("030c000000000008"), bytes.fromhex("060302ccc6336415")
END_OF_RIB = b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000")
WRONG_TYPE = b"\xff" * 16 + bytes.fromhex("0013 09")


def attributes(med: int | None = None, target: str = "64600:100") -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.21"),
        med=med,
        extended_communities=(RouteTarget.parse(target), VXLAN, ROUTER_MAC),
    )


def route(prefix: str, ccn: int = 100) -> EvpnPrefix:
    rd = RouteDistinguisher.of_router(Ip.parse("198.51.100.21"), ccn)
    return EvpnPrefix(rd, bytes(10), 0, Prefix.parse(prefix), None, 20000 + ccn)


def announce(said: PathAttributes, *routes: Nlri) -> bytes:
    return b"".join(encode_updates([(said, routes)]))


def withdraw(*routes: Nlri) -> bytes:
    return b"".join(encode_updates([], routes))


def rows_of(decoder: RowDecoder, raw: bytes) -> PrefixRows:
    (found,) = decoder.block(raw)
    assert isinstance(found, PrefixRows)
    return found


def test_a_block_of_single_routes_is_one_piece() -> None:
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    said = [
        (attributes(target=f"64600:{i % 7}"), route(f"10.{i}.0.0/16", i % 7)) for i in range(200)
    ]
    rows = rows_of(decoder, b"".join(announce(a, r) for a, r in said))
    assert len(rows) == 200
    assert rows.announced.all()
    assert rows.announced.dtype == np.bool_
    assert rows.distinguisher.dtype == rows.body.dtype == np.uint32
    assert rows.address.dtype == rows.length.dtype == np.uint8
    assert rows.address[:, 1].tolist() == list(range(200))
    paths = [
        vocabulary.path("p", int(rows.distinguisher[i]), said[i][1].prefix, int(rows.body[i]))
        for i in range(200)
    ]
    assert [(p.attributes, p.nlri) for p in paths] == said
    assert len(vocabulary.bodies) == 7
    assert decoder.updates == 200


def test_what_is_said_last_stands_last() -> None:
    ten = route("10.0.0.0/8")
    blocks = [announce(attributes(1), ten), withdraw(ten), announce(attributes(2), ten)]
    vocabulary = Vocabulary()
    rows = rows_of(RowDecoder(SESSION, vocabulary), b"".join(blocks * 20))
    assert rows.announced.tolist() == [True, False, True] * 20
    meds = [vocabulary.bodies[b].attributes.med for b in rows.body[rows.announced].tolist()]
    assert meds == [1, 2] * 20


def test_what_is_rare_stands_in_its_place() -> None:
    decoder = RowDecoder(SESSION, Vocabulary())
    one, two = (announce(attributes(), route(p)) for p in ("10.0.0.0/8", "11.0.0.0/8"))
    six = announce(attributes(), route("2001:db8::/32"))
    first, judged, *rest = decoder.block(one + END_OF_RIB + two + six)
    assert isinstance(first, PrefixRows)
    assert isinstance(judged, Judged)
    assert judged.raw == END_OF_RIB
    assert first.address.tolist() == [[10, 0, 0, 0]]
    assert sorted(r.width for r in rest if isinstance(r, PrefixRows)) == [4, 16]


def test_nothing_is_taken_behind_a_reset() -> None:
    decoder = RowDecoder(SESSION, Vocabulary())
    good = announce(attributes(), route("10.0.0.0/8"))
    _, judged = decoder.block(good + WRONG_TYPE + good)
    assert isinstance(judged, Judged)
    assert isinstance(judged.decoded, Update)
    assert judged.decoded.verdict is Verdict.SESSION_RESET
    assert (decoder.updates, decoder.taken) == (1, len(good + WRONG_TYPE))


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_message_that_is_cut_off_ends_the_session(cut: int) -> None:
    decoder = RowDecoder(SESSION, Vocabulary())
    good = announce(attributes(), route("10.0.0.0/8"))
    rows, judged = decoder.block(good + good[:-cut])
    assert isinstance(rows, PrefixRows)
    assert isinstance(judged, Judged)
    assert isinstance(judged.decoded, Update)
    assert judged.decoded.verdict is Verdict.SESSION_RESET
    assert decoder.taken == 2 * len(good) - cut


def test_numbers_are_asked_for_again_when_the_vocabulary_has_changed() -> None:
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    first = announce(attributes(1), route("10.0.0.0/8")) * 20
    other = announce(attributes(2), route("11.0.0.0/8")) * 20
    assert rows_of(decoder, first + other).body.tolist() == [0] * 20 + [1] * 20
    vocabulary.keep_bodies(np.array([1], np.int64))
    rows = rows_of(decoder, other + first)
    meds = [vocabulary.bodies[b].attributes.med for b in rows.body.tolist()]
    assert meds == [2] * 20 + [1] * 20
    assert len(vocabulary.bodies) == 2


def test_unicast_numbers_too() -> None:
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    raw = announce(attributes(), Unicast(Prefix.parse("10.0.0.0/8")))
    assert rows_of(decoder, raw).body.tolist() == [0]
    vocabulary.keep_bodies(np.zeros(0, np.int64))
    rows = rows_of(decoder, raw)
    assert vocabulary.bodies[int(rows.body[0])].attributes == attributes()


def test_caches_are_bounded_and_nothing_shows_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccn_bgp.session.decode_cache.CACHED_OCTETS", 50_000)
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    meds = list(range(300)) * 2
    for block in range(0, 600, 30):
        some = meds[block : block + 30]
        raw = b"".join(announce(attributes(med), route("10.0.0.0/8")) for med in some)
        rows = rows_of(decoder, raw)
        assert [vocabulary.bodies[b].attributes.med for b in rows.body.tolist()] == some
    assert decoder.decoder.cache.generation > 10
    assert len(decoder.decoder.cache) < 100


def test_what_a_session_repeats_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of one length in more layouts than are kept: what gives way is not counted on."""
    monkeypatch.setattr("ccn_bgp.session.decode_cache.CACHED_OCTETS", 50_000)
    vocabulary = Vocabulary()
    decoder = RowDecoder(SESSION, vocabulary)
    said = []
    for hops in range(1, 7):
        path = (Segment(SegmentType.AS_SEQUENCE, (Asn(64602),) * hops),)
        routes = [Unicast(Prefix.parse(f"10.{hops}.{n}.0/24")) for n in range(7 - hops)]
        said.append(announce(replace(attributes(), as_path=path), *routes))
    assert len({len(message) for message in said}) == 1
    for _ in range(100):
        rows_of(decoder, b"".join(said))
    assert decoder.decoder.cache.generation == 0
    assert len(vocabulary.bodies) == 6


def test_many_contexts_at_once_mean_what_each_means_alone() -> None:
    """Every kind of type 5 that is one context, in one block and message by message."""
    mac, bare = attributes(), replace(attributes(), extended_communities=(VXLAN,))
    rd = RouteDistinguisher.of_router(Ip.parse("198.51.100.21"), 1)
    said: list[tuple[PathAttributes, EvpnPrefix]] = []
    for number in range(5):
        for prefix, via in (("10.1.0.0/16", "10.9.0.1"), ("fd00::/32", "fd00::1")):
            for vni in (0, 100 + number, 70000 + number, 0xFFFFF0 + number):
                for esi in (bytes(10), bytes(9) + b"\1", b"\1" + bytes(9)):
                    for gateway in (None, Ip.parse(via)):
                        for tag in (0, number << 20):
                            route = EvpnPrefix(rd, esi, tag, Prefix.parse(prefix), gateway, vni)
                            said += [(mac, route), (bare, route)]
    messages = [announce(attributes, route) for attributes, route in said]

    def told(decoder: RowDecoder, words: Vocabulary, raw: bytes) -> list[object]:
        found: list[object] = []
        for part in decoder.block(raw):
            if isinstance(part, Judged):
                found.append(part.raw)
                continue
            octets = np.concatenate((part.address, part.length[:, None]), axis=1)
            for row, octets_of in enumerate(octets):
                number, body = int(part.distinguisher[row]), int(part.body[row])
                found.append(words.path("", number, Prefix(octets_of.tobytes()), body))
        return found

    words = Vocabulary()
    together = told(RowDecoder(SESSION, words), words, b"".join(messages))
    alone: list[object] = []
    for message in messages:
        words = Vocabulary()
        alone += told(RowDecoder(SESSION, words), words, message)
    assert len(alone) == len(said)
    assert sorted(map(repr, together)) == sorted(map(repr, alone))
    assert {type(one) for one in alone} == {bytes, Path}


def test_a_cut_off_attribute_is_seen_whatever_was_said_before() -> None:
    """NLRI without attributes, then MP_REACH_NLRI that ends behind them all: RFC 7606 §3 j."""

    def update(attributes: str, nlri: str) -> bytes:
        body = "0000" + f"{len(attributes) // 2:04x}" + attributes + nlri
        return b"\xff" * 16 + (19 + len(body) // 2).to_bytes(2, "big") + b"\2" + bytes.fromhex(body)

    bare = update("", "080a")
    cut_off = update("900e010500194604c000030b00", "080a")
    decoder = RowDecoder(SESSION, Vocabulary())
    first = [part for part in decoder.block(bare) if isinstance(part, Judged)]
    assert [part.decoded.verdict for part in first] == [Verdict.TREAT_AS_WITHDRAW]  # type: ignore[union-attr]
    (part,) = decoder.block(cut_off)
    assert isinstance(part, Judged)
    (alone,) = Decoder(SESSION).message(cut_off)
    assert part.decoded == alone
    assert isinstance(alone, Update)
    assert "MP_REACH_NLRI ends behind" in alone.errors[0].text
