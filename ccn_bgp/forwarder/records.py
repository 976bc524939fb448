"""From plans to the records of a transaction, and from a dump back to what is held.

In: a Plan (table/plan.py) or a Snapshot, and the NextHopSlots of the forwarder. Out: (type, flags,
record array) in make-before-break order: what is referred to is added before and removed after what
refers to it. After a refusal (NAK) or a lost connection the slots are no longer the forwarder's:
begin again from its dump (``encode_against``) or with everything (``encode_full``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.acl_records import acl_records, surplus_records
from ccn_bgp.forwarder.slots import Held, NextHopSlots, gone_records, next_hop_records, packed
from ccn_bgp.forwarder.wire import CcsiFlag, Flag, MessageType, SourceFlag, VtepFlag
from ccn_bgp.model.route import NextHop
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vtep_names import vtep_octets
from ccn_bgp.table.plan import (
    CcsiEntry,
    Plan,
    VtepSetEntry,
    ccsi_entries,
    taps_of,
    vtep_sets,
)
from ccn_bgp.table.plan_rows import TableChanges
from ccn_bgp.table.snapshot import (
    GatewayAddressEntry,
    InterfaceEntry,
    PeerEntry,
    Snapshot,
    SourceEntry,
    VniEntry,
    VtepEntry,
    VtepNameEntry,
)
from ccn_bgp.table.tables import I8, Block, BlockRows
from ccn_bgp.table.together import together

Array = npt.NDArray[Any]
Record = tuple[MessageType, Flag, Array]
Records = list[Record]
Some = Array | Iterator[Array]
"""Records of one type, at once or in parts, none of them empty."""
PART = 1 << 15
"""Routes, roughly, that are made at once: what the caches hold. Who reads them may do so beside."""

KEYS: Mapping[MessageType, tuple[str, ...]] = {
    MessageType.INTERFACE: ("id",),
    MessageType.CCSI: ("id",),
    MessageType.ACL_RULE: ("ccsi", "sequence"),
    MessageType.VNI: ("vni",),
    MessageType.VTEP_NAME: ("name",),
    MessageType.VTEP: ("vni", "address"),
    MessageType.GATEWAY_ADDRESS: ("vni", "family", "ip"),
    MessageType.PEER: ("interface", "family", "ip"),
    MessageType.NEXT_HOP: ("slot",),
    MessageType.NEXT_HOP_GROUP: ("slot",),
    MessageType.VTEP_SET: ("name",),
    MessageType.VM: ("vni", "family", "ip"),
    MessageType.ROUTE: ("ccsi", "family", "prefix", "length"),
    MessageType.SOURCE: ("ccsi", "family", "prefix", "length"),
}
"""What identifies a record of each type, in the order in which types are added."""


def encode(plan: Plan, slots: NextHopSlots) -> Iterator[Record]:
    """The transaction of a Plan, its routes made as they are asked for; ``slots`` are moved on at
    once as if it had been accepted."""
    fresh: list[NextHop] = []
    used, left = plan.tables.next_hops()
    for content in used:
        fresh += slots.use(content)
    for content in left:
        slots.leave(content)
    again: list[NextHop] = []
    if plan.rebound:
        again = [c for c, _ in slots.items() if c.interface and c.interface in plan.rebound]
    said = {content: slots[content] for content in (*fresh, *again)}
    freed = slots.sweep(left)
    for content, _ in freed:
        said.pop(content, None)
    put: dict[MessageType, Some] = {
        MessageType.INTERFACE: _interfaces(plan.interfaces.put),
        MessageType.CCSI: _ccsis(plan.ccsis.put),
        MessageType.ACL_RULE: acl_records(plan.acls.after),
        MessageType.VNI: _vnis(plan.vnis.put),
        MessageType.VTEP_NAME: _vtep_names(plan.vtep_names.put),
        MessageType.VTEP: _vteps(plan.vteps.put),
        MessageType.GATEWAY_ADDRESS: _gateway_addresses(plan.gateway_addresses.put),
        MessageType.PEER: _peers(plan.peers.put),
        **next_hop_records(said.items(), slots, plan.taps),
        MessageType.VTEP_SET: _vtep_sets(plan.vtep_sets.put),
        MessageType.VM: _vms(plan.vms.put),
        MessageType.ROUTE: _put_routes(plan.tables, slots),
        MessageType.SOURCE: _sources(plan.sources.put),
    }
    gone = {entry.id for entry in plan.ccsis.removed}  # and with a CCSI go its sources
    remove: dict[MessageType, Some] = {
        MessageType.INTERFACE: _interfaces(plan.interfaces.removed),
        MessageType.CCSI: _ccsis(plan.ccsis.removed),
        MessageType.ACL_RULE: surplus_records(
            plan.acls, frozenset(entry.id for entry in plan.ccsis.removed)
        ),
        MessageType.VNI: _vnis(plan.vnis.removed),
        MessageType.VTEP_NAME: _vtep_names(plan.vtep_names.removed),
        MessageType.VTEP: _vteps(plan.vteps.removed),
        MessageType.GATEWAY_ADDRESS: _gateway_addresses(plan.gateway_addresses.removed),
        MessageType.PEER: _peers(plan.peers.removed),
        **gone_records(freed),
        MessageType.VTEP_SET: _vtep_sets(plan.vtep_sets.removed),
        MessageType.VM: _vms(plan.vms.removed),
        MessageType.ROUTE: _gone_routes(plan.tables),
        MessageType.SOURCE: _sources([e for e in plan.sources.removed if e.ccsi not in gone]),
    }
    return _ordered(put, remove)


def encode_full(snapshot: Snapshot, slots: NextHopSlots) -> Records:
    """Everything, for a FULL transaction; ``slots`` must be new."""
    return list(_ordered(rows(snapshot, slots), {}))


def encode_against(held: Held, snapshot: Snapshot) -> tuple[Records, NextHopSlots]:
    """What turns the held rows into the snapshot, and the slots from then on: the first commit of a
    control plane that finds a forwarder at work."""
    slots = NextHopSlots.seeded(held)
    wanted = rows(snapshot, slots)
    slots.sweep()
    slots.compact()
    return difference(held, wanted), slots


def held_from_dump(dump: Mapping[MessageType, Array]) -> Held:
    """A forwarder's dump with every record type present."""
    return {
        kind: np.asarray(dump.get(kind, np.zeros(0, dtype)), dtype)
        for kind, dtype in wire.RECORDS.items()
    }


