"""The demo topology as a lab: real forwarders, ExaBGP, FRR, VXLAN hosts, and stamped probes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.lab import netns, traffic
from ccn_bgp.lab.layout import lab_prefix
from ccn_bgp.lab.members import members, pairs
from ccn_bgp.lab.probe import Prober
from ccn_bgp.lab.state import Lab, read_lab

pytestmark = pytest.mark.smoke

SOURCE = Path(__file__).parents[2]
NAME = "smoke-lab"


def ccn(*words: str, lab: Lab | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    if lab is not None:
        environment["CCN_RUN_DIR"] = str(lab.directory / "gateways")
    return subprocess.run(
        [sys.executable, "-m", "ccn_bgp.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def show(lab: Lab, gateway: str, what: str) -> Any:
    done = ccn("show", what, "--gateway", gateway, "--json", lab=lab)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def topology_file(directory: Path) -> Path:
    """The demo topology under a name of its own, beside its policies."""
    shutil.copytree(SOURCE / "topologies" / "policies", directory / "policies")
    file = directory / "smoke.yaml"
    text = (SOURCE / "topologies" / "two-regions.yaml").read_text()
    file.write_text(text.replace("name: two-regions", f"name: {NAME}"))
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return topology_file(tmp_path_factory.mktemp("topology"))


@pytest.fixture(scope="module")
def lab(file: Path) -> Iterator[Lab]:
    done = ccn("lab", "up", str(file))
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        found = read_lab(NAME)
        assert found is not None
        yield found
    finally:
        done = ccn("lab", "down", str(file))
    assert done.returncode == 0, done.stderr
    nothing_left()


def nothing_left() -> None:
    assert netns.present(lab_prefix(NAME)) == []
    assert not (Path("/run/ccn/lab") / NAME).exists()
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if readable(p)]
    assert [c for c in commands if f"/run/ccn/lab/{NAME}/".encode() in c] == []
    links = Path("/run/ccn").iterdir() if Path("/run/ccn").is_dir() else ()
    assert [p for p in links if p.is_symlink() and NAME in str(p.readlink())] == []


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def checked(file: Path, *options: str) -> dict[str, Any]:
    done = ccn("lab", "check", str(file), "--json", *options)
    document = json.loads(done.stdout)
    assert (done.returncode == 0) == document["ok"], done.stderr
    assert isinstance(document, dict)
    return document


def bad_pairs(document: dict[str, Any]) -> list[str]:
    return [
        f"{p['from']} -> {p['to-address']}: {p['lost']}/{p['sent']} {p['longest-outage']} s"
        for p in document["pairs"]
        if p["lost"]
    ]


def test_ten_thousand_probes_each_way_and_no_foreign_stamp(lab: Lab, file: Path) -> None:
    document = checked(file, "--probes", "10000")
    assert bad_pairs(document) == []
    assert document["foreign"] == []
    assert document["control"]["seen"] == document["control"]["sent"] > 0
    for ccn_name in ("retail", "finance"):
        sent = sum(p["sent"] for p in document["pairs"] if p["ccn"] == ccn_name)
        assert sent >= 20_000


def test_frr_sees_the_as_paths(lab: Lab) -> None:
    layout = lab.layout()
    for router in ("lf-r1", "tj-r1"):
        routes = traffic.frr_routes(lab, layout, router, 4)
        assert routes["10.1.0.0/16"] == ["64601"]
        assert routes["10.2.0.0/16"] == ["64601 64602"]


def test_status_shows_everything_up(lab: Lab, file: Path) -> None:
    done = ccn("lab", "status", str(file), "--json")
    document = json.loads(done.stdout)
    assert document["up"], done.stdout
    states = [s["state"] for rows in document["sessions"].values() for s in rows]
    assert len(states) >= 4
    assert set(states) == {"established"}


def test_exec_enters_a_node(lab: Lab) -> None:
    done = ccn("lab", "exec", "--lab", NAME, "lf-r1", "--", "vtysh", "-c", "show bgp summary")
    assert "64601" in done.stdout
    done = ccn("lab", "exec", "--lab", NAME, "lf-r2", "--", "true")
    assert done.returncode == 2
    assert "did you mean lf-r1?" in done.stderr


def test_a_lab_that_is_up_says_so(lab: Lab, file: Path) -> None:
    done = ccn("lab", "up", str(file))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is up already" in done.stderr


def test_a_prefix_behind_a_vm_follows_it_within_a_second(lab: Lab) -> None:
    layout = lab.layout()
    found = members(layout)
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
            done = ccn("lab", "move-vm", "--lab", NAME, "orders:10.2.0.10", "--to", host)
            thread.join()
            assert done.returncode == 0, done.stderr
            (one,) = runs.pop().pairs
            assert one.longest_outage <= 1.0, f"to {host}: {one.longest_outage:.2f} s"
            assert one.arrived[-1], f"to {host}: nothing arrives any more"


@pytest.mark.parametrize("part", ["speaker", "gateway", "forwarder"])
def test_each_process_is_restartable_alone(lab: Lab, file: Path, part: str) -> None:
    before = {name: show(lab, name, "digest")["digest"] for name in ("bj-gw1", "hk-gw1")}
    done = ccn("lab", "kill", "--lab", NAME, f"bj-gw1/{part}", "--signal", "9")
    assert done.returncode == 0, done.stderr
    document = checked(file, "--max-loss", "2s", "--probes", "5000")
    assert document["ok"], bad_pairs(document)
    if part != "forwarder":
        assert bad_pairs(document) == []
    deadline = time.monotonic() + 45
    while True:
        after = {name: digest_or_none(lab, name) for name in before}
        if after == before or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert after == before


def digest_or_none(lab: Lab, gateway: str) -> str | None:
    done = ccn("show", "digest", "--gateway", gateway, "--json", lab=lab)
    if done.returncode:
        return None
    document = json.loads(done.stdout)
    return str(document["digest"]) if document["converged"] else None


def test_a_crash_half_way_leaves_nothing_after_down(tmp_path: Path, file: Path) -> None:
    text = file.read_text().replace(f"name: {NAME}", f"name: {NAME}-crash")
    shutil.copytree(file.parent / "policies", tmp_path / "policies")
    crash = tmp_path / "crash.yaml"
    crash.write_text(text)
    prefix = lab_prefix(f"{NAME}-crash")
    for pause in (0.0, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-m", "ccn_bgp.cli.main", "lab", "up", str(crash)],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not netns.present(prefix) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert netns.present(prefix)
        for _ in range(2):
            done = ccn("lab", "down", str(crash))
            assert done.returncode == 0, done.stderr
            assert netns.present(prefix) == []
            assert not any(netns.processes(prefix).values())
            assert not (Path("/run/ccn/lab") / f"{NAME}-crash").exists()
