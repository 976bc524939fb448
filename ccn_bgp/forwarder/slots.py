"""Which slot of the forwarder holds which next hop, and next hops as records.

In: next hops as tables use them, groups among them. Out: their slots, and records of both types. A
group uses a slot for each of its members as a table would.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import Kind, Member, NextHop

Array = npt.NDArray[Any]
Held = Mapping[MessageType, Array]
"""The rows of a forwarder: one array for each record type, each key once."""
Placed = Sequence[tuple[NextHop, int]]
"""Next hops and their slots."""


class NextHopSlots:
    """Which slot holds which next hop: the same content keeps its slot as long as a table, or a
    group that a table uses, uses it.

    Freed slots are used again, lowest first, from the next transaction on: within one, a packet may
    still follow an old route into a slot.
    """

    def __init__(self) -> None:
        self._slot: dict[NextHop, int] = {}
        self._uses: dict[NextHop, int] = {}
        self._free: list[int] = []
        self._end = 0

    @classmethod
    def seeded(cls, held: Held) -> NextHopSlots:
        """The slots of a forwarder that is already holding something; no table uses them yet."""
        slots = cls()
        taken = {}
        for slot, content in _contents(held):
            taken[slot] = content
            if content is not None and slot < slots._slot.get(content, slot + 1):
                slots._slot[content], slots._uses[content] = slot, 0
        for content in slots._slot:
            for _, hop in content.members:
                slots._uses[hop] += 1
        slots._end = max(taken, default=-1) + 1
        slots._free = [s for s in range(slots._end) if s not in taken]
        return slots

    def copy(self) -> NextHopSlots:
        """The same slots, on their own from now on."""
        slots = NextHopSlots()
        slots._slot, slots._uses = dict(self._slot), dict(self._uses)
        slots._free, slots._end = list(self._free), self._end
        return slots

    def __getitem__(self, content: NextHop) -> int:
        return self._slot[content]

    def get(self, content: NextHop, other: int) -> int:
        """Its slot, or ``other`` if it has none."""
        return self._slot.get(content, other)

    def __len__(self) -> int:
        return len(self._slot)

    def items(self) -> Iterable[tuple[NextHop, int]]:
        """(next hop, slot) of all, in no particular order."""
        return self._slot.items()

    def use(self, content: NextHop) -> list[NextHop]:
        """Count one more user; what has got a slot by it: nothing, or the content and, of a group,
        those of its members that had none."""
        if content in self._slot:
            self._uses[content] += 1
            return []
        fresh = [hop for _, member in content.members for hop in self.use(member)]
        if self._free:
            self._slot[content] = heapq.heappop(self._free)
        else:
            self._slot[content] = self._end
            self._end += 1
        self._uses[content] = 1
        return [*fresh, content]

    def leave(self, content: NextHop) -> None:
        """Count one user less."""
        self._uses[content] -= 1

    def sweep(self, among: Iterable[NextHop] | None = None) -> list[tuple[NextHop, int]]:
        """Free what nothing uses (``among`` these, or all), and members that only such groups used:
        (next hop, slot), by slot."""
        asked = self._uses if among is None else set(among)
        gone = [c for c in asked if not self._uses.get(c, 1)]
        for group in gone:  # grows: a member that is left is looked at, too
            for _, hop in group.members:
                self.leave(hop)
                if not self._uses[hop]:
                    gone.append(hop)
        freed = sorted(((c, self._slot[c]) for c in gone), key=lambda item: item[1])
        for content, slot in freed:
            del self._slot[content], self._uses[content]
            heapq.heappush(self._free, slot)
        return freed

    def compact(self) -> None:
        """Let every slot without content be used again: held duplicates that are given up."""
        self._end = max(self._slot.values(), default=-1) + 1
        taken = set(self._slot.values())
        self._free = [s for s in range(self._end) if s not in taken]


def next_hop_records(
    placed: Iterable[tuple[NextHop, int]], slots: NextHopSlots, taps: Mapping[str, int]
) -> dict[MessageType, Array]:
    """Next hops and groups, each by slot. ``taps``: interface ids by tap name. ``slots`` must hold
    the members."""
    ordered = sorted(placed, key=lambda item: item[1])
    plain = [item for item in ordered if not item[0].members]
    groups = [item for item in ordered if item[0].members] if len(plain) < len(ordered) else []
    return {
        MessageType.NEXT_HOP: _next_hops(plain, taps),
        MessageType.NEXT_HOP_GROUP: _groups(groups, slots),
    }


def gone_records(freed: Placed) -> dict[MessageType, Array]:
    """What DELETE needs of them: their slots."""
    found = {}
    for kind, grouped in ((MessageType.NEXT_HOP, False), (MessageType.NEXT_HOP_GROUP, True)):
        gone = [slot for hop, slot in freed if bool(hop.members) is grouped]
        found[kind] = np.zeros(len(gone), wire.RECORDS[kind])
        found[kind]["slot"] = gone
    return found


def packed(values: Sequence[bytes], size: int) -> npt.NDArray[np.uint8]:
    """Octets, padded with NULs: uint8[n, size]."""
    joined = b"".join([value.ljust(size, b"\0") for value in values])
    return np.frombuffer(joined, np.uint8).reshape(len(values), size)


def _next_hops(items: Placed, taps: Mapping[str, int]) -> Array:
    records = np.zeros(len(items), wire.NEXT_HOP)
    records["slot"] = [slot for _, slot in items]
    records["kind"] = [int(hop.kind) for hop, _ in items]
    records["family"] = [{0: 0, 4: 4, 16: 6}[len(hop.ip)] for hop, _ in items]
    records["vni"] = [hop.vni for hop, _ in items]
    records["interface"] = [taps.get(hop.interface, 0) for hop, _ in items]
    records["ip"] = packed([hop.ip for hop, _ in items], 16)
    records["mac"] = packed([hop.mac for hop, _ in items], 6)
    return records


def _groups(items: Placed, slots: NextHopSlots) -> Array:
    records = np.zeros(len(items), wire.NEXT_HOP_GROUP)
    for record, (group, slot) in zip(records, items, strict=True):
        count = len(group.members)
        record["slot"], record["count"] = slot, count
        members = record["member"][:count]
        members["slot"] = [slots[hop] for _, hop in group.members]
        members["weight"] = [weight for weight, _ in group.members]
        members["key"] = _member_keys(group.members)
    return records


def _member_keys(members: Sequence[Member]) -> list[int]:
    """Who each member is, whatever its slot and its MAC address: a router that changes the latter
    keeps its flows. Members that are alike but for it are told apart by their order."""
    keys: list[int] = []
    for _, hop in members:
        said = f"{int(hop.kind)} {hop.vni} {hop.ip.hex()} {hop.interface}"
        nth = 0
        while (key := _hashed(f"{said} {nth}")) in keys:
            nth += 1
        keys.append(key)
    return keys


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _contents(held: Held) -> Iterator[tuple[int, NextHop | None]]:
    """(slot, what it holds) of all next hops, then of all groups; None: no snapshot made it."""
    taps = {int(r["id"]): wire.text_of(r["tap"]) for r in held[MessageType.INTERFACE]}
    known: dict[int, NextHop | None] = {}
    for record in held[MessageType.NEXT_HOP]:
        slot = int(record["slot"])
        known[slot] = _content(record, taps)
        yield slot, known[slot]
    for record in held[MessageType.NEXT_HOP_GROUP]:
        yield int(record["slot"]), _group_content(record, known)


def _content(record: Any, taps: Mapping[int, str]) -> NextHop | None:
    interface = int(record["interface"])
    try:
        kind = Kind(int(record["kind"]))
        size = {0: 0, 4: 4, 6: 16}[int(record["family"])]
    except (ValueError, KeyError):
        return None
    if interface and interface not in taps:
        return None
    return NextHop(
        kind,
        int(record["vni"]),
        Ip(record["ip"].tobytes()[:size]),
        Mac(record["mac"].tobytes()),
        taps.get(interface, ""),
    )


def _group_content(record: Any, known: Mapping[int, NextHop | None]) -> NextHop | None:
    members = []
    for member in record["member"][: int(record["count"])]:
        hop = known.get(int(member["slot"]))
        if hop is None:
            return None
        members.append(Member(int(member["weight"]), hop))
    try:
        group = NextHop.group(members)
    except ValueError:
        return None
    return group if group.members else None
