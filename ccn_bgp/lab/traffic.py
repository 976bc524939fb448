"""Ordinary programs in a lab's nodes: ping, iperf3, FRR's vtysh; out come their figures."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab.layout import Layout
from ccn_bgp.lab.members import Pair
from ccn_bgp.lab.state import Lab

_PATIENCE = 10
"""Seconds that a program may take over what it was asked for."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """What ping says of one pair; ``rtt`` is the average in milliseconds."""

    pair: Pair
    sent: int
    received: int
    rtt: float | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """What iperf3 says of one TCP connection."""

    pair: Pair
    octets: int
    seconds: float
    retransmits: int

    @property
    def megabits(self) -> float:
        """Mbit/s as received."""
        return self.octets * 8 / 1e6 / self.seconds if self.seconds else 0.0


def ping(wanted: Sequence[Pair], count: int = 5) -> list[Pinged]:
    """Ping all pairs at once, ``count`` times each."""
    running = [
        subprocess.Popen(
            [
                *("ip", "netns", "exec", pair.source.netns, "ping", "-q", "-n", "-i", "0.2"),
                *("-c", str(count), "-W", "2", "-I", str(pair.source.address)),
                str(pair.target.address),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for pair in wanted
    ]
    return [
        _pinged(pair, count, process.communicate()[0])
        for pair, process in zip(wanted, running, strict=True)
    ]


def iperf3(pair: Pair, seconds: int = 3) -> Transfer:
    """One TCP connection from source to target. CcnError: it did not come about."""
    enter = ("ip", "netns", "exec")
    listener = subprocess.Popen(
        [
            *(*enter, pair.target.netns, "iperf3", "-s", "-1", "--forceflush"),
            *("-B", str(pair.target.address)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert listener.stdout is not None
        while "listening" not in (line := listener.stdout.readline()):
            if not line:
                raise CcnError(Problem(f"iperf3 in {pair.target.node}", "does not listen"))
        done = subprocess.run(
            [
                *(*enter, pair.source.netns, "iperf3", "-J", "--connect-timeout", "3000"),
                *("-t", str(seconds), "-B", str(pair.source.address)),
                *("-c", str(pair.target.address)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise CcnError(Problem(f"iperf3 {pair}", "hangs")) from None
    finally:
        listener.kill()
        listener.communicate()
    try:
        end = json.loads(done.stdout)["end"]
        return Transfer(
            pair,
            int(end["sum_received"]["bytes"]),
            float(end["sum_received"]["seconds"]),
            int(end["sum_sent"].get("retransmits", 0)),
        )
    except (ValueError, KeyError) as error:
        word = (re.findall(r'"error":\s*"([^"]*)', done.stdout) or ["no result"])[0]
        raise CcnError(Problem(f"iperf3 {pair}", word)) from error


def frr_routes(lab: Lab, layout: Layout, router: str, version: int) -> dict[str, list[str]]:
    """Prefix → AS paths in the BGP table of an IDC router."""
    document = vtysh(lab, layout, router, f"show bgp ipv{version} unicast json")
    return {
        prefix: [str(path["path"]) for path in paths]
        for prefix, paths in sorted(document.get("routes", {}).items())
    }


def vtysh(lab: Lab, layout: Layout, router: str, command: str) -> Any:
    """A ``show … json`` command of an IDC router. CcnError: FRR does not answer."""
    done = subprocess.run(
        [
            *("ip", "netns", "exec", layout.netns(router)),
            *("vtysh", "--vty_socket", str(lab.router_state(router)), "-c", command),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise CcnError(Problem(f"router {router}", f"FRR does not answer: {command}")) from None


def _pinged(pair: Pair, count: int, text: str) -> Pinged:
    received = re.search(r"(\d+) received", text)
    rtt = re.search(r"= [\d.]+/([\d.]+)/", text)
    return Pinged(pair, count, int(received[1]) if received else 0, float(rtt[1]) if rtt else None)
