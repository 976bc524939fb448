"""One run of the launcher as a child process, and the socket on which it calls back.

In: the files it works with. Out: a connected socket, a pid, and its last words when it has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import ccn_bgp
from ccn_bgp.errors import CcnError, InputError, Problem

READ = 256 << 10
_PACKAGES = Path(ccn_bgp.__file__).resolve().parents[1]
_PATH_LIMIT = 107  # sun_path without its final zero


def listen(path: Path) -> socket.socket:
    """A unix socket at ``path`` for the child alone; InputError if it cannot be."""
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise InputError(
            Problem(f"{path}", f"longer than {_PATH_LIMIT} octets", "choose a shorter --state")
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(os.fspath(path))
    path.chmod(0o600)
    listener.listen(1)
    return listener


async def receive(sock: socket.socket) -> bytes:
    """The next octets, or ``b""`` when the child is gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(sock, READ)
    except OSError:
        return b""


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal or a debugger, and does nothing."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in "Tt"


class Child:
    """A launcher that was started. It ends by itself when its socket is closed."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, err: Path) -> None:
        self._name = name
        self._process = process
        self._err = err

    @classmethod
    async def start(cls, name: str, files: Mapping[str, Path], restarting: bool) -> Child:
        """Start it in a session of its own: signals to the gateway's group are not for it."""
        arguments = [sys.executable, "-P", "-m", "ccn_bgp.session.launcher", "--name", name]
        for option, kind in (("--config", "conf"), ("--socket", "sock"), ("--log", "log")):
            arguments += [option, os.fspath(files[kind].absolute())]
        if restarting:
            arguments.append("--restarting")
        # ExaBGP takes settings from the environment; the package is found as we were found.
        environment = {k: v for k, v in os.environ.items() if not k.lower().startswith("exabgp")}
        paths = [os.fspath(_PACKAGES), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with files["err"].open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        files["pid"].write_text(f"{process.pid}\n")
        return cls(name, process, files["err"])

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True until its end has been noticed."""
        return self._process.returncode is None

    async def wait(self) -> None:
        """Until it has ended."""
        await self._process.wait()

    async def accept(self, listener: socket.socket) -> socket.socket:
        """Its connection, and nobody else's; CcnError if it ends before it calls."""
        loop = asyncio.get_running_loop()
        ended = asyncio.ensure_future(self._process.wait())
        try:
            while True:
                accepted = asyncio.ensure_future(loop.sock_accept(listener))
                await asyncio.wait((accepted, ended), return_when=asyncio.FIRST_COMPLETED)
                if not accepted.done():
                    accepted.cancel()
                    raise CcnError(self.last_words())
                sock, _ = accepted.result()
                credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if struct.unpack("3i", credentials)[0] == self.pid:
                    sock.setblocking(False)
                    return sock
                sock.close()
        finally:
            ended.cancel()

    def last_words(self) -> str:
        """One line: the last that it wrote, or how it ended."""
        try:
            lines = self._err.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        code = self._process.returncode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"speaker {self._name}: {lines[-1] if lines else f'ExaBGP ended, {how}'}"

    async def end(self) -> None:
        """After the socket was closed: let it go, wake it if it is stopped, kill it in the end."""
        for number in (signal.SIGCONT, signal.SIGKILL):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 2)
