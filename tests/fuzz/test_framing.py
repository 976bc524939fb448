"""Garbage at the gateway's unix sockets: its API, and the channel to ExaBGP."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.bench.sites import topology
from ccn_bgp.bench.stream import SENDER_ASN
from ccn_bgp.bench.subject import POLICY
from ccn_bgp.session.channel import HEADER, MAX_PAYLOAD, ChannelError, Frames, Kind

SOURCE = Path(__file__).parents[2]
REQUESTS = (
    {"command": "show", "what": "routes", "filters": {"ccn": "retail"}},
    {"command": "show", "what": "digest"},
    {"command": "explain", "target": "10.1.0.10", "ccn": "retail"},
    {"command": "neighbor", "name": "sender", "action": "clear"},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

frames = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary()))


def cut(octets, places):
    edges = sorted({0, len(octets), *(p % (len(octets) + 1) for p in places)})
    return [octets[a:b] for a, b in itertools.pairwise(edges)]


@settings(deadline=None, max_examples=300)
@given(frames, st.lists(st.integers(0, 10**6)))
def test_frames_do_not_depend_on_how_they_were_cut(sent, places):
    stream = b"".join(HEADER.pack(len(p), kind, session) + p for kind, session, p in sent)
    reader = Frames()
    assert [f for piece in cut(stream, places) for f in reader.feed(piece)] == sent


@settings(deadline=None, max_examples=500)
@given(frames, st.binary(max_size=200), st.lists(st.integers(0, 10**6)))
def test_garbage_behind_frames_is_frames_or_an_error(sent, garbage, places):
    stream = b"".join(HEADER.pack(len(p), kind, session) + p for kind, session, p in sent)
    reader, seen = Frames(), []
    with contextlib.suppress(ChannelError):
        for piece in cut(stream + garbage, places):
            seen += reader.feed(piece)
    assert seen[: len(sent)] == sent
    taken = sum(HEADER.size + len(payload) for _, _, payload in seen)
    assert taken <= len(stream) + len(garbage)


def test_an_endless_frame_is_refused_before_it_is_stored():
    with pytest.raises(ChannelError, match="octets"):
        list(Frames().feed(HEADER.pack(MAX_PAYLOAD + 1, Kind.BLOCK, 1)))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A real gateway without a forwarder; its state directory."""
    directory = tmp_path_factory.mktemp("gw")
    file = directory / "bench.yaml"
    nobody = SimpleNamespace(address="127.0.0.2", port=1, asn=SENDER_ASN)
    file.write_text(topology(1, [nobody]))
    (directory / "policy.yaml").write_text(POLICY)
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "CCN_RUN_DIR": str(directory / "run"),
    }
    state = directory / "state"
    command = [sys.executable, "-m", "ccn_bgp.cli.main", "run", str(file), "--gateway", "gw"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--forwarder", "none", "--state", str(state)], stderr=log, env=environment
        )
    deadline = time.monotonic() + 20
    while not (state / "speaker-gateways.pid").exists() or not (state / "api.sock").exists():
        text = (directory / "log").read_text()
        assert process.poll() is None and time.monotonic() < deadline, text
        time.sleep(0.05)
    yield state
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    text = (directory / "log").read_text()
    assert "Traceback" not in text, text


def connected(path, patience=10):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    deadline = time.monotonic() + patience
    while True:
        try:
            sock.connect(str(path))
            break
        except BlockingIOError:  # the queue of a busy listener is full: come again
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    return sock


def digest(state):
    with connected(state / "api.sock") as sock, sock.makefile("rwb") as file:
        file.write(b'{"command": "show", "what": "digest"}\n')
        file.flush()
        answer = json.loads(file.readline())
    assert answer["ok"]
    return answer["result"]


def mutated(rng, request):
    """A request as octets, hurt in one of several ways; one line."""
    text = bytearray(json.dumps(request).encode())
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                text[place] = rng.randrange(256)
            case 1:
                del text[place : place + rng.randint(1, 8)]
                text = text or bytearray(b"{")
            case 2:
                text[place:place] = rng.randbytes(rng.randint(1, 8))
            case 3:
                text[place:place] = text[: rng.randrange(len(text)) + 1]
    return bytes(text).replace(b"\n", b" ") + b"\n"


def test_every_line_gets_an_answer(gateway):
    before = digest(gateway)
    rng = random.Random(4271)
    for _ in range(150):
        with connected(gateway / "api.sock") as sock, sock.makefile("rwb") as file:
            for _ in range(10):
                file.write(mutated(rng, rng.choice(REQUESTS[:3])))
                file.flush()
                answer = json.loads(file.readline())
                assert set(answer) >= ({"result"} if answer["ok"] else {"error", "kind"})
    assert digest(gateway) == before


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {"command": st.sampled_from(["show", "explain", "neighbor"]) | JSON},
        optional=dict.fromkeys(("what", "filters", "target", "ccn", "name", "action"), JSON),
    )
)
def test_values_of_any_type_get_an_answer(gateway, request):
    with connected(gateway / "api.sock") as sock, sock.makefile("rwb") as file:
        file.write(json.dumps(request).encode() + b"\n")
        file.flush()
        assert "ok" in json.loads(file.readline())


@pytest.mark.parametrize("line", [b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"", b"nul"])
def test_what_is_no_json_object_gets_an_answer(gateway, line):
    with connected(gateway / "api.sock") as sock, sock.makefile("rwb") as file:
        file.write(line + b"\n")
        file.flush()
        answer = json.loads(file.readline())
    assert (answer["ok"], answer["kind"]) == (False, "input")


def test_clients_that_break_off_or_flood_lose_only_themselves(gateway):
    before = digest(gateway)
    rng = random.Random(7606)
    for _ in range(200):
        with connected(gateway / "api.sock") as sock, contextlib.suppress(OSError):
            sock.sendall(rng.randbytes(rng.choice((0, 1, 100, 70_000))))
    assert digest(gateway) == before


def test_strangers_at_the_speakers_socket_are_not_heard(gateway):
    before = digest(gateway)
    pid = (gateway / "speaker-gateways.pid").read_text()
    rng = random.Random(4724)
    for _ in range(20):
        with (
            contextlib.suppress(OSError),
            connected(gateway / "speaker-gateways.sock", patience=0) as sock,
        ):
            sock.setblocking(False)
            sock.sendall(HEADER.pack(2, Kind.UP, 1) + b"{}" + rng.randbytes(1000))
    assert digest(gateway) == before
    assert (gateway / "speaker-gateways.pid").read_text() == pid
