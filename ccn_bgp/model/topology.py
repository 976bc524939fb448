"""The declared network, frozen: what config/load.py makes of a topology file, names resolved.

Nothing here is derived; ccsi.py derives tables and route targets from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Literal, NamedTuple

from ccn_bgp.model.acl import Acl
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteTarget, Vni
from ccn_bgp.model.suppression import Suppression

PeerRole = Literal["gateway", "reflector", "host", "idc"]


@dataclass(frozen=True, slots=True)
class Interface:
    """An address with the length of its subnet: ``192.0.2.11/24`` (host bits kept)."""

    address: Ip
    length: int

    @property
    def subnet(self) -> Prefix:
        """The on-link subnet."""
        return Prefix.of(self.address, self.length)

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


@dataclass(frozen=True, slots=True)
class Fabric:
    """``asn`` is the administrator of derived route targets; MTUs in octets of the IP packet."""

    asn: Asn
    mtu: int = 1500
    underlay_mtu: int = 1600


@dataclass(frozen=True, slots=True)
class Uplink:
    """A port to the underlay; ``via`` is the router towards other regions, ``driver`` the DPDK
    driver (``auto``: the best that the device takes)."""

    port: str
    address: Interface
    via: Ip | None
    driver: Literal["auto", "af_xdp", "af_packet", "null"] = "auto"


@dataclass(frozen=True, slots=True)
class ForwarderSettings:
    """How a gateway starts its forwarder: ``cpus`` is a list like ``2-5,8`` or ``auto`` (None: the
    kernel schedules), ``workers`` None as many as it names, ``memory`` in MB (None: enough)."""

    workers: int | None = None
    cpus: str | None = None
    fan_out: bool = False
    busy_poll: bool = False
    hugepages: bool = False
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """One CCN gateway. ``mac`` is its router MAC, ``vtep`` its tunnel address.

    ``import_``/``export`` name policies of its sessions with other gateways; empty means accept.
    """

    name: str
    region: str
    asn: Asn
    vtep: Ip
    router_id: Ip
    mac: Mac
    uplinks: tuple[Uplink, ...]
    forwarder: ForwarderSettings = ForwarderSettings()
    import_: tuple[str, ...] = ()
    export: tuple[str, ...] = ()

    @property
    def has_own_tunnel_address(self) -> bool:
        """Whether the VTEP is no uplink's address: then every uplink stands for it."""
        return all(u.address.address != self.vtep for u in self.uplinks)


class Vm(NamedTuple):
    """A virtual machine: where (VNI, ip) is reached. ``host`` is the VTEP of its host,
    ``sequence`` how often it has moved as far as the inventory knows (RFC 7432 §15). One that is
    behind several hosts has the lowest in ``host`` and the rest, in order, in ``others``."""

    ip: Ip
    mac: Mac
    host: Ip
    sequence: int = 0
    others: tuple[Ip, ...] = ()

    @classmethod
    def behind(cls, ip: Ip, mac: Mac, hosts: tuple[Ip, ...], sequence: int = 0) -> Vm:
        """A VM of these hosts (vtep_sets.py)."""
        return cls(ip, mac, hosts[0], sequence, hosts[1:])

    @property
    def hosts(self) -> tuple[Ip, ...]:
        """All of them, in order."""
        return (self.host, *self.others)


@dataclass(frozen=True, slots=True)
class VpcRoute:
    """A prefix behind a VM of the VPC (``via``, RFC 9136 gateway IP) or a blackhole (None)."""

    prefix: Prefix
    via: Ip | None


