"""Which table takes what a peer says, by body. In: numbers of bodies. Out: numbers of Takers.

Who takes a path depends on its route targets, or on the session alone; the region of its next hop
is what Claims ask for beside that. Thousands of bodies therefore have few Takers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import count, repeat
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np

from ccn_bgp.learn.adj_rib_in import AdjRibIn
from ccn_bgp.learn.growing import Growing
from ccn_bgp.learn.importing import Import
from ccn_bgp.learn.judging import Judge
from ccn_bgp.learn.keys import I8, U1, Bools
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.several import Several
from ccn_bgp.learn.verdict_book import NOBODY, SEVERAL
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.rows import tuples

REMOTE = ("gateway", "reflector")
"""Roles of peers whose routes are taken by route target."""
ANY = Prefix(bytes(5))
_SAID = attrgetter("route_targets", "next_hop")
_FACTS = np.dtype([("ccn", np.int64), ("region", np.int64), ("one", np.bool_)])


class RowClaim(Protocol):
    """Which rows a Claim says something of (table/verify/claims_rows.py)."""

    def ccns(self, tables: Iterable[str]) -> list[int]:
        """The numbers of the CCNs of tables."""

    def region(self, next_hop: Ip | None) -> int:
        """The number of the region of the gateway with this VTEP."""

    def suspects(
        self, peer: Peer, ccns: I8 | int, regions: I8 | int, address: U1, length: U1
    ) -> Bools:
        """True for rows that a Claim says something of."""


class Taker(NamedTuple):
    """The one table that takes paths, if there is one; the number of its CCN (or SEVERAL, NOBODY)
    and of the region of their next hop, as RowClaim numbers them."""

    table: LocRib | None
    ccn: int
    region: int
    several: Several | None = None


class Takers:
    """Takers by number, and which of them bodies have."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.takers: list[Taker] = []
        self._facts = Growing(_FACTS)
        self._of_body: dict[int, dict[int, int]] = {}
        self._of_said: dict[Hashable, int] = {}
        self._several: dict[tuple[Import, ...], Several] = {}

    def forget(self) -> None:
        """The numbers of bodies are given out anew."""
        self.takers = []
        self._facts = Growing(_FACTS)
        self._of_body.clear()
        self._of_said.clear()
        self._several.clear()

    def of(self, adj: AdjRibIn, bodies: I8, claim: RowClaim | None) -> I8:
        """The number of the Taker of each of these bodies of a peer, int64[n]."""
        known = self._of_body.setdefault(adj.number, {})
        wanted: list[int] = bodies.tolist()
        found = list(map(known.get, wanted))
        if None in found:
            fresh = [body for body, taker in zip(wanted, found, strict=True) if taker is None]
            known.update(zip(fresh, self._of(adj, fresh, claim), strict=True))
            found = list(map(known.get, wanted))
        return np.array(found, np.int64)

    def ccn(self, numbers: I8) -> I8:
        """Of which CCN the table of each of these Takers is; SEVERAL, NOBODY."""
        found: I8 = self._facts["ccn"][numbers]
        return found

    def region(self, numbers: I8) -> I8:
        """In which region the next hop of each is."""
        found: I8 = self._facts["region"][numbers]
        return found

    def one(self, numbers: I8) -> Bools:
        """Whether each is one table."""
        found: Bools = self._facts["one"][numbers]
        return found

    def _of(self, adj: AdjRibIn, bodies: Sequence[int], claim: RowClaim | None) -> list[int]:
        held, known = adj.vocabulary.bodies, self._of_said
        sets = [held[body].attributes for body in bodies]
        of_target = adj.peer.role in REMOTE
        keys: list[Hashable]
        if of_target:
            keys = list(map(_SAID, sets))
        else:
            keys = [(adj.number, attributes.next_hop) for attributes in sets]
        fresh = dict(zip(keys, zip(sets, bodies, strict=True), strict=True))
        for key in fresh.keys() & known.keys():
            del fresh[key]
        known.update(zip(fresh, count(len(self.takers)), strict=False))
        if of_target:
            taken = self.judge.imports.of_many([said.route_targets for said, _ in fresh.values()])
        else:
            taken = [self._imports(adj, body) for _, body in fresh.values()]
        next_hops = [said.next_hop for said, _ in fresh.values()]
        self._add(taken, next_hops, claim)
        return [known[key] for key in keys]

    def _add(
        self, taken: Sequence[tuple[Import, ...]], hops: Sequence[Ip | None], claim: RowClaim | None
    ) -> None:
        """Takers of what leads to these next hops, by who takes it."""
        region: dict[Ip | None, int] = dict.fromkeys(hops, 0)
        if claim is not None:
            region = {hop: claim.region(hop) for hop in region}
        regions = [region[hop] for hop in hops]
        one = [len(imports) == 1 and imports[0][1] is None for imports in taken]
        if all(one):
            tables = [imports[0][0] for imports in taken]
            ccns = self._ccns(tables, claim)
            fresh = tuples(Taker, tables, ccns, regions, repeat(None))
        else:
            each = zip(taken, regions, strict=True)
            fresh = [self._taker(imports, number, claim) for imports, number in each]
        self.takers += fresh
        columns = {
            "ccn": np.array([taker.ccn for taker in fresh]),
            "region": np.array([taker.region for taker in fresh]),
            "one": np.array(one),
        }
        self._facts.extend(len(fresh), columns)

    def _ccns(self, tables: Sequence[LocRib], claim: RowClaim | None) -> list[int]:
        return [0] * len(tables) if claim is None else claim.ccns([t.name for t in tables])

    def _taker(self, imports: tuple[Import, ...], region: int, claim: RowClaim | None) -> Taker:
        if not imports:
            return Taker(None, NOBODY, 0)
        ccns = self._ccns([table for table, _ in imports], claim)
        if len(imports) == 1 and imports[0][1] is None:
            return Taker(imports[0][0], ccns[0], region)
        several = self._several.get(imports)
        if several is None:
            several = self._several[imports] = Several(imports, ccns)
        return Taker(None, SEVERAL, region, several)

    def _imports(self, adj: AdjRibIn, body: int) -> tuple[Import, ...]:
        """Who takes what a peer says that speaks for one member."""
        words = adj.vocabulary
        path = words.path(adj.peer.name, 1 if words.bodies[body].vni else 0, ANY, body)
        return self.judge.takers(adj.peer, path)
