"""The gateways as VMs and servers see them: routers that answer, and that show themselves on the
way."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.smoke

WEB, ORDERS, SERVER = "vm-web-10-1-0-10", "vm-orders-10-2-0-10", "srv-lf-r1"


def way(running: Any, node: str, to: str) -> list[str]:
    """The addresses that traceroute prints, hop by hop."""
    command = ("traceroute", "-6" if ":" in to else "-4", "-n", "-q", "1", "-w", "2", "-m", "6", to)
    done = running.on("exec", node, "--", *command)
    assert done.returncode == 0, done.stderr
    return [line.split()[1] for line in done.stdout.splitlines()[1:]]


@pytest.mark.parametrize(
    ("node", "to", "hops"),
    [
        (WEB, "10.2.0.10", ["10.1.0.1", "10.2.0.1", "10.2.0.10"]),
        (WEB, "fd00:2::10", ["fd00:1::1", "fd00:2::1", "fd00:2::10"]),
        (WEB, "10.1.0.1", ["10.1.0.1"]),
        (WEB, "10.2.0.1", ["10.1.0.1", "10.2.0.1"]),
        (WEB, "172.16.0.10", ["10.1.0.1", "169.254.1.2", "172.16.0.10"]),
        (ORDERS, "172.16.0.10", ["10.2.0.1", "10.1.0.1", "169.254.1.2", "172.16.0.10"]),
        (SERVER, "10.2.0.10", ["172.16.0.1", "169.254.1.1", "10.2.0.1", "10.2.0.10"]),
    ],
)
def test_traceroute_reads_well(running: Any, node: str, to: str, hops: list[str]) -> None:
    assert way(running, node, to) == hops


def test_an_address_of_nobody_is_said_to_be_unreachable(running: Any) -> None:
    for to, said in (
        ("10.2.0.77", "From 10.2.0.1 icmp_seq=1 Destination Host Unreachable"),
        ("203.0.113.1", "From 10.1.0.1 icmp_seq=1 Destination Net Unreachable"),
        ("fd00:9::1", "From fd00:1::1 icmp_seq=1 Destination unreachable: No route"),
    ):
        done = running.on("exec", WEB, "--", "ping", "-n", "-c", "1", "-W", "2", to)
        assert said in done.stdout, done.stdout
    # a blackhole says nothing
    done = running.on("exec", WEB, "--", "ping", "-n", "-c", "1", "-W", "1", "10.2.66.1")
    assert "From" not in done.stdout


def test_vms_have_resolved_their_gateway(running: Any) -> None:
    done = running.on("exec", WEB, "--", "ip", "neigh", "show", "dev", "eth0")
    assert "10.1.0.1 lladdr 02:cc:c0:00:02:0b" in done.stdout
    assert "PERMANENT" not in done.stdout
