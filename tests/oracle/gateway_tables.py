"""Hypothesis: tables of a small gateway. Few addresses, so that prefixes, VMs and packets meet."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st
from oracle.plain_tables import (
    ANY_PORT,
    DROP,
    HAND_OFF,
    L3,
    NEIGHBOR,
    ON_LINK,
    REMOTE,
    UPLINK,
    VIP,
    VPC,
    AclRow,
    Group,
    Interface,
    NextHop,
    Tables,
    Vm,
    network,
)

PORTS = ("p0", "p1")


def octets(text):
    return ip_address(text).packed


ADDRESSES = [
    octets(text)
    for text in (
        "10.1.0.10",
        "10.1.0.20",
        "10.1.255.255",
        "10.2.0.10",
        "10.99.0.1",
        "100.64.0.1",
        "172.16.5.5",
        "192.168.0.0",
        "223.255.255.255",
        "1.0.0.0",
        "fd00:1::10",
        "fd00:1::20",
        "fd00:1:0:1::10",
        "fd00:2::ffff:ffff:ffff:ffff",
        "2001:db8::1",
        "64:ff9b::a01:a",
    )
]
ROUTERS = [octets(text) for text in ("10.1.0.1", "10.2.0.1", "fd00:1::1", "fd00:2::1")]
"""The gateway's own addresses inside VPCs."""
HOSTS = [octets(f"192.0.2.{n}") for n in (101, 102, 103)]
GATEWAYS = [octets("198.51.100.21"), octets("198.51.100.22"), octets("192.0.2.12")]
UPLINKS = [octets("192.0.2.11"), octets("203.0.113.11")]
HOSTS6 = [octets(f"2001:db8:0:2::{n}") for n in (101, 102, 103)]
GATEWAYS6 = [octets(f"2001:db8:{n}") for n in ("0:51::21", "0:51::22", "0:2::12")]
UPLINKS6 = [octets("2001:db8:0:2::11"), octets("2001:db8:0:113::11")]
TUNNELS = {4: octets("10.255.0.11"), 6: octets("2001:db8:ff::11")}
"""A tunnel address apart from those of the uplinks."""
OURS = {4: UPLINKS, 6: UPLINKS6}
ENDS = {4: [*HOSTS, *GATEWAYS], 6: [*HOSTS6, *GATEWAYS6]}
VNIS = (1, 10001, 10002, 20100, 20200, 0xFFFFFF)
CCSIS = (100, 200, 65535)

macs = (
    st.integers(0, (1 << 46) - 1)
    .map(lambda n: (n | 2 << 40).to_bytes(6, "big"))
    .map(lambda mac: bytes([mac[0] & 0xFE]) + mac[1:])
)


@st.composite
def uplinks(draw, underlay):
    """One or two; on their own, or on one port by VLAN. ``underlay``: 4 or 6."""
    found = []
    tunnel = draw(st.sampled_from((b"", b"", TUNNELS[underlay])))
    for place, ours in enumerate(OURS[underlay][: draw(st.integers(1, 2))]):
        if underlay == 4:
            outside = {
                "address": ours,
                "length": draw(st.sampled_from((24, 24, 32, 1))),
                "via": draw(st.sampled_from((b"", ours[:3] + b"\1"))),
                "vtep": tunnel,
            }
        else:
            routers = (b"", ours[:15] + b"\1", octets("fe80::1:2"))
            outside = {
                "address6": ours,
                "length6": draw(st.sampled_from((64, 64, 128, 1, 61))),
                "via6": draw(st.sampled_from(routers)),
                "vtep6": tunnel,
            }
        found.append(
            Interface(
                id=draw(st.sampled_from((1, 9))) + place,
                role=UPLINK,
                port=draw(st.sampled_from(PORTS)),
                vlan=(0, 7)[place] if draw(st.booleans()) else 40 + place,
                mtu=draw(st.sampled_from((1500, 1600, 2000))),
                mac=draw(st.sampled_from((b"", b"\x02\xcc" + UPLINKS[place]))),
                **outside,
            )
        )
    return found


