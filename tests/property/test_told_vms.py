"""VMs of the inventory are told in columns, and one by one from the first change of each: a peer
holds what it would hold if all were told one by one, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.portions import parts, whole

from ccn_bgp.config.load import load_topology
from ccn_bgp.learn import portions
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.outbound import Outbound
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.told_difference import difference
from ccn_bgp.model.bgp import Family, Ip, Mac, RouteDistinguisher
from ccn_bgp.model.ccsi import Peer, peers
from ccn_bgp.model.outgoing import Origination
from ccn_bgp.model.path import EvpnMacIp, Nlri, Path, PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.topology import Topology, Vm

NETWORK = """\
name: told
fabric: {asn: 64600}
gateways:
  gw: {region: r, asn: 64601, vtep: 192.0.2.1}
  far: {region: s, asn: 64602, vtep: 198.51.100.1}
vpcs:
  one: {region: r, vni: 10001, cidrs: [10.1.0.0/16, "fd00:1::/64"]}
  two: {region: r, vni: 10002, cidrs: [10.2.0.0/16]}
  mute: {region: r, vni: 10003, cidrs: [10.3.0.0/16]}
  other: {region: r, vni: 10004, cidrs: [10.4.0.0/16]}
  away: {region: s, vni: 10005, cidrs: [10.5.0.0/16]}
ccns:
  retail:
    id: 100
    vni: 20100
    attach: [vpc/one, vpc/two, vpc/away, {member: vpc/mute, propagate: false}]
  finance: {id: 200, vni: 20200, attach: [vpc/other]}
neighbors:
  - {name: h1, gateway: gw, address: 192.0.2.101, asn: 64601, role: host}
  - {name: h2, gateway: gw, address: 192.0.2.102, asn: 64601, role: host}
"""
VPC_OF = {10001: "one", 10002: "two", 10003: "mute", 10004: "other"}
SOME = [Ip.parse(text) for text in ("10.1.0.10", "10.1.0.11", "fd00:1::1")]
MACS = [Mac(bytes((2, 0, 0, 0, 0, n))) for n in range(2)]
HOST = Ip.parse("192.0.2.101")
AT = st.tuples(st.sampled_from(sorted(VPC_OF)), st.sampled_from(SOME))
INVENTORY = st.dictionaries(AT, st.tuples(st.sampled_from(MACS), st.integers(0, 2)), max_size=10)
SLOT = st.tuples(st.sampled_from(("h1", "h2")), AT, st.sampled_from(MACS))
EVENT = st.one_of(
    st.tuples(st.just("hear"), SLOT, st.integers(0, 3)),
    st.tuples(st.just("forget"), SLOT),
    st.tuples(st.just("renew"), INVENTORY),
    st.tuples(st.just("take")),
)
Held = dict[bytes, tuple[Nlri, PathAttributes]]


def policy(_: Peer, path: Path) -> PathAttributes | Denied:
    """A VM that has moved twice is nobody's business."""
    said = path.attributes.extended_communities
    return Denied("p", "s") if (b"\x06\0\0\0" + bytes(3) + b"\x02") in said else path.attributes


@pytest.fixture(autouse=True, scope="module")
def small_portions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "PORTION", 2)
        yield


@dataclass
class Listener:
    """A peer and what it has made of the UPDATEs."""

    held: Held = field(default_factory=dict)

    def hear(self, changes: Changes) -> None:
        for nlri in changes.withdrawn():
            assert self.held.pop(nlri.key)
        for attributes, nlris in changes.announced():
            for nlri in nlris:
                assert self.held.get(nlri.key) != (nlri, attributes), "said twice"
                self.held[nlri.key] = (nlri, attributes)


def expected(rib: Rib, peer: Peer) -> Held:
    """One by one, from what the Rib exports."""
    sent, found = Outbound(), {}
    for key, (nlri, attributes) in rib.exports.items():
        judged = policy(peer, Path("", nlri, attributes))
        if not isinstance(judged, Denied):
            found[key] = (nlri, sent(peer, judged))
    return found


def begun(rib: Rib, peer: Peer) -> AdjRibOut:
    """A group that is offered everything."""
    originations = {t.ccsi.id: Origination(t.ccsi.rd, t.ccsi.vni) for t in rib.tables.values()}
    out = AdjRibOut(peer, policy, originations)
    for key, export in rib.exports.one_by_one():
        out.offer_evpn(key, export)
    if (vms := rib.exports.vms()) is not None:
        out.offer_vms(vms)
    return out


