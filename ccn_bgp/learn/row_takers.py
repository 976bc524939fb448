"""Which table takes what a peer says, by body. In: numbers of bodies. Out: numbers of Takers.

Who takes a path depends on its route targets, or on the session alone; the region of its next hop
is what Claims ask for beside that. Thousands of bodies therefore have few Takers.
"""

from __future__ import annotations

from collections.abc import Hashable
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

REMOTE = ("gateway", "reflector")
"""Roles of peers whose routes are taken by route target."""
ANY = Prefix(bytes(5))
_FACTS = np.dtype([("ccn", np.int64), ("region", np.int64), ("one", np.bool_)])


class RowClaim(Protocol):
    """Which rows a Claim says something of (table/verify/claims_rows.py)."""

    def ccn(self, table: str) -> int:
        """The number of the CCN of a table."""

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
            for place, number in enumerate(found):
                if number is None:
                    body = wanted[place]
                    known[body] = found[place] = self._of(adj, body, claim)
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

    def _of(self, adj: AdjRibIn, body: int, claim: RowClaim | None) -> int:
        attributes = adj.vocabulary.bodies[body].attributes
        key: Hashable = adj.number, attributes.next_hop
        if adj.peer.role in REMOTE:
            key = attributes.route_targets, attributes.next_hop
        found = self._of_said.get(key)
        if found is None:
            taker = self._taker(adj, body, claim)
            found = self._of_said[key] = len(self.takers)
            self.takers.append(taker)
            self._facts.add(taker.ccn, taker.region, taker.table is not None)
        return found

    def _taker(self, adj: AdjRibIn, body: int, claim: RowClaim | None) -> Taker:
        words = adj.vocabulary
        said = words.bodies[body]
        if adj.peer.role in REMOTE:
            imports = self.judge.imports.of(said.attributes.route_targets)
        else:
            path = words.path(adj.peer.name, 1 if said.vni else 0, ANY, body)
            imports = self.judge.takers(adj.peer, path)
        if not imports:
            return Taker(None, NOBODY, 0)
        table = imports[0][0]
        region = 0 if claim is None else claim.region(said.attributes.next_hop)
        if len(imports) == 1 and imports[0][1] is None:
            return Taker(table, 0 if claim is None else claim.ccn(table.name), region)
        several = self._several.get(imports)
        if several is None:
            ccns = [0 if claim is None else claim.ccn(t.name) for t, _ in imports]
            several = self._several[imports] = Several(imports, ccns)
        return Taker(None, SEVERAL, region, several)
