"""Large topologies for measuring: a size and a seed come in, the text of a topology file goes out.

The same size and seed give the same octets. Every CCN takes its CIDRs from the same few, so that
addresses overlap between CCNs as they do in the field; within a CCN they are distinct. Some CCNs
have a data centre with two routers, some pairs share. The file has no error and no warning.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_CCNS = 65535
HOSTS_PER_REGION = 2000
IDC_EVERY = 40
SHARE_EVERY = 50
VLANS_PER_PORT = 4094
MAX_VMS_PER_VPC = 60_000
POLICY = """\
# Written by `ccn generate`, for the topology of the same name.
policies:
  from-idc: [{name: all-declared, then: accept}]
  to-idc: [{name: all-of-ccn, then: accept}]
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much: CCSIs over all gateways, VMs over all VPCs, gateways (one for each region)."""

    ccsis: int
    vms: int
    gateways: int = 2
    seed: int = 0


class _Vpc(NamedTuple):
    name: str
    region: int
    vni: int
    second: int
    vms: int


def problem(size: Size) -> str:
    """Why a size cannot be had; empty if it can."""
    spread = min(2, size.gateways)
    if -(-size.ccsis // spread) > MAX_CCNS:
        return f"{size.ccsis} CCSIs need more than {MAX_CCNS} CCNs, and a CCN's id has 16 bits"
    if size.vms > size.ccsis * MAX_VMS_PER_VPC:
        return f"{size.vms} VMs do not fit into {size.ccsis} VPCs with a /16 each"
    return ""


def generate(size: Size, name: str, policy: str) -> Iterator[str]:
    """The lines of the file. ``name``: of the topology; ``policy``: the policy file it names."""
    draw = random.Random(size.seed)
    spread = min(2, size.gateways)
    count = -(-size.ccsis // spread)
    ccns = list(_vpcs(size, draw, count, spread))
    yield f"# ccn generate --ccsis {size.ccsis} --vms {size.vms} --gateways {size.gateways}"
    yield f"#   --seed {size.seed}"
    yield f"name: {name}"
    yield "fabric: {asn: 64600, mtu: 1500, underlay-mtu: 1600}"
    yield "gateways:"
    for g in range(size.gateways):
        yield (
            f"  gw{g}: {{region: region{g}, asn: {64601 + g}, vtep: {_underlay(g, 1)}, uplinks: "
            f"[{{port: eth1, address: {_underlay(g, 1)}/16, via: {_underlay(g, 254)}}}]}}"
        )
    yield "vpcs:"
    for vpcs in ccns:
        for vpc in vpcs:
            yield from _vpc(vpc, draw)
    idcs = range(IDC_EVERY - 1, count, IDC_EVERY)
    if idcs:
        yield "idcs:"
    for order, number in enumerate(idcs):
        yield from _idc(order, number, ccns[number][0].region)
    yield "ccns:"
    for number, vpcs in enumerate(ccns):
        members = [f"vpc/{v.name}" for v in vpcs]
        if number in idcs:
            members.append(f"idc/d{number}")
        attach = ", ".join(members)
        yield f"  c{number}: {{id: {number + 1}, vni: {number + 1}, attach: [{attach}]}}"
    pairs = range(SHARE_EVERY, count, SHARE_EVERY)
    if pairs:
        yield "shares:"
    for number in pairs:
        # Neighbouring CCNs begin at neighbouring CIDRs, so that the two never overlap.
        for provider, consumer in ((number, number - 1), (number - 1, number)):
            prefix = f"10.{ccns[provider][0].second}.0.0/16"
            yield f"  - {{from: c{provider}, to: c{consumer}, prefixes: [{prefix}]}}"
    yield f"policies: [{policy}]"
    if idcs:
        yield "suppress:"
        yield "  - {rule: no-authentication, reason: a file for measuring has no secrets}"


def _vpcs(size: Size, draw: random.Random, count: int, spread: int) -> Iterator[list[_Vpc]]:
    left, vms_left, vni = size.ccsis, size.vms, MAX_CCNS + 1
    for number in range(count):
        here = min(spread, left)
        first = draw.randrange(size.gateways)
        found = []
        for n in range(here):
            vms = -(-vms_left // left)
            left, vms_left = left - 1, vms_left - vms
            second = (number * spread + n) % 200
            region = (first + n) % size.gateways
            found.append(_Vpc(f"v{number}-{n}", region, vni, second, vms))
            vni += 1
        yield found


def _vpc(vpc: _Vpc, draw: random.Random) -> Iterator[str]:
    head = f"  {vpc.name}: {{region: region{vpc.region}, vni: {vpc.vni}"
    head += f", cidrs: [10.{vpc.second}.0.0/16]"
    if not vpc.vms:
        yield head + "}"
        return
    yield head + ", vms: ["
    for number in range(vpc.vms):
        third, fourth = divmod(number + 10, 256)
        host = _underlay(vpc.region, 512 + draw.randrange(HOSTS_PER_REGION))
        mac = f"02:{vpc.vni >> 16 & 255:02x}:{vpc.vni >> 8 & 255:02x}:{vpc.vni & 255:02x}"
        end = "]}" if number == vpc.vms - 1 else ","
        yield (
            f"    {{ip: 10.{vpc.second}.{third}.{fourth},"
            f' mac: "{mac}:{third:02x}:{fourth:02x}", host: {host}}}{end}'
        )


def _idc(order: int, number: int, region: int) -> Iterator[str]:
    yield f"  d{number}:"
    yield f"    region: region{region}"
    yield f"    cidrs: [172.{16 + number % 16}.0.0/16]"
    yield "    routers:"
    port, vlan = 2 + order // VLANS_PER_PORT, 1 + order % VLANS_PER_PORT
    for end in range(2):
        yield (
            f"      d{number}-r{end}: {{gateway: gw{region}, port: eth{port + 10 * end},"
            f" vlan: {vlan}, ccn: c{number}, asn: 65101,"
            f" address: 169.254.{end}.2/30, gateway-address: 169.254.{end}.1/30,"
            " import: [from-idc], export: [to-idc], max-prefixes: 1000}"
        )


def _underlay(region: int, number: int) -> str:
    """A region's underlay is a /16 of 100.64.0.0/10 (RFC 6598)."""
    return f"100.{64 + region}.{number >> 8}.{number & 255}"
