"""A Candidate: one usable Path in one CCSI. In from import, out to the decision process."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import Path
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.topology import PeerRole


class Source(enum.IntEnum):
    """Where a path began, in the order of precedence between members of a CCN."""

    DECLARED = 0
    IDC = 1
    LOCAL_IMPORT = 2
    REMOTE = 3
    AGGREGATE = 4

    @property
    def text(self) -> str:
        """As ``ccn explain`` prints it."""
        return self.name.lower().replace("_", " ")


@dataclass(slots=True)
class Speaks:
    """What the decision process needs to know of a peer: ``router_id`` is that of its OPEN."""

    name: str
    role: PeerRole
    external: bool
    address: Ip
    router_id: Ip

    @classmethod
    def of(cls, peer: Peer) -> Speaks:
        """Before a session has come up the peer's address stands for its router-id."""
        return cls(peer.name, peer.role, peer.external, peer.address, peer.address)


OURSELVES = Speaks("", "gateway", False, Ip(bytes(4)), Ip(bytes(4)))


class Candidate(NamedTuple):
    """One path that may fill (table, prefix).

    ``path`` carries the attributes after policy. ``origin`` is the table where it began. ``key``
    tells candidates of one peer apart. ``fixed`` is the next hop where no resolution is needed.
    ``trail`` lists the tables of this gateway that it has come through (re-export loops end there).
    """

    path: Path
    key: bytes
    source: Source
    speaker: Speaks
    origin: str
    fixed: NextHop | None = None
    trail: tuple[str, ...] = ()

    @property
    def slot(self) -> tuple[str, bytes]:
        """Who said it and which NLRI: unique among those of one prefix."""
        return self.path.peer, self.key


def owner(table: str) -> str:
    """The CCN of a table by its name, ``gateway/ccn``."""
    return table.rpartition("/")[2]
