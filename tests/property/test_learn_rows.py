"""What is decided in columns is what the definition says, path by path.

The oracle holds every Path that was said, judges each by itself, places it, and decides each prefix
by bestpath.py and resolve.py alone: no columns, no state from one settle to the next.
"""

from __future__ import annotations

import struct
from pathlib import Path as FilePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.networks import FABRIC

from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn import keys as keyed
from ccn_bgp.learn.bestpath import equals, spread
from ccn_bgp.learn.candidate import Candidate, Source
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.originate import declared_prefixes, tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Origin,
    Path,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.table.tables import Contender, Table

TOPOLOGY = (
    "name: rows"
    + FABRIC
    + """\
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16],
       vms: [{ip: 10.1.0.9, mac: "02:00:00:00:00:09", host: 192.0.2.100}]}
  vb: {region: south, vni: 102, cidrs: [10.2.0.0/16]}
  vd: {region: north, vni: 103, cidrs: [10.1.0.0/16]}
  ve: {region: south, vni: 104, cidrs: [10.2.0.0/16]}
idcs:
  d:
    region: north
    cidrs: [172.16.0.0/16, "fd00:16::/32"]
    routers:
      r1: {gateway: a, port: eth2, vlan: 11, ccn: one, asn: 65101,
           address: 169.254.1.2/30, gateway-address: 169.254.1.1/30,
           import: [in], export: [out]}
      r2: {gateway: a, port: eth2, vlan: 12, ccn: one, asn: 65101,
           address: 169.254.2.2/30, gateway-address: 169.254.2.1/30,
           import: [in], export: [out], max-prefixes: 3}
ccns:
  one: {id: 1, multipath: WIDE, vni: 201, attach: [vpc/va, vpc/vb, idc/d]}
  two: {id: 2, vni: 202, attach: [vpc/vd, vpc/ve]}
shares:
  - {from: two, to: one, prefixes: [10.9.0.0/16], export: [shown], import: [taken]}
  - {from: two, to: one, prefixes: [10.9.5.0/24, "fd00:16::/32"]}
policies: [policy.yaml]
"""
)
POLICY = """
prefix-sets:
  some: [{prefix: 172.16.0.0/17, ge: 18, le: 24}]
policies:
  in:
    - {name: some, match: {prefix-set: some}, set: {local-pref: 200}, then: accept}
    - {name: long, match: {prefix-set: long}, then: reject}
    - {name: rest, then: accept}
  out: [{name: all, then: accept}]
  shown: [{name: not-these, match: {prefix-set: deep}, then: reject}]
  taken: [{name: all, set: {local-pref: 150}, then: accept}]
prefix-sets-more: {}
"""
LINKS = [b"\x40\x04\xfc\x68" + struct.pack(">f", octets) for octets in (1e9, 3e9)]
links = st.sampled_from([(), (LINKS[0],), (LINKS[0],), (LINKS[1],)])
MAC = Mac(b"\x02\xcc\xc0\x00\x03\x0b")
TARGETS = [RouteTarget.parse(f"64600:{n}") for n in (1, 2, 3)]
PREFIXES = [
    Prefix.parse(text)
    for text in (
        "10.2.0.0/16", "10.2.5.0/24", "10.1.0.0/16", "10.9.0.0/16", "10.9.5.0/24", "10.9.6.0/24",
        "172.16.1.0/24",
        "172.16.64.0/18", "172.16.200.0/24", "127.0.0.0/8", "0.0.0.0/0", "fd00:16::/48", "::/0",
        "fd00:16:0:5::/64",
    )
]  # fmt: skip

attribute_sets = st.builds(
    lambda asns, origin, med, local_pref, targets, hop, originator, clusters, link: PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),) if asns else (),
        origin=origin,
        med=med,
        local_pref=local_pref,
        next_hop=Ip.parse(hop),
        originator_id=Ip.parse(originator) if originator else None,
        cluster_list=(Ip.parse("9.9.9.9"),) * clusters,
        extended_communities=(*tunnel_communities(targets, MAC), *link),
    ),
    st.lists(st.sampled_from([64602, 65101, 7, 64601]), max_size=2),
    st.sampled_from([Origin.IGP, Origin.INCOMPLETE]),
    st.sampled_from([None, 0, 5]),
    st.sampled_from([None, None, 100, 200]),
    st.sampled_from([[TARGETS[0]], [TARGETS[1]], [TARGETS[2]], TARGETS[:2]]),
    st.sampled_from(["192.0.3.11", "192.0.3.12", "169.254.1.2", "169.254.2.2"]),
    st.sampled_from([None, None, "1.1.1.1", "3.3.3.3", "192.0.2.11"]),
    st.integers(0, 1),
    links,
)
evpn_routes = st.one_of(
    st.builds(
        lambda rd, prefix, via, vni: EvpnPrefix(rd, bytes(10), 0, prefix, via, vni),
        st.sampled_from([RouteDistinguisher.parse(r) for r in ("192.0.3.11:1", "9:9", "8:8")]),
        st.sampled_from(PREFIXES),
        st.sampled_from([None, None, None, Ip.parse("10.2.0.10"), Ip.parse("10.1.0.9")]),
        st.sampled_from([201, 202, 777]),
    ),
    st.just(
        EvpnMacIp(
            RouteDistinguisher.parse("9:9"), bytes(10), 0, MAC, Ip.parse("10.2.0.10"), 102, 201
        )
    ),
)
routes = {
    "b": evpn_routes,
    "c": evpn_routes,
    "r1": st.builds(Unicast, st.sampled_from(PREFIXES)),
    "r2": st.builds(Unicast, st.sampled_from(PREFIXES)),
}
words = st.sampled_from(sorted(routes)).flatmap(
    lambda peer: st.one_of(
        st.tuples(st.just("say"), st.just(peer), routes[peer], attribute_sets),
        st.tuples(st.just("say"), st.just(peer), routes[peer], attribute_sets),
        st.tuples(st.just("unsay"), st.just(peer), routes[peer]),
        st.tuples(st.just("down"), st.just(peer), st.booleans()),
        st.tuples(st.just("sweep"), st.just(peer)),
        st.tuples(st.just("open"), st.just(peer), st.sampled_from(["5.5.5.5", "2.2.2.2"])),
        st.tuples(st.just("settle")),
        st.tuples(st.just("compact")),
    )
)


