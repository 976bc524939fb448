"""The kernel has one table for all taps, and two IDC routers may have the very same addresses.

What it answers without a socket (fragments, closed ports) must not leave by the other's hand-off.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, Raw, fragment

from ccn_bgp.config.load import load_topology
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import Role
from ccn_bgp.lab import netns
from ccn_bgp.linux.taps import prepare_taps, remove_taps

pytestmark = pytest.mark.smoke

TOPOLOGY = load_topology(Path(__file__).parents[3] / "topologies" / "two-regions.yaml")
GATEWAY = TOPOLOGY.gateways["bj-gw1"]
NAME = f"fwd-taps-{os.getpid()}"
STAMP = b"of-the-untagged-one-" * 4
ROUTER_MAC = "02:00:00:00:00:77"


def ip(*words: str) -> str:
    return subprocess.run(
        ["ip", "-n", NAME, *words], capture_output=True, text=True, check=True
    ).stdout


def wire(port: str) -> socket.socket:
    """The far end of a port: frames in and out."""
    with netns.entered(NAME):
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    found.bind((port, 0))
    found.setblocking(False)
    return found


def received(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(65536))
        except BlockingIOError:
            return found


@pytest.fixture
def gateway(forwarder, rows):
    commands = [f"netns add {NAME}"]
    for port in ("eth1", "eth2", "eth3"):
        commands.append(f"link add {port} netns {NAME} type veth peer name far-{port} netns {NAME}")
    netns.batch(commands)
    try:
        for port in ("eth1", "eth2", "eth3"):
            for name in (port, f"far-{port}"):
                # a socket sees tags only if the device keeps them in the frame
                subprocess.run(
                    f"ip netns exec {NAME} ethtool -K {name} tx off txvlan off rxvlan off".split(),
                    check=True,
                    capture_output=True,
                )
                ip("link", "set", name, "mtu", "1600", "up")
        with netns.entered(NAME):
            asyncio.run(prepare_taps(TOPOLOGY, GATEWAY))
        path, _ = forwarder({p: f"af_packet:{p}" for p in ("eth1", "eth2", "eth3")}, netns=NAME)
        with ForwarderClient.connect(path) as client:
            client.commit(
                0,
                1,
                [
                    rows.ccsi(100, "retail"),
                    rows.ccsi(200, "finance"),
                    rows.interface(1, Role.UPLINK, "eth1", "192.0.2.11/24", tap="eth1.t"),
                    rows.interface(
                        2,
                        Role.HAND_OFF,
                        "eth2",
                        "169.254.1.1/30",
                        vlan=101,
                        ccsi=100,
                        tap="eth2.101t",
                    ),
                    rows.interface(
                        3, Role.HAND_OFF, "eth3", "169.254.1.1/30", ccsi=200, tap="eth3.0t"
                    ),
                ],
                b"",
                full=True,
            )
            for tap in ("eth2.101t", "eth3.0t"):
                ip("neigh", "replace", "169.254.1.2", "lladdr", ROUTER_MAC, "dev", tap)
            time.sleep(0.5)
            yield client
        with netns.entered(NAME):
            asyncio.run(remove_taps(TOPOLOGY, GATEWAY))
    finally:
        netns.delete([NAME])


def attack():
    """What an IDC router may send to its own gateway address, each answered by a kernel."""
    to = IP(src="169.254.1.2", dst="169.254.1.1")
    yield from fragment(to / ICMP(id=1) / Raw(STAMP * 40), 1000)
    yield to / UDP(sport=9, dport=9) / Raw(STAMP)
    yield to / TCP(sport=179, dport=40000, flags="A", seq=1, ack=0x5354414D)
    yield to / TCP(sport=40000, dport=179, flags="S", seq=7)


@pytest.mark.parametrize("tagged", [False, True])
def test_what_one_router_causes_the_other_does_not_see(gateway, tagged):
    mac = ip("-o", "link", "show", "eth2" if tagged else "eth3").split("link/ether ")[1][:17]
    ends = {port: wire(f"far-{port}") for port in ("eth1", "eth2", "eth3")}
    time.sleep(0.2)
    for sock in ends.values():
        received(sock)
    for packet in attack():
        frame = Ether(src=ROUTER_MAC, dst=mac)
        if tagged:
            ends["eth2"].send(bytes(frame / Dot1Q(vlan=101) / packet))
        else:
            ends["eth3"].send(bytes(frame / packet))
    deadline = time.monotonic() + 10
    while {c.name: c.value for c in gateway.counters()}["tap-written"] < 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    seen = {port: received(sock) for port, sock in ends.items()}
    ours = "eth2" if tagged else "eth3"
    for port, frames in seen.items():
        if port != ours:
            from_us = [Ether(f) for f in frames]
            assert [f for f in from_us if f.src != ROUTER_MAC and (IP in f or ARP in f)] == [], port


def test_a_bound_session_still_runs_on_each(gateway):
    """BGP binds its sockets to the tap: a connection attempt leaves by that one."""
    for tap, port in (("eth2.101t", "eth2"), ("eth3.0t", "eth3")):
        end = wire(f"far-{port}")
        with netns.entered(NAME):
            caller = socket.socket()
        caller.setblocking(False)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, tap.encode())
        caller.bind(("169.254.1.1", 0))
        caller.connect_ex(("169.254.1.2", 179))
        time.sleep(0.3)
        frames = [Ether(f) for f in received(end)]
        assert any(TCP in f and f[TCP].dport == 179 for f in frames), (tap, frames)
        caller.close()
