"""Peers that do not read: who is left behind, and when they are told on."""

from __future__ import annotations

import asyncio
from pathlib import Path as FilePath

import pytest

from ccn_bgp.gateway import unread
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.unread import BEHIND, UNREAD, Unread
from ccn_bgp.model.path import PathAttributes

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"


class Session(PeerSession):
    """Up, and told all."""

    up = True

    def __init__(self, peer) -> None:
        super().__init__(peer, lambda _, path: path.attributes or PathAttributes())
        self.greeted = True


@pytest.fixture
def sessions() -> list[Session]:
    rib = new_rib(read_intent(TOPOLOGY, "bj-gw1"))
    return [Session(peer) for peer in rib.peers.values()]


def test_who_does_not_read_is_left_behind_until_it_has(sessions, monkeypatch, caplog) -> None:
    monkeypatch.setattr(unread, "PAUSE", 0.01)
    waits = dict.fromkeys((s.peer.name for s in sessions), 0)

    async def run() -> None:
        looked = asyncio.Event()
        watch = Unread(lambda peer: waits[peer.name], looked.set)
        assert watch.full(sessions) == []
        await asyncio.sleep(0.03)
        assert not looked.is_set()  # nobody is behind: nothing is looked for
        slow = sessions[0]
        waits[slow.peer.name] = BEHIND + 1
        assert watch.full(sessions) == [slow]
        slow.behind = True
        await asyncio.wait_for(looked.wait(), 5)
        for left, still in ((BEHIND, True), (UNREAD + 1, True), (UNREAD, False)):
            waits[slow.peer.name] = left
            assert watch.full(sessions) == []
            assert slow.behind is still
        watch.stop()

    asyncio.run(run())
    assert len(caplog.records) == 1 and "has not read 64 MB" in caplog.text
