"""The forwarder beside tests/oracle/plain_forwarder.py: for any tables and any frames the same
frames leave by the same ports, octet for octet, and the same counters count.

Hypothesis makes the tables; a fault is shown by as few frames as halving finds. CCN_MODEL_EXAMPLES
sets how many tables are tried, each with a forwarder of its own.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from oracle.gateway_frames import FrameMaker
from oracle.gateway_tables import PORTS, tables
from oracle.plain_forwarder import Answered, Dropped, Forwarded, Outcome, PlainForwarder
from oracle.plain_packets import with_header_checksum
from oracle.plain_tables import (
    HAND_OFF,
    ON_LINK,
    UPLINK,
    VPC,
    Interface,
    NextHop,
    Tables,
    Vm,
    records,
)

from ccn_bgp.forwarder.client import ForwarderClient
from ccn_bgp.forwarder.process import forwarder_command, start_forwarder

pytestmark = pytest.mark.smoke

EXAMPLES = int(os.environ.get("CCN_MODEL_EXAMPLES", "25"))
FRAMES = 800
ERRORS = 40  # frames: of one CCSI at most 50 senders are told at once
QUIET, STILL = 4, 60
"""Looks in a row at counters that stand still, as they should be or not: on a busy machine the
slow path comes late."""
MACS = {port: b"\x02\x70\x63\x61\x70" + bytes([n]) for n, port in enumerate(PORTS)}  # net_pcap's
ORACLE = Path(__file__).parents[2] / "oracle"
PCAP = struct.Struct("<IIII")
FLOW = 90
"""Octets of a frame that say, by any header that it may have, whose flow it is."""
Frames = list[tuple[str, bytes]]
Results = list[tuple[str, bytes, Outcome]]
"""The port that a frame came in by, the frame, and one of the things that become of it."""
Counts = Counter[tuple[str, str]]
Seen = tuple[dict[str, list[bytes]], Counts]


def write_pcap(file: Path, frames: list[bytes]) -> None:
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for frame in frames:
        parts += [PCAP.pack(0, 0, len(frame), len(frame)), frame]
    file.write_bytes(b"".join(parts))


def read_pcap(file: Path) -> list[bytes]:
    octets, at, found = file.read_bytes(), 24, []
    while at < len(octets):
        _, _, length, _ = PCAP.unpack_from(octets, at)
        found.append(octets[at + 16 : at + 16 + length])
        at += 16 + length
    return found


def run_real(
    directory: Path, model: PlainForwarder, frames: Frames, wanted: Counts, workers: int
) -> Seen:
    """A ccn-forwarder with these tables that reads the frames from files, one for each port."""
    specs = {}
    for port in PORTS:
        write_pcap(directory / f"{port}-in", [frame for by, frame in frames if by == port])
        specs[port] = f"pcap:{directory}/{port}-in,{directory}/{port}-out"
    socket = directory / "f.sock"
    options = ["--static-neighbors"] * model.static + ["--no-icmp"] * (not model.icmp)
    options += ["--workers", f"{workers}", "--fan-out"] * (workers > 1)
    command = forwarder_command(socket, specs, extra=["--memory", "96", *options])
    process = start_forwarder(command, socket, directory / "log")
    try:
        with ForwarderClient.connect(socket) as client:
            assert {p.name: p.mac for p in client.port_status()} == MACS
            client.commit(0, 1, records(model.tables), b"model", full=True)
            counters = settled(client, len(frames), wanted, model.static)
    finally:
        process.terminate()
        process.wait(10)
    return {port: read_pcap(directory / f"{port}-out") for port in PORTS}, counters


def settled(client: ForwarderClient, frames: int, wanted: Counts, static: bool) -> Counts:
    """The counters once everything has been read and what was punted has been answered, or what is
    ``wanted`` does not come."""
    deadline = time.monotonic() + 20
    before: Counts = Counter()
    quiet = 0
    while time.monotonic() < deadline:
        now = Counter({(c.scope, c.name): c.value for c in client.counters()})
        read = all(now[f"port {port}", "rx-finished"] for port in PORTS)
        quiet = quiet + 1 if read and outcomes(now) == outcomes(before) else 0
        if quiet == (QUIET if alike(now, wanted, static) else STILL):
            assert sum(now[f"port {port}", "rx-packets"] for port in PORTS) == frames
            return now
        before = now
        time.sleep(0.02)
    raise AssertionError(f"no end is reached: {before}")


def alike(counters: Counts, wanted: Counts, static: bool) -> bool:
    """Whether these are the counters that the model expects; one whose neighbours are not static
    asks for them whenever it likes."""
    if static:
        return outcomes(counters) == wanted
    return drops(outcomes(counters)) == drops(wanted)


def outcomes(counters: Counts) -> Counts:
    """Those counters that a frame moves at its end."""
    return Counter(
        {
            (scope, name): value
            for (scope, name), value in counters.items()
            if scope == "drop" or scope.startswith("ccsi") or name == "tx-packets"
            if value
        }
    )


def expected_counters(results: Results) -> Counts:
    found: Counts = Counter()
    for _, _, result in results:
        if isinstance(result, Dropped):
            found["drop", result.reason] += 1
        elif isinstance(result, Forwarded):
            found[f"port {result.port}", "tx-packets"] += 1
            found[f"ccsi {result.ccsi}", "packets"] += 1
            found[f"ccsi {result.ccsi}", "bytes"] += result.octets
        elif isinstance(result, Answered):
            found[f"port {result.port}", "tx-packets"] += 1
    return found


def check_frames(port: str, seen: list[bytes], results: Results, workers: int) -> None:
    """What left by the port: each expected frame once; those of one input in its order or, of
    several workers, those of one flow."""
    left = [
        (by if workers == 1 else by + frame[:FLOW].hex(), r)
        for by, frame, r in results
        if isinstance(r, Forwarded | Answered) and r.port == port
    ]
    wanted = Counter([r.frame for _, r in left])
    assert Counter(seen) - wanted == Counter(), "frames that the model does not send"
    assert wanted - Counter(seen) == Counter(), "frames that only the model sends"
    for origin in {by for by, _ in left}:
        in_order = iter(seen)
        for by, r in left:
            if by == origin and isinstance(r, Forwarded) and not r.own:
                assert r.frame in in_order, f"order of what came in by {origin}"


def compare(model: PlainForwarder, frames: Frames, workers: int) -> None:
    """AssertionError if model and forwarder differ in what they send or count."""
    results = [(port, frame, r) for port, frame in frames for r in model.forward(port, frame)]
    wanted = expected_counters(results)
    with TemporaryDirectory() as directory:
        seen, counters = run_real(Path(directory), model, frames, wanted, workers)
    if model.static:
        for port in PORTS:
            check_frames(port, seen[port], results, workers)
        assert outcomes(counters) == wanted
    assert alike(counters, wanted, model.static)


def drops(counters: Counts) -> dict[str, int]:
    return {name: value for (scope, name), value in counters.items() if scope == "drop"}


def in_flows(random: Random, frames: Frames) -> Frames:
    """Each of the frames eight times, told apart by the last octet, in between the others; those
    that are long enough for that."""
    long = [(port, frame[:-1]) for port, frame in frames if FLOW < len(frame) < 600]
    order = [long[random.randrange(len(long))] for _ in range(8 * len(long))]
    return [(port, frame + bytes([n & 255])) for n, (port, frame) in enumerate(order)]


def check(model: PlainForwarder, number: int, count: int, workers: int = 1) -> None:
    """Fails with few of the frames if model and forwarder differ."""
    maker, random = FrameMaker(model.tables, MACS), Random(number)
    frames = [maker.make(random) for _ in range(count)]
    if workers > 1:
        frames = in_flows(random, frames)
    try:
        compare(model, frames, workers)
    except AssertionError as difference:
        reason = difference
    else:
        return
    while len(frames) > 1:
        for half in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
            try:
                compare(model, half, workers)
            except AssertionError as difference:
                frames, reason = half, difference
                break
        else:
            break
    said = [f"{port} {frame.hex()}\n  {model.forward(port, frame)}" for port, frame in frames[:4]]
    pytest.fail("\n".join([str(model.tables), *said, str(reason)]))


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # halving the frames says more, and sooner
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


numbers = st.integers(0, 1 << 32)


@examples(EXAMPLES)
@given(held=tables(), number=numbers)
def test_any_tables_and_any_frames(held: Tables, number: int) -> None:
    check(PlainForwarder(held, MACS), number, FRAMES)


@examples(EXAMPLES // 8 + 1)
@given(held=tables(), number=numbers)
def test_frames_to_others_and_unknown_neighbours(held: Tables, number: int) -> None:
    check(PlainForwarder(held, MACS, static=False), number, FRAMES)


@examples(EXAMPLES // 2 + 1)
@given(held=tables(), number=numbers)
def test_what_senders_are_told(held: Tables, number: int) -> None:
    check(PlainForwarder(held, MACS, icmp=True), number, ERRORS)


@examples(EXAMPLES // 4 + 1)
@given(held=tables(), number=numbers, workers=st.integers(2, 3))
def test_several_workers_keep_the_order_of_each_flow(
    held: Tables, number: int, workers: int
) -> None:
    check(PlainForwarder(held, MACS), number, FRAMES // 8, workers)


def test_a_hand_off_without_an_address_has_no_subnet() -> None:
    """Found by test_any_tables_and_any_frames: sources in 0.0.0.0/24 were its router's."""
    hand_off = Interface(20, HAND_OFF, "p1", ccsi=100, length=24)
    host, vm = b"\xc0\0\2\x65", b"\x0a\1\0\x0a"
    held = Tables(
        interfaces=[Interface(1, UPLINK, "p0", address=b"\xc0\0\2\x0b"), hand_off],
        ccsis=[100],
        vnis={10001: (100, VPC)},
        next_hops={3: NextHop(ON_LINK, vni=10001)},
        vms={(10001, vm): Vm(b"\2\0\0\0\0\1", (host,))},
        routes={(100, b"\x0a\1\0\0", 16): 3},
    )
    frame = MACS["p1"] + b"\2\0\0\0\0\x77" + b"\x08\0"
    packet = with_header_checksum(bytes.fromhex("4500001500004000401100000000003400000000") + b"x")
    packet = with_header_checksum(packet[:16] + vm + packet[20:])
    model = PlainForwarder(held, MACS)
    assert model.forward("p1", frame + packet) == [Dropped("source-hand-off")]
    compare(model, [("p1", frame + packet)], 1)


