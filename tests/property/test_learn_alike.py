"""Attribute sets that are judged by one of their kin get the verdict that each gets by itself."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.networks import FABRIC
from oracle.policy_documents import LITERALS, PREFIXES, documents, parse

from ccn_bgp.gateway.draining import GRACEFUL_SHUTDOWN, Drain
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.alike import Looks, kin, plain
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.row_judging import RowPolicy
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import (
    EvpnPrefix,
    Origin,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.policy.load import load_policies

TOPOLOGY = (
    "name: alike"
    + FABRIC
    + """\
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16]}
  vb: {region: north, vni: 102, cidrs: [10.1.0.0/16]}
  vc: {region: north, vni: 103, cidrs: [10.1.0.0/16]}
  vd: {region: south, vni: 104, cidrs: [10.2.0.0/16]}
idcs:
  d:
    region: north
    cidrs: ["0.0.0.0/0", "::/0"]
    routers:
      r1: {gateway: a, port: eth2, vlan: 11, ccn: one, asn: 65101, import: [p, q],
           address: 169.254.1.2/30, gateway-address: 169.254.1.1/30}
ccns:
  one: {id: 1, multipath: WIDE, vni: 201, attach: [vpc/va, vpc/vd, idc/d]}
  two: {id: 2, vni: 202, attach: [vpc/vb]}
  three: {id: 3, vni: 203, attach: [vpc/vc]}
neighbors:
  - {name: far, gateway: a, address: 192.0.2.99, asn: 64999, role: gateway}
  - {name: bound, gateway: a, address: 192.0.2.98, asn: 64998, role: gateway, import: [p, q]}
