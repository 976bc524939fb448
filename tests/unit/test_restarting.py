"""Graceful restart, decided (RFC 4724): what is kept, what is forgotten, and what we say of us."""

from __future__ import annotations

import pytest

from ccn_bgp.gateway import restarting
from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.session.events import CHILD_DOWN, OpenFacts

V4, V6 = Family.IPV4_UNICAST, Family.IPV6_UNICAST
BOTH = frozenset((V4, V6))
NONE: frozenset[Family] = frozenset()


def facts(
    named: frozenset[Family] = NONE,
    forwarding: frozenset[Family] = NONE,
    *,
    time: int | None = 40,
    restarted: bool = False,
) -> OpenFacts:
    return OpenFacts(
        asn=Asn(65101),
        router_id=Ip.parse("10.9.9.9"),
        hold_time=90,
        asn4=True,
        families=BOTH,
        route_refresh=True,
        enhanced_refresh=False,
        max_message=4096,
        restart_time=time,
        restarted=restarted,
        restart_families=named,
        forwarding=forwarding,
    )


@pytest.mark.parametrize(
    ("said", "reason", "kept", "seconds"),
    [
        (facts(BOTH), "hold timer expired", BOTH, 40),
        (facts(frozenset((V4,))), "the peer closed the connection", frozenset((V4,)), 40),
        (facts(BOTH, time=None), "the peer closed the connection", NONE, 99),
        (facts(NONE), "the peer closed the connection", NONE, 40),
        (facts(BOTH), "NOTIFICATION received: Cease / Administrative Reset", NONE, 40),
        (facts(BOTH), "NOTIFICATION sent: Hold Timer Expired", NONE, 40),
        (facts(BOTH, time=None), CHILD_DOWN, frozenset(Family), 99),
        (None, CHILD_DOWN, frozenset(Family), 99),
        (None, "the peer closed the connection", NONE, 99),
    ],
)
def test_what_a_lost_peer_said(
    said: OpenFacts | None, reason: str, kept: frozenset[Family], seconds: int
) -> None:
    assert restarting.kept(said, reason) == kept
    if kept:
        assert restarting.seconds_kept(said, reason, 99) == seconds


@pytest.mark.parametrize(
    ("said", "last", "lost"),
    [
        # It has restarted, and kept its tables of IPv4 only.
        (facts(BOTH, frozenset((V4,)), restarted=True), "closed", frozenset(Family) - {V4}),
        (facts(BOTH, NONE, restarted=True), "closed", frozenset(Family)),
        # The connection broke, nothing else: End-of-RIB sweeps what it does not say again, but
        # without the F bit it promises nothing (a MUST, also without the R bit).
        (facts(BOTH, BOTH), "closed", frozenset(Family) - BOTH),
        (facts(BOTH, NONE), "closed", frozenset(Family)),
        # It no longer names any family.
        (facts(NONE, NONE), "closed", frozenset(Family)),
        # We had restarted, it had not.
        (facts(NONE, NONE, time=None), CHILD_DOWN, NONE),
    ],
)
def test_what_goes_when_it_is_back(said: OpenFacts, last: str, lost: frozenset[Family]) -> None:
    assert restarting.lost(said, last) == lost
