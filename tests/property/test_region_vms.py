"""The VMs of a region in columns, or in a dictionary: the same rows, exports and answers, whatever
is said in whatever order."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.config.load import load_topology
from ccn_bgp.learn import vm_rows
from ccn_bgp.learn.exports import Exports
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import own_attributes, vm_candidate
from ccn_bgp.learn.region_vms import RegionVms
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Ip, Mac, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, PathAttributes
from ccn_bgp.model.path import Path as SaidPath
from ccn_bgp.model.reason import NotBest, Refused
from ccn_bgp.model.topology import MacMobility, Vm

NETWORK = """\
name: region
fabric: {asn: 64600}
gateways: {gw: {region: r, asn: 64601, vtep: 192.0.2.1}}
vpcs:
  one: {region: r, vni: 10001, cidrs: [10.1.0.0/16, "fd00:1::/64"]}
  two: {region: r, vni: 10002, cidrs: [10.2.0.0/16]}
  mute: {region: r, vni: 10003, cidrs: [10.3.0.0/16]}
ccns:
  retail:
    id: 100
    vni: 20100
    multipath: 2
    attach: [vpc/one, {member: vpc/mute, propagate: false}]
  finance: {id: 200, vni: 20200, attach: [vpc/two]}
"""
VPC_OF = {10001: "one", 10002: "two", 10003: "mute"}
ADDRESSES = [
    (10001, Ip.parse("10.1.0.10")), (10001, Ip.parse("10.1.0.11")), (10001, Ip.parse("fd00:1::1")),
    (10002, Ip.parse("10.1.0.10")), (10003, Ip.parse("10.3.0.10")),
]  # fmt: skip
MACS = [Mac(bytes((2, 0, 0, 0, 0, n))) for n in range(3)]
HOSTS = [Ip(bytes((192, 0, 2, 100 + n))) for n in range(3)]
MANY = MacMobility(moves=10**9)
VM = st.builds(
    lambda at, mac, hosts, sequence: (at, Vm.behind(at[1], mac, hosts, sequence)),
    st.sampled_from(ADDRESSES), st.sampled_from(MACS),
    st.sets(st.sampled_from(HOSTS), min_size=1).map(lambda some: tuple(sorted(some))),
    st.integers(0, 2),
)  # fmt: skip
INVENTORY = st.lists(VM, max_size=6).map(dict)
SLOT = st.tuples(st.sampled_from(("h1", "h2")), st.sampled_from(MACS), st.sampled_from(ADDRESSES))
EVENT = st.one_of(
    st.tuples(st.just("hear"), SLOT, st.sampled_from(HOSTS), st.integers(-1, 2), st.booleans()),
    st.tuples(st.just("forget"), SLOT),
    st.tuples(st.just("renew"), INVENTORY),
)


def route(slot):
    peer, mac, (vni, ip) = slot
    rd = RouteDistinguisher.parse(f"192.0.2.9:{vni - 10000}")
    nlri = EvpnMacIp(rd, bytes(10), 0, mac, ip, vni, None)
    return nlri, (peer, nlri.key)


class Plain:
    """The definition: everything anew, from dictionaries."""

    def __init__(self):
        self.inventory, self.heard = {}, {}

    def holder(self, at):
        """(..., host, slot, MAC, mobility community, hosts) of who has an address, and nothing if
        nobody does."""
        found = []
        if (vm := self.inventory.get(at)) is not None:
            said = (b"\6\0\0\0" + vm.sequence.to_bytes(4, "big"),) if vm.sequence else ()
            who = ("", b"")
            found.append((False, vm.sequence, True, vm.host, who, vm.mac, said, vm.hosts))
        for slot, (host, sequence, sticky) in self.heard.items():
            if slot[2] == at:
                said = () if sequence < 0 else (mobility(sequence, sticky),)
                stays, who = sticky and sequence >= 0, route(slot)[1]
                found.append((stays, max(sequence, 0), False, host, who, slot[1], said, (host,)))
        if not found:
            return None
        best = min(found, key=lambda c: (not c[0], -c[1], not c[2], c[3], c[4]))
        if VPC_OF[at[0]] == "two" or best[0] or best[2]:  # without multipath, sticky, declared
            return best
        alike = {c[3] for c in found if c[:3] == best[:3] and c[5] == best[5]}
        return (*best[:7], tuple(sorted(alike)[:2]))


def mobility(sequence, sticky):
    return b"\6\0" + bytes((sticky, 0)) + sequence.to_bytes(4, "big")


def made(topology, inventory):
    vpcs = {
        name: replace(vpc, vms=[vm for at, vm in inventory.items() if VPC_OF[at[0]] == name])
        for name, vpc in topology.vpcs.items()
    }
    return replace(topology, vpcs=vpcs)


def check(rib, vms, plain, exports):
    holders = {at: plain.holder(at) for at in ADDRESSES}
    rows = sorted(
        (vni, len(ip), ip, h[5], h[7]) for (vni, ip), h in holders.items() if h is not None
    )
    entries = vms.entries()
    assert [(e.vni, len(e.ip), e.ip, e.mac, (e.vtep, *e.others)) for e in entries] == rows
    assert set(entries.named_sets.values()) == {hosts for *_, hosts in rows if len(hosts) > 1}
    assert entries == list(entries), "the same by rows and one by one"
    wanted = {}
    for at, holder in holders.items():
        vni, ip = at
        ccsi, vpc = rib.vpcs[vni]
        candidates = [c for c in vms.candidates(ccsi.rd, ip) if c.path.nlri.vni == vni]
        if holder is None:
            assert not candidates
            continue
        own = own_attributes(rib.gateway, ccsi)
        communities = own.extended_communities + holder[6]
        attributes = replace(own, extended_communities=communities)
        candidate = vm_candidate(ccsi, attributes, vpc, ip, holder[5])
        assert candidates == [candidate]
        if VPC_OF[vni] != "mute":
            wanted[candidate.key] = (candidate.path.nlri, attributes)
    assert dict(exports.items()) == wanted and len(list(exports)) == len(wanted)
    assert all(exports[key] == export for key, export in wanted.items())
    for at, holder in holders.items():
        for place, (claim, reason) in enumerate(vms.claims(at)):
            assert (claim.slot == holder[4]) is (place == 0)
            shares = claim.host in holder[7] and claim.host != holder[3]
            assert reason is not None or place == 0 or shares
            assert reason is None or place
            if shares and claim.mac == holder[5] and (claim.sticky, claim.sequence) == holder[:2]:
                assert reason is None or holder[2] or claim.slot == ("", b"")
            assert reason is None or isinstance(reason, NotBest | Refused)
            assert isinstance(reason, Refused) is (holder[0] and claim.host != holder[3])
    refused = sum(isinstance(reason, Refused) for at in ADDRESSES for _, reason in vms.claims(at))
    assert len(vms.findings()) == refused
    return wanted


@settings(max_examples=150, deadline=None)
@given(INVENTORY, st.lists(EVENT, max_size=12), st.sampled_from((0, 100)))
def test_in_columns_or_in_a_dictionary(tmp_path_factory, first, events, few):
    with mock.patch.object(vm_rows, "FEW", few):  # whether inventories are patched or made anew
        play(tmp_path_factory, first, events)


def play(tmp_path_factory, first, events):
    topology = network(tmp_path_factory)
    plain = Plain()
    plain.inventory = first
    rib = Rib(made(topology, first), topology.gateways["gw"], lambda p, a: a, lambda *_: None)
    tables: dict[str, LocRib] = rib.tables
    exports, dirty = Exports(), set()
    vms = RegionVms(rib.gateway, tables, rib.vpcs, exports, said=dirty.add, limits=MANY)
    vms.clock = lambda: 0.0
    told = check(rib, vms, plain, exports)
    for event in events:
        match event:
            case ("hear", slot, host, sequence, sticky):
                plain.heard[slot] = (host, sequence, sticky)
                nlri, who = route(slot)
                communities = () if sequence < 0 else (mobility(sequence, sticky),)
                attributes = PathAttributes(next_hop=host, extended_communities=communities)
                vms.hear(nlri, who, SaidPath(who[0], nlri, attributes))
            case ("forget", slot):
                plain.heard.pop(slot, None)
                vms.forget(*route(slot))
            case ("renew", inventory):
                plain.inventory = inventory
                for name, vpc in made(topology, inventory).vpcs.items():
                    vni = vpc.vni
                    rib.vpcs[vni] = (rib.vpcs[vni][0], vpc)
                    assert VPC_OF[vni] == name
                vms.renew()
        now = check(rib, vms, plain, exports)
        differs = {k for k in told.keys() | now.keys() if told.get(k) != now.get(k)}
        assert differs <= dirty, "peers are told what differs"
        dirty.clear()
        told = now


def network(factory):
    file = factory.getbasetemp() / "region.yaml"
    if not file.exists():
        file.write_text(NETWORK)
    return load_topology(Path(file))
