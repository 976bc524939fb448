"""``ccn show``, the first question: is what the file says in force, and what is wrong now?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.gateway import renewal
from ccn_bgp.gateway.configuration import Configuration
from ccn_bgp.gateway.daemon import Daemon
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.link import Lost
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.status_views import status
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.finding import Finding
from ccn_bgp.observe.render import draw

DEMO = Path(__file__).parents[2] / "topologies" / "two-regions.yaml"
REFUSED = Problem("t.yaml:3:7", "'vni' must be a number", "between 1 and 16777215")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    for name in ("idc.yaml",):
        text = (DEMO.parent / "policies" / name).read_text()
        (tmp_path / "policies" / name).write_text(text)
    (tmp_path / "t.yaml").write_text(DEMO.read_text())
    return tmp_path / "t.yaml"


@pytest.fixture
def gateway(file: Path) -> Any:
    intent = read_intent(file, "bj-gw1")
    rib = new_rib(intent)
    peers = {n: PeerSession(p, intent.export_policy) for n, p in rib.peers.items()}
    for session in peers.values():
        session.open = SimpleNamespace(families=frozenset())  # type: ignore[assignment]
    configuration = Configuration(file)
    configuration.accepted(intent, time.time())
    return SimpleNamespace(
        name="bj-gw1",
        intent=intent,
        rib=rib,
        configuration=configuration,
        sessions=SimpleNamespace(
            peers=peers,
            holding_back=False,
            speakers=SimpleNamespace(running={}),
            limits=SimpleNamespace(shut={}, findings=list),
        ),
        proved=SimpleNamespace(findings=(), standing=()),
        held=SimpleNamespace(route_count=5, interfaces=()),
        history=SimpleNamespace(records=()),
        recorder=SimpleNamespace(failed=""),
        trouble="",
        lost=Lost(),
        forwarder=None,
        generation=3,
        counters=list,
        offenders=lambda ccsi=0: [],
    )


def rows(gateway: Any) -> dict[str, dict[str, Any]]:
    return {r["about"]: r for r in status(gateway, {})["status"]}


def wrong(gateway: Any) -> dict[str, str]:
    answer = status(gateway, {})
    found = {r["about"]: r["says"] for r in answer["status"] if r["state"] == "wrong"}
    assert answer["ok"] is not bool(found)
    return found


def test_all_is_well(gateway: Any) -> None:
    assert wrong(gateway) == {}
    assert rows(gateway)["configuration"]["says"].startswith(f"{gateway.configuration.file} in")
    assert rows(gateway)["sessions"]["says"] == "3 of 3 up"


def test_a_refused_reload_is_told_until_the_next_that_is_accepted(gateway: Any) -> None:
    held = gateway.configuration
    held.refused("topology", [REFUSED, Problem("t.yaml:9:1", "more")])
    says = wrong(gateway)["configuration"]
    assert "the edit was refused" in says and "what is in force is of" in says
    assert "t.yaml:3:7: 'vni' must be a number (between 1 and 16777215)" in says
    assert "1 line more" in says
    do = rows(gateway)["configuration"]["do"]
    assert "ccn validate" in do and f"kill -HUP {os.getpid()}" in do
    (told,) = status(gateway, {})["configuration"]["refused"]
    assert told["problems"][0]["where"] == "t.yaml:3:7"
    held.accepted(gateway.intent, time.time())
    assert wrong(gateway) == {}
    assert status(gateway, {})["configuration"]["refused"] == []


def test_a_refused_inventory_is_told_beside_it(gateway: Any) -> None:
    held = gateway.configuration
    held.refused("inventory", [Problem("vms.csv:4:2", "no IP address")])
    assert "vms.csv:4:2" in wrong(gateway)["inventory"]
    assert rows(gateway)["configuration"]["state"] == "ok"
    held.inventory_accepted()
    assert wrong(gateway) == {}


@pytest.mark.parametrize("edited", ["t.yaml", "policies/idc.yaml"])
def test_an_edit_without_a_reload_is_told(gateway: Any, file: Path, edited: str) -> None:
    changed = file.parent / edited
    changed.write_text(changed.read_text() + "# more\n")
    row = rows(gateway)["configuration"]
    assert row["state"] == "note"
    assert str(changed) in row["says"]
    assert "kill -HUP" in row["do"]
    assert wrong(gateway) == {}, "an operator may be at it right now"


def test_a_file_that_went_away_is_an_edit(gateway: Any, file: Path) -> None:
    (file.parent / "policies/idc.yaml").unlink()
    assert "idc.yaml" in rows(gateway)["configuration"]["says"]


def test_the_daemon_notes_what_became_of_a_reload(file: Path, tmp_path: Path) -> None:
    good = file.read_text()

    daemon = Daemon(file, "bj-gw1", tmp_path / "state", "none")
    taken: list[Any] = []

    async def take_over(intent: Any, begun: float) -> None:
        daemon.configuration.accepted(intent, begun, ["lf-r1: 1 route is accepted now"])
        taken.append(intent)

    def reload(text: str) -> list[Any]:
        """What stands refused after one SIGHUP."""
        file.write_text(text)

        async def body() -> None:
            daemon._reload.set()
            reloading = asyncio.create_task(daemon._reloading())
            await asyncio.sleep(0)
            while daemon._reload.is_set() or daemon._taking.locked():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            reloading.cancel()

        asyncio.run(body())
        return daemon.configuration.as_json()["refused"]

    daemon._take_over = take_over  # type: ignore[method-assign]
    (told,) = reload(good.replace("asn: 64600", "asn: many"))
    assert told["problems"][0]["where"].startswith(f"{file}:")
    assert not taken
    assert reload(good) == []
    assert len(taken) == 1
    assert daemon.configuration.as_json()["changes"] == ["lf-r1: 1 route is accepted now"]

    async def refuse(*_: Any) -> None:
        raise CcnError(REFUSED)

    daemon._take_over = refuse  # type: ignore[method-assign]
    (told,) = reload(good)
    assert told["problems"][0]["what"] == REFUSED.what

    async def fail(*_: Any) -> None:
        raise ZeroDivisionError("of nothing")

    daemon._take_over = fail  # type: ignore[method-assign]
    (told,) = reload(good)
    assert "a fault of ours: ZeroDivisionError: of nothing" in told["problems"][0]["what"]
    assert daemon.configuration.counters()["refused"] == 3


def test_sessions_that_are_down_are_named_but_not_all_of_a_hundred(gateway: Any) -> None:
    session = gateway.sessions.peers["lf-r1"]
    session.end("the peer closed the connection")
    found = wrong(gateway)
    assert rows(gateway)["sessions"]["says"] == "2 of 3 up"
    assert "the peer closed the connection" in found["lf-r1"]
    for number in range(30):
        gateway.sessions.peers[f"x{number:02}"] = session
    found = wrong(gateway)
    assert len(found) < 15
    assert any("more" in says for says in found.values())


def test_what_the_forwarder_says_and_that_it_says_nothing(gateway: Any) -> None:
    gateway.counters = lambda: [
        Counter("uplink eth1", "link-down", 0),
        Counter("uplink eth1", "router-silent", 1),
        Counter("drop", "no-vm", 7),
        Counter("drop", "no-route", 9),
    ]

    def hit(reason: str, ago: float) -> Offender:
        ends = Ip.parse("10.1.0.10"), Ip.parse("10.2.0.77")
        host = Ip.parse("192.0.2.101")
        return Offender(reason, True, time.time() - ago, "eth1", 1, host, 0, *ends)

    gateway.offenders = lambda ccsi=0: [hit("no-vm", 3), hit("no-route", 300)]
    assert "router" in wrong(gateway)["uplink eth1"]
    assert rows(gateway)["drops"]["state"] == "note"
    assert "no-vm" in rows(gateway)["drops"]["says"]
    assert "10.1.0.10 to 10.2.0.77 from 192.0.2.101" in rows(gateway)["drops"]["says"]
    assert "no-route" not in rows(gateway)["drops"]["says"], "that was five minutes ago"

    def gone() -> Any:
        raise UnreachableError(Problem("f.sock", "the forwarder is being restarted"))

    gateway.counters = gone
    assert "being restarted" in wrong(gateway)["forwarder"]
    gateway.forwarder, gateway.counters = "none", list
    assert rows(gateway)["forwarder"]["state"] == "note"


def test_a_forwarder_that_was_lost_lately_is_told(gateway: Any) -> None:
    gateway.lost = Lost(2, time.time() - 90, "forwarder 17 was gone")
    row = rows(gateway)["forwarder"]
    assert row["state"] == "note" and "lost 2 times" in row["says"]
    gateway.lost = Lost(2, time.time() - 7200, "forwarder 17 was gone")
    assert rows(gateway)["forwarder"]["state"] == "ok"


def test_a_speaker_that_was_stopped_is_told(gateway: Any) -> None:
    """Its sessions look as they did: who would say that they have ended?"""
    sleeper = subprocess.Popen(["sleep", "60"])
    gateway.sessions.speakers.running = {"idcs": SimpleNamespace(name="idcs", pid=sleeper.pid)}
    try:
        assert wrong(gateway) == {}
        sleeper.send_signal(signal.SIGSTOP)
        os.waitpid(sleeper.pid, os.WUNTRACED)
        assert f"ExaBGP (pid {sleeper.pid}) was stopped" in wrong(gateway)["speaker idcs"]
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_session_that_came_back_just_now_is_told_with_its_reason(gateway: Any) -> None:
    session = gateway.sessions.peers["lf-r1"]
    assert "lf-r1" not in rows(gateway)
    session.last_reason = "NOTIFICATION received: Cease / Administrative Reset"
    row = rows(gateway)["lf-r1"]
    assert row["state"] == "note" and "Administrative Reset" in row["says"]
    session.since -= 3600
    assert "lf-r1" not in rows(gateway)


def test_commits_that_fail_and_recordings_that_ended(gateway: Any) -> None:
    gateway.trouble = "forwarder: is full"
    gateway.recorder.failed = "/var/x.mrt: No space left on device"
    found = wrong(gateway)
    assert "is full" in found["commits"]
    assert "No space left" in found["recording"]
    gateway.sessions.holding_back = True
    assert "End-of-RIB" in rows(gateway)["tables"]["says"]


def test_findings_are_counted(gateway: Any) -> None:
    finding = Finding(rule="owned-space", message="lf-r1 announces 10.1.0.0/16", where="")
    gateway.proved.findings = (finding,)
    assert "1 error" in wrong(gateway)["findings"]


def test_as_text(gateway: Any, capsys: pytest.CaptureFixture[str]) -> None:
    draw("status", status(gateway, {}))
    assert "all is well" in capsys.readouterr().out
    gateway.configuration.refused("topology", [REFUSED])
    draw("status", status(gateway, {}))
    out = capsys.readouterr().out
    assert "! configuration" in out
    assert "t.yaml:3:7" in out
    assert "all is well" not in out


def test_an_inventory_that_is_refused_is_told_until_it_is_mended(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "EVERY", 0.01)
    inventory = file.parent / "vms.csv"
    good = "vpc,ip,mac,host\nweb,10.1.0.44,02:00:00:00:00:44,192.0.2.101\n"
    inventory.write_text(good)
    file.write_text(file.read_text() + "inventory: [vms.csv]\n")
    intent = read_intent(file, "bj-gw1")
    configuration = Configuration(file)
    taken: list[Any] = []

    async def take_over(_: Any, renewed: Any) -> None:
        taken.append(renewed)
        configuration.inventory_accepted()

    async def until(holds: Any) -> None:
        for _ in range(500):
            if holds():
                return
            await asyncio.sleep(0.01)
        pytest.fail("it did not happen")

    async def body() -> None:
        watch = renewal.InventoryWatch(lambda: intent, take_over, configuration)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0.03)
        inventory.write_text(good + "web,10.1.0.300,02:00:00:00:00:45,192.0.2.101\n")
        await until(lambda: configuration.refusals)
        (problem,) = configuration.refusals["inventory"].problems
        assert problem.where.startswith(f"{inventory}:3:")
        assert not taken
        inventory.write_text(good + "web,10.1.0.45,02:00:00:00:00:45,192.0.2.101\n")
        await until(lambda: taken)
        assert not configuration.refusals
        watching.cancel()

    asyncio.run(body())
