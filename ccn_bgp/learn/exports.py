"""What this gateway tells other gateways. In: NLRI and attributes that are said and taken back.
Out: a mapping by NLRI key, in which the VMs of the inventory stand without being made: a million
type 2 are objects only for as long as somebody looks at them.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Protocol

from ccn_bgp.model.outgoing import OutVms
from ccn_bgp.model.path import Nlri, PathAttributes

Export = tuple[Nlri, PathAttributes]


class MadeWhenAsked(Protocol):
    """Exports that are not kept."""

    def export(self, key: bytes) -> Export | None:
        """The one with this NLRI key."""

    def exports(self) -> Iterator[Export]:
        """All, each key once, in an order that depends on content alone."""

    def exports_count(self) -> int:
        """How many there are."""


class VmsInColumns(MadeWhenAsked, Protocol):
    """VMs of the inventory: peers are told of them in columns, but for a few."""

    def in_columns(self) -> OutVms | None:
        """Those, if there are any."""

    def alone(self) -> Iterator[Export]:
        """The others."""


class Exports(MutableMapping[bytes, Export]):
    """By NLRI key; what is kept comes before what is made when asked for."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Export] = {}
        self.made: VmsInColumns | None = None
        self.rows: MadeWhenAsked | None = None
        """What is told in columns: here it is only looked at."""

    def __getitem__(self, key: bytes) -> Export:
        found = self._kept.get(key)
        if found is None and self.made is not None:
            found = self.made.export(key)
        if found is None and self.rows is not None:
            found = self.rows.export(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: bytes, export: Export) -> None:
        self._kept[key] = export

    def __delitem__(self, key: bytes) -> None:
        """What is made when asked for cannot be taken away here."""
        self._kept.pop(key, None)

    def take_back(self, key: bytes) -> bool:
        """Keep one no longer; whether it was kept."""
        return self._kept.pop(key, None) is not None

    def __iter__(self) -> Iterator[bytes]:
        for key, _ in self.items():
            yield key

    def __len__(self) -> int:
        made = (m for m in (self.made, self.rows) if m is not None)
        return len(self._kept) + sum(m.exports_count() for m in made)

    def items(self) -> ItemsView[bytes, Export]:
        """Made one after the other."""
        return _Items(self)

    def values(self) -> ValuesView[Export]:
        """Made one after the other."""
        return _Values(self)

    def each(self) -> Iterator[tuple[bytes, Export]]:
        """(key, export) of all."""
        yield from self._with(self.made.exports() if self.made is not None else ())
        for export in self.rows.exports() if self.rows is not None else ():
            yield export[0].key, export

    def single(self, key: bytes) -> Export | None:
        """The one with this NLRI key, if it is told one by one."""
        found = self._kept.get(key)
        return self.made.export(key) if found is None and self.made is not None else found

    def one_by_one(self) -> Iterator[tuple[bytes, Export]]:
        """(key, export) of all that is not told in columns."""
        return self._with(self.made.alone() if self.made is not None else ())

    def vms(self) -> OutVms | None:
        """VMs that are told in columns."""
        return None if self.made is None else self.made.in_columns()

    def _with(self, made: Iterable[Export]) -> Iterator[tuple[bytes, Export]]:
        yield from self._kept.items()
        for export in made:
            key = export[0].key
            if key not in self._kept:
                yield key, export


class _Items(ItemsView[bytes, Export]):
    _mapping: Mapping[bytes, Export]

    def __iter__(self) -> Iterator[tuple[bytes, Export]]:
        assert isinstance(self._mapping, Exports)
        return self._mapping.each()


class _Values(ValuesView[Export]):
    _mapping: Mapping[bytes, Export]

    def __iter__(self) -> Iterator[Export]:
        assert isinstance(self._mapping, Exports)
        return (export for _, export in self._mapping.each())
