"""A YAML file with the position of every value: bytes come in, plain data and positions go out.

Topologies and policies are both read through here, so that every message about either can name
``file:line:column``. The file is hostile until proven otherwise: size, depth and the expansion of
aliases are bounded, tags are refused. Scalars follow the YAML 1.2 core schema (``yes``, ``0x10``
and ``02:00`` stay text), but for ``+10``, which stays text: it is not the same as 10. Uses the C
parser where ruamel.yaml has it; the pure one otherwise.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, __with_libyaml__
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.nearest import nearest

MAX_OCTETS = 64 << 20
MAX_DEPTH = 32
MAX_VALUES = 8_000_000
MAX_PROBLEMS = 200
"""Shown at once; nobody reads more."""
MAX_STRANGE_KEYS = 20
"""So many unknown keys at the top, and it is another kind of file: stop reading."""

_INT = re.compile(r"-?[0-9]{1,19}\Z")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?\Z|[-+]?[0-9]+[eE][-+]?[0-9]+\Z"
)
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

# A mark is line << 32 | column, both from 1. Marks of a scalar: its mark. Of a list:
# (mark, [marks of items]). Of a mapping: (mark, {key: (mark of the key, marks of the value)}).
Marks = Any


PATIENCE = 5.0
"""Seconds for which a pipe may be silent."""
WANTED = "a YAML file in UTF-8 is wanted"
MAX_BESIDE = 200
"""Files looked at for a name that was meant."""


class Positions(Mapping[str, str]):
    """``file:line:column`` by dotted key path; texts are made only when asked for.

    A scalar is where its value stands; a list or mapping is where its key stands.
    """

    def __init__(self, file: Path, marks: Marks) -> None:
        self._file = file
        self._marks = marks

    def text(self, mark: int) -> str:
        """A mark as ``file:line:column``."""
        return f"{self._file}:{mark >> 32}:{mark & 0xFFFFFFFF}"

    def key(self, *path: str | int) -> str:
        """Where the last *key* of this path stands (for a key that should not be there)."""
        found = self._find([str(word) for word in path])
        return self.text(found[0]) if found else self.near(*path[:-1])

    def near(self, *path: str | int) -> str:
        """Where the value at this path stands, or its nearest parent that does."""
        words = [str(word) for word in path]
        while words:
            if found := self._find(words):
                return self.text(_shown(found))
            words.pop()
        return f"{self._file}:1:1"

    def __getitem__(self, path: str) -> str:
        if (found := self._find(path.split("."))) is None:
            raise KeyError(path)
        return self.text(_shown(found))

    def __iter__(self) -> Iterator[str]:
        stack: list[tuple[str, Marks]] = [("", self._marks)]
        while stack:
            path, marks = stack.pop()
            for word, entry in _entries(marks):
                name = f"{path}.{word}" if path else word
                yield name
                stack.append((name, entry[1]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def beneath(self, path: str) -> frozenset[str]:
        """The positions of the value at this path and of all that is in it."""
        if (found := self._find(path.split("."))) is None:
            return frozenset()
        texts, stack = {self.text(_shown(found))}, [found[1]]
        while stack:
            for _, entry in _entries(stack.pop()):
                texts.add(self.text(_shown(entry)))
                stack.append(entry[1])
        return frozenset(texts)

    def _find(self, words: list[str]) -> tuple[int, Marks] | None:
        marks = self._marks
        entry: tuple[int, Marks] | None = None
        for word in words:
            children = marks[1] if isinstance(marks, tuple) else None
            if isinstance(children, dict):
                entry = children.get(word)
            elif isinstance(children, list) and word.isdecimal() and int(word) < len(children):
                item = children[int(word)]
                entry = (_own(item), item)
            else:
                return None
            if entry is None:
                return None
            marks = entry[1]
        return entry


def _own(marks: Marks) -> int:
    return int(marks[0] if isinstance(marks, tuple) else marks)


def _shown(entry: tuple[int, Marks]) -> int:
    return entry[0] if isinstance(entry[1], tuple) else int(entry[1])


def _entries(marks: Marks) -> Iterable[tuple[str, tuple[int, Marks]]]:
    children = marks[1] if isinstance(marks, tuple) else ()
    if isinstance(children, dict):
        yield from children.items()
    else:
        for index, item in enumerate(children):
            yield str(index), (_own(item), item)


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read. ``problems`` did not stop the reading (a key given twice)."""

    file: Path
    data: dict[str, Any]
    positions: Positions
    problems: list[Problem] = field(default_factory=list)


