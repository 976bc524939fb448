"""Adj-RIB-Out: what peers have been told, and the difference to what they should be told.

In: exports of the Rib (EVPN peers) or routes of one CCSI (IDC routers); the mass in columns, what
is rare one by one. Out: announcements grouped by attribute set, and withdrawals, ready for
session/encode.py and encode_rows.py. One AdjRibOut may stand for many peers that are told the same
(gateway/telling.py). RFC 4271 §5.1, §9.2.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ccn_bgp.learn.candidate import Candidate, Source
from ccn_bgp.learn.judging import Permitted
from ccn_bgp.learn.keys import I8, Array, member
from ccn_bgp.learn.out_changes import (
    Changes,
    by_attributes,
    withdrawn_rows,
)
from ccn_bgp.learn.outbound import Outbound, withheld
from ccn_bgp.learn.summaries import NO_SUMMARIES, Summaries
from ccn_bgp.learn.told import Told
from ccn_bgp.learn.told_rows import NONE
from ccn_bgp.learn.told_vms import ToldVms, vm_kinds
from ccn_bgp.model.bgp import Family, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.outgoing import (
    Classes,
    Origination,
    OutRows,
    OutVms,
    type5,
)
from ccn_bgp.model.path import (
    Nlri,
    Path,
    PathAttributes,
    Unicast,
)
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.route import Kind, Route

ExportPolicy = Callable[[Peer, Path], PathAttributes | Permitted | Denied]
TABLE_BITS = 26
"""Bits of a table's number, as in keys.py."""
_FEW = 1 << 13
"""So many attribute sets of which nothing is told are no reason to look for them."""


class _Known(NamedTuple):
    """What is said of rows with these attributes, and which word of policy was the last on it."""

    attributes: PathAttributes
    number: int
    by: Hashable


