"""What one peer said: NLRI and path attributes. In from session/decode.py, out to policy and learn.

An Update (session) becomes Paths here; a Path never leaves the control plane.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget

LINK_BANDWIDTH = (b"\x40\x04", b"\x00\x04")
"""The extended community, not transitive and transitive."""
DEFAULT_PREFERENCE = 100
HIGHEST_PREFERENCE = 255


class Origin(enum.IntEnum):
    """ORIGIN, RFC 4271 §5.1.1; the lower value is preferred."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class SegmentType(enum.IntEnum):
    """AS_PATH segment types, RFC 4271 §4.3 and RFC 5065."""

    AS_SET = 1
    AS_SEQUENCE = 2
    AS_CONFED_SEQUENCE = 3
    AS_CONFED_SET = 4


class Segment(NamedTuple):
    """One AS_PATH segment."""

    kind: SegmentType
    asns: tuple[Asn, ...]


class Mobility(NamedTuple):
    """MAC mobility extended community, RFC 7432 §7.7."""

    sequence: int
    sticky: bool


class UnknownAttribute(NamedTuple):
    """An optional transitive attribute that we do not know; passed on with Partial set."""

    flags: int
    code: int
    value: bytes


def hops(as_path: tuple[Segment, ...]) -> int:
    """The length of an AS path as the decision process counts it: a set is one, confederations
    none."""
    length = 0
    for kind, asns in as_path:
        if kind is SegmentType.AS_SEQUENCE:
            length += len(asns)
        elif kind is SegmentType.AS_SET:
            length += 1
    return length


def first_asn(as_path: tuple[Segment, ...]) -> Asn | None:
    """The neighbouring AS, if the path begins with a sequence."""
    if as_path:
        kind, asns = as_path[0]
        if kind is SegmentType.AS_SEQUENCE:
            return asns[0]
    return None


