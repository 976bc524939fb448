"""Policies on shares. In: a table, and a path that a share may bring there. Out: its attributes in
that table, or the reason why it is not taken.

A share bounds by prefix; its policies (the provider's export, then the consumer's import) only
narrow that, or change attributes. Of several shares that cover a route the first that lets it pass
decides. Tables that take the route by right never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Literal, NamedTuple

from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.ccsi import ShareImport
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes, Unicast
from ccn_bgp.model.reason import Denied

Direction = Literal["export", "import"]


class Asked(NamedTuple):
    """What the policies of one share make of a path, and which word was the last of its export and
    of its import; of one that was not asked there is none."""

    judged: PathAttributes | Denied
    words: tuple[tuple[Direction, Hashable], ...] = ()


class Shared(NamedTuple):
    """What shares make of a path in one table; ``words``: of each chain that was asked, by the name
    that it is counted by (``counted_by``)."""

    judged: PathAttributes | Denied
    words: tuple[tuple[str, Hashable], ...] = ()


SharePolicy = Callable[[ShareImport, Path], Asked]


def accept_all(_: ShareImport, path: Path) -> Asked:
    """The policy of shares that name none."""
    return Asked(path.attributes)


def counted_by(table: str, number: int, direction: Direction) -> str:
    """In the place of a peer's name, which has no space: the share of this number among those of a
    table."""
    return f"share {number} of {table} {direction}"


class Sharing:
    """What shares bring to tables."""

    def __init__(self, policy: SharePolicy = accept_all) -> None:
        self._policy = policy

    def judge(self, table: LocRib, targets: frozenset[RouteTarget], path: Path) -> Shared:
        """A path with these route targets, in a table that only shares bring it to. What is no
        prefix passes: it makes no route."""
        denied: Denied | None = None
        words: list[tuple[str, Hashable]] = []
        for share in self.around(table, targets, path):
            if not share.named:
                return Shared(path.attributes, tuple(words))
            asked = self._policy(share, path)
            number = table.ccsi.shares.index(share)
            words += ((counted_by(table.ccsi.name, number, d), word) for d, word in asked.words)
            if not isinstance(asked.judged, Denied):
                return Shared(asked.judged, tuple(words))
            denied = denied or asked.judged
        return Shared(path.attributes if denied is None else denied, tuple(words))

    @staticmethod
    def around(table: LocRib, targets: frozenset[RouteTarget], path: Path) -> Iterator[ShareImport]:
        """The shares that cover a path, in the order of the file."""
        if isinstance(path.nlri, EvpnPrefix | Unicast):
            for share in table.ccsi.shares:
                if share.targets & targets and any(
                    p.covers(path.nlri.prefix) for p in share.prefixes
                ):
                    yield share
