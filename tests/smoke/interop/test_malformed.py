"""A peer that says broken things: what it costs itself, and that it costs nobody else anything.

The peer is a raw socket: it accepts our session and writes the octets that a case wants.
"""

import socket
import time

import pytest

pytestmark = pytest.mark.smoke

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
ASN = 64999
ORIGIN = b"\x40\x01\x01\x00"
AS_PATH = b"\x40\x02\x06\x02\x01" + ASN.to_bytes(4)
COMMUNITIES = (
    b"\xc0\x10\x18" + b"\0\2\xfc\x58\0\0\0\x64" + b"\x03\x0c\0\0\0\0\0\x08"
    + b"\x06\x03\x02\x99\0\0\0\x09"
)  # fmt: skip


def message(kind, body=b""):
    return MARKER + (19 + len(body)).to_bytes(2) + bytes((kind,)) + body


def update(attributes, withdrawn=b""):
    return message(
        UPDATE, len(withdrawn).to_bytes(2) + withdrawn + len(attributes).to_bytes(2) + attributes
    )


EOR = update(b"\x80\x0f\x03\0\x19\x46")


def type5(third, length=34):
    """10.7.third.0/24 with VNI 20100; ``length`` 34 is right (RFC 9136 §3.1)."""
    route = b"\0\1\xcb\0\x71\x09\0\x01" + bytes(14) + b"\x18" + bytes((10, 7, third, 0))
    nlri = (route + bytes(4) + (20100).to_bytes(3))[:length]
    reach = b"\0\x19\x46\x04\xcb\0\x71\x09\0\x05" + bytes((length,)) + nlri
    return b"\x90\x0e" + len(reach).to_bytes(2) + reach


def good(*thirds):
    return b"".join(update(ORIGIN + AS_PATH + COMMUNITIES + type5(t)) for t in thirds)


class RawPeer:
    def __init__(self, net):
        self.listener = net.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((net.stranger, 179))
        self.listener.listen(4)
        self.listener.settimeout(20)
        self.sock = None

    def accept(self):
        """One session, up to our KEEPALIVE; hold time 0, so that nobody needs a timer."""
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(20)
        assert self.read()[18] == OPEN
        capabilities = b"\x01\x04\0\x19\0\x46" + b"\x41\x04" + ASN.to_bytes(4)
        optional = b"\x02" + bytes((len(capabilities),)) + capabilities
        body = b"\x04" + ASN.to_bytes(2) + b"\0\0" + b"\xcb\0\x71\x09" + bytes((len(optional),))
        self.sock.sendall(message(OPEN, body + optional) + message(KEEPALIVE))

    def read(self):
        """The next message; empty at the end of the connection."""
        head = self._exactly(19)
        return head + self._exactly(int.from_bytes(head[16:18]) - 19) if head else b""

    def _exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.sock.recv(count - len(octets))
            if not more:
                return b""
            octets += more
        return octets

    def until_notification(self):
        """(code, subcode) of the NOTIFICATION that ends the session."""
        while octets := self.read():
            if octets[18] == NOTIFICATION:
                return octets[19], octets[20]
        raise AssertionError("the connection ended without a NOTIFICATION")

    def say(self, octets):
        self.sock.sendall(octets)

    def close(self):
        for sock in (self.sock, self.listener):
            if sock is not None:
                sock.close()


@pytest.fixture
def hostile(net):
    """bj-gw1 between a raw peer and GoBGP (as hk-gw1, which has announced its VPC)."""
    gobgp = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], 64602)
    gobgp(
        "global rib add -a evpn prefix 10.2.0.0/16 esi 0 etag 0 label 20100 rd 198.51.100.21:100"
        " rt 64600:100 encap vxlan router-mac 02:cc:c6:33:64:15"
    )
    raw = RawPeer(net)
    neighbor = {
        "name": "raw", "gateway": "bj-gw1", "address": net.stranger, "asn": ASN, "role": "gateway",
    }  # fmt: skip
    try:
        gateway = net.gateway("bj-gw1", net.topology([neighbor]))
        raw.accept()
        raw.say(good(1, 2, 3) + EOR)
        net.until(lambda: gateway.established("raw", "hk-gw1") and prefixes(gateway) == {1, 2, 3})
        net.until(lambda: "10.2.0.0/16" in gateway.routes())
        yield gateway, raw
        # Whatever the raw peer said, the other peer has had one session and is heard.
        assert gateway.established("hk-gw1")
        assert "10.2.0.0/16" in gateway.routes()
        assert not gateway.lines("peer hk-gw1: down")
        assert len(gateway.lines("peer hk-gw1: up")) == 1
    finally:
        raw.close()


def prefixes(gateway):
    return {int(p.split(".")[2]) for p in gateway.routes() if p.startswith("10.7.")}


