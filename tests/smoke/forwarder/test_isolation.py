"""No crafted frame gets from one CCN into another.

Every frame here that carries RETAIL's stamp comes from RETAIL's side; none may leave where FINANCE
is.

Neighbours are fixed and frames to any MAC are taken, so that nothing but the tables separates the
two; both use the same addresses throughout.
"""

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
    ICMPv6EchoRequest,
    IPOption_Router_Alert,
    IPv6,
    Raw,
    fragment,
    rdpcap,
    wrpcap,
)

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role, VniKind

pytestmark = pytest.mark.smoke

GATEWAY = "192.0.2.11"
ROUTER_MAC = "02:cc:c0:00:02:0b"
REMOTE = "198.51.100.21"
VM_A, VM_B, SERVER = "10.1.0.10", "10.1.0.20", "172.16.5.5"
ANY = "02:00:00:00:00:01"


class Ccn:
    """One of the two: its CCSI, VNIs, host and VLAN, and a stamp for its payloads."""

    def __init__(self, ccsi: int, vni: int, l3vni: int, host: str, vlan: int) -> None:
        self.ccsi, self.vni, self.l3vni, self.host, self.vlan = ccsi, vni, l3vni, host, vlan
        self.stamp = f"stamp-of-{ccsi}-".encode() * 3

    def rows(self, rows, first):
        on_link, remote, neighbor, on_link6 = range(first, first + 4)
        return [
            rows.ccsi(self.ccsi, str(self.ccsi)),
            rows.interface(
                self.ccsi,
                Role.HAND_OFF,
                "p1",
                "169.254.1.1/30",
                vlan=self.vlan,
                ccsi=self.ccsi,
                address6="fd00:ff::1",
                length6=64,
            ),
            rows.vni(self.vni, self.ccsi),
            rows.vni(self.l3vni, self.ccsi, VniKind.L3),
            rows.vtep(self.vni, self.host),
            rows.next_hop(on_link, NextHopKind.ON_LINK, vni=self.vni),
            rows.next_hop(
                remote, NextHopKind.REMOTE, vni=self.l3vni, ip=REMOTE, mac="02:cc:c6:33:64:15"
            ),
            rows.next_hop(neighbor, NextHopKind.NEIGHBOR, interface=self.ccsi, ip="169.254.1.2"),
            rows.next_hop(on_link6, NextHopKind.ON_LINK, vni=self.vni),
            rows.vm(self.vni, VM_A, "02:00:0a:01:00:0a", self.host),
            rows.vm(self.vni, VM_B, "02:00:0a:01:00:14", self.host),
            rows.vm(self.vni, "fd00:1::10", "02:00:0a:01:00:0a", self.host),
            rows.vm(self.vni, "fd00:1::20", "02:00:0a:01:00:14", self.host),
            rows.route(self.ccsi, "10.1.0.0/16", on_link),
            rows.route(self.ccsi, "10.2.0.0/16", remote),
            rows.route(self.ccsi, "0.0.0.0/0", neighbor),
            rows.route(self.ccsi, "fd00:1::/64", on_link6),
            rows.route(self.ccsi, "::/0", neighbor),
        ]


RETAIL = Ccn(100, 10001, 20100, "192.0.2.101", 101)
FINANCE = Ccn(200, 10002, 20200, "192.0.2.102", 201)


def tables(rows):
    return [
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", via="192.0.2.1", mac=ROUTER_MAC),
        *RETAIL.rows(rows, 0),
        *FINANCE.rows(rows, 10),
        # each VNI between gateways has its own remote one
        rows.vtep(RETAIL.l3vni, REMOTE),
        rows.vtep(FINANCE.l3vni, "198.51.100.22"),
    ]


def inner(ccn, dst=VM_B, src=VM_A, **more):
    network = IPv6(src="fd00:1::10", dst=dst) if ":" in dst else IP(src=src, dst=dst, **more)
    return network / UDP(sport=1000, dport=2000) / Raw(ccn.stamp)


