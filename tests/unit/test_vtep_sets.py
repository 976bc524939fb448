"""VMs behind several hosts: who shares one, what its row says, and what is sent for it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.records import encode, rows
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.forwarder.wire import Flag, MessageType
from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.link import lookup_json
from ccn_bgp.gateway.views import vms
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model import vtep_sets
from ccn_bgp.model.bgp import Ip, Mac, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, PathAttributes
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vtep_sets import named, set_name
from ccn_bgp.observe.render import draw, draw_explanation
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import NOTHING

NETWORK = """\
name: shared
fabric: {asn: 64600}
gateways: {gw: {region: r, asn: 64601, vtep: 192.0.2.1}}
vpcs:
  web:
    region: r
    vni: 10001
    cidrs: [10.1.0.0/16]
    vms:
      - {ip: 10.1.0.10, mac: "02:00:00:00:00:0a", host: [192.0.2.112, 192.0.2.111]}
      - {ip: 10.1.0.11, mac: "02:00:00:00:00:0b", host: 192.0.2.111}
ccns: {retail: {id: 100, vni: 20100, multipath: 2, attach: [vpc/web]}}
neighbors:
  - {name: h1, gateway: gw, address: 192.0.2.101, asn: 64601, role: host}
  - {name: h2, gateway: gw, address: 192.0.2.102, asn: 64601, role: host}
  - {name: h3, gateway: gw, address: 192.0.2.103, asn: 64601, role: host}
