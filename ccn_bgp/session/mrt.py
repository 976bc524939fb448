"""MRT records of BGP sessions (RFC 6396 §4.4, BGP4MP and BGP4MP_ET), both ways. Pure.

In: messages and state changes of a session, to be recorded; or the octets of a file. Out: records;
or Message and StateChange values. An OPEN recorded here says what the two sides agreed on, and in
its FQDN capability (code 73) the names by which the topology calls the peer and the gateway.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ccn_bgp.model.bgp import Asn, Family, Ip
from ccn_bgp.session.attributes import AS_TRANS
from ccn_bgp.session.events import OpenFacts

BGP4MP, BGP4MP_ET = 16, 17
STATE_CHANGE, MESSAGE, MESSAGE_AS4, STATE_CHANGE_AS4 = 0, 1, 4, 5
MESSAGE_LOCAL, MESSAGE_AS4_LOCAL = 6, 7
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5

_HEAD = struct.Struct(">IHHI")
_MARKER = b"\xff" * 16
_LONGEST = 1 << 20
"""Octets of a record; BGP messages end at 65535."""
_MESSAGES = (MESSAGE, MESSAGE_AS4, MESSAGE_LOCAL, MESSAGE_AS4_LOCAL)
_STATES = (STATE_CHANGE, STATE_CHANGE_AS4)
_WIDE = (MESSAGE_AS4, STATE_CHANGE_AS4, MESSAGE_AS4_LOCAL)
_KINDS = {11: "OSPFv2", 12: "TABLE_DUMP", 13: "TABLE_DUMP_V2", 32: "ISIS", 33: "ISIS_ET"}
_FAMILIES = {family.value: family for family in Family}
_MULTIPROTOCOL, _REFRESH, _EXTENDED, _RESTART, _AS4, _ENHANCED, _FQDN = 1, 2, 6, 64, 65, 70, 73


class State(enum.IntEnum):
    """States of a session (RFC 4271 §8.2.2), as MRT numbers them."""

    IDLE = 1
    CONNECT = 2
    ACTIVE = 3
    OPEN_SENT = 4
    OPEN_CONFIRM = 5
    ESTABLISHED = 6


class Link(NamedTuple):
    """The two ends of a session. ``number`` is MRT's interface index: what tells sessions apart
    that agree in all else."""

    peer_asn: int
    local_asn: int
    number: int
    peer: Ip
    local: Ip


class Message(NamedTuple):
    """A BGP message with its header. ``when``: microseconds since 1970. ``ours``: we sent it."""

    when: int
    link: Link
    octets: bytes
    asn4: bool
    ours: bool


class StateChange(NamedTuple):
    """A session went from one state to another; numbers beyond RFC 4271 are kept."""

    when: int
    link: Link
    old: int
    new: int


Record = Message | StateChange


class MrtError(ValueError):
    """Octets that are no MRT of BGP sessions; ``at`` is the offset of the record."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(what)
        self.at = at


# -- writing ------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """What every record of one session has in common, packed once."""

    message: bytes
    state: bytes
    subtype: int

    @classmethod
    def of(cls, link: Link, asn4: bool) -> Frame:
        """MESSAGE where the session speaks AS numbers of 2 octets, else MESSAGE_AS4; state changes
        always with 4."""
        afi = 1 if len(link.peer) == 4 else 2
        ends = struct.pack(">HH", link.number, afi) + link.peer + link.local
        wide = struct.pack(">II", link.peer_asn, link.local_asn) + ends
        if asn4:
            return cls(wide, wide, MESSAGE_AS4)
        narrow = [n if n <= 0xFFFF else AS_TRANS for n in (link.peer_asn, link.local_asn)]
        return cls(struct.pack(">HH", *narrow) + ends, wide, MESSAGE)


def message_records(when: int, frame: Frame, messages: bytes) -> bytes:
    """Records of whole messages that stand one behind the other, all heard at ``when``."""
    seconds, micros = divmod(when, 1_000_000)
    fixed, rest = struct.pack(">IHH", seconds, BGP4MP_ET, frame.subtype), len(frame.message) + 4
    after = struct.pack(">I", micros) + frame.message
    found: list[bytes] = []
    position = 0
    while position < len(messages):
        length = messages[position + 16] << 8 | messages[position + 17]
        found += (fixed, (rest + length).to_bytes(4, "big"), after)
        found.append(messages[position : position + length])
        position += length
    return b"".join(found)


