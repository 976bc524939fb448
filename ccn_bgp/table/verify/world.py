"""What verification reads: tables, routes and rights as columns, free of where they came from.

In: files (reading.py), a snapshot (snapshot.py) or a topology (declared.py). Out: a World.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix

DELIVER = -1
"""Value of ``Routes.next``: the packet has arrived."""
DROP = -2
"""Value of ``Routes.next``: the packet is discarded on purpose."""


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Routes of one address family, in any order; all arrays of length n.

    ``table``, ``origin``: int64[n], indexes into World.tables. ``address``: uint8[n, 4 or 16],
    network order. ``length``: uint8[n]. ``next``: int64[n], DELIVER, DROP, a table index, or the
    number of tables and more: an index into World.choices, of a packet that may go several ways.
    ``peer``: int64[n], an index into World.peers, or -1 where nobody is named.
    """

    table: npt.NDArray[np.int64]
    address: npt.NDArray[np.uint8]
    length: npt.NDArray[np.uint8]
    origin: npt.NDArray[np.int64]
    next: npt.NDArray[np.int64]
    peer: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.length)

    def prefix(self, row: int) -> Prefix:
        """The prefix of one row."""
        return Prefix(self.address[row].tobytes() + bytes((int(self.length[row]),)))


class Row(NamedTuple):
    """One route, as a value; ``peer`` is -1 where nobody is named."""

    table: int
    prefix: Prefix
    origin: int
    next: int
    peer: int = -1


class ShareRow(NamedTuple):
    """Table ``table`` may hold what CCN ``provider`` originates at or inside ``prefix``."""

    table: int
    provider: str
    prefix: Prefix


class CcsiNode(NamedTuple):
    """One CCSI at route-target level. Targets are compared as texts."""

    name: str
    ccn: str
    imports: frozenset[str]
    exports: frozenset[str]
    reexport: bool = False


class Claim(NamedTuple):
    """A valid route that lost to the row of the same table and prefix."""

    table: int
    prefix: Prefix
    origin: int
    peer: int = -1


class IdcSession(NamedTuple):
    """A router of a data centre that is told what CCSI ``ccsi`` holds."""

    router: str
    idc: str
    ccsi: str


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All that isolation is decided from. ``owners``: the CCN of each table. ``external``: true
    for tables that are held elsewhere, of which only the owner is known: a packet that meets one
    has been delivered there. ``choices``: what a route that spreads its flows is followed by, each
    a table index or DELIVER."""

    tables: tuple[str, ...]
    owners: tuple[str, ...]
    external: npt.NDArray[np.bool_]
    v4: Routes
    v6: Routes
    shares: tuple[ShareRow, ...] = ()
    ccsis: tuple[CcsiNode, ...] = ()
    idcs: tuple[tuple[str, str], ...] = ()
    shared_ccns: frozenset[tuple[str, str]] = frozenset()
    peers: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    sessions: tuple[IdcSession, ...] = ()
    choices: tuple[tuple[int, ...], ...] = ()

    def ways(self, following: int) -> tuple[int, ...]:
        """Each value of ``Routes.next`` that one stands for: itself, or those of a choice."""
        if following < len(self.tables):
            return (following,)
        return self.choices[following - len(self.tables)]

    def peer(self, index: int) -> str:
        """Name of a peer, empty for -1."""
        return self.peers[index] if index >= 0 else ""


def routes_of(rows: Iterable[Row]) -> tuple[Routes, Routes]:
    """Columns from values: (IPv4, IPv6)."""
    held = list(rows)
    return (
        _columns([r for r in held if len(r.prefix) == 5], 4),
        _columns([r for r in held if len(r.prefix) == 17], 16),
    )


def _columns(rows: Sequence[Row], width: int) -> Routes:
    raw = np.frombuffer(b"".join([r.prefix for r in rows]), np.uint8).reshape(-1, width + 1)
    return Routes(
        table=np.array([r.table for r in rows], np.int64),
        address=np.ascontiguousarray(raw[:, :width]),
        length=np.ascontiguousarray(raw[:, width]),
        origin=np.array([r.origin for r in rows], np.int64),
        next=np.array([r.next for r in rows], np.int64),
        peer=np.array([r.peer for r in rows], np.int64),
    )


def owner_of_name(name: str) -> str:
    """The CCN in ``gateway/ccn``: what follows the last slash."""
    return name.rpartition("/")[2]
