"""Policy files come in as paths, one compiled PolicySet goes out, or every problem at once.

Problems name ``file:line:column``. Names live in one space over all files of a topology.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.rules import (
    Change,
    Policy,
    PolicySet,
    PrefixRange,
    PrefixSet,
    Statement,
    UndefinedSet,
)
from ccn_bgp.source import Source, in_order, read_source

KEYS = ("prefix-sets", "policies")
WELL_KNOWN = {
    "graceful-shutdown": 0xFFFF0000,  # RFC 8326
    "blackhole": 0xFFFF029A,  # RFC 7999
    "no-export": 0xFFFFFF01,  # RFC 1997
    "no-advertise": 0xFFFFFF02,
    "no-export-subconfed": 0xFFFFFF03,
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_COMMUNITY = re.compile(r"([0-9]{1,5}):([0-9]{1,5})\Z")
_U32 = 2**32 - 1


def load_policies(paths: Sequence[Path]) -> PolicySet:
    """Read policy files for use: a prefix set that is not defined is a problem, too.

    Raises InputError with all problems of all files.
    """
    policies = read_policies(paths)
    if policies.undefined:
        problems = [Problem(u.where, str(u), u.hint) for u in policies.undefined]
        raise InputError.of(in_order(problems))
    return policies


def read_policies(paths: Sequence[Path]) -> PolicySet:
    """Read policy files for inspection: undefined sets are listed in the result.

    Raises InputError with all problems of form of all files.
    """
    reader = _Reader()
    for path in dict.fromkeys(paths):
        try:
            reader.read(read_source(Path(path), "policy", KEYS))
        except InputError as error:
            reader.problems += error.problems
    policies = reader.finish()
    if reader.problems:
        raise InputError.of(in_order(reader.problems))
    return policies


def undefined_sets(policies: PolicySet) -> list[Finding]:
    """Finding ``undefined-set`` for each statement that asks for a set nobody defines."""
    return [
        Finding(
            rule="undefined-set",
            message=f"{u}, so it never matches" + (f"; {u.hint}" if u.hint else ""),
            where=u.where,
            witness={"chain": [f"policy {u.policy}", f"statement {u.statement}", f"set {u.name}"]},
        )
        for u in policies.undefined
    ]


class _Reader:
    """Collects what the files say; ``finish`` joins it. One object per call of read_policies."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.sets: dict[str, PrefixSet] = {}
        self.places: dict[tuple[str, str], str] = {}
        self.raw: list[tuple[Source, str, list[Any]]] = []

    def read(self, source: Source) -> None:
        """Take in one file; statements wait until the sets of all files are known."""
        self.problems += source.problems
        self.known(source, source.data, KEYS)
        for name, items in self.section(source, "prefix-sets"):
            ranges = [self.range(source, name, i, item) for i, item in enumerate(items)]
            where = source.positions.near("prefix-sets", name)
            self.sets.setdefault(
                name, PrefixSet(name, where, tuple(r for r in ranges if r is not None))
            )
        for name, items in self.section(source, "policies"):
            self.raw.append((source, name, items))

    def finish(self) -> PolicySet:
        """Compile the statements."""
        policies: dict[str, Policy] = {}
        undefined: list[UndefinedSet] = []
        for source, name, items in self.raw:
            statements: list[Statement] = []
            for index, item in enumerate(items):
                if found := self.statement(source, name, index, item, undefined):
                    where = source.positions.near("policies", name, index)
                    if any(s.name == found.name for s in statements):
                        what = f"policy {name} has two statements named '{found.name}'"
                        self.problems.append(Problem(where, what))
                    statements.append(found)
            where = source.positions.near("policies", name)
            policies[name] = Policy(name, where, tuple(statements))
        return PolicySet(policies, self.sets, tuple(undefined))

    def section(self, source: Source, key: str) -> Iterable[tuple[str, list[Any]]]:
        """The named lists under one key of a file; what is none is reported and passed over."""
        held = source.data.get(key)
        if held is None:
            return
        if not isinstance(held, dict):
            self.say(source, f"{key} must be a mapping of names", key)
            return
        for name, items in held.items():
            if not _NAME.match(name):
                where = source.positions.key(key, name)
                self.problems.append(Problem(where, f"'{name[:64]}' is not a name"))
            elif items is not None and not isinstance(items, list):
                self.say(source, f"{key}.{name} must be a list", key, name)
            elif (key, name) in self.places:
                where = source.positions.key(key, name)
                kind = "policy" if key == "policies" else "prefix set"
                first = f"first at {self.places[key, name]}"
                self.problems.append(Problem(where, f"the {kind} '{name}' is defined twice", first))
            else:
                self.places[key, name] = source.positions.key(key, name)
                yield name, items or []

    def say(self, source: Source, what: str, *path: str | int, hint: str = "") -> None:
        """Report a problem at the value of this path."""
        self.problems.append(Problem(source.positions.near(*path), what, hint))

    def known(
        self, source: Source, entry: dict[str, Any], keys: tuple[str, ...], *path: str | int
    ) -> None:
        """Report the keys of an entry that are not among ``keys``."""
        for key in entry:
            if key not in keys:
                where = source.positions.key(*path, key)
                hint = nearest(key, keys, "known keys")
                self.problems.append(Problem(where, f"unknown key '{key}'", hint))

    def range(self, source: Source, name: str, index: int, item: Any) -> PrefixRange | None:
        """One entry of a prefix set: ``PREFIX`` or ``{prefix, ge, le}``."""
        path: tuple[str | int, ...] = ("prefix-sets", name, index)
        entry = {"prefix": item} if isinstance(item, str) else item
        if not isinstance(entry, dict):
            self.say(source, "a prefix set lists prefixes or {prefix, ge, le}", *path)
            return None
        self.known(source, entry, ("prefix", "ge", "le"), *path)
        text = entry.get("prefix")
        try:
            if not isinstance(text, str):
                raise ValueError("the key 'prefix' is missing or is no text")
            prefix = Prefix.parse(text)
        except ValueError as error:
            self.say(source, str(error), *path, "prefix")
            return None
        bits = (len(prefix) - 1) * 8
        low = self.number(source, entry, "ge", prefix.length, bits, *path)
        high = self.number(source, entry, "le", prefix.length, bits, *path)
        if low is not None and high is not None and low > high:
            self.say(source, f"ge {low} is over le {high}: nothing can match", *path, "ge")
        if high is None:
            high = prefix.length if low is None else bits
        return PrefixRange(prefix, prefix.length if low is None else low, high)

    def number(
        self, source: Source, entry: dict[str, Any], key: str, low: int, high: int, *path: str | int
    ) -> int | None:
        """A whole number under ``key``, None if absent or wrong (then reported)."""
        if key not in entry:
            return None
        value = entry[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            what = f"{key}: {value!r} is not a whole number from {low} to {high}"
            self.say(source, what, *path, key)
            return None
        return value

    def statement(
        self, source: Source, policy: str, index: int, item: Any, undefined: list[UndefinedSet]
    ) -> Statement | None:
        """One statement of a policy; None if it has not the right form (then reported)."""
        path: tuple[str | int, ...] = ("policies", policy, index)
        if not isinstance(item, dict):
            self.say(source, "a statement is a mapping with name, match, set, then", *path)
            return None
        self.known(source, item, ("name", "match", "set", "then"), *path)
        name = item.get("name", str(index + 1))
        if not isinstance(name, str) or not _NAME.match(name):
            self.say(source, f"name: {name!r} is not a name", *path, "name")
            name = str(index + 1)
        then: Literal["accept", "reject"] = "reject" if item.get("then") == "reject" else "accept"
        if item.get("then") not in ("accept", "reject"):
            if "then" in item:
                hint = nearest(str(item["then"]), ("accept", "reject"), "one of")
                self.say(source, f"then: '{item['then']}' is not known", *path, "then", hint=hint)
            else:
                self.say(source, f"statement {name} lacks 'then: accept' or 'then: reject'", *path)
        sets = self.match(source, policy, name, item.get("match"), undefined, *path, "match")
        change = self.change(source, item.get("set"), *path, "set")
        where = source.positions.near(*path)
        return Statement(policy, name, where, sets, change, then)

    def match(
        self,
        source: Source,
        policy: str,
        statement: str,
        entry: Any,
        undefined: list[UndefinedSet],
        *path: str | int,
    ) -> tuple[PrefixSet, ...] | None:
        """The prefix sets of ``match:``; None matches everything."""
        if entry is None:
            return None
        if not isinstance(entry, dict):
            self.say(source, "match must be a mapping: {prefix-set: NAME}", *path)
            return None
        self.known(source, entry, ("prefix-set",), *path)
        if "prefix-set" not in entry:
            return None
        names = entry["prefix-set"]
        found: list[PrefixSet] = []
        for index, name in enumerate(names if isinstance(names, list) else [names]):
            at = (*path, "prefix-set", index) if isinstance(names, list) else (*path, "prefix-set")
            if not isinstance(name, str):
                self.say(source, f"prefix-set: {name!r} is not a name", *at)
            elif name in self.sets:
                found.append(self.sets[name])
            else:
                hint = nearest(name, self.sets, "prefix sets") or "no prefix set is defined"
                where = source.positions.near(*at)
                undefined.append(UndefinedSet(name, policy, statement, where, hint))
        return tuple(found)

    def change(self, source: Source, entry: Any, *path: str | int) -> Change | None:
        """What ``set:`` changes."""
        if entry is None:
            return None
        if not isinstance(entry, dict):
            self.say(source, "set must be a mapping: {local-pref, med, community}", *path)
            return None
        self.known(source, entry, ("local-pref", "med", "community"), *path)
        communities: list[int] = []
        held = entry.get("community", {})
        if isinstance(held, dict):
            self.known(source, held, ("add",), *path, "community")
            items = held.get("add", [])
            for index, text in enumerate(items if isinstance(items, list) else [items]):
                at = ("add", index) if isinstance(items, list) else ("add",)
                value = _community(text)
                if value is None:
                    what = f"'{text}' is not a community; write it as ASN:NUMBER"
                    hint = nearest(str(text), WELL_KNOWN, "or one of")
                    self.say(source, what, *path, "community", *at, hint=hint)
                else:
                    communities.append(value)
        else:
            what = "community must be a mapping: {add: [ASN:NUMBER]}"
            self.say(source, what, *path, "community")
        return Change(
            self.number(source, entry, "local-pref", 0, _U32, *path),
            self.number(source, entry, "med", 0, _U32, *path),
            tuple(communities),
        )


def _community(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    if text in WELL_KNOWN:
        return WELL_KNOWN[text]
    if (found := _COMMUNITY.match(text)) is None:
        return None
    high, low = int(found[1]), int(found[2])
    return high << 16 | low if high <= 0xFFFF and low <= 0xFFFF else None
