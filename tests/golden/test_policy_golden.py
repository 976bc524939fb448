"""Every message of the policy reader, of lint, test, explain, eval and diff: one case, one file.

A file of ``tests/golden/policy`` is a command, the files that it reads, and what it says. To renew
after a wanted change: CCN_RENEW_GOLDEN=1 pytest tests/golden/test_policy_golden.py. A new case is a
file without its last part (``=== said``), renewed once and looked at.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import ccn_bgp
from ccn_bgp.cli.main import main

PACKAGE = Path(ccn_bgp.__file__).parent  # that which runs: the tree's or an installed one
CASES = sorted((Path(__file__).parent / "policy").glob("*.txt"))
SAYING = {"say", "say_key", "Problem", "Finding", "RouteError", "ValueError", "InputError"}
READ = (
    *sorted((PACKAGE / "policy").glob("*.py")),
    *sorted((PACKAGE / "cli").glob("policy*.py")),
    PACKAGE / "policy_files.py",
    PACKAGE / "source.py",
)


class Case(NamedTuple):
    """``files`` by name (``stdin`` is one of them); ``said`` None: not yet known."""

    command: str
    files: dict[str, bytes]
    said: str | None


def read(path: Path) -> Case:
    """Parts begin with ``=== NAME``; a part ``NAME (escaped)`` is written with Python's escapes,
    one ``gateway`` is what a gateway g answers, and one ``limits`` names bounds that are smaller
    here than they are."""
    parts: dict[str, str] = {}
    head, *rest = path.read_text().split("\n=== ")
    for part in rest:
        name, _, text = part.partition("\n")
        parts[name] = text + "\n" if not text.endswith("\n") else text
    said = parts.pop("said", None)
    files = {}
    for name, text in parts.items():
        plain, escaped, _ = name.partition(" (escaped)")
        raw = text.rstrip("\n").encode().decode("unicode_escape").encode("latin-1")
        files[plain] = raw if escaped else text.encode()
    return Case(head.removeprefix("=== "), files, said)


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[None]:
    """A gateway g that gives this answer once, if there is one."""
    if not answer:
        yield
        return
    path = Path("run") / "g" / "api.sock"
    path.parent.mkdir(parents=True)

    def answered() -> None:
        peer, _ = listener.accept()
        with peer, peer.makefile("rwb") as stream:
            stream.readline()
            stream.write(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answered, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(10)


class Run:
    """Cases run in a folder of their own, as an operator would."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def __call__(self, path: Path) -> str:
        case = read(path)
        here = self.folder / path.stem
        here.mkdir()
        for name, raw in case.files.items():
            if name == "gateway":
                continue
            file = here / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                file.mkdir()
            elif name.endswith(".pipe"):
                os.mkfifo(file)
            else:
                file.write_bytes(raw)
        self.monkeypatch.chdir(here)
        self.monkeypatch.setattr("ccn_bgp.observe.api.RUN", Path("run"))
        self.monkeypatch.setattr("sys.argv", shlex.split(case.command))
        stdin = io.TextIOWrapper(io.BytesIO(case.files.get("stdin", b"")))
        self.monkeypatch.setattr("sys.stdin", stdin)
        with self.monkeypatch.context() as limits, pytest.raises(SystemExit) as caught:
            for line in case.files.get("limits", b"").decode().splitlines():
                name, value = line.split()
                limits.setattr(name, int(value))
            with answering(case.files.get("gateway", b"")):
                main()
        out, err = self.capsys.readouterr()
        return f"{out}{err}exit {caught.value.code or 0}\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_said(run: Run, path: Path) -> None:
    found = run(path)
    case = read(path)
    if os.environ.get("CCN_RENEW_GOLDEN"):
        text = path.read_text().split("\n=== said\n")[0].rstrip("\n")
        path.write_text(f"{text}\n=== said\n{found}")
        case = read(path)
    assert found == case.said
    assert "Traceback" not in found
    assert str(run.folder) not in found


class Site(NamedTuple):
    """Where something is said of what an operator wrote."""

    file: Path
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.first}"


def sites(file: Path) -> Iterator[Site]:
    """Calls that make a message, but for those that pass one on (``Problem(where, str(error))``
    has its words from elsewhere, and is a site all the same)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in SAYING and node.args + node.keywords:  # type: ignore[operator]
                assert node.end_lineno is not None
                yield Site(file, node.lineno, node.end_lineno)


def test_every_message_has_a_case(run: Run) -> None:
    """Whoever adds a message adds a case to tests/golden/policy."""
    ran: set[tuple[str, int]] = set()
    watched = {str(file) for file in READ}

    def local(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "line":
            ran.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return local if frame.f_code.co_filename in watched else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for path in CASES:
            run(path)
    finally:
        sys.settrace(before)
    every = [site for file in READ for site in sites(file)]
    unsaid = [
        str(site)
        for site in every
        if not any((str(site.file), n) in ran for n in range(site.first, site.last + 1))
    ]
    assert len(every) > 100
    assert not unsaid, f"without a case in tests/golden/policy: {', '.join(unsaid)}"
