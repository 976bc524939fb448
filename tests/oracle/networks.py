"""What small test topologies have in common: one gateway in the north, which is looked at, and two
in the south that speak to it. A test puts its own VPCs, CCNs and the rest behind it.
"""

FABRIC = """
fabric: {asn: 64600, mtu: 1500, underlay-mtu: 1600}
gateways:
  a: {region: north, asn: 64601, vtep: 192.0.2.11,
      uplinks: [{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}]}
  b: {region: south, asn: 64602, vtep: 192.0.3.11,
      uplinks: [{port: p0, address: 192.0.3.11/24, via: 192.0.3.1}]}
  c: {region: south, asn: 64602, vtep: 192.0.3.12,
      uplinks: [{port: p0, address: 192.0.3.12/24, via: 192.0.3.1}]}
"""
