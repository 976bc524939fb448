"""A forwarder on af_xdp between real hosts: ARP, ping, VXLAN, TCP through a tap, death, return."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role

pytestmark = pytest.mark.smoke

ROUTER_MAC = "02:cc:c0:00:02:0b"
GATEWAY, NET, ROUTER, HOST1, HOST2 = (f"fwd-{n}" for n in ("gw", "net", "r", "h1", "h2"))


def sh(command: str, check: bool = True) -> str:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def link(ns1: str, dev1: str, ns2: str, dev2: str) -> None:
    sh(f"ip -n {ns1} link add {dev1} type veth peer name {dev2} netns {ns2}")
    for ns, dev in ((ns1, dev1), (ns2, dev2)):
        sh(f"ip netns exec {ns} ethtool -K {dev} tx off")
        sh(f"ip -n {ns} link set {dev} up")


def host(ns: str, underlay: str, vni: int, address: str, mac: str, gateway: str) -> None:
    """A kernel VXLAN host; its VM lives in the same namespace."""
    sh(f"ip -n {ns} addr add {underlay}/24 dev u0")
    sh(
        f"ip -n {ns} link add vx0 address {mac} type vxlan id {vni} local {underlay}"
        " remote 192.0.2.11 dstport 4789"
    )
    sh(f"ip -n {ns} link set vx0 mtu 1500 up")
    sh(f"ip -n {ns} addr add {address}/16 dev vx0")
    sh(f"ip -n {ns} route add default via {gateway}")


def tables(rows, *, underlay: int = 1600, hand_off: int = 1600) -> list:
    return [
        rows.ccsi(100, "retail"),
        rows.interface(
            1, Role.UPLINK, "eth1", "192.0.2.11/24", tap="eth1.t", mac=ROUTER_MAC, mtu=underlay
        ),
        rows.interface(
            2,
            Role.HAND_OFF,
            "eth2",
            "169.254.1.1/30",
            tap="eth2.0t",
            ccsi=100,
            mtu=hand_off,
            address6="fd00:ff::1",
            length6=64,
        ),
        rows.vni(10001, 100),
        rows.vni(10002, 100),
        rows.vtep(10001, "192.0.2.101"),
        rows.vtep(10002, "192.0.2.102"),
        rows.gateway_address(10001, "10.1.0.1"),
        rows.gateway_address(10001, "fd00:1::1"),
        rows.gateway_address(10002, "10.2.0.1"),
        rows.peer(2, "169.254.1.2"),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(1, NextHopKind.ON_LINK, vni=10002),
        rows.next_hop(2, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.101"),
        rows.vm(10002, "10.2.0.10", "02:00:0a:02:00:0a", "192.0.2.102"),
        rows.route(100, "10.1.0.0/16", 0),
        rows.route(100, "10.2.0.0/16", 1),
        rows.route(100, "172.16.0.0/16", 2),
        rows.next_hop(3, NextHopKind.NEIGHBOR, interface=2, ip="fd00:ff::2"),
        rows.vm(10001, "fd00:1::10", "02:00:0a:01:00:0a", "192.0.2.101"),
        rows.route(100, "fd00:1::/64", 0),
        rows.route(100, "fd00:172::/64", 3),
    ]


@pytest.fixture(scope="module")
def network():
    names = (GATEWAY, NET, ROUTER, HOST1, HOST2)
    for ns in names:
        sh(f"ip netns del {ns}", check=False)
        sh(f"ip netns add {ns}")
        sh(f"ip -n {ns} link set lo up")
        sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
    try:
        sh(f"ip -n {NET} link add br0 type bridge")
        sh(f"ip -n {NET} link set br0 up")
        for ns, dev, port in ((GATEWAY, "eth1", "g"), (HOST1, "u0", "h1"), (HOST2, "u0", "h2")):
            link(ns, dev, NET, port)
            for where, name in ((ns, dev), (NET, port)):
                sh(f"ip -n {where} link set {name} mtu 1600")
            sh(f"ip -n {NET} link set {port} master br0")
        link(GATEWAY, "eth2", ROUTER, "e0")
        host(HOST1, "192.0.2.101", 10001, "10.1.0.10", "02:00:0a:01:00:0a", "10.1.0.1")
        host(HOST2, "192.0.2.102", 10002, "10.2.0.10", "02:00:0a:02:00:0a", "10.2.0.1")
        sh(f"ip -n {ROUTER} addr add 169.254.1.2/30 dev e0")
        sh(f"ip -n {ROUTER} addr add 172.16.0.1/32 dev lo")
        sh(f"ip -n {ROUTER} route add 10.0.0.0/8 via 169.254.1.1")
        for ns, dev in ((ROUTER, "e0"), (ROUTER, "lo"), (HOST1, "vx0")):
            sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.{dev}.disable_ipv6=0")
        sh(f"ip -n {ROUTER} addr add fd00:ff::2/64 dev e0 nodad")
        sh(f"ip -n {ROUTER} addr add fd00:172::1/128 dev lo nodad")
        sh(f"ip -n {ROUTER} route add fd00:1::/64 via fd00:ff::1")
        sh(f"ip -n {HOST1} addr add fd00:1::10/64 dev vx0 nodad")
        sh(f"ip -n {HOST1} route add fd00:172::/64 via fd00:1::1")
        for tap, port, address in (
            ("eth1.t", "eth1", "192.0.2.11/24"),
            ("eth2.0t", "eth2", "169.254.1.1/30"),
        ):
            mac = Path(f"/sys/class/net/{port}/address")
            text = sh(f"ip netns exec {GATEWAY} cat {mac}").strip()
            sh(f"ip -n {GATEWAY} tuntap add {tap} mode tap")
            sh(f"ip -n {GATEWAY} link set {tap} address {text} up")
            sh(f"ip -n {GATEWAY} addr add {address} dev {tap}")
        yield
    finally:
        for ns in names:
            sh(f"ip netns del {ns}", check=False)


@pytest.fixture
def gateway(network, forwarder, rows):
    path, process = forwarder({"eth1": "af_xdp:eth1", "eth2": "af_xdp:eth2"}, netns=GATEWAY)
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"one", full=True)
        yield client, process


def ping(ns: str, to: str, count: int = 3, size: int = 56, source: str = "") -> str:
    extra = f"-I {source}" if source else ""
    return sh(
        f"ip netns exec {ns} ping -n -i 0.05 -W 1 -s {size} -c {count} {extra} {to}", check=False
    )


def wait_for_ping(ns: str, to: str, seconds: float = 5) -> float:
    begin = time.monotonic()
    while " 0% packet loss" not in ping(ns, to, 1):
        assert time.monotonic() - begin < seconds, f"{ns} does not reach {to}"
    return time.monotonic() - begin


def test_vms_resolve_and_ping_their_gateway(gateway, rows):
    client, _ = gateway
    for ns, device in ((HOST1, "vx0"), (HOST2, "vx0")):
        sh(f"ip -n {ns} neigh flush dev {device}")
        sh(f"ip -n {ns} -6 neigh flush dev {device}")
    wait_for_ping(HOST1, "10.1.0.1")
    assert " 0% packet loss" in ping(HOST1, "10.1.0.1", 3, 1000)
    assert " 0% packet loss" in ping(HOST1, "fd00:1::1")
    assert " 0% packet loss" in ping(HOST1, "10.2.0.1")  # of another VPC of the CCN
    assert " 0% packet loss" in ping(ROUTER, "10.1.0.1", source="172.16.0.1")
    known = sh(f"ip -n {HOST1} neigh show dev vx0") + sh(f"ip -n {HOST1} -6 neigh show dev vx0")
    assert f"10.1.0.1 lladdr {ROUTER_MAC} " in known and f"fd00:1::1 lladdr {ROUTER_MAC} " in known
    seen = rows.counters(client)
    assert seen["slow-path", "echo-replies-sent"] >= 12
    assert 2 <= seen["slow-path", "neighbor-replies-sent"] < 20


def test_own_addresses_answer(gateway):
    assert " 0% packet loss" in ping(HOST1, "192.0.2.11")
    assert " 0% packet loss" in ping(ROUTER, "169.254.1.1")


def test_vms_and_idc_reach_each_other(gateway, rows):
    client, _ = gateway
    wait_for_ping(HOST1, "10.2.0.10")
    assert " 0% packet loss" in ping(HOST1, "10.2.0.10", 20)
    assert " 0% packet loss" in ping(HOST1, "10.2.0.10", 3, 1472)  # whole 1500 octets
    assert " 0% packet loss" in ping(HOST1, "172.16.0.1", 20)
    assert " 0% packet loss" in ping(ROUTER, "10.1.0.10", 20, source="172.16.0.1")
    seen = rows.counters(client)
    assert seen["ccsi 100", "packets"] >= 126
    assert seen["port eth2", "tx-packets"] >= 40


def test_ipv6_of_vms_and_idc(gateway):
    wait_for_ping(HOST1, "fd00:172::1")
    assert " 0% packet loss" in ping(HOST1, "fd00:172::1", 5, 1452)
    assert " 0% packet loss" in ping(ROUTER, "fd00:1::10", 5, source="fd00:172::1")
    assert " 0% packet loss" in ping(ROUTER, "fd00:ff::1")


SERVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.create_server((sys.argv[1], 179), family=family, reuse_port=True)
print("ready", flush=True)
c, peer = s.accept()
while data := c.recv(65536):
    c.sendall(data)
"""

