"""An aggregate of a CCN (RFC 4271 §9.2.2.2): one prefix in the place of those that lie in it.

In from the policy files, by name; learn/aggregates.py says when it is in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import PathAttributes


def _as_it_is(attributes: PathAttributes) -> PathAttributes:
    return attributes


@dataclass(frozen=True, slots=True)
class Aggregate:
    """In force while at least ``least`` routes of a table lie in ``prefix`` and are longer.

    ``summary_only``: who is told of it is told of none of these. ``change`` makes of the attributes
    that RFC 4271 gives it those that the policy file wants. ``where``: ``file:line:column``.
    """

    name: str
    prefix: Prefix
    where: str
    summary_only: bool = False
    least: int = 1
    change: Callable[[PathAttributes], PathAttributes] = field(default=_as_it_is, compare=False)

    @property
    def peer(self) -> str:
        """Who says it, in the place of a peer's name."""
        return f"aggregate {self.name}"

    def gathers(self, prefix: Prefix) -> bool:
        """Whether a route of this prefix can contribute."""
        return prefix.length > self.prefix.length and self.prefix.covers(prefix)
