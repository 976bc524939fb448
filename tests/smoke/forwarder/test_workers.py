"""Several workers: every packet leaves once, a flow keeps its order, counters add up, and commits
and the slow path go on."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections import defaultdict

import pytest
from scapy.all import ARP, ICMP, IP, UDP, VXLAN, Ether, Raw, RawPcapReader, wrpcap

from ccn_bgp.errors import CcnError
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import CcsiFlag, NextHopKind, Role

from .test_live import sh

pytestmark = pytest.mark.smoke

GATEWAY, HOST, PORT_MAC = "192.0.2.11", "192.0.2.101", "02:70:63:61:70:00"
NS, PEER = "wrk-gw", "wrk-peer"


def tables(rows, host: str = "192.0.2.102") -> list:
    return [
        rows.ccsi(100, "retail", CcsiFlag.SOURCE_OPEN),
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", mac="02:cc:c0:00:02:0b"),
        rows.vni(10001, 100),
        rows.vtep(10001, HOST),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=10001),
        rows.vm(10001, "10.1.0.20", "02:00:0a:01:00:14", host),
        rows.route(100, "10.1.0.0/16", 0),
    ]


TEMPLATE = bytes(
    Ether(src="02:00:c0:00:02:65", dst=PORT_MAC)
    / IP(src=HOST, dst=GATEWAY)
    / UDP(sport=49152, dport=4789, chksum=0)
    / VXLAN(vni=10001, flags=8)
    / Ether(src="02:00:0a:01:00:0a", dst="02:cc:c0:00:02:0b")
    / IP(src="10.1.0.10", dst="10.1.0.20", id=0)
    / UDP(sport=1000, dport=2000, chksum=0)
    / Raw(b"ccn-probe")
)
OUTER_PORT, INNER_IP = 34, 64


def frame(flow: int, number: int, to: str = PORT_MAC) -> bytes:
    """The ``number``-th packet of a flow; a sender makes the outer source port of the flow."""
    octets = bytearray(TEMPLATE)
    octets[:6] = bytes.fromhex(to.replace(":", ""))
    struct.pack_into(">H", octets, OUTER_PORT, 49152 + flow)
    struct.pack_into(">H", octets, INNER_IP + 4, number)
    (checksum,) = struct.unpack_from(">H", octets, INNER_IP + 10)
    total = checksum - number  # RFC 1624: the identification was zero
    struct.pack_into(">H", octets, INNER_IP + 10, total if total > 0 else total + 0xFFFF)
    struct.pack_into(">H", octets, INNER_IP + 20, 1000 + flow)
    return bytes(octets)


def flows(path) -> dict[int, list[int]]:
    """Of each flow the numbers of its packets, in the order in which they left."""
    found: dict[int, list[int]] = defaultdict(list)
    with RawPcapReader(str(path)) as reader:
        for octets, _ in reader:
            (number,) = struct.unpack_from(">H", octets, INNER_IP + 4)
            (port,) = struct.unpack_from(">H", octets, INNER_IP + 20)
            found[port - 1000].append(number)
    return found


def settled(client, rows, packets: int) -> dict[tuple[str, str], int]:
    """The counters once ``packets`` have left or been dropped, which takes no longer than 10 s."""
    deadline = time.monotonic() + 10
    while True:
        seen = rows.counters(client)
        dropped = sum(n for (scope, _), n in seen.items() if scope == "drop")
        if seen["port p0", "tx-packets"] + dropped >= packets or time.monotonic() > deadline:
            return seen
        time.sleep(0.01)


def of_workers(seen, name: str) -> list[int]:
    return [n for (scope, key), n in sorted(seen.items()) if scope[:6] == "worker" and key == name]


def test_each_worker_has_queues_of_its_own(forwarder, rows, tmp_path):
    """What comes in by one queue leaves by the same worker's, in order."""
    spec = []
    for queue in range(2):
        frames = [frame(flow + 8 * queue, n) for n in range(100) for flow in range(8)]
        wrpcap(str(tmp_path / f"in{queue}.pcap"), frames)
        spec += [f"{tmp_path}/in{queue}.pcap", f"{tmp_path}/out{queue}.pcap"]
    path, process = forwarder(
        {"p0": f"pcap:{','.join(spec)}"}, "--static-neighbors", "--workers", "2"
    )
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        seen = settled(client, rows, 1600)
        while not rows.counters(client)["port p0", "rx-finished"]:
            time.sleep(0.01)
    assert of_workers(seen, "packets") == [800, 800]
    assert seen["port p0", "rx-packets"] == seen["port p0", "tx-packets"] == 1600
    assert seen["ccsi 100", "packets"] == 1600
    process.terminate()
    process.wait(5)
    for queue in range(2):
        left = flows(tmp_path / f"out{queue}.pcap")
        assert left == {flow + 8 * queue: list(range(100)) for flow in range(8)}


