"""The two forms of an inventory, CSV and JSON lines: text in, one table of values as read out, with
every problem of form and the place of each field.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.nearest import nearest
from ccn_bgp.source import in_order

COLUMNS = ("vpc", "ip", "mac", "host")
OPTIONAL = ("sequence",)
MAX_PROBLEMS = 10_000
"""After so many the rest of a file is not read."""
KNOWN = (*COLUMNS, *OPTIONAL)
ALL = frozenset(KNOWN)


class Table(NamedTuple):
    """Values by column, as read; a list of rows where they are ragged or have problems.

    ``where`` gives the column of a field in its line, both from 1; ``problems`` are of form.
    """

    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    where: Callable[[int, str], int]
    problems: Sequence[Problem] = ()


def csv_table(path: Path, text: str) -> Table:
    """The first line names the columns. InputError: it names them wrongly."""
    head, _, body = text.partition("\n")
    names = [word.strip() for word in next(csv.reader([head]), [])]
    _check_names(path, names, f"{path}:1:1")
    width = len(names)
    lines = body.split("\n")
    while lines and not lines[-1]:
        lines.pop()
    texts = lines  # of the rows; the fields of one are cut again to say where they stand

    def where(row: int, name: str) -> int:
        index = names.index(name)
        before = texts[row].split(",")[:index]
        return 1 + sum(len(word) + 1 for word in before)

    if '"' not in body and all(line.count(",") == width - 1 for line in lines):
        flat = ",".join(lines).split(",") if lines else []
        columns = {name: flat[i::width] for i, name in enumerate(names)}
        return Table(columns, range(2, len(lines) + 2), where)
    rows: list[list[str]] = []
    numbers: list[int] = []
    problems: list[Problem] = []
    reader = csv.reader(lines, strict=True)
    try:
        for fields in reader:
            line = reader.line_num + 1
            if not fields:
                continue
            if len(fields) != width:
                what = f"{len(fields)} fields, the first line names {width}"
                problems.append(Problem(f"{path}:{line}:1", what))
                if len(problems) >= MAX_PROBLEMS:
                    break
                continue
            rows.append(fields)
            numbers.append(line)
    except csv.Error as error:
        problems.append(Problem(f"{path}:{reader.line_num + 1}:1", f"not CSV: {error}"))
    texts = [lines[number - 2] for number in numbers]
    columns = {name: [fields[i] for fields in rows] for i, name in enumerate(names)}
    return Table(columns, numbers, where, problems)


def _check_names(path: Path, names: Sequence[str], at: str) -> None:
    problems = [
        Problem(at, f"unknown column '{name}'", nearest(name, KNOWN, "known columns"))
        for name in names
        if name not in KNOWN
    ]
    problems += [
        Problem(at, f"the column '{name}' is missing", "the first line names the columns")
        for name in COLUMNS
        if name not in names
    ]
    problems += [
        Problem(at, f"the column '{name}' stands there twice")
        for name in KNOWN
        if names.count(name) > 1
    ]
    if problems:
        raise InputError.of(in_order(problems))


def json_table(path: Path, text: str) -> Table:
    """One object in each line."""
    lines = text.split("\n")
    numbers: Sequence[int] = range(1, len(lines) + 1)
    if not all(line.strip() for line in lines):
        numbers = [n for n, line in enumerate(lines, 1) if line.strip()]
        lines = [lines[n - 1] for n in numbers]
    objects: list[dict[str, Any]] = []
    try:
        whole = json.loads(f"[{','.join(lines)}]", object_pairs_hook=_object)
        alone = all(line[0] == "{" and line[-1] == "}" for line in lines)
        objects = whole if alone and len(whole) == len(lines) else []
    except (ValueError, RecursionError):
        objects = []
    problems: list[Problem] = []
    if len(objects) != len(lines):
        objects, numbers, problems = _json_rows(path, lines, numbers)
    strange = [n for n, o in enumerate(objects) if not o.keys() <= ALL]
    for n in strange[:MAX_PROBLEMS]:
        for key in objects[n].keys() - ALL:
            hint = nearest(key, KNOWN, "known keys")
            problems.append(Problem(f"{path}:{numbers[n]}:1", f"unknown key '{key}'", hint))
    texts = dict(zip(numbers, lines, strict=False)) if len(objects) != len(lines) else None

    def where(row: int, name: str) -> int:
        line = lines[row] if texts is None else texts.get(numbers[row], "")
        return 1 + max(line.find(f'"{name}"'), 0)

    used = [*COLUMNS, *(n for n in OPTIONAL if any(n in o for o in objects))]
    columns = {name: [o.get(name) for o in objects] for name in used}
    return Table(columns, numbers, where, problems)


def _json_rows(
    path: Path, lines: Sequence[str], numbers: Sequence[int]
) -> tuple[list[dict[str, Any]], list[int], list[Problem]]:
    objects: list[dict[str, Any]] = []
    kept: list[int] = []
    problems: list[Problem] = []
    for number, line in zip(numbers, lines, strict=True):
        what, column = "", 1
        try:
            found = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            what, column = f"not JSON: {error.msg}", error.colno
        except (ValueError, RecursionError) as error:
            what = str(error)
        else:
            if isinstance(found, dict):
                objects.append(found)
                kept.append(number)
                continue
            what = "each line is one object: {...}"
        problems.append(Problem(f"{path}:{number}:{column}", what))
        if len(problems) >= MAX_PROBLEMS:
            break
    return objects, kept, problems


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found
