"""Two network namespaces of our own: the gateway in ``near``, what it is connected to in ``far``.

In: whether there is an uplink, and the hand-offs of IDC routers. Out: veths between the two, gone
with the namespaces at the end. Needs root. The uplink is a port for a real forwarder; a hand-off's
near end stands in for the tap that ``ccn run`` would make, so that BGP runs over it without one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ccn_bgp.bench.sites import VIA, Router
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab import netns

UPLINK = "p0"
UPLINK_FAR = "p0far"


@dataclass(frozen=True, slots=True)
class Wires:
    """The names of the two namespaces."""

    near: str
    far: str


@contextlib.contextmanager
def wires(routers: Sequence[Router] = (), *, uplink: bool = False) -> Iterator[Wires]:
    """Make them, and stay in ``near`` until the end: processes and sockets made meanwhile are
    there. CcnError: no root, or ``ip`` failed."""
    if os.geteuid() != 0:
        raise CcnError(Problem("bench", "needs network namespaces of its own", "run as root"))
    both = Wires(f"ccn-bench-{os.getpid()}-near", f"ccn-bench-{os.getpid()}-far")
    try:
        netns.batch([f"netns add {name}" for name in (both.near, both.far)])
        lines = [f"-n {name} link set lo up" for name in (both.near, both.far)]
        pairs = [(r.device, f"far{r.number}", f"{r.ours}/30", f"{r.theirs}/30") for r in routers]
        if uplink:
            pairs += [(UPLINK, UPLINK_FAR, "", f"{VIA}/24")]
        for device, peer, ours, theirs in pairs:
            lines += [
                f"-n {both.near} link add {device} type veth peer name {peer} netns {both.far}",
                f"-n {both.near} link set {device} up",
                f"-n {both.far} link set {peer} up",
                f"-n {both.far} addr add {theirs} dev {peer}",
            ]
            if ours:
                lines += [f"-n {both.near} addr add {ours} dev {device}"]
        for line in lines:
            _ip(line)
        if uplink:
            # a checksum left to the device would never be computed
            for name, device in ((both.near, UPLINK), (both.far, UPLINK_FAR)):
                netns.run(name, f"ethtool -K {device} tx off >/dev/null")
            netns.run(both.near, f"sysctl -qw net.ipv6.conf.{UPLINK}.disable_ipv6=1")
        with netns.entered(both.near):
            yield both
    finally:
        netns.end_processes(both.near, 2.0)
        netns.delete([n for n in (both.near, both.far) if n in netns.present("ccn-bench-")])


def _ip(line: str) -> None:
    """``-n`` is no word of a batch: one process for each."""
    done = subprocess.run(["ip", *line.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CcnError(Problem("ip", f"{line}: {done.stderr.strip()}"))
