"""An item of ``aggregates:``. In: the entry as it stands. Out: an AggregateRule, or problems."""

from __future__ import annotations

from typing import Any

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.policy.at import At
from ccn_bgp.policy.read_change import read_change
from ccn_bgp.policy.read_sets import Sets
from ccn_bgp.policy.rules import AggregateRule

KEYS = ("prefix", "summary-only", "min-contributing", "as-set", "set")
MOST = 1_000_000


def read_aggregate(name: str, at: At, entry: dict[str, Any], sets: Sets) -> AggregateRule | None:
    """One aggregate; None if it cannot be used, and then a problem says why."""
    at.known(entry, KEYS)
    if "prefix" not in entry:
        at.say_key("the key 'prefix' is missing")
        return None
    try:
        prefix = Prefix.parse(str(entry["prefix"]))
    except ValueError as error:
        (at / "prefix").say(f"prefix: {error}")
        return None
    summary_only = entry.get("summary-only", False)
    if not isinstance(summary_only, bool):
        (at / "summary-only").say(f"summary-only: {summary_only!r} is neither true nor false")
    if entry.get("as-set", False) is not False:
        why = "RFC 9774 forbids AS_SETs; ATOMIC_AGGREGATE is set instead"
        (at / "as-set").say(f"as-set: {entry['as-set']!r} cannot be had", why)
    least = at.number(entry, "min-contributing", 1, MOST)
    change = read_change(at / "set", entry.get("set"), sets, (f"aggregate {name}",))
    return AggregateRule(name, at.key, prefix, summary_only is True, least or 1, change)
