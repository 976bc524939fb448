"""VM inventories: CSV or JSON lines beside the topology file in, VMs of its VPCs out.

Columns or keys: vpc, ip, mac, host and, optionally, sequence (RFC 7432 §15). Every problem of all
files is told at once, as ``file:line:column``. A million rows are the normal case: whole columns
are converted first, and only if that fails is each row looked at by itself.
"""

from __future__ import annotations

import csv
import gc
import json
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ccn_bgp.config.inventory_columns import MAX_SEQUENCE, read_columns, station_macs
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.topology import Topology, Vm, Vpc
from ccn_bgp.model.vms import U1, U4, U8, VmColumns, octets
from ccn_bgp.model.vtep_sets import Hosts, hosts_of
from ccn_bgp.nearest import nearest
from ccn_bgp.source import in_order

COLUMNS = ("vpc", "ip", "mac", "host")
OPTIONAL = ("sequence",)
SUFFIXES = (".csv", ".jsonl")
MAX_OCTETS = 512 << 20
MAX_PROBLEMS = 10_000
"""After so many the rest of a file is not read."""
_KNOWN = (*COLUMNS, *OPTIONAL)
_ALL = frozenset(_KNOWN)


class Rows(NamedTuple):
    """Rows of one file. ``vpc``: uint32[n], index into ``names``; ``lines`` count from 1."""

    names: tuple[str, ...]
    vpc: U4
    vms: VmColumns
    lines: Sequence[int]

    @property
    def vpcs(self) -> list[str]:
        """The VPC of each row."""
        return [self.names[number] for number in self.vpc.tolist()]


class InventoryPositions(Mapping[str, str]):
    """Positions of a topology file, and of the VMs that stand in its inventories.

    ``declared``: how many VMs of each VPC stand in the topology file, before all others.
    """

    def __init__(self, base: Mapping[str, str], files: Sequence[Path]) -> None:
        self.base = base
        self.files = tuple(files)
        self.stamps = stamps(files)
        self.declared: dict[str, int] = {}
        self._places: dict[str, U8] = {}

    def add(self, vpc: str, places: U8) -> None:
        """The VMs of a VPC that stand in inventories: number of the file << 40 | line."""
        self._places[vpc] = places

    def __getitem__(self, path: str) -> str:
        words = path.split(".")
        places = self._places.get(words[1]) if len(words) > 3 and words[0] == "vpcs" else None
        if places is not None and words[2] == "vms" and words[3].isdecimal():
            row = int(words[3]) - self.declared.get(words[1], 0)
            if 0 <= row < len(places):
                place = int(places[row])
                return f"{self.files[place >> 40]}:{place & 0xFFFFFFFF}:1"
        return self.base[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.base)

    def __len__(self) -> int:
        return len(self.base)


def with_inventory(topology: Topology) -> Topology:
    """The topology with the VMs of its inventory files as they are now, after those that stand in
    the topology file itself. InputError: all problems of the files."""
    if not topology.inventory:
        return topology
    before = topology.positions
    known = before if isinstance(before, InventoryPositions) else None
    positions = InventoryPositions(known.base if known else before, topology.inventory)
    for name, vpc in topology.vpcs.items():
        positions.declared[name] = known.declared[name] if known else len(vpc.vms)
    found: list[Rows] = []
    problems: list[Problem] = []
    with without_collection():
        for file in topology.inventory:
            try:
                found.append(read_inventory(file, topology.vpcs))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError.of(problems)
    vpc_of = np.concatenate([rows.vpc for rows in found])
    places = [
        np.asarray(rows.lines, np.uint64) | np.uint64(number << 40)
        for number, rows in enumerate(found)
    ]
    order = np.argsort(vpc_of, kind="stable")
    vms = VmColumns.joined([rows.vms for rows in found]).take(order)
    place = np.concatenate(places)[order]
    ends = np.searchsorted(vpc_of[order], np.arange(len(topology.vpcs)), side="right").tolist()
    vpcs: dict[str, Vpc] = {}
    for (name, vpc), first, end in zip(topology.vpcs.items(), (0, *ends), ends, strict=False):
        own = vpc.vms[: positions.declared[name]]
        positions.add(name, place[first:end])
        parts = [part for part in (own, vms[first:end]) if len(part)]
        vpcs[name] = replace(vpc, vms=VmColumns.joined(parts) if parts else ())
    return replace(topology, vpcs=vpcs, positions=positions)