def rows(snapshot: Snapshot, slots: NextHopSlots) -> Held:
    """All records of a snapshot; next hops are counted in ``slots``, once for each table."""
    tables = [snapshot.tables[name] for name in sorted(snapshot.tables)]
    for table in tables:
        for content in table.next_hops:
            slots.use(content)
    by_id = {table.id: table for table in tables}
    block = together([by_id[number] for number in sorted(by_id)])
    contents = {way.next_hop for way in block.answers}
    contents |= {hop for content in contents for _, hop in content.members}
    said = [(content, slots[content]) for content in contents]
    slot = np.array([slots[way.next_hop] for way in block.answers], np.uint32)
    return {
        MessageType.INTERFACE: _interfaces(snapshot.interfaces),
        MessageType.CCSI: _ccsis(ccsi_entries(snapshot, snapshot.tables)),
        MessageType.ACL_RULE: acl_records(snapshot.acls),
        MessageType.VNI: _vnis(snapshot.vnis),
        MessageType.VTEP_NAME: _vtep_names(snapshot.vtep_names),
        MessageType.VTEP: _vteps(snapshot.vteps),
        MessageType.GATEWAY_ADDRESS: _gateway_addresses(snapshot.gateway_addresses),
        MessageType.PEER: _peers(snapshot.peers),
        **next_hop_records(said, slots, taps_of(snapshot.interfaces)),
        MessageType.VTEP_SET: _vtep_sets(vtep_sets(snapshot.vm_table)),
        MessageType.VM: _vms(snapshot.vm_table),
        MessageType.ROUTE: np.concatenate((_NO_ROUTES, *_routes(block, None, slot))),
        MessageType.SOURCE: _sources(snapshot.sources),
    }


def difference(held: Held, wanted: Held) -> Records:
    """What turns one set of rows into another, by key and octet by octet."""
    put, remove = {}, {}
    for kind, fields in KEYS.items():
        old, new = held[kind], wanted[kind]
        old_keys, new_keys = _keys(old, fields), _keys(new, fields)
        order = np.argsort(old_keys)
        place = np.searchsorted(old_keys, new_keys, sorter=order)
        found = place < len(order)
        found[found] = old_keys[order[place[found]]] == new_keys[found]
        match = order[place[found]]
        same = np.zeros(len(new), np.bool_)
        same[found] = (_octets(old)[match] == _octets(new)[found]).all(axis=1)
        kept = np.zeros(len(old), np.bool_)
        kept[match] = True
        put[kind], remove[kind] = new[~same], old[~kept]
    for kind in (MessageType.ROUTE, MessageType.ACL_RULE, MessageType.SOURCE):
        gone = np.isin(remove[kind]["ccsi"], remove[MessageType.CCSI]["id"])
        remove[kind] = remove[kind][~gone]  # with a CCSI these go by themselves
    return list(_ordered(put, remove))


