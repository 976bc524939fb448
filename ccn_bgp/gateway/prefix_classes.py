"""Which prefixes the policies of a session cannot tell apart. In: policies, the members of a
topology, and prefixes in columns. Out: numbers of classes.

policy/classes.py knows prefix sets, members.py whose a prefix is: a chain that asks for both tells
apart what either does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ccn_bgp.gateway.members import Members
from ccn_bgp.model.ccsi import Peer, ccsis
from ccn_bgp.model.outgoing import Classes
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.policy.classes import PrefixClasses
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.sets import PrefixRange, PrefixSet

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]


class SessionClasses:
    """Of one chain of policies; laid out when first asked. ``more``: prefix sets to tell apart
    beside those of the chain."""

    def __init__(
        self,
        policies: PolicySet,
        names: Sequence[str],
        members: Members,
        more: Sequence[PrefixSet] = (),
    ) -> None:
        self._policies = policies
        self._names = names
        self._more = more
        self._members = members if policies.tells_members_apart(names) else None
        self._sets: PrefixClasses | None = None

    def __call__(self, address: U1, length: U1) -> U4:
        """uint32[n]: a class for each row; address: uint8[n, 4 or 16], length: uint8[n]."""
        if self._sets is None:
            self._sets = PrefixClasses(self._policies, self._names, self._more)
        found = self._sets.classes(address, length)
        if self._members is not None:
            found = self._members.classes(address, length) * np.uint32(self._sets.count) + found
        return found


def shares_of(topology: Topology, gateway: Gateway) -> tuple[tuple[str, ...], list[PrefixSet]]:
    """Of the shares that policies bind, to CCNs with a table here: the names of these policies, and
    what each share covers."""
    bound = [s for ccsi in ccsis(topology, gateway) for s in ccsi.shares if s.named]
    names = tuple(dict.fromkeys(n for s in bound for n in (*s.exports, *s.imports)))
    every = [s for ccsi in ccsis(topology, gateway) for s in ccsi.shares] if bound else []
    return names, [
        PrefixSet(
            share.provider,
            "",
            tuple(PrefixRange(p, p.length, (len(p) - 1) * 8) for p in share.prefixes),
        )
        for share in every
    ]


def export_classes(policies: PolicySet, peer: Peer, members: Members) -> Classes | None:
    """Which prefixes the export policies of a peer cannot tell apart; None: all are alike."""
    return SessionClasses(policies, peer.exports, members) if peer.exports else None
