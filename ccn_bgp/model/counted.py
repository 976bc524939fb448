"""A number and what is counted, as it is written: ``1 route``, ``2 routes``."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """``one`` is what one of them is called, ``many`` several where that takes more than an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
