"""IPv6 VTEPs in rows of four octets, from the model to the records."""

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.records import encode, rows
from ccn_bgp.forwarder.slots import NextHopSlots
from ccn_bgp.forwarder.wire import Flag, MessageType
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vtep_names import named_vteps, vtep_octets, vtep_of
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import NOTHING, Snapshot, VtepEntry

HOST = Ip.parse("2001:db8::101")
MAC = Mac.parse("02:00:00:00:00:0a")
VM = VmEntry(10001, Ip.parse("10.1.0.10"), MAC, HOST)
HELD = Snapshot("gw", {}, vteps=(VtepEntry(10001, HOST),), vms=(VM,))


def test_ipv4_is_itself_and_ipv6_has_a_name() -> None:
    assert vtep_octets(Ip.parse("192.0.2.1")) == bytes((192, 0, 2, 1))
    name = vtep_octets(HOST)
    assert len(name) == 4 and name[0] >> 4 == 0xE
    assert (vtep_octets(HOST), vtep_of(name)) == (name, HOST)


def test_addresses_that_meet_have_names_of_their_own() -> None:
    rack = [Ip(bytes(12) + n.to_bytes(4, "big")) for n in range(1 << 28, (1 << 28) + 300)]
    other = [Ip(bytes(12) + (n + (1 << 28)).to_bytes(4, "big")) for n in range(300)]
    names = [vtep_octets(ip) for ip in (*rack, *other, *rack)]
    assert len(set(names)) == len({*rack, *other})
    assert [vtep_of(name) for name in names] == [*rack, *other, *rack]


def test_rows_have_names_and_views_have_addresses() -> None:
    table = VmTable.of([VM])
    assert table.rows["vtep"][0].tobytes() == vtep_octets(HOST)
    assert (list(table), table[0], table.senders) == ([VM], VM, [(10001, HOST)])
    assert HELD.vtep_names == named_vteps([HOST])


def test_a_name_comes_before_and_goes_after_what_names_it() -> None:
    held = rows(HELD, NextHopSlots())
    assert held[MessageType.VTEP_NAME].dtype == wire.VTEP_NAME
    assert held[MessageType.VTEP_NAME]["address"].tobytes() == HOST
    slots = NextHopSlots()
    added = [kind for kind, _, _ in encode(diff(NOTHING, HELD), slots)]
    assert added[0] is MessageType.VTEP_NAME
    gone = list(encode(diff(HELD, Snapshot("gw", {})), slots))
    assert (gone[-1][0], gone[-1][1]) == (MessageType.VTEP_NAME, Flag.DELETE)
