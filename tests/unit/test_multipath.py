"""Equal paths share a prefix: who does, by what weight, and what others are told of it."""

from __future__ import annotations

import struct
from pathlib import Path as FilePath
from types import SimpleNamespace

import pytest
from oracle.networks import FABRIC

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.views import routes
from ccn_bgp.learn import compaction
from ccn_bgp.learn.bestpath import spread
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Path,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.reason import Multipath, NotBest, Refused
from ccn_bgp.model.route import Kind, Member, NextHop, Route
from ccn_bgp.observe.render import draw, draw_explanation

TOPOLOGY = (
    "name: wide"
    + FABRIC
    + """\
  d: {region: south, asn: 64602, vtep: 192.0.3.13,
      uplinks: [{port: p0, address: 192.0.3.13/24, via: 192.0.3.1}]}
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16]}
  vb: {region: south, vni: 102, cidrs: [10.2.0.0/16]}
idcs:
  lf:
    region: north
    cidrs: [172.16.0.0/16]
    routers:
      r1: {gateway: a, port: eth2, vlan: 11, ccn: one, asn: 65101, import: [in], export: [out],
           address: 169.254.1.2/30, gateway-address: 169.254.1.1/30}
      r2: {gateway: a, port: eth2, vlan: 12, ccn: one, asn: 65101, import: [in], export: [out],
           address: 169.254.2.2/30, gateway-address: 169.254.2.1/30}
ccns:
  one: {id: 1, vni: 201, multipath: 2, attach: [vpc/va, vpc/vb, idc/lf]}
policies: [policy.yaml]
"""
)
POLICY = "policies:\n  in: [{name: all, then: accept}]\n  out: [{name: all, then: accept}]\n"
IDC = Prefix.parse("172.16.5.0/24")
FAR = Prefix.parse("10.2.0.0/16")
VIP = Ip.parse("10.2.0.10")
HOPS = {
    "r1": Ip.parse("169.254.1.2"),
    "r2": Ip.parse("169.254.2.2"),
    "b": Ip.parse("192.0.3.11"),
    "c": Ip.parse("192.0.3.12"),
    "d": Ip.parse("192.0.3.13"),
}


def wide(folder: FilePath, old: str = "", new: str = "") -> Rib:
    (folder / "policy.yaml").write_text(POLICY)
    file = folder / "wide.yaml"
    assert old in TOPOLOGY
    file.write_text(TOPOLOGY.replace(old, new) if old else TOPOLOGY)
    return new_rib(read_intent(file, "a"))


@pytest.fixture
def rib(tmp_path: FilePath) -> Rib:
    return wide(tmp_path)


def running(rib: Rib, folder: FilePath):
    """As much of a gateway as ``ccn explain`` asks for."""
    intent = read_intent(folder / "wide.yaml", "a")
    forwarder = {"found": True, "kind": "group", "members": [{"weight": 2, "kind": "hand_off"}]}
    return SimpleNamespace(
        name="a",
        intent=intent,
        rib=rib,
        proved=SimpleNamespace(findings=()),
        sessions=SimpleNamespace(withdrawn=(), peers={}),
        lookup=lambda *_: forwarder,
        counters=list,
    )


def bandwidth(octets: float, kind: bytes = b"\x40\x04") -> bytes:
    return kind + b"\xfc\x68" + struct.pack(">f", octets)


def attributes(peer: str, asns: tuple[int, ...], link: float | None, **more: object):
    communities = [bandwidth(link)] if link is not None else []
    if peer not in ("r1", "r2"):
        mac = Mac(b"\x02\xcc" + HOPS[peer])
        communities += tunnel_communities([RouteTarget.parse("64600:1")], mac)
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),),
        next_hop=HOPS[peer],
        extended_communities=tuple(communities),
        **more,  # type: ignore[arg-type]
    )


