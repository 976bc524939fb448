"""What ports are: --ports, devices of DPDK, frames from a ring, checksums that a device checked."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from scapy.all import wrpcap

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import find_forwarder

from .test_workers import INNER_IP, frame, tables

pytestmark = pytest.mark.smoke

TAP = "wrkt0"
HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
"""Of a pcap file."""


def run(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, str(find_forwarder()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_lists_devices():
    done = run("--ports")
    assert done.returncode == 0 and done.stderr == ""
    devices = {line.split("\t")[0] for line in done.stdout.splitlines()}
    kernels = {path.name for path in Path("/sys/class/net").iterdir()}
    assert kernels - {"lo"} <= devices


def test_says_of_each_port_what_it_offers_and_uses():
    done = run(
        *("--ports", "--workers", "2", "--port", "a=null"),
        *("--port", f"b=dpdk:net_tap0,iface={TAP}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    null, tap = done.stdout.split("port b\n")
    assert "driver        net_null, up, MAC " in null
    assert "queues        rx 2 of 1024, tx 2 of 1024, for 2 workers" in null
    assert "spread by rss; rss ipv4 " in null and "ipv4-udp" in null
    assert "rx offloads   ipv4-cksum (offered: ipv4-cksum udp-cksum" in tap
    assert not Path(f"/sys/class/net/{TAP}").exists()


def test_ports_with_fewer_queues_say_how_flows_spread(tmp_path):
    (tmp_path / "in.pcap").write_bytes(HEAD)
    port = ("--ports", "--port", f"p0=pcap:{tmp_path}/in.pcap", "--workers", "2")
    assert "spread by one queue" in run(*port).stdout
    assert "spread by fan-out in software" in run(*port, "--fan-out").stdout


def test_frames_in_a_ring_come_again_as_they_were(forwarder, rows, tmp_path):
    """Were one rewritten frame received again, it would be for nobody here: from our own VTEP."""
    files = [str(tmp_path / f"in{n}.pcap") for n in range(2)]
    for n, file in enumerate(files):
        wrpcap(file, [frame(flow, n) for flow in range(20 + 100 * n)])
    path, _ = forwarder(
        {"p0": f"ring-loop:{','.join(files)}"}, "--static-neighbors", "--workers", "2"
    )
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"digest", full=True)
        deadline = time.monotonic() + 5
        while True:
            seen = rows.counters(client)
            if min(seen[f"worker {n}", "packets"] for n in range(2)) > 10_000:
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not {name: n for (scope, name), n in seen.items() if scope == "drop" and n}
    assert seen["ccsi 100", "packets"] > 20_000


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (None, "No such file or directory"),
        (b"", "is no pcap file"),
        (HEAD, "has no packets"),
        (HEAD + struct.pack("<IIII", 0, 0, 60, 60) + bytes(59), "ends within a packet"),
        (
            HEAD + struct.pack("<IIII", 0, 0, 961, 961) + bytes(961),
            "has a packet of more than 960 octets",
        ),
    ],
)
def test_a_ring_needs_a_file_of_frames(tmp_path, octets, said):
    if octets is not None:
        (tmp_path / "in.pcap").write_bytes(octets)
    done = run("--socket", f"{tmp_path}/s", "--port", f"p0=ring-loop:{tmp_path}/in.pcap")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert f"port p0: ring-loop:{tmp_path}/in.pcap: {said}" in done.stderr


def test_a_checksum_that_the_device_checked_is_not_checked_again(forwarder, rows):
    """net_tap says "good" of some; of what it calls bad, our own sum decides."""
    path, _ = forwarder({"p0": f"dpdk:net_tap0,iface={TAP}"}, "--static-neighbors")
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    with ForwarderClient.connect(path) as client, raw:
        client.commit(0, 1, tables(rows), b"", full=True)
        request = struct.pack("16sH14x", TAP.encode(), 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(raw, 0x8914, request)  # SIOCSIFFLAGS
        raw.bind((TAP, 0x0800))
        bad = bytearray(frame(1, 1))
        bad[14 + 10] ^= 0x5A  # checksum of the outer header
        for octets in (frame(0, 0), bytes(bad), frame(2, 2)):
            raw.send(octets)
        deadline = time.monotonic() + 5
        while (seen := rows.counters(client))["drop", "outer-checksum"] < 1:
            assert time.monotonic() < deadline, {k: n for k, n in seen.items() if n}
            time.sleep(0.02)
        while rows.counters(client)["ccsi 100", "packets"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        raw.settimeout(2)
        numbers = set()
        while len(numbers) < 2:
            octets = raw.recv(2048)
            if octets[26:30] == socket.inet_aton("192.0.2.11"):  # from the gateway
                numbers.add(struct.unpack_from(">H", octets, INNER_IP + 4)[0])
        assert numbers == {0, 2}
