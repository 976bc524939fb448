"""Runs the coverage-guided fuzzer of the decoder, shortly here and for ten minutes in test-long."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_decode.py")
SOURCE = Path(__file__).parents[2]


def fuzz(directory: Path, seconds: int) -> None:
    specification = importlib.util.spec_from_file_location("fuzz_decode", TARGET)
    target = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(target)
    corpus = directory / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
        target.one_input(seed)
    done = subprocess.run(
        [sys.executable, TARGET, corpus, f"-max_total_time={seconds}", "-max_len=8192"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    crashes = [p.read_bytes().hex() for p in directory.glob("crash-*")]
    assert done.returncode == 0 and not crashes, f"{crashes}\n{done.stdout}\n{done.stderr[-4000:]}"
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > 100 * seconds, done.stderr[-2000:]


def test_ten_seconds(tmp_path):
    fuzz(tmp_path, 10)


@pytest.mark.long
def test_ten_minutes(tmp_path):
    fuzz(tmp_path, 600)
