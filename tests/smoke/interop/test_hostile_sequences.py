"""Sessions played by peers that keep to nothing, against a gateway that runs: each is answered as
the RFCs say, and nobody else notices.

hk-gw1 waits for bj-gw1, which is played here, and dials two more: one that is well behaved and
announces a prefix each tenth of a second, and one that takes whatever the fuzzer thinks of.
"""

import itertools
import os
import random
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from oracle.bgp_speech import (
    ALIVE,
    END_OF_RIB,
    EVPN,
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    REFRESH,
    ROUTE_REFRESH,
    UPDATE,
    Line,
    Steady,
    capability,
    four_octets,
    message,
    opening,
    type5,
    update,
)

pytestmark = pytest.mark.smoke

ASN, STEADY, STRANGER = 64601, 64999, 64998
OURS = bytes((198, 51, 100, 21))
GRACEFUL = capability(64, b"\0\x78\0\x19\x46\x80")
SIGNS = re.compile(r"traceback|Exception|Error\b(?! /)|problem with function|a fault of ours")


class Watch(threading.Thread):
    """Asks again and again what an operator would ask. ``late``: the longest time that an
    announcement of the steady peer took to be held; ``slowest``: that an answer took."""

    def __init__(self, gateway, steady):
        super().__init__(daemon=True)
        self.gateway, self.steady = gateway, steady
        self.late = self.slowest = 0.0
        self.rounds = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.wait(0.05):
            begun = time.monotonic()
            held = self.gateway.neighbor("steady")["received"]
            now = time.monotonic()
            self.slowest = max(self.slowest, now - begun)
            if held < len(self.steady.announced):
                self.late = max(self.late, now - self.steady.announced[held])
            self.rounds += 1


def megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Scene:
    """The gateway, its peers, and what may not have changed at the end."""

    def __init__(self, net):
        self.net = net
        self.steady = Steady(self.listener(net.reflector), STEADY)
        self.steady.start()
        known = {"name": "steady", "address": net.reflector, "asn": STEADY}
        other = {"name": "stranger", "address": net.stranger, "asn": STRANGER}
        both = [n | {"gateway": "hk-gw1", "role": "gateway"} for n in (known, other)]
        self.gateway = net.gateway("hk-gw1", net.topology(both))
        net.until(lambda: self.gateway.neighbor("steady")["received"] > 3)
        self.pids = self.gateway.process.pid, self.gateway.speaker()
        self.watch = Watch(self.gateway, self.steady)
        self.watch.start()
        self.before = [(megabytes(pid), descriptors(pid)) for pid in self.pids]

    def listener(self, address):
        sock = self.net.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, 179))
        sock.listen(64)
        return sock

    def dial(self, source=""):
        sock = self.net.socket()
        sock.settimeout(10)
        sock.bind((source or self.net.addresses["bj-gw1"], 0))
        sock.connect((self.net.addresses["hk-gw1"], 179))
        return Line(sock)

    def settled(self):
        """Its sessions with us are over and forgotten."""
        self.net.until(lambda: self.gateway.neighbor("bj-gw1")["state"] == "down")
        return True

    def end(self, late=2.0, slowest=1.0):
        """What it has cost: nobody anything."""
        self.settled()
        self.watch.stop.set()
        self.watch.join(20)
        assert self.watch.rounds and not self.watch.is_alive()
        assert self.watch.late < late and self.watch.slowest < slowest
        assert self.steady.sessions == 1 and not self.steady.ended
        count = len(self.steady.announced)
        self.net.until(lambda: self.gateway.neighbor("steady")["received"] >= count)
        assert self.pids == (self.gateway.process.pid, self.gateway.speaker())
        for pid, (size, open_) in zip(self.pids, self.before, strict=True):
            assert megabytes(pid) < size + 40
            # one more: the stranger's, while it is dialled
            self.net.until(lambda p=pid, most=open_ + 1: descriptors(p) <= most)
        logs = [self.gateway.log, *self.gateway.state.glob("speaker-*.log")]
        logs += self.gateway.state.glob("speaker-*.err")
        signs = [
            line for log in logs for line in log.read_text().splitlines() if SIGNS.search(line)
        ]
        assert not signs, signs[:20]
        assert not self.gateway.lines("peer steady: down")

    def close(self):
        self.watch.stop.set()
        self.steady.stop.set()
        self.steady.join(5)
        self.steady.listener.close()