@pytest.fixture(scope="module", params=[1, 2, 3])
def intent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Intent:
    folder = tmp_path_factory.mktemp("rows")
    policy = POLICY.replace("prefix-sets-more: {}\n", "").replace(
        "policies:\n",
        "  long: [{prefix: 172.16.200.0/24}]\n  deep: [{prefix: 10.9.0.0/16, ge: 17, le: 24}]\n"
        "policies:\n",
        1,
    )
    (folder / "policy.yaml").write_text(policy)
    file = folder / "rows.yaml"
    file.write_text(TOPOLOGY.replace("WIDE", str(request.param)))
    return read_intent(FilePath(file), "a")


class AlwaysDue(Compaction):
    def due(self, words: Vocabulary, judge: RowJudge) -> bool:
        return True


Said = dict[tuple[str, bytes], tuple[Path, bool]]


def expected(rib: Rib, said: Said) -> dict[str, dict[Prefix, tuple]]:
    """For each table its routes: (origin, next hop, path), by the definitions alone."""
    held: dict[str, dict[Prefix, list[Candidate]]] = {name: {} for name in rib.tables}
    for name, table in rib.tables.items():
        for candidate in declared_prefixes(rib.gateway, table.ccsi):
            held[name].setdefault(candidate.path.nlri.prefix, []).append(candidate)
    for peer_name, peer in rib.peers.items():
        accepted = []
        for (said_by, key), (path, _) in said.items():
            if said_by != peer_name or isinstance(path.nlri, EvpnMacIp):
                continue
            judged = rib._judge.judge(peer, path)
            if judged.attributes is not None:
                each = judged.each or (judged.attributes,) * len(judged.takers)
                made = [path._replace(attributes=attributes) for attributes in each]
                accepted.append((key, made, judged.takers))
        limit = peer.router.max_prefixes if peer.router is not None else None
        if limit is not None:
            accepted.sort(key=lambda a: (len(a[0]), a[0][-1], a[0]))
            accepted = accepted[:limit]
        for key, each, takers in accepted:
            for path, table in zip(each, takers, strict=True):
                idc = peer.role == "idc"
                candidate = Candidate(
                    path,
                    key,
                    Source.IDC if idc else Source.REMOTE,
                    rib.speaks[peer_name],
                    table.ccsi.name if idc else rib.origins.of(path),
                )
                held[table.ccsi.name].setdefault(path.nlri.prefix, []).append(candidate)
    found: dict[str, dict[Prefix, tuple]] = {}
    for name, prefixes in held.items():
        table, chosen = rib.tables[name], {}
        for prefix, candidates in prefixes.items():
            usable = [c for c in candidates if isinstance(table.answer(c), NextHop)]
            if usable:
                share = equals(usable, table.ccsi.multipath, table.answer)
                offers = [(table.answer(c), c.path.attributes.link_bandwidth) for c in share]
                chosen[prefix] = (share[0].origin, spread(offers), share[0].path)
        found[name] = chosen
    return found


rivals = st.builds(
    lambda asn, med, originator, hop, link: PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(asn),)),),
        med=med,
        next_hop=Ip.parse(hop),
        originator_id=Ip.parse(originator) if originator else None,
        extended_communities=(*tunnel_communities([TARGETS[0]], MAC), *link),
    ),
    st.sampled_from([7, 8]),
    st.sampled_from([None, 0, 5, 6]),
    st.sampled_from([None, "1.1.1.1"]),
    st.sampled_from(["192.0.3.11", "192.0.3.11", "192.0.3.12", "192.0.3.13", "2001:db8::1"]),
    links,
)
rival_words = st.tuples(
    st.just("say"),
    st.sampled_from(["b", "c"]),
    st.builds(
        lambda rd, prefix: EvpnPrefix(rd, bytes(10), 0, prefix, None, 201),
        st.sampled_from([RouteDistinguisher.parse(r) for r in ("9:9", "8:8", "7.7.7.7:1")]),
        st.sampled_from(PREFIXES[3:4] * 3 + PREFIXES[11:12]),
    ),
    rivals,
)