def say(rib: Rib, peer: str, link: float | None = None, *, asns=None, **more: object) -> None:
    """``peer`` says the data centre's prefix, or the far VPC's."""
    if peer in ("r1", "r2"):
        nlri, path = Unicast(IDC), asns or (65101,)
    else:
        rd = RouteDistinguisher.of_router(HOPS[peer], 1)
        nlri, path = EvpnPrefix(rd, bytes(10), 0, FAR, None, 201), asns or (64602,)
    rib.receive(peer, [nlri], [], attributes(peer, path, link, **more))
    rib.settle()


def say_vm(rib: Rib, peer: str, mac: str = "02:00:00:00:00:0a", sequence: int = 0) -> EvpnMacIp:
    rd = RouteDistinguisher.of_router(HOPS[peer], 1)
    nlri = EvpnMacIp(rd, bytes(10), 0, Mac.parse(mac), VIP, 102, 201)
    said = attributes(peer, (64602,), None)
    moved = b"\x06\x00\x00\x00" + sequence.to_bytes(4, "big")
    communities = (*said.extended_communities, moved)
    rib.receive(
        peer, [nlri], [], PathAttributes(said.origin, said.as_path, said.next_hop,
                                         extended_communities=communities),
    )  # fmt: skip
    rib.settle()
    return nlri


def route(rib: Rib, prefix: Prefix = IDC) -> Route:
    return rib.tables["a/one"].routes[prefix]


def ways(rib: Rib, prefix: Prefix = IDC) -> dict[str, int]:
    """Peer → weight, of those whose next hops share a prefix."""
    hop = route(rib, prefix).next_hop
    names = {ip: name for name, ip in HOPS.items()}
    return {names[m.hop.ip]: m.weight for m in hop.members or (Member(1, hop),)}


def reasons(rib: Rib, prefix: Prefix = IDC) -> dict[str, object]:
    table = rib.tables["a/one"]
    return {c.path.peer: table.reason(prefix, c) for c in table.candidates[prefix].values()}


def test_two_routers_share_what_both_say(rib: Rib) -> None:
    say(rib, "r1")
    assert ways(rib) == {"r1": 1}
    say(rib, "r2")
    assert ways(rib) == {"r1": 1, "r2": 1}
    assert route(rib).next_hop.kind is Kind.GROUP
    assert route(rib).path.peer == "r1"
    assert reasons(rib) == {"r1": None, "r2": Multipath()}
    rib.receive("r1", [], [Unicast(IDC)], None)
    rib.settle()
    assert ways(rib) == {"r2": 1}
    assert reasons(rib) == {"r2": None}


def test_without_the_key_the_best_is_alone(tmp_path: FilePath) -> None:
    rib = wide(tmp_path, "multipath: 2, ", "")
    say(rib, "r1")
    say(rib, "r2")
    assert ways(rib) == {"r1": 1}
    assert reasons(rib) == {"r1": None, "r2": NotBest(8, "lower router-id or originator")}
    assert rib.rows[4].sharing is None


def test_only_who_is_as_good_through_step_7_shares(rib: Rib) -> None:
    say(rib, "r1")
    say(rib, "r2", asns=(65101, 65102))
    assert ways(rib) == {"r1": 1}
    assert reasons(rib)["r2"] == NotBest(4, "shorter AS path")
    say(rib, "r2", med=5)
    assert ways(rib) == {"r1": 1}
    assert reasons(rib)["r2"] == NotBest(6, "lower MED of the same neighbouring AS")
    say(rib, "r2", asns=(65199,), med=5)  # MEDs of two neighbouring ASes do not compare
    assert ways(rib) == {"r1": 1, "r2": 1}


def test_the_steps_from_8_on_say_who_is_among_the_first_n(rib: Rib) -> None:
    for peer in ("d", "c", "b"):
        say(rib, peer)
    assert ways(rib, FAR) == {"b": 1, "c": 1}
    assert reasons(rib, FAR)["d"] == NotBest(8, "lower router-id or originator")
    rib.opened("d", Ip.parse("1.1.1.1"))
    rib.settle()
    assert ways(rib, FAR) == {"d": 1, "b": 1}
    assert route(rib, FAR).path.peer == "d"
    rib.session_down("b", keep=False)
    rib.settle()
    assert ways(rib, FAR) == {"d": 1, "c": 1}


