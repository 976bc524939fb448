"""Plans and records against a forwarder that is a dictionary: what is sent makes what is wanted.

However a snapshot is reached, step by step, from a dump or all at once, the rows say the same; no
transaction uses a slot again that it frees; references are whole after each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.forwarder import records as module
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.records import (
    KEYS,
    Held,
    Records,
    encode,
    encode_against,
    encode_full,
    held_from_dump,
    rows,
)
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.forwarder.wire import Flag, MessageType
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes
from ccn_bgp.model.route import Kind, Member, NextHop, Route, VmEntry
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import (
    NOTHING,
    GatewayAddressEntry,
    InterfaceEntry,
    PeerEntry,
    Snapshot,
    SourceEntry,
    VniEntry,
    VtepEntry,
)
from ccn_bgp.table.tables import Table
from ccn_bgp.table.together import together

PREFIXES = [Prefix.parse(f"10.{n}.0.0/{16 + n}") for n in range(0, 16, 4)] + [
    Prefix.parse(p)
    for p in ("0.0.0.0/0", "0.0.0.0/8", "::/0", "fd00::/64", "fd00:0:0:1::/64", "fd00::/65")
]
TAPS = ["eth2.101t", "eth3.0t"]
HOPS = [
    NextHop(Kind.DROP),
    NextHop(Kind.ON_LINK, 10001),
    NextHop(Kind.VIP, 10001, Ip.parse("10.0.0.9")),
    NextHop(Kind.VIP, 10001, Ip.parse("fd00::9")),
    NextHop(Kind.VTEP, 20100, Ip.parse("192.0.2.9"), Mac.parse("02:cc:c0:00:02:09")),
    *(NextHop(Kind.HAND_OFF, ip=Ip.parse("169.254.1.2"), interface=t) for t in TAPS),
]
HOPS += [
    NextHop.group([Member(1, HOPS[2]), Member(weight, HOPS[4]), *more])
    for weight in (1, 3)
    for more in ([], [Member(2, HOPS[5])], [Member(1, HOPS[5]), Member(1, HOPS[6])])
]
ADDRESSES = [
    GatewayAddressEntry(vni, Ip.parse(ip)) for vni in (10001, 10002) for ip in ("10.0.0.1", "::1")
]
PEERS = [PeerEntry(n, Ip.parse(ip)) for n in (0, 2) for ip in ("169.254.1.2", "fd00::2")]
PATHS = [
    Path(p, EvpnPrefix(b"", b"", 0, PREFIXES[0], None, 0), PathAttributes()) for p in ("a", "b")
]
HOSTS = tuple(Ip.parse(f"192.0.2.10{n}") for n in (1, 2, 3))
TRUTH = st.booleans()
SLOTTED = (MessageType.NEXT_HOP, MessageType.NEXT_HOP_GROUP)
State = dict[MessageType, dict[bytes, Any]]


def subsets(entries: list[Any]) -> st.SearchStrategy[Any]:
    return st.sets(st.sampled_from(entries)).map(lambda s: tuple(sorted(s)))


@st.composite
def tables(draw: st.DrawFn, number: int) -> Table:
    chosen = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(HOPS), max_size=8))
    name = f"gw/{draw(st.sampled_from('xy'))}{number}"
    routes = [
        Route(name, p, draw(st.sampled_from(["gw/x", "hk/x"])), h, "", draw(st.sampled_from(PATHS)))
        for p, h in chosen.items()
    ]
    return Table.build(name, number, name[3:], routes)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    held = [draw(tables(n)) for n in sorted(draw(st.frozensets(st.integers(1, 5))))]
    if draw(TRUTH):  # some of them stand in one block
        cut = draw(st.integers(0, len(held)))
        held = [*held[:cut], *together(held[cut:]).tables()]
    order = draw(st.permutations(TAPS))
    interfaces = tuple(
        InterfaceEntry(
            n + 1,
            2,
            tap[:4],
            0,
            1,
            tap,
            Mac(bytes(6)),
            Ip.parse("169.254.1.1"),
            30,
            Ip(bytes(4)),
            1500,
        )
        for n, tap in enumerate(order)
    )
    vms = draw(
        st.dictionaries(
            st.tuples(
                st.sampled_from([10001, 10002]), st.sampled_from(["10.0.0.9", "fd00::9", "::"])
            ),
            st.sampled_from([HOSTS[:1], HOSTS[1:2], HOSTS[:2], HOSTS[1:], HOSTS]),
        )
    )
    return Snapshot(
        gateway="gw",
        tables={t.name: t for t in held},
        interfaces=interfaces,
        vnis=tuple(VniEntry(10000 + t.id, t.id, 1) for t in held),
        vteps=tuple(
            VtepEntry(20000 + t.id, Ip.parse("192.0.2.101"), *draw(st.tuples(TRUTH, TRUTH)))
            for t in held
        ),
        sources=tuple(
            sorted(
                SourceEntry(t.id, prefix, draw(st.integers(0, 2)), draw(TRUTH))
                for t in held
                for prefix in draw(subsets(PREFIXES))
            )
        ),
        unchecked=draw(subsets([t.id for t in held])) if held else (),
        gateway_addresses=draw(subsets(ADDRESSES)),
        peers=draw(subsets(PEERS)),
        vms=tuple(
            sorted(
                VmEntry(vni, Ip.parse(ip), Mac.parse("02:00:00:00:00:01"), hosts[0], hosts[1:])
                for (vni, ip), hosts in vms.items()
            )
        ),
    )


def empty() -> State:
    return {kind: {} for kind in KEYS}


def key_of(kind: MessageType, record: Any) -> bytes:
    return b"".join(record[name].tobytes() for name in KEYS[kind])


def apply(state: State, records: Records) -> None:
    """What the forwarder does with a transaction, one record after the other."""
    freed, said = set(), set()
    for kind, flags, array in records:
        assert array.dtype == wire.RECORDS[kind]
        assert len(array)
        keys = [key_of(kind, record) for record in array]
        assert len(set(keys)) == len(keys)
        for key, record in zip(keys, array, strict=True):
            if flags & Flag.DELETE:
                gone = state[kind].pop(key)
                if kind is MessageType.CCSI:
                    for held in (state[MessageType.ROUTE], state[MessageType.SOURCE]):
                        for other in [k for k, r in held.items() if r["ccsi"] == gone["id"]]:
                            del held[other]
                if kind in SLOTTED:
                    freed.add(key)
            else:
                if kind is MessageType.ROUTE and key in state[kind]:
                    assert state[kind][key].tobytes() != record.tobytes(), "nothing changes"
                if kind is MessageType.VTEP_SET and key in state[kind]:
                    assert state[kind][key].tobytes() == record.tobytes()
                state[kind][key] = record.copy()
                if kind in SLOTTED:
                    said.add(key)
                for member in members_of(record) if kind is MessageType.NEXT_HOP_GROUP else ():
                    assert member["slot"].tobytes() in state[MessageType.NEXT_HOP]
    assert not freed & said
    named = {r["vtep"].tobytes() for r in state[MessageType.VM].values() if r["shared"]}
    assert named == set(state[MessageType.VTEP_SET]), (
        "a set that no VM names, or none that one does"
    )
    ids = {int(r["id"]) for r in state[MessageType.CCSI].values()}
    for kind, _, array in records:
        if kind in (MessageType.ROUTE, MessageType.SOURCE):
            assert set(array["ccsi"].tolist()) <= ids, "a row of a table that has gone"
    order = [(bool(flags & Flag.DELETE), list(KEYS).index(kind)) for kind, flags, _ in records]
    puts = [place for gone, place in order if not gone]
    gone = [place for gone, place in order if gone]
    assert order == [(False, p) for p in sorted(puts)] + [(True, p) for p in sorted(gone)[::-1]]


def members_of(group: Any) -> Any:
    return group["member"][: int(group["count"])]


def meaning(state: State) -> dict[MessageType, Any]:
    """The rows with slots replaced by what stands in them; every reference must be there."""
    hops = {}
    for record in state[MessageType.NEXT_HOP].values():
        content = record.copy()
        content["slot"] = 0
        hops[int(record["slot"])] = content.tobytes()
    grouped = set()
    for record in state[MessageType.NEXT_HOP_GROUP].values():
        members = members_of(record)
        grouped.update(members["slot"].tolist())
        said = [(hops[int(m["slot"])], m["weight"].tobytes(), m["key"].tobytes()) for m in members]
        assert len({key for _, _, key in said}) == len(said)
        assert int(record["slot"]) not in hops, "one slot, two next hops"
        hops[int(record["slot"])] = repr(said).encode()
    used = set()
    found: dict[MessageType, Any] = {}
    for kind, held in state.items():
        if kind is MessageType.ROUTE:
            found[kind] = {k: hops[int(r["next_hop"])] for k, r in held.items()}
            used = {int(r["next_hop"]) for r in held.values()}
        elif kind not in SLOTTED:
            found[kind] = {k: r.tobytes() for k, r in held.items()}
    assert used | grouped == set(hops), "a slot that nothing uses"
    assert len(set(hops.values())) == len(hops), "the same content in two slots"
    ids = {int(r["id"]) for r in state[MessageType.CCSI].values()}
    assert {int(r["ccsi"]) for r in state[MessageType.ROUTE].values()} <= ids
    return found


def dump_of(state: State) -> Held:
    return held_from_dump(
        {
            kind: np.array([r for _, r in sorted(held.items())], wire.RECORDS[kind])
            for kind, held in state.items()
            if held
        }
    )


def state_of(snapshot: Snapshot) -> State:
    state = empty()
    apply(state, encode_full(snapshot, NextHopSlots()))
    return state


def taken_over(held: Snapshot, wanted: Snapshot) -> Snapshot:
    """The same with the Tables held wherever their content stays."""
    tables = {
        name: old if (old := held.tables.get(name)) and old.digest == table.digest else table
        for name, table in wanted.tables.items()
    }
    return replace(wanted, tables=tables)


@settings(max_examples=400, deadline=None)
@given(st.lists(snapshots(), min_size=1, max_size=5), st.integers(0, 5), st.integers(1, 9))
def test_incremental_equals_full(steps: list[Snapshot], restart: int, part: int) -> None:
    state, slots, held = empty(), NextHopSlots(), NOTHING
    for number, step in enumerate(steps):
        wanted = taken_over(held, step) if number % 2 else step
        if number == restart:
            records, slots = encode_against(dump_of(state), wanted)
        else:
            plan = diff(held, wanted)
            with patch.object(module, "PART", part):
                records = list(encode(plan, slots))
            assert plan.is_empty == (not records)
            assert bool(plan.summary()) == (not plan.is_empty)
        apply(state, records)
        assert meaning(state) == meaning(state_of(wanted))
        held_slots = {int(r["slot"]) for kind in SLOTTED for r in state[kind].values()}
        assert held_slots == {slot for _, slot in slots.items()}
        held = wanted
    assert list(encode(diff(held, held), slots)) == []
    assert encode_against(dump_of(state), held)[0] == []


@settings(max_examples=100, deadline=None)
@given(snapshots(), snapshots())
def test_restart_finds_nothing_to_do(first: Snapshot, second: Snapshot) -> None:
    """A control plane that comes back with the same tables sends nothing, whatever the slots."""
    state, slots = empty(), NextHopSlots()
    apply(state, list(encode(diff(NOTHING, first), slots)))
    apply(state, list(encode(diff(first, second), slots)))
    records, again = encode_against(dump_of(state), second)
    assert records == []
    assert dict(again.items()) == dict(slots.items())


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_rows_are_free_of_order(snapshot: Snapshot) -> None:
    def everything(held: Held) -> list[bytes]:
        return [held[kind].tobytes() for kind in KEYS]

    turned = replace(snapshot, tables=dict(reversed(list(snapshot.tables.items()))))
    a, b = NextHopSlots(), NextHopSlots()
    assert everything(rows(snapshot, a)) == everything(rows(turned, b))
