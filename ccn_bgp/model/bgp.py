"""Values of the BGP wire: in come texts and octets, out go values that *are* their wire form.

Each is a ``bytes`` subclass: its value is what stands in a message, so it hashes and sorts at C
speed, and columns of it are plain NumPy bytes. RFC 4271, 4360, 4364, 7432, 8365, 9136.
"""

from __future__ import annotations

import enum
import re
import socket
from typing import NewType, Self

Asn = NewType("Asn", int)
"""Autonomous system number, 1..2**32-1 (RFC 6793)."""
Vni = NewType("Vni", int)
"""VXLAN network identifier, 1..2**24-1 (RFC 7348)."""


class Family(enum.Enum):
    """Address families that are learned: (AFI, SAFI), RFC 4760."""

    IPV4_UNICAST = (1, 1)
    IPV6_UNICAST = (2, 1)
    EVPN = (25, 70)

    @property
    def text(self) -> str:
        """The name used in JSON and in messages: ``ipv4-unicast`` …"""
        return self.name.lower().replace("_", "-")


class Ip(bytes):
    """An IPv4 or IPv6 address: 4 or 16 octets in network order; empty where there is none."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``192.0.2.1`` or ``2001:db8::1``; ValueError says what is wrong."""
        try:
            return cls(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))
        except OSError:
            raise ValueError(f"'{text}' is not an IP address") from None

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self) == 4 else 6

    @property
    def number(self) -> int:
        """The address as an integer."""
        return int.from_bytes(self, "big")

    @property
    def host_prefix(self) -> Prefix:
        """The /32 or /128 of this address."""
        return Prefix(self + bytes((len(self) * 8,)))

    def __str__(self) -> str:
        if not self:
            return "-"
        return socket.inet_ntop(socket.AF_INET if len(self) == 4 else socket.AF_INET6, self)

    __repr__ = __str__


