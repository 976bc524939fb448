"""UPDATE messages built from octets, for hypothesis: as a speaker might send them, and broken ones
of every kind. ``messages`` gives a session and a message, ``updates`` messages of one session.
"""

from __future__ import annotations

from hypothesis import strategies as st
from oracle.plain_values import Session

LOCAL = 64602

sessions = st.builds(
    Session,
    peer_as=st.sampled_from((64601, LOCAL)),
    local_as=st.just(LOCAL),
    four_octet_as=st.booleans(),
    check_first_as=st.booleans(),
    mpls=st.sampled_from((False, False, True)),
)


def sized(width: int, octets: bytes) -> bytes:
    return len(octets).to_bytes(width, "big") + octets


def update(withdrawn: bytes, attributes: bytes, nlri: bytes) -> bytes:
    body = b"\2" + sized(2, withdrawn) + sized(2, attributes) + nlri
    return b"\xff" * 16 + (18 + len(body)).to_bytes(2, "big") + body


octets = st.binary
few = st.sampled_from
h = bytes.fromhex


@st.composite
def addresses(draw: st.DrawFn, width: int, careful: bool) -> bytes:
    """The NLRI of one prefix; not ``careful``: now and then too long, or of too few octets."""
    bits = draw(st.integers(0, width * 8))
    address = draw(octets(min_size=(bits + 7) // 8, max_size=(bits + 7) // 8))
    slip = 0 if careful else draw(st.integers(0, 30))
    return bytes((bits + (slip == 1) * 9,)) + (address[:-1] if slip == 2 else address)


RDS = few(
    (h("0000fc5800000064"), h("0001c000020b0064"), h("000200010002000a"), h("0101000000000001"))
)
ESIS = few((bytes(10), bytes(10), h("00112233445566778899")))
TAGS = few((bytes(4), h("00000007"), h("ffffffff")))
LABELS = few((bytes(3), h("004e84"), h("004e84"), h("123450"), h("ffffff")))


@st.composite
def evpn_routes(draw: st.DrawFn, careful: bool) -> bytes:
    """One EVPN route. ``careful``: of a type that is known, its lengths agree."""
    kind = draw(few((5, 5, 5, 5, 2, 2, 2, 1, 3, 4) if careful else (5, 5, 2, 2, 1, 3, 4, 0, 6, 11)))
    rd, esi, tag, label = draw(RDS), draw(ESIS), draw(TAGS), draw(LABELS)
    width = draw(few((4, 4, 16)))
    ip = draw(few((h("0a010a0a"), h("0a020a0a"), bytes(4)))) + bytes(width - 4)
    bits = draw(few((width * 8,) if careful else (width * 8, width * 8, 0, 33, 129)))
    if kind == 5:
        bits = draw(few((0, 8, 17, 24, 31, bits)))
        gateway = draw(few((bytes(width), bytes(width), bytes(width - 1) + b"\7")))
        value = rd + esi + tag + bytes((bits,)) + ip + gateway + label
    elif kind == 2:
        length = draw(few((0, width * 8, width * 8) if careful else (width * 8, 24)))
        mac = draw(few((b"\x30",) if careful else (b"\x30", b"\x30", b"\x28")))
        value = rd + esi + tag + mac + h("02000a01000a") + bytes((length,)) + ip[: length // 8]
        more = (b"", h("004e84")) if careful else (b"", h("004e84"), h("00"), h("004e84004e84"))
        value += label + draw(few(more))
    elif kind == 1:
        value = rd + esi + tag + label
    else:
        value = rd + (tag if kind == 3 else esi) + bytes((bits,)) + ip
    if not careful and draw(st.integers(0, 9)) == 0:
        value = value[: draw(st.integers(0, len(value)))]
    return bytes((kind,)) + sized(1, value)


def routes_of(family: str, careful: bool) -> st.SearchStrategy[bytes]:
    return {
        "0001 01": addresses(4, careful),
        "0002 01": addresses(16, careful),
        "0019 46": evpn_routes(careful),
        "0001 80": octets(max_size=12),
    }[family]


AFI_SAFI = few(("0019 46", "0019 46", "0019 46", "0019 46", "0002 01", "0002 01", "0001 01"))
GOOD4, GOOD6 = "c0000215", "20010db8" + "00" * 11 + "01"
HOPS4 = few((GOOD4, GOOD4, GOOD4, "00000000", "7f000001", "e0000001", "f0000001"))
HOPS6 = few((GOOD6, GOOD6, "ff02" + "00" * 14, "00" * 15 + "01", "00" * 16, "00" * 15 + "02"))


@st.composite
def reach_values(draw: st.DrawFn, careful: bool) -> bytes:
    family = draw(AFI_SAFI)
    if not careful and draw(st.integers(0, 9)) == 0:
        family = "0001 80"
    six = family == "0002 01" or (family == "0019 46" and draw(st.integers(0, 2)) == 0)
    good = st.just(GOOD6 if six else GOOD4)
    hop = h(draw(good if careful else HOPS6 if six else HOPS4))
    if family == "0002 01" and draw(st.booleans()):
        hop += h("fe80" + "00" * 13 + "01")
    if not careful and draw(st.integers(0, 14)) == 0:
        hop = hop[: draw(st.integers(0, len(hop)))]
    routes = b"".join(draw(st.lists(routes_of(family, careful), max_size=4)))
    return h(family) + sized(1, hop) + b"\0" + routes


@st.composite
def unreach_values(draw: st.DrawFn, careful: bool) -> bytes:
    family = draw(AFI_SAFI)
    return h(family) + b"".join(draw(st.lists(routes_of(family, careful), max_size=3)))


@st.composite
def paths(draw: st.DrawFn, width: int) -> bytes:
    """The value of an AS path, most often one that begins with the peer."""
    asns = few((64601, 64601, 23456, 65101, 0 if draw(few((True,) + (False,) * 14)) else 1))
    found = draw(few((b"", b"\2\1" + (64601).to_bytes(width, "big"))))
    for kind in draw(
        st.lists(few((1, 2, 2, 2, 3, 4, 5, 0)[: draw(few((4, 4, 6, 8)))]), max_size=3)
    ):
        members = draw(st.lists(asns, min_size=draw(few((0, 1, 1, 1, 1))), max_size=4))
        found += bytes((kind, len(members)))
        found += b"".join(a.to_bytes(width, "big") for a in members)
    return found


COMMUNITIES = few(
    [
        h(text)
        for text in (
            "0002fc5800000064 0102c000020b0064 0202000100020064 030c000000000008 030c000000000001"
            " 060302ccc000020b 060301ccc000020b 0600010000000007 0603000000000000"
            " 4004fde847f42400 0004000a7f800000 40040001c2280000 400400014e800000"
            " 4006000000000001 8080000000000000 0600000000000001"
        ).split()
    ]
)


def many(item: st.SearchStrategy[bytes], top: int = 4) -> st.SearchStrategy[bytes]:
    return st.lists(item, min_size=1, max_size=top).map(b"".join)


def four() -> st.SearchStrategy[bytes]:
    return octets(min_size=4, max_size=4)


VALUES: dict[int, tuple[int, st.SearchStrategy[bytes]]] = {
    1: (0x40, few((b"\0", b"\1", b"\2", b"\3"))),
    2: (0x40, paths(4) | paths(2)),
    3: (0x40, HOPS4.map(h)),
    4: (0x80, four()),
    5: (0x40, four()),
    6: (0x40, st.just(b"")),
    7: (0xC0, few((h("5ba0c0000209"), h("fc59c0000209"), h("0000fc59c0000209"), bytes(8)))),
    8: (0xC0, many(four())),
    9: (0x80, four()),
    10: (0x80, many(four())),
    14: (0x80, reach_values(False)),
    15: (0x80, unreach_values(False)),
    16: (0xC0, many(COMMUNITIES)),
    17: (0xC0, paths(4)),
    18: (0xC0, few((h("00010002c0000209"), bytes(8)))),
    22: (0xC0, few((h("0006000000c0000201"), bytes(4)))),
    23: (0xC0, few((h("00080000"), h("0008000401020102"), h("00080009")))),
    25: (0xC0, few((bytes(20), bytes(19)))),
    32: (0xC0, many(few((bytes(12), h("000000010000000200000003"))))),
    35: (0xC0, four()),
    128: (0xC0, octets(min_size=3, max_size=6)),
    41: (0xC0, octets(max_size=5)),
    42: (0x80, octets(max_size=5)),
    43: (0xE0, st.just(bytes(300))),
    44: (0x40, octets(max_size=3)),
}
GOOD: dict[int, st.SearchStrategy[bytes]] = {
    1: few((b"\0", b"\1", b"\2")),
    3: st.just(h(GOOD4)),
    14: reach_values(True),
    15: unreach_values(True),
}
"""Where the values above are not all good."""
USUAL = [code for code in VALUES if code not in (1, 2, 3, 14, 15, 44)]


@st.composite
def good_path(draw: st.DrawFn, width: int) -> bytes:
    """An AS_PATH that begins with the peer, now and then with 23456 where 4 octets were."""
    asns = st.lists(few((64601, 23456, 65101)), max_size=4)
    members = [64601, *draw(asns)]
    tail = draw(few((b"", b"\1\1" + (65000).to_bytes(width, "big"))))
    return bytes((2, len(members))) + b"".join(a.to_bytes(width, "big") for a in members) + tail


@st.composite
def attributes(draw: st.DrawFn, code: int, asn4: bool, careful: bool) -> bytes:
    """One attribute. Not ``careful``: now and then with other flags, or of another length."""
    flags, strategy = VALUES[code]
    width = 4 if asn4 else 2
    if careful:
        strategy = good_path(width) if code == 2 else GOOD.get(code, strategy)
    elif code == 2:
        strategy = paths(width)
    value = draw(strategy)
    slip = 0 if careful else draw(st.integers(0, 30))
    if slip == 1:
        flags ^= draw(few((0x80, 0x40, 0x20, 0xC0, 0x0F)))
    if slip == 2:
        value = value[: draw(st.integers(0, len(value)))]
    if slip == 3:
        value += draw(octets(min_size=1, max_size=3))
    length = len(value)
    if slip == 4:
        length += draw(st.integers(1, 9))
    if length > 255 or draw(few((False, False, True))):
        return bytes((flags | 0x10, code)) + length.to_bytes(2, "big") + value
    return bytes((flags, code, length)) + value


@st.composite
def updates(draw: st.DrawFn, session: Session) -> bytes:
    """A message as a speaker might send it; one part in four is not ``careful``."""

    def careful() -> bool:
        return draw(st.integers(0, 3)) > 0

    classic, multiprotocol = draw(few(((True, False), (False, True), (False, True), (True, True))))
    codes = [1, 2, 3] if classic else [1, 2]
    codes += [14] if multiprotocol else []
    codes += draw(st.lists(few(USUAL), max_size=5, unique=True))
    codes += [15] if draw(st.booleans()) else []
    if not careful():
        codes = draw(st.permutations(codes))
    if not careful() and not careful():
        codes += draw(st.lists(few((1, 4, 14, 15, 44)), max_size=2))
        codes = codes[draw(st.integers(0, 1)) :]
    blob = b"".join(draw(attributes(c, session.four_octet_as, careful())) for c in codes)
    if not careful() and not careful():
        blob += draw(octets(min_size=1, max_size=4))
    fields = [
        b"".join(draw(st.lists(addresses(4, careful()), min_size=least, max_size=3)))
        for least in (0, int(classic))
    ]
    return update(fields[0], blob, fields[1] if classic else b"")


messages = sessions.flatmap(lambda s: st.tuples(st.just(s), updates(s)))


def framed(body: bytes) -> bytes:
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + b"\2" + bytes(body)
