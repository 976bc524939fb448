"""A broken isolation rule as a value, and the Finding that says it.

In: rule, route, and the addresses for which it holds, as integers. Out: a Finding with its witness:
``ranges``, all those addresses as [first, last] texts; ``address``, the first of them; ``hops``,
the tables that a packet to it meets from the entry on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.world import World

Spans = tuple[tuple[int, int], ...]
"""Addresses as (first, last), in order, with a gap between any two."""


class Fault(NamedTuple):
    """A rule that a route breaks. ``origin`` is a table, ``foreign`` the CCN of that; ``covers`` is
    the prefix that a `hijack` takes addresses of."""

    rule: str
    table: str
    ccn: str
    prefix: Prefix
    origin: str
    foreign: str
    peer: str
    spans: Spans
    hops: tuple[str, ...]
    covers: Prefix | None

    def finding(self) -> Finding:
        """What is told of it."""
        octets = len(self.prefix) - 1
        ranges = [
            [str(Ip(a.to_bytes(octets, "big"))), str(Ip(b.to_bytes(octets, "big")))]
            for a, b in self.spans
        ]
        prefix = str(self.prefix)
        witness = {"address": ranges[0][0], "ranges": ranges, "hops": list(self.hops)}
        if self.covers is not None:
            witness["covers"] = str(self.covers)
        return Finding(
            rule=self.rule,
            message=self._message(prefix),
            ccn=self.ccn,
            table=self.table,
            prefix=prefix,
            peer=self.peer,
            witness=witness,
        )

    def _message(self, prefix: str) -> str:
        name, last = self.table, self.hops[-1]
        match self.rule:
            case "leak":
                return f"{name} reaches {prefix} of CCN {self.foreign} without a share"
            case "latent-leak":
                return (
                    f"{name} holds {prefix} of CCN {self.foreign} without a share, "
                    "behind longer routes"
                )
            case "hijack":
                return (
                    f"{prefix} of CCN {self.foreign} takes addresses of {self.ccn}'s own "
                    f"{self.covers} in {name}"
                )
            case "blackhole":
                return f"packets of {name} to {prefix} are lost in {last}"
            case "loop":
                return f"packets of {name} to {prefix} come back to {last} for ever"
            case _:
                return (
                    f"packets of {name} to {prefix} of {self.origin} are delivered in {last}, "
                    f"which is not of CCN {self.foreign}"
                )


def claim_findings(world: World) -> Iterable[Finding]:
    """`ambiguous-owner`: a claim of another CCN than the row's. The blame is on the side that is
    not of the table's own CCN; if neither is, on the claim, which is not installed."""
    if not world.claims:
        return
    held = _held(world)
    seen = set()
    for claim in sorted(set(world.claims)):
        row_of = held.get((claim.table, claim.prefix))
        if row_of is None or world.owners[row_of[0]] == world.owners[claim.origin]:
            continue
        owner = world.owners[claim.table]
        row_is_foreign = world.owners[row_of[0]] != owner
        peer = row_of[1] if row_is_foreign and world.owners[claim.origin] == owner else claim.peer
        name, text = world.tables[claim.table], str(claim.prefix)
        sides = sorted((world.tables[row_of[0]], world.tables[claim.origin]))
        blame = claim.table, claim.prefix, world.peer(peer), *sides
        if blame in seen:
            continue
        seen.add(blame)
        last = claim.prefix.host(claim.prefix.last - claim.prefix.first)
        yield Finding(
            rule="ambiguous-owner",
            message=f"{name} is offered {text} by {sides[0]} and by {sides[1]}",
            ccn=owner,
            table=name,
            prefix=text,
            peer=world.peer(peer),
            witness={
                "address": str(claim.prefix.address),
                "ranges": [[str(claim.prefix.address), str(last)]],
                "hops": [name],
                "origins": sides,
            },
        )


def _held(world: World) -> dict[tuple[int, bytes], tuple[int, int]]:
    """(origin, peer) of the row of each prefix that is claimed, by table and prefix."""
    wanted = {(c.table, bytes(c.prefix)) for c in world.claims}
    tables = np.array(sorted({c.table for c in world.claims}), np.int64)
    held = {}
    for routes in (world.v4, world.v6):
        rows = np.flatnonzero(np.isin(routes.table, tables))
        raw = np.column_stack((routes.address[rows], routes.length[rows]))
        columns = (routes.table[rows], routes.origin[rows], routes.peer[rows])
        lines: Iterator[tuple[int, int, int]] = zip(*(c.tolist() for c in columns), strict=True)
        octets, width = raw.tobytes(), raw.shape[1]
        for place, (table, origin, peer) in enumerate(lines):
            key = table, octets[place * width : (place + 1) * width]
            if key in wanted:
                held[key] = origin, peer
    return held