def tunnel(packet, *, vni, src, dst=GATEWAY, flags=8, ether=None, **udp):
    return (
        Ether(src="02:00:c0:00:02:65", dst=ANY)
        / IP(src=src, dst=dst)
        / UDP(sport=50000, dport=4789, **udp)
        / VXLAN(vni=vni, flags=flags)
        / (ether or Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC))
        / packet
    )


@pytest.fixture
def replay(forwarder, rows, tmp_path):
    """Frames into uplink and hand-off port; what left each, and the drops."""

    def run(uplink=(), hand_off=()):
        ports = {}
        for name, frames in (("p0", uplink), ("p1", hand_off)):
            filler = [] if frames else [Raw(b"-")]  # a file without a packet is none
            wrpcap(str(tmp_path / f"{name}.in"), [*frames, *filler])
            ports[name] = f"pcap:{tmp_path}/{name}.in,{tmp_path}/{name}.out"
        path, process = forwarder(ports, "--static-neighbors", "--once")
        with ForwarderClient.connect(path) as client:
            client.commit(0, 1, tables(rows), b"digest", full=True)
            deadline = time.monotonic() + 10
            while not all(rows.counters(client)[f"port {p}", "rx-finished"] for p in ports):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.1)  # answers of the slow path
            seen = rows.counters(client)
        process.terminate()
        process.wait(5)
        out = {p: list(rdpcap(str(tmp_path / f"{p}.out"))) for p in ports}
        seen["drop", "runt"] -= (not uplink) + (not hand_off)
        return out, {name: n for (scope, name), n in seen.items() if scope == "drop" and n}

    return run


def place(port, packet):
    """Whose CCN a frame that left belongs to."""
    if port == "p0":
        vni = packet[VXLAN].vni if VXLAN in packet else None
        return next((c for c in (RETAIL, FINANCE) if vni in (c.vni, c.l3vni)), None)
    vlan = packet[Dot1Q].vlan if Dot1Q in packet else 0
    return next((c for c in (RETAIL, FINANCE) if vlan == c.vlan), None)


def assert_kept_apart(out):
    for port, packets in out.items():
        for packet in packets:
            where, octets = place(port, packet), bytes(packet)
            for ccn, other in ((RETAIL, FINANCE), (FINANCE, RETAIL)):
                assert where is not other or ccn.stamp not in octets, packet.show(dump=True)


def stamped(out, ccn):
    return [p for packets in out.values() for p in packets if ccn.stamp in bytes(p)]


def test_equal_addresses_each_in_their_own(replay):
    """The positive control: right frames of both do get through, and would be seen elsewhere."""
    frames = [
        tunnel(inner(c, d), vni=c.vni, src=c.host)
        for c in (RETAIL, FINANCE)
        for d in (VM_B, "10.2.0.9", SERVER, "fd00:1::20", "2001:db8::1")
    ]
    idc = [Ether(dst=ANY) / Dot1Q(vlan=c.vlan) / inner(c, src=SERVER) for c in (RETAIL, FINANCE)]
    out, drops = replay(frames, idc)
    assert not drops
    assert len(stamped(out, RETAIL)) == len(stamped(out, FINANCE)) == 6
    assert_kept_apart(out)
    wrong = {"p1": [Ether() / Dot1Q(vlan=FINANCE.vlan) / inner(RETAIL)]}
    with pytest.raises(AssertionError):
        assert_kept_apart(wrong)


def test_forged_vni_and_outer_source(replay):
    frames = [
        tunnel(inner(RETAIL), vni=FINANCE.vni, src=RETAIL.host),
        tunnel(inner(RETAIL), vni=FINANCE.l3vni, src=RETAIL.host),
        tunnel(inner(RETAIL), vni=FINANCE.l3vni, src=REMOTE),
        tunnel(inner(RETAIL), vni=FINANCE.vni, src=REMOTE),
        tunnel(inner(RETAIL), vni=FINANCE.vni, src=GATEWAY),
        tunnel(inner(RETAIL), vni=FINANCE.vni, src="198.51.100.22"),  # a gateway on a VPC's VNI
        tunnel(inner(RETAIL), vni=FINANCE.vni, src="255.255.255.255"),
        tunnel(inner(RETAIL), vni=0, src=RETAIL.host),
        tunnel(inner(RETAIL), vni=0xFFFFFF, src=RETAIL.host),
    ]
    out, drops = replay(frames)
    assert not stamped(out, RETAIL)
    assert drops["unknown-vtep"] == 7 and drops["unknown-vni"] == 2


