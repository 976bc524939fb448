"""Virtual machines in columns: those of a VPC as the file lists them, and the forwarder's VM table.

In: config/inventory.py makes VmColumns, learn/region_vms.py a VmTable of them and of what hosts
say. Out: the verifier, the plan and the records read whole columns. Both are sequences whose items
are views of a row: a Vm, a VmEntry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.topology import Vm
from ccn_bgp.model.vtep_sets import NO_SETS, Hosts, named

Bools = npt.NDArray[np.bool_]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

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
"""One row of a VmTable: 32 octets, addresses in network order, IPv4 in the first four of ``ip``. Of
a VM behind several hosts ``shared`` is 1 and ``vtep`` the name of a set of them (vtep_sets.py)."""
IP_OCTETS = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VmColumns(Sequence[Vm]):
    """VMs in the order of the file, all arrays of length n.

    ``family``: uint8[n], 4 or 6. ``address``: uint8[n, 16], network order, IPv4 in the first four.
    ``mac``: uint8[n, 6]. ``host``: uint32[n], index into ``hosts``, which may hold more than are
    used: each the host of VMs, or all of those behind several. ``sequence``: uint32[n].
    """

    family: U1
    address: U1
    mac: U1
    host: U4
    hosts: tuple[Hosts, ...]
    sequence: U4

    @classmethod
    def of(cls, vms: Sequence[Vm]) -> VmColumns:
        """The same VMs in columns; columns are taken as they are."""
        if isinstance(vms, VmColumns):
            return vms
        numbers: dict[Hosts, int] = {}
        return cls(
            np.array([vm.ip.version for vm in vms], np.uint8),
            octets([vm.ip for vm in vms], 16),
            octets([vm.mac for vm in vms], 6),
            np.array([numbers.setdefault(vm.hosts, len(numbers)) for vm in vms], np.uint32),
            tuple(numbers),
            np.array([vm.sequence for vm in vms], np.uint32),
        )

    @classmethod
    def joined(cls, parts: Sequence[Sequence[Vm]]) -> VmColumns:
        """One after the other."""
        several = [cls.of(part) for part in parts if len(part)]
        if len(several) == 1:
            return several[0]
        numbers: dict[Hosts, int] = {}
        hosts = []
        seen: dict[int, U4] = {}
        for part in several:
            renumbered = seen.get(id(part.hosts))
            if renumbered is None:
                renumbered = seen[id(part.hosts)] = np.array(
                    [numbers.setdefault(one, len(numbers)) for one in part.hosts], np.uint32
                )
            hosts.append(renumbered[part.host])
        if not several:
            return cls.of(())
        return cls(
            np.concatenate([p.family for p in several]),
            np.concatenate([p.address for p in several]),
            np.concatenate([p.mac for p in several]),
            np.concatenate(hosts),
            tuple(numbers),
            np.concatenate([p.sequence for p in several]),
        )

    def take(self, rows: Any) -> VmColumns:
        """These rows, by number, by truth or as a slice."""
        return VmColumns(
            self.family[rows],
            self.address[rows],
            self.mac[rows],
            self.host[rows],
            self.hosts,
            self.sequence[rows],
        )

    @property
    def hosts_used(self) -> dict[Ip, int]:
        """The hosts that have a VM, each with its first row; in the order of the rows."""
        used, first = np.unique(self.host, return_index=True)
        order = np.argsort(first)
        found: dict[Ip, int] = {}
        for number, row in zip(used[order].tolist(), first[order].tolist(), strict=True):
            for ip in self.hosts[number]:
                found.setdefault(ip, row)
        return found

    def inside(self, prefix: Prefix) -> Bools:
        """Of each VM whether its address lies in ``prefix``."""
        size, bits = len(prefix) - 1, prefix.length
        mask = ((1 << bits) - 1 << size * 8 - bits).to_bytes(size, "big")
        kind = np.uint32 if size == 4 else np.uint64
        column = np.ascontiguousarray(self.address[:, :size]).view(kind)
        same = (column & np.frombuffer(mask, kind)) == np.frombuffer(prefix[:-1], kind)
        found: Bools = same.all(axis=1) & (self.family == (4 if size == 4 else 6))
        return found

    def having(self, ips: Iterable[Ip]) -> set[Ip]:
        """Those of ``ips`` that are the address of a VM here."""
        found: set[Ip] = set()
        wanted = set(ips)
        four = sorted(ip for ip in wanted if len(ip) == 4)
        if four and len(self):
            column = np.ascontiguousarray(self.address[self.family == 4, :4]).view(np.uint32)
            keys = octets(four, 4).view(np.uint32).ravel()
            if len(four) <= 8:  # quicker than sorting all for the gateways of a VPC
                held = [bool((column == key).any()) for key in keys]
            else:
                held = np.isin(keys, column).tolist()
            found.update(ip for ip, there in zip(four, held, strict=True) if there)
        if len(four) < len(wanted):
            raw = self.address[self.family == 6].tobytes()
            held6 = {raw[at : at + 16] for at in range(0, len(raw), 16)}
            found.update(ip for ip in wanted if len(ip) == 16 and ip in held6)
        return found

    def __len__(self) -> int:
        return len(self.family)

    @overload
    def __getitem__(self, at: int) -> Vm: ...
    @overload
    def __getitem__(self, at: slice) -> VmColumns: ...
    def __getitem__(self, at: int | slice) -> Vm | VmColumns:
        if isinstance(at, slice):
            return self.take(at)
        host, *others = self.hosts[int(self.host[at])]
        return Vm(
            Ip(self.address[at].tobytes()[: IP_OCTETS[int(self.family[at])]]),
            Mac(self.mac[at].tobytes()),
            host,
            int(self.sequence[at]),
            tuple(others),
        )

    def __iter__(self) -> Iterator[Vm]:
        ips, macs = _ips(self.family, self.address), _pieces(self.mac, 6)
        rows = zip(ips, macs, self.host.tolist(), self.sequence.tolist(), strict=True)
        for ip, mac, host, sequence in rows:
            yield Vm(ip, Mac(mac), self.hosts[host][0], sequence, self.hosts[host][1:])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return self.same_as(VmColumns.of(other))

    __hash__ = None  # type: ignore[assignment]

    def same_as(self, other: VmColumns) -> bool:
        """Equal, found by comparing columns."""
        if len(self) != len(other):
            return False
        for name in ("family", "address", "mac", "sequence"):
            if not np.array_equal(getattr(self, name), getattr(other, name)):
                return False
        if self.hosts == other.hosts:
            return np.array_equal(self.host, other.host)
        numbers = {one: number for number, one in enumerate(self.hosts)}
        renumbered = np.array([numbers.get(one, -1) for one in other.hosts], np.int64)
        return np.array_equal(self.host, renumbered[other.host])

    def _content(self) -> bytes:
        state = hashlib.blake2b(digest_size=16)
        said = [b"".join(bytes((len(ip),)) + ip for ip in one) for one in self.hosts]
        hosts = octets(said, max(map(len, said), default=0))
        for column in (self.family, self.address, self.mac, hosts[self.host], self.sequence):
            state.update(np.ascontiguousarray(column).data)
        return state.digest()

    def __repr__(self) -> str:
        """Short for millions, and equal for equal content."""
        return f"VmColumns({len(self)}, {self._content().hex()})"


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
        rows["vtep"] = octets([n or e.vtep for n, e in zip(vteps, ordered, strict=True)], 4)
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
        names = set(_pieces(self.rows["vtep"][self.rows["shared"] == 1], 4))
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
        found = [(key >> 32, Ip((key & 0xFFFFFFFF).to_bytes(4, "big"))) for key in keys.tolist()]
        if len(alone) < len(rows):
            some = rows[shared]
            named = set(zip(some["vni"].tolist(), _pieces(some["vtep"], 4), strict=True))
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
            return Ip(vtep), ()
        hosts = self.sets[vtep]
        return hosts[0], hosts[1:]

    def __iter__(self) -> Iterator[VmEntry]:
        rows = self.rows
        ips, macs = _ips(rows["family"], rows["ip"]), _pieces(rows["mac"], 6)
        vteps = zip(rows["shared"].tolist(), _pieces(rows["vtep"], 4), strict=True)
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


def octets(values: Sequence[bytes], size: int) -> U1:
    """Octets, padded with NULs: uint8[n, size]."""
    joined = b"".join([value.ljust(size, b"\0") for value in values])
    return np.frombuffer(joined, np.uint8).reshape(len(values), size)


def _key(vni: int, ip: Ip) -> Any:
    if len(ip) == 4:
        return np.uint64(vni << 32 | ip.number)
    return np.frombuffer(vni.to_bytes(4, "big") + ip, "S20")[0]


def _ips(family: U1, address: U1) -> Iterator[Ip]:
    raw, sizes = address.tobytes(), (family.astype(np.int64) * 6 - 20).tolist()
    for at, size in enumerate(sizes):
        yield Ip(raw[at * 16 : at * 16 + size])


def _pieces(column: U1, size: int) -> Iterator[bytes]:
    raw = column.tobytes()
    return (raw[at : at + size] for at in range(0, len(raw), size))