class Prefix(bytes):
    """An IP prefix: the network address (4 or 16 octets), then one octet of length.

    Sorting prefixes of one family sorts by (address, length).
    """

    __slots__ = ()

    @classmethod
    def of(cls, address: bytes, length: int) -> Self:
        """The prefix of ``length`` bits that holds ``address``; host bits are cleared."""
        bits = len(address) * 8
        number = int.from_bytes(address, "big") >> (bits - length) << (bits - length)
        return cls(number.to_bytes(len(address), "big") + bytes((length,)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``10.1.0.0/16``; ValueError names the fault (syntax, length, host bits set)."""
        address_text, slash, length_text = text.partition("/")
        if not slash or not re.fullmatch(r"[0-9]{1,3}", length_text):
            raise ValueError(f"'{text}' is not a prefix (address/length)")
        address = Ip.parse(address_text)
        length = int(length_text)
        if length > len(address) * 8:
            raise ValueError(f"'{text}' has a length over {len(address) * 8}")
        prefix = cls.of(address, length)
        if prefix[:-1] != address:
            raise ValueError(f"'{text}' has host bits set; did you mean {prefix}?")
        return prefix

    @property
    def address(self) -> Ip:
        """The network address."""
        return Ip(self[:-1])

    @property
    def length(self) -> int:
        """Number of leading bits that count."""
        return self[-1]

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self) == 5 else 6

    @property
    def first(self) -> int:
        """First address, as an integer."""
        return int.from_bytes(self[:-1], "big")

    @property
    def last(self) -> int:
        """Last address, as an integer."""
        return self.first | ((1 << ((len(self) - 1) * 8 - self[-1])) - 1)

    def covers(self, other: Prefix) -> bool:
        """True if every address of ``other`` is also in this prefix."""
        return (
            len(self) == len(other)
            and self[-1] <= other[-1]
            and self.first <= other.first <= self.last
        )

    def contains(self, address: bytes) -> bool:
        """True if ``address`` (4 or 16 octets) lies in this prefix."""
        return (
            len(address) + 1 == len(self)
            and self.first <= int.from_bytes(address, "big") <= self.last
        )

    def overlaps(self, other: Prefix) -> bool:
        """True if the two have an address in common."""
        return self.covers(other) or other.covers(self)

    def host(self, index: int) -> Ip:
        """The address at ``index`` from the network address."""
        return Ip((self.first + index).to_bytes(len(self) - 1, "big"))

    def __str__(self) -> str:
        if len(self) == 5:  # views and findings write very many
            return f"{self[0]}.{self[1]}.{self[2]}.{self[3]}/{self[4]}"
        return f"{socket.inet_ntop(socket.AF_INET6, self[:-1])}/{self[-1]}"

    __repr__ = __str__


class Mac(bytes):
    """An Ethernet address, 6 octets."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``02:00:0a:01:00:0a``; ValueError if it is not that."""
        if not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", text):
            raise ValueError(f"'{text}' is not a MAC address (six octets: 02:00:0a:01:00:0a)")
        return cls(bytes.fromhex(text.replace(":", "").replace("-", "")))

    def __str__(self) -> str:
        return self.hex(":")

    __repr__ = __str__


class RouteDistinguisher(bytes):
    """A route distinguisher, 8 octets: type 0 (AS2), 1 (IPv4) or 2 (AS4). RFC 4364 §4.2."""

    __slots__ = ()

    @classmethod
    def of_router(cls, router_id: Ip, number: int) -> Self:
        """Type 1, ``router-id:number``: what our gateways use, number = CCN id."""
        return cls(b"\x00\x01" + router_id + number.to_bytes(2, "big"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``64600:100``, ``192.0.2.11:100`` or ``4200000000:7``."""
        return cls(_administered(text))

    def __str__(self) -> str:
        if self[0] or self[1] > 2:  # a type that RFC 4364 §4.2 does not have: all octets
            return self.hex()
        return _administered_text(self[1], self[2:])

    __repr__ = __str__


class RouteTarget(bytes):
    """A route target: the whole extended community, 8 octets, sub-type 0x02. RFC 4360 §4."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``64600:100``; 4-octet AS and IPv4 forms as in a route distinguisher."""
        raw = _administered(text)
        return cls(bytes((raw[1], 0x02)) + raw[2:])

    @staticmethod
    def is_target(community: bytes) -> bool:
        """True if this extended community is a route target."""
        return community[0] in (0x00, 0x01, 0x02) and community[1] == 0x02

    def __str__(self) -> str:
        return _administered_text(self[0], self[2:])

    __repr__ = __str__


def _administered(text: str) -> bytes:
    admin, colon, number_text = text.rpartition(":")
    if not colon or not number_text.isdecimal():
        raise ValueError(f"'{text}' is not of the form ASN:NUMBER or ADDRESS:NUMBER")
    number = int(number_text)
    if "." in admin:
        if number > 0xFFFF:
            raise ValueError(f"'{text}': the number after an address is at most 65535")
        return b"\x00\x01" + Ip.parse(admin) + number.to_bytes(2, "big")
    if not admin.isdecimal() or int(admin) > 0xFFFFFFFF:
        raise ValueError(f"'{text}' is not of the form ASN:NUMBER or ADDRESS:NUMBER")
    asn = int(admin)
    if asn <= 0xFFFF:
        if number > 0xFFFFFFFF:
            raise ValueError(f"'{text}': the number after a 2-octet AS is at most 4294967295")
        return b"\x00\x00" + asn.to_bytes(2, "big") + number.to_bytes(4, "big")
    if number > 0xFFFF:
        raise ValueError(f"'{text}': the number after a 4-octet AS is at most 65535")
    return b"\x00\x02" + asn.to_bytes(4, "big") + number.to_bytes(2, "big")


def _administered_text(kind: int, value: bytes) -> str:
    if kind == 0:
        return f"{int.from_bytes(value[:2], 'big')}:{int.from_bytes(value[2:], 'big')}"
    number = int.from_bytes(value[4:], "big")
    if kind == 1:
        return f"{Ip(value[:4])}:{number}"
    if kind == 2:
        return f"{int.from_bytes(value[:4], 'big')}:{number}"
    return value.hex()
