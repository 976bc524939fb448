"""A probe through the real forwarder: a copy of what a VM's host or a data centre's router would
send comes in by name, or a frame that another gateway has sent; what each table made of it goes out
as JSON values. `ccn trace` joins those of several gateways and prints them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.forwarder.probe import (
    Probe,
    Tunnel,
    host_frame,
    read_frame,
    router_frame,
    to_any_mac,
)
from ccn_bgp.forwarder.wire import AclAction, TraceKind, text_of
from ccn_bgp.gateway.running import Running, Tracing
from ccn_bgp.model.acl import PROTOCOLS, WITH_PORTS
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import Kind, VmEntry
from ccn_bgp.model.topology import IdcRouter, Uplink, Vpc

NO_SLOT = 0xFFFFFFFF
LONGEST = 512
"""Octets of a frame that the forwarder takes for a probe."""
KINDS = ("icmp", "tcp", "udp")
"""Protocols of a probe; icmp is ICMPv6 over IPv6."""


def trace(gateway: Tracing, request: Mapping[str, Any]) -> dict[str, Any]:
    """One probe; ``elsewhere``: the gateways to ask instead, if it would not come to this one.
    ``next``: the gateway that its packet goes to, and ``frame``, which that one can be given.

    InputError: it cannot be made of that. UnreachableError: there is no forwarder.
    """
    if request.get("frame") is not None:
        start = _onward(gateway, request)
    elif elsewhere := _elsewhere(gateway, str(request.get("from"))):
        region = gateway.intent.gateway.region
        return {"gateway": gateway.name, "region": region, "elsewhere": elsewhere}
    else:
        start = _first(gateway, request)
    dry_run = bool(request.get("dry-run"))
    steps, counters = gateway.trace(start.port, start.frame, dry_run=dry_run)
    names = {table.ccsi.id: table.ccsi.ccn for table in gateway.rib.tables.values()}
    told = [_step(gateway, step, names) for step in steps]
    delta: dict[str, dict[str, int]] = {}
    for counter in counters:
        delta.setdefault(counter.scope, {})[counter.name] = counter.value
    result = "forwarded"
    for word in ("dropped", "punted"):
        if any(step["step"] == word for step in told):
            result = word
            break
    return {
        "gateway": gateway.name,
        "from": start.source,
        "to": start.to,
        "protocol": start.protocol,
        "mark": start.mark,
        "dry-run": dry_run,
        "result": result,
        "steps": told,
        "counters": delta,
        **_next(gateway, steps),
    }


def _next(gateway: Running, steps: Sequence[Any]) -> dict[str, str]:
    """The other gateway that the packet went to, if it did, and the frame."""
    for step in steps:
        octets = step["octets"].tobytes()[: int(step["length"])]
        if step["kind"] != TraceKind.SENT or len(octets) < int(step["length"]):
            continue
        target = read_frame(octets).get("tunnel-to")
        for other in gateway.intent.topology.gateways.values():
            if str(other.vtep) == target and other.name != gateway.name:
                return {"next": other.name, "frame": octets.hex()}
    return {}


# -- what was asked for ----------------------------------------------------------------------------


class _Start(NamedTuple):
    """A frame that is about to come by a port, and what is told of it."""

    port: str
    frame: bytes
    source: str
    to: str
    protocol: str
    mark: str


def _elsewhere(gateway: Running, text: str) -> list[str]:
    """The gateways that it would come to, if this one is none of them."""
    topology = gateway.intent.topology
    found = _source(gateway, text)
    if isinstance(found, IdcRouter):
        here = [found.gateway]
    else:
        here = [g.name for g in topology.gateways.values() if g.region == found.region]
    return [] if gateway.name in here else here


def _first(gateway: Running, request: Mapping[str, Any]) -> _Start:
    """A probe of a VM, as its host would send it, or of a data centre, as its router would."""
    text = str(request.get("from"))
    found, address = _source(gateway, text), text.partition(":")[2]
    vm = None if isinstance(found, IdcRouter) else _vm(gateway, found, address)
    source = vm.ip if vm else _ip(address, "--from")
    to = _address(str(request.get("to")), source)
    protocol = request.get("protocol") or "icmp"
    if protocol not in KINDS:
        raise InputError(Problem("--protocol", f"'{protocol}' is not known", "icmp, tcp or udp"))
    number = PROTOCOLS[protocol]
    if protocol == "icmp" and to.version == 6:
        number = PROTOCOLS["icmpv6"]
    ports = [_port(request.get(name), name) for name in ("source-port", "port")]
    if any(ports) and number not in WITH_PORTS:
        raise InputError(Problem("--port", "ICMP has no ports", "give --protocol tcp or udp"))
    mark = secrets.token_hex(8)
    probe = Probe(
        source=source,
        destination=to,
        protocol=number,
        source_port=ports[0] or 33434,
        destination_port=ports[1] or 33434,
        payload=f"ccn-trace {mark}".encode(),
    )
    if isinstance(found, IdcRouter):
        port, frame = found.port, router_frame(probe, found.vlan)
    else:
        assert vm is not None
        host = vm.vtep
        tunnel = Tunnel(
            vni=found.vni,
            vm_mac=vm.mac,
            router_mac=gateway.intent.gateway.mac,
            host=host,
            gateway=gateway.intent.gateway.vtep,
        )
        port, frame = _uplink(gateway, host).port, host_frame(probe, tunnel)
    return _Start(port, frame, f"{found.name}:{source}", str(to), protocol, mark)


def _onward(gateway: Running, request: Mapping[str, Any]) -> _Start:
    """A frame that another gateway has sent here."""
    try:
        frame = bytes.fromhex(str(request["frame"]))
    except ValueError:
        raise InputError(Problem("frame", "is not written in hex")) from None
    seen = read_frame(frame) if 14 < len(frame) <= LONGEST else {}
    if seen.get("tunnel-to") != str(gateway.intent.gateway.vtep):
        raise InputError(Problem("frame", f"is no VXLAN to gateway {gateway.name}"))
    port = _uplink(gateway, Ip.parse(seen["tunnel-from"])).port
    told = (str(request.get(name, "")) for name in ("from", "to", "protocol", "mark"))
    return _Start(port, to_any_mac(frame), *told)


def _source(gateway: Running, text: str) -> Vpc | IdcRouter:
    """The VPC of ``VPC:IP``, or the router of ``ROUTER:IP``; of one name the VPC."""
    name, colon, _ = text.partition(":")
    if not colon:
        what, hint = f"'{text}' is not VPC:IP or ROUTER:IP", "as web:10.1.0.10"
        raise InputError(Problem("--from", what, hint))
    topology = gateway.intent.topology
    found = topology.vpcs.get(name)
    routers = {router.name: router for router in topology.routers}
    if found is None and name not in routers:
        known = f"vpcs: {_listed(topology.vpcs)}; routers: {_listed(routers)}"
        raise InputError(Problem("--from", f"there is no vpc or IDC router '{name}'", known))
    return found or routers[name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _vm(gateway: Running, vpc: Vpc, address: str) -> VmEntry:
    """A VM of this gateway's region."""
    ip = _ip(address, "--from")
    table = gateway.held.vm_table
    row = table.find(vpc.vni, ip)
    if row is None:
        hint = f"see ccn show vms --gateway {gateway.name}"
        raise InputError(Problem("--from", f"vpc '{vpc.name}' has no VM {ip}", hint))
    return table[row]


