"""What verification says: one Finding per fault, with a witness that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]

ERRORS = frozenset(
    "schema leak rt-leak hijack ambiguous-owner transit-leak owned-space vni-collision rt-collision"
    " rd-collision vtep-collision duplicate-vm vm-outside-cidr unresolved-gateway blackhole loop"
    " misdelivery mtu undefined-set policy-target session-mismatch uplink-mismatch bogon".split()
)
WARNINGS = frozenset(
    "overlap-in-ccn latent-leak asymmetric capacity missing-policy unreachable-statement"
    " unused-set dead-regex undone-action falls-through"
    " single-homed no-authentication unused-suppression unused-acl unreachable-rule"
    " underlay-family".split()
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. ``where`` is ``file:line:column`` or ``peer NAME``; ``witness`` shows the fault:

    ``{"address", "ranges", "hops"}`` for prefixes, ``{"chain"}`` for route targets.
    ``table`` is ``gateway/ccn``; ``prefix`` and ``peer`` are texts, empty where they do not apply.
    ``suppressed`` is the operator's reason for accepting it (model/suppression.py).
    """

    rule: str
    message: str
    where: str = ""
    ccn: str = ""
    table: str = ""
    prefix: str = ""
    peer: str = ""
    witness: Mapping[str, Any] = field(default_factory=dict)
    suppressed: str = ""

    @property
    def severity(self) -> Severity:
        """Fixed by the rule."""
        return "warning" if self.rule in WARNINGS else "error"

    @property
    def stands(self) -> bool:
        """An error that nobody has accepted: it fails a check and keeps a route out of a table."""
        return not self.suppressed and self.severity == "error"

    @property
    def sort_key(self) -> tuple[str, ...]:
        """A total order that depends on content alone."""
        return (self.rule, self.table, self.prefix, self.peer, self.where, self.message)

    def as_json(self) -> dict[str, Any]:
        """The form printed by ``--json``; empty keys are left out."""
        found: dict[str, Any] = {
            "rule": self.rule,
            "severity": self.severity,
            "message": self.message,
            "where": self.where,
            "ccn": self.ccn,
        }
        for name in ("table", "prefix", "peer", "suppressed"):
            if value := getattr(self, name):
                found[name] = value
        found["witness"] = dict(self.witness)
        return found
