"""Sessions under a hostile hand: reloads that touch a policy only, faults of our own, peers that
come back with less than they had."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway import peer as peer_module
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.session.encode import encode_updates, end_of_rib, route_refresh
from ccn_bgp.session.events import (
    CHILD_DOWN,
    AttemptFailed,
    Block,
    OpenFacts,
    SessionDown,
    SessionUp,
)

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
V4, V6 = Family.IPV4_UNICAST, Family.IPV6_UNICAST


class Speaker:
    """Takes what a speaker is told; nothing is connected to it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.ended: list[tuple[str, int, int]] = []
        self.problem: Exception | None = None
        self.served: list[str] = []

    def send_to(self, peers: list[str], messages: bytes) -> None:
        self.sent += [(peer, messages) for peer in peers]

    def hears(self, peer: str) -> bool:
        return True

    def backlog(self, peer: str) -> int:
        return 0

    def teardown(self, peer: str, code: int, subcode: int) -> None:
        self.ended.append((peer, code, subcode))

    def preserve(self, names: frozenset[str]) -> None:
        self.preserved = names

    async def reconfigure(self, peers, timers) -> None:
        if self.problem is not None:
            raise self.problem
        self.served = [p.name for p in peers]


@pytest.fixture
def intent() -> Intent:
    return read_intent(TOPOLOGY, "bj-gw1")


@pytest.fixture
def sessions(intent: Intent, tmp_path: FilePath) -> Sessions:
    rib = new_rib(intent)
    made = Sessions(intent, rib, tmp_path, lambda: None, holding_back=False)
    made.speakers.running = {"gateways": Speaker(), "idcs": Speaker()}  # type: ignore[dict-item]
    return made


def facts(*families: Family, restart_time: int | None = None, enhanced: bool = False) -> OpenFacts:
    return OpenFacts(
        asn=Asn(65101),
        router_id=Ip.parse("10.9.9.9"),
        hold_time=90,
        asn4=True,
        families=frozenset(families),
        route_refresh=True,
        enhanced_refresh=enhanced,
        max_message=4096,
        restart_time=restart_time,
        restarted=False,
        restart_families=frozenset(families if restart_time is not None else ()),
        forwarding=frozenset(families if restart_time is not None else ()),
    )


def update(*prefixes: str) -> bytes:
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
    )
    nlris = tuple(Unicast(Prefix.parse(p)) for p in prefixes)
    return b"".join(encode_updates([(attributes, nlris)], [], asn4=True, max_length=4096))


def with_limit(intent: Intent, limit: int) -> Intent:
    """The same file, lf-r1 with another max-prefixes: nothing that an OPEN would carry."""
    idcs = dict(intent.topology.idcs)
    routers = tuple(replace(r, max_prefixes=limit) for r in idcs["langfang"].routers)
    idcs["langfang"] = replace(idcs["langfang"], routers=routers)
    return replace(intent, topology=replace(intent.topology, idcs=idcs))


def adopted(sessions: Sessions, intent: Intent) -> Rib:
    rib = new_rib(intent)
    rib.adopt(sessions.rib)
    asyncio.run(sessions.adopt(intent, rib))
    return rib


