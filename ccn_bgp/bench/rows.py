"""Rows for a forwarder under a bench, as record arrays; no topology is needed to make them.

In: how many of each. Out: (type, flags, records) in the order of a transaction. Addresses are
uint8[n, 16] with IPv4 in the first four octets, as ccn_wire.h has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import CcsiFlag, MessageType, NextHopKind, Role, VniKind
from ccn_bgp.model.bgp import Ip, Mac

Record = tuple[MessageType, int, npt.NDArray[Any]]

GATEWAY = Ip.parse("192.0.2.11")
HOST = Ip.parse("192.0.2.101")
OTHER_HOST = Ip.parse("192.0.2.102")
REMOTE = Ip.parse("198.51.100.21")
ROUTER = Ip.parse("192.0.2.1")
ROUTER_MAC = Mac.parse("02:cc:c0:00:02:0b")
REMOTE_MAC = Mac.parse("02:cc:c6:33:64:15")
SENDER, SENDER6 = Ip.parse("10.255.0.10"), Ip.parse("fd00::10")
PORT = "p0"
FIRST_CCSI, FIRST_VPC_VNI, FIRST_L3_VNI = 100, 10001, 20001
TENANT_SPACE = Ip.parse("10.0.0.0").number


def addresses(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """IPv4 addresses given as integers: uint8[n, 16]."""
    found = np.zeros((len(numbers), 16), np.uint8)
    found[:, :4] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)
    return found


def uplink() -> Record:
    """The one uplink, on PORT."""
    row = np.zeros(1, wire.INTERFACE)
    row["id"], row["role"], row["length"], row["mtu"] = 1, Role.UPLINK, 24, 1600
    row["port"] = wire.octets(PORT.encode(), 16)
    row["mac"] = wire.octets(ROUTER_MAC, 6)
    row["address"] = wire.octets(GATEWAY, 4)
    row["via"] = wire.octets(ROUTER, 4)
    return MessageType.INTERFACE, 0, row


def tenants(count: int, checked: bool = True) -> list[Record]:
    """Tables, a VPC's and a gateways' VNI for each, one host and one gateway that may send.
    ``checked``: inner sources are."""
    ccsi = np.zeros(count, wire.CCSI)
    ccsi["id"] = FIRST_CCSI + np.arange(count)
    ccsi["flags"] = 0 if checked else CcsiFlag.SOURCE_OPEN
    vni = np.zeros(2 * count, wire.VNI)
    vni["vni"] = np.concatenate(
        [first + np.arange(count) for first in (FIRST_VPC_VNI, FIRST_L3_VNI)]
    )
    vni["ccsi"] = np.tile(ccsi["id"], 2)
    vni["kind"] = np.repeat((VniKind.VPC, VniKind.L3), count)
    vtep = np.zeros(2 * count, wire.VTEP)
    vtep["vni"] = vni["vni"]
    vtep["address"] = np.repeat([list(HOST), list(REMOTE)], count, axis=0)
    return [
        (MessageType.CCSI, 0, ccsi),
        (MessageType.VNI, 0, vni),
        (MessageType.VTEP, 0, vtep),
    ]


def next_hops(count: int) -> Record:
    """For each tenant two slots: 2t into its VPC (on-link), 2t+1 to the remote gateway."""
    tenant = np.repeat(np.arange(count), 2)
    remote = np.tile([False, True], count)
    row = np.zeros(2 * count, wire.NEXT_HOP)
    row["slot"] = np.arange(2 * count)
    row["kind"] = np.where(remote, NextHopKind.REMOTE, NextHopKind.ON_LINK)
    row["family"] = np.where(remote, 4, 0)
    row["vni"] = np.where(remote, FIRST_L3_VNI + tenant, FIRST_VPC_VNI + tenant)
    row["ip"][remote, :4] = list(REMOTE)
    row["mac"][remote] = list(REMOTE_MAC)
    return MessageType.NEXT_HOP, 0, row


def routes(count: int, each: int) -> Record:
    """``each`` /24 from 10.0.0.0 on in every tenant, by turns on-link and remote."""
    tenant, number = np.divmod(np.arange(count * each), each)
    row = np.zeros(count * each, wire.ROUTE)
    row["ccsi"] = FIRST_CCSI + tenant
    row["next_hop"] = 2 * tenant + number % 2
    row["prefix"] = addresses(TENANT_SPACE + number * 256)
    row["family"], row["length"] = 4, 24
    return MessageType.ROUTE, 0, row


def vms(count: int, each: int) -> Record:
    """The destination of ``destination`` for every on-link route, on OTHER_HOST."""
    tenant, half = np.divmod(np.arange(count * (each // 2)), each // 2)
    row = np.zeros(len(tenant), wire.VM)
    row["vni"], row["family"] = FIRST_VPC_VNI + tenant, 4
    row["ip"] = addresses(destination(2 * half))
    row["mac"][:, :2] = 2, 0
    row["mac"][:, 2:] = row["ip"][:, :4]
    row["vtep"] = list(OTHER_HOST)
    return MessageType.VM, 0, row


def senders(count: int, each: int = 1, family: int = 4) -> Record:
    """In every tenant ``each`` VMs on HOST, from SENDER on: whose packets the frames are."""
    tenant, number = np.divmod(np.arange(count * each), each)
    row = np.zeros(len(tenant), wire.VM)
    row["vni"], row["family"] = FIRST_VPC_VNI + tenant, family
    row["ip"] = sender_addresses(number, family)
    row["mac"][:, :2] = 2, 0
    row["mac"][:, 2:] = row["ip"][:, :4] if family == 4 else row["ip"][:, 12:]
    row["vtep"] = list(HOST)
    return MessageType.VM, 0, row


def sender_addresses(number: npt.NDArray[Any], family: int) -> npt.NDArray[np.uint8]:
    """Of a tenant's senders: uint8[n, 16]."""
    if family == 4:
        return addresses(SENDER.number + number)
    found = np.tile(np.frombuffer(SENDER6, np.uint8), (len(number), 1))
    found[:, 14:] = (SENDER6[15] + number).astype(">u2").view(np.uint8).reshape(-1, 2)
    return found


def destination(number: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The address inside route ``number`` to which packets go: its tenth."""
    return TENANT_SPACE + number * 256 + 10


def tables(count: int, each: int) -> list[Record]:
    """Everything for ``count`` tenants with ``each`` (even) routes."""
    return [
        uplink(),
        *tenants(count),
        next_hops(count),
        senders(count),
        vms(count, each),
        routes(count, each),
    ]
