"""The control socket of a real forwarder: what it refuses, what it keeps, who it outlives."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import zlib

import numpy as np
import pytest

from ccn_bgp.errors import CcnError, UnreachableError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.process import find_forwarder
from ccn_bgp.forwarder.wire import Flag, MessageType, NakCode, NextHopKind, Role, SourceFlag

pytestmark = pytest.mark.smoke

DELETE = Flag.DELETE


@pytest.fixture
def served(forwarder):
    path, process = forwarder({"p0": "null"})
    with ForwarderClient.connect(path) as client:
        yield client, path, process


def base_tables(rows):
    return [
        rows.ccsi(100, "retail"),
        rows.interface(1, Role.UPLINK, "p0", "192.0.2.11/24"),
        rows.interface(2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100),
        rows.vni(10001, 100),
        rows.vtep(10001, "192.0.2.101"),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(1, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.101"),
        rows.route(100, "10.1.0.0/16", 0),
        rows.route(100, "10.1.128.0/17", 1),
        rows.route(100, "fd00:1::/64", 0),
        rows.gateway_address(10001, "10.1.0.1"),
        rows.peer(2, "169.254.1.2"),
        rows.source(100, "172.16.0.0/16", 7, SourceFlag.GATEWAYS),
        rows.source(100, "fd00:172::/32", 7),
    ]


def group_tables(rows):
    """Slots 4 and 5 are two gateways, 6 spreads over them and the router in slot 1."""
    far = {"vni": 20100, "mac": "02:cc:c6:33:64:15"}
    return [
        *base_tables(rows),
        rows.next_hop(4, NextHopKind.REMOTE, ip="198.51.100.21", **far),
        rows.next_hop(5, NextHopKind.REMOTE, ip="198.51.100.22", **far),
        rows.group(6, (1, 1), (3, 4), (255, 5)),
        rows.route(100, "10.2.0.0/16", 6),
    ]


def removal(record):
    return (record[0], DELETE, record[2])


def dumped(client):
    return {kind: array.tobytes() for kind, array in client.dump().items()}


def test_a_commit_is_kept_and_dumped(served, rows):
    client, path, process = served
    assert client.hello == (0, bytes(32), process.pid)
    assert client.commit(0, 5, base_tables(rows), b"d5", full=True) == 5
    with ForwarderClient.connect(path) as other:
        assert other.hello == (5, b"d5".ljust(32, b"\0"), process.pid)
        held = other.dump()
    assert {kind.name: len(array) for kind, array in held.items()} == {
        "INTERFACE": 2,
        "CCSI": 1,
        "VNI": 1,
        "VTEP_NAME": 0,
        "VTEP": 1,
        "ACL_RULE": 0,
        "GATEWAY_ADDRESS": 1,
        "PEER": 1,
        "NEXT_HOP": 2,
        "NEXT_HOP_GROUP": 0,
        "VTEP_SET": 0,
        "VM": 1,
        "ROUTE": 3,
        "SOURCE": 2,
    }
    for kind, _, row in base_tables(rows):
        assert row.tobytes() in [r.tobytes() for r in held[kind]]
    # what was dumped can be committed again
    again = [(kind, 0, array) for kind, array in held.items()]
    before = dumped(client)
    assert client.commit(5, 6, again, b"d6", full=True) == 6
    assert dumped(client) == before


def test_lookup_says_what_a_packet_meets(served, rows):
    client, _, _ = served
    client.commit(0, 1, base_tables(rows), b"", full=True)
    found = client.lookup(100, socket.inet_aton("10.1.0.10"))
    assert (found["found"], found["vm_found"], found["route"]["length"]) == (1, 1, 16)
    assert found["vm"]["vtep"].tolist() == [192, 0, 2, 101]
    found = client.lookup(100, socket.inet_aton("10.1.200.1"))
    assert (found["route"]["length"], found["next_hop"]["kind"]) == (17, NextHopKind.NEIGHBOR)
    assert client.lookup(100, socket.inet_aton("10.3.0.1"))["found"] == 0
    assert client.lookup(9, socket.inet_aton("10.1.0.1"))["found"] == 0


def test_changes_replace_and_remove(served, rows):
    client, _, _ = served
    client.commit(0, 1, base_tables(rows), b"", full=True)
    before = dumped(client)
    more = [
        rows.next_hop(2, NextHopKind.DROP),
        rows.route(100, "10.1.128.0/17", 2),
        rows.route(100, "0.0.0.0/0", 2),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.102"),
        rows.vm(10001, "10.1.0.11", "02:00:0a:01:00:0b", "192.0.2.103"),
        rows.vtep(10001, "192.0.2.102"),
    ]
    client.commit(1, 2, more, b"", full=False)
    assert client.lookup(100, socket.inet_aton("10.1.0.10"))["vm"]["vtep"].tolist()[3] == 102
    assert client.lookup(100, socket.inet_aton("8.8.8.8"))["next_hop"]["kind"] == NextHopKind.DROP
    back = [removal(more[0]), removal(more[2]), removal(more[4]), removal(more[5])]
    back += [base_tables(rows)[9], base_tables(rows)[7]]
    client.commit(2, 3, back, b"", full=False)
    assert dumped(client) == before
    # a table goes with its routes, once nothing leads to it
    leads = [base_tables(rows)[n] for n in (0, 3, 2, 6)]
    client.commit(3, 4, [removal(r) for r in leads], b"", full=False)
    assert client.lookup(100, socket.inet_aton("10.1.0.10"))["found"] == 0
    assert len(client.dump()[MessageType.ROUTE]) == 0


def test_the_last_record_of_a_key_counts(served, rows):
    client, _, _ = served
    client.commit(0, 1, base_tables(rows), b"", full=True)
    vm = rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.101")
    moved = rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.104")
    new = rows.vm(10001, "10.1.0.12", "02:00:0a:01:00:0c", "192.0.2.104")
    route = rows.route(100, "10.1.0.0/16", 0)
    client.commit(
        1,
        2,
        [removal(vm), moved, new, removal(new), removal(route), route, removal(route)],
        b"",
        full=False,
    )
    held = client.dump()
    assert [v["vtep"].tolist()[3] for v in held[MessageType.VM]] == [104]
    assert len(held[MessageType.ROUTE]) == 2


def bad_records(rows):
    """(what is wrong, records): each must be refused as a whole."""
    good = base_tables(rows)
    odd = rows.peer(2, "169.254.1.4")
    odd[2]["family"] = 5
    return {
        "no CCSI": [rows.route(101, "10.0.0.0/8", 0)],
        "no next hop": [rows.route(100, "10.0.0.0/8", 7)],
        "beyond the prefix length": [rows.route(100, "10.1.1.0/16", 0)],
        "length out of range": [rows.route(100, "10.0.0.0/33", 0)],
        "one to remove": [removal(rows.route(100, "10.5.0.0/16", 0))],
        "no such port": [rows.interface(3, Role.UPLINK, "p9", "192.0.2.12/24")],
        "same port, VLAN": [rows.interface(3, Role.UPLINK, "p0", "192.0.2.12/24")],
        "same tap": [
            rows.interface(n, Role.HAND_OFF, "p0", f"169.254.{n}.1/30", vlan=n, ccsi=100, tap="t0")
            for n in (103, 104)
        ],
        "MTU": [rows.interface(1, Role.UPLINK, "p0", "192.0.2.11/24", mtu=100)],
        "still leads to it": [removal(good[0]), removal(good[2]), removal(good[6])],
        "no hand-off 2": [removal(good[2])],
        "routes use it": [removal(good[5])],
        "no hand-off 9": [rows.next_hop(3, NextHopKind.NEIGHBOR, interface=9, ip="10.0.0.1")],
        "unknown kind": [rows.next_hop(3, 9)],
        "VNI not in": [rows.next_hop(3, NextHopKind.ON_LINK, vni=1 << 24)],
        "slot over": [rows.next_hop(1 << 24, NextHopKind.DROP)],
        "group MAC": [rows.vm(10001, "10.1.0.3", "01:00:00:00:00:01", "192.0.2.101")],
        "VM: does not exist": [removal(rows.vm(10001, "10.1.0.3", "02:00:00:00:00:01", "1.1.1.1"))],
        "VTEP: does not exist": [removal(rows.vtep(10001, "192.0.2.200"))],
        "gateway address: does not exist": [removal(rows.gateway_address(10001, "10.1.0.2"))],
        "gateway address: VNI": [rows.gateway_address(0, "10.1.0.2")],
        "peer: does not exist": [removal(rows.peer(2, "169.254.1.3"))],
        "peer: family": [rows.peer(2, "169.254.1.3"), odd],
        "no CCSI 300": [rows.vni(10009, 300)],
        "id is not in": [rows.ccsi(0, "zero")],
    }


def test_a_refused_transaction_changes_nothing(served, rows):
    client, _, _ = served
    client.commit(0, 1, base_tables(rows), b"one", full=True)
    before = dumped(client)
    good = [
        rows.ccsi(400, "new"),
        rows.vni(444, 400),
        rows.next_hop(1, NextHopKind.DROP),
        rows.vm(10001, "10.1.0.10", "02:00:0a:01:00:0a", "192.0.2.150"),
        rows.vtep(444, "192.0.2.150"),
        rows.route(400, "10.0.0.0/8", 1),
    ]
    for what, records in bad_records(rows).items():
        for order in (records + good[:2], good[3:5] + records):
            with pytest.raises(Nak) as refused:
                client.commit(1, 2, order, b"two", full=False)
            assert (refused.value.code, refused.value.generation) == (NakCode.RECORD, 1)
            assert what in refused.value.text
            assert dumped(client) == before
    assert client.hello.digest.startswith(b"one")
    assert client.commit(1, 2, good, b"two", full=False) == 2


def test_sequence_base_and_crc(served, rows):
    client, path, _ = served
    client.commit(0, 3, base_tables(rows), b"", full=True)
    for base, following, code in ((2, 4, NakCode.BASE), (3, 3, NakCode.SEQUENCE)):
        with pytest.raises(Nak) as refused:
            client.commit(base, following, [], b"", full=False)
        assert (refused.value.code, refused.value.generation) == (code, 3)
    with Raw(path) as raw:
        raw.send(MessageType.BEGIN, begin(3, 4))
        raw.send(MessageType.CCSI, rows.ccsi(7, "x")[2])
        raw.send(MessageType.COMMIT, commit_record(4, 12345))
        assert raw.answer() == NakCode.CRC
        raw.send(MessageType.CCSI, rows.ccsi(7, "x")[2])
        assert raw.answer() == NakCode.SEQUENCE
        raw.send(MessageType.COMMIT, commit_record(4, 0))
        assert raw.answer() == NakCode.SEQUENCE
    assert client.commit(3, 4, [], b"", full=False) == 4


def test_one_transaction_at_a_time_and_eof_forgets_it(served, rows):
    client, path, _ = served
    client.commit(0, 1, base_tables(rows), b"", full=True)
    before = dumped(client)
    with Raw(path) as holder:
        holder.send(MessageType.BEGIN, begin(1, 2))
        holder.send(MessageType.CCSI, rows.ccsi(9, "half")[2])
        holder.send(MessageType.LOOKUP, lookup_record())
        assert holder.answer() is None  # a question in between is answered
        assert rows.counters(client)  # and readers are served
        with pytest.raises(Nak) as refused:
            client.commit(1, 2, [], b"", full=False)
        assert refused.value.code is NakCode.BUSY
    deadline = time.monotonic() + 2
    while True:
        try:
            assert client.commit(1, 2, [], b"", full=False) == 2
            break
        except Nak:
            assert time.monotonic() < deadline
    assert dumped(client) == before


def test_garbage_loses_only_its_own_connection(served):
    client, path, _ = served
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(16),
        b"\xff" * 64,
        hello_message(version=99),
        message(MessageType.BEGIN, begin(0, 1)),
    ):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.settimeout(2)
            s.sendall(garbage)
            received = b""
            while part := s.recv(4096):
                received += part
            assert np.frombuffer(received[:16], wire.HEADER)[0]["type"] == MessageType.NAK
    assert client.counters()


def test_a_client_that_reads_nothing_holds_up_nobody(served, rows):
    client, path, _ = served
    client.commit(0, 1, base_tables(rows), b"", full=True)
    with Raw(path) as lazy:
        for _ in range(2000):
            lazy.send(MessageType.STATS, None, block=False)
        begin_time = time.monotonic()
        assert client.counters()
        assert time.monotonic() - begin_time < 1


def test_a_large_table_in_many_messages(served, rows):
    client, _, _ = served
    count = 1_200_000  # 38 MB
    routes = np.zeros(count, wire.ROUTE)
    routes["ccsi"], routes["family"], routes["length"] = 100, 4, 32
    numbers = (np.arange(count, dtype=np.uint32) * 3 + 0x0B000000).astype(">u4")
    routes["prefix"][:, :4] = numbers.view(np.uint8).reshape(-1, 4)
    tables = [*base_tables(rows), (MessageType.ROUTE, 0, routes)]
    client.commit(0, 1, tables, b"big", full=True)
    held = client.dump()[MessageType.ROUTE]
    assert len(held) == count + 3
    found = client.lookup(100, int(numbers[777_777]).to_bytes(4, "big"))
    assert (found["found"], found["route"]["length"]) == (1, 32)


def test_faults_are_one_line(tmp_path, served):
    _, path, _ = served
    (tmp_path / "plain").write_text("x")
    cases = {
        f"--socket {path} --port a=null": "a live forwarder answers there",
        f"--socket {tmp_path}/plain --port a=null": "exists and is no socket",
        f"--socket {tmp_path}/no/dir --port a=null": "No such file or directory",
        f"--socket {tmp_path}/{'x' * 120} --port a=null": "over 107 characters",
        f"--socket {tmp_path}/s --port a=af_xdp:nodev0": "no network device 'nodev0'",
        f"--socket {tmp_path}/s --port a=pcap:/nowhere,/tmp/x": "cannot read /nowhere",
        f"--socket {tmp_path}/s --port a=carrier-pigeon": "unknown SPEC",
        f"--socket {tmp_path}/s --port null": "not NAME=SPEC",
        f"--socket {tmp_path}/s --port a=null --port a=null": "the name is taken",
        f"--socket {tmp_path}/s": "at least one --port",
        f"--socket {tmp_path}/s --port a=null --cpu x": "--cpu x: not a list",
        f"--socket {tmp_path}/s --port a=null --cpu 1023": "--cpu 1023: not there",
        f"--socket {tmp_path}/s --port a=null --cpu 0 --workers 2": "1 CPUs for 2 workers",
        f"--socket {tmp_path}/s --port a=null --cpu auto --workers 32": "CPUs for 32 workers",
        f"--socket {tmp_path}/s --port a=null --workers 33": "--workers is not 1..32",
        f"--socket {tmp_path}/s --port a=null --memory 1": "--memory is not",
        "--frobnicate": "unknown argument: --frobnicate",
    }
    for arguments, expected in cases.items():
        done = subprocess.run(
            [find_forwarder(), *arguments.split()],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        lines = done.stderr.splitlines()
        assert (done.returncode, len(lines)) == (1, 1), (arguments, done.stderr)
        assert lines[0].startswith("ccn-forwarder: ") and expected in lines[0]
        assert "(" in lines[0]  # the way out
        assert not (tmp_path / "s").exists()


def test_ends_cleanly_and_replaces_a_dead_ones_socket(forwarder):
    path, process = forwarder({"p0": "null"})
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert not path.exists()
    with pytest.raises(UnreachableError):
        ForwarderClient.connect(path)
    path, process = forwarder({"p0": "null"})
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert path.exists()
    path, process = forwarder({"p0": "null"})
    with ForwarderClient.connect(path) as client:
        assert client.hello.pid == process.pid
    with pytest.raises(CcnError, match="a live forwarder answers"):
        forwarder({"p0": "null"})


# --- messages by hand ---


def message(kind, record):
    body = b"" if record is None else record.tobytes()
    header = np.zeros(1, wire.HEADER)
    header["length"], header["type"] = 16 + len(body), kind
    header["count"] = 0 if record is None else 1
    return header.tobytes() + body


def begin(base, following):
    record = np.zeros(1, wire.BEGIN)
    record["base"], record["next"] = base, following
    return record


def commit_record(following, crc):
    record = np.zeros(1, wire.COMMIT)
    record["next"], record["crc"] = following, crc
    return record


def hello_message(version=wire.VERSION):
    record = np.zeros(1, wire.HELLO)
    record["magic"], record["version"], record["sizes"] = wire.MAGIC, version, wire.SIZES
    return message(MessageType.HELLO, record)


def lookup_record():
    record = np.zeros(1, wire.LOOKUP)
    record["ccsi"], record["family"] = 100, 4
    return record


class Raw:
    """A client that may misbehave."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(str(path))
        self.socket.sendall(hello_message())
        assert self.answer() is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, record, block=True):
        self.socket.setblocking(block)
        try:
            self.socket.sendall(message(kind, record))
        except BlockingIOError:
            assert not block

    def answer(self):
        """The code of a NAK, None for any other answer."""
        head = np.frombuffer(self.socket.recv(16, socket.MSG_WAITALL), wire.HEADER)[0]
        body = self.socket.recv(int(head["length"]) - 16, socket.MSG_WAITALL)
        if head["type"] != MessageType.NAK:
            return None
        return NakCode(int(np.frombuffer(body, wire.NAK)[0]["code"]))


