"""What a new intent changes in what peers are told, before it is in force.

In: the sessions as they are, and a Rib that has been proved under the new intent (rehearsal.py).
Out: lines for the log, a few for each peer and at most SHOWN; nobody is told anything yet. Beyond
MOST routes nothing more is rehearsed: the counts are logged when peers are told.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.out_feed import RowFeed
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.rehearsal import about, differing
from ccn_bgp.gateway.telling import UpdateGroups
from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.rib import Rib
from ccn_bgp.learn.told import Told
from ccn_bgp.learn.told_difference import difference
from ccn_bgp.model.path import Nlri, PathAttributes

SHOWN = 20
"""Lines told of one reload."""
MOST = 10_000_000
"""Routes that are judged again, of all peers together: about a second."""
NAMED = 5
"""Peers that are told the same are named up to here."""
TRIED = 4096
"""Routes among which an example of each kind is looked for."""


def told_lines(sessions: Mapping[str, PeerSession], intent: Intent, rib: Rib) -> Iterator[str]:
    """One line for each kind of change and all peers that it is the same for. Sessions that are
    down, or that do not go on under the new intent, are told everything anew anyway."""
    going_on = []
    for name, session in sorted(sessions.items()):
        peer = rib.peers.get(name)
        knows = session.up and session.greeted and session.telling is None
        if knows and peer is not None and session.serves(peer):
            would = copy.copy(session)
            would.take_over(peer, intent.export_policy)
            going_on.append(would)
    feed = RowFeed(*rib.row_exports.whole()) if going_on else RowFeed()
    groups = UpdateGroups(
        intent.apart,
        lambda peer: export_classes(intent.policies, peer, intent.contexts.members),
        lambda _: feed,
    )
    lines: list[str] = []
    judged = seen = 0
    for members, told in groups.rehearse(going_on, rib):
        seen += len(members)
        lines += _lines(members, members[0].out, told)
        judged += len(told.told) + len(told.denied)
        if judged > MOST:
            break
    yield from lines[:SHOWN]
    if more := len(lines[SHOWN:]):
        yield f"{more} more line{'s' * (more > 1)} of what is told otherwise"
    if rest := len(going_on) - seen:
        yield f"{rest} more peer{'s are' if rest > 1 else ' is'} told too much to be rehearsed"
    if not lines and not rest:
        yield "no peer is told otherwise"


def _lines(members: Sequence[PeerSession], old: Told, new: Told) -> Iterator[str]:
    news = difference(old, new)
    if not news:
        return
    names = ", ".join(session.peer.name for session in members[:NAMED])
    who = f"{names} and {len(members) - NAMED} more" if members[NAMED:] else names
    announced, withdrawn = news.counts
    news = _few(news)
    besides = len(new.told) - len(old.told) + withdrawn
    for count, kind, example in (
        (withdrawn, "no longer announced", _gone),
        (besides, "announced besides", _besides),
        (announced - besides, "announced with other attributes", _otherwise),
    ):
        if count > 0:
            routes = "1 route is" if count == 1 else f"{count} routes are"
            yield f"to {who}: {routes} {kind}{example(news, old, new)}"


def _gone(news: Changes, _: Told, new: Told) -> str:
    nlri = next(news.withdrawn(), None)
    if nlri is None:
        return ""
    return f", such as {about(nlri)} (announced → {new.denied.get(nlri.key, 'no route')})"


def _besides(news: Changes, old: Told, _: Told) -> str:
    known = old.told
    for nlri, _attributes in _tried(news):
        if nlri.key not in known:
            return f", such as {about(nlri)} ({old.denied.get(nlri.key, 'no route')} → announced)"
    return ""


def _otherwise(news: Changes, old: Told, _: Told) -> str:
    known = old.told
    for nlri, attributes in _tried(news):
        if (said := known.get(nlri.key)) is not None:
            words = "; ".join(differing(said[1], attributes)) or "another VNI, or said anew"
            return f", such as {about(nlri)} ({words})"
    return ""


def _few(news: Changes) -> Changes:
    """The first rows of each part: examples are looked for among them."""
    announced, withdrawn = (
        tuple(replace(part, rows=part.rows.part(slice(TRIED))) for part in parts)
        for parts in (news.announce_rows, news.withdraw_rows)
    )
    return replace(news, announce_rows=announced, withdraw_rows=withdrawn)


def _tried(news: Changes) -> Iterator[tuple[Nlri, PathAttributes]]:
    every = ((nlri, attributes) for attributes, nlris in news.announced() for nlri in nlris)
    return islice(every, TRIED)
