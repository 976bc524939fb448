"""The run directory: whatever an earlier gateway left there, `ccn show` finds the one that runs."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ccn_bgp.observe import api


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(api, "RUN", tmp_path / "run")
    return tmp_path / "run"


def left_behind(run: Path) -> Path:
    """What `ccn run` without --state leaves when it is killed."""
    place = run / "gw1"
    place.mkdir(parents=True)
    (place / "lock").touch()
    (place / "gateway.log").write_text("the reason")
    (place / "api.sock").touch()
    return place


def state_of(tmp_path: Path) -> Path:
    state = tmp_path / "lab" / "gw1"
    state.mkdir(parents=True)
    (state / "api.sock").touch()
    return state


def test_the_state_of_an_ended_run_makes_way_and_is_kept(run: Path, tmp_path: Path) -> None:
    place = left_behind(run)
    state = state_of(tmp_path)
    assert api.register("gw1", state)
    assert place.readlink() == state
    assert (run / "gw1.before" / "gateway.log").read_text() == "the reason"
    assert api.running() == ["gw1"]
    api.unregister("gw1", state)
    assert api.running() == []


def test_nothing_but_a_lock_is_not_worth_keeping(run: Path, tmp_path: Path) -> None:
    (run / "gw1").mkdir(parents=True)
    (run / "gw1" / "lock").touch()
    assert api.register("gw1", state_of(tmp_path))
    assert [p.name for p in run.iterdir()] == ["gw1"]
    assert (run / "gw1").is_symlink()


def test_only_the_last_one_is_kept(run: Path, tmp_path: Path) -> None:
    state = state_of(tmp_path)
    for text in ("first", "second"):
        (left_behind(run) / "gateway.log").write_text(text)
        assert api.register("gw1", state)
        api.unregister("gw1", state)
    assert [p.name for p in run.iterdir()] == ["gw1.before"]
    assert (run / "gw1.before" / "gateway.log").read_text() == "second"


def test_a_gateway_that_is_starting_keeps_its_place(run: Path, tmp_path: Path) -> None:
    place = left_behind(run)
    with (place / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        api.register("gw1", state_of(tmp_path))
        assert place.is_dir() and not place.is_symlink()


def test_a_directory_that_is_not_ours_is_left_alone(run: Path, tmp_path: Path) -> None:
    place = run / "gw1"
    place.mkdir(parents=True)
    (place / "notes").write_text("mine")
    api.register("gw1", state_of(tmp_path))
    assert (place / "notes").read_text() == "mine"