def test_the_crc_is_zlibs(served, rows):
    _, path, _ = served
    record = message(MessageType.CCSI, rows.ccsi(7, "x")[2])
    with Raw(path) as raw:
        raw.send(MessageType.BEGIN, begin(0, 1))
        raw.socket.sendall(record)
        raw.send(MessageType.COMMIT, commit_record(1, zlib.crc32(record)))
        assert raw.answer() is None


def test_a_group_is_held_shown_and_changed(served, rows):
    client, _, _ = served
    client.commit(0, 1, group_tables(rows), b"", full=True)
    before = dumped(client)
    found = client.lookup(100, socket.inet_aton("10.2.0.1"))
    assert (found["next_hop"]["kind"], found["next_hop"]["slot"]) == (NextHopKind.GROUP, 6)
    assert found["group"]["member"]["weight"].tolist()[:4] == [1, 3, 255, 0]
    kinds = [NextHopKind.NEIGHBOR, NextHopKind.REMOTE, NextHopKind.REMOTE]
    assert found["member"]["kind"].tolist()[:3] == kinds
    assert found["member"]["slot"].tolist()[:3] == [1, 4, 5]
    assert found["member"]["ip"][2].tolist()[:4] == [198, 51, 100, 22]
    # what was dumped can be committed again, in full
    again = [(kind, 0, array) for kind, array in client.dump().items()]
    client.commit(1, 2, again, b"", full=True)
    assert dumped(client) == before
    # a member that changes is one store; the group stays
    moved = rows.next_hop(
        4, NextHopKind.REMOTE, vni=20100, ip="198.51.100.23", mac="02:cc:00:00:00:01"
    )
    client.commit(2, 3, [moved], b"", full=False)
    found = client.lookup(100, socket.inet_aton("10.2.0.1"))
    assert found["member"]["ip"][1].tolist()[:4] == [198, 51, 100, 23]
    # a member leaves: the group is replaced, then the member goes
    less = rows.group(6, (1, 1), (255, 5))
    client.commit(3, 4, [less, removal(moved)], b"", full=False)
    assert client.lookup(100, socket.inet_aton("10.2.0.1"))["group"]["count"] == 2
    # all of it goes, in any order of records
    gone = [removal(rows.next_hop(5, 0)), removal(less), removal(group_tables(rows)[-1])]
    client.commit(4, 5, gone, b"", full=False)
    assert len(client.dump()[MessageType.NEXT_HOP_GROUP]) == 0


