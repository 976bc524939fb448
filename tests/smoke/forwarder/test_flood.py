"""Floods of packets to the gateway itself: commits, counters, and its own traffic go on; above all
the session of a configured neighbour."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from scapy.all import ARP, ICMP, IP, TCP, Dot1Q, Ether, Raw, wrpcap

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


RATES = {"arp": ("neighbor", 20_000), "echo": ("icmp", 10_000)}


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
    name, rate = RATES.get(kind, ("other", 10_000))  # each class by itself, at its rate
    assert 0.75 * rate < punted < 1.25 * rate
    # read one after the other while both go on
    assert abs(seen[f"punt {name}", "taken"] - seen["worker 0", "punted"]) < 100
    assert seen[f"punt {name}", "refused"] > before[f"punt {name}", "refused"]
    assert seen["drop", "punt-rate"] > before["drop", "punt-rate"]
    assert seen["port p0", "rx-packets"] - before["port p0", "rx-packets"] > 5 * punted


GATEWAY, ROUTER = "flood-gw", "flood-r"
SERVER = """
import socket
s = socket.create_server(("169.254.1.1", 179))
print("ready", flush=True)
c, _ = s.accept()
while data := c.recv(65536):
    c.sendall(data)
"""
CLIENT = """
import socket, time
worst = 0.0
s = socket.create_connection(("169.254.1.1", 179), timeout=15)
for n in range(40):
    begin = time.monotonic()
    s.sendall(bytes(4096))
    got = 0
    while got < 4096:
        got += len(s.recv(65536))
    worst = max(worst, time.monotonic() - begin)
    time.sleep(0.05)
print(worst)
"""


def sh(command):
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def hand_off():
    """A router on eth2, and the kernel's tap beside it, as `ccn run` makes it."""
    try:
        for node in (GATEWAY, ROUTER):
            sh(f"ip netns add {node}")
            sh(f"ip -n {node} link set lo up")
        sh(f"ip -n {GATEWAY} link add eth2 type veth peer name e0 netns {ROUTER}")
        for node, device in ((GATEWAY, "eth2"), (ROUTER, "e0")):
            sh(f"ip netns exec {node} ethtool -K {device} tx off")
            sh(f"ip netns exec {node} sysctl -qw net.ipv6.conf.{device}.disable_ipv6=1")
            sh(f"ip -n {node} link set {device} up")
        sh(f"ip -n {ROUTER} addr add 169.254.1.2/30 dev e0")
        mac = sh(f"ip netns exec {GATEWAY} cat /sys/class/net/eth2/address").strip()
        sh(f"ip -n {GATEWAY} tuntap add eth2.0t mode tap")
        sh(f"ip -n {GATEWAY} link set eth2.0t address {mac} up")
        sh(f"ip -n {GATEWAY} addr add 169.254.1.1/30 dev eth2.0t")
        yield
    finally:
        for node in (GATEWAY, ROUTER):
            subprocess.run(["ip", "netns", "del", node], check=False)


