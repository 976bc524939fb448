"""The guard's question: may this snapshot of one gateway be put in force?

In: a Snapshot and the Topology that it is to obey. Out: Findings. What a learned row causes names
table, prefix and peer, so that exactly this row can be left out and the check be made again; faults
of the declared route targets name no prefix. Tables of other gateways count as external: a packet
that is sent to one has arrived there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import ccsis
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.route import DELIVERED, Kind, NextHop, tables_next
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Block, BlockRows, Columns, Contender, Table
from ccn_bgp.table.together import together
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


Share = tuple[str, str, Prefix]
"""Table, provider, prefix."""
Claims = Iterable[tuple[str, Sequence[Contender]]]
NO_WAYS: tuple[tuple[Any, ...], ...] = ((), (), (), ())


def snapshot_world(snapshot: Snapshot, shares: tuple[Share, ...]) -> World:
    """The tables as a World. ``shares``: (table, provider, prefix); those of tables that the
    snapshot does not have are left out. Peers and contenders come along."""
    tables = [snapshot.tables[name] for name in sorted(snapshot.tables)]
    held = [share for share in shares if share[0] in snapshot.tables]
    return block_world(together(tables), held, owner_of_name)


class Part(NamedTuple):
    """Some of the rows and contenders of a table."""

    table: Table
    v4: Columns
    v6: Columns
    contenders: tuple[Contender, ...]


class _Numbers:
    """The numbers that a World has for names: tables (those that are looked at first), choices of a
    packet that may go several ways behind them, peers."""

    def __init__(self, tables: Iterable[tuple[str, str]], owner_of: Callable[[str], str]) -> None:
        """``tables``: (name, CCN) of those that are looked at."""
        self.tables: dict[str, int] = {}
        self.owners: list[str] = []
        self.peers: dict[str, int] = {}
        self._several: dict[str, list[str]] = {}
        self._owner_of = owner_of
        for name, ccn in tables:
            self.tables[name] = len(self.owners)
            self.owners.append(ccn)
        self._looked_at = len(self.owners)

    def add(self, names: Iterable[str], peers: Iterable[str]) -> None:
        """Give numbers to what rows name as origin, next table or peer."""
        for text in names:
            if text in self.tables or not text:
                continue
            if " " in text:
                self._several[text] = text.split(" ")
                for name in tables_next((text,)):
                    self._table(name)
            elif text != DELIVERED:
                self._table(text)
        for peer in peers:
            if peer and peer not in self.peers:
                self.peers[peer] = len(self.peers)

    def _table(self, name: str) -> None:
        if name not in self.tables:
            self.tables[name] = len(self.owners)
            self.owners.append(self._owner_of(name))

    def following(self) -> dict[str, int]:
        """The number of what comes next, when all names are added."""
        found = {**self.tables, DELIVERED: DELIVER}
        found.update((name, len(self.owners) + n) for n, name in enumerate(self._several))
        return found

    def world(self, v4: Routes, v6: Routes, shares: Iterable[Share], claims: Claims) -> World:
        """The whole. ``claims``: a table with some of its contenders."""
        following, tables = self.following(), self.tables
        return World(
            tables=tuple(tables),
            owners=tuple(self.owners),
            external=np.arange(len(tables)) >= self._looked_at,
            v4=v4,
            v6=v6,
            shares=tuple(
                ShareRow(tables[table], provider, prefix) for table, provider, prefix in shares
            ),
            peers=tuple(self.peers),
            claims=tuple(
                Claim(tables[name], c.prefix, tables[c.origin], self.peers.get(c.peer, -1))
                for name, contenders in claims
                for c in contenders
            ),
            choices=tuple(tuple(following[n] for n in names) for names in self._several.values()),
        )


def block_world(block: Block, shares: Iterable[Share], owner_of: Callable[[str], str]) -> World:
    """A World of all tables of a block; all others are external, and ``owner_of`` knows their CCNs.
    ``shares``: (table, provider, prefix), of these tables only."""
    numbers = _Numbers(((head.name, head.ccn) for head in block.heads), owner_of)
    _, origins, peers, next_tables = zip(*block.answers, strict=True) if block.answers else NO_WAYS
    numbers.add((*origins, *next_tables), peers)
    claims = [(head.name, head.contenders) for head in block.heads if head.contenders]
    for _, contenders in claims:
        numbers.add([c.origin for c in contenders], [c.peer for c in contenders])
    tables, following = numbers.tables, numbers.following()
    origin = np.array([tables[name] for name in origins], np.int64)
    peer = np.array([numbers.peers.get(name, -1) for name in peers], np.int64)
    then = [
        following[way.next_table] if way.next_table else _at_once(way.next_hop)
        for way in block.answers
    ]
    ways = np.array(then, np.int64)

    def routes(rows: BlockRows) -> Routes:
        return Routes(
            table=np.repeat(np.arange(len(block.heads)), np.diff(rows.bounds)),
            address=rows.address,
            length=rows.length,
            origin=origin[rows.answer],
            next=ways[rows.answer],
            peer=peer[rows.answer],
        )

    return numbers.world(routes(block.v4), routes(block.v6), shares, claims)


def _at_once(hop: NextHop) -> int:
    """What follows where the packet meets no other table."""
    return DROP if hop.kind is Kind.DROP else DELIVER


def parts_world(
    parts: Sequence[Part],
    shares: Iterable[Share],
    owner_of: Callable[[str], str],
) -> World:
    """A World of some tables; all others are external, and ``owner_of`` knows their CCNs.

    ``shares``: (table, provider, prefix), of these tables only.
    """
    numbers = _Numbers(((part.table.name, part.table.ccn) for part in parts), owner_of)
    for part in parts:
        numbers.add((*part.table.origins, *part.table.next_tables), part.table.peers)
        numbers.add([c.origin for c in part.contenders], [c.peer for c in part.contenders])
    following = numbers.following()
    v4 = [(n, part.table, part.v4) for n, part in enumerate(parts) if len(part.v4)]
    v6 = [(n, part.table, part.v6) for n, part in enumerate(parts) if len(part.v6)]
    return numbers.world(
        _routes(v4, numbers.tables, following, numbers.peers, 4),
        _routes(v6, numbers.tables, following, numbers.peers, 16),
        shares,
        [(part.table.name, part.contenders) for part in parts],
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