WITHDRAWN = {
    "ORIGIN of two octets": (b"\x40\x01\x02\x00\x00" + AS_PATH + COMMUNITIES, "ORIGIN"),
    "no AS_PATH": (ORIGIN + COMMUNITIES, "AS_PATH"),
    "AS 0 in the path": (
        ORIGIN + b"\x40\x02\x0a\x02\x02" + ASN.to_bytes(4) + bytes(4) + COMMUNITIES, "AS",
    ),
    "communities of seven octets": (
        ORIGIN + AS_PATH + b"\xc0\x10\x07" + COMMUNITIES[3:10], "EXTENDED",
    ),
    "ORIGIN 7": (b"\x40\x01\x01\x07" + AS_PATH + COMMUNITIES, "ORIGIN"),
}  # fmt: skip


def test_a_malformed_attribute_costs_its_own_routes_alone(net, hostile):
    gateway, raw = hostile
    said = []
    for third, (attributes, word) in enumerate(WITHDRAWN.values(), 10):
        broken = update(attributes + type5(2))
        held = prefixes(gateway)
        raw.say(broken + good(third))
        net.until(lambda now=held - {2} | {third}: prefixes(gateway) == now)
        said += [broken, broken]
        rows = gateway.show("malformed", neighbor="raw")
        assert [(r["verdict"], r["hex"]) for r in rows] == [
            ("treat-as-withdraw", octets.hex()) for octets in said[:-1]
        ]
        assert word.lower() in " ".join(rows[-1]["causes"]).lower()
        told = gateway.ccn("explain", "10.7.2.0/24", "--ccn", "retail")
        assert word.lower() in told.stdout.lower()
        raw.say(broken + good(2))
        net.until(lambda now=held | {third}: prefixes(gateway) == now)
    # One line per rule of the RFC, not one per message.
    lines = gateway.lines("treat-as-withdraw")
    rules = {line.rpartition("(")[2] for line in lines}
    assert 1 < len(lines) == len(rules)
    assert all("peer raw" in line for line in lines)
    assert gateway.neighbor("raw")["malformed"] >= len(said)
    assert not gateway.lines("peer raw: down")


def test_an_attribute_that_does_not_matter_is_discarded(net, hostile):
    gateway, raw = hostile
    raw.say(update(ORIGIN + AS_PATH + b"\x40\x06\x01\x00" + COMMUNITIES + type5(4)))
    net.until(lambda: prefixes(gateway) == {1, 2, 3, 4})
    assert len(gateway.lines("attribute-discard")) == 1
    (row,) = gateway.show("malformed", neighbor="raw")
    assert row["verdict"] == "attribute-discard"
    done = gateway.ccn("show", "malformed", "--json")
    assert done.returncode == 0 and row["hex"] in done.stdout


RESET = {
    "attributes longer than the message": (
        message(UPDATE, b"\0\0\x00\xff" + ORIGIN + AS_PATH), (3, 1),
    ),
    "an MP_REACH_NLRI that cannot be parsed": (
        update(ORIGIN + AS_PATH + b"\x80\x0e\x03\0\x19\x46"), (3, 9),
    ),
    "a marker of zeros": (bytes(16) + b"\0\x13\x04", (1, 1)),
    "a message of eighteen octets": (MARKER + b"\0\x12\x04", (1, 2)),
    "a message of type 9": (MARKER + b"\0\x13\x09", (1, 3)),
}  # fmt: skip


def test_where_the_rfc_demands_it_the_session_ends_and_comes_back(net, hostile):
    gateway, raw = hostile
    for ended, (octets, notification) in enumerate(RESET.values(), 1):
        raw.say(octets + good(9))
        assert raw.until_notification() == notification
        net.until(lambda: gateway.neighbor("raw")["state"] == "down", 5)
        # Ended by a NOTIFICATION: nothing is kept (RFC 4724 §4), nothing after it was taken.
        net.until(lambda: prefixes(gateway) == set(), 5)
        assert len(gateway.lines("peer raw: down")) == ended
        raw.sock.close()
        raw.accept()
        raw.say(good(1, 2) + EOR)
        net.until(lambda: prefixes(gateway) == {1, 2})


def test_ten_thousand_broken_messages_are_bounded(net, hostile):
    gateway, raw = hostile
    begun = time.monotonic()
    broken = update(b"\x40\x01\x02\x00\x00" + AS_PATH + COMMUNITIES + type5(2))
    for _ in range(100):
        raw.say(broken * 100)
    raw.say(good(4))
    net.until(lambda: prefixes(gateway) == {1, 3, 4})
    assert time.monotonic() - begun < 10
    assert gateway.neighbor("raw")["malformed"] == 10_000
    assert len(gateway.show("malformed", neighbor="raw")) <= 64
    assert len(gateway.lines("treat-as-withdraw")) == 1
