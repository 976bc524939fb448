"""RFC 7432 §15: who has a VM that several claim, and what happens to one that moves too often."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.thawing import FreezeWatch
from ccn_bgp.gateway.views import received, vms
from ccn_bgp.learn.mobility import Moves
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Ip, Mac, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, PathAttributes
from ccn_bgp.model.topology import MacMobility
from ccn_bgp.observe.render import draw, draw_explanation

NETWORK = """\
name: moving
fabric: {asn: 64600}
gateways: {gw: {region: r, asn: 64601, vtep: 192.0.2.1}}
vpcs:
  web:
    region: r
    vni: 10001
    cidrs: [10.1.0.0/16]
    vms: [{ip: 10.1.0.10, mac: "02:00:00:00:00:0a", host: 192.0.2.101}]
    routes: [{prefix: 10.99.0.0/24, via: 10.1.0.10}]
ccns: {retail: {id: 100, vni: 20100, attach: [vpc/web]}}
neighbors:
  - {name: h1, gateway: gw, address: 192.0.2.101, asn: 64601, role: host}
  - {name: h2, gateway: gw, address: 192.0.2.102, asn: 64601, role: host}
mac-mobility: {moves: 3, seconds: 60, freeze: 100}
"""
VM = (10001, Ip.parse("10.1.0.20"))
DECLARED = (10001, Ip.parse("10.1.0.10"))


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def intent(tmp_path):
    file = tmp_path / "moving.yaml"
    file.write_text(NETWORK)
    return read_intent(Path(file), "gw")


@pytest.fixture
def rib(intent):
    rib = Rib(intent.topology, intent.gateway, intent.import_policy, intent.claims)
    rib.vms.clock = Clock()
    return rib


def route(peer, ip="10.1.0.20", mac="02:00:00:00:00:14"):
    host = {"h1": "192.0.2.101", "h2": "192.0.2.102"}[peer]
    rd = RouteDistinguisher.parse(f"{host}:1")
    return EvpnMacIp(rd, bytes(10), 0, Mac.parse(mac), Ip.parse(ip), 10001, None)


def says(rib, peer, sequence=None, *, sticky=False, host=None, **what):
    nlri = route(peer, **what)
    flags = bytes((sticky, 0))
    mobility = () if sequence is None else (b"\6\0" + flags + sequence.to_bytes(4, "big"),)
    next_hop = Ip.parse(host) if host else rib.peers[peer].address
    rib.receive(peer, [nlri], [], PathAttributes(next_hop=next_hop, extended_communities=mobility))


def host_of(rib, address=VM):
    return {(e.vni, e.ip): str(e.vtep) for e in rib.vm_entries()}.get(address)


def reasons(rib, address=VM):
    return {c.claim.who: str(c.reason) for c in rib.vms.claims(address) if c.reason is not None}


def findings(intent, rib):
    return [f.message for f in Guard(intent, rib).prove().findings if f.rule == "duplicate-vm"]


def test_the_reason_of_every_loser(intent, rib):
    says(rib, "h1")
    says(rib, "h2")
    assert host_of(rib) == "192.0.2.101"
    assert reasons(rib) == {"h2": "not best: step 4, lower VTEP"}
    assert str(rib.vms.reason("h2", route("h2"))) == reasons(rib)["h2"]
    assert rib.vms.reason("h1", route("h1")) is None
    says(rib, "h2", 1)
    assert host_of(rib) == "192.0.2.102"
    assert reasons(rib) == {"h1": "not best: step 2, higher mobility sequence"}
    says(rib, "h2", ip="10.1.0.10")
    assert reasons(rib, DECLARED) == {"h2": "not best: step 3, in the inventory"}
    assert findings(intent, rib) == []


def test_a_sticky_vm_does_not_move(intent, rib):
    says(rib, "h2", 0, sticky=True)
    says(rib, "h1", 7)
    assert host_of(rib) == "192.0.2.102"
    (text,) = findings(intent, rib)
    assert text == (
        "VM 10.1.0.20 in vpc/web (VNI 10001): h1 says that it is on host 192.0.2.101, but h2 has it"
        " on host 192.0.2.102 and says that it is sticky"
    )
    assert reasons(rib)["h1"].startswith("refused: duplicate-vm: h2 has it")
    rib.receive("h1", [], [route("h1")], None)
    assert findings(intent, rib) == [] and host_of(rib) == "192.0.2.102"
    says(rib, "h1", 7)
    rib.receive("h2", [], [route("h2")], None)
    assert findings(intent, rib) == [] and host_of(rib) == "192.0.2.101"
    # The inventory's own word is refused like any other.
    says(rib, "h2", 0, sticky=True, ip="10.1.0.10")
    (text,) = findings(intent, rib)
    assert "the inventory says that it is on host 192.0.2.101, but h2 has it" in text
    assert host_of(rib, DECLARED) == "192.0.2.102"


def moves(rib, count, every=1.0, first=1):
    """The two hosts outbid each other."""
    for number in range(first, first + count):
        rib.vms.clock.now += every
        says(rib, ("h1", "h2")[number % 2], number)


def test_a_vm_that_moves_too_often_stays(intent, rib):
    moves(rib, 3)  # the first is no move
    assert not rib.vms.frozen and host_of(rib) == "192.0.2.102"
    moves(rib, 1, first=4)
    assert host_of(rib) == "192.0.2.101"
    (text,) = findings(intent, rib)
    assert text == (
        "VM 10.1.0.20 in vpc/web (VNI 10001): 3 moves in 60 s, among hosts 192.0.2.101,"
        " 192.0.2.102: it stays on host 192.0.2.101 (RFC 7432 §15.1)"
    )
    said = dict(rib.exports)
    rib.dirty_exports.clear()
    moves(rib, 20, first=5)
    assert host_of(rib) == "192.0.2.101", "nothing is processed"
    assert dict(rib.exports) == said and not rib.dirty_exports, "and nothing is sent"
    assert reasons(rib)["h2"].startswith("refused: duplicate-vm: 3 moves")
    rib.vms.clock.now += 79
    assert not rib.vms.release()
    rib.vms.clock.now += 2
    assert rib.vms.release() and not rib.vms.release()
    assert host_of(rib) == "192.0.2.101" and findings(intent, rib) == []
    moves(rib, 2, first=25)
    assert host_of(rib) == "192.0.2.101" and not rib.vms.frozen, "counted anew"


def test_slow_moves_are_moves(rib):
    moves(rib, 30, every=31)
    assert not rib.vms.frozen and host_of(rib) == "192.0.2.101"


def test_without_a_clock_nothing_is_frozen(rib):
    clock, rib.vms.clock = rib.vms.clock, None
    for number in range(30):
        says(rib, ("h1", "h2")[number % 2], number)
    assert clock.now and not rib.vms.frozen and not rib.vms.release()


def test_a_policy_that_is_asked_again_moves_nothing(intent, rib):
    says(rib, "h1", 2)
    says(rib, "h2", 1)
    for _ in range(9):
        rib.reapply("h1", intent.import_policy)
    assert not rib.vms.frozen and host_of(rib) == "192.0.2.101"


def test_an_operator_releases(rib):
    moves(rib, 5)
    assert rib.vms.frozen and host_of(rib) == "192.0.2.101"
    assert not rib.vms.thaw("nobody") and rib.vms.frozen
    assert rib.vms.thaw("h2") and not rib.vms.frozen
    assert host_of(rib) == "192.0.2.102", "the highest sequence"
    moves(rib, 5, first=6)
    assert rib.vms.frozen and rib.vms.thaw() and not rib.vms.frozen


def test_the_place_of_a_frozen_vm_may_end(rib):
    moves(rib, 4)
    assert host_of(rib) == "192.0.2.101"
    rib.receive("h1", [], [route("h1")], None)
    assert host_of(rib) == "192.0.2.102" and rib.vms.frozen, "nobody is there any more"
    says(rib, "h1", 9)
    assert host_of(rib) == "192.0.2.102"
    rib.session_down("h1", keep=False)
    rib.session_down("h2", keep=False)
    assert host_of(rib) is None and not rib.vms.frozen


def test_a_route_that_is_said_again_does_not_lose_its_place(rib):
    """The holder says it again with other attributes: no moment without it, and no move."""
    says(rib, "h1", 1)
    says(rib, "h2", 0)
    for sequence in range(2, 20):
        says(rib, "h1", sequence)
    assert host_of(rib) == "192.0.2.101" and not rib.vms.frozen
    says(rib, "h1", 20, host="192.0.2.103")
    assert host_of(rib) == "192.0.2.103"


def running(intent, rib):
    """As much of a gateway as the views ask for."""
    proved = Guard(intent, rib).prove()
    sessions = SimpleNamespace(withdrawn=(), peers={})
    return SimpleNamespace(
        name="gw",
        intent=intent,
        rib=rib,
        proved=proved,
        sessions=sessions,
        lookup=lambda *_: None,
        counters=list,
    )


def test_it_is_shown_and_explained(intent, rib, capsys):
    says(rib, "h2", 0, sticky=True, ip="10.1.0.30")
    moves(rib, 4)
    rib.vms.clock.now += 40
    gateway = running(intent, rib)
    rows = {row["ip"]: row for row in vms(gateway, {})["vms"]}
    assert set(rows["10.1.0.10"]) == {"vni", "ip", "mac", "host"}
    assert rows["10.1.0.20"]["state"] == "frozen for 60 s" and rows["10.1.0.20"]["claims"] == 2
    assert rows["10.1.0.30"]["state"] == "sticky" and rows["10.1.0.30"]["said-by"] == "h2"
    assert vms(gateway, {"ccn": "retail"})["vms"] == list(rows.values())
    assert vms(gateway, {"ccn": "other"})["vms"] == []
    draw("vms", {"vms": list(rows.values())})
    assert "frozen for 60 s" in capsys.readouterr().out
    heard = received(gateway, {"neighbor": "h1"})["received"]
    assert [row.get("reason", "")[:21] for row in heard] == [""]
    heard = received(gateway, {"neighbor": "h2"})["received"]
    assert [row.get("reason", "")[:21] for row in heard] == ["refused: duplicate-vm", ""]
    found = explain(gateway, "10.1.0.20", "retail")
    assert [(c["host"], c["said-by"]) for c in found["vms"]] == [
        ("192.0.2.101", "h1"),
        ("192.0.2.102", "h2"),
    ]
    assert [f["rule"] for f in found["findings"]] == ["duplicate-vm"]
    draw_explanation(found)
    text = capsys.readouterr().out
    assert "* VM 10.1.0.20 (02:00:00:00:00:14) on host 192.0.2.101, sequence 4, from h1" in text
    assert "refused: duplicate-vm: 3 moves in 60 s" in text
    assert explain(gateway, "10.1.0.0/16", "retail")["vms"] == []


def test_the_watch_releases(intent, rib, monkeypatch):
    moves(rib, 4)
    rib.vms.clock.now += 101
    monkeypatch.setattr("ccn_bgp.gateway.thawing.EVERY", 0.001)
    changes = []

    async def watched():
        task = asyncio.create_task(FreezeWatch(lambda: rib, lambda: changes.append(1)).run())
        for _ in range(1000):
            await asyncio.sleep(0.002)
            if changes:
                break
        task.cancel()

    asyncio.run(watched())
    assert changes == [1] and not rib.vms.frozen


def test_moves_are_remembered_of_so_many_addresses_only(monkeypatch):
    monkeypatch.setattr("ccn_bgp.learn.mobility.MAX_TRACKED", 2)
    counted = Moves(MacMobility(moves=2, seconds=10))
    addresses = [(1, Ip(bytes((10, 0, 0, n)))) for n in range(3)]
    assert not any(counted.moved(a, 0.0) for a in addresses)
    assert not counted.moved(addresses[0], 1.0), "forgotten"
    assert counted.moved(addresses[2], 2.0)
