"""OPEN messages, before ExaBGP reads them: what is wrong with them, what is left of them."""

import pytest
from exabgp.bgp.message import Open
from exabgp.bgp.message.open.capability import Capability
from oracle.bgp_speech import EVPN, REFRESH, capability, four_octets, opening

from ccn_bgp.session.bgp_stream import Fault
from ccn_bgp.session.opening import read_open

ASN = 64601
HEAD = opening(ASN)[19:28]
TOLD = EVPN + four_octets(ASN)
RESTART = capability(64, b"\x80\x78\0\x19\x46\x80")


WRONG = {
    (1, 2): {"\0\x1c": HEAD, "\0\x13": b""},
    (2, 1): {"\0\4 version 3": opening(ASN, version=3)[19:]},
    (2, 4): {
        " optional parameter 1": opening(ASN, b"\x01\x02ab")[19:],
        " optional parameter 3": opening(ASN, b"\x02\x06" + EVPN + b"\x03\0")[19:],
    },
    (2, 0): {
        " optional parameter 2 is cut off": HEAD + b"\x01\x02",
        " optional parameter 5 is cut off": HEAD + b"\x08\x05\x07" + EVPN,
        " optional parameter 6 is cut off": HEAD + b"\xff\xff\0\x08\x06\0\x06" + EVPN[:5],
        " optional parameter 7 is cut off": HEAD + b"\xff\xff\0\x02\x07\0",
        " capability 3 is cut off": opening(ASN, b"\x02\x01\x03")[19:],
        " capability 1 is cut off": opening(ASN, b"\x02\x06\x01\x05\0\x19\0\x46")[19:],
        " capability 1 of 3 octets": opening(ASN, more=capability(1, b"\0\x19\0"))[19:],
        " capability 65 of 3 octets": opening(ASN, more=capability(65, b"\0\0\1"))[19:],
        " capability 64 of 0 octets": opening(ASN, more=capability(64))[19:],
        " capability 64 of 5 octets": opening(ASN, more=capability(64, bytes(5)))[19:],
        " 9 octets of optional parameters, 8 are there": HEAD + b"\x09\x02\x06" + EVPN,
        " 0 octets of optional parameters, 8 are there": HEAD + b"\0\x02\x06" + EVPN,
        " 255 octets of optional parameters, 0 are there": HEAD + b"\xff",
        " the length of the optional parameters is cut off": HEAD + b"\xff\xff\0",
        " 9 octets of optional parameters, 3 are there": HEAD + b"\xff\xff\0\x09\x02\0\0",
    },
}


@pytest.mark.parametrize(
    ("code", "said", "body"),
    [(code, said, body) for code, cases in WRONG.items() for said, body in cases.items()],
)
def test_what_is_wrong_is_named_as_the_rfc_does(
    code: tuple[int, int], said: str, body: bytes
) -> None:
    data, _, text = said.partition(" ")
    assert read_open(body) == Fault(*code, data.encode(), text)


def heard(body: bytes) -> Open:
    """What ExaBGP makes of what is left."""
    left = read_open(body)
    assert isinstance(left, bytes)
    assert left[:9] == body[:9]
    return Open.unpack_message(left)


@pytest.mark.parametrize(
    "more",
    [
        b"",
        capability(73, b"\x02\xff\xfe\x02\xff\xff") + capability(75),  # names in no UTF-8
        capability(69, b"\0\x19\x46\x09") + capability(5, b"\0\1") + capability(77, b"hello"),
        capability(131) + capability(68, b"\x40"),
        EVPN * 3 + four_octets(ASN) * 3 + REFRESH,
        capability(255, bytes(60)) * 2,
    ],
)
def test_capabilities_that_we_do_not_announce_do_not_matter(more: bytes) -> None:
    octets = TOLD + RESTART + more
    plain = heard(HEAD + bytes((len(octets) + 2, 2, len(octets))) + octets)
    size = len(octets)
    wide = HEAD + b"\xff\xff" + (size + 3).to_bytes(2) + b"\x02" + size.to_bytes(2) + octets
    codes = Capability.CODE
    for found in (plain, heard(wide), heard(wide.replace(b"\xff\xff", b"\x07\xff", 1))):
        assert set(found.capabilities) - set(map(int, (2, 70))) == {
            codes.MULTIPROTOCOL, codes.GRACEFUL_RESTART, codes.FOUR_BYTES_ASN,
        }  # fmt: skip
        assert [tuple(map(int, f)) for f in found.capabilities[codes.MULTIPROTOCOL]] == [(25, 70)]
        assert int(found.capabilities[codes.FOUR_BYTES_ASN]) == ASN


def test_many_families_are_written_in_the_wide_form() -> None:
    families = b"".join(capability(1, n.to_bytes(2) + b"\0\1") for n in range(1, 100))
    size = len(families + TOLD)
    body = (
        HEAD + b"\xff\xff" + (size + 3).to_bytes(2) + b"\x02" + size.to_bytes(2) + families + TOLD
    )
    assert len(heard(body).capabilities[Capability.CODE.MULTIPROTOCOL]) == 100


@pytest.mark.parametrize("families", [61, 62, 63])
def test_a_capability_too_long_for_a_plain_parameter_is_written_in_the_wide_form(
    families: int,
) -> None:
    named = b"".join(b"\0" + bytes((n,)) + b"\x46\x80" for n in range(families))
    octets = capability(64, b"\x80\x78" + named)
    size = len(octets)
    body = HEAD + b"\xff\xff" + (size + 3).to_bytes(2) + b"\x02" + size.to_bytes(2) + octets
    restart = heard(body).capabilities[Capability.CODE.GRACEFUL_RESTART]
    assert restart.restart_time == 0x78 and len(list(restart.families())) == families


def test_an_open_without_parameters_is_one() -> None:
    assert read_open(opening(ASN, b"")[19:]) == opening(ASN, b"")[19:]
