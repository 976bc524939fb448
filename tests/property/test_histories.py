"""However a gateway came to hold what it holds, it is as one that was told the end alone.

Sessions come and go, peers say and take back in columns and one by one, an operator drains, reloads
and asks for a refresh, numbers are given out anew. In the end tables, findings and what every peer
has made of what it was told are those of a gateway that heard the last words only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.networks import FABRIC

from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent, still_drained
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
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
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session.decode import Decoder, SessionParameters, Update, Verdict
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh
from ccn_bgp.session.events import Block, Event, OpenFacts, SessionDown, SessionUp

TOPOLOGY = (
    "name: histories"
    + FABRIC
    + """\
vpcs:
  va: {region: north, vni: 101, cidrs: [10.1.0.0/16],
       vms: [{ip: 10.1.0.9, mac: "02:00:00:00:00:09", host: 192.0.2.100}]}
  vb: {region: south, vni: 102, cidrs: [10.2.0.0/16]}
  vd: {region: north, vni: 103, cidrs: [10.3.0.0/16]}
  ve: {region: south, vni: 104, cidrs: [10.4.0.0/16]}
  vf: {region: north, vni: 105, cidrs: [10.5.0.0/16]}
  vg: {region: north, vni: 106, cidrs: [10.6.0.0/16]}
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
           import: [in], export: [all], max-prefixes: 3}
      r6: {gateway: a, port: eth2, vlan: 16, ccn: one, asn: 65101,
           address: "fd00:99::2/64", gateway-address: "fd00:99::1/64",
           import: [all], export: [all]}
  e:
    region: north
    cidrs: [172.17.0.0/16, "fd00:17::/32"]
    routers:
      r3: {gateway: a, port: eth3, ccn: two, asn: 65102,
           address: 169.254.3.2/30, gateway-address: 169.254.3.1/30,
           import: [all], export: [out]}
ccns:
  one: {id: 1, vni: 201, attach: [vpc/va, vpc/vb, idc/d]}
  two: {id: 2, vni: 202, attach: [vpc/vd, vpc/ve, idc/e]}
  three: {id: 3, vni: 203, attach: [vpc/vf]}
  four: {id: 4, vni: 204, import-rts: ["64600:4", "64600:1"], attach: [vpc/vg]}
shares:
  - {from: one, to: two, prefixes: [10.2.0.0/16, 172.16.0.0/17, "fd00:16::/33"]}
  - {from: one, to: three, prefixes: [10.2.5.0/24, 172.16.0.0/16, 10.9.0.0/16]}
  - {from: two, to: three, prefixes: [172.17.0.0/16, 10.4.0.0/16]}
  - {from: one, to: four, prefixes: [0.0.0.0/0, "::/0"]}
neighbors:
  - {name: rr, gateway: a, address: 127.8.0.4, asn: 64601, role: gateway}
policies: [policy.yaml]
"""
)
POLICY = """
prefix-sets:
  some: [{prefix: 172.16.0.0/17, ge: 18, le: 24}]
  long: [{prefix: 172.16.200.0/24}]
policies:
  in:
    - {name: some, match: {prefix-set: some}, set: {local-pref: 200}, then: accept}
    - {name: long, match: {prefix-set: long}, then: reject}
    - {name: rest, then: accept}
  out:
    - {name: some, match: {prefix-set: some}, then: reject}
    - {name: rest, set: {med: 7}, then: accept}
  all: [{name: all, then: accept}]
