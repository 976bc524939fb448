"""A probe through the real forwarder: a copy of what a VM's host would send comes in by name, what
each table made of it goes out as JSON values. `ccn trace` prints them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.forwarder.probe import Probe, host_frame, read_frame
from ccn_bgp.forwarder.wire import AclAction, TraceKind, text_of
from ccn_bgp.gateway.running import Running, Tracing
from ccn_bgp.model.acl import PROTOCOLS, WITH_PORTS
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import Kind, VmEntry
from ccn_bgp.model.topology import Uplink, Vpc

NO_SLOT = 0xFFFFFFFF
KINDS = ("icmp", "tcp", "udp")
"""Protocols of a probe; icmp is ICMPv6 over IPv6."""


def trace(gateway: Tracing, request: Mapping[str, Any]) -> dict[str, Any]:
    """One probe; ``elsewhere``: the gateways that have the VM, if this one has not.

    InputError: it cannot be made of that. UnreachableError: there is no forwarder.
    """
    source = str(request.get("from"))
    vpc = _vpc(gateway, source)
    topology, region = gateway.intent.topology, gateway.intent.gateway.region
    if vpc.region != region:
        others = [g.name for g in topology.gateways.values() if g.region == vpc.region]
        return {"gateway": gateway.name, "region": region, "elsewhere": others}
    vm = _vm(gateway, vpc, source.partition(":")[2])
    to = _address(str(request.get("to")), vm.ip)
    protocol = request.get("protocol") or "icmp"
    if protocol not in KINDS:
        raise InputError(Problem("--protocol", f"'{protocol}' is not known", "icmp, tcp or udp"))
    number = PROTOCOLS[protocol]
    if protocol == "icmp" and to.version == 6:
        number = PROTOCOLS["icmpv6"]
    ports = [_port(request.get(name), name) for name in ("source-port", "port")]
    if any(ports) and number not in WITH_PORTS:
        raise InputError(Problem("--port", "ICMP has no ports", "give --protocol tcp or udp"))
    uplink = _uplink(gateway, vm.vtep)
    mark = secrets.token_hex(8)
    probe = Probe(
        source=vm.ip,
        destination=to,
        protocol=number,
        source_port=ports[0] or 33434,
        destination_port=ports[1] or 33434,
        payload=f"ccn-trace {mark}".encode(),
        vni=vpc.vni,
        vm_mac=vm.mac,
        router_mac=gateway.intent.gateway.mac,
        host=vm.vtep,
        gateway=uplink.address.address,
    )
    dry_run = bool(request.get("dry-run"))
    steps, counters = gateway.trace(uplink.port, host_frame(probe), dry_run=dry_run)
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
        "from": f"{vpc.name}:{vm.ip}",
        "to": str(to),
        "protocol": protocol,
        "mark": mark,
        "dry-run": dry_run,
        "result": result,
        "steps": told,
        "counters": delta,
    }


# -- what was asked for ----------------------------------------------------------------------------


def _vpc(gateway: Running, text: str) -> Vpc:
    """The VPC of ``VPC:IP``."""
    name, colon, _ = text.partition(":")
    if not colon:
        raise InputError(Problem("--from", f"'{text}' is not VPC:IP", "as web:10.1.0.10"))
    topology = gateway.intent.topology
    vpc = topology.vpcs.get(name)
    if vpc is None:
        known = ", ".join(sorted(topology.vpcs)) or "none"
        raise InputError(Problem("--from", f"there is no vpc '{name}'", f"vpcs: {known}"))
    return vpc


def _vm(gateway: Running, vpc: Vpc, address: str) -> VmEntry:
    """A VM of this gateway's region."""
    try:
        ip = Ip.parse(address)
    except ValueError as error:
        raise InputError(Problem("--from", str(error))) from None
    table = gateway.held.vm_table
    row = table.find(vpc.vni, ip)
    if row is None:
        hint = f"see ccn show vms --gateway {gateway.name}"
        raise InputError(Problem("--from", f"vpc '{vpc.name}' has no VM {ip}", hint))
    return table[row]


def _address(text: str, like: Ip) -> Ip:
    try:
        found = Ip.parse(text)
    except ValueError as error:
        raise InputError(Problem("--to", str(error))) from None
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
    """The uplink that the host's packets come by: on its subnet, or else the first."""
    uplinks = sorted(gateway.intent.gateway.uplinks, key=lambda u: u.port)
    if not uplinks:
        raise InputError(Problem(gateway.name, "the gateway has no uplink to trace from"))
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
