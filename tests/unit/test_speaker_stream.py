"""Framing: BGP messages in a TCP stream, frames on the channel, and the look into ExaBGP."""

import random
import socket
import struct
import time

import pytest
from exabgp.bgp.message.open.holdtime import HoldTime

from ccn_bgp.session import launcher
from ccn_bgp.session.bgp_stream import (
    KEEPALIVE,
    MARKER,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    Fault,
    SendBuffer,
    cut,
)
from ccn_bgp.session.channel import HEADER, MAX_PAYLOAD, ChannelError, FrameQueue, Frames, Kind


def message(kind, length, fill=0x41):
    return MARKER + struct.pack("!HB", length, kind) + bytes([fill]) * (length - 19)


UPDATES = [message(UPDATE, n, n & 0xFF) for n in (23, 100, 4096, 57)]
REFRESH = message(ROUTE_REFRESH, 23)
ALIVE = message(KEEPALIVE, 19)


def test_runs_are_cut_around_keepalives():
    data = b"".join([UPDATES[0], REFRESH, UPDATES[1], ALIVE, ALIVE, UPDATES[2], UPDATES[3][:30]])
    found = cut(data, 4096)
    assert [data[a:b] for a, b in found.runs] == [
        UPDATES[0] + REFRESH + UPDATES[1],
        UPDATES[2],
    ]
    assert data[found.used :] == UPDATES[3][:30]
    assert found.heard and found.fault is None and found.notification is None


@pytest.mark.parametrize("data", [b"", ALIVE[:18], UPDATES[1][:99]])
def test_a_part_is_left_for_later(data):
    found = cut(data, 4096)
    assert (found.runs, found.used, found.heard, found.fault) == ([], 0, False, None)


def test_nothing_is_read_after_a_notification():
    data = UPDATES[0] + message(NOTIFICATION, 25, 6) + UPDATES[1]
    found = cut(data, 4096)
    assert [data[a:b] for a, b in found.runs] == [UPDATES[0]]
    assert found.notification == b"\x06" * 6


@pytest.mark.parametrize(
    ("bad", "maximum", "fault"),
    [
        (b"\xff" * 15 + b"\0" + UPDATES[0][16:], 4096, Fault(1, 1, b"")),
        (message(UPDATE, 22), 4096, Fault(1, 2, b"\0\x16")),
        (message(UPDATE, 4097)[:19], 4096, Fault(1, 2, b"\x10\x01")),
        (message(KEEPALIVE, 20), 65535, Fault(1, 2, b"\0\x14")),
        (message(9, 19), 4096, Fault(1, 3, b"\x09", "type 9")),
        (message(0, 19), 4096, Fault(1, 3, b"\x00", "type 0")),
        (message(OPEN, 29), 4096, Fault(5, 3, b"\1", "OPEN")),
        (message(ROUTE_REFRESH, 24), 4096, Fault(7, 1, message(ROUTE_REFRESH, 24))),
    ],
)
def test_header_faults_come_after_what_was_good(bad, maximum, fault):
    found = cut(UPDATES[0] + bad + UPDATES[1], maximum)
    assert found.fault == fault
    assert found.runs == [(0, len(UPDATES[0]))]
    assert not cut(UPDATES[0] + UPDATES[1], maximum).fault


@pytest.mark.parametrize(("length", "maximum"), [(18, 4096), (19, 4096), (20, 4096), (4097, 4096)])
def test_a_notification_with_a_fault_is_not_answered(length, maximum):
    """RFC 4271 §6.4: with no NOTIFICATION."""
    bad = message(NOTIFICATION, 19)[:16] + struct.pack("!HB", length, NOTIFICATION) + bytes(40)
    found = cut(UPDATES[0] + bad, maximum)
    assert found.fault is None and found.notification is None
    assert found.unanswerable == f"a NOTIFICATION of {length} octets (RFC 4271 §4.5: 21 to 4096)"
    assert found.runs == [(0, len(UPDATES[0]))]
    assert not cut(message(NOTIFICATION, 4097), 65535).unanswerable


def test_extended_messages_need_the_capability():
    assert cut(message(UPDATE, 65535), 65535).runs == [(0, 65535)]
    assert cut(message(UPDATE, 65535), 4096).fault == Fault(1, 2, b"\xff\xff")


