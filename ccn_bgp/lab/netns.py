"""Network namespaces and the processes in them: in come names and scripts, out comes what ran.

Every side effect of the lab on the kernel is here, except the probes' sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ccn_bgp.errors import CcnError, Problem

_RUN = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
# a builder that is killed takes its helpers along, so that `lab down` finds a lab at rest
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


def present(prefix: str) -> list[str]:
    """Namespaces that begin with ``prefix``, by name."""
    try:
        return sorted(entry.name for entry in _RUN.iterdir() if entry.name.startswith(prefix))
    except FileNotFoundError:
        return []


def batch(lines: Sequence[str]) -> None:
    """Run ``ip`` commands from the root namespace, all in one process; the first fault ends it."""
    done = subprocess.run(
        [*_DIES_WITH_US, "ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise CcnError(Problem("ip -batch", _first_line(done.stderr)))


def run(netns: str, script: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a shell script in a namespace and return its output. CcnError: a command failed."""
    done = subprocess.run(
        [*_DIES_WITH_US, "ip", "netns", "exec", netns, "sh", "-eu"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise CcnError(Problem(f"namespace {netns}", _first_line(done.stderr or done.stdout)))
    return done.stdout


def spawn(
    netns: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Start a process that outlives us in a namespace; output goes to ``log``. Returns its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["ip", "netns", "exec", netns, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    return process.pid


def processes(prefix: str) -> dict[str, list[int]]:
    """Pids per namespace whose name begins with ``prefix``; one pass over /proc."""
    names: dict[tuple[int, int], str] = {}
    for name in present(prefix):
        with contextlib.suppress(OSError):
            status = (_RUN / name).stat()
            names[status.st_dev, status.st_ino] = name
    found: dict[str, list[int]] = {name: [] for name in names.values()}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{entry.name}/ns/net")  # noqa: PTH116 - thousands of them
                key = (status.st_dev, status.st_ino)
                if key in names:
                    found[names[key]].append(int(entry.name))
    return found


def end_processes(prefix: str, patience: float = 5.0) -> list[int]:
    """Kill everything in the namespaces of ``prefix``; what is still there after ``patience``
    seconds is returned."""
    deadline = time.monotonic() + patience
    while True:
        pids = [pid for found in processes(prefix).values() for pid in found]
        if not pids or time.monotonic() > deadline:
            return pids
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)


def delete(names: Sequence[str]) -> None:
    """Delete namespaces, and with them every device in them."""
    if names:
        batch([f"netns del {name}" for name in names])


def send_signal(pid: int, number: int) -> bool:
    """Signal a process; False if it has gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def alive(pid: int) -> bool:
    """True if this process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


@contextlib.contextmanager
def entered(netns: str) -> Iterator[None]:
    """This thread inside a namespace; sockets made here stay there. CcnError: no such namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            target = os.open(_RUN / netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CcnError(
                Problem(f"namespace {netns}", "is not there", "ccn lab status")
            ) from error
        try:
            if libc.setns(target, _CLONE_NEWNET):
                code = ctypes.get_errno()
                raise CcnError(
                    Problem(f"namespace {netns}", f"cannot be entered: {os.strerror(code)}")
                )
            yield
        finally:
            libc.setns(home, _CLONE_NEWNET)
            os.close(target)
    finally:
        os.close(home)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "failed without a word"
