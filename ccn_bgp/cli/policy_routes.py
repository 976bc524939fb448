"""Routes from a file of JSON lines. In: routes, or what ``ccn decode --json`` has written of
messages. Out: Paths and Contexts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.path import Path
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.routes import read_route


def read_routes(file: FilePath) -> Iterator[tuple[int, Any, Path, Context]]:
    """(number of the line, entry, route, its Context). InputError names the line."""
    known: dict[Context, Context] = {}
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    for entry in _entries(json.loads(line.decode("utf-8"))):
                        path, context = read_route(entry)
                        yield number, entry, path, known.setdefault(context, context)
                except (ValueError, RecursionError) as error:
                    deep = isinstance(error, RecursionError)
                    words = "nested too deeply" if deep else " ".join(str(error).split())
                    raise InputError(Problem(f"{file}:{number}:1", words)) from None
    except OSError as error:
        words = error.strerror or str(error)
        raise InputError(Problem(str(file), f"cannot be read: {words}")) from None


def _entries(value: Any) -> list[Any]:
    """A line of `ccn decode --json` stands for all that it announces."""
    if isinstance(value, dict) and isinstance(value.get("announce"), list):
        shared = {"attributes": value.get("attributes") or {}}
        return [e | shared if isinstance(e, dict) else e for e in value["announce"]]
    return [value]
