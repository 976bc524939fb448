"""What a bench announces: EVPN type 5 routes, encoded before the clock starts.

In: how many. Out: whole UPDATE messages. Prefixes are /24 from 20.0.0.0 on, next hop and router's
MAC those of one gateway in another region, route target and VNI of the bench's CCN.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType
from ccn_bgp.session.encode import encode_updates

SENDER_ASN = Asn(64650)
SENDER_VTEP = Ip.parse("198.51.100.21")
ROUTER_MAC = Mac.parse("02:cc:c6:33:64:15")
TARGET = RouteTarget.parse("64600:100")
CCN_VNI = 20100
FIRST = Ip.parse("20.0.0.0").number
_VXLAN = bytes.fromhex("030c000000000008")


def prefix(index: int) -> Prefix:
    """The /24 at ``index``."""
    return Prefix.of((FIRST + index * 256).to_bytes(4, "big"), 24)


def route(index: int) -> EvpnPrefix:
    """The type 5 of that prefix."""
    rd = RouteDistinguisher.of_router(SENDER_VTEP, 100)
    return EvpnPrefix(rd, bytes(10), 0, prefix(index), None, CCN_VNI)


def attributes() -> PathAttributes:
    """Of all routes."""
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (SENDER_ASN,)),),
        next_hop=SENDER_VTEP,
        extended_communities=(TARGET, _VXLAN, b"\x06\x03" + ROUTER_MAC),
    )


def updates(indexes: Sequence[int], per_update: int) -> list[bytes]:
    """UPDATEs that announce these prefixes in order, ``per_update`` (at most 100) in each."""
    shared = attributes()
    messages: list[bytes] = []
    for start in range(0, len(indexes), per_update):
        routes = [route(i) for i in indexes[start : start + per_update]]
        packed = list(encode_updates([(shared, routes)]))
        if len(packed) != 1:
            raise ValueError(f"{per_update} routes do not fit one UPDATE")
        messages += packed
    return messages


def withdrawal(index: int) -> bytes:
    """The UPDATE that takes one prefix back."""
    return b"".join(encode_updates([], [route(index)]))
