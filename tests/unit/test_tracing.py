"""Where a probe comes in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.tracing import trace
from ccn_bgp.model.bgp import Ip

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "two-uplinks.yaml"
ASKED = {"from": "web:10.1.0.10", "to": "10.2.0.10", "dry-run": True}


def gateway(*others: int) -> Any:
    """One whose uplinks of these indexes are of the other IP version than its VTEP."""
    intent = read_intent(TOPOLOGY, "bj-gw1")
    uplinks = list(intent.gateway.uplinks)
    for index in others:
        address = replace(uplinks[index].address, address=Ip.parse("2001:db8::1"), length=64)
        uplinks[index] = replace(uplinks[index], address=address)
    vm = SimpleNamespace(ip=Ip.parse("10.1.0.10"), mac=bytes(6), vtep=Ip.parse("203.0.113.9"))
    asked: list[str] = []

    def through(port: str, frame: bytes, *, dry_run: bool) -> tuple[list[Any], list[Any]]:
        asked.append(port)
        return [], []

    table = type("Vms", (), {"find": lambda s, vni, ip: 0, "__getitem__": lambda s, row: vm})()
    return SimpleNamespace(
        name="bj-gw1",
        intent=replace(intent, gateway=replace(intent.gateway, uplinks=tuple(uplinks))),
        held=SimpleNamespace(vm_table=table),
        rib=SimpleNamespace(tables={}),
        trace=through,
        asked=asked,
    )


def test_a_probe_comes_by_an_uplink_that_is_in_use() -> None:
    """The forwarder does not know the one that is of the other IP version."""
    ports = [u.port for u in gateway().intent.gateway.uplinks]
    for left_out, expected in ((0, ports[1]), (1, ports[0])):
        one = gateway(left_out)
        trace(one, ASKED)
        assert one.asked == [expected]


def test_a_gateway_without_a_fitting_uplink_says_so() -> None:
    with pytest.raises(InputError, match="no uplink of IPv4"):
        trace(gateway(0, 1), ASKED)
