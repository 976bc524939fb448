"""The topology file's format in pydantic: plain data comes in, typed values of model/bgp.py go out.

One class per mapping of the file, keys with dashes as written there; unknown keys are refused.
What refers to what is checked elsewhere (references.py); what is wrong with the network, too
(catalogue.py). Addresses are ``Ip``, prefixes ``Prefix``; MTUs are octets of the IP packet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from ccn_bgp.model.acl import LONGEST_NAME, PROTOCOLS
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteTarget
from ccn_bgp.model.route import MAX_MEMBERS
from ccn_bgp.model.suppression import SUPPRESSIBLE
from ccn_bgp.model.topology import Interface
from ccn_bgp.model.vtep_sets import hosts_of
from ccn_bgp.nearest import nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
_CPUS = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*\Z")
_PORT_NUMBER = re.compile(r"[0-9]{1,5}\Z")
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}\Z")


def _text(what: str, parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is not {what}")
        return parse(value)

    return check


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"'{str(value).lower() if isinstance(value, bool) else value}'"


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(f"'{text[:64]}' is not a name (letters, digits, - and _, at most 63)")
    return text


def _port(text: str) -> str:
    if not _PORT.match(text):
        raise ValueError(f"'{text[:64]}' is not the name of a port (at most 15 characters)")
    return text


def _rule_name(text: str) -> str:
    if not _NAME.match(text) or len(text) > LONGEST_NAME:
        raise ValueError(f"'{text[:64]}' is not a name (at most {LONGEST_NAME} letters, digits, -)")
    return text


def _protocol(value: Any) -> int:
    if isinstance(value, str) and value in PROTOCOLS:
        return PROTOCOLS[value]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        known = ", ".join(PROTOCOLS)
        raise ValueError(f"{_shown(value)} is not a protocol ({known}, or a number up to 255)")
    return value


def _ports(value: Any) -> tuple[int, int]:
    first, dash, last = str(value).partition("-")
    ends = (first, last if dash else first)
    if isinstance(value, bool | float) or not all(_PORT_NUMBER.match(end) for end in ends):
        raise ValueError(f"{_shown(value)} is neither a port nor a range of ports (80, 8000-8099)")
    low, high = int(ends[0]), int(ends[1])
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{_shown(value)}: ports are 1 to 65535, the lower one first")
    return low, high


def _ipv4(text: str) -> Ip:
    ip = Ip.parse(text)
    if ip.version != 4:
        raise ValueError(f"'{text}' is not an IPv4 address")
    return ip


def _cpus(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, bool) or not (text == "auto" or _CPUS.match(text)):
        raise ValueError(f"{_shown(value)} is neither CPUs (2-5 or [2, 3]) nor 'auto'")
    return text


def _interface(text: str) -> Interface:
    address, slash, length = text.partition("/")
    if not slash:
        raise ValueError(f"'{text}' lacks the length of its subnet; write it as ADDRESS/LENGTH")
    ip = Ip.parse(address)
    if not length.isdecimal() or int(length) > len(ip) * 8:
        raise ValueError(f"'{text}': the length of the subnet is 0 to {len(ip) * 8}")
    return Interface(ip, int(length))


def _mac(text: str) -> Mac:
    mac = Mac.parse(text)
    if mac[0] & 1 or not any(mac):
        raise ValueError(f"'{text}' is not the MAC address of one station")
    return mac


def number(low: int, high: int) -> PlainValidator:
    """A whole number from ``low`` to ``high``; nothing is converted."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            kind = "the text " if isinstance(value, str) else ""
            raise ValueError(f"{kind}{_shown(value)} is not a whole number from {low} to {high}")
        return value

    return PlainValidator(check)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _absent(value: Any) -> Any:
    """``vpcs:`` with nothing after it is an empty section."""
    return {} if value is None else value


def _empty(value: Any) -> Any:
    return [] if value is None else value


