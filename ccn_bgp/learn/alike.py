"""Attribute sets that differ in their route targets alone, as a gateway with a table for each of
thousands of CCNs says them: judged by one of them.

In: bodies of one peer, each with the one table that takes it and no Claim against it. Out: groups
of which one stands for all, and the Terms of each. judging.py is the definition; that both agree is
held by tests/property/test_learn_alike.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter

from ccn_bgp.learn.candidate import Source
from ccn_bgp.learn.importing import Origins
from ccn_bgp.learn.terms import Terms
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.rows import PathBody

_FIELDS = attrgetter(
    "origin",
    "as_path",
    "next_hop",
    "med",
    "local_pref",
    "atomic_aggregate",
    "aggregator",
    "communities",
    "large_communities",
    "originator_id",
    "cluster_list",
    "only_to_customer",
    "unknown",
    "tag",
    "preference",
    "router_mac",
)
"""All fields but the extended communities; the router's MAC stands for most of those."""
_TARGET, _TARGETS = 0x02, (0x00, 0x01, 0x02)
"""Sub-type and types of a route target, see RouteTarget.is_target()."""


def kin(attributes: PathAttributes) -> Hashable:
    """Equal for attributes that differ in their route targets alone."""
    others = [c for c in attributes.extended_communities if c[1] != _TARGET or c[0] not in _TARGETS]
    return _FIELDS(attributes), *others


def families(bodies: Iterable[tuple[int, PathBody]]) -> list[list[tuple[int, PathBody]]]:
    """Bodies of type 5 routes with a VNI and without a gateway IP, in groups of which one can stand
    for all; what is kept with each body comes along."""
    found: dict[Hashable, list[tuple[int, PathBody]]] = {}
    for item in bodies:
        attributes, esi, _, _ = item[1]
        found.setdefault((kin(attributes), esi), []).append(item)
    return list(found.values())


def terms_of(
    peer: int, bodies: Sequence[PathBody], hop: NextHop | None, origins: Origins
) -> list[Terms]:
    """The Terms of one family, accepted with the attributes as they are. ``hop``: where the first
    of them leads, a tunnel, or nowhere; the others lead there with their own VNI."""
    made: list[Terms] = []
    for attributes, esi, gateway, vni in bodies:
        leads = None if hop is None else NextHop(hop.kind, vni, hop.ip, hop.mac)
        origin = origins.of_vni(vni, attributes)
        made.append(Terms(peer, attributes, esi, gateway, vni, Source.REMOTE, origin, leads))
    return made
