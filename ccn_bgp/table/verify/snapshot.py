"""The guard's question: may this snapshot of one gateway be put in force?

In: a Snapshot and the Topology that it is to obey. Out: Findings. What a learned row causes names
table, prefix and peer, so that exactly this row can be left out and the check be made again; faults
of the declared route targets name no prefix. Tables of other gateways count as external: a packet
that is sent to one has arrived there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.route import Kind
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Columns, Contender, Snapshot, Table
from ccn_bgp.table.verify.declared import declared_world
from ccn_bgp.table.verify.owned import Territory
from ccn_bgp.table.verify.prefixes import prefix_findings
from ccn_bgp.table.verify.space import I8
from ccn_bgp.table.verify.targets import target_findings
from ccn_bgp.table.verify.world import (
    DELIVER,
    DROP,
    Claim,
    Routes,
    ShareRow,
    World,
    owner_of_name,
    routes_of,
)


@dataclass(frozen=True, slots=True)
class Declared:
    """What depends on the topology alone, kept for the last one asked about."""

    topology: Topology
    gateway: str
    territory: Territory
    shares: tuple[tuple[str, str, Prefix], ...]
    declared: tuple[Finding, ...]

    @classmethod
    def of(cls, topology: Topology, gateway: str) -> Declared:
        """Find it all out. KeyError: there is no such gateway."""
        return cls(
            topology=topology,
            gateway=gateway,
            territory=Territory(topology, topology.gateways[gateway]),
            shares=tuple(
                (ccsi.name, share.provider, prefix)
                for ccsi in ccsis(topology, topology.gateways[gateway])
                for share in ccsi.shares
                for prefix in share.prefixes
            ),
            declared=tuple(target_findings(declared_world(topology))),
        )


_asked: list[Declared] = []


def declared(topology: Topology, gateway: str) -> Declared:
    """The same again if it is asked of the same topology. KeyError: there is no such gateway."""
    for held in _asked:
        if held.topology is topology and held.gateway == gateway:
            return held
    _asked[:] = [Declared.of(topology, gateway)]
    return _asked[0]


def verify_snapshot(snapshot: Snapshot, topology: Topology) -> list[Finding]:
    """All faults of the tables against the intent, sorted by content.

    ``snapshot.gateway`` must be a gateway of the topology (KeyError).
    """
    intent = declared(topology, snapshot.gateway)
    world = snapshot_world(snapshot, intent.shares)
    found = [*prefix_findings(world), *intent.territory.findings(world), *intent.declared]
    return sorted(found, key=lambda f: f.sort_key)


def snapshot_world(snapshot: Snapshot, shares: tuple[tuple[str, str, Prefix], ...]) -> World:
    """The tables as a World. ``shares``: (table, provider, prefix); those of tables that the
    snapshot does not have are left out. Peers and contenders come along."""
    parts = [Part.of(snapshot.tables[name]) for name in sorted(snapshot.tables)]
    return parts_world(parts, [s for s in shares if s[0] in snapshot.tables], owner_of_name)


class Part(NamedTuple):
    """A table, or some of its rows and contenders."""

    table: Table
    v4: Columns
    v6: Columns
    contenders: tuple[Contender, ...]

    @classmethod
    def of(cls, table: Table) -> Self:
        """All of a table."""
        return cls(table, table.v4, table.v6, table.contenders)


def parts_world(
    parts: Sequence[Part],
    shares: Iterable[tuple[str, str, Prefix]],
    owner_of: Callable[[str], str],
) -> World:
    """A World of some tables; all others are external, and ``owner_of`` knows their CCNs.

    ``shares``: (table, provider, prefix), of these tables only.
    """
    index = {part.table.name: number for number, part in enumerate(parts)}
    owners = [part.table.ccn for part in parts]
    peers: dict[str, int] = {}
    for part in parts:
        table = part.table
        elsewhere = (*table.origins, *table.next_tables, *(c.origin for c in part.contenders))
        for name in elsewhere:
            if name not in index:
                index[name] = len(index)
                owners.append(owner_of(name))
        for peer in (*table.peers, *(c.peer for c in part.contenders)):
            if peer:
                peers.setdefault(peer, len(peers))
    return World(
        tables=tuple(index),
        owners=tuple(owners),
        external=np.arange(len(index)) >= len(parts),
        v4=_joined([_routes(p.table, p.v4, index, peers) for p in parts if len(p.v4)], 4),
        v6=_joined([_routes(p.table, p.v6, index, peers) for p in parts if len(p.v6)], 16),
        shares=tuple(
            ShareRow(index[table], provider, prefix) for table, provider, prefix in shares
        ),
        peers=tuple(peers),
        claims=tuple(
            Claim(index[p.table.name], c.prefix, index[c.origin], peers.get(c.peer, -1))
            for p in parts
            for c in p.contenders
        ),
    )


def _numbers(names: tuple[str, ...], index: dict[str, int]) -> I8:
    """Indexes of names, -1 for one that is not there; never empty, so that it can be indexed."""
    return np.array([index.get(n, -1) for n in names] + [-1], np.int64)


def _routes(table: Table, columns: Columns, index: dict[str, int], peers: dict[str, int]) -> Routes:
    then = _numbers(table.next_tables, index)[columns.next_table]
    then[columns.next_table < 0] = DELIVER
    if any(h.kind is Kind.DROP for h in table.next_hops):
        drops = np.array([h.kind is Kind.DROP for h in table.next_hops], np.bool_)
        then[drops[columns.next_hop] & (columns.next_table < 0)] = DROP
    return Routes(
        table=np.full(len(columns), index[table.name], np.int64),
        address=columns.address,
        length=columns.length,
        origin=_numbers(table.origins, index)[columns.origin],
        next=then,
        peer=_numbers(table.peers, peers)[columns.peer],
    )


def _joined(parts: list[Routes], width: int) -> Routes:
    if not parts:
        return routes_of([])[0 if width == 4 else 1]
    return Routes(
        table=np.concatenate([p.table for p in parts]),
        address=np.concatenate([p.address for p in parts]),
        length=np.concatenate([p.length for p in parts]),
        origin=np.concatenate([p.origin for p in parts]),
        next=np.concatenate([p.next for p in parts]),
        peer=np.concatenate([p.peer for p in parts]),
    )
