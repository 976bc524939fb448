"""Messages that carry no routes: OPEN, NOTIFICATION, KEEPALIVE. In: a whole message whose header
is right; out: what is wrong with it, or None. RFC 4271 §6.1 and §6.2, RFC 9072, RFC 7607."""

from __future__ import annotations

from ccn_bgp.session.decode_faults import HEADER_ERROR, OPEN_ERROR, Fault, reset

OPEN, NOTIFICATION, KEEPALIVE = 1, 3, 4
BAD_LENGTH, BAD_TYPE = 2, 3


def check(raw: bytes) -> Fault | None:
    """Judge one message by its type."""
    kind, length = raw[18], len(raw)
    if kind == KEEPALIVE:
        return None if length == 19 else _length(f"KEEPALIVE: length {length}, not 19")
    if kind == NOTIFICATION:
        return None if length >= 21 else _length(f"NOTIFICATION: length {length} is under 21")
    if kind == OPEN:
        return _open(raw)
    return reset("RFC 4271 §6.1", f"message type {kind} is unknown", HEADER_ERROR, BAD_TYPE)


def _length(text: str) -> Fault:
    return reset("RFC 4271 §6.1", text, HEADER_ERROR, BAD_LENGTH)


def _open(raw: bytes) -> Fault | None:
    if len(raw) < 29:
        return _length(f"OPEN: length {len(raw)} is under 29")
    if len(raw) > 4096:
        return reset(
            "RFC 8654 §4", f"OPEN: length {len(raw)} is over 4096", HEADER_ERROR, BAD_LENGTH
        )
    if raw[19] != 4:
        return reset("RFC 4271 §6.2", f"OPEN: version {raw[19]}, not 4", OPEN_ERROR, 1)
    if raw[20:22] == b"\0\0":
        return reset("RFC 7607 §2", "OPEN: AS 0", OPEN_ERROR, 2)
    if raw[22:24] in (b"\0\1", b"\0\2"):
        return reset("RFC 4271 §6.2", f"OPEN: hold time {raw[23]}", OPEN_ERROR, 6)
    if raw[24:28] == bytes(4):
        return reset("RFC 6286 §2.2", "OPEN: the BGP identifier is zero", OPEN_ERROR, 3)
    return _optional_parameters(raw)


def _optional_parameters(raw: bytes) -> Fault | None:
    position, declared, width = 29, raw[28], 1
    if declared and raw[29:30] == b"\xff":
        # RFC 9072 §2: the extended form, lengths of two octets.
        if len(raw) < 32:
            return reset("RFC 9072 §2", "OPEN: the extended length is cut off", OPEN_ERROR, 0)
        position, declared, width = 32, raw[30] << 8 | raw[31], 2
    if position + declared != len(raw):
        text = f"OPEN: {declared} octets of parameters announced, {len(raw) - position} there"
        return reset("RFC 4271 §6.2", text, OPEN_ERROR, 0)
    while position < len(raw):
        value_at = position + 1 + width
        size = int.from_bytes(raw[position + 1 : value_at], "big")
        if value_at + size > len(raw):
            return reset(
                "RFC 4271 §6.2", "OPEN: a parameter ends behind the message", OPEN_ERROR, 0
            )
        position = value_at + size
    return None
