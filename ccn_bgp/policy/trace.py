"""A route through a chain of policies, every step told. In: what evaluate.py takes. Out: a Trace.

Statement by statement: which condition held or not and why, what each action changed, the result.
It is evaluate() that decides; a property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccn_bgp.model.path import Path
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.evaluate import Accepted, Default, Result, undecided
from ccn_bgp.policy.flight import NOWHERE, Context, Flight
from ccn_bgp.policy.rules import PolicySet, Statement


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: its text, whether it held, and what the route has that makes it so."""

    condition: str
    held: bool
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """One statement that was tried. Every condition is told, also behind one that failed."""

    statement: Statement
    matched: bool
    checks: tuple[Check, ...]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole way: ``steps`` in order, ``result`` as evaluate() gives it, ``default`` as it was
    asked for, and whether it has decided."""

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    result: Result
    default: Default
    by_default: bool

    @property
    def accepted(self) -> bool:
        """Whether the route passes."""
        return isinstance(self.result, Accepted)

    def lines(self) -> Iterator[str]:
        """To be read by a person."""
        return trace_lines(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "policies": list(self.names),
            "default": self.default,
            "by-default": self.by_default,
            "result": "accept" if self.accepted else "reject",
            "steps": [
                {
                    "policy": step.statement.policy,
                    "statement": step.statement.name,
                    "where": step.statement.where,
                    "matched": step.matched,
                    "conditions": [
                        {"condition": c.condition, "held": c.held, "why": c.why}
                        for c in step.checks
                    ],
                    "changes": list(step.changes),
                    "then": step.statement.then if step.matched else None,
                }
                for step in self.steps
            ],
        }


def trace_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """``as_json`` of a Trace, to be read by a person."""
    default = told["default"]
    yield f"policies: {', '.join(told['policies']) or 'none'}; default: {default}"
    for step in told["steps"]:
        word = "matches" if step["matched"] else "does not match"
        yield f"{step['policy']}/{step['statement']} ({step['where']}): {word}"
        for check in step["conditions"]:
            yield f"  {'yes' if check['held'] else 'no '}  {check['condition']}: {check['why']}"
        if not step["conditions"]:
            yield "  yes  no condition: every route matches"
        for change in step["changes"]:
            yield f"  set  {change}"
        if step["matched"]:
            yield f"  then {step['then']}"
    word = f"{told['result']}ed"
    if told["by-default"]:
        reason = " (RFC 8212)" if default == "reject" else ""
        yield f"result: {word}: no statement decided, the default is {default}{reason}"
    else:
        last = told["steps"][-1]
        yield f"result: {word} by {last['policy']}/{last['statement']}"


def trace(
    policies: PolicySet,
    names: Sequence[str],
    path: Path,
    *,
    default: Default,
    context: Context = NOWHERE,
) -> Trace:
    """What evaluate() does with a route, told step by step. KeyError: an unknown policy."""
    flight = Flight.of(path, context)
    steps: list[Step] = []
    hits: list[Statement] = []
    for name in names:
        for statement in policies.policies[name].statements:
            step = _step(statement, flight)
            steps.append(step)
            if not step.matched:
                continue
            if statement.then == "reject":
                denied = Denied(statement.policy, statement.name, statement.where)
                return Trace(tuple(names), tuple(steps), denied, default, False)
            if statement.change is not None:
                flight.attributes = statement.change.apply(flight.attributes, context)
            hits.append(statement)
            if statement.then == "accept":
                accepted = Accepted(flight.attributes, tuple(hits))
                return Trace(tuple(names), tuple(steps), accepted, default, False)
            if statement.then == "next-policy":
                break
    result = undecided(names, flight.attributes, tuple(hits), default)
    return Trace(tuple(names), tuple(steps), result, default, True)


def _step(statement: Statement, flight: Flight) -> Step:
    checks = tuple(Check(str(c), c.holds(flight), c.why(flight)) for c in statement.conditions)
    matched = all(check.held for check in checks)
    change = statement.change
    notes: tuple[str, ...] = ()
    if matched and change is not None and statement.then != "reject":
        notes = change.notes(flight.attributes, flight.context) or ("nothing that differs",)
    return Step(statement, matched, checks, notes)
