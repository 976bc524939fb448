"""CSV inventories as columns: the octets of a file in, all rows at once, or nothing.

Nothing means that some row is wrong or strange: then config/inventory.py reads the file row by row
and says what. So this reader may refuse what it likes; what it returns must be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.vms import U1, U4, Array, VmColumns
from ccn_bgp.model.vtep_sets import is_group

I8 = npt.NDArray[np.int64]

CHUNK = 1 << 16
"""Rows that are looked at together: their octets stay in the cache."""
PIECE = 1 << 20
"""Octets that are looked through together."""
MAX_SEQUENCE = 2**32 - 1
_PRIME = np.uint64(1099511628211)
_COMMA, _NEWLINE, _DOT = b",\n."
_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = (*range(16), *range(10, 16))
_MARKS = [2, 5, 8, 11, 14]
_DIGITS = [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]


class NamedColumns(NamedTuple):
    """VMs and the VPC of each: uint32[n], index into the names that were given."""

    vpc: U4
    vms: VmColumns


class _Strange(Exception):  # noqa: N818  # never leaves this module
    """Some row is not as nearly all are."""


class _Fields(NamedTuple):
    """One column of a chunk: where its texts begin in the file, int64[n], and how long they are."""

    octets: U1
    begin: I8
    length: I8

    def at(self, position: int) -> U1:
        """The octet at a position of each text, or what stands behind a shorter one."""
        return self.octets[np.minimum(self.begin + position, len(self.octets) - 1)]

    def text(self, row: int) -> str:
        begin = int(self.begin[row])
        return self.octets[begin : begin + int(self.length[row])].tobytes().decode()


def read_columns(
    raw: bytes, begin: int, columns: Sequence[str], names: Sequence[str]
) -> NamedColumns | None:
    """``raw`` from ``begin`` on: the lines after the first, which names ``columns``. ``names``: of
    the VPCs. The octets of the file are not copied: a million lines are some 50 MB."""
    end = len(raw)
    while end > begin and raw[end - 1] == _NEWLINE:
        end -= 1
    if end == begin or raw.find(b'"', begin) >= 0 or raw.find(b"\r", begin) >= 0:
        return None
    octets = np.frombuffer(raw, np.uint8, end - begin, begin)
    found = _separators(octets)
    if (len(found) + 1) % len(columns):
        return None
    ends: I8 = np.append(found, len(octets)).reshape(-1, len(columns))
    if (octets[ends[:, :-1]] != _COMMA).any() or (octets[ends[:-1, -1]] != _NEWLINE).any():
        return None
    try:
        return _joined(octets, ends, columns, names)
    except (_Strange, ValueError):
        return None


def _separators(octets: U1) -> I8:
    """Where the commas and newlines are; a piece at a time, so that nothing as long as the file is
    made on the way."""
    found = []
    for first in range(0, len(octets), PIECE):
        piece = octets[first : first + PIECE]
        found.append(np.flatnonzero((piece == _COMMA) | (piece == _NEWLINE)) + first)
    return np.concatenate(found)


def _joined(octets: U1, ends: I8, columns: Sequence[str], names: Sequence[str]) -> NamedColumns:
    n = len(ends)
    vpc, sequence = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
    mac = np.zeros((n, 6), np.uint8)
    family, host_family = np.full(n, 4, np.uint8), np.full(n, 4, np.uint8)
    address, host_address = np.zeros((n, 16), np.uint8), np.zeros((n, 16), np.uint8)
    known = _Names(names)
    for first in range(0, n, CHUNK):
        rows = slice(first, first + CHUNK)
        chunk = ends[rows]
        before = np.concatenate(([ends[first - 1, -1] if first else -1], chunk[:-1, -1]))
        for number, name in enumerate(columns):
            begin = (before if number == 0 else chunk[:, number - 1]) + 1
            fields = _Fields(octets, begin, chunk[:, number] - begin)
            match name:
                case "vpc":
                    vpc[rows] = known.of(fields)
                case "ip":
                    _addresses(fields, family[rows], address[rows])
                case "mac":
                    mac[rows] = _macs(fields)
                case "host":
                    _addresses(fields, host_family[rows], host_address[rows])
                case "sequence":
                    sequence[rows] = _numbers(fields)
    hosts, host = _pool(host_family, host_address)
    if any(map(is_group, hosts)):
        raise _Strange
    alone = tuple((ip,) for ip in hosts)
    return NamedColumns(vpc, VmColumns(family, address, mac, host, alone, sequence))


class _Names:
    """Finds the number of a name by a hash of it, and then looks whether it is that name."""

    def __init__(self, names: Sequence[str]) -> None:
        raw = [name.encode() for name in names]
        self.length = np.array([len(name) for name in raw], np.int64)
        self.longest = max((len(name) for name in raw), default=0)
        joined = b"".join(name.ljust(self.longest, b"\0") for name in raw)
        self.octets = np.frombuffer(joined, np.uint8).reshape(len(raw), self.longest)
        hashes = np.zeros(len(raw), np.uint64)
        for position in range(self.longest):
            inside = position < self.length
            hashes[inside] = _mixed(hashes[inside], self.octets[inside, position])
        self.order = np.argsort(hashes)
        self.hashes = hashes[self.order]

    def of(self, fields: _Fields) -> I8:
        longest = int(fields.length.max())
        if not len(self.hashes) or longest > self.longest:
            raise _Strange
        hashes = np.zeros(len(fields.begin), np.uint64)
        for position in range(longest):
            inside = position < fields.length
            hashes = np.where(inside, _mixed(hashes, fields.at(position)), hashes)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        found: I8 = self.order[at]
        wrong = self.length[found] != fields.length
        for position in range(longest):
            differs = self.octets[found, position] != fields.at(position)
            wrong |= differs & (position < fields.length)
        if wrong.any():
            raise _Strange
        return found


def _mixed(hashes: Array, octets: U1) -> Array:
    mixed: Array = (hashes ^ octets) * _PRIME
    return mixed


def _addresses(fields: _Fields, family: U1, address: U1) -> None:
    """Dotted quads as inet_pton(3) reads them, in columns; any other text by itself."""
    n = len(fields.begin)
    value, digits, dots = np.zeros(n, np.uint32), np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    whole, wrong = np.zeros(n, np.uint32), fields.length > 15
    for position in range(min(int(fields.length.max()), 15)):
        octet = fields.at(position)
        inside = position < fields.length
        dot = inside & (octet == _DOT)
        digit = octet - np.uint8(48)
        figure = inside & (digit <= 9)
        wrong |= inside & ~(dot | figure)
        wrong |= figure & (digits > 0) & (value == 0)
        value = np.where(figure, value * np.uint32(10) + digit, value)
        digits += figure
        wrong |= (digits > 3) | (dot & (digits == 0)) | (value > 255)
        whole = np.where(dot, whole << np.uint32(8) | value, whole)
        value[dot] = 0
        digits[dot] = 0
        dots += dot
    wrong |= (dots != 3) | (digits == 0)
    whole = whole << np.uint32(8) | value
    address[:, :4] = whole.astype(">u4").view(np.uint8).reshape(n, 4)
    for row in np.flatnonzero(wrong).tolist():
        ip = Ip.parse(fields.text(row))
        family[row] = ip.version
        address[row] = np.frombuffer(ip.ljust(16, b"\0"), np.uint8)


def _macs(fields: _Fields) -> U1:
    if (fields.length != 17).any():
        raise _Strange
    grid = fields.octets[fields.begin[:, None] + np.arange(17)]
    octets = station_macs(grid)
    if octets is None:
        raise _Strange
    return octets


def station_macs(grid: U1) -> U1 | None:
    """uint8[n, 6] of the octets of texts of 17 characters; None if one is no station's address."""
    marks, digits = grid[:, _MARKS], _HEX[grid[:, _DIGITS]]
    if ((marks != ord(":")) & (marks != ord("-"))).any() or (digits == 255).any():
        return None
    octets: U1 = digits[:, ::2] << np.uint8(4) | digits[:, 1::2]
    if (octets[:, 0] & 1).any() or not octets.any(axis=1).all():
        return None
    return octets


