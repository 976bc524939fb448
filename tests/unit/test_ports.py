"""What the kernel says of ports and taps, as log lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ccn_bgp.gateway import ports
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.linux.links import Link, LinkEvent
from ccn_bgp.model.bgp import Mac

INTENT = read_intent(Path(__file__).parents[2] / "topologies" / "two-regions.yaml", "bj-gw1")


def event(name: str, *, up: bool = True, carrier: bool = True, present: bool = True) -> LinkEvent:
    return LinkEvent(Link(name, 7, Mac(bytes(6)), up, carrier), present)


def lines(caplog: pytest.LogCaptureFixture, *events: LinkEvent) -> list[str]:
    async def stream() -> AsyncIterator[LinkEvent]:
        for one in events:
            yield one

    with caplog.at_level(logging.INFO, "ccn.ports"):
        asyncio.run(ports.PortWatch(lambda: INTENT, stream).run())
    return [record.getMessage() for record in caplog.records]


def test_a_port_that_loses_its_carrier_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    down = event("eth2", carrier=False)
    said = lines(caplog, event("eth2"), down, down, event("eth2"), event("other", up=False))
    assert said == ["port eth2: no carrier", "port eth2 is up"]


def test_a_port_that_goes_is_said(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = lines(caplog, event("eth1", present=False))
    assert line.startswith("port eth1 has gone")


def test_a_removed_tap_is_made_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    async def prepare(topology: object, gateway: object) -> None:
        made.append((topology, gateway))

    monkeypatch.setattr(ports, "prepare_taps", prepare)
    lines(caplog, event("eth2.101t", present=False), event("unknown.t", present=False))
    assert made == [(INTENT.topology, INTENT.gateway)]
