"""What an operator does wrong with a lab: one line each, with the way out; nothing is touched."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ccn_bgp.cli.lab import app
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import CcnError, InputError
from ccn_bgp.lab import building, checking, moving, netns, state
from ccn_bgp.lab.layout import plan_layout
from ccn_bgp.lab.status import dead_parts

DEMO = Path(__file__).parents[2] / "topologies" / "two-regions.yaml"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for labs, on a machine without any."""
    monkeypatch.setattr(netns, "_RUN", tmp_path / "netns")
    monkeypatch.setattr(state, "ROOT", tmp_path / "lab")
    return tmp_path / "lab"


def a_lab(root: Path, name: str = "two-regions", phase: str = "up") -> state.Lab:
    """A lab on paper: its files without its namespaces."""
    directory = root / name
    directory.mkdir(parents=True)
    state.copy_topology(load_topology(DEMO), directory / "topology")
    fields = {
        "name": name,
        "prefix": "ccn-none-",
        "file": str(DEMO),
        "topology": "topology/two-regions.yaml",
        "phase": phase,
        "builder": os.getpid(),
    }
    (directory / "lab.json").write_text(json.dumps(fields))
    found = state.read_lab(name)
    assert found is not None
    return found


def lines(error: CcnError) -> list[str]:
    return [str(problem) for problem in error.problems]


def never(step: str, seconds: float) -> None:
    raise AssertionError(f"{step} was done after {seconds} s")


def test_no_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for action in (
        lambda: building.up(load_topology(DEMO), never),
        lambda: building.down("two-regions", "ccn-none-"),
    ):
        with pytest.raises(CcnError) as caught:
            action()
        assert lines(caught.value) == ["ccn lab: needs root for network namespaces (sudo)"]
    assert not root.exists()


