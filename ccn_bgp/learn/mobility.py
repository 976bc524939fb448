"""MAC mobility, RFC 7432 §15: of several claims to one VM which has it, and who moves too often.

In: what the inventory and the hosts say of an address. Out: the Claims in order, the first one
holds; the reason of each other. Pure but for Moves, and that is given its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ccn_bgp.learn.loc_rib import Slot
from ccn_bgp.learn.vm_rows import Address
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.path import EvpnMacIp, Path
from ccn_bgp.model.reason import NotBest, Refused
from ccn_bgp.model.topology import MacMobility, Vm

INVENTORY: Slot = ("", b"")
"""Who says what the topology declares."""
MAX_TRACKED = 100_000
"""Addresses whose moves are remembered at once; hosts may invent them for ever."""

STEPS = (
    "said to be sticky elsewhere",
    "higher mobility sequence",  # RFC 7432 §15
    "in the inventory",  # ours
    "lower VTEP",  # §15, of two with one sequence; with multipath they share the traffic
    "first peer and route by name",  # ours, so that no tie is left
)


SHARED_STEPS = 3
"""Through so many steps claims are as good as the best if they share with it."""


class Claim(NamedTuple):
    """One word on where a VM is. ``mobility``: its community, as it is said on. ``others``: more
    hosts that it is behind, in order; flows are spread over all of them."""

    mac: Mac
    host: Ip
    sequence: int
    sticky: bool
    slot: Slot
    mobility: tuple[bytes, ...] = ()
    others: tuple[Ip, ...] = ()

    @property
    def hosts(self) -> tuple[Ip, ...]:
        """All of them."""
        return (self.host, *self.others)

    @property
    def rank(self) -> tuple[bool, int, bool, Ip, Slot]:
        """The lowest has the VM; the places are those of STEPS."""
        return (not self.sticky, -self.sequence, self.slot != INVENTORY, self.host, self.slot)

    @property
    def who(self) -> str:
        """Who says it."""
        return self.slot[0] or "the inventory"


def declared_claim(vm: Vm) -> Claim:
    """What the topology says."""
    said = mobility_of(vm.sequence)
    return Claim(vm.mac, vm.host, vm.sequence, False, INVENTORY, said, vm.others)


def mobility_of(sequence: int) -> tuple[bytes, ...]:
    """The community that says how often a VM has moved; none for one that never has."""
    # Type 0x06, sub-type 0x00, no flags (RFC 7432 §7.7).
    return (b"\x06\x00\x00\x00" + sequence.to_bytes(4, "big"),) if sequence else ()


def heard_claim(slot: Slot, path: Path) -> Claim:
    """What a host says in a type 2."""
    nlri, attributes = path.nlri, path.attributes
    assert isinstance(nlri, EvpnMacIp) and attributes.next_hop is not None
    said = tuple(c for c in attributes.extended_communities if c[:2] == b"\x06\x00")
    sequence, sticky = attributes.mobility
    return Claim(nlri.mac, attributes.next_hop, sequence, sticky, slot, said)


def claims(declared: Vm | None, held: Mapping[Slot, Path]) -> list[Claim]:
    """All claims to one address, the best first."""
    found = [heard_claim(slot, path) for slot, path in held.items()]
    if declared is not None:
        found.append(declared_claim(declared))
    return sorted(found, key=lambda claim: claim.rank)


def shares(claim: Claim, best: Claim) -> bool:
    """Whether both carry the traffic of one VM: they are as good, and say the same MAC. What is
    sticky is on one host, and the inventory says itself where it is."""
    return (
        claim.rank[:SHARED_STEPS] == best.rank[:SHARED_STEPS]
        and claim.mac == best.mac
        and not best.sticky
        and best.slot != INVENTORY
    )


def shared(found: Sequence[Claim], limit: int) -> Claim:
    """The best of ``found``, beside its host up to ``limit`` in all that share with it."""
    best = found[0]
    hosts = sorted({claim.host for claim in found if shares(claim, best)})[:limit]
    return best if len(hosts) < 2 else best._replace(others=tuple(hosts[1:]))


def why_not(claim: Claim, holder: Claim) -> NotBest | Refused:
    """Why a claim is not the holder's. A sticky MAC does not move (§15.2)."""
    if holder.sticky and claim.host != holder.host:
        text = f"{holder.who} has it on host {holder.host} and says that it is sticky"
        return Refused("duplicate-vm", text)
    for step, (mine, theirs) in enumerate(zip(claim.rank, holder.rank, strict=True)):
        if mine != theirs:
            return NotBest(step + 1, STEPS[step])
    raise AssertionError("a claim does not lose against itself")


class Frozen(NamedTuple):
    """An address that moved too often: the claim that keeps it, and until when (None: for an
    operator to release)."""

    claim: Claim
    until: float | None


class Moves:
    """Counts the moves of each address; says when it has moved too often (§15.1)."""

    def __init__(self, limits: MacMobility) -> None:
        self.limits = limits
        self._times: dict[Address, deque[float]] = {}

    def moved(self, address: Address, now: float) -> bool:
        """One more; true if these are too many in too short a time."""
        times = self._times.pop(address, None) or deque()
        times.append(now)
        while times[0] <= now - self.limits.seconds:
            times.popleft()
        if len(times) >= self.limits.moves:
            return True
        self._times[address] = times  # the latest last
        while len(self._times) > MAX_TRACKED:
            del self._times[next(iter(self._times))]
        return False

    def forget(self, address: Address) -> None:
        """Begin to count anew."""
        self._times.pop(address, None)
