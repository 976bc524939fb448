"""The wire contract as Python sees it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from ccn_bgp.errors import CcnError, UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.process import find_forwarder, forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import Flag, MessageType, NakCode

SOURCE = Path(__file__).parents[2] / "dataplane" / "ccn_wire.h"


def test_every_constant_of_the_header_is_known():
    assert wire.missing_constants() == frozenset()
    assert (wire.VERSION, wire.MAGIC, wire.MAX_MESSAGE) == (5, 0x314E4343, 1 << 24)


def test_the_package_holds_the_header_of_the_source():
    declared = re.findall(r"^\s*(CCN_\w+)\s*=\s*(0x[0-9a-f]+|\d+)", SOURCE.read_text(), re.M)
    assert len(declared) > 35
    for name, value in declared:
        assert getattr(wire._lib, name) == int(value, 0), f"{name}: run `make setup`"


def test_dtypes_have_no_holes():
    for dtype in {*wire.ANSWERS.values(), wire.HEADER, wire.HELLO, wire.BEGIN, wire.COMMIT}:
        end = 0
        for name in dtype.names:
            field, offset = dtype.fields[name][:2]
            assert offset == end, f"{name}: padding must be explicit"
            end = offset + field.itemsize
        assert end == dtype.itemsize


def test_octets_keep_nuls():
    row = np.zeros(1, wire.ROUTE)
    row["prefix"] = wire.octets(b"\x0a\x00\x00\x00", 16)
    row["next_hop"] = 0x01020304
    assert row["prefix"][0].tobytes() == b"\x0a" + bytes(15)
    assert row.tobytes()[4:8] == b"\x04\x03\x02\x01"
    with pytest.raises(ValueError, match="more than 4 octets"):
        wire.octets(b"12345", 4)


class Script(threading.Thread):
    """A forwarder that says what it is told to, and keeps what it heard."""

    def __init__(self, path: Path, *answers: bytes) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.answers = list(answers)
        self.heard: list[tuple[int, int, bytes]] = []
        self.start()

    def run(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with contextlib.suppress(ConnectionError):  # who gives up does not listen
                self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while head := stream.read(16):
            header = np.frombuffer(head, wire.HEADER)[0]
            body = stream.read(int(header["length"]) - 16)
            kind = int(header["type"])
            self.heard.append((kind, int(header["flags"]), head + body))
            if kind == MessageType.HELLO:
                connection.sendall(hello_ack())
            elif kind < 16 and kind != MessageType.BEGIN:
                connection.sendall(self.answers.pop(0))


def message(kind: int, record: np.ndarray) -> bytes:
    header = np.zeros(1, wire.HEADER)
    header["length"], header["type"] = 16 + record.nbytes, kind
    header["count"] = len(record)
    return header.tobytes() + record.tobytes()


def hello_ack(**fields: object) -> bytes:
    record = np.zeros(1, wire.HELLO_ACK)
    record["magic"], record["version"], record["sizes"] = wire.MAGIC, wire.VERSION, wire.SIZES
    record["generation"], record["pid"] = 4, 77
    record["digest"] = wire.octets(b"tables", 32)
    return message(MessageType.HELLO_ACK, record)


def ack(generation: int) -> bytes:
    record = np.zeros(1, wire.ACK)
    record["generation"] = generation
    return message(MessageType.ACK, record)


def nak(code: NakCode, text: bytes) -> bytes:
    record = np.zeros(1, wire.NAK)
    record["code"], record["generation"], record["record"] = code, 4, 3
    record["text"] = wire.octets(text, 112)
    return message(MessageType.NAK, record)


def test_a_commit_is_chunked_and_summed(tmp_path):
    script = Script(tmp_path / "s", ack(5))
    routes = np.zeros(1_000_000, wire.ROUTE)
    routes["next_hop"] = np.arange(len(routes))
    with ForwarderClient.connect(tmp_path / "s") as client:
        assert client.hello == (4, b"tables".ljust(32, b"\0"), 77)
        records = [(MessageType.ROUTE, Flag.DELETE, routes)]
        assert client.commit(4, 5, records, b"new", full=True) == 5
        assert client.hello.generation == 5
    kinds = [(kind, flags) for kind, flags, _ in script.heard[1:]]
    assert kinds == [
        (MessageType.BEGIN, Flag.FULL),
        (MessageType.ROUTE, Flag.DELETE),
        (MessageType.ROUTE, Flag.DELETE),
        (MessageType.COMMIT, 0),
    ]
    sent = [octets for kind, _, octets in script.heard if kind == MessageType.ROUTE]
    assert all(len(octets) <= wire.MAX_MESSAGE for octets in sent)
    assert b"".join(octets[16:] for octets in sent) == routes.tobytes()
    end = np.frombuffer(script.heard[-1][2][16:], wire.COMMIT)[0]
    assert int(end["crc"]) == zlib.crc32(b"".join(sent))


def test_a_transaction_of_which_a_part_cannot_be_made_is_given_up(tmp_path):
    script = Script(tmp_path / "s", ack(5))
    routes = np.zeros(3, wire.ROUTE)
    good = (MessageType.ROUTE, 0, routes)
    with ForwarderClient.connect(tmp_path / "s") as client:
        with pytest.raises(ValueError, match="VM: records have dtype"):
            client.commit(4, 5, [good, (MessageType.VM, 0, routes)], b"never", full=False)
        assert client.commit(4, 5, iter([good]), b"new", full=False) == 5
    begun = [MessageType.HELLO, MessageType.BEGIN, MessageType.ROUTE]
    assert [kind for kind, _, _ in script.heard] == [*begun, *begun, MessageType.COMMIT]


def test_a_transaction_is_prepared_and_finished_or_given_up(tmp_path):
    script = Script(tmp_path / "s", ack(4), ack(5), ack(5))
    routes = np.zeros(3, wire.ROUTE)
    with ForwarderClient.connect(tmp_path / "s") as client:
        client.prepare(4, 5, [(MessageType.ROUTE, 0, routes)])
        assert client.hello.generation == 4
        assert client.finish(b"new") == 5
        assert client.hello.generation == 5
        assert client.hello.digest == b"new".ljust(32, b"\0")
        client.prepare(5, 6, [])
        client.give_up()
        client.give_up()  # of nothing
        assert client.hello.generation == 4, "greeted anew"
    kinds = [kind for kind, _, _ in script.heard[1:6]]
    begin, prepare, commit = MessageType.BEGIN, MessageType.PREPARE, MessageType.COMMIT
    assert kinds == [begin, MessageType.ROUTE, prepare, commit, begin]
    prepared, ended = (np.frombuffer(script.heard[n][2][16:], wire.COMMIT)[0] for n in (3, 4))
    assert prepared["crc"] == ended["crc"]
    assert prepared["digest"].tobytes() == bytes(32), "it may be found out meanwhile"


def test_what_was_prepared_may_be_refused(tmp_path):
    Script(tmp_path / "s", nak(NakCode.MEMORY, b"full"), nak(NakCode.SEQUENCE, b"no BEGIN"), ack(4))
    with ForwarderClient.connect(tmp_path / "s") as client:
        client.prepare(4, 5, [])
        with pytest.raises(Nak, match=r"refused \(memory\): full"):
            client.finish(b"new")
        assert client.counters() == []


def test_a_refusal_is_an_error_and_the_connection_lives_on(tmp_path):
    Script(tmp_path / "s", nak(NakCode.BASE, b"stale"), ack(4))
    with ForwarderClient.connect(tmp_path / "s") as client:
        with pytest.raises(Nak, match=r"forwarder: refused \(base\): stale") as refused:
            client.commit(3, 5, [], b"", full=False)
        assert (refused.value.generation, refused.value.record) == (4, 3)
        assert client.counters() == []


def test_answers_out_of_turn_are_faults(tmp_path):
    Script(tmp_path / "s", ack(4))
    with (
        ForwarderClient.connect(tmp_path / "s") as client,
        pytest.raises(CcnError, match="answered ACK instead of LOOKUP_RESULT"),
    ):
        client.lookup(1, bytes(4))


def test_nobody_there_is_unreachable(tmp_path):
    with pytest.raises(UnreachableError, match="is ccn-forwarder running"):
        ForwarderClient.connect(tmp_path / "nothing")
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "silent"))
    silent.listen()
    with pytest.raises(UnreachableError, match="does not answer"):
        ForwarderClient.connect(tmp_path / "silent", timeout=0.05)


def test_the_command_line(tmp_path, monkeypatch):
    command = forwarder_command(
        Path("/run/x"), {"eth1": "auto:eth1"}, binary=Path("/b"), name="gw", extra=["--once"]
    )
    assert command == "/b --socket /run/x --port eth1=auto:eth1 --name gw --once".split()
    monkeypatch.setenv("CCN_FORWARDER", "/elsewhere")
    assert find_forwarder() == Path("/elsewhere")
    monkeypatch.delenv("CCN_FORWARDER")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CcnError, match="not found"):
        find_forwarder()
    (tmp_path / "ccn-forwarder").touch()
    assert find_forwarder() == tmp_path / "ccn-forwarder"


def test_a_forwarder_that_gives_up_says_why(tmp_path):
    failing = ["sh", "-c", "echo 'ccn-forwarder: no luck (try again)' >&2; exit 1"]
    with pytest.raises(CcnError, match="no luck"):
        start_forwarder(failing, tmp_path / "s", tmp_path / "log")
    with pytest.raises(UnreachableError, match="did not answer"):
        start_forwarder(["sleep", "9"], tmp_path / "s", tmp_path / "log", timeout=0.1)
    with pytest.raises(CcnError, match="cannot be started"):
        start_forwarder([str(tmp_path / "none")], tmp_path / "s", tmp_path / "log")
