"""Every finding that can be decided from the topology file alone; pure.

In: a Topology. Out: Findings with position and witness, in the order of the file. Leaks, hijacks
and all else that depends on which table hears which are found by table/verify on the declared
world; undefined sets by policy/load.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ccn_bgp.config import acls, identity, overlap, sessions, space, uplinks
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Topology
from ccn_bgp.source import place

Rule = Callable[[Topology], Iterator[Finding]]

CATALOGUE: tuple[Rule, ...] = (
    identity.vni_collisions,
    identity.rt_collisions,
    identity.rd_collisions,
    identity.vtep_collisions,
    uplinks.uplink_mismatches,
    uplinks.underlay_families,
    identity.duplicate_vms,
    space.vms_outside,
    space.unresolved_gateways,
    space.bogons,
    space.owned_space,
    overlap.overlaps_in_ccn,
    space.mtu,
    space.capacity,
    sessions.router_mismatches,
    sessions.neighbor_mismatches,
    sessions.missing_policies,
    sessions.single_homed,
    sessions.no_authentication,
    sessions.asymmetric,
    acls.unused_acls,
    acls.unreachable_rules,
)


def declared_findings(topology: Topology) -> list[Finding]:
    """All findings of the catalogue, in the order of the file."""
    return in_file_order(finding for rule in CATALOGUE for finding in rule(topology))


def in_file_order(findings: Iterable[Finding]) -> list[Finding]:
    """By position, then by content: a total order that nothing but the file decides."""
    return sorted(findings, key=lambda f: (place(f.where), f.sort_key))
