"""However a gateway came to hold what it holds, it is as one that was told the end alone.

Sessions come and go, peers say and take back in columns and one by one, an operator drains, reloads
and asks for a refresh, numbers are given out anew. In the end tables, findings and what every peer
has made of what it was told are those of a gateway that heard the last words only.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.histories import EVPN, PEERS, Gateway, Intents, read_intents

from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.reason import Refused

MAC = Mac(b"\x02\xcc\xc0\x00\x03\x0b")
PREFIXES = [
    Prefix.parse(text)
    for text in (
        "10.2.0.0/16", "10.2.5.0/24", "10.1.0.0/16", "10.9.0.0/16", "172.16.1.0/24",
        "172.16.64.0/18", "172.16.200.0/24", "172.17.1.0/24", "127.0.0.0/8", "0.0.0.0/0",
        "fd00:16::/48", "fd00:16:8000::/48", "::/0", "10.4.7.0/24",
    )
]  # fmt: skip


def targets(*ids: int) -> list[RouteTarget]:
    return [RouteTarget.parse(f"64600:{i}") for i in ids]


said = st.builds(
    lambda asns, med, local_pref, ids, hop, communities: PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),) if asns else (),
        med=med,
        local_pref=local_pref,
        next_hop=Ip.parse(hop),
        communities=communities,
        extended_communities=tunnel_communities(targets(*ids), MAC),
    ),
    st.lists(st.sampled_from([7, 8]), max_size=1),
    st.sampled_from([None, 0, 5]),
    st.sampled_from([None, 200]),
    st.sampled_from([(1,), (1,), (2,), (3,), (1, 2)]),
    st.sampled_from(["192.0.3.11", "192.0.3.12"]),
    st.sampled_from([(), (), (0xFFFF0000,)]),
)
rds = st.sampled_from([RouteDistinguisher.parse(r) for r in ("192.0.3.11:1", "9:9")])
type5 = st.builds(
    lambda rd, prefix, via, vni: EvpnPrefix(
        rd, bytes(10), 0, prefix, via if prefix.version == 4 else None, vni
    ),
    rds,
    st.sampled_from(PREFIXES),
    st.sampled_from([None, None, None, Ip.parse("10.2.0.10"), Ip.parse("10.1.0.9")]),
    st.sampled_from([201, 201, 202]),
)
type2 = st.builds(
    lambda rd, vni2: EvpnMacIp(rd, bytes(10), 0, MAC, Ip.parse("10.2.0.10"), 102, vni2),
    rds,
    st.sampled_from([201, 202]),
)
unicast = [
    st.sampled_from([p for p in PREFIXES if p.version == version]).map(Unicast)
    for version in (4, 6)
]


def nlris_of(peer: str) -> st.SearchStrategy[list[Nlri]]:
    one = st.one_of(type5, type5, type5, type2) if peer in EVPN else unicast[peer == "r6"]
    return st.lists(one, min_size=1, max_size=8)


def word_of(peer: str) -> st.SearchStrategy[tuple[Any, ...]]:
    name = st.just(peer)
    say = st.tuples(st.just("say"), name, nlris_of(peer), said)
    return st.one_of(
        *[say] * 8,
        st.tuples(st.just("take back"), name, nlris_of(peer)),
        st.tuples(st.just("down"), name, st.sampled_from(["lost", "NOTIFICATION received 6/4"])),
        st.tuples(st.just("up"), name, st.sampled_from(["5.5.5.5", "2.2.2.2"])),
        st.tuples(st.just("end"), name),
        st.tuples(st.just("time is up"), name),
        st.tuples(st.just("ask"), name),
        st.tuples(st.sampled_from(["drain", "undrain"]), name),
    )


words = st.one_of(
    *[word_of(peer) for peer in PEERS],
    st.sampled_from([("commit",), ("commit",), ("renumber",), ("reload", 0), ("reload", 1)]),
)


def judged_alike(rib: Rib) -> None:
    """Each path is where the definition puts it, or nowhere for the same reason."""
    for name, peer in rib.peers.items():
        for heard in rib.heard(name).values():
            judged = rib._judge.judge(peer, heard.path)
            if isinstance(heard.reason, Refused) and heard.reason.rule == "capacity":
                continue
            assert heard.reason == judged.reason
            assert heard.places == tuple(table.ccsi.name for table in judged.takers)


def told_the_end(gateway: Gateway, order: int) -> Gateway:
    """A gateway that hears what ``gateway`` holds, and nothing before."""
    fresh = Gateway(gateway.sessions.intent)
    names = sorted(PEERS)
    for name in names if order else names[::-1]:
        adj = gateway.rib.heard(name)
        fresh.rib.opened(name, gateway.rib.speaks[name].router_id)
        held = [adj[key].path for key in adj]
        held.sort(key=lambda path: path.nlri.key, reverse=bool(order))
        for path in held:
            fresh.rib.receive(name, [path.nlri], [], path.attributes)
    fresh.commit()
    for name in names:
        if gateway.sessions.peers[name].up:
            fresh.up(name, str(gateway.rib.speaks[name].router_id))
    return fresh


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Intents:
    return read_intents(tmp_path_factory.mktemp("histories"))


@settings(max_examples=100, deadline=None)
@given(script=st.lists(words, min_size=10, max_size=50))
def test_only_the_end_counts(intents: Intents, script: list[tuple]) -> None:
    gateway = Gateway(intents[0])
    for name in PEERS:
        gateway.up(name, "3.3.3.3")
    for word in script:
        gateway.do(word, intents)
    proved = gateway.commit()
    judged_alike(gateway.rib)
    for order in range(2):
        fresh = told_the_end(gateway, order)
        assert fresh.commit() == proved
        for name in PEERS:
            if gateway.sessions.peers[name].up:
                assert gateway.listener.held[name] == fresh.listener.held[name], name
        for name in PEERS:
            assert gateway.rib.accepted_count(name) == fresh.rib.accepted_count(name)
        assert dict(gateway.rib.exports.items()) == dict(fresh.rib.exports.items())
