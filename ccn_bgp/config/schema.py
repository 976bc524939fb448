"""The topology file's format in pydantic: plain data comes in, typed values of model/bgp.py go out.

One class per mapping of the file, keys with dashes as written there; unknown keys are refused.
What refers to what is checked elsewhere (references.py); what is wrong with the network, too
(catalogue.py). Addresses are ``Ip``, prefixes ``Prefix``; MTUs are octets of the IP packet.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from ccn_bgp.config.schema_values import (
    NAME,
    AsnNumber,
    CcnId,
    Count,
    CpuList,
    FabricAsn,
    HoldSeconds,
    Hops,
    InterfaceText,
    IpText,
    Ipv4Text,
    MacText,
    Megabytes,
    Mtu,
    Name,
    PathText,
    PortName,
    PortRange,
    PrefixText,
    Protocol,
    RestartSeconds,
    Seconds,
    Switch,
    TargetText,
    TcpPort,
    Truth,
    TunnelText,
    VlanNumber,
    VniNumber,
    WorkerCount,
    absent,
    empty,
    listed,
    number,
    of_text,
    rule_name,
)
from ccn_bgp.model.route import MAX_MEMBERS
from ccn_bgp.model.suppression import SUPPRESSIBLE
from ccn_bgp.model.vtep_sets import hosts_of
from ccn_bgp.nearest import nearest


class Entry(BaseModel):
    """A mapping of the file: unknown keys are faults."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=lambda name: name.rstrip("_").replace("_", "-"),
    )


class FabricEntry(Entry):
    """``fabric:``"""

    asn: FabricAsn
    mtu: Mtu = 1500
    underlay_mtu: Mtu = 1600


class UplinkEntry(Entry):
    """An item of a gateway's ``uplinks:``."""

    port: PortName
    address: InterfaceText
    via: IpText | None = None
    driver: Literal["auto", "af_xdp", "af_packet", "null"] = "auto"


class ForwarderEntry(Entry):
    """A gateway's ``forwarder:``."""

    workers: WorkerCount | None = None
    cpus: CpuList | None = None
    fan_out: Truth = False
    busy_poll: Truth = False
    hugepages: Truth = False
    memory: Megabytes | None = None


class GatewayEntry(Entry):
    """A value of ``gateways:``."""

    region: Name
    asn: AsnNumber
    vtep: TunnelText
    uplinks: Annotated[list[UplinkEntry], BeforeValidator(empty), Field(max_length=16)] = []
    router_id: Ipv4Text | None = None
    mac: MacText | None = None
    forwarder: Annotated[ForwarderEntry, BeforeValidator(absent)] = ForwarderEntry()
    import_: Annotated[list[Name], BeforeValidator(empty)] = []
    export: Annotated[list[Name], BeforeValidator(empty)] = []


class VmEntry(Entry):
    """An item of a VPC's ``vms:``; ``host`` is the tunnel address of its host, or several."""

    ip: IpText
    mac: MacText
    host: Annotated[list[IpText], BeforeValidator(listed), AfterValidator(hosts_of)]


class RouteEntry(Entry):
    """An item of a VPC's ``routes:``: either ``via`` or ``blackhole``."""

    prefix: PrefixText
    via: IpText | None = None
    blackhole: Truth = False


class VpcEntry(Entry):
    """A value of ``vpcs:``."""

    region: Name
    vni: VniNumber
    cidrs: list[PrefixText] = Field(min_length=1)
    gateway: Annotated[list[IpText], BeforeValidator(listed)] | None = None
    vms: Annotated[list[VmEntry], BeforeValidator(empty)] = []
    routes: Annotated[list[RouteEntry], BeforeValidator(empty)] = []


class LimitEntry(Entry):
    """A ``max-prefixes:``, the short form (a number) already made long."""

    limit: Count
    mode: Literal["soft", "hard"] = "soft"
    restart: Seconds | None = None


def _limit(value: Any) -> Any:
    return value if isinstance(value, dict) else {"limit": value}


MaxPrefixes = Annotated[LimitEntry, BeforeValidator(_limit)]


