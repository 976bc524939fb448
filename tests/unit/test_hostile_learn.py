"""Learning under a hostile hand: moving VMs, data centres with two homes, silent members, VIPs of
the wrong CCN. The answer never depends on the order, and nothing comes back to where it is from."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path as FilePath

import pytest

from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn import compaction
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)

NETWORK = """\
name: hostile
fabric: {asn: 64600}
gateways:
  gw1: {region: north, asn: 64601, vtep: 192.0.2.11,
        uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.1}]}
  gw2: {region: north, asn: 64602, vtep: 192.0.2.12,
        uplinks: [{port: eth1, address: 192.0.2.12/24, via: 192.0.2.1}]}
  gw3: {region: south, asn: 64603, vtep: 198.51.100.21,
        uplinks: [{port: eth1, address: 198.51.100.21/24, via: 198.51.100.1}]}
vpcs:
  web:
    region: north
    vni: 10001
    cidrs: [10.1.0.0/16]
    vms: [{ip: 10.1.0.10, mac: "02:00:0a:01:00:0a", host: 192.0.2.101}]
  quiet:
    region: north
    vni: 10002
    cidrs: [10.4.0.0/16]
    vms: [{ip: 10.4.0.10, mac: "02:00:0a:04:00:0a", host: 192.0.2.101}]
  far:
    region: south
    vni: 10003
    cidrs: [10.3.0.0/16]
    vms: [{ip: 10.3.0.10, mac: "02:00:0a:03:00:0a", host: 198.51.100.101}]
    routes: [{prefix: 10.99.0.0/24, via: 10.3.0.10}]
  books:
    region: south
    vni: 10005
    cidrs: [10.3.0.0/16]
    vms: [{ip: 10.3.0.10, mac: "02:00:0a:03:00:0b", host: 198.51.100.102}]
    routes: [{prefix: 10.88.0.0/24, via: 10.3.0.10}]
  desk:
    region: north
    vni: 10006
    cidrs: [10.6.0.0/16]
idcs:
  twin:
    region: north
    cidrs: [172.16.0.0/16]
    routers:
      tw-r1: {gateway: gw1, port: eth2, ccn: retail, asn: 65101, address: 169.254.1.2/30,
              gateway-address: 169.254.1.1/30, import: [all], export: [all]}
      tw-r2: {gateway: gw2, port: eth2, ccn: retail, asn: 65102, address: 169.254.2.2/30,
              gateway-address: 169.254.2.1/30, import: [all], export: [all]}
ccns:
  retail: {id: 100, vni: 20100,
           attach: [vpc/web, {member: vpc/quiet, propagate: false}, vpc/far, idc/twin]}
  finance: {id: 200, vni: 20200, attach: [vpc/books, vpc/desk]}
shares: [{from: finance, to: retail, prefixes: [10.88.0.0/24]}]
neighbors:
  - {name: host1, gateway: gw1, address: 127.8.0.3, asn: 64700, role: host}
  - {name: rr, gateway: gw1, address: 127.8.0.4, asn: 64701, role: reflector}
  - {name: rr2, gateway: gw1, address: 127.8.0.5, asn: 64701, role: reflector}
policies: [policy.yaml]
"""
POLICY = "policies:\n  all: [{name: all, then: accept}]\n"
RETAIL, FINANCE = RouteTarget.parse("64600:100"), RouteTarget.parse("64600:200")
FAR_MAC = Mac.parse("02:cc:c6:33:64:15")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "policy.yaml").write_text(POLICY)
    path = folder / "topology.yaml"
    path.write_text(NETWORK)
    return path


@pytest.fixture
def intent(file: FilePath) -> Intent:
    return read_intent(file, "gw1")


def fresh(intent: Intent) -> Rib:
    rib = new_rib(intent)
    rib.settle()
    return rib


@pytest.fixture
def rib(intent: Intent) -> Rib:
    return fresh(intent)


def sequence(*asns: int) -> tuple[Segment, ...]:
    return (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),)


def host_vm(
    host: str, sequence_number: int | None, mac: str = "02:00:0a:01:00:20", ip: str = "10.1.0.20"
) -> tuple[EvpnMacIp, PathAttributes]:
    """A type 2 as a host says it; the RD is the host's own."""
    nlri = EvpnMacIp(
        RouteDistinguisher.parse(f"{host}:1"), bytes(10), 0, Mac.parse(mac), Ip.parse(ip), 10001, 0
    )
    moved = () if sequence_number is None else (b"\x06\0\0\0" + sequence_number.to_bytes(4, "big"),)
    return nlri, PathAttributes(
        as_path=sequence(64700), next_hop=Ip.parse(host), extended_communities=moved
    )