bodies = st.builds(
    lambda targets, med: PathAttributes(
        med=med,
        next_hop=Ip.parse("192.0.3.11"),
        extended_communities=tunnel_communities(targets, MAC),
    ),
    st.sampled_from([[TARGETS[1]], [TARGETS[1]], TARGETS[:2]]),
    st.sampled_from([None, 5]),
)
shared = [p for p in PREFIXES if str(p)[:5] in ("10.9.", "fd00:")]
parts = st.sampled_from([1, 2, 5, keyed.AT_ONCE])
batches = st.dictionaries(st.sampled_from(shared), bodies, min_size=2)


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(st.tuples(st.sampled_from("bc"), batches, st.booleans()), min_size=1),
    at_once=parts,
)
def test_columns_share_as_the_definition_does(
    intent: Intent, script: list[tuple], at_once: int
) -> None:
    """Many prefixes at once, of few bodies: what the policies of a share tell apart."""
    words: list[tuple] = []
    for peer, said, compact in script:
        for prefix, attributes in said.items():
            rd = RouteDistinguisher.parse("9:9")
            nlri = EvpnPrefix(rd, bytes(10), 0, prefix, None, 202)
            words.append(("say", peer, nlri, attributes))
        words.append(("compact",) if compact else ("settle",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed, "FEW", min(at_once, 3))
        patch.setattr(keyed, "AT_ONCE", at_once)
        play(intent, words)


@settings(max_examples=150, deadline=None)
@given(script=st.lists(words, max_size=40), few=st.sampled_from([0, 1, 1024]), at_once=parts)
def test_columns_say_what_the_definition_says(
    intent: Intent, script: list[tuple], few: int, at_once: int
) -> None:
    """Also where few rows are taken for many, and worked on in parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed, "FEW", few)
        patch.setattr(keyed, "AT_ONCE", at_once)
        play(intent, script)


@settings(max_examples=150, deadline=None)
@given(script=st.lists(rival_words, min_size=3, max_size=9))
def test_rivals_of_one_prefix_are_ranked_as_the_definition_ranks_them(
    intent: Intent, script: list[tuple]
) -> None:
    play(intent, script)


def play(intent: Intent, script: list[tuple]) -> None:
    """Say it all, and ask after every settle. Equal attributes are one object, as the decoder has
    it: what is told apart of them then is told apart by prefix."""
    interned: dict[PathAttributes, PathAttributes] = {}
    rib = new_rib(intent)
    guard = Guard(intent, rib)
    said: Said = {}
    built: dict[str, tuple[bytes, int]] = {}
    for word in [*script, ("settle",)]:
        match word:
            case "say", peer, nlri, attributes:
                attributes = interned.setdefault(attributes, attributes)
                rib.receive(peer, [nlri], [], attributes)
                said[peer, nlri.key] = Path(peer, nlri, attributes), False
            case "unsay", peer, nlri:
                rib.receive(peer, [], [nlri], None)
                said.pop((peer, nlri.key), None)
            case "down", peer, keep:
                rib.session_down(peer, keep=keep)
                mine = [k for k in said if k[0] == peer]
                for key in mine:
                    if keep:
                        said[key] = said[key][0], True
                    else:
                        del said[key]
            case "sweep", peer:
                gone = [k for k, (_, stale) in said.items() if k[0] == peer and stale]
                assert rib.sweep(peer, None) == len(gone)
                for key in gone:
                    del said[key]
            case "open", peer, router_id:
                rib.opened(peer, Ip.parse(router_id))
            case ("compact",):
                rib._compaction = AlwaysDue()
            case _:
                rib.settle()
                check(rib, guard, said, built)


def check(rib: Rib, guard: Guard, said: Said, built: dict[str, tuple[bytes, int]]) -> None:
    """``built``: digest and count of decisions of each table at the last check."""
    for peer in rib.peers:
        heard = {k: (h.path, h.stale) for k, h in rib.heard(peer).items()}
        assert heard == {key: what for (by, key), what in said.items() if by == peer}
    wanted = expected(rib, said)
    for name, table in rib.tables.items():
        got = {p: (r.origin, r.next_hop, r.path) for p, r in table.routes.items()}
        assert got == wanted[name]
        assert len(table.routes) == len(got)
        lost = (Contender(p, o, w) for p, others in table.contenders.items() for o, w in others)
        one_by_one = Table.build(name, table.ccsi.id, table.ccsi.ccn, table.routes.values(), lost)
        digest = guard._build([name])[name].digest
        assert digest == one_by_one.digest
        before = built.get(name)
        if before is not None and before[0] != digest:  # who builds and proves tables is told
            assert name in rib.changed
            assert table.decided > before[1]
        built[name] = digest, table.decided
    rib.changed.clear()
