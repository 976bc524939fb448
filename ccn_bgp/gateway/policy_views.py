"""What ``ccn show policy`` prints. In: a running gateway. Out: the policies that bind its sessions,
statement by statement, and how often each of them has decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ccn_bgp.gateway.running import Running
from ccn_bgp.model.path import Nlri
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.rules import PolicySet

Json = Any
Filters = Mapping[str, str]


def policy(gateway: Running, filters: Filters) -> Json:
    """The statements of each session that a policy binds, in the order in which they are asked, and
    after them the default of the session.

    ``hits`` of an import statement: paths that it matched since the policies in force were read, a
    path once for each time that it was judged; of one that was rejected only the statement that did
    it counts. ``last``: one of the most recent. Export statements are not counted.
    """
    rows: list[dict[str, Any]] = []
    for name, session in sorted(gateway.sessions.peers.items()):
        peer = session.peer
        if filters.get("neighbor") not in (None, name):
            continue
        if not (peer.imports or peer.exports or peer.default == "reject"):
            continue
        hits, last, by_default = _hits(gateway, name)
        for direction, names in (("import", peer.imports), ("export", peer.exports)):
            for statement in _statements(gateway.intent.policies, names):
                row = {"neighbor": name, "direction": direction, **statement}
                if direction == "import":
                    key = row["policy"], row["statement"]
                    row["hits"] = hits[key]
                    if key in last:
                        row["last"] = last[key]
                rows.append(row)
            row = {"neighbor": name, "direction": direction, "policy": "", "statement": "default"}
            row["then"] = peer.default
            if direction == "import" and names:
                row["hits"] = by_default
            rows.append(row)
    return {"policy": rows}


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


def _hits(
    gateway: Running, neighbor: str
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], str], int]:
    """By (policy, statement): how many paths, and the last; and how many no statement decided."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], str] = {}
    by_default = 0
    hits, policies = gateway.rib.hits, gateway.intent.policies.policies
    for (peer, by), count in hits.count.items():
        if peer != neighbor:
            continue
        if isinstance(by, Denied):
            through = [(by.policy, by.statement)] if by.where else []
            decided = bool(by.where)
        else:
            assert isinstance(by, tuple)
            through = list(by)
            decided = bool(through) and any(
                s.ends for s in policies[through[-1][0]].statements if s.name == through[-1][1]
            )
        by_default += 0 if decided else count
        for statement in through:
            found[statement] += count
            last[statement] = _about(hits.last[peer, by])
    return found, last, by_default


def _about(nlri: Nlri) -> str:
    """A prefix or an address."""
    prefix = getattr(nlri, "prefix", None) or getattr(nlri, "ip", None)
    return str(prefix or nlri)
