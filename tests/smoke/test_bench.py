"""Learning benches with real processes: quick runs reach the end, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccn_bgp.bench.learners import BGPD
from ccn_bgp.lab import netns

pytestmark = pytest.mark.smoke
SOURCE = Path(__file__).parents[2]
FRR = ("frr",) if BGPD.exists() else ()
GOBGP = ("gobgp",) if shutil.which("gobgpd") and shutil.which("gobgp") else ()
PEERS = {*FRR, *GOBGP}


def start(case, area="learn", *, quick=True):
    words = ["bench", area, "--json", "--case", case]
    words += ["--quick"] if quick else []
    return subprocess.Popen(
        [sys.executable, "-m", "ccn_bgp.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


def figures(case, area="learn", *, quick=True):
    """The results by metric."""
    process = start(case, area, quick=quick)
    out, errors = process.communicate(timeout=120 if quick else 600)
    assert process.returncode == 0, errors
    assert not netns.present(f"ccn-bench-{process.pid}-")
    results = json.loads(out)["results"]
    assert {figure["case"] for figure in results} == {case}
    return {figure["metric"]: figure for figure in results}


@pytest.mark.long
@pytest.mark.parametrize("case", ["rt5-1m-distinct", "withdraw-1m", "announce-100k-50-peers"])
def test_ours_and_the_peers_come_to_the_end(case):
    time = figures(case)["time"]
    assert time["ours"] > 0
    assert set(time["peers"]) == set(time["ratio"]) == PEERS


@pytest.mark.long
def test_packets_follow_a_change():
    found = figures("update-latency")
    assert 0 < found["p50"]["ours"] <= found["p99"]["ours"] < 5000


@pytest.mark.long
def test_packets_flow_while_the_gateway_is_killed():
    found = figures("cold-restart-1m")
    assert found["packets lost"]["ours"] == 0
    assert 0 < found["digest equal again"]["ours"] < 30


@pytest.mark.long
def test_a_second_worker_is_worth_a_second_cpu():
    """By the time that each had a CPU: lines that both wrote would cost them more than a third."""
    found = figures("workers", "forward")
    assert found["rate, a queue each"]["ratio"]["one worker"] > 1.5
    assert found["time per packet of each, a queue each"]["ratio"]["one worker"] > 0.75
    assert found["rate, one queue shared out"]["ours"] > 0


@pytest.mark.long
def test_churn_over_hand_offs():
    """A hundred times the trace of CCN_BENCH_DATA, or a drawn one: memory stays, no queue grows."""
    found = figures("ris-trace", quick=False)
    assert found["updates per second"]["ours"] > 0
    growth = found["growth after a quarter of the passes"]["ours"]
    assert growth < 0.05 * found["resident memory"]["ours"]
    assert found["longest queue between passes"]["ours"] == 0


def test_a_bench_that_is_ended_cleans_up():
    process = start("update-latency")
    prefix = f"ccn-bench-{process.pid}-"
    deadline = time.monotonic() + 30
    while len(netns.present(prefix)) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    time.sleep(2.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert not netns.present(prefix)
