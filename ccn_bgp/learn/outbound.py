"""Path attributes on their way out: what a peer of each kind sees of them.

In: attributes that export policy has accepted. Out: those that are sent. RFC 4271 §5.1, 4456, 9234.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccn_bgp.model.bgp import Asn
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import (
    DEFAULT_PREFERENCE,
    PathAttributes,
    Segment,
    SegmentType,
    changed,
)
from ccn_bgp.model.reason import Withheld

DEFAULT_LOCAL_PREF = 100
LONGEST_SEGMENT = 255
_REMEMBERED = 1 << 14


NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED = 0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03
_NOT_TO_ANY = Withheld("RFC 1997", "no-advertise")
_NOT_OUTSIDE = Withheld("RFC 1997", "no-export")


def withheld(peer: Peer, attributes: PathAttributes) -> Withheld | None:
    """Whether whoever said it, or import policy, forbids to tell it to this peer (RFC 1997). What
    export policy adds is meant for the peer."""
    said = attributes.communities
    if not said:
        return None
    if NO_ADVERTISE in said:
        return _NOT_TO_ANY
    if peer.external and (NO_EXPORT in said or NO_EXPORT_SUBCONFED in said):
        return _NOT_OUTSIDE
    return None


class Outbound:
    """The attributes that a peer is sent. Equal sets stay one object: routes are grouped by it."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[PathAttributes, PathAttributes]] = {}

    def __call__(self, peer: Peer, attributes: PathAttributes, version: int = 4) -> PathAttributes:
        """For one peer, or for all that are alike to it; ``version`` is that of the prefixes, which
        an IDC router's next hop follows."""
        key = (id(attributes), version)
        made = self._made.get(key)
        if made is None or made[0] is not attributes:
            if len(self._made) > _REMEMBERED:
                self._made.clear()
            made = self._made[key] = (
                attributes,
                changed(attributes, **_sent(peer, attributes, version)),
            )
        return made[1]


def _sent(peer: Peer, attributes: PathAttributes, version: int) -> dict[str, Any]:
    """What differs in the attributes that are sent."""
    sent: dict[str, Any] = {"local_pref": None, "tag": None, "preference": DEFAULT_PREFERENCE}
    if peer.external:  # RFC 4271 §5.1.2, 5.1.5
        sent["as_path"] = prepend(attributes.as_path, (peer.local_asn,))
    elif attributes.local_pref is None:
        sent["local_pref"] = DEFAULT_LOCAL_PREF
    else:
        sent["local_pref"] = attributes.local_pref
    if peer.router is not None:
        ends = peer.router.ends(version)
        assert ends is not None  # else nothing of this family is told
        sent["next_hop"] = ends[1].address
        sent["extended_communities"] = ()
        sent["originator_id"] = None
        sent["cluster_list"] = ()
        if attributes.only_to_customer is None:  # a data centre is a customer: RFC 9234 §5
            sent["only_to_customer"] = peer.local_asn
    return sent


def prepend(as_path: tuple[Segment, ...], asns: Sequence[Asn]) -> tuple[Segment, ...]:
    """RFC 4271 §5.1.2: into the first sequence, or a new one where there is none or it is full."""
    if as_path and as_path[0].kind is SegmentType.AS_SEQUENCE:
        joined = (*asns, *as_path[0].asns)
        if len(joined) <= LONGEST_SEGMENT:
            return (Segment(SegmentType.AS_SEQUENCE, joined), *as_path[1:])
    return (Segment(SegmentType.AS_SEQUENCE, tuple(asns)), *as_path)