CLIENT = """
import socket, sys, threading, time
s = socket.create_connection((sys.argv[1], 179), timeout=15)
for line in sys.stdin:
    want = bytes(int(line))
    begin = time.monotonic()
    threading.Thread(target=s.sendall, args=(want,)).start()
    got = 0
    while got < len(want):
        got += len(s.recv(65536))
    print(f"{time.monotonic() - begin:.4f}", flush=True)
"""


@contextmanager
def echo(server_ns: str, client_ns: str, address: str) -> Iterator[Callable[[int], float]]:
    """An echo server and its client over one TCP connection: octets there and back, in seconds."""
    python = [sys.executable, "-c"]
    server = subprocess.Popen(
        ["ip", "netns", "exec", server_ns, *python, SERVER, address],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout.readline() == "ready\n"
    client = subprocess.Popen(
        ["ip", "netns", "exec", client_ns, *python, CLIENT, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def exchange(size: int) -> float:
        client.stdin.write(f"{size}\n")
        client.stdin.flush()
        return float(client.stdout.readline())

    try:
        yield exchange
    finally:
        for process in (client, server):
            process.kill()
            process.wait()


@pytest.fixture
def tcp(gateway):
    """From the IDC router to the gateway's own address, as BGP runs."""
    with echo(GATEWAY, ROUTER, "169.254.1.1") as exchange:
        yield exchange


def test_tcp_between_vms_in_bulk(gateway, rows):
    client, _ = gateway
    wait_for_ping(HOST1, "10.2.0.10")
    with echo(HOST2, HOST1, "10.2.0.10") as exchange:
        assert exchange(30_000_000) < 15
    assert rows.counters(client)["drop", "oversize"] == 0


def learned_mtu(ns: str, to: str) -> str:
    words = sh(f"ip -n {ns} route get {to}").split()
    return words[words.index("mtu") + 1] if "mtu" in words else ""


@pytest.mark.parametrize("small", [{"underlay": 1450}, {"hand_off": 1400}])
def test_path_mtu_discovery(gateway, rows, small):
    """Every end believes in 1500 octets; one way takes less. TCP finds out and goes on."""
    client, _ = gateway
    client.commit(1, 2, tables(rows, **small), b"", full=True)
    wait_for_ping(HOST1, "10.2.0.10")
    wait_for_ping(HOST1, "172.16.0.1")
    ends = [(ROUTER, HOST1, "172.16.0.1", "1400"), (ROUTER, HOST1, "fd00:172::1", "1400")]
    if "underlay" in small:
        ends += [(HOST2, HOST1, "10.2.0.10", "1400")]
    try:
        for server, client_ns, address, mtu in ends:
            with echo(server, client_ns, address) as exchange:
                assert exchange(300_000) < 5
            # who sends into the narrow way has learned its MTU: a VM, or the router towards it
            back = {"172.16.0.1": "10.1.0.10", "fd00:172::1": "fd00:1::10"}.get(address)
            learned = (
                learned_mtu(server, f"{back} from {address}")
                if back and "underlay" in small
                else learned_mtu(client_ns, address)
            )
            assert learned == mtu
        assert rows.counters(client)["slow-path", "errors-sent"] >= len(ends)
        assert " 0% packet loss" in ping(HOST1, "172.16.0.1", 3, 1450)  # the kernel cuts them
    finally:
        for ns in (HOST1, HOST2, ROUTER):
            sh(f"ip -n {ns} route flush cache")
            sh(f"ip -n {ns} -6 route flush cache")


def test_what_may_be_cut_is_cut(gateway, rows):
    """A datagram of 1500 octets without DF arrives whole."""
    client, _ = gateway
    client.commit(1, 2, tables(rows, underlay=1450), b"", full=True)
    wait_for_ping(HOST1, "10.2.0.10")
    command = f"ip netns exec {HOST1} ping -n -M dont -i 0.05 -W 1 -s 1472 -c 5 10.2.0.10"
    assert " 0% packet loss" in sh(command, check=False)
    assert rows.counters(client)["slow-path", "fragments-sent"] == 20  # both ways


def test_tcp_runs_through_the_tap(tcp):
    assert tcp(1_000_000) < 5
    assert sorted(tcp(100) for _ in range(20))[10] < 0.02


def test_death_and_return(gateway, tcp, forwarder, rows):
    _, process = gateway
    wait_for_ping(HOST1, "10.2.0.10")
    assert tcp(1000) < 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    path, _ = forwarder({"eth1": "af_xdp:eth1", "eth2": "af_xdp:eth2"}, netns=GATEWAY)
    with ForwarderClient.connect(path) as client:
        assert client.hello.generation == 0
        client.commit(0, 7, tables(rows), b"seven", full=True)
        assert wait_for_ping(HOST1, "10.2.0.10") < 1.5
        assert tcp(1000) < 5  # the same connection


def test_a_tap_may_come_later(gateway, rows):
    client, _ = gateway
    record = rows.interface(1, Role.UPLINK, "eth1", "192.0.2.11/24", tap="later.t", mac=ROUTER_MAC)
    client.commit(1, 2, [record], b"two", full=False)
    assert " 0% packet loss" in ping(HOST1, "192.0.2.11")
    sh(f"ip -n {GATEWAY} tuntap add later.t mode tap")
    sh(f"ip -n {GATEWAY} link set later.t up")
    time.sleep(0.6)
    before = rows.counters(client)["slow-path", "tap-written"]
    # a datagram to a port that is not VXLAN's belongs to the kernel
    subprocess.run(["ip", "netns", "exec", HOST1, sys.executable, "-c", UDP_PROBE], check=True)
    time.sleep(0.1)
    # an answer to ARP may come between: that is the kernel's too
    assert rows.counters(client)["slow-path", "tap-written"] >= before + 1
    sh(f"ip -n {GATEWAY} link del later.t")


UDP_PROBE = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.11", 9))
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_af_packet_does_the_same(network, forwarder, rows):
    path, _ = forwarder({"eth1": "af_packet:eth1", "eth2": "auto:eth2"}, netns=GATEWAY)
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"one", full=True)
        assert [p.driver for p in client.port_status()] == ["net_af_packet", "net_af_xdp"]
        wait_for_ping(HOST1, "10.2.0.10")
        assert " 0% packet loss" in ping(HOST1, "10.2.0.10", 5, 1472)
        assert " 0% packet loss" in ping(HOST1, "172.16.0.1", 5)
        with echo(HOST2, HOST1, "10.2.0.10") as exchange:
            assert exchange(3_000_000) < 15


# A router on VLAN 101 with the very addresses of the untagged one: ARP, ping, and a datagram to
# the gateway's kernel, whose answer (port unreachable) comes back through the tagged tap.
TAGGED_ROUTER = """
from scapy.all import ARP, ICMP, IP, UDP, Dot1Q, Ether, conf, srp1
conf.verb = 0
mac = "02:00:00:00:01:65"
frame = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=101)
arp = srp1(frame / ARP(hwsrc=mac, psrc="169.254.1.2", pdst="169.254.1.1"), iface="e0", timeout=5)
assert arp[Dot1Q].vlan == 101 and arp[ARP].psrc == "169.254.1.1", arp
frame.dst = arp.src
ip = IP(src="169.254.1.2", dst="169.254.1.1")
pong = srp1(frame / ip / ICMP(id=5), iface="e0", timeout=5)
assert pong[Dot1Q].vlan == 101 and pong[ICMP].type == 0, pong
refused = srp1(frame / ip / UDP(sport=7, dport=9), iface="e0", timeout=5)
assert refused[Dot1Q].vlan == 101 and (refused[ICMP].type, refused[ICMP].code) == (3, 3), refused
print("all answered")
"""


def test_a_tagged_hand_off_beside_an_untagged_one(gateway, rows):
    client, _ = gateway
    for ns, dev in ((ROUTER, "e0"), (GATEWAY, "eth2")):
        sh(f"ip netns exec {ns} ethtool -K {dev} txvlan off rxvlan off")
    tap = "eth2.101t"
    text = sh(f"ip netns exec {GATEWAY} cat /sys/class/net/eth2/address").strip()
    sh(f"ip -n {GATEWAY} tuntap add {tap} mode tap")
    sh(f"ip -n {GATEWAY} link set {tap} address {text} up")
    sh(f"ip -n {GATEWAY} addr flush dev eth2.0t")
    sh(f"ip -n {GATEWAY} addr add 169.254.1.1/30 dev {tap}")
    sh(f"ip -n {GATEWAY} neigh add 169.254.1.2 lladdr 02:00:00:00:01:65 dev {tap}")
    try:
        second = rows.interface(
            3, Role.HAND_OFF, "eth2", "169.254.1.1/30", vlan=101, tap=tap, ccsi=200
        )
        client.commit(1, 2, [rows.ccsi(200, "finance"), second], b"two", full=False)
        time.sleep(0.3)
        done = subprocess.run(
            ["ip", "netns", "exec", ROUTER, sys.executable, "-c", TAGGED_ROUTER],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "all answered\n", done.stderr
        assert " 0% packet loss" in ping(ROUTER, "169.254.1.1")  # and untagged as before
    finally:
        sh(f"ip -n {GATEWAY} link del {tap}")
        sh(f"ip -n {GATEWAY} addr add 169.254.1.1/30 dev eth2.0t")


def test_no_packet_is_lost_to_commits(gateway, rows):
    client, _ = gateway
    wait_for_ping(HOST1, "10.2.0.10")
    traffic = subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            HOST1,
            "ping",
            "-n",
            "-q",
            "-i",
            "0.002",
            "-c",
            "1000",
            "10.2.0.10",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    generation = 1
    while traffic.poll() is None:
        generation += 1
        if generation % 3 == 0:
            client.commit(0, generation, tables(rows), b"", full=True)
        elif generation % 3 == 1:
            again = [rows.next_hop(1, NextHopKind.ON_LINK, vni=10002), *tables(rows)[-1:]]
            client.commit(generation - 1, generation, again, b"", full=False)
        else:
            moved = [
                rows.vm(10001, f"10.1.1.{generation % 250}", "02:00:00:00:00:09", "192.0.2.101")
            ]
            client.commit(generation - 1, generation, moved, b"", full=False)
    assert generation > 100
    assert "1000 received, 0% packet loss" in traffic.communicate()[0]


def test_idle_costs_little(gateway):
    _, process = gateway
    time.sleep(0.5)
    before = cpu_seconds(process.pid)
    time.sleep(3)
    assert cpu_seconds(process.pid) - before < 0.3


def test_a_link_that_flaps_and_neighbors_that_change(gateway):
    wait_for_ping(HOST1, "10.2.0.10")
    wait_for_ping(HOST1, "172.16.0.1")
    for where, device in ((GATEWAY, "eth1"), (NET, "g"), (GATEWAY, "eth2")):
        sh(f"ip -n {where} link set {device} down")
        time.sleep(0.3)
        sh(f"ip -n {where} link set {device} up")
        assert wait_for_ping(HOST1, "10.2.0.10") < 3
        assert wait_for_ping(HOST1, "172.16.0.1") < 3
    # other hardware behind the same addresses: announced, and not
    sh(f"ip -n {HOST2} link set u0 address 02:00:00:00:77:02")
    sh(f"ip netns exec {HOST2} arping -q -U -c 1 -I u0 192.0.2.102", check=False)
    sh(f"ip -n {ROUTER} link set e0 address 02:00:00:00:77:01")
    assert wait_for_ping(HOST2, "10.1.0.10") < 3
    assert wait_for_ping(HOST1, "10.2.0.10", 60) < 60
    assert wait_for_ping(HOST1, "172.16.0.1", 60) < 60


def test_a_port_whose_device_is_made_anew(network, forwarder, rows):
    """The old socket is deaf for ever: the forwarder says so and ends, to be started again."""
    sh(f"ip -n {GATEWAY} link add port9 type veth peer name far9")
    for name in ("port9", "far9"):
        sh(f"ip -n {GATEWAY} link set {name} up")
    path, process = forwarder({"eth9": "af_xdp:port9"}, netns=GATEWAY)
    with ForwarderClient.connect(path) as client:
        assert [p.up for p in client.port_status()] == [True]
        sh(f"ip -n {GATEWAY} link del port9")
        assert [p.up for p in client.port_status()] == [False]
        time.sleep(1.5)
        assert process.poll() is None  # other ports go on
        assert client.counters()
        sh(f"ip -n {GATEWAY} link add port9 type veth peer name far9")
        assert process.wait(5) == 1
    log = (path.parent / "fwd.log").read_text()
    assert "the device of port eth9 was made anew" in log.splitlines()[-1]
    sh(f"ip -n {GATEWAY} link del port9")
