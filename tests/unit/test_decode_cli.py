"""``ccn decode``: the JSON contract, lines that are not hexadecimal, exit codes."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.testing import CliRunner

from ccn_bgp.cli.decode import decode

app = typer.Typer()
app.command()(decode)

HEAD = "ff" * 16
TYPE5 = (
    HEAD + "006e 02 0000 0057"
    "800e2d 0019 46 04 c0000215 00"
    "0522 0001c000020b0064 00000000000000000000 00000000 10 0a010000 0a02000a 004e84"
    "400101 00 400206 0201 0000fc59"
    "c01010 0002fc5800000064 030c000000000008"
    "80040400000005"
)  # fmt: skip
TYPE2_WITHDRAWN = (
    HEAD + "0047 02 0000 0030"
    "800f2d 0019 46"
    "0228 0001c000020b0064 00000000000000000000 00000000"
    "30 02000a01000a 20 0a01000a 000000 004e84"
)  # fmt: skip


def run(text: str, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, ["--json", *arguments], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_type_5() -> None:
    code, (got,) = run(TYPE5 + "\n")
    assert code == 0
    assert got == {
        "verdict": "ok",
        "announce": [
            {
                "family": "evpn",
                "type": 5,
                "rd": "192.0.2.11:100",
                "etag": 0,
                "esi": "00:00:00:00:00:00:00:00:00:00",
                "prefix": "10.1.0.0/16",
                "gateway": "10.2.0.10",
                "vni": 20100,
                "next-hop": "192.0.2.21",
            }
        ],
        "withdraw": [],
        "attributes": {
            "origin": "igp",
            "as-path": "64601",
            "next-hop": "192.0.2.21",
            "med": 5,
            "extended-communities": ["0002fc5800000064", "030c000000000008"],
            "route-targets": ["64600:100"],
            "encapsulation": 8,
        },
        "errors": [],
    }


def test_one_line_of_output_per_line_of_input() -> None:
    lines = [TYPE5, "", "zz", TYPE2_WITHDRAWN, HEAD + "001304", HEAD.upper() + "0017020000 0000"]
    code, got = run("\n".join(lines))
    assert code == 2
    assert len(got) == len(lines)
    assert [g["errors"] for g in got[1:3]] == [
        [{"rfc": "", "text": "line 2 is empty"}],
        [{"rfc": "", "text": "line 3 is not hexadecimal"}],
    ]
    assert [g["verdict"] for g in got[1:3]] == ["session-reset", "session-reset"]
    assert got[3]["verdict"] == "ok"
    assert got[3]["withdraw"] == [
        {
            "family": "evpn",
            "type": 2,
            "rd": "192.0.2.11:100",
            "etag": 0,
            "esi": "00:00:00:00:00:00:00:00:00:00",
            "mac": "02:00:0a:01:00:0a",
            "ip": "10.1.0.10",
            "vni": 0,
            "vni2": 20100,
        }
    ]
    assert got[4] == {
        "verdict": "ok", "announce": [], "withdraw": [], "attributes": {}, "errors": [],
    }  # fmt: skip
    assert got[5]["end-of-rib"] == "ipv4-unicast"


def test_the_session_decides_the_verdict() -> None:
    def verdict(*arguments: str) -> str:
        return str(run(TYPE5, *arguments)[1][0]["verdict"])

    assert verdict() == "ok"
    assert verdict("--peer-as", "64601", "--local-as", "64602") == "ok"
    assert verdict("--peer-as", "64601") == "ok"
    assert verdict("--peer-as", "64603", "--local-as", "64602") == "treat-as-withdraw"
    assert verdict("--peer-as", "64602", "--local-as", "64602") == "ok"
    assert verdict("--two-octet-as") == "treat-as-withdraw"


def test_treat_as_withdraw_announces_nothing() -> None:
    _, (got,) = run(TYPE5, "--peer-as", "64603")
    assert (got["announce"], got["attributes"]) == ([], {})
    assert got["withdraw"][0]["prefix"] == "10.1.0.0/16"
    assert got["errors"] == [
        {
            "rfc": "RFC 4271 §6.3",
            "text": "AS_PATH: '64601' does not begin with the peer's AS 64603",
        }
    ]


def test_text() -> None:
    result = CliRunner().invoke(app, [], input=TYPE5 + "\nnot hex at all\n")
    assert result.exit_code == 2
    first, second = result.stdout.splitlines()
    assert first.startswith("ok; announce evpn type 5 rd 192.0.2.11:100 etag 0 ")
    assert "next-hop 192.0.2.21; origin igp, as-path 64601, " in first
    assert second == "session-reset; line 2 is not hexadecimal"
