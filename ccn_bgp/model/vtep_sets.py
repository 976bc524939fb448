"""The hosts of a VM that is behind several, and the name by which its row of the VM table has them.

In: addresses of hosts. Out: a name of four octets, a hash of them: the same hosts have the same
name everywhere and always, so that no row depends on what else a table holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ccn_bgp.model.bgp import Ip

Hosts = tuple[Ip, ...]
"""Where a VM is: one address, or several different ones in order."""
MAX_HOSTS: Final = 16
"""Of one VM: CCN_MAX_MEMBERS."""
NO_SETS: Final[Mapping[bytes, Hosts]] = MappingProxyType({})


def hosts_of(some: Sequence[Ip]) -> Hosts:
    """In order. ValueError: none, one of them twice, or more than may be."""
    if not some:
        raise ValueError("names no host")
    if len(set(some)) < len(some):
        raise ValueError("names a host twice")
    if group := next((ip for ip in some if is_group(ip)), None):
        raise ValueError(f"{group} is a multicast address")
    if len(some) > MAX_HOSTS:
        raise ValueError(f"{len(some)} hosts; a VM may be behind {MAX_HOSTS}")
    return tuple(sorted(some))


def is_group(vtep: Ip) -> bool:
    """A multicast address, which no tunnel ends at."""
    return vtep[0] >> 4 == 0xE if len(vtep) == 4 else vtep[0] == 0xFF


def set_name(hosts: Hosts) -> bytes:
    """Four octets."""
    return hashlib.blake2b(b"".join(hosts), digest_size=4).digest()


def named(
    some: Iterable[Hosts], taken: Mapping[bytes, Hosts] = NO_SETS
) -> tuple[dict[bytes, Hosts], dict[Hosts, bytes]]:
    """(by name, names) of those that are several addresses.

    Of two with one name (that is a chance of one to 2**32) the second has none: VMs behind it are
    then on their first host alone. What is ``taken`` comes before all.
    """
    held: dict[bytes, Hosts] = {}
    for hosts in sorted({hosts for hosts in some if len(hosts) > 1}):
        name = set_name(hosts)
        if taken.get(name, hosts) == hosts:
            held.setdefault(name, hosts)
    return held, {hosts: name for name, hosts in held.items()}
