"""Policies on shares. In: a table, and a path that a share may bring there. Out: its attributes in
that table, or the reason why it is not taken.

A share bounds by prefix; its policies (the provider's export, then the consumer's import) only
narrow that, or change attributes. Of several shares that cover a route the first that lets it pass
decides. Tables that take the route by right never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.ccsi import ShareImport
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes, Unicast
from ccn_bgp.model.reason import Denied

SharePolicy = Callable[[ShareImport, Path], PathAttributes | Denied]


def accept_all(_: ShareImport, path: Path) -> PathAttributes:
    """The policy of shares that name none."""
    return path.attributes


class Sharing:
    """What shares bring to tables."""

    def __init__(self, policy: SharePolicy = accept_all) -> None:
        self._policy = policy

    def judge(
        self, table: LocRib, targets: frozenset[RouteTarget], path: Path
    ) -> PathAttributes | Denied:
        """A path with these route targets, in a table that only shares bring it to. What is no
        prefix passes: it makes no route."""
        denied: Denied | None = None
        for share in self.around(table, targets, path):
            judged = self._policy(share, path) if share.named else path.attributes
            if not isinstance(judged, Denied):
                return judged
            denied = denied or judged
        return path.attributes if denied is None else denied

    @staticmethod
    def around(table: LocRib, targets: frozenset[RouteTarget], path: Path) -> Iterator[ShareImport]:
        """The shares that cover a path, in the order of the file."""
        if isinstance(path.nlri, EvpnPrefix | Unicast):
            for share in table.ccsi.shares:
                if share.targets & targets and any(
                    p.covers(path.nlri.prefix) for p in share.prefixes
                ):
                    yield share
