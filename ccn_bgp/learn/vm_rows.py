"""The VMs that the topology gives a region, in columns. In: its VPCs. Out: the rows of the VM table
that are declared, the Vm at an address, and what another inventory makes different.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.topology import Vm, Vpc
from ccn_bgp.model.vm_table import ROW, VmTable, alike_ends, keys4, words
from ccn_bgp.model.vms import IP_OCTETS, U4, Array, Bools, VmColumns, octets
from ccn_bgp.model.vtep_names import vtep_octets
from ccn_bgp.model.vtep_sets import NO_SETS, Hosts, named

Address = tuple[int, Ip]
"""(VNI, IP): what a VM is found by."""
FEW = 100
"""So many VPCs with other VMs than before are put in the place of what they were one by one."""


class DeclaredVms:
    """Rows sorted as in a VmTable; ``sequence``: uint32[n], of the row with the same number.

    A VM whose host has no address of the underlay's IP version has no row. Of two VMs at one
    address (an accepted `duplicate-vm`) the later in the file has it.
    """

    def __init__(
        self,
        table: VmTable,
        sequence: U4,
        columns: Mapping[int, VmColumns] = MappingProxyType({}),
        underlay: int = 4,
    ) -> None:
        self.table = table
        self.sequence = sequence
        self._columns = columns
        self._underlay = underlay

    @classmethod
    def of(cls, vpcs: Mapping[int, tuple[Ccsi, Vpc]], underlay: int = 4) -> DeclaredVms:
        """``vpcs``: by VNI; ``underlay``: its IP version."""
        some = {vni: VmColumns.of(vpc.vms) for vni, (_, vpc) in vpcs.items() if len(vpc.vms)}
        return cls._made(some, underlay)

    def renewed(self, vpcs: Mapping[int, tuple[Ccsi, Vpc]]) -> DeclaredVms:
        """The same as ``of``; VNIs with the VMs that they have here are not looked into."""
        some = {vni: VmColumns.of(vpc.vms) for vni, (_, vpc) in vpcs.items() if len(vpc.vms)}
        held = self._columns
        fresh = {v: c for v, c in some.items() if v not in held or not c.same_as(held[v])}
        if len(fresh) > FEW:
            return self._made(some, self._underlay)
        put = self._made(fresh, self._underlay, self.table.sets)
        vnis = self.table.rows["vni"], put.table.rows["vni"]
        sets = {**self.table.sets, **put.table.sets}
        rows, sequence, at = [], [], 0
        for vni in sorted(fresh.keys() | held.keys() - some.keys()):
            first, end = np.searchsorted(vnis[0], (vni, vni + 1)).tolist()
            new = slice(*np.searchsorted(vnis[1], (vni, vni + 1)).tolist())
            rows += [self.table.rows[at:first], put.table.rows[new]]
            sequence += [self.sequence[at:first], put.sequence[new]]
            at = end
        rows.append(self.table.rows[at:])
        sequence.append(self.sequence[at:])
        table = VmTable(np.concatenate(rows), sets)
        table = VmTable(table.rows, table.named_sets)
        return DeclaredVms(table, np.concatenate(sequence), some, self._underlay)

    @classmethod
    def _made(
        cls,
        some: Mapping[int, VmColumns],
        underlay: int,
        taken: Mapping[bytes, Hosts] = NO_SETS,
    ) -> DeclaredVms:
        vms = VmColumns.joined(list(some.values()))
        rows = np.zeros(len(vms), ROW)
        rows["vni"] = np.repeat(np.array(list(some), np.uint32), [len(v) for v in some.values()])
        rows["family"] = vms.family
        rows["mac"] = vms.mac
        rows["ip"] = vms.address
        hosts = [tuple(ip for ip in one if ip.version == underlay) for one in vms.hosts]
        sets, names = named(hosts, taken)
        if len(vms):
            known = [names.get(h) or b"".join(vtep_octets(ip) for ip in h[:1]) for h in hosts]
            rows["vtep"] = octets(known, 4)[vms.host]
            rows["shared"] = np.array([one in names for one in hosts], np.uint8)[vms.host]
        order = in_order(rows)
        reached = np.array([bool(one) for one in hosts], np.bool_)
        if not reached.all():
            order = order[reached[vms.host[order]]]
        rows, sequence = rows[order], vms.sequence[order]
        twice = _same_key(rows)
        if twice.any():
            last = np.append(~twice, True)
            rows, sequence = rows[last], sequence[last]
        return cls(VmTable(rows, sets), sequence, some, underlay)

    def find(self, address: Address) -> Vm | None:
        """The VM that is declared at an address."""
        row = self.table.find(*address)
        return None if row is None else self.vm(row)

    def vm(self, row: int) -> Vm:
        """The VM of a row."""
        _, ip, mac, vtep, others = self.table[row]
        return Vm(ip, mac, vtep, int(self.sequence[row]), others)

    def each(self) -> Iterator[tuple[int, Ip, Mac, int]]:
        """(VNI, address, MAC, sequence) of all, in the order of the rows."""
        rows = self.table.rows
        macs, ips = rows["mac"].tobytes(), rows["ip"].tobytes()
        columns = zip(
            rows["vni"].tolist(), rows["family"].tolist(), self.sequence.tolist(), strict=True
        )
        for number, (vni, family, sequence) in enumerate(columns):
            ip = Ip(ips[number * 16 : number * 16 + IP_OCTETS[family]])
            yield vni, ip, Mac(macs[number * 6 : number * 6 + 6]), sequence

    def differences(self, other: DeclaredVms) -> Iterator[tuple[Address, Vm | None, Vm | None]]:
        """(address, VM here, VM there) wherever ``other`` has another VM, or one of them none."""
        front, back = alike_ends(
            (words(self.table.rows), words(other.table.rows)), (self.sequence, other.sequence)
        )
        mine = self._between(front, len(self.table) - back)
        theirs = other._between(front, len(other.table) - back)
        place = mine.table.places(theirs.table)
        held = np.flatnonzero(place >= 0)
        rows = mine.table.rows[place[held]], theirs.table.rows[held]
        differs = (words(rows[0]) != words(rows[1])).any(axis=1)
        differs |= mine.sequence[place[held]] != theirs.sequence[held]
        gone = np.ones(len(mine.table), np.bool_)
        gone[place[held]] = False
        for row in np.flatnonzero(gone).tolist():
            vm = mine.vm(row)
            yield (mine.table[row].vni, vm.ip), vm, None
        there = np.sort(np.concatenate((held[differs], np.flatnonzero(place < 0))))
        for row in there.tolist():
            vm, before = theirs.vm(row), int(place[row])
            yield (theirs.table[row].vni, vm.ip), None if before < 0 else mine.vm(before), vm

    def _between(self, first: int, end: int) -> DeclaredVms:
        return DeclaredVms(self.table[first:end], self.sequence[first:end])


def in_order(rows: Array) -> Array:
    """Numbers of rows by (VNI, family, address), equal ones as they stood."""
    if (rows["family"] == 4).all():
        return np.argsort(keys4(rows), kind="stable")
    high, low = np.ascontiguousarray(rows["ip"]).view(">u8").reshape(-1, 2).T.astype(np.uint64)
    return np.lexsort((low, high, rows["family"], rows["vni"]))


def _same_key(rows: Array) -> Bools:
    """Of each row but the last whether the next one has its key."""
    if (rows["family"] == 4).all():
        key = keys4(rows)
        one: Bools = key[1:] == key[:-1]
        return one
    ip = np.ascontiguousarray(rows["ip"]).view(np.uint64).reshape(-1, 2)
    same: Bools = (ip[1:] == ip[:-1]).all(axis=1)
    for name in ("vni", "family"):
        same &= rows[name][1:] == rows[name][:-1]
    return same


def same_vm(rows: Array) -> Bools:
    """Of each row whether another one has its address and MAC, in whatever VNI."""
    ip = np.ascontiguousarray(rows["ip"]).view(np.uint64).reshape(-1, 2)
    mac = np.zeros((len(rows), 8), np.uint8)
    mac[:, :6], mac[:, 6] = rows["mac"], rows["family"]
    number = mac.view(np.uint64).reshape(-1)
    order = np.lexsort((ip[:, 1], ip[:, 0], number))
    ip, number = ip[order], number[order]
    alike = (ip[1:] == ip[:-1]).all(axis=1) & (number[1:] == number[:-1])
    found = np.zeros(len(rows), np.bool_)
    found[order] = np.append(alike, False) | np.append(False, alike)
    return found


def overlaid(base: VmTable, over: VmTable) -> VmTable:
    """``base`` with the rows of ``over`` in the place of, or beside, its own. A name of a set
    stands for the same hosts in both."""
    if not len(over):
        return base
    place = base.places(over)
    held = place >= 0
    rows = base.rows.copy()
    rows[place[held]] = over.rows[held]
    more = over.rows[~held]
    if len(more):
        rows = np.concatenate((rows, more))
        rows = rows[in_order(rows)]
    return VmTable(rows, {**base.sets, **over.sets})
