"""The chosen, resolved answer in one CCSI, and the rows the forwarder holds.

Route → FibEntry. ``NextHop`` is what a packet does next; equal content is the same next hop.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path


class Kind(enum.IntEnum):
    """What a next hop does; the numbers are those of dataplane/ccn_wire.h."""

    DROP = 0
    ON_LINK = 1
    VIP = 2
    VTEP = 3
    HAND_OFF = 4
    GROUP = 5


MAX_MEMBERS: Final = 16
"""Of a group; more paths are not spread over."""
MAX_WEIGHT: Final = 255


class NextHop(NamedTuple):
    """One next hop. Fields that a kind does not use hold their empty value.

    DROP: nothing. ON_LINK: ``vni`` (look the destination itself up in the VM table). VIP: ``vni``
    and ``ip`` (look that address up). VTEP: ``vni`` (the L3VNI to send with), ``ip`` (the remote
    gateway), ``mac`` (its router MAC). HAND_OFF: ``ip`` (the IDC router), ``interface`` (its tap).
    GROUP: ``members``, 2 to 16 different ones in order; made by ``group``. Flows are spread over
    them by weight.
    """

    kind: Kind
    vni: int = 0
    ip: Ip = Ip(b"")
    mac: Mac = Mac(bytes(6))
    interface: str = ""
    members: tuple[Member, ...] = ()

    @classmethod
    def group(cls, members: Iterable[Member]) -> NextHop:
        """Spread flows over ``members``; the same members in any order give the same value.

        Weights may be any integers above 0 (a link bandwidth); they become the smallest of their
        ratio, at most 255. Equal hops are one member with the sum of their weights; of more than 16
        the heaviest stay. A single member is no group but its hop. ValueError: no member, a weight
        below 1, or a hop that is neither VTEP nor HAND_OFF nor VIP.
        """
        merged: dict[NextHop, int] = {}
        for weight, hop in members:
            if weight < 1 or hop.kind not in (Kind.VTEP, Kind.HAND_OFF, Kind.VIP):
                raise ValueError(f"{hop}, weight {weight}, cannot be a member of a group")
            merged[hop] = merged.get(hop, 0) + weight
        if not merged:
            raise ValueError("a group without members")
        chosen = sorted(merged.items(), key=lambda item: (-item[1], item[0]))[:MAX_MEMBERS]
        if len(chosen) == 1:
            return chosen[0][0]
        most = chosen[0][1] // math.gcd(*(weight for _, weight in chosen))
        if most > MAX_WEIGHT:
            top = chosen[0][1]
            chosen = [(h, max(1, (2 * MAX_WEIGHT * w + top) // (2 * top))) for h, w in chosen]
        divisor = math.gcd(*(weight for _, weight in chosen))
        ordered = tuple(Member(weight // divisor, hop) for hop, weight in sorted(chosen))
        return cls(Kind.GROUP, members=ordered)

    @property
    def hops(self) -> tuple[NextHop, ...]:
        """Where packets may go: the hops of a group, else this one alone."""
        return tuple(hop for _, hop in self.members) if self.members else (self,)

    def __str__(self) -> str:
        if self.kind is Kind.GROUP:
            return "group of " + "; ".join(
                f"{hop} (weight {weight})" for weight, hop in self.members
            )
        if self.kind is Kind.DROP:
            return "drop"
        if self.kind is Kind.ON_LINK:
            return f"on-link, VNI {self.vni}"
        if self.kind is Kind.VIP:
            return f"VIP {self.ip}, VNI {self.vni}"
        if self.kind is Kind.VTEP:
            return f"VTEP {self.ip}, VNI {self.vni}, router MAC {self.mac}"
        return f"hand-off {self.interface} to {self.ip}"


class Member(NamedTuple):
    """One of a group: ``weight`` 1 to 255, relative to the others'; ``hop`` never a group."""

    weight: int
    hop: NextHop


DELIVERED: Final = "deliver"
"""Among the next tables of a group: some packets meet no other table. No table has this name."""


def joined_tables(names: Iterable[str]) -> str:
    """What the members of a group say is next (a table, or empty) as one text: sorted, each once,
    with blanks between them; empty if no member leads to another table."""
    found = sorted({name or DELIVERED for name in names})
    return "" if found == [DELIVERED] else " ".join(found)


def tables_next(names: Sequence[str]) -> list[str]:
    """The tables in texts of ``joined_tables``, sorted, each once, without DELIVERED."""
    if len(names) <= 1 and not (names and " " in names[0]):  # most tables lead to one other
        return [name for name in names if name and name != DELIVERED]
    found = {name for text in names for name in (text.split() if " " in text else (text,))}
    return sorted(found - {"", DELIVERED})


class Route(NamedTuple):
    """The answer for one prefix in one CCSI.

    ``origin`` is the table where it began (``gateway/ccn``), ``path`` what was chosen.
    ``next_table`` is the table of another gateway that the packet meets next, or empty; of a group
    it is all of them (``joined_tables``).
    """

    table: str
    prefix: Prefix
    origin: str
    next_hop: NextHop
    next_table: str
    path: Path


class Answer(NamedTuple):
    """A Route without its key, as many prefixes share it: next hop, origin, the peer that said it,
    and the table of another gateway that the packet meets next, or empty (as in a Route)."""

    next_hop: NextHop
    origin: str
    peer: str
    next_table: str


class VmEntry(NamedTuple):
    """A row of the VM table: (vni, ip) → host VTEP and MAC. Of a VM that is behind several hosts
    ``vtep`` is the lowest of them, ``others`` are the rest in order: flows are spread over them."""

    vni: int
    ip: Ip
    mac: Mac
    vtep: Ip
    others: tuple[Ip, ...] = ()