def test_a_slipped_in_message_never_breaks_another():
    draw = random.Random(1)
    for _ in range(300):
        buffer, out = SendBuffer(), bytearray()

        def send(view, out=out):
            n = draw.choice((0, 1, 18, 19, 50, 5000))
            if n == 0:
                raise BlockingIOError
            out += view[:n]
            return min(n, len(view))

        ours, alive, appended = b"", 0, 0
        for _ in range(30):
            match draw.randrange(3):
                case 0:
                    piece = b"".join(draw.choices(UPDATES, k=draw.randrange(4)))
                    buffer.append(piece)
                    ours += piece
                case 1:
                    buffer.slip_in(ALIVE)
                    alive += 1
                case 2:
                    appended += buffer.flush(send, draw.randrange(1, 6000))
            assert buffer.octets == len(ours) + alive * 19 - len(out)
        while buffer.octets:
            appended += buffer.flush(send, 1 << 20)
        assert appended == len(ours)
        found = cut(bytes(out), 4096)
        assert found.used == len(out) and not found.fault
        assert b"".join(out[a:b] for a, b in found.runs) == ours


def test_clear_keeps_the_message_that_is_partly_out():
    buffer, out = SendBuffer(), bytearray()

    def send_30(view):
        if len(out) >= 30:
            raise BlockingIOError
        out.extend(view[:30])
        return 30

    buffer.append(UPDATES[1] * 5)
    buffer.append(UPDATES[2])
    buffer.flush(send_30, 1000)
    buffer.clear()
    buffer.slip_in(message(NOTIFICATION, 21, 6))
    buffer.flush(lambda view: out.extend(view) or len(view), 1000)
    assert bytes(out) == UPDATES[1] + message(NOTIFICATION, 21, 6)
    assert buffer.octets == 0


def test_frames_survive_any_pieces():
    a, b = socket.socketpair()
    a.setblocking(False)
    queue = FrameQueue(a)
    sent = [(Kind.BLOCK, 7, b"x" * 300_000), (Kind.DOWN, 7, b"{}"), (Kind.STOP, 0, b"")] * 3
    for frame in sent:
        queue.push(*frame)
    assert queue.octets == sum(HEADER.size + len(p) for _, _, p in sent)
    frames, got = Frames(), []
    sizes = random.Random(2)
    while len(got) < len(sent):
        queue.flush()
        got += frames.feed(b.recv(sizes.choice((1, 7, 65536))))
    assert got == sent and queue.octets == 0
    b.close()
    queue.push(Kind.STOP)
    with pytest.raises(BrokenPipeError):
        queue.flush()
    a.close()


def test_a_stream_of_something_else_is_refused():
    with pytest.raises(ChannelError, match="unknown kind 99"):
        list(Frames().feed(HEADER.pack(0, 99, 0)))
    with pytest.raises(ChannelError, match="octets"):
        list(Frames().feed(HEADER.pack(MAX_PAYLOAD + 1, Kind.BLOCK, 0)))


def test_exabgp_is_the_one_we_know():
    assert launcher.differences() == []


def test_another_exabgp_is_noticed(monkeypatch):
    monkeypatch.setattr(launcher.importlib.metadata, "version", lambda _: "5.0.16")
    monkeypatch.setattr(launcher.Protocol, "read_message", lambda self, peer: None)
    monkeypatch.delattr(launcher.Delay, "increase")
    monkeypatch.setattr(launcher, "_USED", ((launcher.Protocol.write, ("no_such_name",)),))
    assert launcher.differences() == [
        "version 5.0.16",
        "Protocol.read_message(self peer)",
        "Delay.increase(absent)",
        "Protocol.write without no_such_name",
    ]


@pytest.mark.parametrize("step", [7200, -7200])
def test_a_clock_that_is_set_neither_ends_sessions_nor_silences_us(monkeypatch, step):
    launcher.environment("stderr")
    monkeypatch.setattr(launcher.exabgp_timer, "time", time)
    monkeypatch.setattr(launcher.exabgp_delay, "time", time)
    launcher.measure_steadily()
    steady, set_ = time.monotonic(), time.time()
    monkeypatch.setattr(launcher.SteadyTime, "time", lambda: steady)
    monkeypatch.setattr(time, "time", lambda: set_)
    receive = launcher.exabgp_timer.ReceiveTimer(lambda: "session", 90, 4, 0)
    send = launcher.exabgp_timer.SendTimer(lambda: "session", HoldTime(90))
    pause = launcher.ShortDelay()
    pause.increase()
    set_ += step
    assert receive.check_ka_timer()  # no "hold timer expired"
    steady += 31
    assert send.need_ka()
    assert not pause.backoff()
    steady += 60
    with pytest.raises(launcher.Notify):
        receive.check_ka_timer()
