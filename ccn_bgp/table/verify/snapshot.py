"""The guard's question: may this snapshot of one gateway be put in force?

In: a Snapshot and the Topology that it is to obey. Out: Findings. What a learned row causes names
table, prefix and peer, so that exactly this row can be left out and the check be made again; faults
of the declared route targets name no prefix. Tables of other gateways count as external: a packet
that is sent to one has arrived there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.route import DELIVERED, Kind, tables_next
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
    several: dict[str, list[str]] = {}
    owners = [part.table.ccn for part in parts]
    peers: dict[str, int] = {}
    for part in parts:
        table = part.table
        elsewhere = (*table.origins, *table.next_tables)
        said_by = table.peers
        if part.contenders:
            elsewhere += tuple(c.origin for c in part.contenders)
            said_by += tuple(c.peer for c in part.contenders)
        for name in elsewhere:
            if " " in name:
                several[name] = name.split(" ")
                elsewhere += tuple(tables_next((name,)))
        for name in elsewhere:
            if name not in index and name not in several:
                index[name] = len(index)
                owners.append(owner_of(name))
        for peer in said_by:
            if peer and peer not in peers:
                peers[peer] = len(peers)
    following = {**index, DELIVERED: DELIVER}
    choices = [tuple(following[n] for n in names) for names in several.values()]
    following.update((name, len(index) + number) for number, name in enumerate(several))
    return World(
        tables=tuple(index),
        owners=tuple(owners),
        external=np.arange(len(index)) >= len(parts),
        v4=_routes(
            [(n, p.table, p.v4) for n, p in enumerate(parts) if len(p.v4)],
            index,
            following,
            peers,
            4,
        ),
        v6=_routes(
            [(n, p.table, p.v6) for n, p in enumerate(parts) if len(p.v6)],
            index,
            following,
            peers,
            16,
        ),
        shares=tuple(
            ShareRow(index[table], provider, prefix) for table, provider, prefix in shares
        ),
        peers=tuple(peers),
        claims=tuple(
            Claim(index[p.table.name], c.prefix, index[c.origin], peers.get(c.peer, -1))
            for p in parts
            for c in p.contenders
        ),
        choices=tuple(choices),
    )


def _routes(
    parts: Sequence[tuple[int, Table, Columns]],
    index: Mapping[str, int],
    following: Mapping[str, int],
    peers: Mapping[str, int],
    width: int,
) -> Routes:
    """Rows of one family, (number, table, its rows) behind one another."""
    if not parts:
        return routes_of([])[0 if width == 4 else 1]
    numbers, tables, columns = zip(*parts, strict=True)
    count = np.array([len(c) for c in columns])
    return Routes(
        table=np.repeat(np.array(numbers, np.int64), count),
        address=_joined([c.address for c in columns]),
        length=_joined([c.length for c in columns]),
        origin=_named([t.origins for t in tables], [c.origin for c in columns], count, index),
        next=_next(tables, columns, count, following),
        peer=_named([t.peers for t in tables], [c.peer for c in columns], count, peers),
    )


def _joined(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _named(
    names: Sequence[tuple[str, ...]],
    columns: Sequence[npt.NDArray[Any]],
    count: I8,
    index: Mapping[str, int],
) -> I8:
    """Each table's column of indexes into its own names as one of indexes for all, -1 for a name
    that has none."""
    numbers = np.array([index.get(n, -1) for of_table in names for n in of_table], np.int64)
    begins = np.cumsum([0, *map(len, names[:-1])])
    found: I8 = numbers[_joined(columns) + np.repeat(begins, count)]
    return found


def _next(
    tables: Sequence[Table], columns: Sequence[Columns], count: I8, following: Mapping[str, int]
) -> I8:
    """What follows each row: a table, a choice, DELIVER or DROP."""
    # Before the names of each table stands what its index -1 means.
    numbers: list[int] = []
    begins = []
    for table in tables:
        begins.append(len(numbers) + 1)
        numbers.append(DELIVER)
        numbers += [following[n] for n in table.next_tables]
    place = _joined([c.next_table for c in columns]) + np.repeat(np.array(begins), count)
    then: I8 = np.array(numbers, np.int64)[place]
    drops = [_drops(t) for t in tables]
    if any(drops):
        dropped = _joined([c.next_hop for c in columns]) < np.repeat(np.array(drops), count)
        then[dropped & (then == DELIVER)] = DROP
    return then


def _drops(table: Table) -> int:
    """How many of the next hops are drops: they are sorted by kind, drops first."""
    hops = table.next_hops
    if not hops or hops[0].kind is not Kind.DROP:
        return 0
    return sum(hop.kind is Kind.DROP for hop in hops)
