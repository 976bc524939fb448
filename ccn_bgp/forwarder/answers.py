"""What a forwarder says of itself: records of an answer to STATS in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.bgp import Ip

Array = np.ndarray[Any, np.dtype[Any]]
Answer = Mapping[MessageType, Array]
"""Records by type."""


class Counter(NamedTuple):
    """One counter, e.g. ``("port eth1", "rx-packets", 7)``."""

    scope: str
    name: str
    value: int


class Offender(NamedTuple):
    """A packet that was dropped: the ``last`` of its reason, or the first. ``seconds`` since 1970;
    ``vni`` and ``vtep`` (the outer source) of VXLAN, ``interface`` of a hand-off, else 0 and None;
    None: the frame was not read so far."""

    reason: str
    last: bool
    seconds: float
    port: str
    vni: int
    vtep: Ip | None
    interface: int
    source: Ip | None
    destination: Ip | None


class PortStatus(NamedTuple):
    """One port of the forwarder."""

    name: str
    driver: str
    mac: bytes
    up: bool


def counters(answer: Answer) -> list[Counter]:
    """All of them, in the order of the answer."""
    return [
        Counter(wire.text_of(c["scope"]), wire.text_of(c["name"]), int(c["value"]))
        for c in answer.get(MessageType.COUNTER, ())
    ]


def offenders(answer: Answer) -> list[Offender]:
    """Of each reason for a drop the first packet and the last."""
    return [_offender(record) for record in answer.get(MessageType.OFFENDER, ())]


def _offender(record: Any) -> Offender:
    family = int(record["family"])
    return Offender(
        reason=wire.text_of(record["reason"]),
        last=bool(record["last"]),
        seconds=int(record["at"]) / 1e9,
        port=wire.text_of(record["port"]),
        vni=int(record["vni"]),
        vtep=_address(int(record["vtep_family"]), record["vtep"]),
        interface=int(record["interface"]),
        source=_address(family, record["source"]),
        destination=_address(family, record["destination"]),
    )


def _address(family: int, octets: Any) -> Ip | None:
    size = {4: 4, 6: 16}.get(family)
    return Ip(octets.tobytes()[:size]) if size else None


def ports(answer: Answer) -> list[PortStatus]:
    """In the order of the command line."""
    return [
        PortStatus(
            wire.text_of(p["name"]), wire.text_of(p["driver"]), p["mac"].tobytes(), bool(p["up"])
        )
        for p in answer.get(MessageType.PORT_STATUS, ())
    ]
