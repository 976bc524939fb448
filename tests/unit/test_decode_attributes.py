"""Each path attribute: which value costs the attribute, which costs the routes (RFC 7606 §7)."""

from __future__ import annotations

import pytest

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.session.decode import Decoder, SessionParameters, Update, Verdict

OK, DISCARD = Verdict.OK, Verdict.ATTRIBUTE_DISCARD
WITHDRAW, RESET = Verdict.TREAT_AS_WITHDRAW, Verdict.SESSION_RESET

EXTERNAL = SessionParameters("peer", peer_asn=64601, local_asn=64602)
INTERNAL = SessionParameters("peer", peer_asn=64602, local_asn=64602)
OLD = SessionParameters("peer", peer_asn=64601, local_asn=64602, asn4=False)
ANY_FIRST = SessionParameters("peer", 64601, 64602, enforce_first_as=False)


def attribute(flags: int, code: int, text: str = "") -> bytes:
    value = bytes.fromhex(text)
    return bytes((flags, code, len(value))) + value


GOOD = {
    1: attribute(0x40, 1, "00"),
    2: attribute(0x40, 2, "0201 0000fc59"),
    3: attribute(0x40, 3, "c0000201"),
}
OLD_PATH = attribute(0x40, 2, "0201 fc59")


def judge(session: SessionParameters, *attributes: bytes) -> Update:
    """An UPDATE of 10.0.0.0/8; the given attributes replace the good ones of their codes."""
    blob = b"".join((GOOD | {a[1]: b"" for a in attributes}).values()) + b"".join(attributes)
    body = b"\0\0" + len(blob).to_bytes(2, "big") + blob + b"\x08\x0a"
    raw = b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + b"\x02" + body
    (got,) = Decoder(session).message(raw)
    assert isinstance(got, Update)
    assert (len(got.announced), len(got.withdrawn)) == (
        (1, 0) if got.verdict in (OK, DISCARD) else (0, got.verdict is WITHDRAW)
    )
    return got


