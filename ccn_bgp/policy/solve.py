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
    """One cell of each dimension (or several, if it does not matter which), so that all clauses
    hold; the lowest cell of what is not asked for.

    ``full``: all cells of each dimension. TooHardError: given up.
    """
    branches: list[tuple[list[int], Sequence[Clause]]] = [(list(full), clauses)]
    for _ in range(MAX_STEPS):
        if not branches:
            return None
        state, waiting = branches.pop()
        left = _propagate(state, waiting)
        if left is None:
            continue
        if not left:
            return state
        # Most of what is open does not matter: whatever has a lowest cell takes it. What then does
        # not hold has to be decided: by its first word, or its second without the first …
        guess = [mask & -mask for mask in state]
        broken = [c for c in left if not any(guess[d] & mask for d, mask in c)]
        if not broken:
            return guess
        others: list[tuple[list[int], Sequence[Clause]]] = []
        for dimension, mask in min(broken, key=len):
            branch = state.copy()
            branch[dimension] &= mask
            others.append((branch, left))
            state[dimension] &= ~mask
            if not state[dimension]:
                break
        branches += reversed(others)
    raise TooHardError


def _propagate(state: list[int], waiting: Sequence[Clause]) -> list[Clause] | None:
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
