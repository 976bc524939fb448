"""Tables and traffic of a forwarding bench: how many tenants, routes, VMs and flows.

Out: records for the forwarder, and a pcap file with one 114-octet VXLAN frame of each flow. Half of
a tenant's routes lead into its VPC (a VM is looked up), half to the remote gateway.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.bench import frames, over_ipv6, rows
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.acl_records import acl_records
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.acl import TCP, Acl, AclRule
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.table.snapshot import AclEntry

Octets = npt.NDArray[np.uint8]

_SITE6 = Ip.parse("fd00:1::")
_OUTER = 14 + 20 + 8 + 8
"""Octets before the inner frame."""
_RECORD = 16
"""Header of a packet in a pcap file."""


class Scale(NamedTuple):
    """``routes`` of each tenant, of which every second is on-link and has ``vms`` VMs. Packets come
    from ``senders`` VMs of each tenant, or (``remote``, IPv4) from behind the remote gateway;
    ``checked``: the forwarder looks whether they do. Each tenant attaches an access list of
    ``rules``, of which the last permits. ``underlay``: 4 or 6, of the tunnels."""

    tenants: int
    routes: int
    flows: int
    vms: int = 1
    family: int = 4
    senders: int = 1
    checked: bool = True
    rules: int = 0
    remote: bool = False
    underlay: int = 4


def records(scale: Scale) -> list[rows.Record]:
    """Everything, for a FULL transaction."""
    number = np.arange(scale.tenants * scale.routes)
    tenant, route = np.divmod(number, scale.routes)
    row = np.zeros(len(number), wire.ROUTE)
    row["ccsi"] = rows.FIRST_CCSI + tenant
    row["next_hop"] = 2 * tenant + route % 2
    row["prefix"] = destinations(scale, route, 0)
    row["prefix"][:, 3 if scale.family == 4 else 15] = 0
    row["family"], row["length"] = scale.family, 24 if scale.family == 4 else 64
    found: list[rows.Record] = [
        rows.uplink(),
        *rows.tenants(scale.tenants, scale.checked),
        rows.next_hops(scale.tenants),
        rows.senders(scale.tenants, scale.senders, scale.family),
        _vms(scale),
        (MessageType.ROUTE, 0, row),
        (MessageType.ACL_RULE, 0, acl_records(_access_lists(scale))),
    ]
    return found if scale.underlay == 4 else over_ipv6.records(found)


def _access_lists(scale: Scale) -> list[AclEntry]:
    """One list for all: what is denied are ports of some other addresses."""
    denied = [
        AclRule(
            f"deny-{n}",
            "deny",
            source=(Prefix.of(bytes((10, 200 + n % 50, n, 0)), 24),),
            protocol=TCP,
            destination_ports=((1 + n, 100 + n),),
        )
        for n in range(scale.rules - 1)
    ]
    acl = Acl("bench", (*denied, AclRule("rest", "permit")))
    attached = range(scale.tenants if scale.rules else 0)
    return [AclEntry(rows.FIRST_CCSI + tenant, acl) for tenant in attached]


def _vms(scale: Scale) -> rows.Record:
    each = (scale.routes + 1) // 2 * scale.vms
    tenant, place = np.divmod(np.arange(scale.tenants * each), each)
    half, vm = np.divmod(place, scale.vms)
    row = np.zeros(len(tenant), wire.VM)
    row["vni"], row["family"] = rows.FIRST_VPC_VNI + tenant, scale.family
    row["ip"] = destinations(scale, 2 * half, vm)
    row["mac"][:, 0] = 2
    row["mac"][:, 2:] = row["ip"][:, :4] if scale.family == 4 else row["ip"][:, 12:]
    row["vtep"] = list(rows.OTHER_HOST)
    return MessageType.VM, 0, row


def destinations(scale: Scale, route: npt.NDArray[Any], vm: npt.NDArray[Any] | int) -> Octets:
    """The addresses inside routes to which packets go: uint8[n, 16], IPv4 in the first four."""
    if scale.family == 4:
        return rows.addresses(rows.destination(route) + vm)
    found = np.tile(np.frombuffer(_SITE6, np.uint8), (len(route), 1))
    found[:, 4:8] = route.astype(">u4").view(np.uint8).reshape(-1, 4)
    found[:, 15] = 10 + np.asarray(vm)
    return found


def flows(scale: Scale) -> tuple[npt.NDArray[Any], Octets]:
    """Tenant and destination of each flow: all routes once where that is the number, else drawn."""
    draw = np.random.default_rng(2026)
    pairs = scale.tenants * scale.routes
    number = (
        draw.permutation(pairs) if scale.flows == pairs else draw.integers(pairs, size=scale.flows)
    )
    tenant, route = np.divmod(number, scale.routes)
    return tenant, destinations(scale, route, draw.integers(scale.vms, size=scale.flows))


def write_traffic(path: Path, scale: Scale) -> None:
    """One frame of every flow."""
    tenant, destination = flows(scale)
    number = np.arange(scale.flows)
    template = _template(scale.family)
    packet = np.tile(np.frombuffer(template, np.uint8), (scale.flows, 1))
    first_vni = rows.FIRST_L3_VNI if scale.remote else rows.FIRST_VPC_VNI
    packet[:, _OUTER - 4 : _OUTER - 1] = _big(first_vni + tenant, ">u4")[:, 1:]
    packet[:, 34:36] = _big(49152 + number % 16384, ">u2")
    inner = _OUTER + 14
    source = rows.sender_addresses(number % scale.senders, scale.family)
    if scale.remote:  # every second route leads there
        source = destinations(scale, number % (scale.routes // 2) * 2 + 1, 0)
        outer = packet[:, 14:34]
        outer[:, 12:16] = list(rows.REMOTE)
        outer[:, 10:12] = _big(_checksum(np.ascontiguousarray(outer)), ">u2")
    if scale.family == 4:
        packet[:, inner + 12 : inner + 16] = source[:, :4]
        packet[:, inner + 16 : inner + 20] = destination[:, :4]
        packet[:, inner + 10 : inner + 12] = _big(_checksum(packet[:, inner : inner + 20]), ">u2")
        ports = inner + 20
    else:
        packet[:, inner + 8 : inner + 24] = source
        packet[:, inner + 24 : inner + 40] = destination
        ports = inner + 40
    packet[:, ports : ports + 2] = _big(1024 + number % 60000, ">u2")
    if scale.underlay == 6:
        packet = over_ipv6.frames(packet, rows.REMOTE if scale.remote else rows.HOST)
    record = np.zeros((scale.flows, _RECORD), np.uint8)
    record[:, 8:] = np.frombuffer(np.full(2, packet.shape[1], "<u4").tobytes(), np.uint8)
    with path.open("wb") as file:
        frames.write_head(file)
        file.write(np.hstack([record, packet]).tobytes())


def _big(values: npt.NDArray[Any], kind: str) -> Octets:
    return values.astype(kind).view(np.uint8).reshape(len(values), -1)


def _checksum(header: Octets) -> npt.NDArray[Any]:
    """RFC 1071, of each row, whose own checksum counts as zero."""
    words = header.view(">u2").astype(np.uint32)
    words[:, 5] = 0
    total = words.sum(axis=1)
    total = (total & 0xFFFF) + (total >> 16)
    found: npt.NDArray[Any] = ~(total + (total >> 16)) & 0xFFFF
    return found


def _template(family: int) -> bytes:
    if family == 4:
        return frames.frame(0, rows.TENANT_SPACE, 0)
    payload = bytes(frames.INNER - 14 - 40 - 8)
    return frames.vxlan6(rows.FIRST_VPC_VNI, rows.SENDER6, _SITE6, payload)