class RouterEntry(Entry):
    """A value of an IDC's ``routers:``."""

    gateway: Name
    port: PortName
    vlan: VlanNumber | None = None
    ccn: Name
    asn: AsnNumber
    address: InterfaceText
    gateway_address: InterfaceText
    address6: InterfaceText | None = None
    gateway_address6: InterfaceText | None = None
    import_: Annotated[list[Name], BeforeValidator(empty)] = []
    export: Annotated[list[Name], BeforeValidator(empty)] = []
    max_prefixes: MaxPrefixes | None = None
    password_file: PathText | None = None
    ttl_security: Hops | None = None
    drained: Truth = False


class IdcEntry(Entry):
    """A value of ``idcs:``."""

    region: Name
    cidrs: list[PrefixText] = Field(min_length=1)
    routers: Annotated[dict[Name, RouterEntry], BeforeValidator(absent)] = {}


def _member(value: Any) -> Any:
    return {"member": value} if isinstance(value, str) else value


def _member_name(text: str) -> str:
    kind, _, name = text.partition("/")
    if kind not in ("vpc", "idc") or not NAME.match(name):
        raise ValueError(f"'{text[:64]}' is not a member; write it as vpc/NAME or idc/NAME")
    return text


class AttachEntry(Entry):
    """An item of a CCN's ``attach:``, the short form (``vpc/web``) already made long."""

    member: Annotated[str, PlainValidator(of_text("a member (vpc/NAME or idc/NAME)", _member_name))]
    propagate: Truth = True


class CcnEntry(Entry):
    """A value of ``ccns:``."""

    id: CcnId
    vni: VniNumber
    attach: Annotated[
        list[Annotated[AttachEntry, BeforeValidator(_member)]], BeforeValidator(empty)
    ] = []
    import_rts: list[TargetText] | None = None
    export_rts: list[TargetText] | None = None
    reexport: Truth = False
    source_check: Switch = True
    multipath: Annotated[int, number(1, MAX_MEMBERS)] = 1
    acl: Name | None = None
    aggregates: Annotated[list[Name], BeforeValidator(empty)] = []


class AclRuleEntry(Entry):
    """An item of an ACL's ``rules:``."""

    name: Annotated[str, PlainValidator(of_text("a name", rule_name))]
    action: Literal["permit", "deny"]
    family: Literal["ipv4", "ipv6"] | None = None
    source: Annotated[list[PrefixText], BeforeValidator(listed)] = []
    destination: Annotated[list[PrefixText], BeforeValidator(listed)] = []
    protocol: Protocol | None = None
    source_ports: Annotated[list[PortRange], BeforeValidator(listed)] = []
    destination_ports: Annotated[list[PortRange], BeforeValidator(listed)] = []


class AclEntry(Entry):
    """A value of ``acls:``, the short form (a list of rules) already made long."""

    default: Literal["permit", "deny"] = "deny"
    rules: Annotated[list[AclRuleEntry], BeforeValidator(empty)] = []


def _rules(value: Any) -> Any:
    return {"rules": value} if isinstance(value, list) else absent(value)


class ShareEntry(Entry):
    """An item of ``shares:``."""

    from_: Name
    to: Name
    prefixes: list[PrefixText] = Field(min_length=1)
    import_: Annotated[list[Name], BeforeValidator(empty)] = []
    export: Annotated[list[Name], BeforeValidator(empty)] = []


class NeighborEntry(Entry):
    """An item of ``neighbors:``."""

    name: Name
    gateway: Name
    address: IpText
    asn: AsnNumber
    role: Literal["gateway", "reflector", "host"]
    local_address: IpText | None = None
    port: TcpPort = 179
    password_file: PathText | None = None
    max_prefixes: MaxPrefixes | None = None
    ttl_security: Hops | None = None
    drained: Truth = False
    label: Literal["vni", "mpls"] = "vni"
    import_: Annotated[list[Name], BeforeValidator(empty)] = []
    export: Annotated[list[Name], BeforeValidator(empty)] = []


