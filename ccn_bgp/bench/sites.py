"""The topologies of the learning benches, as text.

In: how many CCNs, the speakers that announce over EVPN, the IDC routers. Out: a topology file of
one gateway ``gw``. Every CCN has one VPC (all of them the same CIDR: legal in different CCNs), and
its own route target, VNI and distinguisher. The file is not for ``ccn lab``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccn_bgp.bench import stream
from ccn_bgp.bench.sender import Sender
from ccn_bgp.model.bgp import Asn

GATEWAY_ASN = Asn(64601)
VTEP = "192.0.2.11"
VIA = "192.0.2.1"
HOST = "192.0.2.101"
VM = "10.1.0.10"
FIRST_VPC_VNI = 200_001
VPC_CIDR = "10.1.0.0/16"
VMS = 100
"""So many VPCs, the first ones, have one VM: probes come from there."""


@dataclass(frozen=True, slots=True)
class Router:
    """One IDC router of the first CCN: its hand-off is VLAN ``number`` of port ``i1``."""

    number: int
    asn: Asn

    @property
    def device(self) -> str:
        """The kernel's end of the hand-off, as model/ccsi.py names it."""
        return f"i1.{self.number}t"

    @property
    def ours(self) -> str:
        """The gateway's address on it."""
        return f"169.254.{self.number}.1"

    @property
    def theirs(self) -> str:
        """The router's."""
        return f"169.254.{self.number}.2"


def topology(
    ccns: int, senders: Sequence[Sender], routers: Sequence[Router] = (), port: str = "p0"
) -> str:
    """A gateway that dials these. ``port`` is the name of its uplink's port."""
    lines = [
        "name: bench",
        f"fabric: {{asn: {stream.FABRIC_ASN}}}",
        "gateways:",
        f"  gw: {{region: here, asn: {GATEWAY_ASN}, vtep: {VTEP},",
        f"       uplinks: [{{port: {port}, address: {VTEP}/24, via: {VIA}}}]}}",
        "vpcs:",
    ]
    for n in range(ccns):
        vm = f', vms: [{{ip: {VM}, mac: "02:00:0a:01:00:0a", host: {HOST}}}]' if n < VMS else ""
        lines += [f"  v{n}: {{region: here, vni: {FIRST_VPC_VNI + n}, cidrs: [{VPC_CIDR}]{vm}}}"]
    if routers:
        lines += ["idcs:", "  d:", "    region: here", '    cidrs: ["0.0.0.0/0"]', "    routers:"]
    lines += [
        f"      r{r.number}: {{gateway: gw, port: i1, vlan: {r.number}, ccn: c0, asn: {r.asn}, "
        f"address: {r.theirs}/30, gateway-address: {r.ours}/30, import: [all], export: [all]}}"
        for r in routers
    ]
    lines += ["ccns:"]
    for n in range(ccns):
        idc = ", idc/d" if routers and n == 0 else ""
        vni = stream.FIRST_CCN_VNI + n
        lines += [f"  c{n}: {{id: {n + 1}, vni: {vni}, attach: [vpc/v{n}{idc}]}}"]
    if senders:
        lines += ["neighbors:"]
    lines += [
        f"  - {{name: s{n}, gateway: gw, address: {s.address}, port: {s.port}, asn: {s.asn}, "
        "role: gateway}"
        for n, s in enumerate(senders)
    ]
    lines += ["policies: [policy.yaml]"]
    return "\n".join(lines) + "\n"
