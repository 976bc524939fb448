"""Which tables a packet meets, where flows may go several ways.

In: what stands in each table for one address. Out: the first way, in the order of the choices, on
which a rule is broken. Names or numbers of tables, whichever the caller has.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)

PACKET_RULES = frozenset(("blackhole", "loop", "misdelivery"))
"""Rules that hold for some ways of a packet; all others hold wherever it goes."""
ARRIVED = "arrived"
"""Verdict on a packet that is where it should be."""

Look = Callable[[Node], tuple[str, Sequence[Node]]]
"""What becomes of the packet in a table: a verdict on those that end there (ARRIVED or a packet
rule; empty if none does), and the tables that others are sent to."""


def way(entry: Node, onward: Sequence[Node], look: Look[Node], rule: str) -> list[Node]:
    """Tables from ``entry`` on to where ``rule`` is broken (of a rule that no packet breaks, to
    where the first way ends); a loop ends with the table that comes again. ``onward``: what follows
    the entry. Only the entry, if there is no such way."""
    path: list[Node] = [entry]
    done: set[Node] = set()
    waiting: list[list[Node]] = [list(reversed(onward))]
    while waiting:
        if not waiting[-1]:
            waiting.pop()
            done.add(path.pop())
            continue
        table = waiting[-1].pop()
        if table in path:
            if rule == "loop" or rule not in PACKET_RULES:
                return [*path, table]
        elif table not in done:
            path.append(table)
            verdict, further = look(table)
            if verdict and (verdict == rule or rule not in PACKET_RULES):
                return path
            waiting.append(list(reversed(further)))
    return [entry]
