"""Packets through a real forwarder with declared tables, files in and out: `ccn replay`.

In: an Intent, a pcap of frames. Out: a pcap of what the forwarder sent, and its counters. The
interfaces lie on one pcap port and are told apart as on a shared wire: by VLAN, and VXLAN to an
tunnel address goes to the uplinks. Every neighbour resolves to 02:00 + its address. The same
input gives the same output: frames are numbered in microseconds instead of stamped, and what the
forwarder answers by itself comes between the bursts that asked for it, without a limit of rate.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.forwarder.answers import Counter
from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.records import encode_full
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.gateway.declared import declared_tables
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.table.snapshot import Snapshot

HEADER = 24
"""Octets of the header of a pcap file."""
RECORD = struct.Struct("<4I")
"""A record's header as this machine's forwarder writes it."""
LONGEST = 262144
"""Octets of a frame that libpcap takes."""
ETHERNET = 1
_HEADER = struct.Struct("<IHHiIII")
_MICROSECONDS = 0xA1B2C3D4
_PCAPNG = b"\n\r\r\n"
_ORDERS = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",
}
PATIENCE = 600.0
"""Seconds for the whole file."""


def replay(intent: Intent, packets_in: FilePath, packets_out: FilePath) -> dict[str, Any]:
    """Send ``packets_in`` through; counters by scope.

    InputError: the file cannot be read, holds what is no Ethernet frame, or ``packets_out`` cannot
    be written. CcnError: the forwarder did not take all of it.
    """
    count = check_pcap(packets_in)
    _check_writable(packets_out)
    snapshot = declared_tables(intent).snapshot
    placed, wires = on_wires(snapshot)
    with tempfile.TemporaryDirectory(prefix="ccn-replay-") as name:
        folder = FilePath(name)
        nothing = folder / "nothing.pcap"
        with packets_in.open("rb") as file:
            nothing.write_bytes(file.read(HEADER))
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
        written = _merge(outputs, packets_out)
    found: dict[str, dict[str, int]] = {}
    for counter in counters:
        found.setdefault(counter.scope, {})[counter.name] = counter.value
    taken = found[f"port {wires[0]}"]["rx-packets"]
    if taken != count:
        raise CcnError(f"the forwarder took {taken} of the {count} frames of {packets_in}")
    return {
        "gateway": intent.gateway.name,
        "digest": snapshot.digest.hex(),
        "frames": {"in": count, "out": written},
        "counters": found,
    }


def on_wires(snapshot: Snapshot) -> tuple[Snapshot, tuple[str, ...]]:
    """The same tables with the interfaces on pcap ports and no taps; the names of those ports.

    All lie on the first; a further uplink, or a hand-off whose VLAN is taken there, goes to another
    one, which receives nothing and whose frames are merged into the same file.
    """
    taken: set[tuple[int, int, int]] = set()
    placed = []
    most = 0
    for entry in snapshot.interfaces:
        number = 0
        while (number, entry.role, entry.vlan) in taken:
            number += 1
        taken.add((number, entry.role, entry.vlan))
        most = max(most, number)
        placed.append(entry._replace(port=f"wire{number}"))
    return (
        replace(snapshot, interfaces=tuple(placed)),
        tuple(f"wire{number}" for number in range(most + 1)),
    )


def _merge(parts: list[FilePath], target: FilePath) -> int:
    """Records of several pcap files of the forwarder, by time; how many. They are stamped by their
    number. InputError: cannot be written."""
    records: list[tuple[int, int, int, bytes]] = []
    for number, part in enumerate(parts):
        octets = part.read_bytes()
        at = HEADER
        while at + RECORD.size <= len(octets):
            seconds, fraction, kept, _ = RECORD.unpack_from(octets, at)
            end = at + RECORD.size + kept
            records.append((seconds, fraction, number, octets[at + RECORD.size : end]))
            at = end
    if len(parts) > 1:
        records.sort(key=lambda r: r[:3])
    try:
        with target.open("wb") as file:
            file.write(_HEADER.pack(_MICROSECONDS, 2, 4, 0, 0, LONGEST, ETHERNET))
            for place, (*_, frame) in enumerate(records):
                file.write(
                    RECORD.pack(place // 1_000_000, place % 1_000_000, len(frame), len(frame))
                )
                file.write(frame)
    except OSError as error:
        raise InputError(Problem(str(target), f"cannot be written: {error.strerror}")) from None
    return len(records)


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


def check_pcap(path: FilePath) -> int:
    """How many frames a pcap file holds. InputError: it is none, is damaged, or holds something
    else than Ethernet frames."""
    try:
        with path.open("rb") as file:
            return _count(path, file)
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None


def _count(path: FilePath, file: BinaryIO) -> int:
    header = file.read(HEADER)
    if not header:
        raise InputError(Problem(str(path), "is empty", "a pcap file has a header at least"))
    if header[:4] == _PCAPNG:
        hint = "convert it: editcap -F pcap IN OUT"
        raise InputError(Problem(str(path), "is a pcapng file; pcap is wanted", hint))
    order = _ORDERS.get(header[:4])
    if order is None:
        raise InputError(Problem(str(path), "is not a pcap file"))
    if len(header) < HEADER:
        raise InputError(Problem(str(path), "ends within its header"))
    link = struct.unpack_from(f"{order}I", header, 20)[0] & 0x0FFFFFFF
    if link != ETHERNET:
        what = f"holds frames of link type {link}, not Ethernet"
        raise InputError(Problem(str(path), what, "capture on an Ethernet device"))
    read, count = struct.Struct(f"{order}4I"), 0
    size = os.fstat(file.fileno()).st_size
    while head := file.read(read.size):
        count += 1
        if len(head) < read.size:
            raise InputError(Problem(str(path), f"ends within the header of frame {count}"))
        kept = read.unpack(head)[2]
        if kept > LONGEST:
            what = f"frame {count} claims {kept} octets: the file is damaged"
            raise InputError(Problem(str(path), what))
        if file.seek(kept, os.SEEK_CUR) > size:
            raise InputError(Problem(str(path), f"ends within frame {count}"))
    return count


def _check_writable(path: FilePath) -> None:
    """Before the work is done. What stands there is replaced at the end only."""
    where = path if path.exists() else path.parent
    if path.is_dir() or not os.access(where, os.W_OK):
        why = "is a directory" if path.is_dir() else "no such directory, or no permission"
        raise InputError(Problem(str(path), f"cannot be written: {why}"))
