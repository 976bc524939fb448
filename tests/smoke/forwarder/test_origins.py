"""Workers remember where packets come from, and forget it with each change that bears on it.

One VM sends for ever, IPv4 or IPv6. Whatever is committed, from then on all its packets go the new
way, or none.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from scapy.all import IP, UDP, VXLAN, Ether, IPv6, Raw, wrpcap

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import CcsiFlag, Flag, NextHopKind, Role

pytestmark = pytest.mark.smoke

GATEWAY, ROUTER_MAC = "192.0.2.11", "02:cc:c0:00:02:0b"
HOST, OTHER = "192.0.2.101", "192.0.2.102"
VPC = 10001
SENDER_MAC, TARGET_MAC = "02:00:0a:01:00:0a", "02:00:0a:01:00:63"


class Family(NamedTuple):
    """What the VM sends in, and what leads there."""

    header: type
    sender: str
    target: str
    prefix: str
    longer: str


IPV4 = Family(IP, "10.1.0.10", "10.1.0.99", "10.1.0.0/16", "10.1.0.0/24")
IPV6 = Family(IPv6, "fd00:1::10", "fd00:1::99", "fd00:1::/48", "fd00:1::/64")


def tables(rows, family):
    return [
        rows.ccsi(100, "retail"),
        rows.ccsi(200, "finance"),
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", mac=ROUTER_MAC),
        rows.vni(VPC, 100),
        rows.vtep(VPC, HOST),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=VPC),
        rows.next_hop(1, NextHopKind.ON_LINK, vni=VPC),
        rows.vm(VPC, family.sender, SENDER_MAC, HOST),
        rows.vm(VPC, family.target, TARGET_MAC, OTHER),
        rows.route(100, family.prefix, 0),
        rows.route(200, family.prefix, 1),
    ]


def removed(row):
    return row[0], Flag.DELETE, row[2]


@pytest.fixture(params=[IPV4, IPV6], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


@pytest.fixture
def sending(forwarder, rows, tmp_path, family):
    """A client of a forwarder that receives the VM's packets over and over."""
    frame = (
        Ether(src="02:00:c0:00:02:65", dst=ROUTER_MAC)
        / IP(src=HOST, dst=GATEWAY)
        / UDP(sport=50000, dport=4789)
        / VXLAN(vni=VPC, flags=8)
        / Ether(src=SENDER_MAC, dst=ROUTER_MAC)
        / family.header(src=family.sender, dst=family.target)
        / UDP(sport=1000, dport=2000)
        / Raw(b"ccn-probe")
    )
    wrpcap(str(tmp_path / "in.pcap"), [frame] * 64)
    path, _ = forwarder({"p0": f"pcap-loop:{tmp_path}/in.pcap"}, "--static-neighbors")
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows, family), b"digest", full=True)
        yield client


def what_happens(rows, client):
    """Names of the counters that a thousand packets move: drop reasons, "ccsi N"."""
    before = rows.counters(client)
    deadline = time.monotonic() + 5
    while True:
        after = rows.counters(client)
        if after["worker 0", "packets"] - before["worker 0", "packets"] > 1000:
            break
        assert time.monotonic() < deadline
    return {
        name if scope == "drop" else scope
        for (scope, name), value in after.items()
        if scope == "drop" or (scope.startswith("ccsi") and name == "packets")
        if value != before.get((scope, name), 0)
    }


def test_nothing_outlives_a_commit(sending, rows, family):
    generation = 1
    sender = family.sender, SENDER_MAC

    def commit(*records):
        nonlocal generation
        sending.commit(generation, generation + 1, list(records), b"digest", full=False)
        generation += 1
        return what_happens(rows, sending)

    assert what_happens(rows, sending) == {"ccsi 100"}
    assert commit(rows.vm(VPC, *sender, OTHER)) == {"source-other-host"}
    assert commit(rows.vm(VPC, *sender, HOST)) == {"ccsi 100"}
    assert commit(removed(rows.vm(VPC, *sender, HOST))) == {"source-no-vm"}
    assert commit(rows.ccsi(100, "retail", CcsiFlag.SOURCE_OPEN)) == {"ccsi 100"}
    assert commit(rows.ccsi(100, "retail")) == {"source-no-vm"}
    assert commit(rows.vm(VPC, *sender, HOST)) == {"ccsi 100"}
    assert commit(rows.vni(VPC, 200)) == {"ccsi 200"}
    assert commit(removed(rows.vtep(VPC, HOST))) == {"unknown-vtep"}
    assert commit(rows.vtep(VPC, HOST)) == {"ccsi 200"}
    assert commit(removed(rows.vni(VPC, 200))) == {"unknown-vni"}
    assert commit(rows.vni(VPC, 100)) == {"ccsi 100"}
    assert commit(rows.route(100, family.longer, 0)) == {"ccsi 100"}


def test_another_set_of_tables_has_nothing_of_the_one_before(sending, rows, family):
    """A FULL transaction: the same VNI is another CCN's."""
    assert what_happens(rows, sending) == {"ccsi 100"}
    other = [row for row in tables(rows, family) if row[0] != rows.vni(VPC, 100)[0]]
    sending.commit(1, 2, [*other, rows.vni(VPC, 200)], b"digest", full=True)
    assert what_happens(rows, sending) == {"ccsi 200"}
