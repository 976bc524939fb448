"""``ccn show counters``: what the forwarder counts, and of each reason for a drop what it means,
what to do, and whom it hit first and last. In: a running gateway. Out: JSON values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ccn_bgp.forwarder.answers import Counter, Offender
from ccn_bgp.forwarder.drops import DROPS
from ccn_bgp.gateway.running import Running
from ccn_bgp.model.ccsi import ccsis

UPLINK_FAULTS = {"link-down": "has no link", "router-silent": "its router does not answer"}


def uplink_faults(counters: Sequence[Counter]) -> Iterator[tuple[str, str]]:
    """Uplinks with something wrong now: port, and which of UPLINK_FAULTS."""
    for counter in counters:
        kind, _, name = counter.scope.partition(" ")
        if kind == "uplink" and counter.value and counter.name in UPLINK_FAULTS:
            yield name, counter.name


def counters_json(gateway: Running, only: str | None = None) -> Any:
    """``counters`` by scope; ``ccns`` by name, with ``drops`` of their packets; ``drops`` that have
    happened, the most first. ``only``: nothing but what is of this CCN."""
    found: dict[str, dict[str, int]] = {}
    for counter in gateway.counters():
        found.setdefault(counter.scope, {})[counter.name] = counter.value
    intent = gateway.intent
    tables = {c.ccn: c for c in ccsis(intent.topology, intent.gateway)}
    taps = {entry.id: entry.tap for entry in gateway.held.interfaces}
    number = tables[only].id if only in tables else 0
    hit = {(o.reason, o.last): o for o in gateway.offenders(number)}
    drops = found.get("drop", {})
    if only is not None:
        drops = found.get(f"drop-ccsi {number}", {})
        scopes = {f"ccsi {number}", f"acl {number}", f"drop-ccsi {number}"}
        found = {scope: values for scope, values in found.items() if scope in scopes}
    else:
        found["configuration"] = gateway.configuration.counters()
    return {
        "gateway": gateway.name,
        "counters": found,
        "ccns": {
            name: _of_ccn(found, table.id)
            for name, table in sorted(tables.items())
            if only in (None, name) and _of_ccn(found, table.id)
        },
        "drops": [
            {
                "reason": reason,
                "packets": -n,
                "means": DROPS[reason].means,
                "do": DROPS[reason].do,
                "first": _offender(hit.get((reason, False)), taps),
                "last": _offender(hit.get((reason, True)), taps),
            }
            for n, reason in sorted((-n, reason) for reason, n in drops.items() if n)
        ],
    }


def _of_ccn(found: Mapping[str, dict[str, int]], number: int) -> dict[str, Any]:
    """Packets, octets, and the packets that were dropped, by reason."""
    said: dict[str, Any] = dict(found.get(f"ccsi {number}", {}))
    if drops := found.get(f"drop-ccsi {number}"):
        said["drops"] = drops
    return said


def _offender(offender: Offender | None, taps: dict[int, str]) -> Any:
    if offender is None:
        return None
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
