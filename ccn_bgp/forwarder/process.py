"""The forwarder's process: in comes what it shall serve, out goes the running ``ccn-forwarder``.

It is started in a session of its own, so that it survives the control plane and goes on forwarding.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ccn_bgp.errors import CcnError, Problem, UnreachableError
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.model.topology import ForwarderSettings


def find_forwarder() -> Path:
    """The binary: what CCN_FORWARDER names, else beside the running Python, else in PATH.

    CcnError if it is nowhere.
    """
    if named := os.environ.get("CCN_FORWARDER"):
        return Path(named)
    beside = Path(sys.executable).parent / "ccn-forwarder"
    if beside.is_file():
        return beside
    if found := shutil.which("ccn-forwarder"):
        return Path(found)
    raise CcnError(Problem("", "ccn-forwarder was not found", "run `make setup`"))


def forwarder_command(
    control_socket: Path,
    ports: Mapping[str, str],
    *,
    binary: Path | None = None,
    name: str = "",
    extra: Sequence[str] = (),
) -> list[str]:
    """The command line: ``ports`` maps names to SPECs (``ccn-forwarder --help``)."""
    command = [str(binary or find_forwarder()), "--socket", str(control_socket)]
    for port, spec in ports.items():
        command += ["--port", f"{port}={spec}"]
    if name:
        command += ["--name", name]
    return [*command, *extra]


def settings_arguments(settings: ForwarderSettings) -> list[str]:
    """What the topology file says of it, as arguments."""
    valued = {
        "--workers": settings.workers,
        "--cpu": settings.cpus,
        "--memory": settings.memory,
    }
    switched = {
        "--fan-out": settings.fan_out,
        "--busy-poll": settings.busy_poll,
        "--huge": settings.hugepages,
    }
    words = [word for name, value in valued.items() if value is not None for word in (name, value)]
    return [*map(str, words), *(name for name, on in switched.items() if on)]


def start_forwarder(
    command: Sequence[str], control_socket: Path, log: Path, timeout: float = 10.0
) -> subprocess.Popen[bytes]:
    """Start it and wait until its control socket answers.

    Its stderr is appended to ``log``. CcnError with its last line if it gives up, UnreachableError
    if it does not answer within ``timeout`` seconds (it is ended then).
    """
    try:
        with log.open("ab") as stderr:
            before = stderr.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
    except OSError as error:
        hint = "run `make setup`, or let CCN_FORWARDER name the binary"
        raise CcnError(Problem(command[0], f"cannot be started: {error.strerror}", hint)) from None
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CcnError(_last_line(log, before))
        try:
            with ForwarderClient.connect(control_socket, timeout=1.0) as client:
                # another forwarder may answer there: then ours is about to give up
                if client.hello.pid == process.pid:
                    return process
        except UnreachableError:
            pass
        except CcnError:  # it speaks another version: nobody could end it later
            _end(process)
            raise
        time.sleep(0.02)
    _end(process)
    raise UnreachableError(
        Problem(f"forwarder {control_socket}", f"did not answer within {timeout:g} s", f"see {log}")
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _last_line(log: Path, begin: int) -> str:
    """The last line after octet ``begin``: what an earlier run said is not the reason."""
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    return lines[-1] if lines else "ccn-forwarder ended without a word"
