"""Floods of packets to the gateway itself: commits, counters, and its own traffic go on."""

from __future__ import annotations

import time

import pytest
from scapy.all import ARP, ICMP, IP, TCP, Ether, Raw, wrpcap

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import Role

pytestmark = pytest.mark.smoke

OURS, PEER = "192.0.2.11", "02:00:c0:00:02:65"


def flood(kind):
    def frame(n):
        to = IP(src=f"192.0.2.{n % 200 + 20}", dst=OURS)
        return {
            "syn": to / TCP(sport=1024 + n, dport=179, flags="S"),
            "echo": to / ICMP(id=n) / Raw(b"x" * 1400),
            "arp": ARP(hwsrc=PEER, psrc=f"192.0.2.{n % 200 + 20}", pdst=OURS),
            "session": to / TCP(sport=1024 + n, dport=179, flags="A"),
        }[kind]

    return [Ether(src=PEER, dst="02:70:63:61:70:00") / frame(n) for n in range(256)]


@pytest.mark.parametrize("kind", ["syn", "echo", "arp", "session"])
def test_commits_go_on_under_an_endless_flood(forwarder, rows, tmp_path, kind):
    """As fast as the loop can read: the slow path never finds its queues empty."""
    wrpcap(str(tmp_path / "in.pcap"), flood(kind))
    path, _ = forwarder({"p0": f"pcap-loop:{tmp_path}/in.pcap", "p1": "null"})
    with ForwarderClient.connect(path, timeout=5) as client:
        client.commit(0, 1, [rows.interface(1, Role.UPLINK, "p0", f"{OURS}/24")], b"", full=True)
        time.sleep(0.5)
        begin = time.monotonic()
        for generation in range(1, 40):
            more = [rows.ccsi(generation, "x"), rows.vni(generation, generation)]
            client.commit(generation, generation + 1, more, b"", full=False)
        assert time.monotonic() - begin < 5
        before, at = rows.counters(client), time.monotonic()
        time.sleep(1)
        seen, took = rows.counters(client), time.monotonic() - at
    punted = (seen["worker 0", "punted"] - before["worker 0", "punted"]) / took
    if kind != "session":  # each class by itself, at its rate
        rate = 20_000 if kind == "arp" else 10_000
        assert 0.75 * rate < punted < 1.25 * rate
        assert seen["drop", "punt-rate"] > before["drop", "punt-rate"]
        assert seen["port p0", "rx-packets"] - before["port p0", "rx-packets"] > 5 * punted
