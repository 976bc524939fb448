"""Ports as the kernel sees them: in come port names, out go MACs, states and link events.

A port given to the forwarder stays a plain kernel device in a lab (af_xdp, af_packet); what is
read here is its MAC, its state, and whether somebody put an address on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.rtnl import RTMGRP_LINK

from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Mac

log = logging.getLogger("ccn.ports")

_IFF_UP = 0x1
_IFF_RUNNING = 0x40


@dataclass(frozen=True, slots=True)
class Link:
    """One device: ``up`` is what the operator set, ``carrier`` what the line says."""

    name: str
    index: int
    mac: Mac
    up: bool
    carrier: bool


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A change of one device; ``present`` False means that it has gone."""

    link: Link
    present: bool


async def links(ip: AsyncIPRoute) -> Mapping[str, Link]:
    """Every device of this network namespace, by name."""
    found = {}
    async for message in await ip.get_links():
        link = _link(message)
        found[link.name] = link
    return found


async def wait_for_ports(
    ip: AsyncIPRoute, names: Iterable[str], patience: float = 5.0
) -> Mapping[str, Link]:
    """The links of these ports, once all are there.

    ``patience`` in seconds. CcnError names every port that is still missing then.
    """
    wanted = sorted(set(names))
    deadline = asyncio.get_running_loop().time() + patience
    said = False
    while True:
        present = await links(ip)
        missing = [name for name in wanted if name not in present]
        if not missing:
            return {name: present[name] for name in wanted}
        if not said:
            said = True
            log.info("waiting for port %s", ", ".join(missing))
        if asyncio.get_running_loop().time() >= deadline:
            known = ", ".join(sorted(present))
            raise CcnError(
                *(
                    Problem(f"port {name}", "no such interface here", f"there are: {known}")
                    for name in missing
                )
            )
        await asyncio.sleep(0.1)


async def addresses(ip: AsyncIPRoute, index: int) -> frozenset[str]:
    """The addresses of one device as ``address/length``, IPv6 link-local ones left out."""
    found = set()
    async for message in await ip.get_addr(index=index):
        address = message.get("local") or message.get("address")
        if address and not address.startswith("fe80:"):
            found.add(f"{address}/{message['prefixlen']}")
    return frozenset(found)


async def link_events() -> AsyncIterator[LinkEvent]:
    """Every change of a device from now on, in order."""
    async with AsyncIPRoute() as ip:
        await ip.bind(groups=RTMGRP_LINK)
        while True:
            async for message in ip.get():
                if message["event"] in ("RTM_NEWLINK", "RTM_DELLINK"):
                    yield LinkEvent(_link(message), message["event"] == "RTM_NEWLINK")


def set_sysctl(family: str, device: str, name: str, value: int) -> None:
    """Write ``net.FAMILY.conf.DEVICE.NAME``; a kernel without that family has nothing to set."""
    directory = Path("/proc/sys/net") / family / "conf" / device
    if not directory.is_dir():
        return
    path = directory / name
    try:
        path.write_text(f"{value}\n")
    except OSError as error:
        raise CcnError(
            Problem(str(path), error.strerror or "cannot be written", "run as root")
        ) from error


def _link(message: Mapping[str, object]) -> Link:
    flags = message["flags"]
    assert isinstance(flags, int)
    index = message["index"]
    assert isinstance(index, int)
    get = message.get
    address = str(get("address") or "")
    return Link(
        name=str(get("ifname")),
        index=index,
        mac=Mac.parse(address) if address.count(":") == 5 else Mac(6),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
    )
