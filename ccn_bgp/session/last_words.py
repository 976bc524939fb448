"""What a NOTIFICATION says, for people: one printable line, whatever the peer has written.

In: code, subcode and the octets behind them. Out: text. RFC 4271 §4.5, RFC 9003.
"""

from __future__ import annotations

LONGEST = 300
"""Characters of a line."""
_SHOWN = 32  # octets in hex
_SHUTDOWN, _RESET, CEASE = 2, 4, 6


def communication(code: int, subcode: int, data: bytes) -> str:
    """The data of a NOTIFICATION: the text of a shutdown communication (RFC 9003: UTF-8, up to 255
    octets), anything else in hex; empty if there is none."""
    if code == CEASE and subcode in (_SHUTDOWN, _RESET) and data and len(data) > data[0]:
        text = line(data[1 : 1 + data[0]].decode(errors="replace"))
        return f'Shutdown Communication: "{text}"' if text else ""
    return data[:_SHOWN].hex() + ("…" if len(data) > _SHOWN else "")


def line(text: str) -> str:
    """One line without control characters, of bounded length."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:LONGEST].removesuffix(" /")