class SessionsEntry(Entry):
    """``sessions:``, seconds."""

    hold_time: HoldSeconds = 90
    restart_time: RestartSeconds = 120
    stale_time: Seconds = 120
    hold_back: Seconds = 30


class MacMobilityEntry(Entry):
    """``mac-mobility:``"""

    moves: Annotated[int, number(2, 1000)] = 5
    seconds: Seconds = 180
    freeze: Seconds | None = None


def _rule(text: str) -> str:
    if text == "schema":
        raise ValueError("'schema' cannot be suppressed: such a file cannot be used")
    if text not in SUPPRESSIBLE:
        raise ValueError(f"'{text[:64]}' is no finding; {nearest(text, SUPPRESSIBLE)}")
    return text


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("the reason is empty; say why this is accepted")
    return " ".join(text.split())


class SuppressEntry(Entry):
    """An item of ``suppress:``."""

    rule: Annotated[str, PlainValidator(of_text("the name of a finding", _rule))]
    reason: Annotated[str, PlainValidator(of_text("a reason", _reason))]
    ccn: Name | None = None
    from_: Name | None = None
    prefix: PrefixText | None = None
    peer: Name | None = None
    where: Annotated[str, PlainValidator(of_text("a key path (vpcs.web)", str))] | None = None


class TopologyFile(Entry):
    """The whole file."""

    name: Name
    fabric: FabricEntry
    gateways: Annotated[dict[Name, GatewayEntry], Field(min_length=1)]
    vpcs: Annotated[dict[Name, VpcEntry], BeforeValidator(absent)] = {}
    idcs: Annotated[dict[Name, IdcEntry], BeforeValidator(absent)] = {}
    ccns: Annotated[dict[Name, CcnEntry], BeforeValidator(absent)] = {}
    acls: Annotated[
        dict[Name, Annotated[AclEntry, BeforeValidator(_rules)]], BeforeValidator(absent)
    ] = {}
    shares: Annotated[list[ShareEntry], BeforeValidator(empty)] = []
    neighbors: Annotated[list[NeighborEntry], BeforeValidator(empty)] = []
    policies: Annotated[list[PathText], BeforeValidator(empty)] = []
    inventory: Annotated[list[PathText], BeforeValidator(empty)] = []
    suppress: Annotated[list[SuppressEntry], BeforeValidator(empty)] = []
    sessions: Annotated[SessionsEntry, BeforeValidator(absent)] = SessionsEntry()
    mac_mobility: Annotated[MacMobilityEntry, BeforeValidator(absent)] = MacMobilityEntry()


ENTRIES: dict[tuple[str, ...], type[Entry]] = {
    (): TopologyFile,
    ("fabric",): FabricEntry,
    ("gateways", "*"): GatewayEntry,
    ("gateways", "*", "uplinks", "*"): UplinkEntry,
    ("gateways", "*", "forwarder"): ForwarderEntry,
    ("vpcs", "*"): VpcEntry,
    ("vpcs", "*", "vms", "*"): VmEntry,
    ("vpcs", "*", "routes", "*"): RouteEntry,
    ("idcs", "*"): IdcEntry,
    ("idcs", "*", "routers", "*"): RouterEntry,
    ("idcs", "*", "routers", "*", "max-prefixes"): LimitEntry,
    ("ccns", "*"): CcnEntry,
    ("ccns", "*", "attach", "*"): AttachEntry,
    ("acls", "*"): AclEntry,
    ("acls", "*", "rules", "*"): AclRuleEntry,
    ("shares", "*"): ShareEntry,
    ("neighbors", "*"): NeighborEntry,
    ("neighbors", "*", "max-prefixes"): LimitEntry,
    ("sessions",): SessionsEntry,
    ("mac-mobility",): MacMobilityEntry,
    ("suppress", "*"): SuppressEntry,
}
"""Which class stands at which path (* is any name or number): for naming the keys it knows."""


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that are known at this path of the file."""
    for pattern, entry in ENTRIES.items():
        if len(pattern) == len(path) and all(
            p in ("*", str(w)) for p, w in zip(pattern, path, strict=True)
        ):
            return tuple(f.alias or name for name, f in entry.model_fields.items())
    return ()
