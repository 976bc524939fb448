"""What this gateway tells other gateways. In: NLRI and attributes that are said and taken back.
Out: a mapping by NLRI key, in which the VMs of the inventory stand without being made: a million
type 2 are objects only for as long as somebody looks at them.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from typing import Protocol

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


class Exports(MutableMapping[bytes, Export]):
    """By NLRI key; what is kept comes before what is made when asked for."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Export] = {}
        self.made: MadeWhenAsked | None = None

    def __getitem__(self, key: bytes) -> Export:
        found = self._kept.get(key)
        if found is None and self.made is not None:
            found = self.made.export(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: bytes, export: Export) -> None:
        self._kept[key] = export

    def __delitem__(self, key: bytes) -> None:
        """What is made when asked for cannot be taken away here."""
        self._kept.pop(key, None)

    def __iter__(self) -> Iterator[bytes]:
        for key, _ in self.items():
            yield key

    def __len__(self) -> int:
        return len(self._kept) + (self.made.exports_count() if self.made is not None else 0)

    def items(self) -> ItemsView[bytes, Export]:
        """Made one after the other."""
        return _Items(self)

    def values(self) -> ValuesView[Export]:
        """Made one after the other."""
        return _Values(self)

    def each(self) -> Iterator[tuple[bytes, Export]]:
        """(key, export) of all."""
        yield from self._kept.items()
        for export in self.made.exports() if self.made is not None else ():
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