def test_one_next_hop_is_one_member_whoever_says_it(rib: Rib) -> None:
    say(rib, "b")
    again = attributes("b", (64602,), None)
    rib.receive("c", [EvpnPrefix(RouteDistinguisher.of_router(HOPS["b"], 1), bytes(10), 0, FAR,
                                 None, 201)], [], again)  # fmt: skip
    rib.settle()
    assert ways(rib, FAR) == {"b": 1}
    say(rib, "d")
    assert ways(rib, FAR) == {"b": 1, "d": 1}


@pytest.mark.parametrize(
    ("first", "second", "weights"),
    [
        (1.25e9, 1.25e9, (1, 1)),
        (1.25e9, 3.75e9, (1, 3)),
        (1.25e9, None, (1, 1)),  # not all say it
        (1.25e9, 0.0, (1, 1)),
        (1.25e9, -4.0, (1, 1)),
        (1.25e9, float("nan"), (1, 1)),
        (1.25e9, float("inf"), (1, 1)),
        (1.0, 1e15, (1, 255)),
    ],
)
def test_weights_are_link_bandwidths_where_all_say_one(
    rib: Rib, first: float | None, second: float | None, weights: tuple[int, int]
) -> None:
    say(rib, "r1", first)
    say(rib, "r2", second)
    assert ways(rib) == dict(zip(("r1", "r2"), weights, strict=True))
    say(rib, "b", first)
    say(rib, "c", second)
    assert ways(rib, FAR) == dict(zip(("b", "c"), weights, strict=True))


def test_a_new_bandwidth_is_a_new_table_but_nothing_to_tell(rib: Rib) -> None:
    say(rib, "r1", 1e9)
    say(rib, "r2", 1e9)
    rib.row_exports.take()
    rib.changed.clear()
    decided = rib.tables["a/one"].decided
    say(rib, "r2", 2e9)
    assert ways(rib) == {"r1": 1, "r2": 2}
    assert rib.changed == {"a/one"}
    assert rib.tables["a/one"].decided > decided
    told = rib.row_exports.take()
    assert not told.exports
    assert not told.routes


def test_what_gateways_hear_is_the_best_alone_and_without_its_bandwidth(rib: Rib) -> None:
    say(rib, "r2", 1e9)
    say(rib, "r1", 1e9)
    ((nlri, said),) = [
        (n, a) for n, a in rib.exports.values() if isinstance(n, EvpnPrefix) and n.prefix == IDC
    ]
    assert nlri.vni == 201
    assert said.next_hop == Ip.parse("192.0.2.11")
    assert not said.link_bandwidth


def test_who_shares_the_prefix_of_another_ccn_has_its_whole_group(tmp_path: FilePath) -> None:
    """Whatever the consumer's own limit is; and it follows when a member comes or goes."""
    vpc = "\n  vc: {region: north, vni: 103, cidrs: [10.3.0.0/16]}\nidcs:"
    rib = wide(tmp_path, "\nidcs:", vpc)
    file = tmp_path / "wide.yaml"
    two = "  two: {id: 2, vni: 202, attach: [vpc/vc]}\n"
    two += "shares: [{from: one, to: two, prefixes: [172.16.0.0/16]}]\npolicies:"
    file.write_text(file.read_text().replace("policies:", two))
    rib = new_rib(read_intent(file, "a"))
    groups = []
    for peer in ("r1", "r2"):
        say(rib, peer)
        groups.append(rib.tables["a/two"].routes[IDC].next_hop)
        assert groups[-1] == route(rib).next_hop
    assert [hop.kind for hop in groups] == [Kind.HAND_OFF, Kind.GROUP]
    rib.receive("r2", [], [Unicast(IDC)], None)
    rib.settle()
    assert rib.tables["a/two"].routes[IDC].next_hop == groups[0]