def state_record(when: int, frame: Frame, old: State, new: State) -> bytes:
    """A record of a state change."""
    seconds, micros = divmod(when, 1_000_000)
    body = struct.pack(">I", micros) + frame.state + struct.pack(">HH", old, new)
    return _HEAD.pack(seconds, BGP4MP_ET, STATE_CHANGE_AS4, len(body)) + body


def whole_records(octets: bytes, limit: int) -> int:
    """How many of the first ``limit`` octets are whole records."""
    position = 0
    while position + _HEAD.size <= limit:
        end = position + _HEAD.size + int.from_bytes(octets[position + 8 : position + 12], "big")
        if end > limit:
            break
        position = end
    return position


def open_message(facts: OpenFacts, peer: str, gateway: str) -> bytes:
    """An OPEN (RFC 4271 §4.2) that says what was agreed, and who this is."""
    capabilities = [
        _capability(_MULTIPROTOCOL, struct.pack(">HBB", f.value[0], 0, f.value[1]))
        for f in sorted(facts.families, key=lambda f: f.value)
    ]
    if facts.route_refresh:
        capabilities.append(_capability(_REFRESH, b""))
    if facts.extended_message:
        capabilities.append(_capability(_EXTENDED, b""))
    if facts.restart_time is not None:
        value = struct.pack(">H", facts.restarted << 15 | facts.restart_time & 0xFFF)
        for family in sorted(facts.restart_families, key=lambda f: f.value):
            flags = 0x80 if family in facts.forwarding else 0
            value += struct.pack(">HBB", *family.value, flags)
        capabilities.append(_capability(_RESTART, value))
    if facts.asn4:
        capabilities.append(_capability(_AS4, facts.asn.to_bytes(4, "big")))
    if facts.enhanced_refresh:
        capabilities.append(_capability(_ENHANCED, b""))
    names = [name.encode()[:63] for name in (peer, gateway)]
    capabilities.append(_capability(_FQDN, b"".join(bytes((len(n),)) + n for n in names)))
    listed = b"".join(capabilities)
    asn = facts.asn if facts.asn <= 0xFFFF else AS_TRANS
    body = struct.pack(">BHH", 4, asn, facts.hold_time) + facts.router_id
    body += bytes((len(listed),)) + listed
    return _MARKER + struct.pack(">HB", 19 + len(body), OPEN) + body


def _capability(code: int, value: bytes) -> bytes:
    """In an optional parameter of its own: some readers know of one in each (RFC 5492 §4)."""
    return bytes((2, len(value) + 2, code, len(value))) + value


# -- reading ------------------------------------------------------------------------------------


def records(file: BinaryIO) -> Iterator[Record]:
    """The records of one file, in order. MrtError: it is cut, or is no MRT of BGP sessions."""
    at = 0
    while head := file.read(_HEAD.size):
        if len(head) < _HEAD.size:
            raise MrtError(at, "the last record is cut")
        seconds, kind, subtype, length = _HEAD.unpack(head)
        if kind not in (BGP4MP, BGP4MP_ET):
            name = _KINDS.get(kind)
            what = f"holds {name}, not sessions" if name else f"type {kind} is not MRT"
            raise MrtError(at, f"{what} (BGP4MP is 16, BGP4MP_ET 17)")
        if subtype not in (*_MESSAGES, *_STATES):
            raise MrtError(at, f"BGP4MP subtype {subtype} is not read here")
        if length > _LONGEST:
            raise MrtError(at, f"a record of {length} octets")
        body = file.read(length)
        if len(body) < length:
            raise MrtError(at, "the last record is cut")
        micros = 0
        if kind == BGP4MP_ET:
            if length < 4 or (micros := int.from_bytes(body[:4], "big")) >= 1_000_000:
                raise MrtError(at, "no microseconds where they belong")
            body = body[4:]
        try:
            yield _record(seconds * 1_000_000 + micros, subtype, body)
        except (struct.error, IndexError):
            raise MrtError(at, "the record is too short for what it holds") from None
        except ValueError as error:
            raise MrtError(at, str(error)) from None
        at += _HEAD.size + length


