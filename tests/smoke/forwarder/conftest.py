"""Rows of a small gateway, and real ccn-forwarder processes that hold them."""

from __future__ import annotations

import os
import socket
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.wire import (
    MessageType,
    NextHopKind,
    Role,
    VniKind,
)


def ip(text: str) -> np.ndarray:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return wire.octets(socket.inet_pton(family, text), 16)


def mac(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text.replace(":", "")), np.uint8)


def record(dtype: np.dtype, **fields: object) -> np.ndarray:
    row = np.zeros(1, dtype)
    for name, value in fields.items():
        row[name] = value
    return row


def interface(id: int, role: Role, port: str, prefix: str, **more: object) -> tuple:
    """``prefix``, ``via`` and ``vtep`` are of one family; ``address6`` is beside an IPv4 prefix."""
    address, _, length = prefix.partition("/")
    six = "6" if ":" in prefix else ""
    more |= {f"length{six}": int(length)}
    if not six:
        more["address6"] = ip(str(more.get("address6", "::")))
    for field, text in (
        ("address", address),
        ("via", more.pop("via", "")),
        ("vtep", more.pop("vtep", "")),
    ):
        if text:
            more[field + six] = ip(str(text))[: 16 if six else 4]
    row = record(
        wire.INTERFACE,
        id=id,
        role=role,
        mtu=more.pop("mtu", 1600),
        port=wire.octets(port.encode(), 16),
        tap=wire.octets(str(more.pop("tap", "")).encode(), 16),
        mac=mac(str(more.pop("mac", "00:00:00:00:00:00"))),
        **more,
    )
    return (MessageType.INTERFACE, 0, row)


def ccsi(id: int, name: str, flags: int = 0) -> tuple:
    row = record(wire.CCSI, id=id, name=wire.octets(name.encode(), 32), flags=flags)
    return (MessageType.CCSI, 0, row)


def vni(number: int, ccsi: int, kind: VniKind = VniKind.VPC) -> tuple:
    return (MessageType.VNI, 0, record(wire.VNI, vni=number, ccsi=ccsi, kind=kind))


def word(address: str) -> np.ndarray:
    """Of a VTEP: its IPv4 address, or its name."""
    if ":" not in address:
        return ip(address)[:4]
    number = 0xE0000000 | zlib.crc32(bytes(ip(address))) >> 4
    return wire.octets(number.to_bytes(4, "big"), 4)


def vtep_name(address: str) -> tuple:
    row = record(wire.VTEP_NAME, name=word(address), address=ip(address))
    return (MessageType.VTEP_NAME, 0, row)


def vtep(number: int, address: str, flags: int = 0) -> tuple:
    row = record(wire.VTEP, vni=number, address=word(address), flags=flags)
    return (MessageType.VTEP, 0, row)


def source(ccsi: int, prefix: str, site: int = 0, flags: int = 0) -> tuple:
    address, _, length = prefix.partition("/")
    row = record(
        wire.SOURCE,
        ccsi=ccsi,
        site=site,
        family=6 if ":" in address else 4,
        length=int(length),
        prefix=ip(address),
        flags=flags,
    )
    return (MessageType.SOURCE, 0, row)


def gateway_address(number: int, address: str) -> tuple:
    family = 6 if ":" in address else 4
    row = record(wire.GATEWAY_ADDRESS, vni=number, family=family, ip=ip(address))
    return (MessageType.GATEWAY_ADDRESS, 0, row)


def peer(interface: int, address: str) -> tuple:
    family = 6 if ":" in address else 4
    row = record(wire.PEER, interface=interface, family=family, ip=ip(address))
    return (MessageType.PEER, 0, row)


def next_hop(slot: int, kind: NextHopKind, **more: object) -> tuple:
    address = str(more.pop("ip", ""))
    row = record(
        wire.NEXT_HOP,
        slot=slot,
        kind=kind,
        family=0 if not address else 6 if ":" in address else 4,
        mac=mac(str(more.pop("mac", "00:00:00:00:00:00"))),
        **more,
    )
    if address:
        row["ip"] = ip(address)
    return (MessageType.NEXT_HOP, 0, row)


def group(slot: int, *members: tuple[int, int]) -> tuple:
    """``members``: (weight, slot)."""
    row = record(wire.NEXT_HOP_GROUP, slot=slot, count=len(members))
    for place, (weight, member) in enumerate(members):
        held = row["member"][0, place : place + 1]
        held["weight"], held["slot"], held["key"] = weight, member, member * 7919
    return (MessageType.NEXT_HOP_GROUP, 0, row)


def vtep_set(name: bytes, *hosts: str) -> tuple:
    row = record(wire.VTEP_SET, name=wire.octets(name, 4), count=len(hosts))
    for place, host in enumerate(hosts):
        row["vtep"][0, place] = ip(host)[:4]
    return (MessageType.VTEP_SET, 0, row)


def vm(number: int, address: str, mac_text: str, host: str | bytes) -> tuple:
    """``host``: an address, or the name of a set."""
    row = record(
        wire.VM,
        vni=number,
        family=6 if ":" in address else 4,
        mac=mac(mac_text),
        ip=ip(address),
        shared=isinstance(host, bytes),
        vtep=wire.octets(host, 4) if isinstance(host, bytes) else word(host),
    )
    return (MessageType.VM, 0, row)


def route(ccsi: int, prefix: str, slot: int) -> tuple:
    address, _, length = prefix.partition("/")
    row = record(
        wire.ROUTE,
        ccsi=ccsi,
        next_hop=slot,
        prefix=ip(address),
        family=6 if ":" in address else 4,
        length=int(length),
    )
    return (MessageType.ROUTE, 0, row)


def counters(client: ForwarderClient) -> dict[tuple[str, str], int]:
    return {(c.scope, c.name): c.value for c in client.counters()}


@pytest.fixture(scope="session")
def rows() -> SimpleNamespace:
    """The record makers, for the tests' own tables."""
    return SimpleNamespace(
        ip=ip,
        interface=interface,
        ccsi=ccsi,
        vni=vni,
        vtep=vtep,
        vtep_name=vtep_name,
        source=source,
        gateway_address=gateway_address,
        peer=peer,
        next_hop=next_hop,
        group=group,
        vtep_set=vtep_set,
        vm=vm,
        route=route,
        counters=counters,
    )


@pytest.fixture
def forwarder(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, subprocess.Popen]]]:
    """Starts forwarders (ports, *extra arguments, netns=NAME); ends them with the test."""
    running: list[subprocess.Popen] = []

    def start(
        ports: dict[str, str], *extra: str, netns: str = "", name: str = "fwd"
    ) -> tuple[Path, subprocess.Popen]:
        path = tmp_path / f"{name}.sock"
        own = f"{name}-{os.getpid()}"  # DPDK's directory goes by it: not for two at once
        command = forwarder_command(path, ports, name=own, extra=["--memory", "128", *extra])
        if netns:
            command = ["ip", "netns", "exec", netns, *command]
        process = start_forwarder(command, path, tmp_path / f"{name}.log")
        running.append(process)
        return path, process

    yield start
    for process in running:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
