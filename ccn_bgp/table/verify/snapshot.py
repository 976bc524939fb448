"""The guard's question: may this snapshot of one gateway be put in force?

In: a Snapshot and the Topology that it is to obey. Out: Findings. What a learned row causes names
table, prefix and peer, so that exactly this row can be left out and the check be made again; faults
of the declared route targets name no prefix. Tables of other gateways count as external: a packet
that is sent to one has arrived there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.route import Kind
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Columns, Snapshot, Table
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
class _Intent:
    """What depends on the topology alone, kept for the last one asked about."""

    topology: Topology
    gateway: str
    territory: Territory
    shares: tuple[tuple[str, str, Prefix], ...]
    declared: tuple[Finding, ...]

    @classmethod
    def of(cls, topology: Topology, gateway: str) -> _Intent:
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


_asked: list[_Intent] = []


def _intent(topology: Topology, gateway: str) -> _Intent:
    for held in _asked:
        if held.topology is topology and held.gateway == gateway:
            return held
    _asked[:] = [_Intent.of(topology, gateway)]
    return _asked[0]


def verify_snapshot(snapshot: Snapshot, topology: Topology) -> list[Finding]:
    """All faults of the tables against the intent, sorted by content.

    ``snapshot.gateway`` must be a gateway of the topology (KeyError).
    """
    intent = _intent(topology, snapshot.gateway)
    world = snapshot_world(snapshot, intent.shares)
    found = [*prefix_findings(world), *intent.territory.findings(world), *intent.declared]
    return sorted(found, key=lambda f: f.sort_key)


def snapshot_world(snapshot: Snapshot, shares: tuple[tuple[str, str, Prefix], ...]) -> World:
    """The tables as a World. ``shares``: (table, provider, prefix); those of tables that the
    snapshot does not have are left out. Peers and contenders come along."""
    tables = [snapshot.tables[name] for name in sorted(snapshot.tables)]
    index = {table.name: number for number, table in enumerate(tables)}
    owners = [table.ccn for table in tables]
    peers: dict[str, int] = {}
    for table in tables:
        elsewhere = (*table.origins, *table.next_tables, *(c.origin for c in table.contenders))
        for name in elsewhere:
            if name not in index:
                index[name] = len(index)
                owners.append(owner_of_name(name))
        for peer in (*table.peers, *(c.peer for c in table.contenders)):
            if peer:
                peers.setdefault(peer, len(peers))
    return World(
        tables=tuple(index),
        owners=tuple(owners),
        external=np.arange(len(index)) >= len(tables),
        v4=_joined([_routes(t, t.v4, index, peers) for t in tables], 4),
        v6=_joined([_routes(t, t.v6, index, peers) for t in tables], 16),
        shares=tuple(
            ShareRow(index[table], provider, prefix)
            for table, provider, prefix in shares
            if table in snapshot.tables
        ),
        peers=tuple(peers),
        claims=tuple(
            Claim(index[t.name], c.prefix, index[c.origin], peers.get(c.peer, -1))
            for t in tables
            for c in t.contenders
        ),
    )


def _numbers(names: tuple[str, ...], index: dict[str, int]) -> I8:
    """Indexes of names, -1 for one that is not there; never empty, so that it can be indexed."""
    return np.array([*(index.get(n, -1) for n in names), -1], np.int64)


def _routes(table: Table, columns: Columns, index: dict[str, int], peers: dict[str, int]) -> Routes:
    drops = np.array([h.kind is Kind.DROP for h in table.next_hops] or [False], np.bool_)
    own = np.where(drops[columns.next_hop], DROP, DELIVER)
    following = _numbers(table.next_tables, index)[columns.next_table]
    return Routes(
        table=np.full(len(columns), index[table.name], np.int64),
        address=columns.address,
        length=columns.length,
        origin=_numbers(table.origins, index)[columns.origin],
        next=np.where(columns.next_table >= 0, following, own),
        peer=_numbers(table.peers, peers)[columns.peer],
    )


def _joined(parts: list[Routes], width: int) -> Routes:
    parts = [p for p in parts if len(p)]
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