Stamps = tuple[tuple[int, int, int] | None, ...]
"""Of each file what changes when it does: inode, size, time of change (ns); None if it is gone."""


def stamps_read(topology: Topology) -> Stamps:
    """The stamps of the inventory files as they were just before they were read."""
    positions = topology.positions
    return positions.stamps if isinstance(positions, InventoryPositions) else ()


def stamps(files: Sequence[Path]) -> Stamps:
    """The stamps of these files now."""
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def read_inventory(path: Path, vpcs: Collection[str]) -> Rows:
    """Read one file; ``vpcs`` are the names that a row may have. InputError: all its problems."""
    raw, names = _octets(path), tuple(vpcs)
    if path.suffix == ".csv" and (rows := _whole_csv(raw, names)) is not None:
        return rows
    text = _text(path, raw)
    table = _csv_table(path, text) if path.suffix == ".csv" else _json_table(path, text)
    columns = _columns(table, names)
    if columns is not None:
        return columns
    return _rows(path, table, names)


def _whole_csv(raw: bytes, names: tuple[str, ...]) -> Rows | None:
    """All rows at once; None if anything is wrong with any of them, or strange."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    end = raw.find(b"\n")
    head = raw[: max(end, 0)].removeprefix(b"\xef\xbb\xbf")
    columns = [word.strip().decode("ascii", "replace") for word in head.split(b",")]
    if not _ALL.issuperset(columns) or len(set(columns)) < len(columns):
        return None
    if not set(COLUMNS) <= set(columns):
        return None
    found = read_columns(raw, end + 1, columns, names)
    return found and Rows(names, found.vpc, found.vms, range(2, len(found.vpc) + 2))


@contextmanager
def without_collection() -> Iterator[None]:
    """Millions of new values without a circle among them: looking for circles is half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _octets(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(str(path), f"cannot be read: {words}")) from None
    if len(raw) > MAX_OCTETS:
        raise InputError(Problem(str(path), f"is larger than {MAX_OCTETS >> 20} MiB"))
    return raw