policies: [policy.yaml]
"""
)
MACS = [None, Mac(b"\x02\xcc\xc0\x00\x03\x0b"), Mac(b"\x02\xcc\xc0\x00\x03\x0c")]
TARGETS = [RouteTarget.parse(f"64600:{n}") for n in (1, 2, 3, 4)]
LINK = b"\x40\x04\xfc\x68\x4e\x6e\x6b\x28"


def _set(asn: int, hop: str, mac: Mac | None, originator: str, **others: object) -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(asn),)),),
        next_hop=Ip.parse(hop),
        extended_communities=tunnel_communities([], mac) if mac else (),
        originator_id=Ip.parse(originator) if originator else None,
        **others,
    )


shapes = st.builds(
    _set,
    st.sampled_from([64602] * 5 + [64601]),
    st.sampled_from(["192.0.3.11"] * 5 + ["192.0.3.12", "192.0.2.11", "2001:db8::1"]),
    st.sampled_from(MACS),
    st.sampled_from(["", "", "", "", "1.1.1.1", "192.0.2.11"]),
    med=st.sampled_from([None, 0, 5]),
    local_pref=st.sampled_from([None, 100, 200]),
    communities=st.sampled_from([(), (), (), (7,), (GRACEFUL_SHUTDOWN,)]),
)
targets = st.sampled_from(
    [[], TARGETS[:1], TARGETS[1:2], TARGETS[2:3]] * 3 + [TARGETS[:2], TARGETS[3:]]
)
routes = st.builds(
    lambda number, prefix, vni, esi, via: EvpnPrefix(
        RouteDistinguisher.of_router(Ip.parse("192.0.3.11"), number),
        esi,
        0,
        Prefix.parse(prefix),
        via,
        vni,
    ),
    st.integers(1, 20),
    st.sampled_from(
        [
            "10.9.0.0/16",
            "10.8.0.0/16",
            "10.9.0.0/16",
            "10.1.5.0/24",
            "0.0.0.0/0",
            "127.0.0.0/8",
            "fd00::/48",
        ]
    ),
    st.sampled_from([201, 202, 203, 777]),
    st.sampled_from([bytes(10)] * 9 + [b"\x01" * 10]),
    st.sampled_from([None] * 9 + [Ip.parse("10.1.0.9")]),
)
words = st.tuples(st.integers(0, 1), targets, st.sampled_from([(), (), (LINK,)]), routes)


@pytest.fixture(scope="module", params=[1, 2])
def intent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Intent:
    file = tmp_path_factory.mktemp("alike") / "alike.yaml"
    file.with_name("policy.yaml").write_text("policies: {p: [], q: []}")
    file.write_text(TOPOLOGY.replace("WIDE", str(request.param)))
    return read_intent(FilePath(file), "a")


def told(rib: Rib) -> dict[str, object]:
    """All that was decided: verdict of every path, the routes, and what ranks each candidate."""
    rib.settle()
    found: dict[str, object] = {}
    for peer in rib.peers:
        heard = rib.heard(peer)
        found[peer] = {key: (h.path, h.places, h.reason) for key, h in heard.items()}
    for name, table in rib.tables.items():
        found[name] = dict(table.routes)
    book, facts = rib.book, rib.book._facts
    for number, terms in enumerate(book.terms):
        ranks = [facts[name][number] for name in ("before", "cluster", "peer", "med_group", "med")]
        flags = [facts[name][number] for name in ("usable", "gateway", "of_idc")]
        answer = book.answers[facts["answer"][number]] if flags[0] else None
        identity = int(facts["originator"][number])
        router = book._identities[identity] if identity >= 0 else None
        origin = terms.origin.rpartition("/")[2]
        assert book._ccns[origin] == facts["ccn"][number]
        found[repr(terms)] = (ranks, flags, answer, router)
    return found


class Apart:
    """A policy that tells all attributes apart."""

    def __init__(self, policy: RowPolicy | None) -> None:
        assert policy is not None
        self.policy = policy

    def __call__(self, peer: Peer, address: Any, length: Any) -> Any:
        return self.policy(peer, address, length)

    def blind(self, peer: Peer) -> bool:
        return self.policy.blind(peer)

    def looks(self, _: Peer) -> Looks | None:
        return None


def ribs(intent: Intent) -> tuple[Rib, Rib]:
    """One that judges families, and one that judges each set by itself."""
    together, apart = new_rib(intent), new_rib(intent)
    apart._rows.row_policy = Apart(apart._rows.row_policy)
    return together, apart


@settings(max_examples=100, deadline=None)
@given(
    pair=st.tuples(shapes, shapes),
    said=st.lists(words, min_size=6, max_size=14),
    peer=st.sampled_from(["b", "c", "far"]),
    drained=st.sampled_from([False] * 5 + [True]),
)
def test_kin_are_judged_as_each_by_itself(
    intent: Intent,
    pair: tuple[PathAttributes, PathAttributes],
    said: list,
    peer: str,
    drained: bool,
) -> None:
    intent = replace(intent, drain=Drain(frozenset({peer} if drained else ())))
    together, apart = ribs(intent)
    made: dict[tuple, PathAttributes] = {}
    for shape, mine, link, nlri in said:
        base = pair[shape]
        communities = (*mine, *base.extended_communities, *link)
        attributes = made.setdefault(
            (shape, communities), replace(base, extended_communities=communities)
        )
        for rib in (together, apart):
            rib.receive(peer, [nlri], [], attributes)
    assert told(together) == told(apart)


ASNS = st.lists(st.sampled_from([1, 2, 65001] * 4 + [64601]), min_size=1, max_size=3)


def of_kind(kind: str) -> st.SearchStrategy[tuple[Any, ...]]:
    values = [parse(kind, text) for text in LITERALS[kind]]
    some = st.lists(st.sampled_from(values), max_size=2, unique=True)
    return some.map(lambda held: tuple(sorted(held)))


VARIED: dict[str, st.SearchStrategy[Any]] = {
    "as_path": ASNS.map(lambda a: (Segment(SegmentType.AS_SEQUENCE, tuple(map(Asn, a))),)),
    "next_hop": st.sampled_from(["169.254.1.2"] * 3 + ["10.1.2.3", "169.254.1.1"]).map(Ip.parse),
    "origin": st.sampled_from(Origin),
    "med": st.sampled_from([None, 0, 5]),
    "local_pref": st.sampled_from([None, 0, 100]),
    "communities": of_kind("community") | st.just((GRACEFUL_SHUTDOWN,)),
    "large_communities": of_kind("large-community"),
    "extended_communities": of_kind("extended-community") | st.just((LINK,)),
    "only_to_customer": st.sampled_from([None] * 3 + [Asn(7)]),
}
one_field = st.sampled_from(sorted(VARIED)).flatmap(
    lambda name: VARIED[name].map(lambda value: {name: value})
)
SHAPE = PathAttributes(
    as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(1),)),), next_hop=Ip.parse("169.254.1.2")
)


@settings(max_examples=100, deadline=None)
@given(
    document=documents(),
    shape=st.lists(one_field, max_size=3),
    said=st.lists(st.tuples(one_field, st.sampled_from(PREFIXES)), min_size=8, max_size=24),
    drained=st.sampled_from([False] * 5 + [True]),
)
def test_what_policies_do_not_look_at_makes_no_difference(
    intent: Intent,
    document: dict[str, Any],
    shape: list[dict[str, Any]],
    said: list[tuple[dict[str, Any], str]],
    drained: bool,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = FilePath(name) / "p.yaml"
        file.write_text(json.dumps(document))
        policies = load_policies([file])
    names = ("r1", "bound")
    drain = Drain(frozenset(names if drained else ()))
    together, apart = ribs(replace(intent, policies=policies, drain=drain))
    for number, (field, text) in enumerate(said):
        attributes = SHAPE
        for changes in (*shape, field):
            attributes = replace(attributes, **changes)
        prefix = Prefix.parse(text)
        extended = (*attributes.extended_communities, TARGETS[0], *tunnel_communities([], MACS[1]))
        inside = replace(attributes, extended_communities=extended)
        rd = RouteDistinguisher.of_router(Ip.parse("192.0.3.11"), number)
        nlri = EvpnPrefix(rd, bytes(10), 0, prefix, None, 201)
        for rib in (together, apart):
            rib.receive("r1", [Unicast(prefix)], [], attributes)
            rib.receive("bound", [nlri], [], inside)
    assert told(together) == told(apart)
    hits, others = together._judge.hits, apart._judge.hits
    assert hits.count == others.count
    assert list(hits.last.items()) == list(others.last.items())


class Asked:
    """An import policy that counts how often it is asked."""

    def __init__(self, intent: Intent) -> None:
        self.intent = intent
        self.count = 0

    def __call__(self, peer: Peer, path: BgpPath) -> Any:
        self.count += 1
        return self.intent.import_policy(peer, path)


def test_the_shortcut_is_taken(intent: Intent) -> None:
    """A hundred sets of one shape are judged by one of them."""
    asked = Asked(intent)
    rib = new_rib(intent)
    rib._judge.policy = asked
    for number in range(100):
        shape = _set(64602, "192.0.3.11", MACS[1], "", communities=())
        target = TARGETS[number % 3]
        attributes = replace(shape, extended_communities=(target, *shape.extended_communities))
        rd = RouteDistinguisher.of_router(Ip.parse("192.0.3.11"), number)
        prefix = Prefix.parse(f"10.9.{number}.0/24")
        nlri = EvpnPrefix(rd, bytes(10), 0, prefix, None, 201 + number % 3)
        rib.receive("b", [nlri], [], attributes)
    rib.settle()
    assert asked.count == 1
    assert sum(len(table.routes) for table in rib.tables.values()) == 103


def test_a_table_of_the_internet_is_judged_at_once(intent: Intent, tmp_path: FilePath) -> None:
    """A hundred AS paths, of which policy looks at none: one of them is judged."""
    file = tmp_path / "p.yaml"
    policy = [{"name": "all", "set": {"local-pref": 150, "med": "+1"}, "then": "accept"}]
    file.write_text(json.dumps({"policies": {"p": policy, "q": []}}))
    intent = replace(intent, policies=load_policies([file]))
    rib, asked = new_rib(intent), Asked(intent)
    rib._judge.policy = asked
    for number in range(100):
        path = (Segment(SegmentType.AS_SEQUENCE, (Asn(65101), Asn(number + 1))),)
        attributes = PathAttributes(as_path=path, next_hop=Ip.parse("169.254.1.2"), med=number % 2)
        rib.receive("r1", [Unicast(Prefix.parse(f"20.9.{number}.0/24"))], [], attributes)
    rib.settle()
    assert asked.count == 2  # of each MED
    made = [terms.attributes for terms in rib.book.terms]
    assert {m.local_pref for m in made} == {150}
    assert {m.med for m in made} == {1, 2}
    assert len({m.as_path for m in made}) == 100


def test_kin_is_what_is_looked_at() -> None:
    shape = _set(64602, "192.0.3.11", MACS[1], "")
    others = {
        "origin": 2,
        "as_path": (),
        "next_hop": Ip.parse("1.1.1.1"),
        "med": 1,
        "local_pref": 1,
        "atomic_aggregate": True,
        "aggregator": (Asn(1), Ip.parse("1.1.1.1")),
        "communities": (1,),
        "large_communities": ((1, 2, 3),),
        "extended_communities": (),
        "originator_id": Ip.parse("1.1.1.1"),
        "cluster_list": (Ip.parse("1.1.1.1"),),
        "only_to_customer": Asn(1),
        "unknown": ((0xC0, 99, b""),),
        "tag": 1,
        "preference": 1,
    }
    assert set(others) == {field.name for field in fields(PathAttributes)}
    judged = {"next_hop", "originator_id", "cluster_list", "only_to_customer"}
    for field, value in others.items():
        other = replace(shape, **{field: value})
        asked, unasked = kin(Looks((field,)), tunnel=False), kin(Looks(), tunnel=False)
        assert asked(other) != asked(shape), field
        assert (unasked(other) != unasked(shape)) is (field in judged), field
        # Of extended communities the router's MAC is one.
        into = kin(Looks(), tunnel=True)
        differs = field in judged or field == "extended_communities"
        assert (into(other) != into(shape)) is differs, field


def test_paths_that_a_judge_has_a_word_on_are_not_plain() -> None:
    own = Asn(64601)
    long = (Segment(SegmentType.AS_SEQUENCE, (Asn(1),) * 200),) * 2
    assert plain((Segment(SegmentType.AS_SEQUENCE, (Asn(1), Asn(2))),), own)
    assert not plain((Segment(SegmentType.AS_SET, (Asn(1), own)),), own)
    assert not plain(long, own)