Name = Annotated[str, PlainValidator(_text("a name", _name))]
PortName = Annotated[str, PlainValidator(_text("the name of a port", _port))]
IpText = Annotated[Ip, PlainValidator(_text("an IP address", Ip.parse))]
Ipv4Text = Annotated[Ip, PlainValidator(_text("an IPv4 address", _ipv4))]
PrefixText = Annotated[Prefix, PlainValidator(_text("a prefix (address/length)", Prefix.parse))]
InterfaceText = Annotated[
    Interface, PlainValidator(_text("an address with its subnet's length", _interface))
]
MacText = Annotated[Mac, PlainValidator(_text("a MAC address", _mac))]
TargetText = Annotated[
    RouteTarget, PlainValidator(_text("a route target (ASN:NUMBER)", RouteTarget.parse))
]
PathText = Annotated[str, PlainValidator(_text("the name of a file", str))]
AsnNumber = Annotated[int, number(1, 2**32 - 1)]
FabricAsn = Annotated[int, number(1, 65535)]
VniNumber = Annotated[int, number(1, 2**24 - 1)]
VlanNumber = Annotated[int, number(1, 4094)]
TcpPort = Annotated[int, number(1, 65535)]
Mtu = Annotated[int, number(576, 65535)]
CcnId = Annotated[int, number(1, 65535)]
Count = Annotated[int, number(1, 2**32 - 1)]
WorkerCount = Annotated[int, number(1, 32)]
Megabytes = Annotated[int, number(64, 65536)]
CpuList = Annotated[str, PlainValidator(_cpus)]
Protocol = Annotated[int, PlainValidator(_protocol)]
PortRange = Annotated[tuple[int, int], PlainValidator(_ports)]
Truth = Annotated[bool, PlainValidator(_truth)]
Hops = Annotated[int, number(1, 254)]
RestartSeconds = Annotated[int, number(1, 4095)]
Seconds = Annotated[int, number(1, 86400)]


