"""Which rows of a peer ``Claims`` has something against: columns in, booleans out.

A million honest routes are passed without making a Path of one of them; what is marked goes to
``Claims`` one by one, which says what is wrong with it. Only prefixes are judged here, no VMs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.covering import AT_ONCE, Covering, covered
from ccn_bgp.table.verify.claims import Claims
from ccn_bgp.table.verify.owned import BOGONS

I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

UNKNOWN = -1
"""The number of a CCN or region that the topology does not have."""


class ClaimRows:
    """``Claims`` for columns: built once per topology, IPv6 only when it is asked for. IPv4 nearly
    always is, and then a peer waits for the answer: it is built at once.

    CCNs and regions are numbered: ``ccns`` and ``region`` tell the numbers.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._ccns = {name: number for number, name in enumerate(claims.members)}
        regions = {*claims.regions.values(), *(region for _, region in claims.homes)}
        self._regions = {name: number for number, name in enumerate(sorted(regions))}
        self._spaces = {4: _Spaces(claims, self._ccns, self._regions, 4)}

    def ccns(self, tables: Iterable[str]) -> list[int]:
        """The numbers of the CCNs of tables (``gateway/ccn``)."""
        known = self._ccns
        return [known.get(table.rpartition("/")[2], UNKNOWN) for table in tables]

    def region(self, next_hop: Ip | None) -> int:
        """The number of the region of the gateway with this VTEP."""
        return self._regions.get(self._claims.regions.get(next_hop or Ip(bytes(4)), ""), UNKNOWN)

    def suspects(
        self, peer: Peer, ccns: I8 | int, regions: I8 | int, address: U1, length: U1
    ) -> Bools:
        """bool[n]: true for exactly those rows of which ``Claims`` returns a Finding.

        ``ccns``, ``regions``: int64[n] or one number for all: of the table that takes the row, and
        of the row's next hop as received (not looked at if the peer is an IDC router).
        ``address``: uint8[n, 4 or 16], host bits cleared; ``length``: uint8[n].
        """
        ccn = np.broadcast_to(np.asarray(ccns, np.int64), length.shape)
        region = np.broadcast_to(np.asarray(regions, np.int64), length.shape)
        found = np.zeros(len(length), np.bool_)
        for first in range(0, len(length), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            held = (ccn[some], region[some], address[some], length[some])
            found[some] = self._suspects(peer, *held)
        return found

    def _suspects(self, peer: Peer, ccn: I8, region: I8, address: U1, length: U1) -> Bools:
        width = address.shape[1]
        spaces = self._spaces.get(width)
        if spaces is None:
            spaces = self._spaces[width] = _Spaces(self._claims, self._ccns, self._regions, width)
        found = np.zeros(len(length), np.bool_)
        maybe = spaces.near.rows(address, length)
        if not len(maybe) and peer.router is None:
            return found
        near = maybe[spaces.near_unroutable.near(address[maybe], length[maybe])]
        near = near[length[near] > 0]  # the default route overlaps everything and claims nothing
        found[near] = spaces.unroutable.overlaps(address[near], length[near])
        near = maybe[spaces.near_vpcs.near(address[maybe], length[maybe])]
        if peer.router is None:
            home = np.where(region >= 0, ccn * len(self._regions) + region, UNKNOWN)
            at_home = spaces.homes.covered(address[near], length[near], home[near])
            near = near[~at_home]
        found[near] |= spaces.vpcs.covered(address[near], length[near], ccn[near])
        if peer.router is not None:
            allowed = self._claims.topology.idcs[peer.router.idc].cidrs
            found |= ~covered(allowed, address, length)
        return found


class _Spaces:
    """What is claimed in one family."""

    def __init__(
        self, claims: Claims, ccns: dict[str, int], regions: dict[str, int], width: int
    ) -> None:
        unroutable = _of_width([*BOGONS, *(space for space, _ in claims.underlay)], width)
        self.unroutable = Covering(width, unroutable)
        self.near_unroutable = _Blocks(width, unroutable)
        vpcs = [
            (cidr, ccns[name])
            for name, held in claims.members.items()
            for cidr, _ in held
            if len(cidr) == width + 1
        ]
        self.vpcs = Covering(width, [cidr for cidr, _ in vpcs], [ccn for _, ccn in vpcs])
        self.near_vpcs = _Blocks(width, (cidr for cidr, _ in vpcs))
        self.near = _Blocks(width, (*unroutable, *(cidr for cidr, _ in vpcs)))
        homes = [
            (prefix, ccns[ccn] * len(regions) + regions[region])
            for (ccn, region), held in claims.homes.items()
            for prefix in held
            if len(prefix) == width + 1
        ]
        self.homes = Covering(width, [prefix for prefix, _ in homes], [home for _, home in homes])


class _Blocks:
    """The /16 that some prefixes overlap: what lies in another needs no look-up."""

    def __init__(self, width: int, prefixes: Iterable[Prefix]) -> None:
        self.width = width
        self._busy = np.zeros(1 << 16, np.bool_)
        for prefix in set(prefixes):
            first = int.from_bytes(prefix[:2], "big")
            self._busy[first : first + (1 << max(16 - prefix.length, 0))] = True

    def near(self, address: U1, length: U1) -> Bools:
        """Whether each row may overlap one of the prefixes."""
        block = np.ascontiguousarray(address).view(">u2")[:, 0].astype(np.int64)
        found: Bools = self._busy[block] | (length < 16)
        return found

    def rows(self, address: U1, length: U1) -> I8:
        """Numbers of the rows that may overlap one of the prefixes."""
        return np.flatnonzero(self.near(address, length))


def _of_width(prefixes: Iterable[Prefix], width: int) -> list[Prefix]:
    return [prefix for prefix in prefixes if len(prefix) == width + 1]
