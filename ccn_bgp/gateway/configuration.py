"""Is what the files say in force? In: what became of every reading of them. Out: what was refused
since, with its reasons, and which files have been edited since they were read; as JSON values.

A refusal stands until the next reading of its kind that is accepted; a reload reads everything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Literal

from ccn_bgp.config.inventory import stamps
from ccn_bgp.errors import Problem
from ccn_bgp.gateway.intent import Intent

SHOWN = 20
"""Lines kept of one refusal; the log has all."""
Kind = Literal["topology", "inventory"]


@dataclass(frozen=True, slots=True)
class Refused:
    """One reading that was refused. ``when``: seconds since 1970; ``more``: lines left out."""

    when: float
    problems: tuple[Problem, ...]
    more: int = 0


def fault_of_ours(error: Exception) -> Problem:
    """One line in the place of a traceback, which the log has."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Problem("", f"a fault of ours: {text}", "the log of `ccn run` has its traceback")


class Configuration:
    """The files of one gateway, as far as they are in force."""

    def __init__(self, file: FilePath) -> None:
        self.file = file
        self.since = 0.0
        self.accepted_count = self.refused_count = 0
        self.refusals: dict[Kind, Refused] = {}
        self.changes: tuple[str, ...] = ()
        self._files: tuple[FilePath, ...] = ()
        self._stamps: Sequence[Any] = ()
        self._begun = 0.0

    def accepted(self, intent: Intent, begun: float, changes: Sequence[str] = ()) -> None:
        """The files are in force as they were read; ``begun``: when the reading began, seconds
        since 1970; ``changes``: what that has changed, as the log has it."""
        self.changes = tuple(changes)
        self.accepted_count += 1
        self.since = time.time()
        self.refusals.clear()
        self._files = (self.file, *intent.policies.files)
        self._stamps, self._begun = stamps(self._files), begun

    def refused(self, kind: Kind, problems: Iterable[Problem]) -> None:
        """What was read is not to be; all is as it was."""
        found = tuple(problems)
        self.refused_count += 1
        self.refusals[kind] = Refused(time.time(), found[:SHOWN], len(found[SHOWN:]))

    def inventory_accepted(self) -> None:
        """The inventories are in force as they are now."""
        self.refusals.pop("inventory", None)

    def edited(self) -> list[FilePath]:
        """Files of topology and policies that are not as they were when they were read."""
        found = []
        now = time.time()
        for file, then, at in zip(self._files, self._stamps, stamps(self._files), strict=True):
            written = at[2] / 1e9 if at is not None else 0.0
            # Written while it was being read: nobody knows which half is in force.
            if at != then or self._begun < written < min(self.since, now):
                found.append(file)
        return found

    @property
    def mended(self) -> str:
        """What to do about what was refused."""
        return f"mend it until `ccn validate {self.file}` is content, then `{self.again}`"

    @property
    def again(self) -> str:
        """How to have the files read."""
        return f"kill -HUP {os.getpid()}"

    def counters(self) -> dict[str, int]:
        """For ``ccn show counters``: how often it was read, and how many readings stand refused."""
        return {
            "accepted": self.accepted_count,
            "refused": self.refused_count,
            "not-in-force": len(self.refusals),
        }

    def as_json(self) -> dict[str, Any]:
        """For ``ccn show status --json``."""
        return {
            "file": str(self.file),
            "since": self.since,
            "reloads": {"accepted": self.accepted_count, "refused": self.refused_count},
            "changes": list(self.changes),
            "edited": [str(file) for file in self.edited()],
            "refused": [
                {
                    "what": kind,
                    "when": refused.when,
                    "problems": [
                        {"where": p.where, "what": p.what, "hint": p.hint} for p in refused.problems
                    ],
                    "more": refused.more,
                }
                for kind, refused in sorted(self.refusals.items())
            ],
        }
