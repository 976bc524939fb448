"""The intent: from a Topology, which tables exist, whose they are and what may flow between them.

In: model/topology.py. Out: Ccsi and Peer values for learning, rendering and verification. This is
the only derivation of route targets, distinguishers and sessions; everything else reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Literal

from ccn_bgp.model.bgp import Asn, Ip, Prefix, RouteDistinguisher, RouteTarget, Vni
from ccn_bgp.model.topology import (
    Ccn,
    Gateway,
    HardLimit,
    IdcRouter,
    PeerRole,
    Share,
    Topology,
    Vpc,
)

LONGEST_DEVICE = 15
"""Characters of a device name in Linux (IFNAMSIZ without its final zero)."""


@dataclass(frozen=True, slots=True)
class ShareImport:
    """What a consumer's table may take from a provider: these prefixes or longer. ``exports`` and
    ``imports`` name the policies of the share, in the order in which they are asked."""

    provider: str
    targets: frozenset[RouteTarget]
    prefixes: tuple[Prefix, ...]
    exports: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether a policy binds it."""
        return bool(self.exports or self.imports)


@dataclass(frozen=True, slots=True)
class Ccsi:
    """One CCN on one gateway: a VRF. ``id`` is the CCN's id; ``vni`` its L3VNI.

    ``vpcs`` are those of the gateway's own region that are attached (propagated or not);
    ``routers`` the IDC sessions that end here. Up to ``multipath`` equal paths share a prefix.
    ``underlay``: the IP version of the gateway's tunnels.
    """

    gateway: str
    ccn: str
    id: int
    vni: Vni
    rd: RouteDistinguisher
    import_rts: frozenset[RouteTarget]
    export_rts: frozenset[RouteTarget]
    reexport: bool
    vpcs: tuple[Vpc, ...]
    silent: frozenset[str]
    routers: tuple[IdcRouter, ...]
    shares: tuple[ShareImport, ...]
    multipath: int = 1
    underlay: int = 4

    @property
    def name(self) -> str:
        """``gateway/ccn``: the name of the table everywhere."""
        return f"{self.gateway}/{self.ccn}"


@dataclass(frozen=True, slots=True)
class Peer:
    """One BGP session of one gateway. ``router`` and ``site`` are set for IDC sessions only; what
    carries the community ``site`` is from that data centre. ``imports`` and ``exports`` name the
    policies that bind it."""

    name: str
    role: PeerRole
    asn: Asn
    address: Ip
    local_address: Ip
    local_asn: Asn
    router_id: Ip
    port: int
    passive: bool
    source_interface: str | None
    password_file: FilePath | None
    router: IdcRouter | None = None
    site: bytes = b""
    hard_limit: HardLimit | None = None
    ttl_security: int | None = None
    drained: bool = False
    label_is_mpls: bool = False
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()

    @property
    def default(self) -> Literal["accept", "reject"]:
        """What becomes of a route that no policy decides: RFC 8212 on IDC sessions; the others are
        bounded by route target and owned space."""
        return "reject" if self.role == "idc" else "accept"

    @property
    def external(self) -> bool:
        """True for eBGP."""
        return self.asn != self.local_asn


def derived_target(topology: Topology, ccn: Ccn) -> RouteTarget:
    """``fabric.asn:ccn.id``: the target of a CCN for which the file names no other."""
    return RouteTarget.parse(f"{topology.fabric.asn}:{ccn.id}")


def site_of_origin(topology: Topology, idc: str) -> bytes:
    """The route origin community of a data centre (RFC 4360 §5), the same at every gateway:
    fabric.asn, and 32 bits made of its name."""
    number = hashlib.blake2b(idc.encode(), digest_size=4).digest()
    return b"\x00\x03" + topology.fabric.asn.to_bytes(2, "big") + number


def import_targets(topology: Topology, ccn: Ccn) -> frozenset[RouteTarget]:
    """What the CCN imports by right; shares come on top, filtered by prefix."""
    if ccn.import_rts is None:
        return frozenset((derived_target(topology, ccn),))
    return frozenset(ccn.import_rts)


def export_targets(topology: Topology, ccn: Ccn) -> frozenset[RouteTarget]:
    """What the CCN's routes carry."""
    if ccn.export_rts is None:
        return frozenset((derived_target(topology, ccn),))
    return frozenset(ccn.export_rts)


def ccsis(topology: Topology, gateway: Gateway) -> tuple[Ccsi, ...]:
    """The tables of one gateway, by CCN name: a CCN is present where it has a VPC of the region or
    an IDC session."""
    found = []
    routers_of: dict[str, list[IdcRouter]] = {}
    for router in topology.routers:
        if router.gateway == gateway.name:
            routers_of.setdefault(router.ccn, []).append(router)
    shares_of: dict[str, list[Share]] = {}
    for share in topology.shares:
        shares_of.setdefault(share.consumer, []).append(share)
    for name in sorted(topology.ccns):
        ccn = topology.ccns[name]
        attached = {a.name: a for a in ccn.attach if a.kind == "vpc"}
        vpcs = tuple(
            topology.vpcs[v]
            for v in sorted(attached)
            if v in topology.vpcs and topology.vpcs[v].region == gateway.region
        )
        routers = tuple(routers_of.get(name, ()))
        if not vpcs and not routers:
            continue
        found.append(
            Ccsi(
                gateway=gateway.name,
                ccn=name,
                id=ccn.id,
                vni=ccn.vni,
                rd=RouteDistinguisher.of_router(gateway.router_id, ccn.id),
                import_rts=import_targets(topology, ccn),
                export_rts=export_targets(topology, ccn),
                reexport=ccn.reexport,
                vpcs=vpcs,
                silent=frozenset(str(a) for a in ccn.attach if not a.propagate),
                routers=routers,
                shares=tuple(
                    ShareImport(
                        s.provider,
                        export_targets(topology, topology.ccns[s.provider]),
                        s.prefixes,
                        s.export,
                        s.import_,
                    )
                    for s in shares_of.get(name, ())
                ),
                multipath=ccn.multipath,
                underlay=gateway.vtep.version,
            )
        )
    return tuple(found)


