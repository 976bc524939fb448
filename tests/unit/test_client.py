"""The control socket's client, against listeners that are slow to take it in."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.errors import UnreachableError
from ccn_bgp.forwarder import process, wire
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.wire import NakCode


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """A listener whose queue is full, of callers that have gone: connect() fails with EAGAIN."""
    path = tmp_path / "fwd.sock"
    waiting: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        with pytest.raises(BlockingIOError):
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(path))
        for sock in waiting:
            sock.close()
        yield path, listener


def test_a_full_queue_is_waited_for_until_the_timeout(crowded: tuple[Path, socket.socket]) -> None:
    path, _ = crowded
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="does not answer"):
        ForwarderClient.connect(path, timeout=0.3)
    assert 0.3 <= time.monotonic() - start < 10


def test_who_waits_gets_in_when_there_is_room(crowded: tuple[Path, socket.socket]) -> None:
    path, listener = crowded
    greeted: list[bytes] = []

    def serve() -> None:
        time.sleep(0.2)
        while len(greeted) < 3:
            caller, _ = listener.accept()
            with caller:
                caller.settimeout(10)
                if heard := caller.recv(1 << 16):
                    greeted.append(heard)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    # whom the listener hangs up on after his HELLO comes again, until his patience ends
    with pytest.raises(UnreachableError, match=r"closed|reset|[Bb]roken pipe|answer"):
        ForwarderClient.connect(path, timeout=1.5)
    server.join(20)
    assert len(greeted) == 3
    assert int.from_bytes(greeted[0][4:6], "little") == wire.MessageType.HELLO


def test_a_forwarder_of_another_version_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*words, **options))
        return started[-1]

    def refused(*_: object, **__: object) -> ForwarderClient:
        raise Nak(NakCode.VERSION, "built from another ccn_wire.h", 0)

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    monkeypatch.setattr(process.ForwarderClient, "connect", refused)
    with pytest.raises(Nak, match="another ccn_wire"):
        process.start_forwarder(["sleep", "60"], tmp_path / "s", tmp_path / "log")
    assert started[0].poll() is not None