@pytest.fixture
def scene(net):
    made = Scene(net)
    try:
        yield made
    finally:
        made.close()


def parameters(octets):
    """An OPEN with these octets behind the identifier."""
    return message(OPEN, opening(ASN)[19:28] + octets)


HELLO = opening(ASN)
UP = HELLO + ALIVE
AWAITED = {
    "version 3": (opening(ASN, version=3), (2, 1)),
    "another AS": (opening(64777), (2, 2)),
    "another AS in the capability": (opening(ASN, more=four_octets(64777)), (2, 2)),
    "identifier 0.0.0.0": (opening(ASN, router_id=bytes(4)), (2, 3)),
    "hold time 1": (opening(ASN, hold=1), (2, 6)),
    "hold time 2": (opening(ASN, hold=2), (2, 6)),
    "a parameter nobody knows": (opening(ASN, b"\x09\x02ab"), (2, 4)),
    "a capability cut off": (opening(ASN, b"\x02\x06\x01\x06\0\x19\0\x46"), (2, 0)),
    "a parameter cut off": (opening(ASN, b"\x02\x20" + EVPN), (2, 0)),
    "parameters shorter than they say": (parameters(b"\xf0\x02\x06" + EVPN), (2, 0)),
    "parameters longer than they say": (parameters(b"\0\x02\x06" + EVPN), (2, 0)),
    "a wide length cut off": (parameters(b"\xff\xff\0"), (2, 0)),
    "a restart capability cut off": (opening(ASN, more=capability(64, b"\0")), (2, 0)),
    "no family": (opening(ASN, b""), (2, 7)),
    "an OPEN of 28 octets": (message(OPEN, HELLO[19:28]), (1, 2)),
    "an OPEN of 4097 octets": (message(OPEN, bytes(10), 4097), (1, 2)),
    "65535 octets to come": (message(KEEPALIVE, b"", 65535), (1, 2)),
    "a KEEPALIVE with a body": (message(KEEPALIVE, b"x"), (1, 2)),
    "a marker of zeros": (bytes(16) + b"\0\x13\x04", (1, 1)),
    "another protocol": (b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n", (1, 1)),
    "type 0": (message(0), (1, 3)),
    "type 6": (message(6, b"\0\1\0\3abc"), (1, 3)),
    "type 255": (message(255), (1, 3)),
    "UPDATE first": (type5(ASN, 1), (5, 1)),
    "KEEPALIVE first": (ALIVE, (5, 1)),
    "ROUTE-REFRESH first": (message(ROUTE_REFRESH, b"\0\x19\0\x46"), (5, 1)),
    "OPEN twice": (HELLO + HELLO, (5, 2)),
    "UPDATE before KEEPALIVE": (HELLO + type5(ASN, 1), (5, 2)),
    "type 0 before KEEPALIVE": (HELLO + message(0), (1, 3)),
    "NOTIFICATION first": (message(NOTIFICATION, b"\x06\x02\x05\xff\xfe\xfd"), None),
    "NOTIFICATION of 20 octets": (message(NOTIFICATION, b"\x06"), None),
    "NOTIFICATION before KEEPALIVE": (HELLO + message(NOTIFICATION, b"\xff" * 9), None),
    "OPEN on a session": (UP + HELLO, (5, 3)),
    "a refresh of 22 octets": (UP + message(ROUTE_REFRESH, b"\0\x19\0"), (7, 1)),
    "an UPDATE of 4097 octets": (UP + message(UPDATE, b"", 4097), (1, 2)),
    "ten thousand NOTIFICATIONs": (UP + message(NOTIFICATION, b"\x06\x02") * 10_000, None),
}
PASSES = {
    "our own identifier, of another AS (RFC 6286)": opening(ASN, router_id=OURS) + ALIVE,
    "capabilities nobody knows": opening(
        ASN, more=b"".join(capability(n, b"\xff" * 9) for n in (5, 69, 73, 75, 77, 131))
    ) + ALIVE,
    "capabilities twice": opening(ASN, more=EVPN * 3 + four_octets(ASN) + REFRESH * 3) + ALIVE,
    "a refresh of no subtype we know": UP + message(ROUTE_REFRESH, b"\0\x19\x09\x46"),
    "a refresh of no family we know": UP + message(ROUTE_REFRESH, b"\xff\xff\0\xff"),
    "UPDATEs of nothing": UP + update() * 3,
    "ten thousand KEEPALIVEs": UP + ALIVE * 10_000,
}  # fmt: skip


def test_each_is_answered_as_the_rfcs_say_and_nobody_else_notices(scene):
    for name, (octets, notification) in AWAITED.items():
        line = scene.dial()
        line.say(octets)
        assert line.closed(5), name
        assert line.notification == notification, name
        line.close()
    for name, octets in PASSES.items():
        line = scene.dial()
        line.say(octets)
        assert line.until(UPDATE, 5), (name, line.notification)
        assert not line.closed(0.05), name
        line.reset()
        scene.settled()
    # one line per cause and second at most, and of one that comes and goes not one each time
    assert len(scene.gateway.lines("peer bj-gw1")) < len(AWAITED) + 2 * len(PASSES) + 10
    scene.end()


def test_connections_that_come_break_and_collide_cost_nobody_anything(scene):
    source = scene.net.stranger
    for octets in (b"", HELLO[:20], HELLO, UP, UP + type5(ASN, 3)[:50]):
        for _ in range(30):
            line = scene.dial()
            line.say(octets)
            line.reset()
    for _ in range(30):
        scene.dial(source).reset()
    held = [scene.dial() for _ in range(60)]
    scene.net.until(lambda: sum(line.closed(0.01) for line in held) >= 59)
    for line in held:
        line.close()
    # two at once: none is up (§6.8 takes the newer), then one is: the other is refused
    first, second = scene.dial(), scene.dial()
    for line in (first, second):
        line.say(UP)
    assert second.until(UPDATE) and first.closed()
    third = scene.dial()
    assert third.closed() and third.notification == (6, 7)
    assert not second.closed(0.1)
    second.reset()
    scene.settled()
    # it comes back after a loss that nobody has seen (RFC 4724 §4.2)
    first = scene.dial()
    first.say(opening(ASN, more=GRACEFUL) + ALIVE)
    assert first.until(UPDATE)
    second = scene.dial()
    second.say(opening(ASN, more=GRACEFUL) + ALIVE)
    assert second.until(UPDATE) and first.closed()
    second.reset()
    scene.settled()
    # octet by octet: a session; then one message that never ends, and the hold timer
    slow = scene.dial()
    for octet in opening(ASN, hold=3) + ALIVE:
        slow.say(bytes((octet,)))
        time.sleep(0.005)
    assert slow.until(UPDATE)
    begun = time.monotonic()
    for octet in type5(ASN, 3)[:-1]:
        slow.say(bytes((octet,)))
        if slow.closed(0.1):
            break
    assert slow.notification == (4, 0) and 2 < time.monotonic() - begun < 6
    scene.end()


def broken(count, first):
    """A message of type 5 that RFC 7606 has us treat as withdraw: its ORIGIN is undefined."""
    routes = b"".join(
        b"\x05\x22\0\1\xcb\0\x71\x01\0\x64" + bytes(14) + b"\x20"
        + (0x0B000000 + n).to_bytes(4) + bytes(5) + b"\x4e\x84"
        for n in range(first, first + count)
    )  # fmt: skip
    reach = b"\0\x19\x46\x04\xcb\0\x71\x01\0" + routes
    head = b"\x40\x01\x01\x09\x40\x02\x06\x02\x01" + ASN.to_bytes(4)
    return update(head + b"\x90\x0e" + len(reach).to_bytes(2) + reach)


FLOODS = {
    "a family that was not negotiated": message(UPDATE, bytes(65516)),
    "broken attributes": broken(1800, 0),
    "routes of no octets": update(b"\x90\x0f\xfd\xeb\0\x19\x46" + b"\x05\0" * 32500),
    "attributes nobody knows": update(bytes(b for n in range(21_000) for b in (192, 254, 0))),
}


@pytest.mark.long
@pytest.mark.parametrize("octets", FLOODS.values(), ids=FLOODS)
def test_who_floods_us_with_rubbish_does_not_hold_up_the_others(scene, octets):
    """Ten megabytes of the largest messages, each of which costs as much as it can."""
    line = scene.dial()
    line.say(opening(ASN, more=capability(6)) + ALIVE + END_OF_RIB)
    assert line.until(UPDATE)
    line.sock.settimeout(90)
    begun = time.monotonic()
    line.sock.sendall(octets * 150)
    scene.net.until(lambda: scene.gateway.neighbor("bj-gw1")["updates"] >= 150, 90)
    took, late, slowest = time.monotonic() - begun, scene.watch.late, scene.watch.slowest
    print(f"{took:.1f} s; others waited {late:.2f} s, an operator {slowest:.2f} s")
    line.reset()
    scene.end(late=1 + took / 3, slowest=2)


def anything(draw):
    """A peer's life: messages good and bad, in any order, some of them broken by a few octets."""
    graceful = GRACEFUL * draw.randrange(2)
    good = [
        opening(ASN, more=graceful), opening(ASN, hold=3, more=capability(6) + graceful), ALIVE,
        type5(ASN, draw.randrange(50)), END_OF_RIB, message(ROUTE_REFRESH, b"\0\x19\0\x46"),
        message(ROUTE_REFRESH, b"\0\x19" + bytes((draw.randrange(4),)) + b"\x46"),
        b"".join(type5(ASN, n) for n in range(20)),
        message(UPDATE, draw.randbytes(draw.randrange(200))),
        message(draw.randrange(8), draw.randbytes(draw.randrange(40))),
        message(UPDATE, bytes(draw.randrange(4000))),
        message(NOTIFICATION, draw.randbytes(draw.randrange(8))),
    ]  # fmt: skip
    begin = UP if draw.random() < 0.6 else b""
    octets = bytearray(begin + b"".join(draw.choices(good, k=draw.randrange(1, 12))))
    for _ in range(draw.choice((0, 0, 1, 3))):
        octets[draw.randrange(len(octets))] = draw.randrange(256)
    return bytes(octets)


def spoken(line, octets, draw):
    """Say it whole, in pieces or slowly, and end in one way or another."""
    at = 0
    while at < len(octets):
        size = draw.choice((1, 7, 100, len(octets)))
        line.say(octets[at : at + size])
        at += size
        if draw.random() < 0.1 and not line.listen(0.01):
            break
    if draw.random() < 0.5:
        line.closed(draw.choice((0.01, 0.2)))
    draw.choice((line.reset, line.close))()


@pytest.mark.long
def test_sequences_drawn_at_random(scene):
    seconds = float(os.environ.get("CCN_FUZZ_SECONDS", "120"))
    over = time.monotonic() + seconds
    waiting = scene.listener(scene.net.stranger)
    waiting.settimeout(1)

    def dialled():
        draw = random.Random(1)
        while time.monotonic() < over:
            try:
                line = Line(waiting.accept()[0])
            except TimeoutError:
                continue
            spoken(line, anything(draw).replace(UP, opening(STRANGER) + ALIVE), draw)

    other = threading.Thread(target=dialled, daemon=True)
    other.start()
    draw = random.Random(2)
    for turn in itertools.count():
        if time.monotonic() > over:
            break
        line = scene.dial()
        spoken(line, anything(draw), draw)
        if turn % 50 == 0:
            assert scene.gateway.ccn("show", "neighbors").returncode == 0
    other.join(20)
    waiting.close()
    print(f"{turn} lives in {seconds:.0f} s")
    scene.end()
