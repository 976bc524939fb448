"""Whether a packet may have come from where it came: docs/concepts.md, "Sources". In: the tables,
and a packet with its way in. Out: nothing, or the reason to drop it."""

from __future__ import annotations

from oracle.plain_tables import (
    DROP,
    HANDS_OFF,
    L3,
    NEIGHBOR,
    ON_LINK,
    REGION,
    REMOTE,
    VIP,
    Group,
    covers,
    longest,
)


def forged(tables, a, vtep):
    """``a``: the packet that arrived; ``vtep``: its outer source, if it came by a tunnel."""
    if a.ccsi in tables.unchecked:
        return None
    source = a.packet.source
    slot = tables.longest_match(a.ccsi, source)
    hop = None if slot is None else tables.next_hops[slot]
    members = [hop] if hop else []
    if isinstance(hop, Group):
        members = [tables.next_hops[member] for _, _, member in hop.members]
    if a.interface:
        return _of_hand_off(tables, a, hop, members)
    if tables.vnis[a.vni][1] == L3:
        return _of_gateway(tables, a, hop, members, vtep)
    vm = tables.vms.get((a.vni, source))
    if vm:
        return None if vtep in vm.vteps else "source-other-host"
    for member in members:
        behind = tables.vms.get((a.vni, member.ip))
        if member.kind == VIP and member.vni == a.vni and behind and vtep in behind.vteps:
            return None
    return "source-no-vm"


def _of_gateway(tables, a, hop, members, vtep):
    marks = tables.vtep_flags.get((a.vni, vtep), 0)
    for member in members:
        if (
            member.kind == REMOTE
            or (member.kind in (ON_LINK, VIP) and marks & REGION)
            or (member.kind == NEIGHBOR and marks & HANDS_OFF)
        ):
            return None
    declared = longest(tables.sources, a.ccsi, a.packet.source)
    asked = hop is None or isinstance(hop, Group) or hop.kind == NEIGHBOR
    return None if asked and declared and declared[1] else "source-gateway"


def _of_hand_off(tables, a, hop, members):
    out, source = a.interface, a.packet.source
    for address, length in ((out.address, out.length), (out.address6, out.length6)):
        if address and source != address and covers(address, length, source):
            return None
    if any(m.kind == NEIGHBOR and m.interface == out.id for m in members):
        return None
    declared = longest(tables.sources, a.ccsi, source)
    asked = hop and (isinstance(hop, Group) or hop.kind not in (DROP, ON_LINK, VIP))
    return None if asked and declared and declared[0] == out.site != 0 else "source-hand-off"
