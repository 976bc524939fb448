"""What an IDC router may and may not do to its CCN: a real FRR withdraws, hijacks and floods; and
what an edit of its policy does while packets flow."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ccn_bgp.lab.members import Pair, members, pairs
from ccn_bgp.lab.probe import Prober

pytestmark = pytest.mark.smoke

BGP = ("router bgp 65101", "address-family ipv4 unicast")


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def prober(running: Any) -> Iterator[Prober]:
    with Prober(members(running.layout)) as found:
        yield found


def to_server(prober: Prober) -> Pair:
    return next(
        p
        for p in pairs(prober.members)
        if p.source.node == "vm-web-10-1-0-10" and p.target.node == "srv-lf-r1"
    )


def arrives(prober: Prober) -> bool:
    result = prober.run([to_server(prober)], [1], control=False, linger=0.2)
    return result.lost == 0


def learned(running: Any, peer: str) -> set[str]:
    routes = running.show("routes")["routes"]
    return {r["prefix"] for r in routes if r["peer"] == peer}


def findings(running: Any, peer: str) -> list[dict[str, Any]]:
    return [f for f in running.show("findings")["findings"] if f.get("peer") == peer]


def test_a_withdrawn_prefix_stops_and_explain_says_why(running: Any, prober: Prober) -> None:
    assert arrives(prober)
    running.vtysh("lf-r1", *BGP, "no network 172.16.0.0/24")
    assert within(3, lambda: not arrives(prober))
    assert "172.16.0.0/24" not in learned(running, "lf-r1")
    done = running.ccn("explain", "172.16.0.10", "--ccn", "retail", "--gateway", "bj-gw1")
    assert done.returncode == 0, done.stderr
    assert "172.16.0.10" in done.stdout
    running.vtysh("lf-r1", *BGP, "network 172.16.0.0/24")
    assert within(5, lambda: arrives(prober))


@pytest.mark.parametrize(
    "prefix", ["10.1.0.0/16", "10.1.0.0/24", "10.2.0.10/32", "192.0.2.11/32", "0.0.0.0/0"]
)
def test_what_is_not_its_own_is_not_installed(running: Any, prober: Prober, prefix: str) -> None:
    before = running.show("digest")["digest"]
    running.vtysh("lf-r1", "router bgp 65101", "no bgp network import-check")
    running.vtysh("lf-r1", *BGP, f"network {prefix}")
    heard = "received", "bj-gw1"
    assert within(
        5,
        lambda: any(
            r["peer"] == "lf-r1" and r.get("prefix") == prefix
            for r in running.show(*heard)["received"]
        ),
    )
    assert prefix not in learned(running, "lf-r1")
    assert [f["rule"] for f in findings(running, "lf-r1") if f["prefix"] == prefix]
    (row,) = (
        r
        for r in running.show(*heard)["received"]
        if r["peer"] == "lf-r1" and r.get("prefix") == prefix
    )
    assert row["reason"]
    assert running.show("digest")["digest"] == before
    assert arrives(prober)
    running.vtysh("lf-r1", *BGP, f"no network {prefix}")


def test_the_other_ccn_does_not_notice(running: Any) -> None:
    routes = running.show("routes")["routes"]
    finance = {r["prefix"]: r["peer"] for r in routes if r["ccn"] == "finance"}
    assert finance["172.16.0.0/24"] == "tj-r1"


class Edits:
    """Edits of the lab's own copy of the policies, taken by bj-gw1 on SIGHUP."""

    def __init__(self, running: Any) -> None:
        state = running.lab.gateway_state("bj-gw1")
        self.file = running.lab.topology_file.parent / "policies" / "idc.yaml"
        self.text = self.file.read_text()
        self.log = state / "gateway.log"
        self.pid = int((state / "gateway.pid").read_text())

    def reload(self, text: str) -> list[str]:
        """What the gateway logs until it has taken or refused it."""
        before = len(self.log.read_text())
        self.file.write_text(text)
        os.kill(self.pid, signal.SIGHUP)

        def told() -> list[str]:
            return self.log.read_text()[before:].splitlines()

        assert within(10, lambda: any("is in force" in x or "refused" in x for x in told()))
        return [line for line in told() if "reload" in line]


def heard(running: Any) -> dict[str, int]:
    """UPDATEs of each data centre's router."""
    rows = running.show("neighbors")["neighbors"]
    return {n["name"]: n["updates"] for n in rows if n["role"] == "idc"}


