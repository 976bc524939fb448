"""A snapshot: all that the forwarder is to hold, as one immutable value.

In: Routes (model/route.py) per CCSI, VM rows, and the fixed rows derived from the topology. Out:
columns, sorted and free of hash order, so that equal content gives equal bytes and one digest.
A Table is shared between snapshots as long as nothing in it changed: ``is`` means unchanged.
"""

from __future__ import annotations

import hashlib
import operator
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, count
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.acl import Acl
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import NextHop, Route, VmEntry
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vtep_names import named_vteps

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
I4 = npt.NDArray[np.int32]

_HOP = struct.Struct("<BIBBH")
"""Kind, VNI, then the octets of address, MAC and interface of a next hop."""


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

    def cut(self, begin: int, end: int) -> Columns:
        """Rows ``begin`` to ``end``, in memory of their own: a table that stays for long must not
        keep what was made together with it."""
        part = slice(begin, end)
        return Columns(
            self.address[part].copy(),
            self.length[part].copy(),
            self.next_hop[part].copy(),
            self.origin[part].copy(),
            self.peer[part].copy(),
            self.next_table[part].copy(),
        )

    def prefix(self, row: int) -> Prefix:
        """The prefix of one row."""
        return Prefix(self.address[row].tobytes() + bytes((int(self.length[row]),)))


