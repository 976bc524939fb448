"""Messages from captures, judged; and what an independent reading of the captures saw in them.

decode-tcpdump.jsonl is a selection of the BGP messages in tests/bgp*.pcap of
the-tcpdump-group/tcpdump (BSD-3-Clause), many of them found by fuzzing. ``seen`` was read from the
captures by another program; ``verdict`` and ``rfcs`` are ours, reviewed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.cli.decode import to_json
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Update, Verdict

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("decode-tcpdump.jsonl").read_text().splitlines()
]


def decoder(row: dict[str, Any]) -> Decoder:
    return Decoder(SessionParameters(row["name"], 0, 1, asn4=row["asn4"], enforce_first_as=False))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_verdict(row: dict[str, Any]) -> None:
    got = to_json(decoder(row).message(bytes.fromhex(row["hex"])))
    assert (got["verdict"], [e["rfc"] for e in got["errors"]]) == (row["verdict"], row["rfcs"])


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["seen"] is not None], ids=lambda row: row["name"]
)
def test_content(row: dict[str, Any]) -> None:
    seen = row["seen"]
    decoded = decoder(row).message(bytes.fromhex(row["hex"]))
    if seen["msg"] in ("open", "keepalive", "notification"):
        assert decoded == ()
        return
    (got,) = decoded
    if seen["msg"] == "refresh":
        assert isinstance(got, RouteRefresh)
        return
    assert isinstance(got, Update)
    if seen.get("eor") == "ipv4-unicast":
        assert got.end_of_rib is not None
        assert got.end_of_rib.text == "ipv4-unicast"
    if got.verdict not in (Verdict.OK, Verdict.ATTRIBUTE_DISCARD):
        assert got.announced == ()
        return
    if "withdrawn_v4" in seen:
        assert [str(n.prefix) for n in got.withdrawn] == seen["withdrawn_v4"]
    if "nlri_v4" in seen:
        assert [str(n.prefix) for n in got.announced] == seen["nlri_v4"]
        assert got.attributes is not None
        compare(got.attributes, seen)


def compare(attributes: PathAttributes, seen: dict[str, Any]) -> None:
    assert attributes.origin == seen["origin"]
    assert str(attributes.next_hop) == seen["next_hop"]
    assert attributes.med == seen.get("med")
    targets = {f"rt:{target}" for target in attributes.route_targets}
    assert targets == {c for c in seen.get("ext_communities", []) if c.startswith("rt:")}


def test_the_selection_holds_all_verdicts() -> None:
    assert {row["verdict"] for row in ROWS} == {verdict.value for verdict in Verdict}
    assert sum("nlri_v4" in (row["seen"] or {}) for row in ROWS) > 20