def test_an_edit_is_told_first_and_packets_follow(running: Any, prober: Prober) -> None:
    edits, updates = Edits(running), heard(running)
    sessions = edits.log.read_text().count(": up")
    assert arrives(prober)
    digest = running.show("digest")["digest"]

    broken = edits.reload(edits.text.replace("local-pref: 200", "local-prf: 200"))
    assert len(broken) == 1
    assert "old state goes on" in broken[0]
    assert "idc.yaml:8:63: " in broken[0]
    assert "unknown key 'local-prf'" in broken[0]
    assert running.show("digest")["digest"] == digest
    assert arrives(prober)

    lines = edits.reload(edits.text.replace("then: accept}", "then: reject}", 1))
    assert "lf-r1: 1 route is no longer accepted, such as 172.16.0.0/24" in lines[0]
    assert "accepted by from-idc/own-space" in lines[0]
    gone = "to hk-gw1: 2 routes are no longer announced, such as 172.16.0.0/24 (announced → no"
    assert any(gone in line for line in lines)
    changes = running.show("status")["configuration"]["changes"]
    assert any(gone in line for line in changes)
    assert within(3, lambda: not arrives(prober))
    assert "172.16.0.0/24" not in learned(running, "lf-r1")

    lines = edits.reload(edits.text.replace("local-pref: 200", "local-pref: 300"))
    assert "lf-r1: 1 route is accepted now, such as 172.16.0.0/24" in lines[0]
    assert within(3, lambda: arrives(prober))
    lines = edits.reload(edits.text)
    assert "local-pref 300 → 200" in lines[0]
    assert running.show("digest")["digest"] == digest
    assert edits.log.read_text().count(": up") == sessions > 0, "no session was reset"
    assert heard(running) == updates, "and nobody was asked to say anything again"


def told(running: Any) -> dict[str, Any]:
    """What lf-r1 has in its BGP table of its gateway."""
    words = ("--", "vtysh", "-c", "show bgp ipv4 unicast json")
    table = json.loads(running.on("exec", "lf-r1", *words).stdout)["routes"]
    return {
        prefix: path
        for prefix, paths in table.items()
        for path in paths
        if "169.254.1.1" in {hop["ip"] for hop in path["nexthops"]}
    }


def blackholed(running: Any) -> int:
    drops = running.show("counters")["counters"].get("drop", {})
    return int(drops.get("blackhole", 0))


def test_an_aggregate_is_told_in_the_place_of_its_routes(running: Any, prober: Prober) -> None:
    edits, topology = Edits(running), running.lab.topology_file
    before, routes = topology.read_text(), set(told(running))
    assert {"10.1.0.0/16", "10.2.0.0/16"} <= routes
    topology.write_text(before.replace("retail: {", "retail: {aggregates: [tens], "))
    tens = "aggregates: {tens: {prefix: 10.0.0.0/8, summary-only: true, set: {med: 7}}}\n"
    try:
        edits.reload(edits.text + tens)
        assert within(5, lambda: set(told(running)) == {"10.0.0.0/8"})
        detail = ("--", "vtysh", "-c", "show bgp ipv4 unicast 10.0.0.0/8 json")
        (path,) = json.loads(running.on("exec", "lf-r1", *detail).stdout)["paths"]
        assert path["aspath"]["string"] == "64601"
        assert (path["aggregatorAs"], path["aggregatorId"]) == (64601, "192.0.2.11")
        assert (path["metric"], path["atomicAggregate"]) == (7, True)
        assert arrives(prober)
        there = to_server(prober)
        back = Pair(there.target, there.source)
        assert prober.run([back], [1], control=False, linger=0.2).lost == 0, "it uses 10.0.0.0/8"
        dropped = blackholed(running)
        running.on("exec", "srv-lf-r1", "--", "ping", "-c", "3", "-i", "0.2", "-W", "1", "10.7.0.1")
        assert blackholed(running) >= dropped + 3, "a hole in it leads nowhere"
        (shown,) = running.show("aggregates")["aggregates"]
        assert (shown["state"], shown["told-to"]) == ("in force", ["lf-r1"])
        assert {"10.1.0.0/16", "10.2.0.0/16"} <= set(shown["routes"])
        explained = running.ccn("explain", "10.7.0.1", "--ccn", "retail", "--gateway", "bj-gw1")
        assert "aggregate tens 10.0.0.0/8: in force" in explained.stdout
        assert "told in their place to lf-r1" in explained.stdout
        assert "=> 10.0.0.0/8 (aggregate tens): drop" in explained.stdout
        assert not [f for f in running.show("findings")["findings"] if f["severity"] == "error"]
    finally:
        topology.write_text(before)
        edits.reload(edits.text)
    assert within(5, lambda: set(told(running)) == routes)


def test_more_than_max_prefixes_are_not_taken(running: Any, prober: Prober) -> None:
    lines = [f"network 172.16.{i // 128}.{2 * (i % 128)}/31" for i in range(128, 1200)]
    running.vtysh("lf-r1", "router bgp 65101", "no bgp network import-check")
    running.vtysh("lf-r1", *BGP, *lines)
    assert within(10, lambda: any("max" in str(f) for f in findings(running, "lf-r1")))
    assert "172.16.0.0/24" in learned(running, "lf-r1")
    assert arrives(prober)
    running.vtysh("lf-r1", *BGP, *(f"no {line}" for line in lines))
