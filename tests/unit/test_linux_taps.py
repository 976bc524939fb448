"""Which taps, addresses and routes a gateway wants; nothing is created."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.linux.taps import port_names, wanted_taps
from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.topology import Neighbor, Topology

DEMO = Path(__file__).parents[2] / "topologies" / "two-regions.yaml"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load_topology(DEMO)


def reflector(address: str) -> Neighbor:
    return Neighbor("rr1", "bj-gw1", Ip.parse(address), Asn(64601), "reflector")


def test_one_tap_per_uplink_and_hand_off(topology: Topology) -> None:
    taps = wanted_taps(topology, topology.gateways["bj-gw1"])
    assert [(t.name, t.port, str(t.address), t.mtu) for t in taps] == [
        ("eth1.t", "eth1", "192.0.2.11/24", 1600),
        ("eth2.101t", "eth2", "169.254.1.1/30", 1500),
        ("eth3.0t", "eth3", "169.254.1.1/30", 1500),
    ]
    assert port_names(topology, topology.gateways["bj-gw1"]) == ("eth1", "eth2", "eth3")


def test_other_regions_are_reached_over_the_uplink(topology: Topology) -> None:
    uplink, *hand_offs = wanted_taps(topology, topology.gateways["bj-gw1"])
    assert [str(p) for p in uplink.routes] == ["198.51.100.0/24"]
    assert str(uplink.via) == "192.0.2.1"
    assert all(not tap.routes for tap in hand_offs)


@pytest.mark.parametrize(
    ("address", "extra"),
    [
        ("203.0.113.9", ["203.0.113.9/32"]),
        ("192.0.2.99", []),
        ("198.51.100.99", []),
        ("127.0.0.5", []),
    ],
)
def test_a_peer_that_is_not_on_link_gets_a_route(
    topology: Topology, address: str, extra: list[str]
) -> None:
    changed = dataclasses.replace(topology, neighbors=(reflector(address),))
    uplink = wanted_taps(changed, changed.gateways["bj-gw1"])[0]
    assert [str(p) for p in uplink.routes] == ["198.51.100.0/24", *extra]


def test_without_a_router_there_are_no_routes(topology: Topology) -> None:
    gateway = topology.gateways["bj-gw1"]
    alone = dataclasses.replace(
        gateway, uplinks=(dataclasses.replace(gateway.uplinks[0], via=None),)
    )
    changed = dataclasses.replace(topology, gateways={**topology.gateways, "bj-gw1": alone})
    assert wanted_taps(changed, alone)[0].routes == ()
