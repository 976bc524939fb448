"""A forwarding bench over an IPv6 underlay: the rows of rows.py and the frames of forward_tables.py
go in, the same with IPv6 outside come out (40 octets of outer IP header in the place of 20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.bench import rows
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.bgp import Ip

_HEADER4, _BEFORE = 20, 14
_SUBNETS = {"192.0.2.": "2001:db8:2::", "198.51.100.": "2001:db8:51::"}


def address(ipv4: Ip) -> Ip:
    """The IPv6 address that stands in the place of an IPv4 one."""
    for subnet, other in _SUBNETS.items():
        if str(ipv4).startswith(subnet):
            return Ip.parse(other + str(ipv4).removeprefix(subnet))
    raise ValueError(ipv4)


def _name(ipv4: Ip) -> list[int]:
    """Of its VTEP: in 224.0.0.0/4."""
    return [224, *list(ipv4)[1:]]


def records(found: Sequence[rows.Record]) -> list[rows.Record]:
    """The same rows with the uplink, its router and every VTEP over IPv6."""
    vteps = (rows.HOST, rows.OTHER_HOST, rows.REMOTE)
    names = np.zeros(len(vteps), wire.VTEP_NAME)
    names["name"] = [_name(vtep) for vtep in vteps]
    names["address"] = [list(address(vtep)) for vtep in vteps]
    made: list[rows.Record] = [(MessageType.VTEP_NAME, 0, names)]
    for kind, flags, held in found:
        row = held.copy()
        if kind is MessageType.INTERFACE:
            row["address"] = row["via"] = 0
            row["address6"], row["length6"] = list(address(rows.GATEWAY)), 64
            row["via6"] = list(address(rows.ROUTER))
        elif kind is MessageType.VTEP:
            row["address"][:, 0] = 224
        elif kind is MessageType.VM:
            row["vtep"][:, 0] = 224
        elif kind is MessageType.NEXT_HOP:
            remote = row["family"] == 4
            row["family"][remote] = 6
            row["ip"][remote] = list(address(rows.REMOTE))
        made.append((kind, flags, row))
    return made


def frames(packet: npt.NDArray[np.uint8], source: Ip) -> npt.NDArray[np.uint8]:
    """Frames of equal length, uint8[n, octets]: from this VTEP to the gateway over IPv6."""
    udp: npt.NDArray[Any] = packet[:, _BEFORE + _HEADER4 :]
    head = b"\x86\xdd\x60\0\0\0" + udp.shape[1].to_bytes(2, "big") + b"\x11\x40"
    head += bytes(address(source)) + bytes(address(rows.GATEWAY))
    outer = np.tile(np.frombuffer(head, np.uint8), (len(packet), 1))
    outer[:, 4:6] = udp[:, :2]  # the flow label, of the flow as the source port is
    return np.hstack([packet[:, :12], outer, udp])
