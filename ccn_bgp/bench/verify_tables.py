"""A gateway's tables for the verifier, as columns made at once: a million routes in a second.

In: how many CCSIs and routes. Out: the topology as a text, and Tables in which nothing is wrong.
Each table holds its VPC's CIDR, which is the same everywhere, and prefixes of a remote gateway of
the same CCN, a tenth of them shorter than the rest and covering some of it. Equal on every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccn_bgp.bench import stream
from ccn_bgp.model.path import Path
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.table.tables import U1, Columns, Table

GATEWAY = "gw"
PEER = "sender"


@dataclass(frozen=True, slots=True)
class Shape:
    """``ccsis`` tables with ``v4`` and ``v6`` routes each."""

    ccsis: int
    v4: int
    v6: int = 0

    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        return {table.name: table for table in self._each()}

    def _each(self) -> Iterator[Table]:
        addresses4, lengths4 = _prefixes4(self.v4)
        addresses6, lengths6 = _prefixes6(self.v6)
        for number in range(1, self.ccsis + 1):
            # Its own copies: what a gateway has learned is not shared between tables either.
            yield table(number, addresses4.copy(), lengths4.copy(), addresses6.copy(), lengths6)

    def topology(self) -> str:
        """The file that declares the VPCs and CCNs."""
        lines = [
            "name: bench",
            "fabric: {asn: 64600}",
            "gateways:",
            f"  {GATEWAY}: {{region: here, asn: 64601, vtep: 192.0.2.11,"
            " uplinks: [{port: p0, address: 192.0.2.11/24, via: 192.0.2.1}]}",
            "neighbors:",
            f"  - {{name: {PEER}, gateway: {GATEWAY}, address: 192.0.2.99, asn: 64602,"
            " role: gateway}",
            "vpcs:",
        ]
        numbers = range(1, self.ccsis + 1)
        lines += [
            f"  vpc{n}: {{region: here, vni: {100000 + n}, cidrs: [10.0.0.0/16]}}" for n in numbers
        ]
        lines.append("ccns:")
        lines += [
            f"  ccn{n}: {{id: {n}, vni: {200000 + n}, attach: [vpc/vpc{n}]}}" for n in numbers
        ]
        return "\n".join(lines) + "\n"


def _prefixes4(count: int) -> tuple[U1, U1]:
    """uint8[n, 4], uint8[n]: 10.0/16, then /24s, each tenth of them below a /20 of its own."""
    number = np.arange(count - 1)
    shorter = number % 10 == 0
    block = (number // 10).astype(np.int64)
    start = (0x0B000000 + (block << 12) + np.where(shorter, 0, (number % 10) << 8)).astype(np.int64)
    length = np.where(shorter, 20, 24)
    start = np.concatenate(([0x0A000000], start))
    address = start.astype(">u4").view(np.uint8).reshape(-1, 4)
    return address, np.concatenate(([16], length)).astype(np.uint8)


def _prefixes6(count: int) -> tuple[U1, U1]:
    """uint8[n, 16], uint8[n]: /64s of 2001:db8::/32, each tenth a /48 that covers those behind."""
    number = np.arange(count)
    address = np.zeros((count, 16), np.uint8)
    address[:, :4] = 0x20, 0x01, 0x0D, 0xB8
    block = (number // 10).astype(">u2").view(np.uint8).reshape(-1, 2)
    address[:, 4:6] = block
    address[:, 7] = number % 10
    return address, np.where(number % 10 == 0, 48, 64).astype(np.uint8)


def table(
    number: int,
    address4: U1,
    length4: U1,
    address6: U1,
    length6: U1,
) -> Table:
    """One table of sorted prefixes; row 0 is on-link, all others lead to the remote gateway."""
    name, ccn = f"{GATEWAY}/ccn{number}", f"ccn{number}"
    remote = f"{stream.SENDER_VTEP}/{ccn}"
    local = NextHop(Kind.ON_LINK, vni=100000 + number)
    hop = NextHop(Kind.VTEP, 200000 + number, stream.SENDER_VTEP, stream.ORIGIN.router_mac)
    origins = tuple(sorted((name, remote)))
    columns = []
    for address, length, own in ((address4, length4, True), (address6, length6, False)):
        learned = np.ones(len(length), np.uint32)
        learned[: 1 if own else 0] = 0
        far, near = origins.index(remote), origins.index(name)
        columns.append(
            Columns(
                address=address,
                length=length,
                next_hop=learned,
                origin=np.where(learned, far, near).astype(np.uint32),
                peer=learned,
                next_table=learned.astype(np.int32) - 1,
            )
        )
    return Table.of(
        name,
        number,
        ccn,
        named=((local, hop), origins, ("", PEER), (remote,)),
        v4=columns[0],
        v6=columns[1],
    )


def without_rows(held: Table, rows: npt.NDArray[np.int64]) -> Table:
    """The table after some of its IPv4 routes have been withdrawn."""
    keep = np.ones(len(held.v4), np.bool_)
    keep[rows] = False
    columns = Columns(
        address=held.v4.address[keep],
        length=held.v4.length[keep],
        next_hop=held.v4.next_hop[keep],
        origin=held.v4.origin[keep],
        peer=held.v4.peer[keep],
        next_table=held.v4.next_table[keep],
    )
    named = held.next_hops, held.origins, held.peers, held.next_tables
    return Table.of(held.name, held.id, held.ccn, named=named, v4=columns, v6=held.v6)


def with_origins(held: Table, origins: Sequence[str]) -> Table:
    """The same rows with other names in the place of ``held.origins``."""
    named = held.next_hops, tuple(origins), held.peers, held.next_tables
    return Table.of(held.name, held.id, held.ccn, named=named, v4=held.v4, v6=held.v6)


def plain_routes(held: Table) -> list[Route]:
    """The IPv4 routes of a table as the RIB has them, to be made into columns again."""
    shared = stream.attributes(0)
    columns, found = held.v4, []
    for row in range(len(columns)):
        then = int(columns.next_table[row])
        prefix = columns.prefix(row)
        found.append(
            Route(
                table=held.name,
                prefix=prefix,
                origin=held.origins[columns.origin[row]],
                next_hop=held.next_hops[columns.next_hop[row]],
                next_table=held.next_tables[then] if then >= 0 else "",
                path=Path(PEER, stream.route(0)._replace(prefix=prefix), shared),
            )
        )
    return found
