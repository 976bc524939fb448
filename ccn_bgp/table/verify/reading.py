"""The files that `ccn verify` reads: what `ccn show fib --json` writes, or made by hand.

In: JSON files. Out: one World of all of them. An invalid file is an InputError that names the file,
the place in it (``routes[3].prefix``), what is wrong and the way out; nothing is read past it in
silence: two values of one key, a misspelt key or a route given twice are errors.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.table.verify.world import (
    DELIVER,
    DROP,
    CcsiNode,
    Row,
    ShareRow,
    World,
    owner_of_name,
    routes_of,
)

KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "tables": (frozenset(("name", "ccn")), frozenset()),
    "external": (frozenset(("name", "ccn")), frozenset()),
    "routes": (frozenset(("table", "prefix", "origin", "next")), frozenset(("peer", "next-hop"))),
    "shares": (frozenset(("table", "provider", "prefix")), frozenset()),
    "ccsis": (frozenset(("name", "ccn")), frozenset(("import", "export", "reexport"))),
    "idcs": (frozenset(("from", "into")), frozenset()),
    "shared-ccns": (frozenset(), frozenset()),
}
"""Per list of a file: the keys that each item must have, and those that it may have."""

MAX_PROBLEMS = 20


class _TooManyError(Exception):
    """Enough has been found to act on."""


@dataclass(slots=True)
class _Reader:
    """Collects problems; ``file`` is the one being read."""

    file: str = ""
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, what: str, hint: str = "") -> None:
        place = f"{self.file}: {where}" if where else self.file
        self.problems.append(Problem(place, what, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooManyError

    def text(self, item: Mapping[str, Any], key: str, where: str) -> str:
        value = item[key]
        if not isinstance(value, str) or not value:
            self.wrong(f"{where}.{key}", f"must be a name, not {_shown(value)}")
            return ""
        return value

    def prefix(self, value: Any, where: str) -> Prefix | None:
        if not isinstance(value, str):
            self.wrong(where, f'must be a prefix such as "10.1.0.0/16", not {_shown(value)}')
            return None
        try:
            return Prefix.parse(value)
        except ValueError as error:
            self.wrong(where, str(error))
            return None

    def targets(self, item: Mapping[str, Any], key: str, where: str) -> frozenset[str]:
        value = item.get(key, [])
        if not isinstance(value, list) or not all(type(t) in (str, int) for t in value):
            self.wrong(f"{where}.{key}", 'must be a list of route targets such as "64600:100"')
            return frozenset()
        return frozenset(str(t) for t in value)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _near(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(names)[:10_000], n=1)
    return f"did you mean '{found[0]}'?" if found else ""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found


class _TwiceError(Exception):
    """A key that stands twice in one object: the first value would be lost in silence."""


def _document(path: Path, reader: _Reader) -> dict[str, Any] | None:
    """The JSON object of one file, or None after its problem has been noted."""
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_distinct)
    except OSError as error:
        reader.wrong("", f"cannot be read: {error.strerror}", "name a file that exists")
    except UnicodeDecodeError:
        reader.wrong("", "is not UTF-8 text", "give a JSON file, as `ccn show fib --json` writes")
    except json.JSONDecodeError as error:
        reader.file = f"{path}:{error.lineno}:{error.colno}"
        reader.wrong("", f"is not JSON: {error.msg}", "was it written to its end?")
    except RecursionError:
        reader.wrong("", "is nested too deeply", "a file has lists of flat objects")
    except _TwiceError as error:
        reader.wrong("", f"the key '{error}' stands twice in one object", "join the two")
    else:
        if isinstance(value, dict):
            return value
        reader.wrong("", 'must be a JSON object with "tables" and "routes"')
    return None


def _items(
    documents: Sequence[tuple[Path, dict[str, Any]]], key: str, reader: _Reader
) -> Iterable[tuple[str, Any]]:
    """(where, item) of one list of all files; items that are not of the right form are noted."""
    needed, optional = KEYS[key]
    known = needed | optional
    for path, document in documents:
        reader.file = str(path)
        value = document.get(key, [])
        if not isinstance(value, list):
            reader.wrong(key, f"must be a list, not {_shown(value)}")
            continue
        for number, item in enumerate(value):
            if known:
                if key == "external" and isinstance(item, str):
                    item = {"name": item, "ccn": owner_of_name(item)}  # noqa: PLW2901
                if not isinstance(item, dict):
                    reader.wrong(f"{key}[{number}]", f"must be an object, not {_shown(item)}")
                    continue
                if item.keys() != needed:
                    if missing := needed - item.keys():
                        names = ", ".join(f"'{m}'" for m in sorted(missing))
                        reader.wrong(f"{key}[{number}]", f"has no {names}")
                        continue
                    if unknown := item.keys() - known:
                        name = min(unknown)
                        reader.wrong(
                            f"{key}[{number}]",
                            f"has an unknown key '{name}'",
                            _near(name, known) or f"known: {', '.join(sorted(known))}",
                        )
                        continue
            yield f"{key}[{number}]", item


def parse_world(files: Sequence[Path]) -> World:
    """Read and join files; InputError lists what is wrong (at most MAX_PROBLEMS lines).

    The form is in docs/architecture.md. ``external``: names of tables that are held elsewhere, as
    ``"gateway/ccn"`` (its owner is what follows the last slash) or ``{"name", "ccn"}``. An external
    table that another file declares is followed there. A table may stand in several files if they
    agree on its CCN. A key that looks like a misspelt one is an error; other keys are not read.
    """
    reader = _Reader()
    try:
        documents = []
        for path in files:
            reader.file = str(path)
            document = _document(path, reader)
            if document is not None:
                documents.append((path, document))
                _check_keys(document, reader)
        world = _joined(documents, reader)
    except _TooManyError:
        world = None
    if world is None or reader.problems:
        raise InputError(*reader.problems)
    return world


def _check_keys(document: Mapping[str, Any], reader: _Reader) -> None:
    for key in document:
        if key not in KEYS and (hint := _near(key, KEYS)):
            reader.wrong(key, "is not a known key", hint)


def _joined(documents: Sequence[tuple[Path, dict[str, Any]]], reader: _Reader) -> World:
    owners: dict[str, str] = {}
    for where, item in _items(documents, "tables", reader):
        name, ccn = reader.text(item, "name", where), reader.text(item, "ccn", where)
        if owners.setdefault(name, ccn) != ccn:
            reader.wrong(
                where, f"table '{name}' is of CCN '{owners[name]}' elsewhere, here '{ccn}'"
            )
    inside = len(owners)
    for where, item in _items(documents, "external", reader):
        name, ccn = reader.text(item, "name", where), reader.text(item, "ccn", where)
        if owners.setdefault(name, ccn) != ccn:
            reader.wrong(
                where, f"table '{name}' is of CCN '{owners[name]}' elsewhere, here '{ccn}'"
            )
    for name in ("deliver", "drop"):
        if name in owners:
            reader.wrong("tables", f"no table may be called '{name}'", 'it is a value of "next"')
    index = {name: number for number, name in enumerate(owners)}
    peers: dict[str, int] = {}
    choices: dict[tuple[int, ...], int] = {}
    v4, v6 = routes_of(_rows(documents, index, inside, peers, choices, reader=reader))
    nodes = _ccsis(documents, reader)
    return World(
        tables=tuple(owners),
        owners=tuple(owners.values()),
        external=np.arange(len(owners)) >= inside,
        v4=v4,
        v6=v6,
        shares=tuple(_shares(documents, index, reader)),
        ccsis=tuple(nodes.values()),
        idcs=tuple(_idcs(documents, nodes, reader)),
        shared_ccns=frozenset(_shared_ccns(documents, reader)),
        peers=tuple(peers),
        choices=tuple(choices),
    )


def _rows(
    documents: Sequence[tuple[Path, dict[str, Any]]],
    index: Mapping[str, int],
    inside: int,
    peers: dict[str, int],
    choices: dict[tuple[int, ...], int],
    *,
    reader: _Reader,
) -> list[Row]:
    rows: list[Row] = []
    seen: dict[tuple[int, Prefix], str] = {}
    targets = {**index, "deliver": DELIVER, "drop": DROP}
    for where, item in _items(documents, "routes", reader):
        prefix = reader.prefix(item["prefix"], f"{where}.prefix")
        found = []
        for key, names in (("table", index), ("origin", index), ("next", targets)):
            name = item[key]
            if key == "next" and isinstance(name, list):
                if (ways := _ways(name, targets, f"{where}.next", reader)) is not None:
                    found.append(len(index) + choices.setdefault(ways, len(choices)))
                continue
            number = names.get(name) if isinstance(name, str) else None
            if number is None:
                reader.wrong(
                    f"{where}.{key}",
                    f"no table is called {_shown(name)}",
                    (_near(name, names) if isinstance(name, str) else "")
                    or 'declare it under "tables", or under "external" if another gateway has it',
                )
            elif key == "table" and number >= inside:
                reader.wrong(
                    f"{where}.{key}", f"'{name}' is declared external: it has no routes here"
                )
            else:
                found.append(number)
        peer = -1
        if (said := item.get("peer")) is not None:
            if not isinstance(said, str):
                reader.wrong(f"{where}.peer", f"must be a name, not {_shown(said)}")
            elif said:
                peer = peers.setdefault(said, len(peers))
        if prefix is None or len(found) < 3:
            continue
        table, origin, following = found
        if (table, prefix) in seen:
            reader.wrong(
                where,
                f"{prefix} stands twice in table '{item['table']}'",
                f"first in {seen[table, prefix]}; a table has one route per prefix",
            )
            continue
        seen[table, prefix] = f"{reader.file}: {where}"
        rows.append(Row(table, prefix, origin, following, peer))
    return rows


def _ways(
    said: list[Any], targets: Mapping[str, int], where: str, reader: _Reader
) -> tuple[int, ...] | None:
    """What each of some flows meets next: different tables, or "deliver"; in order of the names."""
    names = sorted({name for name in said if isinstance(name, str)})
    for name in said:
        if not isinstance(name, str) or targets.get(name, DROP) == DROP:
            hint = _near(name, targets) if isinstance(name, str) and name != "drop" else ""
            reader.wrong(where, f'{_shown(name)} is neither a table nor "deliver"', hint)
            return None
    if len(names) < 2 or len(names) < len(said):
        reader.wrong(where, "a list has two different names or more", "give one name as a text")
        return None
    return tuple(targets[name] for name in names)


def _shares(
    documents: Sequence[tuple[Path, dict[str, Any]]], index: Mapping[str, int], reader: _Reader
) -> Iterable[ShareRow]:
    for where, item in _items(documents, "shares", reader):
        provider = reader.text(item, "provider", where)
        prefix = reader.prefix(item["prefix"], f"{where}.prefix")
        name = reader.text(item, "table", where)
        if name not in index:
            reader.wrong(f"{where}.table", f"no table is called {_shown(name)}", _near(name, index))
        elif prefix is not None:
            yield ShareRow(index[name], provider, prefix)


def _ccsis(
    documents: Sequence[tuple[Path, dict[str, Any]]], reader: _Reader
) -> dict[str, CcsiNode]:
    nodes: dict[str, CcsiNode] = {}
    for where, item in _items(documents, "ccsis", reader):
        reexport = item.get("reexport", False)
        if not isinstance(reexport, bool):
            reader.wrong(f"{where}.reexport", f"must be true or false, not {_shown(reexport)}")
            continue
        node = CcsiNode(
            name=reader.text(item, "name", where),
            ccn=reader.text(item, "ccn", where),
            imports=reader.targets(item, "import", where),
            exports=reader.targets(item, "export", where),
            reexport=reexport,
        )
        if nodes.setdefault(node.name, node) != node:
            reader.wrong(where, f"CCSI '{node.name}' is declared twice, and differently")
    return nodes


def _idcs(
    documents: Sequence[tuple[Path, dict[str, Any]]],
    nodes: Mapping[str, CcsiNode],
    reader: _Reader,
) -> Iterable[tuple[str, str]]:
    for where, item in _items(documents, "idcs", reader):
        pair = reader.text(item, "from", where), reader.text(item, "into", where)
        for key, name in zip(("from", "into"), pair, strict=True):
            if name not in nodes:
                reader.wrong(
                    f"{where}.{key}", f"no CCSI is called {_shown(name)}", _near(name, nodes)
                )
        if pair[0] in nodes and pair[1] in nodes:
            yield pair


def _shared_ccns(
    documents: Sequence[tuple[Path, dict[str, Any]]], reader: _Reader
) -> Iterable[tuple[str, str]]:
    for where, item in _items(documents, "shared-ccns", reader):
        match item:
            case [str() as provider, str() as consumer]:
                yield provider, consumer
            case _:
                reader.wrong(where, f"must be [PROVIDER, CONSUMER], not {_shown(item)}")
