"""A VM behind two hosts, in a lab with real packets: its flows are spread over both, and when one
host dies the other has them all, while its own are not disturbed."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from ccn_bgp.lab import netns
from ccn_bgp.lab.moving import reload_gateways

pytestmark = pytest.mark.smoke

TOPOLOGY = """
name: two-regions
fabric: {asn: 64600}
gateways:
  vs-gw1: {region: beijing, asn: 64641, vtep: 192.0.2.41,
           uplinks: [{port: eth1, address: 192.0.2.41/24, via: 192.0.2.1}]}
vpcs:
  web:
    region: beijing
    vni: 401
    cidrs: [10.41.0.0/16]
    vms:
      - {ip: 10.41.0.10, mac: "02:00:0a:29:00:0a", host: 192.0.2.141}
      - {ip: 10.41.0.20, mac: "02:00:0a:29:00:14", host: [192.0.2.142, 192.0.2.143]}
  shop:
    region: beijing
    vni: 402
    cidrs: [10.42.0.0/16]
    vms: [{ip: 10.42.0.10, mac: "02:00:0a:2a:00:0a", host: 192.0.2.141}]
ccns:
  trade: {id: 41, vni: 3041, attach: [vpc/web, vpc/shop]}
"""
GATEWAY, CLIENT, ADDRESS = "vs-gw1", "vm-shop-10-42-0-10", "10.42.0.10"
SERVICE, PORT = "10.41.0.20", 9999
NODES = ("vm-web-10-41-0-20", "vm-web-10-41-0-20-at-192-0-2-143")
FLOWS = range(20_000, 20_400)
Arrivals = Mapping[str, set[int]]


def within(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def receivers(running: Any) -> Iterator[dict[str, socket.socket]]:
    """One socket in each of the two namespaces that are the VM."""
    found = {}
    with contextlib.ExitStack() as stack:
        for node in NODES:
            with netns.entered(running.layout.netns(node)):
                made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            made.bind((SERVICE, PORT))
            made.setblocking(False)
            found[node] = made
        yield found


def sent(running: Any, receivers: Mapping[str, socket.socket], flows: Iterable[int]) -> Arrivals:
    """One datagram of each flow, and at which of the two it arrived."""
    for number, port in enumerate(flows):
        with (
            netns.entered(running.layout.netns(CLIENT)),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow,
        ):
            flow.bind((ADDRESS, port))
            flow.sendto(b"x", (SERVICE, PORT))
        if number % 50 == 49:
            time.sleep(0.01)  # the lab's devices are slow
    time.sleep(0.3)
    arrivals: dict[str, set[int]] = {}
    for node, receiver in receivers.items():
        arrivals[node] = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                arrivals[node].add(receiver.recvfrom(64)[1][1])
    return arrivals


def test_flows_go_to_both_and_stay(running: Any, receivers: dict[str, socket.socket]) -> None:
    within(15, lambda: any(sent(running, receivers, FLOWS[:4]).values()))
    (row,) = [r for r in running.show("vms", GATEWAY)["vms"] if r["ip"] == SERVICE]
    assert (row["host"], row["also-on"]) == ("192.0.2.142", ["192.0.2.143"])
    first = sent(running, receivers, FLOWS)
    one, two = (first[node] for node in NODES)
    assert one | two == set(FLOWS)
    assert not one & two
    assert min(len(one), len(two)) > len(FLOWS) * 0.35
    assert sent(running, receivers, FLOWS) == first


def test_both_answer_the_client(running: Any) -> None:
    """What either of the two says comes as from one VM."""
    for node in NODES:
        done = running.on("exec", node, "--", "ping", "-c", "2", "-W", "2", ADDRESS)
        assert done.returncode in (0, 1), done.stderr  # the echo may go to the other one
    counters = running.show("counters", GATEWAY)["counters"]
    assert not counters["drop"].get("unknown-vtep"), "each may send on the VNI"


def test_when_a_host_dies_the_other_has_all(
    running: Any, receivers: dict[str, socket.socket]
) -> None:
    before = sent(running, receivers, FLOWS)
    host = "host-192-0-2-143"
    done = running.on("exec", host, "--", "ip", "link", "set", "eth0", "down")
    assert done.returncode == 0, done.stderr
    file = running.lab.topology_file
    file.write_text(file.read_text().replace("[192.0.2.142, 192.0.2.143]", "192.0.2.142"))
    reload_gateways(running.lab, running.layout)
    died = time.monotonic()
    while True:
        arrived = sent(running, receivers, FLOWS)[NODES[0]]
        assert before[NODES[0]] <= arrived  # who was there is not disturbed
        if arrived == set(FLOWS):
            break
        assert time.monotonic() - died < 10
    (row,) = [r for r in running.show("vms", GATEWAY)["vms"] if r["ip"] == SERVICE]
    assert row["host"] == "192.0.2.142"
    assert "also-on" not in row
