"""Policy files come in as paths, one compiled PolicySet goes out, or every problem at once.

Problems name ``file:line:column``. Names live in one space over all files of a topology, whether
they are named there or included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.finding import Finding
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.at import At
from ccn_bgp.policy.read_aggregate import read_aggregate
from ccn_bgp.policy.read_change import read_change
from ccn_bgp.policy.read_match import read_match
from ccn_bgp.policy.read_sets import Sets, kind_name
from ccn_bgp.policy.rules import THENS, Policy, PolicySet, Statement, Then
from ccn_bgp.policy.testing import read_test
from ccn_bgp.policy_files import KEYS, SETS, Files
from ccn_bgp.source import Source, in_order

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
STATEMENT_KEYS = ("name", "match", "set", "then")


def load_policies(paths: Sequence[Path]) -> PolicySet:
    """Read policy files for use: a set that is not defined is a problem, too.

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
    files = Files().add(paths)
    reader = _Reader(files.problems)
    for source in files.sources:
        reader.read(source)
    policies = replace(reader.finish(), files=files.paths)
    if reader.problems:
        raise InputError.of(in_order(reader.problems))
    return policies


def undefined_sets(policies: PolicySet) -> list[Finding]:
    """Finding ``undefined-set`` for each statement or set that asks for a set nobody defines."""
    return [
        Finding(
            rule="undefined-set",
            message=f"{u}, so it never matches" + (f"; {u.hint}" if u.hint else ""),
            where=u.where,
            witness={"chain": [*u.by, f"set {u.name}"]},
        )
        for u in policies.undefined
    ]


class _Reader:
    """Collects what the files say; ``finish`` joins it. One object per call of read_policies."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        self.sets = Sets()
        self.places: dict[tuple[str, str], str] = {}
        self.raw: list[tuple[str, At, list[Any]]] = []
        self.tests: list[tuple[At, int, Any]] = []
        self.aggregates: list[tuple[str, At, Any]] = []

    def read(self, source: Source) -> None:
        """Take in one file; statements wait until the sets of all files are known."""
        at = At(source, (), self.problems)
        at.known(source.data, KEYS)
        for section in SETS:
            for name, items in self.section(at / section, section):
                self.sets.add(section, name, at / section / name, items)
        held = source.data.get("tests")
        if isinstance(held, list):
            self.tests += [(at / "tests" / index, index, item) for index, item in enumerate(held)]
        elif held is not None:
            (at / "tests").say("tests must be a list")
        for name, items in self.section(at / "policies", "policies"):
            self.raw.append((name, at / "policies" / name, items))
        for name, entry in self.section(at / "aggregates", "aggregates", dict):
            self.aggregates.append((name, at / "aggregates" / name, entry))

    def finish(self) -> PolicySet:
        """Compile the statements."""
        sets = self.sets.all()
        policies = {
            name: Policy(name, at.where, tuple(self.statements(name, at, items)))
            for name, at, items in self.raw
        }
        aggregates = [read_aggregate(n, at, entry, self.sets) for n, at, entry in self.aggregates]
        undefined = tuple(dict.fromkeys(self.sets.undefined))
        named = {name for name, _, _ in self.aggregates}
        tests = [read_test(at, n, item, tuple(policies), named) for at, n, item in self.tests]
        return PolicySet(
            policies,
            sets,
            undefined,
            frozenset(self.sets.used),
            tuple(test for test in tests if test is not None),
            {a.name: a for a in aggregates if a is not None},
            self.sets.patterns,
        )

    def section(self, at: At, key: str, form: type = list) -> Iterator[tuple[str, Any]]:
        """The named lists (or mappings) under one key of a file; what is none is reported and
        passed over."""
        held = at.source.data.get(key)
        if held is None:
            return
        if not isinstance(held, dict):
            at.say(f"{key} must be a mapping of names")
            return
        kind = {"policies": "policy", "aggregates": "aggregate"}.get(key) or kind_name(key)
        form_name = "list" if form is list else "mapping"
        for name, items in held.items():
            here = at / name
            if not _NAME.match(name):
                here.say_key(f"'{name[:64]}' is not a name")
            elif items is not None and not isinstance(items, form):
                here.say(f"{key}.{name} must be a {form_name}")
            elif (key, name) in self.places:
                first = f"first at {self.places[key, name]}"
                here.say_key(f"the {kind} '{name}' is defined twice", first)
            else:
                self.places[key, name] = here.key
                yield name, form() if items is None else items

    def statements(self, policy: str, at: At, items: list[Any]) -> Iterator[Statement]:
        """The statements of a policy that have the right form."""
        names: set[str] = set()
        for index, item in enumerate(items):
            here = at / index
            if not isinstance(item, dict):
                here.say("a statement is a mapping with name, match, set, then")
                continue
            found = self.statement(policy, index, here, item)
            if found.name in names:
                here.say(f"policy {policy} has two statements named '{found.name}'")
            names.add(found.name)
            yield found

    def statement(self, policy: str, index: int, at: At, item: dict[str, Any]) -> Statement:
        """One statement of a policy; what is wrong with it is reported."""
        at.known(item, STATEMENT_KEYS)
        name = item.get("name", str(index + 1))
        if not isinstance(name, str) or not _NAME.match(name):
            (at / "name").say(f"name: {name!r} is not a name")
            name = str(index + 1)
        then: Then = "reject"
        if item.get("then") in THENS:
            then = item["then"]
        elif "then" in item:
            hint = nearest(str(item["then"]), THENS, "one of")
            (at / "then").say(f"then: '{item['then']}' is not known", hint)
        else:
            at.say(
                f"statement {name} lacks 'then: accept' or 'then: reject'",
                "or next-statement, next-policy",
            )
        by = (f"policy {policy}", f"statement {name}")
        conditions, places = read_match(at / "match", item.get("match"), self.sets, by)
        change = read_change(at / "set", item.get("set"), self.sets, by)
        return Statement(policy, name, at.where, conditions, change, then, places)
