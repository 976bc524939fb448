"""SIGHUP while a peer is in graceful restart: what it has said is judged by the edit, stays stale,
and goes when its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.rehearsal import rehearse
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Family, Ip, Prefix, RouteDistinguisher
from ccn_bgp.model.path import EvpnPrefix, Unicast
from ccn_bgp.session.events import SessionDown, SessionUp
from tests.unit.test_draining import gateway as sessions_of
from tests.unit.test_draining import router_of, say
from tests.unit.test_rehearsal import TOPOLOGY, TUNNEL, attributes
from tests.unit.test_restarting import BOTH, facts

SITES = (
    TOPOLOGY.replace("172.16.0.0/17", "172.20.0.0/17")
    .replace("retail: {id", "retail: {aggregates: [high], id")
    .replace("to: retail, ", "to: retail, import: [shared], ")
)
POLICIES = """\
policies:
  from-north: [{name: all, then: accept}]
  from-gateways: [{name: all, then: accept}]
  from-south: [{name: all, then: accept}]
  shared: [{name: low, set: {local-pref: 7}, then: accept}]
  out: [{name: all, then: accept}]
aggregates:
  high: {prefix: 172.20.0.0/16, summary-only: true}
"""
EDITS = {
    "aggregate": SITES.replace("aggregates: [high], ", ""),
    "share policy": SITES.replace("import: [shared], ", ""),
    "share": SITES[: SITES.index("shares:")] + "policies: [p.yaml]\n",
    "both": SITES.replace("aggregates: [high], ", "").replace("import: [shared], ", ""),
    "nothing": SITES,
}
SAID = {"n1": ("172.20.1.0/24", "172.20.2.0/24"), "s1": ("172.16.200.0/24",)}


def intent_of(folder: Path, topology: str) -> Intent:
    (folder / "p.yaml").write_text(POLICIES)
    (folder / "t.yaml").write_text(topology)
    return read_intent(folder / "t.yaml", "gw")


def hear(rib: Rib, names: Iterable[str]) -> None:
    for name in names:
        peer = rib.peers[name]
        if name == "g2":
            rd = RouteDistinguisher.parse("198.51.100.21:100")
            prefix = Prefix.parse("172.20.128.0/18")
            remote = attributes(peer.asn, Ip.parse("198.51.100.21"), extended_communities=TUNNEL)
            rib.receive(name, [EvpnPrefix(rd, bytes(10), 0, prefix, None, 20100)], [], remote)
            continue
        said = [Unicast(Prefix.parse(p)) for p in SAID[name]]
        rib.receive(name, said, [], attributes(peer.asn, peer.address))


def digest(intent: Intent, names: Iterable[str]) -> bytes:
    """Of a gateway that has never known another file."""
    rib = new_rib(intent)
    hear(rib, names)
    return Guard(intent, rib).prove().snapshot.digest


EVERYBODY = ("g2", "n1", "s1")


@pytest.mark.parametrize("stale", [("n1",), ("s1",), ("g2",), EVERYBODY])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_over_stale_routes_is_as_if_it_had_always_been(
    tmp_path: Path, edit: str, stale: tuple[str, ...]
) -> None:
    before = intent_of(tmp_path, SITES)
    old = new_rib(before)
    hear(old, EVERYBODY)
    proved: Proved = Guard(before, old).prove()
    assert "172.20.0.0/16" in {str(p) for p in old.tables["gw/retail"].routes}
    for name in stale:
        old.session_down(name, keep=True)
    after = intent_of(tmp_path, EDITS[edit])
    new = new_rib(after)
    guard = rehearse(before, proved, old, after, new)
    assert guard.prove().snapshot.digest == digest(after, EVERYBODY)
    held = {name: new.adj_in[name].stale_count for name in EVERYBODY}
    assert held == {name: len(new.adj_in[name]) * (name in stale) for name in EVERYBODY}

    # One says again what it has said before, the others never come back.
    hear(new, stale[:1])
    for name in stale:
        new.sweep(name, None)
    left = {*EVERYBODY} - {*stale[1:]}
    assert guard.prove().snapshot.digest == digest(after, sorted(left))


@pytest.mark.parametrize("wire", [False, True])
def test_stale_routes_go_in_time_whatever_the_edit(tmp_path: Path, wire: bool) -> None:
    """With other settings on the wire the session is another one, which may never come up."""
    demo = Path(__file__).parents[2] / "topologies" / "two-regions.yaml"
    intent = read_intent(demo, "bj-gw1")

    async def body() -> None:
        sessions = sessions_of(intent, tmp_path)
        name = router_of(sessions)
        peer = sessions.peers[name].peer
        said = replace(facts(BOTH, BOTH, time=40), asn=peer.asn, families=frozenset(Family))
        sessions.take(SessionUp(name, said))
        say(sessions, name, "172.16.5.0/24")
        sessions.take(SessionDown(name, "the peer closed the connection"))
        assert sessions.rib.adj_in[name].stale_count == 1
        due = sessions.peers[name].timer
        assert due is not None

        rib = new_rib(intent)
        if wire:
            rib.peers[name] = replace(rib.peers[name], ttl_security=1)
        rib.adopt(sessions.rib)

        async def serve() -> None:
            """No ExaBGP is needed."""

        sessions._serve = serve  # type: ignore[method-assign]
        await sessions.adopt(intent, rib)
        assert rib.adj_in[name].stale_count == 1
        timer: Any = sessions.peers[name].timer
        assert timer is not None and not timer.cancelled() and timer.when() == due.when()
        timer._run()
        assert rib.adj_in[name].stale_count == len(rib.adj_in[name]) == 0

    asyncio.run(body())
