"""Frames for a forwarding bench: VXLAN from a host to the gateway, 114 octets, in a pcap file.

In: tenants and destinations as rows.py numbers them. Out: a file for net_pcap's ``infinite_rx``.
RFC 7348 §5; the inner frame is the smallest, 64 octets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ccn_bgp.bench.rows import FIRST_VPC_VNI, GATEWAY, HOST, ROUTER_MAC, SENDER

LENGTH = 114
PORT_MAC = bytes.fromhex("0200c000020b")
_HOST_MAC = bytes.fromhex("0200c0000265")
INNER = 64


def _checksum(header: bytes) -> bytes:
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return (~(total + (total >> 16)) & 0xFFFF).to_bytes(2, "big")


def _ipv4(source: bytes, destination: bytes, protocol: int, payload: int, hops: int = 64) -> bytes:
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + payload, 0, 0x4000, hops, protocol)
    return head + _checksum(head + bytes(2) + source + destination) + source + destination


def frame(tenant: int, destination: int, flow: int) -> bytes:
    """One packet of a VM of ``tenant`` to an address; ``flow`` varies the ports."""
    payload = bytes(INNER - 14 - 20 - 8)
    return vxlan(
        FIRST_VPC_VNI + tenant,
        SENDER,
        destination.to_bytes(4, "big"),
        payload,
        flow=flow,
        port_mac=PORT_MAC,
    )


def vxlan(
    vni: int, source: bytes, destination: bytes, payload: bytes, *, flow: int, port_mac: bytes
) -> bytes:
    """UDP between two inner IPv4 addresses, from HOST to GATEWAY at a port with this MAC."""
    ethernet = ROUTER_MAC + b"\x02\x00" + source + b"\x08\x00"
    inner = ethernet + inner_packet(source, destination, payload, flow)
    return tunnel(vni, inner, flow, port_mac, source=HOST, gateway=GATEWAY)


def vxlan6(vni: int, source: bytes, destination: bytes, payload: bytes) -> bytes:
    """The same with two inner IPv6 addresses."""
    ethernet = ROUTER_MAC + b"\x02\x00" + source[12:] + b"\x86\xdd"
    inner = ethernet + inner_packet(source, destination, payload, 0)
    return tunnel(vni, inner, 0, PORT_MAC, source=HOST, gateway=GATEWAY)


def inner_packet(
    source: bytes, destination: bytes, payload: bytes, flow: int, hops: int = 64
) -> bytes:
    """UDP over IPv4 or IPv6, as the addresses are; without the checksum of UDP, at which nobody on
    the way looks."""
    size = len(payload) + 8
    udp = struct.pack(">HHHH", 1024 + flow % 60000, 2000, size, 0) + payload
    if len(source) == 4:
        return _ipv4(source, destination, 17, size, hops) + udp
    return struct.pack(">IHBB", 6 << 28, size, 17, hops) + source + destination + udp


def tunnel(
    vni: int, inner: bytes, flow: int, port_mac: bytes, *, source: bytes, gateway: bytes
) -> bytes:
    """An Ethernet frame in VXLAN from ``source`` to the gateway."""
    head = struct.pack(">II", 0x08000000, vni << 8)
    udp = struct.pack(">HHHH", 49152 + flow % 16384, 4789, 8 + len(head) + len(inner), 0)
    outer = _ipv4(source, gateway, 17, len(udp) + len(head) + len(inner))
    return port_mac + _HOST_MAC + b"\x08\x00" + outer + udp + head + inner


def write_head(file: BinaryIO) -> None:
    """The begin of a pcap file of Ethernet frames."""
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))


def write_pcap(path: Path, frames: Iterable[bytes]) -> int:
    """Write them; how many there were."""
    count = 0
    with path.open("wb") as file:
        write_head(file)
        for count, octets in enumerate(frames, 1):  # noqa: B007 - the count is the answer
            file.write(struct.pack("<IIII", 0, 0, len(octets), len(octets)) + octets)
    return count
