"""A full IPv4 table and churn over it, as BGP UPDATEs of IDC routers.

In: a file, or nothing. Out: prefixes with their AS paths, and messages. The file of a table is
``prefix TAB origin AS`` per line, gzipped (``;`` begins a comment); the file of churn is JSON lines
with ``hex`` (a whole UPDATE), ``peer_as`` and ``as4``, gzipped. Without a file a table is drawn
with the prefix lengths of a real one (RouteViews, May 2014), seven prefixes to an origin, and paths
of three to six AS numbers: always the same.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Asn, Ip, Prefix
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType
from ccn_bgp.session.encode import MARKER, encode_attributes

TABLE = "full-table-v4-*.tsv.gz"
CHURN = "ris-*.jsonl.gz"
DRAWN = 500_000
LENGTHS = {
    24: 530, 23: 91, 22: 98, 21: 66, 20: 71, 19: 51, 18: 24, 17: 13, 16: 26, 15: 3, 14: 3, 13: 1,
}  # fmt: skip
"""Per mille of the table, rounded; shorter ones are a handful."""
PREFIXES_PER_ORIGIN = 7
TRANSITS = 40
_TAKEN = tuple(
    Prefix.parse(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("192.0.2.0/24", "198.51.100.0/24"),
    )
)
"""Bogons, and the bench's own VPCs and underlays: nobody may announce them."""
_TAKEN_BITS = tuple((space.address.number, space.length) for space in _TAKEN)
_LARGEST = 4096


class Entry(NamedTuple):
    """One prefix as it stands in an NLRI field (RFC 4271 §4.3), and its origin AS."""

    nlri: bytes
    origin: int


def entries(data: Path | None, limit: int) -> list[Entry]:
    """At most ``limit`` of the real table in the folder ``data``, or of the drawn one.

    InputError: the folder holds no table, or it cannot be read.
    """
    if data is None:
        return list(drawn(limit))
    path = _file(data, TABLE)
    found = []
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith(";"):
                continue
            text, _, origin = line.strip().partition("\t")
            address, _, length = text.partition("/")
            try:
                nlri = packed(Ip.parse(address), int(length))
                found.append(Entry(nlri, int(origin)))
            except ValueError:
                raise InputError(Problem(f"{path}:{number}", "not prefix TAB origin AS")) from None
            if len(found) == limit:
                break
    return [entry for entry in found if not _taken(entry.nlri)]