def _octets(records: Array) -> npt.NDArray[np.uint8]:
    width = records.dtype.itemsize
    return np.ascontiguousarray(records).view(np.uint8).reshape(len(records), width)


def _keys(records: Array, fields: Sequence[str]) -> Array:
    """The key of each record as one comparable string of octets."""
    parts = []
    for name in fields:
        column = np.ascontiguousarray(records[name])
        parts.append(column.view(np.uint8).reshape(len(records), -1 if len(records) else 1))
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return joined.view(f"S{joined.shape[1]}").reshape(-1)


def _ordered(
    put: Mapping[MessageType, Some], remove: Mapping[MessageType, Some]
) -> Iterator[Record]:
    for kind in KEYS:
        for part in _parts(put[kind]):
            yield kind, Flag.NONE, part
    for kind in reversed(list(KEYS)):
        for part in _parts(remove[kind]) if kind in remove else ():
            yield kind, Flag.DELETE, part


def _parts(some: Some) -> Iterable[Array]:
    if isinstance(some, np.ndarray):
        return (some,) if len(some) else ()
    return some


# -- one record type after the other ---------------------------------------------------------------


def _interfaces(entries: Sequence[InterfaceEntry]) -> Array:
    records = np.zeros(len(entries), wire.INTERFACE)
    for record, entry in zip(records, entries, strict=True):
        for name in ("id", "role", "length", "vlan", "ccsi", "mtu", "length6", "site"):
            record[name] = getattr(entry, name)
        for name, value in (("port", entry.port.encode()), ("tap", entry.tap.encode())):
            record[name] = wire.octets(value, 16)
        record["mac"] = wire.octets(entry.mac, 6)
        record["address"] = wire.octets(entry.address, 4)
        record["via"] = wire.octets(entry.via, 4)
        record["address6"] = wire.octets(entry.address6, 16)
        record["vtep"] = wire.octets(entry.vtep, 4)
        record["via6"] = wire.octets(entry.via6, 16)
        record["vtep6"] = wire.octets(entry.vtep6, 16)
    return records


def _ccsis(entries: Sequence[CcsiEntry]) -> Array:
    records = np.zeros(len(entries), wire.CCSI)
    records["id"] = [entry.id for entry in entries]
    records["flags"] = [0 if entry.checked else CcsiFlag.SOURCE_OPEN for entry in entries]
    records["name"] = packed([entry.name.encode()[:32] for entry in entries], 32)
    return records


def _vnis(entries: Sequence[VniEntry]) -> Array:
    records = np.zeros(len(entries), wire.VNI)
    for name in ("vni", "ccsi", "kind"):
        records[name] = [getattr(entry, name) for entry in entries]
    return records


def _vtep_names(entries: Sequence[VtepNameEntry]) -> Array:
    records = np.zeros(len(entries), wire.VTEP_NAME)
    records["name"] = packed([entry.name for entry in entries], 4)
    records["address"] = packed([entry.address for entry in entries], 16)
    return records


def _vteps(entries: Sequence[VtepEntry]) -> Array:
    records = np.zeros(len(entries), wire.VTEP)
    records["vni"] = [entry.vni for entry in entries]
    records["address"] = packed([vtep_octets(entry.address) for entry in entries], 4)
    records["flags"] = [
        VtepFlag.REGION * entry.region | VtepFlag.HAND_OFF * entry.hands_off for entry in entries
    ]
    return records


def _gateway_addresses(entries: Sequence[GatewayAddressEntry]) -> Array:
    records = np.zeros(len(entries), wire.GATEWAY_ADDRESS)
    records["vni"] = [entry.vni for entry in entries]
    records["family"] = [entry.address.version for entry in entries]
    records["ip"] = packed([entry.address for entry in entries], 16)
    return records


def _peers(entries: Sequence[PeerEntry]) -> Array:
    records = np.zeros(len(entries), wire.PEER)
    records["interface"] = [entry.interface for entry in entries]
    records["family"] = [entry.address.version for entry in entries]
    records["ip"] = packed([entry.address for entry in entries], 16)
    return records


