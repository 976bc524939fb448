"""Which inner sources the topology vouches for where no route leads back the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError
from ccn_bgp.gateway.fixed import LegalVteps, interfaces
from ccn_bgp.gateway.sources import sites, sources, unchecked
from ccn_bgp.model.topology import Topology

TOPOLOGY = """
name: two
fabric: {asn: 64600}
gateways:
  bj1: {region: beijing, asn: 64601, vtep: 192.0.2.11,
       uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}]}
  bj2: {region: beijing, asn: 64602, vtep: 192.0.2.12,
       uplinks: [{port: eth1, address: 192.0.2.12/24, via: 192.0.2.1}]}
  hk: {region: hongkong, asn: 64603, vtep: 198.51.100.21,
       uplinks: [{port: eth1, address: 198.51.100.21/24, via: 198.51.100.1}]}
vpcs:
  web: {region: beijing, vni: 1, cidrs: [10.1.0.0/16],
        vms: [{ip: 10.1.0.10, mac: "02:00:0a:01:00:0a", host: 192.0.2.101}],
        routes: [{prefix: 172.16.5.0/24, via: 10.1.0.10}]}
  logs: {region: hongkong, vni: 2, cidrs: [10.2.0.0/16, "fd00:2::/64"]}
  dns: {region: hongkong, vni: 3, cidrs: [10.100.0.0/24]}
idcs:
  one:
    region: beijing
    cidrs: [172.16.0.0/16]
    routers:
      r1: {gateway: bj1, port: eth2, ccn: retail, asn: 65101,
           address: 169.254.1.2/30, gateway-address: 169.254.1.1/30}
      r2: {gateway: hk, port: eth2, ccn: retail, asn: 65101,
           address: 169.254.2.2/30, gateway-address: 169.254.2.1/30}
  lone:
    region: beijing
    cidrs: [172.18.0.0/16]
    routers:
      r3: {gateway: bj1, port: eth3, ccn: retail, asn: 65102,
           address: 169.254.3.2/30, gateway-address: 169.254.3.1/30}
ccns:
  retail: {id: 100, vni: 20100, SWITCH
           attach: [vpc/web, {member: vpc/logs, propagate: false}, idc/one, idc/lone]}
  services: {id: 200, vni: 20200, attach: [vpc/dns]}
shares:
  - {from: services, to: retail, prefixes: [10.100.0.0/24]}
"""


def topology(tmp_path: Path, switch: str = "") -> Topology:
    file = tmp_path / "two.yaml"
    file.write_text(TOPOLOGY.replace("SWITCH", switch))
    return load_topology(file)


def found(of: Topology, gateway: str) -> dict[tuple[int, str], tuple[int, bool]]:
    return {
        (entry.ccsi, str(entry.prefix)): (entry.site, entry.gateways)
        for entry in sources(of, of.gateways[gateway])
    }


def test_silent_members_links_and_sites(tmp_path: Path) -> None:
    made = topology(tmp_path)
    site = sites(made)["one"]
    assert site != sites(made)["lone"]
    assert found(made, "bj1") == {
        (100, "10.2.0.0/16"): (0, True),  # announces nothing, and sends
        (100, "fd00:2::/64"): (0, True),
        (100, "169.254.2.0/30"): (0, True),
        (100, "172.16.0.0/16"): (site, False),  # it has two routers
        (100, "172.16.5.0/24"): (0, False),  # behind a VM, in the middle of it
    }


def test_consumers_of_a_one_way_share_may_send(tmp_path: Path) -> None:
    """The provider has no route back to them."""
    of_services = {k: v for k, v in found(topology(tmp_path), "hk").items() if k[0] == 200}
    assert of_services == {
        (200, prefix): (0, True)
        for prefix in (
            "10.1.0.0/16", "10.2.0.0/16", "fd00:2::/64", "172.16.0.0/16", "172.16.5.0/24",
            "172.18.0.0/16", "169.254.1.0/30", "169.254.3.0/30",
        )
    }  # fmt: skip


def test_hand_offs_have_sites_and_gateways_marks(tmp_path: Path) -> None:
    made = topology(tmp_path)
    number = sites(made)
    assert [e.site for e in interfaces(made, made.gateways["bj1"])] == [
        0, number["one"], number["lone"],
    ]  # fmt: skip
    marks = {
        (e.vni, str(e.address)): (e.region, e.hands_off)
        for e in LegalVteps(made, made.gateways["bj1"]).rows((), {})
    }
    assert marks[20100, "192.0.2.12"] == (True, False)
    assert marks[20100, "198.51.100.21"] == (False, True)


@pytest.mark.parametrize(
    ("switch", "ids"),
    [
        ("", ()),
        ("source-check: on,", ()),
        ("source-check: true,", ()),
        ("source-check: off,", (100,)),
        ("source-check: false,", (100,)),
    ],
)
def test_the_switch(tmp_path: Path, switch: str, ids: tuple[int, ...]) -> None:
    made = topology(tmp_path, switch)
    assert unchecked(made, made.gateways["bj1"]) == ids


def test_a_switch_is_on_or_off(tmp_path: Path) -> None:
    with pytest.raises(CcnError, match=r"two.yaml:\d+:\d+.*'maybe' is neither on nor off"):
        topology(tmp_path, "source-check: maybe,")