def _numbers(fields: _Fields) -> Array:
    longest = int(fields.length.max())
    if longest > 10:
        raise _Strange
    value = np.zeros(len(fields.begin), np.uint64)
    for position in range(longest):
        digit = fields.at(position) - np.uint8(48)
        inside = position < fields.length
        if (inside & (digit > 9)).any():
            raise _Strange
        value = np.where(inside, value * np.uint64(10) + digit, value)
    if (value > MAX_SEQUENCE).any():
        raise _Strange
    return value


def _pool(family: U1, address: U1) -> tuple[tuple[Ip, ...], U4]:
    """The different addresses, sorted by family, and the number of each row's."""
    four = np.ascontiguousarray(address[:, :4]).view(">u4").reshape(-1).astype(np.uint32)
    if (family == 4).all():
        ordered = np.sort(four)
        ordered = ordered[np.r_[True, ordered[1:] != ordered[:-1]]]
        hosts = tuple(Ip(number.to_bytes(4, "big")) for number in ordered.tolist())
        return hosts, np.searchsorted(ordered, four).astype(np.uint32)
    numbers: dict[Ip, int] = {}
    raw: list[Any] = [address[row].tobytes() for row in range(len(family))]
    sizes = np.where(family == 4, 4, 16).tolist()
    host = [numbers.setdefault(Ip(r[:s]), len(numbers)) for r, s in zip(raw, sizes, strict=True)]
    return tuple(numbers), np.array(host, np.uint32)
