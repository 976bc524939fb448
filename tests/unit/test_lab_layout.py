"""The lab's nodes, scripts and members, from the demo topology; nothing runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.lab.demo import expected_paths
from ccn_bgp.lab.frr import bgpd_configuration
from ccn_bgp.lab.layout import Layout, device, lab_prefix, plan_layout
from ccn_bgp.lab.members import members, pairs, shared_pairs, trespasses
from ccn_bgp.lab.scripts import cables, scripts
from ccn_bgp.lab.state import copy_topology, move_host
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.topology import Attachment, Topology

DEMO = Path(__file__).parents[2] / "topologies" / "two-regions.yaml"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load_topology(DEMO)


@pytest.fixture(scope="module")
def layout(topology: Topology) -> Layout:
    return plan_layout(topology)


def text(layout: Layout, node: str) -> str:
    return "\n".join(s.text for s in scripts(layout) if s.node == node)


def test_every_node_has_one_namespace(layout: Layout) -> None:
    assert layout.prefix == lab_prefix("two-regions") != lab_prefix("two-regionz")
    assert layout.kinds["bj-gw1"] == "gateway"
    assert layout.kinds["host-198-51-100-103"] == "host"
    assert layout.kinds["vm-web-10-1-0-10"] == "vm"
    assert layout.kinds["srv-lf-r1"] == "server"
    named = {c.node for c in cables(layout)} | {c.peer for c in cables(layout)}
    assert named == set(layout.kinds)


def test_device_names_fit_and_stay_distinct(layout: Layout) -> None:
    seen = set()
    for cable in cables(layout):
        for end in ((cable.node, cable.here), (cable.peer, cable.there)):
            assert len(end[1]) <= 15
            assert end not in seen
            seen.add(end)
    assert device("short") == "short"
    assert device("a-very-long-name-1") != device("a-very-long-name-2")


def test_addresses_of_one_mac_are_one_machine(layout: Layout) -> None:
    web = next(vm for vm in layout.vms if vm.vpc.name == "web")
    assert [str(a) for a in web.addresses] == ["10.1.0.10", "fd00:1::10"]
    orders = next(vm for vm in layout.vms if vm.name == "vm-orders-10-2-0-10")
    assert [str(a) for a in orders.behind] == ["10.99.0.1"]


def test_ports_of_a_gateway_have_no_address(layout: Layout) -> None:
    lines = text(layout, "bj-gw1")
    assert "addr add" not in lines
    for port in ("eth1", "eth2", "eth3"):
        assert f"ethtool -K {port} tx off txvlan off rxvlan off" in lines


def test_a_vm_asks_for_its_gateway(layout: Layout) -> None:
    lines = text(layout, "vm-web-10-1-0-10")
    assert "neigh" not in lines
    assert "ip -4 route add default via 10.1.0.1 dev eth0" in lines
    assert "ip -6 route add default via fd00:1::1 dev eth0" in lines


def test_a_host_tunnels_to_the_gateway_of_its_region(layout: Layout) -> None:
    lines = text(layout, "host-198-51-100-102")
    assert "vxlan id 10002 local 198.51.100.102 remote 198.51.100.21 dstport 4789" in lines


def test_only_a_tagged_router_gets_the_shim(layout: Layout) -> None:
    assert "vlan-101.o" in text(layout, "lf-r1")
    assert "tc " not in text(layout, "tj-r1")


def test_routers_on_one_port_share_a_switch(topology: Topology) -> None:
    langfang = topology.idcs["langfang"]
    second = dataclasses.replace(langfang.routers[0], name="lf-r2", vlan=102)
    idc = dataclasses.replace(langfang, routers=(*langfang.routers, second))
    layout = plan_layout(dataclasses.replace(topology, idcs={**topology.idcs, "langfang": idc}))
    assert layout.kinds["port-bj-gw1-eth2"] == "port"
    assert "master br0" in text(layout, "port-bj-gw1-eth2")
    stubs = [str(s) for node in layout.routers for s in node.stubs]
    assert stubs == ["172.16.0.0/24", "172.16.1.0/24", "172.16.0.0/24"]


def test_frr_announces_its_stub(layout: Layout, topology: Topology) -> None:
    lines = bgpd_configuration(topology, layout.routers[0])
    assert "router bgp 65101" in lines
    assert "neighbor 169.254.1.1 remote-as 64601" in lines
    assert "network 172.16.0.0/24" in lines
    assert expected_paths(layout, "lf-r1") == [
        ("10.1.0.0/16", "64601"),
        ("10.2.0.0/16", "64601 64602"),
    ]


def test_pairs_stay_within_a_ccn(layout: Layout) -> None:
    wanted = pairs(members(layout))
    assert all(p.source.ccn == p.target.ccn for p in wanted)
    ends = {(p.source.node, str(p.target.address)) for p in wanted}
    assert ("vm-web-10-1-0-10", "172.16.0.10") in ends
    assert ("srv-lf-r1", "10.99.0.1") in ends
    assert ("vm-web-10-1-0-10", "fd00:2::10") in ends
    # nobody speaks for the prefix behind a VM
    assert not any(p.source.behind for p in wanted)


def test_trespasses_leave_out_what_the_own_ccn_has(layout: Layout) -> None:
    found = trespasses(layout, members(layout))
    assert found
    for pair in found:
        own = {m.address for m in members(layout) if m.ccn == pair.source.ccn}
        assert pair.source.ccn != pair.target.ccn
        assert pair.target.address not in own


def test_a_silent_member_hears_but_is_not_reached(topology: Topology) -> None:
    retail = topology.ccns["retail"]
    attach = tuple(Attachment(a.kind, a.name, propagate=a.name != "web") for a in retail.attach)
    ccns = {**topology.ccns, "retail": dataclasses.replace(retail, attach=attach)}
    wanted = pairs(members(plan_layout(dataclasses.replace(topology, ccns=ccns))))
    retail_pairs = [p for p in wanted if p.source.ccn == "retail"]
    assert not any(p.target.of == "vpc/web" for p in retail_pairs)
    assert any(p.source.of == "vpc/web" for p in retail_pairs)


def test_a_host_outside_the_underlay_is_one_line(topology: Topology) -> None:
    web = topology.vpcs["web"]
    lost = web.vms[0]._replace(host=Ip.parse("203.0.113.5"))
    vpcs = {**topology.vpcs, "web": dataclasses.replace(web, vms=(lost,))}
    with pytest.raises(InputError) as caught:
        plan_layout(dataclasses.replace(topology, vpcs=vpcs))
    (problem,) = caught.value.problems
    assert problem.where.startswith(str(DEMO))
    assert "203.0.113.5" in problem.what
    assert "192.0.2.0/24" in problem.hint


def test_the_copy_is_the_same_topology_and_moves_alone(topology: Topology, tmp_path: Path) -> None:
    copy = copy_topology(topology, tmp_path / "copy")
    loaded = load_topology(copy)
    assert loaded.vpcs == topology.vpcs
    assert loaded.ccns == topology.ccns
    assert [p.name for p in loaded.policies] == ["idc.yaml"]
    assert all(p.resolve().is_relative_to(tmp_path) for p in loaded.policies)
    host = Ip.parse("198.51.100.103")
    move_host(copy, "orders", [Ip.parse("10.2.0.10"), Ip.parse("fd00:2::10")], host)
    moved = load_topology(copy)
    assert {vm.host for vm in moved.vpcs["orders"].vms} == {host}
    assert moved.vpcs["web"] == topology.vpcs["web"]
    assert load_topology(DEMO).vpcs == topology.vpcs


def test_what_a_share_joins_is_probed_one_way() -> None:
    topology = load_topology(Path(__file__).parents[2] / "topologies" / "shared-services.yaml")

    def joined(topology: Topology) -> set[tuple[str, str]]:
        layout = plan_layout(topology)
        found = shared_pairs(layout, members(layout))
        assert not set(found) & set(pairs(members(layout)))
        assert not set(found) & set(trespasses(layout, members(layout)))
        return {(p.source.node, str(p.target.address)) for p in found}

    blue, red = "vm-blue-front-10-21-0-10", "vm-red-front-10-22-0-10"
    both = joined(topology)
    assert {(blue, "10.100.0.53"), (red, "10.100.0.53")} <= both
    assert ("vm-dns-10-100-0-53", "10.21.0.10") in both
    assert not any(to in ("10.100.1.10", "10.30.0.10") for _, to in both)
    one = dataclasses.replace(topology, shares=topology.shares[:1])
    assert joined(one) == {(blue, "10.100.0.53"), ("vm-blue-back-10-30-0-10", "10.100.0.53")}
