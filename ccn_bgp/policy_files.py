"""Policy files and the files that they include: paths come in, every file once goes out.

``include: [FILE, …]`` at the top of a file names others, relative to it. A file that is included
twice is read once; a circle is a fault of the include that closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.source import Source, read_source

INCLUDE = "include"
SETS = (
    "prefix-sets",
    "neighbor-sets",
    "community-sets",
    "large-community-sets",
    "extended-community-sets",
    "route-target-sets",
    "as-path-sets",
    "next-hop-sets",
    "ccn-sets",
    "vpc-sets",
    "idc-sets",
    "region-sets",
)
KEYS = (INCLUDE, *SETS, "policies", "aggregates", "tests")
"""What may stand at the top of a policy file."""
MAX_FILES = 500


@dataclass(slots=True)
class Files:
    """What has been read: ``sources`` in reading order, ``problems`` of the rest."""

    sources: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _done: set[Path] = field(default_factory=set)

    def add(self, paths: Iterable[Path]) -> Files:
        """Read these files and all that they include."""
        for path in paths:
            self._read(Path(path), (), "")
        return self

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that were named, sorted: also those that could not be read."""
        return tuple(sorted(self._done))

    def _read(self, path: Path, above: tuple[tuple[Path, Path], ...], asked_at: str) -> None:
        """``above``: the files that are being read, (resolved, as named), outermost first."""
        real = path.resolve()
        if any(real == other for other, _ in above):
            circle = " → ".join(str(name.name) for _, name in (*above, (real, path)))
            self.problems.append(Problem(asked_at, f"the include closes a circle: {circle}"))
            return
        if real in self._done:
            return
        if len(self._done) >= MAX_FILES:
            if len(self._done) == MAX_FILES:
                self.problems.append(
                    Problem(asked_at or str(path), f"more than {MAX_FILES} files are included")
                )
                self._done.add(real)
            return
        self._done.add(real)
        try:
            source = read_source(path, "policy", KEYS)
        except InputError as error:
            for problem in error.problems:
                if asked_at and problem.where == str(path):  # there is no line to point at
                    what = f"{INCLUDE}: {path} {problem.what}"
                    self.problems.append(Problem(asked_at, what, problem.hint))
                else:
                    self.problems.append(problem)
            return
        self.problems += source.problems
        for index, text in self._included(source):
            where = source.positions.near(INCLUDE, index)
            self._read(path.parent / text, (*above, (real, path)), where)
        self.sources.append(source)

    def _included(self, source: Source) -> Iterator[tuple[int, str]]:
        held = source.data.get(INCLUDE)
        if held is None:
            return
        if not isinstance(held, list):
            where = source.positions.near(INCLUDE)
            self.problems.append(Problem(where, f"{INCLUDE} must be a list of files"))
            return
        for index, text in enumerate(held):
            if isinstance(text, str) and text:
                yield index, text
            else:
                where = source.positions.near(INCLUDE, index)
                self.problems.append(Problem(where, f"{INCLUDE}: {text!r} is not a file name"))