def _record(when: int, subtype: int, body: bytes) -> Record:
    wide = subtype in _WIDE
    peer_asn, local_asn, number, afi = struct.unpack_from(">IIHH" if wide else ">HHHH", body)
    if afi not in (1, 2):
        raise ValueError(f"address family {afi} is neither IPv4 (1) nor IPv6 (2)")
    begin, width = 12 if wide else 8, 4 if afi == 1 else 16
    rest = begin + 2 * width
    if len(body) < rest:
        raise IndexError
    peer, local = Ip(body[begin : begin + width]), Ip(body[begin + width : rest])
    link = Link(peer_asn, local_asn, number, peer, local)
    if subtype in _STATES:
        old, new = struct.unpack_from(">HH", body, rest)
        if len(body) != rest + 4:
            raise ValueError(f"{len(body) - rest - 4} octets behind a state change")
        return StateChange(when, link, old, new)
    octets = body[rest:]
    if len(octets) < 19 or octets[:16] != _MARKER:
        raise ValueError("no BGP message where it belongs")
    length = octets[16] << 8 | octets[17]
    if length != len(octets):
        raise ValueError(f"a BGP message of {length} octets in {len(octets)}")
    return Message(when, link, octets, wide, subtype in (MESSAGE_LOCAL, MESSAGE_AS4_LOCAL))


class Opened(NamedTuple):
    """An OPEN that was recorded; names are empty where none are given."""

    facts: OpenFacts
    peer: str
    gateway: str


def opened(octets: bytes) -> Opened:
    """Read an OPEN with its header; ValueError if it is broken."""
    if len(octets) < 29 or octets[18] != OPEN:
        raise ValueError("an OPEN that is too short")
    _, asn, hold_time = struct.unpack_from(">BHH", octets, 19)
    capabilities = list(_capabilities(octets[29 : 29 + octets[28]]))
    by_code = dict(capabilities)
    pairs = [(v[0] << 8 | v[1], v[3]) for c, v in capabilities if c == 1 and len(v) == 4]
    families = frozenset(_FAMILIES[p] for p in pairs if p in _FAMILIES)
    restart = by_code.get(_RESTART)
    named: dict[Family, int] = {}
    if restart is not None and len(restart) < 2:
        raise ValueError("an OPEN whose graceful restart capability is cut")
    for at in range(2, len(restart or b"") - 3, 4):
        afi, safi, flags = struct.unpack_from(">HBB", restart or b"", at)
        if (afi, safi) in _FAMILIES:
            named[_FAMILIES[afi, safi]] = flags
    asn4 = by_code.get(_AS4, b"")
    if asn4 and len(asn4) != 4:
        raise ValueError("an OPEN whose AS number capability is not of 4 octets")
    facts = OpenFacts(
        asn=Asn(int.from_bytes(asn4, "big") if asn4 else asn),
        router_id=Ip(octets[24:28]),
        hold_time=hold_time,
        asn4=bool(asn4),
        families=families if pairs else frozenset((Family.IPV4_UNICAST,)),
        route_refresh=_REFRESH in by_code,
        enhanced_refresh=_ENHANCED in by_code,
        max_message=65535 if _EXTENDED in by_code else 4096,
        restart_time=None if restart is None else (restart[0] << 8 | restart[1]) & 0xFFF,
        restarted=bool(restart and restart[0] & 0x80),
        restart_families=frozenset(named),
        forwarding=frozenset(f for f, flags in named.items() if flags & 0x80),
    )
    return Opened(facts, *_names(by_code.get(_FQDN, b"")))


def _names(value: bytes) -> tuple[str, str]:
    if not value:
        return "", ""
    end = 1 + value[0]
    if len(value) < end + 1 or len(value) != end + 1 + value[end]:
        raise ValueError("an OPEN whose FQDN capability is cut")
    names = [part.decode("utf-8", "replace") for part in (value[1:end], value[end + 1 :])]
    return names[0], names[1]


def _capabilities(parameters: bytes) -> Iterator[tuple[int, bytes]]:
    """Capabilities of all optional parameters of type 2 (RFC 5492 §4)."""
    for kind, value in _fields(parameters):
        if kind == 2:
            yield from _fields(value)


def _fields(octets: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(octets):
        end = position + 2 + octets[position + 1] if position + 1 < len(octets) else 1 << 16
        if end > len(octets):
            raise ValueError("an OPEN whose optional parameters are cut")
        yield octets[position], octets[position + 2 : end]
        position = end