def test_another_limit_counts_from_the_next_reload(rib: Rib, tmp_path: FilePath) -> None:
    """What has been heard is taken over, by either kind of decision."""
    for peer in ("b", "c", "d", "r1", "r2"):
        say(rib, peer)
    for limit, far, near in ((3, "bcd", 2), (1, "b", 1), (2, "bc", 2)):
        again = wide(tmp_path, "multipath: 2", f"multipath: {limit}")
        again.adopt(rib)
        again.settle()
        assert "".join(ways(again, FAR)) == far
        assert len(ways(again)) == near
        rib = again


def test_numbers_given_out_anew_change_nothing(rib: Rib, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SPARE", -1)
    rib._compaction = compaction.Compaction()
    say(rib, "r1", 1e9)
    say(rib, "r2", 2e9)
    for link in (3e9, 4e9, 5e9):  # answers that nobody needs any more
        say(rib, "r1", link)
    say(rib, "r1", 1e9)
    assert len(rib.book.answers) == 3  # each router alone, and both
    assert ways(rib) == {"r1": 1, "r2": 2}


def test_tables_that_say_on_to_each_other_keep_no_member_alive(tmp_path: FilePath) -> None:
    """A next hop that two of them have from each other alone is nobody's any more."""
    chain = ""
    for number, name, other in ((2, "two", 3), (3, "three", 2)):
        targets = ", ".join(f'"64600:{n}"' for n in (number, 1, other))
        chain += f"  {name}: {{id: {number}, vni: 20{number}, multipath: 4, reexport: true, "
        chain += f"attach: [vpc/v{number}], import-rts: [{targets}]}}\n"
    vpcs = "".join(
        f"\n  v{n}: {{region: north, vni: 11{n}, cidrs: [10.{n}.0.0/16]}}" for n in (2, 3)
    )
    rib = wide(tmp_path, "\nidcs:", vpcs.replace("10.2", "10.4") + "\nidcs:")
    file = tmp_path / "wide.yaml"
    file.write_text(file.read_text().replace("policies:", chain + "policies:"))
    topology = load_topology(file)
    gateway = topology.gateways["a"]
    rib = Rib(topology, gateway, lambda _, path: path.attributes, lambda *_: None)
    say(rib, "r1")
    rib.receive("r1", [], [Unicast(IDC)], None)
    say(rib, "r2")
    for table in ("one", "two", "three"):
        assert rib.tables[f"a/{table}"].routes[IDC].next_hop.ip == HOPS["r2"]
    say(rib, "r1")
    group = route(rib).next_hop
    assert group.kind is Kind.GROUP
    for table in ("two", "three"):
        assert rib.tables[f"a/{table}"].routes[IDC].next_hop == group
    say(rib, "r2", asns=(65101, 65102))
    for table in ("one", "two", "three"):
        assert rib.tables[f"a/{table}"].routes[IDC].next_hop.ip == HOPS["r1"]


def test_a_refused_path_is_no_member(rib: Rib) -> None:
    say(rib, "r1")
    say(rib, "r2")
    table = rib.tables["a/one"]
    (slot,) = [s for s in table.held(IDC) if s[0] == "r2"]
    table.refuse(IDC, slot, Refused("loop", "it does"))
    rib.settle()
    assert ways(rib) == {"r1": 1}
    table.release()
    rib.settle()
    assert ways(rib) == {"r1": 1, "r2": 1}
    assert rib.rows[4].sharing is not None
    assert int(rib.rows[4].sharing.sum()) == 1


def test_a_gateway_ip_is_shared_by_the_gateways_of_its_vm(rib: Rib) -> None:
    nlri = EvpnPrefix(RouteDistinguisher.parse("192.0.3.11:1"), bytes(10), 0,
                      Prefix.parse("10.99.0.0/24"), VIP, 201)  # fmt: skip
    rib.receive("b", [nlri], [], attributes("b", (64602,), None))
    say_vm(rib, "b")
    vm = say_vm(rib, "c")
    assert ways(rib, nlri.prefix) == {"b": 1, "c": 1}
    say_vm(rib, "d")
    assert ways(rib, nlri.prefix) == {"b": 1, "c": 1}  # multipath is 2
    rib.receive("c", [], [vm], None)
    rib.settle()
    assert ways(rib, nlri.prefix) == {"b": 1, "d": 1}
    say_vm(rib, "d", sequence=1)
    assert ways(rib, nlri.prefix) == {"d": 1}


def test_another_mac_at_the_same_address_is_another_vm(rib: Rib) -> None:
    nlri = EvpnPrefix(RouteDistinguisher.parse("192.0.3.11:1"), bytes(10), 0,
                      Prefix.parse("10.99.0.0/24"), VIP, 201)  # fmt: skip
    rib.receive("b", [nlri], [], attributes("b", (64602,), None))
    say_vm(rib, "b")
    say_vm(rib, "c", mac="02:00:00:00:00:0b")
    assert ways(rib, nlri.prefix) == {"b": 1}


def test_it_is_shown_and_explained(
    rib: Rib, tmp_path: FilePath, capsys: pytest.CaptureFixture[str]
) -> None:
    say(rib, "r1", 1e9)
    say(rib, "r2", 2e9)
    gateway = running(rib, tmp_path)
    found = explain(gateway, str(IDC), "one")
    assert [(p["peer"], p["result"]) for p in found["paths"]] == [
        ("r1", "chosen"),
        ("r2", "multipath: as good as the best path through step 7"),
    ]
    assert found["paths"][1]["attributes"]["link-bandwidth"] == 2_000_000_000
    assert found["route"]["next-hop"] == {
        "kind": "group",
        "members": [
            {"weight": 1, "kind": "hand-off", "ip": "169.254.1.2", "interface": "eth2.11t"},
            {"weight": 2, "kind": "hand-off", "ip": "169.254.2.2", "interface": "eth2.12t"},
        ],
    }
    draw_explanation(found)
    text = capsys.readouterr().out
    assert "* 172.16.5.0/24 from r1: chosen" in text
    assert "+ 172.16.5.0/24 from r2: multipath: as good as the best path through step 7" in text
    group = "of hand-off 169.254.1.2 eth2.11t (weight 1); hand-off 169.254.2.2 eth2.12t (weight 2)"
    assert "hand-off eth2.12t to 169.254.2.2 (weight 2)" in text
    assert "forwarder: kind group  members of hand_off (weight 2)" in text
    draw("routes", routes(gateway, {}))
    assert f"group {group}" in capsys.readouterr().out


def hop(number: int) -> NextHop:
    return NextHop(Kind.VTEP, vni=201, ip=Ip(bytes((192, 0, 2, number))), mac=Mac(bytes(6)))


def test_a_group_among_the_offers_divides_its_own_share() -> None:
    inner = spread([(hop(1), 0), (hop(2), 0)])
    found = spread([(inner, 0), (hop(3), 0)])
    assert {m.hop: m.weight for m in found.members} == {hop(1): 1, hop(2): 1, hop(3): 2}
    weighted = spread([(inner, 10), (hop(1), 30)])
    assert {m.hop: m.weight for m in weighted.members} == {hop(1): 7, hop(2): 1}


def test_bandwidth_is_read_of_both_kinds() -> None:
    for kind in (b"\x40\x04", b"\x00\x04"):
        found = PathAttributes(extended_communities=(b"\x00\x02" + bytes(6), bandwidth(5e8, kind)))
        assert found.link_bandwidth == 500_000_000
    assert PathAttributes(extended_communities=(bandwidth(1e30),)).link_bandwidth == 0
    assert Path("x", Unicast(IDC), PathAttributes()).attributes.link_bandwidth == 0


@pytest.mark.parametrize("value", ["0", "17", "two", "true", "1.5"])
def test_the_key_is_a_number_from_1_to_16(tmp_path: FilePath, value: str) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    file = tmp_path / "wide.yaml"
    file.write_text(TOPOLOGY.replace("multipath: 2", f"multipath: {value}"))
    with pytest.raises(InputError, match=r"multipath.*is not a whole number from 1 to 16"):
        load_topology(file)
