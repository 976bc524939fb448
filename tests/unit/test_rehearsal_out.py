"""What an edit changes in what peers are told, before it is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.gateway import rehearsal_out
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.rehearsal import rehearse
from ccn_bgp.gateway.rehearsal_out import told_lines
from ccn_bgp.gateway.telling import UpdateGroups
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.rows import Vocabulary
from tests.unit.test_rehearsal import POLICIES, TOPOLOGY, Site
from tests.unit.test_telling import facts


class Telling(Site):
    """The same with sessions that are up, and told what the first policies let pass."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.sessions: dict[str, PeerSession] = {}
        groups = UpdateGroups(
            self.intent.apart,
            lambda p: export_classes(self.intent.policies, p, self.intent.contexts.members),
        )
        for name, peer in self.rib.peers.items():
            session = PeerSession(peer, self.intent.export_policy)
            family = Family.EVPN if peer.router is None else Family.IPV4_UNICAST
            session.establish(facts(family), Vocabulary())
            groups.greet(session, self.rib)
            while groups.next_piece(session, self.rib) is not None:
                pass
            self.sessions[name] = session

    def rehearsed(self, policies: str) -> tuple[list[str], Any, Rib]:
        intent, rib = self.edit(policies)
        rehearse(self.intent, self.proved, self.rib, intent, rib)
        return list(told_lines(self.sessions, intent, rib)), intent, rib


@pytest.fixture
def site(tmp_path: Path) -> Telling:
    return Telling(tmp_path)


NO_WEB = POLICIES.replace("high: [172", "web: [10.1.0.0/16], high: [172")


def test_routes_that_are_no_longer_told_are_named_with_the_statement(site: Telling) -> None:
    known = len(site.sessions["n1"].out.told)
    no_web = "out: [{name: no-web, match: {prefix-set: web}, then: reject}, {then: accept}]"
    lines, *_ = site.rehearsed(NO_WEB.replace("out: [{name: all, then: accept}]", no_web))
    where = f"{site.directory / 'p.yaml'}:6:9"
    assert lines == [
        "to n1: 1 route is no longer announced, such as 10.1.0.0/16 (announced → denied by policy"
        f" out, statement no-web ({where}))"
    ]
    assert len(site.sessions["n1"].out.told) == known, "nothing has been said yet"


def test_other_attributes_and_what_is_told_besides(site: Telling) -> None:
    lines, *_ = site.rehearsed(
        POLICIES.replace("out: [{name: all, then", "out: [{name: all, set: {med: 7}, then")
    )
    assert lines == [
        "to n1: 2 routes are announced with other attributes, such as 10.1.0.0/16 (med unset → 7)"
    ]
    site = Telling(site.directory)
    lines, *_ = site.rehearsed(POLICIES.replace("le: 24", "ge: 25"))
    assert lines == [
        "to g2: 2 routes are no longer announced, such as 172.16.1.0/24 (announced → no route)"
    ]


def test_what_is_heard_otherwise_is_told_otherwise(site: Telling) -> None:
    lines, *_ = site.rehearsed(
        POLICIES.replace("{med: 1}", "{med: 1, community: {add: ['65101:1']}}")
    )
    assert lines == [
        "to g2: 2 routes are announced with other attributes, such as 172.16.1.0/24"
        " (communities unset → ['65101:1'])"
    ]


def test_without_a_difference_one_line(site: Telling) -> None:
    lines, *_ = site.rehearsed(POLICIES.replace("name: low", "name: lower"))
    assert lines == ["no peer is told otherwise"]


def test_peers_that_are_down_or_anew_are_left_out(site: Telling) -> None:
    site.sessions["n1"].end("gone")
    (site.directory / "t.yaml").write_text(TOPOLOGY.replace("asn: 65102", "asn: 65199"))
    med = POLICIES.replace("out: [{name: all, then", "out: [{name: all, set: {med: 7}, then")
    lines, *_ = site.rehearsed(med)
    assert not [line for line in lines if line.startswith(("to n1", "to s1"))]


def test_as_much_is_told_as_is_rehearsed(site: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    med = POLICIES.replace("out: [{name: all, then", "out: [{name: all, set: {med: 7}, then")
    med = med.replace("{med: 1}", "{med: 1, community: {add: ['65101:1']}}")
    monkeypatch.setattr(rehearsal_out, "SHOWN", 1)
    lines, *_ = site.rehearsed(med)
    assert len(lines) == 2
    assert lines[1].startswith("1 more line of what is told otherwise")
    site = Telling(site.directory)
    monkeypatch.setattr(rehearsal_out, "MOST", 0)
    lines, *_ = site.rehearsed(med.replace("med: 7", "med: 8"))
    assert lines[-1] == "2 more peers are told too much to be rehearsed"
