"""VMs of this region: the inventory and what hosts say of it.

In: declared VMs, type 2 of hosts and their withdrawal. Out: for each (VNI, address) one row of the
VM table, one candidate for gateway IPs and one type 2 to other gateways, all of the same VM. They
depend on what is held alone: a higher mobility sequence wins (RFC 7432 §15), then the inventory,
then the lower VTEP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.learn.loc_rib import LocRib, Slot
from ccn_bgp.learn.originate import own_attributes, vm_candidate
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.path import EvpnMacIp, Nlri, Path, PathAttributes
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.topology import Gateway, Vm, Vpc

Address = tuple[int, Ip]
"""(VNI, IP): what a VM is found by."""


class _Chosen(NamedTuple):
    """The VM at an address: its row, and the mobility community that it came with."""

    mac: Mac
    host: Ip
    mobility: tuple[bytes, ...]


class RegionVms:
    """``say`` and ``unsay`` are told of the type 2 that gateways are to hear."""

    def __init__(
        self,
        gateway: Gateway,
        tables: Mapping[str, LocRib],
        vpcs: Mapping[int, tuple[Ccsi, Vpc]],
        say: Callable[[Nlri, PathAttributes], None],
        unsay: Callable[[Nlri], None],
    ) -> None:
        self.gateway = gateway
        self.tables = tables
        self.vpcs = vpcs
        self.say = say
        self.unsay = unsay
        self.changed = True
        self._declared = self._inventory()
        self._heard: dict[Address, dict[Slot, Path]] = {}
        self._said: dict[Address, Candidate] = {}
        self._attributes: dict[str, PathAttributes] = {}
        for address in self._declared:
            self._settle(address)

    def _inventory(self) -> dict[Address, Vm]:
        return {(vni, vm.ip): vm for vni, (_, vpc) in self.vpcs.items() for vm in vpc.vms}

    def renew(self) -> None:
        """The VPCs have other VMs now: settle the addresses where that makes a difference."""
        self.changed = True  # who asks may be new, even where nothing is
        before, now = self._declared, self._inventory()
        self._declared = now
        gone = [address for address in before if address not in now]
        fresh = [address for address, vm in now.items() if before.get(address) != vm]
        for address in (*gone, *fresh):
            self._settle(address)

    def hear(self, nlri: EvpnMacIp, slot: Slot, path: Path) -> None:
        """A host says a VM of a VPC of this region."""
        assert nlri.ip is not None
        self._heard.setdefault((nlri.vni, nlri.ip), {})[slot] = path
        self._settle((nlri.vni, nlri.ip))

    def forget(self, nlri: EvpnMacIp, slot: Slot) -> None:
        """A host takes it back."""
        assert nlri.ip is not None
        address = nlri.vni, nlri.ip
        held = self._heard.get(address)
        if held is None or held.pop(slot, None) is None:
            return
        if not held:
            del self._heard[address]
        self._settle(address)

    def entries(self) -> tuple[VmEntry, ...]:
        """The rows of the VM table, sorted."""
        self.changed = False
        rows = []
        for address in self._declared.keys() | self._heard.keys():
            chosen = self._choose(address)
            assert chosen is not None
            rows.append(VmEntry(*address, chosen.mac, chosen.host))
        return tuple(sorted(rows, key=lambda r: (r.vni, len(r.ip), r.ip)))

    def _choose(self, address: Address) -> _Chosen | None:
        declared, held = self._declared.get(address), self._heard.get(address)
        if held:
            path = min(held.values(), key=_precedence)
            nlri, attributes = path.nlri, path.attributes
            assert isinstance(nlri, EvpnMacIp) and attributes.next_hop is not None
            if declared is None or attributes.mobility.sequence > declared.sequence:
                mobility = (c for c in attributes.extended_communities if c[:2] == b"\x06\x00")
                return _Chosen(nlri.mac, attributes.next_hop, tuple(mobility))
        if declared is None:
            return None
        # Type 0x06, sub-type 0x00, no flags (RFC 7432 §7.7).
        said = (b"\x06\x00\x00\x00" + declared.sequence.to_bytes(4, "big"),)
        return _Chosen(declared.mac, declared.host, said if declared.sequence else ())

    def _settle(self, address: Address) -> None:
        """Put what is chosen now in the place of what was."""
        self.changed = True
        vni, ip = address
        ccsi, vpc = self.vpcs[vni]
        table = self.tables[ccsi.name]
        chosen, before = self._choose(address), self._said.pop(address, None)
        candidate = None
        if chosen is not None:
            attributes = self._own(ccsi)
            if chosen.mobility:
                attributes = replace(
                    attributes,
                    extended_communities=attributes.extended_communities + chosen.mobility,
                )
            candidate = self._said[address] = vm_candidate(ccsi, attributes, vpc, ip, chosen.mac)
        if before is not None and (candidate is None or candidate.key != before.key):
            table.remove_vm(ip, ("", before.key))
            self.unsay(before.path.nlri)
        if candidate is not None:
            table.place_vm(ip, candidate)
            if f"vpc/{vpc.name}" not in ccsi.silent:
                self.say(candidate.path.nlri, candidate.path.attributes)

    def _own(self, ccsi: Ccsi) -> PathAttributes:
        """One object for all VMs of a table, so that announcements group by it."""
        made = self._attributes.get(ccsi.name)
        if made is None:
            made = self._attributes[ccsi.name] = own_attributes(self.gateway, ccsi)
        return made


def _precedence(path: Path) -> tuple[int, Ip, str, bytes]:
    attributes = path.attributes
    return (
        -attributes.mobility.sequence,
        attributes.next_hop or Ip(b""),
        path.peer,
        path.nlri.key,
    )