@pytest.mark.parametrize(
    ("session", "flags", "code", "value", "verdict", "rfc"),
    [
        (EXTERNAL, 0x40, 1, "", WITHDRAW, "RFC 7606 §7.1"),
        (EXTERNAL, 0x40, 1, "0000", WITHDRAW, "RFC 7606 §7.1"),
        (EXTERNAL, 0x40, 1, "03", WITHDRAW, "RFC 7606 §7.1"),
        (EXTERNAL, 0x40, 2, "0501 0000fc59", WITHDRAW, "RFC 7606 §7.2"),
        (EXTERNAL, 0x40, 2, "0001 0000fc59", WITHDRAW, "RFC 7606 §7.2"),
        (EXTERNAL, 0x40, 2, "0202 0000fc59", WITHDRAW, "RFC 7606 §7.2"),
        (EXTERNAL, 0x40, 2, "0201 0000fc59 02", WITHDRAW, "RFC 7606 §7.2"),
        (EXTERNAL, 0x40, 2, "0201 0000fc59 0200", WITHDRAW, "RFC 7606 §7.2"),
        (EXTERNAL, 0x40, 2, "0202 0000fc59 00000000", WITHDRAW, "RFC 7607 §2"),
        (EXTERNAL, 0x40, 2, "0301 0000fc59", WITHDRAW, "RFC 5065 §5"),
        (EXTERNAL, 0x40, 2, "", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x40, 2, "0201 0000fc5a", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x40, 2, "0101 0000fc59", WITHDRAW, "RFC 4271 §6.3"),
        (ANY_FIRST, 0x40, 2, "0201 0000fc5a", OK, ""),
        (INTERNAL, 0x40, 2, "0201 0000fc5a", OK, ""),
        (INTERNAL, 0x40, 2, "", OK, ""),
        (EXTERNAL, 0x40, 2, "0201 0000fc59 0102 00000001 00000002", OK, ""),
        (EXTERNAL, 0x40, 3, "c00002", WITHDRAW, "RFC 7606 §7.3"),
        (EXTERNAL, 0x40, 3, "c000020100", WITHDRAW, "RFC 7606 §7.3"),
        (EXTERNAL, 0x40, 3, "00000000", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x40, 3, "7f000001", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x40, 3, "e0000001", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x40, 3, "ffffffff", WITHDRAW, "RFC 4271 §6.3"),
        (EXTERNAL, 0x80, 4, "000001", WITHDRAW, "RFC 7606 §7.4"),
        (EXTERNAL, 0x40, 5, "00000064", DISCARD, "RFC 7606 §7.5"),
        (EXTERNAL, 0x40, 5, "64", DISCARD, "RFC 7606 §7.5"),
        (INTERNAL, 0x40, 5, "64", WITHDRAW, "RFC 7606 §7.5"),
        (EXTERNAL, 0x40, 6, "00", DISCARD, "RFC 7606 §7.6"),
        (EXTERNAL, 0xC0, 7, "fc59c0000201", DISCARD, "RFC 7606 §7.7"),
        (EXTERNAL, 0xC0, 7, "00000000c0000201", DISCARD, "RFC 7607 §2"),
        (EXTERNAL, 0xC0, 8, "", WITHDRAW, "RFC 7606 §7.8"),
        (EXTERNAL, 0xC0, 8, "fc5900", WITHDRAW, "RFC 7606 §7.8"),
        (EXTERNAL, 0x80, 9, "c0000201", DISCARD, "RFC 7606 §7.9"),
        (INTERNAL, 0x80, 9, "c00002", WITHDRAW, "RFC 7606 §7.9"),
        (EXTERNAL, 0x80, 10, "c0000201", DISCARD, "RFC 7606 §7.10"),
        (INTERNAL, 0x80, 10, "", WITHDRAW, "RFC 7606 §7.10"),
        (INTERNAL, 0x80, 10, "c0000201c0", WITHDRAW, "RFC 7606 §7.10"),
        (EXTERNAL, 0xC0, 16, "", WITHDRAW, "RFC 7606 §7.14"),
        (EXTERNAL, 0xC0, 16, "0002fc58000000", WITHDRAW, "RFC 7606 §7.14"),
        (EXTERNAL, 0xC0, 16, "ff02fc5800000064", OK, ""),
        (EXTERNAL, 0xC0, 17, "0201 0000fc59", DISCARD, "RFC 6793 §4.1"),
        (EXTERNAL, 0xC0, 18, "0000fc59c0000201", DISCARD, "RFC 6793 §4.1"),
        (EXTERNAL, 0xC0, 22, "00000000", WITHDRAW, "RFC 6514 §5"),
        (EXTERNAL, 0xC0, 23, "0008", WITHDRAW, "RFC 9012 §13"),
        (EXTERNAL, 0xC0, 23, "0008 0001", WITHDRAW, "RFC 9012 §13"),
        (EXTERNAL, 0xC0, 23, "0008 0002 0600", OK, ""),
        (EXTERNAL, 0xC0, 25, "00" * 19, WITHDRAW, "RFC 7606 §7.15"),
        (EXTERNAL, 0xC0, 32, "", WITHDRAW, "RFC 8092 §6"),
        (EXTERNAL, 0xC0, 32, "00" * 11, WITHDRAW, "RFC 8092 §6"),
        (EXTERNAL, 0xC0, 35, "00fc59", WITHDRAW, "RFC 9234 §5"),
        (EXTERNAL, 0xC0, 128, "00fc59", WITHDRAW, "RFC 7606 §7.16"),
        (EXTERNAL, 0x80, 99, "", OK, ""),
        (EXTERNAL, 0xC0, 99, "", OK, ""),
    ],
)
def test_values(
    session: SessionParameters, flags: int, code: int, value: str, verdict: Verdict, rfc: str
) -> None:
    got = judge(session, attribute(flags, code, value))
    assert (got.verdict, [e.rfc for e in got.errors]) == (verdict, [rfc] if rfc else [])


@pytest.mark.parametrize(
    ("right", "code", "value"),
    [
        (0x40, 1, "00"),
        (0x40, 2, "0201 0000fc59"),
        (0x40, 3, "c0000201"),
        (0x80, 4, "00000001"),
        (0x40, 5, "00000064"),
        (0x40, 6, ""),
        (0xC0, 7, "0000fc59c0000201"),
        (0xC0, 8, "fc590001"),
        (0x80, 9, "c0000201"),
        (0x80, 10, "c0000201"),
        (0xC0, 16, "0002fc5800000064"),
        (0xC0, 32, "00" * 12),
        (0xC0, 35, "0000fc59"),
    ],
)
def test_flags(right: int, code: int, value: str) -> None:
    """Optional and Transitive count (RFC 7606 §3 c); Partial and the unused bits do not."""
    session = SessionParameters("peer", 64602, 64602)
    for flags in range(0, 256, 1):
        if flags & 0x10:
            continue  # extended length: another layout
        got = judge(session, attribute(flags, code, value))
        if flags & 0xC0 == right:
            assert got.verdict is OK
        else:
            assert (got.verdict, got.errors[0].rfc) == (WITHDRAW, "RFC 7606 §3 c")


