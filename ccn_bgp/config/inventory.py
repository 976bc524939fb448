"""VM inventories: CSV or JSON lines beside the topology file in, VMs of its VPCs out.

Columns or keys: vpc, ip, mac, host and, optionally, sequence (RFC 7432 §15). Every problem of all
files is told at once, as ``file:line:column``. A million rows are the normal case: whole columns
are converted first, and only if that fails is each row looked at by itself.
"""

from __future__ import annotations

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
from ccn_bgp.config.inventory_forms import (
    ALL,
    COLUMNS,
    KNOWN,
    MAX_PROBLEMS,
    Table,
    csv_table,
    json_table,
)
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.topology import Topology, Vm, Vpc
from ccn_bgp.model.vms import U1, U4, U8, VmColumns, octets
from ccn_bgp.model.vtep_sets import Hosts, hosts_of
from ccn_bgp.nearest import nearest
from ccn_bgp.source import in_order

SUFFIXES = (".csv", ".jsonl")
MAX_OCTETS = 512 << 20


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
    table = csv_table(path, text) if path.suffix == ".csv" else json_table(path, text)
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
    if not ALL.issuperset(columns) or len(set(columns)) < len(columns):
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


# -- values ---------------------------------------------------------------------------------------


def _columns(table: Table, names: tuple[str, ...]) -> Rows | None:
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


def _rows(path: Path, table: Table, vpcs: tuple[str, ...]) -> Rows:
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
        if len(values) == len(KNOWN):
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
