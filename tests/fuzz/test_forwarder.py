"""Coverage-guided fuzzing of the forwarder's C: frames, and what a client of the socket may say.

The targets (dataplane/fuzz_*.c) are built with clang, AddressSanitizer and UBSan into build/fuzz;
shortly run here, for ten minutes each in test-long. They begin with what is written down below and
with corpus/, what earlier runs have found worth keeping (docs/architecture.md, "Fuzzing").
"""

from __future__ import annotations

import os
import re
import shutil
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
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPOption_LSRR,
    IPOption_NOP,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Raw,
)

from ccn_bgp.bench import rows
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType, NextHopKind, Role

SOURCE = Path(__file__).parents[2]
BUILD = SOURCE / "build" / "fuzz"
CORPUS = Path(__file__).parent / "corpus"
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
    MessageType.VTEP_NAME,
]
BEGIN, BEGIN_FULL, COMMIT, PREPARE, STATS, DUMP = 0x00, 0x01, 0x10, 0x11, 0x20, 0x21
TRACE, LOOKUP, ANYTHING = 0x22, 0x30, 0x40


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
    """One octet of port (bit 0), any MAC (1), stripped tag (2), IPv6 underlay (3); a frame."""
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
        IP(src="10.1.0.1", dst="10.1.0.2", options=IPOption_LSRR(routers=["10.1.0.3"])) / UDP(),
        IP(src="10.1.0.1", dst="10.1.0.2", tos=1) / UDP(),  # ECT: the tunnel's CE goes into it
    ]
    for inner in packets:
        for last in (100, 200):
            tunnel = IP(src=f"192.0.2.{last}", dst="192.0.2.11", tos=3) / UDP(dport=4789)
            tunnel = tunnel / VXLAN(vni=10000 + last, flags=8) / Ether(dst=ours, src=peer) / inner
            yield b"\0" + bytes(Ether(src=peer, dst=ours) / tunnel)
            yield b"\0" + bytes(Ether(src=peer, dst=ours) / Dot1Q(vlan=0, prio=5) / tunnel)
            for head in (IPv6(tc=3, fl=7, hlim=1), IPv6(tc=0xFD) / IPv6ExtHdrDestOpt()):
                outer = IPv6(bytes(head))
                outer.src, outer.dst = f"2001::{last:x}", "2001::b"
                outer = outer / UDP(dport=4789, sport=50000) / tunnel[VXLAN]
                yield b"\x08" + bytes(Ether(src=peer, dst=ours) / outer)
                yield b"\x08" + bytes(Ether(src=peer, dst=ours) / Dot1Q(prio=5) / outer)
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
    link = IPv6(src="fe80::1", dst="2001::b", hlim=255)
    for mine in (
        link / ICMPv6EchoRequest(data=b"x" * 9),
        link / ICMPv6ND_NS(tgt="2001::b") / ICMPv6NDOptSrcLLAddr(lladdr=peer),
        link / ICMPv6ND_NA(tgt="fe80::1", O=0) / ICMPv6NDOptDstLLAddr(lladdr=peer),
        IPv6(src="::", dst="ff02::1:ff00:b", hlim=255) / ICMPv6ND_NS(tgt="2001::b"),
        IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA(),
        link / TCP(dport=179, flags="A"),
        IPv6(src="2001::64", dst="2001::b") / IPv6ExtHdrFragment(m=1, nh=17) / Raw(bytes(64)),
        IPv6(src="2001::64", dst="2001::b", nh=50) / Raw(bytes(64)),
        IPv6(src="2001::64", dst="2001::b", nh=17, plen=0) / UDP(dport=4789) / VXLAN() / Ether(),
    ):
        yield b"\x08" + bytes(Ether(src=peer, dst=ours) / mine)
    for mine in (
        ICMPv6EchoRequest(data=b"x" * 9),
        ICMPv6ND_NS(tgt="fd00::1") / ICMPv6NDOptSrcLLAddr(lladdr=peer),
        ICMPv6ND_NA(tgt="fe80::1") / ICMPv6NDOptDstLLAddr(lladdr=peer),
        ICMPv6ND_NA(tgt="fe80::1"),
    ):
        network = IPv6(src="fe80::1", dst="fd00::1", hlim=255)
        yield b"\3" + bytes(Ether(src=peer, dst="02:00:00:00:00:02") / network / mine)


def operation(kind, record, remove=False):
    """The octet that says "this record", with its key made small, and the record."""
    first = 0xC0 if remove else 0x80
    return bytes([first | OPERATIONS.index(kind)]) + record.tobytes()


