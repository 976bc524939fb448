"""Which member of a CCN a route is from. In: a topology, and a Path as policies see it. Out: the
names that ``ccn-set``, ``vpc-set``, ``idc-set``, ``region-set`` and ``origin-kind`` compare.

Only what is declared and what the route itself says is looked at, so that the answer is the same
for every peer: a data centre by its route origin community, a VPC by its prefixes (or the VNI of a
type 2), a gateway by the next hop, a CCN by VNI or route target.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import export_targets, owners_by_vni, site_of_origin
from ccn_bgp.model.covering import Covering
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Path
from ccn_bgp.model.topology import Topology
from ccn_bgp.policy.flight import OriginKind

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
_NOBODY = Ip(b"")


class Member(NamedTuple):
    """Where a route is from; what cannot be told is empty."""

    ccn: str = ""
    vpc: str = ""
    idc: str = ""
    region: str = ""
    kind: OriginKind | None = None


class Members:
    """The members of all CCNs of a topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._ccn_of_vni = owners_by_vni(topology)
        self._vpc_of_vni: dict[int, str] = {v.vni: v.name for v in topology.vpcs.values()}
        self._idc_of_site = {site_of_origin(topology, name): name for name in topology.idcs}
        self._region_of_vtep = {g.vtep: g.region for g in topology.gateways.values()}
        self._exports = {n: export_targets(topology, c) for n, c in topology.ccns.items()}
        self._spaces: dict[str, dict[Prefix, tuple[str, OriginKind]]] = {}
        for name in sorted(topology.ccns):
            spaces = self._spaces[name] = {}
            for member in topology.ccns[name].attach:
                if member.kind != "vpc":
                    continue
                vpc = topology.vpcs[member.name]
                for cidr in vpc.cidrs:
                    spaces.setdefault(cidr, (vpc.name, "vpc"))
                for route in vpc.routes:
                    spaces.setdefault(route.prefix, (vpc.name, "static"))
        self._laid: dict[int, tuple[Covering, npt.NDArray[np.int64]]] = {}

    def of(self, path: Path, ccn: str = "") -> Member:
        """Where a route is from. ``ccn`` is the table's, if it is known: what says nothing else is
        of that CCN."""
        nlri, attributes = path.nlri, path.attributes
        if isinstance(nlri, EvpnOther):
            return Member(ccn)
        if path.peer.startswith("aggregate "):
            return Member(ccn, kind="aggregate")
        ccn = self._ccn(path, ccn)
        for community in attributes.extended_communities:
            if idc := self._idc_of_site.get(community, ""):
                return Member(ccn, "", idc, self._topology.idcs[idc].region, "idc")
        if isinstance(nlri, EvpnMacIp):
            vpc, kind = self._vpc_of_vni.get(nlri.vni, ""), "vpc"
        else:
            vpc, kind = self._space(ccn, nlri.prefix)
        if vpc:
            region = self._topology.vpcs[vpc].region
            return Member(ccn, vpc, "", region, "static" if kind == "static" else "vpc")
        region = self._region_of_vtep.get(attributes.next_hop or _NOBODY, "")
        return Member(ccn, "", "", region, "gateway" if region else None)

    def _ccn(self, path: Path, ccn: str) -> str:
        """By VNI, else by route target; what another table here has said on is of that table's."""
        nlri = path.nlri
        if isinstance(nlri, EvpnPrefix | EvpnMacIp):
            vni = (nlri.vni2 or nlri.vni) if isinstance(nlri, EvpnMacIp) else nlri.vni
            if (found := self._ccn_of_vni.get(vni)) is not None:
                return found
        targets = path.attributes.route_targets
        if targets and not self._exports.get(ccn, frozenset()) & targets:
            for name in sorted(self._exports):
                if self._exports[name] & targets:
                    return name
        if path.peer.startswith("table "):
            return path.peer.rpartition("/")[2]
        return ccn

    def _space(self, ccn: str, prefix: Prefix) -> tuple[str, OriginKind]:
        """The VPC with the longest of its prefixes around this one; static if it is a route of it
        itself."""
        spaces = self._spaces.get(ccn, {})
        for length in range(prefix.length, -1, -1):
            around = Prefix.of(prefix.address, length)
            if (found := spaces.get(around)) is not None:
                return found if around == prefix else (found[0], "vpc")
        return "", "vpc"

    # -- in columns -----------------------------------------------------------------------------

    def classes(self, address: U1, length: U1) -> U4:
        """uint32[n]: prefixes of one class are from the same member, whatever their CCN is.

        ``address``: uint8[n, 4 or 16], host bits cleared; ``length``: uint8[n].
        """
        laid = self._laid.get(address.shape[1])
        if laid is None:
            laid = self._laid[address.shape[1]] = self._lay_out(address.shape[1])
        covering, lengths = laid
        place = covering.longest(address, length)
        found: U4 = ((place + 1) * 2 + (lengths[place] == length)).astype(np.uint32)
        return found

    def _lay_out(self, width: int) -> tuple[Covering, npt.NDArray[np.int64]]:
        """What covers, and the length of each; the last, where -1 points to, is that of nothing."""
        every = {p for spaces in self._spaces.values() for p in spaces if len(p) == width + 1}
        ordered = sorted(every)
        return Covering(width, ordered), np.array([p.length for p in ordered] + [255], np.int64)
