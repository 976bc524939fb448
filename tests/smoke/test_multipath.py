"""Two routers of a data centre at one gateway: flows are spread over both, and one router's death
costs no more than its session."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from ccn_bgp.lab import netns

pytestmark = pytest.mark.smoke

TOPOLOGY = """
name: two-regions
fabric: {asn: 64600}
sessions: {hold-time: 6}
gateways:
  mp-gw1: {region: beijing, asn: 64631, vtep: 192.0.2.31,
           uplinks: [{port: eth1, address: 192.0.2.31/24, via: 192.0.2.1}]}
vpcs:
  web:
    region: beijing
    vni: 301
    cidrs: [10.31.0.0/16]
    vms: [{ip: 10.31.0.10, mac: "02:00:0a:1f:00:0a", host: 192.0.2.131}]
idcs:
  yizhuang:
    region: beijing
    cidrs: [172.16.0.0/16]
    routers:
      yz-r1: {gateway: mp-gw1, port: eth2, ccn: trade, asn: 65131, address: 169.254.31.2/30,
              gateway-address: 169.254.31.1/30, import: [from-idc], export: [to-idc]}
      yz-r2: {gateway: mp-gw1, port: eth3, ccn: trade, asn: 65131, address: 169.254.32.2/30,
              gateway-address: 169.254.32.1/30, import: [from-idc], export: [to-idc]}
ccns:
  trade: {id: 31, vni: 3031, multipath: 2, attach: [vpc/web, idc/yizhuang]}
policies: [policies/idc.yaml]
"""
GATEWAY, VM, ROUTERS = "mp-gw1", "vm-web-10-31-0-10", ("yz-r1", "yz-r2")
SHARED, SERVICE, PORT = "172.16.9.0/24", "172.16.9.1", 9999
FLOWS = range(20_000, 20_600)
HOLD = 6.0
BGP = "router bgp 65131"
Arrivals = Mapping[str, Counter[int]]


def within(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def in_node(running: Any, node: str, *words: str) -> str:
    done = running.on("exec", node, "--", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def receivers(running: Any) -> Iterator[dict[str, socket.socket]]:
    """Both routers announce SHARED, and hold SERVICE: one socket on each."""
    found = {}
    with contextlib.ExitStack() as stack:
        for router in ROUTERS:
            in_node(running, router, "ip", "addr", "add", f"{SERVICE}/32", "dev", "lo")
            running.vtysh(router, BGP, "no bgp network import-check")
            running.vtysh(router, BGP, "address-family ipv4 unicast", f"network {SHARED}")
            with netns.entered(running.layout.netns(router)):
                made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            made.bind((SERVICE, PORT))
            made.setblocking(False)
            found[router] = made
        yield found


def group(running: Any) -> dict[str, int]:
    """Address of a router → weight, as the gateway spreads SHARED."""
    for row in running.show("routes", GATEWAY)["routes"]:
        if row["prefix"] == SHARED:
            hop = row["next-hop"]
            return {m["ip"]: m["weight"] for m in hop.get("members", [{"weight": 1, **hop}])}
    return {}


def sent(running: Any, receivers: Mapping[str, socket.socket], flows: Iterable[int]) -> Arrivals:
    """One datagram of each flow (a source port of the VM), and at which router it arrived."""
    for number, port in enumerate(flows):
        with (
            netns.entered(running.layout.netns(VM)),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow,
        ):
            flow.bind(("10.31.0.10", port))
            flow.sendto(b"x", (SERVICE, PORT))
        if number % 50 == 49:
            time.sleep(0.01)  # the lab's devices are slow
    time.sleep(0.3)
    arrivals: dict[str, Counter[int]] = {router: Counter() for router in receivers}
    for router, receiver in receivers.items():
        with contextlib.suppress(BlockingIOError):
            while True:
                arrivals[router][receiver.recvfrom(64)[1][1]] += 1
    return arrivals


def test_flows_go_to_both_and_stay(running: Any, receivers: dict[str, socket.socket]) -> None:
    equal = {"169.254.31.2": 1, "169.254.32.2": 1}
    within(15, lambda: group(running) == equal)
    sent(running, receivers, FLOWS[:2])  # ARP
    first = sent(running, receivers, FLOWS)
    one, two = (set(first[router]) for router in ROUTERS)
    assert one | two == set(FLOWS)
    assert not one & two
    assert min(len(one), len(two)) > len(FLOWS) * 0.35
    again = sent(running, receivers, FLOWS)
    assert set(again["yz-r1"]) == one


def test_explain_names_both(running: Any) -> None:
    done = running.ccn("explain", SERVICE, "--ccn", "trade", "--gateway", GATEWAY, "--json")
    found = json.loads(done.stdout)
    results = {p["peer"]: p["result"] for p in found["paths"] if p["prefix"] == SHARED}
    assert sorted(r.partition(":")[0] for r in results.values()) == ["chosen", "multipath"]
    assert found["route"]["next-hop"]["kind"] == "group"
    assert {m["ip"] for m in found["forwarder"]["members"]} == {"169.254.31.2", "169.254.32.2"}


def test_link_bandwidths_are_weights(running: Any, receivers: dict[str, socket.socket]) -> None:
    for router, megabits in zip(ROUTERS, (1000, 3000), strict=True):
        running.vtysh(router, "route-map speed permit 10", f"set extcommunity bandwidth {megabits}")
        session = f"169.254.{31 + ROUTERS.index(router)}.1"
        family = (BGP, "address-family ipv4 unicast")
        running.vtysh(router, *family, f"neighbor {session} route-map speed out")
    within(15, lambda: group(running) == {"169.254.31.2": 1, "169.254.32.2": 3})
    arrived = sent(running, receivers, FLOWS)
    share = len(arrived["yz-r2"]) / len(FLOWS)
    assert sum(map(len, arrived.values())) == len(FLOWS)
    assert 0.65 < share < 0.85


def test_when_a_router_dies_the_other_has_all(
    running: Any, receivers: dict[str, socket.socket]
) -> None:
    before = sent(running, receivers, FLOWS)
    (line,) = [
        word
        for word in in_node(running, "yz-r1", "ip", "-br", "-4", "addr").splitlines()
        if "169.254.31.2" in word
    ]
    device = line.split()[0].partition("@")[0]
    in_node(running, "yz-r1", "ip", "link", "set", device, "down")
    died = time.monotonic()
    while True:
        arrived = sent(running, receivers, FLOWS)["yz-r2"]
        assert set(before["yz-r2"]) <= set(arrived)  # who was there is not disturbed
        if set(arrived) == set(FLOWS):
            break
        assert time.monotonic() - died < HOLD + 4
    assert group(running) == {"169.254.32.2": 1}
