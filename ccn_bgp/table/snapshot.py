"""A snapshot: all that the forwarder is to hold, as one immutable value.

In: Routes (model/route.py) per CCSI, VM rows, and the fixed rows derived from the topology. Out:
columns, sorted and free of hash order, so that equal content gives equal bytes and one digest.
A Table is shared between snapshots as long as nothing in it changed: ``is`` means unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import NextHop, Route, VmEntry

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
I4 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Routes of one table and one family, sorted by (address, length), all arrays of length n.

    ``address``: uint8[n, 4 or 16], network order. ``length``: uint8[n]. ``next_hop``, ``origin``,
    ``peer``: uint32[n], indexes into the tuples of the Table. ``next_table``: int32[n], index, or
    -1 where the packet meets no other table.
    """

    address: U1
    length: U1
    next_hop: U4
    origin: U4
    peer: U4
    next_table: I4

    def __len__(self) -> int:
        return len(self.length)

    def prefix(self, row: int) -> Prefix:
        """The prefix of one row."""
        return Prefix(self.address[row].tobytes() + bytes((int(self.length[row]),)))


class Contender(NamedTuple):
    """A valid route that lost to the row of the same prefix although its origin is another CCN."""

    prefix: Prefix
    origin: str
    peer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The routes of one CCSI. The tuples are sorted; the columns index them.

    ``contenders`` are what `ambiguous-owner` is found from; who said them is not in the digest.
    """

    name: str
    id: int
    ccn: str
    next_hops: tuple[NextHop, ...]
    origins: tuple[str, ...]
    peers: tuple[str, ...]
    next_tables: tuple[str, ...]
    v4: Columns
    v6: Columns
    contenders: tuple[Contender, ...]
    digest: bytes

    @classmethod
    def build(
        cls,
        name: str,
        number: int,
        ccn: str,
        routes: Iterable[Route],
        contenders: Iterable[tuple[Prefix, str] | tuple[Prefix, str, str]] = (),
    ) -> Self:
        """Make the columns of one CCSI; ``routes`` in any order, one per prefix."""
        rows = sorted(routes, key=lambda r: (len(r.prefix), r.prefix))
        next_hops = tuple(sorted({r.next_hop for r in rows}))
        origins = tuple(sorted({r.origin for r in rows}))
        peers = tuple(sorted({r.path.peer for r in rows}))
        next_tables = tuple(sorted({r.next_table for r in rows if r.next_table}))
        index = (
            {v: i for i, v in enumerate(next_hops)},
            {v: i for i, v in enumerate(origins)},
            {v: i for i, v in enumerate(peers)},
            {v: i for i, v in enumerate(next_tables)},
        )
        v4 = _columns([r for r in rows if len(r.prefix) == 5], 4, index)
        v6 = _columns([r for r in rows if len(r.prefix) == 17], 16, index)
        lost = tuple(sorted({Contender(*c) for c in contenders}, key=lambda c: (len(c.prefix), c)))
        claims = sorted({(len(c.prefix), c.prefix, c.origin) for c in lost})
        state = hashlib.blake2b(digest_size=32)
        state.update(repr((name, number, ccn, next_hops, origins, next_tables, claims)).encode())
        for columns in (v4, v6):
            for column in (
                columns.address,
                columns.length,
                columns.next_hop,
                columns.origin,
                columns.next_table,
            ):
                state.update(column.tobytes())
        return cls(
            name, number, ccn, next_hops, origins, peers, next_tables, v4, v6, lost, state.digest()
        )

    def __len__(self) -> int:
        return len(self.v4) + len(self.v6)


def _columns(
    rows: list[Route],
    width: int,
    index: tuple[Mapping[NextHop, int], Mapping[str, int], Mapping[str, int], Mapping[str, int]],
) -> Columns:
    next_hops, origins, peers, next_tables = index
    raw = np.frombuffer(b"".join([r.prefix for r in rows]), np.uint8).reshape(len(rows), width + 1)
    return Columns(
        address=np.ascontiguousarray(raw[:, :width]),
        length=np.ascontiguousarray(raw[:, width]),
        next_hop=np.fromiter((next_hops[r.next_hop] for r in rows), np.uint32, len(rows)),
        origin=np.fromiter((origins[r.origin] for r in rows), np.uint32, len(rows)),
        peer=np.fromiter((peers[r.path.peer] for r in rows), np.uint32, len(rows)),
        next_table=np.fromiter(
            (next_tables[r.next_table] if r.next_table else -1 for r in rows), np.int32, len(rows)
        ),
    )


class InterfaceEntry(NamedTuple):
    """A port or one VLAN of it, as struct ccn_interface. ``role`` 1 uplink, 2 hand-off."""

    id: int
    role: int
    port: str
    vlan: int
    ccsi: int
    tap: str
    mac: Mac
    address: Ip
    length: int
    via: Ip
    mtu: int
    address6: Ip = Ip(b"")
    length6: int = 0


class VniEntry(NamedTuple):
    """VNI → CCSI; ``kind`` 1 VPC, 2 L3."""

    vni: int
    ccsi: int
    kind: int


class VtepEntry(NamedTuple):
    """An outer source that may send on this VNI."""

    vni: int
    address: Ip


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything one forwarder is to hold. Tuples are sorted; ``tables`` are keyed by name."""

    gateway: str
    tables: Mapping[str, Table]
    interfaces: tuple[InterfaceEntry, ...] = ()
    vnis: tuple[VniEntry, ...] = ()
    vteps: tuple[VtepEntry, ...] = ()
    vms: tuple[VmEntry, ...] = ()
    empty: bool = field(default=False)

    @cached_property
    def digest(self) -> bytes:
        """32 octets; equal for equal content, whatever the order in which it was learned.

        Who said a route is not part of it: a reflector and a full mesh give the same digest.
        """
        state = hashlib.blake2b(digest_size=32)
        state.update(repr((self.gateway, self.interfaces, self.vnis, self.vteps)).encode())
        state.update(repr(self.vms).encode())
        for name in sorted(self.tables):
            state.update(self.tables[name].digest)
        return state.digest()

    @property
    def route_count(self) -> int:
        """Rows of all tables."""
        return sum(len(t) for t in self.tables.values())


NOTHING = Snapshot(gateway="", tables={}, empty=True)
"""What a forwarder holds that has just started."""
