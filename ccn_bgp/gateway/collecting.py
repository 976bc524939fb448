"""What a gateway does about its memory: let alone what stays, give back what has gone.

What is learned are hundreds of thousands of objects that stay, without a cycle among them, and
counting references frees them. The collector would walk them again and again while a burst is being
learned; with Python's defaults that is more than half of all the time spent. So what stays is taken
out of its sight, and given back to it when an intent is replaced. What a burst needed for a moment
are columns of megabytes, which the C library keeps unless it is asked.
"""

from __future__ import annotations

import ctypes
import gc

NEW_OBJECTS = 500_000
"""More of them than have gone since the last time: the collector looks at them."""
MANY = NEW_OBJECTS // 8
"""So many new ones after one commit are what was learned, and stay."""

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc alone."""


def begin() -> None:
    """Before anything is read."""
    gc.set_threshold(NEW_OBJECTS, 20, 20)


def renewed() -> None:
    """An intent is in force: free what was of the one before, and never walk the rest again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _give_back()


def committed() -> None:
    """A commit is done: what it has left behind in large numbers is not walked, and the memory that
    it needed for a moment goes back, which takes a few milliseconds."""
    if gc.get_count()[0] > MANY:
        gc.freeze()
        _give_back()


def _give_back() -> None:
    if _trim is not None:
        _trim(0)
