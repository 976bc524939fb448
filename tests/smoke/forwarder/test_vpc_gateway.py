"""The router that VMs see: its addresses answer, and whoever cannot be served is told, by RFC."""

from __future__ import annotations

import time

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
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPOption_NOP,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Raw,
    defragment,
    rdpcap,
    wrpcap,
)

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.wire import NextHopKind, Role, VniKind

pytestmark = pytest.mark.smoke

OURS, HOST, FAR = "192.0.2.11", "192.0.2.101", "198.51.100.21"
ROUTER_MAC, VM_MAC = "02:cc:c0:00:02:0b", "02:00:0a:01:00:0a"
VM, VM6, GATEWAY, GATEWAY6 = "10.1.0.10", "fd00:1::10", "10.1.0.1", "fd00:1::1"
BIG = b"x" * 1400


def tables(rows):
    """A VPC here, one behind another gateway, a data centre; the underlay takes 1400 octets."""
    return [
        rows.ccsi(100, "retail"),
        rows.interface(
            1, Role.UPLINK, "p0", f"{OURS}/24", via="192.0.2.1", mac=ROUTER_MAC, mtu=1400
        ),
        rows.interface(
            2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100, mtu=1300,
            address6="fd00:ff::1", length6=64,
        ),
        rows.vni(10001, 100),
        rows.vni(20100, 100, VniKind.L3),
        rows.vtep(10001, HOST),
        rows.vtep(20100, FAR),
        rows.gateway_address(10001, GATEWAY),
        rows.gateway_address(10001, GATEWAY6),
        rows.next_hop(0, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(1, NextHopKind.REMOTE, vni=20100, ip=FAR, mac="02:cc:c6:33:64:15"),
        rows.next_hop(2, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.next_hop(3, NextHopKind.NEIGHBOR, interface=2, ip="fd00:ff::2"),
        rows.next_hop(4, NextHopKind.DROP),
        rows.vm(10001, VM, VM_MAC, HOST),
        rows.vm(10001, VM6, VM_MAC, HOST),
        rows.vm(10001, "10.1.0.20", "02:00:0a:01:00:14", "192.0.2.102"),
        rows.route(100, "10.1.0.0/16", 0),
        rows.route(100, "fd00:1::/64", 0),
        rows.route(100, "10.2.0.0/16", 1),
        rows.route(100, "fd00:2::/64", 1),
        rows.route(100, "172.16.0.0/16", 2),
        rows.route(100, "fd00:172::/64", 3),
        rows.route(100, "10.66.0.0/16", 4),
    ]  # fmt: skip


def tunnelled(inner, *, vni=10001, outer=HOST, to=ROUTER_MAC, tos=0):
    return (
        Ether(src="02:00:c0:00:02:65", dst="02:00:c0:00:02:0b")
        / IP(src=outer, dst=OURS, tos=tos)
        / UDP(sport=50000, dport=4789)
        / VXLAN(vni=vni, flags=8)
        / Ether(src=VM_MAC, dst=to)
        / inner
    )


def vm(dst, *more, src=None, **fields):
    """A UDP datagram of the VM, or what is given."""
    head = IPv6(src=src or VM6, dst=dst, **fields) if ":" in dst else IP(
        src=src or VM, dst=dst, **fields
    )  # fmt: skip
    for layer in more or (UDP(sport=1000, dport=2000), Raw(b"payload!" * 8)):
        head /= layer
    return head


@pytest.fixture
def replay(forwarder, rows, tmp_path):
    """Frames in; ``expected`` frames out (None: any), and the counters."""

    def run(*frames, expected=None, metered=False):
        wrpcap(str(tmp_path / "in.pcap"), [Ether(bytes(f)) for f in frames])
        path, _ = forwarder(
            {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"},
            "--static-neighbors",
            *["--once"] * (not metered),
        )
        with ForwarderClient.connect(path) as client:
            client.commit(0, 1, tables(rows), b"", full=True)
            deadline = time.monotonic() + 5
            while not (seen := rows.counters(client))["port p0", "rx-finished"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            end = time.monotonic() + 0.5
            while time.monotonic() < end and seen["port p0", "tx-packets"] != expected:
                time.sleep(0.01)
                seen = rows.counters(client)
            time.sleep(0.05)  # and not one more
            seen = rows.counters(client)
        sent = seen["port p0", "tx-packets"]
        assert expected in (None, sent)
        out = list(rdpcap(str(tmp_path / "out.pcap"))) if sent else []
        assert len(out) == sent
        return out, seen

    return run


def inside(packet, *, dst=HOST, mac=VM_MAC, vni=10001):
    """The inner packet of a frame to a host, its headers proved."""
    assert (packet[IP].src, packet[IP].dst, packet[VXLAN].vni) == (OURS, dst, vni)
    inner = packet[VXLAN][Ether]
    assert (inner.src, inner.dst) == (ROUTER_MAC, mac)
    whole = inner.payload
    again = whole.__class__(bytes(whole))
    for layer in (IP, ICMP, UDP):
        if again.haslayer(layer):
            del again[layer].chksum
            break
    return whole


def test_arp_for_the_gateway_address(replay):
    ask = ARP(hwsrc=VM_MAC, psrc=VM, pdst=GATEWAY)
    out, seen = replay(
        tunnelled(ask, to="ff:ff:ff:ff:ff:ff"),
        tunnelled(ask, to=ROUTER_MAC),  # the VM proves it again
        tunnelled(ARP(hwsrc=VM_MAC, psrc="0.0.0.0", pdst=GATEWAY), to="ff:ff:ff:ff:ff:ff"),
        tunnelled(ARP(hwsrc=VM_MAC, psrc=VM, pdst="10.1.0.20"), to="ff:ff:ff:ff:ff:ff"),
        tunnelled(ARP(hwsrc=VM_MAC, psrc=GATEWAY, pdst=GATEWAY), to="ff:ff:ff:ff:ff:ff"),
        tunnelled(ARP(op=2, hwsrc=VM_MAC, psrc=VM, pdst=GATEWAY)),
        # a VM of another host, and on a VNI that has no VMs
        tunnelled(ARP(hwsrc=VM_MAC, psrc="10.1.0.20", pdst=GATEWAY)),
        tunnelled(ask, vni=20100, outer=FAR, to="ff:ff:ff:ff:ff:ff"),
        expected=3,
    )
    for packet in out:
        arp = packet[VXLAN][ARP]
        assert packet[IP].dst == HOST and packet[VXLAN].vni == 10001
        assert (packet[VXLAN][Ether].src, packet[VXLAN][Ether].dst) == (ROUTER_MAC, VM_MAC)
        assert (arp.op, arp.hwsrc, arp.psrc, arp.hwdst) == (2, ROUTER_MAC, GATEWAY, VM_MAC)
    assert {p[VXLAN][ARP].pdst for p in out} == {VM, "0.0.0.0"}
    assert seen["drop", "vm-neighbor"] == 4 == seen["drop-ccsi 100", "vm-neighbor"]
    assert seen["slow-path", "neighbor-replies-sent"] == 3


def test_neighbor_discovery_of_the_gateway_address(replay):
    option = ICMPv6NDOptSrcLLAddr(lladdr=VM_MAC)

    def ask(src, dst="ff02::1:ff00:1", target=GATEWAY6, hlim=255):
        return IPv6(src=src, dst=dst, hlim=hlim) / ICMPv6ND_NS(tgt=target) / option

    group = "33:33:ff:00:00:01"
    out, seen = replay(
        tunnelled(ask(VM6), to=group),
        tunnelled(ask("fe80::a"), to=group),
        tunnelled(ask(VM6, dst=GATEWAY6)),
        tunnelled(ask(VM6, target="fd00:1::20"), to=group),
        tunnelled(ask(VM6, hlim=64), to=group),  # came through a router: a lie
        expected=3,
    )
    for packet in out:
        answer = packet[VXLAN][ICMPv6ND_NA]
        assert (packet[VXLAN][Ether].src, packet[VXLAN][Ether].dst) == (ROUTER_MAC, VM_MAC)
        assert (answer.tgt, answer.S, answer.R) == (GATEWAY6, 1, 1)
        assert answer.lladdr == ROUTER_MAC
        assert packet[VXLAN][IPv6].hlim == 255
    assert sorted(p[VXLAN][IPv6].dst for p in out) == [VM6, VM6, "fe80::a"]
    assert seen["drop", "vm-neighbor"] == 1


def test_the_gateway_address_answers_echo_to_all_who_reach_it(replay):
    from_idc = Ether(dst="02:70:63:61:70:00") / Dot1Q(vlan=101)
    out, seen = replay(
        tunnelled(vm(GATEWAY, ICMP(id=7, seq=3), Raw(b"hello" * 9), ttl=1)),
        tunnelled(vm(GATEWAY6, ICMPv6EchoRequest(id=8, data=b"six" * 9))),
        tunnelled(vm(GATEWAY, ICMP(id=9), src="10.2.0.10"), vni=20100, outer=FAR),
        from_idc / vm(GATEWAY, ICMP(id=10), src="172.16.0.9"),
        expected=4,
    )  # fmt: skip
    assert seen["slow-path", "echo-replies-sent"] == 4
    by_id = {}
    for packet in out:
        inner = packet[VXLAN][Ether].payload if VXLAN in packet else packet[IP]
        by_id[(inner[ICMP] if ICMP in inner else inner[ICMPv6EchoReply]).id] = packet
    assert inside(by_id[7])[ICMP].type == 0 and inside(by_id[7])[Raw].load == b"hello" * 9
    assert (inside(by_id[7])[IP].src, inside(by_id[7])[IP].dst) == (GATEWAY, VM)
    assert inside(by_id[8])[ICMPv6EchoReply].data == b"six" * 9
    far = inside(by_id[9], dst=FAR, mac="02:cc:c6:33:64:15", vni=20100)
    assert (far[IP].src, far[IP].dst) == (GATEWAY, "10.2.0.10")
    assert (by_id[10][Dot1Q].vlan, by_id[10][IP].src) == (101, GATEWAY)


def test_who_cannot_be_forwarded_is_told(replay):
    out, seen = replay(
        tunnelled(vm("10.2.0.10", ttl=1, id=1)),
        tunnelled(vm("203.0.113.1", id=2)),
        tunnelled(vm("10.1.0.77", id=3)),
        tunnelled(vm("10.2.0.10", UDP(sport=1), Raw(BIG), id=4, flags="DF")),
        tunnelled(vm("172.16.0.9", UDP(sport=1), Raw(b"x" * 1290), id=5, flags="DF")),
        tunnelled(vm(GATEWAY, UDP(sport=5, dport=33434), id=6)),
        tunnelled(vm("10.66.0.1", id=7)),  # a blackhole says nothing
        expected=6,
    )
    told = {}
    for packet in out:
        inner = inside(packet)
        error = inner[ICMP]
        assert (inner[IP].src, inner[IP].dst, inner[IP].tos) == (GATEWAY, VM, 0xC0)
        assert bytes(inner) == bytes(IP(bytes(inner)))
        about = error.payload
        told[about.id] = (error.type, error.code, error.nexthopmtu or 0)
        assert about.src == VM and about.ttl in (1, 64)  # as it came
        assert len(inner) <= 576
    assert told == {
        1: (11, 0, 0),
        2: (3, 0, 0),
        3: (3, 1, 0),
        4: (3, 4, 1350),
        5: (3, 4, 1300),
        6: (3, 3, 0),
    }
    assert seen["slow-path", "errors-sent"] == 6
    assert (seen["drop", "ttl"], seen["drop", "mtu"], seen["drop", "blackhole"]) == (1, 2, 1)
    assert (seen["punt error", "taken"], seen["punt vm", "taken"]) == (5, 1)


def test_who_cannot_be_forwarded_is_told_ipv6(replay):
    out, _ = replay(
        tunnelled(vm("fd00:2::10", hlim=1, fl=1)),
        tunnelled(vm("fd00:9::1", fl=2)),
        tunnelled(vm("fd00:1::77", fl=3)),
        tunnelled(vm("fd00:2::10", UDP(sport=1), Raw(BIG), fl=4)),
        tunnelled(vm("fd00:172::1", IPv6ExtHdrHopByHop(), UDP(sport=1), Raw(b"x" * 1290), fl=5)),
        tunnelled(vm(GATEWAY6, UDP(sport=5, dport=33434), fl=6)),
        expected=6,
    )
    told = {}
    for packet in out:
        inner = inside(packet)
        assert (inner[IPv6].src, inner[IPv6].dst, len(inner) <= 1280) == (GATEWAY6, VM6, True)
        error = inner[IPv6].payload
        again = IPv6(bytes(inner))
        del again.payload.cksum
        assert bytes(again) == bytes(inner)
        kind = (error.type, error.code, getattr(error, "mtu", 0))
        told[error.payload.fl] = kind
    assert told == {
        1: (3, 0, 0),
        2: (1, 0, 0),
        3: (1, 3, 0),
        4: (2, 0, 1350),
        5: (2, 0, 1300),
        6: (1, 4, 0),
    }
    kinds = {type(p[VXLAN][IPv6].payload) for p in out}
    assert kinds == {ICMPv6TimeExceeded, ICMPv6DestUnreach, ICMPv6PacketTooBig}


def test_nobody_is_told_about_these(replay):
    """RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e)."""
    error = ICMP(type=3, code=1) / Raw(bytes(vm("10.2.0.10"))[:28])
    replay(
        tunnelled(vm("203.0.113.1", error)),
        tunnelled(vm("203.0.113.1", frag=100)),
        tunnelled(vm("203.0.113.1", src="0.0.0.1")),
        tunnelled(vm("fd00:9::1", ICMPv6TimeExceeded(), Raw(b"x" * 48))),
        tunnelled(vm("fd00:9::1", IPv6ExtHdrFragment(offset=9), Raw(b"x" * 48))),
        tunnelled(vm(GATEWAY, ICMP(type=0))),
        expected=0,
    )


def test_what_comes_from_gateways_and_idcs_is_answered_by_an_address_that_they_know(replay):
    from_far = {"vni": 20100, "outer": FAR}
    from_idc = Ether(dst="02:70:63:61:70:00") / Dot1Q(vlan=101)
    out, _ = replay(
        tunnelled(vm("10.1.0.20", src="10.2.0.10", ttl=1, id=1), **from_far),
        tunnelled(vm("172.16.0.9", src="10.2.0.10", ttl=1, id=2), **from_far),
        tunnelled(vm("203.0.113.1", src="10.2.0.10", id=3), **from_far),
        from_idc / vm("10.1.0.20", src="172.16.0.9", ttl=1, id=4),
        from_idc / vm("10.2.0.1", UDP(sport=1), Raw(BIG), src="172.16.0.9", id=5, flags="DF"),
        from_idc / vm("fd00:2::1", UDP(sport=1), Raw(BIG), src="fd00:172::9", fl=6),
        expected=6,
    )
    told = {}
    for packet in out:
        inner = packet[VXLAN][Ether].payload if VXLAN in packet else packet[Dot1Q].payload
        error = inner.payload
        about = error.payload
        told[about.id if isinstance(inner, IP) else about.fl] = inner.src
    assert told == {
        1: GATEWAY,
        2: GATEWAY,
        3: GATEWAY,
        4: "169.254.1.1",
        5: "169.254.1.1",
        6: "fd00:ff::1",
    }


def test_a_packet_that_may_be_cut_is_cut(replay):
    whole = vm(
        "10.2.0.10", UDP(sport=1, dport=2), Raw(bytes(range(256)) * 6), id=5, tos=2,
        options=[IPOption_NOP()] * 4,
    )  # fmt: skip
    piece = vm("10.2.0.10", Raw(BIG), id=6, frag=10, flags="MF", proto=17)
    out, seen = replay(tunnelled(whole, tos=3), tunnelled(piece), expected=4)
    parts = [inside(p, dst=FAR, mac="02:cc:c6:33:64:15", vni=20100) for p in out]
    assert all(len(p) <= 1350 and p.ttl == 63 for p in parts)
    assert {p.tos & 3 for p in parts if p.id == 5} == {3}  # congestion seen outside is kept
    for part in parts:
        again = IP(bytes(part))
        del again.chksum
        assert bytes(again) == bytes(part)
    (joined,) = defragment([p for p in parts if p.id == 5])
    assert bytes(joined[UDP].payload) == bytes(range(256)) * 6
    later = [p for p in parts if p.id == 6]
    assert [(p.frag, str(p.flags)) for p in sorted(later, key=lambda p: p.frag)] == [
        (10, "MF"),
        (10 + 1328 // 8, "MF"),
    ]
    # all fragments of a packet take one way: their ports are not looked at
    assert len({p[UDP].sport for p in out if p[VXLAN][IP].id == 6}) == 1
    assert seen["slow-path", "fragments-sent"] == 4
    assert seen["drop", "mtu"] == 0 and seen["punt fragment", "taken"] == 2


def test_errors_have_a_rate_for_each_ccsi(replay):
    frames = [tunnelled(vm("203.0.113.1"))] * 2000
    frames += [tunnelled(vm("10.2.0.10", UDP(sport=1), Raw(BIG), id=1, flags="DF"))]
    begin = time.monotonic()
    out, seen = replay(*frames, metered=True)
    took = time.monotonic() - begin
    kinds = [p[VXLAN][ICMP].code for p in out]
    assert kinds.count(4) == 1  # not starved by the others
    assert 51 <= kinds.count(0) <= min(51 + 200 * took, 1900)
    assert seen["drop", "no-route"] == 2000
    assert seen["punt error", "refused"] == 2000 - kinds.count(0)


def test_questions_have_a_rate_for_each_ccsi_too(replay):
    ask = tunnelled(ARP(hwsrc=VM_MAC, psrc=VM, pdst="10.1.0.20"), to="ff:ff:ff:ff:ff:ff")
    _, seen = replay(*[ask] * 4000, metered=True)
    for reason in ("punt-rate", "vm-neighbor"):  # nor is an answer owed to the others
        assert seen["drop", reason] == seen["drop-ccsi 100", reason] > 0
    assert seen["drop", "punt-rate"] + seen["drop", "vm-neighbor"] == 4000


@pytest.mark.parametrize(
    ("outer", "inner", "result"),
    [(0, 2, 2), (1, 2, 1), (1, 1, 1), (3, 1, 3), (3, 2, 3), (2, 0, 0), (0, 3, 3), (3, 0, None)],
)
def test_ecn_and_dscp(replay, outer, inner, result):
    """RFC 6040 figure 4 on the way in; on the way out the outer header is a copy of what came of it
    (section 4.1)."""
    dscp = 46 << 2
    out, seen = replay(
        tunnelled(vm("10.2.0.10", tos=dscp | inner), tos=outer),
        tunnelled(vm("fd00:2::10", tc=dscp | inner), tos=outer),
        expected=0 if result is None else 2,
    )
    for packet in out:
        assert packet[IP].tos == dscp | result
        found = packet[VXLAN][Ether].payload
        assert (found.tos if isinstance(found, IP) else found.tc) == dscp | result
    assert seen["drop", "ecn"] == (2 if result is None else 0)


def test_source_port_options_and_extension_headers(replay):
    """The outer port tells flows apart where ports can be read (RFC 7348 section 5)."""
    hop = IPv6ExtHdrHopByHop()
    frames = [
        *(tunnelled(vm("10.2.0.10", TCP(sport=n, dport=80))) for n in range(1, 21)),
        *(
            tunnelled(vm("10.2.0.10", UDP(sport=n), Raw(b"12"), options=[IPOption_NOP()] * 4))
            for n in range(1, 21)
        ),
        *(tunnelled(vm("10.2.0.10", UDP(sport=n), Raw(b"12"), flags="MF")) for n in range(1, 21)),
        *(tunnelled(vm("fd00:2::10", hop, UDP(sport=n), Raw(b"12"))) for n in range(1, 21)),
        *(tunnelled(vm("fd00:2::10", TCP(sport=n, dport=80))) for n in range(1, 21)),
    ]
    out, _ = replay(*frames, expected=100)
    ports = [{p[UDP].sport for p in out[n : n + 20]} for n in range(0, 100, 20)]
    assert len(ports[0]) > 15 and len(ports[1]) > 15 and len(ports[4]) > 15
    assert len(ports[2]) == 1  # fragments: by their addresses
    assert len(ports[3]) == 1
    for sent, packet in zip(frames, out, strict=True):
        was, now = sent[VXLAN][Ether].payload, packet[VXLAN][Ether].payload
        assert bytes(was)[40:] == bytes(now)[40:]
