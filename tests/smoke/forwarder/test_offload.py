"""A device that checks the headers of what it receives (net_tap) in the place of files: for any
tables and any frames the same frames leave, octet for octet, and the same counters count, as by the
plain forwarder, which knows of no such device. What a device may say is tried in sort_out_test.c.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from oracle.gateway_frames import FrameMaker
from oracle.gateway_tables import PORTS, tables
from oracle.plain_forwarder import Answered, Forwarded, PlainForwarder
from oracle.plain_tables import Tables, records

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

from .test_model import (
    MACS,
    Counts,
    Frames,
    Results,
    check_frames,
    examples,
    expected_counters,
    numbers,
    outcomes,
)

pytestmark = pytest.mark.smoke

FRAMES = 300
LONGEST = 1500
"""Octets of a frame: a tap of MTU 1500 carries no more."""
EVERYTHING = 0x0003  # ETH_P_ALL
OUTGOING = 4  # PACKET_OUTGOING: what we have sent ourselves
SOL_PACKET, AUXDATA, VLAN_VALID = 263, 8, 0x10
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41
SEEN = Counts()
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def silence() -> Iterator[str]:
    """A network namespace whose kernel says nothing by itself."""
    name = f"offload-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with inside(name):
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What is opened meanwhile is opened there."""
    ours, theirs = Path("/proc/thread-self/ns/net"), Path(f"/run/netns/{namespace}")
    with ours.open() as here, theirs.open() as there:
        assert LIBC.setns(there.fileno(), 0) == 0
        try:
            yield
        finally:
            assert LIBC.setns(here.fileno(), 0) == 0


class Tap:
    """The kernel's end of one port: frames as they are, with a tag that the kernel takes off."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        self.socket.setsockopt(SOL_PACKET, AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        request = struct.pack("16sH14x", name.encode(), UP_AND_RUNNING)
        fcntl.ioctl(self.socket, SIOCSIFFLAGS, request)
        self.socket.bind((name, EVERYTHING))
        self.socket.setblocking(False)
        self.heard: list[bytes] = []

    def listen(self) -> None:
        """Take what has come."""
        while True:
            try:
                frame, said, _, sender = self.socket.recvmsg(4096, 64)
            except BlockingIOError:
                return
            if sender[2] == OUTGOING:
                continue
            for _, kind, octets in said:
                status, _, _, _, _, tag, _ = struct.unpack("IIIHHHH", octets[:20])
                if kind == AUXDATA and status & VLAN_VALID:
                    frame = frame[:12] + b"\x81\0" + struct.pack(">H", tag) + frame[12:]
            self.heard.append(frame)


@contextmanager
def forwarding(
    model: PlainForwarder, where: str
) -> Iterator[tuple[ForwarderClient, dict[str, Tap]]]:
    """A ccn-forwarder with these tables, each of whose ports is a tap of the same name."""
    specs = {
        port: f"dpdk:net_tap{n},iface={port},mac={MACS[port].hex(':')}"
        for n, port in enumerate(PORTS)
    }
    options = ["--static-neighbors"] * model.static + ["--no-icmp"] * (not model.icmp)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "f.sock"
        command = forwarder_command(path, specs, extra=["--memory", "96", *options])
        command = ["ip", "netns", "exec", where, *command]
        process = start_forwarder(command, path, Path(directory) / "log")
        taps = {}
        try:
            with inside(where):
                taps = {port: Tap(port) for port in PORTS}
            with ForwarderClient.connect(path) as client:
                assert {p.name: p.mac for p in client.port_status()} == MACS
                client.commit(0, 1, records(model.tables), b"model", full=True)
                yield client, taps
        finally:
            for tap in taps.values():
                tap.socket.close()
            process.terminate()
            process.wait(10)


def settled(client: ForwarderClient, taps: dict[str, Tap], frames: int, wanted: Counts) -> Counts:
    """The counters once they are as wanted, or stand still."""
    deadline, before, quiet = time.monotonic() + 10, Counts(), 0
    while time.monotonic() < deadline and quiet < 40:
        for tap in taps.values():
            tap.listen()
        now = Counts({(c.scope, c.name): c.value for c in client.counters()})
        read = sum(now[f"port {port}", "rx-packets"] for port in PORTS) == frames
        if read and outcomes(now) == wanted:
            quiet += 10
        else:
            quiet = quiet + 1 if read and outcomes(now) == outcomes(before) else 0
        before = now
        time.sleep(0.01)
    return before


@examples(8)
@given(held=tables(), number=numbers)
def test_any_tables_and_any_frames(silence: str, held: Tables, number: int) -> None:
    model = PlainForwarder(held, MACS)
    frames, results = some_frames(model, number)
    wanted = expected_counters(results)
    with forwarding(model, silence) as (client, taps):
        for port, frame in frames:
            taps[port].socket.send(frame)
        counters = settled(client, taps, len(frames), wanted)
    for port in PORTS:
        check_frames(port, taps[port].heard, results, 1)
    assert outcomes(counters) == wanted
    SEEN.update(counters)


def test_right_and_wrong_sums_were_among_them() -> None:
    """What the comparison rests on."""
    assert SEEN["drop", "outer-checksum"] > 0  # over IPv6 there is none
    assert sum(SEEN[f"port {port}", "tx-packets"] for port in PORTS) > 100


def some_frames(model: PlainForwarder, number: int) -> tuple[Frames, Results]:
    """Frames that fit a tap, as does what becomes of them."""
    maker, random = FrameMaker(model.tables, MACS), Random(number)
    frames: Frames = []
    results: Results = []
    while len(frames) < FRAMES:
        port, frame = maker.make(random)
        ends = model.forward(port, frame)
        sent = [end.frame for end in ends if isinstance(end, Forwarded | Answered)]
        if len(frame) >= 14 and all(len(octets) <= LONGEST for octets in (frame, *sent)):
            frames.append((port, frame))
            results += [(port, frame, end) for end in ends]
    return frames, results
