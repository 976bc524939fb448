"""The demo topology as a lab: real forwarders, ExaBGP, FRR, VXLAN hosts, and stamped probes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.lab import netns
from ccn_bgp.lab.layout import lab_prefix
from ccn_bgp.lab.members import members, pairs
from ccn_bgp.lab.probe import Prober

pytestmark = pytest.mark.smoke

SOURCE = Path(__file__).parents[2]
GATEWAYS = ("bj-gw1", "hk-gw1")
OTHER = "crashing-lab"


def bad_pairs(document: dict[str, Any]) -> list[str]:
    return [
        f"{p['from']} -> {p['to-address']}: {p['lost']}/{p['sent']} {p['longest-outage']} s"
        for p in document["pairs"]
        if p["lost"]
    ]


def test_ten_thousand_probes_each_way_and_no_foreign_stamp(running: Any) -> None:
    document = running.check("--probes", "10000")
    assert bad_pairs(document) == []
    assert document["foreign"] == []
    assert document["control"]["seen"] == document["control"]["sent"] > 0
    for name in ("retail", "finance"):
        assert sum(p["sent"] for p in document["pairs"] if p["ccn"] == name) >= 20_000


@pytest.mark.parametrize("router", ["lf-r1", "tj-r1"])
def test_frr_sees_the_as_paths(running: Any, router: str) -> None:
    routes = running.frr_routes(router)
    assert routes["10.1.0.0/16"] == ["64601"]
    assert routes["10.2.0.0/16"] == ["64601 64602"]


def test_status_shows_everything_up(running: Any) -> None:
    done = running.run("lab", "status", str(running.file), "--json")
    document = json.loads(done.stdout)
    assert document["up"], done.stdout
    states = [s["state"] for rows in document["sessions"].values() for s in rows]
    assert len(states) == 4
    assert set(states) == {"established"}


def test_exec_enters_a_node_and_knows_the_nearest_name(running: Any) -> None:
    done = running.on("exec", "lf-r1", "--", "vtysh", "-c", "show bgp summary")
    assert "64601" in done.stdout
    done = running.on("exec", "lf-r2", "--", "true")
    assert done.returncode == 2
    assert done.stderr == "ccn: node lf-r2: unknown (did you mean lf-r1?)\n"


def test_a_lab_that_is_up_says_so(running: Any) -> None:
    done = running.run("lab", "up", str(running.file))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is up already" in done.stderr


def test_a_prefix_behind_a_vm_follows_it_within_a_second(running: Any) -> None:
    found = members(running.layout)
    wanted = [p for p in pairs(found) if p.target.behind and p.source.node == "vm-web-10-1-0-10"]
    assert len(wanted) == 1
    with Prober(found) as prober:
        runs = []

        def probe() -> None:
            runs.append(prober.run(wanted, [600], rate=200))

        for host in ("198.51.100.103", "198.51.100.104", "host-198-51-100-102"):
            thread = threading.Thread(target=probe)
            thread.start()
            time.sleep(0.5)
            done = running.on("move-vm", "orders:10.2.0.10", "--to", host)
            thread.join()
            assert done.returncode == 0, done.stderr
            (one,) = runs.pop().pairs
            assert one.longest_outage <= 1.0, f"to {host}: {one.longest_outage:.2f} s"
            assert one.arrived[-1], f"to {host}: nothing arrives any more"


@pytest.mark.parametrize("part", ["speaker", "gateway", "forwarder"])
def test_each_process_is_restartable_alone(running: Any, part: str) -> None:
    before = digests(running)
    documents: list[dict[str, Any]] = []
    check = threading.Thread(
        target=lambda: documents.append(running.check("--max-loss", "2s", "--probes", "8000"))
    )
    check.start()
    time.sleep(2.0)  # in the midst of the probes
    done = running.on("kill", f"bj-gw1/{part}", "--signal", "9")
    check.join()
    assert done.returncode == 0, done.stderr
    (document,) = documents
    assert document["ok"], bad_pairs(document)
    if part == "forwarder":
        assert document["lost"] > 0, "killed before or after the probes"
    else:
        assert bad_pairs(document) == []
    deadline = time.monotonic() + 45
    while digests(running) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert digests(running) == before


def digests(running: Any) -> list[str]:
    found = []
    for gateway in GATEWAYS:
        done = running.ccn("show", "digest", "--gateway", gateway, "--json")
        document = json.loads(done.stdout) if done.returncode == 0 else {}
        found.append(document["digest"] if document.get("converged") else "not yet")
    return found


@pytest.fixture
def other(running: Any, tmp_path: Path) -> Iterator[Path]:
    """The topology of a second lab, which is down in the end whatever a test did with it."""
    file: Path = running.topology_named(OTHER, tmp_path)
    # a job in the background of a script ignores Ctrl-C, and so would all that it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield file
    signal.signal(signal.SIGINT, before)
    running.run("lab", "down", str(file))


def building_lab(running: Any, file: Path, pause: float) -> subprocess.Popen[bytes]:
    """`ccn lab up`, ``pause`` seconds after its first namespace."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ccn_bgp.cli.main", "lab", "up", str(file)],
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "CCN_RUN_DIR": f"/run/ccn/lab/{OTHER}/gateways",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not netns.present(lab_prefix(OTHER)) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(pause)
    assert running.left_behind(OTHER) != []
    return process


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_a_crash_half_way_leaves_nothing_after_down(
    running: Any, other: Path, pause: float
) -> None:
    process = building_lab(running, other, pause)
    process.kill()
    process.wait()
    assert running.left_behind(OTHER) != []
    for _ in range(2):
        done = running.run("lab", "down", str(other))
        assert done.returncode == 0, done.stderr
        assert running.left_behind(OTHER) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("pause", [0.0, 1.0])
def test_an_interrupted_build_cleans_up_after_itself(
    running: Any, other: Path, number: signal.Signals, pause: float
) -> None:
    process = building_lab(running, other, pause)
    process.send_signal(number)
    assert process.wait(20) == 130
    assert running.left_behind(OTHER) == []


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.3])
def test_a_second_interrupt_does_not_stop_the_clean_up(
    running: Any, other: Path, gap: float
) -> None:
    process = building_lab(running, other, 1.0)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(gap)
    assert process.wait(20) == 130
    assert running.left_behind(OTHER) == []