def test_the_underlay_is_not_reached_from_a_hand_off(replay):
    """An IDC forges whole tunnels, with a host's own source: to it they are plain packets."""
    forged = tunnel(inner(RETAIL), vni=FINANCE.vni, src=FINANCE.host)
    frames = []
    for vlan in (RETAIL.vlan, 0, FINANCE.vlan + 1):
        frame = forged.copy()
        if vlan:
            frame = Ether(dst=ANY) / Dot1Q(vlan=vlan) / forged[IP]
        frames.append(frame)
    frames.append(
        Ether(dst=ANY)
        / Dot1Q(vlan=RETAIL.vlan)
        / IP(src="172.16.1.1", dst=GATEWAY)
        / TCP(dport=179)
        / Raw(RETAIL.stamp)
    )
    out, drops = replay(hand_off=frames)
    assert drops["no-interface"] >= 2
    # by RETAIL's own default route they go back to RETAIL's IDC, as any address would
    assert all(place("p1", p) is RETAIL for p in stamped(out, RETAIL)) and not out["p0"]
    assert_kept_apart(out)


def test_forged_tags(replay):
    packet = inner(RETAIL, src=SERVER)
    mine, theirs = Dot1Q(vlan=RETAIL.vlan), Dot1Q(vlan=FINANCE.vlan)
    frames = [
        Ether(dst=ANY) / mine / theirs / packet,  # VLAN hopping
        Ether(dst=ANY) / Dot1Q(vlan=0, prio=5) / theirs / packet,
        Ether(dst=ANY, type=0x88A8) / mine / theirs / packet,
        Ether(dst=ANY) / Dot1Q(vlan=4095) / packet,
        Ether(dst=ANY) / Dot1Q(vlan=0, prio=7) / packet,  # untagged: no interface here
        Ether(dst=ANY) / packet,
        Ether(dst=ANY) / Dot1Q(vlan=RETAIL.vlan, prio=6, id=1) / packet,  # only this is right
    ]
    out, drops = replay(hand_off=frames)
    assert [place("p0", p) for p in stamped(out, RETAIL)] == [RETAIL]
    assert sum(drops.values()) == len(frames) - 1


def test_inner_destinations_that_belong_to_gateways(replay):
    """VXLAN in VXLAN, VTEPs, hand-off and VPC gateway addresses: only RETAIL's routes apply."""
    nested = tunnel(inner(RETAIL), vni=FINANCE.vni, src=FINANCE.host)[IP]

    def sent(src):
        yield nested
        for dst in (GATEWAY, REMOTE, FINANCE.host, "169.254.1.1", "169.254.1.2", "10.1.0.1"):
            yield inner(RETAIL, dst, src=src)
        yield inner(RETAIL, "fd00:ff::1")

    frames = [tunnel(p, vni=RETAIL.vni, src=RETAIL.host) for p in sent(VM_A)]
    idc = [Ether(dst=ANY) / Dot1Q(vlan=RETAIL.vlan) / p for p in sent(SERVER)]
    out, drops = replay(frames, idc)
    assert_kept_apart(out)
    assert {place(port, p) for port, packets in out.items() for p in packets} <= {RETAIL}
    # 169.254.0.0/16 is never routed (RFC 3927 section 7), and VPC gateways are no VMs
    assert drops == {"martian": 3, "no-vm": 2, "source-no-vm": 1, "off-link": 2}


