"""Access lists: what of a CCN's traffic its gateways let pass. Values; nothing is matched here.

In: rules as declared, each over sets of prefixes and ports. Out: rows, each one box of addresses,
protocol and ports, in the order in which the forwarder tries them: the first that matches decides.
Stateless: an answer needs a rule of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from ccn_bgp.model.bgp import Prefix

Action = Literal["permit", "deny"]
Ports = tuple[int, int]
"""First and last."""

ANY_PORT: Ports = (0, 65535)
"""Also of a packet whose ports are not known: a fragment beyond the first, another protocol."""
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP, "icmpv6": ICMPV6, "sctp": SCTP}
WITH_PORTS = frozenset((TCP, UDP, SCTP))
MAX_ROWS = 1024
"""Rows of one IP version that the forwarder takes of one list (ACL_MAX_ROWS)."""
MAX_RULES = 1000
"""Rules of one list."""
LONGEST_NAME = 32
"""Octets of a rule's name on the wire."""
DEFAULT = "default"
"""The name under which packets that no rule matches are counted."""


class AclRow(NamedTuple):
    """One box. ``rule`` is the index of its rule; ``protocol`` None is any."""

    rule: int
    action: Action
    name: str
    source: Prefix
    destination: Prefix
    protocol: int | None
    source_ports: Ports
    destination_ports: Ports

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.source.version


@dataclass(frozen=True, slots=True)
class AclRule:
    """One rule. Empty ``source``, ``destination`` or ports, and None, mean any; ``version`` limits
    a rule that names no prefixes to IPv4 or IPv6."""

    name: str
    action: Action
    version: int | None = None
    source: tuple[Prefix, ...] = ()
    destination: tuple[Prefix, ...] = ()
    protocol: int | None = None
    source_ports: tuple[Ports, ...] = ()
    destination_ports: tuple[Ports, ...] = ()

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions of packets that it can match."""
        found = {4, 6} if self.version is None else {self.version}
        for side in (self.source, self.destination):
            if side:
                found &= {prefix.version for prefix in side}
        found -= {6} if self.protocol == ICMP else {4} if self.protocol == ICMPV6 else set()
        return tuple(sorted(found))

    def rows(self, index: int) -> Iterator[AclRow]:
        """Every box that it stands for."""
        for version in self.versions:
            any_address = (Prefix.of(bytes(4 if version == 4 else 16), 0),)
            for source in _of(self.source, version) or any_address:
                for destination in _of(self.destination, version) or any_address:
                    for source_ports in self.source_ports or (ANY_PORT,):
                        for destination_ports in self.destination_ports or (ANY_PORT,):
                            yield AclRow(
                                index,
                                self.action,
                                self.name,
                                source,
                                destination,
                                self.protocol,
                                source_ports,
                                destination_ports,
                            )

    def row_count(self, version: int) -> int:
        """How many rows of this IP version it stands for."""
        if version not in self.versions:
            return 0
        sides = [len(_of(side, version)) or 1 for side in (self.source, self.destination)]
        ports = [len(side) or 1 for side in (self.source_ports, self.destination_ports)]
        return sides[0] * sides[1] * ports[0] * ports[1]


def _of(prefixes: tuple[Prefix, ...], version: int) -> tuple[Prefix, ...]:
    return tuple(prefix for prefix in prefixes if prefix.version == version)


@dataclass(frozen=True)
class Acl:
    """A list: rules in order, and what happens to packets that none of them matches."""

    name: str
    rules: tuple[AclRule, ...]
    default: Action = "deny"

    @cached_property
    def all_rules(self) -> tuple[AclRule, ...]:
        """With the default as the last."""
        return (*self.rules, AclRule(DEFAULT, self.default))

    @cached_property
    def rows(self) -> tuple[AclRow, ...]:
        """In the order in which they are tried."""
        return tuple(row for index, rule in enumerate(self.all_rules) for row in rule.rows(index))

    @cached_property
    def digest(self) -> bytes:
        """32 octets; equal for equal rows, whatever the list is called."""
        return hashlib.blake2b(repr(self.rows).encode(), digest_size=32).digest()
