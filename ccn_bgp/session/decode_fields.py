"""Where the NLRI of plain UPDATEs stand, and what their attributes say of them.

In: the whole messages of one block. Out: Fields in columns, and the messages that Decoder must
judge, because something in them is wrong or rare; the octets of the NLRI themselves are not looked
at here. Peers send thousands of messages that differ in the NLRI alone, so what was found out about
one holds for all that have the same octets around it: that is a Layout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Family, Ip
from ccn_bgp.model.path import PathAttributes, first_asn
from ccn_bgp.session import attributes as wire
from ccn_bgp.session.decode import MARKER, NEXT_HOP_LENGTHS, UPDATE, Decoder, bad_mac
from ccn_bgp.session.decode_alike import Examples, Reach
from ccn_bgp.session.decode_cache import NOTHING

I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

EVPN, IPV4, IPV6 = range(3)
"""What a field holds; a code is ``terms << 2 | kind``."""
WITHDRAWN = 0
"""The number of the terms that withdrawals have."""
PADDING = 64
"""Octets behind a block, so that the last NLRI can be read in one piece of fixed size."""

_KINDS = {Family.EVPN: EVPN, Family.IPV4_UNICAST: IPV4, Family.IPV6_UNICAST: IPV6}
_FEW = 12
"""So many messages of one length are looked at one by one."""
_LAYOUTS = 3
"""Layouts that are kept of one length."""


class Frames(NamedTuple):
    """Whole messages of one block: ``octets`` uint8 with PADDING behind, ``starts`` int64[n],
    ``sizes`` int64[n]. ``end`` is the octet behind the last of them."""

    raw: bytes
    octets: U1
    starts: I8
    sizes: I8
    end: int


class Fields(NamedTuple):
    """NLRI fields in order; int64[n] each: the message, first octet, octet behind, code."""

    message: I8
    start: I8
    stop: I8
    code: I8


def framed(raw: bytes) -> Frames:
    """Find the messages. Stops before one that ends behind the block or is under 19 octets."""
    starts: list[int] = []
    add = starts.append
    position, last = 0, len(raw) - 19
    while position <= last:
        length = raw[position + 16] << 8 | raw[position + 17]
        if length < 19:
            break
        add(position)
        position += length
    if position > len(raw):
        position = starts.pop()
    borders = np.array([*starts, position], np.int64)
    octets = np.frombuffer(raw + bytes(PADDING), np.uint8)
    return Frames(raw, octets, borders[:-1], np.diff(borders), position)


def gather(octets: U1, offsets: I8, size: int) -> U1:
    """uint8[n, size]: the ``size`` octets at each offset."""
    return _pieces(octets, offsets, size).view(np.uint8).reshape(len(offsets), size)


def _pieces(octets: U1, offsets: I8, size: int) -> npt.NDArray[np.void]:
    shape = (len(octets) - size + 1,)
    overlapping: npt.NDArray[np.void] = np.ndarray(shape, f"V{size}", octets, 0, (1,))
    return overlapping[offsets]


_Range = tuple[int, int]
Field = tuple[int, int, int]
"""First octet, octet behind, code."""


class Layout:
    """UPDATEs of one length with one NLRI field, at octet ``at`` up to ``behind``; the octets
    around it, from the type on, lead to its code."""

    __slots__ = ("at", "behind", "codes", "cost", "examples", "length")

    def __init__(self, length: int, at: int, behind: int) -> None:
        self.length, self.at, self.behind = length, at, behind
        self.cost = 0
        self.codes: dict[bytes, int] = {}
        self.examples = Examples()

    def key(self, raw: bytes, start: int) -> bytes:
        """The octets around the field of the message at ``start``."""
        tail = raw[start + self.behind : start + self.length]
        return raw[start + 18 : start + self.at] + tail

    def look_up(self, frames: Frames, starts: I8) -> tuple[I8, U1]:
        """The codes of these messages, -1 where not known, and the octets around their fields."""
        head = gather(frames.octets, starts + 18, self.at - 18)
        if self.behind < self.length:
            tail = gather(frames.octets, starts + self.behind, self.length - self.behind)
            head = np.concatenate((head, tail), axis=1)
        keys: list[bytes] = head.view(f"V{head.shape[1]}").ravel().tolist()
        get = self.codes.get
        return np.array([get(key, -1) for key in keys], np.int64), head


class FieldFinder:
    """Finds the fields of one session's messages; knows its layouts and terms."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cache = decoder.cache
        session = decoder.session
        self._negotiated = {
            family.value[0] << 8 | family.value[1]: (kind, NEXT_HOP_LENGTHS[family])
            for family, kind in _KINDS.items()
            if family in session.families
        }
        self._classic = Family.IPV4_UNICAST in session.families
        enforced = session.enforce_first_as and session.external
        self._first_as = session.peer_asn if enforced else None
        self._layouts: dict[int, list[Layout]] = {}
        self._numbers: dict[int, int] = {}
        self.terms: list[PathAttributes] = []
        self.forget()

    def forget(self) -> None:
        """Layouts and numbers of terms start anew."""
        self._layouts.clear()
        self._numbers.clear()
        self.terms = [NOTHING.base]

    def find(self, frames: Frames) -> tuple[Fields, list[int]]:
        """The fields of all plain messages, and the numbers of the others, ascending."""
        octets, starts = frames.octets, frames.starts
        plain = (octets[starts + 18] == UPDATE) & (frames.sizes >= 23)
        markers = _pieces(octets, starts, 16)
        plain &= markers == np.frombuffer(MARKER, "V16")
        others: list[int] = np.flatnonzero(~plain).tolist()
        found: list[Fields] = []
        one_by_one: list[int] = []
        for messages in _by_size(np.flatnonzero(plain), frames.sizes):
            length, left = int(frames.sizes[messages[0]]), messages
            if len(messages) >= _FEW:
                if length not in self._layouts:  # it may be an example for the others
                    self._each(frames, messages[:1], one_by_one, others)
                    left = messages[1:]
                left = self._by_layout(frames, left, length, found)
            self._each(frames, left, one_by_one, others)
        if one_by_one:
            columns = np.array(one_by_one, np.int64).reshape(-1, 4).T
            found.append(Fields(*columns))
        return _joined(found), sorted(others)

    def _each(self, frames: Frames, messages: I8, fields_of: list[int], others: list[int]) -> None:
        """Look at these messages one by one."""
        starts, sizes = frames.starts[messages].tolist(), frames.sizes[messages].tolist()
        for message, start, size in zip(messages.tolist(), starts, sizes, strict=True):
            fields = self._of_message(frames.raw, start, size)
            if fields is None:
                others.append(message)
                continue
            for field in fields:
                fields_of.append(message)
                fields_of += field

    def _by_layout(self, frames: Frames, messages: I8, length: int, found: list[Fields]) -> I8:
        """Settle the messages of known layouts; returns the others."""
        for layout in self._layouts.get(length, ()):
            starts = frames.starts[messages]
            codes, around = layout.look_up(frames, starts)
            if len(fresh := np.flatnonzero(codes < 0)):
                codes[fresh] = self._by_example(layout, around[fresh])
            known = codes >= 0
            starts = starts[known]
            found.append(
                Fields(messages[known], starts + layout.at, starts + layout.behind, codes[known])
            )
            messages = messages[~known]
            if not len(messages):
                break
        return messages

    def _by_example(self, layout: Layout, around: U1) -> I8:
        """The codes of new messages that are like a known one, -1 for the others."""
        codes = np.full(len(around), -1, np.int64)
        for alike in layout.examples.alike(around):
            next_hop, rests = alike.example.reach.next_hop, alike.rests
            first = dict(zip(reversed(rests), range(len(rests) - 1, -1, -1), strict=True))
            known = self._cache.shared_by(rests, next_hop)
            fresh = sorted(place for rest, place in first.items() if known[place] is None)
            made = alike.made(fresh)
            self._cache.put_all(made, [rests[place] for place in fresh], next_hop)
            codes[alike.numbers[fresh]] = [n << 2 | EVPN for n in self._add(made)]
            if len(fresh) == len(rests):
                continue
            for place, rest in enumerate(rests):  # said before
                attributes = known[first[rest]]
                if attributes is None and first[rest] == place:
                    continue
                at = alike.numbers[place]
                if attributes is None:
                    codes[at] = codes[alike.numbers[first[rest]]]
                elif (number := self._numbers.get(id(attributes) << 1 | 1)) is not None:
                    codes[at] = number << 2 | EVPN
                if codes[at] >= 0:
                    self._know(layout, around[at].tobytes(), int(codes[at]))
        return codes

    def _add(self, sets: list[PathAttributes]) -> range:
        """Numbers for good attributes of EVPN that are new."""
        before = len(self.terms)
        self.terms += sets
        numbers = range(before, len(self.terms))
        self._numbers.update(zip([id(made) << 1 | 1 for made in sets], numbers, strict=True))
        return numbers

    def _of_message(self, raw: bytes, start: int, length: int) -> list[Field] | None:
        """The fields of one message: (first octet, octet behind, code), or None if it is not
        plain. As Decoder reads it, so must this: a property test compares them."""
        layouts = self._layouts.get(length)
        if layouts:
            newest = layouts[0]
            code = newest.codes.get(newest.key(raw, start))
            if code is not None:
                return [(start + newest.at, start + newest.behind, code)]
        stop = start + length
        size_at = start + 21 + (raw[start + 19] << 8 | raw[start + 20])
        blob_at = size_at + 2
        if blob_at > stop:
            return None
        nlri_at = blob_at + (raw[size_at] << 8 | raw[size_at + 1])
        if nlri_at > stop:
            return None
        blob = raw[blob_at:nlri_at]
        if (
            len(blob) > 4
            and blob[1] == wire.MP_REACH
            and size_at == start + 21
            and nlri_at == stop
            and (field := self._leading(raw, start, length, blob_at, blob))
        ):
            return [field]
        if size_at == start + 21 and nlri_at < stop and self._classic:
            before = len(self.terms)
            if (number := self._of_common(blob)) is not None:
                field = nlri_at, stop, number << 2 | IPV4
                if len(self.terms) == before:
                    self._remember(raw, start, length, field)
                return [field]
        located = _located(blob)
        if located is None:
            return None
        rest, reach, unreach = located
        classic, before = nlri_at < stop, len(self.terms)
        fields: list[Field | None] = []
        if size_at > start + 21:
            fields.append((start + 21, size_at, WITHDRAWN << 2 | IPV4) if self._classic else None)
        if unreach:
            fields.append(self._unreach(raw, blob_at + unreach[0], blob_at + unreach[1]))
        if classic:
            number = self._of_classic(rest) if self._classic else None
            fields.append(None if number is None else (nlri_at, stop, number << 2 | IPV4))
        if reach:
            fields.append(self._reach(raw, blob_at + reach[0], blob_at + reach[1], rest, True))
        elif rest and not classic and self._cache.parsed(rest).faults:
            return None
        found = [field for field in fields if field is not None]
        if not found or len(found) < len(fields):
            return None
        if len(found) == 1 and len(self.terms) == before:
            self._remember(raw, start, length, found[0])
        elif len(found) == 1 and reach and found[0][2] & 3 == EVPN:
            at = blob_at + reach[0]
            self._exemplify(raw, start, length, (at, _next_hop_at(raw, at)), found[0])
        return found

    def _leading(self, raw: bytes, start: int, length: int, at: int, blob: bytes) -> Field | None:
        """The field of a message that has MP_REACH_NLRI as its first attribute (RFC 7606 §5.1),
        and no other NLRI; None if it must be looked at more closely."""
        size = 4 + (blob[2] << 8 | blob[3]) if blob[0] & wire.EXTENDED else 3 + blob[2]
        if size > len(blob):
            return None
        before = len(self.terms)
        field = self._reach(raw, at, at + size, blob[size:], False)
        if field and len(self.terms) == before:
            self._remember(raw, start, length, field)
        elif field and field[2] & 3 == EVPN:
            self._exemplify(raw, start, length, (at, _next_hop_at(raw, at)), field)
        return field

    def _unreach(self, raw: bytes, at: int, stop: int) -> Field | None:
        """MP_UNREACH_NLRI from its flags on."""
        value_at = at + (4 if raw[at] & wire.EXTENDED else 3)
        if raw[at] & 0xC0 != wire.OPTIONAL or stop - value_at < 4:
            return None
        family = raw[value_at] << 16 | raw[value_at + 1] << 8 | raw[value_at + 2]
        kind, _ = self._negotiated.get(family, (None, ()))
        return None if kind is None else (value_at + 3, stop, WITHDRAWN << 2 | kind)

    def _reach(self, raw: bytes, at: int, stop: int, rest: bytes, alone: bool) -> Field | None:
        """MP_REACH_NLRI from its flags on. ``alone``: ``rest`` is known to hold no other."""
        value_at = at + (4 if raw[at] & wire.EXTENDED else 3)
        if raw[at] & 0xC0 != wire.OPTIONAL or stop - value_at < 5:
            return None
        family = raw[value_at] << 16 | raw[value_at + 1] << 8 | raw[value_at + 2]
        kind, sizes = self._negotiated.get(family, (None, ()))
        size = raw[value_at + 3]
        first = value_at + 5 + size
        if kind is None or size not in sizes or first >= stop:
            return None
        next_hop = raw[value_at + 4 : value_at + 4 + min(size, 16)]
        attributes = self._cache.shared(rest, next_hop)
        number = self._numbers.get(id(attributes) << 1 | (kind == EVPN))
        if number is None:
            number = self._of_reach(attributes, rest, Ip(next_hop), kind, alone)
        return None if number is None else (first, stop, number << 2 | kind)

    def _of_reach(
        self,
        attributes: PathAttributes | None,
        rest: bytes,
        next_hop: Ip,
        kind: int,
        alone: bool,
    ) -> int | None:
        """Judge attributes for MP_REACH_NLRI; the number of their terms, None if not good."""
        if wire.bad_next_hop(next_hop):
            return None
        made = self._cache.good(rest, next_hop)
        if made is not None:
            if not self._announces(made):
                return None
            if attributes is None:
                self._cache.put(made, rest, next_hop)
                attributes = made
        else:
            # Rare attributes, if not wrong ones.
            known = self._cache.parsed(rest) if rest and alone else NOTHING
            if known.faults or self._decoder.mandatory(known, classic=False):
                return None
            attributes = attributes or self._cache.share(known.base, rest, next_hop)
        if kind == EVPN and (mac := attributes.router_mac) and bad_mac(mac):
            return None
        return self._number(attributes, kind)

    def _announces(self, good: PathAttributes) -> bool:
        """Quicker than ``Decoder.mandatory``: do faultless attributes have what it asks for?"""
        said = good.__dict__
        if "origin" not in said or "as_path" not in said:
            return False
        return self._first_as is None or first_asn(said["as_path"]) == self._first_as

    def _of_common(self, blob: bytes) -> int | None:
        """The same for NLRI of IPv4 outside of attributes, if those are of common kinds and none of
        them is multiprotocol: every AS path of a full table comes here."""
        good = self._cache.common(blob)
        if good is None:
            return None
        number = self._numbers.get(id(good) << 1)
        if number is None and self._announces(good):
            next_hop = good.__dict__.get("next_hop")
            if next_hop is not None and not wire.bad_next_hop(next_hop):
                number = self._number(good, IPV4)
        return number

    def _of_classic(self, rest: bytes) -> int | None:
        """The same of any attributes but multiprotocol ones."""
        known = self._cache.parsed(rest) if rest else NOTHING
        number = self._numbers.get(id(known.base) << 1)
        if number is None and not known.faults and not self._decoder.mandatory(known, classic=True):
            number = self._number(known.base, IPV4)
        return number

    def _number(self, attributes: PathAttributes, kind: int) -> int:
        """A number for good attributes. Good for EVPN says more than good for others."""
        number = self._numbers[id(attributes) << 1 | (kind == EVPN)] = len(self.terms)
        self.terms.append(attributes)
        return number

    def _remember(self, raw: bytes, start: int, length: int, field: Field) -> None:
        at, behind = field[0] - start, field[1] - start
        layout = self._layout(length, at, behind)
        self._know(layout, layout.key(raw, start), field[2])

    def _know(self, layout: Layout, key: bytes, code: int) -> None:
        if key not in layout.codes:
            self._keep(layout, 150 + len(key))
            layout.codes[key] = code

    def _layout(self, length: int, at: int, behind: int) -> Layout:
        layouts = self._layouts.setdefault(length, [])
        for layout in layouts:
            if layout.at == at and layout.behind == behind:
                return layout
        layout = Layout(length, at, behind)
        layouts.insert(0, layout)
        for oldest in layouts[_LAYOUTS:]:
            self._cache.dropped(oldest.cost)
        del layouts[_LAYOUTS:]
        self._keep(layout, 600)
        return layout

    def _keep(self, layout: Layout, cost: int) -> None:
        layout.cost += cost
        self._cache.keep(cost)

    def _exemplify(self, raw: bytes, start: int, length: int, reach: _Range, field: Field) -> None:
        """Other messages may be like this one, which has one field and whose attributes are new;
        ``reach``: where its MP_REACH_NLRI begins, and the first octet of its next hop."""
        at, behind = field[0] - start, field[1] - start
        layout = self._layout(length, at, behind)
        next_hop = raw[reach[1] : reach[1] + min(raw[reach[1] - 1], 16)]
        place = Reach(reach[0] - start - 18, at - 18, next_hop)
        around = layout.key(raw, start)
        if layout.examples.add(around, place, self.terms[-1]):
            self._keep(layout, 600 + len(around))


