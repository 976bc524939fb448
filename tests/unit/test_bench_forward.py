"""The tables and frames of the forwarding bench, and how its figures are read."""

import struct

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

from ccn_bgp.bench import forward_tables, over_ipv6, rows
from ccn_bgp.bench.forward_tables import Scale
from ccn_bgp.bench.table_lookups import figure
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.bgp import Ip


def frames_of(path):
    data = path.read_bytes()
    at = 24
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        yield Ether(data[at + 16 : at + 16 + length])
        at += 16 + length


@pytest.mark.parametrize(("family", "underlay"), [(4, 4), (6, 4), (4, 6), (6, 6)])
def test_every_flow_is_a_right_frame_to_a_vm_or_a_remote_route(tmp_path, family, underlay):
    scale = Scale(3, 4, 200, vms=2, family=family, underlay=underlay)
    forward_tables.write_traffic(tmp_path / "in.pcap", scale)
    held = {kind: array for kind, _, array in forward_tables.records(scale)}
    vms = {(int(r["vni"]), r["ip"].tobytes()) for r in held[MessageType.VM]}
    routes = {(int(r["ccsi"]), r["prefix"].tobytes()): r for r in held[MessageType.ROUTE]}
    hops = {int(r["slot"]): r for r in held[MessageType.NEXT_HOP]}
    seen = set()
    for frame in frames_of(tmp_path / "in.pcap"):
        outer, host, gateway = frame.payload, rows.HOST, rows.GATEWAY
        if underlay == 6:
            host, gateway = over_ipv6.address(host), over_ipv6.address(gateway)
            assert outer.plen == len(bytes(outer)) - 40 and outer.fl == outer.payload.sport
        assert len(frame) == (114 if underlay == 4 else 134)
        assert (outer.src, outer.dst) == (str(host), str(gateway))
        inner = frame[VXLAN][Ether]
        packet = inner[IP] if family == 4 else inner[IPv6]
        assert packet[UDP].len == len(bytes(packet[UDP]))
        if family == 4:
            chksum = packet.chksum
            del packet.chksum
            assert IP(bytes(packet)).chksum == chksum
        vni = frame[VXLAN].vni
        to = bytearray(16)
        octets = Ip.parse(packet.dst)
        to[: len(octets)] = octets
        prefix = bytearray(to)
        prefix[3 if family == 4 else 15] = 0
        route = routes[vni - rows.FIRST_VPC_VNI + rows.FIRST_CCSI, bytes(prefix)]
        remote = int(hops[int(route["next_hop"])]["vni"]) >= rows.FIRST_L3_VNI
        assert remote or (vni, bytes(to)) in vms
        seen.add((vni, remote))
    assert len(seen) == 6


def test_over_ipv6_every_vtep_has_a_name():
    scale = Scale(3, 4, 200, underlay=6)
    held = {kind: array for kind, _, array in forward_tables.records(scale)}
    names = {r["name"].tobytes(): Ip(r["address"].tobytes()) for r in held[MessageType.VTEP_NAME]}
    hops = held[MessageType.NEXT_HOP]
    assert set(map(bytes, held[MessageType.VM]["vtep"])) < set(names)
    assert set(map(bytes, held[MessageType.VTEP]["address"])) < set(names)
    assert {Ip(h["ip"].tobytes()) for h in hops if h["family"] == 6} < set(names.values())
    assert not held[MessageType.INTERFACE]["address"].any()


def test_all_routes_are_flows_once_where_there_are_as_many():
    scale = Scale(5, 20, 100)
    tenant, to = forward_tables.flows(scale)
    pairs = np.column_stack([tenant, to[:, :4]])
    assert len(np.unique(pairs, axis=0)) == 100


def test_lines_of_the_table_bench_are_figures():
    found = figure("lpm", "lpm4-one-table-avx512 28.0 TSC cycles")
    assert (found.metric, found.ours, found.unit) == ("lpm4-one-table-avx512", 28.0, "TSC cycles")
    assert not found.higher_is_better
    assert figure("vms", "vms-1m-insert 12.5 M/s").higher_is_better
