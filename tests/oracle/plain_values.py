"""What the plain decoder is built of: a field that is read from its beginning to its end, the
answers of RFC 7606, and addresses as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop

OK, DISCARD, WITHDRAW, RESET = "ok", "attribute-discard", "treat-as-withdraw", "session-reset"
STRENGTH = [OK, DISCARD, WITHDRAW, RESET]  # RFC 7606 §2, weakest first

FAMILIES = {(1, 1): "ipv4-unicast", (2, 1): "ipv6-unicast", (25, 70): "evpn"}
AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE, AS_CONFED_SET = 1, 2, 3, 4
AS_TRANS = 23456


class Malformed(Exception):
    """What is being read breaks a rule; ``answer`` is how RFC 7606 answers."""

    def __init__(self, answer):
        self.answer = answer


class TooShort(Exception):
    """More octets are wanted than are left."""


class Octets:
    """A field that is read from its beginning to its end."""

    def __init__(self, octets):
        self.left = bytes(octets)

    def take(self, count):
        if count > len(self.left):
            raise TooShort
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def number(self, count):
        return int.from_bytes(self.take(count), "big")


@dataclass
class Session:
    """``mpls``: labels are MPLS labels where no encapsulation says VXLAN (RFC 8365 §5.1.3)."""

    peer_as: int
    local_as: int
    four_octet_as: bool = True
    check_first_as: bool = True
    mpls: bool = False

    @property
    def external(self):
        return self.peer_as != self.local_as


@dataclass
class Message:
    """What is being gathered of one message."""

    session: Session
    answers: list = field(default_factory=list)
    attributes: dict = field(default_factory=dict)
    codes: set = field(default_factory=set)
    as_path: list = None
    aggregator: tuple = None
    as4_path: list = None
    as4_aggregator: tuple = None

    def answer(self, answer):
        self.answers.append(answer)

    @property
    def router_mac(self):
        return self.attributes.get("router-mac")

    @property
    def verdict(self):
        """RFC 7606 §3 h: of several answers the strongest."""
        return max(self.answers, key=STRENGTH.index, default=OK)


def administered(kind, value):
    """A number under an administrator: a 2-octet AS (0), an address (1) or a 4-octet AS (2)."""
    if kind == 1:
        return f"{IPv4Address(value[:4])}:{int.from_bytes(value[4:], 'big')}"
    border = 4 if kind == 2 else 2
    return f"{int.from_bytes(value[:border], 'big')}:{int.from_bytes(value[border:], 'big')}"


def address_of(octets):
    return inet_ntop(AF_INET if len(octets) == 4 else AF_INET6, octets)


def prefix_of(address, bits):
    """RFC 4271 §4.3: "the value of trailing bits is irrelevant"; they are written as zero."""
    network = ip_network((address, bits), strict=False)
    return f"{address_of(network.network_address.packed)}/{bits}"


def is_host(text):
    """A unicast address that can stand for one host of the network."""
    if ":" not in text:
        first = IPv4Address(text).packed[0]
        return first not in (0, 127) and first < 224
    address = IPv6Address(text)
    return not (address.is_multicast or address.is_unspecified or address.is_loopback)
