"""Drained peers (RFC 8326): what is heard from them is preferred least, what they are told carries
GRACEFUL_SHUTDOWN, and nothing is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path as FilePath
from types import SimpleNamespace

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.commit import Committer
from ccn_bgp.gateway.daemon import Daemon
from ccn_bgp.gateway.draining import GRACEFUL_SHUTDOWN, Drain, carried
from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent, renewed, still_drained
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.link import NoForwarder
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.gateway.views import neighbors
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import export_targets, peers, site_of_origin
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.session.decode import Decoder, SessionParameters, Update
from ccn_bgp.session.encode import encode_updates
from ccn_bgp.session.events import Block, OpenFacts, SessionDown, SessionUp

TOPOLOGIES = FilePath(__file__).parents[2] / "topologies"
OWN = "172.16.5.0/24"
V4 = Family.IPV4_UNICAST


class Speaker:
    """Keeps what peers are told; nothing is connected to it."""

    def __init__(self) -> None:
        self.sent: dict[str, bytes] = {}

    def send_to(self, peers: list[str], messages: bytes) -> None:
        for peer in peers:
            self.sent[peer] = self.sent.get(peer, b"") + messages

    def preserve(self, names: frozenset[str]) -> None:
        pass

    def hears(self, peer: str) -> bool:
        return True

    def backlog(self, peer: str) -> int:
        return len(self.sent.get(peer, b""))

    def heard(self, peer: str, *families: Family) -> list[Update]:
        """What ``peer`` would make of it; forgotten afterwards."""
        octets, found = self.sent.pop(peer, b""), []
        decoder = Decoder(
            SessionParameters(
                "p",
                Asn(64601),
                Asn(65101),
                asn4=True,
                families=frozenset(families),
                enforce_first_as=False,
            )
        )
        while octets:
            length = int.from_bytes(octets[16:18], "big")
            found += decoder.message(octets[:length])
            octets = octets[length:]
        return [u for u in found if isinstance(u, Update) and u.end_of_rib is None]


def gateway(intent: Intent, tmp_path: FilePath) -> Sessions:
    made = Sessions(intent, new_rib(intent), tmp_path, lambda: None, holding_back=False)
    made.speakers.running = {n: Speaker() for n in ("gateways", "idcs")}  # type: ignore[misc]
    return made


@pytest.fixture
def sessions(tmp_path: FilePath) -> Sessions:
    return gateway(read_intent(TOPOLOGIES / "two-regions.yaml", "bj-gw1"), tmp_path)


def up(sessions: Sessions, name: str, *families: Family) -> None:
    facts = OpenFacts(
        asn=sessions.peers[name].peer.asn,
        router_id=Ip.parse("10.9.9.9"),
        hold_time=90,
        asn4=True,
        families=frozenset(families),
        route_refresh=True,
        enhanced_refresh=False,
        max_message=4096,
        restart_time=None,
        restarted=False,
        restart_families=frozenset(),
        forwarding=frozenset(),
    )
    sessions.take(SessionUp(name, facts))


def say(sessions: Sessions, name: str, prefix: str, *communities: int) -> None:
    peer = sessions.peers[name].peer
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (peer.asn,)),),
        next_hop=peer.address,
        communities=communities,
    )
    nlri = (Unicast(Prefix.parse(prefix)),)
    octets = b"".join(encode_updates([(attributes, nlri)], [], asn4=True, max_length=4096))
    sessions.take(Block(name, octets))


def commit(sessions: Sessions) -> None:
    assert not Guard(sessions.intent, sessions.rib).prove().standing
    sessions.tell_all()


def router_of(sessions: Sessions) -> str:
    return next(n for n, s in sorted(sessions.peers.items()) if s.peer.role == "idc")


def other_gateway(sessions: Sessions) -> str:
    return next(n for n, s in sorted(sessions.peers.items()) if s.peer.role == "gateway")


def told(sessions: Sessions, name: str) -> dict[str, PathAttributes]:
    peer = sessions.peers[name].peer
    family = V4 if peer.role == "idc" else Family.EVPN
    speaker = sessions.speakers.running["idcs" if peer.role == "idc" else "gateways"]
    found: dict[str, PathAttributes] = {}
    for update in speaker.heard(name, family):  # type: ignore[attr-defined]
        for nlri in update.withdrawn:
            found.pop(str(nlri.prefix), None)
        found |= {
            str(n.prefix): update.attributes for n in update.announced if hasattr(n, "prefix")
        }
    return found


def chosen(sessions: Sessions, prefix: str) -> PathAttributes:
    router = sessions.peers[router_of(sessions)].peer.router
    table = sessions.rib.tables[f"bj-gw1/{router.ccn}"]
    return table.routes[Prefix.parse(prefix)].path.attributes


def test_a_drained_router_is_asked_to_go_elsewhere_and_keeps_its_routes(sessions: Sessions) -> None:
    router, other = router_of(sessions), other_gateway(sessions)
    up(sessions, router, V4)
    up(sessions, other, Family.EVPN)
    say(sessions, router, OWN)
    commit(sessions)
    before = told(sessions, router)
    assert before and GRACEFUL_SHUTDOWN not in {c for a in before.values() for c in a.communities}
    assert told(sessions, other)[OWN].communities == ()

    assert sessions.operate(router, "drain") == {"neighbor": router, "action": "drain"}
    commit(sessions)
    after = told(sessions, router)
    assert after.keys() == before.keys()
    assert all(a.communities[-1] == GRACEFUL_SHUTDOWN for a in after.values())
    assert chosen(sessions, OWN).local_pref == 0
    # An eBGP session carries no local preference: the community says it to the other gateways.
    assert GRACEFUL_SHUTDOWN in told(sessions, other)[OWN].communities

    sessions.operate(router, "drain")  # once more is nothing
    commit(sessions)
    assert not told(sessions, router) and not told(sessions, other)

    sessions.operate(router, "undrain")
    commit(sessions)
    assert told(sessions, router) == before
    assert chosen(sessions, OWN).local_pref != 0
    assert told(sessions, other)[OWN].communities == ()


def test_traffic_goes_to_the_other_gateway_of_the_data_centre(tmp_path: FilePath) -> None:
    """tongzhou is reached over a router here and over dh-gw2: its own router wins until drained."""
    sessions = gateway(read_intent(TOPOLOGIES / "dual-homed.yaml", "dh-gw1"), tmp_path)
    up(sessions, "tz-r1", V4)
    up(sessions, "dh-gw2", Family.EVPN)
    say(sessions, "tz-r1", OWN)
    other = sessions.intent.topology.gateways["dh-gw2"]
    (ccn,) = sessions.intent.topology.ccns.values()
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (other.asn, Asn(65141))),),
        next_hop=other.vtep,
        extended_communities=(
            *tunnel_communities(export_targets(sessions.intent.topology, ccn), other.mac),
            site_of_origin(sessions.intent.topology, "tongzhou"),
        ),
    )
    rd = RouteDistinguisher.of_router(other.router_id, ccn.id)
    nlri = EvpnPrefix(rd, bytes(10), 0, Prefix.parse(OWN), None, ccn.vni)
    octets = encode_updates([(attributes, (nlri,))], [], asn4=True, max_length=4096)
    sessions.take(Block("dh-gw2", b"".join(octets)))
    table = sessions.rib.tables[f"dh-gw1/{ccn.name}"]

    def chosen_from() -> str:
        commit(sessions)
        return table.routes[Prefix.parse(OWN)].path.peer

    assert chosen_from() == "tz-r1" and OWN in told(sessions, "dh-gw2")
    sessions.operate("tz-r1", "drain")
    assert chosen_from() == "dh-gw2"
    # What came from a gateway is not announced to one: ours is taken back.
    withdrawn = sessions.speakers.running["gateways"].heard("dh-gw2", Family.EVPN)  # type: ignore[attr-defined]
    assert [str(n.prefix) for u in withdrawn for n in u.withdrawn] == [OWN]
    sessions.operate("tz-r1", "undrain")
    assert chosen_from() == "tz-r1"


def test_what_comes_later_is_drained_too_and_the_session_may_end(sessions: Sessions) -> None:
    router = router_of(sessions)
    sessions.operate(router, "drain")  # also while it is down
    up(sessions, router, V4)
    say(sessions, router, OWN)
    commit(sessions)
    assert chosen(sessions, OWN).local_pref == 0
    assert all(GRACEFUL_SHUTDOWN in a.communities for a in told(sessions, router).values())
    sessions.take(SessionDown(router, "notification received (6,2)"))
    up(sessions, router, V4)
    commit(sessions)
    assert all(GRACEFUL_SHUTDOWN in a.communities for a in told(sessions, router).values())


def test_a_peer_that_says_graceful_shutdown_is_believed(sessions: Sessions) -> None:
    router = router_of(sessions)
    up(sessions, router, V4)
    say(sessions, router, OWN, 64601 << 16 | 7, GRACEFUL_SHUTDOWN)
    say(sessions, router, "172.16.6.0/24", 64601 << 16 | 7)
    commit(sessions)
    assert chosen(sessions, OWN).local_pref == 0
    assert chosen(sessions, "172.16.6.0/24").local_pref != 0
    say(sessions, router, OWN)
    commit(sessions)
    assert chosen(sessions, OWN).local_pref != 0


def test_an_internal_peer_has_its_own_local_preference(sessions: Sessions) -> None:
    """RFC 8326 §4 is about external sessions: within an AS the border has set it already."""
    peer = sessions.peers[other_gateway(sessions)].peer
    attributes = PathAttributes(local_pref=70, communities=(GRACEFUL_SHUTDOWN,))
    internal = replace(peer, asn=peer.local_asn)
    assert Drain().heard(internal, attributes) is attributes
    assert Drain().heard(peer, attributes).local_pref == 0
    drained = Drain(frozenset((peer.name,)))
    assert drained.told(internal, attributes).local_pref == 0
    assert drained.told(internal, attributes).communities == (GRACEFUL_SHUTDOWN,)


def test_equal_attributes_stay_one_object(sessions: Sessions) -> None:
    peer = sessions.peers[router_of(sessions)].peer
    drain, attributes = Drain(frozenset((peer.name,))), PathAttributes()
    assert drain.told(peer, attributes) is drain.told(peer, attributes)
    assert drain.heard(peer, attributes) is drain.heard(peer, attributes)


def test_it_is_shown_and_explained(sessions: Sessions) -> None:
    router = router_of(sessions)
    up(sessions, router, V4)
    say(sessions, router, OWN)
    sessions.operate(router, "drain")
    proved = Guard(sessions.intent, sessions.rib).prove()
    running = SimpleNamespace(
        name="bj-gw1",
        intent=sessions.intent,
        rib=sessions.rib,
        sessions=sessions,
        proved=proved,
        lookup=lambda *_: None,
    )
    (row,) = neighbors(running, {"neighbor": router})["neighbors"]  # type: ignore[arg-type]
    assert row["drained"] is True
    ccn = sessions.peers[router].peer.router.ccn
    (path,) = explain(running, OWN, ccn)["paths"]  # type: ignore[arg-type]
    assert path["result"] == "chosen" and path["attributes"]["local-pref"] == 0
    assert path["least-preferred"] == f"neighbor {router} is being drained (RFC 8326): local-pref 0"


def test_unknown_neighbors_and_actions(sessions: Sessions) -> None:
    with pytest.raises(InputError, match="there is no neighbor 'nobody'"):
        sessions.operate("nobody", "drain")
    up(sessions, router_of(sessions), V4)
    with pytest.raises(InputError, match="'drown' is not one of clear, refresh, drain, undrain"):
        sessions.operate(router_of(sessions), "drown")


@pytest.mark.parametrize(
    ("names", "before", "now", "left"),
    [
        ("", "", "", ""),
        ("a", "", "", "a"),  # the operator drained it
        ("a", "", "a", "a"),  # the file says so now, too
        ("a", "a", "", ""),  # the file no longer says so
        ("", "a", "a", ""),  # the operator ended it, the file still says so
        ("", "", "b", "b"),
        ("ax", "", "", "a"),  # x is no peer any more
    ],
)
def test_draining_over_a_reload(names: str, before: str, now: str, left: str) -> None:
    as_sets = (frozenset(t) for t in (names, before, now))
    assert carried(*as_sets, frozenset("ab")) == frozenset(left)


def test_the_file_may_say_it(tmp_path: FilePath) -> None:
    text = (TOPOLOGIES / "two-regions.yaml").read_text()
    text = text.replace("policies/idc.yaml", f"{TOPOLOGIES}/policies/idc.yaml")
    (tmp_path / "as-is.yaml").write_text(text)
    before = read_intent(tmp_path / "as-is.yaml", "bj-gw1")
    router = next(p.name for p in peers(before.topology, before.gateway) if p.role == "idc")
    (tmp_path / "drained.yaml").write_text(
        text.replace(f"{router}:\n", f"{router}:\n        drained: true\n")
    )
    now = read_intent(tmp_path / "drained.yaml", "bj-gw1")
    assert before.drain.names == frozenset() and now.drain.names == {router}
    assert still_drained(before, now).drain.names == frozenset()
    operated = replace(before, drain=Drain(frozenset((router,))))
    assert still_drained(before, operated).drain.names == {router}

    # Taken over by a reload, it is the same session.
    sessions = gateway(before, tmp_path)
    up(sessions, router, V4)
    assert sessions.peers[router].serves(new_rib(now).peers[router])


def test_an_inventory_read_meanwhile_does_not_undo_it(tmp_path: FilePath) -> None:
    """The files take seconds to read: the operator may drain a peer before they are taken over."""

    async def body() -> None:
        daemon = Daemon(TOPOLOGIES / "two-regions.yaml", "bj-gw1", tmp_path, "none")
        daemon.intent = before = read_intent(daemon.file, daemon.name)
        daemon.sessions = gateway(before, tmp_path)
        daemon.rib, daemon.link = daemon.sessions.rib, NoForwarder()
        daemon.guard, daemon.committer = Guard(before, daemon.rib), Committer(daemon.link)
        intent = renewed(before)
        asked = {"command": "neighbor", "name": "lf-r1", "action": "drain"}
        assert await daemon.answer(asked) == {"neighbor": "lf-r1", "action": "drain"}
        await daemon._renew(before, intent)
        assert daemon.intent.topology is intent.topology is daemon.sessions.intent.topology
        assert daemon.intent.drain.names == daemon.sessions.intent.drain.names == {"lf-r1"}
        up(daemon.sessions, "lf-r1", V4)
        say(daemon.sessions, "lf-r1", OWN)
        daemon.commit()
        assert chosen(daemon.sessions, OWN).local_pref == 0

    asyncio.run(body())
