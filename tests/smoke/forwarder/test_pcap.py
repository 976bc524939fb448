"""Packets in from a pcap file, packets out to one: what each kind of next hop makes of a frame."""

from __future__ import annotations

import time
from random import Random

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
    IPv6,
    Raw,
    rdpcap,
    wrpcap,
)

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role, VniKind

pytestmark = pytest.mark.smoke

GATEWAY = "192.0.2.11"
HOST = "192.0.2.101"
ROUTER_MAC = "02:cc:c0:00:02:0b"
VM_A, VM_B = "10.1.0.10", "10.1.0.20"
PAYLOAD = b"ccn-probe" * 4


def tables(rows):
    """One CCSI with every kind of next hop, a second with the same addresses."""
    drop, on_link, vip, remote, tagged, untagged, on_link6, other = range(8)
    return [
        rows.ccsi(100, "retail"),
        rows.ccsi(200, "finance"),
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", via="192.0.2.1", mac=ROUTER_MAC),
        rows.interface(2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100),
        rows.interface(3, Role.HAND_OFF, "p0", "169.254.2.1/30", ccsi=100),
        rows.vni(10001, 100),
        rows.vni(10003, 200),
        rows.vni(20100, 100, VniKind.L3),
        rows.vtep(10001, HOST),
        rows.vtep(10003, HOST),
        rows.vtep(20100, "198.51.100.21"),
        rows.next_hop(drop, NextHopKind.DROP),
        rows.next_hop(on_link, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(vip, NextHopKind.VIP, vni=10001, ip=VM_B),
        rows.next_hop(
            remote, NextHopKind.REMOTE, vni=20100, ip="198.51.100.21", mac="02:cc:c6:33:64:15"
        ),
        rows.next_hop(tagged, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.next_hop(untagged, NextHopKind.NEIGHBOR, interface=3, ip="169.254.2.2"),
        rows.next_hop(on_link6, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(other, NextHopKind.ON_LINK, vni=10003),
        rows.vm(10001, VM_A, "02:00:0a:01:00:0a", HOST),
        rows.vm(10001, "fd00:1::10", "02:00:0a:01:00:0a", HOST),
        rows.vm(10003, VM_A, "02:00:0a:03:00:0a", HOST),
        rows.vm(10001, VM_B, "02:00:0a:01:00:14", "192.0.2.102"),
        rows.vm(10001, "fd00:1::20", "02:00:0a:01:00:14", "192.0.2.102"),
        rows.vm(10003, VM_B, "02:00:0a:03:00:14", "192.0.2.103"),
        rows.route(100, "10.1.0.0/16", on_link),
        rows.route(100, "10.99.0.0/24", vip),
        rows.route(100, "10.2.0.0/16", remote),
        rows.route(100, "10.2.66.0/24", drop),
        rows.route(100, "172.16.0.0/16", tagged),
        rows.route(100, "172.17.0.0/16", untagged),
        rows.route(100, "fd00:1::/64", on_link6),
        rows.route(200, "10.1.0.0/16", other),
    ]


def from_host(dst, *, vni=10001, src=HOST, ttl=64, payload=PAYLOAD, **inner):
    packet = (
        IPv6(src="fd00:1::10", dst=dst, hlim=ttl)
        if ":" in dst
        else IP(src=VM_A, dst=dst, ttl=ttl, **inner)
    )
    return (
        Ether(src="02:00:c0:00:02:65", dst="02:00:c0:00:02:0b")
        / IP(src=src, dst=GATEWAY)
        / UDP(sport=50000, dport=4789)
        / VXLAN(vni=vni, flags=8)
        / Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC)
        / packet
        / UDP(sport=1000, dport=2000)
        / Raw(payload)
    )


@pytest.fixture
def replay(forwarder, rows, tmp_path):
    """Sends frames through a forwarder; what came out, and its counters."""

    def run(*frames, extra=()):
        wrpcap(str(tmp_path / "in.pcap"), list(frames))
        path, _ = forwarder(
            {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"},
            "--static-neighbors",
            "--once",
            *extra,
        )
        with ForwarderClient.connect(path) as client:
            assert client.hello.generation == 0
            client.commit(0, 1, tables(rows), b"digest", full=True)
            deadline = time.monotonic() + 5
            while not (seen := rows.counters(client))["port p0", "rx-finished"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.05)  # answers of the slow path
            seen = rows.counters(client)
        assert seen["port p0", "rx-packets"] == len(frames)
        written = tmp_path / "out.pcap"  # without a packet even its header waits for the end
        out = rdpcap(str(written)) if written.stat().st_size else []
        assert seen["port p0", "tx-packets"] == len(out)
        run.counters = seen
        return list(out), {name: n for (scope, name), n in seen.items() if scope == "drop" and n}

    return run


def recomputed(packet):
    """The same octets with every checksum and length computed anew by scapy."""
    copy = packet.copy()
    for layer in (IP, UDP, ICMP, TCP):
        index = 1
        while (found := copy.getlayer(layer, index)) is not None:
            keep_zero = layer is UDP and found.chksum == 0
            for field in ("chksum", "len"):
                if field in found.fields and not (field == "chksum" and keep_zero):
                    delattr(found, field)
            index += 1
    return bytes(copy)


def check_tunnel(packet, *, dst, mac, vni, inner_mac):
    outer, inner = packet[IP], packet[VXLAN][Ether]
    assert (packet.src, packet.dst) == (packet.src, mac)
    assert (outer.src, outer.dst, outer.ttl, outer.flags) == (GATEWAY, dst, 64, "DF")
    assert packet[UDP].dport == 4789 and 49152 <= packet[UDP].sport <= 65535
    assert packet[UDP].chksum == 0
    assert (packet[VXLAN].vni, packet[VXLAN].flags) == (vni, 8)
    assert (inner.src, inner.dst) == (ROUTER_MAC, inner_mac)
    assert bytes(packet) == recomputed(packet)


def test_on_link_vip_and_remote_are_encapsulated_anew(replay):
    out, drops = replay(from_host(VM_B), from_host("10.99.0.7"), from_host("10.2.0.10"))
    assert drops == {}
    for packet in out[:2]:
        check_tunnel(
            packet,
            dst="192.0.2.102",
            mac="02:00:c0:00:02:66",
            vni=10001,
            inner_mac="02:00:0a:01:00:14",
        )
    # another region is reached by the underlay's router
    check_tunnel(
        out[2],
        dst="198.51.100.21",
        mac="02:00:c0:00:02:01",
        vni=20100,
        inner_mac="02:cc:c6:33:64:15",
    )
    assert [p[VXLAN][IP].dst for p in out] == [VM_B, "10.99.0.7", "10.2.0.10"]
    assert {p[VXLAN][IP].ttl for p in out} == {63}
    assert {bytes(p[VXLAN][Raw]) for p in out} == {PAYLOAD}


def test_ipv6_inside(replay):
    out, drops = replay(from_host("fd00:1::20"), from_host("fd00:1::99"), from_host("fd00:2::1"))
    assert drops == {"no-vm": 1, "no-route": 1}
    check_tunnel(
        out[0], dst="192.0.2.102", mac="02:00:c0:00:02:66", vni=10001, inner_mac="02:00:0a:01:00:14"
    )
    assert out[0][IPv6].hlim == 63


def test_equal_addresses_stay_in_their_ccn(replay):
    out, drops = replay(from_host(VM_B), from_host(VM_B, vni=10003))
    assert drops == {}
    assert [(p[IP].dst, p[VXLAN].vni) for p in out] == [
        ("192.0.2.102", 10001),
        ("192.0.2.103", 10003),
    ]


def test_neighbors_tagged_and_untagged(replay):
    out, drops = replay(from_host("172.16.5.5"), from_host("172.17.5.5"))
    assert drops == {}
    assert (out[0].dst, out[0][Dot1Q].vlan, out[0][IP].dst) == (
        "02:00:a9:fe:01:02",
        101,
        "172.16.5.5",
    )
    assert (out[1].dst, Dot1Q in out[1], out[1][IP].dst) == (
        "02:00:a9:fe:02:02",
        False,
        "172.17.5.5",
    )
    for packet in out:
        assert packet[IP].ttl == 63 and bytes(packet) == recomputed(packet)


def test_hand_off_is_encapsulated(replay):
    plain, other = (
        IP(src=src, dst=VM_B) / UDP(sport=1, dport=2) / Raw(PAYLOAD)
        for src in ("172.16.5.5", "172.17.5.5")
    )
    out, drops = replay(
        Ether(dst="02:00:00:00:00:01") / Dot1Q(vlan=101) / plain,
        Ether(dst="02:00:00:00:00:01") / other,
        Ether(dst="02:00:00:00:00:01") / Dot1Q(vlan=102) / plain,
    )
    assert drops == {"no-interface": 1}
    assert len(out) == 2
    for packet in out:
        check_tunnel(
            packet,
            dst="192.0.2.102",
            mac="02:00:c0:00:02:66",
            vni=10001,
            inner_mac="02:00:0a:01:00:14",
        )
    assert [packet[VXLAN][IP].src for packet in out] == ["172.16.5.5", "172.17.5.5"]


def test_each_drop_has_its_reason(replay):
    frame = Ether(bytes(from_host(VM_B)))
    no_flag = frame.copy()
    no_flag[VXLAN].flags = 0
    inner_arp = frame.copy()
    inner_arp[VXLAN].payload = Ether(dst=ROUTER_MAC) / ARP(pdst="10.1.0.77")
    lldp = frame.copy()
    lldp[VXLAN].payload = Ether(dst=ROUTER_MAC, type=0x88CC) / Raw(b"lldp")
    for changed in (inner_arp, lldp):
        del changed[IP].len, changed[IP].chksum, changed[UDP].len
    _, drops = replay(
        from_host(VM_B, vni=777),
        from_host(VM_B, src="192.0.2.250"),
        from_host(VM_B, vni=20100),  # a host must not use the gateways' VNI
        from_host("203.0.113.1"),
        from_host("10.1.0.77"),
        from_host("10.2.66.1"),
        from_host(VM_B, ttl=1),
        from_host("172.16.5.5", ttl=0),
        from_host(VM_B, payload=b"x" * 1560, flags="DF"),
        no_flag,
        inner_arp,
        lldp,
        Raw(bytes(frame)[:40]),
        Raw(bytes(frame)[:13]),
        Ether(dst="02:00:00:00:00:01", type=0x88CC) / Raw(b"lldp"),
    )
    assert drops == {
        "unknown-vni": 1,
        "unknown-vtep": 2,
        "no-route": 1,
        "no-vm": 1,
        "blackhole": 1,
        "ttl": 2,
        "mtu": 1,
        "vxlan-flags": 1,
        "inner-type": 1,
        "vm-neighbor": 1,
        "outer-length": 1,
        "runt": 1,
        "not-vxlan": 1,
    }


def test_drops_are_counted_for_the_ccn_that_they_hit(replay):
    replay(
        from_host("203.0.113.1"),
        from_host("203.0.113.1", vni=10003),
        from_host("203.0.113.2", vni=10003),
        from_host(VM_B, ttl=1),
        from_host(VM_B, src="192.0.2.250", vni=10003),  # the VNI says whose it is
        from_host(VM_B, vni=777),  # nobody's
        from_host(VM_B),
    )
    of_ccsi = {k: n for k, n in replay.counters.items() if k[0].startswith("drop-ccsi")}
    assert of_ccsi == {
        ("drop-ccsi 100", "no-route"): 1,
        ("drop-ccsi 100", "ttl"): 1,
        ("drop-ccsi 200", "no-route"): 2,
        ("drop-ccsi 200", "unknown-vtep"): 1,
    }


def broken(frame, *fields):
    """The frame with these (layer index of IP or UDP, field, value) wrong, and nothing recomputed
    but the checksum of an IP header that something else is wrong in."""
    copy = Ether(bytes(frame))
    for layer, nth, field, value in fields:
        found = copy.getlayer(layer, nth)
        setattr(found, field, value)
        if layer is IP and field != "chksum":
            found.chksum = 0
            octets = bytes(found)[: max(20, 4 * found.ihl)]
            words = sum(int.from_bytes(octets[i : i + 2]) for i in range(0, len(octets), 2))
            found.chksum = 0xFFFF - (words % 0xFFFF or 0xFFFF)
    return copy


def test_headers_that_lie_are_dropped_each_with_a_reason_of_its_own(replay):
    good = from_host(VM_B)
    right = from_host(VM_B, options=[b"\x07\x07\x04\x00\x00\x00\x00\x00"])  # record route
    routed = from_host(VM_B, options=[b"\x83\x07\x04\x0a\x01\x00\x14\x00"])  # LSRR
    endless = from_host(VM_B, options=[b"\x07\x28\x04\x00"])
    pieces = from_host(VM_B, flags="MF"), from_host(VM_B, frag=100)
    out, drops = replay(
        good,
        right,
        *pieces,
        broken(good, (IP, 1, "version", 5)),
        broken(good, (IP, 1, "ihl", 4)),
        broken(good, (IP, 1, "len", 9000)),
        broken(good, (IP, 1, "chksum", 1)),
        broken(good, (IP, 1, "flags", "MF")),
        broken(good, (UDP, 1, "len", 9000)),
        broken(good, (UDP, 1, "len", 20)),
        broken(good, (IP, 2, "version", 5)),
        broken(good, (IP, 2, "ihl", 4)),
        broken(good, (IP, 2, "len", 9000)),
        broken(good, (IP, 2, "len", 19)),
        broken(good, (IP, 2, "chksum", 1)),
        broken(right, (IP, 2, "chksum", 1)),
        broken(from_host("fd00:1::20"), (IPv6, 1, "plen", 9000)),
        routed,
        endless,
    )
    assert drops == {
        "outer-header": 2,
        "outer-length": 1,
        "outer-checksum": 1,
        "outer-fragment": 1,
        "vxlan-length": 2,
        "ip-header": 3,
        "ip-length": 3,
        "ip-checksum": 2,
        "source-route": 1,
    }
    assert [p[VXLAN][IP].options != [] for p in out] == [False, True, False, False]
    assert [(str(p[VXLAN][IP].flags), p[VXLAN][IP].frag) for p in out[2:]] == [("MF", 0), ("", 100)]


def test_flow_hash_spreads_flows_and_keeps_each(replay):
    flows = [from_host(VM_B, payload=PAYLOAD, id=n) for n in range(4)]
    for n, frame in enumerate(flows):
        frame[VXLAN][UDP].sport = 1000 + n // 2
    out, _ = replay(*flows)
    ports = [p[UDP].sport for p in out]
    assert ports[0] == ports[1] != ports[2] == ports[3]


def test_own_addresses_answer_arp_and_ping(replay):
    peer = "02:00:c0:00:02:65"
    ping = IP(src=HOST, dst=GATEWAY) / ICMP(id=7, seq=9) / Raw(b"abc")
    vlan_ping = IP(src="169.254.1.2", dst="169.254.1.1") / ICMP(id=8, seq=1)
    out, drops = replay(
        Ether(src=peer, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=peer, psrc=HOST, pdst=GATEWAY),
        Ether(src=peer, dst="02:00:00:00:00:01") / ping,
        Ether(src=peer, dst="02:00:00:00:00:01") / Dot1Q(vlan=101) / vlan_ping,
        Ether(src=peer, dst="02:00:00:00:00:01") / IP(src=HOST, dst=GATEWAY) / TCP(dport=179),
    )
    assert drops == {"tap": 1}  # TCP is the kernel's, and here is no tap
    replies = sorted(out, key=lambda p: (ARP not in p, Dot1Q in p))
    assert (replies[0][ARP].op, replies[0][ARP].psrc, replies[0][ARP].pdst) == (2, GATEWAY, HOST)
    assert replies[0][ARP].hwsrc == replies[0].src and replies[0].dst == peer
    assert (replies[1][IP].src, replies[1][ICMP].type, replies[1][ICMP].seq) == (GATEWAY, 0, 9)
    assert (replies[2][Dot1Q].vlan, replies[2][ICMP].id) == (101, 8)
    for packet in replies[1:]:
        assert bytes(packet) == recomputed(packet)


def test_congestion_is_carried_inside(replay):
    frames = [from_host(VM_B, tos=tos) for tos in (0x28, 0x29, 0x2B)]
    marked = [frame.copy() for frame in frames[:2]]
    for frame in marked:
        frame[IP].tos = 3
    out, drops = replay(*frames, *marked)
    assert drops == {"ecn": 1}
    assert [p[VXLAN][IP].tos for p in out] == [0x28, 0x29, 0x2B, 0x2B]
    assert [p[IP].tos for p in out[:3]] == [0x28, 0x29, 0x2B]
    assert all(bytes(p) == recomputed(p) for p in out)


def test_mutated_frames_are_forwarded_or_counted(replay):
    random = Random(7)
    plain = (
        Ether(dst="02:00:00:00:00:01") / Dot1Q(vlan=101) / IP(src="172.16.5.5", dst=VM_B) / UDP()
    )
    seeds = [from_host(VM_B), from_host("fd00:1::20"), from_host("172.16.5.5"), plain]
    seeds = [bytes(seed) for seed in seeds]
    frames = []
    for _ in range(6_000):
        octets = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, 3)):
            octets[random.randrange(len(octets))] = random.choice(
                (0, 1, 255, random.randrange(256))
            )
        if random.random() < 0.2:
            del octets[random.randrange(1, len(octets)) :]
        frames.append(Ether(bytes(octets)) if len(octets) >= 14 else Raw(bytes(octets)))
    out, drops = replay(*frames)
    assert len(out) + sum(drops.values()) == len(frames)
    assert len(drops) > 10 and len(out) > 1_000
    for packet in out[::50]:  # whatever was inside, the outer header is right
        if VXLAN in packet:
            header = bytes(packet)[14:34]
            words = sum(int.from_bytes(header[n : n + 2], "big") for n in range(0, 20, 2))
            assert words % 0xFFFF == 0
            assert int.from_bytes(header[2:4], "big") == len(packet) - 14
