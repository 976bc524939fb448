"""NLRI fields of many messages at once: octets in, columns of prefixes out.

In: Fields (decode_fields.py). Out: Columns, one per width of address, and the messages whose NLRI
are not plain after all: a route type other than 5, a prefix too long, a route that RFC 9136 calls
unusable. Their rows are left out, Decoder judges them. RFC 4271 §4.3, RFC 9136 §3.1.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.rows import U1, U4, PrefixRows, Vocabulary
from ccn_bgp.session.decode import VXLAN, Decoder
from ccn_bgp.session.decode_fields import (
    EVPN,
    IPV4,
    IPV6,
    WITHDRAWN,
    FieldFinder,
    Fields,
    Frames,
    gather,
)

I8 = npt.NDArray[np.int64]

_TYPE, _ETAG, _BITS = 5, 20, 24
"""A type 5 route: type, length, RD (8), ESI (10), tag (4), prefix length, prefix, gateway, label
(3)."""
_STRIDE = {4: 36, 16: 60}
_ADDRESS = _BITS + 1
_NOT_PLAIN = -1
_CONTEXT_COST = 250
"""Octets that one known context takes."""
_MANY = 8
"""So many contexts are judged together; so many routes of a field are copied in one piece."""

_STEPS4 = [1 + (bits + 7) // 8 for bits in range(256)]
_MASK4 = np.array([(0xFFFFFFFF << (32 - n)) & 0xFFFFFFFF for n in range(33)], np.uint32)
_MASK4_OCTETS = _MASK4.astype(">u4").view("<u4")
"""The same in network order."""
_KIND_LENGTH = {width: _TYPE | (stride - 2) << 8 for width, stride in _STRIDE.items()}
"""The first two octets of a type 5 route, little-endian."""
_MASK6 = np.array(
    [[(mask := ((1 << n) - 1) << (128 - n)) >> 64, mask & (1 << 64) - 1] for n in range(129)],
    np.uint64,
)


class Columns(NamedTuple):
    """Rows of one width in order; ``message`` int64[n] says which message each comes from."""

    message: I8
    rows: PrefixRows


class _Places(NamedTuple):
    """Where routes stand: the field of each, ascending, and its first octet; int64[n] each."""

    field: I8
    offset: I8


class _Routes(NamedTuple):
    """Type 5 routes of one length: the field of each, ascending: int64[n]; and its octets:
    uint8[n, stride]."""

    field: I8
    octets: U1


class _Part(NamedTuple):
    """Rows of one kind before they are merged; by row the field, and the columns of PrefixRows."""

    field: I8
    bits: U1
    address: U1
    body: U4
    distinguisher: U4

    def taken(self, rows: npt.NDArray[Any]) -> _Part:
        """Some of the rows."""
        return _Part._make(column[rows] for column in self)


class ColumnReader:
    """Reads the fields of one session; knows the contexts it has judged."""

    def __init__(self, finder: FieldFinder, decoder: Decoder, words: Vocabulary) -> None:
        self._finder, self._cache, self._words = finder, decoder.cache, words
        self._mpls = decoder.session.label_is_mpls
        self._contexts: dict[bytes, int] = {}
        self._unicast: dict[int, int] = {}

    def forget(self) -> None:
        """Numbers of the vocabulary or of terms have become void."""
        self._contexts.clear()
        self._unicast.clear()

    def read(self, frames: Frames, fields: Fields) -> tuple[list[Columns], set[int]]:
        """The rows of all these fields but those of messages that are not plain."""
        kinds = fields.code & 3
        parts: dict[int, list[_Part]] = {4: [], 16: []}
        refused: set[int] = set()
        type5 = np.flatnonzero(kinds == EVPN)
        if len(type5):
            for width, routes in _type5(frames, fields, type5, refused).items():
                if len(routes.field):
                    parts[width].append(self._prefixes(fields, routes, width, refused))
        for kind, width in ((IPV4, 4), (IPV6, 16)):
            unicast = np.flatnonzero(kinds == kind)
            if len(unicast):
                places = _unicast(frames, fields, unicast, width, refused)
                if len(places.field):
                    parts[width].append(self._routes(frames, fields, places, width))
        bad = np.array(sorted(refused), np.int64)
        made = [_columns(fields, found, bad) for found in parts.values() if found]
        return [columns for columns in made if len(columns.message)], refused

    def _routes(self, frames: Frames, fields: Fields, places: _Places, width: int) -> _Part:
        """Unicast routes: a context is the terms alone."""
        octets = gather(frames.octets, places.offset, width + 1)
        bits = np.minimum(octets[:, 0], width * 8)
        codes = fields.code[places.field]
        runs = _runs(codes)
        known, terms = self._unicast, self._finder.terms
        numbers: list[int] = (codes[runs] >> 2).tolist()
        known[WITHDRAWN] = 0
        if fresh := [number for number in dict.fromkeys(numbers) if number not in known]:
            bodies = self._words.bodies_of([terms[number] for number in fresh], repeat(0))
            known.update(zip(fresh, bodies, strict=True))
        address = _masked(octets[:, 1:], bits, width)
        none = np.zeros(len(bits), np.uint32)
        said = np.array([known[number] for number in numbers], np.uint32)
        return _Part(places.field, bits, address, _spread(said, runs, len(bits)), none)

    def _prefixes(self, fields: Fields, routes: _Routes, width: int, refused: set[int]) -> _Part:
        """Type 5 routes. The octets of one but its prefix, and the number of its terms where the
        prefix stood, are its context; what that means is judged once."""
        field, octets = routes
        words = octets.view("<u4")
        bits = octets[:, _BITS].copy()
        if int(bits.max()) > width * 8:
            refused.update(fields.message[field[bits > width * 8]].tolist())
            bits = np.minimum(bits, np.uint8(width * 8))
        if width == 4:
            # The address stands across two words, behind the octet of the prefix length.
            net = words[:, 6] >> np.uint32(8) | words[:, 7] << np.uint32(24)
            address = (net & _MASK4_OCTETS[bits]).view(np.uint8).reshape(-1, 4)
        else:
            address = _masked(octets[:, _ADDRESS : _ADDRESS + width], bits, width)
        last = (_ADDRESS + width) // 4
        words[:, 7:last] = 0
        words[:, last] &= np.uint32(0xFFFFFF00)
        words[:, 6] = (fields.code >> 2).astype(np.uint32)[field]
        runs = _row_runs(words)
        heads = octets[runs]
        keys: list[bytes] = heads.view(f"V{_STRIDE[width]}").ravel().tolist()
        packed = list(map(self._contexts.get, keys))
        fresh = [place for place, known in enumerate(packed) if known is None]
        if fresh:
            if len(fresh) >= _MANY and not self._mpls:
                self._judge_many(keys, heads, fresh, width)
            packed = list(map(self._contexts.get, keys))
            if None in packed:
                packed = [self._context(key, width) for key in keys]
        found = np.array(packed, np.int64)
        if (wrong := found == _NOT_PLAIN).any():
            bad = np.repeat(wrong, np.diff(runs, append=len(bits)))
            refused.update(fields.message[field[bad]].tolist())
        body = _spread((found >> 32).astype(np.uint32), runs, len(bits))
        named = _spread(found.astype(np.uint32), runs, len(bits))
        return _Part(field, bits, address, body, named)

    def _judge_many(self, keys: list[bytes], heads: U1, fresh: list[int], width: int) -> None:
        """Judge those of the ``fresh`` contexts that are of the usual kind, announcements with a
        VNI and nothing else: what ``_context`` says of each. ``heads``: uint8[n, stride], the
        octets of the keys."""
        some = heads[fresh]
        words = some.view("<u4")
        label = words[:, -1].byteswap() & np.uint32(0xFFFFFF)
        usual = (words[:, 6] != WITHDRAWN) & (label > 0)
        usual &= ~some[:, 10:_ETAG].any(axis=1) & ~some[:, _ADDRESS + width : -3].any(axis=1)
        chosen = np.flatnonzero(usual)
        some, words = some[chosen], words[chosen]
        attributes = [self._finder.terms[number] for number in words[:, 6].tolist()]
        rds: list[bytes] = np.ascontiguousarray(some[:, 2:10]).view("V8").ravel().tolist()
        tags: list[int] = words[:, _ETAG // 4].byteswap().tolist()
        named = self._words.distinguishers_of(rds, tags)
        bodies = self._words.bodies_of(attributes, label[chosen].tolist())
        self._cache.keep(_CONTEXT_COST * len(chosen))
        for place, body, name in zip(chosen.tolist(), bodies, named, strict=True):
            self._contexts[keys[fresh[place]]] = body << 32 | name

    def _context(self, key: bytes, width: int) -> int:
        """body << 32 | distinguisher of one context, or _NOT_PLAIN."""
        found = self._contexts.get(key)
        if found is not None:
            return found
        number = int.from_bytes(key[_BITS : _BITS + 4], "little")
        attributes = self._finder.terms[number]
        esi, gateway = key[10:_ETAG], key[_ADDRESS + width : -3]
        vni = int.from_bytes(key[-3:], "big")
        if self._mpls and attributes.encapsulation != VXLAN:
            vni >>= 4
        if number == WITHDRAWN:
            body = 0
        elif any(gateway):
            # Both overlay indexes: RFC 9136 §3.2.
            via = Ip(gateway)
            body = _NOT_PLAIN if any(esi) else self._words.body(attributes, esi, via, vni)
        elif vni == 0 and not any(esi) and attributes.router_mac is None:
            body = _NOT_PLAIN  # No overlay index at all: RFC 9136 §3.1.
        else:
            body = self._words.body(attributes, esi, None, vni)
        if body != _NOT_PLAIN:
            etag = int.from_bytes(key[_ETAG:_BITS], "big")
            body = body << 32 | self._words.distinguisher(key[2:10], etag)
        self._cache.keep(_CONTEXT_COST)
        self._contexts[key] = body
        return body


def _type5(frames: Frames, fields: Fields, chosen: I8, refused: set[int]) -> dict[int, _Routes]:
    """The type 5 routes of these fields by width. Nearly always all routes of a field have one
    length; if not, it is walked."""
    start, size = fields.start[chosen], fields.stop[chosen] - fields.start[chosen]
    inner = frames.octets[start + 1]
    odd = np.ones(len(chosen), np.bool_)
    found: dict[int, _Routes] = {}
    for width, stride in _STRIDE.items():
        even = (inner == stride - 2) & (size % stride == 0)
        odd &= ~even
        routes = _even(frames, chosen[even], start[even], size[even], stride)
        good = routes.octets.view("<u2")[:, 0] == _KIND_LENGTH[width]
        if not good.all():
            mixed = routes.field[~good]
            odd[np.searchsorted(chosen, mixed)] = True
            kept = ~np.isin(routes.field, mixed)
            routes = _Routes(routes.field[kept], routes.octets[kept])
        found[width] = routes
    walked: dict[int, list[tuple[int, int]]] = {34: [], 58: []}
    for index in chosen[odd].tolist():
        each = _walk(frames.raw, int(fields.start[index]), int(fields.stop[index]))
        if each is None:
            refused.add(int(fields.message[index]))
            continue
        for length, offset in each:
            walked[length].append((index, offset))
    for width, stride in _STRIDE.items():
        if more := walked[stride - 2]:
            added = _Places(*np.array(more, np.int64).T)
            owner = np.concatenate((found[width].field, added.field))
            octets = gather(frames.octets, added.offset, stride)
            order = np.argsort(owner, kind="stable")
            octets = np.concatenate((found[width].octets, octets))
            found[width] = _Routes(owner[order], octets[order])
    return found


def _walk(raw: bytes, position: int, stop: int) -> list[tuple[int, int]] | None:
    """(length, first octet) of each route of a field; None if it is not of type 5 alone."""
    found = []
    while position < stop:
        if position + 2 > stop:
            return None
        length = raw[position + 1]
        if raw[position] != _TYPE or length not in (34, 58) or position + 2 + length > stop:
            return None
        found.append((length, position))
        position += 2 + length
    return found


def _even(frames: Frames, field: I8, start: I8, size: I8, stride: int) -> _Routes:
    """The routes of fields that hold nothing but routes of ``stride`` octets."""
    total = int(size.sum()) // stride
    if total < _MANY * len(field) or not total:
        count = size // stride
        if total > len(field):
            before = np.cumsum(count) - count
            start = np.repeat(start - stride * before, count) + stride * np.arange(total)
            field = np.repeat(field, count)
        return _Routes(field, gather(frames.octets, start, stride))
    raw, ends = memoryview(frames.raw), (start + size).tolist()
    pieces = [raw[a:b] for a, b in zip(start.tolist(), ends, strict=True)]
    octets = np.frombuffer(bytearray().join(pieces), np.uint8).reshape(total, stride)
    return _Routes(np.repeat(field, size // stride), octets)


def _unicast(frames: Frames, fields: Fields, chosen: I8, width: int, refused: set[int]) -> _Places:
    """The routes of these fields; their lengths follow from each other, so this is a loop."""
    raw, steps, limit = frames.raw, _STEPS4, width * 8
    offsets: list[int] = []
    add = offsets.append
    counts = []
    before = 0
    starts, stops = fields.start[chosen].tolist(), fields.stop[chosen].tolist()
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        position = start
        while position < stop:
            add(position)
            position += steps[raw[position]]
        if position != stop:
            refused.add(int(fields.message[chosen[index]]))
        counts.append(len(offsets) - before)
        before = len(offsets)
    places = _Places(np.repeat(chosen, counts), np.array(offsets, np.int64))
    long = frames.octets[places.offset] > limit
    if long.any():
        refused.update(fields.message[places.field[long]].tolist())
    return places


def _masked(address: U1, bits: U1, width: int) -> U1:
    """The network addresses: host bits cleared, they are irrelevant (RFC 4271 §4.3)."""
    if width == 4:
        number = np.ascontiguousarray(address).view(">u4").ravel() & _MASK4[bits]
        return number.astype(">u4").view(np.uint8).reshape(-1, 4)
    halves = np.ascontiguousarray(address).view(">u8") & _MASK6[bits]
    return halves.astype(">u8").view(np.uint8).reshape(-1, 16)


def _runs(*columns: npt.NDArray[Any]) -> I8:
    """Where rows begin that differ from the one before."""
    new = np.empty(len(columns[0]), np.bool_)
    new[:1] = True
    new[1:] = False
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def _row_runs(words: U4) -> I8:
    """The same for rows of words: uint32[n, m]."""
    width = words.shape[1]
    flat = words.ravel()
    differs = np.flatnonzero(flat[width:] != flat[:-width]) // width + 1
    first = np.ones(len(differs) + 1, np.bool_)
    found = np.append(0, differs)
    first[1:] = found[1:] != found[:-1]
    return found[first]


def _spread(values: U4, runs: I8, length: int) -> U4:
    """Each value for the rows of its run."""
    if len(runs) == length:
        return values
    return np.repeat(values, np.diff(runs, append=length))


def _columns(fields: Fields, parts: list[_Part], refused: I8) -> Columns:
    """All parts of one width in the order of their fields, without the refused messages."""
    part = parts[0]
    if len(parts) > 1:
        part = _Part._make(np.concatenate(column) for column in zip(*parts, strict=True))
        part = part.taken(np.argsort(part.field, kind="stable"))
    message = fields.message[part.field]
    if len(refused):
        kept = ~np.isin(message, refused)
        part, message = part.taken(kept), message[kept]
    field, bits, address, body, distinguisher = part
    announced = (fields.code >> 2 != WITHDRAWN)[field]
    return Columns(message, PrefixRows(announced, distinguisher, address, bits, body))
