"""Frames of a trace: what a VM's host or a data centre's router would send comes in as values, goes
out as octets; and what the forwarder made of it is read back.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ccn_bgp.model.acl import ICMP, ICMPV6, TCP, UDP
from ccn_bgp.model.bgp import Ip, Mac

VXLAN = 4789
TTL = 64
_ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet of a VM, or of a machine in a data centre."""

    source: Ip
    destination: Ip
    protocol: int
    source_port: int
    destination_port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What a VM's host puts around its packets."""

    vni: int
    vm_mac: Mac
    router_mac: Mac
    host: Ip
    gateway: Ip


def host_frame(probe: Probe, tunnel: Tunnel) -> bytes:
    """Ethernet (to the port, whatever its MAC), outer IP, UDP, VXLAN, Ethernet, IP, and the probe
    (RFC 7348); the UDP checksum is zero, also over IPv6 (RFC 6935)."""
    packet = inner_packet(probe)
    ethertype = _ETHERTYPES[probe.source.version]
    inner = tunnel.router_mac + tunnel.vm_mac + ethertype + packet
    vxlan = struct.pack("!II", 0x08 << 24, tunnel.vni << 8) + inner
    entropy = 49152 + zlib.crc32(packet[:40]) % 16384
    datagram = struct.pack("!HHHH", entropy, VXLAN, 8 + len(vxlan), 0) + vxlan
    outer = _ip(tunnel.host, tunnel.gateway, UDP, datagram)
    return bytes(6) + b"\x02\x00" + tunnel.host[-4:] + _ETHERTYPES[tunnel.host.version] + outer


def router_frame(probe: Probe, vlan: int | None) -> bytes:
    """What a data centre's router sends to its hand-off: Ethernet, a tag if there is one, IP."""
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    start = bytes(6) + b"\x02\x00" + probe.source[-4:]
    return start + tag + _ETHERTYPES[probe.source.version] + inner_packet(probe)


def to_any_mac(frame: bytes) -> bytes:
    """The same to the port that it is given to, whatever its MAC."""
    return bytes(6) + frame[6:]


def inner_packet(probe: Probe) -> bytes:
    """The IP packet, its checksums right."""
    body = _body(probe)
    return _ip(probe.source, probe.destination, probe.protocol, body)


def _body(probe: Probe) -> bytes:
    ports = struct.pack("!HH", probe.source_port, probe.destination_port)
    if probe.protocol in (ICMP, ICMPV6):
        kind = 8 if probe.protocol == ICMP else 128
        head, at = struct.pack("!BBHHH", kind, 0, 0, zlib.crc32(probe.payload) & 0xFFFF, 1), 2
    elif probe.protocol == TCP:
        sequence = zlib.crc32(probe.payload)
        head, at = ports + struct.pack("!IIBBHHH", sequence, 0, 5 << 4, 2, 8192, 0, 0), 16
    else:
        head, at = ports + struct.pack("!HH", 8 + len(probe.payload), 0), 6
    body = head + probe.payload
    pseudo = b""
    if probe.protocol != ICMP:
        pseudo = probe.source + probe.destination + struct.pack("!II", len(body), probe.protocol)
    checksum = _checksum(pseudo + body) or 0xFFFF
    return body[:at] + checksum.to_bytes(2, "big") + body[at + 2 :]


def _ip(source: Ip, destination: Ip, protocol: int, body: bytes) -> bytes:
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, TTL)
        return head + source + destination + body
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(body), 0, 0x4000, TTL, protocol)
    checksum = _checksum(head + b"\0\0" + source + destination)
    return head + checksum.to_bytes(2, "big") + source + destination + body


def _checksum(octets: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets[: len(octets) & ~1]))
    total += octets[-1] << 8 if len(octets) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def read_frame(octets: bytes) -> dict[str, Any]:
    """The headers of a frame as JSON values; what is not there, or not known, is left out."""
    found: dict[str, Any] = {"to-mac": str(Mac(octets[:6])), "from-mac": str(Mac(octets[6:12]))}
    at = 14
    if octets[12:14] == b"\x81\x00":
        found["vlan"] = int.from_bytes(octets[14:16], "big") & 0xFFF
        at = 18
    ip = octets[at:]
    if ends := _tunnel_ends(ip):
        source, destination, udp = ends
        found |= {
            "tunnel-from": str(source),
            "tunnel-to": str(destination),
            "udp-port": int.from_bytes(udp[:2], "big"),
            "vni": int.from_bytes(udp[12:15], "big"),
            "inner-to-mac": str(Mac(udp[16:22])),
            "inner-from-mac": str(Mac(udp[22:28])),
        }
        ip = udp[30:]
    if len(ip) >= 20 and ip[0] >> 4 == 4:
        found |= {"source": str(Ip(ip[12:16])), "destination": str(Ip(ip[16:20])), "ttl": ip[8]}
    elif len(ip) >= 40 and ip[0] >> 4 == 6:
        found |= {"source": str(Ip(ip[8:24])), "destination": str(Ip(ip[24:40])), "ttl": ip[7]}
    return found


def _tunnel_ends(ip: bytes) -> tuple[Ip, Ip, bytes] | None:
    """Outer source and destination of VXLAN, and its UDP datagram; None if it is something else."""
    if len(ip) >= 20 and ip[0] == 0x45 and ip[9] == UDP:
        source, destination, udp = Ip(ip[12:16]), Ip(ip[16:20]), ip[20:]
    elif len(ip) >= 40 and ip[0] >> 4 == 6 and ip[6] == UDP:
        source, destination, udp = Ip(ip[8:24]), Ip(ip[24:40]), ip[40:]
    else:
        return None
    return (source, destination, udp) if udp[2:4] == VXLAN.to_bytes(2, "big") else None