def _next_hop_at(raw: bytes, reach: int) -> int:
    """The first octet of the next hop of the MP_REACH_NLRI that begins there."""
    return reach + (4 if raw[reach] & wire.EXTENDED else 3) + 4


def _located(blob: bytes) -> tuple[bytes, _Range | None, _Range | None] | None:
    """Path attributes without MP_REACH_NLRI and MP_UNREACH_NLRI, and where those stand; None if
    one of them stands there twice. What does not parse stays in the first part."""
    reach: _Range | None = None
    unreach: _Range | None = None
    position, end = 0, len(blob)
    while position + 3 <= end:
        if blob[position] & wire.EXTENDED:
            if position + 4 > end:
                break
            stop = position + 4 + (blob[position + 2] << 8 | blob[position + 3])
        else:
            stop = position + 3 + blob[position + 2]
        if stop > end:
            break
        code = blob[position + 1]
        if code == wire.MP_REACH:
            if reach:
                return None
            reach = position, stop
        elif code == wire.MP_UNREACH:
            if unreach:
                return None
            unreach = position, stop
        position = stop
    if reach is None and unreach is None:
        return blob, None, None
    rest, begin = b"", 0
    for first, behind in sorted(r for r in (reach, unreach) if r):
        rest += blob[begin:first]
        begin = behind
    return rest + blob[begin:], reach, unreach


def _by_size(messages: I8, sizes: I8) -> list[I8]:
    """The messages of each length, ascending within."""
    if not len(messages):
        return []
    taken = sizes[messages]
    if taken.min() == taken.max():
        return [messages]
    order = np.argsort(taken, kind="stable")
    borders: Any = np.flatnonzero(np.diff(taken[order])) + 1
    return np.split(messages[order], borders)


def _joined(found: list[Fields]) -> Fields:
    """All in the order of the messages, and of the fields within one."""
    if len(found) == 1:
        parts = found[0]
    elif found:
        parts = Fields(*(np.concatenate(column) for column in zip(*found, strict=True)))
    else:
        nothing = np.zeros(0, np.int64)
        return Fields(nothing, nothing, nothing, nothing)
    if np.all(parts.message[1:] >= parts.message[:-1]):
        return parts
    order = np.argsort(parts.message, kind="stable")
    return Fields(*(column[order] for column in parts))