@dataclass(frozen=True, eq=True)
class PathAttributes:
    """One attribute set, interned by the decoder: many Paths share one object.

    ``next_hop`` is that of NEXT_HOP or MP_REACH_NLRI (an IPv6 link-local second half is dropped).
    ``extended_communities`` are 8 octets each, in the order received. ``tag`` and ``preference``
    (between members of a CCN; higher wins) are the word of our own policies and never on the wire.
    """

    origin: Origin = Origin.IGP
    as_path: tuple[Segment, ...] = ()
    next_hop: Ip | None = None
    med: int | None = None
    local_pref: int | None = None
    atomic_aggregate: bool = False
    aggregator: tuple[Asn, Ip] | None = None
    communities: tuple[int, ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    extended_communities: tuple[bytes, ...] = ()
    originator_id: Ip | None = None
    cluster_list: tuple[Ip, ...] = ()
    only_to_customer: Asn | None = None
    unknown: tuple[UnknownAttribute, ...] = ()
    tag: int | None = None
    preference: int = DEFAULT_PREFERENCE

    @cached_property
    def route_targets(self) -> frozenset[RouteTarget]:
        """The route targets among the extended communities."""
        return frozenset(
            RouteTarget(c) for c in self.extended_communities if RouteTarget.is_target(c)
        )

    @cached_property
    def router_mac(self) -> Mac | None:
        """EVPN Router's MAC extended community (0x0603), RFC 9135 §8.1."""
        for community in self.extended_communities:
            if community[:2] == b"\x06\x03":
                return Mac(community[2:])
        return None

    @cached_property
    def encapsulation(self) -> int | None:
        """Tunnel type of the encapsulation community (0x030c), RFC 9012 §4.1; 8 = VXLAN."""
        for community in self.extended_communities:
            if community[:2] == b"\x03\x0c":
                return int.from_bytes(community[6:8], "big")
        return None

    @cached_property
    def mobility(self) -> Mobility:
        """MAC mobility (0x0600); absent counts as sequence 0, RFC 7432 §15."""
        for community in self.extended_communities:
            if community[:2] == b"\x06\x00":
                return Mobility(int.from_bytes(community[4:8], "big"), bool(community[2] & 1))
        return Mobility(0, False)

    @cached_property
    def link_bandwidth(self) -> int:
        """Octets per second of the link that the path takes (0x4004 or 0x0004, an IEEE float,
        draft-ietf-idr-link-bandwidth §2); 0: not said, or no use as a weight."""
        for community in self.extended_communities:
            if community[:2] in LINK_BANDWIDTH:
                (said,) = struct.unpack(">f", community[4:])
                return int(said) if 1 <= said < 2**63 else 0
        return 0

    @cached_property
    def as_path_length(self) -> int:
        """Hops as the decision process counts them: a set is one, confederations none."""
        return hops(self.as_path)

    @cached_property
    def asns(self) -> tuple[Asn, ...]:
        """Every AS in the path, in order, sets and confederations included."""
        return tuple(asn for segment in self.as_path for asn in segment.asns)

    @property
    def first_asn(self) -> Asn | None:
        """The neighbouring AS, if the path begins with a sequence."""
        return first_asn(self.as_path)

    @cached_property
    def as_path_text(self) -> str:
        """``64601 64602 {65001,65002}``, as routers print it."""
        words: list[str] = []
        for kind, asns in self.as_path:
            if kind is SegmentType.AS_SEQUENCE:
                words.extend(str(a) for a in asns)
            elif kind is SegmentType.AS_SET:
                words.append("{" + ",".join(str(a) for a in asns) + "}")
            else:
                words.append("(" + " ".join(str(a) for a in asns) + ")")
        return " ".join(words)


_WORKED_OUT = {
    "extended_communities": (
        "route_targets",
        "router_mac",
        "encapsulation",
        "mobility",
        "link_bandwidth",
    ),
    "as_path": ("as_path_length", "asns", "as_path_text"),
}
"""Which properties are worked out of which field."""


def changed(attributes: PathAttributes, **fields: Any) -> PathAttributes:
    """As dataclasses.replace(), in a fraction of the time: what was worked out of the fields that
    stay is kept."""
    (made,) = all_changed((attributes,), fields)
    return made


def all_changed(
    many: Iterable[PathAttributes], fields: Mapping[str, Any]
) -> Iterator[PathAttributes]:
    """The same of many, each with these fields."""
    stale = [made for name, of_it in _WORKED_OUT.items() if name in fields for made in of_it]
    for attributes in many:
        known = {**attributes.__dict__, **fields}
        for name in stale:
            known.pop(name, None)
        yield holding(known)


def holding(fields: dict[str, Any]) -> PathAttributes:
    """Attributes with these fields as they are, not a copy; one that is absent has its default by
    the class."""
    made = _new(PathAttributes)
    _set(made, "__dict__", fields)
    return made


_new, _set = object.__new__, object.__setattr__


class Unicast(NamedTuple):
    """IPv4 or IPv6 unicast NLRI, RFC 4271 and 4760."""

    prefix: Prefix

    @property
    def family(self) -> Family:
        """By the prefix's own version."""
        return Family.IPV4_UNICAST if len(self.prefix) == 5 else Family.IPV6_UNICAST

    @property
    def key(self) -> bytes:
        """What a withdrawal must repeat."""
        return self.prefix


class EvpnPrefix(NamedTuple):
    """EVPN route type 5, RFC 9136 §3.1. ``vni`` is the 24-bit label field as a VNI (RFC 8365)."""

    rd: RouteDistinguisher
    esi: bytes
    etag: int
    prefix: Prefix
    gateway: Ip | None
    vni: int

    @property
    def family(self) -> Family:
        """Always EVPN."""
        return Family.EVPN

    @property
    def key(self) -> bytes:
        """RD, Ethernet tag, prefix: the part that identifies the route (RFC 9136 §3.1)."""
        return b"\x05" + self.rd + self.etag.to_bytes(4, "big") + self.prefix


class EvpnMacIp(NamedTuple):
    """EVPN route type 2, RFC 7432 §7.2. ``vni2`` is the L3VNI (second label), if present."""

    rd: RouteDistinguisher
    esi: bytes
    etag: int
    mac: Mac
    ip: Ip | None
    vni: int
    vni2: int | None

    @property
    def family(self) -> Family:
        """Always EVPN."""
        return Family.EVPN

    @property
    def key(self) -> bytes:
        """RD, Ethernet tag, MAC, IP: the part that identifies the route."""
        return b"\x02" + self.rd + self.etag.to_bytes(4, "big") + self.mac + (self.ip or b"")


class EvpnOther(NamedTuple):
    """EVPN route types 1, 3 and 4 (RFC 7432 §7.1, §7.3, §7.4): kept to be shown, without effect on
    forwarding."""

    kind: int
    value: bytes

    @property
    def family(self) -> Family:
        """Always EVPN."""
        return Family.EVPN

    @property
    def key(self) -> bytes:
        """The whole NLRI; of type 1 without its label (RFC 7432 §7.1)."""
        value = self.value[:22] if self.kind == 1 else self.value
        return bytes((self.kind,)) + value

    @property
    def fields(self) -> dict[str, str | int]:
        """What it says, by the names of ``ccn decode``. A route that is treated as withdrawn may
        have any length: then what can be told, and its octets."""
        value, length = self.value, len(self.value)
        found: dict[str, str | int] = {}
        if length >= 8:
            found["rd"] = str(RouteDistinguisher(value[:8]))
        if self.kind == 1 and length == 25:
            found["etag"] = int.from_bytes(value[18:22], "big")
            found["esi"] = value[8:18].hex(":")
            found["vni"] = int.from_bytes(value[22:], "big")
        elif self.kind == 3 and length in (17, 29):
            found["etag"] = int.from_bytes(value[8:12], "big")
            found["ip"] = str(Ip(value[13:]))
        elif self.kind == 4 and length in (23, 35):
            found["esi"] = value[8:18].hex(":")
            found["ip"] = str(Ip(value[19:]))
        else:
            found["value"] = value.hex()
        return found


Nlri = Unicast | EvpnPrefix | EvpnMacIp | EvpnOther


class Path(NamedTuple):
    """What one peer said of one NLRI."""

    peer: str
    nlri: Nlri
    attributes: PathAttributes
