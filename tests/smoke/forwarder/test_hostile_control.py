"""Clients of the control socket that mean no good, or mean well and are broken."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from ccn_bgp.errors import UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.wire import MessageType, NakCode, NextHopKind, Role

pytestmark = pytest.mark.smoke


@pytest.fixture
def served(forwarder, rows):
    path, process = forwarder({"p0": "null"})
    with ForwarderClient.connect(path) as client:
        client.commit(0, 5, tables(rows, 20_000), b"five", full=True)
        yield client, path, process


def tables(rows, routes):
    array = np.zeros(routes, wire.ROUTE)
    array["ccsi"], array["family"], array["length"] = 100, 4, 32
    numbers = (np.arange(routes, dtype=np.uint32) * 3 + 0x0B000000).astype(">u4")
    array["prefix"][:, :4] = numbers.view(np.uint8).reshape(-1, 4)
    return [
        rows.ccsi(100, "retail"),
        rows.interface(1, Role.UPLINK, "p0", "192.0.2.11/24"),
        rows.vni(10001, 100),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=10001),
        (MessageType.ROUTE, 0, array),
    ]


def message(kind, record=None):
    body = b"" if record is None else record.tobytes()
    header = np.zeros(1, wire.HEADER)
    header["length"], header["type"] = 16 + len(body), kind
    header["count"] = 0 if record is None else 1
    return header.tobytes() + body


def hello():
    record = np.zeros(1, wire.HELLO)
    record["magic"], record["version"], record["sizes"] = wire.MAGIC, wire.VERSION, wire.SIZES
    return message(MessageType.HELLO, record)


def connection(path):
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(15)
    found.connect(str(path))
    return found


def resident(process) -> int:
    """Octets of memory in use."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def test_a_thousand_questions_at_once_cost_no_memory(served):
    client, path, process = served
    before = resident(process)
    with connection(path) as greedy:
        greedy.sendall(hello() + message(MessageType.DUMP) * 1000)  # 640 MB of answers
        time.sleep(0.5)
        assert client.counters()
        assert resident(process) - before < 50 << 20
        # and each is answered once asked for
        wanted, data = 104 + 16, 0
        while data < 20 * 640_000 and (piece := greedy.recv(1 << 20)):
            data += len(piece)
        assert data > wanted


def hung_up_on(path) -> list[str]:
    """What the log says of clients."""
    lines = path.with_suffix(".log").read_text().splitlines()
    return [line for line in lines if "hung up on" in line]


def test_who_is_slow_is_hung_up_on_but_for_one_who_proves(served):
    client, path, _ = served
    with (
        connection(path) as lazy,
        connection(path) as mute,
        connection(path) as half,
        ForwarderClient.connect(path) as prover,
    ):
        lazy.sendall(hello() + message(MessageType.DUMP) * 3)
        half.sendall(hello()[:50])
        prover.prepare(5, 6, [])
        time.sleep(12)
        taken = 0
        with pytest.raises((ConnectionResetError, AssertionError)):
            while piece := lazy.recv(1 << 20):
                taken += len(piece)
            assert taken > 3 * 640_000, "hung up"
        assert mute.recv(1) == half.recv(1) == b""
        assert prover.finish(b"six") == 6
    assert client.counters()
    said = [line.rpartition(": ")[2] for line in hung_up_on(path)]
    assert sorted(said) == [
        "it does not say HELLO",
        "it does not say HELLO",
        "it does not take its answers",
    ]


def test_each_that_is_hung_up_on_has_a_line_in_the_log(served):
    _, path, _ = served
    begun = hello() + message(MessageType.BEGIN, begin(5, 6))
    cases = {
        hello() + b"\xff" * 64: "type, length and count of the header disagree",
        message(MessageType.STATS): "the first message must be HELLO",
        hello() + message(MessageType.ACK): "not a request",
        hello()[:9]: "it went in the middle of a message",
        begun: "it went in the middle of a transaction",
    }
    for number, (octets, reason) in enumerate(cases.items(), start=1):
        with connection(path) as sock:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        line = eventually(lambda n=number: hung_up_on(path)[n - 1 : n])[0]
        assert line.startswith("ccn-forwarder: control socket: client ")
        assert line.endswith(reason)
    for _ in range(3000):  # whoever knocks must not fill a disk
        with connection(path) as sock, contextlib.suppress(OSError):  # it may be one too many
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
    with ForwarderClient.connect(path) as other:
        assert other.hello.generation == 5
    assert len(hung_up_on(path)) < 100


def begin(base, following):
    record = np.zeros(1, wire.BEGIN)
    record["base"], record["next"] = base, following
    return record


def eventually(look):
    deadline = time.monotonic() + 5
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_silent_connections_do_not_keep_others_out(served):
    client, path, _ = served
    silent = [connection(path) for _ in range(100)]  # 32 are served: these are too many at once
    assert client.counters(), "who was there is served on"
    try:
        entered = let_in(path, patience=30)
    finally:
        for sock in silent:
            sock.close()
    assert entered == 5


def let_in(path, patience) -> int:
    """The generation seen by a client that tries again while it is hung up on."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with ForwarderClient.connect(path) as client:
                return client.hello.generation
        except UnreachableError:
            assert time.monotonic() < deadline, "nobody is let in"
            time.sleep(0.2)


def test_two_control_planes_cannot_mix_their_tables(served, rows):
    first, path, _ = served
    first.commit(5, 6, [], b"first", full=False)
    with ForwarderClient.connect(path) as second:
        # it counted on from what it saw before: of equal generations none would tell whose it is
        with pytest.raises(Nak) as refused:
            second.commit(5, 6, tables(rows, 3), b"second", full=True)
        assert (refused.value.code, refused.value.generation) == (NakCode.SEQUENCE, 6)
        second.commit(6, 7, tables(rows, 3), b"second", full=True)
    with pytest.raises(Nak) as refused:
        first.commit(6, 7, [], b"first", full=False)
    assert refused.value.code is NakCode.BASE
    assert first.hello.digest.startswith(b"second")


def test_a_question_about_no_ccsi_finds_nothing(served):
    client, _, _ = served
    address = socket.inet_aton("11.0.0.0")
    assert client.lookup(100, address)["found"] == 1
    assert client.lookup(100 + 65536, address)["found"] == 0


def test_connections_and_commits_leave_nothing_behind(served, rows):
    client, path, process = served
    descriptors = Path(f"/proc/{process.pid}/fd")
    before = len(list(descriptors.iterdir()))

    def change(generation):
        moved = [
            rows.vm(10001, f"10.1.{generation % 7}.1", "02:00:00:00:00:09", "192.0.2.101"),
            rows.next_hop(1 + generation % 5, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
            rows.interface(
                2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=1 + generation % 9, ccsi=100
            ),
            rows.route(100, f"10.9.{generation % 250}.0/24", 1 + generation % 5),
        ]
        client.commit(generation, generation + 1, moved, b"", full=False)

    for generation in range(5, 400):
        change(generation)
    settled = resident(process)
    for generation in range(400, 2500):
        change(generation)
        if generation % 10 == 0:
            with connection(path) as half:
                half.sendall(hello()[: generation % 100])
            with connection(path) as whole:
                whole.sendall(hello() + message(MessageType.STATS))
    assert resident(process) - settled < 4 << 20
    time.sleep(0.2)
    assert len(list(descriptors.iterdir())) == before
