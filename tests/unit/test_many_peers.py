"""Many peers that speak at once: what they say together is what each says by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from ccn_bgp.bench import stream
from ccn_bgp.bench.stream import Origin
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.rows import PrefixRows
from ccn_bgp.session.decode import SessionParameters
from ccn_bgp.session.decode_rows import RowDecoder

PEERS, SHARE = 6, 2000
ORIGINS = [Origin(Ip.parse(f"198.51.100.{n + 1}")) for n in range(PEERS)]


class Word(NamedTuple):
    """Messages of one peer, by number."""

    peer: int
    messages: bytes


def routes(peer: int, first: int, count: int, via: str | None = None) -> Word:
    other = None if via is None else Ip.parse(via)
    return Word(peer, stream.updates(first, count, 100, ORIGINS[peer], via=other))


def gone(peer: int, first: int, count: int) -> Word:
    return Word(peer, stream.withdrawals(first, count, 100, ORIGINS[peer]))


# Each its own share, then some of the next one's; a third goes again, some lead elsewhere.
SCRIPT = [
    *(routes(n, n * SHARE, SHARE) for n in range(PEERS)),
    *(routes(n, (n + 1) % PEERS * SHARE, SHARE // 2) for n in range(PEERS)),
    *(gone(n, n * SHARE + 300, SHARE // 3 // 100 * 100) for n in range(0, PEERS, 2)),
    *(routes(n, n * SHARE, 500, "198.51.100.9") for n in range(1, PEERS, 2)),
    gone(5, 5 * SHARE, SHARE),
]


@pytest.fixture(scope="module")
def intent(tmp_path_factory: pytest.TempPathFactory) -> Intent:
    ccns = PEERS * SHARE // 100
    lines = ["name: many", f"fabric: {{asn: {stream.FABRIC_ASN}}}", "gateways:"]
    lines += ["  gw: {region: here, asn: 64601, vtep: 192.0.2.11,"]
    lines += ["       uplinks: [{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}]}", "vpcs:"]
    for n in range(ccns):
        lines += [f"  v{n}: {{region: here, vni: {200_001 + n}, cidrs: [10.1.0.0/16]}}"]
    lines += ["ccns:"]
    for n in range(ccns):
        vni = stream.FIRST_CCN_VNI + n
        lines += [f"  c{n}: {{id: {n + 1}, vni: {vni}, attach: [vpc/v{n}]}}"]
    lines += ["neighbors:"]
    for n in range(PEERS):
        lines += [
            f"  - {{name: s{n}, gateway: gw, address: 127.0.1.{n + 1}, port: 1790, asn: 64650, "
            "role: gateway}"
        ]
    file = tmp_path_factory.mktemp("many") / "many.yaml"
    file.write_text("\n".join(lines) + "\n")
    return read_intent(file, "gw")


def told(intent: Intent, words: Sequence[Word], *, pieces: int, settle_each: bool) -> Rib:
    """Every peer's words in its order, in so many pieces that take turns with the others'."""
    rib = new_rib(intent)
    waiting: dict[int, bytes] = {}
    for word in words:
        waiting[word.peer] = waiting.get(word.peer, b"") + word.messages
    for peer in waiting:
        assert rib.peers[f"s{peer}"].asn == Asn(64650)
    decoders = {
        n: RowDecoder(SessionParameters(f"s{n}", Asn(64650), Asn(64601)), rib.vocabulary)
        for n in waiting
    }
    for _ in range(pieces):
        for n, left in list(waiting.items()):
            end, wanted = 0, -(-len(left) // pieces)
            while end < min(wanted, len(left)):
                end += int.from_bytes(left[end + 16 : end + 18], "big")
            waiting[n] = left[end:]
            for part in decoders[n].block(left[:end]):
                assert isinstance(part, PrefixRows)
                rib.hear(f"s{n}", part)
            if settle_each:
                rib.settle()
    for n, left in waiting.items():
        for part in decoders[n].block(left):
            assert isinstance(part, PrefixRows)
            rib.hear(f"s{n}", part)
    rib.settle()
    return rib


def digest(intent: Intent, rib: Rib) -> tuple[int, bytes]:
    return rib.held, Guard(intent, rib).prove().snapshot.digest


def test_all_at_once_is_one_after_the_other(intent: Intent) -> None:
    one_by_one = digest(intent, told(intent, SCRIPT, pieces=1, settle_each=True))
    assert one_by_one[0] > PEERS * SHARE
    for pieces, settle_each in ((1, False), (7, False), (30, True)):
        found = digest(intent, told(intent, SCRIPT, pieces=pieces, settle_each=settle_each))
        assert found == one_by_one, (pieces, settle_each)


def test_what_is_said_among_many_is_what_is_left_of_it(intent: Intent) -> None:
    """The peers in another order, and without what they take back."""
    first = digest(intent, told(intent, SCRIPT, pieces=3, settle_each=False))
    other = digest(intent, told(intent, SCRIPT[::-1], pieces=1, settle_each=False))
    assert first != other, "what a peer says last holds"
    turned = sorted(SCRIPT, key=lambda word: -word.peer)
    assert digest(intent, told(intent, turned, pieces=1, settle_each=False)) == first
