"""Adj-RIB-Out of one peer: what it has been told, and the difference to what it should be told.

In: exports of the Rib (EVPN peers) or routes of one CCSI (IDC routers). Out: announcements grouped
by attribute set, and withdrawals, ready for session/encode.py. RFC 4271 §5.1, §9.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.model.bgp import Asn, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import Nlri, Path, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.route import Kind, Route

ExportPolicy = Callable[[Peer, Path], PathAttributes | Denied]
DEFAULT_LOCAL_PREF = 100
LONGEST_SEGMENT = 255


@dataclass(frozen=True, slots=True)
class Changes:
    """What to send: attribute sets with their NLRI, then withdrawals; both in a fixed order."""

    announce: tuple[tuple[PathAttributes, tuple[Nlri, ...]], ...]
    withdraw: tuple[Nlri, ...]

    def __bool__(self) -> bool:
        return bool(self.announce or self.withdraw)


class AdjRibOut:
    """What one peer has been told. Emptied when its session ends."""

    def __init__(self, peer: Peer, policy: ExportPolicy) -> None:
        self.peer = peer
        self.policy = policy
        self.told: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self.denied: dict[bytes, Denied] = {}
        self._announce: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self._withdraw: dict[bytes, Nlri] = {}
        self._made: dict[int, tuple[PathAttributes, PathAttributes]] = {}

    def reset(self) -> None:
        """The session has ended: the peer knows nothing any more."""
        self.told.clear()
        self.denied.clear()
        self._announce.clear()
        self._withdraw.clear()

    def offer(self, nlri: Nlri, attributes: PathAttributes | None) -> None:
        """What the peer should now hold of an NLRI; None: nothing."""
        key = nlri.key
        told = self.told.get(key)
        if attributes is None:
            self._announce.pop(key, None)
            if told is not None:
                self._withdraw[key] = told[0]
            return
        self._withdraw.pop(key, None)
        if told != (nlri, attributes):
            self._announce[key] = (nlri, attributes)
        else:
            self._announce.pop(key, None)

    def take(self) -> Changes:
        """All offers since the last call, as one ordered set of changes, now counted as told."""
        groups: dict[PathAttributes, list[Nlri]] = {}
        by_identity: dict[int, list[Nlri]] = {}
        for key in sorted(self._announce):
            nlri, attributes = self._announce[key]
            members = by_identity.get(id(attributes))
            if members is None:
                members = by_identity[id(attributes)] = groups.setdefault(attributes, [])
            members.append(nlri)
        withdraw = tuple(self._withdraw[k] for k in sorted(self._withdraw))
        self.told.update(self._announce)
        for key in self._withdraw:
            self.told.pop(key, None)
        self._announce = {}
        self._withdraw = {}
        return Changes(tuple((a, tuple(n)) for a, n in groups.items()), withdraw)

    def offer_evpn(self, key: bytes, export: tuple[Nlri, PathAttributes] | None) -> None:
        """One export of this gateway, to a gateway or reflector."""
        if export is None:
            told = self.told.get(key) or self._announce.get(key)
            if told is not None:
                self.offer(told[0], None)
            return
        nlri, attributes = export
        judged = self.policy(self.peer, Path("", nlri, attributes))
        if isinstance(judged, Denied):
            self.denied[key] = judged
            self.offer(nlri, None)
            return
        self.denied.pop(key, None)
        self.offer(nlri, self._once(judged, self._to_gateway))

    def offer_route(self, prefix: Prefix, route: Route | None, best: Candidate | None) -> None:
        """One route of the CCSI, to an IDC router of it; only in the family of the session, and
        never back to the data centre it is from, whichever gateway and router it came over."""
        router = self.peer.router
        assert router is not None
        nlri = Unicast(prefix)
        told = route is not None and best is not None
        if route is not None and best is not None:
            told = (
                route.next_hop.kind is not Kind.DROP
                and prefix.version == router.gateway_address.address.version
                and self.peer.site not in best.path.attributes.extended_communities
            )
        if not told or route is None:
            self.denied.pop(nlri.key, None)
            self.offer(nlri, None)
            return
        judged = self.policy(self.peer, Path(route.path.peer, nlri, route.path.attributes))
        if isinstance(judged, Denied):
            self.denied[nlri.key] = judged
            self.offer(nlri, None)
            return
        self.denied.pop(nlri.key, None)
        self.offer(nlri, self._once(judged, self._to_router))

    def _once(
        self, attributes: PathAttributes, make: Callable[[PathAttributes], PathAttributes]
    ) -> PathAttributes:
        """Equal sets stay one object, so that grouping is by identity."""
        made = self._made.get(id(attributes))
        if made is None or made[0] is not attributes:
            if len(self._made) > 100_000:
                self._made.clear()
            made = self._made[id(attributes)] = (attributes, make(attributes))
        return made[1]

    def _to_gateway(self, attributes: PathAttributes) -> PathAttributes:
        if self.peer.external:
            return replace(
                attributes,
                as_path=prepend(attributes.as_path, (self.peer.local_asn,)),
                local_pref=None,
            )
        local_pref = attributes.local_pref
        return replace(
            attributes, local_pref=DEFAULT_LOCAL_PREF if local_pref is None else local_pref
        )

    def _to_router(self, attributes: PathAttributes) -> PathAttributes:
        router = self.peer.router
        assert router is not None
        made = replace(
            attributes,
            next_hop=router.gateway_address.address,
            local_pref=None,
            extended_communities=(),
            originator_id=None,
            cluster_list=(),
        )
        if self.peer.external:
            return replace(made, as_path=prepend(made.as_path, (self.peer.local_asn,)))
        return replace(made, local_pref=attributes.local_pref or DEFAULT_LOCAL_PREF)


def prepend(as_path: tuple[Segment, ...], asns: Sequence[Asn]) -> tuple[Segment, ...]:
    """RFC 4271 §5.1.2: into the first sequence, or a new one where there is none or it is full."""
    if as_path and as_path[0].kind is SegmentType.AS_SEQUENCE:
        joined = (*asns, *as_path[0].asns)
        if len(joined) <= LONGEST_SEGMENT:
            return (Segment(SegmentType.AS_SEQUENCE, joined), *as_path[1:])
    return (Segment(SegmentType.AS_SEQUENCE, tuple(asns)), *as_path)
