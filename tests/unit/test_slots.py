"""Groups in slots and records: members come and go with them, and are known by what they are."""

from __future__ import annotations

import numpy as np

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.slots import NextHopSlots, next_hop_records
from ccn_bgp.forwarder.wire import MessageType
from ccn_bgp.gateway.link import lookup_json
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import Kind, Member, NextHop

MAC = Mac.parse("02:cc:c6:33:64:15")
A, B, C = (NextHop(Kind.VTEP, 20100, Ip.parse(f"198.51.100.{n}"), MAC) for n in (1, 2, 3))
AB = NextHop.group([Member(1, A), Member(3, B)])
BC = NextHop.group([Member(1, B), Member(1, C)])


def keys(slots: NextHopSlots, group: NextHop) -> dict[NextHop, int]:
    records = next_hop_records([(group, slots[group])], slots, {})
    (record,) = records[MessageType.NEXT_HOP_GROUP]
    said = record["member"]["key"][: len(group.members)].tolist()
    return dict(zip(group.hops, said, strict=True))


def test_members_have_slots_of_their_own_as_long_as_any_group_is_there() -> None:
    slots = NextHopSlots()
    assert slots.use(AB) == [A, B, AB]
    assert slots.use(AB) == []
    assert slots.use(BC) == [C, BC]
    assert slots.use(A) == []
    slots.leave(AB)
    assert slots.sweep([AB]) == []
    slots.leave(AB)
    assert [hop for hop, _ in slots.sweep([AB])] == [AB]  # a table uses A, the other group B
    slots.leave(BC)
    slots.leave(A)
    assert {hop for hop, _ in slots.sweep([BC, A])} == {A, B, C, BC}
    assert len(slots) == 0


def test_a_member_is_known_by_what_it_is() -> None:
    one, other = NextHopSlots(), NextHopSlots()
    one.use(AB)
    one.use(BC)
    other.use(C)
    other.use(BC)
    assert keys(one, AB)[B] == keys(one, BC)[B] == keys(other, BC)[B]
    renewed = NextHop.group([Member(1, B._replace(mac=Mac(bytes(6)))), Member(1, C)])
    other.use(renewed)
    assert list(keys(other, renewed).values()) == list(keys(other, BC).values())
    twins = NextHop.group([Member(1, B), Member(1, B._replace(mac=Mac(bytes(6))))])
    other.use(twins)
    assert len(set(keys(other, twins).values())) == 2


def test_a_look_up_names_the_members() -> None:
    slots = NextHopSlots()
    slots.use(AB)
    records = next_hop_records(slots.items(), slots, {})
    answer = np.zeros(1, wire.LOOKUP_RESULT)[0]
    answer["found"] = 1
    answer["next_hop"]["kind"] = Kind.GROUP
    answer["group"] = records[MessageType.NEXT_HOP_GROUP][0]
    answer["member"][:2] = records[MessageType.NEXT_HOP]
    assert lookup_json(answer) == {
        "found": True,
        "kind": "group",
        "members": [
            {"weight": 1, "kind": "vtep", "vni": 20100, "ip": "198.51.100.1"},
            {"weight": 3, "kind": "vtep", "vni": 20100, "ip": "198.51.100.2"},
        ],
    }
