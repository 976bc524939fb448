"""A VM behind several hosts: its flows are spread over them, each stays where it is, and when one
of the hosts goes only its own flows move; what a name stands for is kept in order."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from scapy.all import IP, UDP, VXLAN, Ether, IPv6, rdpcap, wrpcap

from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.wire import CcsiFlag, Flag, MessageType, NextHopKind, Role

pytestmark = pytest.mark.smoke

ROUTER_MAC = "02:cc:c0:00:02:0b"
VM_MAC = "02:00:0a:01:00:14"
HOSTS = ("192.0.2.102", "192.0.2.103", "192.0.2.104")
ALL, LESS = b"set1", b"set2"
FLOWS = 600


def tables(rows, name, *hosts):
    """A VM with an IPv4 and an IPv6 address that is behind the hosts of one set."""
    return [
        rows.ccsi(100, "retail", CcsiFlag.SOURCE_OPEN),
        rows.interface(1, Role.UPLINK, "p0", "192.0.2.11/24", mac=ROUTER_MAC),
        rows.vni(10001, 100),
        rows.vtep(10001, "192.0.2.101"),
        rows.vtep_set(name, *hosts),
        rows.vm(10001, "10.1.0.20", VM_MAC, name),
        rows.vm(10001, "fd00:1::20", VM_MAC, name),
        rows.next_hop(1, NextHopKind.ON_LINK, vni=10001),
        rows.route(100, "10.1.0.0/16", 1),
        rows.route(100, "fd00:1::/64", 1),
    ]


def flows():
    """As many of IPv4 as of IPv6; each has two packets."""
    for n in range(FLOWS):
        inner = (
            IP(src=f"10.1.1.{n % 250}", dst="10.1.0.20")
            if n % 2
            else IPv6(src=f"fd00:1::1:{n % 250:x}", dst="fd00:1::20")
        )
        yield from 2 * [
            Ether(src="02:00:c0:00:02:65", dst=ROUTER_MAC)
            / IP(src="192.0.2.101", dst="192.0.2.11")
            / UDP(sport=50000, dport=4789)
            / VXLAN(vni=10001, flags=8)
            / Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC)
            / inner
            / UDP(sport=1000 + n, dport=443)
            / b"data"
        ]


@pytest.fixture
def spread(forwarder, rows, tmp_path):
    """Which host each flow goes to, of a set of these."""

    def run(name, *hosts):
        process_name = name.decode()
        source, sink = tmp_path / f"{process_name}-in.pcap", tmp_path / f"{process_name}-out.pcap"
        wrpcap(str(source), list(flows()))
        path, process = forwarder(
            {"p0": f"pcap:{source},{sink}"}, "--static-neighbors", "--once", name=process_name
        )
        with ForwarderClient.connect(path) as client:
            client.commit(0, 1, tables(rows, name, *hosts), b"", full=True)
            deadline = time.monotonic() + 10
            while not (seen := rows.counters(client))["port p0", "rx-finished"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert seen["port p0", "tx-packets"] == 2 * FLOWS
        process.terminate()
        process.wait(5)
        ways = {}
        for frame in rdpcap(str(sink)):
            assert frame[VXLAN].vni == 10001 and frame[VXLAN].payload.dst == VM_MAC
            flow = frame[VXLAN].payload.payload.payload.sport
            assert ways.setdefault(flow, frame[IP].dst) == frame[IP].dst, "a flow was parted"
        assert len(ways) == FLOWS
        return ways

    return run


def test_only_the_flows_of_the_host_that_goes_move(spread):
    before = spread(ALL, *HOSTS)
    shares = Counter(before.values())
    assert set(shares) == set(HOSTS)
    assert all(FLOWS / 3 * 0.75 < n < FLOWS / 3 * 1.25 for n in shares.values())
    after = spread(LESS, *reversed(HOSTS[:2]))
    assert {f: way for f, way in after.items() if before[f] != HOSTS[2]} == {
        f: way for f, way in before.items() if way != HOSTS[2]
    }
    assert set(after.values()) == set(HOSTS[:2])


def test_a_name_stands_for_its_members_as_long_as_a_vm_names_it(forwarder, rows):
    path, _ = forwarder({"p0": "null"}, "--static-neighbors")
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows, ALL, *HOSTS), b"", full=True)
        found = client.lookup(100, bytes((10, 1, 0, 20)))
        assert found["vm"]["shared"] == 1 and found["vtep_set"]["count"] == 3
        refused = [
            ([rows.vtep_set(ALL, *HOSTS[:2])], "its name stands for others"),
            ([rows.vtep_set(LESS, HOSTS[0])], "2 to 16 VTEPs"),
            ([rows.vtep_set(LESS, HOSTS[0], HOSTS[0])], "the same VTEP twice"),
            ([rows.vm(10001, "10.1.0.21", VM_MAC, LESS)], "no such set"),
            ([gone(rows.vtep_set(ALL))], "2 VMs name it"),
            ([gone(rows.vtep_set(LESS))], "does not exist"),
            (
                [gone(rows.vtep_set(ALL)), rows.vm(10001, "10.1.0.20", VM_MAC, HOSTS[0])],
                "1 VMs name it",
            ),
        ]
        before = client.dump()
        for records, text in refused:
            with pytest.raises(Nak, match=text):
                client.commit(1, 2, records, b"", full=False)
            assert same(client.dump(), before)
        moved = [
            rows.vtep_set(LESS, *HOSTS[:2]),
            rows.vm(10001, "10.1.0.20", VM_MAC, LESS),
            rows.vm(10001, "fd00:1::20", VM_MAC, LESS),
        ]
        client.commit(1, 2, [*moved, gone(rows.vtep_set(ALL))], b"", full=False)
        held = client.dump()
        assert [r["name"].tobytes() for r in held[MessageType.VTEP_SET]] == [LESS]
        assert [r["vtep"].tobytes() for r in held[MessageType.VM]] == [LESS, LESS]


def gone(added):
    kind, _, array = added
    return (kind, Flag.DELETE, array)


def same(one, other):
    return all(one[kind].tobytes() == other[kind].tobytes() for kind in one)
