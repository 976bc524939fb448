"""What waits to be sent to the sessions of one speaker.

In: messages for one session or for many, and how much their TCP has taken. Out: frames of the
channel, as many as each session's window admits; what several sessions in step wait for is one
frame. No sockets: the frames go to the queue of channel.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ccn_bgp.session.channel import FrameQueue, Kind, addressed

WINDOW = 4 << 20
"""Octets of one peer that may be on their way through the child."""


class Outgoing:
    """What waits for one session: here (``waiting``), and in the child (``flying``)."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.waiting: deque[_Piece] = deque()
        self.octets = 0
        self.flying = 0
        self.room = 0
        """The gateway wants to know when fewer octets wait, if this is not 0."""

    @property
    def unread(self) -> int:
        """Octets that the peer's TCP has not taken yet."""
        return self.octets + self.flying

    def next_is(self, piece: _Piece) -> bool:
        """This piece is next, and the window admits it."""
        return bool(self.waiting) and self.waiting[0] is piece and self.flying < WINDOW


class _Piece:
    """Messages, and the sessions that they have not been sent to yet."""

    def __init__(self, messages: bytes, to: list[Outgoing]) -> None:
        self.messages = messages
        self.to = to


class Sending:
    """The sessions of one child that messages can be sent to, by the names of their peers."""

    def __init__(self) -> None:
        self._sessions: dict[str, Outgoing] = {}
        self._eased: list[Outgoing] = []

    def get(self, peer: str) -> Outgoing | None:
        """The session of a peer, if it is up."""
        return self._sessions.get(peer)

    def begin(self, peer: str, session: int) -> None:
        """A session is up; nothing waits for it."""
        self.end(peer)
        self._sessions[peer] = Outgoing(session)

    def end(self, peer: str) -> Outgoing | None:
        """A session is over; what waited for it is forgotten."""
        out = self._sessions.pop(peer, None)
        if out is not None:
            out.waiting.clear()  # its pieces may live on in other sessions' queues
        return out

    def end_all(self) -> None:
        """The child is gone."""
        for peer in list(self._sessions):
            self.end(peer)

    def append(self, peers: Iterable[str], messages: bytes) -> list[Outgoing]:
        """Queue messages for the sessions of these peers that are up; returns those."""
        outs = [out for peer in peers if (out := self._sessions.get(peer))]
        piece = _Piece(messages, outs)
        for out in outs:
            out.waiting.append(piece)
            out.octets += len(messages)
        return outs

    def ask_room(self, peer: str, octets: int) -> None:
        """``taken`` is to say once when fewer octets than these wait for a peer."""
        if out := self._sessions.get(peer):
            out.room = octets

    def taken(self, peer: str, octets: int) -> bool:
        """The peer's TCP has taken so much; whether there is now the room that was asked for."""
        out = self._sessions.get(peer)
        if out is None:
            return False
        out.flying -= octets
        self._eased.append(out)
        if out.unread >= out.room:
            return False
        out.room = 0
        return True

    def eased(self) -> list[Outgoing]:
        """The sessions that have room since the last call: those that wait for the same go on
        together."""
        found, self._eased = self._eased, []
        return found


def pump(outs: Iterable[Outgoing], queue: FrameQueue) -> None:
    """Let what the windows admit go to the child."""
    for out in outs:
        while out.waiting and out.next_is(piece := out.waiting[0]):
            size = len(piece.messages)
            ready = [one for one in piece.to if one.next_is(piece)]
            piece.to = [one for one in piece.to if not one.next_is(piece)]
            for one in ready:
                one.waiting.popleft()
                one.octets -= size
                one.flying += size
            if len(ready) == 1:
                queue.push(Kind.SEND, out.session, piece.messages)
            else:
                head = addressed([one.session for one in ready])
                queue.push(Kind.SEND_MANY, 0, head, piece.messages)
