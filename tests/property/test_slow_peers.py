"""A peer that takes what it is told in its own time knows in the end what one knows that took all
at once, and on the way no route of it ever becomes older.

Two gateways live through the same history. The peers of the one take everything at once, those of
the other so many pieces at a time, of two routes each: what is said, taken back and said again, a
drain, a reload or a refresh meets first words that are half told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from oracle.histories import (
    ENHANCED,
    INF,
    PEERS,
    Gateway,
    Intents,
    Listener,
    families,
    read_intents,
)

from ccn_bgp.learn import portions
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnPrefix,
    Nlri,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)

Value = tuple[Nlri, PathAttributes] | None
GSHUT = 0xFFFF0000
SPEAKERS = ("b", "r1", "r2", "r3", "r6")
SLOW = ("b", "c", "r1")
"""Who may take its time: two of one update group, and a router."""
TO = {"b": "evpn", "c": "evpn"}
"""Who is told the same, as long as none of them is drained."""
OF_EVPN = [Prefix.parse(f"10.2.{n}.0/24") for n in range(8)]
OF_R3 = [Prefix.parse(f"172.17.{n}.0/24") for n in range(8)]
OF_R1 = [Prefix.parse(f"172.16.{n}.0/24") for n in range(8)]
OF_R6 = [Prefix.parse(f"fd00:16:{n}::/48") for n in range(8)]


def attributes(med: int) -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(7),)),),
        med=med,
        next_hop=Ip.parse("192.0.3.11"),
        extended_communities=tunnel_communities(
            [RouteTarget.parse("64600:1")], Mac(b"\x02\xcc\xc0\x00\x03\x0b")
        ),
    )


def routes(peer: str, some: list[int]) -> list[Nlri]:
    if peer == "b":
        rd = RouteDistinguisher.parse("192.0.3.11:1")
        return [EvpnPrefix(rd, bytes(10), 0, OF_EVPN[n], None, 201) for n in some]
    of = {"r3": OF_R3, "r6": OF_R6}.get(peer, OF_R1)
    return [Unicast(of[n]) for n in some]


meds = st.integers(0, 3)
some_routes = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True)
speaks, anyone = st.sampled_from(SPEAKERS), st.sampled_from(SLOW)
say = st.builds(
    lambda peer, some, med: ("say", peer, routes(peer, some), attributes(med)),
    speaks, some_routes, meds,
)  # fmt: skip
take_back = st.builds(
    lambda peer, some: ("take back", peer, routes(peer, some)), speaks, some_routes
)
news = st.tuples(st.one_of(say, say, take_back), st.just(("commit",)))
takes = st.tuples(st.just("take"), anyone, st.sampled_from([1, 1, 2, 3]))


def slowly(*words: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    """One of the words, to a peer that takes so many pieces from then on."""
    return st.builds(
        lambda name, pieces, word: (("take", name, pieces), (word[0], name, *word[1:])),
        anyone, st.sampled_from([0, 1, 1, 2, 4]), st.sampled_from(words),
    )  # fmt: skip


words = st.one_of(
    *[news] * 5,
    *[st.tuples(takes)] * 5,
    *[slowly(("up", "3.3.3.3"))] * 2,
    *[slowly(("ask",), ("refresh",), ("drain",), ("undrain",))] * 2,
    st.tuples(st.tuples(st.just("clog"), anyone)),
    st.tuples(st.tuples(st.just("down"), anyone, st.just("lost"))),
    st.tuples(st.sampled_from([("reload", 0), ("reload", 1), ("renumber",)])),
)


class Unproved(Gateway):
    """Nothing is committed, which takes most of the time."""

    def commit(self) -> tuple[Any, ...]:
        self.rib.settle()
        self.sessions.tell_all()
        return ()


class Prompt(Listener):
    """Its peers take all at once. ``past``: all that a route has been, to those who are told the
    same."""

    def __init__(self) -> None:
        super().__init__()
        self.past: dict[tuple[str, bytes], list[Value]] = {}

    def heard(self, name: str, nlri: Nlri, attributes: PathAttributes | None) -> None:
        super().heard(name, nlri, attributes)
        past = self.past.setdefault((TO.get(name, name), nlri.key), [])
        if not past or past[-1] != undrained(nlri, attributes):
            past.append(undrained(nlri, attributes))


class Slow(Listener):
    """Its peers take what they want. ``at``: how much of a route's past each has left behind.
    ``first``: what was there when it came up, and how much of the past that has; it is to be known
    at End-of-RIB unless it has changed since. ``again``: what a peer that has asked is still to
    hear again."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt
        self.gateway: Gateway | None = None
        self.at: dict[str, dict[bytes, int]] = {}
        self.first: dict[str, dict[bytes, tuple[int, Any]]] = {}
        self.again: dict[str, set[bytes]] = {}

    def send_to(self, peers: Any, octets: bytes) -> None:
        assert self.gateway is not None
        for name in peers:
            ours = octets[18] == 5 and octets[21] == 0  # we ask, which is no answer
            if self.gateway.sessions.peers[name].telling is not None and not ours:
                assert self.takes.get(name, INF) > 0, f"{name} takes no more"
        super().send_to(peers, octets)

    def heard(self, name: str, nlri: Nlri, attributes: PathAttributes | None) -> None:
        super().heard(name, nlri, attributes)
        past = self.prompt.past.get((TO.get(name, name), nlri.key), [])
        at = self.at[name].get(nlri.key, 0)
        value = undrained(nlri, attributes)
        assert value in past[at:], f"{name}: {nlri} is what it was before, or never was"
        self.at[name][nlri.key] = past.index(value, at)
        self.again[name].discard(nlri.key)

    def ended(self, name: str, family: Family) -> None:
        super().ended(name, family)
        for key, (length, held) in self.first[name].items():
            if held[0].family is family and len(self.past_of(name, key)) == length:
                assert undrained(*self.held[name][key]) == undrained(*held)

    def past_of(self, name: str, key: bytes) -> list[Value]:
        return self.prompt.past[TO.get(name, name), key]


