"""Which addresses the forwarder is told to answer to inside VPCs, and whose BGP it takes first."""

from __future__ import annotations

from pathlib import Path

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.fixed import gateway_addresses, interfaces, neighbors

TOPOLOGY = """
name: two
fabric: {asn: 64600}
gateways:
  bj: {region: beijing, asn: 64601, vtep: 192.0.2.11,
       uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}]}
  hk: {region: hongkong, asn: 64602, vtep: 198.51.100.21,
       uplinks: [{port: eth1, address: 198.51.100.21/24, via: 198.51.100.1}]}
vpcs:
  web: {region: beijing, vni: 10001, cidrs: [10.1.0.0/16, "fd00:1::/64"]}
  orders: {region: hongkong, vni: 10002, cidrs: [10.2.0.0/16], gateway: 10.2.0.254}
  alone: {region: beijing, vni: 10003, cidrs: [10.3.0.0/16]}
idcs:
  langfang:
    region: beijing
    cidrs: [172.16.0.0/16]
    routers:
      lf-r1: {gateway: bj, port: eth2, vlan: 101, ccn: retail, asn: 65101,
              address: 169.254.1.2/30, gateway-address: 169.254.1.1/30}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web, vpc/orders, idc/langfang]}
neighbors:
  - {name: rr, gateway: hk, address: 198.51.100.9, asn: 64600, role: host}
"""


def test_addresses_of_the_region_and_neighbors_by_interface(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(TOPOLOGY)
    topology = load_topology(file)
    bj, hk = topology.gateways["bj"], topology.gateways["hk"]
    found = [(a.vni, str(a.address)) for a in gateway_addresses(topology, bj)]
    assert found == [(10001, "10.1.0.1"), (10001, "fd00:1::1")]  # not attached: nobody routes it
    assert [str(a.address) for a in gateway_addresses(topology, hk)] == ["10.2.0.254"]
    peers = neighbors(topology, bj, interfaces(topology, bj))
    assert [(p.interface, str(p.address)) for p in peers] == [
        (0, "192.0.2.1"),  # the router to the other region
        (0, "198.51.100.21"),
        (2, "169.254.1.2"),
    ]
    peers = neighbors(topology, hk, interfaces(topology, hk))
    assert [(p.interface, str(p.address)) for p in peers] == [
        (0, "192.0.2.11"),
        (0, "198.51.100.1"),
        (0, "198.51.100.9"),
    ]
