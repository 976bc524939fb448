"""Records: their octets, their order, and slots that stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.records import (
    encode,
    encode_against,
    encode_full,
    held_from_dump,
    rows,
)
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.forwarder.wire import Flag, MessageType
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route, VmEntry
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

MAC = Mac.parse("02:cc:c6:33:64:15")
FAR = NextHop(Kind.VTEP, 20100, Ip.parse("198.51.100.21"), MAC)
IDC = NextHop(Kind.HAND_OFF, ip=Ip.parse("169.254.1.2"), interface="eth2.101t")
LINK = NextHop(Kind.ON_LINK, 10001)
INTERFACE = InterfaceEntry(
    7, 2, "eth2", 101, 100, "eth2.101t", MAC, Ip.parse("169.254.1.1"), 30, Ip(bytes(4)), 1500
)


def snapshot(routes: dict[str, NextHop]) -> Snapshot:
    table = Table.build(
        "bj/retail",
        100,
        "retail",
        [
            Route(
                "bj/retail",
                Prefix.parse(p),
                "bj/retail",
                hop,
                "",
                Path("", Unicast(Prefix.parse(p)), PathAttributes()),
            )
            for p, hop in routes.items()
        ],
    )
    return Snapshot(
        "bj",
        {"bj/retail": table},
        interfaces=(INTERFACE,),
        vnis=(VniEntry(10001, 100, 1), VniEntry(20100, 100, 2)),
        vteps=(VtepEntry(20100, Ip.parse("198.51.100.21")),),
        gateway_addresses=(
            GatewayAddressEntry(10001, Ip.parse("10.1.0.1")),
            GatewayAddressEntry(10001, Ip.parse("fd00:1::1")),
        ),
        peers=(PeerEntry(0, Ip.parse("198.51.100.21")), PeerEntry(2, Ip.parse("169.254.1.2"))),
        vms=(VmEntry(10001, Ip.parse("fd00::a"), MAC, Ip.parse("192.0.2.101")),),
    )


FULL = snapshot({"10.2.0.0/16": FAR, "172.16.0.0/16": IDC, "fd00::/64": LINK})


def test_octets_of_every_record() -> None:
    held = rows(FULL, NextHopSlots())
    interface = held[MessageType.INTERFACE][0]
    assert (interface["id"], interface["vlan"], interface["ccsi"], interface["mtu"]) == (
        7,
        101,
        100,
        1500,
    )
    assert wire.text_of(interface["port"]) == "eth2"
    assert wire.text_of(interface["tap"]) == "eth2.101t"
    assert interface["address"].tobytes() == bytes((169, 254, 1, 1))
    assert wire.text_of(held[MessageType.CCSI][0]["name"]) == "retail"
    assert held[MessageType.VNI]["kind"].tolist() == [1, 2]
    assert held[MessageType.VTEP]["address"].tolist() == [[198, 51, 100, 21]]
    own = held[MessageType.GATEWAY_ADDRESS]
    assert (own["vni"].tolist(), own["family"].tolist()) == ([10001, 10001], [4, 6])
    assert own["ip"][0].tobytes() == bytes((10, 1, 0, 1)) + bytes(12)
    assert own["ip"][1].tobytes() == Ip.parse("fd00:1::1")
    assert held[MessageType.PEER]["interface"].tolist() == [0, 2]
    vm = held[MessageType.VM][0]
    assert (vm["vni"], vm["family"]) == (10001, 6)
    assert vm["ip"].tobytes() == Ip.parse("fd00::a")
    assert vm["vtep"].tobytes() == Ip.parse("192.0.2.101")
    hops = held[MessageType.NEXT_HOP]
    assert hops["slot"].tolist() == [0, 1, 2]
    assert hops["kind"].tolist() == [Kind.ON_LINK, Kind.VTEP, Kind.HAND_OFF]
    assert hops["family"].tolist() == [0, 4, 4]
    assert hops["interface"].tolist() == [0, 0, 7]
    assert hops["vni"].tolist() == [10001, 20100, 0]
    assert hops["ip"][1].tobytes() == FAR.ip + bytes(12)
    assert hops["mac"][1].tobytes() == MAC
    routes = held[MessageType.ROUTE]
    assert routes["family"].tolist() == [4, 4, 6]
    assert routes["length"].tolist() == [16, 16, 64]
    assert routes["next_hop"].tolist() == [1, 2, 0]
    assert routes["prefix"][0].tobytes() == bytes((10, 2)) + bytes(14)
    assert routes["prefix"][2].tobytes() == Ip.parse("fd00::")
    for kind, array in held.items():
        assert array.dtype == wire.RECORDS[kind]


def test_what_is_referred_to_comes_first_and_goes_last() -> None:
    slots = NextHopSlots()
    kinds = [
        MessageType.INTERFACE,
        MessageType.CCSI,
        MessageType.VNI,
        MessageType.VTEP,
        MessageType.GATEWAY_ADDRESS,
        MessageType.PEER,
        MessageType.NEXT_HOP,
        MessageType.VM,
        MessageType.ROUTE,
    ]
    put = list(encode(diff(NOTHING, FULL), slots))
    assert [(k, f) for k, f, _ in put] == [(k, Flag.NONE) for k in kinds]
    gone = list(encode(diff(FULL, NOTHING), slots))
    # the routes go with their CCSI
    assert [(k, f) for k, f, _ in gone] == [(k, Flag.DELETE) for k in reversed(kinds[:-1])]
    assert len(slots) == 0


def test_slots_stay_and_the_lowest_free_one_is_next() -> None:
    slots = NextHopSlots()
    encode(diff(NOTHING, FULL), slots)
    assert dict(slots.items()) == {LINK: 0, FAR: 1, IDC: 2}
    less = snapshot({"172.16.0.0/16": IDC})
    encode(diff(FULL, less), slots)
    assert dict(slots.items()) == {IDC: 2}
    other = NextHop(Kind.ON_LINK, 10002)
    more = snapshot({"172.16.0.0/16": IDC, "10.0.0.0/8": other, "10.0.0.0/9": FAR})
    encode(diff(less, more), slots)
    assert dict(slots.items()) == {IDC: 2, other: 0, FAR: 1}


def test_a_slot_freed_now_is_not_used_again_now() -> None:
    slots = NextHopSlots()
    encode(diff(NOTHING, snapshot({"10.0.0.0/8": LINK})), slots)
    records = list(
        encode(diff(snapshot({"10.0.0.0/8": LINK}), snapshot({"10.0.0.0/8": FAR})), slots)
    )
    hops = [(flag, a["slot"].tolist()) for k, flag, a in records if k is MessageType.NEXT_HOP]
    assert hops == [(Flag.NONE, [1]), (Flag.DELETE, [0])]


def test_adopting_a_forwarder_says_only_the_difference() -> None:
    slots = NextHopSlots()
    encode(diff(NOTHING, snapshot({"10.9.0.0/16": LINK})), slots)
    encode(diff(snapshot({"10.9.0.0/16": LINK}), FULL), slots)
    dump = held_from_dump(rows(FULL, slots))
    records, again = encode_against(dump, FULL)
    assert records == []
    assert dict(again.items()) == dict(slots.items())
    wanted = snapshot({"10.2.0.0/16": FAR, "172.16.0.0/16": FAR, "fd00::/64": LINK})
    records, again = encode_against(dump, wanted)
    assert [(k, f, len(a)) for k, f, a in records] == [
        (MessageType.ROUTE, Flag.NONE, 1),
        (MessageType.NEXT_HOP, Flag.DELETE, 1),
    ]
    assert IDC not in dict(again.items())


def test_a_dump_of_strange_next_hops_is_replaced() -> None:
    """What no snapshot makes (another kind, an unknown interface, twice the same) is given up."""
    dump = dict(held_from_dump({}))
    hops = np.zeros(4, wire.NEXT_HOP)
    hops["slot"] = [3, 4, 5, 9]
    hops["kind"] = [99, Kind.HAND_OFF, Kind.DROP, Kind.DROP]
    hops["interface"] = [0, 42, 0, 0]
    dump[MessageType.NEXT_HOP] = hops
    records, slots = encode_against(dump, snapshot({"10.0.0.0/8": NextHop(Kind.DROP)}))
    assert dict(slots.items()) == {NextHop(Kind.DROP): 5}
    freed = [a["slot"].tolist() for k, f, a in records if k is MessageType.NEXT_HOP]
    assert freed == [[3, 4, 9]]
    assert slots.use(LINK)
    assert slots[LINK] == 0


def test_names_that_do_not_fit() -> None:
    long = INTERFACE._replace(port="a-port-with-a-very-long-name")
    with pytest.raises(ValueError, match="more than 16 octets"):
        encode_full(Snapshot("bj", {}, interfaces=(long,)), NextHopSlots())
