"""Graceful restart of peers (RFC 4724), decided: what is kept when a session ends, and what is
forgotten when it begins again. In: what the OPENs said and why the session ended. Out: families.
"""

from __future__ import annotations

from ccn_bgp.model.bgp import Family
from ccn_bgp.session.events import CHILD_DOWN, OpenFacts

NOTHING: frozenset[Family] = frozenset()
EVERY_FAMILY = frozenset(Family)


def kept(facts: OpenFacts | None, reason: str) -> frozenset[Family]:
    """The families whose routes are kept as stale when the session ends for this reason.

    All, if our own ExaBGP was lost: nothing has happened to the peer. Else those that the peer
    named (§3), but nothing after a NOTIFICATION (RFC 8538's N bit is not offered).
    """
    if reason == CHILD_DOWN:
        return EVERY_FAMILY
    if facts is None or facts.restart_time is None or "notification" in reason.lower():
        return NOTHING
    return facts.restart_families


def lost(facts: OpenFacts, last_reason: str) -> frozenset[Family]:
    """The families whose stale routes go at once when the session is up again (§4.2).

    Without the F bit the peer does not promise that it went on forwarding, whether it restarted
    or not; nor does it say again what the session no longer carries. Where the fault was ours
    (§4.1) it says everything again and forwarded all the time.
    """
    if last_reason == CHILD_DOWN:
        return NOTHING
    return EVERY_FAMILY - (facts.forwarding & facts.families)


def seconds_kept(facts: OpenFacts | None, reason: str, stale_time: int) -> int:
    """For how long, if no session comes back: the restart time that the peer announced."""
    if reason == CHILD_DOWN or facts is None or facts.restart_time is None:
        return stale_time
    return facts.restart_time