Progress = Callable[[float], None]
"""Told now and then how much is done, from 0 to 1."""


def read_source(
    path: Path, kind: str, keys: Iterable[str], progress: Progress | None = None
) -> Source:
    """Read one YAML file whose top is a mapping with (some of) these keys.

    ``kind`` names it in messages (``topology``). Raises InputError, one problem, if the file cannot
    be read, is no YAML or breaks a bound.
    """
    text = _read_text(path)
    # The C parser is twenty times as quick, but reads YAML 1.1 (no colon in a plain scalar of a
    # flow mapping) and words its complaints differently: what it refuses, the pure one decides.
    for pure in (False, True) if __with_libyaml__ else (True,):
        try:
            return _compose(path, text, kind, frozenset(keys), pure=pure, progress=progress)
        except InputError:
            raise
        except Exception as error:
            # On hostile octets the scanners raise whatever happens (OverflowError, IndexError …).
            if pure:
                raise InputError(_syntax_problem(path, text, error)) from None
    raise AssertionError  # the pure parser has returned or raised


_WAYS_OUT = {
    "found character '\\t' that cannot start any token": "indent with blanks, never with tabs",
    "mapping values are not allowed here": (
        "indent the line as deep as its neighbours; quote a text that holds ': '"
    ),
}
"""Of complaints that do not say it themselves."""


def _syntax_problem(path: Path, text: str, error: Exception) -> Problem:
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}:1:1"
        words = " ".join(str(error.problem or error.context or "syntax error").split())
        hint = " ".join(str(error.context or "").split()) if error.problem else ""
        return Problem(where, f"not YAML: {words}", _WAYS_OUT.get(words, hint))
    offset = getattr(error, "position", 0)  # ReaderError knows an offset only
    before = text[: offset if isinstance(offset, int) else 0]
    where = f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    words = str(getattr(error, "reason", None) or error).split("\n", 1)[0]
    return Problem(where, f"not YAML: {words}")


