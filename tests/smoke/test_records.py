"""Plans in a real forwarder: after each commit its dump says what the snapshot says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder
from ccn_bgp.forwarder.records import (
    encode,
    encode_against,
    encode_full,
    held_from_dump,
)
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.model.path import PathAttributes, Unicast
from ccn_bgp.model.route import Kind, Member, NextHop, Route, VmEntry
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import (
    NOTHING,
    GatewayAddressEntry,
    InterfaceEntry,
    PeerEntry,
    Snapshot,
    VniEntry,
    VtepEntry,
)
from ccn_bgp.table.tables import Table

pytestmark = pytest.mark.smoke

MAC = Mac.parse("02:00:00:00:00:01")
HOST = Ip.parse("192.0.2.101")


def interface(number: int, role: int, port: str, tap: str, address: str) -> InterfaceEntry:
    none = Ip(bytes(4))
    return InterfaceEntry(
        number, role, port, 0, role - 1, tap, MAC, Ip.parse(address), 24, none, 1500
    )


def some_snapshot(random_: random.Random) -> Snapshot:
    """A few tables with routes of both families, and all kinds of next hops."""
    ids = sorted([*random_.sample(range(1, 5), random_.randint(1, 4)), 1])
    tables = {}
    for number in dict.fromkeys(ids):
        vni = 20000 + number
        hops = [
            NextHop(Kind.DROP),
            NextHop(Kind.ON_LINK, vni),
            NextHop(Kind.VIP, vni, Ip.parse("10.0.0.9")),
            *(NextHop(Kind.VTEP, vni, Ip.parse(f"198.51.100.{n}"), MAC) for n in range(1, 9)),
        ]
        for _ in range(6):
            some = random_.sample(hops[2:11], random_.randint(2, 9))
            hops.append(NextHop.group(Member(random_.randint(1, 4), hop) for hop in some))
        if number == 1:
            hops.append(NextHop(Kind.HAND_OFF, ip=Ip.parse("10.255.0.2"), interface="eth2.0t"))
            hops.append(NextHop.group([Member(1, hops[-1]), Member(2, hops[4])]))
        name = f"gw/c{number}"
        prefixes = {
            Prefix.of(random_.randbytes(size), random_.randint(0, 8 * size))
            for size in random_.choices((4, 16), k=random_.randint(0, 300))
        }
        routes = [
            Route(
                name, p, name, random_.choice(hops), "", BgpPath("", Unicast(p), PathAttributes())
            )
            for p in sorted(prefixes)
        ]
        tables[name] = Table.build(name, number, f"c{number}", routes)
    vms = {(20000 + n, Ip(random_.randbytes(size))) for n in ids for size in (4, 16)}
    return Snapshot(
        gateway="gw",
        tables=tables,
        interfaces=(
            interface(1, 1, "eth1", "eth1.t", "192.0.2.11"),
            interface(2, 2, "eth2", "eth2.0t", "10.255.0.1"),
        ),
        vnis=tuple(VniEntry(20000 + t.id, t.id, 2) for t in tables.values()),
        vteps=tuple(VtepEntry(20000 + t.id, HOST) for t in tables.values()),
        gateway_addresses=tuple(GatewayAddressEntry(vni, ip) for vni, ip in sorted(vms)[::2]),
        peers=tuple(PeerEntry(n, HOST) for n in range(random_.randint(0, 3))),
        vms=tuple(VmEntry(vni, ip, MAC, HOST) for vni, ip in sorted(vms)),
    )


def test_the_dump_says_what_the_snapshot_says(tmp_path: Path) -> None:
    socket = tmp_path / "forwarder.sock"
    command = forwarder_command(socket, {"eth1": "null", "eth2": "null"}, name="records")
    process = start_forwarder(command, socket, tmp_path / "log")
    try:
        with ForwarderClient.connect(socket, timeout=10.0) as client:
            random_ = random.Random(1)
            slots, held, generation = NextHopSlots(), NOTHING, 0
            for step in range(40):
                wanted = some_snapshot(random_)
                if step % 10 == 9:
                    slots = NextHopSlots()
                    records, full = encode_full(wanted, slots), True
                elif step % 10 == 4:
                    records, slots = encode_against(held_from_dump(client.dump()), wanted)
                    full = False
                else:
                    records, full = list(encode(diff(held, wanted), slots)), False
                generation = client.commit(
                    generation, generation + 1, records, wanted.digest, full=full
                )
                rest, again = encode_against(held_from_dump(client.dump()), wanted)
                assert rest == []
                assert dict(again.items()) == dict(slots.items())
                held = wanted
            client.commit(
                generation,
                generation + 1,
                list(encode(diff(held, NOTHING), slots)),
                b"",
                full=False,
            )
            assert all(not len(array) for array in client.dump().values())
    finally:
        process.terminate()
        process.wait(10)
