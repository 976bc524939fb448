"""When Python's garbage collector walks what a gateway holds: hardly ever.

What is learned are hundreds of thousands of objects that stay, without a cycle among them, and
counting references frees them. The collector would walk them again and again while a burst is being
learned; with Python's defaults that is more than half of all the time spent. So what stays is taken
out of its sight, and given back to it when an intent is replaced.

What a burst took for a moment goes back to the system after it: glibc would keep it, and a gateway
would look a third larger than what it holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

NEW_OBJECTS = 500_000
"""More of them than have gone since the last time: the collector looks at them."""
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20
"""mallopt(3): what is larger is mapped for itself, and unmapped when it is freed."""
LONG = 0.2
"""Seconds of a commit that has worked on much memory."""
_LIBC = ctypes.CDLL(None)
MANY = NEW_OBJECTS // 8
"""So many new ones after one commit are what was learned, and stay."""


def begin() -> None:
    """Before anything is read."""
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    with contextlib.suppress(AttributeError):  # another libc
        # By itself glibc raises this bound to 32 MB, and columns then leave holes in the heap.
        _LIBC.mallopt(M_MMAP_THRESHOLD, LARGE)


def renewed() -> None:
    """An intent is in force: free what was of the one before, and never walk the rest again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _give_back()


def committed(seconds: float) -> None:
    """A commit is done, which took so long: what it has left behind in large numbers is not
    walked."""
    if gc.get_count()[0] > MANY:
        gc.freeze()
    if seconds > LONG:
        _give_back()


def _give_back() -> None:
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)
