"""VMs of this region: the inventory and what hosts say of it.

In: declared VMs, type 2 of hosts and their withdrawal. Out: for each (VNI, address) one row of the
VM table, one candidate for gateway IPs and one type 2 to other gateways, all of the same VM. They
depend on what is held alone (mobility.py), but for an address that moved too often.

The inventory stays in columns; objects are kept only of what hosts say, and made of the rest when
somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.learn.exports import Exports
from ccn_bgp.learn.loc_rib import LocRib, Slot
from ccn_bgp.learn.mobility import (
    Claim,
    Frozen,
    Moves,
    claims,
    declared_claim,
    heard_claim,
    shared,
    shares,
    why_not,
)
from ccn_bgp.learn.originate import vm_candidate
from ccn_bgp.learn.vm_exports import VmExports
from ccn_bgp.learn.vm_rows import Address, DeclaredVms, overlaid
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnMacIp, Nlri, Path
from ccn_bgp.model.reason import NotBest, Refused
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.topology import Gateway, MacMobility, Vpc
from ccn_bgp.model.vm_table import VmTable


class VmClaim(NamedTuple):
    """One claim to an address, and why it is not the one that holds, or shares with it (None: it
    is)."""

    claim: Claim
    reason: NotBest | Refused | None


class RegionVms:
    """``exports`` is what gateways are to hear; ``said`` is told the keys that are other now."""

    def __init__(
        self,
        gateway: Gateway,
        tables: Mapping[str, LocRib],
        vpcs: Mapping[int, tuple[Ccsi, Vpc]],
        exports: Exports,
        *,
        said: Callable[[bytes], None],
        limits: MacMobility,
    ) -> None:
        self.gateway = gateway
        self.tables = tables
        self.vpcs = vpcs
        self.changed = True
        self.clock: Callable[[], float] | None = None
        """Seconds, of whoever keeps time; without one nothing is frozen."""
        self._kept = exports
        self._said = said
        self.declared = DeclaredVms.of(vpcs, gateway.vtep.version)
        self.heard: dict[Address, dict[Slot, Path]] = {}
        self._holders: dict[Address, Claim] = {}
        """Of the addresses that hosts speak of."""
        self._moves = Moves(limits)
        self._frozen: dict[Address, Frozen] = {}
        self._contested: set[Address] = set()
        self._exports = VmExports(self)
        for table in tables.values():
            table.own_vms = partial(self.candidates, table.ccsi.rd)
        exports.made = self._exports

    # -- what is said -----------------------------------------------------------------------------

    def renew(self) -> None:
        """The VPCs have other VMs now: settle the addresses where that makes a difference."""
        self.changed = True  # who asks may be new, even where nothing is
        before, self.declared = self.declared, self.declared.renewed(self.vpcs)
        for address, old, new in before.differences(self.declared):
            if address in self.heard:
                self._thaw(address)  # whoever changed the inventory has looked into it
                self._settle(address, self._holders[address])
            else:
                was, now = (None if vm is None else declared_claim(vm) for vm in (old, new))
                self._replace(address, was, now)

    def hear(self, nlri: EvpnMacIp, slot: Slot, path: Path) -> None:
        """A host says a VM of a VPC of this region."""
        assert nlri.ip is not None
        address = nlri.vni, nlri.ip
        before = self.holder(address)
        self.heard.setdefault(address, {})[slot] = path
        found = self._claims(address)
        if (
            self.clock is not None
            and address not in self._frozen
            and before is not None
            and not set(shared(found, self._limit(address)).hosts) & set(before.hosts)
            and self._moves.moved(address, now := self.clock())
        ):
            seconds = self._moves.limits.freeze
            self._frozen[address] = Frozen(found[0], None if seconds is None else now + seconds)
        self._settle(address, before)

    def forget(self, nlri: EvpnMacIp, slot: Slot) -> None:
        """A host takes it back."""
        assert nlri.ip is not None
        address = nlri.vni, nlri.ip
        held = self.heard.get(address)
        if held is None or slot not in held:
            return
        before = self._holders[address]
        del held[slot]
        if not held:
            del self.heard[address]
        self._settle(address, before)

    @contextmanager
    def judged_again(self) -> Iterator[None]:
        """What is heard and forgotten in between is no move."""
        clock, self.clock = self.clock, None
        try:
            yield
        finally:
            self.clock = clock

    def thaw(self, peer: str | None = None) -> bool:
        """An operator says go on: for all addresses, or those that a peer speaks of."""
        some = [
            address
            for address in self._frozen
            if peer is None or any(slot[0] == peer for slot in self.heard.get(address, ()))
        ]
        return self._release(some)

    def release(self) -> bool:
        """End what has been frozen long enough; true if anything was."""
        if self.clock is None or not self._frozen:
            return False
        now = self.clock()
        return self._release(
            [a for a, f in self._frozen.items() if f.until is not None and f.until <= now]
        )

    def _release(self, some: list[Address]) -> bool:
        for address in some:
            self._thaw(address)
            self._settle(address, self._holders.get(address))
        return bool(some)

    def _thaw(self, address: Address) -> None:
        self._frozen.pop(address, None)
        self._moves.forget(address)

    # -- what follows -----------------------------------------------------------------------------

    def entries(self) -> VmTable:
        """The rows of the VM table."""
        self.changed = False
        declared = self.declared.table
        heard = [VmEntry(*a, c.mac, c.host, c.others) for a, c in self._holders.items()]
        return overlaid(declared, VmTable.of(heard, declared.sets))

    def holder(self, address: Address) -> Claim | None:
        """The claim that holds an address."""
        claim = self._holders.get(address)
        if claim is None and (vm := self.declared.find(address)) is not None:
            claim = declared_claim(vm)
        return claim

    def candidates(self, rd: bytes, ip: Ip) -> Iterator[Candidate]:
        """The VMs with an address in the VPCs of one CCSI."""
        for vni in self._exports.vnis.get(rd, ()):
            claim = self.holder((vni, ip))
            if claim is not None:
                ccsi, vpc = self.vpcs[vni]
                attributes = self._exports.attributes_of(ccsi, claim.mobility)
                yield vm_candidate(ccsi, attributes, vpc, ip, claim.mac)

    def claims(self, address: Address) -> list[VmClaim]:
        """Everything that is said of an address: the holder, who shares with it, the others."""
        holder = self.holder(address)
        found = []
        for claim in self._claims(address):
            assert holder is not None
            found.append(VmClaim(claim, self._reason(address, claim, holder)))
        return sorted(found, key=lambda c: c.reason is not None)

    def reason(self, peer: str, nlri: Nlri) -> NotBest | Refused | None:
        """Why what a host says is not what holds, or None if it is, or no VM of ours."""
        if not isinstance(nlri, EvpnMacIp) or nlri.ip is None:
            return None
        address, slot = (nlri.vni, nlri.ip), (peer, nlri.key)
        path = self.heard.get(address, {}).get(slot)
        if path is None:
            return None
        return self._reason(address, heard_claim(slot, path), self._holders[address])

    @property
    def frozen(self) -> Mapping[Address, Frozen]:
        """The addresses that have moved too often."""
        return self._frozen

    @property
    def spoken_of(self) -> Mapping[Address, Claim]:
        """Who holds each address that hosts speak of."""
        return self._holders

    def findings(self) -> list[Finding]:
        """A `duplicate-vm` for each claim that is refused, and for each address that is frozen."""
        found = []
        for address in sorted(self._frozen.keys() | self._contested):
            holder = self._holders[address]
            frozen = self._frozen.get(address)
            if frozen is not None:
                found.append(self._finding(address, holder, self._frozen_text(address, frozen)))
                continue
            for claim, reason in self.claims(address):
                if isinstance(reason, Refused):
                    text = f"{claim.who} says that it is on host {claim.host}, but {reason.text}"
                    found.append(self._finding(address, claim, text))
        return found

    def _reason(self, address: Address, claim: Claim, holder: Claim) -> NotBest | Refused | None:
        if claim.slot == holder.slot:
            return None
        frozen = self._frozen.get(address)
        if frozen is not None:
            return Refused("duplicate-vm", self._frozen_text(address, frozen))
        if claim.host in holder.others and shares(claim, holder):
            return None
        return why_not(claim, holder)

    def _frozen_text(self, address: Address, frozen: Frozen) -> str:
        limits = self._moves.limits
        hosts = {claim.host for claim in claims(None, self.heard.get(address, {}))}
        among = ", ".join(str(host) for host in sorted(hosts))
        return (
            f"{limits.moves} moves in {limits.seconds} s, among hosts {among}: it stays on host"
            f" {frozen.claim.host} (RFC 7432 §15.1)"
        )

    def _finding(self, address: Address, claim: Claim, text: str) -> Finding:
        vni, ip = address
        ccsi, vpc = self.vpcs[vni]
        return Finding(
            rule="duplicate-vm",
            message=f"VM {ip} in vpc/{vpc.name} (VNI {vni}): {text}",
            where=f"peer {claim.slot[0]}" if claim.slot[0] else "",
            ccn=ccsi.ccn,
            table=ccsi.name,
            peer=claim.slot[0],
            witness={"address": str(ip), "hops": [f"vpc/{vpc.name}", str(claim.host)]},
        )

    # -- from what is held to who holds it --------------------------------------------------------

    def _claims(self, address: Address) -> list[Claim]:
        return claims(self.declared.find(address), self.heard.get(address, {}))

    def _limit(self, address: Address) -> int:
        """How many hosts may share."""
        return self.vpcs[address[0]][0].multipath

    def _settle(self, address: Address, before: Claim | None) -> None:
        """Choose the holder of an address that hosts speak, or spoke, of."""
        held, found = self.heard.get(address, {}), self._claims(address)
        if not held:
            self._thaw(address)
        frozen = self._frozen.get(address)
        holder = shared(found, self._limit(address)) if found else None
        if frozen is not None and found:
            kept = [c for c in found if c.slot == frozen.claim.slot]
            if kept and kept[0].hosts == frozen.claim.hosts:
                holder = frozen.claim  # as it was said then: nothing is said on meanwhile
            else:
                holder = found[0]
                self._frozen[address] = frozen._replace(claim=holder)
        if held:
            assert holder is not None
            self._holders[address] = holder
        else:
            self._holders.pop(address, None)
        if holder is not None and any(
            isinstance(self._reason(address, claim, holder), Refused) for claim in found
        ):
            self._contested.add(address)
        else:
            self._contested.discard(address)
        self._replace(address, before, holder)

    def _replace(self, address: Address, before: Claim | None, holder: Claim | None) -> None:
        """Put what holds an address now in the place of what did."""
        self.changed = True
        vni, ip = address
        ccsi, _ = self.vpcs[vni]
        if before != holder:
            self.tables[ccsi.name].resolve_again(ip)
        if self._exports.silent(vni):
            return
        old = None if before is None else self._exports.of(address, before)
        new = None if holder is None else self._exports.of(address, holder)
        if len(self._exports.vnis[ccsi.rd]) > 1:
            for key in {export[0].key for export in (old, new) if export is not None}:
                self._keep_first(ccsi, ip, key)
            return
        if old is not None and (new is None or new[0].key != old[0].key):
            del self._kept[old[0].key]
            self._said(old[0].key)
        if new is not None:
            if address in self.heard:
                self._kept[new[0].key] = new
            else:
                del self._kept[new[0].key]  # it is made when asked for
            if old != new:
                self._said(new[0].key)

    def _keep_first(self, ccsi: Ccsi, ip: Ip, key: bytes) -> None:
        """Of the VPCs of a CCN that have one address and MAC the first by VNI is told of."""
        del self._kept[key]
        for vni in self._exports.vnis[ccsi.rd]:
            holder = self.holder((vni, ip))
            if holder is not None and holder.mac == key[13:19] and not self._exports.silent(vni):
                if (vni, ip) in self.heard:
                    self._kept[key] = self._exports.of((vni, ip), holder)
                break
        self._said(key)
