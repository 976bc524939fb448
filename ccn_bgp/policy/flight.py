"""A route in flight: what conditions see while statements change it.

In: a Path and the Context in which a policy is asked. Out: the values that conditions compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ccn_bgp.model.bgp import Ip, Prefix, RouteTarget
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, Path, PathAttributes

OriginKind = Literal["vpc", "idc", "gateway", "host", "static", "aggregate"]
ORIGIN_KINDS: tuple[OriginKind, ...] = ("vpc", "idc", "gateway", "host", "static", "aggregate")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a route beside what it says itself: the session at which the policy
    applies, and the member of a CCN that the route is from.

    Empty, 0 and None are "unset". ``neighbor``, its ``address`` and ``asn`` are those of the
    session (import: who said it; export: who is told). ``own_asn`` is our AS there.
    ``exportable``: the route targets that the CCN may export; None: nobody says, so all.
    ``narrows``: of route targets only those that the route has may stay or be set again. Changed
    attributes are shared by Context *object*: make one for each distinct one, not for each route.
    """

    neighbor: str = ""
    address: Ip | None = None
    asn: int = 0
    own_asn: int = 0
    ccn: str = ""
    vpc: str = ""
    idc: str = ""
    region: str = ""
    origin_kind: OriginKind | None = None
    exportable: frozenset[RouteTarget] | None = None
    narrows: bool = False


NOWHERE = Context()
"""Nothing is known but the route itself."""


class Flight:
    """One route on its way through a chain; ``attributes`` move on as statements change them."""

    __slots__ = ("attributes", "context", "nlri", "prefix")

    def __init__(self, nlri: Nlri, attributes: PathAttributes, context: Context) -> None:
        self.nlri = nlri
        self.prefix = prefix_of(nlri)
        self.attributes = attributes
        self.context = context

    @classmethod
    def of(cls, path: Path, context: Context) -> Flight:
        """A Path that nothing has changed yet."""
        return cls(path.nlri, path.attributes, context)

    @property
    def vni(self) -> int | None:
        """The VNI of an EVPN route of type 2 or 5, the one of its first label."""
        return self.nlri.vni if isinstance(self.nlri, (EvpnPrefix, EvpnMacIp)) else None

    @property
    def route_type(self) -> int | None:
        """The EVPN route type; None for unicast."""
        nlri = self.nlri
        if isinstance(nlri, EvpnPrefix):
            return 5
        if isinstance(nlri, EvpnMacIp):
            return 2
        return nlri.kind if isinstance(nlri, EvpnOther) else None

    @property
    def has_gateway_ip(self) -> bool:
        """Whether it is a type 5 with a gateway IP (RFC 9136 §3.1)."""
        return isinstance(self.nlri, EvpnPrefix) and self.nlri.gateway is not None


def prefix_of(nlri: Nlri) -> Prefix | None:
    """The prefix that prefix sets see: a host prefix for type 2; None where there is none."""
    if isinstance(nlri, EvpnMacIp):
        return None if nlri.ip is None else nlri.ip.host_prefix
    if isinstance(nlri, EvpnOther):
        return None
    return nlri.prefix
