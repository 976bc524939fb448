"""Access lists and traces in a lab: a marked packet is seen by the VM that it is for, and by nobody
if a rule denies it; a trace goes on from gateway to gateway; a changed list is in force with its
commit."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.lab import netns

pytestmark = pytest.mark.smoke

SOURCE = Path(__file__).parents[2]
ACLS = """\
acls:
  front:
    default: permit
    rules:
      - {name: no-ssh, action: deny, protocol: tcp, destination-ports: 22}
      - {name: dns, action: permit, protocol: udp, destination-ports: 53}
"""
TOPOLOGY = (
    (SOURCE / "topologies" / "two-regions.yaml")
    .read_text()
    .replace("retail: {id: 100,", "retail: {acl: front, id: 100,")
    .replace("\nccns:", f"\n{ACLS}ccns:")
)


@contextlib.contextmanager
def seen_by(running: Any, node: str) -> Iterator[list[bytes]]:
    """Frames that the VM's namespace receives, until the end of the block and half a second."""
    frames: list[bytes] = []
    with netns.entered(running.layout.netns(node)):  # the socket stays there
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with sniffer:
        sniffer.settimeout(0.5)
        yield frames
        with contextlib.suppress(TimeoutError):
            while True:
                frames.append(sniffer.recv(2048))


def trace(running: Any, *words: str, code: int = 0) -> dict[str, Any]:
    """``ccn trace``, which finds the gateway of the VPC's region by itself."""
    done = running.ccn("trace", "--json", *words)
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_target_receives_the_marked_packet(running: Any) -> None:
    words = ("--from", "web:10.1.0.10", "--to", "10.2.0.10")
    deadline = time.monotonic() + 10
    while not any(s["step"] == "sent" for s in trace(running, *words)["steps"]):
        assert time.monotonic() < deadline  # the neighbour's MAC may have to be asked for first
    with seen_by(running, "vm-orders-10-2-0-10") as frames:
        document = trace(running, *words)
        dry = trace(running, *words, "--dry-run")
    assert document["gateway"] == "bj-gw1"
    assert document["result"] == dry["result"] == "forwarded"
    assert any(document["mark"].encode() in frame for frame in frames)
    assert not any(dry["mark"].encode() in frame for frame in frames)
    steps = {step["step"]: step for step in document["steps"]}
    assert steps["classified"]["ccn"] == "retail"
    assert steps["acl"] == {
        "step": "acl", "rule": "default", "action": "permit", "acl": "front"
    }  # fmt: skip
    assert steps["route"]["prefix"] == "10.2.0.0/16"
    assert steps["sent"]["tunnel-to"] == "198.51.100.21"
    assert document["counters"]["ccsi 100"]["packets"] == 1


def test_a_rule_stops_it_and_says_so(running: Any) -> None:
    words = ("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--protocol", "tcp")
    with seen_by(running, "vm-orders-10-2-0-10") as frames:
        denied = trace(running, *words, "--port", "22", code=1)
        passed = trace(running, *words, "--port", "2222")
    assert denied["result"] == "dropped"
    assert {"step": "dropped", "reason": "acl"} in denied["steps"]
    assert denied["counters"]["acl 100"] == {"deny no-ssh": 1}
    assert not any(denied["mark"].encode() in frame for frame in frames)
    assert any(passed["mark"].encode() in frame for frame in frames)
    counted = running.show("counters")["counters"]
    assert counted["acl 100"]["deny no-ssh"] >= 1
    done = running.ccn("explain", "10.2.0.10", "--ccn", "retail", "--gateway", "bj-gw1", "--json")
    acl = json.loads(done.stdout)["acl"]
    assert acl["name"] == "front"
    assert [r["name"] for r in acl["rules"]] == ["no-ssh", "dns", "default"]
    assert acl["rules"][0]["packets"] >= 1
    text = running.ccn("trace", *words, "--port", "22")
    assert text.returncode == 1
    assert "front: rule no-ssh: deny" in text.stdout