def _text(path: Path, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputError(Problem(f"{path}:{line}:{column}", "is not UTF-8 text")) from None
    return text.replace("\r\n", "\n")


# -- the two forms as one table -------------------------------------------------------------------


class _Table(NamedTuple):
    """Values by column, as read; a list of rows where they are ragged or have problems.

    ``where`` gives the column of a field in its line, both from 1; ``problems`` are of form.
    """

    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    where: Callable[[int, str], int]
    problems: Sequence[Problem] = ()


def _csv_table(path: Path, text: str) -> _Table:
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
        return _Table(columns, range(2, len(lines) + 2), where)
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
    return _Table(columns, numbers, where, problems)


def _check_names(path: Path, names: Sequence[str], at: str) -> None:
    problems = [
        Problem(at, f"unknown column '{name}'", nearest(name, _KNOWN, "known columns"))
        for name in names
        if name not in _KNOWN
    ]
    problems += [
        Problem(at, f"the column '{name}' is missing", "the first line names the columns")
        for name in COLUMNS
        if name not in names
    ]
    problems += [
        Problem(at, f"the column '{name}' stands there twice")
        for name in _KNOWN
        if names.count(name) > 1
    ]
    if problems:
        raise InputError.of(in_order(problems))


def _json_table(path: Path, text: str) -> _Table:
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
    strange = [n for n, o in enumerate(objects) if not o.keys() <= _ALL]
    for n in strange[:MAX_PROBLEMS]:
        for key in objects[n].keys() - _ALL:
            hint = nearest(key, _KNOWN, "known keys")
            problems.append(Problem(f"{path}:{numbers[n]}:1", f"unknown key '{key}'", hint))
    texts = dict(zip(numbers, lines, strict=False)) if len(objects) != len(lines) else None

    def where(row: int, name: str) -> int:
        line = lines[row] if texts is None else texts.get(numbers[row], "")
        return 1 + max(line.find(f'"{name}"'), 0)

    used = [*COLUMNS, *(n for n in OPTIONAL if any(n in o for o in objects))]
    columns = {name: [o.get(name) for o in objects] for name in used}
    return _Table(columns, numbers, where, problems)


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


# -- values ---------------------------------------------------------------------------------------


def _columns(table: _Table, names: tuple[str, ...]) -> Rows | None:
    """All rows at once; None if anything is wrong with any of them."""
    found = table.columns
    count = len(table.lines)
    if table.problems:
        return None
    try:
        numbered = {name: number for number, name in enumerate(names)}
        vpc = np.array([numbered[name] for name in found["vpc"]], np.uint32)
        ips = _ips(found["ip"])
        macs = _macs(found["mac"])
        if macs is None:
            return None
        texts = {text: _hosts_in(text) for text in dict.fromkeys(found["host"])}
        pool = {hosts: number for number, hosts in enumerate(dict.fromkeys(texts.values()))}
        host = {text: pool[hosts] for text, hosts in texts.items()}
        numbers: Sequence[int] = (0,) * count
        if "sequence" in found:
            values = {value: _sequence(value) for value in set(found["sequence"])}
            if True in values or False in values:
                return None  # equal to 1 and 0 in a set, and not meant
            numbers = [values[value] for value in found["sequence"]]
        vms = VmColumns(
            np.array([ip.version for ip in ips], np.uint8),
            octets(ips, 16),
            macs,
            np.array([host[text] for text in found["host"]], np.uint32),
            tuple(pool),
            np.array(numbers, np.uint32),
        )
    except (ValueError, TypeError, OSError, KeyError):
        return None
    return Rows(names, vpc, vms, table.lines)


def _ips(texts: Sequence[str]) -> list[Ip]:
    family, read = socket.AF_INET, socket.inet_pton
    try:
        return [Ip(read(family, text)) for text in texts]
    except OSError:
        return [Ip.parse(text) for text in texts]  # IPv6 among them


def _macs(texts: Sequence[str]) -> U1 | None:
    if not texts:
        return np.zeros((0, 6), np.uint8)
    joined = "".join(texts)
    if not joined.isascii() or set(map(len, texts)) != {17}:
        return None
    grid = np.frombuffer(joined.encode(), np.uint8).reshape(-1, 17)
    return station_macs(grid)


def _rows(path: Path, table: _Table, vpcs: tuple[str, ...]) -> Rows:
    """Row by row, with every problem; or the rows, where they were only strange in form."""
    problems = list(table.problems)
    found = table.columns
    readers: dict[str, Callable[[Any], Any]] = {
        "vpc": lambda value: _vpc(value, vpcs),
        "ip": _ip,
        "mac": _mac,
        "host": _hosts,
        "sequence": _sequence,
    }
    numbered = {name: number for number, name in enumerate(vpcs)}
    numbers: list[int] = []
    vms: list[Vm] = []
    for row, line in enumerate(table.lines):
        values: dict[str, Any] = {"sequence": 0}
        for name, column in found.items():
            try:
                values[name] = readers[name](column[row])
            except ValueError as error:
                what, _, hint = str(error).partition("\0")
                place = f"{path}:{line}:{table.where(row, name)}"
                problems.append(Problem(place, f"{name}: {what}", hint))
        if len(problems) >= MAX_PROBLEMS:
            break
        if len(values) == len(_KNOWN):
            numbers.append(numbered[values["vpc"]])
            vms.append(Vm.behind(values["ip"], values["mac"], values["host"], values["sequence"]))
    if problems:
        raise InputError.of(in_order(problems))
    return Rows(vpcs, np.array(numbers, np.uint32), VmColumns.of(vms), table.lines)


def _given(value: Any) -> str:
    if value is None or value == "":
        raise ValueError("is missing")
    if not isinstance(value, str):
        raise ValueError(f"{json.dumps(value)[:64]} is not text")
    return value


def _vpc(value: Any, vpcs: Collection[str]) -> str:
    name = _given(value)
    if name not in vpcs:
        hint = nearest(name, vpcs, "vpcs") or "no vpc is defined"
        raise ValueError(f"vpc '{name[:64]}' is not defined\0{hint}")
    return name


def _hosts_in(text: str) -> Hosts:
    """Addresses with blanks between them."""
    return hosts_of([Ip.parse(word) for word in text.split(" ")])


def _hosts(value: Any) -> Hosts:
    words = value if isinstance(value, list) else _given(value).split(" ")
    return hosts_of([_ip(word) for word in words])


def _ip(value: Any) -> Ip:
    return Ip.parse(_given(value))


def _mac(value: Any) -> Mac:
    mac = Mac.parse(_given(value))
    if mac[0] & 1 or not any(mac):
        raise ValueError(f"'{value}' is not the MAC address of one station")
    return mac


def _sequence(value: Any) -> int:
    """Absent is 0."""
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEQUENCE:
        raise ValueError(f"'{str(value)[:64]}' is not a whole number from 0 to {MAX_SEQUENCE}")
    return value