@pytest.mark.long
@examples(EXAMPLES * 40)
@given(held=tables(), number=numbers, icmp=st.booleans(), workers=st.sampled_from((1, 1, 3)))
def test_many_more(held: Tables, number: int, icmp: bool, workers: int) -> None:
    if workers > 1:
        check(PlainForwarder(held, MACS), number, FRAMES // 4, workers)
    else:
        check(PlainForwarder(held, MACS, icmp=icmp), number, ERRORS if icmp else 2 * FRAMES)


def test_every_end_is_met() -> None:
    """What the comparison rests on: frames are made that meet every end that the model knows."""
    seen: Counter[str] = Counter()

    @examples(40)
    @seed(1)
    @given(held=tables(), number=st.integers(0, 1 << 32))
    def meet(held: Tables, number: int) -> None:
        maker, random = FrameMaker(held, MACS), Random(number)
        for static in (True, False):
            model = PlainForwarder(held, MACS, static, icmp=True)
            for _ in range(200):
                for result in model.forward(*maker.make(random)):
                    end = result.reason if isinstance(result, Dropped) else type(result).__name__
                    seen[f"own {end}" if getattr(result, "own", False) else end] += 1

    meet()
    model_text = "".join(file.read_text() for file in ORACLE.glob("plain_*.py"))
    reasons = set(re.findall(r'Drop(?:ped)?\("([a-z-]+)"\)', model_text))
    assert len(reasons) > 25
    reasons |= {"source-no-vm", "source-other-host", "source-gateway", "source-hand-off"}
    assert reasons | {"Forwarded", "own Forwarded", "Answered", "Taken"} <= set(seen)
    assert seen["Forwarded"] > 400
