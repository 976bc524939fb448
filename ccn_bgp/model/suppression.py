"""Findings that the operator has accepted: Findings and suppressions in, marked Findings out.

A suppression names the rule and what it holds for, and says why. It never hides a finding: it marks
it, and a marked error neither fails a check nor keeps a route out of a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import ERRORS, WARNINGS, Finding

UNUSED = "unused-suppression"
SUPPRESSIBLE = (ERRORS | WARNINGS) - {"schema", UNUSED}
EXPLICIT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("leak", "hijack", "ambiguous-owner", "misdelivery"), ("ccn", "prefix")),
    **dict.fromkeys(("rt-leak", "transit-leak"), ("ccn", "from")),
    "owned-space": ("prefix",),
    **dict.fromkeys(("vni-collision", "rt-collision", "rd-collision"), ("where",)),
}
"""What a suppression of an error of isolation must name: none of these is accepted wholesale."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """One item of ``suppress:``. Empty keys hold for all; ``places`` are the positions at and
    beneath the key path ``path`` (None: everywhere), ``where`` is the item's own position."""

    rule: str
    reason: str
    where: str
    ccn: str = ""
    from_: str = ""
    prefix: Prefix | None = None
    peer: str = ""
    path: str = ""
    places: frozenset[str] | None = field(default=None, repr=False)

    def covers(self, finding: Finding) -> bool:
        """Is this finding one of those that the item accepts?"""
        if finding.rule != self.rule:
            return False
        if self.ccn and finding.ccn != self.ccn:
            return False
        if self.peer and finding.peer != self.peer:
            return False
        if self.places is not None and finding.where not in self.places:
            return False
        if self.prefix is not None and not (
            finding.prefix and self.prefix.covers(Prefix.parse(finding.prefix))
        ):
            return False
        return not self.from_ or self.from_ == _provider(finding)

    def __str__(self) -> str:
        named = {
            "ccn": self.ccn,
            "from": self.from_,
            "prefix": str(self.prefix or ""),
            "peer": self.peer,
            "where": self.path,
        }
        words = [f"{key} {value}" for key, value in named.items() if value]
        return " ".join([self.rule, *words])


def _provider(finding: Finding) -> str:
    """The CCN where the chain of a route-target finding begins."""
    chain = finding.witness.get("chain") or ("",)
    return str(chain[0]).rpartition("/")[2]


def marked(findings: Iterable[Finding], suppressions: Sequence[Suppression]) -> list[Finding]:
    """The same findings; those that a suppression covers carry its reason (the first item's)."""
    if not suppressions:
        return list(findings)
    by_rule: dict[str, list[Suppression]] = {}
    for item in suppressions:
        by_rule.setdefault(item.rule, []).append(item)
    found = []
    for finding in findings:
        items = by_rule.get(finding.rule, ())
        reason = next((item.reason for item in items if item.covers(finding)), "")
        found.append(replace(finding, suppressed=reason) if reason else finding)
    return found


def unused(findings: Sequence[Finding], suppressions: Sequence[Suppression]) -> list[Finding]:
    """A warning for each item that accepts nothing here.

    An item that names a peer may be about what that peer announces, which no file shows.
    """
    return [
        Finding(
            rule=UNUSED,
            message=f"nothing here is accepted by this item ({item})",
            where=item.where,
            ccn=item.ccn,
            witness={"chain": [f"suppress {item}", "no finding"]},
        )
        for item in suppressions
        if not item.peer and not any(item.covers(f) for f in findings)
    ]
