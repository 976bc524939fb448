"""What is to be said of many prefixes, in columns.

In: learn/ fills OutRows from its tables. Out: learn/adj_rib_out.py makes RowChanges of them, and
session/encode_rows.py makes UPDATEs of those. A row and an NLRI of model/path.py are two views of
the same thing: ``RowChanges.nlri`` makes the one of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Family, Ip, Mac, Prefix, RouteDistinguisher
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Nlri, PathAttributes, Unicast
from ccn_bgp.model.vm_table import VmTable

I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]

NOTHING = -1
"""In the place of a number of attributes: nothing is to be said of the prefix."""
Classes = Callable[[U1, U1], U4]
"""Prefixes (addresses: uint8[n, 4 or 16], lengths: uint8[n]) → numbers of classes, uint32[n]: what
an export policy makes of attributes is the same for all prefixes of one class."""
_NO_ESI = bytes(10)


class Origination(NamedTuple):
    """What all type 5 routes of one table have in common: they have no ESI and no gateway IP
    (RFC 9136 §4.1). Of the type 2 of one VPC: ``vni`` is that of the CCN, beside the VPC's own."""

    rd: RouteDistinguisher
    vni: int
    etag: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class OutRows:
    """Prefixes and the number of what is to be said of each; arrays of length n.

    ``table``: uint32[n], whose Origination goes with the prefix (EVPN type 5), or None (unicast).
    ``mac``: uint8[n, 6] of VMs (EVPN type 2), whose ``table`` is the VNI of their VPC.
    ``address``: uint8[n, 4 or 16], network order, host bits cleared. ``length``: uint8[n].
    ``attributes``: int64[n], a number in a list of PathAttributes, or NOTHING.
    """

    table: U4 | None
    address: U1
    length: U1
    attributes: I8
    mac: U1 | None = None

    def __len__(self) -> int:
        return len(self.length)

    @property
    def width(self) -> int:
        """Octets of an address: 4 or 16."""
        width: Any = self.address.shape[1]
        return int(width)

    @property
    def version(self) -> int:
        """Of the addresses: 4 or 6."""
        return 4 if self.width == 4 else 6

    @property
    def family(self) -> Family:
        """Of all rows."""
        if self.table is not None:
            return Family.EVPN
        return Family.IPV4_UNICAST if self.width == 4 else Family.IPV6_UNICAST

    def part(self, which: slice | npt.NDArray[Any]) -> OutRows:
        """Some of the rows: a slice, a mask or an index."""
        table = None if self.table is None else self.table[which]
        mac = None if self.mac is None else self.mac[which]
        return OutRows(table, self.address[which], self.length[which], self.attributes[which], mac)


class OutVms(NamedTuple):
    """VMs of the inventory, all that are told in columns. ``attributes``: int64[n], for each row of
    ``table`` a number in ``sets``, or NOTHING. ``originations``: by VNI."""

    table: VmTable
    attributes: I8
    sets: Sequence[PathAttributes]
    originations: Mapping[int, Origination]


@dataclass(frozen=True, slots=True, eq=False)
class RowChanges:
    """Rows of one family and width in the order of sending: withdrawals, then announcements with
    equal attributes one after the other. Of ``sets`` no two that occur are equal."""

    rows: OutRows
    sets: Sequence[PathAttributes]
    originations: Mapping[int, Origination]

    def nlri(self) -> list[Nlri]:
        """One NLRI for each row."""
        rows = self.rows
        octets = np.concatenate((rows.address, rows.length[:, None]), axis=1).tobytes()
        step = rows.width + 1
        prefixes = [Prefix(octets[i : i + step]) for i in range(0, len(octets), step)]
        if rows.table is None:
            return [Unicast(prefix) for prefix in prefixes]
        if rows.mac is not None:
            macs = rows.mac.tobytes()
            return [
                type2(self.originations[vni], vni, Mac(macs[n * 6 : n * 6 + 6]), prefix.address)
                for n, (vni, prefix) in enumerate(zip(rows.table.tolist(), prefixes, strict=True))
            ]
        return [
            type5(self.originations[table], prefix)
            for table, prefix in zip(rows.table.tolist(), prefixes, strict=True)
        ]

    def expanded(self) -> tuple[list[tuple[PathAttributes, list[Nlri]]], list[Nlri]]:
        """The same as values: announcements by attributes, withdrawals."""
        announced: dict[int, list[Nlri]] = {}
        withdrawn: list[Nlri] = []
        for nlri, number in zip(self.nlri(), self.rows.attributes.tolist(), strict=True):
            (withdrawn if number < 0 else announced.setdefault(number, [])).append(nlri)
        return [(self.sets[number], nlris) for number, nlris in announced.items()], withdrawn


def type2(origination: Origination, vni: int, mac: Mac, ip: Ip) -> EvpnMacIp:
    """The type 2 route of one VM of a VPC."""
    return EvpnMacIp(origination.rd, _NO_ESI, origination.etag, mac, ip, vni, origination.vni)


def type5(origination: Origination, prefix: Prefix) -> EvpnPrefix:
    """The type 5 route of one prefix of a table."""
    rd, vni, etag = origination
    return EvpnPrefix(rd, _NO_ESI, etag, prefix, None, vni)
