"""A gateway with a tunnel address of its own and two uplinks, over IPv4 and over IPv6: flows are
spread over both, those of one that dies go by the other and come back, the kernel's routes follow,
the tunnel address is answered for on each, and who is not known is not let in."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from scapy.all import IP, UDP, VXLAN, Ether, IPv6

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role, VniKind
from ccn_bgp.lab.netns import entered

pytestmark = pytest.mark.smoke

GATEWAY = "upl-gw"
ROUTERS = {"eth1": "upl-r1", "eth2": "upl-r2"}
ROUTER_MAC = "02:cc:c0:00:02:0b"
FLOWS = 256
ALL = set(range(FLOWS))


class Underlay(NamedTuple):
    """``subnet``: of each port, to be ended by a host's number. ``silence``, ``speech``: what makes
    the second router deaf, and what mends it."""

    version: int
    subnet: dict[str, str]
    length: int
    tunnel: str
    host: str
    far: str
    router: dict[str, str]
    silence: str
    speech: str


V4 = Underlay(
    4,
    {"eth1": "192.0.2.", "eth2": "192.0.3."},
    24,
    "10.255.0.11",
    "203.0.113.101",
    "198.51.100.21",
    {"eth1": "192.0.2.1", "eth2": "192.0.3.1"},
    "ip netns exec upl-r2 sysctl -qw net.ipv4.conf.e0.arp_ignore=8",
    "ip netns exec upl-r2 sysctl -qw net.ipv4.conf.e0.arp_ignore=0",
)
V6 = Underlay(
    6,
    {"eth1": "2001:db8:2::", "eth2": "2001:db8:3::"},
    64,
    "2001:db8:ff::11",
    "2001:db8:113::101",
    "2001:db8:51::21",
    dict.fromkeys(ROUTERS, "fe80::1"),  # on each link another one
    "ip -n upl-r2 addr del fe80::1/64 dev e0",
    "ip -n upl-r2 addr add fe80::1/64 dev e0 nodad",
)


def sh(command: str, check: bool = True) -> str:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def tables(rows, u: Underlay) -> list:
    near = f"{u.subnet['eth2']}77"
    return [
        rows.ccsi(100, "retail"),
        *(
            rows.interface(
                number,
                Role.UPLINK,
                port,
                f"{subnet}11/{u.length}",
                via=u.router[port],
                mac=ROUTER_MAC,
                vtep=u.tunnel,
                tap=f"{port}.t",
            )
            for number, (port, subnet) in enumerate(u.subnet.items(), 1)
        ),
        *(rows.vtep_name(address) for address in (u.host, u.far, near) if u.version == 6),
        rows.vni(10001, 100),
        rows.vni(20100, 100, VniKind.L3),
        rows.vtep(10001, u.host),
        rows.vtep(20100, u.far),
        rows.next_hop(1, NextHopKind.REMOTE, vni=20100, ip=u.far, mac="02:cc:00:00:00:01"),
        rows.next_hop(2, NextHopKind.REMOTE, vni=20100, ip=near, mac="02:cc:00:00:00:02"),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", u.host),
        rows.route(100, "10.2.0.0/16", 1),
        rows.route(100, "10.3.0.0/16", 2),
    ]


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"])
def underlay(request) -> Underlay:
    return request.param


@pytest.fixture
def network(underlay) -> Iterator[None]:
    names = (GATEWAY, *ROUTERS.values())
    try:
        for ns in names:
            sh(f"ip netns del {ns}", check=False)
            sh(f"ip netns add {ns}")
            sh(f"ip netns exec {ns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
            sh(f"ip -n {ns} link set lo up")
        for port, ns in ROUTERS.items():
            sh(f"ip -n {GATEWAY} link add {port} type veth peer name e0 netns {ns}")
            for where, device in ((GATEWAY, port), (ns, "e0")):
                sh(f"ip netns exec {where} ethtool -K {device} tx off")
                sh(f"ip -n {where} link set {device} mtu 1600")
            if underlay.version == 6:
                sh(f"ip -n {ns} link set e0 addrgenmode none")
                sh(
                    f"ip netns exec {ns} sysctl -qw net.ipv6.conf.e0.disable_ipv6=0"
                    " net.ipv6.conf.e0.accept_dad=0 net.ipv6.conf.e0.keep_addr_on_down=1"
                )
            sh(f"ip -n {GATEWAY} link set {port} up")
            sh(f"ip -n {ns} link set e0 up")
            for address in dict.fromkeys((underlay.router[port], f"{underlay.subnet[port]}1")):
                sh(f"ip -n {ns} addr add {address}/{underlay.length} dev e0")
            # as if the tunnel address were on its link: it must be asked for
            sh(f"ip -n {ns} route add {underlay.tunnel} dev e0")
            text = sh(f"ip netns exec {GATEWAY} cat /sys/class/net/{port}/address").strip()
            sh(f"ip -n {GATEWAY} tuntap add {port}.t mode tap")
            sh(f"ip -n {GATEWAY} link set {port}.t address {text} up")
        yield
    finally:
        for ns in names:
            sh(f"ip netns del {ns}", check=False)


@contextmanager
def listening(version: int) -> Iterator[dict[str, socket.socket]]:
    found = {}
    for port, ns in ROUTERS.items():
        with entered(ns):
            found[port] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            found[port].bind(("e0", 0x0800 if version == 4 else 0x86DD))
            found[port].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            found[port].setblocking(False)
    try:
        yield found
    finally:
        for one in found.values():
            one.close()


def frame(u: Underlay, to: str, flow: int, network: int, **forged) -> bytes:
    """From the host by some router: the n-th flow to a VM behind another gateway. ``forged``: an
    outer ``source`` or a ``vni`` in the place of the right one."""
    draw = random.Random(flow)
    kind = IP if u.version == 4 else IPv6
    return bytes(
        Ether(src="02:00:00:00:00:01", dst=to)
        / kind(src=forged.get("source", u.host), dst=u.tunnel)
        / UDP(sport=50000, dport=4789, chksum=0)
        / VXLAN(vni=forged.get("vni", 10001), flags=8)
        / Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC)
        / IP(src="10.1.0.10", dst=f"10.{network}.0.{draw.randrange(1, 250)}")
        / UDP(sport=draw.randrange(1024, 65535), dport=flow)
    )


class Wire:
    """Sends all flows by one router, and says which router each comes out to."""

    def __init__(self, underlay: Underlay, listeners: dict[str, socket.socket]) -> None:
        self.underlay, self.at = underlay, listeners
        self.frames: dict[tuple[str, int], list[bytes]] = {}

    def ways(self, by: str = "eth1", network: int = 2) -> dict[str, set[int]]:
        self.take()
        if (by, network) not in self.frames:
            to = port_mac(by)
            made = [frame(self.underlay, to, n, network) for n in range(FLOWS)]
            self.frames[by, network] = made
        for octets in self.frames[by, network]:
            self.at[by].send(octets)
        found: dict[str, set[int]] = {port: set() for port in ROUTERS}
        for _ in range(20):
            time.sleep(0.01)
            for port, flows in self.take().items():
                found[port] |= flows
            if sum(map(len, found.values())) == FLOWS:
                break
        return found

    def take(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {port: set() for port in ROUTERS}
        for port, listener in self.at.items():
            while True:
                try:
                    octets, (_, _, kind, *_) = listener.recvfrom(2048)
                except OSError:  # nothing more, or the link is down
                    break
                seen = Ether(octets)
                if kind == socket.PACKET_OUTGOING or VXLAN not in seen:
                    continue
                outer = seen[IP if self.underlay.version == 4 else IPv6]
                assert outer.src == self.underlay.tunnel
                assert outer[UDP].sport >= 0xC000
                found[port].add(seen[VXLAN][UDP].dport)
        return found

    def until(self, wanted, seconds: float, **kind) -> float:
        """How long it takes until the flows go as wanted."""
        begin = time.monotonic()
        while not wanted(self.ways(**kind)):
            assert time.monotonic() - begin < seconds, self.ways(**kind)
        return time.monotonic() - begin


def port_mac(port: str) -> str:
    return sh(f"ip netns exec {GATEWAY} cat /sys/class/net/{port}/address").strip()


@pytest.fixture
def gateway(underlay, network, forwarder, rows, tmp_path):
    ports = {"eth1": "af_packet:eth1", "eth2": "af_packet:eth2"}
    path, _ = forwarder(ports, netns=GATEWAY)
    with listening(underlay.version) as listeners, ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows, underlay), b"one", full=True)
        yield client, Wire(underlay, listeners), tmp_path / "fwd.log"


def carrier(port: str) -> bool:
    return "NO-CARRIER" not in sh(f"ip -n {GATEWAY} link show dev {port}.t")


def test_flows_leave_a_silent_router_and_come_back(gateway, rows, underlay):
    client, wire, log = gateway
    both = lambda ways: all(ways.values()) and set().union(*ways.values()) == ALL  # noqa: E731
    wire.until(both, 5)
    first = wire.ways()
    assert all(0.35 < len(flows) / FLOWS < 0.65 for flows in first.values())
    assert wire.ways(by="eth2") == first  # received by the other uplink, sent by the same
    seen = rows.counters(client)
    assert seen["uplink eth1", "flows-of-512"] + seen["uplink eth2", "flows-of-512"] == 512
    assert seen["uplink eth2", "router-silent"] == 0 and seen["uplink eth2", "failures"] == 0

    sh(underlay.silence)
    took = wire.until(lambda ways: ways["eth1"] == ALL, 6)
    assert took < 5
    seen = rows.counters(client)
    assert seen["uplink eth1", "flows-of-512"] == 512
    assert seen["uplink eth2", "router-silent"] == 1 and seen["uplink eth2", "failures"] == 1
    assert "uplink eth2 leads to a router that does not answer; its flows go by" in log.read_text()
    assert carrier("eth1") and not carrier("eth2")

    sh(underlay.speech)
    wire.until(lambda ways: ways == first, 6)  # each flow where it was
    assert rows.counters(client)["uplink eth2", "router-silent"] == 0
    assert carrier("eth2")


def test_flows_leave_a_link_that_is_down(gateway, rows, underlay):
    client, wire, log = gateway
    wire.until(lambda ways: all(ways.values()), 5)
    first = wire.ways()
    begin = rows.counters(client)["drop", "no-neighbor"]
    sh("ip -n upl-r2 link set e0 down")
    assert wire.until(lambda ways: ways["eth1"] == ALL, 3) < 3
    assert first["eth1"] <= wire.ways()["eth1"]
    assert rows.counters(client)["uplink eth2", "link-down"] == 1
    assert "uplink eth2 has no link; its flows go by the others" in log.read_text()
    # a tunnel to that uplink's own subnet takes the other's router meanwhile
    assert wire.ways(network=3)["eth1"] == ALL
    assert rows.counters(client)["drop", "no-neighbor"] == begin
    sh("ip -n upl-r2 link set e0 up")
    sh(underlay.speech)  # its link-local address went with the link
    sh(f"ip -n upl-r2 addr add {underlay.subnet['eth2']}77/{underlay.length} dev e0")
    wire.until(lambda ways: ways == first, 6)
    wire.until(lambda ways: ways["eth2"] == ALL, 6, network=3)


def test_the_tunnel_address_is_answered_for_on_each(gateway, underlay):
    for ns in ROUTERS.values():
        done = sh(f"ip netns exec {ns} ping -n -c 3 -i 0.1 -W 2 {underlay.tunnel}")
        assert " 0% packet loss" in done
        neighbors = sh(f"ip -n {ns} neigh show").replace(" used", "")
        assert f"{underlay.tunnel} dev e0 lladdr" in neighbors


def test_outer_sources_that_are_forged(gateway, rows, underlay):
    """Of three who are not known on the VNI none gets in; the first is remembered."""
    client, wire, _ = gateway
    wire.until(lambda ways: all(ways.values()), 5)
    stranger = f"{underlay.subnet['eth1']}99"
    forged = [{"source": stranger}, {"source": underlay.far}, {"vni": 20100}]
    for one in forged:
        for n in range(10):
            wire.at["eth1"].send(frame(underlay, port_mac("eth1"), n, 2, **one))
    deadline = time.monotonic() + 3
    while rows.counters(client)["drop", "unknown-vtep"] < 30:
        assert time.monotonic() < deadline, rows.counters(client)
        time.sleep(0.02)
    assert not any(wire.take().values())
    first, last = (o for o in client.offenders() if o.reason == "unknown-vtep")
    assert (str(first.vtep), first.vni, first.port, first.last) == (stranger, 10001, "eth1", False)
    assert (str(last.vtep), last.vni, last.last) == (underlay.host, 20100, True)
    assert set().union(*wire.ways().values()) == ALL  # and who is known does


@pytest.mark.parametrize("underlay", [V4], ids=["ipv4"])
def test_an_unchanged_underlay_keeps_its_state_over_commits(gateway, rows, underlay):
    client, wire, _ = gateway
    sh(underlay.silence)
    wire.until(lambda ways: ways["eth1"] == ALL, 8)
    for generation in range(2, 6):
        made = tables(rows, underlay)
        client.commit(generation - 1, generation, made, b"", full=generation % 2 == 0)
        assert wire.ways()["eth1"] == ALL


@pytest.mark.parametrize("underlay", [V4], ids=["ipv4"])
def test_two_tunnel_addresses_are_refused(gateway, rows, underlay):
    client, _, _ = gateway
    more = rows.interface(
        2, Role.UPLINK, "eth2", "192.0.3.11/24", via="192.0.3.1", vtep="10.255.0.12"
    )
    with pytest.raises(Exception, match="another tunnel address"):
        client.commit(1, 2, [more], b"", full=False)
