"""Adj-RIB-Out: what peers have been told, and the difference to what they should be told.

In: exports of the Rib (EVPN peers) or routes of one CCSI (IDC routers); the mass in columns, what
is rare one by one. Out: announcements grouped by attribute set, and withdrawals, ready for
session/encode.py and encode_rows.py. One AdjRibOut may stand for many peers that are told the same
(gateway/telling.py). RFC 4271 §5.1, §9.2.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ccn_bgp.learn.candidate import Candidate, Source
from ccn_bgp.learn.judging import Hits, Permitted
from ccn_bgp.learn.keys import I8, Array, member
from ccn_bgp.learn.out_changes import (
    Changes,
    announced_rows,
    by_attributes,
    withdrawn_rows,
)
from ccn_bgp.learn.outbound import Outbound, withheld
from ccn_bgp.learn.summaries import NO_SUMMARIES, Summaries
from ccn_bgp.learn.told_rows import NONE, ToldRows
from ccn_bgp.learn.told_sets import ToldSets
from ccn_bgp.learn.told_view import ToldView
from ccn_bgp.learn.told_vms import ToldVms, vm_kinds
from ccn_bgp.model.bgp import Family, Prefix, RouteDistinguisher
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.outgoing import (
    Classes,
    Origination,
    OutRows,
    OutVms,
    RowChanges,
    type5,
)
from ccn_bgp.model.path import (
    EvpnPrefix,
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


class AdjRibOut:
    """What one peer, or all peers of an update group, have been told. ``hits``: which words of
    export policy that was by, counted each time that a route was offered.

    ``originations``: what goes with the prefixes of each table (``OutRows.table``).
    ``classes``: see Classes; without it an export policy that is named is asked for each prefix.
    ``summaries``: aggregates that are told in the place of others (IDC routers).
    """

    def __init__(
        self,
        peer: Peer,
        policy: ExportPolicy,
        originations: Mapping[int, Origination] | None = None,
        classes: Classes | None = None,
        summaries: Summaries = NO_SUMMARIES,
    ) -> None:
        self.peer = peer
        self.summaries = summaries
        self.policy = policy
        self.originations: Mapping[int, Origination] = originations or {}
        self.classes = classes
        self.objects: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self.sets = ToldSets()
        self.rows: dict[int, ToldRows] = {4: ToldRows(4), 16: ToldRows(16)}
        self.vms: ToldVms | None = None
        self._vms_offered = False
        self._denied: dict[bytes, Denied] = {}
        self._announce: dict[bytes, tuple[Nlri, PathAttributes]] = {}
        self._withdraw: dict[bytes, Nlri] = {}
        self._outbound = Outbound()
        self.hits = Hits()
        self._numbers: dict[tuple[int, int, int], _Known] = {}
        self._tables = {(o.rd, o.etag): table for table, o in self.originations.items()}
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

    def frozen(self) -> AdjRibOut:
        """What has been told so far, for itself: of a peer that is told nothing for a while."""
        held = copy.copy(self)
        held.objects, held._denied = dict(self.objects), dict(self._denied)
        held._announce, held._withdraw, held._numbers = {}, {}, {}
        held.rows = {width: rows.frozen() for width, rows in self.rows.items()}
        held.vms = self.vms and self.vms.frozen()
        held.hits = Hits()
        return held

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
        """One route of the CCSI, to an IDC router of it; only in a family of the hand-off, and
        never back to the data centre it is from, whichever gateway and router it came over."""
        router = self.peer.router
        assert router is not None
        nlri = Unicast(prefix)
        told = route is not None and best is not None
        if route is not None and best is not None:
            told = (
                (route.next_hop.kind is not Kind.DROP or best.source is Source.AGGREGATE)
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

    def _object(self, key: bytes) -> tuple[Nlri, PathAttributes] | None:
        """What has been told of an NLRI one by one, or of a VM in columns."""
        told = self.objects.get(key)
        if told is not None or self.vms is None or (row := self.vms.find(key)) is None:
            return told
        return self._told(self.vms.nlri(row), int(self.vms.numbers[row]))

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
        if router is not None and router.ends(rows.version) is None:
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

    def whole(self, families: frozenset[Family] = frozenset(Family)) -> Changes:
        """All that has been told in these families, once more."""
        objects = {k: said for k, said in self.objects.items() if said[0].family in families}
        rows: tuple[Any, ...] = ()
        if Family.EVPN in families:
            rows += self.whole_vms()
        for held in self.rows.values():
            if self._family(held) in families:
                said = self.sets.said(held.numbers)
                keys, numbers = held.keys, held.numbers
                if not said.all():
                    keys, numbers = keys[said], numbers[said]
                rows += self._announced(held, keys, numbers)
        return Changes(by_attributes(objects), (), rows)

    def whole_vms(self) -> tuple[RowChanges, ...]:
        """All VMs that have been told in columns, once more."""
        if self.vms is None:
            return ()
        return self.vms.announced(self.sets.said(self.vms.numbers), self.sets)

    def tells_in_columns(self, key: bytes) -> bool:
        """Whether this NLRI is a VM that is told so."""
        if self.vms is None or (row := self.vms.find(key)) is None:
            return False
        return int(self.vms.numbers[row]) not in self.sets.denials

    def _announced(self, held: ToldRows, keys: Array, numbers: Array) -> tuple[Any, ...]:
        return announced_rows(held, keys, numbers, self.sets.attributes, self.row_originations)

    @property
    def row_originations(self) -> Mapping[int, Origination] | None:
        """What goes with the tables of rows; None if they are unicast and have none."""
        return self.originations if self.peer.router is None else None

    def _family(self, held: ToldRows) -> Family:
        if self.peer.router is None:
            return Family.EVPN
        return Family.IPV4_UNICAST if held.width == 4 else Family.IPV6_UNICAST

    def _one_owner(self) -> None:
        """A route that was told in one form and is now offered in the other (and as nothing in the
        first) is replaced, and not withdrawn; offered in both, the single offer counts."""
        for width, held in self.rows.items():
            if not held.pending and not len(held):
                continue
            offered = [self._row_key(nlri, width) for nlri, _ in self._announce.values()]
            single = held.of.many(key for key in offered if key is not None)
            if held.pending and len(single):
                keys, _ = held.offered()
                held.keep_offers(~member(single, keys)[1])
            held.drop(single)
            if not held.pending:
                continue
            owned = {self._row_key(nlri, width): key for key, (nlri, _) in self.objects.items()}
            owned.pop(None, None)
            if not owned:
                continue
            keys, numbers = held.offered()
            mine = held.of.many(owned)
            for row_key in keys[member(mine, keys)[1] & self.sets.said(numbers)].tolist():
                self.objects.pop(owned[row_key])
                self._withdraw.pop(owned[row_key], None)

    def _row_key(self, nlri: Nlri, width: int) -> Any:
        """The key that a row of the same route would have, or None."""
        if isinstance(nlri, Unicast):
            table: int | None = 0
        elif isinstance(nlri, EvpnPrefix):
            table = self._tables.get((nlri.rd, nlri.etag))
        else:
            return None
        if table is None or len(nlri.prefix) != width + 1:
            return None
        return self.rows[width].of.one(table, nlri.prefix)

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

    # -- what is held -----------------------------------------------------------------------------

    @property
    def told(self) -> ToldView[tuple[Nlri, PathAttributes]]:
        """What has been told, by NLRI key."""
        count = sum(int(self.sets.said(numbers).sum()) for numbers in self._all_numbers())
        return ToldView(self.objects, count, self._all_rows, self._find, self._told)

    @property
    def denied(self) -> ToldView[Denied]:
        """What export policy held back, by NLRI key."""
        count = sum(int((~self.sets.said(n) & (n != NONE)).sum()) for n in self._all_numbers())
        return ToldView(
            self._denied, count, self._all_rows, self._find, lambda _, n: self.sets.denials.get(n)
        )

    def _told(self, nlri: Nlri, number: int) -> tuple[Nlri, PathAttributes] | None:
        if number in self.sets.denials:
            return None
        return nlri, self.sets.attributes[number]

    def _all_numbers(self) -> Iterator[Array]:
        for held in self.rows.values():
            yield held.numbers
        if self.vms is not None:
            yield self.vms.numbers

    def _all_rows(self) -> Iterator[tuple[Nlri, int]]:
        every: tuple[Any, ...] = ()
        if self.vms is not None:
            every = self.vms.announced(self.vms.numbers != NONE, self.sets)
        for held in self.rows.values():
            every += self._announced(held, held.keys, held.numbers)
        for changes in every:
            yield from zip(changes.nlri(), changes.rows.attributes.tolist(), strict=True)

    def _find(self, key: bytes) -> tuple[Nlri, int] | None:
        prefix = Prefix(key)
        nlri: Nlri = Unicast(prefix)
        if self.vms is not None and (row := self.vms.find(key)) is not None:
            return self.vms.nlri(row), int(self.vms.numbers[row])
        if self.peer.router is None:
            prefix = Prefix(key[13:])
            table = self._tables.get(
                (RouteDistinguisher(key[1:9]), int.from_bytes(key[9:13], "big"))
            )
            if key[:1] != b"\x05" or table is None:
                return None
            nlri = type5(self.originations[table], prefix)
        width = len(prefix) - 1
        row_key = self._row_key(nlri, width) if width in self.rows else None
        number = NONE if row_key is None else self.rows[width].find(row_key)
        return None if number == NONE else (nlri, number)