def _hold_time(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (value != 0 and not 3 <= value <= 65535):
        raise ValueError(f"{_shown(value)} is neither 0 nor a whole number from 3 to 65535")
    return int(value)


HoldSeconds = Annotated[int, PlainValidator(_hold_time)]


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
    vtep: IpText
    uplinks: Annotated[list[UplinkEntry], BeforeValidator(_empty)] = []
    router_id: Ipv4Text | None = None
    mac: MacText | None = None
    forwarder: Annotated[ForwarderEntry, BeforeValidator(_absent)] = ForwarderEntry()
    import_: Annotated[list[Name], BeforeValidator(_empty)] = []
    export: Annotated[list[Name], BeforeValidator(_empty)] = []


class VmEntry(Entry):
    """An item of a VPC's ``vms:``; ``host`` is the tunnel address of its host, or several."""

    ip: IpText
    mac: MacText
    host: Annotated[list[IpText], BeforeValidator(_listed), AfterValidator(hosts_of)]


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
    gateway: Annotated[list[IpText], BeforeValidator(_listed)] | None = None
    vms: Annotated[list[VmEntry], BeforeValidator(_empty)] = []
    routes: Annotated[list[RouteEntry], BeforeValidator(_empty)] = []


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
    import_: Annotated[list[Name], BeforeValidator(_empty)] = []
    export: Annotated[list[Name], BeforeValidator(_empty)] = []
    max_prefixes: MaxPrefixes | None = None
    password_file: PathText | None = None
    ttl_security: Hops | None = None
    drained: Truth = False


class IdcEntry(Entry):
    """A value of ``idcs:``."""

    region: Name
    cidrs: list[PrefixText] = Field(min_length=1)
    routers: Annotated[dict[Name, RouterEntry], BeforeValidator(_absent)] = {}


def _member(value: Any) -> Any:
    return {"member": value} if isinstance(value, str) else value


def _member_name(text: str) -> str:
    kind, _, name = text.partition("/")
    if kind not in ("vpc", "idc") or not _NAME.match(name):
        raise ValueError(f"'{text[:64]}' is not a member; write it as vpc/NAME or idc/NAME")
    return text


class AttachEntry(Entry):
    """An item of a CCN's ``attach:``, the short form (``vpc/web``) already made long."""

    member: Annotated[str, PlainValidator(_text("a member (vpc/NAME or idc/NAME)", _member_name))]
    propagate: Truth = True


class CcnEntry(Entry):
    """A value of ``ccns:``."""

    id: CcnId
    vni: VniNumber
    attach: Annotated[
        list[Annotated[AttachEntry, BeforeValidator(_member)]], BeforeValidator(_empty)
    ] = []
    import_rts: list[TargetText] | None = None
    export_rts: list[TargetText] | None = None
    reexport: Truth = False
    multipath: Annotated[int, number(1, MAX_MEMBERS)] = 1
    acl: Name | None = None


class AclRuleEntry(Entry):
    """An item of an ACL's ``rules:``."""

    name: Annotated[str, PlainValidator(_text("a name", _rule_name))]
    action: Literal["permit", "deny"]
    family: Literal["ipv4", "ipv6"] | None = None
    source: Annotated[list[PrefixText], BeforeValidator(_listed)] = []
    destination: Annotated[list[PrefixText], BeforeValidator(_listed)] = []
    protocol: Protocol | None = None
    source_ports: Annotated[list[PortRange], BeforeValidator(_listed)] = []
    destination_ports: Annotated[list[PortRange], BeforeValidator(_listed)] = []


class AclEntry(Entry):
    """A value of ``acls:``, the short form (a list of rules) already made long."""

    default: Literal["permit", "deny"] = "deny"
    rules: Annotated[list[AclRuleEntry], BeforeValidator(_empty)] = []


def _rules(value: Any) -> Any:
    return {"rules": value} if isinstance(value, list) else _absent(value)


class ShareEntry(Entry):
    """An item of ``shares:``."""

    from_: Name
    to: Name
    prefixes: list[PrefixText] = Field(min_length=1)


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
    import_: Annotated[list[Name], BeforeValidator(_empty)] = []
    export: Annotated[list[Name], BeforeValidator(_empty)] = []


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

    rule: Annotated[str, PlainValidator(_text("the name of a finding", _rule))]
    reason: Annotated[str, PlainValidator(_text("a reason", _reason))]
    ccn: Name | None = None
    from_: Name | None = None
    prefix: PrefixText | None = None
    peer: Name | None = None
    where: Annotated[str, PlainValidator(_text("a key path (vpcs.web)", str))] | None = None


class TopologyFile(Entry):
    """The whole file."""

    name: Name
    fabric: FabricEntry
    gateways: Annotated[dict[Name, GatewayEntry], Field(min_length=1)]
    vpcs: Annotated[dict[Name, VpcEntry], BeforeValidator(_absent)] = {}
    idcs: Annotated[dict[Name, IdcEntry], BeforeValidator(_absent)] = {}
    ccns: Annotated[dict[Name, CcnEntry], BeforeValidator(_absent)] = {}
    acls: Annotated[
        dict[Name, Annotated[AclEntry, BeforeValidator(_rules)]], BeforeValidator(_absent)
    ] = {}
    shares: Annotated[list[ShareEntry], BeforeValidator(_empty)] = []
    neighbors: Annotated[list[NeighborEntry], BeforeValidator(_empty)] = []
    policies: Annotated[list[PathText], BeforeValidator(_empty)] = []
    inventory: Annotated[list[PathText], BeforeValidator(_empty)] = []
    suppress: Annotated[list[SuppressEntry], BeforeValidator(_empty)] = []
    sessions: Annotated[SessionsEntry, BeforeValidator(_absent)] = SessionsEntry()
    mac_mobility: Annotated[MacMobilityEntry, BeforeValidator(_absent)] = MacMobilityEntry()


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
