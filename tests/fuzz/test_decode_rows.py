"""Nasty UPDATEs through the decoder of rows: it says what the decoder of messages says.

Blocks of one session after another, so that what is remembered of one cannot colour the next; sizes
from which columns are made, and how much is remembered, are drawn too.
"""

from __future__ import annotations

import os
import random
import time

import pytest
from oracle.heard_blocks import by_messages, by_rows
from oracle.nasty_updates import Updates

from ccn_bgp.model.bgp import Asn, Family
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session import decode_cache, decode_columns, decode_fields
from ccn_bgp.session.decode import Decoder, SessionParameters
from ccn_bgp.session.decode_rows import RowDecoder

MADE = ("route_targets", "router_mac", "encapsulation", "mobility", "link_bandwidth")


def session(chance: random.Random) -> SessionParameters:
    families = frozenset(Family) if chance.random() < 0.85 else frozenset(list(Family)[:2])
    return SessionParameters(
        peer="peer",
        peer_asn=Asn(64602),
        local_asn=Asn(chance.choice([64601, 64601, 64602])),
        families=families,
        label_is_mpls=chance.random() < 0.2,
        enforce_first_as=chance.random() < 0.7,
        asn4=chance.random() < 0.93,
    )


def one_session(seed: int, patch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    patch.setattr(decode_fields, "_FEW", chance.choice([2, 2, 12]))
    patch.setattr(decode_columns, "_MANY", chance.choice([1, 2, 8]))
    patch.setattr(decode_cache, "CACHED_OCTETS", chance.choice([32 << 20, 30_000, 200_000]))
    parameters, vocabulary, updates = session(chance), Vocabulary(), Updates(chance)
    in_rows, in_messages = RowDecoder(parameters, vocabulary), Decoder(parameters)
    shapes = [updates.shape() for _ in range(chance.randint(1, 3))]
    for _ in range(chance.randint(1, 4)):
        count = chance.randint(2, 40)
        raw = b"".join(updates.message(chance.choice(shapes)) for _ in range(count))
        heard = by_messages(raw, in_messages)
        assert heard == by_messages(raw, Decoder(parameters)), f"seed {seed}: {raw.hex()}"
        assert heard == by_rows(raw, in_rows, vocabulary), f"seed {seed}: {raw.hex()}"
    for body in vocabulary.bodies:
        held = body.attributes
        anew = PathAttributes(extended_communities=held.extended_communities)
        assert [getattr(held, name) for name in MADE] == [getattr(anew, name) for name in MADE]


def noise(seconds: float, first: int, patch: pytest.MonkeyPatch) -> int:
    end, seed = time.monotonic() + seconds, first
    while time.monotonic() < end:
        one_session(seed, patch)
        seed += 1
    return seed - first


def test_some_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(150):
        one_session(seed, monkeypatch)


@pytest.mark.long
def test_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = float(os.environ.get("CCN_FUZZ_SECONDS", "120"))
    assert noise(seconds, 1_000_000, monkeypatch) > 5 * seconds