def made(topology: Topology, inventory: dict[tuple[int, Ip], tuple[Mac, int]]) -> Topology:
    vpcs = {
        name: replace(
            vpc,
            vms=[
                Vm(ip, mac, HOST, sequence)
                for (vni, ip), (mac, sequence) in inventory.items()
                if VPC_OF[vni] == name
            ],
        )
        for name, vpc in topology.vpcs.items()
    }
    return replace(topology, vpcs=vpcs)


def one_event(rib: Rib, topology: Topology, event: tuple) -> None:
    match event:
        case ("hear" | "forget" as what, (peer, (vni, ip), mac), *sequence):
            rd = RouteDistinguisher.parse(f"192.0.2.9:{vni - 10000}")
            nlri = EvpnMacIp(rd, bytes(10), 0, mac, ip, vni, None)
            slot = (peer, nlri.key)
            if what == "forget":
                rib.vms.forget(nlri, slot)
                return
            said = b"\x06\0\0\0" + sequence[0].to_bytes(4, "big")
            attributes = PathAttributes(next_hop=HOST, extended_communities=(said,))
            rib.vms.hear(nlri, slot, Path(peer, nlri, attributes))
        case ("renew", inventory):
            for vpc in made(topology, inventory).vpcs.values():
                if vpc.vni in VPC_OF:
                    rib.vpcs[vpc.vni] = (rib.vpcs[vpc.vni][0], vpc)
            rib.vms.renew()


def topology_of(factory) -> Topology:
    file = factory.getbasetemp() / "told.yaml"
    if not file.exists():
        file.write_text(NETWORK)
    return load_topology(FilePath(file))


def a_rib(topology: Topology, inventory) -> tuple[Rib, Peer]:
    gateway = topology.gateways["gw"]
    rib = Rib(made(topology, inventory), gateway, lambda p, a: a, lambda *_: None)
    return rib, next(p for p in peers(topology, gateway) if p.name == "far")


def offer(out: AdjRibOut, rib: Rib) -> None:
    for key in sorted(rib.dirty_exports):
        out.offer_evpn(key, rib.exports.single(key))
    rib.dirty_exports.clear()


@settings(max_examples=300, deadline=None)
@given(INVENTORY, st.lists(EVENT, max_size=4), st.lists(EVENT, max_size=12), st.booleans())
def test_in_columns_and_one_by_one(tmp_path_factory, first, before, events, compact) -> None:
    topology = topology_of(tmp_path_factory)
    rib, peer = a_rib(topology, first)
    for event in before:
        one_event(rib, topology, event)
    rib.dirty_exports.clear()
    out, listener = begun(rib, peer), Listener()
    for event in (*events, ("take",)):
        one_event(rib, topology, event)
        offer(out, rib)
        if event[0] != "take":
            continue
        if compact:
            out._compact_at = -1
        listener.hear(out.take())
        wanted = expected(rib, peer)
        assert listener.held == wanted
        assert dict(out.told) == wanted and out.told.by_key() == sorted(wanted.items())
        assert len(out.told) == len(wanted) and not out.take()
        assert not out.denied.keys() & wanted.keys()
        assert len(out.denied) == len(list(out.denied))
        assert out.denied.keys() | wanted.keys() == set(rib.exports)
    newcomer = Listener()
    for changes in whole(out):
        newcomer.hear(changes)
    assert newcomer.held == listener.held
    assert not whole(out, Family.IPV4_UNICAST)


@settings(max_examples=200, deadline=None)
@given(INVENTORY, st.lists(EVENT, max_size=6), INVENTORY, st.lists(EVENT, max_size=6))
def test_the_difference_leads_from_one_to_the_other(
    tmp_path_factory, first, history, second, other
) -> None:
    topology = topology_of(tmp_path_factory)
    outs = []
    for inventory, events in ((first, history), (second, other)):
        rib, peer = a_rib(topology, inventory)
        half = len(events) // 2
        for event in events[:half]:
            one_event(rib, topology, event)
        rib.dirty_exports.clear()
        out = begun(rib, peer)
        out.take()
        for event in events[half:]:
            one_event(rib, topology, event)
        offer(out, rib)
        out.take()
        outs.append(out)
    old, new = outs
    listener = Listener()
    for said in whole(old):
        listener.hear(said)
    for changes in parts(difference(old, new)):
        for nlri in changes.withdrawn():
            del listener.held[nlri.key]
        for attributes, nlris in changes.announced():
            listener.held.update({nlri.key: (nlri, attributes) for nlri in nlris})
    assert listener.held == dict(new.told) == expected(rib, peer)
    assert not difference(new, new)
