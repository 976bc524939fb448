"""What an edit of policies changes. In: the same chain before and after. Out: of given routes those
that are treated otherwise, in groups; without routes, some that tell the two apart, or the proof
that none does.

The proof walks the ways through both chains at once (ways.py): a pair of ends that a route can come
to by both is searched for one, and that is tried. What is shown has been seen to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ccn_bgp.model.path import Path
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.conditions import Condition, NameCondition, NeighborCondition, NextHopCondition
from ccn_bgp.policy.evaluate import Accepted, Default, Result, evaluate
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.routes import attributes_json
from ccn_bgp.policy.rules import Policy, PolicySet, Statement
from ccn_bgp.policy.solve import Clause, Literal, TooHardError
from ccn_bgp.policy.space import Space
from ccn_bgp.policy.ways import Ways

_OLD, _NEW = "before:", "after:"
"""No policy has a colon in its name."""
MAX_TRIED = 256
"""Ways through the statements that let a route go on that are tried for one pair of ends."""


class Both(NamedTuple):
    """What two versions of a chain make of one route."""

    path: Path
    context: Context
    before: Result
    after: Result

    @property
    def group(self) -> tuple[str, str, tuple[str, ...]]:
        """Who decided before, who after, and which attributes differ: what is counted together."""
        return _decider(self.before), _decider(self.after), tuple(self.attributes)

    @property
    def attributes(self) -> dict[str, tuple[Any, Any]]:
        """The attributes that differ, before and after, where both accept."""
        if not isinstance(self.before, Accepted) or not isinstance(self.after, Accepted):
            return {}
        if self.before.attributes == self.after.attributes:
            return {}
        old, new = attributes_json(self.before.attributes), attributes_json(self.after.attributes)
        keys = sorted(old.keys() | new.keys())
        return {k: (old.get(k), new.get(k)) for k in keys if old.get(k) != new.get(k)}


def _decider(result: Result) -> str:
    """The word, and the statement that spoke it."""
    if not isinstance(result, Accepted):
        by = f"{result.policy}/{result.statement}" if result.where else "default"
        return f"reject by {by}"
    last = None if result.by_default or not result.trace else result.trace[-1]
    return f"accept by {f'{last.policy}/{last.name}' if last else 'default'}"


@dataclass(slots=True)
class Group:
    """Routes that an edit treats otherwise in the same way: how many, and one of them."""

    example: Both
    count: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """``found``: routes that tell the chains apart, one for each way. ``open``: pairs of ends of
    which nobody can say whether a route comes to both and is treated otherwise. Without either the
    chains are equal."""

    found: tuple[Both, ...]
    open: tuple[tuple[str, str], ...]

    @property
    def equal(self) -> bool:
        """No route tells them apart: proved."""
        return not self.found and not self.open


def differing(
    before: PolicySet,
    after: PolicySet,
    names: Sequence[str],
    routes: Iterable[tuple[Path, Context]],
    default: Default,
    *,
    watch: Callable[[Both], None] | None = None,
) -> tuple[list[Group], int]:
    """The routes that change their result or attributes, grouped, the largest group first; and how
    many routes there were. ``watch`` is told of every route. KeyError: an unknown policy."""
    groups: dict[tuple[str, str, tuple[str, ...]], Group] = {}
    count = 0
    for path, context in routes:
        count += 1
        both = Both(
            path,
            context,
            evaluate(before, names, path, default=default, context=context),
            evaluate(after, names, path, default=default, context=context),
        )
        if watch is not None:
            watch(both)
        if _differ(both):
            groups.setdefault(both.group, Group(both)).count += 1
    return sorted(groups.values(), key=lambda g: (-g.count, g.example.group)), count


def _differ(both: Both) -> bool:
    if isinstance(both.before, Accepted) is not isinstance(both.after, Accepted):
        return True
    return bool(both.attributes)


def prove(before: PolicySet, after: PolicySet, names: Sequence[str], default: Default) -> Proof:
    """Whether any route tells the two versions of a chain apart. KeyError: an unknown policy."""
    joined = _joined(before, after, names)
    chains = [[prefix + name for name in names] for prefix in (_OLD, _NEW)]
    space = Space(joined, [*chains[0], *chains[1]])
    old, new = (Ways(joined, chain, space) for chain in chains)
    found: dict[tuple[str, str, tuple[str, ...]], Both] = {}
    open_: list[tuple[str, str]] = []
    for one in _ends(old, default):
        for other in _ends(new, default):
            if one.same_effect(other):
                continue
            both, certain = _search(old, new, (one, other), default)
            if both is not None:
                found.setdefault(both.group, both)
            elif not certain:
                open_.append((one.name, other.name))
    return Proof(tuple(found[key] for key in sorted(found)), tuple(open_))


class _End(NamedTuple):
    """One end of a chain: what it takes to come there, and what happens then. ``steps``: the
    statements on the way that let a route go on changed: what says that one matches, its change."""

    name: str
    clauses: list[Clause]
    accepts: bool
    change: Change | None
    steps: tuple[tuple[Literal, Change], ...]

    def same_effect(self, other: _End) -> bool:
        """Whether a route that comes to both is treated alike, whichever it is."""
        if self.accepts is not other.accepts:
            return False
        nothing_before = not self.steps and not other.steps
        return not self.accepts or (nothing_before and self.change == other.change)

    def changes(self, taken: Collection[Literal]) -> list[Change]:
        """What is changed if these steps match."""
        found = [change for step, change in self.steps if step in taken]
        return found if self.change is None else [*found, self.change]


def _ends(ways: Ways, default: Default) -> Iterator[_End]:
    steps: tuple[tuple[Literal, Change], ...] = ()
    leaving: dict[str, list[Literal]] = {}
    for number, statement in enumerate(ways.statements):
        skipped_by = leaving.setdefault(statement.policy, [])
        if statement.ends:
            clauses = [*ways.coming(number), *ways.matching(number)]
            name = f"{statement.policy.partition(':')[2]}/{statement.name}"
            accepts = statement.then == "accept"
            yield _End(name, clauses, accepts, statement.change, steps)
        elif statement.change is not None:
            # It matches, and none before it in its policy has left that.
            reached = [ways.matches[number], *map(ways.space.negated, skipped_by)]
            steps = (*steps, (ways.space.both(reached), statement.change))
        if statement.then == "next-policy":
            skipped_by.append(ways.matches[number])
    yield _End("default", ways.undecided(), default == "accept", None, steps)


def _search(
    old: Ways, new: Ways, ends: tuple[_End, _End], default: Default
) -> tuple[Both | None, bool]:
    """A route that comes to both ends and is treated otherwise; without one, whether it is certain
    that there is none."""
    space, certain = old.space, True
    clauses = [clause for end in ends for clause in end.clauses]
    steps = list(dict.fromkeys(step for end in ends if end.accepts for step, _ in end.steps))
    tried = 0
    for taken in _ways_through(space, clauses, steps):
        tried += 1
        if taken is None or tried > MAX_TRIED:
            return None, False
        if ends[0].accepts and ends[1].accepts and ends[0].changes(taken) == ends[1].changes(taken):
            continue
        state = space.find([*clauses, *_fixed(space, steps, taken)])
        route = None if state is None else space.route(state)
        if route is not None:
            both = Both(*route, *(_result(ways, *route, default) for ways in (old, new)))
            if _differ(both):
                return both, True
        certain = False
    return None, certain


def _fixed(space: Space, steps: Sequence[Literal], taken: Collection[Literal]) -> list[Clause]:
    return [(step if step in taken else space.negated(step),) for step in steps]


def _ways_through(
    space: Space, clauses: Sequence[Clause], steps: Sequence[Literal]
) -> Iterator[tuple[Literal, ...] | None]:
    """Which of these steps may match together and no others of them, each set of them once; None:
    nobody can tell."""

    def walk(at: int, taken: tuple[Literal, ...]) -> Iterator[tuple[Literal, ...] | None]:
        try:
            if space.find([*clauses, *_fixed(space, steps[:at], taken)]) is None:
                return
        except TooHardError:
            yield None
            return
        if at == len(steps):
            yield taken
            return
        yield from walk(at + 1, taken)
        yield from walk(at + 1, (*taken, steps[at]))

    return walk(0, ())


def _result(ways: Ways, path: Path, context: Context, default: Default) -> Result:
    result = evaluate(ways.policies, ways.names, path, default=default, context=context)
    if isinstance(result, Accepted):
        trace = tuple(replace(s, policy=s.policy.partition(":")[2]) for s in result.trace)
        return replace(result, trace=trace)
    return replace(result, policy=result.policy.replace(_OLD, "").replace(_NEW, ""))


def _joined(before: PolicySet, after: PolicySet, names: Sequence[str]) -> PolicySet:
    """Both versions in one set, under other names."""
    found: dict[str, Policy] = {}
    for prefix, policies in ((_OLD, before), (_NEW, after)):
        for name in names:
            held = policies.policies[name]
            statements = tuple(_renamed(s, prefix + name) for s in held.statements)
            found[prefix + name] = replace(held, name=prefix + name, statements=statements)
    return PolicySet(found)


def _renamed(statement: Statement, policy: str) -> Statement:
    conditions = tuple(_nameless(c) for c in statement.conditions)
    return replace(statement, policy=policy, conditions=conditions)


def _nameless(condition: Condition) -> Condition:
    """Sets that the space knows by what they are must not differ in where they stand."""
    if isinstance(condition, NeighborCondition):
        bare = tuple(replace(s, name="", where="") for s in condition.sets)
        return replace(condition, sets=bare)
    if isinstance(condition, NextHopCondition):
        return replace(condition, sets=tuple(replace(s, name="", where="") for s in condition.sets))
    if isinstance(condition, NameCondition):
        return replace(condition, sets=tuple(replace(s, name="", where="") for s in condition.sets))
    return condition