def test_extended_length() -> None:
    raw = bytes((0x50, 1, 0, 1, 0))
    assert judge(EXTERNAL, raw).verdict is OK


@pytest.mark.parametrize(
    ("hop", "good"),
    [
        ("20010db8000000000000000000000001", True),
        ("fe800000000000000000000000000001", True),
        ("00000000000000000000000000000000", False),
        ("00000000000000000000000000000001", False),
        ("ff020000000000000000000000000001", False),
        ("00000000000000000000ffffc0000201", True),
    ],
)
def test_ipv6_next_hops(hop: str, good: bool) -> None:
    reach = attribute(0x80, 14, "0002 01 10" + hop + "00 20 20010db8")
    blob = GOOD[1] + GOOD[2] + reach
    body = b"\0\0" + len(blob).to_bytes(2, "big") + blob
    raw = b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + b"\x02" + body
    (got,) = Decoder(EXTERNAL).message(raw)
    assert isinstance(got, Update)
    assert (got.verdict is OK) == good
    assert (len(got.announced), len(got.withdrawn)) == ((1, 0) if good else (0, 1))


def attributes_of(*attributes: bytes) -> tuple[Update, PathAttributes]:
    got = judge(OLD, *attributes)
    assert got.attributes is not None
    return got, got.attributes


@pytest.mark.parametrize(
    ("path", "as4_path", "expected"),
    [
        ("0202 fc59 5ba0", "0202 0000fc59 00010005", "64601 65541"),
        ("0203 fc59 5ba0 0007", "0202 00010005 00000007", "64601 65541 7"),
        ("0201 fc59", "0202 00010005 00000007", "64601"),  # longer than AS_PATH: ignored, §4.2.3
        ("0202 fc59 5ba0 0102 0001 0002", "0201 00010005", "64601 23456 65541"),
        ("0201 fc59 0102 0001 0002", "0101 00010005", "64601 {65541}"),
        ("0202 fc59 5ba0", "0301 00000009 0201 00010005", "64601 65541"),
    ],
)
def test_paths_through_2_octet_speakers(path: str, as4_path: str, expected: str) -> None:
    got, a = attributes_of(attribute(0x40, 2, path), attribute(0xC0, 17, as4_path))
    assert (got.verdict, a.as_path_text) == (OK, expected)


@pytest.mark.parametrize("value", ["", "0201 0001", "0200", "0901 00010005", "0201 00000000"])
def test_malformed_as4_path_is_dropped(value: str) -> None:
    got, a = attributes_of(attribute(0x40, 2, "0202 fc59 5ba0"), attribute(0xC0, 17, value))
    assert (got.verdict, a.as_path_text) == (DISCARD, "64601 23456")
    assert got.errors[0].rfc == "RFC 6793 §6"


def test_aggregators_through_2_octet_speakers() -> None:
    path, as4_path = attribute(0x40, 2, "0202 fc59 5ba0"), attribute(0xC0, 17, "0201 00010005")
    as4 = attribute(0xC0, 18, "00010005 c0000209")
    _, a = attributes_of(path, as4_path, attribute(0xC0, 7, "5ba0 c0000208"), as4)
    assert (a.aggregator, a.as_path_text) == ((65541, Ip.parse("192.0.2.9")), "64601 65541")
    # A true 2-octet AS has aggregated since: both AS4 attributes are stale (RFC 6793 §4.2.3).
    _, a = attributes_of(path, as4_path, attribute(0xC0, 7, "0007 c0000208"), as4)
    assert (a.aggregator, a.as_path_text) == ((7, Ip.parse("192.0.2.8")), "64601 23456")
    got, a = attributes_of(OLD_PATH, attribute(0xC0, 7, "5ba0 c0000208"), attribute(0xC0, 18, "00"))
    assert (got.verdict, a.aggregator) == (DISCARD, (23456, Ip.parse("192.0.2.8")))
    assert judge(OLD, OLD_PATH, attribute(0xC0, 7, "0000fc59c0000201")).verdict is DISCARD


def test_the_strongest_verdict_wins() -> None:
    """RFC 7606 §3 h."""
    got = judge(EXTERNAL, attribute(0x40, 5, "00000064"), attribute(0x40, 1, "03"))
    assert got.verdict is WITHDRAW
    assert {e.rfc for e in got.errors} == {"RFC 7606 §7.5", "RFC 7606 §7.1"}