"""
OTHER = (
    ("to: two, prefixes: [10.2.0.0/16,", "to: two, prefixes: [10.9.0.0/16,"),
    ("max-prefixes: 3", "max-prefixes: 1"),
    ("ccn: two, asn: 65102", "ccn: three, asn: 65102"),
    ("attach: [vpc/vf]", "attach: [vpc/vf, idc/e]"),
    ("attach: [vpc/vd, vpc/ve, idc/e]", "attach: [vpc/vd, vpc/ve]"),
    ("import: [all], export: [out]}\nccns", "import: [in], export: [all]}\nccns"),
)  # fmt: skip
"""What the file says after an edit."""
MAC = Mac(b"\x02\xcc\xc0\x00\x03\x0b")
PREFIXES = [
    Prefix.parse(text)
    for text in (
        "10.2.0.0/16", "10.2.5.0/24", "10.1.0.0/16", "10.9.0.0/16", "172.16.1.0/24",
        "172.16.64.0/18", "172.16.200.0/24", "172.17.1.0/24", "127.0.0.0/8", "0.0.0.0/0",
        "fd00:16::/48", "fd00:16:8000::/48", "::/0", "10.4.7.0/24",
    )
]  # fmt: skip
PEERS = ("b", "c", "rr", "r1", "r2", "r3", "r6")
EVPN = ("b", "c", "rr")


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


class Listener:
    """What peers make of what they are told."""

    def __init__(self) -> None:
        self.sessions: dict[str, Decoder] = {}
        self.held: dict[str, dict[bytes, tuple[Nlri, PathAttributes | None]]] = {}

    def begin(self, session: PeerSession) -> None:
        peer = session.peer
        self.held[peer.name] = {}
        self.sessions[peer.name] = Decoder(
            SessionParameters(
                "us", peer.local_asn, peer.asn, asn4=True, families=families(session),
                enforce_first_as=False,
            )
        )  # fmt: skip

    def send_to(self, peers: Sequence[str], octets: bytes) -> None:
        for name in peers:
            held, left = self.held[name], octets
            while left:
                size = int.from_bytes(left[16:18], "big")
                for update in self.sessions[name].message(left[:size]):
                    if not isinstance(update, Update) or update.end_of_rib is not None:
                        continue
                    assert update.verdict is Verdict.OK, update.errors
                    for nlri in update.withdrawn:
                        assert held.pop(nlri.key, None), f"{name} never had {nlri}"
                    for nlri in update.announced:
                        held[nlri.key] = (nlri, update.attributes)
                left = left[size:]

    def backlog(self, peer: str) -> int:
        return 0

    def preserve(self, names: frozenset[str]) -> None:
        pass

    def teardown(self, peer: str, code: int, subcode: int) -> None:
        raise AssertionError(f"{peer} reset: {code}/{subcode}")


def families(session: PeerSession) -> frozenset[Family]:
    router = session.peer.router
    if router is None:
        return frozenset((Family.EVPN,))
    return frozenset((Family.IPV4_UNICAST, Family.IPV6_UNICAST))


class AlwaysDue(Compaction):
    def due(self, words: Vocabulary, judge: RowJudge) -> bool:
        return True


class Untimed(Sessions):
    def _sweep_later(self, session: PeerSession, seconds: int) -> None:
        """Time is a word of the history."""

    def take(self, event: Event) -> None:
        self.on_event(event)  # a fault of ours is a fault here


class Gateway:
    """One gateway whose peers are dictionaries."""

    def __init__(self, intent: Intent) -> None:
        self.listener = Listener()
        self.sessions = Untimed(
            intent, new_rib(intent), FilePath(), lambda: None, holding_back=False
        )
        self.sessions.speakers.running = dict.fromkeys(("gateways", "idcs"), self.listener)  # type: ignore
        self.sessions.speakers.serve = served  # type: ignore
        self.guard = Guard(intent, self.sessions.rib)

    @property
    def rib(self) -> Rib:
        return self.sessions.rib

    def up(self, name: str, router_id: str) -> None:
        session = self.sessions.peers[name]
        if session.up:
            self.sessions.take(SessionDown(name, "lost"))
        self.listener.begin(session)
        peer = session.peer
        facts = OpenFacts(
            asn=peer.asn,
            router_id=Ip.parse(router_id),
            hold_time=90,
            asn4=True,
            families=families(session),
            route_refresh=True,
            enhanced_refresh=name == "b",
            max_message=4096,
            restart_time=120,
            restarted=False,
            restart_families=families(session),
            forwarding=families(session),
        )
        self.sessions.take(SessionUp(name, facts))

    def say(self, name: str, nlris: Sequence[Nlri], attributes: PathAttributes | None) -> None:
        session = self.sessions.peers[name]
        if not session.up:
            return
        if attributes is None:
            octets = encode_updates([], nlris)
        else:
            external = session.peer.external
            path = (Segment(SegmentType.AS_SEQUENCE, (session.peer.asn, *attributes.asns)),)
            if session.peer.router is not None:
                attributes = replace(
                    attributes, next_hop=session.peer.address, extended_communities=()
                )
            attributes = replace(
                attributes,
                as_path=path if external else attributes.as_path,
                local_pref=None if external else attributes.local_pref or 100,
            )
            octets = encode_updates([(attributes, nlris)])
        self.sessions.take(Block(name, b"".join(octets)))

    def commit(self) -> tuple[Any, ...]:
        proved = self.guard.prove()
        assert not proved.standing
        self.sessions.tell_all()
        return proved.snapshot.digest, tuple(f.sort_key for f in proved.findings)

    def reload(self, intent: Intent) -> None:
        """As daemon.py does it."""
        intent = still_drained(intent, self.sessions.intent)
        rib = new_rib(intent)
        rib.adopt(self.rib)
        self.guard = Guard(intent, rib)
        before = {n: s for n, s in self.sessions.peers.items() if s.up}
        asyncio.run(self.sessions.adopt(intent, rib))
        for name, session in before.items():
            now = self.sessions.peers.get(name)
            if now is not session:
                self.listener.held[name] = {}
        self.commit()
        for session in self.sessions.peers.values():
            self.sessions.resend(session)

    def do(self, word: tuple[Any, ...], intents: Sequence[Intent]) -> None:
        match word:
            case "say", name, nlris, attributes:
                self.say(name, nlris, attributes)
            case "take back", name, nlris:
                self.say(name, nlris, None)
            case "down", name, reason:
                if self.sessions.peers[name].up:
                    self.sessions.take(SessionDown(name, reason))
                    self.listener.held.pop(name, None)
            case "up", name, router_id:
                self.up(name, router_id)
            case "end", name:
                session = self.sessions.peers[name]
                if session.up:
                    for family in session.families:
                        self.sessions.take(Block(name, end_of_rib(family)))
            case "time is up", name:
                self.sessions.sweep(name, 0)
            case "ask", name:
                session = self.sessions.peers[name]
                if session.up:
                    for family in session.families:
                        self.sessions.take(Block(name, route_refresh(family, 0)))
            case ("drain" | "undrain") as action, name:
                self.sessions.operate(name, action)
            case ("renumber",):
                self.rib._compaction = AlwaysDue()
            case "reload", number:
                self.reload(intents[number])
            case _:
                self.commit()


async def served(*_: Any, **__: Any) -> None:
    """There is no speaker to reconfigure."""


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


class Intents(list[Intent]):
    """What the file said, before and after an edit."""

    def __repr__(self) -> str:
        return "INTENTS"


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Intents:
    folder = tmp_path_factory.mktemp("histories")
    (folder / "policy.yaml").write_text(POLICY)
    found = []
    text = TOPOLOGY
    for number in range(2):
        file = folder / f"{number}.yaml"
        file.write_text(text)
        found.append(read_intent(file, "a"))
        for before, after in OTHER:
            assert before in text or number
            text = text.replace(before, after)
    return Intents(found)


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