def _read_text(path: Path) -> str:
    try:
        raw = _octets(path, MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(str(path), f"cannot be read: {words}", _beside(path))) from None
    if len(raw) > MAX_OCTETS:
        raise InputError(Problem(str(path), f"is larger than {MAX_OCTETS >> 20} MiB"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputError(Problem(f"{path}:{line}:{column}", "is not UTF-8 text", WANTED)) from None
    if not text.strip():
        raise InputError(Problem(f"{path}:1:1", "the file is empty", WANTED))
    return text


def _octets(path: Path, most: int) -> bytes:
    """At most so many octets of a file. A pipe (``<(…)`` of a shell) is read, too, but not waited
    for if nobody writes into it."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            return file.read(most)
        found = b""
        while len(found) < most:
            if not select.select([file], [], [], PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, "nobody writes into this pipe")
            piece = os.read(file.fileno(), min(most - len(found), 1 << 20))
            if not piece:
                break
            found += piece
        return found


def _beside(path: Path) -> str:
    """Of a file that is not there: the nearest name of one that is."""
    try:
        if path.exists() or not path.parent.is_dir():
            return ""
        there = [name.name for name in islice(path.parent.glob("*.y*ml"), MAX_BESIDE)]
    except (OSError, ValueError):
        return ""
    return nearest(path.name, there, "there is")


class _Frame:
    """A list or mapping being filled."""

    __slots__ = ("anchor", "data", "key", "key_mark", "mark", "marks", "values")

    def __init__(self, data: Any, mark: int, anchor: str | None) -> None:
        self.data = data
        self.mark = mark
        self.anchor = anchor
        self.marks: Any = {} if isinstance(data, dict) else []
        self.key: str | None = None
        self.key_mark = 0
        self.values = 1


def _compose(
    path: Path,
    text: str,
    kind: str,
    known: frozenset[str],
    *,
    pure: bool,
    progress: Progress | None,
) -> Source:
    problems: list[Problem] = []
    anchors: dict[str, tuple[Any, Marks, int]] = {}
    stack: list[_Frame] = []
    root: tuple[Any, Marks] | None = None
    values = strange = 0
    lines = text.count("\n") + 1

    def fail(mark: int, what: str, hint: str = "") -> InputError:
        where = f"{path}:{mark >> 32}:{mark & 0xFFFFFFFF}"
        return InputError(Problem(where, what, hint))

    for event in YAML(typ="safe", pure=pure).parse(text):
        if isinstance(event, DocumentStartEvent) and root is not None:
            raise fail(_mark(event), "a second document begins here", "one file is one document")
        anchor: str | None = getattr(event, "anchor", None)
        size = 1
        if isinstance(event, ScalarEvent):
            mark = _mark(event)
            if event.tag not in (None, "", "!") and not event.implicit[0]:
                raise fail(mark, f"the tag {event.tag} is not used here", "remove it")
            data = _plain(event.value) if event.implicit[0] and not event.style else event.value
            marks: Marks = mark
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            mark = _mark(event)
            if not stack and not isinstance(event, MappingStartEvent):
                raise fail(mark, f"this is no {kind} file: it must begin with a key")
            if event.tag not in (None, "", "!") and not event.implicit:
                raise fail(mark, f"the tag {event.tag} is not used here", "remove it")
            if len(stack) >= MAX_DEPTH:
                raise fail(mark, f"nested deeper than {MAX_DEPTH} levels")
            if stack and isinstance(stack[-1].data, dict) and stack[-1].key is None:
                raise fail(mark, "a key must be plain text")
            stack.append(_Frame({} if isinstance(event, MappingStartEvent) else [], mark, anchor))
            continue
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            frame = stack.pop()
            data, marks, size, anchor = (
                frame.data,
                (frame.mark, frame.marks),
                frame.values,
                frame.anchor,
            )
        elif isinstance(event, AliasEvent):
            mark = _mark(event)
            if anchor not in anchors:
                raise fail(mark, f"the alias *{anchor} has no anchor before it")
            data, marks, size = anchors[anchor]
            anchor = None
        else:
            continue

        values += size if isinstance(event, AliasEvent) else 1
        if progress is not None and not values & 0x3FFF:
            progress(event.start_mark.line / lines)
        if values > MAX_VALUES:
            raise fail(_mark(event), f"holds more than {MAX_VALUES} values, aliases expanded")
        if anchor:
            anchors[anchor] = (data, marks, size)
        if not stack:
            root = (data, marks)
            continue
        top = stack[-1]
        top.values += size
        if isinstance(top.data, list):
            top.data.append(data)
            top.marks.append(marks)
        elif top.key is None:
            if isinstance(data, (dict, list)) or not isinstance(event, ScalarEvent):
                raise fail(_mark(event), "a key must be plain text")
            top.key, top.key_mark = event.value, _mark(event)
            if len(stack) == 1 and event.value not in known:
                strange += 1
                if strange > MAX_STRANGE_KEYS:
                    raise fail(
                        _own(stack[0].mark), f"this is no {kind} file: too many unknown keys"
                    )
        else:
            if top.key in top.data:
                first = top.marks[top.key][0]
                problems.append(
                    Problem(
                        f"{path}:{top.key_mark >> 32}:{top.key_mark & 0xFFFFFFFF}",
                        f"the key '{top.key}' stands here twice",
                        f"first in line {first >> 32}",
                    )
                )
            else:
                top.data[top.key] = data
                # Nothing after the colon: parsers disagree where it stands; the key is certain.
                top.marks[top.key] = (top.key_mark, top.key_mark if data is None else marks)
            top.key = None

    if root is None or root[0] is None:
        raise InputError(Problem(f"{path}:1:1", "the file is empty"))
    if not isinstance(root[0], dict):
        raise fail(_own(root[1]), f"this is no {kind} file: it must begin with a key")
    return Source(path, root[0], Positions(path, root[1]), problems)


def _mark(event: Any) -> int:
    mark = event.start_mark
    return int((mark.line + 1) << 32 | (mark.column + 1))


def _plain(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema, decimal numbers only."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first in "-+.0123456789":
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            return float(text)
    return text


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, in the order in which they stand in the file; at most MAX_PROBLEMS."""
    found = sorted(set(problems), key=lambda problem: (*place(problem.where), problem))
    shown = [Problem(p.where, _clipped(p.what), _clipped(p.hint)) for p in found[:MAX_PROBLEMS]]
    if more := len(found) - len(shown):
        shown.append(Problem(place(shown[-1].where)[0], f"and {more} more problems"))
    return shown


def _clipped(text: str, length: int = 240) -> str:
    """One line of bearable length, whatever stood in the file."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def place(where: str) -> tuple[str, int, int]:
    """``file:line:column`` as values that sort; a text without numbers comes first in its file."""
    words = where.rsplit(":", 2)
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return words[0], int(words[1]), int(words[2])
    return where, 0, 0
