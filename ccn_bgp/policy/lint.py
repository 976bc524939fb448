"""What is wrong with policies that can be read. In: a PolicySet. Out: findings with their places.

Statements that no route comes to, chains that a route falls out of, regexes that match nothing,
actions that another one undoes, sets that nobody asks for. Sets that are not defined: load.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from ccn_bgp.model.finding import Finding
from ccn_bgp.policy.automata import (
    AS_PATHS,
    COMMUNITIES,
    LARGE_COMMUNITIES,
    ROUTE_TARGETS,
    Texts,
    automaton,
    text_for,
)
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.expressions import expression, pattern_expression
from ccn_bgp.policy.load import undefined_sets
from ccn_bgp.policy.routes import route_json
from ccn_bgp.policy.rules import Policy, PolicySet, Statement
from ccn_bgp.policy.sets import AsPathMember
from ccn_bgp.policy.ways import Example, Ways, field_of, fields_of

Chain = tuple[str, ...]
_TEXTS: dict[str, Texts] = {
    "community": COMMUNITIES,
    "large-community": LARGE_COMMUNITIES,
    "route-target": ROUTE_TARGETS,
}


def lint(policies: PolicySet, chains: Iterable[Chain] = ()) -> list[Finding]:
    """All findings. ``chains``: those in use; without any, each policy by itself."""
    if found := undefined_sets(policies):
        return found  # a wrong name leaves a set unused and a statement dead: one finding is enough
    found += unused_sets(policies)
    found += dead_patterns(policies)
    for name in sorted(policies.policies):
        policy = policies.policies[name]
        ways = Ways(policies, [name])
        found += unreachable(policy, ways)
        found += undone(policy)
    for chain in dict.fromkeys(chains or ((name,) for name in sorted(policies.policies))):
        found += falls_through(policies, chain)
    return found


def unused_sets(policies: PolicySet) -> Iterator[Finding]:
    """Sets that no statement and no set asks for, in files that have policies: a file of sets alone
    is there for others."""
    files = {policy.where.rsplit(":", 2)[0] for policy in policies.policies.values()}
    for (section, name), held in sorted(policies.sets.items()):
        if (section, name) not in policies.used and held.where.rsplit(":", 2)[0] in files:
            kind = f"{section.removesuffix('-sets')} set"
            yield Finding(
                rule="unused-set",
                message=f"{kind} {name}: no statement asks for it",
                where=held.where,
                witness={"chain": [f"{kind} {name}", "no statement"]},
            )


def dead_patterns(policies: PolicySet) -> Iterator[Finding]:
    """Members of sets that no AS path and no community can match, each where it stands."""
    for (section, name), patterns in sorted(policies.patterns.items()):
        kind = section.removesuffix("-sets")
        for member, where in patterns.items():
            if isinstance(member, AsPathMember):
                texts, looked_for = AS_PATHS, expression(member)
            elif member.kind.word in _TEXTS:
                texts, looked_for = _TEXTS[member.kind.word], pattern_expression(member)
            else:
                continue
            made = automaton(looked_for, texts.alphabet)
            if made is None or text_for(texts, [made], []) != (None, True):
                continue
            what = "AS path" if texts is AS_PATHS else kind
            text = str(member).removeprefix("regex ")
            yield Finding(
                rule="dead-regex",
                message=f"{kind} set {name}: '{text}' matches no {what} that there can be",
                where=where,
                witness={"chain": [f"{kind} set {name}", str(member), "nothing"]},
            )


def unreachable(policy: Policy, ways: Ways) -> Iterator[Finding]:
    """Statements that no route matches, or none that earlier ones leave."""
    for number, statement in enumerate(ways.statements):
        own = ways.matching(number)
        if ways.possible([*ways.coming(number), *own]):
            continue
        at = f"policy {policy.name}, statement {statement.name}"
        if not ways.possible(own):
            yield Finding(
                rule="unreachable-statement",
                message=f"{at}: its conditions exclude each other: no route matches it",
                where=statement.where,
                witness={"chain": [f"policy {policy.name}", f"statement {statement.name}"]},
            )
            continue
        hider = _hider(ways, number)
        yield Finding(
            rule="unreachable-statement",
            message=f"{at}: every route that it matches is decided before, last by statement"
            f" {hider.name}",
            where=statement.where,
            witness={
                "chain": [
                    f"policy {policy.name}",
                    f"statement {hider.name}",
                    f"statement {statement.name}",
                ]
            },
        )


def _hider(ways: Ways, number: int) -> Statement:
    """The first statement up to which all others have taken what this one matches."""
    own = ways.matching(number)
    low, high = 0, number - 1
    while low < high:
        middle = (low + high) // 2
        if ways.possible([*ways.coming(middle + 1), *own]):
            low = middle + 1
        else:
            high = middle
    return ways.statements[low]


def falls_through(policies: PolicySet, chain: Chain) -> Iterator[Finding]:
    """A statement lets a route go on, and then nothing decides: the default does."""
    ways = Ways(policies, chain)
    onward = [n for n, s in enumerate(ways.statements) if not s.ends]
    for number in reversed(onward):
        clauses = [*ways.undecided(), *ways.coming(number), *ways.matching(number)]
        example = ways.example(clauses)
        if example is None or not _went(example, ways.statements[number]):
            continue
        statement = ways.statements[number]
        names = ", ".join(chain)
        yield Finding(
            rule="falls-through",
            message=f"policy {names}: what statement {statement.name} lets go on may come to the"
            " end undecided; then the default of the session decides",
            where=statement.where,
            witness={
                "chain": [
                    f"policy {statement.policy}",
                    f"statement {statement.name}",
                    f"route {shown(example)}",
                    "no statement",
                ]
            },
        )
        return


def undecided(policies: PolicySet, chain: Chain) -> str:
    """A route that no statement of a chain decides, as a text; empty if there is none."""
    ways = Ways(policies, chain)
    example = ways.example(ways.undecided())
    return shown(example) if example is not None and example.trace.by_default else ""


def _went(example: Example, statement: Statement) -> bool:
    """Whether the route was let go on by this statement, and decided by none."""
    told = example.trace
    return told.by_default and any(s.matched and s.statement is statement for s in told.steps)


def shown(example: Example) -> str:
    """A route as `ccn policy explain --route` takes it."""
    return json.dumps(route_json(example.path, example.context))


def undone(policy: Policy) -> Iterator[Finding]:
    """Actions without effect: on what is rejected; the same value set anew before anybody looks."""
    for number, statement in enumerate(policy.statements):
        change = statement.change
        if change is None:
            continue
        for reason in _in_vain(policy.statements, number, statement, change):
            yield Finding(
                rule="undone-action",
                message=f"policy {policy.name}, statement {statement.name}: {reason}",
                where=statement.where,
                witness={"chain": [f"policy {policy.name}", f"statement {statement.name}"]},
            )


def _in_vain(
    statements: Sequence[Statement], number: int, statement: Statement, change: Change
) -> Iterator[str]:
    if statement.then == "reject":
        yield "what is set on a route that is rejected is lost"
        return
    for community in change.communities:
        word = community.kind.word
        if community.replace is not None and community.remove is not None:
            yield f"{word}: remove does nothing beside replace"
        for value in community.add:
            # to remove by pattern and add one is how own communities are kept from being forged
            removed = () if community.remove is None else community.remove.members
            if any(member.value == value for member in removed):
                text = community.kind.text(value)
                yield f"{word}: {text} is removed and added; what is added stays"
    if statement.ends:
        return
    for field in fields_of(change):
        if over := _overwriter(statements[number + 1 :], field, statement.then):
            yield f"the {field} that it sets is set again by statement {over.name} before it counts"


def _overwriter(behind: Sequence[Statement], field: str, then: str) -> Statement | None:
    """The statement behind that sets a field anew, whatever the route, before anybody sees it."""
    if then == "next-policy":
        return None
    for statement in behind:
        if any(field_of(c) == field for c in statement.conditions):
            return None
        sets = statement.change is not None and field in _absolute(statement.change)
        if not statement.conditions:
            return statement if sets else None
        if statement.then in ("accept", "next-policy") and not sets:
            return None
    return None


def _absolute(change: Change) -> set[str]:
    """Fields whose old value does not matter for the new one."""
    found = set(fields_of(change)) - {"as-path"}
    if change.med is not None and change.med.relative:
        found.discard("med")
    for community in change.communities:
        word = community.kind.word
        if community.replace is None or word in ("route-target", "extended-community"):
            found.discard("extended-community" if word == "route-target" else word)
    return found
