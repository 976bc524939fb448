"""Forged inner sources: what a host, a gateway and a data centre may send, and what it may not.

One CCSI. VMs of two hosts; VM .30 forwards for 10.99.0.0/24. A far gateway, one of our region, one
with a hand-off. Data centre 7 has two hand-offs here, data centre 8 one.
"""

from __future__ import annotations

import time

import pytest
from scapy.all import IP, UDP, VXLAN, Dot1Q, Ether, IPv6, Raw, rdpcap, wrpcap

from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.wire import (
    CcsiFlag,
    NextHopKind,
    Role,
    SourceFlag,
    VniKind,
    VtepFlag,
)

pytestmark = pytest.mark.smoke

GATEWAY, ROUTER_MAC = "192.0.2.11", "02:cc:c0:00:02:0b"
HOST, OTHER = "192.0.2.101", "192.0.2.102"
FAR, NEAR, DUAL, THIRD = "198.51.100.21", "192.0.2.12", "198.51.100.31", "203.0.113.41"
VPC, SECOND_VPC, L3 = 10001, 10002, 20100
TARGET, TARGET6 = "10.1.0.99", "fd00:1::99"


def tables(rows, flags):
    drop, vpc, vip, far, seven_a, seven_b, eight, group, third, second = range(10)
    mac = {"mac": "02:cc:00:00:00:01"}

    def hop(slot, kind, **more):
        return rows.next_hop(slot, kind, **more)

    return [
        rows.ccsi(100, "retail", flags),
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", via="192.0.2.1", mac=ROUTER_MAC),
        *(
            rows.interface(
                n,
                Role.HAND_OFF,
                "p0",
                f"169.254.{n}.1/30",
                vlan=100 + n,
                ccsi=100,
                site=site,
                address6=f"fd00:ff:{n}::1",
                length6=64,
            )
            for n, site in ((2, 7), (3, 7), (4, 8))
        ),
        rows.vni(VPC, 100),
        rows.vni(SECOND_VPC, 100),
        rows.vni(L3, 100, VniKind.L3),
        rows.vtep(VPC, HOST),
        rows.vtep(VPC, OTHER),
        rows.vtep(SECOND_VPC, HOST),
        rows.vtep(L3, FAR),
        rows.vtep(L3, NEAR, VtepFlag.REGION),
        rows.vtep(L3, DUAL, VtepFlag.HAND_OFF),
        rows.vtep(L3, THIRD),
        hop(drop, NextHopKind.DROP),
        hop(vpc, NextHopKind.ON_LINK, vni=VPC),
        hop(second, NextHopKind.ON_LINK, vni=SECOND_VPC),
        hop(vip, NextHopKind.VIP, vni=VPC, ip="10.1.0.30"),
        hop(far, NextHopKind.REMOTE, vni=L3, ip=FAR, **mac),
        hop(third, NextHopKind.REMOTE, vni=L3, ip=THIRD, **mac),
        hop(seven_a, NextHopKind.NEIGHBOR, interface=2, ip="169.254.2.2"),
        hop(seven_b, NextHopKind.NEIGHBOR, interface=3, ip="169.254.3.2"),
        hop(eight, NextHopKind.NEIGHBOR, interface=4, ip="169.254.4.2"),
        rows.group(group, (1, seven_a), (1, third)),
        *(
            rows.vm(VPC, f"10.1.0.{n}", f"02:00:0a:01:00:{n:02x}", host)
            for n, host in ((10, HOST), (20, OTHER), (30, HOST), (99, OTHER))
        ),
        rows.vm(VPC, "fd00:1::10", "02:00:0a:01:00:0a", HOST),
        rows.vm(VPC, "fd00:1::20", "02:00:0a:01:00:14", OTHER),
        rows.vm(VPC, TARGET6, "02:00:0a:01:00:63", OTHER),
        rows.vm(SECOND_VPC, "10.3.0.10", "02:00:0a:03:00:0a", HOST),
        rows.route(100, "10.1.0.0/16", vpc),
        rows.route(100, "fd00:1::/64", vpc),
        rows.route(100, "10.3.0.0/16", second),
        rows.route(100, "10.99.0.0/24", vip),
        rows.route(100, "10.2.0.0/16", far),
        rows.route(100, "fd00:2::/64", far),
        rows.route(100, "10.66.0.0/16", drop),
        rows.route(100, "172.16.0.0/16", seven_a),
        rows.route(100, "172.16.9.0/24", seven_b),
        rows.route(100, "172.17.0.0/16", far),  # of data centre 7, whose other router is there
        rows.route(100, "172.18.0.0/16", eight),
        rows.route(100, "172.19.0.0/16", group),
        rows.route(100, "fd00:172::/64", seven_a),
        rows.source(100, "172.16.0.0/15", 7),
        rows.source(100, "172.17.40.0/24"),  # in the middle of it: not theirs
        rows.source(100, "10.50.0.0/16", flags=SourceFlag.GATEWAYS),
        rows.source(100, "169.254.9.0/30", flags=SourceFlag.GATEWAYS),
    ]


