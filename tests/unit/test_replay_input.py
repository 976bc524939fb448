"""Which files `ccn replay` takes for captures of Ethernet frames, and what it says of others."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ccn_bgp.errors import InputError
from ccn_bgp.gateway.replay import check_pcap

FRAMES = (b"a" * 60, b"b" * 77)


def pcap(order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    found = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in FRAMES:
        found += struct.pack(f"{order}4I", 0, 0, len(frame), len(frame)) + frame
    return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_every_kind_of_pcap_is_counted(tmp_path: Path, order: str, magic: int) -> None:
    (tmp_path / "in.pcap").write_bytes(pcap(order, magic))
    assert check_pcap(tmp_path / "in.pcap") == 2
    (tmp_path / "in.pcap").write_bytes(pcap(order, magic)[:24])
    assert check_pcap(tmp_path / "in.pcap") == 0


GOOD = pcap()
BAD = {
    "is empty": b"",
    "is not a pcap file": b"hello",
    "is a pcapng file": b"\n\r\r\n" + bytes(40),
    "ends within its header": GOOD[:20],
    "link type 101, not Ethernet": pcap(link=101),
    "ends within frame 2": GOOD[:-1],
    "ends within the header of frame 2": GOOD[: 24 + 16 + 60 + 7],
    "frame 1 claims 1073741824 octets": GOOD[:32] + struct.pack("<II", 1 << 30, 60) + GOOD[40:],
}


@pytest.mark.parametrize("words", sorted(BAD))
def test_what_is_none_says_why(tmp_path: Path, words: str) -> None:
    (tmp_path / "in.pcap").write_bytes(BAD[words])
    with pytest.raises(InputError, match=words):
        check_pcap(tmp_path / "in.pcap")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        check_pcap(tmp_path / "in.pcap")
    with pytest.raises(InputError, match="Is a directory"):
        check_pcap(tmp_path)
