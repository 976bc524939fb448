"""What a decoder found wrong with a message, and how strongly it must answer (RFC 7606 §2)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ccn_bgp.model.reason import Malformed


class Verdict(enum.Enum):
    """The answer to a message, weakest first; of several faults the strongest decides
    (RFC 7606 §3 h)."""

    OK = "ok"
    ATTRIBUTE_DISCARD = "attribute-discard"
    TREAT_AS_WITHDRAW = "treat-as-withdraw"
    SESSION_RESET = "session-reset"

    @property
    def severity(self) -> int:
        """0 (ok) … 3 (session reset)."""
        return _SEVERITY[self]


_SEVERITY = {verdict: index for index, verdict in enumerate(Verdict)}

HEADER_ERROR, OPEN_ERROR, UPDATE_ERROR, REFRESH_ERROR = 1, 2, 3, 7
"""NOTIFICATION error codes, RFC 4271 §4.5 and RFC 7313 §5."""


class Fault(NamedTuple):
    """One broken rule. ``notification`` is (code, subcode) if it comes to a session reset."""

    verdict: Verdict
    reason: Malformed
    notification: tuple[int, int] = (UPDATE_ERROR, 1)


def discard(rfc: str, text: str) -> Fault:
    """The attribute is dropped, its message stays usable."""
    return Fault(Verdict.ATTRIBUTE_DISCARD, Malformed(rfc, text))


@lru_cache(maxsize=256)
def withdraw(rfc: str, text: str) -> Fault:
    """The routes count as withdrawn. Thousands of routes of one message may have one fault."""
    return Fault(Verdict.TREAT_AS_WITHDRAW, Malformed(rfc, text))


def reset(rfc: str, text: str, code: int = UPDATE_ERROR, subcode: int = 1) -> Fault:
    """The session cannot go on."""
    return Fault(Verdict.SESSION_RESET, Malformed(rfc, text), (code, subcode))


def strongest(faults: Iterable[Fault]) -> Verdict:
    """The verdict of a message with these faults."""
    return max((f.verdict for f in faults), key=lambda v: v.severity, default=Verdict.OK)


def withdrawing(faults: Iterable[Fault]) -> bool:
    """True if any of these costs the routes."""
    return any(f.verdict.severity > Verdict.ATTRIBUTE_DISCARD.severity for f in faults)
