"""The API of a running gateway: one JSON object per line over a unix socket, one line back.

In: ``{"command": "show", "what": "routes", "filters": {"ccn": "retail"}}``. Out: ``{"ok": true,
"result": …}`` or ``{"ok": false, "error": "one line"}``. The run directory maps a gateway's name to
its state directory, so that ``ccn show`` finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ccn_bgp.errors import CcnError, InputError, Problem, UnreachableError

log = logging.getLogger("ccn.api")

RUN = Path(os.environ.get("CCN_RUN_DIR", "/run/ccn"))
LONGEST_REQUEST = 65536
TIMEOUT = 60.0
PATIENCE = 5.0
KINDS = {"input": InputError, "unreachable": UnreachableError}
"""What the asker raises; anything else is a fault."""


class Api:
    """The answering side. A client that is slow or sends garbage loses only itself."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
        self.path = path
        self.answer = answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket file left by a killed gateway is replaced. CcnError if it cannot."""
        try:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(
                self._client, str(self.path), limit=LONGEST_REQUEST
            )
            self.path.chmod(0o660)
        except OSError as error:
            why = error.strerror or str(error)
            raise CcnError(
                Problem(str(self.path), f"cannot listen: {why}", "choose another --state")
            ) from None

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            while line := await asyncio.wait_for(reader.readline(), TIMEOUT):
                writer.write(json.dumps(await self._one(line)).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), TIMEOUT)
        writer.close()

    async def _one(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise InputError("a request is a JSON object")
            return {"ok": True, "result": await self.answer(request)}
        except InputError as error:
            return {"ok": False, "kind": "input", "error": str(error)}
        except UnreachableError as error:
            return {"ok": False, "kind": "unreachable", "error": str(error)}
        except CcnError as error:
            return {"ok": False, "kind": "fault", "error": str(error)}
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return {"ok": False, "kind": "input", "error": "the request is not JSON"}
        except Exception as error:
            # A question must never be what stops a gateway, nor go without an answer.
            log.exception("a fault of ours while answering %s", line[:200])
            what = f"a fault of ours: {type(error).__name__}: {error}"
            return {"ok": False, "kind": "fault", "error": " ".join(what.split())}


def register(name: str, state: Path) -> bool:
    """Make ``ccn show --gateway NAME`` find this state directory.

    False if another gateway of this name answers there: that one stays found. What an earlier
    ``ccn run`` without ``--state`` has left there, such as its logs, is kept as NAME.before.
    """
    place = RUN / name
    if state.absolute() == place.absolute():
        return True
    if place.resolve() != state.resolve() and _answers(place / "api.sock"):
        return False
    with contextlib.suppress(OSError):
        RUN.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            _make_way(place)
        if place.is_symlink() or not place.exists():
            place.unlink(missing_ok=True)
            place.symlink_to(state.absolute())
    return True


def _make_way(place: Path) -> None:
    """Set a state directory aside that no gateway holds; one that is starting keeps its place."""
    with (place / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = place.with_name(f"{place.name}.before")
        shutil.rmtree(before, ignore_errors=True)
        place.rename(before)
        for name in ("api.sock", "lock"):  # with its socket it would count as one that runs
            (before / name).unlink(missing_ok=True)
        if not any(before.iterdir()):
            before.rmdir()


def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1)
        sock.connect(str(path))
        return True
    return False


def unregister(name: str, state: Path) -> None:
    """Take the mapping away again, if it is ours."""
    place = RUN / name
    with contextlib.suppress(OSError):
        if place.is_symlink() and place.readlink() == state.absolute():
            place.unlink()


def running() -> list[str]:
    """Names of gateways with an API socket here, sorted."""
    if not RUN.is_dir():
        return []
    return sorted(p.name for p in RUN.iterdir() if (p / "api.sock").exists())


def _connect(sock: socket.socket, path: Path) -> None:
    """Connect; where a busy gateway's queue is full, come again for a few seconds. OSError."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return sock.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def ask(gateway: str | None, request: dict[str, Any]) -> Any:
    """Ask one gateway; None means the only one that runs here.

    UnreachableError: none runs, or it does not answer. InputError: several run and none was named,
    or the gateway says that the request makes no sense.
    """
    names = running()
    if gateway is None:
        if len(names) > 1:
            raise InputError(
                Problem("", "several gateways run here", "give --gateway " + "|".join(names))
            )
        if not names:
            raise UnreachableError(
                Problem(str(RUN), "no gateway runs here", "start one with `ccn run`")
            )
        gateway = names[0]
    path = RUN / gateway / "api.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            _connect(sock, path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
    except OSError as error:
        known = f"running: {', '.join(names)}" if names else "none runs here"
        raise UnreachableError(
            Problem(gateway, f"gateway does not answer: {error.strerror or error}", known)
        ) from None
    if not line:
        raise UnreachableError(Problem(gateway, "gateway closed the connection"))
    answer = json.loads(line)
    if not answer["ok"]:
        raise KINDS.get(answer.get("kind"), CcnError)(answer["error"])
    return answer["result"]
