"""The forwarder's VM table in columns: where (VNI, address) is.

In: learn/region_vms.py makes it of the inventory and of what hosts say. Out: the plan and the
records read whole columns. An item, a VmEntry, is a view of a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self, overload

import numpy as np

from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.vms import (
    I8,
    IP_OCTETS,
    U8,
    Array,
    address_of_each,
    octets,
    pieces,
)
from ccn_bgp.model.vtep_names import vtep_octets, vtep_of
from ccn_bgp.model.vtep_sets import NO_SETS, Hosts, named

ROW = np.dtype(
    [
        ("vni", "<u4"),
        ("family", "u1"),
        ("shared", "u1"),
        ("mac", "u1", (6,)),
        ("ip", "u1", (16,)),
        ("vtep", "u1", (4,)),
    ]
)
"""One row of a VmTable: 32 octets, addresses in network order, IPv4 in the first four of ``ip``.
``vtep`` is the host, or its name (vtep_names.py); of a VM behind several hosts ``shared`` is 1 and
``vtep`` the name of a set of them (vtep_sets.py)."""


class VmTable(Sequence[VmEntry]):
    """The VM table: rows of ``ROW``, sorted by (VNI, family, address), each key once. ``sets``: the
    hosts that its rows have by name, and maybe more."""

    def __init__(self, rows: Array, sets: Mapping[bytes, Hosts] = NO_SETS) -> None:
        self.rows = rows
        self.sets = sets

    @classmethod
    def of(cls, entries: Sequence[VmEntry], taken: Mapping[bytes, Hosts] = NO_SETS) -> Self:
        """Entries in any order, each key once; a VmTable is taken as it is. ``taken``: names that
        stand for other hosts already."""
        if isinstance(entries, cls):
            return entries
        ordered = sorted(entries, key=lambda e: (e.vni, len(e.ip), e.ip))
        sets, names = named(((e.vtep, *e.others) for e in ordered if e.others), taken)
        rows = np.zeros(len(ordered), ROW)
        rows["vni"] = [e.vni for e in ordered]
        rows["family"] = [e.ip.version for e in ordered]
        rows["mac"] = octets([e.mac for e in ordered], 6)
        rows["ip"] = octets([e.ip for e in ordered], 16)
        vteps = [names.get((e.vtep, *e.others)) if e.others else None for e in ordered]
        rows["shared"] = [name is not None for name in vteps]
        rows["vtep"] = octets(
            [n or vtep_octets(e.vtep) for n, e in zip(vteps, ordered, strict=True)], 4
        )
        return cls(rows, sets)

    @cached_property
    def digest(self) -> bytes:
        """32 octets, equal for equal content."""
        state = hashlib.blake2b(self.rows.tobytes(), digest_size=32)
        for name, hosts in self.named_sets.items():
            state.update(name + b"".join(hosts))
        return state.digest()

    @cached_property
    def named_sets(self) -> Mapping[bytes, Hosts]:
        """Those of ``sets`` that a row names, by name and sorted so."""
        if not self.sets:
            return NO_SETS
        names = set(pieces(self.rows["vtep"][self.rows["shared"] == 1], 4))
        return {name: self.sets[name] for name in sorted(names)}

    @cached_property
    def senders(self) -> list[tuple[int, Ip]]:
        """(VNI, VTEP) of all rows, each once, sorted; of a VM behind several hosts all of them."""
        rows = self.rows
        shared = rows["shared"] == 1 if self.sets else np.zeros(0, np.bool_)
        alone = rows[~shared] if shared.any() else rows
        vtep = np.ascontiguousarray(alone["vtep"]).view(">u4").reshape(-1)
        keys = np.sort(alone["vni"].astype(np.uint64) << np.uint64(32) | vtep)
        keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys
        octets = ((key >> 32, (key & 0xFFFFFFFF).to_bytes(4, "big")) for key in keys.tolist())
        found = [(vni, vtep_of(vtep)) for vni, vtep in octets]
        if len(alone) < len(rows):
            some = rows[shared]
            named = set(zip(some["vni"].tolist(), pieces(some["vtep"], 4), strict=True))
            more = {(vni, host) for vni, name in named for host in self.sets[name]}
            found = sorted(more.union(found))
        return found

    def find(self, vni: int, ip: Ip) -> int | None:
        """The number of the row of an address."""
        row = int(np.searchsorted(self._keys(len(ip)), _key(vni, ip)))
        numbers = self._four if len(ip) == 4 else self._six
        if row == len(numbers):
            return None
        entry = self.rows[numbers[row]]
        same = entry["vni"] == vni and entry["ip"].tobytes()[: len(ip)] == ip
        return int(numbers[row]) if same else None

    def places(self, other: VmTable) -> I8:
        """For each row of ``other`` the row here that has its key, or -1."""
        found = np.full(len(other), -1, np.int64)
        for size in (4, 16):
            mine, theirs = (t._four if size == 4 else t._six for t in (self, other))
            if not len(mine) or not len(theirs):
                continue
            keys, wanted = self._keys(size), other._keys(size)
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            held = keys[at] == wanted
            found[theirs[held]] = mine[at[held]]
        return found

    @cached_property
    def _four(self) -> I8:
        return np.flatnonzero(self.rows["family"] == 4)

    @cached_property
    def _six(self) -> I8:
        return np.flatnonzero(self.rows["family"] == 6)

    def _keys(self, size: int) -> Array:
        return self._keys4 if size == 4 else self._keys6

    @cached_property
    def _keys4(self) -> Array:
        every = len(self._four) == len(self.rows)
        return keys4(self.rows if every else self.rows[self._four])

    @cached_property
    def _keys6(self) -> Array:
        rows = self.rows[self._six]
        vni = rows["vni"].astype(">u4").view(np.uint8).reshape(-1, 4)
        return np.ascontiguousarray(np.hstack((vni, rows["ip"]))).view("S20").reshape(-1)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> VmEntry: ...
    @overload
    def __getitem__(self, at: slice) -> VmTable: ...
    def __getitem__(self, at: int | slice) -> VmEntry | VmTable:
        if isinstance(at, slice):
            return VmTable(self.rows[at], self.sets)
        row = self.rows[at]
        return VmEntry(
            int(row["vni"]),
            Ip(row["ip"].tobytes()[: IP_OCTETS[int(row["family"])]]),
            Mac(row["mac"].tobytes()),
            *self._vteps(bool(row["shared"]), row["vtep"].tobytes()),
        )

    def _vteps(self, shared: bool, vtep: bytes) -> tuple[Ip, Hosts]:
        """The first host, and the others."""
        if not shared:
            return vtep_of(vtep), ()
        hosts = self.sets[vtep]
        return hosts[0], hosts[1:]

    def __iter__(self) -> Iterator[VmEntry]:
        rows = self.rows
        ips, macs = address_of_each(rows["family"], rows["ip"]), pieces(rows["mac"], 6)
        vteps = zip(rows["shared"].tolist(), pieces(rows["vtep"], 4), strict=True)
        columns = zip(rows["vni"].tolist(), ips, macs, vteps, strict=True)
        for vni, ip, mac, (shared, vtep) in columns:
            yield VmEntry(vni, ip, Mac(mac), *self._vteps(shared, vtep))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return self.digest == VmTable.of(other).digest

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"VmTable({list(self)})" if len(self) < 20 else f"VmTable({len(self)} rows)"


def keys4(rows: Array) -> U8:
    """VNI and IPv4 address of each row as one number."""
    ip = np.ascontiguousarray(rows["ip"][:, :4]).view(">u4").reshape(-1)
    found: U8 = rows["vni"].astype(np.uint64) << np.uint64(32) | ip
    return found


def words(rows: Array) -> U8:
    """Rows of ``ROW`` as four numbers each: two rows are equal if these are."""
    return np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), ROW.itemsize // 8)


def alike_ends(*columns: tuple[Array, Array]) -> tuple[int, int]:
    """How many rows are the same from the front on, and of the others from the back on. Each pair
    is one column of the old and of the new rows, with one axis or two."""
    old, new = len(columns[0][0]), len(columns[0][1])
    least = min(old, new)
    differs = np.zeros(least, np.bool_)
    for one, other in columns:
        unlike = one[:least] != other[:least]
        differs |= unlike.any(axis=1) if unlike.ndim > 1 else unlike
    front = int(differs.argmax()) if differs.any() else least
    rest = least - front
    differs = np.zeros(rest, np.bool_)
    for one, other in columns:
        unlike = one[old - rest :] != other[new - rest :]
        differs |= unlike.any(axis=1) if unlike.ndim > 1 else unlike
    back = int(differs[::-1].argmax()) if differs.any() else rest
    return front, back


def _key(vni: int, ip: Ip) -> Any:
    if len(ip) == 4:
        return np.uint64(vni << 32 | ip.number)
    return np.frombuffer(vni.to_bytes(4, "big") + ip, "S20")[0]