def test_a_trace_goes_on_at_the_next_gateway(running: Any) -> None:
    words = ("--from", "web:10.1.0.10", "--to", "10.2.0.10")
    with seen_by(running, "vm-orders-10-2-0-10") as frames:
        document = trace(running, *words)
        dry = trace(running, *words, "--dry-run")
    (far,) = document["onward"]
    assert (document["gateway"], document["next"], far["gateway"]) == ("bj-gw1", "hk-gw1", "hk-gw1")
    assert far["mark"] == document["mark"] and not far["dry-run"]
    steps = {step["step"]: step for step in far["steps"]}
    assert steps["classified"]["vtep"] == "192.0.2.11" and steps["classified"]["vni"] == 20100
    assert steps["vm"]["ip"] == "10.2.0.10"
    assert steps["sent"]["tunnel-to"] == "198.51.100.102"
    # once for the whole way (and once in the answer), and not at all in a dry run
    arrived = [f for f in frames if f[30:34] == bytes((10, 2, 0, 10))]
    assert sum(document["mark"].encode() in frame for frame in arrived) == 1
    assert not any(dry["mark"].encode() in frame for frame in frames)
    text = running.ccn("trace", *words).stdout
    assert "handed to hk-gw1" in text and text.count("  classified ") == 2
    assert "=> forwarded" in text


def test_what_the_next_gateway_drops_is_dropped(running: Any) -> None:
    document = trace(running, "--from", "web:10.1.0.10", "--to", "10.2.0.99", code=1)
    assert [s["step"] for s in document["steps"]][-1] == "sent"
    assert document["result"] == "dropped"
    assert {"step": "dropped", "reason": "no-vm"} in document["onward"][0]["steps"]


def test_a_trace_from_a_data_centre(running: Any) -> None:
    document = trace(
        running, "--from", "lf-r1:172.16.0.10", "--to", "10.2.0.10", "--protocol", "udp"
    )
    first = {step["step"]: step for step in document["steps"]}
    assert first["received"]["port"] == "eth2" and first["received"]["vlan"] == 101
    assert first["classified"] == {"step": "classified", "ccsi": 100, "ccn": "retail"}
    (far,) = document["onward"]
    assert document["result"] == far["result"] == "forwarded"
    assert {s["step"]: s for s in far["steps"]}["sent"]["source"] == "172.16.0.10"
    liar = trace(running, "--from", "lf-r1:10.2.0.10", "--to", "10.1.0.10", code=1)
    assert liar["steps"][-1] == {"step": "dropped", "reason": "source-hand-off"}


def test_a_changed_list_is_in_force_with_the_commit(running: Any) -> None:
    words = ("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--dry-run")
    before = running.show("counters")["counters"]["acl 100"]["permit default"]
    file = running.lab.topology_file  # the copy that the gateways run on
    text = file.read_text()
    assert "default: permit" in text
    file.write_text(text.replace("default: permit", "default: deny"))
    done = running.on("kill", "bj-gw1/gateway", "--signal", "HUP")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 20
    while (found := running.ccn("trace", "--json", *words)).returncode == 0:
        assert time.monotonic() < deadline, found.stdout
        time.sleep(0.2)
    counted = running.show("counters")["counters"]["acl 100"]
    assert "permit default" not in counted
    assert counted["deny default"] >= 1
    assert counted["deny no-ssh"] >= 1  # goes on
    assert before > 0
    trace(running, *words, "--protocol", "udp", "--port", "53")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--from", "web", "--to", "10.2.0.10"), 2, "is not VPC:IP or ROUTER:IP"),
        (
            ("--from", "wep:10.1.0.10", "--to", "10.2.0.10"),
            2,
            "there is no vpc or IDC router 'wep'",
        ),
        (("--from", "web:10.1.0.99", "--to", "10.2.0.10"), 2, "has no VM 10.1.0.99"),
        (("--from", "web:10.1.0.10", "--to", "fd00::1"), 2, "different IP versions"),
        (("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--port", "9"), 2, "ICMP has no ports"),
        (
            ("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--gateway", "hk-gw1"),
            2,
            "is not in region hongkong of gateway hk-gw1",
        ),
        (
            ("--from", "web:10.1.0.10", "--to", "10.2.0.10", "--gateway", "no-gw"),
            4,
            "does not answer",
        ),
    ],
)
def test_what_cannot_be_traced(running: Any, words: tuple[str, ...], code: int, said: str) -> None:
    done = running.ccn("trace", *words)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
