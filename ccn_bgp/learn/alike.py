"""Attribute sets that nobody who judges tells apart: one of them is judged, the others with it.

In: sets of one peer that have a table to go to and no Claim against them, and what its import
policy looks at. Out: families, and the Terms of their members. A router with the table of the
Internet says a hundred thousand AS paths, a gateway with a table for each of thousands of CCNs as
many route targets: hardly any policy asks for them. judging.py is the definition; that both agree
is held by tests/property/test_learn_alike.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

from ccn_bgp.learn.candidate import Source
from ccn_bgp.learn.importing import Origins
from ccn_bgp.learn.judging import LONGEST_PATH
from ccn_bgp.learn.terms import Terms
from ccn_bgp.model.bgp import Asn
from ccn_bgp.model.path import PathAttributes, Segment
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.rows import NO_ESI, PathBody, tuples

_JUDGED = ("next_hop", "originator_id", "cluster_list", "only_to_customer")
"""What a Judge and resolution look at, beside the AS path and the router's MAC of a tunnel; what
policy looks at comes to it."""


class Looks(NamedTuple):
    """What import policy looks at and changes of attributes: names of fields of PathAttributes.
    Sets with one of the communities ``apart`` are judged by themselves."""

    fields: tuple[str, ...] = ()
    apart: frozenset[int] = frozenset()


def kin(looks: Looks, *, tunnel: bool) -> Callable[[PathAttributes], Any]:
    """A function that is equal for attributes of one family, if their AS paths are plain;
    ``tunnel``: what they are said of leads into one."""
    mac = ("router_mac",) if tunnel else ()
    return attrgetter(*dict.fromkeys((*_JUDGED, *mac, *looks.fields)))


def plain(as_path: tuple[Segment, ...], local_asn: Asn) -> bool:
    """Whether an AS path is none that a Judge has something to say of."""
    hops = 0
    for _, asns in as_path:
        if local_asn in asns:
            return False
        hops += len(asns)
    return hops <= LONGEST_PATH


Member = tuple[int, PathBody]


def families(
    members: Iterable[Member], looks: Looks, local_asn: Asn, *, tunnel: bool
) -> list[list[Member]]:
    """Bodies without a gateway IP in groups of which one can stand for all; what is kept with each
    body comes along."""
    found: dict[Hashable, list[Member]] = {}
    key, apart = kin(looks, tunnel=tunnel), looks.apart
    # Sets of one peer share the objects of equal AS paths and lists of communities, which the
    # members keep alive.
    good: dict[int, bool] = {}
    for member in members:
        attributes, esi, _, _ = member[1]
        as_path = attributes.as_path
        passed = good.get(id(as_path))
        if passed is None:
            passed = good[id(as_path)] = plain(as_path, local_asn)
        if passed and (not attributes.communities or apart.isdisjoint(attributes.communities)):
            kind = key(attributes) if esi == NO_ESI else (esi, key(attributes))
            family = found.get(kind)
            if family is None:
                found[kind] = [member]
            else:
                family.append(member)
    return list(found.values())


def terms_of(
    peer: int,
    bodies: Sequence[PathBody],
    sets: Sequence[PathAttributes],
    hop: NextHop | None,
    origins: Origins,
) -> list[Terms]:
    """The Terms of one family of a remote gateway; ``sets``: its attributes after policy. ``hop``:
    where the first of them leads, a tunnel, or nowhere; the others lead there with their own
    VNI."""
    _, esis, gateways, vnis = zip(*bodies, strict=True)
    hops: dict[int, NextHop | None] = dict.fromkeys(vnis)
    if hop is not None:
        kind, _, *others = hop
        kinds, (ips, macs, interfaces, groups) = repeat(kind), map(repeat, others)
        led = tuples(NextHop, kinds, hops, ips, macs, interfaces, groups)
        hops = dict(zip(hops, led, strict=True))
    begin, there = origins.of_vnis(vnis, sets), map(hops.__getitem__, vnis)
    peers, sources, tables = repeat(peer), repeat(Source.REMOTE), repeat(0)
    return tuples(Terms, peers, sets, esis, gateways, vnis, sources, begin, there, tables)


def terms_of_site(
    peer: int, sets: Sequence[PathAttributes], hop: NextHop | None, table: str
) -> list[Terms]:
    """The same of a router of a data centre, whose routes begin in the one table they go to."""
    peers, site, tables, hops = repeat(peer), repeat(Source.IDC), repeat(table), repeat(hop)
    none, zero = repeat(None), repeat(0)
    return tuples(Terms, peers, sets, repeat(NO_ESI), none, zero, site, tables, hops, zero)
