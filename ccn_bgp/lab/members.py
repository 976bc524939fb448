"""Who must reach whom: in comes a Layout, out come the members of all CCNs and their pairs.

Pure. A member is an address of a VM, of a prefix behind a VM, or of a server behind an IDC router.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ccn_bgp.lab.layout import Layout
from ccn_bgp.model.bgp import Ip, Prefix


@dataclass(frozen=True, slots=True)
class Member:
    """One address that answers. ``announced``: the rest of its CCN is told of it.

    ``hears``: it is told of the rest. ``behind``: it lies behind a VM (a ``via`` route).
    """

    node: str
    netns: str
    ccn: str
    of: str
    address: Ip
    announced: bool = True
    hears: bool = True
    behind: bool = False

    def __str__(self) -> str:
        return f"{self.node} {self.address}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Probes go from ``source`` to ``target``."""

    source: Member
    target: Member

    def __str__(self) -> str:
        return f"{self.source.ccn}: {self.source} -> {self.target}"


def members(layout: Layout) -> tuple[Member, ...]:
    """All members of all CCNs, in the order of the topology file."""
    return tuple(_members(layout))


def pairs(found: Sequence[Member]) -> tuple[Pair, ...]:
    """Every pair, both ways, that the topology says can talk.

    Left out: members without a route by their own configuration (``propagate: false``, an IDC
    router without import or export policy), and IDC to IDC, which is no business of a CCN.
    """
    return tuple(
        Pair(source, target)
        for source in found
        for target in found
        if source.ccn == target.ccn
        and source.node != target.node
        and source.address.version == target.address.version
        and not source.behind
        and (source.of == target.of or (target.announced and source.hears))
        and not (source.of.startswith("idc/") and target.of.startswith("idc/"))
    )


def shared_pairs(layout: Layout, found: Sequence[Member]) -> tuple[Pair, ...]:
    """Pairs of two CCNs that a share joins: from the consumer to what the provider shares with it.

    Left out: addresses that the consumer has itself, and members without a route, as in ``pairs``.
    """
    topology = layout.topology
    own: dict[str, list[Prefix]] = {}
    for ccn in topology.ccns.values():
        spaces = (
            (topology.vpcs if a.kind == "vpc" else topology.idcs)[a.name].cidrs for a in ccn.attach
        )
        own[ccn.name] = [cidr for cidrs in spaces for cidr in cidrs]
    return tuple(
        Pair(source, target)
        for source in found
        for target in found
        if source.ccn != target.ccn
        and source.address.version == target.address.version
        and not source.behind
        and target.announced
        and source.hears
        and any(
            (share.provider, share.consumer) == (target.ccn, source.ccn)
            and any(prefix.contains(target.address) for prefix in share.prefixes)
            for share in topology.shares
        )
        and not any(prefix.contains(target.address) for prefix in own[source.ccn])
        and not (source.of.startswith("idc/") and target.of.startswith("idc/"))
    )


def trespasses(layout: Layout, found: Sequence[Member]) -> tuple[Pair, ...]:
    """Pairs of different CCNs that must not reach each other: the target's address is not in the
    source's own CCN, and no share joins the two."""
    own: dict[str, set[Ip]] = {}
    for member in found:
        own.setdefault(member.ccn, set()).add(member.address)
    shared = {(s.provider, s.consumer) for s in layout.topology.shares}
    return tuple(
        Pair(source, target)
        for source in found
        for target in found
        if source.ccn != target.ccn
        and source.address.version == target.address.version
        and not source.behind
        and target.address not in own[source.ccn]
        and (source.ccn, target.ccn) not in shared
        and (target.ccn, source.ccn) not in shared
    )


def _members(layout: Layout) -> Iterator[Member]:
    taken: set[str] = set()
    for ccn in layout.topology.ccns.values():
        for attachment in ccn.attach:
            of = str(attachment)
            if attachment.kind == "vpc":
                if of in taken:  # a VPC is in one CCN; a second attachment has no VNI of its own
                    continue
                taken.add(of)
                for vm in layout.vms:
                    if vm.vpc.name != attachment.name or vm.alike:
                        continue  # who of several that are alike hears an answer, nobody knows
                    netns = layout.netns(vm.name)
                    for address in (*vm.addresses, *vm.behind):
                        yield Member(
                            node=vm.name,
                            netns=netns,
                            ccn=ccn.name,
                            of=of,
                            address=address,
                            announced=attachment.propagate,
                            behind=address in vm.behind,
                        )
            else:
                for node in layout.routers:
                    if node.router.idc != attachment.name or node.router.ccn != ccn.name:
                        continue
                    for stub in node.stubs:
                        yield Member(
                            node=node.server,
                            netns=layout.netns(node.server),
                            ccn=ccn.name,
                            of=of,
                            address=node.server_address(stub),
                            announced=attachment.propagate and bool(node.router.import_),
                            hears=bool(node.router.export),
                        )
