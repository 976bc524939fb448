"""What holds for all input: nothing raises, what is encoded is decoded, packing changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccn_bgp.cli.decode import to_json, to_text
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnOther,
    EvpnPrefix,
    Nlri,
    Origin,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
    UnknownAttribute,
)
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Update, Verdict
from ccn_bgp.session.encode import encode_updates

CAPTURED = [
    bytes.fromhex(json.loads(line)["hex"])
    for line in (Path(__file__).parents[1] / "golden" / "decode-tcpdump.jsonl")
    .read_text()
    .splitlines()
]

INTERNAL = SessionParameters("peer", 64600, 64600)

asns = st.integers(1, 2**32 - 1).map(Asn)
asns16 = asns | st.integers(1, 65535).map(Asn)
hosts4 = st.integers(0x01000000, 0x7EFFFFFF).map(lambda n: Ip(n.to_bytes(4, "big")))
hosts6 = st.integers(2**125, 2**126).map(lambda n: Ip(n.to_bytes(16, "big")))
addresses4 = st.binary(min_size=4, max_size=4).map(Ip)
gateways4, gateways6 = addresses4.filter(any), st.binary(min_size=16, max_size=16).filter(any)
words = st.integers(0, 2**32 - 1)


@st.composite
def prefixes(draw: st.DrawFn, width: int) -> Prefix:
    return Prefix.of(
        draw(st.binary(min_size=width, max_size=width)), draw(st.integers(0, width * 8))
    )


esis = st.just(bytes(10)) | st.binary(min_size=10, max_size=10)
distinguishers = st.binary(min_size=8, max_size=8).map(RouteDistinguisher)
vnis = st.integers(1, 2**24 - 1)
type5_v4 = st.builds(
    EvpnPrefix, distinguishers, st.just(bytes(10)), words, prefixes(4), st.none() | gateways4, vnis
)
type5_v6 = st.builds(
    EvpnPrefix,
    distinguishers,
    st.just(bytes(10)),
    words,
    prefixes(16),
    st.none() | gateways6.map(Ip),
    vnis,
)
type5_esi = st.builds(EvpnPrefix, distinguishers, esis, words, prefixes(4), st.none(), vnis)
type2 = st.builds(
    EvpnMacIp,
    distinguishers,
    esis,
    words,
    st.binary(min_size=6, max_size=6).map(Mac),
    st.none() | addresses4 | st.binary(min_size=16, max_size=16).map(Ip),
    vnis,
    st.none() | vnis,
)
type3 = st.builds(
    lambda rd, ip: EvpnOther(3, rd + bytes(4) + bytes((len(ip) * 8,)) + ip), distinguishers, hosts4
)
routes4 = prefixes(4).map(Unicast)
routes6 = prefixes(16).map(Unicast)
evpn = type5_v4 | type5_v6 | type5_esi | type2 | type3

segments = st.builds(
    Segment,
    st.sampled_from((SegmentType.AS_SEQUENCE, SegmentType.AS_SET)),
    st.lists(asns16, min_size=1, max_size=5).map(tuple),
)
extended = st.binary(min_size=8, max_size=8).filter(lambda c: c[:2] != b"\x06\x03")
unknown = st.builds(UnknownAttribute, st.just(0xE0), st.integers(40, 127), st.binary(max_size=300))


@st.composite
def attribute_sets(draw: st.DrawFn, next_hops: st.SearchStrategy[Ip]) -> PathAttributes:
    many = st.lists(unknown, max_size=3, unique_by=lambda u: u.code)
    return PathAttributes(
        origin=draw(st.sampled_from(Origin)),
        as_path=draw(st.lists(segments, max_size=4).map(tuple)),
        next_hop=draw(next_hops),
        med=draw(st.none() | words),
        local_pref=draw(st.none() | words),
        atomic_aggregate=draw(st.booleans()),
        aggregator=draw(st.none() | st.tuples(asns16, addresses4)),
        communities=draw(st.lists(words, max_size=70).map(tuple)),
        large_communities=draw(
            st.lists(st.tuples(words, words, words), max_size=3, unique=True).map(tuple)
        ),
        extended_communities=draw(st.lists(extended, max_size=4).map(tuple)),
        originator_id=draw(st.none() | addresses4),
        cluster_list=draw(st.lists(addresses4, max_size=3).map(tuple)),
        only_to_customer=draw(st.none() | words.map(Asn)),
        unknown=tuple(sorted(draw(many), key=lambda u: u.code)),
    )


def merged(path: tuple[Segment, ...]) -> list[tuple[bool, tuple[Asn, ...]]]:
    """The path without the borders between its sequences, which AS4_PATH does not keep."""
    found: list[tuple[bool, tuple[Asn, ...]]] = []
    for kind, members in path:
        sequence = kind is SegmentType.AS_SEQUENCE
        if sequence and found and found[-1][0]:
            found[-1] = (True, found[-1][1] + members)
        else:
            found.append((sequence, members))
    return found


def decode_all(raw: bytes, session: SessionParameters = INTERNAL) -> list[Update]:
    found = list(Decoder(session).block(raw))
    assert all(isinstance(u, Update) and u.verdict is Verdict.OK for u in found), found
    return [u for u in found if isinstance(u, Update)]


@given(
    st.sampled_from(((routes4, hosts4), (routes6, hosts6), (evpn, hosts4 | hosts6))).flatmap(
        lambda both: st.tuples(
            attribute_sets(both[1]),
            st.lists(both[0], min_size=1, max_size=20),
            st.lists(both[0], max_size=20),
        )
    )
)
def test_round_trip(case: tuple[PathAttributes, list[Nlri], list[Nlri]]) -> None:
    attributes, announce, withdraw = case
    raw = b"".join(encode_updates([(attributes, announce)], withdraw))
    updates = decode_all(raw)
    assert [n for u in updates for n in u.announced] == announce
    assert [n for u in updates for n in u.withdrawn] == withdraw
    assert {u.attributes for u in updates if u.announced} == {attributes}
    assert b"".join(encode_updates([(attributes, announce)], withdraw)) == raw


@given(attribute_sets(hosts4), st.lists(routes4, min_size=1, max_size=5))
def test_round_trip_with_2_octet_as(attributes: PathAttributes, announce: list[Nlri]) -> None:
    session = SessionParameters("peer", 64600, 64600, asn4=False)
    raw = b"".join(encode_updates([(attributes, announce)], asn4=False))
    for update in decode_all(raw, session):
        got = update.attributes
        assert got is not None
        assert merged(got.as_path) == merged(attributes.as_path)
        assert got.aggregator == attributes.aggregator
        assert got.communities == attributes.communities


@given(attribute_sets(hosts4), st.lists(evpn, min_size=1, max_size=150, unique=True))
def test_one_route_per_update_says_the_same(
    attributes: PathAttributes, announce: list[Nlri]
) -> None:
    packed = decode_all(b"".join(encode_updates([(attributes, announce)])))
    single = decode_all(
        b"".join(m for nlri in announce for m in encode_updates([(attributes, [nlri])]))
    )
    assert len(single) == len(announce)
    said = [
        [(n, u.attributes) for u in updates for n in u.announced] for updates in (packed, single)
    ]
    assert said[0] == said[1]


few = st.integers(0, 3).map(lambda n: RouteDistinguisher(bytes(7) + bytes((n,))))
good_or_bad = st.builds(
    EvpnPrefix,
    few,
    st.sampled_from((bytes(10), b"\1" * 10)),
    st.just(0),
    st.just(Prefix.parse("10.0.0.0/8")),
    st.sampled_from((None, Ip.parse("10.0.0.1"))),
    st.integers(0, 2),
)


@given(attribute_sets(hosts4), st.lists(good_or_bad, min_size=1, max_size=30))
def test_bad_routes_do_to_the_table_what_they_would_do_alone(
    attributes: PathAttributes, announce: list[Nlri]
) -> None:
    packed = encode_updates([(attributes, announce)])
    single = [m for nlri in announce for m in encode_updates([(attributes, [nlri])])]
    tables = []
    for messages in (packed, single):
        table: dict[bytes, Nlri] = {}
        for update in Decoder(INTERNAL).block(b"".join(messages)):
            assert isinstance(update, Update)
            for nlri in update.withdrawn:
                table.pop(nlri.key, None)
            table |= {nlri.key: nlri for nlri in update.announced}
        tables.append(table)
    assert tables[0] == tables[1]
    assert not any(
        isinstance(n, EvpnPrefix) and n.gateway and any(n.esi) for n in tables[0].values()
    )


def hold_what_always_holds(raw: bytes) -> None:
    """Nothing raises, and a verdict agrees with what stands beside it."""
    for asn4 in (True, False):
        for peer_asn in (64600, 64601):
            session = SessionParameters("peer", peer_asn, 64600, asn4=asn4)
            decoded = Decoder(session).message(raw)
            for item in decoded:
                if isinstance(item, RouteRefresh):
                    continue
                assert bool(item.errors) == (item.verdict is not Verdict.OK)
                assert (item.notification is None) == (item.verdict is not Verdict.SESSION_RESET)
                if item.verdict is Verdict.SESSION_RESET:
                    assert (item.announced, item.withdrawn) == ((), ())
                assert not item.announced or item.attributes is not None
                if item.announced and item.attributes is not None:
                    assert item.attributes.next_hop is not None
            json.dumps(to_json(decoded))
            assert "\n" not in to_text(decoded)
            assert (
                tuple(Decoder(session).block(raw)) == decoded
                or len(raw) < 19
                or (int.from_bytes(raw[16:18], "big") != len(raw))
            )


@given(st.binary(max_size=200))
@example(b"")
def test_any_octets(raw: bytes) -> None:
    hold_what_always_holds(raw)
    list(Decoder(INTERNAL).block(raw))


@given(st.integers(1, 6), st.binary(max_size=200))
def test_any_body(kind: int, body: bytes) -> None:
    head = b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + bytes((kind,))
    hold_what_always_holds(head + body)


@settings(max_examples=300)
@given(
    st.sampled_from(CAPTURED),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
def test_mutated_captures(raw: bytes, changes: list[tuple[float, int]]) -> None:
    """Real messages with some octets behind the header changed, so that the fields are reached."""
    changed = bytearray(raw)
    for where, octet in changes:
        changed[19 + int(where * (len(raw) - 19)) if len(raw) > 19 else 18] = octet
    changed[16:18] = len(changed).to_bytes(2, "big")
    hold_what_always_holds(bytes(changed))


@settings(max_examples=300)
@given(
    attribute_sets(hosts4),
    st.lists(evpn, min_size=1, max_size=4),
    st.data(),
)
def test_mutated_evpn_updates(
    attributes: PathAttributes, announce: list[Nlri], data: st.DataObject
) -> None:
    for raw in encode_updates([(attributes, announce)], announce):
        changed = bytearray(raw)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(19, len(raw) - 1))] = data.draw(st.integers(0, 255))
        hold_what_always_holds(bytes(changed))


@given(attribute_sets(hosts4), st.lists(evpn, min_size=2, max_size=6), st.binary(max_size=60))
def test_a_decoder_is_not_changed_by_what_it_has_read(
    attributes: PathAttributes, announce: list[Nlri], noise: bytes
) -> None:
    """Caches must not show: a used decoder says what a new one says."""
    messages = [m for nlri in announce for m in encode_updates([(attributes, [nlri])], [nlri])]
    longer = [m[:21] + m[21:] for m in messages] + [
        m[:16] + (len(m) + len(noise)).to_bytes(2, "big") + m[18:] + noise for m in messages
    ]
    used = Decoder(INTERNAL)
    for raw in longer + longer[::-1]:
        assert used.message(raw) == Decoder(INTERNAL).message(raw)
