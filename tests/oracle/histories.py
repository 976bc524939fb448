"""One gateway with seven peers that are dictionaries, and what happens to it, word by word.

In: what an Intent says, words of a history. Out: the tables, and what every peer has made of the
octets that it was sent. A peer may take them in its own time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from oracle.networks import FABRIC

from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent, still_drained
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.pacing import AHEAD, BEHIND
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn.compaction import Compaction
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.row_judging import RowJudge
from ccn_bgp.model.bgp import Family, Ip
from ccn_bgp.model.path import Nlri, PathAttributes, Segment, SegmentType
from ccn_bgp.model.rows import Vocabulary
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Update, Verdict
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh
from ccn_bgp.session.events import Block, Event, OpenFacts, Room, SessionDown, SessionUp

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
PEERS = ("b", "c", "rr", "r1", "r2", "r3", "r6")
EVPN = ("b", "c", "rr")
ENHANCED = ("b", "r1")
"""Who knows enhanced refresh."""
INF = float("inf")


class Listener:
    """What peers make of what they are told. ``takes``: so many pieces more each takes now."""

    def __init__(self) -> None:
        self.sessions: dict[str, Decoder] = {}
        self.takes: dict[str, float] = {}
        self.clogged: set[str] = set()
        self.waited_for: set[str] = set()
        self.held: dict[str, dict[bytes, tuple[Nlri, PathAttributes | None]]] = {}
        self.ends: dict[str, list[Family]] = {}
        self.refreshed: dict[str, list[Family]] = {}
        self._anew: dict[str, tuple[Family, set[bytes]]] = {}

    def begin(self, session: PeerSession) -> None:
        peer = session.peer
        self.held[peer.name] = {}
        self.ends[peer.name], self.refreshed[peer.name] = [], []
        self._anew.pop(peer.name, None)
        self.waited_for.discard(peer.name)
        self.clogged.discard(peer.name)
        self.sessions[peer.name] = Decoder(
            SessionParameters(
                "us", peer.local_asn, peer.asn, asn4=True, families=families(session),
                enforce_first_as=False,
            )
        )  # fmt: skip

    def send_to(self, peers: Sequence[str], octets: bytes) -> None:
        for name in peers:
            self.takes[name] = self.takes.get(name, INF) - 1
            left = octets
            while left:
                size = int.from_bytes(left[16:18], "big")
                for update in self.sessions[name].message(left[:size]):
                    if not isinstance(update, Update):
                        self.frame(name, update)
                    elif update.end_of_rib is not None:
                        self.ended(name, update.end_of_rib)
                    else:
                        assert update.verdict is Verdict.OK, update.errors
                        for nlri in update.withdrawn:
                            self.heard(name, nlri, None)
                        for nlri in update.announced:
                            self.heard(name, nlri, update.attributes)
                left = left[size:]

    def heard(self, name: str, nlri: Nlri, attributes: PathAttributes | None) -> None:
        """One route, announced or withdrawn."""
        held = self.held[name]
        if attributes is None:
            assert held.pop(nlri.key, None), f"{name} never had {nlri}"
        else:
            held[nlri.key] = nlri, attributes
        if name in self._anew:
            self._anew[name][1].discard(nlri.key)

    def ended(self, name: str, family: Family) -> None:
        """End-of-RIB: once."""
        assert family not in self.ends[name], f"{name}: a second End-of-RIB of {family.text}"
        assert name not in self._anew
        self.ends[name].append(family)

    def frame(self, name: str, frame: RouteRefresh) -> None:
        """What is not said between BoRR and EoRR is gone (RFC 7313 §4)."""
        if frame.subtype == 1:
            assert name not in self._anew
            stale = {k for k, (n, _) in self.held[name].items() if n.family is frame.family}
            self._anew[name] = frame.family, stale
        elif frame.subtype == 2:
            family, stale = self._anew.pop(name)
            assert family is frame.family
            for key in stale:
                del self.held[name][key]
            self.refreshed[name].append(family)

    def hears(self, peer: str) -> bool:
        return True

    def backlog(self, peer: str) -> int:
        if peer in self.clogged:
            return BEHIND + 1
        return 0 if self.takes.get(peer, INF) > 0 else AHEAD

    def ask_room(self, peer: str, octets: int) -> None:
        assert self.backlog(peer) >= octets
        self.waited_for.add(peer)

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

    def __init__(self, intent: Intent, listener: Listener | None = None) -> None:
        self.listener = listener or Listener()
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
            enhanced_refresh=name in ENHANCED,
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

    def take(self, name: str, pieces: float) -> None:
        """The peer takes so many pieces from now on, and has taken what waited for it."""
        listener = self.listener
        listener.takes[name] = pieces
        listener.clogged.discard(name)
        if pieces and name in listener.waited_for:
            listener.waited_for.discard(name)
            self.sessions.take(Room(name))

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
            case "take", name, pieces:
                self.take(name, pieces)
            case "clog", name:
                if self.sessions.peers[name].up:
                    self.take(name, 0)
                    self.listener.clogged.add(name)
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


class Intents(list[Intent]):
    """What the file said, before and after an edit."""

    def __repr__(self) -> str:
        return "INTENTS"


def read_intents(folder: FilePath) -> Intents:
    """Both, from files in this folder."""
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
