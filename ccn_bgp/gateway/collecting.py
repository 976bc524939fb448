"""When Python's garbage collector walks what a gateway holds: hardly ever.

What is learned are hundreds of thousands of objects that stay, without a cycle among them, and
counting references frees them. The collector would walk them again and again while a burst is being
learned; with Python's defaults that is more than half of all the time spent. So what stays is taken
out of its sight, and given back to it when an intent is replaced.

What a burst took for a moment is kept while the burst lasts, for the next moment: to get it from
the system again and again was a tenth of all the time spent. It goes back after the burst: glibc
would keep it, and a gateway would look a third larger than what it holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

NEW_OBJECTS = 500_000
"""More of them than have gone since the last time: the collector looks at them."""
M_MMAP_THRESHOLD, LARGE = -3, 1 << 22
"""mallopt(3): what is larger is mapped for itself, and unmapped when it is freed."""
M_TRIM_THRESHOLD, KEPT = -1, 1 << 23
"""The same: so much may lie free at the end of the heap."""
LONG = 0.2
"""Seconds of commits, one or several, that have worked on much memory."""
SOME = 0.05
"""Seconds of commits that are worth a look when nothing more comes."""
_LIBC = ctypes.CDLL(None)
MANY = NEW_OBJECTS // 8
"""So many new ones after one commit are what was learned, and stay."""


class _Worked:
    """Seconds of commits since memory was given back."""

    seconds = 0.0


def begin() -> None:
    """Before anything is read."""
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    with contextlib.suppress(AttributeError):  # another libc
        _LIBC.mallopt(M_MMAP_THRESHOLD, LARGE)
        _LIBC.mallopt(M_TRIM_THRESHOLD, KEPT)


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
    _Worked.seconds += seconds
    if _Worked.seconds > LONG:
        _give_back()


def owing() -> bool:
    """Whether the commits since memory was given back have left some that is worth it."""
    return _Worked.seconds > SOME


def at_rest() -> None:
    """Nothing more has come for a while."""
    _give_back()


def _give_back() -> None:
    _Worked.seconds = 0.0
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)
