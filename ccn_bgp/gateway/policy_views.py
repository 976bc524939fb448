"""What ``ccn show policy`` prints. In: a running gateway. Out: the policies that bind its sessions,
statement by statement, and how often each of them has decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ccn_bgp.gateway.running import Running
from ccn_bgp.learn.judging import Hits
from ccn_bgp.learn.sharing import counted_by
from ccn_bgp.model.path import Nlri
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.rules import PolicySet

Json = Any
Filters = Mapping[str, str]


def policy(gateway: Running, filters: Filters) -> Json:
    """The statements of each session that a policy binds, in the order in which they are asked, and
    after them the default of the session.

    ``hits``: routes that a statement matched since the policies in force were read, a route once
    for each time that it was judged; of one that was rejected only the statement that did it
    counts. ``last``: the last of them. Sessions that are told the same share the counts of
    their export, which begin anew when all of them are down. Of a share its policies are asked
    about what it covers, a route from another gateway once for each table that it brings it to.
    """
    rows: list[dict[str, Any]] = []
    policies = gateway.intent.policies
    for name, session in sorted(gateway.sessions.peers.items()):
        peer = session.peer
        if filters.get("neighbor") not in (None, name):
            continue
        if not (peer.imports or peer.exports or peer.default == "reject"):
            continue
        heard, told = (gateway.rib.hits, name), (session.out.hits, "")
        for direction, names, counts in (
            ("import", peer.imports, heard),
            ("export", peer.exports, told),
        ):
            of = {"neighbor": name, "direction": direction}
            rows += _chain(policies, of, names, peer.default, counts)
    if "neighbor" not in filters:
        rows += _of_shares(gateway)
    return {"policy": rows}


def _chain(
    policies: PolicySet,
    of: Mapping[str, str],
    names: tuple[str, ...],
    default: str,
    counts: tuple[Hits, str],
) -> Iterator[dict[str, Any]]:
    """The statements of one chain and its default; ``of``: what is said of each of them,
    ``counts``: where its hits are, and whose."""
    found = _found(*counts, policies)
    for statement in _statements(policies, names):
        row: dict[str, Any] = {**of, **statement}
        key = row["policy"], row["statement"]
        row["hits"] = found.count[key]
        if key in found.last:
            row["last"] = found.last[key]
        yield row
    row = {**of, "policy": "", "statement": "default", "then": default}
    if names:
        row["hits"] = found.by_default
        if found.last_by_default:
            row["last"] = found.last_by_default
    yield row


def _of_shares(gateway: Running) -> Iterator[dict[str, Any]]:
    """The statements of the shares that bring something to tables here."""
    for name, table in sorted(gateway.rib.tables.items()):
        for number, share in enumerate(table.ccsi.shares):
            who = f"share {share.provider} to {table.ccsi.ccn}"
            whose = counted_by(name, number, "export"), counted_by(name, number, "import")
            for direction, names, counted in zip(
                ("export", "import"), (share.exports, share.imports), whose, strict=True
            ):
                if names:
                    counts = gateway.rib.hits, counted
                    of = {"neighbor": who, "direction": direction}
                    yield from _chain(gateway.intent.policies, of, names, "accept", counts)


def _statements(policies: PolicySet, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "policy": name,
            "statement": statement.name,
            "then": statement.then,
            "where": statement.where,
        }
        for name in names
        for statement in policies.policies[name].statements
    ]


@dataclass(slots=True)
class _Found:
    """By (policy, statement): how many routes, and the last; the same of those that no statement
    decided."""

    count: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    last: dict[tuple[str, str], str] = field(default_factory=dict)
    by_default: int = 0
    last_by_default: str = ""


def _found(hits: Hits, whose: str, policies: PolicySet) -> _Found:
    found = _Found()
    for (peer, by), nlri in hits.last.items():
        if peer != whose:
            continue
        count, last = hits.count[peer, by], _about(nlri)
        if isinstance(by, Denied):
            through = [(by.policy, by.statement)] if by.where else []
            decided = bool(by.where)
        else:
            assert isinstance(by, tuple)
            through = list(by)
            decided = bool(through) and any(
                s.ends
                for s in policies.policies[through[-1][0]].statements
                if s.name == through[-1][1]
            )
        if not decided:
            found.by_default += count
            found.last_by_default = last
        for statement in through:
            found.count[statement] += count
            found.last[statement] = last
    return found


def _about(nlri: Nlri) -> str:
    """A prefix or an address."""
    prefix = getattr(nlri, "prefix", None) or getattr(nlri, "ip", None)
    return str(prefix or nlri)
