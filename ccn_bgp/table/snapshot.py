"""A snapshot: all that the forwarder is to hold, as one immutable value.

In: the Table of each CCSI, VM rows, and the fixed rows derived from the topology. Out: one value,
sorted and free of hash order, so that equal content gives equal bytes and one digest.
"""

from __future__ import annotations

import hashlib
import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, count
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.acl import Acl
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vtep_names import named_vteps
from ccn_bgp.table.tables import Table

U1 = npt.NDArray[np.uint8]


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
    """Id and digest."""
    return table.id.to_bytes(4, "big") + table.digest


_vteps = _Packed(22, _vtep_octets)
_tables = _Packed(36, _table_octets)


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
        return sum(map(len, self.tables.values()))


def touched_tables(old: Mapping[str, Table], new: Mapping[str, Table]) -> list[str]:
    """Names of the tables that are not the same object in both: those of ``new`` in its order, then
    those that only ``old`` has. No more is done for each of the others than to compare it."""
    if len(old) == len(new) and list(old) == list(new):
        return list(compress(new, map(operator.is_not, old.values(), new.values())))
    found = [name for name, table in new.items() if old.get(name) is not table]
    return found + [name for name in old if name not in new]


NOTHING = Snapshot(gateway="", tables={}, empty=True)
"""What a forwarder holds that has just started."""