class AdjRibOut(Told):
    """What one peer, or all peers of an update group, have been told, and what they are to be told
    next. ``hits``: which words of export policy that was by, counted each time that a route was
    offered.

    ``classes``: see Classes; without it an export policy that is named is asked for each prefix.
    ``summaries``: aggregates that are told in the place of others (IDC routers). ``families``: what
    their sessions carry; of others nothing is told.
    """

    def __init__(
        self,
        peer: Peer,
        policy: ExportPolicy,
        originations: Mapping[int, Origination] | None = None,
        classes: Classes | None = None,
        summaries: Summaries = NO_SUMMARIES,
        *,
        families: frozenset[Family] = frozenset(Family),
    ) -> None:
        super().__init__(peer, originations or {})
        self._families = families
        self.summaries = summaries
        self.policy = policy
        self.classes = classes
        self._vms_offered = False
        self._announce: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self._withdraw: dict[bytes, Nlri] = {}
        self._outbound = Outbound()
        self._numbers: dict[tuple[int, int, int], _Known] = {}
        self._compact_at = _FEW

    def reset(self) -> None:
        """The session has ended: the peer knows nothing any more."""
        self.objects.clear()
        self._denied.clear()
        self._announce.clear()
        self._withdraw.clear()
        for rows in self.rows.values():
            rows.clear()
        self.vms = None

    # -- one by one ---------------------------------------------------------------------------

    def offer(self, nlri: Nlri, attributes: PathAttributes | None) -> None:
        """What the peer should now hold of an NLRI; None: nothing."""
        key = nlri.key
        told = self._object(key)
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

    def offer_evpn(self, key: bytes, export: tuple[Nlri, PathAttributes] | None) -> None:
        """One export of this gateway, to a gateway or reflector."""
        if self.vms is not None and not self.tells_in_columns(key):
            self.vms.drop(key)  # what was denied there is judged here from now on
        if export is None:
            self._denied.pop(key, None)
            told = self._object(key) or self._announce.get(key)
            if told is not None:
                self.offer(told[0], None)
            return
        nlri, attributes = export
        judged, by = self._judge(Path("", nlri, attributes))
        self.hits.add("", by, 1, nlri)
        if isinstance(judged, Denied):
            self._denied[key] = judged
            self.offer(nlri, None)
            return
        self._denied.pop(key, None)
        self.offer(nlri, self._outbound(self.peer, judged))

    def offer_route(self, prefix: Prefix, route: Route | None, best: Candidate | None) -> None:
        """One route of the CCSI, to an IDC router of it; only in a family of hand-off and session,
        and never back to the data centre it is from, whichever gateway and router it came over."""
        router = self.peer.router
        assert router is not None
        nlri = Unicast(prefix)
        told = route is not None and best is not None
        if route is not None and best is not None:
            told = (
                (route.next_hop.kind is not Kind.DROP or best.source is Source.AGGREGATE)
                and nlri.family in self._families
                and router.ends(prefix.version) is not None
                and self.peer.site not in best.path.attributes.extended_communities
            )
        if not told or route is None:
            self._denied.pop(nlri.key, None)
            self.offer(nlri, None)
            return
        if (held_back := self.summaries.reason(prefix)) is not None:
            self._denied[nlri.key] = held_back
            self.offer(nlri, None)
            return
        judged, by = self._judge(Path(route.path.peer, nlri, route.path.attributes))
        self.hits.add("", by, 1, nlri)
        if isinstance(judged, Denied):
            self._denied[nlri.key] = judged
            self.offer(nlri, None)
            return
        self._denied.pop(nlri.key, None)
        self.offer(nlri, self._outbound(self.peer, judged, prefix.version))

    def _judge(self, path: Path) -> tuple[PathAttributes | Denied, Hashable]:
        """What export policy makes of a path, and by which word."""
        attributes = path.attributes
        if attributes.communities and (no := withheld(self.peer, attributes)) is not None:
            return no, None
        judged = self.policy(self.peer, path)
        if isinstance(judged, Permitted):
            return judged.attributes, judged.by
        return judged, judged if isinstance(judged, Denied) else None

    # -- in columns -----------------------------------------------------------------------------

    def offer_vms(self, vms: OutVms) -> None:
        """VMs of the inventory that should now be held, to gateways and reflectors. Once, before
        anything is told; what becomes of them later is offered one by one."""
        if self.vms is not None or self.objects:
            raise ValueError(f"peer {self.peer.name} has been told of VMs already")
        numbers, sets = vms.attributes, np.arange(len(vms.sets))
        if self.peer.exports:
            numbers, sets = vm_kinds(vms, self.classes)
        first = np.full(len(sets) + 1, NONE, np.int64)
        first[numbers[::-1]] = np.arange(len(numbers))[::-1]
        said = np.full(len(sets) + 1, NONE, np.int32)  # the last place is what -1 points to
        self.vms = told = ToldVms(vms.table, said[:0], vms.originations)
        count = np.bincount(numbers + 1, minlength=len(said))[1:]
        for number, (row, of) in enumerate(zip(first[:-1].tolist(), sets.tolist(), strict=True)):
            if row >= 0:
                nlri = told.nlri(row)
                judged, by = self._judge(Path("", nlri, vms.sets[of]))
                self.hits.add("", by, int(count[number]), nlri)
                if not isinstance(judged, Denied):
                    judged = self._outbound(self.peer, judged)
                said[number] = self.sets.number(judged)
        told.numbers = said[numbers]
        self._vms_offered = True

    def offer_rows(self, rows: OutRows, sets: Sequence[PathAttributes]) -> None:
        """What should now be held of many prefixes; ``rows.attributes`` are numbers in ``sets``.

        To gateways and reflectors: exports, with the attributes of the re-originated route and the
        number of the table, a key of ``originations``. To an IDC router: prefixes of its CCSI
        without a table, with the attributes of the winner; NOTHING for what only drops packets.
        """
        router = self.peer.router
        if (rows.table is None) is (router is None):
            raise ValueError(f"peer {self.peer.name} is not told routes of {rows.family.text}")
        if router is not None and (
            rows.family not in self._families or router.ends(rows.version) is None
        ):
            return
        held = self.rows[rows.width]
        table = np.zeros(1, np.uint32) if rows.table is None else rows.table
        keys = held.of.make(table, rows.address, rows.length)
        if self.summaries:
            of = self.summaries.rows(rows.address, rows.length)
            inside = (of >= 0) & (rows.attributes >= 0)
            said = self._judged(
                replace(rows, attributes=np.where(inside, -1, rows.attributes)), sets
            )
            reasons = [self.sets.number(reason) for reason in self.summaries.reasons]
            said[inside] = np.array(reasons, said.dtype)[of[inside]]
            held.offer(keys, said)
            return
        held.offer(keys, self._judged(rows, sets))

    def _judged(self, rows: OutRows, sets: Sequence[PathAttributes]) -> Array:
        """int32[n], numbers of what is said: every distinct set is judged once in every class."""
        numbers, count = rows.attributes, 1
        if (classes := self._classes(rows)) is not None and len(classes):
            count = int(classes.max()) + 1
            numbers = np.where(numbers < 0, numbers, numbers * count + classes)
        if not len(numbers) or (top := int(numbers.max())) < 0:
            return np.full(len(numbers), NONE, np.int32)
        if top < 4 * len(numbers) + (1 << 16):
            first = np.full(top + 2, NONE, np.int64)
            first[numbers[::-1]] = np.arange(len(numbers))[::-1]
            used = np.flatnonzero(first[:-1] >= 0)
            said = np.full(top + 2, NONE, np.int32)  # the last place is what -1 points to
            often = np.bincount(numbers + 1, minlength=top + 2)[1:][used]
            said[used] = [
                self._number(rows, at, sets, int(used_) % count, times)
                for used_, at, times in zip(
                    used.tolist(), first[used].tolist(), often.tolist(), strict=True
                )
            ]
            return said[numbers]
        used, example, inverse, often = np.unique(
            numbers, return_index=True, return_inverse=True, return_counts=True
        )
        said = np.array(
            [
                NONE if used_ < 0 else self._number(rows, at, sets, used_ % count, times)
                for used_, at, times in zip(
                    used.tolist(), example.tolist(), often.tolist(), strict=True
                )
            ],
            np.int32,
        )
        return said[inverse]

    def _classes(self, rows: OutRows) -> I8 | None:
        """Of the prefixes; None where the policy makes no difference between them."""
        if not self.peer.exports:
            return None
        if self.classes is None:
            return np.arange(len(rows), dtype=np.int64)
        found = self.classes(rows.address, rows.length).astype(np.int64)
        # of an export to a gateway policy may look at the VNI, which is the table's
        return found if rows.table is None else found << TABLE_BITS | rows.table

    def _number(
        self, rows: OutRows, at: int, sets: Sequence[PathAttributes], class_: int, times: int
    ) -> int:
        """What is said of one row, and of all with its attributes and in its class: ``times``."""
        attributes = sets[int(rows.attributes[at])]
        remembered = self.classes is not None or not self.peer.exports
        key = (id(attributes), class_, rows.version)
        known = self._numbers.get(key) if remembered else None
        if known is None or known.attributes is not attributes:
            known = self._said(rows, at, attributes)
            if remembered:
                if len(self._numbers) >= 2 * len(self.sets) + _FEW:
                    self._numbers.clear()  # of attributes that are gone
                self._numbers[key] = known
        if known.by is not None:
            self.hits.add("", known.by, times, self._nlri(rows, at))
        return known.number

    def _nlri(self, rows: OutRows, at: int) -> Nlri:
        prefix = Prefix(rows.address[at].tobytes() + rows.length[at].tobytes())
        if rows.table is not None:
            return type5(self.originations[int(rows.table[at])], prefix)
        return Unicast(prefix)

    def _said(self, rows: OutRows, at: int, attributes: PathAttributes) -> _Known:
        site = self.peer.site if rows.table is None else b""
        if site and site in attributes.extended_communities:
            return _Known(attributes, NONE, None)
        judged, by = self._judge(Path("", self._nlri(rows, at), attributes))
        if not isinstance(judged, Denied):
            judged = self._outbound(self.peer, judged, rows.version)
        return _Known(attributes, self.sets.number(judged), by)

    # -- what has changed -------------------------------------------------------------------------

    def take(self) -> Changes:
        """All offers since the last call, as one ordered set of changes, now counted as told."""
        self._one_owner()
        announce, withdraw = self._announce, self._withdraw
        self._announce, self._withdraw = {}, {}
        fresh, self._vms_offered = self._vms_offered, False
        if self.vms is not None:
            for key in (*announce, *withdraw):
                if self.vms.drop(key) and fresh:
                    withdraw.pop(key, None)  # it has not been said yet
        self.objects.update(announce)
        for key in withdraw:
            self.objects.pop(key, None)
        changes = Changes(by_attributes(announce), tuple(withdraw[k] for k in sorted(withdraw)))
        said, gone = changes.announce_rows, changes.withdraw_rows
        if fresh:
            said += self.whole_vms()
        for held in self.rows.values():
            if not held.pending:
                continue
            keys, now, before = held.take()
            new = self.sets.said(now)
            old = self.sets.said(before) & ~new
            said += self._announced(held, keys[new], now[new])
            gone += withdrawn_rows(held, keys[old], self.row_originations)
        if len(self.sets) > self._compact_at:
            self._compact()
        return Changes(changes.announce, changes.withdraw, said, gone)

    def _one_owner(self) -> None:
        """A route that was told in one form and is now offered in the other (and as nothing in the
        first) is replaced, and not withdrawn; offered in both, the single offer counts."""
        for width, held in self.rows.items():
            if not held.pending and not len(held):
                continue
            offered = [self.row_key(nlri, width) for nlri, _ in self._announce.values()]
            single = held.of.many(key for key in offered if key is not None)
            if held.pending and len(single):
                keys, _ = held.offered()
                held.keep_offers(~member(single, keys)[1])
            held.drop(single)
            if not held.pending:
                continue
            owned = {self.row_key(nlri, width): key for key, (nlri, _) in self.objects.items()}
            owned.pop(None, None)
            if not owned:
                continue
            keys, numbers = held.offered()
            mine = held.of.many(owned)
            for row_key in keys[member(mine, keys)[1] & self.sets.said(numbers)].tolist():
                self.objects.pop(owned[row_key])
                self._withdraw.pop(owned[row_key], None)

    def _compact(self) -> None:
        """Forget attribute sets that nothing is told of any more."""
        live = np.zeros(len(self.sets) + 1, np.bool_)
        for numbers in self._all_numbers():
            live[numbers] = True
        live = live[:-1]
        self.sets, renumbered = self.sets.keep(np.flatnonzero(live))
        for held in self.rows.values():
            held.renumber(renumbered)
        if self.vms is not None:
            renumbered = np.append(renumbered, NONE)
            self.vms.numbers = renumbered[self.vms.numbers].astype(np.int32)
        self._numbers.clear()
        self._outbound = Outbound()
        self._compact_at = 2 * len(self.sets) + _FEW
