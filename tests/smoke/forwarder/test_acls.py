"""Access lists in the forwarder: what passes and what each rule counts, against a literal reading
of the rules; lists that change, that are shared, that are refused."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import numpy as np
import pytest
from scapy.all import ICMP, IP, TCP, UDP, VXLAN, Ether, IPv6, IPv6ExtHdrDestOpt, Raw, rdpcap, wrpcap
from scapy.layers.inet6 import IPv6ExtHdrFragment

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.acl_records import acl_records
from ccn_bgp.forwarder.client import ForwarderClient, Nak
from ccn_bgp.forwarder.wire import CcsiFlag, Flag, MessageType, NakCode, NextHopKind, Role
from ccn_bgp.model.acl import Acl, AclRule
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.table.snapshot import AclEntry
from tests.oracle.plain_acl import Probe, judge

pytestmark = pytest.mark.smoke

GATEWAY, HOST = "192.0.2.11", "192.0.2.101"
VM, VM6 = "10.1.0.10", "fd00:1::10"


def prefixes(*texts):
    return tuple(Prefix.parse(text) for text in texts)


FRONT = Acl(
    "front",
    (
        AclRule("web", "permit", protocol=6, destination_ports=((80, 80), (8000, 8099))),
        AclRule("no-dns", "deny", protocol=17, destination_ports=((53, 53),)),
        AclRule("quiet", "deny", source=prefixes("10.1.0.128/25", "fd00:1::8000/113")),
        AclRule("udp", "permit", protocol=17),
        AclRule("back", "permit", protocol=6, source_ports=((80, 80),)),
        AclRule("ping", "permit", protocol=1),
    ),
)
OPEN = Acl("open", (AclRule("no-ping", "deny", protocol=1),), "permit")


def tables(rows):
    """Two CCSIs with the same addresses, each with a VM."""
    found = [rows.interface(1, Role.UPLINK, "p0", f"{GATEWAY}/24", mac="02:cc:c0:00:02:0b")]
    for slot, (ccsi, vni) in enumerate(((100, 10001), (200, 10002))):
        found += [
            rows.ccsi(ccsi, f"ccn{ccsi}", CcsiFlag.SOURCE_OPEN),
            rows.vni(vni, ccsi),
            rows.vtep(vni, HOST),
            rows.next_hop(slot, NextHopKind.ON_LINK, vni=vni),
            rows.vm(vni, VM, "02:00:0a:01:00:0a", HOST),
            rows.vm(vni, VM6, "02:00:0a:01:00:0a", HOST),
            rows.route(ccsi, "10.1.0.0/16", slot),
            rows.route(ccsi, "fd00:1::/64", slot),
        ]
    return found


def attach(*entries):
    return (MessageType.ACL_RULE, 0, acl_records(AclEntry(*entry) for entry in entries))


def random_packet(rng):
    """A packet to the VM, and what a list sees of it."""
    v6 = rng.random() < 0.4
    host = rng.randrange(2, 255)
    source = f"fd00:1::{'8' if host > 127 else ''}{host:03x}" if v6 else f"10.1.0.{host}"
    protocol = rng.choice((6, 17, 58 if v6 else 1))
    sport, dport = rng.choice((80, 1000)), rng.choice((22, 53, 80, 8000, 8099, 8100))
    kind = rng.choice(("whole", "whole", "whole", "first", "later", "cut"))
    body = {
        6: lambda: TCP(sport=sport, dport=dport),
        17: lambda: UDP(sport=sport, dport=dport),
        1: ICMP,
        58: lambda: Raw(bytes((128, 0)) + bytes(6)),
    }[protocol]()
    octets = bytes(body / Raw(b"x" * 16))
    if kind == "cut":
        octets = octets[:3]
    if v6:
        packet = IPv6(src=source, dst=VM6, nh=protocol, hlim=9)
        if kind in ("first", "later"):
            more = {"m": 1} if kind == "first" else {"offset": 2}
            packet = packet.__class__(src=source, dst=VM6, hlim=9)
            packet = packet / IPv6ExtHdrFragment(nh=protocol, id=7, **more)
        elif rng.random() < 0.3:
            packet = IPv6(src=source, dst=VM6, hlim=9) / IPv6ExtHdrDestOpt(nh=protocol)
    else:
        more = {"first": {"flags": "MF"}, "later": {"frag": 2}}.get(kind, {})
        packet = IP(src=source, dst=VM, proto=protocol, ttl=9, **more)
    known = protocol in (6, 17) and kind in ("whole", "first")
    ports = (sport, dport) if known else (None, None)
    probe = Probe(Ip.parse(source), Ip.parse(VM6 if v6 else VM), protocol, *ports)
    unreadable = protocol in (6, 17) and kind == "cut"
    return packet / Raw(octets), probe, unreadable


def test_each_rule_decides_and_counts_what_it_says(forwarder, rows, tmp_path):
    rng = Random(2026)
    frames = []
    expected = {100: Counter(), 200: Counter()}
    acls = {100: FRONT, 200: OPEN}
    passing = 0
    for _ in range(1500):
        ccsi = rng.choice((100, 200))
        packet, probe, unreadable = random_packet(rng)
        tunnel = Ether(dst="02:cc:c0:00:02:0b") / IP(src=HOST, dst=GATEWAY)
        tunnel = tunnel / UDP(sport=5000, dport=4789)
        inner = Ether(dst="02:cc:c0:00:02:0b", src="02:00:0a:01:00:0a") / packet
        frames.append(tunnel / VXLAN(vni=10001 if ccsi == 100 else 10002, flags=8) / inner)
        if unreadable:
            expected[ccsi]["unmatched"] += 1
            continue
        action, name = judge(acls[ccsi], probe)
        expected[ccsi][f"{action} {name}"] += 1
        passing += action == "permit"
    wrpcap(str(tmp_path / "in.pcap"), frames)
    ports = {"p0": f"pcap:{tmp_path}/in.pcap,{tmp_path}/out.pcap"}
    path, process = forwarder(ports, "--static-neighbors", "--once", "--no-icmp")
    with ForwarderClient.connect(path) as client:
        everything = [*tables(rows), attach((100, FRONT), (200, OPEN))]
        client.commit(0, 1, everything, b"digest", full=True)
        deadline = time.monotonic() + 10
        while not (seen := rows.counters(client))["port p0", "rx-finished"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    for ccsi, counts in expected.items():
        said = {name: n for (scope, name), n in seen.items() if scope == f"acl {ccsi}" and n}
        assert said == dict(counts)
    assert {n: v for (s, n), v in seen.items() if s == "drop" and v} == {"acl": 1500 - passing}
    assert len(set(expected[100]) & {f"{r.action} {r.name}" for r in FRONT.rules}) == 6
    process.terminate()
    process.wait(5)
    assert len(rdpcap(str(tmp_path / "out.pcap"))) == passing


def dumped(client):
    return client.dump()[MessageType.ACL_RULE]


def test_lists_change_whole_or_not_at_all(forwarder, rows):
    path, _ = forwarder({"p0": "null"})
    with ForwarderClient.connect(path) as client:
        client.commit(0, 1, [*tables(rows), attach((100, FRONT))], b"", full=True)
        held = dumped(client)
        assert held.tobytes() == attach((100, FRONT))[2].tobytes()

        # a shorter list for one CCSI, the same for another, in one commit
        gone = held[-2:]
        client.commit(
            1, 2, [attach((200, OPEN)), (MessageType.ACL_RULE, Flag.DELETE, gone)], b"", full=False
        )
        assert len(dumped(client)) == len(held) - 2 + len(OPEN.rows)
        before = dumped(client).tobytes()

        too_many = np.repeat(held[:1], 1025)
        too_many["sequence"] = np.arange(1025) + 1000
        wrong = held[:1].copy()
        wrong["destination_port"] = (9, 8)
        nowhere = held[:1].copy()
        nowhere["ccsi"] = 300
        absent = held[:1].copy()
        absent["sequence"] = 77
        for flags, records, words in (
            (0, too_many, "over 1024 rows"),
            (0, wrong, "not a range of ports"),
            (0, nowhere, "no CCSI 300"),
            (Flag.DELETE, absent, "does not exist"),
        ):
            with pytest.raises(Nak, match=words) as caught:
                client.commit(
                    2, 3, [attach((200, FRONT)), (MessageType.ACL_RULE, flags, records)], b"",
                    full=False,
                )  # fmt: skip
            assert caught.value.code is NakCode.RECORD
            assert dumped(client).tobytes() == before

        # a CCSI that goes takes its rows along
        leaving = [rows.vni(10002, 200), rows.ccsi(200, "ccn200")]
        leaving = [(kind, Flag.DELETE, array) for kind, _, array in leaving]
        client.commit(2, 3, leaving, b"", full=False)
        assert set(dumped(client)["ccsi"].tolist()) == {100}


def test_many_ccsis_share_one_compiled_list(forwarder, rows):
    """Ten thousand rows of the same list cost the memory of one, and little time."""
    path, _ = forwarder({"p0": "null"})
    wide = Acl(
        "wide",
        tuple(
            AclRule(f"r{n}", "permit", source=prefixes(f"10.{n}.0.0/16"), protocol=6,
                    destination_ports=((n + 1, n + 100),))
            for n in range(100)
        ),
    )  # fmt: skip
    ccsis = range(1, 501)
    with ForwarderClient.connect(path) as client:
        records = [rows.ccsi(n, f"c{n}") for n in ccsis]
        client.commit(
            0, 1, [*records, attach(*((n, wide) for n in ccsis))], b"", full=True
        )  # would exceed 64 MB many times
        assert len(dumped(client)) == 500 * len(wide.rows)
        assert wire.text_of(dumped(client)["name"][0]) == "r0"
