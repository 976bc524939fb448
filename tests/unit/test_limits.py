"""max-prefixes, hard: Cease 6/1, held down for a while, and served again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path as FilePath
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.replay_bgp import FORGOTTEN, Replayed
from ccn_bgp.gateway.sessions import Sessions
from ccn_bgp.gateway.views import findings, neighbors
from ccn_bgp.model.bgp import Asn, Family, Ip, Prefix
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.topology import HardLimit
from ccn_bgp.session.encode import encode_updates
from ccn_bgp.session.events import Block, OpenFacts, SessionDown, SessionUp

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
ENDED = "NOTIFICATION sent (6,1)"
PREFIXES = [f"172.16.{n}.0/24" for n in range(10)]


class Speaker:
    """Takes what a speaker is told; nothing is connected to it."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int, int]] = []
        self.served: list[str] = []

    def send_to(self, peers: list[str], messages: bytes) -> None:
        pass

    def preserve(self, names: frozenset[str]) -> None:
        pass

    def hears(self, peer: str) -> bool:
        return True

    def backlog(self, peer: str) -> int:
        return 0

    def teardown(self, peer: str, code: int, subcode: int) -> None:
        self.ended.append((peer, code, subcode))

    async def reconfigure(self, peers: Any, timers: Any) -> None:
        self.served = [p.name for p in peers]


def limited(limit: int | None, restart: int | None = None) -> Intent:
    """bj-gw1, whose lf-r1 may not say more than that."""
    intent = read_intent(TOPOLOGY, "bj-gw1")
    idcs = dict(intent.topology.idcs)
    hard = None if limit is None else HardLimit(limit, restart)
    (router,) = idcs["langfang"].routers
    router = replace(router, max_prefixes=None, hard_limit=hard)
    idcs["langfang"] = replace(idcs["langfang"], routers=(router,))
    return replace(intent, topology=replace(intent.topology, idcs=idcs))


def gateway(intent: Intent, tmp_path: FilePath) -> tuple[Sessions, Speaker]:
    made = Sessions(intent, new_rib(intent), tmp_path, lambda: None, holding_back=False)
    made.speakers.running = {n: Speaker() for n in ("gateways", "idcs")}  # type: ignore[misc]
    return made, made.speakers.running["idcs"]  # type: ignore[return-value]


FACTS = OpenFacts(
    asn=Asn(65101),
    router_id=Ip.parse("10.9.9.9"),
    hold_time=90,
    asn4=True,
    families=frozenset((Family.IPV4_UNICAST,)),
    route_refresh=True,
    enhanced_refresh=False,
    max_message=4096,
    restart_time=120,
    restarted=False,
    restart_families=frozenset((Family.IPV4_UNICAST,)),
    forwarding=frozenset((Family.IPV4_UNICAST,)),
)
UP = SessionUp("lf-r1", FACTS)


def said(announced: list[str], withdrawn: list[str] | None = None, med: int = 0) -> Block:
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
        med=med,
    )
    news = [Unicast(Prefix.parse(p)) for p in announced]
    gone = [Unicast(Prefix.parse(p)) for p in withdrawn or []]
    groups = [(attributes, tuple(news))] if news else []
    octets = b"".join(encode_updates(groups, gone, asn4=True, max_length=4096))
    return Block("lf-r1", octets)


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 10))


def test_one_more_ends_the_session_and_holds_it_down(tmp_path: FilePath) -> None:
    async def body() -> None:
        sessions, speaker = gateway(limited(3, restart=1), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES[:3]))
        assert not speaker.ended
        sessions.take(said(PREFIXES[3:4]))
        assert speaker.ended == [("lf-r1", 6, 1)]
        sessions.take(said(PREFIXES[4:5]))  # what was under way is not heard
        assert speaker.ended == [("lf-r1", 6, 1)]
        sessions.take(SessionDown("lf-r1", ENDED))
        assert not sessions.rib.heard("lf-r1")  # no graceful restart after a NOTIFICATION
        await asyncio.sleep(0)
        assert "lf-r1" not in speaker.served and "tj-r1" in speaker.served
        held_down = sessions.limits.shut["lf-r1"]
        assert "max-prefixes, hard" in held_down.reason and "for another 1 s" in held_down.reason
        await asyncio.sleep(1.1)
        assert not sessions.limits.shut and "lf-r1" in speaker.served
        sessions.take(UP)
        sessions.take(said(PREFIXES[:3]))
        assert len(sessions.rib.heard("lf-r1")) == 3

    run(body)


def test_what_is_held_counts_not_what_is_said(tmp_path: FilePath) -> None:
    sessions, speaker = gateway(limited(3), tmp_path)
    sessions.take(UP)
    for med in range(5):
        sessions.take(said(PREFIXES[:3], med=med))
    sessions.take(said(PREFIXES[3:4], PREFIXES[:1]))
    assert len(sessions.rib.heard("lf-r1")) == 3
    assert not speaker.ended


