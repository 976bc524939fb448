"""max-prefixes, soft: of the accepted prefixes of a router the first N are used, the rest waits.

In: the Adj-RIB-In of a peer. Out: which rows are over the limit, and the Finding that says so. The
order is by content: IPv4 before IPv6, shorter before longer, then by address.
"""

from __future__ import annotations

import numpy as np

from ccn_bgp.learn.adj_rib_in import AdjRibIn
from ccn_bgp.learn.keys import WIDTHS, Bools
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.counted import counted
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway


def over_limit(adj: AdjRibIn, accepted: Bools, limit: int) -> dict[int, Bools]:
    """Rows over the limit, by width. ``accepted``: by number of a verdict."""
    left, found = limit, {}
    for width in WIDTHS:
        rows = adj.rows[width]
        over = np.zeros(len(rows), np.bool_)
        candidates = np.flatnonzero(accepted[rows.verdict])
        if len(candidates) > left:
            # Rows stand by address; a stable sort by length leaves that as the second key.
            length = rows.keys.length(rows.key[candidates])
            over[candidates[np.argsort(length, kind="stable")[left:]]] = True
        left = max(left - len(candidates), 0)
        found[width] = over
    return found


def limit_findings(adj: AdjRibIn, gateway: Gateway) -> list[Finding]:
    """The `capacity` finding of a router that says more than it may."""
    router, name = adj.peer.router, adj.peer.name
    if router is None or len(adj) <= (router.max_prefixes or len(adj)):
        return []
    held = [p for r in adj.rows.values() for p in r.keys.prefixes(r.key[r.held_back])]
    some = held or [p for r in adj.rows.values() for p in r.keys.prefixes(r.key)]
    first = min(some, key=shorter_first)
    text = f"{name} announces {counted(len(adj), 'prefix', 'prefixes')}, max-prefixes is "
    if held:
        after = f"{len(held)} accepted ones are held back, from {first} on"
    else:
        after = "policy and claims accept no more than that"
    return [
        Finding(
            rule="capacity",
            message=f"{text}{router.max_prefixes}; {after}",
            where=f"peer {name}",
            ccn=router.ccn,
            table=f"{gateway.name}/{router.ccn}",
            prefix=str(first),
            peer=name,
            witness={"address": str(first.address), "hops": [f"peer {name}"]},
        )
    ]


def shorter_first(prefix: Prefix) -> tuple[int, int, bytes]:
    """IPv4 before IPv6, shorter before longer, then by address."""
    return (len(prefix), prefix[-1], prefix)