def state(rib: Rib) -> tuple:
    rib.settle()
    return sorted(rib.exports.items()), rib.vm_entries()


def vm_exports(rib: Rib, ip: str) -> list[tuple[str, int]]:
    """(MAC, mobility sequence) of each type 2 that is announced for an address."""
    rib.settle()
    return sorted(
        (str(n.mac), a.mobility.sequence)
        for n, a in rib.exports.values()
        if isinstance(n, EvpnMacIp) and str(n.ip) == ip
    )


MOVES = [
    host_vm("192.0.2.101", None),
    host_vm("192.0.2.102", 1),
    host_vm("192.0.2.103", 2, mac="02:00:0a:01:00:21"),
]


def test_a_moving_vm_is_announced_alike_in_any_order(intent: Intent) -> None:
    """Every host still says it: the highest sequence is the VM, whatever came last."""
    states = []
    for order in permutations(MOVES):
        rib = fresh(intent)
        for nlri, attributes in order:
            rib.receive("host1", [nlri], [], attributes)
        states.append(state(rib))
        assert vm_exports(rib, "10.1.0.20") == [("02:00:0a:01:00:21", 2)]
    assert all(found == states[0] for found in states)


def test_what_a_host_takes_back_is_taken_back_from_gateways(rib: Rib) -> None:
    """Also where another host goes on to say the address with another MAC."""
    for nlri, attributes in MOVES:
        rib.receive("host1", [nlri], [], attributes)
    rib.receive("host1", [], [MOVES[2][0]], None)
    assert vm_exports(rib, "10.1.0.20") == [("02:00:0a:01:00:20", 1)]
    rib.receive("host1", [], [MOVES[1][0]], None)
    assert vm_exports(rib, "10.1.0.20") == [("02:00:0a:01:00:20", 0)]
    rib.receive("host1", [], [MOVES[0][0]], None)
    assert vm_exports(rib, "10.1.0.20") == []


def test_a_declared_vm_is_as_declared_again_after_its_hosts_have_left(rib: Rib) -> None:
    before = state(rib)
    moved = host_vm("192.0.2.102", 4, mac="02:00:0a:01:00:0a", ip="10.1.0.10")
    rib.receive("host1", [moved[0]], [], moved[1])
    assert vm_exports(rib, "10.1.0.10") == [("02:00:0a:01:00:0a", 4)]
    rib.receive("host1", [], [moved[0]], None)
    assert state(rib) == before


def test_a_host_behind_an_ipv6_address_is_refused_not_fatal(intent: Intent, rib: Rib) -> None:
    """The underlay is IPv4: its VM row could not even be encoded."""
    nlri, attributes = host_vm("192.0.2.101", None)
    rib.receive(
        "host1", [nlri], [], PathAttributes(as_path=sequence(64700), next_hop=Ip.parse("fd00::1"))
    )
    Guard(intent, rib).prove()
    assert all(len(vm.vtep) == 4 for vm in rib.vm_entries())
    (heard,) = rib.heard("host1").values()
    assert "not IPv4" in str(heard.reason)
    assert vm_exports(rib, "10.1.0.20") == []
    rib.receive("host1", [nlri], [], attributes)
    assert vm_exports(rib, "10.1.0.20") == [("02:00:0a:01:00:20", 0)]


def test_vms_of_a_silent_member_are_not_announced(rib: Rib) -> None:
    """``propagate: false``: it reaches the others, nothing of its own is said."""
    assert vm_exports(rib, "10.4.0.10") == []
    assert "10.4.0.10" in {str(vm.ip) for vm in rib.vm_entries()}
    assert vm_exports(rib, "10.1.0.10") == [("02:00:0a:01:00:0a", 0)]


def south(
    prefix: str, vni: int, target: RouteTarget, via: str | None = None, rd: int = 100
) -> tuple[EvpnPrefix, PathAttributes]:
    """A type 5 as gw3 says it."""
    nlri = EvpnPrefix(
        RouteDistinguisher.parse(f"198.51.100.21:{rd}"),
        bytes(10),
        0,
        Prefix.parse(prefix),
        Ip.parse(via) if via else None,
        vni,
    )
    return nlri, PathAttributes(
        as_path=sequence(64603),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities([target], FAR_MAC),
    )


