"""What FRR 8.4.4 and gobgpd 3.10.0 really send, as decoded JSON.

FRR's messages are its re-announcement to an external peer of routes that our encoder had sent to
it, and of their withdrawal; GoBGP's are routes added by its own CLI. Recorded on a live session.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.cli.decode import to_json
from ccn_bgp.session.decode import Decoder, SessionParameters

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("decode-peers.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_decoded(number: int) -> None:
    row = ROWS[number]
    session = SessionParameters(row["from"], row["peer-as"], row["local-as"])
    assert to_json(Decoder(session).message(bytes.fromhex(row["hex"]))) == row["decoded"]


def test_frr_gave_back_what_it_was_sent() -> None:
    entries = [row["decoded"] for row in ROWS if row["from"] == "frr-8.4.4"]
    keys = ("family", "type", "rd", "etag", "prefix", "mac", "ip", "gateway")
    announced = {tuple(str(e.get(k)) for k in keys) for d in entries for e in d["announce"]}
    withdrawn = {tuple(str(e.get(k)) for k in keys[:-1]) for d in entries for e in d["withdraw"]}
    assert len(announced) == 11
    assert {entry[:-1] for entry in announced} == withdrawn
    assert {e["vni"] for d in entries for e in d["withdraw"] if e.get("type") == 5} == {0}
