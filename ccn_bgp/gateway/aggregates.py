"""Aggregates that CCNs name. In: a topology and its policies. Out: what learn/ keeps in the tables,
and findings on those that would harm somebody.

An aggregate drops what lies in it and in no route of it, at every gateway of its CCN. So it may not
lie in the space of a member, whose packets it would drop, nor around what a share brings, which it
would make a hijack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.topology import Attachment, Ccn, Gateway, Topology
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.rules import AggregateRule, PolicySet
from ccn_bgp.table.verify.owned import BOGONS


def aggregates_of(
    topology: Topology, policies: PolicySet, gateway: Gateway
) -> Mapping[str, Sequence[Aggregate]]:
    """By CCN, those that its tables at this gateway keep."""
    return {
        name: [
            _aggregate(policies.aggregates[word], Context(own_asn=gateway.asn, ccn=name))
            for word in dict.fromkeys(ccn.aggregates)
        ]
        for name, ccn in topology.ccns.items()
        if ccn.aggregates
    }


def _aggregate(rule: AggregateRule, context: Context) -> Aggregate:
    made = Aggregate(rule.name, rule.prefix, rule.where, rule.summary_only, rule.least)
    return made if rule.change is None else replace(made, change=_Changed(rule.change, context))


class _Changed:
    """``set:`` of an aggregate."""

    def __init__(self, change: Change, context: Context) -> None:
        self._change = change
        self._context = context

    def __call__(self, attributes: PathAttributes) -> PathAttributes:
        return self._change.apply(attributes, self._context)


def aggregate_findings(topology: Topology, policies: PolicySet) -> Iterator[Finding]:
    """What is wrong with the aggregates that CCNs name; one finding for each and each reason."""
    for name in sorted(topology.ccns):
        ccn = topology.ccns[name]
        first: dict[Prefix, str] = {}
        for word in dict.fromkeys(ccn.aggregates):
            rule = policies.aggregates.get(word)
            if rule is None:
                continue
            if (other := first.setdefault(rule.prefix, word)) != word:
                text = f"the aggregates {other} and {word} of CCN {name} have one prefix"
                yield _finding("ambiguous-owner", text, ccn, rule, f"aggregate {other}")
            yield from _harm(topology, ccn, rule)


def _harm(topology: Topology, ccn: Ccn, rule: AggregateRule) -> Iterator[Finding]:
    prefix = rule.prefix
    said = f"the aggregate {rule.name}, {prefix}, of CCN {ccn.name}"
    if prefix.length:
        for bogon in (b for b in BOGONS if b.overlaps(prefix)):
            text = f"{said} overlaps {bogon}, which is never routed"
            yield _finding("bogon", text, ccn, rule, str(bogon))
            break
        for space, whose in _underlay(topology):
            if space.overlaps(prefix):
                text = f"{said} holds {whose} ({space})"
                yield _finding("owned-space", text, ccn, rule, whose)
                break
    for space, whose in _members(topology, ccn.attach):
        if space.length and space.covers(prefix):
            text = f"{said} lies in {space} of {whose}: packets to the rest of it would be dropped"
            yield _finding("blackhole", text, ccn, rule, whose)
    silent = [a for a in ccn.attach if not a.propagate]
    for share in topology.shares:
        if share.consumer == ccn.name:
            for space in share.prefixes:
                if space.overlaps(prefix):
                    text = f"{said} overlaps {space}, which CCN {share.provider} shares with it"
                    yield _finding("hijack", text, ccn, rule, f"CCN {share.provider}")
        if share.provider == ccn.name:
            silent += topology.ccns[share.consumer].attach
    for space, whose in _members(topology, silent):
        if space.length and prefix.covers(space):
            text = (
                f"{said} covers {space} of {whose}, which sends here without a route back: its "
                "packets would be dropped"
            )
            yield _finding("blackhole", text, ccn, rule, whose)


def _underlay(topology: Topology) -> Iterator[tuple[Prefix, str]]:
    for gateway in topology.gateways.values():
        yield gateway.vtep.host_prefix, f"the VTEP of {gateway.name}"
        for uplink in gateway.uplinks:
            yield uplink.address.subnet, f"the underlay of {gateway.region}"


def _members(topology: Topology, members: Iterable[Attachment]) -> Iterator[tuple[Prefix, str]]:
    """The space of members, each once."""
    for member in dict.fromkeys(members):
        if member.kind == "idc":
            spaces = topology.idcs[member.name].cidrs
        else:
            vpc = topology.vpcs[member.name]
            spaces = (*vpc.cidrs, *(route.prefix for route in vpc.routes))
        for space in spaces:
            yield space, str(member)


def _finding(rule: str, text: str, ccn: Ccn, aggregate: AggregateRule, other: str) -> Finding:
    return Finding(
        rule=rule,
        message=text,
        where=aggregate.where,
        ccn=ccn.name,
        prefix=str(aggregate.prefix),
        witness={
            "address": str(aggregate.prefix.address),
            "hops": [f"CCN {ccn.name}", f"aggregate {aggregate.name}", other],
        },
    )