def _ip(text: str, option: str) -> Ip:
    try:
        return Ip.parse(text)
    except ValueError as error:
        raise InputError(Problem(option, str(error))) from None


def _address(text: str, like: Ip) -> Ip:
    found = _ip(text, "--to")
    if found.version != like.version:
        raise InputError(Problem("--to", f"{found} and {like} are of different IP versions"))
    return found


def _port(value: Any, name: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise InputError(Problem(f"--{name}", f"'{value}' is no port", "1 to 65535"))
    return value


def _uplink(gateway: Running, host: Ip) -> Uplink:
    """The uplink that the host's packets come by: on its subnet, or else the first. One of the
    other IP version than the tunnels is not in use (`underlay-family`)."""
    of = gateway.intent.gateway
    version = of.vtep.version
    fitting = [u for u in of.uplinks if u.address.address.version == version]
    uplinks = sorted(fitting, key=lambda u: u.port)
    if not uplinks:
        raise InputError(Problem(of.name, f"the gateway has no uplink of IPv{version}"))
    return next((u for u in uplinks if u.address.subnet.contains(host)), uplinks[0])


# -- what came back --------------------------------------------------------------------------------


def _step(gateway: Running, step: Any, names: Mapping[int, str]) -> dict[str, Any]:
    """One record as JSON values; ``names``: CCNs by the id of their table."""
    kind = TraceKind(int(step["kind"]))
    found: dict[str, Any] = {"step": kind.name.lower().replace("_", "-")}
    ip = str(Ip(step["ip"].tobytes()[: 4 if step["family"] == 4 else 16]))
    name = text_of(step["name"])
    mac = str(Mac(step["mac"].tobytes())) if any(step["mac"]) else None
    match kind:
        case TraceKind.RECEIVED | TraceKind.SENT:
            found |= {"port": name, "octets": int(step["length"])}
            found |= read_frame(step["octets"].tobytes()[: int(step["length"])])
        case TraceKind.CLASSIFIED:
            found |= {"ccsi": int(step["ccsi"]), "ccn": names.get(int(step["ccsi"]), "")}
            if step["vni"]:
                found |= {"vni": int(step["vni"]), "vtep": ip}
        case TraceKind.SOURCE:
            found |= {"ip": ip, "checked": not step["value"]}
        case TraceKind.ACL:
            ccn = gateway.intent.topology.ccns.get(_ccn_of(step, names))
            found |= {"rule": name, "action": AclAction(int(step["value"])).name.lower()}
            if ccn is not None and ccn.acl:
                found["acl"] = ccn.acl
        case TraceKind.ROUTE:
            matched = step["slot"] != NO_SLOT
            prefix = Prefix.of(Ip.parse(ip), int(step["length"]))
            found["prefix"] = str(prefix) if matched else None
            if matched:
                found["slot"] = int(step["slot"])
        case TraceKind.NEXT_HOP | TraceKind.MEMBER:
            hop = Kind(int(step["value"])).name.lower().replace("_", "-")
            found |= {"slot": int(step["slot"]), "kind": hop}
            found |= _set(vni=int(step["vni"]), ip=ip if step["family"] else "", mac=mac)
        case TraceKind.VM:
            found |= {"vni": int(step["vni"]), "ip": ip, "mac": mac, "hosts": int(step["value"])}
        case TraceKind.ADJACENCY:
            found |= {"ip": ip, "port": name or None, "mac": mac}
        case TraceKind.DROPPED:
            found["reason"] = name
        case _:
            pass
    return found


def _ccn_of(step: Any, names: Mapping[int, str]) -> str:
    return names.get(int(step["ccsi"]), "")


def _set(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