Names = tuple[tuple[NextHop, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Next hops, origins, peers, next tables."""


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
        return cls.of(
            name,
            number,
            ccn,
            named=(next_hops, origins, peers, next_tables),
            v4=v4,
            v6=v6,
            contenders=contenders,
        )

    @classmethod
    def of(
        cls,
        name: str,
        number: int,
        ccn: str,
        *,
        named: Names,
        v4: Columns,
        v6: Columns,
        contenders: Iterable[tuple[Prefix, str] | tuple[Prefix, str, str]] = (),
        hops: Iterable[bytes] | None = None,
    ) -> Self:
        """A Table of columns that are made; ``named``: the tuples (next hops, origins, peers, next
        tables) that they index. ``hops``: hop_octets() of each next hop, if they are known."""
        next_hops, origins, peers, next_tables = named
        lost: tuple[Contender, ...] = ()
        claims: list[tuple[Prefix, str]] = []
        if contenders:
            lost = tuple(
                sorted({Contender(*c) for c in contenders}, key=lambda c: (len(c.prefix), c))
            )
            claims = sorted({c[:2] for c in lost}, key=lambda c: (len(c[0]), c))
        # One text on one line says how many octets of what follow, so that no two contents agree.
        sizes = len(next_hops), v4.length.size, v6.length.size
        text = f"{(name, number, ccn, origins, next_tables, claims, sizes)!r}\n".encode()
        content = [text]
        content += map(hop_octets, next_hops) if hops is None else hops
        for c in (v4, v6):
            if c.length.size:
                content += c.address.tobytes(), c.length.tobytes(), c.next_hop.tobytes()
                content += c.origin.tobytes(), c.next_table.tobytes()
        digest = hashlib.blake2b(b"".join(content), digest_size=32).digest()
        return cls(name, number, ccn, next_hops, origins, peers, next_tables, v4, v6, lost, digest)

    def __len__(self) -> int:
        return self.v4.length.size + self.v6.length.size


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


def hop_octets(hop: NextHop) -> bytes:
    """A next hop as octets that no other has."""
    interface = hop.interface.encode()
    sizes = _HOP.pack(hop.kind, hop.vni, len(hop.ip), len(hop.mac), len(interface))
    if not hop.members:
        return b"".join((sizes, hop.ip, hop.mac, interface))
    parts = [bytes((weight,)) + hop_octets(member) for weight, member in hop.members]
    return b"".join((sizes, hop.ip, hop.mac, interface, bytes((len(parts),)), *parts))


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
    site: int = 0
    vtep: Ip = Ip(bytes(4))
    """Of an uplink: the tunnel address, if it is not ``address``."""
    via6: Ip = Ip(b"")
    vtep6: Ip = Ip(b"")
    """The same over IPv6: then ``address``, ``via`` and ``vtep`` are zeros."""


class VniEntry(NamedTuple):
    """VNI → CCSI; ``kind`` 1 VPC, 2 L3."""

    vni: int
    ccsi: int
    kind: int


class VtepEntry(NamedTuple):
    """An outer source that may send on this VNI. Of a gateway: ``region``, it is of ours;
    ``hands_off``, IDC routers of the CCN are at it."""

    vni: int
    address: Ip
    region: bool = False
    hands_off: bool = False


class VtepNameEntry(NamedTuple):
    """An IPv6 VTEP and its name in rows, as struct ccn_vtep_name."""

    name: bytes
    address: Ip


class GatewayAddressEntry(NamedTuple):
    """The router's own address inside a VPC, as struct ccn_gateway_address."""

    vni: int
    address: Ip


class PeerEntry(NamedTuple):
    """A BGP neighbour, as struct ccn_peer; ``interface`` 0: reached by the uplinks."""

    interface: int
    address: Ip


class AclEntry(NamedTuple):
    """The access list that a CCSI attaches. CCSIs of one list share the value."""

    ccsi: int
    acl: Acl


class SourceEntry(NamedTuple):
    """Inner sources that are legal in a CCSI although no route leads back the same way, as struct
    ccn_source. ``site``: hand-offs of this site may send them, ``gateways``: gateways may."""

    ccsi: int
    prefix: Prefix
    site: int
    gateways: bool


_digested: deque[tuple[tuple[NamedTuple, ...], bytes]] = deque(maxlen=16)
"""Entries that were asked about lately: one snapshot after another has the very same."""


def _digest_of(entries: tuple[NamedTuple, ...]) -> bytes:
    for held, digest in _digested:
        if held is entries:
            return digest
    digest = hashlib.blake2b(repr(entries).encode(), digest_size=32).digest()
    _digested.append((entries, digest))
    return digest


class _Packed:
    """Entries as octets of one size each, of the tuple that was asked about last. Of thousands few
    change, and the others are the same objects: they are not looked into."""

    def __init__(self, size: int, pack: Callable[[Any], bytes]) -> None:
        self._pack = pack
        self._entries: Sequence[Any] = ()
        self._octets = np.zeros((0, size), np.uint8)

    def octets(self, entries: Sequence[Any]) -> U1:
        """uint8[n, size], in the order of the entries."""
        old = self._entries
        if old is not entries:
            front, back = same_ends(old, entries)
            other = b"".join(map(self._pack, entries[front : len(entries) - back]))
            new = np.frombuffer(other, np.uint8).reshape(-1, self._octets.shape[1])
            parts = (self._octets[:front], new, self._octets[len(old) - back :])
            self._octets, self._entries = np.concatenate(parts), entries
        return self._octets


def same_ends(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """How many entries are the same objects from the front on, and of the others from the back."""
    front = _same(old, new)
    return front, min(_same(old[::-1], new[::-1]), min(len(old), len(new)) - front)


def _same(old: Sequence[Any], new: Sequence[Any]) -> int:
    different = map(operator.is_not, old, new)
    return next(compress(count(), different), min(len(old), len(new)))


def _vtep_octets(entry: VtepEntry) -> bytes:
    vni, address, region, hands_off = entry
    size = bytes((len(address), region | hands_off << 1))
    return vni.to_bytes(4, "big") + size + address.ljust(16, b"\0")


_names: deque[tuple[tuple[VtepEntry, ...], tuple[VtepNameEntry, ...]]] = deque(maxlen=16)
"""As `_digested`."""


def _named(vteps: tuple[VtepEntry, ...]) -> tuple[VtepNameEntry, ...]:
    for held, found in _names:
        if held is vteps:
            return found
    found = tuple(VtepNameEntry(*one) for one in named_vteps(entry.address for entry in vteps))
    _names.append((vteps, found))
    return found


def _table_octets(table: Table) -> bytes:
    """Id, digest, number of rows."""
    return table.id.to_bytes(4, "big") + table.digest + len(table).to_bytes(4, "big")


_vteps = _Packed(22, _vtep_octets)
_tables = _Packed(40, _table_octets)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything one forwarder is to hold. Tuples are sorted; ``tables`` are keyed by name.
    ``unchecked``: ids of the tables whose packets may have any inner source."""

    gateway: str
    tables: Mapping[str, Table]
    interfaces: tuple[InterfaceEntry, ...] = ()
    vnis: tuple[VniEntry, ...] = ()
    vteps: tuple[VtepEntry, ...] = ()
    gateway_addresses: tuple[GatewayAddressEntry, ...] = ()
    peers: tuple[PeerEntry, ...] = ()
    acls: tuple[AclEntry, ...] = ()
    sources: tuple[SourceEntry, ...] = ()
    unchecked: tuple[int, ...] = ()
    vms: Sequence[VmEntry] = ()
    empty: bool = field(default=False)

    @cached_property
    def digest(self) -> bytes:
        """32 octets; equal for equal content, whatever the order in which it was learned.

        Who said a route is not part of it, nor whom the gateway talks to: a reflector and a full
        mesh give the same digest.
        """
        tables = _tables.octets(list(self.tables.values()))
        ids = tables[:, :4].copy().view(">u4").reshape(-1)
        if len(ids) > 1 and not (ids[1:] > ids[:-1]).all():
            tables = tables[np.argsort(ids)]
        fixed: tuple[tuple[NamedTuple, ...], ...]
        fixed = self.interfaces, self.vnis, self.gateway_addresses, self.sources
        content = [
            *(_digest_of(part) for part in fixed),
            hashlib.blake2b(_vteps.octets(self.vteps).tobytes(), digest_size=32).digest(),
            self._acl_digest,
            self.vm_table.digest,
            hashlib.blake2b(tables[:, 4:36].tobytes(), digest_size=32).digest(),
            repr(self.unchecked).encode(),
            self.gateway.encode(),
        ]
        return hashlib.blake2b(b"".join(content), digest_size=32).digest()

    @property
    def _acl_digest(self) -> bytes:
        content = b"".join(e.ccsi.to_bytes(4, "big") + e.acl.digest for e in self.acls)
        return hashlib.blake2b(content, digest_size=32).digest()

    @cached_property
    def vtep_names(self) -> tuple[VtepNameEntry, ...]:
        """The IPv6 VTEPs, by name: whoever packets are sent to may send them too."""
        return _named(self.vteps)

    @cached_property
    def vm_table(self) -> VmTable:
        """``vms`` in columns."""
        return VmTable.of(self.vms)

    @property
    def route_count(self) -> int:
        """Rows of all tables."""
        rows = _tables.octets(list(self.tables.values()))[:, 36:].copy()
        return int(rows.view(">u4").sum())


def touched_tables(old: Mapping[str, Table], new: Mapping[str, Table]) -> list[str]:
    """Names of the tables that are not the same object in both: those of ``new`` in its order, then
    those that only ``old`` has. No more is done for each of the others than to compare it."""
    if len(old) == len(new) and list(old) == list(new):
        return list(compress(new, map(operator.is_not, old.values(), new.values())))
    found = [name for name, table in new.items() if old.get(name) is not table]
    return found + [name for name in old if name not in new]


NOTHING = Snapshot(gateway="", tables={}, empty=True)
"""What a forwarder holds that has just started."""