def test_one_route_is_not_several_in_the_log(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def lost_and_back() -> None:
        sessions.on_event(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.on_event(Block("lf-r1", update("172.16.1.0/24") + end_of_rib(V4)))
        sessions.rib.settle()
        sessions.on_event(SessionDown("lf-r1", "the peer closed the connection"))
        sessions.on_event(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.on_event(Block("lf-r1", end_of_rib(V4)))

    asyncio.run(lost_and_back())
    assert "the peer closed the connection; 1 route kept" in caplog.text
    assert "peer lf-r1: End-of-RIB ipv4-unicast, 1 stale route swept" in caplog.text


def test_a_reload_that_changes_only_policy_keeps_the_session_hearing(
    intent: Intent, sessions: Sessions
) -> None:
    sessions.on_event(SessionUp("lf-r1", facts(V4)))
    sessions.on_event(Block("lf-r1", update("172.16.1.0/24")))
    rib = adopted(sessions, with_limit(intent, 7))
    assert sessions.peers["lf-r1"].up
    assert sessions.peers["lf-r1"].peer.router.max_prefixes == 7
    sessions.on_event(Block("lf-r1", update("172.16.2.0/24")))
    assert len(rib.heard("lf-r1")) == 2


def test_labels_that_mean_something_else_are_said_anew(intent: Intent, sessions: Sessions) -> None:
    """RFC 8365 §5.1.3: what was read as a VNI was an MPLS label, or the other way round."""
    sessions.on_event(SessionUp("hk-gw1", facts(Family.EVPN)))
    sessions.on_event(SessionUp("lf-r1", facts(V4)))
    rib = new_rib(intent)
    rib.adopt(sessions.rib)
    rib.peers["hk-gw1"] = replace(rib.peers["hk-gw1"], label_is_mpls=True)
    asyncio.run(sessions.adopt(intent, rib))
    assert sessions.speakers.running["gateways"].ended == [("hk-gw1", 6, 6)]
    assert not sessions.speakers.running["idcs"].ended
    sessions.on_event(SessionDown("hk-gw1", "notification sent (6,6)"))
    sessions.on_event(SessionUp("hk-gw1", facts(Family.EVPN)))
    decoder = sessions.peers["hk-gw1"].decoder
    assert decoder is not None
    assert decoder.decoder.session.label_is_mpls


def test_a_role_that_changes_ends_the_session_for_both(intent: Intent, sessions: Sessions) -> None:
    """The speaker sees no difference: it would go on with a session that we count as down."""
    sessions.on_event(SessionUp("hk-gw1", facts(Family.EVPN)))
    rib = new_rib(intent)
    rib.adopt(sessions.rib)
    rib.peers["hk-gw1"] = replace(rib.peers["hk-gw1"], role="reflector")
    asyncio.run(sessions.adopt(intent, rib))
    assert sessions.speakers.running["gateways"].ended == [("hk-gw1", 6, 6)]
    # What an OPEN or TCP carries is the speaker's own affair.
    sessions.on_event(SessionDown("hk-gw1", "notification sent (6,6)"))
    sessions.on_event(SessionUp("hk-gw1", facts(Family.EVPN)))
    rib.peers["hk-gw1"] = replace(rib.peers["hk-gw1"], port=1179)
    asyncio.run(sessions.adopt(intent, rib))
    assert len(sessions.speakers.running["gateways"].ended) == 1


def test_why_there_is_no_session_is_shown_and_said_once(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator with a wrong AS number sees it where the session is looked for."""
    session, why = sessions.peers["lf-r1"], "NOTIFICATION sent: OPEN message error / Bad Peer AS"
    assert session.why_down == "not yet connected"
    for _ in range(3):
        sessions.take(AttemptFailed("lf-r1", why))
    assert session.why_down == f"no session: {why}"
    assert len([r for r in caplog.records if "Bad Peer AS" in r.getMessage()]) == 1
    with pytest.raises(InputError, match="Bad Peer AS"):
        sessions.operate("lf-r1", "clear")
    sessions.take(SessionUp("lf-r1", facts(V4)))
    sessions.take(AttemptFailed("lf-r1", "of a second connection"))
    sessions.take(SessionDown("lf-r1", "the peer closed the connection"))
    assert session.why_down == "the peer closed the connection"
    sessions.take(AttemptFailed("lf-r1", "Connection refused"))
    ended = "; the last one ended: the peer closed the connection"
    assert session.why_down == f"no session: Connection refused{ended}"


def test_a_step_of_the_clock_is_no_time(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set back by an hour, every commit would have waited for peers as if they had just begun."""
    sessions.take(SessionUp("lf-r1", facts(V4)))
    assert sessions.beginning
    now = time.monotonic()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert not sessions.beginning
    assert round(sessions.peers["lf-r1"].seconds) == 61


def test_a_session_that_comes_and_goes_does_not_fill_the_log(
    sessions: Sessions, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    clock = [1000.0]
    monkeypatch.setattr(peer_module.time, "monotonic", lambda: clock[0])

    def flap(times: int) -> list[str]:
        caplog.clear()
        for _ in range(times):
            sessions.take(SessionUp("lf-r1", facts(V4)))
            sessions.take(SessionDown("lf-r1", "the peer closed the connection"))
        return [r.getMessage() for r in caplog.records if "lf-r1" in r.getMessage()]

    said = flap(200)
    assert len(said) == peer_module.TURNS + 1
    assert "comes and goes" in said[-1]
    clock[0] += 61
    again = flap(1)
    assert len(again) == 2 and again[0].endswith("(380 such lines left out)")


def test_a_fault_of_ours_costs_one_session_and_is_not_silent(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sessions.take(SessionUp("lf-r1", facts(V4)))

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(sessions.rib, "hear", broken)
    sessions.take(Block("lf-r1", update("172.16.1.0/24")))
    assert sessions.speakers.running["idcs"].ended == [("lf-r1", 6, 8)]
    assert "a fault of ours" in caplog.text
    monkeypatch.undo()
    sessions.take(SessionDown("lf-r1", "notification sent (6,8)"))
    sessions.take(SessionUp("lf-r1", facts(V4)))
    sessions.take(Block("lf-r1", update("172.16.1.0/24")))
    assert len(sessions.rib.heard("lf-r1")) == 1


def test_a_reader_that_dies_is_reported(sessions: Sessions) -> None:
    """A speaker whose stream ends with a fault would leave a deaf gateway behind."""

    class Dying(Speaker):
        async def events(self):
            raise RuntimeError("the stream is broken")
            yield  # a generator

    async def run() -> None:
        speakers = sessions.speakers
        speakers._readers.append(asyncio.create_task(speakers.read(Dying())))
        speakers._started.set()
        await asyncio.wait_for(speakers.fault(), 5)

    with pytest.raises(RuntimeError, match="the stream is broken"):
        asyncio.run(run())


def test_a_removed_peer_leaves_no_timer(intent: Intent, sessions: Sessions) -> None:
    """Its sweep would come for a peer that the new Rib does not know."""

    async def run() -> None:
        sessions.on_event(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.on_event(SessionDown("lf-r1", "peer reset"))
        old = sessions.peers["lf-r1"]
        assert old.timer is not None
        idcs = {n: i for n, i in intent.topology.idcs.items() if n != "langfang"}
        less = replace(intent, topology=replace(intent.topology, idcs=idcs))
        rib = new_rib(less)
        rib.adopt(sessions.rib)
        await sessions.adopt(less, rib)
        assert "lf-r1" not in sessions.peers
        assert old.timer is None

    asyncio.run(run())


def test_what_a_peer_no_longer_carries_does_not_stay_stale_for_ever(sessions: Sessions) -> None:
    """It kept two families over a restart and comes back with one (RFC 4724 §4.2)."""

    async def run() -> None:
        sessions.on_event(SessionUp("lf-r1", facts(V4, V6, restart_time=60)))
        six = Unicast(Prefix.parse("fd00:16::/48"))
        attributes = PathAttributes(next_hop=Ip.parse("fe80::2"))
        sessions.rib.receive("lf-r1", [six], [], attributes)
        sessions.on_event(SessionDown("lf-r1", "peer reset"))
        assert sessions.rib.adj_in["lf-r1"].stale_count == 1
        sessions.on_event(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.on_event(Block("lf-r1", end_of_rib(V4)))
        assert not sessions.rib.heard("lf-r1")

    asyncio.run(run())


def test_nothing_is_heard_after_the_message_that_ends_a_session(sessions: Sessions) -> None:
    """The NOTIFICATION is on its way; what the peer had sent before it read it is void."""
    sessions.take(SessionUp("lf-r1", facts(V4)))
    broken = bytearray(update("172.16.1.0/24"))
    broken[19:21] = b"\xff\xff"  # withdrawn routes longer than the message (RFC 7606 §5.1)
    sessions.take(Block("lf-r1", bytes(broken)))
    sessions.take(Block("lf-r1", update("172.16.2.0/24")))
    assert [peer for peer, *_ in sessions.speakers.running["idcs"].ended] == ["lf-r1"]
    assert not sessions.rib.heard("lf-r1")
    sessions.take(SessionDown("lf-r1", "notification sent (3,1)"))
    sessions.take(SessionUp("lf-r1", facts(V4)))
    sessions.take(Block("lf-r1", update("172.16.2.0/24")))
    assert len(sessions.rib.heard("lf-r1")) == 1


def test_a_reload_without_the_missing_peer_ends_the_waiting(
    intent: Intent, sessions: Sessions
) -> None:
    """After a restart: all have told all but one that never comes, and the file drops that one."""
    sessions.holding_back = True
    for name in ("hk-gw1", "lf-r1"):
        sessions.take(SessionUp(name, facts(V4)))
        sessions.take(Block(name, end_of_rib(V4)))
    assert sessions.holding_back
    idcs = {n: i for n, i in intent.topology.idcs.items() if n != "tianjin"}
    adopted(sessions, replace(intent, topology=replace(intent.topology, idcs=idcs)))
    assert not sessions.holding_back


def test_a_peer_that_comes_and_goes_does_not_keep_what_it_never_says_again(
    sessions: Sessions,
) -> None:
    """RFC 4724 §4.2: at the next loss, what was stale already MUST be deleted."""

    async def run() -> None:
        held = sessions.rib.adj_in["lf-r1"]
        sessions.take(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.take(Block("lf-r1", update("172.16.1.0/24", "172.16.2.0/24")))
        sessions.take(SessionDown("lf-r1", "the peer closed the connection"))
        sessions.take(SessionUp("lf-r1", facts(V4, restart_time=60)))
        sessions.take(Block("lf-r1", update("172.16.2.0/24")))
        assert (len(sessions.rib.heard("lf-r1")), held.stale_count) == (2, 1)
        sessions.take(SessionDown("lf-r1", "the peer closed the connection"))
        assert (len(sessions.rib.heard("lf-r1")), held.stale_count) == (1, 1)
        sessions.peers["lf-r1"].stop_timer()

    asyncio.run(run())


def test_our_own_loss_costs_no_route_however_often(sessions: Sessions) -> None:
    """The peer has not restarted; that it cannot finish saying all again is our fault."""

    async def run() -> None:
        sessions.take(SessionUp("lf-r1", facts(V4)))
        sessions.take(Block("lf-r1", update("172.16.1.0/24", "172.16.2.0/24")))
        for _ in range(2):
            sessions.take(SessionDown("lf-r1", CHILD_DOWN))
            sessions.take(SessionUp("lf-r1", facts(V4)))
        assert len(sessions.rib.heard("lf-r1")) == 2
        sessions.peers["lf-r1"].stop_timer()

    asyncio.run(run())


@pytest.fixture
def refreshing(sessions: Sessions):
    """lf-r1 with three routes, up and complete, that can tell a refresh from news; what it says."""
    run = asyncio.Runner()
    sessions.changed = lambda: None

    def say(*messages: bytes) -> list[str]:
        async def take() -> None:
            sessions.take(Block("lf-r1", b"".join(messages)))

        run.run(take())
        return sorted(str(h.path.nlri.prefix) for h in sessions.rib.heard("lf-r1").values())

    sessions.take(SessionUp("lf-r1", facts(V4, restart_time=60, enhanced=True)))
    say(update(*(f"172.16.{n}.0/24" for n in (1, 2, 3))), end_of_rib(V4))
    yield say
    sessions.peers["lf-r1"].stop_timer()
    run.close()


BEGIN, END = route_refresh(V4, 1), route_refresh(V4, 2)
ALL = ["172.16.1.0/24", "172.16.2.0/24", "172.16.3.0/24"]


def test_what_a_refresh_does_not_say_again_is_gone(sessions: Sessions, refreshing) -> None:
    """RFC 7313 §4: whoever offers the capability MUST sweep at EoRR."""
    assert refreshing(BEGIN, update(ALL[0])) == ALL
    assert sessions.rib.adj_in["lf-r1"].stale_count == 2
    assert refreshing(END) == ALL[:1]
    assert sessions.peers["lf-r1"].timer is None


def test_an_end_without_a_beginning_says_nothing(refreshing) -> None:
    assert refreshing(END, route_refresh(V6, 1), route_refresh(V6, 2), END) == ALL


def test_end_of_rib_is_not_the_end_of_a_refresh(refreshing) -> None:
    assert refreshing(BEGIN, update(ALL[2]), end_of_rib(V4)) == ALL
    assert refreshing(update(ALL[0]), END) == [ALL[0], ALL[2]]


def test_a_refresh_that_never_ends_is_ended(sessions: Sessions, refreshing) -> None:
    assert refreshing(BEGIN, update(ALL[1])) == ALL
    assert sessions.peers["lf-r1"].timer is not None
    sessions.sweep("lf-r1", 1)
    assert refreshing(END) == ALL[1:2]


def test_a_session_lost_in_a_refresh_keeps_all(sessions: Sessions, refreshing) -> None:
    """What was about to be said anew was not lost by a restart before this one."""
    refreshing(BEGIN, update(ALL[1]))

    async def lost() -> None:
        sessions.take(SessionDown("lf-r1", "the peer closed the connection"))
        sessions.peers["lf-r1"].stop_timer()

    asyncio.run(lost())
    assert len(sessions.rib.heard("lf-r1")) == 3


def test_before_its_end_of_rib_a_beginning_is_ignored(sessions: Sessions) -> None:
    """RFC 7313 §4, of peers that can restart gracefully."""
    sessions.take(SessionUp("lf-r1", facts(V4, restart_time=60, enhanced=True)))
    sessions.take(Block("lf-r1", update(*ALL) + BEGIN + END))
    assert len(sessions.rib.heard("lf-r1")) == 3


def test_who_asks_before_the_speakers_have_started_gets_an_answer(sessions: Sessions) -> None:
    """The API answers first: `ccn show neighbors` in that moment is no fault of ours."""
    sessions.speakers.running = {}
    assert [sessions.speakers.backlog(s.peer) for s in sessions.peers.values()] == [0, 0, 0]