def test_groups_that_cannot_be_are_refused(served, rows):
    client, _, _ = served
    client.commit(0, 1, group_tables(rows), b"", full=True)
    before = dumped(client)
    none = rows.group(8, (1, 4), (1, 5))
    none[2]["count"] = 17
    for reason, records in {
        "2 to 16 members": [rows.group(8, (1, 4))],
        "2 to 16": [none],
        "weight 0": [rows.group(8, (0, 4), (1, 5))],
        "same member twice": [rows.group(8, (1, 4), (1, 4))],
        "member 9 does not exist": [rows.group(8, (1, 4), (1, 9))],
        "member 5 does not exist": [removal(rows.next_hop(5, 0)), rows.group(8, (1, 4), (1, 5))],
        "member 6 is a group": [rows.group(8, (1, 4), (1, 6))],
        "member's slot over": [rows.group(8, (1, 4), (1, 1 << 24))],
        "slot over 2.24-1": [rows.group(1 << 24, (1, 4), (1, 5))],
        "1 groups use it": [removal(rows.next_hop(5, 0))],
        "1 routes use it": [removal(rows.group(6))],
        "is a group in this": [rows.next_hop(6, NextHopKind.DROP)],
        "is no group in this": [rows.group(5, (1, 1), (1, 4))],
        "7: does not exist": [removal(rows.group(7))],
    }.items():
        with pytest.raises(Nak, match=reason) as refused:
            client.commit(1, 2, records, b"", full=False)
        assert refused.value.code == NakCode.RECORD
        assert dumped(client) == before
    # nothing of what was refused has been counted
    gone = [removal(r) for r in reversed(group_tables(rows)[-4:])]
    client.commit(1, 2, gone, b"", full=False)
