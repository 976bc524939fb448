"""The decoder against tests/oracle, a literal reading of the RFCs that shares no code with it.

Messages are built here from octets: good attributes and routes, bad ones of every kind, and both
with some octets changed; and those of real captures. decode-real.jsonl holds further messages of
the-tcpdump-group/tcpdump (BSD-3-Clause) and some that RIPE RIS rrc15 received on 27 February 2010.
CCN_ORACLE_EXAMPLES sets how many are built (300).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.messages import LOCAL, few, framed, messages, octets, sessions
from oracle.plain_decoder import decode, key_of
from oracle.plain_values import Session

from ccn_bgp.cli.decode import to_json
from ccn_bgp.session.decode import Decoder, SessionParameters

GOLDEN = Path(__file__).parents[1] / "golden"
EXAMPLES = int(os.environ.get("CCN_ORACLE_EXAMPLES", "300"))


def ours(raw: bytes, session: Session) -> dict[str, Any]:
    parameters = SessionParameters(
        "peer",
        session.peer_as,
        session.local_as,
        asn4=session.four_octet_as,
        enforce_first_as=session.check_first_as,
        label_is_mpls=session.mpls,
    )
    return to_json(Decoder(parameters).message(raw))


def compared(said: dict[str, Any]) -> dict[str, Any]:
    """What must be equal. A withdrawal is its key; withdrawals and route targets are sets."""
    attributes = dict(said["attributes"])
    if "route-targets" in attributes:
        attributes["route-targets"] = sorted(set(attributes["route-targets"]))
    return {
        "verdict": said["verdict"],
        "announce": said["announce"],
        "withdraw": sorted({json.dumps(key_of(r)) for r in said["withdraw"]}),
        "attributes": attributes,
    }


def agree(raw: bytes, session: Session) -> None:
    assert compared(ours(raw, session)) == compared(decode(raw, session)), raw.hex()


@settings(max_examples=EXAMPLES, deadline=None)
@given(messages)
def test_built_messages(case: tuple[Session, bytes]) -> None:
    session, raw = case
    agree(raw, session)


@settings(max_examples=EXAMPLES, deadline=None)
@given(messages, st.data())
def test_changed_messages(case: tuple[Session, bytes], data: st.DataObject) -> None:
    """Some octets changed, taken out or put in; the header's length is made right again."""
    session, raw = case
    changed = bytearray(raw[19:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        end = at + data.draw(few((0, 1, 1, 1, 1, 1, 2)))
        changed[at:end] = data.draw(octets(min_size=end - at if end - at == 1 else 0, max_size=2))
    agree(framed(changed), session)


@given(octets(max_size=40), sessions)
def test_any_octets(body: bytes, session: Session) -> None:
    agree(framed(body), session)


@given(octets(max_size=60))
def test_any_header(raw: bytes) -> None:
    if raw[18:19] in (b"", b"\2"):
        agree(raw, Session(64601, LOCAL))


def captured() -> Iterator[tuple[str, bytes]]:
    for name in ("decode-tcpdump.jsonl", "decode-peers.jsonl", "decode-real.jsonl"):
        for number, line in enumerate((GOLDEN / name).read_text().splitlines()):
            raw = bytes.fromhex(json.loads(line)["hex"])
            if raw[18:19] == b"\2":
                yield f"{name}:{number}", raw


CAPTURED = dict(captured())


@pytest.mark.parametrize("asn4", [True, False])
@pytest.mark.parametrize("peer_as", [LOCAL, 64600, 1])
def test_captured_messages(peer_as: int, asn4: bool) -> None:
    for raw in CAPTURED.values():
        for mpls in (False, True):
            for check in (False, True):
                agree(raw, Session(peer_as, LOCAL, asn4, check, mpls))


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(few(sorted(CAPTURED)), sessions, st.data())
def test_changed_captures(name: str, session: Session, data: st.DataObject) -> None:
    changed = bytearray(CAPTURED[name][19:])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        changed[at : at + 1] = data.draw(octets(min_size=1, max_size=1))
    agree(framed(changed), session)
