"""A second opinion: the isolation rules again, address by address, sharing no line with the first.

In: what ``ccn verify`` reads, as plain JSON values. Out: the faults, as (rule, table, prefix,
address). Every answer can change only where a prefix begins or has just ended, so asking at those
end-points asks about every address. Slow and plain on purpose: it is there to be believed.

docs/concepts.md, "Isolation, exactly".
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """One address at which one rule is broken by one route."""

    rule: str
    table: str
    prefix: str
    address: str


class Row(NamedTuple):
    """A route as the file says it, its prefix as (version, first address, length); ``next`` has
    more than one name if its flows are spread."""

    table: str
    version: int
    first: int
    length: int
    origin: str
    next: tuple[str, ...]

    @property
    def text(self) -> str:
        """The prefix, as written."""
        return f"{ip_text(self.version, self.first)}/{self.length}"


class Recheck:
    """The rows and the intent of one commit, ready to be asked about single addresses."""

    def __init__(self, world: Mapping[str, Any]) -> None:
        self.owner: dict[str, str] = {}
        for table in world.get("tables", ()):
            self.owner[table["name"]] = table["ccn"]
        self.own = set(self.owner)
        for table in world.get("external", ()):
            self.owner[table["name"]] = table["ccn"]
        self.rows: dict[tuple[str, int, int], dict[int, Row]] = {}
        self.count = 0
        for route in world.get("routes", ()):
            network = ipaddress.ip_network(route["prefix"])
            row = Row(
                table=route["table"],
                version=network.version,
                first=int(network.network_address),
                length=network.prefixlen,
                origin=route["origin"],
                next=(said,) if isinstance(said := route["next"], str) else tuple(said),
            )
            self.rows.setdefault((row.table, row.version, row.length), {})[row.first] = row
            self.count += 1
        self.shares: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
        for share in world.get("shares", ()):
            network = ipaddress.ip_network(share["prefix"])
            self.shares.setdefault((share["table"], share["provider"]), []).append(
                (network.version, int(network.network_address), network.prefixlen)
            )

    def all_rows(self) -> Iterator[Row]:
        """Every route, in no particular order."""
        for rows in self.rows.values():
            yield from rows.values()

    def match(self, table: str, version: int, address: int) -> Row | None:
        """The longest match, by trying every length from the longest down."""
        bits = 32 if version == 4 else 128
        for length in range(bits, -1, -1):
            rows = self.rows.get((table, version, length))
            if rows is not None:
                found = rows.get(address >> (bits - length) << (bits - length))
                if found is not None:
                    return found
        return None

    def shared(self, row: Row) -> bool:
        """True if a share of this table and provider covers the prefix."""
        bits = 32 if row.version == 4 else 128
        for version, first, length in self.shares.get((row.table, self.owner[row.origin]), ()):
            if version == row.version and length <= row.length:
                shift = bits - length
                if row.first >> shift == first >> shift:
                    return True
        return False

    def at(self, table: str, version: int, address: int) -> Iterator[Fault]:
        """Everything wrong with a packet to this address that enters this table."""
        row = self.match(table, version, address)
        if row is None:
            return
        where = ip_text(version, address)
        if self.owner[row.origin] != self.owner[table]:
            if not self.shared(row):
                yield Fault("leak", table, row.text, where)
            if self.covered_by_own(row):
                yield Fault("hijack", table, row.text, where)
        for fault in sorted(self.follow(row, address)):
            yield Fault(fault, table, row.text, where)

    def covered_by_own(self, row: Row) -> bool:
        """True if the table holds a strictly shorter prefix over this one that began in its CCN."""
        bits = 32 if row.version == 4 else 128
        for length in range(row.length):
            rows = self.rows.get((row.table, row.version, length))
            over = rows.get(row.first >> (bits - length) << (bits - length)) if rows else None
            if over is not None and self.owner[over.origin] == self.owner[row.table]:
                return True
        return False

    def follow(self, entry: Row, address: int) -> set[str]:
        """What may become of packets that go on to another table, but arriving rightly."""
        wanted = self.owner[entry.origin]
        faults: set[str] = set()
        ways: list[tuple[str, ...]] = [
            (entry.table, name) for name in entry.next if name not in ("deliver", "drop")
        ]
        while ways:
            *seen, table = ways.pop()
            if table not in self.own:
                # Another gateway's table that was not given: it has arrived there.
                if self.owner.get(table, wanted) != wanted:
                    faults.add("misdelivery")
                continue
            if table in seen:
                faults.add("loop")
                continue
            found = self.match(table, entry.version, address)
            for name in ("drop",) if found is None else found.next:
                if name == "drop":
                    faults.add("blackhole")
                elif name == "deliver":
                    if self.owner[table] != wanted:
                        faults.add("misdelivery")
                else:
                    ways.append((*seen, table, name))
        return faults

    def end_points(self) -> dict[tuple[str, int], list[int]]:
        """For each table and version: where a prefix of any table begins or has just ended.

        Prefixes of every table that a packet may be sent on to count too: the answer there can
        change within one interval here.
        """
        onward: dict[str, set[str]] = {name: {name} for name in self.own}
        for row in self.all_rows():
            onward[row.table].update(name for name in row.next if name in self.own)
        growing = True
        while growing:
            growing = False
            for reached in onward.values():
                before = len(reached)
                reached.update(*[onward[name] for name in reached])
                growing = growing or len(reached) > before
        edges: dict[tuple[str, int], set[int]] = {}
        for row in self.all_rows():
            bits = 32 if row.version == 4 else 128
            found = edges.setdefault((row.table, row.version), set())
            found.add(row.first)
            after = row.first + (1 << (bits - row.length))
            if after < 1 << bits:
                found.add(after)
        joined: dict[tuple[str, int], list[int]] = {}
        for name, reached in onward.items():
            for version in (4, 6):
                points = set().union(*(edges.get((r, version), set()) for r in reached))
                joined[name, version] = sorted(points)
        return joined


def recheck(
    world: Mapping[str, Any], sample: int | None = None, seed: int = 0
) -> tuple[list[Fault], int]:
    """(faults, addresses asked). With ``sample`` only that many end-points, chosen by ``seed``."""
    checked = Recheck(world)
    questions: Iterable[tuple[str, int, int]] = [
        (table, version, address)
        for (table, version), addresses in checked.end_points().items()
        for address in addresses
    ]
    if sample is not None and sample < len(list(questions)):
        questions = random.Random(seed).sample(list(questions), sample)
    faults: list[Fault] = []
    asked = 0
    for table, version, address in questions:
        asked += 1
        faults.extend(checked.at(table, version, address))
    return sorted(set(faults)), asked


def ip_text(version: int, address: int) -> str:
    """An address as text."""
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return str(kind(address))