def packet(src):
    inner = IPv6(src=src, dst=TARGET6) if ":" in src else IP(src=src, dst=TARGET)
    return inner / UDP(sport=1000, dport=2000) / Raw(b"ccn-probe")


def tunnelled(src, sender, vni):
    return (
        Ether(src="02:00:c0:00:02:65", dst=ROUTER_MAC)
        / IP(src=sender, dst=GATEWAY)
        / UDP(sport=50000, dport=4789)
        / VXLAN(vni=vni, flags=8)
        / Ether(src="02:00:0a:01:00:0a", dst=ROUTER_MAC)
        / packet(src)
    )


def host(src, sender=HOST, vni=VPC):
    return tunnelled(src, sender, vni)


def gateway(src, sender=FAR):
    return tunnelled(src, sender, L3)


def idc(src, hand_off):
    return Ether(dst="02:00:00:00:00:01") / Dot1Q(vlan=100 + hand_off) / packet(src)


@pytest.fixture
def judged(forwarder, rows, tmp_path):
    """Sends frames; the inner sources that came out, and the drops."""

    def run(*frames, flags=0):
        wrpcap(str(tmp_path / "in.pcap"), list(frames))
        path, _ = forwarder(
            {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"},
            "--static-neighbors",
            "--once",
        )
        with ForwarderClient.connect(path) as client:
            client.commit(0, 1, tables(rows, flags), b"digest", full=True)
            deadline = time.monotonic() + 5
            while not (seen := rows.counters(client))["port p0", "rx-finished"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.05)
            seen = rows.counters(client)
            run.offenders = client.offenders()
            run.of_ccsi = {number: client.offenders(number) for number in (100, 101)}
            with pytest.raises(Nak, match="CCSI not in"):
                client.offenders(65536)
        written = tmp_path / "out.pcap"
        out = rdpcap(str(written)) if written.stat().st_size else []
        passed = [p[VXLAN].payload.payload.src for p in out]
        return passed, {name: n for (scope, name), n in seen.items() if scope == "drop" and n}

    return run


def test_a_host_sends_what_its_vms_have_and_route(judged):
    legal = ["10.1.0.10", "10.1.0.30", "fd00:1::10", "10.99.0.7"]
    passed, drops = judged(
        *map(host, legal),
        host("10.3.0.10", vni=SECOND_VPC),
        host("10.1.0.20"),  # a VM of the other host
        host("fd00:1::20"),
        host("10.1.0.20", OTHER),
        host("10.99.0.7", OTHER),  # the VM that routes it is elsewhere
        host("10.3.0.10"),  # another VPC of the CCN
        host("10.1.0.1"),  # the gateway's own
        host("10.1.0.77"),
        host("fd00:1::77"),
        host("10.2.0.10"),  # another region's
        host("172.16.0.1"),
        host("10.66.0.1"),
        host("10.50.0.1"),
        host("8.8.8.8"),
        host("0.0.0.0"),
    )
    assert passed == [*legal, "10.3.0.10", "10.1.0.20"]
    assert drops == {"source-other-host": 2, "source-no-vm": 11}


def test_a_gateway_brings_what_lies_behind_one(judged):
    anyone = ["10.2.0.10", "fd00:2::10", "172.17.0.1", "172.19.0.1", "10.50.0.1", "169.254.9.2"]
    passed, drops = judged(
        *map(gateway, anyone),
        gateway("10.2.0.10", THIRD),  # the way back is another gateway's
        gateway("10.1.0.10", NEAR),
        gateway("10.99.0.7", NEAR),
        gateway("172.16.0.1", DUAL),
        gateway("fd00:172::1", DUAL),
        gateway("10.1.0.10"),
        gateway("10.1.0.10", DUAL),
        gateway("10.99.0.7"),
        gateway("172.16.0.1"),
        gateway("172.16.0.1", NEAR),
        gateway("fd00:1::10"),
        gateway("fd00:172::1"),
        gateway("10.66.0.1"),
        gateway("8.8.8.8"),
        gateway("2001:db8::1"),
        gateway("169.254.2.2"),
    )
    assert passed == [
        *anyone, "10.2.0.10", "10.1.0.10", "10.99.0.7", "172.16.0.1", "fd00:172::1",
    ]  # fmt: skip
    assert drops == {"source-gateway": 11}


def test_a_data_centre_sends_what_routes_lead_back_to(judged):
    passed, drops = judged(
        idc("172.16.0.1", 2),
        idc("172.19.0.1", 2),
        idc("fd00:172::1", 2),
        idc("172.18.0.1", 4),
        idc("172.16.0.1", 3),  # its other router has the best route
        idc("172.16.9.1", 2),
        idc("172.17.0.1", 3),
        idc("169.254.2.2", 2),  # the router itself
        idc("fd00:ff:2::2", 2),
        idc("10.1.0.10", 2),  # a VM's
        idc("10.2.0.10", 2),  # another region's
        idc("10.99.0.7", 2),
        idc("172.17.40.1", 3),
        idc("172.18.0.1", 2),  # another data centre's
        idc("172.16.0.1", 4),
        idc("169.254.2.2", 3),
        idc("169.254.2.1", 2),  # ours
        idc("8.8.8.8", 2),
        idc("fd00:1::10", 2),
        idc("fd00:172::1", 4),
        idc("10.50.0.1", 2),
    )
    assert passed == [
        "172.16.0.1", "172.19.0.1", "fd00:172::1", "172.18.0.1", "172.16.0.1", "172.16.9.1",
        "172.17.0.1", "169.254.2.2", "fd00:ff:2::2",
    ]  # fmt: skip
    assert drops == {"source-hand-off": 12}


def test_the_check_can_be_switched_off(judged):
    frames = host("8.8.8.8"), gateway("10.1.0.10"), idc("10.1.0.10", 2), host("2001:db8::1")
    forged = host("10.1.0.10", FAR), host("10.1.0.10", vni=L3), host("10.1.0.10", vni=5)
    passed, drops = judged(*frames, *forged, flags=CcsiFlag.SOURCE_OPEN)
    assert passed == ["8.8.8.8", "10.1.0.10", "10.1.0.10", "2001:db8::1"]
    assert drops == {"unknown-vtep": 2, "unknown-vni": 1}


def test_the_first_and_the_last_offender_are_kept(judged):
    begun = time.time()
    judged(
        host("10.3.0.10"),
        host("10.2.0.10"),
        host("8.8.8.8"),
        gateway("2001:db8::1", NEAR),
        idc("10.1.0.10", 2),
        host("10.1.0.10", "192.0.2.250"),
        host("10.1.0.10", vni=777),
        Raw(bytes(host("10.1.0.10"))[:40]),
    )
    found = {(o.reason, o.last): o for o in judged.offenders}
    assert {o.port for o in judged.offenders} == {"p0"}
    assert all(begun - 1 < o.seconds < time.time() + 1 for o in judged.offenders)

    def said(reason, last):
        o = found[reason, last]
        return o.vni, str(o.vtep), o.interface, str(o.source), str(o.destination)

    assert said("source-no-vm", False) == (VPC, HOST, 0, "10.3.0.10", TARGET)
    assert said("source-no-vm", True) == (VPC, HOST, 0, "8.8.8.8", TARGET)
    for last in (False, True):
        assert said("source-gateway", last) == (L3, NEAR, 0, "2001:db8::1", TARGET6)
        assert said("source-hand-off", last) == (0, "None", 2, "10.1.0.10", TARGET)
        assert said("unknown-vtep", last) == (VPC, "192.0.2.250", 0, "None", "None")
        assert said("unknown-vni", last) == (777, HOST, 0, "None", "None")
        assert said("outer-length", last) == (0, "None", 0, "None", "None")
    assert len(found) == 12
    # of a CCN's own packets the same, without those of whom it is not known whose they are
    assert {o._replace(seconds=0) for o in judged.of_ccsi[100]} == {
        o._replace(seconds=0)
        for o in judged.offenders
        if o.reason not in ("unknown-vni", "outer-length")
    }
    assert judged.of_ccsi[101] == []


def test_so_they_are_of_packets_whose_senders_are_told(judged):
    lost, old = host("10.1.0.10"), host("10.1.0.10")
    lost[VXLAN][IP].dst = "203.0.113.9"
    old[VXLAN][IP].ttl = 1
    judged(lost, old)
    assert {(o.reason, o.last, str(o.source), str(o.destination)) for o in judged.offenders} == {
        (reason, last, "10.1.0.10", to)
        for reason, to in (("no-route", "203.0.113.9"), ("ttl", TARGET))
        for last in (False, True)
    }
