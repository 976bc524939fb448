"""Groups under packets: flows spread over gateways by weight, each stays where it is, and when a
member goes only its own flows move."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from scapy.all import IP, TCP, UDP, VXLAN, Dot1Q, Ether, IPv6, rdpcap, wrpcap

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role, VniKind

pytestmark = pytest.mark.smoke

ROUTER_MAC = "02:cc:c0:00:02:0b"
FAR = {n: f"198.51.100.{20 + n}" for n in (1, 2, 3)}
FLOWS = 1000


def tables(rows, *members):
    """Slots 1 to 3 are gateways, 4 a VM, 5 a router of a data centre; 9 is the group."""
    return [
        rows.ccsi(100, "retail"),
        rows.interface(1, Role.UPLINK, "p0", "192.0.2.11/24", via="192.0.2.1", mac=ROUTER_MAC),
        rows.interface(2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100),
        rows.vni(10001, 100),
        rows.vni(20100, 100, VniKind.L3),
        rows.vtep(10001, "192.0.2.101"),
        *(
            rows.next_hop(n, NextHopKind.REMOTE, vni=20100, ip=far, mac=f"02:cc:00:00:00:0{n}")
            for n, far in FAR.items()
        ),
        rows.next_hop(4, NextHopKind.VIP, vni=10001, ip="10.1.0.20"),
        rows.next_hop(5, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.group(9, *members),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.101"),
        rows.vm(10001, "fd00:1::10", "02:00:0a:01:00:0a", "192.0.2.101"),
        rows.vm(10001, "10.1.0.20", "02:00:0a:01:00:14", "192.0.2.102"),
        rows.route(100, "10.2.0.0/16", 9),
        rows.route(100, "fd00:2::/64", 9),
    ]


def flows():
    """As many of IPv4 as of IPv6, by addresses and ports; each has two packets."""
    for n in range(FLOWS):
        for payload in (b"first", b"second, longer"):
            inner = (
                IP(src="10.1.0.10", dst=f"10.2.{n % 7}.{n % 250}")
                if n % 2
                else IPv6(src="fd00:1::10", dst=f"fd00:2::{n % 250:x}")
            )
            yield (
                Ether(src="02:00:c0:00:02:65", dst=ROUTER_MAC)
                / IP(src="192.0.2.101", dst="192.0.2.11")
                / UDP(sport=50000, dport=4789)
                / VXLAN(vni=10001, flags=8)
                / Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC)
                / inner
                / (TCP if n % 3 else UDP)(sport=1000 + n, dport=443)
                / payload
            )


def taken(frame):
    """(flow, where it was sent)."""
    if Dot1Q in frame:
        inner, way = frame[Dot1Q].payload, "router"
    else:
        inner, way = frame[VXLAN].payload.payload, frame[IP].dst
        if way in FAR.values():
            assert frame[VXLAN].vni == 20100
            wanted = next(n for n, far in FAR.items() if far == way)
            assert frame[VXLAN].payload.dst == f"02:cc:00:00:00:0{wanted}"
    return inner.payload.sport - 1000, way


@pytest.fixture
def spread(forwarder, rows, tmp_path):
    """Where each flow goes over a group of these (weight, slot)."""

    def run(*members):
        name = f"fwd{len(list(tmp_path.glob('*.pcap')))}"
        source, sink = tmp_path / f"{name}-in.pcap", tmp_path / f"{name}-out.pcap"
        wrpcap(str(source), list(flows()))
        path, process = forwarder(
            {"p0": f"pcap:{source},{sink}"}, "--static-neighbors", "--once", name=name
        )
        with ForwarderClient.connect(path) as client:
            client.commit(0, 1, tables(rows, *members), b"", full=True)
            deadline = time.monotonic() + 10
            while not (seen := rows.counters(client))["port p0", "rx-finished"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert seen["port p0", "tx-packets"] == 2 * FLOWS
        process.terminate()
        process.wait(5)
        ways = {}
        for frame in rdpcap(str(sink)):
            flow, way = taken(frame)
            assert ways.setdefault(flow, way) == way, "a flow that was parted"
        assert len(ways) == FLOWS
        return ways

    return run


def test_equal_members_share_alike(spread):
    shares = Counter(spread((1, 1), (1, 2)).values())
    assert set(shares) == {FAR[1], FAR[2]}
    assert all(FLOWS / 2 * 0.8 < n < FLOWS / 2 * 1.2 for n in shares.values())


def test_weights_count_and_only_the_flows_of_what_goes_move(spread):
    before = spread((1, 1), (3, 2), (4, 3))
    shares = Counter(before.values())
    for n, weight in ((1, 1), (2, 3), (3, 4)):
        assert FLOWS / 8 * weight * 0.8 < shares[FAR[n]] < FLOWS / 8 * weight * 1.2
    after = spread((1, 1), (3, 2))
    assert {f: way for f, way in after.items() if before[f] != FAR[3]} == {
        f: way for f, way in before.items() if way != FAR[3]
    }
    shares = Counter(after.values())
    assert FLOWS / 4 * 0.8 < shares[FAR[1]] < FLOWS / 4 * 1.2


def test_a_group_of_a_vm_a_router_and_a_gateway(spread):
    shares = Counter(spread((1, 1), (1, 4), (1, 5)).values())
    assert set(shares) == {FAR[1], "192.0.2.102", "router"}
    assert all(FLOWS / 3 * 0.75 < n < FLOWS / 3 * 1.25 for n in shares.values())
