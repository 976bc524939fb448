"""What ``ccn show aggregates`` and ``ccn explain`` print of aggregates. In: a running gateway. Out:
JSON values: whether each is in force, why not, and which routes contribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccn_bgp.gateway.running import Running
from ccn_bgp.learn.aggregates import Standing
from ccn_bgp.model.bgp import Prefix

Filters = Mapping[str, str]
SHOWN = 20
"""Contributing routes that are named; the others are counted."""


def aggregates(gateway: Running, filters: Filters) -> dict[str, Any]:
    """Every aggregate of every table: see ``aggregate_json``."""
    rows = [
        aggregate_json(gateway, standing)
        for name, table in sorted(gateway.rib.tables.items())
        if filters.get("ccn") in (None, table.ccsi.ccn)
        for standing in gateway.rib.aggregates.of(name)
    ]
    return {"gateway": gateway.name, "aggregates": rows}


def aggregate_json(gateway: Running, standing: Standing) -> dict[str, Any]:
    """One aggregate in one table. ``contributing`` is how many routes do, ``routes`` the first of
    them, ``told-to`` the routers that have been told of it."""
    rib, aggregate = gateway.rib, standing.aggregate
    table = rib.tables[standing.table]
    state = "in force"
    if standing.contributing < aggregate.least:
        state = f"needs {aggregate.least} contributing"
    elif not standing.held:
        chosen = table.single.get(aggregate.prefix)
        by = "refused" if chosen is None else f"a route of {chosen[0].path.peer or 'its own'}"
        state = f"not used: {by}"
    told = [
        name
        for name, session in sorted(gateway.sessions.peers.items())
        if session.peer.router is not None
        and session.peer.router.ccn == table.ccsi.ccn
        and standing.held
        and session.out.told.get(aggregate.prefix) is not None
    ]
    found = rib.aggregates.contributing(standing.table, aggregate.name, SHOWN)
    return {
        "ccn": table.ccsi.ccn,
        "name": aggregate.name,
        "prefix": str(aggregate.prefix),
        "state": state,
        "summary-only": aggregate.summary_only,
        "contributing": standing.contributing,
        "routes": [str(prefix) for prefix in found],
        "told-to": told,
        "where": aggregate.where,
    }


def around(gateway: Running, table: str, target: Prefix) -> list[dict[str, Any]]:
    """The aggregates of a table that a prefix lies in."""
    return [
        aggregate_json(gateway, standing)
        for standing in gateway.rib.aggregates.of(table)
        if standing.aggregate.prefix.covers(target)
    ]
