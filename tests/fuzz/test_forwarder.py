"""Coverage-guided fuzzing of the forwarder's C: frames, and what a client of the socket may say.

The targets (dataplane/fuzz_*.c) are built with clang, AddressSanitizer and UBSan into build/fuzz;
shortly run here, for ten minutes each in test-long.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scapy.all import (
    ARP,
    ICMP,
    IP,
    TCP,
    UDP,
    VXLAN,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPOption_NOP,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Raw,
)

from ccn_bgp.bench import rows
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType

SOURCE = Path(__file__).parents[2]
BUILD = SOURCE / "build" / "fuzz"
TOOLS = Path(sys.executable).parent
OPERATIONS = [
    MessageType.INTERFACE,
    MessageType.VNI,
    MessageType.VTEP,
    MessageType.NEXT_HOP,
    MessageType.VM,
    MessageType.ROUTE,
    MessageType.CCSI,
    MessageType.NEXT_HOP_GROUP,
    MessageType.GATEWAY_ADDRESS,
    MessageType.PEER,
    MessageType.VTEP_SET,
    MessageType.ACL_RULE,
    MessageType.SOURCE,
]
BEGIN, BEGIN_FULL, COMMIT, STATS, DUMP, LOOKUP, ANYTHING = 0x00, 0x01, 0x10, 0x20, 0x21, 0x30, 0x40


@pytest.fixture(scope="session")
def targets() -> Path:
    """The built targets."""
    environment = {**os.environ, "CC": "clang", "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    if not (BUILD / "build.ninja").exists():
        sh(["meson", "setup", BUILD, SOURCE, "-Dfuzz=true", "-Dbuildtype=plain"], environment)
    sh(["ninja", "-C", BUILD, "dataplane/fuzz_frame", "dataplane/fuzz_client"], environment)
    return BUILD / "dataplane"


def sh(command, environment):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def frames():
    """One octet of port (bit 0), any MAC (1) and stripped tag (2), then a frame."""
    ours, peer = "02:00:00:00:00:01", "02:00:c0:00:02:64"
    packets = [
        IP(src="10.1.0.1", dst="10.1.0.2") / UDP() / Raw(b"x" * 20),
        IP(src="10.1.0.1", dst="10.1.0.2", flags="MF") / TCP() / Raw(b"x" * 20),
        IPv6(src="fd00:1::1", dst="fd00:1::2") / UDP() / Raw(b"x" * 20),
        IP(src="10.1.0.1", dst="224.0.0.1") / ICMP(),
        IP(src="10.1.0.1", dst="10.1.0.2", options=IPOption_NOP()) / UDP() / Raw(bytes(900)),
        IPv6(src="fd00:1::1", dst="fd00:1::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrFragment()
        / UDP(),
        ARP(pdst="10.1.0.1"),
        IPv6(src="fd00:1::1", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fd00:1::1"),
    ]
    for inner in packets:
        for last in (100, 200):
            tunnel = IP(src=f"192.0.2.{last}", dst="192.0.2.11") / UDP(dport=4789)
            tunnel = tunnel / VXLAN(vni=10000 + last, flags=8) / Ether(dst=ours, src=peer) / inner
            yield b"\0" + bytes(Ether(src=peer, dst=ours) / tunnel)
            yield b"\0" + bytes(Ether(src=peer, dst=ours) / Dot1Q(vlan=0, prio=5) / tunnel)
        for vlan in (0, 201):
            tag = Dot1Q(vlan=vlan) / inner if vlan else inner
            yield b"\3" + bytes(Ether(src=peer, dst="02:00:00:00:00:02") / tag)
        yield b"\7" + bytes(Ether(src=peer, dst="02:00:00:00:00:02") / inner)
    for mine in (
        ARP(pdst="192.0.2.11"),
        IP(src="192.0.2.1", dst="192.0.2.11") / ICMP() / Raw(b"x" * 30),
        IP(src="192.0.2.1", dst="192.0.2.11") / TCP(dport=179, flags="A"),
    ):
        yield b"\0" + bytes(Ether(src=peer, dst=ours) / mine)
    for mine in (
        ICMPv6EchoRequest(data=b"x" * 9),
        ICMPv6ND_NS(tgt="fd00::1") / ICMPv6NDOptSrcLLAddr(lladdr=peer),
    ):
        network = IPv6(src="fe80::1", dst="fd00::1", hlim=255)
        yield b"\3" + bytes(Ether(src=peer, dst="02:00:00:00:00:02") / network / mine)


def operation(kind, record, remove=False):
    """The octet that says "this record", with its key made small, and the record."""
    first = 0xC0 if remove else 0x80
    return bytes([first | OPERATIONS.index(kind)]) + record.tobytes()


def transactions():
    """What the control plane says, record by record."""
    tables = [
        (kind, array[i : i + 1])
        for kind, _, array in rows.tables(2, 3)
        for i in range(min(len(array), 6))
    ]
    hosts = np.zeros(1, wire.VTEP_SET)
    hosts["name"][0, 0], hosts["count"] = 5, 3
    hosts["vtep"][0, :3, 3] = 1, 2, 3
    behind = np.array([array[0] for kind, array in tables if kind == MessageType.VM][:1])
    behind["shared"], behind["vtep"] = 1, hosts["name"]
    tables += [(MessageType.VTEP_SET, hosts), (MessageType.VM, behind)]
    rules = np.zeros(3, wire.ACL_RULE)
    rules["ccsi"], rules["sequence"] = rows.FIRST_CCSI, [0, 1, 2]
    rules["action"], rules["family"], rules["protocol"] = [2, 1, 1], [4, 4, 6], [6, 17, 0]
    rules["any_protocol"], rules["rule"] = [0, 0, 1], [0, 1, 1]
    rules["source_port"] = rules["destination_port"] = 0, 65535
    rules["destination_port"][0] = 22, 23
    rules["source_length"][1] = 8
    tables += [(MessageType.ACL_RULE, rules[i : i + 1]) for i in range(3)]
    everything = b"".join(operation(kind, record) for kind, record in tables)
    yield bytes([BEGIN_FULL]) + everything + bytes([COMMIT, DUMP, STATS])
    yield bytes([BEGIN]) + everything + bytes([COMMIT, BEGIN]) + everything + bytes([COMMIT])
    for kind, record in tables:
        again = operation(kind, record, remove=True) + operation(kind, record)
        yield bytes([BEGIN]) + everything + bytes([COMMIT, BEGIN]) + again + bytes([COMMIT])
        gone = operation(kind, record, remove=True)
        yield bytes([BEGIN]) + everything + bytes([COMMIT, BEGIN]) + gone + bytes([COMMIT, DUMP])
    question = np.zeros(1, wire.LOOKUP)
    question["ccsi"], question["family"] = rows.FIRST_CCSI, 4
    yield bytes([BEGIN]) + everything + bytes([COMMIT, LOOKUP]) + question.tobytes()
    yield bytes([ANYTHING]) + bytes(64)


def fuzz(target: Path, seeds, directory: Path, seconds: int) -> int:
    """Runs the target; what it found must be nothing. Runs done."""
    corpus = directory / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    done = subprocess.run(
        [target, corpus, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10"],
        cwd=directory,
        env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8"},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    found = [p.read_bytes().hex() for p in directory.glob("*-*") if p.is_file()]
    assert done.returncode == 0 and not found, f"{found}\n{done.stderr[-6000:]}"
    return int(re.search(r"Done (\d+) runs", done.stderr)[1])


def test_frames(targets, tmp_path):
    assert fuzz(targets / "fuzz_frame", frames(), tmp_path, 5) > 50_000


def test_clients(targets, tmp_path):
    assert fuzz(targets / "fuzz_client", transactions(), tmp_path, 8) > 300


@pytest.mark.long
@pytest.mark.parametrize("name", ["frame", "client"])
def test_ten_minutes(targets, tmp_path, name):
    seeds = frames() if name == "frame" else transactions()
    assert fuzz(targets / f"fuzz_{name}", seeds, tmp_path, 600) > 10_000
