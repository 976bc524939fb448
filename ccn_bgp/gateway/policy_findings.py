"""What a topology's policies are found to be. In: a Topology and its PolicySet. Out: findings.

Everything that `ccn policy lint` says of the chains in use, and what only the topology can tell:
route targets that a CCN may not export.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.ccsi import export_targets
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Topology
from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.rules import PolicySet


def policy_findings(topology: Topology, policies: PolicySet) -> list[Finding]:
    """All of them; see above."""
    chains = [
        tuple(names)
        for router in topology.routers
        for names in (router.import_, router.export)
        if names and all(name in policies.policies for name in names)
    ]
    return [*lint(policies, chains), *_foreign_targets(topology, policies)]


def _foreign_targets(topology: Topology, policies: PolicySet) -> Iterator[Finding]:
    """Statements that set a route target which their CCN may not export; evaluation leaves it
    away."""
    told: set[tuple[str, str, RouteTarget]] = set()
    for router in topology.routers:
        ccn = topology.ccns.get(router.ccn)
        if ccn is None:
            continue
        allowed = export_targets(topology, ccn)
        for name in (*router.import_, *router.export):
            policy = policies.policies.get(name)
            for statement in policy.statements if policy is not None else ():
                changes = statement.change.communities if statement.change is not None else ()
                for value in (v for c in changes for v in (*(c.replace or ()), *c.add)):
                    if not isinstance(value, bytes) or not RouteTarget.is_target(value):
                        continue
                    target = RouteTarget(value)
                    key = statement.where, ccn.name, target
                    if target in allowed or key in told:
                        continue
                    told.add(key)
                    may = ", ".join(sorted(map(str, allowed))) or "none"
                    yield Finding(
                        rule="policy-target",
                        message=f"policy {name}, statement {statement.name}: CCN {ccn.name} may not"
                        f" export the route target {target} (it may: {may})",
                        where=statement.where,
                        ccn=ccn.name,
                        witness={
                            "chain": [
                                f"router {router.name}",
                                f"policy {name}",
                                f"statement {statement.name}",
                                f"route target {target}",
                            ]
                        },
                    )
