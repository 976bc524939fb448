"""Thousands of mutated, truncated and oversized transactions at a real ccn-forwarder.

It lives; what it refuses changes nothing; others are served all the while. Each round begins with a
transaction that is right, hurts it, and judges by the forwarder's own answer.
"""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
import zlib
from collections import Counter

import numpy as np
import pytest

from ccn_bgp.bench import rows
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import Flag, MessageType, NakCode

TABLES = rows.tables(3, 8)
LOOK_EVERY = 25
"""Rounds between two looks of the innocent client, each with a dump."""


@pytest.fixture
def served(tmp_path):
    path = tmp_path / "f.sock"
    command = forwarder_command(path, {rows.PORT: "null"}, extra=("--memory", "64"))
    process = start_forwarder(command, path, tmp_path / "log")
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, TABLES, b"first", full=True)
        yield path, process, client
    assert process.poll() is None, (tmp_path / "log").read_text()
    process.terminate()
    try:
        assert process.wait(10) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def message(kind, array, flags=0):
    header = np.zeros(1, wire.HEADER)
    body = b"" if array is None else array.tobytes()
    header["length"], header["type"], header["flags"] = 16 + len(body), kind, flags
    header["count"] = 0 if array is None else len(array)
    return header.tobytes() + body


def hello():
    record = np.zeros(1, wire.HELLO)
    record["magic"], record["version"], record["sizes"] = wire.MAGIC, wire.VERSION, wire.SIZES
    return message(MessageType.HELLO, record)


def begin(base, flags):
    record = np.zeros(1, wire.BEGIN)
    record["base"], record["next"] = base, base + 1
    return message(MessageType.BEGIN, record, flags)


def commit(base, records):
    record = np.zeros(1, wire.COMMIT)
    record["next"], record["crc"] = base + 1, zlib.crc32(b"".join(records))
    record["digest"] = wire.octets(b"fuzz", 32)
    return message(MessageType.COMMIT, record)


def right(rng, base):
    """Records of a transaction that would be accepted, and its BEGIN flags."""
    if rng.random() < 0.3:
        return [message(kind, array) for kind, _, array in TABLES], Flag.FULL
    kind, _, array = rng.choice(TABLES)
    some = array[np.sort(rng.sample(range(len(array)), rng.randint(1, len(array))))]
    removing = kind in (MessageType.ROUTE, MessageType.VM) and rng.random() < 0.3
    put = [message(k, a) for k, _, a in TABLES if k is kind or rng.random() < 0.2]
    return [*put, message(kind, some, Flag.DELETE if removing else 0)], Flag.NONE


def scratched(rng, octets):
    """A few octets or whole words changed, anywhere."""
    data = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.choice((0, 1, 4, 6, 32, 33, 127, 128, 129, 255))
            case 2:
                data[place : place + 4] = rng.randbytes(4)[: len(data[place : place + 4])]
            case 3:
                data[place : place + 4] = b"\xff\xff\xff\xff"[: len(data[place : place + 4])]
    return bytes(data)


def hurt(rng, base):
    """One connection's octets after HELLO."""
    records, flags = right(rng, base)
    way = rng.randrange(8)
    if way < 4:  # fields: the CRC is right, so that the record checks are what refuses
        victim = rng.randrange(len(records))
        head, body = records[victim][:16], records[victim][16:]
        records[victim] = head + scratched(rng, body) if way < 3 else scratched(rng, head) + body
    parts = [begin(base, flags), *records, commit(base, records)]
    match way:
        case 4:  # truncated
            stream = b"".join(parts)
            return stream[: rng.randrange(len(stream))]
        case 5:  # out of order, left out, said twice
            rng.shuffle(parts)
            return b"".join(parts[rng.randrange(2) :] + rng.sample(parts, rng.randrange(3)))
        case 6:  # anything anywhere
            return scratched(rng, b"".join(parts))
        case 7:  # too long, too many, or noise
            head = np.zeros(1, wire.HEADER)
            head["type"] = rng.choice(list(MessageType))
            head["length"] = rng.choice(
                (0, 15, 17, wire.MAX_MESSAGE, wire.MAX_MESSAGE + 1, 2**32 - 1)
            )
            head["count"] = rng.choice((0, 1, 2**16, 2**32 - 1))
            return parts[0] + head.tobytes() + rng.randbytes(rng.randrange(2000))
    return b"".join(parts)


def answers(path, octets):
    """What the forwarder says to these octets: message types, and NAK codes, until it or we end."""
    said = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(hello() + octets)
            sock.shutdown(socket.SHUT_WR)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(1 << 20):
                data += piece
    position = 0
    while position + 16 <= len(data):
        header = np.frombuffer(data[position : position + 16], wire.HEADER)[0]
        kind = MessageType(int(header["type"]))
        body = data[position + 16 : position + int(header["length"])]
        said.append(
            NakCode(int(np.frombuffer(body, wire.NAK)[0]["code"]))
            if kind is MessageType.NAK
            else kind
        )
        position += int(header["length"])
    assert position == len(data), "the forwarder's last answer is cut off"
    return said


def state(client):
    """Generation and digest as a newcomer reads them, and all rows."""
    with ForwarderClient.connect(client._path) as other:
        return other.hello, {kind: array.tobytes() for kind, array in other.dump().items()}


def torture(served, seed, rounds=None, seconds=None):
    path, process, client = served
    rng = random.Random(seed)
    counts = Counter()
    held = state(client)
    end = None if seconds is None else time.monotonic() + seconds
    done = 0
    while done < rounds if end is None else time.monotonic() < end:
        done += 1
        base = held[0].generation
        octets = hurt(rng, base)
        said = answers(path, octets)
        where = f"seed {seed}, round {done}: {octets[:200].hex()}..."
        assert process.poll() is None, where
        counts.update(said)
        if MessageType.ACK in said:
            begun = time.monotonic()
            now = state(client)
            assert now[0].generation > base, where
            # what it took can be said again, so it is whole
            again = [(k, 0, a) for k, a in client.dump().items()]
            generation = now[0].generation
            client.commit(generation, generation + 1, again, b"again", full=True)
            same = state(client)
            assert same[1] == now[1], where
            client.commit(generation + 1, generation + 2, TABLES, b"first", full=True)
            held = state(client)
            assert time.monotonic() - begun < 5
        elif done % LOOK_EVERY == 0 or any(isinstance(s, NakCode) for s in said):
            begun = time.monotonic()
            assert state(client) == held, where
            assert client.counters()
            assert time.monotonic() - begun < 2, where
    assert state(client) == held
    return counts, done


def test_refused_transactions_change_nothing(served):
    counts, _ = torture(served, seed=7348, rounds=4000)
    # every kind of refusal that one client can cause has been met, and some were right after all
    met = {code for code in counts if isinstance(code, NakCode)}
    wanted = {NakCode.BASE, NakCode.CRC, NakCode.SEQUENCE, NakCode.RECORD, NakCode.LENGTH}
    assert met >= wanted, counts
    assert counts[MessageType.ACK] > 50


def test_noise_instead_of_a_greeting(served):
    path, process, client = served
    held = state(client)
    rng = random.Random(9136)
    for _ in range(500):
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.settimeout(5)
            sock.connect(str(path))
            sock.sendall(scratched(rng, hello()) if rng.random() < 0.5 else rng.randbytes(200))
    assert process.poll() is None
    assert state(client) == held


@pytest.mark.long
def test_ten_minutes(served):
    seed = random.SystemRandom().randrange(2**32)
    _, done = torture(served, seed, seconds=600)
    assert done > 10_000, seed