@st.composite
def hand_offs(draw, ccsis):
    """Up to three, each of a CCSI; two may have the same addresses."""
    found = []
    for place in range(draw(st.integers(0, 3))):
        address6 = draw(st.sampled_from((octets("fd00:1::1"), octets("fe80::9"), b"")))
        found.append(
            Interface(
                id=20 + place,
                role=HAND_OFF,
                port=draw(st.sampled_from(PORTS)),
                vlan=(0, 101, 4094)[place],
                ccsi=draw(st.sampled_from(ccsis)),
                mtu=draw(st.sampled_from((576, 1500))),
                address=draw(st.sampled_from((octets("169.254.1.1"), octets("172.16.5.1"), b""))),
                length=draw(st.sampled_from((30, 24))),
                mac=draw(st.sampled_from((b"", b"\x02\0\0\0\0\x77"))),
                address6=address6,
                length6=draw(st.sampled_from((64, 127))) if address6 else 0,
                site=draw(st.integers(0, 2)),
            )
        )
    return found


@st.composite
def next_hops(draw, vnis, vms, hand_off_ids, gateways):
    """Of any kind; a VIP's VM is mostly there. ``gateways``: VTEPs of others."""
    kinds = [ON_LINK, REMOTE, VIP] * 3 + [NEIGHBOR] * 3 * bool(hand_off_ids) + [DROP]
    kind = draw(st.sampled_from(kinds))
    if kind == DROP:
        return NextHop(DROP)
    if kind == NEIGHBOR:
        ip = draw(st.sampled_from((octets("169.254.1.3"), octets("fe80::3"))))
        return NextHop(NEIGHBOR, interface=draw(st.sampled_from(hand_off_ids)), ip=ip)
    if kind == VIP and draw(st.integers(0, 3)):
        vni, ip = draw(st.sampled_from(vms))
        return NextHop(VIP, vni=vni, ip=ip)
    vni = draw(st.sampled_from(vnis))
    if kind == ON_LINK:
        return NextHop(ON_LINK, vni=vni)
    if kind == VIP:
        return NextHop(VIP, vni=vni, ip=draw(st.sampled_from(ADDRESSES)))
    return NextHop(REMOTE, vni=vni, ip=draw(st.sampled_from(gateways)), mac=draw(macs))


@st.composite
def groups(draw, slots):
    """Of members that are no groups."""
    members = draw(st.lists(st.sampled_from(slots), min_size=2, max_size=16, unique=True))
    return Group(
        tuple(
            (draw(st.integers(0, (1 << 64) - 1)), draw(st.sampled_from((1, 1, 2, 255))), member)
            for member in members
        )
    )


@st.composite
def prefixes(draw):
    address = draw(st.sampled_from(ADDRESSES))
    usual = (0, 8, 16, 24, 32) if len(address) == 4 else (0, 32, 64, 128)
    length = draw(st.one_of(st.sampled_from(usual), st.integers(0, len(address) * 8)))
    return network(address, length), length