def test_martians_are_not_routed(replay):
    """With a default route, what no router may forward would reach the IDC (RFC 1812 5.3.7)."""
    to = "0.0.0.7 127.0.0.1 169.254.9.9 224.0.0.5 255.255.255.255 240.0.0.1"
    to6 = "::1 :: fe80::1 ff02::1 ff0e::7"
    frames = [
        tunnel(inner(RETAIL, dst), vni=RETAIL.vni, src=RETAIL.host)
        for dst in (*to.split(), *to6.split())
    ]
    frames += [
        tunnel(inner(RETAIL, SERVER, src=src), vni=RETAIL.vni, src=RETAIL.host)
        for src in ("127.0.0.1", "224.0.0.1", "255.255.255.255")
    ]
    group = Ether(src="02:00:0a:01:00:0a", dst="01:00:5e:00:00:05")
    idc = [
        Ether(dst=ANY) / Dot1Q(vlan=RETAIL.vlan) / IP(src=SERVER, dst=d) / UDP() / Raw(RETAIL.stamp)
        for d in to.split()
    ]
    frames.append(tunnel(inner(RETAIL, "224.0.0.5"), vni=RETAIL.vni, src=RETAIL.host, ether=group))
    out, drops = replay(frames, idc)
    assert not stamped(out, RETAIL)
    assert drops["martian"] == len(frames) + len(idc)


def test_odd_outer_headers(replay):
    good = tunnel(inner(RETAIL), vni=RETAIL.vni, src=RETAIL.host)
    options = good.copy()
    options[IP].options = [IPOption_Router_Alert()]
    checksum = good.copy()
    checksum[UDP].chksum = 0x1234  # RFC 7348 section 5: need not be verified
    reserved, no_vni = bytearray(bytes(good)), bytearray(bytes(good))
    reserved[42] = 0xFF  # RFC 7348: reserved bits are ignored on receipt
    no_vni[42] = 0xF7
    short = good.copy()
    short[UDP].len = 8 + 8 + 14 + 20 + 8  # the inner packet does not end within the datagram
    pieces = fragment(
        IP(src=RETAIL.host, dst=GATEWAY, proto=17)
        / bytes(tunnel(inner(RETAIL), vni=RETAIL.vni, src=RETAIL.host)[UDP]),
        64,
    )
    pieces = [Ether(dst=ANY) / IP(bytes(p)) for p in pieces]
    broken = Ether(bytes(good))
    broken[IP].chksum ^= 1
    out, drops = replay(
        [
            good,
            options,
            checksum,
            Raw(bytes(reserved)),
            Raw(bytes(no_vni)),
            short,
            broken,
            pieces[0],
        ]
    )
    assert len(stamped(out, RETAIL)) == 4
    assert drops == {
        "vxlan-flags": 1,
        "ip-length": 1,
        "outer-checksum": 1,
        "outer-fragment": 1,
    }


def test_inner_frames_that_are_no_unicast_ip(replay):
    broadcast = Ether(src="02:00:0a:01:00:0a", dst="ff:ff:ff:ff:ff:ff")
    frames = [
        tunnel(
            ARP(pdst=VM_B, psrc=VM_A) / Raw(RETAIL.stamp),
            vni=RETAIL.vni,
            src=RETAIL.host,
            ether=broadcast,
        ),
        tunnel(Dot1Q(vlan=FINANCE.vlan) / inner(RETAIL), vni=RETAIL.vni, src=RETAIL.host),
        tunnel(Raw(RETAIL.stamp), vni=RETAIL.vni, src=RETAIL.host),
    ]
    out, drops = replay(frames)
    assert not stamped(out, RETAIL)
    assert (drops["inner-type"], drops["vm-neighbor"]) == (2, 1)


