"""`ccn replay`: the demo's tables in the real forwarder, packets in, packets out."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.utils import rdpcap, wrpcap

pytestmark = pytest.mark.smoke

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
HOST, STRANGER, HK = "192.0.2.101", "192.0.2.55", "198.51.100.21"
WEB, LEDGER, RETAIL = 10001, 10003, 20100


def tunnelled(source: str, vni: int, inner_source: str, inner_target: str) -> Ether:
    outer = Ether(src="02:00:c0:00:02:65", dst="02:cc:c0:00:02:0b") / IP(
        src=source, dst="192.0.2.11"
    )
    inner = Ether(src="02:00:0a:01:00:0a", dst="02:cc:c0:00:02:0b")
    inner /= IP(src=inner_source, dst=inner_target) / UDP(sport=1111, dport=2222) / (b"x" * 20)
    return outer / UDP(sport=55555, dport=4789) / VXLAN(vni=vni, flags=8) / inner


def replayed(tmp_path: Path, topology: Path, packets: list[Ether]) -> tuple[list, dict]:
    wrpcap(str(tmp_path / "in.pcap"), packets)
    command = [sys.executable, "-m", "ccn_bgp.cli.main", "replay", str(topology)]
    command += ["--gateway", "bj-gw1", "--in", str(tmp_path / "in.pcap")]
    command += ["--out", str(tmp_path / "out.pcap")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sent = [Ether(bytes(frame)) for frame in rdpcap(str(tmp_path / "out.pcap"))]
    return sent, json.loads(done.stdout)["counters"]


def seen(frame: Ether) -> tuple:
    """(VLAN or None, VNI or None, outer target, inner source, inner target, next MAC)."""
    vlan = frame[Dot1Q].vlan if Dot1Q in frame else None
    if VXLAN not in frame:
        return vlan, None, None, frame[IP].src, frame[IP].dst, frame.dst
    inner = frame[VXLAN].payload
    return vlan, frame[VXLAN].vni, frame[IP].dst, inner[IP].src, inner[IP].dst, inner.dst


def test_every_kind_of_next_hop_and_the_reasons_of_drops(tmp_path: Path) -> None:
    packets = [
        tunnelled(HOST, WEB, "10.1.0.10", "10.2.0.10"),  # another region
        tunnelled(HOST, WEB, "10.1.0.10", "10.99.0.7"),  # behind a VIP there
        tunnelled(HOST, WEB, "10.1.0.10", "172.16.3.4"),  # the IDC of retail, VLAN 101
        tunnelled(HOST, LEDGER, "10.1.0.10", "172.16.3.4"),  # the IDC of finance, untagged
        tunnelled(HK, RETAIL, "10.2.0.10", "10.1.0.10"),  # from there to a VM here
        tunnelled(HOST, WEB, "10.1.0.10", "203.0.113.1"),  # no route
        tunnelled(STRANGER, WEB, "10.1.0.10", "10.2.0.10"),  # not a VTEP of this VNI
        tunnelled(HOST, 4242, "10.1.0.10", "10.2.0.10"),  # a VNI of nobody
        Ether(dst="02:00:00:00:00:01") / Dot1Q(vlan=101)
        / IP(src="172.16.0.1", dst="10.1.0.10") / UDP() / b"in",  # from the IDC
    ]  # fmt: skip
    sent, counters = replayed(tmp_path, TOPOLOGIES / "two-regions.yaml", packets)
    vm = "02:00:0a:01:00:0a"
    told = [frame for frame in sent if ICMP in frame]
    assert [seen(frame) for frame in told] == [(None, WEB, HOST, "10.1.0.1", "10.1.0.10", vm)]
    assert (told[0][ICMP].type, told[0][ICMP].code) == (3, 0)
    sent = [frame for frame in sent if ICMP not in frame]
    assert [seen(frame) for frame in sent] == [
        (None, RETAIL, HK, "10.1.0.10", "10.2.0.10", "02:cc:c6:33:64:15"),
        (None, RETAIL, HK, "10.1.0.10", "10.99.0.7", "02:cc:c6:33:64:15"),
        (101, None, None, "10.1.0.10", "172.16.3.4", "02:00:a9:fe:01:02"),
        (None, None, None, "10.1.0.10", "172.16.3.4", "02:00:a9:fe:01:02"),
        (None, WEB, HOST, "10.2.0.10", "10.1.0.10", vm),
        (None, WEB, HOST, "172.16.0.1", "10.1.0.10", vm),
    ]
    drops = {name: value for name, value in counters["drop"].items() if value}
    assert drops == {"no-route": 1, "unknown-vtep": 1, "unknown-vni": 1}
    for frame in sent:
        again = Ether(bytes(frame))
        inner = again[VXLAN] if again.haslayer(VXLAN) else again
        for layer in (again, inner):
            header = layer[IP].copy()
            wanted = header.chksum
            del header.chksum
            assert IP(bytes(header)).chksum == wanted


def test_two_hand_offs_without_a_vlan_go_into_the_same_file(tmp_path: Path) -> None:
    text = (TOPOLOGIES / "two-regions.yaml").read_text().replace("vlan: 101", "max-prefixes: 999")
    text = text.replace("        max-prefixes: 1000\n", "", 1)
    (tmp_path / "policies").mkdir()
    (tmp_path / "two.yaml").write_text(text)
    policy = (TOPOLOGIES / "policies" / "idc.yaml").read_text()
    (tmp_path / "policies" / "idc.yaml").write_text(policy)
    packets = [
        tunnelled(HOST, WEB, "10.1.0.10", "172.16.3.4"),
        tunnelled(HOST, LEDGER, "10.1.0.10", "172.16.3.5"),
    ]
    sent, _ = replayed(tmp_path, tmp_path / "two.yaml", packets)
    assert sorted(seen(f)[4] for f in sent) == ["172.16.3.4", "172.16.3.5"]


def command(tmp_path: Path, gateway: str = "bj-gw1") -> list[str]:
    found = [sys.executable, "-m", "ccn_bgp.cli.main", "replay"]
    found += [str(TOPOLOGIES / "two-regions.yaml"), "--gateway", gateway]
    return [*found, "--in", str(tmp_path / "in.pcap"), "--out", str(tmp_path / "out.pcap")]


def refused(tmp_path: Path, words: str, *, gateway: str = "bj-gw1") -> None:
    done = subprocess.run(
        command(tmp_path, gateway), check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "out.pcap").is_file()


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be read: No such file")
    (tmp_path / "in.pcap").write_bytes(b"\n\r\r\n" + bytes(40))
    refused(tmp_path, "is a pcapng file")
    refused(tmp_path, "did you mean 'bj-gw1'?", gateway="bj-gw2")
    wrpcap(str(tmp_path / "in.pcap"), [tunnelled(HOST, WEB, "10.1.0.10", "10.2.0.10")])
    (tmp_path / "out.pcap").mkdir()
    refused(tmp_path, "cannot be written: is a directory")


def test_the_same_input_gives_the_same_output(tmp_path: Path) -> None:
    """Octet for octet, with answers of the slow path; huge and short frames have their counters."""
    packets = [
        tunnelled(HOST, WEB, "10.1.0.10", f"10.2.0.{n % 200}" if n % 3 else "203.0.113.9")
        for n in range(400)
    ]
    packets.insert(50, Ether(dst="02:00:00:00:00:01") / (b"x" * 9000))
    packets.insert(60, Ether(dst="02:00:00:00:00:01", type=0x0800) / b"x")
    wrpcap(str(tmp_path / "in.pcap"), packets)
    outcome = []
    for _ in range(2):
        done = subprocess.run(
            command(tmp_path), check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        drops = {name: n for name, n in document["counters"]["drop"].items() if n}
        outcome.append(((tmp_path / "out.pcap").read_bytes(), drops, document["digest"]))
        assert document["frames"]["in"] == 402
        assert document["frames"]["out"] == len(rdpcap(str(tmp_path / "out.pcap")))
    assert outcome[0] == outcome[1]
    assert drops == {"no-route": 134, "oversize": 1, "runt": 1}
    assert document["frames"]["out"] == 400  # of no-route each sender is told


def test_a_file_without_frames_is_done_at_once(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "in.pcap"), [])
    if not (tmp_path / "in.pcap").stat().st_size:
        header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        (tmp_path / "in.pcap").write_bytes(header)
    done = subprocess.run(
        command(tmp_path), check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == {"in": 0, "out": 0}
    assert len((tmp_path / "out.pcap").read_bytes()) == 24


def test_two_uplinks_share_the_flows(tmp_path: Path) -> None:
    """By the tunnel address, and to the router of either, half and half."""
    packets = []
    for n in range(200):
        frame = tunnelled(HOST, WEB, "10.1.0.10", "10.2.0.10")
        frame[IP].dst = "10.255.0.11"
        frame[VXLAN].payload[UDP].sport = 1024 + 7 * n
        packets.append(frame)
    sent, counters = replayed(tmp_path, TOPOLOGIES / "two-uplinks.yaml", packets)
    ways = [frame.dst for frame in sent]
    assert set(ways) == {"02:00:c0:00:02:01", "02:00:c0:00:03:01"}
    assert 60 < ways.count("02:00:c0:00:02:01") < 140 and len(ways) == 200
    assert {(f[IP].src, f[IP].dst) for f in sent} == {("10.255.0.11", "10.255.0.21")}
    assert counters["port wire1"]["tx-packets"] == ways.count("02:00:c0:00:03:01")
