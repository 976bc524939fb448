"""A small solver: dimensions of a few cells and clauses over them in, an assignment out.

A dimension's value is one of its cells; a set of cells is a mask. A clause is a list of (dimension,
mask), of which one must hold. Complete: None means that there is no assignment.
"""

from __future__ import annotations

from collections.abc import Sequence

Literal = tuple[int, int]
Clause = tuple[Literal, ...]
MAX_STEPS = 20_000


class TooHardError(Exception):
    """More steps than anybody waits for."""


def solve(full: Sequence[int], clauses: Sequence[Clause]) -> list[int] | None:
    """For every dimension the cells that are left: whichever of them is taken, all clauses hold.

    ``full``: all cells of each dimension. TooHardError: given up.
    """
    steps = [0]

    def search(state: list[int], waiting: list[Clause]) -> list[int] | None:
        steps[0] += 1
        if steps[0] > MAX_STEPS:
            raise TooHardError
        found = _propagate(state, waiting)
        if found is None:
            return None
        if not found:
            return state
        shortest = min(found, key=len)
        for number, (dimension, mask) in enumerate(shortest):
            branch = state.copy()
            branch[dimension] &= mask
            for other, other_mask in shortest[:number]:
                branch[other] &= ~other_mask
            if all(branch[d] for d, _ in shortest[: number + 1]):
                answer = search(branch, found)
                if answer is not None:
                    return answer
        return None

    return search(list(full), list(clauses))


def _propagate(state: list[int], waiting: list[Clause]) -> list[Clause] | None:
    """Narrow the state by clauses with one literal left; returns those that are still open, each
    without what cannot hold any more; None: one cannot hold."""
    while True:
        again = False
        left: list[Clause] = []
        for clause in waiting:
            open_: list[Literal] = []
            for dimension, mask in clause:
                cells = state[dimension]
                if not cells & ~mask:
                    break  # holds whatever comes
                if cells & mask:
                    open_.append((dimension, mask))
            else:
                if not open_:
                    return None
                if len(open_) == 1:
                    dimension, mask = open_[0]
                    state[dimension] &= mask
                    again = True
                else:
                    left.append(tuple(open_))
        waiting = left
        if not again:
            return left
