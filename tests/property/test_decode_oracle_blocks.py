"""The decoder of blocks against the plain one: what a peer has said after a block of messages.

RowDecoder reads messages that resemble each other together, as columns; the plain decoder reads one
after the other. Both must leave the same table, and end at the same message.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle.messages import LOCAL, sessions, updates
from oracle.plain_decoder import decode, key_of
from oracle.plain_values import RESET, Session

from ccn_bgp.cli.decode import attributes_json, next_hop_json, nlri_json
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Nlri, PathAttributes
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session import decode_fields
from ccn_bgp.session.decode import RouteRefresh, SessionParameters, Verdict
from ccn_bgp.session.decode_rows import Judged, RowDecoder

EXAMPLES = int(os.environ.get("CCN_ORACLE_EXAMPLES", "300"))
Table = dict[str, dict[str, Any]]
"""Key of a route → the route and its attributes."""


def entry(route: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    said = {k: v for k, v in attributes.items() if k != "next-hop"}
    if "route-targets" in said:
        said["route-targets"] = sorted(set(said["route-targets"]))
    return {"route": route, "attributes": said}


def plain_table(block: list[bytes], session: Session) -> tuple[Table, int]:
    """The table, and how many octets were taken: nothing counts behind a session reset."""
    table: Table = {}
    taken = 0
    for raw in block:
        said = decode(raw, session)
        taken += len(raw)
        for route in said["withdraw"]:
            table.pop(json.dumps(key_of(route)), None)
        for route in said["announce"]:
            table[json.dumps(key_of(route))] = entry(route, said["attributes"])
        if said["verdict"] == RESET:
            break
    return table, taken


class Heard:
    """The table as ccn_bgp keeps it, told as the plain decoder tells it."""

    def __init__(self) -> None:
        self.table: Table = {}

    def withdraw(self, nlri: Nlri) -> None:
        self.table.pop(json.dumps(key_of(nlri_json(nlri))), None)

    def announce(self, nlri: Nlri, attributes: PathAttributes | None) -> None:
        assert attributes is not None
        route = nlri_json(nlri)
        told = entry(route | next_hop_json(attributes), attributes_json(attributes))
        self.table[json.dumps(key_of(route))] = told


def row_table(block: list[bytes], session: Session) -> tuple[Table, int]:
    words = Vocabulary()
    parameters = SessionParameters(
        "peer",
        session.peer_as,
        session.local_as,
        asn4=session.four_octet_as,
        enforce_first_as=session.check_first_as,
        label_is_mpls=session.mpls,
    )
    decoder, heard = RowDecoder(parameters, words), Heard()
    for part in decoder.block(b"".join(block)):
        if isinstance(part, Judged):
            if isinstance(part.decoded, RouteRefresh):
                continue
            for nlri in part.decoded.withdrawn:
                heard.withdraw(nlri)
            for nlri in part.decoded.announced:
                heard.announce(nlri, part.decoded.attributes)
            if part.decoded.verdict is Verdict.SESSION_RESET:
                break
            continue
        for row, nlri in enumerate(part.nlris(words)):
            if not part.announced[row]:
                heard.withdraw(nlri)
                continue
            prefix = Prefix(part.address[row].tobytes() + bytes((int(part.length[row]),)))
            path = words.path("peer", int(part.distinguisher[row]), prefix, int(part.body[row]))
            heard.announce(path.nlri, path.attributes)
    return heard.table, decoder.taken


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two messages of one length go the way of thousands."""
    monkeypatch.setattr(decode_fields, "_FEW", 2)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Session, list[bytes]]:
    """Few different messages, again and again in any order."""
    session = draw(sessions)
    some = draw(st.lists(updates(session), min_size=1, max_size=5))
    return session, draw(st.lists(st.sampled_from(some), min_size=1, max_size=12))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(blocks())
def test_a_block_leaves_the_table_that_its_messages_leave(
    case: tuple[Session, list[bytes]],
) -> None:
    session, block = case
    assert session.local_as == LOCAL
    assert row_table(block, session) == plain_table(block, session)
