"""Strategies: policy documents that use everything, and routes that meet them. The values are few,
so that what is asked for is often there."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from oracle.plain_policy import Route, parse

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import (
    EvpnMacIp,
    EvpnOther,
    EvpnPrefix,
    Nlri,
    Origin,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.policy.flight import Context

PREFIXES = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0", "fd00::/32", "fd00::/64"]
ADDRESSES = ["192.0.2.1", "192.0.2.9", "fd00::1"]
ASNS = [1, 2, 12, 65001]
LITERALS = {
    "community": ["1:1", "1:2", "2:1", "blackhole", "12:1"],
    "large-community": ["1:1:1", "1:2:3", "2:2:2"],
    "extended-community": ["rt:1:1", "rt:1:2", "soo:1:1", "030c000000000008"],
    "route-target": ["1:1", "1:2", "2:1"],
}
WILD = {
    "community": ["1:*", "*:1", "1*:1", "*:*"],
    "large-community": ["1:*:*", "*:2:*"],
    "extended-community": ["rt:1:*", "soo:*:1", "030c*"],
    "route-target": ["1:*", "*:1"],
}
REGEXES = ["^1", "1$", "1:[12]", ".", "2"]
PATHS = ["_1_", "^1 ", "_2_1_", "_65001$", "^$", "[{]1", "1_2", "_[12]_", "^(1|2)+$", "1{2}"]
NAMES = ["a", "ab", "b"]
WILD_NAMES = ["a*", "*", "*b"]
NAMED = {"a", "ab", "b"}
SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "prefix-sets": st.sampled_from(PREFIXES)
    | st.sampled_from(
        [
            {"prefix": "10.0.0.0/8", "le": 24},
            {"prefix": "10.0.0.0/8", "ge": 16},
            {"prefix": "10.0.0.0/8", "ge": 9, "le": 16},
            {"prefix": "0.0.0.0/0", "le": 32},
            {"prefix": "::/0", "ge": 1},
        ]
    ),
    "neighbor-sets": st.sampled_from([*NAMES, *WILD_NAMES, *ADDRESSES, "192.0.2.0/29", {"asn": 1}]),
    **{
        f"{kind}-sets": st.sampled_from(
            [*LITERALS[kind], *WILD[kind], *({"regex": r} for r in REGEXES)]
        )
        for kind in LITERALS
    },
    "as-path-sets": st.sampled_from(
        [
            *PATHS,
            {"regex": "_1_"},
            {"contains": 1},
            {"contains": 2},
            {"origin-as": 1},
            {"origin-as": 65001},
            {"length": 2},
            {"length": {"ge": 2}},
            {"length": {"le": 1}},
        ]
    ),
    "next-hop-sets": st.sampled_from([*ADDRESSES, "192.0.2.0/29", "fd00::/16"]),
    **{
        f"{k}-sets": st.sampled_from([*NAMES, *WILD_NAMES]) for k in ("ccn", "vpc", "idc", "region")
    },
}
NUMBER = st.sampled_from([0, 1, 5, 100, "unset", {"ge": 2}, {"le": 5}, {"ge": 1, "le": 1}])


def some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return items | st.lists(items, min_size=1, max_size=2)


@st.composite
def set_lists(draw: st.DrawFn, section: str) -> dict[str, list[Any]]:
    """A set may include one of a name before its own."""
    found: dict[str, list[Any]] = {}
    for name in ("s", "t", "u"):
        items = draw(st.lists(SECTIONS[section], max_size=3))
        if found and draw(st.booleans()):
            items.append({"set": draw(st.sampled_from(sorted(found)))})
        found[name] = items
    return found


def names_of(key: str) -> st.SearchStrategy[Any]:
    names = some(st.sampled_from(["s", "t", "u"]))
    with_all = "community" in key or key in ("route-target-set", "as-path-set")
    options = st.sampled_from(["any", "invert", *(["all"] if with_all else [])])
    return names | st.builds(lambda option, held: {option: held}, options, names)


CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    **{section[:-1]: names_of(section[:-1]) for section in SECTIONS},
    "family": some(st.sampled_from(["ipv4-unicast", "ipv6-unicast", "evpn"])),
    "route-type": some(st.sampled_from([2, 3, 5])),
    "origin-kind": some(st.sampled_from(["vpc", "idc", "static"])),
    "origin": some(st.sampled_from(["igp", "egp", "incomplete"])),
    "gateway-ip": st.booleans(),
    "vni": some(st.sampled_from([1, 5, {"ge": 2}, {"ge": 1, "le": 4}, "unset"])),
    "local-pref": some(NUMBER),
    "med": some(NUMBER),
    "tag": some(NUMBER),
}
ASKED = st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=3, unique=True)
PREPEND = st.sampled_from([1, 3, {"count": 2, "asn": 65001}, {"asn": 2}])


def change_of(kind: str) -> st.SearchStrategy[Any]:
    literals = st.lists(st.sampled_from(LITERALS[kind]), max_size=2)
    removed = st.sampled_from([*LITERALS[kind], *WILD[kind], {"set": "s"}, {"regex": "1$"}])
    return st.fixed_dictionaries(
        {}, optional={"add": literals, "replace": literals, "remove": st.lists(removed, max_size=2)}
    )


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "origin": st.sampled_from(["igp", "incomplete"]),
    "next-hop": st.sampled_from(ADDRESSES),
    "local-pref": st.sampled_from([0, 1, 100]),
    "med": st.sampled_from([0, 5, "+1", -1, "-3", "+4294967295"]),
    "tag": st.sampled_from([1, 5]),
    "preference": st.sampled_from([0, 200]),
    "as-path-prepend": PREPEND | st.lists(PREPEND, max_size=2),
    **{kind: change_of(kind) for kind in LITERALS},
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    policies = {
        name: [
            {
                "name": f"{name}{n}",
                "match": {key: draw(CONDITIONS[key]) for key in draw(ASKED)},
                "set": {
                    key: draw(CHANGES[key])
                    for key in draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=2))
                },
                "then": draw(
                    st.sampled_from(["accept", "reject", "next-statement", "next-policy"])
                ),
            }
            for n in range(draw(st.integers(0, 4)))
        ]
        for name in ("p", "q")
    }
    sets = draw(st.fixed_dictionaries({s: set_lists(s) for s in SECTIONS}))
    return sets | {"policies": policies}


def unset_or(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values)


def of_kind(kind: str) -> st.SearchStrategy[list[Any]]:
    values = [parse(kind, text) for text in LITERALS[kind]]
    return st.lists(st.sampled_from(values), max_size=3, unique=True)


SEGMENTS = st.tuples(
    st.sampled_from(["seq", "set", "confed-seq"]),
    st.lists(st.sampled_from(ASNS), min_size=1, max_size=2),
)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    family = draw(st.sampled_from(["unicast", "evpn"]))
    prefix = draw(st.sampled_from(PREFIXES))
    route: Route = {"prefix": prefix}
    if family == "unicast":
        route["family"] = "ipv6-unicast" if ":" in prefix else "ipv4-unicast"
    else:
        route |= {"family": "evpn", "type": draw(st.sampled_from([2, 3, 5]))}
        if route["type"] == 3:
            del route["prefix"]
        else:
            route["vni"] = draw(st.sampled_from([1, 4, 5]))
        if route["type"] == 2:
            route["prefix"] = draw(unset_or(["10.1.2.3/32", "fd00::1/128"]))
        if route["type"] == 5:
            route["gateway"] = draw(unset_or(["10.1.2.3"]))
    attributes = {
        "origin": draw(st.sampled_from(["igp", "egp", "incomplete"])),
        "as-path": draw(st.lists(SEGMENTS, max_size=3)),
        "next-hop": draw(unset_or(ADDRESSES)),
        "med": draw(unset_or([0, 1, 5])),
        "local-pref": draw(unset_or([0, 1, 100])),
        "tag": draw(unset_or([1, 5])),
        "preference": 100,
        "community": set(draw(of_kind("community"))),
        "large-community": set(draw(of_kind("large-community"))),
        "extended-community": draw(of_kind("extended-community")),
    }
    context = {
        "neighbor": draw(unset_or(NAMES)),
        "address": draw(unset_or(ADDRESSES)),
        "asn": draw(unset_or([1, 2])),
        "own-asn": draw(unset_or([65001])),
        **{kind: draw(unset_or(NAMES)) for kind in ("ccn", "vpc", "idc", "region")},
        "origin-kind": draw(unset_or(["vpc", "idc", "gateway"])),
        "exportable": draw(unset_or([[bytes((0, 2, 0, 1, 0, 0, 0, 1))]])),
        "narrows": draw(st.booleans()),
    }
    return route | {"attributes": attributes, "context": context}


KINDS = {
    "seq": SegmentType.AS_SEQUENCE,
    "set": SegmentType.AS_SET,
    "confed-seq": SegmentType.AS_CONFED_SEQUENCE,
}


def built(route: Route) -> tuple[BgpPath, Context]:
    rd, mac = RouteDistinguisher.parse("1:1"), Mac(bytes(6))
    prefix = Prefix.parse(route["prefix"]) if route.get("prefix") else None
    kind = route.get("type")
    nlri: Nlri
    if kind == 2:
        ip = None if prefix is None else prefix.address
        nlri = EvpnMacIp(rd, bytes(10), 0, mac, ip, route["vni"], None)
    elif kind == 3:
        nlri = EvpnOther(3, bytes(17))
    else:
        assert prefix is not None
        gateway = Ip.parse(route["gateway"]) if route.get("gateway") else None
        nlri = Unicast(prefix)
        if kind == 5:
            nlri = EvpnPrefix(rd, bytes(10), 0, prefix, gateway, route["vni"])
    a, c = route["attributes"], route["context"]
    attributes = PathAttributes(
        origin=Origin[a["origin"].upper()],
        as_path=tuple(Segment(KINDS[k], tuple(map(Asn, asns))) for k, asns in a["as-path"]),
        next_hop=Ip.parse(a["next-hop"]) if a["next-hop"] else None,
        med=a["med"],
        local_pref=a["local-pref"],
        tag=a["tag"],
        communities=tuple(sorted(a["community"])),
        large_communities=tuple(sorted(a["large-community"])),
        extended_communities=tuple(a["extended-community"]),
    )
    exportable = c["exportable"]
    context = Context(
        neighbor=c["neighbor"] or "",
        address=Ip.parse(c["address"]) if c["address"] else None,
        asn=c["asn"] or 0,
        own_asn=c["own-asn"] or 0,
        ccn=c["ccn"] or "",
        vpc=c["vpc"] or "",
        idc=c["idc"] or "",
        region=c["region"] or "",
        origin_kind=c["origin-kind"],
        exportable=None if exportable is None else frozenset(map(RouteTarget, exportable)),
        narrows=c["narrows"],
    )
    return BgpPath("peer", nlri, attributes), context


def plain(attributes: PathAttributes) -> dict[str, Any]:
    words = {kind: word for word, kind in KINDS.items()}
    return {
        "origin": attributes.origin.name.lower(),
        "as-path": [(words[kind], list(asns)) for kind, asns in attributes.as_path],
        "next-hop": str(attributes.next_hop) if attributes.next_hop else None,
        "med": attributes.med,
        "local-pref": attributes.local_pref,
        "tag": attributes.tag,
        "preference": attributes.preference,
        "community": set(attributes.communities),
        "large-community": set(attributes.large_communities),
        "extended-community": sorted(attributes.extended_communities),
    }
