"""Members of one CCN with the same addresses: who wins where. In: a Topology. Out: overlap-in-ccn.

A longer prefix wins over a shorter one everywhere. Of equal prefixes each gateway prefers, in this
order: a VPC declared in its region, a data centre learned at one of its own routers, another
region; among equals the best-path steps decide (docs/concepts.md). The loser stays in the tables
and takes over when the winner goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ccn_bgp.config.space import Claim, claims_of, idcs_of_ccns, overlaps
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, Topology

SOURCES = ("declared in its region", "learned from a data centre here", "of another region")


def overlaps_in_ccn(topology: Topology) -> Iterator[Finding]:
    """Legal, but one of them loses. What a data centre must not claim is owned-space instead."""
    idcs = idcs_of_ccns(topology)
    for ccn in topology.ccns:
        for cover, covered in overlaps(claims_of(topology, ccn, idcs)):
            kinds = {cover.owner[:4], covered.owner[:4]}
            if kinds == {"idc/", "vpc/"} and (cover.prefix.length and covered.prefix.length):
                continue  # owned-space says it, as an error
            if not cover.prefix.length or (cover.owner == covered.owner and kinds == {"idc/"}):
                continue  # a default route beside other routes; an IDC's own pieces
            if cover.prefix == covered.prefix:
                yield _equal(topology, ccn, cover, covered)
            else:
                yield _longer(topology, ccn, cover, covered)


def _longer(topology: Topology, ccn: str, cover: Claim, covered: Claim) -> Finding:
    return _finding(
        topology,
        ccn,
        covered,
        f"{covered.prefix} of {covered.owner} lies in {cover.prefix} of {cover.owner}:"
        f" {covered.owner} wins there, {cover.owner} loses",
        {
            "hops": [covered.owner, cover.owner],
            "winner": covered.owner,
            "loser": cover.owner,
            "by": "longest match",
        },
    )


def _equal(topology: Topology, ccn: str, first: Claim, second: Claim) -> Finding:
    rows, words = [], []
    for name in sorted(topology.gateways):
        gateway = topology.gateways[name]
        if not _present(topology, gateway, ccn):
            continue
        ranks = [_rank(topology, gateway, ccn, c) for c in (first, second)]
        if ranks[0] == ranks[1]:
            # Both declared here: by name, as claims are sorted. Else only the peers can tell.
            held = ranks[0] == 0
            by = "first by name" if held else "the best-path steps"
            winner, loser = (first.owner, second.owner) if held else ("", "")
            words.append(f"at {name} {winner} ({by})" if held else f"at {name} {by} decide")
        else:
            best, worst = (first, second) if ranks[0] < ranks[1] else (second, first)
            winner, loser, by = best.owner, worst.owner, SOURCES[min(ranks)]
            words.append(f"at {name} {winner} ({by})")
        rows.append({"gateway": name, "winner": winner, "loser": loser, "by": by})
    return _finding(
        topology,
        ccn,
        second,
        f"{second.prefix} is of {first.owner} and of {second.owner}; who wins: "
        + (", ".join(words) or "nobody, no gateway holds this CCN"),
        {"hops": [first.owner, second.owner], "winners": rows},
    )


def _present(topology: Topology, gateway: Gateway, ccn: str) -> bool:
    members = topology.ccns[ccn].attach
    if any(r.gateway == gateway.name and r.ccn == ccn for r in topology.routers):
        return True
    return any(a.kind == "vpc" and topology.vpcs[a.name].region == gateway.region for a in members)


def _rank(topology: Topology, gateway: Gateway, ccn: str, claim: Claim) -> int:
    """An index into SOURCES."""
    kind, _, name = claim.owner.partition("/")
    if kind == "vpc":
        return 0 if topology.vpcs[name].region == gateway.region else 2
    here = any(r.gateway == gateway.name and r.ccn == ccn for r in topology.idcs[name].routers)
    return 1 if here else 2


def _finding(
    topology: Topology, ccn: str, at: Claim, text: str, witness: dict[str, Any]
) -> Finding:
    return Finding(
        rule="overlap-in-ccn",
        message=text,
        where=topology.at(*at.path),
        ccn=ccn,
        prefix=str(at.prefix),
        witness={"address": str(at.prefix.address), **witness},
    )
