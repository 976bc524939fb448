"""What a topology's policies are found to be. In: a Topology and its PolicySet. Out: findings.

Everything that `ccn policy lint` says of the chains in use, and what only the topology can tell:
route targets that a CCN may not export.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ccn_bgp.gateway.aggregates import aggregate_findings
from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.ccsi import export_targets
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, IdcRouter, Neighbor, Share, Topology
from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.rules import PolicySet, Statement


def policy_findings(topology: Topology, policies: PolicySet) -> list[Finding]:
    """All of them; see above."""
    sessions: list[IdcRouter | Gateway | Neighbor | Share] = [
        *topology.routers,
        *topology.gateways.values(),
        *topology.neighbors,
        *topology.shares,
    ]
    chains = [
        tuple(names)
        for session in sessions
        for names in (session.import_, session.export)
        if names and all(name in policies.policies for name in names)
    ]
    found = [*lint(policies, chains), *_foreign_targets(topology, policies)]
    return [*found, *aggregate_findings(topology, policies)]


def _foreign_targets(topology: Topology, policies: PolicySet) -> Iterator[Finding]:
    """Statements that set a route target which their CCN, or on sessions with gateways any CCN, may
    not export; evaluation leaves it away."""
    told: set[tuple[str, str, RouteTarget]] = set()
    every = {t for ccn in topology.ccns.values() for t in export_targets(topology, ccn)}
    asked: list[tuple[str, str, tuple[str, ...], set[RouteTarget]]] = []
    for router in topology.routers:
        if ccn := topology.ccns.get(router.ccn):
            allowed = set(export_targets(topology, ccn))
            names = (*router.import_, *router.export)
            asked.append((f"router {router.name}", ccn.name, names, allowed))
    sessions: list[Gateway | Neighbor] = [*topology.gateways.values(), *topology.neighbors]
    for session in sessions:
        names = (*session.import_, *session.export)
        asked.append((f"session {session.name}", "", names, every))
    for share in topology.shares:
        asked.append((str(share), share.consumer, (*share.export, *share.import_), set()))
    for who, ccn_name, names, allowed in asked:
        for statement, target in _set_targets(policies, names):
            key = statement.where, ccn_name, target
            if target in allowed or key in told:
                continue
            told.add(key)
            at = f"policy {statement.policy}, statement {statement.name}"
            may = ", ".join(sorted(map(str, allowed))) or "none"
            said = f"CCN {ccn_name} may not export the route target {target} (it may: {may})"
            if not ccn_name:
                said = f"no CCN may export the route target {target}"
            if not allowed:
                said = f"a share sets no route target, and so not {target}"
            yield Finding(
                rule="policy-target",
                message=f"{at}: {said}",
                where=statement.where,
                ccn=ccn_name,
                witness={
                    "chain": [
                        who,
                        f"policy {statement.policy}",
                        f"statement {statement.name}",
                        f"route target {target}",
                    ]
                },
            )


def _set_targets(
    policies: PolicySet, names: Sequence[str]
) -> Iterator[tuple[Statement, RouteTarget]]:
    """Every route target that a statement of these policies adds."""
    for name in names:
        policy = policies.policies.get(name)
        for statement in policy.statements if policy is not None else ():
            if statement.change is not None:
                for target in sorted(statement.change.targets):
                    yield statement, target
