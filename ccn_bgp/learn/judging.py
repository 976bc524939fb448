"""What becomes of a Path: loop, import, claims, policy. In: a Path. Out: a Judgement.

This is the definition; row_judging.py asks it once for many rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ccn_bgp.learn.importing import Import, Imports, Origins, not_imported, shared
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.resolve import other_underlay
from ccn_bgp.learn.sharing import Sharing
from ccn_bgp.model.bgp import Ip, RouteTarget
from ccn_bgp.model.ccsi import Ccsi, Peer
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import (
    LINK_BANDWIDTH,
    EvpnMacIp,
    EvpnOther,
    Nlri,
    Path,
    PathAttributes,
    Unicast,
    all_changed,
)
from ccn_bgp.model.reason import (
    Denied,
    Guarded,
    Looped,
    Malformed,
    NotImported,
    Reason,
    Refused,
)
from ccn_bgp.model.topology import Gateway, Vpc

_EXTENDED = "extended_communities"
_USES = 10_000
"""So many ways of making attributes of others are remembered: peers say what links they have."""
LONGEST_PATH = 255
"""Hops of an AS path, as best path counts them; policies may allow less (as-path-set, length)."""
Claim = Callable[[Peer, str, Path], Finding | None]
"""Whether a peer may say this of a table at all: the guard before any decision."""


class Permitted(NamedTuple):
    """Attributes after policy, and which word of policy permitted the path: that is counted.
    ``targets``: the route targets among the attributes that policy itself has set."""

    attributes: PathAttributes
    by: Hashable
    targets: frozenset[RouteTarget] = frozenset()


ImportPolicy = Callable[[Peer, Path], PathAttributes | Permitted | Denied]


class Judgement(NamedTuple):
    """Of one Path: who takes it and with which attributes, or why nobody does; ``by`` which word of
    policy, None if policy was not asked or had nothing to say. ``each``: attributes by taker, if
    those of a share differ."""

    takers: tuple[LocRib, ...] = ()
    attributes: PathAttributes | None = None
    reason: Reason | None = None
    finding: Finding | None = None
    by: Hashable = None
    each: tuple[PathAttributes, ...] = ()


def guarded(peer: Peer, path: Path) -> Guarded | None:
    """What no policy lets pass. A data centre is a customer: what is marked as meant for customers
    only, it has from another provider or a peer and may not hand on to us (RFC 9234 §5)."""
    attributes = path.attributes
    if attributes.as_path_length > LONGEST_PATH:
        hops = attributes.as_path_length
        return Guarded(f"the AS path has {hops} hops, more than {LONGEST_PATH}")
    marked = attributes.only_to_customer
    if marked is not None and peer.role == "idc" and isinstance(path.nlri, Unicast):
        return Guarded(f"a route leak: AS {marked} has marked it as for customers only (RFC 9234)")
    return None


class Several(NamedTuple):
    """A word of a peer's policy, and those of the shares that were asked after it, each by the name
    that it is counted by."""

    by: Hashable
    shares: tuple[tuple[str, Hashable], ...]


class Hits:
    """How often a word of policy was the last on a path of a peer, and on which prefix; ``last``
    in the order in which they were."""

    def __init__(self) -> None:
        self.count: Counter[tuple[str, Hashable]] = Counter()
        self.last: dict[tuple[str, Hashable], Nlri] = {}

    def add(self, peer: str, by: Hashable, count: int, nlri: Nlri) -> None:
        """``count`` paths of this peer, of which one was about ``nlri``."""
        if isinstance(by, Several):
            for whose, word in ((peer, by.by), *by.shares):
                self.add(whose, word, count, nlri)
            return
        if by is not None and count:
            self.count[peer, by] += count
            self.last.pop((peer, by), None)
            self.last[peer, by] = nlri


class Judge:
    """Judges what peers say under one intent."""

    def __init__(
        self,
        gateway: Gateway,
        vpcs: Mapping[int, tuple[Ccsi, Vpc]],
        origins: Origins,
        policy: ImportPolicy,
        claim: Claim,
        *,
        sharing: Sharing | None = None,
    ) -> None:
        self.sharing = sharing or Sharing()
        self.gateway = gateway
        self.vpcs = vpcs
        self.origins = origins
        self.imports = Imports({})
        self.policy = policy
        self.claim = claim
        self.hits = Hits()
        self._made: dict[Hashable, dict[int, tuple[PathAttributes, PathAttributes]]] = {}

    def know(self, tables: Mapping[str, LocRib]) -> None:
        """The tables there are, once they have been made."""
        self.imports = Imports(tables)

    def judge(self, peer: Peer, path: Path) -> Judgement:
        """Judge one path: loop, import, claims, policy.

        Claims come before policy: no policy can switch them off, and what a peer may not say is a
        finding even where a policy would have dropped it in silence.
        """
        if reason := self.barred(peer, path):
            return Judgement(reason=reason)
        nlri = path.nlri
        if isinstance(nlri, EvpnOther):
            return Judgement(reason=NotImported(f"EVPN type {nlri.kind}"))
        if isinstance(nlri, EvpnMacIp) and (nlri.mac[0] & 1 or not any(nlri.mac)):
            # To forward to it would be to flood a VPC.
            text = f"{nlri.mac} is not the address of one VM"
            return Judgement(reason=Malformed("RFC 7432 §7.2", text))
        imports = self.imports.of_path(self.gateway.name, peer, path, self.vpcs)
        if not imports:
            return Judgement(reason=not_imported(peer, path))
        next_hop = path.attributes.next_hop or Ip(b"")
        if peer.role == "host" and len(next_hop) != len(self.gateway.vtep):
            return Judgement(reason=other_underlay(next_hop, self.gateway.vtep.version))
        takers = [table for table, prefixes in imports if shared(nlri, prefixes)]
        by_share = {table.ccsi.name for table, prefixes in imports if prefixes is not None}
        unused: Reason | None = None if takers else NotImported("no share covers it")
        found: Finding | None = None
        for table in list(takers):
            finding = self.claim(peer, table.ccsi.name, path)
            if finding is not None:
                found = finding
                unused = Refused(finding.rule, finding.message)
                takers.remove(table)
        if not takers:
            return Judgement(reason=unused, finding=found)
        return self._shared(path, self._taken(peer, path, tuple(takers), found), by_share)

    def judge_unclaimed(self, peer: Peer, path: Path, taker: LocRib) -> Judgement:
        """The same of a path of which is known that this table alone takes it, and that no claim
        bears on it."""
        if reason := self.barred(peer, path):
            return Judgement(reason=reason)
        return self._taken(peer, path, (taker,), None)

    def barred(self, peer: Peer, path: Path) -> Reason | None:
        """Why neither tables nor policies are asked: it comes back to us, or is guarded against."""
        return self._looped(peer, path) or guarded(peer, path)

    def permitted(self, peer: Peer, path: Path) -> Permitted | Denied:
        """What policy makes of it, and nothing but policy."""
        judged = self.policy(peer, path)
        return judged if isinstance(judged, Permitted | Denied) else Permitted(judged, None)

    def _taken(
        self, peer: Peer, path: Path, takers: tuple[LocRib, ...], finding: Finding | None
    ) -> Judgement:
        """What policy makes of it."""
        permitted = self.permitted(peer, path)
        if isinstance(permitted, Denied):
            return Judgement(reason=permitted, finding=finding, by=permitted)
        attributes = permitted.attributes
        if peer.router is not None:
            (attributes,) = self.made(peer, [attributes], {}, permitted.targets, takers[0])
        return Judgement(takers, attributes, None, finding, permitted.by)

    def made(
        self,
        peer: Peer,
        sets: Sequence[PathAttributes],
        fields: Mapping[str, Any],
        targets: frozenset[RouteTarget],
        taker: LocRib,
    ) -> Sequence[PathAttributes]:
        """These attributes with the ``fields`` that policy has given them; an IDC's as from its
        site. Its own extended communities end here, but for the bandwidth of its link, which is
        meant for us. ``targets``: route targets that policy has set; those of the CCN narrow the
        route to them, see ``exported_targets``."""
        if peer.router is None:
            return self._each(sets, tuple(fields.items()), dict(fields)) if fields else sets
        said = sorted(targets & taker.ccsi.export_rts)
        groups: dict[tuple[bytes, ...], list[int]] = {}
        of_policy: tuple[bytes, ...] | None = fields.get(_EXTENDED)
        for number, attributes in enumerate(sets):
            extended = attributes.extended_communities if of_policy is None else of_policy
            groups.setdefault(extended, []).append(number)
        found = list(sets)
        for extended, numbers in groups.items():
            link = (c for c in extended if c[:2] in LINK_BANDWIDTH)
            new = {**fields, _EXTENDED: (peer.site, *link, *said)}
            some = [sets[number] for number in numbers]
            for number, made in zip(
                numbers, self._each(some, (peer.name, *new.items()), new), strict=True
            ):
                found[number] = made
        return found

    def _each(
        self, sets: Sequence[PathAttributes], use: Hashable, fields: dict[str, Any]
    ) -> list[PathAttributes]:
        """As ``once``, for many that are changed alike; ``use`` tells the fields."""
        cached = self._cached(use)
        fresh = [attributes for attributes in sets if id(attributes) not in cached]
        for attributes, made in zip(fresh, all_changed(fresh, fields), strict=True):
            cached[id(attributes)] = attributes, made
        return [cached[id(attributes)][1] for attributes in sets]

    def _shared(self, path: Path, judged: Judgement, by_share: Collection[str]) -> Judgement:
        """What policies of shares make of it, in the tables that only a share brings it to."""
        if judged.attributes is None or not by_share:
            return judged
        said = path._replace(attributes=judged.attributes)
        takers: list[LocRib] = []
        each: list[PathAttributes] = []
        denied: Denied | None = None
        words: list[tuple[str, Hashable]] = []
        for table in judged.takers:
            found: PathAttributes | Denied = judged.attributes
            if table.ccsi.name in by_share:
                found, asked = self.sharing.judge(table, path.attributes.route_targets, said)
                words += asked
            if isinstance(found, Denied):
                denied = denied or found
            else:
                takers.append(table)
                each.append(found)
        if words:
            judged = judged._replace(by=Several(judged.by, tuple(words)))
        if not takers:
            return judged._replace(takers=(), attributes=None, reason=denied)
        alike = all(attributes is each[0] for attributes in each)
        return judged._replace(
            takers=tuple(takers), attributes=each[0], each=() if alike else tuple(each)
        )

    def _looped(self, peer: Peer, path: Path) -> Looped | None:
        """RFC 4271 §9.1.2, RFC 4456 §8, and our own routes coming back from a reflector."""
        attributes = path.attributes
        for _, asns in attributes.as_path:
            if peer.local_asn in asns:
                return Looped(f"own AS {peer.local_asn} in the path {attributes.as_path_text}")
        if attributes.originator_id == self.gateway.router_id:
            return Looped("the originator is this gateway")
        if self.gateway.router_id in attributes.cluster_list:
            return Looped("the cluster list holds this gateway")
        if peer.role != "idc" and attributes.next_hop == self.gateway.vtep:
            return Looped("the next hop is this gateway")
        return None

    def once(
        self,
        attributes: PathAttributes,
        use: str,
        make: Callable[[PathAttributes], PathAttributes],
    ) -> PathAttributes:
        """Attributes made of others stay one object, so that announcements group by it."""
        cached = self._cached(use)
        held = cached.get(id(attributes))
        if held is None:
            held = cached[id(attributes)] = attributes, make(attributes)
        return held[1]

    def _cached(self, use: Hashable) -> dict[int, tuple[PathAttributes, PathAttributes]]:
        """What was made of attributes for one use, by the id of those; they are kept alive."""
        found = self._made.get(use)
        if found is None:
            if len(self._made) >= _USES:
                self._made.clear()
            found = self._made[use] = {}
        elif len(found) > 100_000:
            found.clear()
        return found

    def keep(self, live: Iterable[PathAttributes]) -> None:
        """Forget what was made of attributes other than these."""
        alive = {id(attributes) for attributes in live}
        self._made = {
            use: {key: made for key, made in cached.items() if key in alive}
            for use, cached in self._made.items()
        }

    def takers(self, peer: Peer, path: Path) -> tuple[Import, ...]:
        """The tables that may take a path with this body, whatever its prefix."""
        return self.imports.of_path(self.gateway.name, peer, path, self.vpcs)
