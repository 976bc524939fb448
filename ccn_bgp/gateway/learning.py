"""The Rib of an Intent, with the rules that let it judge rows by thousands.

In: an Intent. Out: an empty Rib. policy and table/verify say of columns what their definitions say
of single Paths; here they are handed to learn, which knows neither.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccn_bgp.gateway.aggregates import aggregates_of
from ccn_bgp.gateway.draining import GRACEFUL_SHUTDOWN
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.prefix_classes import SessionClasses, shares_of
from ccn_bgp.learn.alike import Looks
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Gateway
from ccn_bgp.policy.looks import looked_at
from ccn_bgp.table.verify.claims import Claims
from ccn_bgp.table.verify.claims_rows import ClaimRows

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]


class ImportClasses:
    """Which rows the import policies of a peer, and those of the shares that bring what it says to
    tables, cannot tell apart."""

    def __init__(self, intent: Intent, gateway: Gateway) -> None:
        self._policies = intent.policies
        self._members = intent.contexts.members
        self._names, self._covered = shares_of(intent.topology, gateway)
        self._known: dict[tuple[str, ...], SessionClasses] = {}
        self._looks: dict[tuple[str, ...], Looks | None] = {}

    def __call__(self, peer: Peer, address: U1, length: U1) -> U4:
        """A class for each row: uint32[n]."""
        names, covered = peer.imports, self._covered
        if peer.router is None:
            names = (*names, *self._names)
        else:
            covered = []
        if not names:
            return np.zeros(len(length), np.uint32)
        classes = self._known.get((peer.role, *names))
        if classes is None:
            classes = SessionClasses(self._policies, names, self._members, covered)
            self._known[peer.role, *names] = classes
        return classes(address, length)

    def blind(self, peer: Peer) -> bool:
        """Whether there is no policy: then all prefixes are of one class."""
        return not peer.imports and peer.default == "accept" and not self._names

    def looks(self, peer: Peer) -> Looks | None:
        """What the import policies look at of attributes; draining looks at a community."""
        key = (peer.role, *peer.imports)
        if key not in self._looks:
            fields = looked_at(self._policies, peer.imports, at_site=peer.router is not None)
            looks = None if fields is None else Looks(fields, frozenset((GRACEFUL_SHUTDOWN,)))
            self._looks[key] = looks
        return self._looks[key]


def claim_rows(intent: Intent) -> ClaimRows:
    """Which rows a peer may not say. What the topology accepts by name is asked one by one."""
    return ClaimRows(Claims(intent.topology))


def new_rib(intent: Intent, gateway: Gateway | None = None) -> Rib:
    """A Rib that has heard nothing yet, of the Intent's own gateway or of another one."""
    return Rib(
        intent.topology,
        gateway or intent.gateway,
        intent.import_policy,
        intent.claims,
        row_policy=ImportClasses(intent, gateway or intent.gateway),
        row_claim=claim_rows(intent),
        aggregates=aggregates_of(intent.topology, intent.policies, gateway or intent.gateway),
        share_policy=intent.share_policy,
    )
