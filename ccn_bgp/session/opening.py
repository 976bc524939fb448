"""An OPEN, before ExaBGP reads it.

In: the body of the message. Out: the same with those capabilities alone that we use, each of a
length that it can have; or what is wrong with it. Pure. RFC 4271 §4.2, §6.2, 5492, 9072.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ccn_bgp.session.bgp_stream import HEADER_LENGTH, Fault

VERSION = 4
_FIXED = 10  # octets up to the length of the parameters
_CAPABILITIES, _EXTENDED = 2, 255
_MULTIPROTOCOL, _GRACEFUL_RESTART, _FOUR_OCTETS = 1, 64, 65
_EMPTY = (2, 6, 70)
"""Route refresh, extended messages, enhanced refresh: what stands in them means nothing."""


class _MalformedError(Exception):
    pass


def read_open(body: bytes) -> bytes | Fault:
    """The body that ExaBGP is to see. Capabilities that we never announce are left out, whatever
    their contents (RFC 5492 §3)."""
    if len(body) < _FIXED:
        return Fault(1, 2, struct.pack("!H", HEADER_LENGTH + len(body)))
    if body[0] != VERSION:
        return Fault(2, 1, struct.pack("!H", VERSION), f"version {body[0]}")
    known: dict[bytes, None] = {}
    try:
        for kind, value in _parameters(body):
            if kind != _CAPABILITIES:
                return Fault(2, 4, b"", f"optional parameter {kind}")
            for code, content in _fields(value, 1, "capability"):
                if (used := _used(code, content)) is not None:
                    known[bytes((code, len(used))) + used] = None
    except _MalformedError as fault:
        return Fault(2, 0, b"", str(fault))
    return body[: _FIXED - 1] + _written(list(known))


def _parameters(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each optional parameter."""
    length, rest, wide = body[9], body[_FIXED:], 1
    if length and rest[:1] == bytes((_EXTENDED,)):  # RFC 9072 §2
        if len(rest) < 3:
            raise _MalformedError("the length of the optional parameters is cut off")
        length, rest, wide = int.from_bytes(rest[1:3], "big"), rest[3:], 2
    if length != len(rest):
        raise _MalformedError(f"{length} octets of optional parameters, {len(rest)} are there")
    return _fields(rest, wide, "optional parameter")


def _fields(data: bytes, wide: int, what: str) -> Iterator[tuple[int, bytes]]:
    """(type, value) of fields whose lengths have ``wide`` octets."""
    at = 0
    while at < len(data):
        begin = at + 1 + wide
        end = begin + int.from_bytes(data[at + 1 : begin], "big")
        if begin > len(data) or end > len(data):
            raise _MalformedError(f"{what} {data[at]} is cut off")
        yield data[at], data[begin:end]
        at = end


def _used(code: int, value: bytes) -> bytes | None:
    """The value of a capability that we use; None for others."""
    if code in _EMPTY:
        return b""
    if code == _GRACEFUL_RESTART:
        fits = len(value) % 4 == 2
    elif code in (_MULTIPROTOCOL, _FOUR_OCTETS):
        fits = len(value) == 4
    else:
        return None
    if not fits:
        raise _MalformedError(f"capability {code} of {len(value)} octets")
    return value


def _written(capabilities: list[bytes]) -> bytes:
    """The optional parameters: one for each capability, in the plain form if they fit in it."""
    if sum(2 + len(c) for c in capabilities) < _EXTENDED:
        plain = b"".join(bytes((_CAPABILITIES, len(c))) + c for c in capabilities)
        return bytes((len(plain),)) + plain
    wide = b"".join(struct.pack("!BH", _CAPABILITIES, len(c)) + c for c in capabilities)
    return struct.pack("!BBH", _EXTENDED, _EXTENDED, len(wide)) + wide
