"""Whether a peer may say a prefix or a VM at all, before anything is decided.

In: the intent and one Path. Out: a Finding, or None. A path refused here never becomes a candidate,
so that it is seen even where it would have lost. verify_snapshot() asks the same of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, Path
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.verify.owned import BOGONS


class Claims:
    """What each kind of peer may announce, from the topology alone."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.underlay: list[tuple[Prefix, str]] = []
        for gateway in topology.gateways.values():
            self.underlay.append((gateway.vtep.host_prefix, f"the VTEP of {gateway.name}"))
            for uplink in gateway.uplinks:
                where = f"the underlay of {gateway.region}"
                self.underlay.append((uplink.address.subnet, where))
        self.homes: dict[tuple[str, str], list[Prefix]] = {}
        self.members: dict[str, list[tuple[Prefix, str]]] = {}
        for name, ccn in topology.ccns.items():
            spaces = self.members.setdefault(name, [])
            for attachment in ccn.attach:
                if attachment.kind == "vpc":
                    vpc = topology.vpcs[attachment.name]
                    spaces.extend((cidr, vpc.name) for cidr in vpc.cidrs)
                    home = self.homes.setdefault((name, vpc.region), [])
                    home += [*vpc.cidrs, *(route.prefix for route in vpc.routes)]
        self.regions = {g.vtep: g.region for g in topology.gateways.values()}
        claimed = [*BOGONS, *(space for space, _ in self.underlay)]
        claimed += [space for held in self.members.values() for space, _ in held]
        self._busy = frozenset(block for space in claimed for block in _blocks(space))

    def __call__(self, peer: Peer, table: str, path: Path) -> Finding | None:
        """The fault of this path in this table (``gateway/ccn``), or None."""
        nlri = path.nlri
        if isinstance(nlri, EvpnOther):
            return None
        if isinstance(nlri, EvpnMacIp):
            return self._vm(peer, table, path, nlri)
        rule, text = self._prefix(peer, table, path, nlri.prefix)
        return self._finding(rule, text, peer, table, nlri.prefix) if rule else None

    def _prefix(self, peer: Peer, table: str, path: Path, prefix: Prefix) -> tuple[str, str]:
        if peer.router is None and prefix[-1] >= 16 and (len(prefix), prefix[:2]) not in self._busy:
            return "", ""  # nothing is claimed near it: the common case, without a search
        if prefix.length and (bogon := next((b for b in BOGONS if b.overlaps(prefix)), None)):
            return "bogon", f"{peer.name} announces {prefix}, in {bogon}, which is never routed"
        ccn = table.rpartition("/")[2]
        for space, vpc in self.members.get(ccn, ()):
            if not space.covers(prefix):
                continue
            if peer.router is not None or not self._at_home(ccn, path, prefix):
                return "owned-space", f"{peer.name} announces {prefix}, which VPC {vpc} owns"
        if prefix.length:
            for space, what in self.underlay:
                if space.overlaps(prefix):
                    return "owned-space", f"{peer.name} announces {prefix}, which holds {what}"
        if peer.router is not None:
            cidrs = self.topology.idcs[peer.router.idc].cidrs
            if not any(cidr.covers(prefix) for cidr in cidrs):
                allowed = ", ".join(str(c) for c in cidrs)
                return (
                    "owned-space",
                    f"{peer.name} announces {prefix}, outside the cidrs of IDC "
                    f"{peer.router.idc} ({allowed})",
                )
        return "", ""

    def _at_home(self, ccn: str, path: Path, prefix: Prefix) -> bool:
        """Is it inside a CIDR or a declared route of the region that it is announced from?"""
        region = self.regions.get(path.attributes.next_hop or Ip(bytes(4)), "")
        return any(space.covers(prefix) for space in self.homes.get((ccn, region), ()))

    def _vm(self, peer: Peer, table: str, path: Path, nlri: EvpnMacIp) -> Finding | None:
        if nlri.ip is None or peer.role != "host":
            return None
        vpc = next((v for v in self.topology.vpcs.values() if v.vni == nlri.vni), None)
        if vpc is None or any(c.contains(nlri.ip) for c in vpc.cidrs):
            return None
        text = f"{peer.name} announces VM {nlri.ip}, outside the cidrs of VPC {vpc.name}"
        return self._finding("vm-outside-cidr", text, peer, table, nlri.ip.host_prefix)

    @staticmethod
    def _finding(rule: str, text: str, peer: Peer, table: str, prefix: Prefix) -> Finding:
        return Finding(
            rule=rule,
            message=text,
            where=f"peer {peer.name}",
            ccn=table.rpartition("/")[2],
            table=table,
            prefix=str(prefix),
            peer=peer.name,
            witness={"address": str(prefix.address), "hops": [f"peer {peer.name}", table]},
        )


def _blocks(space: Prefix) -> Iterator[tuple[int, bytes]]:
    """The /16 that overlap ``space``, as (octets of a Prefix of that version, first two octets)."""
    first = int.from_bytes(space[:2], "big")
    for number in range(first, first + (1 << max(16 - space.length, 0))):
        yield len(space), number.to_bytes(2, "big")
