"""What waits for one consumer: each peer's in order, the peers in turn.

In: events with the name of a peer, or of nobody. Out: the next one. A peer that says very much
waits for itself alone.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Queues of many peers."""

    def __init__(self) -> None:
        self._parts: deque[dict[str, deque[T]]] = deque([{}])

    def __bool__(self) -> bool:
        return any(self._parts)

    def put(self, peer: str, event: T) -> None:
        """``peer`` is empty for what concerns all: it comes after everything before it, and before
        everything behind it."""
        if peer:
            self._parts[-1].setdefault(peer, deque()).append(event)
        else:
            self._parts += ({"": deque((event,))}, {})

    def take(self) -> T:
        """The next one; IndexError if nothing waits."""
        while len(self._parts) > 1 and not self._parts[0]:
            self._parts.popleft()
        part = self._parts[0]
        if not part:
            raise IndexError("nothing waits")
        peer = next(iter(part))
        waiting = part.pop(peer)
        event = waiting.popleft()
        if waiting:
            part[peer] = waiting  # behind the others
        return event
