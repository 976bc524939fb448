"""SIGHUP on a running gateway: an edit that leaks is refused with its chain, the old state goes on;
a good edit is taken as one plan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.smoke

TOPOLOGY = """\
name: reload
fabric: {asn: 64600}
gateways:
  rl-gw1: {region: north, asn: 64601, vtep: 127.77.0.1,
           uplinks: [{port: eth1, address: 127.77.0.1/24}]}
vpcs:
  web:    {region: north, vni: 10001, cidrs: [10.1.0.0/16]}
  ledger: {region: north, vni: 10003, cidrs: [10.1.0.0/16, 10.3.0.0/16]}
ccns:
  retail:  {id: 100, vni: 20100, attach: [vpc/web]}
  finance: {id: 200, vni: 20200, attach: [vpc/ledger]}
"""
LEAK = TOPOLOGY.replace(
    "attach: [vpc/web]}", 'attach: [vpc/web], import-rts: ["64600:100", "64600:200"]}'
)


def ccn(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ccn_bgp.cli.main", *arguments]
    return subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=60
    )


def eventually(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


class Running:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "topology.yaml"
        self.file.write_text(TOPOLOGY)
        self.environment = {**os.environ, "CCN_RUN_DIR": str(folder / "run")}
        self.log = folder / "log"
        command = [sys.executable, "-m", "ccn_bgp.cli.main", "run", str(self.file)]
        command += ["--gateway", "rl-gw1", "--forwarder", "none", "--state", str(folder / "state")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stderr=log)

    def show(self, what: str) -> dict[str, Any]:
        done = ccn("show", what, "--gateway", "rl-gw1", "--json", environment=self.environment)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def edit(self, text: str) -> None:
        self.file.write_text(text)
        self.process.send_signal(signal.SIGHUP)

    def logged(self, words: str) -> str:
        return next((line for line in self.log.read_text().splitlines() if words in line), "")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    try:
        eventually(lambda: running.show("digest"))
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)


def test_a_leaking_edit_is_refused_and_the_old_state_goes_on(gateway: Running) -> None:
    before = gateway.show("digest")
    gateway.edit(LEAK)
    line = eventually(lambda: gateway.logged("error rt-leak"))
    assert "the old state goes on" in line
    assert "rl-gw1/finance" in line and "rl-gw1/retail" in line
    assert gateway.show("digest") == before
    status = gateway.show("status")
    (told,) = status["configuration"]["refused"]
    assert not status["ok"] and told["problems"][0]["where"].startswith(f"{gateway.file}:")
    shown = ccn("show", environment=gateway.environment).stdout
    assert told["problems"][0]["what"] in shown and "kill -HUP" in shown

    refused = ccn("validate", str(gateway.file), "--json", environment=gateway.environment)
    assert refused.returncode == 3
    found = {f["rule"]: f for f in json.loads(refused.stdout)["findings"]}
    assert found["rt-leak"]["witness"]["chain"]
    assert found["rt-leak"]["where"].startswith(f"{gateway.file}:")


def test_a_half_written_edit_changes_nothing(gateway: Running) -> None:
    before = gateway.show("digest")
    gateway.edit(TOPOLOGY[: len(TOPOLOGY) // 2])
    eventually(lambda: gateway.logged("the old state goes on"))
    assert gateway.show("digest") == before
    assert gateway.process.poll() is None


def test_a_good_edit_is_one_plan(gateway: Running) -> None:
    gateway.edit(TOPOLOGY.replace("[10.1.0.0/16, 10.3.0.0/16]", "[10.1.0.0/16, 10.4.0.0/16]"))
    eventually(lambda: gateway.logged("is in force"))
    routes = {r["prefix"] for r in gateway.show("routes")["routes"] if r["ccn"] == "finance"}
    assert routes == {"10.1.0.0/16", "10.4.0.0/16"}
    commits = gateway.show("commits")["commits"]
    assert len(commits) == 2
    assert "+1 -1 routes in finance" in commits[-1]["summary"]
    assert gateway.show("status")["ok"]


def test_every_commit_holds_under_the_independent_check(gateway: Running) -> None:
    gateway.edit(TOPOLOGY.replace("10.3.0.0/16", "10.4.0.0/16"))
    eventually(lambda: gateway.logged("is in force"))
    command = ("verify-commit", "--all", "--gateway", "rl-gw1", "--json")
    done = ccn(*command, environment=gateway.environment)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["commits"]
    assert first["ok"] and second["ok"] and not second["sampled"]
    assert second["routes"] == 3
    assert second["addresses-asked"] >= 2 * second["routes"]
    shown = gateway.show("commits")["commits"]
    assert [c["id"] for c in shown] == [first["id"], second["id"]]
    assert shown[0]["intent"] != shown[1]["intent"]
    unknown = ccn("verify-commit", "99", "--gateway", "rl-gw1", environment=gateway.environment)
    assert unknown.returncode == 2
    assert "commit 99 is not kept" in unknown.stderr


def test_an_unusable_password_file_leaves_the_old_state(gateway: Running, tmp_path: Path) -> None:
    before = gateway.show("routes")
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe" * 100)
    neighbor = (
        f"name: new, gateway: rl-gw1, address: 127.77.0.9, asn: 64999, password-file: {secret}"
    )
    gateway.edit(
        TOPOLOGY.replace("10.3.0.0/16", "10.4.0.0/16")
        + f"neighbors: [{{{neighbor}, role: gateway}}]\n"
    )
    eventually(lambda: gateway.logged("the old state goes on"))
    assert gateway.show("routes") == before
    assert gateway.show("neighbors")["neighbors"] == []
    gateway.edit(TOPOLOGY.replace("10.3.0.0/16", "10.5.0.0/16"))
    eventually(lambda: gateway.logged("is in force"))
    routes = {r["prefix"] for r in gateway.show("routes")["routes"]}
    assert "10.5.0.0/16" in routes and "10.4.0.0/16" not in routes


def test_an_accepted_leak_is_in_force_and_the_second_opinion_says_so(gateway: Running) -> None:
    accepted = (
        "suppress:\n"
        "  - {rule: leak, ccn: retail, prefix: 10.3.0.0/16, reason: a share is being signed}\n"
        "  - {rule: leak, ccn: retail, prefix: 10.1.0.0/16, reason: a share is being signed}\n"
        "  - {rule: ambiguous-owner, ccn: retail, prefix: 10.1.0.0/16, reason: the same}\n"
        "  - {rule: rt-leak, ccn: retail, from: finance, reason: a share is being signed}\n"
    )
    gateway.edit(LEAK + accepted)
    eventually(lambda: gateway.logged("is in force"))
    routes = {r["prefix"] for r in gateway.show("routes")["routes"] if r["ccn"] == "retail"}
    assert "10.3.0.0/16" in routes
    done = ccn("verify-commit", "--gateway", "rl-gw1", "--json", environment=gateway.environment)
    (answer,) = json.loads(done.stdout)["commits"]
    assert answer["ok"] and answer["accepted"] >= 1 and not answer["faults"]
