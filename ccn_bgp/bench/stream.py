"""What a bench announces: EVPN type 5 routes, encoded before the clock starts.

In: how many. Out: whole UPDATE messages, one after the other. Route ``i`` is the /24 at 20.0.0.0 +
256 i; each hundred of them is in a CCN of its own, with its route target, VNI and distinguisher.
Next hop and router's MAC are those of a gateway in another region. The first message of a kind is
made by session/encode.py; the others are copies of it in which NumPy writes what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType
from ccn_bgp.session.encode import encode_nlri, encode_updates

Octets = npt.NDArray[np.uint8]

FABRIC_ASN = 64600
SENDER_ASN = Asn(64650)
SENDER_VTEP = Ip.parse("198.51.100.21")
ROUTES_PER_CCN = 100
FIRST_CCN_VNI = 20_001
FIRST = Ip.parse("20.0.0.0").number
_VXLAN = bytes.fromhex("030c000000000008")
_SIZE = 36
"""Octets of a type 5 with IPv4: type, length, RD 8, ESI 10, tag 4, length, prefix 4, gateway 4,
label 3 (RFC 9136 §3.1)."""
_RD_NUMBER, _ADDRESS, _LABEL = 8, 25, 33
_COMMUNITY = 0xFEEDBEEF


@dataclass(frozen=True, slots=True)
class Origin:
    """The gateway that announces: its VTEP is next hop, router-id and part of its MAC."""

    vtep: Ip = SENDER_VTEP
    asn: Asn = SENDER_ASN

    @property
    def router_mac(self) -> Mac:
        """02:cc and the VTEP."""
        return Mac(b"\x02\xcc" + self.vtep)


ORIGIN = Origin()


def ccn_id(index: int) -> int:
    """Of the CCN in which this route is; its table in the forwarder has the same number."""
    return index // ROUTES_PER_CCN + 1


def ccns(count: int) -> int:
    """How many CCNs ``count`` routes are in."""
    return -(-count // ROUTES_PER_CCN)


def prefix(index: int) -> Prefix:
    """The /24 at ``index``."""
    return Prefix.of((FIRST + index * 256).to_bytes(4, "big"), 24)


def route(index: int, origin: Origin = ORIGIN) -> EvpnPrefix:
    """The type 5 of that prefix."""
    ccn = ccn_id(index)
    rd = RouteDistinguisher.of_router(origin.vtep, ccn)
    return EvpnPrefix(rd, bytes(10), 0, prefix(index), None, FIRST_CCN_VNI - 1 + ccn)


def attributes(
    index: int, origin: Origin = ORIGIN, communities: Sequence[int] = ()
) -> PathAttributes:
    """Of all routes of that route's CCN."""
    target = RouteTarget.parse(f"{FABRIC_ASN}:{ccn_id(index)}")
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (origin.asn,)),),
        next_hop=origin.vtep,
        communities=tuple(communities),
        extended_communities=(target, _VXLAN, b"\x06\x03" + origin.router_mac),
    )


def updates(
    first: int,
    count: int,
    per_update: int,
    origin: Origin = ORIGIN,
    *,
    distinct: bool = False,
    via: Ip | None = None,
    ccn: int | None = None,
) -> bytes:
    """``count`` routes from ``first`` on, ``per_update`` in each message.

    ``distinct``: every message has a community of its own, and so an attribute set of its own.
    ``via``: another next hop than the origin's. ``ccn``: the id of the one CCN that all are in.
    ValueError: a message would hold routes of two CCNs.
    """
    starts = _starts(first, count, per_update)
    sample = attributes(first, origin, [_COMMUNITY] if distinct else ())
    ids = starts // ROUTES_PER_CCN + 1 if ccn is None else np.full(len(starts), ccn)
    shared = replace(sample, next_hop=via or origin.vtep)
    routes = [route(i, origin) for i in range(first, first + per_update)]
    (message,) = encode_updates([(shared, routes)])
    target = message.index(shared.extended_communities[0])
    patches = {target + 4: _big_endian(ids, 4)}
    if distinct:
        patches[message.index(_COMMUNITY.to_bytes(4, "big"))] = _big_endian(starts, 4)
    return _copies(message, routes, starts, ids, patches)


def withdrawals(first: int, count: int, per_update: int, origin: Origin = ORIGIN) -> bytes:
    """The UPDATEs that take these routes back."""
    starts = _starts(first, count, per_update)
    routes = [route(i, origin) for i in range(first, first + per_update)]
    (message,) = encode_updates([], routes)
    ids = starts // ROUTES_PER_CCN + 1
    return _copies(message, routes, starts, ids, {})


def update(index: int, origin: Origin = ORIGIN, via: Ip | None = None) -> bytes:
    """One route in one message."""
    return updates(index, 1, 1, origin, via=via)


def _starts(first: int, count: int, per_update: int) -> npt.NDArray[np.int64]:
    """The first route of each message."""
    if ROUTES_PER_CCN % per_update or first % per_update or count % per_update:
        raise ValueError(f"{count} routes from {first} on: {per_update} would be of two CCNs")
    return np.arange(first, first + count, per_update)


def _copies(
    message: bytes,
    routes: Sequence[EvpnPrefix],
    starts: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    patches: Mapping[int, Octets],
) -> bytes:
    """``message`` once for each of ``starts``, with the routes and the octets of that one."""
    rows = np.tile(np.frombuffer(message, np.uint8), (len(starts), 1))
    for place, octets in patches.items():
        rows[:, place : place + octets.shape[1]] = octets
    number, label = _big_endian(ids, 2), _big_endian(FIRST_CCN_VNI - 1 + ids, 3)
    begin = message.index(encode_nlri(routes[0]))
    for position in range(len(routes)):
        at = begin + position * _SIZE
        rows[:, at + _RD_NUMBER : at + _RD_NUMBER + 2] = number
        address = _big_endian(FIRST + (starts + position) * 256, 4)
        rows[:, at + _ADDRESS : at + _ADDRESS + 4] = address
        rows[:, at + _LABEL : at + _LABEL + 3] = label
    return rows.tobytes()


def _big_endian(numbers: npt.NDArray[Any], width: int) -> Octets:
    """uint8[n, width]."""
    return numbers.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - width :]
