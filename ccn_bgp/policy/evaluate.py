"""A route and the names of policies come in; accepted attributes or the reason why not go out.

Pure. The statements of the named policies are tried in order; the first that matches decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, Path, PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.rules import PolicySet, Statement

NO_POLICY = Denied("default of idc sessions", "RFC 8212")
"""No policy is named on a session that needs one (RFC 8212 §2.1)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The route may pass. ``attributes`` is the very object that came in if nothing was changed.

    ``trace`` holds the statements that matched; empty means the default let it pass.
    """

    attributes: PathAttributes
    trace: tuple[Statement, ...] = ()

    def __str__(self) -> str:
        if not self.trace:
            return "accepted by default"
        return "accepted by policy " + ", ".join(str(s) for s in self.trace)


Result = Accepted | Denied


def evaluate(
    policies: PolicySet,
    names: Sequence[str],
    path: Path,
    *,
    default: Literal["accept", "reject"],
) -> Result:
    """What the chain of policies ``names`` makes of one route.

    ``default`` decides when no statement matches: ``reject`` on IDC sessions (RFC 8212), ``accept``
    on gateway, reflector and host sessions. An unknown policy name is a KeyError: load_topology
    refuses such a file.
    """
    prefix = prefix_of(path)
    for name in names:
        for statement in policies.policies[name].statements:
            sets = statement.sets
            if sets is not None and (
                prefix is None or not any(held.matches(prefix) for held in sets)
            ):
                continue
            if statement.then == "reject":
                return Denied(statement.policy, statement.name, statement.where)
            change = statement.change
            attributes = path.attributes if change is None else change.apply(path.attributes)
            return Accepted(attributes, (statement,))
    if default == "accept":
        return Accepted(path.attributes)
    if not names:
        return NO_POLICY
    return Denied(", ".join(names), "none matched (default reject, RFC 8212)")


def prefix_of(path: Path) -> Prefix | None:
    """The prefix that prefix sets see: a host prefix for type 2; None where there is none."""
    nlri = path.nlri
    if isinstance(nlri, EvpnMacIp):
        return None if nlri.ip is None else nlri.ip.host_prefix
    if isinstance(nlri, EvpnOther):
        return None
    return nlri.prefix
