"""IPv6 tunnel addresses in columns of four octets.

In: the address of a VTEP. Out: four octets that stand for it in rows, and back: IPv4 is itself,
IPv6 has a name in 224.0.0.0/4, which is no VTEP's address (struct ccn_vtep_name). So a row is as
small over IPv6 as over IPv4, and code that only compares or groups VTEPs need not know.

The name is the last 28 bits of the address, mixed with a hash of the others: addresses of one /100
never meet. Of two that meet, the one that comes second takes the next free name: what a name stands
for is known to this process for as long as it lives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from ccn_bgp.model.bgp import Ip

_BITS: Final = 28
_MASK: Final = (1 << _BITS) - 1
_FIRST: Final = 0xE0000000

_names: dict[Ip, bytes] = {}
_addresses: dict[bytes, Ip] = {}


def vtep_octets(vtep: Ip) -> bytes:
    """Four octets that stand for this VTEP from now on; of no VTEP (an empty one) zeros."""
    if len(vtep) == 4:
        return vtep
    if not vtep:
        return bytes(4)
    held = _names.get(vtep)
    if held is not None:
        return held
    number = _wanted(vtep)
    while (name := (_FIRST | number).to_bytes(4, "big")) in _addresses:
        number = number + 1 & _MASK
    _names[vtep], _addresses[name] = name, vtep
    return name


def vtep_of(octets: bytes) -> Ip:
    """The VTEP that four octets stand for. A name that nobody was given (a forwarder's, from before
    this process) is given back as it is."""
    if octets[0] >> 4 != _FIRST >> 28:
        return Ip(octets)
    return _addresses.get(octets) or Ip(octets)


def named_vteps(vteps: Iterable[Ip]) -> tuple[tuple[bytes, Ip], ...]:
    """(name, address) of those that are IPv6, each once, by name."""
    return tuple(sorted((vtep_octets(vtep), vtep) for vtep in {v for v in vteps if len(v) == 16}))


def _wanted(vtep: Ip) -> int:
    rest = vtep.number >> _BITS
    mixed = hashlib.blake2b(rest.to_bytes(13, "big"), digest_size=4).digest()
    return (vtep.number ^ int.from_bytes(mixed, "big")) & _MASK
