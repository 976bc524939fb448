"""What a peer is to be sent, in the form in which it is encoded.

In: objects and columns as AdjRibOut keeps them. Out: Changes, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ccn_bgp.learn.keys import Array
from ccn_bgp.learn.told_rows import ToldRows, grouped
from ccn_bgp.model.outgoing import NOTHING, Origination, OutRows, RowChanges
from ccn_bgp.model.path import Nlri, PathAttributes

Objects = Mapping[bytes, tuple[Nlri, PathAttributes]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What to send, all withdrawals before all announcements: attribute sets with their NLRI, and
    withdrawals; the mass of both in rows. Everything in a fixed order."""

    announce: tuple[tuple[PathAttributes, tuple[Nlri, ...]], ...] = ()
    withdraw: tuple[Nlri, ...] = ()
    announce_rows: tuple[RowChanges, ...] = ()
    withdraw_rows: tuple[RowChanges, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.announce or self.withdraw or self.announce_rows or self.withdraw_rows)

    @property
    def counts(self) -> tuple[int, int]:
        """How many routes are announced, and how many withdrawn."""
        announced = sum(len(nlris) for _, nlris in self.announce)
        announced += sum(len(changes.rows) for changes in self.announce_rows)
        return announced, len(self.withdraw) + sum(len(c.rows) for c in self.withdraw_rows)

    def announced(self) -> Iterator[tuple[PathAttributes, tuple[Nlri, ...]]]:
        """All announcements as values, rows too."""
        yield from self.announce
        for changes in self.announce_rows:
            for attributes, nlris in changes.expanded()[0]:
                yield attributes, tuple(nlris)

    def withdrawn(self) -> Iterator[Nlri]:
        """All withdrawals as values, rows too."""
        yield from self.withdraw
        for changes in self.withdraw_rows:
            yield from changes.nlri()


def by_attributes(objects: Objects) -> tuple[tuple[PathAttributes, tuple[Nlri, ...]], ...]:
    """Grouped by attribute set; NLRI in the order of their keys, groups in that of their first."""
    groups: dict[PathAttributes, list[Nlri]] = {}
    by_identity: dict[int, list[Nlri]] = {}
    for key in sorted(objects):
        nlri, attributes = objects[key]
        members = by_identity.get(id(attributes))
        if members is None:
            members = by_identity[id(attributes)] = groups.setdefault(attributes, [])
        members.append(nlri)
    return tuple((a, tuple(n)) for a, n in groups.items())


def announced_rows(
    held: ToldRows,
    keys: Array,
    numbers: Array,
    sets: Sequence[PathAttributes],
    originations: Mapping[int, Origination] | None,
) -> tuple[RowChanges, ...]:
    """Announcements of sorted keys, brought together by their numbers."""
    order = grouped(numbers)
    if order is not None:
        keys, numbers = keys[order], numbers[order]
    return ordered_rows(held, keys, numbers, sets, originations)


def ordered_rows(
    held: ToldRows,
    keys: Array,
    numbers: Array,
    sets: Sequence[PathAttributes],
    originations: Mapping[int, Origination] | None,
) -> tuple[RowChanges, ...]:
    """Announcements of keys in this order, in which equal numbers stand together."""
    if not len(keys):
        return ()
    return (RowChanges(_rows(held, keys, numbers, originations), sets, originations or {}),)


def withdrawn_rows(
    held: ToldRows, keys: Array, originations: Mapping[int, Origination] | None
) -> tuple[RowChanges, ...]:
    """Withdrawals of sorted keys."""
    if not len(keys):
        return ()
    nothing = np.full(len(keys), NOTHING, np.int64)
    return (RowChanges(_rows(held, keys, nothing, originations), (), originations or {}),)


def _rows(
    held: ToldRows, keys: Array, numbers: Array, originations: Mapping[int, Origination] | None
) -> OutRows:
    table = None if originations is None else held.of.number(keys)
    return OutRows(
        table, held.of.address(keys), held.of.length(keys), numbers.astype(np.int64, copy=False)
    )