def drawn(count: int) -> Iterator[Entry]:
    """``count`` different prefixes, always the same for the same count."""
    draw = random.Random(count)
    lengths, weights = list(LENGTHS), list(LENGTHS.values())
    seen: set[bytes] = set()
    origins = max(count // PREFIXES_PER_ORIGIN, 1)
    while len(seen) < count:
        (length,) = draw.choices(lengths, weights)
        number = draw.randrange(1 << 24, 224 << 24) >> (32 - length) << (32 - length)
        nlri = packed(Ip(number.to_bytes(4, "big")), length)
        if nlri in seen or _taken(nlri):
            continue
        seen.add(nlri)
        yield Entry(nlri, 1000 + draw.randrange(origins))


def packed(address: Ip, length: int) -> bytes:
    """A prefix in an NLRI field."""
    return bytes((length,)) + address[: (length + 7) // 8]


def path_of(peer: Asn, origin: int) -> tuple[Asn, ...]:
    """The AS path by which ``peer`` reaches an origin: its own number, one to four others, the
    origin's. Always the same for the same two."""
    draw = random.Random(peer << 32 | origin)
    between = draw.sample(range(200, 200 + TRANSITS), draw.choices((1, 2, 3, 4), (3, 4, 2, 1))[0])
    return tuple(dict.fromkeys((peer, *(Asn(n) for n in between), Asn(origin))))


def messages(table: Sequence[Entry], peer: Asn, next_hop: Ip, marker: bytes) -> bytes:
    """The table as ``peer`` would say it: prefixes of one origin together, then the prefix
    ``marker`` alone, as the last of all."""
    groups: dict[int, list[bytes]] = {}
    for nlri, origin in table:
        groups.setdefault(origin, []).append(nlri)
    parts = []
    for origin, members in groups.items():
        blob = attributes(path_of(peer, origin), next_hop)
        room = _LARGEST - 23 - len(blob)
        for start in range(0, len(members), room // 5):
            parts.append(update(blob, b"".join(members[start : start + room // 5])))
    parts.append(update(attributes((peer,), next_hop), marker))
    return b"".join(parts)


def attributes(path: tuple[Asn, ...], next_hop: Ip, *, asn4: bool = True) -> bytes:
    """ORIGIN, AS_PATH and NEXT_HOP (RFC 4271 §5.1.1-3)."""
    sequence = Segment(SegmentType.AS_SEQUENCE, path)
    others = encode_attributes(PathAttributes(as_path=(sequence,)), asn4)
    return others + b"\x40\x03\x04" + next_hop


def update(blob: bytes, nlri: bytes, withdrawn: bytes = b"") -> bytes:
    """One UPDATE, RFC 4271 §4.3."""
    body = len(withdrawn).to_bytes(2, "big") + withdrawn + len(blob).to_bytes(2, "big")
    body += blob + nlri
    return MARKER + (19 + len(body)).to_bytes(2, "big") + b"\x02" + body


class Churn(NamedTuple):
    """UPDATEs of one peer, in order; ``asn4``: its AS numbers have four octets."""

    peer: Asn
    asn4: bool
    messages: list[bytes]


def churn(data: Path | None, count: int) -> list[Churn]:
    """What each peer of the trace in the folder ``data`` said, or ``count`` drawn UPDATEs of one
    peer. InputError: the folder holds no trace, or it cannot be read."""
    if data is None:
        return [Churn(Asn(65101), True, list(_drawn_churn(count)))]
    path = _file(data, CHURN)
    found: dict[tuple[int, bool], list[bytes]] = {}
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                key = (int(entry["peer_as"]), bool(entry["as4"]))
                found.setdefault(key, []).append(bytes.fromhex(entry["hex"]))
            except (ValueError, KeyError, TypeError):
                raise InputError(Problem(f"{path}:{number}", "not an UPDATE as JSON")) from None
    return [Churn(Asn(peer), asn4, said) for (peer, asn4), said in sorted(found.items())]


def _drawn_churn(count: int) -> Iterator[bytes]:
    """Seven of eight UPDATEs move some prefixes of one origin to another path."""
    draw = random.Random(count)
    groups: dict[int, list[bytes]] = {}
    for nlri, origin in drawn(max(count, 1000)):
        groups.setdefault(origin, []).append(nlri)
    origins = sorted(groups)
    hop, peer = Ip.parse("169.254.1.2"), Asn(65101)
    for _ in range(count):
        origin = draw.choice(origins)
        some = b"".join(draw.sample(groups[origin], draw.randint(1, len(groups[origin]))))
        if draw.randrange(8):
            turn = path_of(peer, origin)[1:]
            yield update(attributes((peer, Asn(draw.randrange(200, 240)), *turn), hop), some)
        else:
            yield update(b"", b"", some)


def through(message: bytes, next_hop: Ip) -> bytes:
    """The UPDATE with this NEXT_HOP: a hand-off takes no other (RFC 4271 §5.1.3)."""
    octets = bytearray(message)
    at = 21 + (octets[19] << 8 | octets[20])
    end = at + 2 + (octets[at] << 8 | octets[at + 1])
    at += 2
    while at + 3 <= end:
        long = octets[at] & 0x10
        size = octets[at + 2] << 8 | octets[at + 3] if long else octets[at + 2]
        if octets[at + 1] == 3 and size == 4:
            begin = at + (4 if long else 3)
            octets[begin : begin + 4] = next_hop
        at += (4 if long else 3) + size
    return bytes(octets)


def _taken(nlri: bytes) -> bool:
    length, bits = nlri[0], int.from_bytes(nlri[1:].ljust(4, b"\0"), "big")
    return any(
        (bits ^ first) >> (32 - min(length, shortest)) == 0 for first, shortest in _TAKEN_BITS
    )


def _file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(Problem(str(folder), f"holds no {pattern}", "name another folder"))
    return found[-1]


def _opened(path: Path) -> io.StringIO:
    """The whole text: such a file is a few megabytes."""
    try:
        return io.StringIO(gzip.decompress(path.read_bytes()).decode("ascii"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(Problem(str(path), f"is not a gzipped text: {error}")) from None