def tap_name(gateway: Gateway, router: IdcRouter) -> str:
    """The kernel's side of a hand-off: one tap per (port, vlan)."""
    return _device(router.port, f".{router.vlan or 0}t")


def uplink_tap(port: str) -> str:
    """The kernel's side of an uplink."""
    return _device(port, ".t")


def _device(port: str, suffix: str) -> str:
    """A device name of at most 15 characters that no other port has: a port too long for it is cut
    and told apart by a hash. Two taps of one name would join two CCNs."""
    if len(port) + len(suffix) <= LONGEST_DEVICE:
        return port + suffix
    mark = hashlib.blake2b(port.encode(), digest_size=3).hexdigest()
    return f"{port[: LONGEST_DEVICE - len(suffix) - len(mark)]}{mark}{suffix}"


def peers(topology: Topology, gateway: Gateway) -> tuple[Peer, ...]:
    """Every BGP session of one gateway, by name.

    Gateways that share a CCN, or whose CCNs are joined by a share, peer with each other unless a
    reflector is configured on this gateway. Of two gateways the one with the lower VTEP dials.
    """
    mine = {c.ccn for c in ccsis(topology, gateway)}
    joined = mine | {s.provider for s in topology.shares if s.consumer in mine}
    joined |= {s.consumer for s in topology.shares if s.provider in mine}
    own = [n for n in topology.neighbors if n.gateway == gateway.name]
    found = []
    if not any(n.role == "reflector" for n in own):
        for other in topology.gateways.values():
            if other.name == gateway.name:
                continue
            if not joined & {c.ccn for c in ccsis(topology, other)}:
                continue
            if any(n.gateway == other.name and n.role == "reflector" for n in topology.neighbors):
                continue
            found.append(
                Peer(
                    name=other.name,
                    role="gateway",
                    asn=other.asn,
                    address=other.vtep,
                    local_address=gateway.vtep,
                    local_asn=gateway.asn,
                    router_id=gateway.router_id,
                    port=179,
                    passive=gateway.vtep > other.vtep,
                    source_interface=None,
                    password_file=None,
                    imports=gateway.import_,
                    exports=gateway.export,
                )
            )
    for n in own:
        loopback = n.address[:1] == b"\x7f" if len(n.address) == 4 else n.address.number == 1
        local = n.local_address or (
            Ip.parse("127.0.0.1" if n.address.version == 4 else "::1") if loopback else gateway.vtep
        )
        found.append(
            Peer(
                name=n.name,
                role=n.role,
                asn=n.asn,
                address=n.address,
                local_address=local,
                local_asn=gateway.asn,
                router_id=gateway.router_id,
                port=n.port,
                passive=False,
                source_interface=None,
                password_file=n.password_file,
                hard_limit=n.hard_limit,
                ttl_security=n.ttl_security,
                drained=n.drained,
                label_is_mpls=n.label_is_mpls,
                imports=n.import_,
                exports=n.export,
            )
        )
    for r in topology.routers:
        if r.gateway == gateway.name:
            found.append(
                Peer(
                    name=r.name,
                    role="idc",
                    asn=r.asn,
                    address=r.address.address,
                    local_address=r.gateway_address.address,
                    local_asn=gateway.asn,
                    router_id=_ccsi_router_id(gateway, topology.ccns[r.ccn].id),
                    port=179,
                    passive=False,
                    source_interface=tap_name(gateway, r),
                    password_file=r.password_file,
                    router=r,
                    site=site_of_origin(topology, r.idc),
                    hard_limit=r.hard_limit,
                    ttl_security=r.ttl_security,
                    drained=r.drained,
                    imports=r.import_,
                    exports=r.export,
                )
            )
    return tuple(sorted(found, key=lambda p: p.name))


def _ccsi_router_id(gateway: Gateway, ccn_id: int) -> Ip:
    """Distinct per CCSI: two IDC routers with the very same addresses are told apart by it."""
    number = (0x0A << 24 | (gateway.router_id.number & 0xFF) << 16 | ccn_id) & 0xFFFFFFFF
    return Ip(number.to_bytes(4, "big"))


def owners_by_vni(topology: Topology) -> Mapping[int, str]:
    """VNI → CCN, for the L3VNI of every CCN and the VNI of every attached VPC."""
    found: dict[int, str] = {}
    for name in sorted(topology.ccns):
        ccn = topology.ccns[name]
        found.setdefault(ccn.vni, name)
        for attachment in ccn.attach:
            if attachment.kind == "vpc" and attachment.name in topology.vpcs:
                found.setdefault(topology.vpcs[attachment.name].vni, name)
    return found
