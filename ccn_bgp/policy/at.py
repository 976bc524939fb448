"""A place in a policy file, for its readers: a value's path in, problems with positions out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ccn_bgp.errors import Problem
from ccn_bgp.nearest import nearest
from ccn_bgp.source import Source

U32 = 2**32 - 1


@dataclass(frozen=True, slots=True)
class At:
    """Where a value stands, and where what is wrong with it is noted."""

    source: Source
    path: tuple[str | int, ...]
    problems: list[Problem]

    def __truediv__(self, word: str | int) -> At:
        return At(self.source, (*self.path, word), self.problems)

    @property
    def where(self) -> str:
        """``file:line:column``."""
        return self.source.positions.near(*self.path)

    @property
    def key(self) -> str:
        """``file:line:column`` of the key itself."""
        return self.source.positions.key(*self.path)

    def say(self, what: str, hint: str = "") -> None:
        """Note a problem at this value."""
        self.problems.append(Problem(self.where, what, hint))

    def say_key(self, what: str, hint: str = "") -> None:
        """Note a problem at this key."""
        self.problems.append(Problem(self.key, what, hint))

    def known(self, entry: dict[str, Any], keys: Iterable[str]) -> None:
        """Note the keys of an entry that are not among ``keys``."""
        for key in entry:
            if key not in keys:
                (self / key).say_key(f"unknown key '{key}'", nearest(key, keys, "known keys"))

    def mapping(self, entry: Any, what: str, keys: Iterable[str]) -> dict[str, Any]:
        """The entry, if it is a mapping with known keys; else {} and a problem that says what."""
        if not isinstance(entry, dict):
            self.say(what)
            return {}
        self.known(entry, keys)
        return entry

    def whole(self, value: Any, name: str, low: int = 0, high: int = U32) -> int | None:
        """A whole number; None if it is none (then noted)."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.say(f"{name}: {value!r} is not a whole number from {low} to {high}")
            return None
        return value

    def number(self, entry: dict[str, Any], key: str, low: int = 0, high: int = U32) -> int | None:
        """A whole number under ``key``, None if absent or wrong (then noted)."""
        return (self / key).whole(entry[key], key, low, high) if key in entry else None

    def span(self, value: Any, name: str, low: int, high: int) -> tuple[int, int] | None:
        """``N`` or ``{ge, le}``; None if it is neither (then noted)."""
        if not isinstance(value, dict):
            found = self.whole(value, name, low, high)
            return None if found is None else (found, found)
        self.known(value, ("ge", "le"))
        least, most = (self.number(value, key, low, high) for key in ("ge", "le"))
        first, last = low if least is None else least, high if most is None else most
        if first > last:
            (self / "ge").say(f"ge {first} is over le {last}: nothing can match")
            return None
        if not value.keys() & {"ge", "le"}:
            self.say(f"{name}: {{}} says nothing; write a number or {{ge, le}}")
        return first, last

    def items(self, value: Any) -> list[tuple[Any, At]]:
        """A list's items, or the one value that stands in its place."""
        if isinstance(value, list):
            return [(item, self / index) for index, item in enumerate(value)]
        return [(value, self)]
