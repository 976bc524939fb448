"""DPDK's telemetry socket by DPDK's own client, and what a forwarder leaves behind: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ccn_bgp.forwarder.client import ForwarderClient

from .test_workers import frame, settled, tables, wrpcap

pytestmark = pytest.mark.smoke

RUNTIME = Path("/var/run/dpdk")


def ask(name: str, *commands: str) -> dict:
    """What dpdk-telemetry.py prints, joined: one answer for each command."""
    done = subprocess.run(
        ["dpdk-telemetry.py", "-f", f"ccn-{name}"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    answers: dict = {}
    for line in done.stdout.splitlines():
        answers.update(json.loads(line))
    return answers


@pytest.fixture
def name() -> str:
    return f"telemetry-{os.getpid()}"


def test_answers_what_the_counters_say(forwarder, rows, tmp_path, name):
    for queue in range(2):
        frames = [frame(flow, n) for n in range(40) for flow in range(32)]
        wrpcap(str(tmp_path / f"in{queue}.pcap"), frames)
    files = ",".join(f"{tmp_path}/{way}{queue}.pcap" for queue in range(2) for way in ("in", "out"))
    path, _ = forwarder(
        {"p0": f"pcap:{files}", "eth2.101": "null"},
        *("--static-neighbors", "--workers", "2", "--name", name),
    )
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        seen = settled(client, rows, 2560)
    found = ask(name, "/ccn/ports", "/ccn/workers", "/ccn/stages", "/ccn/drops", "/ccn/ccsi")
    found |= {"one": ask(name, "/ccn/ccsi,100")["/ccn/ccsi"], **ask(name, "/ccn/slow_path")}
    ports = found["/ccn/ports"]
    assert ports["p0"]["rx_packets"] == seen["port p0", "rx-packets"] == 2560
    assert (ports["p0"]["driver"], ports["p0"]["rx_queues"]) == ("net_pcap", 2)
    assert ports["eth2_101"]["spread_by"] == "rss" and "ipv4-udp" in ports["eth2_101"]["rss"]
    workers = found["/ccn/workers"]
    assert [workers[n]["packets"] for n in ("0", "1")] == [1280, 1280]
    for number, stages in found["/ccn/stages"].items():
        assert workers[number]["sampled_packets"] > 0
        for stage in ("receive", "sort_out", "match_routes", "find_next_hops", "rewrite", "send"):
            cycles = workers[number][f"cycles_{stage}"]
            assert stages[stage] == pytest.approx(
                cycles / workers[number]["sampled_packets"], abs=0.5
            )
            assert cycles > 0
    assert found["/ccn/drops"]["no_route"] == 0
    assert (
        found["/ccn/ccsi"]["100"]
        == found["one"]
        == {
            "packets": 2560,
            "bytes": seen["ccsi 100", "bytes"],
        }
    )
    assert found["/ccn/slow_path"]["tap_read"] == 0
    assert ask(name, "/ccn/drops,100")["/ccn/drops"] in ({}, None)
    assert ask(name, "/ccn/drops,none")["/ccn/drops"] is None


def test_two_of_one_name_and_their_end(forwarder, name):
    """The second has a socket beside the first's; who ends takes only his own."""
    _, first = forwarder({"p0": "null"}, "--name", name)
    _, second = forwarder({"p0": "null"}, "--name", name, name="second")
    folder = RUNTIME / f"ccn-{name}"
    assert len(list(folder.iterdir())) == 2
    first.terminate()
    assert first.wait(5) == 0
    (left,) = folder.iterdir()
    assert left.name == "dpdk_telemetry.v2:1"
    second.terminate()
    assert second.wait(5) == 0
    assert not folder.exists()


def test_the_next_one_sweeps_what_a_killed_one_left(forwarder, name):
    _, process = forwarder({"p0": "null"}, "--name", name)
    folder = RUNTIME / f"ccn-{name}"
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    assert [left.name for left in folder.iterdir()] == ["dpdk_telemetry.v2"]
    long_ago = time.time() - 60  # a young socket may belong to one that is just starting
    os.utime(folder / "dpdk_telemetry.v2", (long_ago, long_ago))
    os.utime(folder, (long_ago, long_ago))
    forwarder({"p0": "null"}, "--name", f"{name}-other")
    assert not folder.exists()
