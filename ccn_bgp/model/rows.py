"""Prefixes in columns: what one peer said, thousands of routes at a time.

In: session/decode_rows.py fills PrefixRows. Out: learn/adj_rib_in.py keeps them. Whatever many
routes share stands once in a Vocabulary, and rows hold its number. A row and the Path of
model/path.py are two views of the same thing: ``Vocabulary.path`` makes the one of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Ip, Prefix, RouteDistinguisher
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes, Unicast

Bools = npt.NDArray[np.bool_]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
I8 = npt.NDArray[np.int64]
_Named = TypeVar("_Named", bound=tuple[Any, ...])

UNICAST = 0
"""The distinguisher number of IPv4 and IPv6 unicast routes, which have none."""
NO_ESI = bytes(10)


class PathBody(NamedTuple):
    """What a Path says beside its key: attributes, and the fields of a type 5 that are no part of
    the key (RFC 9136 §3.1). A unicast route has no ESI, gateway or VNI."""

    attributes: PathAttributes
    esi: bytes = NO_ESI
    gateway: Ip | None = None
    vni: int = 0


def tuples(kind: type[_Named], *columns: Iterable[Any]) -> list[_Named]:
    """NamedTuples of columns: made together they take half the time of a call for each. The
    shortest column tells how many."""
    make: Callable[[Any], _Named] = partial(tuple.__new__, kind)
    return list(map(make, zip(*columns, strict=False)))


def new_numbers(count: int, live: I8) -> I8:
    """New numbers by old ones of which only ``live`` (ascending) stay; -1 for the others."""
    renumbered = np.full(count, -1, np.int64)
    renumbered[live] = np.arange(len(live))
    return renumbered


class Vocabulary:
    """Numbers for distinguishers and bodies, given out in order of arrival; nothing that is decided
    may depend on that order."""

    def __init__(self) -> None:
        self.distinguishers: list[tuple[RouteDistinguisher, int]] = [
            (RouteDistinguisher(bytes(8)), 0)
        ]
        self.bodies: list[PathBody] = []
        self.generation = 0
        """Raised when numbers of bodies are given out anew: caches of numbers are then void."""
        self._distinguisher: dict[tuple[bytes, int], int] = {}
        self._body: dict[tuple[int, bytes, Ip | None, int], int] = {}

    def distinguisher(self, rd: bytes, etag: int) -> int:
        """The number (from 1) of a route distinguisher and Ethernet tag."""
        found = self._distinguisher.get((rd, etag))
        if found is None:
            found = self._distinguisher[rd, etag] = len(self.distinguishers)
            self.distinguishers.append((RouteDistinguisher(rd), etag))
        return found

    def distinguishers_of(self, rds: Sequence[bytes], etags: Sequence[int]) -> list[int]:
        """The same of many."""
        known = self._distinguisher
        keys = list(zip(rds, etags, strict=True))
        if fresh := [key for key in dict.fromkeys(keys) if key not in known]:
            known.update(zip(fresh, count(len(self.distinguishers)), strict=False))
            self.distinguishers += [(RouteDistinguisher(rd), etag) for rd, etag in fresh]
        return [known[key] for key in keys]

    def known(self, rd: bytes, etag: int) -> int | None:
        """The same if it has one: a look adds nothing."""
        return self._distinguisher.get((rd, etag))

    def body(
        self,
        attributes: PathAttributes,
        esi: bytes = NO_ESI,
        gateway: Ip | None = None,
        vni: int = 0,
    ) -> int:
        """The number of a body. Attributes count as the same only if they are the same object."""
        key = (id(attributes), esi, gateway, vni)
        found = self._body.get(key)
        if found is None:
            found = self._body[key] = len(self.bodies)
            self.bodies.append(PathBody(attributes, esi, gateway, vni))
        return found

    def bodies_of(self, sets: Sequence[PathAttributes], vnis: Iterable[int]) -> list[int]:
        """The same of many that have no ESI and no gateway IP."""
        known = self._body
        keys = list(zip(map(id, sets), repeat(NO_ESI), repeat(None), vnis))
        said = dict(zip(keys, sets, strict=True))
        if fresh := [key for key in said if key not in known]:
            known.update(zip(fresh, count(len(self.bodies)), strict=False))
            attributes, labels = [said[key] for key in fresh], [key[3] for key in fresh]
            self.bodies += tuples(PathBody, attributes, repeat(NO_ESI), repeat(None), labels)
        return [known[key] for key in keys]

    def keep_bodies(self, live: I8) -> I8:
        """Forget all bodies but these (numbers, ascending, each once); returns new numbers by old
        ones, -1 where forgotten."""
        renumbered = new_numbers(len(self.bodies), live)
        self.bodies = [self.bodies[number] for number in live.tolist()]
        self._body = {(id(b[0]), *b[1:]): number for number, b in enumerate(self.bodies)}
        self.generation += 1
        return renumbered

    def keep_distinguishers(self, live: I8) -> I8:
        """The same for distinguishers; UNICAST stays what it is, and the order stays."""
        live = live if len(live) and live[0] == UNICAST else np.append(np.int64(UNICAST), live)
        renumbered = new_numbers(len(self.distinguishers), live)
        self.distinguishers = [self.distinguishers[number] for number in live.tolist()]
        self._distinguisher = {
            (bytes(rd), etag): number
            for number, (rd, etag) in enumerate(self.distinguishers)
            if number != UNICAST
        }
        self.generation += 1
        return renumbered

    def take_over(self, other: Vocabulary) -> None:
        """Share the numbers of another vocabulary from now on; this one must still be unused."""
        self.__dict__ = other.__dict__

    def key(self, distinguisher: int, prefix: Prefix) -> bytes:
        """The NLRI key of a row."""
        if distinguisher == UNICAST:
            return prefix
        rd, etag = self.distinguishers[distinguisher]
        return b"\x05" + rd + etag.to_bytes(4, "big") + prefix

    def path(self, peer: str, distinguisher: int, prefix: Prefix, body: int) -> Path:
        """The Path of one row."""
        attributes, esi, gateway, vni = self.bodies[body]
        if distinguisher == UNICAST:
            return Path(peer, Unicast(prefix), attributes)
        rd, etag = self.distinguishers[distinguisher]
        return Path(peer, EvpnPrefix(rd, esi, etag, prefix, gateway, vni), attributes)


@dataclass(frozen=True, slots=True, eq=False)
class PrefixRows:
    """Announcements and withdrawals of one peer, in order; arrays of length n.

    ``announced``: bool[n], False for a withdrawal. ``distinguisher``: uint32[n], number in the
    Vocabulary, 0 for unicast. ``address``: uint8[n, 4 or 16], network order, host bits cleared.
    ``length``: uint8[n]. ``body``: uint32[n], number in the Vocabulary, 0 for a withdrawal.
    """

    announced: Bools
    distinguisher: U4
    address: U1
    length: U1
    body: U4

    def __len__(self) -> int:
        return len(self.length)

    def taken(self, rows: I8) -> PrefixRows:
        """Some of the rows."""
        return PrefixRows(
            self.announced[rows],
            self.distinguisher[rows],
            self.address[rows],
            self.length[rows],
            self.body[rows],
        )

    def nlris(self, words: Vocabulary) -> list[EvpnPrefix | Unicast]:
        """Each row as an NLRI, of which only what makes up its key is told."""
        made: list[EvpnPrefix | Unicast] = []
        octets = np.concatenate((self.address, self.length[:, None]), axis=1)
        for number, row in zip(self.distinguisher.tolist(), octets, strict=True):
            prefix = Prefix(row.tobytes())
            if number == UNICAST:
                made.append(Unicast(prefix))
            else:
                rd, etag = words.distinguishers[number]
                made.append(EvpnPrefix(rd, NO_ESI, etag, prefix, None, 0))
        return made

    @property
    def width(self) -> int:
        """Octets of an address: 4 or 16."""
        width: Any = self.address.shape[1]
        return int(width)
