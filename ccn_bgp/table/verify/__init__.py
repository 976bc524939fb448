"""Verification: from what is held and what is declared to the faults, exact on every address.

In: a World (world.py). Out: Findings, each with a witness. Nothing here reads the code that made
the tables: the two must not share a mistake.
"""

from __future__ import annotations

from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.prefixes import prefix_findings
from ccn_bgp.table.verify.reading import parse_world
from ccn_bgp.table.verify.targets import target_findings
from ccn_bgp.table.verify.world import World

__all__ = ["World", "parse_world", "verify_world"]


def verify_world(world: World) -> list[Finding]:
    """Every fault of a World, sorted by content."""
    found = [*prefix_findings(world), *target_findings(world)]
    return sorted(found, key=lambda f: f.sort_key)
