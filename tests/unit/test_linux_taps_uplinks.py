"""What the kernel is to have over several uplinks; nothing is created."""

from __future__ import annotations

from pathlib import Path

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.fixed import interfaces
from ccn_bgp.linux.taps import wanted_taps

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "two-uplinks.yaml"


def test_the_kernel_goes_by_the_first_uplink_that_is_alive() -> None:
    topology = load_topology(TOPOLOGY)
    one, two = wanted_taps(topology, topology.gateways["bj-gw1"])[:2]
    far = {"198.51.100.0/24", "10.255.0.21/32"}
    assert {str(p) for p in one.routes} == {"192.0.3.0/24", *far}
    assert {str(p) for p in two.routes} == {"192.0.2.0/24", *far}
    assert (one.metric, two.metric) == (1, 2)
    assert [str(a) for a in one.extra] == ["10.255.0.11/32"] and two.extra == ()
    assert str(one.source) == str(two.source) == "10.255.0.11"


def test_a_single_uplink_is_as_it_was() -> None:
    topology = load_topology(TOPOLOGY.with_name("two-regions.yaml"))
    uplink = wanted_taps(topology, topology.gateways["bj-gw1"])[0]
    assert (uplink.metric, uplink.extra, uplink.source) == (0, (), None)


def test_every_uplink_has_the_tunnel_address() -> None:
    topology = load_topology(TOPOLOGY)
    rows = interfaces(topology, topology.gateways["bj-gw1"])
    assert [str(e.vtep) for e in rows if e.role == 1] == ["10.255.0.11"] * 2
    plain = load_topology(TOPOLOGY.with_name("two-regions.yaml"))
    rows = interfaces(plain, plain.gateways["bj-gw1"])
    assert [str(e.vtep) for e in rows if e.role == 1] == ["0.0.0.0"]