def more_tables():
    """What the tables of the benches lack: groups, sources, addresses, all of both families."""
    addresses = {4: b"\x0a\x01", 6: b"\xfd\x00\x00\x01"}
    link = np.zeros(1, wire.INTERFACE)
    link["id"], link["role"], link["ccsi"] = 2, Role.HAND_OFF, rows.FIRST_CCSI
    link["length"], link["vlan"], link["mtu"] = 30, 101, 1500
    link["port"], link["address"] = wire.octets(b"p0", 16), [169, 254, 1, 1]
    hops = np.zeros(4, wire.NEXT_HOP)
    hops["slot"], hops["kind"], hops["vni"] = [40, 41, 42, 44], NextHopKind.ON_LINK, 1
    hops["kind"][3], hops["interface"][3], hops["family"][3] = NextHopKind.NEIGHBOR, 2, 4
    hops["ip"][3, :4] = 169, 254, 1, 2
    group = np.zeros(1, wire.NEXT_HOP_GROUP)
    group["slot"], group["count"] = 43, 3
    group["member"]["slot"][0, :3], group["member"]["weight"][0, :3] = [40, 41, 44], [1, 2, 255]
    found = [(MessageType.INTERFACE, link)]
    found += [(MessageType.NEXT_HOP, hops[i : i + 1]) for i in range(4)]
    found += over_ipv6()
    found.append((MessageType.NEXT_HOP_GROUP, group))
    for family, start in addresses.items():
        for length in (8, 16):
            for kind, dtype in ((MessageType.SOURCE, wire.SOURCE), (MessageType.ROUTE, wire.ROUTE)):
                row = np.zeros(1, dtype)
                row["ccsi"], row["family"], row["length"] = rows.FIRST_CCSI, family, length
                row["prefix"] = wire.octets(start[: length // 8], 16)
                if kind is MessageType.ROUTE:
                    row["next_hop"] = 43
                found.append((kind, row))
        vm = np.zeros(1, wire.VM)
        vm["vni"], vm["family"], vm["ip"] = 1, family, wire.octets(start, 16)
        vm["vtep"] = 192, 0, 2, 9
        gateway, peer = np.zeros(1, wire.GATEWAY_ADDRESS), np.zeros(1, wire.PEER)
        gateway["vni"], gateway["family"] = 1, family
        peer["interface"], peer["family"] = 2, family
        gateway["ip"] = peer["ip"] = wire.octets(start[:2], 16)
        found += [
            (MessageType.VM, vm),
            (MessageType.GATEWAY_ADDRESS, gateway),
            (MessageType.PEER, peer),
        ]
    return found


def over_ipv6():
    """A VTEP of IPv6: its name, and what names it; a gateway behind it."""
    address = [0x20, 1, *bytes(13), 9]
    name, vtep = np.zeros(1, wire.VTEP_NAME), np.zeros(1, wire.VTEP)
    name["name"] = vtep["address"] = 224, 0, 0, 9
    name["address"] = address
    vtep["vni"] = 1
    vm, hop = np.zeros(1, wire.VM), np.zeros(1, wire.NEXT_HOP)
    vm["vni"], vm["family"], vm["vtep"] = 1, 4, name["name"]
    hop["slot"], hop["kind"], hop["vni"], hop["family"] = 45, NextHopKind.REMOTE, 1, 6
    hop["ip"] = address
    return [
        (MessageType.VTEP_NAME, name),
        (MessageType.VTEP, vtep),
        (MessageType.VM, vm),
        (MessageType.NEXT_HOP, hop),
    ]


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
    name, over6 = np.zeros(1, wire.VTEP_NAME), behind.copy()
    name["name"], name["address"] = (224, 1, 2, 3), wire.octets(b"\xfd" + bytes(14) + b"\1", 16)
    over6["shared"], over6["ip"], over6["vtep"] = 0, behind["ip"][:, ::-1], name["name"]
    tables += [(MessageType.VTEP_NAME, name), (MessageType.VM, over6)]
    rules = np.zeros(3, wire.ACL_RULE)
    rules["ccsi"], rules["sequence"] = rows.FIRST_CCSI, [0, 1, 2]
    rules["action"], rules["family"], rules["protocol"] = [2, 1, 1], [4, 4, 6], [6, 17, 0]
    rules["any_protocol"], rules["rule"] = [0, 0, 1], [0, 1, 1]
    rules["source_port"] = rules["destination_port"] = 0, 65535
    rules["destination_port"][0] = 22, 23
    rules["source_length"][1] = 8
    tables += [(MessageType.ACL_RULE, rules[i : i + 1]) for i in range(3)]
    tables += more_tables()
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
    yield bytes([BEGIN]) + everything + bytes([PREPARE, COMMIT, BEGIN, PREPARE, DUMP])
    yield bytes([TRACE]) + b"p0" + bytes(22)
    yield bytes([ANYTHING]) + bytes(64)


def fuzz(target: Path, seeds, directory: Path, seconds: int) -> int:
    """Runs the target; what it found must be nothing. Runs done, beyond those of the corpus."""
    corpus = directory / "corpus"
    shutil.copytree(CORPUS / target.name.removeprefix("fuzz_"), corpus)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    begun = len(list(corpus.iterdir()))
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
    return int(re.search(r"Done (\d+) runs", done.stderr)[1]) - begun


def test_frames(targets, tmp_path):
    assert fuzz(targets / "fuzz_frame", frames(), tmp_path, 5) > 50_000


def test_clients(targets, tmp_path):
    assert fuzz(targets / "fuzz_client", transactions(), tmp_path, 8) > 300


@pytest.mark.long
@pytest.mark.parametrize("name", ["frame", "client"])
def test_ten_minutes(targets, tmp_path, name):
    seeds = frames() if name == "frame" else transactions()
    assert fuzz(targets / f"fuzz_{name}", seeds, tmp_path, 600) > 10_000