def south_vm(vni: int, vni2: int, target: RouteTarget, moved: int = 0) -> tuple:
    nlri = EvpnMacIp(
        RouteDistinguisher.parse(f"198.51.100.21:{vni2 - 20000}"),
        bytes(10),
        0,
        Mac.parse("02:00:0a:03:00:0a"),
        Ip.parse("10.3.0.10"),
        vni,
        vni2,
    )
    attributes = south("10.0.0.0/8", 1, target)[1]
    more = (b"\x06\0\0\0" + moved.to_bytes(4, "big"),) if moved else ()
    return nlri, PathAttributes(
        as_path=attributes.as_path,
        next_hop=attributes.next_hop,
        extended_communities=attributes.extended_communities + more,
    )


def rows(proved, ccn: str = "retail") -> dict[str, str]:
    """Prefix → the VNI that its packets leave with, and the table it began in."""
    table = proved.snapshot.tables[f"gw1/{ccn}"]
    return {
        str(table.v4.prefix(i)): f"{table.next_hops[table.v4.next_hop[i]].vni} "
        f"{table.origins[table.v4.origin[i]]}"
        for i in range(len(table.v4))
    }


@pytest.mark.parametrize("moved", [0, 9])
def test_a_gateway_ip_is_found_in_its_own_ccn(intent: Intent, rib: Rib, moved: int) -> None:
    """Both CCNs have a VM at 10.3.0.10; the share brings finance's into retail's table too."""
    own, theirs = (
        south("10.99.0.0/24", 20100, RETAIL, "10.3.0.10"),
        south("10.88.0.0/24", 20200, FINANCE, "10.3.0.10", 200),
    )
    said = [
        own,
        theirs,
        south_vm(10005, 20200, FINANCE, moved),
        south_vm(10003, 20100, RETAIL),
    ]
    for nlri, attributes in said:
        rib.receive("rr", [nlri], [], attributes)
    found = rows(Guard(intent, rib).prove())
    assert found["10.99.0.0/24"] == "20100 gw3/retail"
    assert found["10.88.0.0/24"] == "20200 gw3/finance"


def test_a_reflector_passes_a_good_path_although_it_also_passes_a_bad_one(
    intent: Intent, rib: Rib
) -> None:
    """Two gateways behind it say one prefix, one of them out of the wrong CCN."""
    good = south("10.3.0.0/16", 20100, RETAIL)
    bad = south("10.3.0.0/16", 20200, RETAIL, rd=66)
    for order in ((good, bad), (bad, good)):
        rib = fresh(intent)
        guard = Guard(intent, rib)
        for nlri, attributes in order:
            rib.receive("rr", [nlri], [], attributes)
        proved = guard.prove()
        assert rows(proved)["10.3.0.0/16"] == "20100 gw3/retail"
        assert any(f.prefix == "10.3.0.0/16" and f.peer == "rr" for f in proved.findings)


