"""A chain of policies over columns: routes by the million in, a verdict number for each out.

What evaluate() makes of a route depends on its prefix only through the prefix sets of the chain
(classes.py), and on the rest only through its body: attributes, Context and the other fields of its
NLRI. So every body is judged once in every class in which it occurs. Of a body first those
statements are picked out whose other conditions hold; per class only bits are left to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.classes import I8, U1, PrefixClasses
from ccn_bgp.policy.conditions import Condition, PrefixCondition
from ccn_bgp.policy.evaluate import Accepted, Default, Result, undecided
from ccn_bgp.policy.flight import Flight
from ccn_bgp.policy.rules import PolicySet, Statement

_SPARE = 1 << 16


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement of the chain. ``prefixes``: (sets as bits, whether inverted), all must hold;
    ``others``: its other conditions; ``leave``: the first step of the next policy."""

    statement: Statement
    prefixes: tuple[tuple[int, bool], ...]
    others: tuple[Condition, ...]
    leave: int


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """``verdicts``: different ones, by number; ``which``: int64[n], the number for each row."""

    verdicts: tuple[Result, ...]
    which: I8

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """bool[n]: whether each row may pass."""
        mask = np.array([isinstance(v, Accepted) for v in self.verdicts], np.bool_)
        found: npt.NDArray[np.bool_] = mask[self.which]
        return found


class Columns:
    """A chain ``names`` with its default; KeyError for a name that is no policy."""

    def __init__(self, policies: PolicySet, names: Sequence[str], default: Default) -> None:
        self.names = tuple(names)
        self.default = default
        self.classes = PrefixClasses(policies, names)
        self._steps: list[_Step] = []
        for name in names:
            statements = policies.policies[name].statements
            leave = len(self._steps) + len(statements)
            self._steps += [self._step(statement, leave) for statement in statements]

    def _step(self, statement: Statement, leave: int) -> _Step:
        prefixes = tuple(
            (self.classes.bits_of(c.sets), c.invert) for c in statement.prefix_conditions
        )
        others = tuple(c for c in statement.conditions if not isinstance(c, PrefixCondition))
        return _Step(statement, prefixes, others, leave)

    def judge(self, bodies: Sequence[Flight], which: I8, address: U1, length: U1) -> Judged:
        """Rows of one family. ``bodies``: a Flight for each body, with any prefix of the family;
        ``which``: int64[n], the body of each row; ``address``: uint8[n, 4 or 16], host bits
        cleared; ``length``: uint8[n]."""
        classes = self.classes.classes(address, length)
        count = self.classes.count
        pairs = which if count == 1 else which * count + classes
        used, at = _numbered(pairs, len(bodies) * count)
        results: dict[int, int] = {}
        verdicts: list[Result] = []
        numbers = np.empty(len(used), np.int64)
        judges: dict[int, _Body] = {}
        bits = self.classes.bits
        for place, pair in enumerate(used.tolist()):
            body, class_ = divmod(pair, count)
            judge = judges.get(body)
            if judge is None:
                judge = judges[body] = _Body(self, bodies[body])
            result = judge.result(bits[class_])
            number = results.get(id(result))
            if number is None:
                number = results[id(result)] = len(verdicts)
                verdicts.append(result)
            numbers[place] = number
        return Judged(tuple(verdicts), numbers[at])


class _Body:
    """One body under a chain; equal outcomes are one object."""

    def __init__(self, chain: Columns, flight: Flight) -> None:
        self.chain = chain
        self.flight = flight
        self.begun = flight.attributes
        self._live: dict[int, tuple[PathAttributes, list[tuple[int, _Step]]]] = {}
        self._made: dict[tuple[int, ...], Result] = {}

    def result(self, bits: int) -> Result:
        """What becomes of it where the sets ``bits`` hold the prefix."""
        attributes = self.begun
        hits: tuple[int, ...] = ()
        at = 0
        while True:
            for number, step in self._of(attributes):
                if number < at or not _holds(step.prefixes, bits):
                    continue
                statement = step.statement
                hits = (*hits, number)
                if statement.ends:
                    return self._made.get(hits) or self._ended(hits, attributes)
                changed = attributes
                if statement.change is not None:
                    changed = statement.change.apply(attributes, self.flight.context)
                at = step.leave if statement.then == "next-policy" else number + 1
                if changed is not attributes:
                    attributes = changed
                    break  # the statements that are left see another route
            else:
                return self._made.get((*hits, -1)) or self._ended((*hits, -1), attributes)

    def _of(self, attributes: PathAttributes) -> list[tuple[int, _Step]]:
        """The steps whose other conditions hold for these attributes."""
        held = self._live.get(id(attributes))
        if held is None:
            flight = self.flight
            flight.attributes = attributes
            live = [
                (number, step)
                for number, step in enumerate(self.chain._steps)
                if all(condition.holds(flight) for condition in step.others)
            ]
            flight.attributes = self.begun
            held = self._live[id(attributes)] = (attributes, live)
        return held[1]

    def _ended(self, hits: tuple[int, ...], attributes: PathAttributes) -> Result:
        steps = self.chain._steps
        through = tuple(steps[number].statement for number in hits if number >= 0)
        result: Result
        if hits[-1] < 0:
            result = undecided(self.chain.names, attributes, through, self.chain.default)
        else:
            last = through[-1]
            if last.then == "reject":
                result = Denied(last.policy, last.name, last.where)
            else:
                if last.change is not None:
                    attributes = last.change.apply(attributes, self.flight.context)
                result = Accepted(attributes, through)
        self._made[hits] = result
        return result


def _holds(prefixes: tuple[tuple[int, bool], ...], bits: int) -> bool:
    return all(bool(asked & bits) is not invert for asked, invert in prefixes)


def _numbered(values: I8, top: int) -> tuple[I8, I8]:
    """The different values, ascending, and which of them each is."""
    if top > 8 * len(values) + _SPARE:
        used, at = np.unique(values, return_inverse=True)
        return used, at
    seen = np.zeros(top, np.bool_)
    seen[values] = True
    used = np.flatnonzero(seen)
    number = np.zeros(top, np.int64)
    number[used] = np.arange(len(used))
    return used, number[values]