def test_edges_of_ttl_and_mtu(replay):
    def sized(ip_octets, dst=VM_B):
        packet = IP(src=VM_A, dst=dst, flags="DF") / UDP() / Raw(RETAIL.stamp)
        return packet / Raw(bytes(ip_octets - len(packet)))

    def sent(packet):
        return tunnel(packet, vni=RETAIL.vni, src=RETAIL.host)

    out, drops = replay(
        [
            sent(sized(1500)),
            sent(sized(1550)),
            sent(sized(1551)),
            sent(sized(1600, SERVER)),
            sent(inner(RETAIL, ttl=2)),
            sent(inner(RETAIL, ttl=1)),
            sent(inner(RETAIL, ttl=0)),
            sent(inner(RETAIL, ttl=255)),
        ]
    )
    assert drops == {"mtu": 1, "ttl": 2}
    assert sorted(len(p) for p in out["p0"] if len(p) > 1000) == [1564, 1614]
    small = [p[VXLAN][IP] for p in out["p0"] if len(p) < 1000]
    assert sorted(p.ttl for p in small if p.proto == 17) == [1, 254]
    # and the sender is told of the three that were dropped
    assert sorted((p[ICMP].type, p.dst) for p in small if p.proto == 1) == [
        (3, VM_A),
        (11, VM_A),
        (11, VM_A),
    ]


def test_own_addresses_answer_only_their_own_side(replay):
    def idc(vlan, packet):
        return Ether(src="02:00:a9:fe:01:02", dst=ANY) / Dot1Q(vlan=vlan) / packet

    def asks(address):
        return ARP(psrc="169.254.1.2", pdst=address, hwsrc="02:00:a9:fe:01:02")

    ping = IP(src="169.254.1.2", dst="169.254.1.1") / ICMP(id=7) / Raw(RETAIL.stamp * 30)
    ping6 = IPv6(src="fd00:ff::2", dst="fd00:ff::1") / ICMPv6EchoRequest(data=RETAIL.stamp)
    off_link = IP(src="198.51.100.21", dst="169.254.1.1") / UDP(dport=9) / Raw(RETAIL.stamp)
    out, drops = replay(
        hand_off=[
            idc(RETAIL.vlan, asks("169.254.1.1")),
            idc(RETAIL.vlan, asks(GATEWAY)),
            idc(RETAIL.vlan, asks("10.1.0.1")),
            idc(RETAIL.vlan, ping),
            idc(RETAIL.vlan, ping6),
            idc(RETAIL.vlan, off_link),
            idc(RETAIL.vlan, IPv6(src="2001:db8::1", dst="fd00:ff::1") / UDP(dport=9)),
        ]
    )
    assert not out["p0"]
    assert [place("p1", p) for p in out["p1"]] == [RETAIL] * 3
    assert len(stamped(out, RETAIL)) == 2
    # the kernel has one table for all: what it answered would leave elsewhere
    assert drops["off-link"] == 2


def test_mutated_frames_stay_where_they_are(replay):
    random = Random(20261122)
    uplink = [
        bytes(tunnel(inner(RETAIL, d), vni=RETAIL.vni, src=RETAIL.host))
        for d in (VM_B, SERVER, "10.2.0.9", "fd00:1::20")
    ]
    hand_off = [bytes(Ether(dst=ANY) / Dot1Q(vlan=RETAIL.vlan) / inner(RETAIL, src=SERVER))]

    def mutated(seeds, protected):
        octets = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, 4)):
            # not the payload: it is what tells whose a frame is
            octets[random.randrange(len(octets) - 45)] = random.choice(
                (0, 1, 0x45, 0x60, 0x81, 201, 255, random.randrange(256))
            )
        for at, value in protected.items():
            octets[at : at + len(value)] = value
        if random.random() < 0.1:
            del octets[random.randrange(14, len(octets)) :]
        return Ether(bytes(octets))

    # a host's VNI and source may become FINANCE's only by both; a tag alone would do, and is kept
    tag = {14: (RETAIL.vlan).to_bytes(2, "big")}
    out, drops = replay(
        [mutated(uplink, {}) for _ in range(6000)], [mutated(hand_off, tag) for _ in range(3000)]
    )
    assert_kept_apart(out)
    assert len(stamped(out, RETAIL)) > 1500 and len(drops) > 10