def test_invented_gateway_addresses_are_forgotten(
    rib: Rib, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SPARE", 10)
    rib._compaction = compaction.Compaction()
    for n in range(50):
        nlri, attributes = south("10.99.0.0/24", 20100, RETAIL, f"10.3.9.{n + 1}")
        rib.receive("rr", [nlri], [], attributes)
        rib.settle()
    assert 1 <= len(rib.book.waiting) < 30
    assert not rib.tables["gw1/retail"].dependents, "rows follow by themselves"


def test_rows_follow_the_vm_of_their_gateway_address(intent: Intent, rib: Rib) -> None:
    """Decided in columns: to another gateway, nowhere, and back."""
    guard, table = Guard(intent, rib), rib.tables["gw1/retail"]
    via, attributes = south("10.99.0.0/24", 20100, RETAIL, "10.3.0.10")
    vm, said = south_vm(10003, 20100, RETAIL)
    rib.receive("rr", [via], [], attributes)
    assert "10.99.0.0/24" not in rows(guard.prove())
    (waiting,) = [c for p in (via.prefix,) for c in table.held(p).values()]
    assert "has no type-2 route" in str(table.reason(via.prefix, waiting))
    for hop in ("198.51.100.21", "198.51.100.22", None, "198.51.100.21"):
        moved = replace(said, next_hop=Ip.parse(hop)) if hop else None
        rib.receive("rr", [vm] if moved else [], [] if moved else [vm], moved)
        proved = guard.prove().snapshot.tables["gw1/retail"]
        held = [n for n in range(len(proved.v4)) if proved.v4.prefix(n) == via.prefix]
        route = table.routes.get(via.prefix)
        assert (route and str(route.next_hop.ip)) == hop
        assert [str(proved.next_hops[proved.v4.next_hop[n]].ip) for n in held] == [hop][: bool(hop)]
    assert via.prefix not in table.single and not table.dependents


def routed(prefix: str, *asns: int, next_hop: str) -> tuple[Unicast, PathAttributes]:
    """A prefix as an IDC router says it, with a community of its own that means nothing here."""
    return Unicast(Prefix.parse(prefix)), PathAttributes(
        as_path=sequence(*asns),
        next_hop=Ip.parse(next_hop),
        extended_communities=(FINANCE,),
    )


def told(rib: Rib, peer: str) -> set[str]:
    """What an IDC router would be told of its table."""
    out = AdjRibOut(rib.peers[peer], lambda _, path: path.attributes)
    table = rib.tables["gw1/retail"]
    for prefix, route in table.routes.items():
        out.offer_route(prefix, route, table.best.get(prefix))
    return {str(n.prefix) for _, nlris in out.take().announce for n in nlris}


def test_a_data_centre_never_hears_its_own_routes_over_its_other_gateway(file: FilePath) -> None:
    """The two routers have different AS numbers: no AS path would stop the loop."""
    two = read_intent(file, "gw2")
    other = fresh(two)
    mine = routed("172.16.1.0/24", 65102, next_hop="169.254.2.2")
    other.receive("tw-r2", [mine[0]], [], mine[1])
    other.settle()
    between = AdjRibOut(other.peers["gw3"], lambda _, path: path.attributes)
    for key, export in other.exports.items():
        between.offer_evpn(key, export)
    rib = fresh(read_intent(file, "gw1"))
    for attributes, nlris in between.take().announce:
        rib.receive("rr", list(nlris), [], attributes)
    far = south("10.3.0.0/16", 20100, RETAIL)
    rib.receive("rr", [far[0]], [], far[1])
    rib.settle()
    assert Prefix.parse("172.16.1.0/24") in rib.tables["gw1/retail"].routes
    assert told(rib, "tw-r1") == {"10.1.0.0/16", "10.3.0.0/16"}


def test_a_data_centre_cannot_name_its_own_route_targets(rib: Rib) -> None:
    nlri, attributes = routed("172.16.1.0/24", 65101, next_hop="169.254.1.2")
    rib.receive("tw-r1", [nlri], [], attributes)
    rib.settle()
    (said,) = [a for n, a in rib.exports.values() if "172.16.1.0" in str(n)]
    assert said.route_targets == {RETAIL}


def test_a_tie_follows_the_router_id_of_a_peer_that_came_back(rib: Rib) -> None:
    """Its paths were kept over the restart and are said again unchanged."""

    def chosen(name: str = "10.3.0.0/16") -> str:
        rib.settle()
        return rib.tables["gw1/retail"].routes[Prefix.parse(name)].path.peer

    vm = south_vm(10003, 20100, RETAIL)
    via = south("10.99.0.0/24", 20100, RETAIL, "10.3.0.10")
    for peer, router_id in (("rr", "10.0.0.1"), ("rr2", "10.0.0.2")):
        rib.opened(peer, Ip.parse(router_id))
        for nlri, attributes in (south("10.3.0.0/16", 20100, RETAIL), vm, via):
            rib.receive(peer, [nlri], [], attributes)
    assert chosen() == chosen("10.99.0.0/24") == "rr"
    rib.session_down("rr", keep=True)
    rib.opened("rr", Ip.parse("10.0.0.3"))
    assert chosen() == chosen("10.99.0.0/24") == "rr2"


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"])
def test_a_vm_is_one_interface(rib: Rib, mac: str) -> None:
    """A host that says a group's address would have every packet for the VM flooded."""
    nlri, attributes = host_vm("192.0.2.101", None, mac=mac)
    rib.receive("host1", [nlri], [], attributes)
    assert vm_exports(rib, "10.1.0.20") == []
    assert all(str(vm.ip) != "10.1.0.20" for vm in rib.vm_entries())
    (heard,) = rib.heard("host1").values()
    assert str(heard.reason) == (f"malformed: {mac} is not the address of one VM (RFC 7432 §7.2)")


def test_our_identifier_in_the_cluster_list_is_a_loop(rib: Rib) -> None:
    nlri, attributes = south("10.3.0.0/16", 20100, RETAIL)
    ours, others = rib.gateway.router_id, Ip.parse("10.9.9.9")
    for clusters, taken in (((others,), True), ((others, ours), False)):
        rib.receive("rr", [nlri], [], replace(attributes, cluster_list=clusters))
        rib.settle()
        (heard,) = rib.heard("rr").values()
        assert bool(heard.places) is taken
        assert taken or str(heard.reason) == "loop: the cluster list holds this gateway"
