"""VM inventories: a file of many rows, read, checked and put to use.

In: a file made before the clock starts, rows in 100 VPCs. Out: seconds from the file to a verified
intent, seconds from there to proved tables, and seconds for a file in which one VM has moved.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ccn_bgp.bench.figure import Figure
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.gateway import collecting
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent, renewed
from ccn_bgp.gateway.learning import new_rib

VPCS = 100
MOVED = 9
"""Last octet of the host to which one VM moves."""


def inventory(case: str, count: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` VMs. CcnError: not all of them came through."""
    collecting.begin()  # as in a gateway
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        file, rows = Path(name) / "topology.yaml", Path(name) / "vms.csv"
        file.write_text(topology())
        rows.write_text(csv(count, 10))
        begun = time.perf_counter()
        intent = read_intent(file, "gw")
        read = time.perf_counter()
        rib = new_rib(intent)
        proved = Guard(intent, rib).prove()
        done = time.perf_counter()
        if len(proved.snapshot.vms) != count:
            raise CcnError(Problem("bench", f"{len(proved.snapshot.vms)} VMs of {count}"))
        yield Figure(case, "read and checked", "s", read - begun)
        yield Figure(case, "then to proved tables", "s", done - read)
        rows.write_text(csv(count, MOVED))
        begun = time.perf_counter()
        after = renewed(intent)
        rib.renew(after.topology, after.claims)
        moved = Guard(after, rib).prove().snapshot.vms
        done = time.perf_counter()
        if sum(old != new for old, new in zip(proved.snapshot.vms, moved, strict=True)) != 1:
            raise CcnError(Problem("bench", "one VM has moved, and it does not show"))
        yield Figure(case, "one VM moved, file to proved", "s", done - begun)
    say(f"{count} rows in {VPCS} VPCs")


def topology() -> str:
    """One gateway, VPCs of a /16 each, every one in a CCN of its own."""
    lines = [
        "name: inventory",
        "fabric: {asn: 64600}",
        "gateways: {gw: {region: r, asn: 64601, vtep: 192.0.2.1}}",
        "inventory: [vms.csv]",
        "vpcs:",
    ]
    lines += [f"  v{v}: {{region: r, vni: {v + 1}, cidrs: [10.{v}.0.0/16]}}" for v in range(VPCS)]
    lines += ["ccns:"]
    lines += [f"  c{v}: {{id: {v + 1}, vni: {v + 1001}, attach: [vpc/v{v}]}}" for v in range(VPCS)]
    return "\n".join(lines) + "\n"


def csv(count: int, first_host: int) -> str:
    """The file; the first VM of it is on ``first_host``, the others on 100 hosts."""
    lines = ["vpc,ip,mac,host"]
    for row in range(count):
        vpc, number = row % VPCS, row // VPCS + 2
        high, low = number >> 8, number & 255
        host = 10 + row % 100 if row else first_host
        lines.append(
            f"v{vpc},10.{vpc}.{high}.{low},02:00:00:{vpc:02x}:{high:02x}:{low:02x},192.0.2.{host}"
        )
    return "\n".join(lines) + "\n"