def test_fan_out_of_one_queue_keeps_the_order_of_flows(forwarder, rows, tmp_path):
    """Three workers, one of which reads; all send by one queue."""
    wrpcap(str(tmp_path / "in.pcap"), [frame(flow, n) for n in range(50) for flow in range(64)])
    path, process = forwarder(
        {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"},
        *("--static-neighbors", "--workers", "3", "--fan-out"),
    )
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        seen = settled(client, rows, 3200)
    packets = of_workers(seen, "packets")
    lost = seen["drop", "fan-out-full"]
    assert sum(packets) + lost == 3200 and min(packets) > 300
    assert of_workers(seen, "handed-over") == [sum(packets[1:]), 0, 0]
    assert seen["port p0", "tx-packets"] == 3200 - lost
    process.terminate()
    process.wait(5)
    left = flows(tmp_path / "out.pcap")
    assert all(numbers == sorted(set(numbers)) for numbers in left.values())
    assert sum(map(len, left.values())) == 3200 - lost


def test_ports_of_one_queue_are_dealt_to_workers_in_turn(forwarder, rows, tmp_path):
    wrpcap(str(tmp_path / "in.pcap"), [frame(flow, 0) for flow in range(64)])
    ports = {name: f"pcap:{tmp_path}/in.pcap,{tmp_path}/{name}.pcap" for name in ("p0", "p1")}
    path, _ = forwarder(ports, "--static-neighbors", "--workers", "2")
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        seen = settled(client, rows, 128)
    assert of_workers(seen, "packets") == [64, 64]
    assert (seen["port p0", "tx-packets"], seen["drop", "no-interface"]) == (64, 64)


@pytest.mark.parametrize("extra", [(), ("--fan-out",)])
def test_commits_go_on_beside_busy_workers(forwarder, rows, tmp_path, extra):
    """Whole tables are swapped under traffic, each after all workers have let go of the last."""
    files = 1 if extra else 2
    for n in range(files):
        wrpcap(str(tmp_path / f"in{n}.pcap"), [frame(flow, n) for flow in range(64)])
    loop = ",".join(f"{tmp_path}/in{n}.pcap" for n in range(files))
    path, _ = forwarder({"p0": f"pcap-loop:{loop}"}, "--static-neighbors", "--workers", "2", *extra)
    with ForwarderClient.connect(path, timeout=5) as client:
        begin = time.monotonic()
        for generation in range(60):
            host = f"192.0.2.{110 + generation % 7}"
            client.commit(generation, generation + 1, tables(rows, host), b"", full=True)
        assert time.monotonic() - begin < 20
        first = rows.counters(client)
        time.sleep(0.2)
        seen = rows.counters(client)
    assert all(
        b > a
        for a, b in zip(of_workers(first, "packets"), of_workers(seen, "packets"), strict=True)
    )
    drops = {name: n for (scope, name), n in seen.items() if scope == "drop" and n}
    assert drops.keys() <= {"fan-out-full", "no-interface"}  # the latter: before the first commit


def test_a_flood_on_all_queues_is_metered_as_one(forwarder, rows, tmp_path):
    for n in range(2):
        frames = [
            Ether(src="02:00:c0:00:02:65", dst=PORT_MAC)
            / IP(src=f"192.0.2.{i + 20}", dst=GATEWAY)
            / ICMP(id=i)
            for i in range(128)
        ]
        wrpcap(str(tmp_path / f"in{n}.pcap"), frames)
    path, _ = forwarder(
        {"p0": f"pcap-loop:{tmp_path}/in0.pcap,{tmp_path}/in1.pcap"}, "--workers", "2"
    )
    with ForwarderClient.connect(path, timeout=5) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        time.sleep(0.3)
        before, at = rows.counters(client), time.monotonic()
        time.sleep(1)
        seen, took = rows.counters(client), time.monotonic() - at
    punted = [
        b - a for a, b in zip(of_workers(before, "punted"), of_workers(seen, "punted"), strict=True)
    ]
    assert min(punted) > 0 and 7_500 < sum(punted) / took < 12_500


SENDERS = {
    "af_packet": """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("u0", 0))
print("ready", flush=True)
for line in sys.stdin:
    raw.send(bytes.fromhex(line))
""",
    # a tap's queues are its file descriptors
    "af_xdp": """
import fcntl, os, struct, sys
queues = []
for number in range(2):
    queues.append(os.open("/dev/net/tun", os.O_RDWR))
    fcntl.ioctl(queues[-1], 0x400454CA, struct.pack("16sH14x", b"eth1", 0x1102))
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    os.write(queues[number % 2], bytes.fromhex(line))
""",
}


@pytest.fixture
def sender(request):
    """eth1 in a namespace has two queues; lines of hex written here arrive there."""
    for ns in (NS, PEER):
        sh(f"ip netns del {ns}", check=False)
        sh(f"ip netns add {ns}")
    driver = request.param
    if driver == "af_packet":
        sh(f"ip -n {NS} link add eth1 type veth peer name u0 netns {PEER}")
        sh(f"ip netns exec {PEER} ethtool -K u0 tx off")
        sh(f"ip -n {PEER} link set u0 addrgenmode none up")
    else:
        sh(f"ip -n {NS} tuntap add eth1 mode tap multi_queue")
    sh(f"ip -n {NS} link set eth1 addrgenmode none up")
    ns = PEER if driver == "af_packet" else NS
    process = subprocess.Popen(
        ["ip", "netns", "exec", ns, sys.executable, "-c", SENDERS[driver]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()

    def send(frames):
        process.stdin.write("".join(bytes(f).hex() + "\n" for f in frames))
        process.stdin.flush()

    yield driver, send
    process.kill()
    process.communicate()
    for ns in (NS, PEER):
        sh(f"ip netns del {ns}")


@pytest.mark.parametrize("sender", SENDERS, indirect=True)
def test_flows_spread_over_the_queues_of_a_network_device(forwarder, rows, sender):
    driver, send = sender
    mac = sh(f"ip netns exec {NS} cat /sys/class/net/eth1/address").strip()
    path, _ = forwarder({"p0": f"{driver}:eth1"}, "--workers", "2", netns=NS)
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)
        announce = ARP(op=2, hwsrc="02:00:c0:00:02:66", psrc="192.0.2.102", pdst=GATEWAY)
        send([Ether(src="02:00:c0:00:02:66", dst=mac) / announce])
        time.sleep(0.3)
        send([frame(flow, n, mac) for n in range(4) for flow in range(64)])
        deadline = time.monotonic() + 10
        while (seen := rows.counters(client))["port p0", "tx-packets"] < 256:
            assert time.monotonic() < deadline, {k: n for k, n in seen.items() if n}
            time.sleep(0.02)
    assert seen["ccsi 100", "packets"] == 256
    assert min(of_workers(seen, "packets")) > 40


def test_a_device_whose_queues_xdp_cannot_all_read_is_refused(forwarder):
    """Else what arrives at the second would be lost."""
    sh(f"ip netns del {NS}", check=False)
    sh(f"ip netns add {NS}")
    try:
        queues = "numrxqueues 2 numtxqueues 2"
        sh(f"ip -n {NS} link add eth1 {queues} type veth peer name u0 {queues}")
        with pytest.raises(CcnError, match="several receive queues"):
            forwarder({"p0": "af_xdp:eth1"}, netns=NS)
        path, _ = forwarder({"p0": "auto:eth1"}, netns=NS)
        with ForwarderClient.connect(path) as client:
            assert [p.driver for p in client.port_status()] == ["net_af_packet"]
    finally:
        sh(f"ip netns del {NS}")