def undrained(nlri: Nlri, attributes: PathAttributes | None) -> Value:
    if attributes is None:
        return None
    communities = tuple(c for c in attributes.communities if c != GSHUT)
    return nlri, replace(attributes, communities=communities)


class Pair:
    """Both gateways, word by word; whose peers are prompt is first."""

    def __init__(self, intents: Intents) -> None:
        self.intents = intents
        self.prompt = Prompt()
        self.slow = Slow(self.prompt)
        self.gateways = Unproved(intents[0], self.prompt), Unproved(intents[0], self.slow)
        self.slow.gateway = self.gateways[1]

    def do(self, word: tuple[Any, ...]) -> None:
        match word:
            case "take" | "clog", *_:
                self.gateways[1].do(word, self.intents)
                return
            case "refresh", name:
                if self.gateways[0].sessions.peers[name].up:
                    self.asked(name)
                    for gateway in self.gateways:
                        gateway.sessions.operate(name, "refresh")
                return
            case "ask", name:
                if self.gateways[0].sessions.peers[name].up:
                    self.asked(name)
        first, second = self.gateways
        first.do(word, self.intents)
        if word[0] == "up":
            name = word[1]
            self.slow.at[name], self.slow.again[name] = {}, set()
            self.slow.first[name] = {
                key: (len(self.slow.past_of(name, key)), said)
                for key, said in self.prompt.held[name].items()
            }
        second.do(word, self.intents)

    def asked(self, name: str) -> None:
        telling = self.gateways[1].sessions.peers[name].telling
        event("asked in the midst" if telling is not None else "asked")
        self.slow.again[name] |= self.slow.held[name].keys()


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Intents:
    return read_intents(tmp_path_factory.mktemp("slow"))


histories = given(
    before=st.lists(news, min_size=3, max_size=8),
    script=st.lists(words, min_size=10, max_size=40),
)


@settings(max_examples=100, deadline=None)
@histories
def test_who_takes_its_time_is_told_all(
    intents: Intents, before: list[tuple], script: list[tuple]
) -> None:
    live(Pair(intents), [*before, *script])


@pytest.mark.long
@settings(max_examples=3000, deadline=None)
@histories
def test_who_takes_its_time_is_told_all_whatever_happens(
    intents: Intents, before: list[tuple], script: list[tuple]
) -> None:
    live(Pair(intents), [*before, *script])


def live(pair: Pair, history: list[tuple]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "PORTION", 2)
        for name in PEERS:
            pair.do(("up", name, "3.3.3.3"))
        for some in history:
            for word in some:
                pair.do(word)
        told_all(pair)


def told_all(pair: Pair) -> None:
    prompt, slow = pair.gateways
    telling = sum(s.telling is not None for s in slow.sessions.peers.values())
    event(f"{telling} in the midst at the end")
    for name in PEERS:
        slow.take(name, INF)
    for gateway in pair.gateways:
        gateway.commit()
    for name in PEERS:
        session, other = (g.sessions.peers[name] for g in (slow, prompt))
        assert session.up is other.up
        if not session.up:
            continue
        assert session.telling is None and session.owed == b"" and not session.asked
        assert pair.slow.held[name] == pair.prompt.held[name], name
        assert dict(session.out.told) == pair.slow.held[name]
        assert session.told_count == len(pair.slow.held[name])
        assert frozenset(pair.slow.ends[name]) == families(session)
        left = pair.slow.again[name] & pair.slow.held[name].keys()
        assert not left, f"{name} asked and did not hear again: {left}"
        if pair.prompt.refreshed[name]:
            assert name in ENHANCED and pair.slow.refreshed[name]
    groups = {id(s.out) for s in slow.sessions.peers.values() if s.up}
    assert len(groups) == len({id(s.out) for s in prompt.sessions.peers.values() if s.up})
