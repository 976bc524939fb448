"""Why something is not used. Every "no" is one of these values; ``ccn explain`` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from ccn_bgp.model.bgp import Ip


@dataclass(frozen=True, slots=True)
class Malformed:
    """The message broke a rule; ``rfc`` names the section (``RFC 7606 §7.1``)."""

    rfc: str
    text: str

    def __str__(self) -> str:
        return f"malformed: {self.text} ({self.rfc})"


@dataclass(frozen=True, slots=True)
class Looped:
    """Our own AS, router-id or cluster-id is in the path (RFC 4271 §9.1.2, 4456 §8)."""

    text: str

    def __str__(self) -> str:
        return f"loop: {self.text}"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard that no policy can switch off: a route leak (RFC 9234 §5), or a path too long."""

    text: str

    def __str__(self) -> str:
        return f"guarded: {self.text}"


@dataclass(frozen=True, slots=True)
class Denied:
    """A policy statement (or the default of the session) rejected it.

    ``where`` is the statement's ``file:line:column``, empty for a default.
    """

    policy: str
    statement: str
    where: str = ""

    def __str__(self) -> str:
        text = f"denied by policy {self.policy}, statement {self.statement}"
        return f"{text} ({self.where})" if self.where else text


@dataclass(frozen=True, slots=True)
class Withheld(Denied):
    """It carries a community that forbids to tell it (RFC 1997); ``statement`` is its name."""

    def __str__(self) -> str:
        return f"it carries {self.statement} ({self.policy})"


@dataclass(frozen=True, slots=True)
class Summarised(Denied):
    """An aggregate that is ``summary-only`` says it; ``policy`` names the aggregate."""

    def __str__(self) -> str:
        return f"held back by {self.policy}, {self.statement} ({self.where})"


@dataclass(frozen=True, slots=True)
class NotImported:
    """No CCSI of this gateway imports any of its route targets."""

    targets: str

    def __str__(self) -> str:
        return f"not imported: no table imports {self.targets}"


@dataclass(frozen=True, slots=True)
class NotBest:
    """Lost the decision process at a numbered step (learn/bestpath.py)."""

    step: int
    text: str

    def __str__(self) -> str:
        return f"not best: step {self.step}, {self.text}"


@dataclass(frozen=True, slots=True)
class Multipath:
    """As good as the best through step 7 (learn/bestpath.py): it shares the prefix, and is not
    announced."""

    def __str__(self) -> str:
        return "multipath: as good as the best path through step 7"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The gateway IP or next hop has no answer yet."""

    gateway: Ip
    text: str

    def __str__(self) -> str:
        return f"unresolved: {self.gateway} {self.text}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The verifier found a fault; the rule and its message."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"refused: {self.rule}: {self.text}"


Reason = (
    Malformed | Looped | Guarded | Denied | NotImported | NotBest | Multipath | Unresolved | Refused
)