def test_missing_programs_are_named_with_their_packages(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("CCN_FORWARDER", raising=False)
    monkeypatch.setattr(building.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(building.frr, "PROGRAMS", root / "nowhere")
    with pytest.raises(CcnError) as caught:
        building.up(load_topology(DEMO), never)
    found = lines(caught.value)
    assert "ip: command not found (apt-get install iproute2)" in found
    assert any(line.endswith("bgpd: not found (apt-get install frr)") for line in found)
    assert any(line.startswith("clang: ") for line in found)
    assert "ccn-forwarder: not found (make setup, or put it on PATH)" in found
    assert not root.exists()


def test_a_lab_that_is_being_built(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_lab(root, phase="building")
    monkeypatch.setattr(building, "_require", lambda _: None)
    with pytest.raises(CcnError, match=f"being built by process {os.getpid()}"):
        building.up(load_topology(DEMO), never)


def test_a_check_that_can_prove_nothing_is_no_success() -> None:
    topology = dataclasses.replace(load_topology(DEMO), ccns={})
    with pytest.raises(CcnError, match="no two members of a CCN"):
        checking.check(plan_layout(topology), 100, 0.0)


def test_which_lab(root: Path) -> None:
    with pytest.raises(CcnError, match=r"no lab is up \(ccn lab up FILE\)"):
        state.find_lab(None)
    one = a_lab(root)
    assert state.find_lab(None) == one
    assert state.lab_of_file(DEMO) == one
    with pytest.raises(CcnError, match="did you mean two-regions"):
        state.find_lab("two-region")
    a_lab(root, "second")
    with pytest.raises(CcnError, match=r"2 labs are up: second, two-regions \(give --lab\)"):
        state.find_lab(None)


def test_of_several_labs_the_one_that_has_it(root: Path) -> None:
    one, other = a_lab(root), a_lab(root, "second")
    text = other.topology_file.read_text()
    other.topology_file.write_text(
        text.replace("bj-gw1", "sz-gw1").replace("10.1.0.10", "10.1.0.9")
    )

    def of_node(name: str) -> state.Lab:
        return state.find_lab(None, lambda layout: state.has_node(layout, name))

    assert (of_node("bj-gw1"), of_node("sz-gw1")) == (one, other)
    with pytest.raises(CcnError, match=r"2 labs are up: second, two-regions \(give --lab\)"):
        of_node("hk-gw1")
    with pytest.raises(CcnError, match=r"none of the 2 labs .* second, two-regions \(give --lab"):
        of_node("nowhere")
    assert state.find_lab(None, lambda layout: moving.has_vm(layout, "web:10.1.0.10")) == one
    assert state.find_lab("second", lambda _: False) == other
    # one that is half made hides no other
    other.topology_file.write_text("name: [")
    assert of_node("hk-gw1") == one


def test_the_command_line_finds_the_lab_too(root: Path) -> None:
    one, other = a_lab(root), a_lab(root, "second")
    text = other.topology_file.read_text()
    other.topology_file.write_text(
        text.replace("bj-gw1", "sz-gw1").replace("10.1.0.10", "10.1.0.9")
    )
    mine = one.gateway_state("bj-gw1")
    mine.mkdir(parents=True)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (mine / "gateway.pid").write_text(f"{sleeper.pid}\n")
        done = CliRunner().invoke(app, ["kill", "bj-gw1/gateway", "--signal", "TERM"])
        assert done.exit_code == 0, done.output
        assert sleeper.wait(5) == -signal.SIGTERM
    finally:
        sleeper.kill()
        sleeper.wait()
    for words in (["kill", "sz-gw1/gateway"], ["exec", "sz-gw1", "--"]):
        done = CliRunner().invoke(app, words)
        assert "labs are up" not in str(done.exception), words
    done = CliRunner().invoke(app, ["move-vm", "web:10.1.0.9", "--to", "nowhere"])
    assert "is neither an address nor a host" in str(done.exception)


def test_a_state_file_that_is_no_state_file_is_no_lab(root: Path) -> None:
    a_lab(root)
    for text in ("", "{", "[]", '{"name": "x"}', "\0\0"):
        (root / "two-regions" / "lab.json").write_text(text)
        assert state.read_lab("two-regions") is None
        assert state.labs() == []


@pytest.mark.parametrize(
    ("which", "to", "says"),
    [
        ("web", "192.0.2.102", "is not VPC:IP"),
        ("web:10.1.0.300", "192.0.2.102", "is not an IP address"),
        ("web:10.1.0.11", "192.0.2.102", "did you mean web:10.1.0.10?"),
        ("wbe:10.1.0.10", "192.0.2.102", "did you mean web:10.1.0.10?"),
        ("web:10.1.0.10", "198.51.100.102", "no uplink subnet of region beijing"),
        ("web:10.1.0.10", "host-192-0-2-102", "did you mean host-192-0-2-101?"),
        ("web:10.1.0.10", "192.0.2.101", "is on host-192-0-2-101 already"),
    ],
)
def test_moves_that_make_no_sense(root: Path, which: str, to: str, says: str) -> None:
    lab = a_lab(root)
    before = lab.topology_file.read_bytes()
    with pytest.raises(InputError) as caught:
        moving.move_vm(lab, which, to)
    (line,) = lines(caught.value)
    assert says in line
    assert lab.topology_file.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("bj-gw2/speaker", "did you mean bj-gw1?"),
        ("lf-r1/gateway", "'lf-r1' is not a gateway"),
        ("bj-gw1/speakr", "speaker, gateway, forwarder"),
        ("bj-gw1", "speaker, gateway, forwarder"),
        ("bj-gw1/forwarder", "does not run"),
    ],
)
def test_kills_that_make_no_sense(root: Path, target: str, says: str) -> None:
    with pytest.raises(CcnError) as caught:
        moving.kill(a_lab(root), target, 9)
    (line,) = lines(caught.value)
    assert says in line


def test_pid_files_of_the_dead_count_for_nothing(root: Path) -> None:
    lab = a_lab(root)
    directory = lab.gateway_state("bj-gw1")
    directory.mkdir(parents=True)
    (directory / "gateway.pid").write_text("not a pid\n")
    (directory / "forwarder.pid").write_text("4194304999\n")
    (directory / "speaker-idcs.pid").write_text(f"{os.getpid()}\n")
    assert moving.part_pids(lab, "bj-gw1", "gateway") == []
    assert moving.part_pids(lab, "bj-gw1", "forwarder") == []
    assert moving.part_pids(lab, "bj-gw1", "speaker") == [os.getpid()]


def test_the_last_word_of_a_part_that_does_not_run(root: Path) -> None:
    lab = a_lab(root)
    directory = lab.gateway_state("bj-gw1")
    directory.mkdir(parents=True)
    (directory / "gateway.log").write_text(
        "started\nccn: port eth1: no such interface\nccn lab: ended with status 1, starting again\n"
    )
    found = {p.where: p.what for p in dead_parts(lab, plan_layout(load_topology(DEMO)))}
    assert found["bj-gw1/gateway"] == "does not run: ccn: port eth1: no such interface"
    assert found["lf-r1/bgpd"] == "does not run"
