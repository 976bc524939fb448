"""Uplinks of a gateway as the forwarder has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ccn_bgp.gateway.fixed import interfaces
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.model.bgp import Ip

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "two-uplinks.yaml"


def test_an_uplink_of_the_other_ip_version_is_left_out() -> None:
    """A forwarder refuses both versions at once, and with them the whole commit."""
    intent = read_intent(TOPOLOGY, "bj-gw1")
    first, second, *_ = intent.gateway.uplinks
    other = replace(second.address, address=Ip.parse("2001:db8::1"), length=64)
    gateway = replace(intent.gateway, uplinks=(first, replace(second, address=other)))
    ports = [e.port for e in interfaces(intent.topology, gateway) if e.role == 1]
    assert ports == [first.port]
