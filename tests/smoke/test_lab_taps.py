"""Taps in a real kernel: made once, kept, and taken away without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError
from ccn_bgp.lab import netns
from ccn_bgp.linux.taps import port_macs, prepare_taps, remove_taps
from ccn_bgp.model.topology import Gateway, Topology

pytestmark = pytest.mark.smoke

TOPOLOGY = load_topology(Path(__file__).parents[2] / "topologies" / "two-regions.yaml")
GATEWAY = TOPOLOGY.gateways["bj-gw1"]
NAME = f"ccn-taps-{os.getpid()}"


@pytest.fixture
def namespace() -> Iterator[str]:
    netns.batch(
        [
            f"netns add {NAME}",
            *(f"link add eth{i} netns {NAME} type veth peer name p{i} netns {NAME}" for i in "123"),
        ]
    )
    try:
        yield NAME
    finally:
        netns.delete([NAME])


def in_namespace(action: Callable[[Topology, Gateway], Coroutine[Any, Any, Any]]) -> Any:
    with netns.entered(NAME):
        return asyncio.run(action(TOPOLOGY, GATEWAY))


def ip(*words: str) -> str:
    return subprocess.run(
        ["ip", "-n", NAME, *words], capture_output=True, text=True, check=True
    ).stdout


def devices() -> list[str]:
    lines = ip("-br", "link").splitlines()
    return sorted(line.split()[0].partition("@")[0] for line in lines)


def lasting() -> list[tuple[object, ...]]:
    """What must not change of a device; its carrier may, a moment after it is set up."""
    keys = ("ifindex", "ifname", "address", "mtu")
    return [tuple(link[key] for key in keys) for link in json.loads(ip("-j", "link"))]


def test_taps_are_made_once_and_kept(namespace: str) -> None:
    before = devices()
    in_namespace(prepare_taps)
    assert set(devices()) - set(before) == {"eth1.t", "eth2.101t", "eth3.0t"}
    first = lasting()
    in_namespace(prepare_taps)
    assert lasting() == first  # ifindex, MAC, MTU
    assert "192.0.2.11/24" in ip("addr", "show", "eth1.t")
    assert "169.254.1.1/30" in ip("addr", "show", "eth2.101t")
    assert "169.254.1.1/30" in ip("addr", "show", "eth3.0t")
    assert "via 192.0.2.1 dev eth1.t" in ip("route", "show", "198.51.100.0/24")
    macs = in_namespace(port_macs)
    for port, mac in macs.items():
        assert str(mac) in ip("link", "show", port)
    assert str(macs["eth1"]) in ip("link", "show", "eth1.t")


def test_what_was_changed_by_hand_is_put_right(namespace: str) -> None:
    in_namespace(prepare_taps)
    ip("addr", "add", "10.9.9.9/24", "dev", "eth1.t")
    ip("route", "del", "198.51.100.0/24")
    ip("link", "set", "eth2.101t", "down")
    in_namespace(prepare_taps)
    assert "10.9.9.9" not in ip("addr", "show", "eth1.t")
    assert "198.51.100.0/24" in ip("route")
    assert ",UP" in ip("link", "show", "eth2.101t")


def test_everything_is_removed_and_nothing_else(namespace: str) -> None:
    before = devices()
    in_namespace(prepare_taps)
    in_namespace(remove_taps)
    in_namespace(remove_taps)
    assert devices() == before
    assert ip("route") == ""


def test_a_port_that_is_missing_or_has_an_address_is_one_line(namespace: str) -> None:
    ip("addr", "add", "10.0.0.1/24", "dev", "eth2")
    with pytest.raises(CcnError) as caught:
        in_namespace(prepare_taps)
    (problem,) = caught.value.problems
    assert "eth2" in problem.where
    assert "10.0.0.1/24" in problem.what
    ip("link", "del", "eth2")
    with pytest.raises(CcnError) as caught:
        in_namespace(prepare_taps)
    (problem,) = caught.value.problems
    assert str(problem).startswith("port eth2: no such interface")
    assert devices() == ["eth1", "eth3", "lo", "p1", "p3"]
