"""A probe through the packet path: what it meets and moves, and that it really leaves, or not."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from scapy.all import ARP, ICMP, TCP, UDP, VXLAN, Ether, rdpcap

from ccn_bgp.forwarder.acl_records import acl_records
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.probe import Probe, Tunnel, host_frame, read_frame
from ccn_bgp.forwarder.wire import MessageType, NextHopKind, Role, TraceKind, VniKind, text_of
from ccn_bgp.model.acl import Acl, AclRule
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.table.snapshot import AclEntry

pytestmark = pytest.mark.smoke

GATEWAY, HOST, HOST2, REMOTE = "192.0.2.11", "192.0.2.101", "192.0.2.102", "198.51.100.21"
VM, VM2 = "10.1.0.10", "10.1.0.20"
ROUTER_MAC = Mac.parse("02:cc:c0:00:02:0b")
ACL = Acl("front", (AclRule("no-ssh", "deny", protocol=6, destination_ports=((22, 22),)),
                    AclRule("rest", "permit")))  # fmt: skip


def tables(rows):
    on_link, remote, other, group, router = range(5)
    acl = acl_records([AclEntry(100, ACL)])
    return [
        rows.ccsi(100, "retail"),
        (MessageType.ACL_RULE, 0, acl),
        rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", via="192.0.2.1", mac=str(ROUTER_MAC)),
        rows.interface(2, Role.HAND_OFF, "p0", "169.254.1.1/30", vlan=101, ccsi=100),
        rows.vni(10001, 100),
        rows.vni(20100, 100, VniKind.L3),
        rows.vtep(10001, HOST),
        rows.vtep(20100, REMOTE),
        rows.next_hop(on_link, NextHopKind.ON_LINK, vni=10001),
        rows.next_hop(remote, NextHopKind.REMOTE, vni=20100, ip=REMOTE, mac="02:cc:c6:33:64:15"),
        rows.next_hop(other, NextHopKind.REMOTE, vni=20100, ip=HOST2, mac="02:cc:c6:33:64:16"),
        rows.next_hop(router, NextHopKind.NEIGHBOR, interface=2, ip="169.254.1.2"),
        rows.group(group, (1, remote), (1, other)),
        rows.vm(10001, VM, "02:00:0a:01:00:0a", HOST),
        rows.vm(10001, VM2, "02:00:0a:01:00:14", HOST2),
        rows.route(100, "10.1.0.0/16", on_link),
        rows.route(100, "10.2.0.0/16", remote),
        rows.route(100, "10.3.0.0/16", group),
        rows.route(100, "172.16.0.0/12", router),
    ]


def probe(to, protocol=1, port=33434, **more):
    fields = {
        "source": Ip.parse(VM), "destination": Ip.parse(to), "protocol": protocol,
        "source_port": 33434, "destination_port": port, "payload": b"ccn-trace 0123456789abcdef",
    }  # fmt: skip
    tunnel = {
        "vni": 10001, "vm_mac": Mac.parse("02:00:0a:01:00:0a"), "router_mac": ROUTER_MAC,
        "host": Ip.parse(HOST), "gateway": Ip.parse(GATEWAY),
    }  # fmt: skip
    tunnel |= {name: more.pop(name) for name in tunnel.keys() & more}
    return host_frame(Probe(**(fields | more)), Tunnel(**tunnel))


@pytest.fixture
def traced(request, forwarder, rows, tmp_path):
    """A forwarder that receives nothing of its own; the client, and what has left when it ends."""
    empty = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    (tmp_path / "in.pcap").write_bytes(empty)
    ports = {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"}
    options = getattr(request, "param", ("--no-icmp",))
    path, process = forwarder(ports, "--static-neighbors", *options)
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, tables(rows), b"", full=True)

        def left():
            process.terminate()
            process.wait(5)
            written = tmp_path / "out.pcap"
            return list(rdpcap(str(written))) if written.stat().st_size > 24 else []

        yield client, left


def kinds(steps):
    return [TraceKind(int(step["kind"])).name for step in steps]


def moved(counters):
    return {(c.scope, c.name): c.value for c in counters}


def test_it_meets_every_table_and_arrives(traced, rows):
    client, left = traced
    before = rows.counters(client)
    steps, counters = client.trace("p0", probe(VM2), dry_run=False)
    assert kinds(steps) == [
        "RECEIVED", "CLASSIFIED", "SOURCE", "ACL", "ROUTE", "NEXT_HOP", "VM", "ADJACENCY", "SENT",
    ]  # fmt: skip
    at = {TraceKind(int(step["kind"])).name: step for step in steps}
    assert (at["CLASSIFIED"]["vni"], at["CLASSIFIED"]["ccsi"]) == (10001, 100)
    assert text_of(at["ACL"]["name"]) == "rest"
    assert Ip(at["ROUTE"]["ip"][:4].tobytes()) == Ip.parse("10.1.0.0")
    assert at["ROUTE"]["length"] == 16
    assert at["NEXT_HOP"]["value"] == NextHopKind.ON_LINK
    assert Ip(at["VM"]["ip"][:4].tobytes()) == Ip.parse(VM2)
    assert at["VM"]["mac"].tobytes() == bytes.fromhex("02000a010014")
    assert Ip(at["ADJACENCY"]["ip"][:4].tobytes()) == Ip.parse(HOST2)
    assert at["ADJACENCY"]["mac"].tobytes() == bytes.fromhex("0200c0000266")
    said = read_frame(at["SENT"]["octets"].tobytes())
    assert (said["tunnel-to"], said["vni"], said["ttl"]) == (HOST2, 10001, 63)
    octets = len(probe(VM2))
    assert moved(counters) == {
        ("acl 100", "permit rest"): 1,
        ("port p0", "tx-packets"): 1,
        ("port p0", "tx-bytes"): octets,
        ("ccsi 100", "packets"): 1,
        ("ccsi 100", "bytes"): octets - 14 - 50,
    }
    after = rows.counters(client)
    for counter, value in moved(counters).items():
        assert after[counter] - before.get(counter, 0) == value
    assert at["SOURCE"]["value"] == 0
    (frame,) = left()
    assert frame[VXLAN].vni == 10001
    assert frame[Ether:2].dst == "02:00:0a:01:00:14"
    assert bytes(frame[ICMP].payload) == b"ccn-trace 0123456789abcdef"


def test_a_dry_run_stops_before_the_port(traced, rows):
    client, left = traced
    steps, counters = client.trace("p0", probe(VM2), dry_run=True)
    assert kinds(steps)[-1] == "SENT"
    assert ("port p0", "tx-packets") not in moved(counters)
    assert rows.counters(client)["port p0", "tx-packets"] == 0
    assert left() == []


@pytest.mark.parametrize("traced", [()], indirect=True)
def test_nor_does_anything_leave_about_it(traced, rows):
    """The slow path would tell the VM of a packet that it never sent, answer, or cut it."""
    client, left = traced

    def said(frame, dry_run):
        steps, _ = client.trace("p0", frame, dry_run=dry_run)
        time.sleep(0.05)
        return kinds(steps)[-1], rows.counters(client)["slow-path", "errors-sent"]

    asked = Ether(dst=str(ROUTER_MAC)) / ARP(op=2, psrc="192.0.2.50", pdst=GATEWAY)
    assert said(probe("10.9.0.1"), True) == ("DROPPED", 0)
    assert said(bytes(asked), True) == ("PUNTED", 0)
    assert rows.counters(client)["punt neighbor", "taken"] == 0
    assert said(probe("10.9.0.1"), False) == ("DROPPED", 1)
    assert said(bytes(asked), False) == ("PUNTED", 1)
    assert rows.counters(client)["punt neighbor", "taken"] == 1
    (told,) = left()
    assert told[VXLAN][ICMP].type == 3


def test_what_is_dropped_names_the_table(traced):
    client, left = traced
    cases = (
        (probe(VM2, 6, 22), "ACL", "acl"),
        (probe("10.9.0.1"), "ROUTE", "no-route"),
        (probe("10.1.0.99"), "NEXT_HOP", "no-vm"),
        (probe(VM2, vni=7), "RECEIVED", "unknown-vni"),
        (probe(VM2, host=Ip.parse("192.0.2.77")), "RECEIVED", "unknown-vtep"),
        (probe(VM2, source=Ip.parse("10.1.0.66")), "CLASSIFIED", "source-no-vm"),
    )
    for frame, last, reason in cases:
        steps, counters = client.trace("p0", frame, dry_run=False)
        assert kinds(steps)[-2:] == [last, "DROPPED"]
        assert text_of(steps[-1]["name"]) == reason
        assert moved(counters)["drop", reason] == 1
    assert left() == []


def test_groups_hand_offs_and_further_protocols(traced):
    client, left = traced
    steps, _ = client.trace("p0", probe("10.3.0.1", 17, 53), dry_run=False)
    assert kinds(steps)[5:8] == ["NEXT_HOP", "MEMBER", "ADJACENCY"]
    assert steps[6]["slot"] in (1, 2)
    assert steps[5]["value"] == NextHopKind.GROUP
    again, _ = client.trace("p0", probe("10.3.0.1", 17, 53), dry_run=True)
    assert again[6]["slot"] == steps[6]["slot"]
    steps, _ = client.trace("p0", probe("172.16.0.1", 6, 443), dry_run=False)
    assert kinds(steps)[5:] == ["NEXT_HOP", "ADJACENCY", "SENT"]
    assert read_frame(steps[-1]["octets"].tobytes())["vlan"] == 101
    tunnelled, plain = left()
    for packet, layer in ((tunnelled, UDP), (plain, TCP)):
        inner = packet[VXLAN].payload if VXLAN in packet else packet
        checksum = inner[layer].chksum
        del inner[layer].chksum
        assert Ether(bytes(inner))[layer].chksum == checksum


def test_what_is_no_probe_is_refused(traced):
    client, _ = traced
    for port, frame, words in (
        ("p1", probe(VM2), "no port has this name"),
        ("p0", b"short", "14 to 512 octets"),
    ):
        with pytest.raises(Nak, match=words):
            client.trace(port, frame, dry_run=True)
    steps, _ = client.trace("p0", bytes(512), dry_run=True)
    assert kinds(steps) == ["RECEIVED", "DROPPED"]


def test_it_waits_for_tables(forwarder):
    path, _ = forwarder({"p0": "null"})
    with ForwarderClient.connect(path) as client, pytest.raises(Nak, match="no tables"):
        client.trace("p0", probe(VM2), dry_run=True)


def test_many_are_quick(traced):
    client, _ = traced
    begin = time.monotonic()
    for _ in range(200):
        client.trace("p0", probe(VM2), dry_run=True)
    assert time.monotonic() - begin < 4
    assert np.all(client.dump()[MessageType.CCSI]["id"] == 100)