def through_the_tap(server, client):
    """What the client prints, a router's process, of the server in the gateway's kernel."""
    python = [sys.executable, "-c"]
    with subprocess.Popen(
        ["ip", "netns", "exec", GATEWAY, *python, server], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout.readline() == "ready\n"
            done = subprocess.run(
                ["ip", "netns", "exec", ROUTER, *python, client],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            running.kill()
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def beside(forwarder, rows, path, frames, *more):
    """A forwarder with the hand-off and an endless flood on another port."""
    wrpcap(str(path / "in.pcap"), frames)
    socket, _ = forwarder({"p0": f"pcap-loop:{path}/in.pcap", "eth2": "af_xdp:eth2"}, netns=GATEWAY)
    client = ForwarderClient.connect(socket, timeout=5)
    tables = [
        rows.ccsi(100, "retail"),
        rows.interface(2, Role.HAND_OFF, "eth2", "169.254.1.1/30", ccsi=100, tap="eth2.0t"),
        rows.peer(2, "169.254.1.2"),
        *more,
    ]
    client.commit(0, 1, tables, b"", full=True)
    return client


def of_strangers(rows):
    kinds = [flood(kind) for kind in ("syn", "echo", "arp", "session")]
    frames = [frame for four in zip(*kinds, strict=True) for frame in four]
    return frames, rows.interface(1, Role.UPLINK, "p0", f"{OURS}/24")


def of_another_ccn(rows):
    """As fast as the loop can read, by a router that is a BGP neighbour itself."""
    told = IP(src="169.254.1.2", dst="169.254.1.1") / TCP(sport=40000, dport=179, flags="A")
    flood = Ether(src=PEER, dst="02:70:63:61:70:00") / Dot1Q(vlan=101) / told
    hand_off = rows.interface(1, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=200)
    return [flood] * 64, rows.ccsi(200, "other"), hand_off, rows.peer(1, "169.254.1.2")


@pytest.mark.parametrize("who", [of_strangers, of_another_ccn])
def test_the_session_of_a_neighbour_lives_through_a_flood(hand_off, forwarder, rows, tmp_path, who):
    """ARP, echo, SYNs and segments of strangers, or segments of a neighbour in another CCN, as fast
    as the loop can read; a TCP session through the tap is made and used all the same."""
    with beside(forwarder, rows, tmp_path, *who(rows)) as client:
        assert through_the_tap(SERVER, CLIENT) < 1.5
        seen = rows.counters(client)
    assert seen["punt bgp", "taken"] > 40
    assert seen["punt peer-neighbor", "taken"] > 0 and seen["punt peer-neighbor", "refused"] == 0
    if who is of_another_ccn:
        assert seen["punt bgp", "refused"] > 10_000
        return
    assert seen["punt bgp", "refused"] == 0
    for name in ("neighbor", "icmp", "other"):
        assert seen[f"punt {name}", "refused"] > 10_000


SINK = """
import socket
s = socket.create_server(("169.254.1.1", 179))
print("ready", flush=True)
c, _ = s.accept()
while c.recv(1 << 20):
    pass
"""
SOURCE = """
import socket, time
s = socket.create_connection(("169.254.1.1", 179), timeout=60)
begin = time.monotonic()
s.sendall(bytes(40 << 20))
s.shutdown(socket.SHUT_WR)
s.recv(1)
print(time.monotonic() - begin)
"""


def test_a_full_table_passes_while_strangers_flood(hand_off, forwarder, rows, tmp_path):
    """A million routes are about 40 MB of UPDATEs: of a class that others leave alone a neighbour
    gets all, not only the tenth that it is sure of (5,000 frames a second: 5.9 s at the least)."""
    with beside(forwarder, rows, tmp_path, *of_strangers(rows)) as client:
        took = through_the_tap(SINK, SOURCE)
        seen = rows.counters(client)
    assert took < 5
    assert seen["punt bgp", "taken"] > 20_000
    assert seen["punt other", "refused"] > 10_000


@pytest.mark.parametrize(
    ("told", "name", "share"),
    [
        (IP(src="169.254.1.2", dst="169.254.1.1") / ICMP(), "icmp", 1000),
        (ARP(hwsrc=PEER, psrc="169.254.1.2", pdst="169.254.1.1"), "peer-neighbor", 200),
    ],
)
def test_one_data_centre_leaves_the_others_their_share(
    forwarder, rows, tmp_path, told, name, share
):
    """What a hostile router sends to its gateway takes a tenth of each class."""
    flood = Ether(src=PEER, dst="02:70:63:61:70:00") / Dot1Q(vlan=101) / told
    wrpcap(str(tmp_path / "in.pcap"), [flood] * 64)
    path, _ = forwarder({"p0": f"pcap-loop:{tmp_path}/in.pcap", "p1": "null"})
    with ForwarderClient.connect(path, timeout=5) as client:
        hand_off = rows.interface(1, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100)
        records = [rows.ccsi(100, "retail"), hand_off, rows.peer(1, "169.254.1.2")]
        client.commit(0, 1, records, b"", full=True)
        time.sleep(0.5)
        before, at = rows.counters(client), time.monotonic()
        time.sleep(1)
        seen, took = rows.counters(client), time.monotonic() - at
    taken = (seen[f"punt {name}", "taken"] - before[f"punt {name}", "taken"]) / took
    assert 0.7 * share < taken < 1.3 * share
    assert seen[f"punt {name}", "refused"] > before[f"punt {name}", "refused"]
