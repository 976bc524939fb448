"""When Python's garbage collector walks what a gateway holds: hardly ever.

What is learned are hundreds of thousands of objects that stay, without a cycle among them, and
counting references frees them. The collector would walk them again and again while a burst is being
learned; with Python's defaults that is more than half of all the time spent. So what stays is taken
out of its sight, and given back to it when an intent is replaced.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 500_000
"""More of them than have gone since the last time: the collector looks at them."""
MANY = NEW_OBJECTS // 8
"""So many new ones after one commit are what was learned, and stay."""


def begin() -> None:
    """Before anything is read."""
    gc.set_threshold(NEW_OBJECTS, 20, 20)


def renewed() -> None:
    """An intent is in force: free what was of the one before, and never walk the rest again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def committed() -> None:
    """A commit is done: what it has left behind in large numbers is not walked."""
    if gc.get_count()[0] > MANY:
        gc.freeze()
