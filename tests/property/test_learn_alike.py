"""Attribute sets that are judged by one of their kin get the verdict that each gets by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.networks import FABRIC

from ccn_bgp.gateway.draining import GRACEFUL_SHUTDOWN, Drain
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.alike import kin
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType

TOPOLOGY = (
    "name: alike"
    + FABRIC
    + """\
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16]}
  vb: {region: north, vni: 102, cidrs: [10.1.0.0/16]}
  vc: {region: north, vni: 103, cidrs: [10.1.0.0/16]}
  vd: {region: south, vni: 104, cidrs: [10.2.0.0/16]}
ccns:
  one: {id: 1, multipath: WIDE, vni: 201, attach: [vpc/va, vpc/vd]}
  two: {id: 2, vni: 202, attach: [vpc/vb]}
  three: {id: 3, vni: 203, attach: [vpc/vc]}
neighbors:
  - {name: far, gateway: a, address: 192.0.2.99, asn: 64999, role: gateway}
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
    together, apart = new_rib(intent), new_rib(intent)
    assert apart._rows.row_policy is not None
    apart._rows.row_policy.blind = lambda _: False  # type: ignore[method-assign]
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


def test_the_shortcut_is_taken(intent: Intent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred sets of one shape are judged by one of them."""
    judged = []
    one = RowJudge.verdict
    monkeypatch.setattr(RowJudge, "verdict", lambda *a: judged.append(a[2]) or one(*a))
    rib = new_rib(intent)
    for number in range(100):
        shape = _set(64602, "192.0.3.11", MACS[1], "", communities=())
        target = TARGETS[number % 3]
        attributes = replace(shape, extended_communities=(target, *shape.extended_communities))
        rd = RouteDistinguisher.of_router(Ip.parse("192.0.3.11"), number)
        prefix = Prefix.parse(f"10.9.{number}.0/24")
        nlri = EvpnPrefix(rd, bytes(10), 0, prefix, None, 201 + number % 3)
        rib.receive("b", [nlri], [], attributes)
    rib.settle()
    assert not judged
    assert sum(len(table.routes) for table in rib.tables.values()) == 103


def test_kin_is_all_but_the_targets() -> None:
    shape = _set(64602, "192.0.3.11", MACS[1], "")
    for target in (*TARGETS, b"\x01\x02abcdef", b"\x02\x02abcdef"):
        other = replace(shape, extended_communities=(*shape.extended_communities, target))
        assert kin(other) == kin(shape)
    for community in (LINK, b"\x03\x02abcdef", b"\x00\x03abcdef"):
        other = replace(shape, extended_communities=(*shape.extended_communities, community))
        assert kin(other) != kin(shape)
    for field, value in (
        ("origin", 2),
        ("as_path", ()),
        ("next_hop", Ip.parse("1.1.1.1")),
        ("med", 1),
        ("local_pref", 1),
        ("atomic_aggregate", True),
        ("aggregator", (Asn(1), Ip.parse("1.1.1.1"))),
        ("communities", (1,)),
        ("large_communities", ((1, 2, 3),)),
        ("originator_id", Ip.parse("1.1.1.1")),
        ("cluster_list", (Ip.parse("1.1.1.1"),)),
        ("only_to_customer", Asn(1)),
        ("unknown", ((0xC0, 99, b""),)),
        ("tag", 1),
        ("preference", 1),
    ):
        assert kin(replace(shape, **{field: value})) != kin(shape), field
