"""One piece for many sessions: each gets all that is for it, in order, as its window admits."""

from __future__ import annotations

import socket
from random import Random

import pytest

from ccn_bgp.session.channel import ChannelError, FrameQueue, Frames, Kind, addressees
from ccn_bgp.session.sending import WINDOW, Sending, pump


class Child:
    """The other end of the channel: what each session was sent, and how many frames that took."""

    def __init__(self) -> None:
        near, self._far = socket.socketpair()
        near.setblocking(False)
        self._far.setblocking(False)
        self.queue = FrameQueue(near)
        self.sent: dict[int, bytes] = {}
        self.frames = 0
        self._frames = Frames()

    def read(self) -> None:
        done = False
        while not done:
            done = self.queue.flush()
            try:
                while octets := self._far.recv(1 << 20):
                    for kind, session, payload in self._frames.feed(octets):
                        self.frames += 1
                        numbers, messages = (
                            addressees(payload) if kind is Kind.SEND_MANY else ((session,), payload)
                        )
                        for number in numbers:
                            self.sent[number] = self.sent.get(number, b"") + messages
            except BlockingIOError:
                pass


def test_what_all_wait_for_crosses_the_channel_once() -> None:
    child, sending = Child(), Sending()
    for number in range(50):
        sending.begin(f"p{number}", number)
    for piece in (b"a" * 1000, b"b" * 2000):
        pump(sending.append([f"p{n}" for n in range(50)], piece), child.queue)
    pump(sending.append(["p7"], b"c"), child.queue)
    child.read()
    assert child.frames == 3
    assert child.sent == {
        n: b"a" * 1000 + b"b" * 2000 + (b"c" if n == 7 else b"") for n in range(50)
    }


def test_a_slow_session_waits_alone_and_the_others_stay_in_step() -> None:
    child, sending = Child(), Sending()
    peers = ["a", "b", "slow"]
    for number, peer in enumerate(peers):
        sending.begin(peer, number)
    for count in range(8):
        pump(sending.append(peers, bytes([count]) * (1 << 20)), child.queue)
    child.read()
    assert child.frames == 4, "the window of each is full"
    slow = sending.get("slow")
    assert slow is not None and (slow.octets, slow.flying) == (4 << 20, WINDOW)
    for peer in ("a", "b"):
        sending.taken(peer, WINDOW)
    pump(sending.eased(), child.queue)
    child.read()
    assert child.frames == 8
    assert len(child.sent[0]) == len(child.sent[1]) == 8 << 20
    sending.taken("slow", 1 << 20)
    pump(sending.eased(), child.queue)
    child.read()
    assert (child.frames, len(child.sent[2])) == (9, 5 << 20)
    assert sending.end("slow") is slow
    assert not slow.waiting


@pytest.mark.parametrize("seed", range(20))
def test_every_session_gets_its_octets_in_order(seed: int) -> None:
    random = Random(seed)
    child, sending = Child(), Sending()
    wanted: dict[int, bytes] = {}
    numbers: dict[str, int] = {}
    for _ in range(200):
        chosen = random.sample("abcde", random.randint(1, 5))
        match random.randrange(4):
            case 0 if len(numbers) < 20:
                numbers[chosen[0]] = len(wanted)
                wanted[len(wanted)] = b""
                sending.begin(chosen[0], numbers[chosen[0]])
            case 1:
                for peer in chosen:
                    if (out := sending.get(peer)) and out.flying:
                        sending.taken(peer, out.flying)
                pump(sending.eased(), child.queue)
            case 2:
                if chosen[0] in numbers and random.random() < 0.1:
                    sending.end(chosen[0])
                    del numbers[chosen[0]]
            case _:
                piece = random.randbytes(1) * random.choice((10, WINDOW // 3))
                for peer in chosen:
                    if peer in numbers:
                        wanted[numbers[peer]] += piece
                pump(sending.append(chosen, piece), child.queue)
        child.read()
        for number, octets in wanted.items():
            assert octets.startswith(child.sent.get(number, b""))
    for _ in range(1000):
        for peer in numbers:
            if (out := sending.get(peer)) and out.flying:
                sending.taken(peer, out.flying)
        pump(sending.eased(), child.queue)
    child.read()
    for number in numbers.values():
        assert wanted[number] == child.sent.get(number, b"")


def test_a_list_of_sessions_that_is_cut_off_is_a_fault() -> None:
    with pytest.raises(ChannelError, match="11 octets for 2 sessions"):
        addressees(b"\2\0\0\0" + bytes(7))
