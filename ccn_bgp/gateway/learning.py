"""The Rib of an Intent, with the rules that let it judge rows by thousands.

In: an Intent. Out: an empty Rib. policy and table/verify say of columns what their definitions say
of single Paths; here they are handed to learn, which knows neither.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccn_bgp.gateway.aggregates import aggregates_of
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.members import Members
from ccn_bgp.gateway.prefix_classes import SessionClasses
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.topology import Gateway
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.table.verify.claims import Claims
from ccn_bgp.table.verify.claims_rows import ClaimRows

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]


class ImportClasses:
    """Which rows the import policies of a peer cannot tell apart."""

    def __init__(self, policies: PolicySet, members: Members) -> None:
        self._policies = policies
        self._members = members
        self._known: dict[tuple[str, ...], SessionClasses] = {}

    def __call__(self, peer: Peer, address: U1, length: U1) -> U4:
        """A class for each row: uint32[n]."""
        names = peer.imports
        if not names:
            return np.zeros(len(length), np.uint32)
        classes = self._known.get(names)
        if classes is None:
            classes = self._known[names] = SessionClasses(self._policies, names, self._members)
        return classes(address, length)

    def blind(self, peer: Peer) -> bool:
        """Whether it makes the same of attributes that differ in their route targets alone: where
        there is no policy. Draining looks at communities, not at targets."""
        return not peer.imports and peer.default == "accept"


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
        row_policy=ImportClasses(intent.policies, intent.contexts.members),
        row_claim=claim_rows(intent),
        aggregates=aggregates_of(intent.topology, intent.policies, gateway or intent.gateway),
    )