@st.composite
def acls(draw):
    """Rows of both families; the last one often lets pass what the others left."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        source, destination = draw(prefixes()), draw(prefixes())
        if len(source[0]) != len(destination[0]):
            destination = bytes(len(source[0])), 0
        protocol = draw(st.sampled_from((None, 6, 17, 17, 1, 58, 47, 132)))
        ports = st.sampled_from((ANY_PORT, ANY_PORT, (22, 22), (80, 443), (1, 65535)))
        has = protocol in (6, 17, 132)
        found.append(
            AclRow(
                draw(st.booleans()),
                4 if len(source[0]) == 4 else 6,
                protocol,
                source,
                destination,
                draw(ports) if has else ANY_PORT,
                draw(ports) if has else ANY_PORT,
            )
        )
    if draw(st.booleans()):
        for size in (4, 16):
            everything = bytes(size), 0
            found.append(AclRow(True, 4 if size == 4 else 6, None, everything, everything))
    return found


@st.composite
def tables(draw):
    """One generation that the forwarder takes."""
    ccsis = draw(st.lists(st.sampled_from(CCSIS), min_size=1, max_size=3, unique=True))
    underlay = draw(st.sampled_from((4, 6)))
    other = ENDS[10 - underlay][:1] * draw(st.sampled_from((0, 0, 0, 1)))  # nothing leads there
    ends, ours = ENDS[underlay] + other, OURS[underlay][0]
    links = draw(uplinks(underlay)) + draw(hand_offs(ccsis))
    vnis = draw(st.lists(st.sampled_from(VNIS), min_size=1, max_size=5, unique=True))
    some_vms = st.tuples(st.sampled_from(vnis), st.sampled_from(ADDRESSES))
    host = st.sampled_from([*ENDS[underlay][:3], *ends, ours])
    places = st.one_of(
        st.tuples(host),
        st.tuples(host),
        st.lists(host, min_size=2, max_size=5, unique=True).map(tuple),
    )
    vms = draw(st.dictionaries(some_vms, st.builds(Vm, macs, places), min_size=4, max_size=16))
    hand_off_ids = [i.id for i in links if i.role == HAND_OFF]
    hop = next_hops(vnis, sorted(vms), hand_off_ids, [*ends[3:], ours])
    hops = dict(enumerate(draw(st.lists(hop, min_size=4, max_size=8)), start=3))
    for slot in range(100, 100 + draw(st.integers(0, 2))):
        hops[slot] = draw(groups(sorted(s for s in hops if s < 100)))
    keys = st.tuples(st.sampled_from(ccsis), prefixes()).map(lambda key: (key[0], *key[1]))
    routes = draw(st.dictionaries(keys, st.sampled_from(sorted(hops)), min_size=4, max_size=20))
    leads = {
        vni: (draw(st.sampled_from(ccsis)), draw(st.sampled_from((VPC, VPC, L3)))) for vni in vnis
    }
    routers = draw(
        st.sets(st.tuples(st.sampled_from(vnis), st.sampled_from(ROUTERS)), min_size=1, max_size=6)
    )
    for slot, (vni, ip) in enumerate(sorted(routers), start=200):  # each in a VPC of its own
        length = 16 if len(ip) == 4 else 64
        hops[slot] = NextHop(ON_LINK, vni=vni)
        routes[leads[vni][0], network(ip, length), length] = slot
    senders = st.tuples(st.sampled_from(vnis), st.sampled_from(ends))
    vteps = draw(st.sets(senders, min_size=1, max_size=12))
    named = sorted({*ENDS[6], UPLINKS6[0]})
    numbers = st.integers(0, (1 << 27) - 1)
    names = draw(st.lists(numbers, min_size=len(named), max_size=len(named), unique=True))
    for n in range(draw(st.sampled_from((0, 0, 300)))):  # of hosts that nobody hears of
        named.append(octets(f"2001:db8:c::{n:x}"))
        names.append(1 << 27 | n)
    declared = st.tuples(st.integers(0, 2), st.booleans())
    return Tables(
        interfaces=links,
        ccsis=ccsis,
        vnis=leads,
        vteps=vteps,
        vtep_flags={
            key: draw(st.integers(0, 3)) for key in sorted(vteps) if leads[key[0]][1] == L3
        },
        unchecked=draw(st.sets(st.sampled_from(ccsis))),
        sources=draw(st.dictionaries(keys, declared, max_size=4)),
        next_hops=hops,
        vms=vms,
        routes=routes,
        acls=draw(st.dictionaries(st.sampled_from(ccsis), acls(), max_size=1)),
        gateway_addresses=routers,
        vtep_names={
            address: (0xE0000000 | name).to_bytes(4, "big")
            for address, name in zip(named, names, strict=True)
        },
    )