@dataclass(frozen=True, slots=True)
class Vpc:
    """A virtual private cloud in one region. ``gateways``: its own address in each CIDR."""

    name: str
    region: str
    vni: Vni
    cidrs: tuple[Prefix, ...]
    gateways: tuple[Ip, ...]
    vms: Sequence[Vm] = ()
    routes: tuple[VpcRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class HardLimit:
    """More prefixes than ``limit`` end the session (RFC 4271 §6.7). It stays down for ``restart``
    seconds; None: until an operator clears it."""

    limit: int
    restart: int | None = None


@dataclass(frozen=True, slots=True)
class IdcRouter:
    """A router of a data centre: one eBGP session inside one CCSI of one gateway.

    ``vlan`` None is untagged. ``import_``/``export`` name policies; empty means reject (RFC 8212).
    Of more than ``max_prefixes`` the rest is not used; ``hard_limit`` ends the session instead.
    ``ttl_security``: at most this many hops away (RFC 5082). ``drained``: see gateway/draining.py.
    ``address6``, ``gateway_address6``: both ends of a hand-off with an IPv4 session over which IPv6
    routes are told, too (RFC 4760 §3: their next hops are IPv6 addresses).
    """

    name: str
    idc: str
    gateway: str
    port: str
    vlan: int | None
    ccn: str
    asn: Asn
    address: Interface
    gateway_address: Interface
    import_: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    max_prefixes: int | None = None
    password_file: FilePath | None = None
    hard_limit: HardLimit | None = None
    ttl_security: int | None = None
    drained: bool = False
    address6: Interface | None = None
    gateway_address6: Interface | None = None

    def ends(self, version: int) -> tuple[Interface, Interface] | None:
        """Of the hand-off in one family its own address and ours; None if it has none there."""
        if version == self.address.address.version:
            return self.address, self.gateway_address
        if self.address6 is None or self.gateway_address6 is None:
            return None
        return self.address6, self.gateway_address6

    @property
    def most_prefixes(self) -> int | None:
        """How many prefixes of it can be in use at most; None: no limit."""
        return self.max_prefixes if self.hard_limit is None else self.hard_limit.limit


@dataclass(frozen=True, slots=True)
class Idc:
    """A data centre; ``cidrs`` is all that it may announce."""

    name: str
    region: str
    cidrs: tuple[Prefix, ...]
    routers: tuple[IdcRouter, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A member of a CCN. Without ``propagate`` it reaches the others, its own routes stay out."""

    kind: Literal["vpc", "idc"]
    name: str
    propagate: bool = True

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ccn:
    """One private network. None for route targets or re-export means: as derived. Up to
    ``multipath`` equal paths share a prefix. ``acl`` names the access list that its packets must
    pass. ``source_check``: see docs/concepts.md, Sources. ``aggregates`` names those of policy
    files that stand in its tables."""

    name: str
    id: int
    vni: Vni
    attach: tuple[Attachment, ...]
    import_rts: tuple[RouteTarget, ...] | None = None
    export_rts: tuple[RouteTarget, ...] | None = None
    reexport: bool = False
    multipath: int = 1
    acl: str | None = None
    source_check: bool = True
    aggregates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """The only legal way between CCNs, one-way: ``consumer`` may use ``provider``'s prefixes.
    ``export`` and ``import_`` name policies of provider and consumer; empty means accept."""

    provider: str
    consumer: str
    prefixes: tuple[Prefix, ...]
    import_: tuple[str, ...] = ()
    export: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"share {self.provider} to {self.consumer}"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A further EVPN speaker. ``port`` is the TCP port that we dial; ``label_is_mpls``: where it
    names no encapsulation its labels are MPLS labels (RFC 8365 §5.1.3); ``import_``/``export``
    name policies, empty means accept; the others as of an IdcRouter."""

    name: str
    gateway: str
    address: Ip
    asn: Asn
    role: Literal["gateway", "reflector", "host"]
    local_address: Ip | None = None
    port: int = 179
    password_file: FilePath | None = None
    hard_limit: HardLimit | None = None
    ttl_security: int | None = None
    drained: bool = False
    label_is_mpls: bool = False
    import_: tuple[str, ...] = ()
    export: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timers:
    """Of all sessions, in seconds. ``hold``: offered in OPEN. ``restart``: how long peers may keep
    our routes after the session broke (RFC 4724 §3). ``stale``: how long a peer may take from the
    new session to its End-of-RIB. ``hold_back``: how long we wait for all peers' End-of-RIB after
    our own restart."""

    hold: int = 90
    restart: int = 120
    stale: int = 120
    hold_back: int = 30


@dataclass(frozen=True, slots=True)
class MacMobility:
    """When a VM moves too often (RFC 7432 §15.1): ``moves`` in ``seconds``. It then stays where it
    is for ``freeze`` seconds; None: until an operator releases it."""

    moves: int = 5
    seconds: int = 180
    freeze: int | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole file. ``positions`` maps a dotted key path (``vpcs.web.cidrs.0``) to
    ``file:line:column``; ask it through ``at``."""

    name: str
    file: FilePath
    fabric: Fabric
    gateways: Mapping[str, Gateway]
    vpcs: Mapping[str, Vpc]
    idcs: Mapping[str, Idc]
    ccns: Mapping[str, Ccn]
    shares: tuple[Share, ...]
    neighbors: tuple[Neighbor, ...]
    policies: tuple[FilePath, ...]
    suppressions: tuple[Suppression, ...] = ()
    acls: Mapping[str, Acl] = field(default_factory=dict)
    inventory: tuple[FilePath, ...] = ()
    timers: Timers = Timers()
    mac_mobility: MacMobility = MacMobility()
    positions: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def at(self, *keys: str | int) -> str:
        """Position of the value at this key path, or of its nearest parent that has one."""
        words = [str(k) for k in keys]
        while words:
            if found := self.positions.get(".".join(words)):
                return found
            words.pop()
        return f"{self.file}:1:1"

    @property
    def routers(self) -> tuple[IdcRouter, ...]:
        """All IDC routers, by name."""
        found = [router for idc in self.idcs.values() for router in idc.routers]
        return tuple(sorted(found, key=lambda r: r.name))
