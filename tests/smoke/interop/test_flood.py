"""A peer that never stops talking is slowed down by TCP: no other session suffers, and neither
ExaBGP nor the gateway grows."""

import contextlib
import re
import struct
import threading
import time
from pathlib import Path

import pytest

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType
from ccn_bgp.session.encode import encode_updates

pytestmark = [pytest.mark.smoke, pytest.mark.long]

ASN, SECONDS, ROUTES = 64999, 15, 20_000
MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\x00\x13\x04"


def updates(address, med):
    """The same routes with another MED: each time all of them change."""
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(ASN),)),),
        next_hop=Ip.parse(address),
        med=med,
        extended_communities=(
            bytes(RouteTarget.parse("64600:100")),
            b"\x03\x0c\0\0\0\0\0\x08",
            b"\x06\x03" + Mac.parse("02:cc:cb:00:71:09"),
        ),
    )
    rd = RouteDistinguisher.of_router(Ip.parse(address), 100)
    routes = tuple(
        EvpnPrefix(rd, bytes(10), 0, Prefix.of(Ip(struct.pack("!I", 0x64000000 + n * 256)), 24),
                   None, Vni(20100))
        for n in range(ROUTES)
    )  # fmt: skip
    return b"".join(encode_updates([(attributes, routes)], [], asn4=True, max_length=4096))


class Flood(threading.Thread):
    """Waits for the gateway, then talks as fast as TCP takes it, until ``stop``."""

    def __init__(self, net):
        super().__init__(daemon=True)
        self.server = net.socket()
        self.server.bind((net.stranger, 179))
        self.server.listen()
        self.stop = threading.Event()
        self.words = [updates(net.stranger, med) for med in (1, 2)]
        self.sent = self.waits = 0
        self.ended = ""

    def run(self):
        connection, _ = self.server.accept()
        capabilities = b"\x01\x04\0\x19\0\x46" + b"\x41\x04" + ASN.to_bytes(4, "big")
        parameters = bytes((2, len(capabilities))) + capabilities
        body = struct.pack("!BHH", 4, ASN, 9) + b"\x0a\x09\x09\x09"
        body += bytes((len(parameters),)) + parameters
        connection.sendall(MARKER + struct.pack("!HB", 19 + len(body), 1) + body + KEEPALIVE)
        reader = threading.Thread(target=self._read, args=(connection.dup(),), daemon=True)
        reader.start()
        connection.settimeout(0.02)
        at = turn = 0
        alive = time.monotonic()
        try:
            while not self.stop.is_set():
                octets = self.words[turn]
                try:
                    done = connection.send(octets[at : at + (1 << 18)])
                    self.sent += done
                    at += done
                    if at == len(octets):
                        at, turn = 0, 1 - turn
                        if time.monotonic() - alive > 3:
                            connection.settimeout(None)
                            connection.sendall(KEEPALIVE)
                            connection.settimeout(0.02)
                            alive = time.monotonic()
                except TimeoutError:
                    self.waits += 1
        except OSError as error:
            self.ended = str(error)
        connection.close()

    @staticmethod
    def _read(connection):
        connection.settimeout(None)
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass


def megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10


def test_a_flood_is_throttled_and_nobody_else_notices(net):
    flood = Flood(net)
    flood.start()
    quiet = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], net.asns["hk-gw1"], hold=9)
    frr = net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24"])
    stranger = {
        "name": "flood", "gateway": "bj-gw1", "address": net.stranger, "asn": ASN,
        "role": "gateway",
    }  # fmt: skip
    gateway = net.gateway("bj-gw1", net.topology([stranger], idcs=True))
    net.until(lambda: gateway.established("lf-r1", "hk-gw1"))
    net.until(lambda: gateway.neighbor("flood")["received"] == ROUTES)
    assert gateway.neighbor("hk-gw1")["hold-time"] == gateway.neighbor("lf-r1")["hold-time"] == 9
    time.sleep(2)
    child, daemon = gateway.speaker(), gateway.process.pid
    before, most = megabytes(daemon), [0, 0]
    begun, slowest = time.monotonic(), 0.0
    sent = flood.sent
    while time.monotonic() - begun < SECONDS:
        most = [max(m, megabytes(p)) for m, p in zip(most, (child, daemon), strict=True)]
        asked = time.monotonic()
        gateway.neighbor("lf-r1")
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.2)
    # What another peer says gets through meanwhile.
    frr.configure("router bgp 65101", "address-family ipv4 unicast", "network 172.16.77.0/24")
    net.until(lambda: "172.16.77.0/24" in gateway.routes(), 20)
    flood.stop.set()
    flood.join(10)
    rate = (flood.sent - sent) / (time.monotonic() - begun)
    print(
        f"{rate / 1e6:.1f} MB/s, {flood.waits} waits, most MB {most}, before {before}, {slowest=}"
    )
    assert not flood.ended
    assert flood.waits, "TCP never closed its window: this was no flood"
    assert most[0] < 150 and most[1] < before + 150
    assert not gateway.lines("peer hk-gw1: down") and not gateway.lines("peer lf-r1: down")
    assert frr.sessions("169.254.1.1") == 1 and quiet.process.poll() is None
    assert slowest < 5
