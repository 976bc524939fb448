"""Virtual machines in columns, those of a VPC as the file lists them: config/inventory.py makes
them, the catalogue, the verifier and learn/ read whole columns. An item, a Vm, is a view of a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.topology import Vm
from ccn_bgp.model.vtep_sets import Hosts

Bools = npt.NDArray[np.bool_]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

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
        ips, macs = address_of_each(self.family, self.address), pieces(self.mac, 6)
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


def octets(values: Sequence[bytes], size: int) -> U1:
    """Octets, padded with NULs: uint8[n, size]."""
    joined = b"".join([value.ljust(size, b"\0") for value in values])
    return np.frombuffer(joined, np.uint8).reshape(len(values), size)


def address_of_each(family: U1, address: U1) -> Iterator[Ip]:
    """The addresses of rows: uint8[n], 4 or 6, and uint8[n, 16]."""
    raw, sizes = address.tobytes(), (family.astype(np.int64) * 6 - 20).tolist()
    for at, size in enumerate(sizes):
        yield Ip(raw[at * 16 : at * 16 + size])


def pieces(column: U1, size: int) -> Iterator[bytes]:
    """The octets of each row."""
    raw = column.tobytes()
    return (raw[at : at + size] for at in range(0, len(raw), size))
