"""Packets through a real forwarder with declared tables, files in and out: `ccn replay`.

In: an Intent, a pcap of frames. Out: a pcap of what the forwarder sent, and its counters. The
interfaces lie on one pcap port and are told apart as on a shared wire: by VLAN, and VXLAN to an
uplink's address goes to the uplink. Every neighbour resolves to 02:00 + its address.
"""

from __future__ import annotations

import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.forwarder.client import Counter, ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.records import encode_full
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.gateway.declared import declared_tables
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.table.snapshot import Snapshot

UPLINK = 1
HEADER = 24
"""Octets of the header of a pcap file."""
RECORD = struct.Struct("<4I")
"""A record's header as this machine's forwarder writes it."""
PATIENCE = 600.0
"""Seconds for the whole file."""


def replay(intent: Intent, packets_in: FilePath, packets_out: FilePath) -> dict[str, Any]:
    """Send ``packets_in`` through; counters by scope. InputError: the file cannot be read."""
    _check_pcap(packets_in)
    snapshot = declared_tables(intent).snapshot
    placed, wires = on_wires(snapshot)
    with tempfile.TemporaryDirectory(prefix="ccn-replay-") as name:
        folder = FilePath(name)
        nothing = folder / "nothing.pcap"
        nothing.write_bytes(packets_in.read_bytes()[:HEADER])
        sources = {wire: packets_in.absolute() if wire == wires[0] else nothing for wire in wires}
        control = folder / "forwarder.sock"
        command = forwarder_command(
            control,
            {wire: f"pcap:{source},{folder / wire}.pcap" for wire, source in sources.items()},
            name=f"replay-{intent.gateway.name}",
            extra=("--static-neighbors", "--once"),
        )
        process = start_forwarder(command, control, folder / "forwarder.log")
        try:
            with ForwarderClient.connect(control) as client:
                records = encode_full(placed, NextHopSlots())
                client.commit(0, 1, records, snapshot.digest, full=True)
                counters = _when_finished(client, process, wires[0])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        outputs = [folder / f"{wire}.pcap" for wire in wires]
        _merge(outputs, nothing.read_bytes(), packets_out)
    found: dict[str, dict[str, int]] = {}
    for counter in counters:
        found.setdefault(counter.scope, {})[counter.name] = counter.value
    return {"gateway": intent.gateway.name, "digest": snapshot.digest.hex(), "counters": found}


def on_wires(snapshot: Snapshot) -> tuple[Snapshot, tuple[str, ...]]:
    """The same tables with the interfaces on pcap ports and no taps; the names of those ports.

    All lie on the first; a hand-off whose VLAN is taken there goes to a further one, which receives
    nothing and whose frames are merged into the same file.
    """
    taken: set[tuple[int, int, int]] = set()
    placed = []
    most = 0
    for entry in snapshot.interfaces:
        number = 0
        while entry.role != UPLINK and (number, entry.role, entry.vlan) in taken:
            number += 1
        taken.add((number, entry.role, entry.vlan))
        most = max(most, number)
        placed.append(entry._replace(port=f"wire{number}"))
    return (
        replace(snapshot, interfaces=tuple(placed)),
        tuple(f"wire{number}" for number in range(most + 1)),
    )


def _merge(parts: list[FilePath], default: bytes, target: FilePath) -> None:
    """Records of several pcap files of one kind, by time; InputError: cannot be written."""
    records: list[tuple[int, int, int, bytes]] = []
    header = b""
    for number, part in enumerate(parts):
        octets = part.read_bytes()
        header = header or octets[:HEADER]
        at = HEADER
        while at + RECORD.size <= len(octets):
            seconds, fraction, kept, _ = RECORD.unpack_from(octets, at)
            end = at + RECORD.size + kept
            records.append((seconds, fraction, number, octets[at:end]))
            at = end
    if len(parts) > 1:
        records.sort(key=lambda r: r[:3])
    try:
        target.write_bytes((header or default) + b"".join(record for *_, record in records))
    except OSError as error:
        raise InputError(Problem(str(target), f"cannot be written: {error.strerror}")) from None


def _when_finished(
    client: ForwarderClient, process: subprocess.Popen[bytes], wire: str
) -> list[Counter]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        counters = client.counters()
        finished = ((c.scope, c.name, c.value) for c in counters)
        if (f"port {wire}", "rx-finished", 1) in finished:
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
