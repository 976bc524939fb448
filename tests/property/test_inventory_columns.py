"""A CSV inventory read in whole columns, or row by row: the same VMs, and no fault overlooked."""

from pathlib import Path
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccn_bgp.config import inventory_columns
from ccn_bgp.config.inventory import _rows, _text, _whole_csv
from ccn_bgp.config.inventory_forms import csv_table
from ccn_bgp.errors import InputError

NAMES = ("web", "web2", "orders", "o" * 63)
OCTET = st.one_of(
    st.integers(0, 255).map(str), st.sampled_from("00 01 256 1000 0000 x - 4294967297 0".split())
)
ADDRESS = st.one_of(
    st.builds(lambda *p: ".".join(map(str, p)), *[st.integers(0, 255)] * 4),
    st.lists(OCTET, min_size=3, max_size=5).map(".".join),
    st.sampled_from(("", "fd00::1", "::ffff:10.0.0.1", "1.2.3.", ".1.2.3", "1..2.3", "10.0.0.1 ")),
)
MAC = st.one_of(
    st.binary(min_size=6, max_size=6).map(lambda b: bytes((b[0] & 0xFE, *b[1:])).hex(":")),
    st.sampled_from(
        ("02-00-00-00-00-0A", "01:00:00:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00:0g", "")
    ),
)
VPC = st.one_of(st.sampled_from(NAMES), st.sampled_from(("", "we", "web3", "WEB", "ü")))
SEQUENCE = st.sampled_from(("", "0", "7", "007", "4294967295", "4294967296", "-1", "1.0", "x"))
ROW = st.tuples(VPC, ADDRESS, MAC, ADDRESS, SEQUENCE)
GOOD = st.tuples(
    st.sampled_from(NAMES),
    st.ip_addresses().map(str),
    st.just("02:00:00:00:00:0a"),
    st.ip_addresses(v=4).filter(lambda ip: not ip.is_multicast).map(str),
    st.integers(0, 2**32 - 1).map(str),
)
PATH = Path("vms.csv")


def slowly(text):
    """What the reader of single rows makes of it; None if it finds a fault."""
    try:
        return _rows(PATH, csv_table(PATH, _text(PATH, text.encode())), NAMES)
    except InputError:
        return None


@example([("web", "10.0.0.1", "02:00:00:00:00:0a", "224.0.0.9", "0")], "")
@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(ROW, GOOD), max_size=4), st.sampled_from(("", "\n", "\r\n", "\n\n", ",")))
def test_no_fault_is_overlooked(rows, tail):
    text = "vpc,ip,mac,host,sequence\n" + "\n".join(map(",".join, rows)) + tail
    quick, slow = _whole_csv(text.encode(), NAMES), slowly(text)
    if quick is not None:
        assert slow is not None
        assert (quick.vpcs, list(quick.lines)) == (slow.vpcs, list(slow.lines))
        assert list(quick.vms) == list(slow.vms)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(GOOD, min_size=1, max_size=9), st.permutations(range(5)), st.integers(1, 4), st.data()
)
def test_good_files_are_read_in_columns(rows, order, chunk, data):
    names = ("vpc", "ip", "mac", "host", "sequence")
    lines = [",".join(row[n] for n in order) for row in (names, *rows)]
    text = "\n".join(lines) + data.draw(st.sampled_from(("", "\n")))
    with mock.patch.object(inventory_columns, "CHUNK", chunk):
        quick = _whole_csv(text.encode(), NAMES)
    slow = slowly(text)
    assert quick is not None and slow is not None
    assert (quick.vpcs, list(quick.vms)) == (slow.vpcs, list(slow.vms))
