"""What a new intent makes of all that has been heard, before it is in force.

In: the Rib of the day, and one that has taken over its Adj-RIB-Ins under the new intent. Out: a
Guard that has proved the new tables, and lines that say which routes are judged otherwise; or a
RefusedError, and then nothing has changed: the old intent goes on, whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ccn_bgp.errors import Problem, RefusedError
from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.intent import Intent, finding_line
from ccn_bgp.learn.adj_rib_in import AdjRibIn
from ccn_bgp.learn.judging import Permitted
from ccn_bgp.learn.rib import Outcome, Rib
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import Nlri, Path, PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.topology import Topology
from ccn_bgp.policy.routes import attributes_json

log = logging.getLogger("ccn.gateway")

SHOWN = 20
"""Lines told of one reload."""


@dataclass(slots=True)
class Shift:
    """Routes of one peer that are judged otherwise in one way, and an example of them."""

    peer: str
    kind: str
    count: int
    example: Path
    before: Outcome
    after: Outcome


def log_line(line: str) -> None:
    """Say it in the log."""
    log.info("reload: %s", line)


def rehearse(
    before: Intent,
    proved: Proved,
    old: Rib,
    intent: Intent,
    rib: Rib,
    *,
    say: Callable[[str], None] = log_line,
) -> Guard:
    """Have ``rib`` take over what ``old`` has heard, ``say`` what it judges otherwise, and prove
    what it makes of it. From here on ``rib`` may be used, and ``old`` no longer.

    RefusedError: an error that no quarantine ends; or only policies differ, and a route that is in
    force would be refused. Then ``rib`` is void, and ``old`` goes on.
    """
    old.settle()
    rib.compacts = False  # both count by the same numbers now
    rib.adopt(old)
    rib.vms.clock = time.monotonic  # from now on: what was heard before are no moves
    guard = Guard(intent, rib)
    found = guard.prove()
    for line in lines(before, old, intent, rib):
        say(line)
    if found.standing:
        raise RefusedError(*(Problem(f.where, finding_line(f)) for f in found.standing))
    lost = list(_lost(proved, found, old))
    if lost and _network(before.topology) == _network(intent.topology):
        raise RefusedError(
            *(
                Problem(f.where, f"policies: {f.prefix} would be refused: {finding_line(f)}")
                for f in lost[:SHOWN]
            )
        )
    rib.compacts = True
    return guard


def _lost(before: Proved, after: Proved, old: Rib) -> Iterator[Finding]:
    """Errors for which a prefix is refused that is in force and was not."""
    known = {(f.rule, f.table, f.prefix) for f in before.findings}
    for finding in after.findings:
        table = old.tables.get(finding.table)
        if not finding.stands or table is None or not finding.prefix:
            continue
        fresh = (finding.rule, finding.table, finding.prefix) not in known
        if fresh and Prefix.parse(finding.prefix) in table.routes:
            yield finding


def _network(topology: Topology) -> Topology:
    """All but the policies."""
    return replace(
        topology,
        policies=(),
        gateways={n: replace(g, import_=(), export=()) for n, g in topology.gateways.items()},
        neighbors=tuple(replace(n, import_=(), export=()) for n in topology.neighbors),
        shares=tuple(replace(s, import_=(), export=()) for s in topology.shares),
        ccns={n: replace(c, aggregates=()) for n, c in topology.ccns.items()},
        idcs={
            name: replace(
                idc, routers=tuple(replace(r, import_=(), export=()) for r in idc.routers)
            )
            for name, idc in topology.idcs.items()
        },
    )


def lines(before: Intent, old: Rib, intent: Intent, rib: Rib) -> Iterator[str]:
    """What is judged otherwise, for the log: one line for each peer and kind."""
    found = sorted(shifts(old, rib), key=lambda s: (s.peer, s.kind))
    for shift in found[:SHOWN]:
        one, other = (
            _judged(of.import_policy, held.peers[shift.peer], shift.example, outcome)
            for of, held, outcome in ((before, old, shift.before), (intent, rib, shift.after))
        )
        routes = "1 route is" if shift.count == 1 else f"{shift.count} routes are"
        yield (
            f"{shift.peer}: {routes} {shift.kind}, such as {about(shift.example.nlri)}"
            f" ({one} → {other}{_changed(shift)})"
        )
    if len(found) > SHOWN:
        yield f"{len(found) - SHOWN} more peers: see `ccn policy diff --gateway` beforehand"
    if not found:
        yield "no route that has been heard is judged otherwise"


def shifts(old: Rib, new: Rib) -> Iterator[Shift]:
    """Routes that are judged otherwise. Both must hold the same, and have settled."""
    for name, adj in new.adj_in.items():
        if name not in old.adj_in:
            continue
        by_kind: dict[str, Shift] = {}
        for told in _told_apart(old.adj_in[name], adj, old, new):
            kind = _kind(told.before, told.after)
            if kind in by_kind:
                by_kind[kind].count += told.routes
            elif kind:
                by_kind[kind] = Shift(name, kind, *told._replace(example=told.example()))
        yield from by_kind.values()


class _Apart(NamedTuple):
    """``routes`` whose outcome differs, and how to make one of them."""

    routes: int
    example: Any
    before: Outcome
    after: Outcome


def _told_apart(before: AdjRibIn, after: AdjRibIn, old: Rib, new: Rib) -> Iterator[_Apart]:
    for width, rows in after.rows.items():
        was = before.rows[width]
        if len(was) != len(rows) or not np.array_equal(was.key, rows.key):
            continue  # another peer, of which nothing was taken over
        both = was.verdict.astype(np.uint64) << np.uint64(32) | rows.verdict.astype(np.uint64)
        pairs, first, counts = np.unique(both, return_index=True, return_counts=True)
        for pair, row, count in zip(pairs.tolist(), first.tolist(), counts.tolist(), strict=True):
            one, other = old.outcome(pair >> 32), new.outcome(pair & 0xFFFFFFFF)
            yield _Apart(count, partial(after.path, rows, row), one, other)
    for key, heard in after.others.items():
        if (known := before.others.get(key)) is not None:
            one, other = Outcome(known.reason, None), Outcome(heard.reason, None)
            yield _Apart(1, partial(getattr, heard, "path"), one, other)


def _kind(before: Outcome, after: Outcome) -> str:
    """How the two differ; nothing if it is not used, whoever says so."""
    if after.reason is not None:
        return "" if before.reason is not None else "no longer accepted"
    if before.reason is not None:
        return "accepted now"
    if [table for table, _ in before.each] != [table for table, _ in after.each]:
        return "taken by other tables"
    return "accepted with other attributes" if before.each != after.each else ""


def _judged(policy: Callable[[Peer, Path], object], peer: Peer, path: Path, said: Outcome) -> str:
    """By which word of policy, or why not."""
    if said.reason is not None:
        return str(said.reason)
    judged = policy(peer, path)
    if isinstance(judged, Permitted) and isinstance(judged.by, tuple) and judged.by:
        return "accepted by " + "/".join(judged.by[-1])
    return "accepted" if not isinstance(judged, Denied) else str(judged)


def _changed(shift: Shift) -> str:
    tables = [", ".join(t for t, _ in o.each) for o in (shift.before, shift.after)]
    if all(tables) and tables[0] != tables[1]:
        return f"; tables {tables[0]} → {tables[1]}"
    pairs = zip(shift.before.each, shift.after.each, strict=False)
    one, other = next(((a, b) for (_, a), (_, b) in pairs if a != b), (None, None))
    if one is None or other is None:
        return ""
    return "".join(f"; {words}" for words in differing(one, other))


def differing(one: PathAttributes, other: PathAttributes) -> Iterator[str]:
    """Each attribute in which two sets differ, before and after."""
    old, new = attributes_json(one), attributes_json(other)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key, 'unset')} → {new.get(key, 'unset')}"


def about(nlri: Nlri) -> str:
    """A prefix or an address."""
    return str(getattr(nlri, "prefix", None) or getattr(nlri, "ip", None) or nlri)