def _vtep_sets(entries: Sequence[VtepSetEntry]) -> Array:
    records = np.zeros(len(entries), wire.VTEP_SET)
    records["name"] = packed([entry.name for entry in entries], 4)
    records["count"] = [len(entry.hosts) for entry in entries]
    for record, entry in zip(records, entries, strict=True):
        record["vtep"][: len(entry.hosts)] = packed([vtep_octets(h) for h in entry.hosts], 4)
    return records


def _sources(entries: Sequence[SourceEntry]) -> Array:
    records = np.zeros(len(entries), wire.SOURCE)
    records["ccsi"] = [entry.ccsi for entry in entries]
    records["site"] = [entry.site for entry in entries]
    records["family"] = [entry.prefix.version for entry in entries]
    records["length"] = [entry.prefix.length for entry in entries]
    records["prefix"] = packed([entry.prefix.address for entry in entries], 16)
    records["flags"] = [SourceFlag.GATEWAYS * entry.gateways for entry in entries]
    return records


def _vms(table: VmTable) -> Array:
    records = np.zeros(len(table), wire.VM)
    for name in ("vni", "family", "shared", "mac", "ip", "vtep"):
        records[name] = table.rows[name]
    return records


_NO_ROUTES = np.zeros(0, wire.ROUTE)


def _put_routes(changes: TableChanges, slots: NextHopSlots) -> Iterator[Array]:
    """What is new or changed, by table, family and prefix: the forwarder need not sort it."""
    slot = np.array([slots.get(hop, 0) for hop in changes.hops], np.uint32)
    return _routes(
        changes.after,
        (changes.v4.put, changes.v6.put),
        slot[changes.hop_after] if slot.size else slot,
    )


def _gone_routes(changes: TableChanges) -> Iterator[Array]:
    """With a CCSI go its routes, by themselves."""
    return _routes(changes.before, changes.removed_of_kept, None)


def _routes(block: Block, chosen: tuple[I8, I8] | None, slot: Array | None) -> Iterator[Array]:
    """Records of the chosen rows (IPv4, IPv6; ascending), or of all, by table, family and prefix,
    some tables at a time. ``slot``: of each answer; without them they name no next hop."""
    number = np.array([head.id for head in block.heads], np.uint32)
    v4, v6 = chosen or (None, None)
    families = _Chosen.of(block.v4, v4), _Chosen.of(block.v6, v6)
    total = families[0].begins + families[1].begins
    cuts = np.flatnonzero(np.diff(total[:-1] // PART)) + 1
    for first, behind in pairwise((0, *cuts.tolist(), len(number))):
        of4, of6 = (family.records(first, behind, number, slot) for family in families)
        if not len(of6) or not len(of4):
            part = of4 if len(of4) else of6
        else:
            tables = [
                np.repeat(np.arange(behind - first), c.counts(first, behind)) for c in families
            ]
            order = np.argsort(np.concatenate(tables), kind="stable")
            part = np.concatenate((of4, of6))[order]
        if len(part):
            yield part


class _Chosen(NamedTuple):
    """Some rows of one family of a block. ``picked``: which, or None for all; ``begins``: where
    those of each table begin among them, and where the last end."""

    rows: BlockRows
    picked: I8 | None
    begins: I8

    @classmethod
    def of(cls, rows: BlockRows, picked: I8 | None) -> _Chosen:
        if picked is None or len(picked) == len(rows.length):
            return cls(rows, None, np.array(rows.bounds))
        return cls(rows, picked, np.searchsorted(picked, rows.bounds))

    def counts(self, first: int, behind: int) -> I8:
        """How many are of each of these tables."""
        return np.diff(self.begins[first : behind + 1])

    def records(self, first: int, behind: int, number: Array, slot: Array | None) -> Array:
        """Of these tables; ``number``: the ids of all."""
        rows = self.rows
        begin, end = self.begins[[first, behind]].tolist()
        records = np.zeros(end - begin, wire.ROUTE)
        if begin == end:
            return records
        some = slice(begin, end) if self.picked is None else self.picked[begin:end]
        records["ccsi"] = np.repeat(number[first:behind], self.counts(first, behind))
        records["family"] = 4 if rows.address.shape[1] == 4 else 6
        records["length"] = rows.length[some]
        if slot is not None:
            records["next_hop"] = slot[rows.answer[some]]
        # In words: rows of four octets are copied one by one.
        words = rows.address.view(np.uint32)[some]
        records["prefix"].view(np.uint32)[:, : words.shape[1]] = words
        return records
