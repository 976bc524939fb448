"""The forwarder itself, built with AddressSanitizer and UBSan, under frames of every kind.

It is held to the plain model like the ordinary one (tests/smoke/forwarder/test_model.py), and must
read and write its own memory only, and give all of it back; the C unit tests likewise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
BUILD = SOURCE / "build" / "sanitized"
MODEL = SOURCE / "tests" / "smoke" / "forwarder" / "test_model.py"
TOOLS = Path(sys.executable).parent
UBSAN = "halt_on_error=1:print_stacktrace=1"
SETUP = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dbuildtype=plain"]


def run(command, timeout, **environment):
    """Its output; it must end well."""
    done = subprocess.run(
        command,
        cwd=SOURCE,
        env={**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the built forwarder. gcc's warnings are no errors here: with sanitizers it
    sees ranges that there are not."""
    if not (BUILD / "build.ninja").exists():
        run(["meson", "setup", BUILD, SOURCE, *SETUP, "-Dwerror=false"], 120)
    run(["ninja", "-C", BUILD], 900)
    return BUILD / "dataplane"


def check_model(built, directory, examples, which, timeout):
    log = directory / "report"
    run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", MODEL, *which],
        timeout,
        CCN_FORWARDER=str(built / "ccn-forwarder"),
        CCN_MODEL_EXAMPLES=str(examples),
        ASAN_OPTIONS=f"log_path={log}:detect_leaks=1",
        UBSAN_OPTIONS=f"log_path={log}:print_stacktrace=1",
    )
    reports = [file.read_text() for file in directory.glob("report*")]
    assert not reports, reports[0][-6000:]


@pytest.mark.smoke
def test_some_frames(built, tmp_path):
    check_model(built, tmp_path, 2, ["-m", "not long"], 300)


@pytest.mark.smoke
@pytest.mark.long
def test_many_frames(built, tmp_path):
    check_model(built, tmp_path, 10, [], 3600)


@pytest.mark.parametrize("name", sorted(f.stem for f in SOURCE.glob("dataplane/*_test.c")))
def test_c_unit_tests(built, name):
    """With leaks; commit_test tries fewer transactions than in `meson test`."""
    run([built / name, "600"], 300, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS=UBSAN)


@pytest.mark.long
def test_more_transactions(built):
    run([built / "commit_test"], 3600, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS=UBSAN)
