"""``ccn explain`` at night: a VM that is not there, a peer that is gone, a forwarder that does not
answer; and what ``ccn show advertised`` says of routes that are held back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.errors import Problem, UnreachableError
from ccn_bgp.forwarder.answers import Counter
from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.gateway.views import advertised, key_json
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Nlri, Unicast
from ccn_bgp.observe.render import draw, draw_explanation

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
RD = RouteDistinguisher.parse("192.0.2.1:100")


@pytest.fixture
def running(tmp_path: Path) -> Any:
    """As much of bj-gw1 as the views ask for; no peer has a session."""
    intent = read_intent(TOPOLOGIES / "two-regions.yaml", "bj-gw1")
    rib = new_rib(intent)
    proved = Guard(intent, rib).prove()
    sessions = Sessions(intent, rib, tmp_path, lambda: None, holding_back=False)
    return SimpleNamespace(
        name="bj-gw1",
        intent=intent,
        rib=rib,
        sessions=sessions,
        proved=proved,
        lookup=lambda *_: None,
        counters=list,
    )


def test_an_address_without_a_vm_is_no_success(running: Any, capsys: Any) -> None:
    found = explain(running, "10.1.0.99", "retail")
    assert found["no-vm"] == 10001
    draw_explanation(found)
    assert "no VM of VNI 10001 has 10.1.0.99: packets are dropped and" in capsys.readouterr().out
    for has_one in ("10.1.0.10", "10.1.0.1", "10.1.0.0/16"):  # a VM, the gateway, a prefix
        assert "no-vm" not in explain(running, has_one, "retail")


def test_peers_without_a_session_are_named_where_no_route_is(running: Any, capsys: Any) -> None:
    found = explain(running, "172.16.0.10", "retail")
    assert [(s["name"], s["state"]) for s in found["silent"]] == [
        ("hk-gw1", "down"),
        ("lf-r1", "down"),
    ]
    draw_explanation(found)
    text = capsys.readouterr().out
    assert "no path has been heard" in text
    assert "! lf-r1 of idc/langfang is down for 0 s: not yet connected" in text
    # Outside the data centre's cidrs its router would not help.
    assert [s["name"] for s in explain(running, "192.168.7.1", "retail")["silent"]] == ["hk-gw1"]
    assert explain(running, "10.1.0.10", "retail")["silent"] == []


def test_a_forwarder_that_does_not_answer_hides_nothing_else(running: Any, capsys: Any) -> None:
    def silent(*_: object) -> None:
        raise UnreachableError(Problem("forwarder f.sock", "is there and does not answer"))

    running.lookup = silent
    running.counters = lambda: pytest.fail("it is not asked twice")
    found = explain(running, "10.1.0.10", "retail")
    assert found["forwarder"] == {"unreachable": "forwarder f.sock: is there and does not answer"}
    draw_explanation(found)
    assert "forwarder f.sock: is there and does not answer" in capsys.readouterr().out


def test_a_dead_uplink_is_told_where_packets_take_one(running: Any, capsys: Any) -> None:
    """The route is as it should be, and nothing arrives."""
    running.counters = lambda: [
        Counter("uplink eth1", "link-down", 1),
        Counter("uplink eth2", "router-silent", 0),
    ]
    found = explain(running, "10.1.0.10", "retail")
    assert found["uplinks"] == [{"uplink": "eth1", "says": "has no link"}]
    draw_explanation(found)
    assert "! uplink eth1 has no link" in capsys.readouterr().out
    assert explain(running, "192.168.7.1", "retail")["uplinks"] == [], "no route, no uplink"


@pytest.mark.parametrize(
    ("nlri", "said"),
    [
        (Unicast(Prefix.parse("10.2.0.0/16")), {"family": "ipv4-unicast", "prefix": "10.2.0.0/16"}),
        (Unicast(Prefix.parse("fd00::/8")), {"family": "ipv6-unicast", "prefix": "fd00::/8"}),
        (
            EvpnPrefix(RD, bytes(10), 0, Prefix.parse("fd00::/8"), None, 7),
            {"family": "evpn", "type": 5, "rd": "192.0.2.1:100", "prefix": "fd00::/8"},
        ),
        (
            EvpnMacIp(RD, bytes(10), 0, Mac.parse("02:00:00:00:00:01"), Ip.parse("10.1.0.9"), 7, 8),
            {
                "family": "evpn",
                "type": 2,
                "rd": "192.0.2.1:100",
                "mac": "02:00:00:00:00:01",
                "ip": "10.1.0.9",
            },
        ),
        (
            EvpnMacIp(RD, bytes(10), 0, Mac.parse("02:00:00:00:00:01"), None, 7, None),
            {"family": "evpn", "type": 2, "rd": "192.0.2.1:100", "mac": "02:00:00:00:00:01"},
        ),
    ],
)
def test_a_route_that_is_held_back_is_named(nlri: Nlri, said: dict[str, Any], capsys: Any) -> None:
    assert key_json(nlri.key) == said
    nothing = SimpleNamespace(by_key=lambda: [])
    denied = SimpleNamespace(by_key=lambda: [(nlri.key, "denied by policy none")])
    session = SimpleNamespace(out=SimpleNamespace(told=nothing, denied=denied))
    gateway = SimpleNamespace(name="gw", sessions=SimpleNamespace(peers={"lf-r1": session}))
    shown: Any = advertised(gateway, {})  # type: ignore[arg-type]
    assert shown["advertised"] == [{"peer": "lf-r1", **said, "reason": "denied by policy none"}]
    draw("advertised", shown)
    assert str(said.get("prefix") or said.get("ip", "")) in capsys.readouterr().out


def test_a_digest_says_yes_or_no(capsys: Any) -> None:
    draw("digest", {"gateway": "gw", "converged": False})
    assert capsys.readouterr().out.split() == ["gateway", "gw", "converged", "no"]
