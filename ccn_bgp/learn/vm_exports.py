"""What gateways are told of the VMs of this region, made of the inventory when it is asked for.

In: who holds which address (region_vms.py). Out: type 2 routes one by one, and of the mass that no
host speaks of in columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ccn_bgp.learn.exports import Export
from ccn_bgp.learn.mobility import Claim, declared_claim, mobility_of
from ccn_bgp.learn.originate import own_attributes, vm_nlri
from ccn_bgp.learn.vm_rows import Address, same_vm
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.outgoing import NOTHING, Origination, OutVms
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vms import Bools

if TYPE_CHECKING:
    from ccn_bgp.learn.region_vms import RegionVms

_VNI = np.uint64(32)
"""Where it stands in a pair of VNI and sequence."""


class VmExports:
    """``vnis``: those of the VPCs of each CCSI, by its route distinguisher, in order."""

    def __init__(self, region: RegionVms) -> None:
        self._region = region
        self._attributes: dict[tuple[str, tuple[bytes, ...]], PathAttributes] = {}
        self.vnis: dict[bytes, list[int]] = {}
        for vni in sorted(region.vpcs):
            self.vnis.setdefault(region.vpcs[vni][0].rd, []).append(vni)

    def export(self, key: bytes) -> Export | None:
        """Of the type 2 with this key."""
        if key[:1] != b"\x02" or key[9:13] != bytes(4):
            return None
        mac, ip = Mac(key[13:19]), Ip(key[19:])
        if len(ip) not in (4, 16):
            return None
        for vni in self.vnis.get(key[1:9], ()):
            if (vni, ip) in self._region.heard or self.silent(vni):
                continue
            vm = self._region.declared.find((vni, ip))
            if vm is not None and vm.mac == mac:
                return self.of((vni, ip), declared_claim(vm))
        return None

    def exports(self) -> Iterator[Export]:
        """Of all VMs of which no host speaks."""
        silent = {vni: self.silent(vni) for vni in self._region.vpcs}
        told: set[bytes] = set()
        twice = any(len(vnis) > 1 for vnis in self.vnis.values())
        for vni, ip, mac, sequence in self._region.declared.each():
            if silent[vni] or (vni, ip) in self._region.heard:
                continue
            ccsi, vpc = self._region.vpcs[vni]
            nlri = vm_nlri(ccsi, vpc, ip, mac)
            if twice:  # two VPCs of a CCN with one address and MAC: the key does not hold the VNI
                if nlri.key in told:
                    continue
                told.add(nlri.key)
            yield nlri, self.attributes_of(ccsi, mobility_of(sequence))

    def exports_count(self) -> int:
        """Of all VMs of which no host speaks, silent ones among them."""
        return len(self._region.declared.table) - sum(
            1 for address in self._region.heard if self._region.declared.find(address) is not None
        )

    def in_columns(self) -> OutVms | None:
        """The same as rows, but for those that are ``alone``."""
        table, told = self._region.declared.table, self._told()[0]
        if not told.any():
            return None
        vnis = table.rows["vni"]
        pairs = vnis.astype(np.uint64) << _VNI | self._region.declared.sequence
        first = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1]))
        numbers: dict[tuple[str, int], int] = {}
        of_run: list[int] = []
        sets: list[PathAttributes] = []
        for vni, sequence in zip(
            vnis[first].tolist(), self._region.declared.sequence[first].tolist(), strict=True
        ):
            ccsi = self._region.vpcs[vni][0]
            number = numbers.setdefault((ccsi.name, sequence), len(numbers))
            if number == len(sets):
                sets.append(self.attributes_of(ccsi, mobility_of(sequence)))
            of_run.append(number)
        attributes = np.repeat(np.array(of_run), np.diff(first, append=len(vnis)))
        attributes[~told] = NOTHING
        originations = {
            vni: Origination(ccsi.rd, ccsi.vni) for vni, (ccsi, _) in self._region.vpcs.items()
        }
        return OutVms(table, attributes, sets, originations)

    def alone(self) -> Iterator[Export]:
        """Of VMs of which no host speaks and whose type 2 may be that of another VM, too: in VPCs
        of one CCN that have the same address and MAC."""
        told: set[bytes] = set()
        for row in np.flatnonzero(self._told()[1]).tolist():
            vm, vni = self._region.declared.vm(row), self._region.declared.table[row].vni
            export = self.of((vni, vm.ip), declared_claim(vm))
            if export[0].key not in told:
                told.add(export[0].key)
                yield export

    def _told(self) -> tuple[Bools, Bools]:
        """Which declared rows are told in columns, and which alone."""
        table = self._region.declared.table
        silent = [vni for vni in self._region.vpcs if self.silent(vni)]
        told: Bools = ~np.isin(table.rows["vni"], np.array(silent, np.uint32))
        spoken = [VmEntry(*a, c.mac, c.host) for a, c in self._region.spoken_of.items()]
        heard = table.places(VmTable.of(spoken))
        told[heard[heard >= 0]] = False
        alone = np.zeros(len(table), np.bool_)
        for vnis in self.vnis.values():
            if len(vnis) > 1:
                mine = np.flatnonzero(np.isin(table.rows["vni"], np.array(vnis, np.uint32)))
                alone[mine[same_vm(table.rows[mine])]] = True
                for claim in spoken:
                    for vni in vnis if claim.vni in vnis else ():
                        row = table.find(vni, claim.ip)
                        if row is not None:
                            alone[row] = True
        return told & ~alone, told & alone

    def silent(self, vni: int) -> bool:
        """Whether a VPC only hears."""
        ccsi, vpc = self._region.vpcs[vni]
        return f"vpc/{vpc.name}" in ccsi.silent

    def of(self, address: Address, claim: Claim) -> Export:
        """What is said of the holder of an address."""
        ccsi, vpc = self._region.vpcs[address[0]]
        nlri = vm_nlri(ccsi, vpc, address[1], claim.mac)
        return nlri, self.attributes_of(ccsi, claim.mobility)

    def attributes_of(self, ccsi: Ccsi, mobility: tuple[bytes, ...]) -> PathAttributes:
        """One object for all VMs of a table that have moved alike: announcements group by it."""
        made = self._attributes.get((ccsi.name, mobility))
        if made is None:
            made = own_attributes(self._region.gateway, ccsi)
            communities = made.extended_communities + mobility
            made = replace(made, extended_communities=communities)
            if len(self._attributes) > 100_000:
                self._attributes.clear()  # hosts may invent sequences for ever
            self._attributes[ccsi.name, mobility] = made
        return made