mac-mobility: {moves: 2, seconds: 60, freeze: 100}
"""
VM, DECLARED = (10001, Ip.parse("10.1.0.20")), (10001, Ip.parse("10.1.0.10"))
ONE, TWO, THREE = (Ip.parse(f"192.0.2.10{n}") for n in (1, 2, 3))
OLD = tuple(Ip.parse(f"192.0.2.11{n}") for n in (1, 2))
MAC = Mac.parse("02:00:00:00:00:14")


@pytest.fixture
def intent(tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text(NETWORK)
    return read_intent(Path(file), "gw")


@pytest.fixture
def rib(intent):
    rib = Rib(intent.topology, intent.gateway, intent.import_policy, intent.claims)
    rib.vms.clock = lambda: 1000.0
    return rib


def route(peer, ip="10.1.0.20", mac=MAC):
    rd = RouteDistinguisher.parse(f"192.0.2.10{peer[1]}:1")
    return EvpnMacIp(rd, bytes(10), 0, mac, Ip.parse(ip), 10001, None)


def says(rib, peer, sequence=0, *, sticky=False, **what):
    said = b"\6\0" + bytes((sticky, 0)) + sequence.to_bytes(4, "big")
    attributes = PathAttributes(next_hop=rib.peers[peer].address, extended_communities=(said,))
    rib.receive(peer, [route(peer, **what)], [], attributes)


def hosts_of(rib, address=VM):
    return next((e.vtep, *e.others) for e in rib.vm_entries() if (e.vni, e.ip) == address)


def reasons(rib, address=VM):
    return [(c.claim.who, str(c.reason or "")) for c in rib.vms.claims(address)]


def test_hosts_of_equal_standing_share_a_vm(rib):
    says(rib, "h2")
    assert hosts_of(rib) == (TWO,)
    before = dict(rib.exports)
    rib.dirty_exports.clear()
    says(rib, "h1")
    assert hosts_of(rib) == (ONE, TWO) and reasons(rib) == [("h1", ""), ("h2", "")]
    assert dict(rib.exports) == before and not rib.dirty_exports, "others hear of one VM"
    assert rib.vms.reason("h2", route("h2")) is None
    says(rib, "h3")
    assert hosts_of(rib) == (ONE, TWO), "as many as multipath says"
    assert reasons(rib)[2] == ("h3", "not best: step 4, lower VTEP")
    rib.receive("h1", [], [route("h1")], None)
    assert hosts_of(rib) == (TWO, THREE) and not rib.vms.frozen, "none of it is a move"
    rib.session_down("h3", keep=False)
    assert hosts_of(rib) == (TWO,)


def test_what_is_not_of_equal_standing_does_not(rib):
    says(rib, "h1")
    says(rib, "h2", 1)
    assert hosts_of(rib) == (TWO,) and reasons(rib)[1][1].startswith("not best: step 2")
    says(rib, "h1", 1, mac=Mac.parse("02:00:00:00:00:15"))
    assert hosts_of(rib) == (ONE,), "another MAC is another VM"
    says(rib, "h3", sticky=True, ip="10.1.0.21")
    says(rib, "h2", sticky=True, ip="10.1.0.21")
    assert hosts_of(rib, (10001, Ip.parse("10.1.0.21"))) == (TWO,)
    assert reasons(rib, (10001, Ip.parse("10.1.0.21")))[1][1].startswith("refused: duplicate-vm")


def test_the_inventory_names_several_itself(rib):
    assert hosts_of(rib, DECLARED) == OLD
    says(rib, "h1", ip="10.1.0.10", mac=Mac.parse("02:00:00:00:00:0a"))
    assert hosts_of(rib, DECLARED) == OLD
    assert reasons(rib, DECLARED)[1] == ("h1", "not best: step 3, in the inventory")


def test_only_what_leaves_every_host_is_a_move(rib):
    says(rib, "h1", 1)
    says(rib, "h2", 1)
    says(rib, "h3", 2)
    assert hosts_of(rib) == (THREE,) and not rib.vms.frozen, "a first move"
    says(rib, "h1", 3)
    assert rib.vms.frozen and hosts_of(rib) == (ONE,)
    says(rib, "h2", 3)
    assert hosts_of(rib) == (ONE,), "a frozen one stays on the host where it was then"
    rib.vms.thaw()
    assert hosts_of(rib) == (ONE, TWO)


def test_every_host_of_a_vm_may_send_and_is_shown(intent, rib, capsys):
    says(rib, "h1")
    says(rib, "h2")
    proved = Guard(intent, rib).prove()
    senders = {str(e.address) for e in proved.snapshot.vteps if e.vni == 10001}
    assert senders == {str(ip) for ip in (ONE, TWO, *OLD)}
    gateway = SimpleNamespace(
        name="gw", intent=intent, rib=rib, proved=proved,
        sessions=SimpleNamespace(withdrawn=(), peers={}), lookup=lambda *_: None, counters=list,
    )  # fmt: skip
    shown = {row["ip"]: row for row in vms(gateway, {})["vms"]}
    assert (shown["10.1.0.20"]["host"], shown["10.1.0.20"]["also-on"]) == (str(ONE), [str(TWO)])
    assert "also-on" not in shown["10.1.0.11"]
    found = explain(gateway, "10.1.0.20", "retail")
    assert [vm["result"].partition(":")[0] for vm in found["vms"]] == ["chosen", "multipath"]
    draw("vms", {"vms": list(shown.values())})
    draw_explanation(found)
    text = capsys.readouterr().out
    assert "+ VM 10.1.0.20 (02:00:00:00:00:14) on host 192.0.2.102" in text
    assert vms(gateway, {"ccn": "retail"})["vms"] == list(shown.values())


def test_a_table_says_its_hosts_by_name():
    several = [
        VmEntry(1, Ip.parse("10.0.0.1"), MAC, ONE, (TWO, THREE)),
        VmEntry(1, Ip.parse("10.0.0.2"), MAC, TWO),
        VmEntry(1, Ip.parse("10.0.0.3"), MAC, ONE, (TWO, THREE)),
        VmEntry(1, Ip.parse("10.0.0.4"), MAC, TWO, (THREE,)),
    ]
    table = VmTable.of(several)
    assert list(table) == several == [table[n] for n in range(4)] and table == several
    assert table.senders == [(1, ONE), (1, TWO), (1, THREE)]
    assert list(table[:2]) == several[:2] and len(table[:2].named_sets) == 1
    fewer = [*several[:3], several[3]._replace(others=())]
    assert VmTable.of(fewer).digest != table.digest
    assert table[1:2].named_sets == {} and table[1:2].digest == VmTable.of(several[1:2]).digest


def test_two_sets_of_one_name(monkeypatch):
    """Nobody waits for 2**32 sets: their names are made one octet long."""
    monkeypatch.setattr(vtep_sets, "set_name", lambda hosts: set_name(hosts)[:1] * 4)
    pairs = [(ONE, Ip(bytes((192, 0, 3, n)))) for n in range(100)]
    by_name, names = named([*pairs, (ONE,)])
    assert 2 < len(by_name) < len(pairs) and len(names) == len(by_name)
    assert named(reversed(pairs)) == (by_name, names), "in any order"
    more, _ = named([p for p in pairs if p not in names], by_name)
    assert more == {}, "what is taken stays"
    entries = [VmEntry(n, Ip.parse("10.0.0.1"), MAC, p[0], p[1:]) for n, p in enumerate(pairs, 1)]
    table = VmTable.of(entries)
    for entry, pair in zip(table, pairs, strict=True):
        assert (entry.vtep, *entry.others) == (pair if pair in names else (ONE,))


def test_sets_are_sent_before_and_removed_after_the_vms(intent, rib):
    guard = Guard(intent, rib)
    first = guard.prove().snapshot
    says(rib, "h1", 1, ip="10.1.0.10", mac=Mac.parse("02:00:00:00:00:0a"))
    says(rib, "h2", 1, ip="10.1.0.10", mac=Mac.parse("02:00:00:00:00:0a"))
    second = guard.prove().snapshot
    assert first.digest != second.digest
    slots = NextHopSlots()
    held = rows(first, slots)
    (said,) = held[MessageType.VTEP_SET]
    assert said["name"].tobytes() == set_name(OLD) and said["count"] == 2
    assert said["vtep"][:2].tobytes() == b"".join(OLD)
    sent = [(kind, flags) for kind, flags, _ in encode(diff(first, second), slots)]
    assert [item for item in sent if item[0] != MessageType.VTEP] == [
        (MessageType.VTEP_SET, Flag.NONE),
        (MessageType.VM, Flag.NONE),
        (MessageType.VTEP_SET, Flag.DELETE),
    ]
    assert diff(second, second).is_empty and not diff(NOTHING, second).is_empty
    assert "1 VM moved" in diff(first, second).summary()


def test_a_lookup_names_every_host():
    answer = np.zeros(1, wire.LOOKUP_RESULT)[0]
    answer["found"] = answer["vm_found"] = answer["vm"]["shared"] = 1
    answer["vtep_set"]["count"] = 2
    answer["vtep_set"]["vtep"][:2] = [list(ONE), list(TWO)]
    assert lookup_json(answer)["vm-host"] == f"{ONE} {TWO}"


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("[]", "names no host"),
        ("[192.0.2.1, 192.0.2.1]", "names a host twice"),
        (f"[{', '.join(f'192.0.2.{n}' for n in range(17))}]", "17 hosts; a VM may be behind 16"),
        ("[192.0.2.1, x]", "'x' is not an IP address"),
    ],
)
def test_hosts_that_are_wrong_are_refused(tmp_path, host, text):
    file = tmp_path / "wrong.yaml"
    file.write_text(NETWORK.replace("[192.0.2.112, 192.0.2.111]", host))
    with pytest.raises(InputError, match=r"wrong.yaml:10:\d+.*" + text):
        load_topology(file)


def test_inventories_name_several_hosts(tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text(NETWORK + "inventory: [a.csv, b.jsonl]\n")
    (tmp_path / "a.csv").write_text(
        "vpc,ip,mac,host\nweb,10.1.1.1,02:00:00:00:01:01,192.0.2.112 192.0.2.111\n"
        "web,10.1.1.2,02:00:00:00:01:02,192.0.2.111\n"
    )
    (tmp_path / "b.jsonl").write_text(
        '{"vpc": "web", "ip": "10.1.1.3", "mac": "02:00:00:00:01:03",'
        ' "host": ["192.0.2.112", "192.0.2.111"]}\n'
    )
    found = {str(vm.ip): vm.hosts for vm in load_topology(file).vpcs["web"].vms}
    assert found == {
        "10.1.0.10": OLD, "10.1.0.11": OLD[:1],
        "10.1.1.1": OLD, "10.1.1.2": OLD[:1], "10.1.1.3": OLD,
    }  # fmt: skip
    (tmp_path / "a.csv").write_text(
        "vpc,ip,mac,host\nweb,10.1.1.1,02:00:00:00:01:01,192.0.2.112 192.0.2.112\n"
    )
    with pytest.raises(InputError, match=r"a.csv:2:32: host: names a host twice"):
        load_topology(file)


def test_one_vm_on_two_lines_is_a_fault(tmp_path):
    file = tmp_path / "twice.yaml"
    line = '      - {ip: 10.1.0.10, mac: "02:00:00:00:00:0a", host: 192.0.2.113}\n'
    file.write_text(NETWORK.replace("ccns:", f"{line}ccns:"))
    found = [f.message for f in declared_findings(load_topology(file)) if f.rule == "duplicate-vm"]
    text = "VNI 10001 already has this address on host 192.0.2.111 and 192.0.2.112 (vpc/web)"
    assert len(found) == 1 and found[0].endswith(text)