def test_without_a_restart_time_an_operator_clears_it(tmp_path: FilePath) -> None:
    async def body() -> None:
        sessions, speaker = gateway(limited(3), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        sessions.take(SessionDown("lf-r1", ENDED))
        await asyncio.sleep(0)
        reason = sessions.limits.shut["lf-r1"].reason
        assert "until `ccn neighbor lf-r1 clear`" in reason
        with pytest.raises(InputError, match="is down"):
            sessions.operate("lf-r1", "refresh")
        assert sessions.operate("lf-r1", "clear") == {"neighbor": "lf-r1", "action": "clear"}
        await asyncio.sleep(0)
        assert "lf-r1" in speaker.served

    run(body)


def test_a_peer_that_is_back_before_it_is_let_go_of_is_ended_again(tmp_path: FilePath) -> None:
    async def body() -> None:
        sessions, speaker = gateway(limited(3, restart=60), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        sessions.take(SessionDown("lf-r1", ENDED))
        sessions.take(UP)
        sessions.take(said(PREFIXES[:1]))
        assert speaker.ended == [("lf-r1", 6, 1)] * 2
        assert not sessions.peers["lf-r1"].up and not sessions.rib.heard("lf-r1")
        sessions.take(SessionDown("lf-r1", ENDED))
        assert list(sessions.limits.shut) == ["lf-r1"]
        sessions.limits.stop()

    run(body)


@pytest.mark.parametrize(("limit", "serves"), [((3, 60), False), ((20, 60), True), ((), True)])
def test_another_limit_in_the_file_ends_it(
    tmp_path: FilePath, limit: tuple[int, ...], serves: bool
) -> None:
    async def body() -> None:
        sessions, speaker = gateway(limited(3, restart=60), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        sessions.take(SessionDown("lf-r1", ENDED))
        now = limited(*limit) if limit else limited(None)
        rib = new_rib(now)
        rib.adopt(sessions.rib)
        await sessions.adopt(now, rib)
        await asyncio.sleep(0)
        assert ("lf-r1" in speaker.served) is serves
        sessions.limits.stop()

    run(body)


def test_a_lower_limit_in_the_file_counts_at_once(tmp_path: FilePath) -> None:
    async def body() -> None:
        sessions, speaker = gateway(limited(20), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        now = limited(3)
        rib = new_rib(now)
        rib.adopt(sessions.rib)
        await sessions.adopt(now, rib)
        assert speaker.ended == [("lf-r1", 6, 1)]

    run(body)


def test_it_is_shown_and_found(tmp_path: FilePath) -> None:
    async def body() -> None:
        sessions, _ = gateway(limited(3, restart=60), tmp_path)
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        sessions.take(SessionDown("lf-r1", ENDED))
        proved = Guard(sessions.intent, sessions.rib).prove()
        running: Any = SimpleNamespace(
            name="bj-gw1", intent=sessions.intent, rib=sessions.rib, sessions=sessions,
            proved=proved,
        )  # fmt: skip
        (row,) = neighbors(running, {"neighbor": "lf-r1"})["neighbors"]
        assert row["state"] == "held-down" and "for another" in row["reason"]
        (found,) = findings(running, {"neighbor": "lf-r1"})["findings"]
        assert (found["rule"], found["severity"]) == ("capacity", "warning")
        assert "announced 10 prefixes, max-prefixes is 3" in found["message"]
        sessions.limits.stop()

    run(body)


def test_a_recording_says_itself_when_sessions_ended(tmp_path: FilePath) -> None:
    replayed = Replayed(limited(3, restart=60))
    sessions = replayed.sessions
    sessions.take(UP)
    sessions.take(said(PREFIXES))
    assert len(sessions.rib.heard("lf-r1")) == len(PREFIXES) and not sessions.limits.shut
    sessions.take(SessionDown("lf-r1", FORGOTTEN))
    assert not sessions.rib.heard("lf-r1")


def test_nobody_is_waited_for_who_is_held_down(tmp_path: FilePath) -> None:
    async def body() -> None:
        intent = limited(3, restart=60)
        sessions, _ = gateway(intent, tmp_path)
        sessions.holding_back = True
        for name in sessions.peers:
            if name != "lf-r1":
                del sessions.rib.peers[name]
        sessions.peers = {"lf-r1": sessions.peers["lf-r1"]}
        sessions.take(UP)
        sessions.take(said(PREFIXES))
        assert sessions.holding_back
        sessions.take(SessionDown("lf-r1", ENDED))
        assert not sessions.holding_back
        sessions.limits.stop()

    run(body)
