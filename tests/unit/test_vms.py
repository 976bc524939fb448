"""VMs in columns are the VMs that they were made of."""

import random

import pytest

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.route import VmEntry
from ccn_bgp.model.topology import Vm
from ccn_bgp.model.vm_table import VmTable
from ccn_bgp.model.vms import VmColumns

RANDOM = random.Random(1)


def ip(size):
    """Few octets differ, and many are NUL: what padding could hide."""
    return Ip(bytes(size - 2) + RANDOM.randbytes(1) + RANDOM.choice((b"\0", b"\1")))


VMS = [
    Vm(ip(RANDOM.choice((4, 16))), Mac(RANDOM.randbytes(6)), ip(RANDOM.choice((4, 16))), n % 3)
    for n in range(300)
]
ENTRIES = list(
    {
        (vni, vm.ip): VmEntry(vni, vm.ip, vm.mac, Ip(vm.mac[:4]))
        for vni in (1, 256, 2**24 - 1)
        for vm in VMS
    }.values()
)


def test_columns_are_a_sequence_of_vms():
    columns = VmColumns.of(VMS)
    assert list(columns) == VMS == [columns[n] for n in range(len(VMS))]
    assert columns == VMS and columns == VmColumns.of(tuple(VMS)) and VmColumns.of(()) == ()
    assert list(columns[5:9]) == VMS[5:9] and columns != VMS[:-1] and columns != VMS[::-1]
    assert VmColumns.joined([columns[:100], VMS[100:], ()]) == VMS
    assert repr(columns) == repr(VmColumns.joined([VMS[:1], VMS[1:]]))
    changed = [*VMS[:-1], VMS[-1]._replace(sequence=9)]
    assert columns != changed and repr(columns) != repr(VmColumns.of(changed))
    with pytest.raises(TypeError):
        hash(columns)


def test_what_checks_ask_of_columns():
    columns = VmColumns.of(VMS)
    for text in ("0.0.0.0/0", "0.0.64.0/18", "0.0.7.1/32", "::/0", "::4000/115", "::1/128"):
        prefix = Prefix.parse(text)
        assert columns.inside(prefix).tolist() == [prefix.contains(vm.ip) for vm in VMS]
    some = {vm.ip for vm in VMS[::3]}
    strange = {Ip(b"\1\1\1\1"), Ip(b"\1" * 16)}
    for wanted in (some, set(list(some)[:3])):
        assert columns.having(wanted | strange) == wanted
    first = {}
    for number, vm in enumerate(VMS):
        first.setdefault(vm.host, number)
    assert list(columns.hosts_used.items()) == list(first.items())


def test_a_table_is_sorted_and_found_by_key():
    table = VmTable.of(RANDOM.sample(ENTRIES, len(ENTRIES)))
    wanted = sorted(ENTRIES, key=lambda e: (e.vni, len(e.ip), e.ip))
    assert list(table) == wanted == [table[n] for n in range(len(table))] and table == wanted
    assert table.digest == VmTable.of(wanted).digest != table[1:].digest
    for number, entry in enumerate(wanted):
        assert table.find(entry.vni, entry.ip) == number
    assert table.find(2, wanted[0].ip) is None
    assert table.find(2**24 - 1, Ip(b"\xff" * 4)) is None
    assert VmTable.of(()).find(1, Ip(b"\xff" * 16)) is None
    assert table.senders == sorted({(e.vni, e.vtep) for e in ENTRIES})
    half = VmTable(table.rows[::2])
    assert half.places(table).tolist() == [n // 2 if n % 2 == 0 else -1 for n in range(len(table))]
