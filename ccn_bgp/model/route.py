"""The chosen, resolved answer in one CCSI, and the rows the forwarder holds.

Route → FibEntry. ``NextHop`` is what a packet does next; equal content is the same next hop.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path


class Kind(enum.IntEnum):
    """What a next hop does; the numbers are those of dataplane/ccn_wire.h."""

    DROP = 0
    ON_LINK = 1
    VIP = 2
    VTEP = 3
    HAND_OFF = 4


class NextHop(NamedTuple):
    """One next hop. Fields that a kind does not use hold their empty value.

    DROP: nothing. ON_LINK: ``vni`` (look the destination itself up in the VM table). VIP: ``vni``
    and ``ip`` (look that address up). VTEP: ``vni`` (the L3VNI to send with), ``ip`` (the remote
    gateway), ``mac`` (its router MAC). HAND_OFF: ``ip`` (the IDC router), ``interface`` (its tap).
    """

    kind: Kind
    vni: int = 0
    ip: Ip = Ip(b"")
    mac: Mac = Mac(bytes(6))
    interface: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.DROP:
            return "drop"
        if self.kind is Kind.ON_LINK:
            return f"on-link, VNI {self.vni}"
        if self.kind is Kind.VIP:
            return f"VIP {self.ip}, VNI {self.vni}"
        if self.kind is Kind.VTEP:
            return f"VTEP {self.ip}, VNI {self.vni}, router MAC {self.mac}"
        return f"hand-off {self.interface} to {self.ip}"


class Route(NamedTuple):
    """The answer for one prefix in one CCSI.

    ``origin`` is the table where it began (``gateway/ccn``), ``path`` what was chosen.
    ``next_table`` is the table of another gateway that the packet meets next, or empty.
    """

    table: str
    prefix: Prefix
    origin: str
    next_hop: NextHop
    next_table: str
    path: Path


class Answer(NamedTuple):
    """A Route without its key, as many prefixes share it: next hop, origin, the peer that said it,
    and the table of another gateway that the packet meets next, or empty."""

    next_hop: NextHop
    origin: str
    peer: str
    next_table: str


class VmEntry(NamedTuple):
    """A row of the VM table: (vni, ip) → host VTEP and MAC."""

    vni: int
    ip: Ip
    mac: Mac
    vtep: Ip
