"""Operator faults, as exceptions. Peer faults are values (see model/reason.py), never these.

    CcnError                     exit 1   something failed while running
    ├── InputError               exit 2   a file or argument cannot be read or is invalid
    ├── RefusedError             exit 3   verification found errors
    └── UnreachableError         exit 4   the gateway or forwarder could not be reached

The exit codes are mapped once, in cli/main.py. Each error prints as one line per problem:
where, what, and the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong: where (``file:line:column``, a path or a peer), what, the way out."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} ({self.hint})" if self.hint else line


class CcnError(Exception):
    """Something failed while running; ``problems`` holds one entry per line to print."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem("", p) if isinstance(p, str) else p for p in problems
        )
        super().__init__("\n".join(str(p) for p in self.problems))


class InputError(CcnError):
    """A file or argument cannot be read or is invalid; all problems found are listed."""

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> InputError:
        """All problems of one input, in the order in which they stand there."""
        return cls(*problems)


class RefusedError(CcnError):
    """Verification found errors; nothing was changed."""


class UnreachableError(CcnError):
    """The gateway or the forwarder could not be reached."""
