"""Packets through a real forwarder with declared tables, files in and out: `ccn replay`.

In: an Intent, a pcap of frames. Out: a pcap of what the forwarder sent, and its counters. All
interfaces lie on one pcap port and are told apart as on a shared wire: by VLAN, and VXLAN to an
uplink's address goes to the uplink. Every neighbour resolves to 02:00 + its address.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path as FilePath
from typing import Any

from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.forwarder.client import Counter, ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.records import NextHopSlots, encode_full
from ccn_bgp.gateway.declared import declared_tables
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.table.snapshot import InterfaceEntry, Snapshot

PORT = "wire"
PATIENCE = 600.0
"""Seconds for the whole file."""


def replay(intent: Intent, packets_in: FilePath, packets_out: FilePath) -> dict[str, Any]:
    """Send ``packets_in`` through; counters by scope. InputError: the file cannot be read."""
    _check_pcap(packets_in)
    snapshot = declared_tables(intent).snapshot
    with tempfile.TemporaryDirectory(prefix="ccn-replay-") as folder:
        control = FilePath(folder) / "forwarder.sock"
        command = forwarder_command(
            control,
            {PORT: f"pcap:{packets_in.absolute()},{packets_out.absolute()}"},
            name=f"replay-{intent.gateway.name}",
            extra=("--static-neighbors", "--once"),
        )
        process = start_forwarder(command, control, FilePath(folder) / "forwarder.log")
        try:
            with ForwarderClient.connect(control) as client:
                records = encode_full(on_one_port(snapshot), NextHopSlots())
                client.commit(0, 1, records, snapshot.digest, full=True)
                counters = _when_finished(client, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    found: dict[str, dict[str, int]] = {}
    for counter in counters:
        found.setdefault(counter.scope, {})[counter.name] = counter.value
    return {"gateway": intent.gateway.name, "digest": snapshot.digest.hex(), "counters": found}


def on_one_port(snapshot: Snapshot) -> Snapshot:
    """The same tables with every interface on the one pcap port, and no taps.

    InputError: two hand-offs have the same VLAN on different ports; one file cannot hold both.
    """
    seen: dict[tuple[int, int], InterfaceEntry] = {}
    for entry in snapshot.interfaces:
        other = seen.setdefault((entry.role, entry.vlan), entry)
        if other is not entry and entry.role != 1:
            raise InputError(
                Problem(
                    f"{other.port} and {entry.port}",
                    f"both carry a hand-off with VLAN {entry.vlan or 'untagged'}",
                    "replay needs distinct VLANs",
                )
            )
    return Snapshot(
        gateway=snapshot.gateway,
        tables=snapshot.tables,
        interfaces=tuple(e._replace(port=PORT) for e in snapshot.interfaces),
        vnis=snapshot.vnis,
        vteps=snapshot.vteps,
        vms=snapshot.vms,
    )


def _when_finished(client: ForwarderClient, process: subprocess.Popen[bytes]) -> list[Counter]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        counters = client.counters()
        if any(c.name == "rx-finished" and c.value for c in counters):
            return counters
        time.sleep(0.02)
    raise CcnError("the forwarder did not finish the file")


def _check_pcap(path: FilePath) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    known = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    if magic not in known:
        raise InputError(Problem(str(path), "is not a pcap file", "save as pcap, not pcapng"))
