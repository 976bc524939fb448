"""``ccn show counters``: what the forwarder counts, and of each reason for a drop what it means,
what to do, and whom it hit first and last. In: a running gateway. Out: JSON values.
"""

from __future__ import annotations

from typing import Any

from ccn_bgp.forwarder.client import Offender
from ccn_bgp.forwarder.drops import DROPS
from ccn_bgp.gateway.running import Running
from ccn_bgp.model.ccsi import ccsis


def counters_json(gateway: Running) -> Any:
    """``counters`` by scope; ``ccns`` by name; ``drops`` that have happened, the most first."""
    found: dict[str, dict[str, int]] = {}
    for counter in gateway.counters():
        found.setdefault(counter.scope, {})[counter.name] = counter.value
    intent = gateway.intent
    names = {c.id: c.ccn for c in ccsis(intent.topology, intent.gateway)}
    taps = {entry.id: entry.tap for entry in gateway.held.interfaces}
    hit = {(o.reason, o.last): _offender(o, taps) for o in gateway.offenders()}
    dropped = sorted((-n, reason) for reason, n in found.get("drop", {}).items() if n)
    return {
        "gateway": gateway.name,
        "counters": found,
        "ccns": {
            name: found[f"ccsi {number}"]
            for number, name in sorted(names.items(), key=lambda item: item[1])
            if f"ccsi {number}" in found
        },
        "drops": [
            {
                "reason": reason,
                "packets": -n,
                "means": DROPS[reason].means,
                "do": DROPS[reason].do,
                "first": hit.get((reason, False)),
                "last": hit.get((reason, True)),
            }
            for n, reason in dropped
        ],
    }


def _offender(offender: Offender, taps: dict[int, str]) -> Any:
    said: dict[str, Any] = {"when": offender.seconds, "port": offender.port}
    if offender.vni:
        said["vni"] = offender.vni
    if offender.vtep is not None:
        said["from"] = str(offender.vtep)
    if offender.interface:
        said["hand-off"] = taps.get(offender.interface, str(offender.interface))
    if offender.source is not None and offender.destination is not None:
        said["source"] = str(offender.source)
        said["destination"] = str(offender.destination)
    return said
