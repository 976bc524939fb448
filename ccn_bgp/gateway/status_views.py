"""What ``ccn show`` prints when nobody says what: is all well, and if not, what is wrong and which
command tells more. In: a running gateway. Out: JSON values, one row for each thing.

``state``: ``ok``, ``wrong``, or ``note`` for what an operator may have meant so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ccn_bgp.errors import UnreachableError
from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.forwarder.drops import DROPS
from ccn_bgp.gateway.configuration import Kind
from ccn_bgp.gateway.counter_views import UPLINK_FAULTS, uplink_faults
from ccn_bgp.gateway.intent import finding_line
from ccn_bgp.gateway.peer import NEVER
from ccn_bgp.gateway.running import Running
from ccn_bgp.model.counted import counted
from ccn_bgp.session.child import is_stopped

Row = dict[str, str]

NAMED = 10
"""Sessions that are down are named one by one up to here."""
YOUNG = 300.0
"""Seconds: a session that has come back since is told with the reason why it had ended."""
LONG = 3600.0
"""The same of a forwarder."""
LATELY = 60.0
"""Seconds: a reason for drops that has hit nobody since is history."""


def status(gateway: Running, _: Mapping[str, str]) -> Any:
    """``ok`` if no row is ``wrong``."""
    rows = [
        *_configuration(gateway),
        *_sessions(gateway),
        *_forwarder(gateway),
        *_tables(gateway),
        *_findings(gateway),
    ]
    if gateway.recorder.failed:
        says = f"ended, learning goes on: {gateway.recorder.failed}"
        rows.append(_row("recording", "wrong", says, "make room; it begins at the next start"))
    return {
        "gateway": gateway.name,
        "ok": not any(row["state"] == "wrong" for row in rows),
        "status": rows,
        "configuration": gateway.configuration.as_json(),
    }


def _row(about: str, state: str, says: str, do: str = "") -> Row:
    return {"about": about, "state": state, "says": says, "do": do}


def _configuration(gateway: Running) -> Iterator[Row]:
    held = gateway.configuration
    since = _clock(held.since)
    if "topology" in held.refusals:
        says = f"{_refusal(gateway, 'topology')}; what is in force is of {since}"
        yield _row("configuration", "wrong", says, held.mended)
    elif edited := held.edited():
        names = ", ".join(map(str, edited[:NAMED])) + (", …" if edited[NAMED:] else "")
        says = f"edited since it was read ({since}): {names}"
        yield _row("configuration", "note", says, f"to have it in force: `{held.again}`")
    else:
        yield _row("configuration", "ok", f"{held.file} in force since {since}")
    if held.changes:
        more = len(held.changes) - 1
        says = held.changes[0] + (f" ({more} line{'s' * (more > 1)} more: --json)" if more else "")
        yield _row("last reload", "ok", says)
    if "inventory" in held.refusals:
        yield _row(
            "inventory", "wrong", _refusal(gateway, "inventory"), "mend it: it is read again"
        )


def _refusal(gateway: Running, kind: Kind) -> str:
    refused = gateway.configuration.refusals[kind]
    rest = len(refused.problems) - 1 + refused.more
    lines = f" ({rest} line{'s' * (rest > 1)} more: --json)" if rest else ""
    return f"the edit was refused at {_clock(refused.when)}: {refused.problems[0]}{lines}"


def _sessions(gateway: Running) -> Iterator[Row]:
    sessions = gateway.sessions
    down = [(n, s) for n, s in sorted(sessions.peers.items()) if not s.up]
    count = len(sessions.peers)
    yield _row("sessions", "wrong" if down else "ok", f"{count - len(down)} of {count} up")
    for name, session in down[:NAMED]:
        shut = sessions.limits.shut.get(name)
        why = session.why_down if shut is None else shut.reason
        says = f"{session.peer.role} down for {session.seconds:.0f} s: {why}"
        yield _row(name, "wrong", says, f"`ccn show neighbors --neighbor {name}`")
    if down[NAMED:]:
        says = f"{len(down) - NAMED} more sessions are down"
        yield _row("sessions", "wrong", says, "`ccn show neighbors`")
    for name, session in sorted(sessions.peers.items()):
        if session.up and session.seconds < YOUNG and session.last_reason != NEVER:
            says = (
                f"up for {session.seconds:.0f} s; the session before ended: {session.last_reason}"
            )
            yield _row(name, "note", says, f"`ccn show neighbors --neighbor {name}`")
    for speaker in sessions.speakers.running.values():
        if speaker.pid is not None and is_stopped(speaker.pid):
            says = f"ExaBGP (pid {speaker.pid}) was stopped: what its sessions are is not known"
            do = f"`kill -CONT {speaker.pid}`, or `kill -9 {speaker.pid}` and another is started"
            yield _row(f"speaker {speaker.name}", "wrong", says, do)
    if drained := sorted(gateway.intent.drain.names & sessions.peers.keys()):
        says = f"drained: {', '.join(drained[:NAMED])}{', …' if drained[NAMED:] else ''}"
        yield _row("sessions", "note", says, "`ccn neighbor NAME undrain`")


def _forwarder(gateway: Running) -> Iterator[Row]:
    if gateway.forwarder == "none":
        yield _row("forwarder", "note", "there is none (--forwarder none): no packet is forwarded")
        return
    try:
        counters, hits = gateway.counters(), gateway.offenders()
    except UnreachableError as error:
        do = "forwarder.log in the state directory"
        yield _row("forwarder", "wrong", str(error), do)
        return
    answers, lost = f"answers, generation {gateway.generation}", gateway.lost
    if lost.times and time.time() - lost.when < LONG:
        often = "once" if lost.times == 1 else f"{lost.times} times"
        says = f"{answers}; lost {often}, last at {_clock(lost.when)}: {lost.what}"
        yield _row("forwarder", "note", says, "forwarder.log in the state directory")
    else:
        yield _row("forwarder", "ok", answers)
    yield from _uplinks(counters)
    now = time.time()
    late = {hit.reason: now - hit.seconds for hit in hits if hit.last}
    whose = {hit.reason: _whose(hit) for hit in hits if hit.last}
    dropped = [
        f"{c.name} ({c.value}, last {max(late[c.name], 0):.0f} s ago{whose[c.name]}:"
        f" {DROPS[c.name].means})"
        for c in sorted(counters, key=lambda c: late.get(c.name, 0.0))
        if c.scope == "drop" and c.name in DROPS and late.get(c.name, LATELY) < LATELY
    ]
    if dropped:
        yield _row("drops", "note", "; ".join(dropped), "`ccn show counters`")


def _whose(hit: Offender) -> str:
    """Between whom, and from which host or gateway, as far as it was read."""
    between = f", {hit.source} to {hit.destination}" if hit.source is not None else ""
    return between + (f" from {hit.vtep}" if hit.vtep is not None else "")


def _uplinks(counters: Sequence[Counter]) -> Iterator[Row]:
    todo = {
        "link-down": "`ip link` here and the port at the other end",
        "router-silent": "`ccn show counters`; is `via` right and up?",
    }
    for name, what in uplink_faults(counters):
        yield _row(f"uplink {name}", "wrong", UPLINK_FAULTS[what], todo[what])


def _tables(gateway: Running) -> Iterator[Row]:
    if gateway.sessions.holding_back:
        waits = [n for n, s in sorted(gateway.sessions.peers.items()) if not s.complete]
        says = f"as before the restart: waiting for End-of-RIB of {', '.join(waits[:NAMED])}"
        yield _row("tables", "note", says, "nothing: it ends by itself")
    else:
        commits = gateway.history.records
        last = f", last changed {_clock(commits[-1].when)}" if commits else ""
        yield _row("tables", "ok", f"{counted(gateway.held.route_count, 'route')} in force{last}")
    if standing := gateway.proved.standing:
        says = f"refused, the old tables stay: {finding_line(standing[0])}"
        yield _row("commits", "wrong", says, "`ccn show findings`")
    elif gateway.trouble:
        says = f"fail, the old tables stay: {gateway.trouble}"
        yield _row(
            "commits", "wrong", says, "it is tried again; the log of `ccn run` has each time"
        )


def _findings(gateway: Running) -> Iterator[Row]:
    found = [*gateway.proved.findings, *gateway.sessions.limits.findings()]
    errors = sum(f.stands for f in found)
    if errors:
        first = next(f for f in found if f.stands)
        says = f"{counted(errors, 'error')}, such as {first.rule}: {first.message}"
        yield _row("findings", "wrong", says, "`ccn show findings`")
    else:
        yield _row(
            "findings", "ok", f"no errors, {counted(len(found), 'warning')}" if found else "none"
        )


def _clock(seconds: float) -> str:
    return time.strftime("%F %T", time.localtime(seconds))
