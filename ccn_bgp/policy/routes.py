"""Routes as JSON, for the tools and tests of policies. In: an entry as `ccn decode --json` writes
them, with its attributes and what is known around it. Out: a Path and a Context; and back.

{"prefix": "10.0.0.0/8", "attributes": {"as-path": "65001 65002", "med": 5}, "neighbor": "lf-r1"} is
enough: what is absent is unset. docs/policy.md lists the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from ccn_bgp.model.path import (
    DEFAULT_PREFERENCE,
    HIGHEST_PREFERENCE,
    EvpnMacIp,
    EvpnOther,
    EvpnPrefix,
    Nlri,
    Origin,
    Path,
    PathAttributes,
    Segment,
    SegmentType,
    Unicast,
)
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.communities import KINDS
from ccn_bgp.policy.flight import ORIGIN_KINDS, Context

_U32 = 2**32 - 1
_VNI = 2**24 - 1
NLRI_KEYS = (
    "family", "type", "rd", "etag", "esi", "prefix", "gateway", "mac", "ip", "vni", "vni2", "value",
)  # fmt: skip
CONTEXT_KEYS = (
    "neighbor", "neighbor-address", "neighbor-as", "own-as",
    "ccn", "vpc", "idc", "region", "origin-kind", "exportable",
)  # fmt: skip
KEYS = (*NLRI_KEYS, "next-hop", "attributes", *CONTEXT_KEYS)
ATTRIBUTES = (
    "origin", "as-path", "next-hop", "med", "local-pref", "tag", "preference", "atomic-aggregate",
    "communities", "large-communities", "extended-communities", "route-targets",
    "originator-id", "cluster-list", "only-to-customer",
)  # fmt: skip
DERIVED = (
    "router-mac",
    "encapsulation",
    "link-bandwidth",
    "mac-mobility",
    "aggregator",
    "unknown",
)
"""What `ccn decode` adds and no condition asks for; taken and not looked at."""
_PATH = re.compile(r"\{([0-9, ]*)\}|\(([0-9 ]*)\)|([0-9]+)|\s+|(.)")


class RouteError(ValueError):
    """An entry that is no route: ``path`` is where in it, the text what is wrong."""

    def __init__(self, text: str, *path: str) -> None:
        self.path = path
        super().__init__(f"{'.'.join(path)}: {text}" if path else text)


def read_route(entry: Any) -> tuple[Path, Context]:
    """One entry; RouteError says what is wrong with it."""
    if isinstance(entry, str):
        entry = {"prefix": entry}
    if not isinstance(entry, dict):
        raise RouteError("a route is a mapping: {prefix: 10.0.0.0/8, attributes: {…}}")
    _known(entry, KEYS)
    attributes = entry.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise RouteError("must be a mapping", "attributes")
    _known(attributes, (*ATTRIBUTES, *DERIVED), "attributes")
    if "next-hop" in entry:
        attributes = {"next-hop": entry["next-hop"], **attributes}
    neighbor = _text(entry, "neighbor")
    return Path(neighbor, _nlri(entry), read_attributes(attributes)), _context(entry)


def _known(entry: dict[str, Any], keys: tuple[str, ...], *path: str) -> None:
    for key in entry:
        if key not in keys:
            kind = "attribute" if path else "key"
            hint = nearest(str(key), keys, f"known {kind}s")
            raise RouteError(f"unknown {kind} '{key}' ({hint})", *path, str(key))


def _parsed(entry: dict[str, Any], key: str, parse: Callable[[str], Any], *path: str) -> Any:
    """A text under ``key``, parsed; None if absent."""
    value = entry.get(key)
    return None if value is None else _item(value, parse, *path, key)


def _item(value: Any, parse: Callable[[str], Any], *path: str) -> Any:
    try:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a text")
        return parse(value)
    except ValueError as error:
        raise RouteError(str(error), *path) from None


def _number(entry: dict[str, Any], key: str, top: int, *path: str) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= top:
        raise RouteError(f"{value!r} is not a whole number from 0 to {top}", *path, key)
    return value


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise RouteError(f"{value!r} is not a text", key)
    return value or ""


def _nlri(entry: dict[str, Any]) -> Nlri:
    kind = _number(entry, "type", 255)
    family = entry.get("family", "evpn" if kind is not None else None)
    prefix: Prefix | None = _parsed(entry, "prefix", Prefix.parse)
    if family == "evpn" and kind is None:
        kind = 5 if prefix is not None else 2
    if kind is None:
        if prefix is None:
            raise RouteError("the route has no prefix", "prefix")
        nlri = Unicast(prefix)
        if family not in (None, nlri.family.text):
            raise RouteError(f"{family!r} is not the family of {prefix}", "family")
        return nlri
    if family != "evpn":
        raise RouteError(f"{family!r} has no route types", "family")
    rd = _parsed(entry, "rd", RouteDistinguisher.parse) or RouteDistinguisher(bytes(8))
    etag = _number(entry, "etag", _U32) or 0
    esi = _parsed(entry, "esi", lambda text: bytes.fromhex(text.replace(":", ""))) or bytes(10)
    vni = Vni(_number(entry, "vni", _VNI) or 0)
    if kind == 5:
        if prefix is None:
            raise RouteError("a route of type 5 has a prefix", "prefix")
        return EvpnPrefix(rd, esi, etag, prefix, _parsed(entry, "gateway", Ip.parse), vni)
    if kind == 2:
        mac = _parsed(entry, "mac", Mac.parse) or Mac(bytes(6))
        ip, vni2 = _parsed(entry, "ip", Ip.parse), _number(entry, "vni2", _VNI)
        return EvpnMacIp(rd, esi, etag, mac, ip, vni, vni2)
    return EvpnOther(kind, _parsed(entry, "value", bytes.fromhex) or bytes(rd))


def read_attributes(entry: dict[str, Any]) -> PathAttributes:
    """Attributes by name; RouteError says what is wrong with them."""
    at = "attributes"

    def number(key: str, top: int = _U32) -> int | None:
        return _number(entry, key, top, at)

    origin = entry.get("origin", "igp")
    if origin not in [o.name.lower() for o in Origin]:  # it may be a list, which has no hash
        raise RouteError(f"{origin!r} is not igp, egp or incomplete", at, "origin")
    preference = number("preference", HIGHEST_PREFERENCE)
    otc = number("only-to-customer")
    extended = _communities(entry, "extended-communities", "extended-community")
    targets = _communities(entry, "route-targets", "route-target")
    return PathAttributes(
        origin=Origin[str(origin).upper()],
        as_path=_as_path(entry.get("as-path", "")),
        next_hop=_parsed(entry, "next-hop", Ip.parse, at),
        med=number("med"),
        local_pref=number("local-pref"),
        atomic_aggregate=bool(entry.get("atomic-aggregate", False)),
        communities=tuple(sorted(_communities(entry, "communities", "community"))),
        large_communities=tuple(
            sorted(_communities(entry, "large-communities", "large-community"))
        ),
        extended_communities=(*extended, *(t for t in targets if t not in extended)),
        originator_id=_parsed(entry, "originator-id", Ip.parse, at),
        cluster_list=tuple(
            _item(text, Ip.parse, at, "cluster-list") for text in _list(entry, "cluster-list")
        ),
        only_to_customer=None if otc is None else Asn(otc),
        tag=number("tag"),
        preference=DEFAULT_PREFERENCE if preference is None else preference,
    )


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise RouteError(f"{value!r} is not a list", "attributes", key)
    return value


def _communities(entry: dict[str, Any], key: str, word: str) -> tuple[Any, ...]:
    parse = KINDS[word].parse
    found = [_item(text, parse, "attributes", key) for text in _list(entry, key)]
    return tuple(dict.fromkeys(found))


def _as_path(value: Any) -> tuple[Segment, ...]:
    """``64601 {1,2} (65001)``, or a list of numbers."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RouteError(f"{value!r} is not an AS path", "attributes", "as-path")
    segments: list[Segment] = []
    for of_set, confed, single, wrong in _PATH.findall(value):
        if wrong:
            raise RouteError(f"'{value}' is not an AS path", "attributes", "as-path")
        asns = tuple(Asn(int(word)) for word in re.findall("[0-9]+", of_set or confed or single))
        if any(asn > _U32 for asn in asns):
            raise RouteError(f"'{value}' holds a number over {_U32}", "attributes", "as-path")
        kind = SegmentType.AS_SET if of_set else SegmentType.AS_CONFED_SEQUENCE
        if not asns:
            continue
        if not single:
            segments.append(Segment(kind, asns))
        elif segments and segments[-1].kind is SegmentType.AS_SEQUENCE:
            segments[-1] = Segment(SegmentType.AS_SEQUENCE, segments[-1].asns + asns)
        else:
            segments.append(Segment(SegmentType.AS_SEQUENCE, asns))
    return tuple(segments)


def _context(entry: dict[str, Any]) -> Context:
    kind = entry.get("origin-kind")
    if kind is not None and kind not in ORIGIN_KINDS:
        hint = nearest(str(kind), ORIGIN_KINDS, "one of")
        raise RouteError(f"{kind!r} is not known ({hint})", "origin-kind")
    exportable = entry.get("exportable")
    if exportable is not None and not isinstance(exportable, list):
        raise RouteError(f"{exportable!r} is not a list", "exportable")
    return Context(
        neighbor=_text(entry, "neighbor"),
        address=_parsed(entry, "neighbor-address", Ip.parse),
        asn=_number(entry, "neighbor-as", _U32) or 0,
        own_asn=_number(entry, "own-as", _U32) or 0,
        ccn=_text(entry, "ccn"),
        vpc=_text(entry, "vpc"),
        idc=_text(entry, "idc"),
        region=_text(entry, "region"),
        origin_kind=cast(Any, kind),
        exportable=None
        if exportable is None
        else frozenset(_item(text, RouteTarget.parse, "exportable") for text in exportable),
    )


def attributes_json(attributes: PathAttributes) -> dict[str, Any]:
    """The attributes that policies know, by name; those that are not there are absent."""
    a = attributes
    found: dict[str, Any] = {"origin": a.origin.name.lower(), "as-path": a.as_path_text}
    if a.next_hop is not None:
        found["next-hop"] = str(a.next_hop)
    for key, value in (("med", a.med), ("local-pref", a.local_pref), ("tag", a.tag)):
        if value is not None:
            found[key] = value
    if a.preference != DEFAULT_PREFERENCE:
        found["preference"] = a.preference
    if a.communities:
        found["communities"] = [KINDS["community"].text(c) for c in a.communities]
    if a.large_communities:
        found["large-communities"] = [KINDS["large-community"].text(c) for c in a.large_communities]
    if a.extended_communities:
        found["extended-communities"] = [c.hex() for c in a.extended_communities]
    if targets := KINDS["route-target"].of(a):
        found["route-targets"] = [KINDS["route-target"].text(c) for c in targets]
    return found


def route_json(path: Path, context: Context) -> dict[str, Any]:
    """A route as read_route() takes it; what is unset is absent."""
    nlri = path.nlri
    found: dict[str, Any] = {}
    if isinstance(nlri, Unicast):
        found["prefix"] = str(nlri.prefix)
    elif isinstance(nlri, EvpnOther):
        found |= {"type": nlri.kind}
    elif isinstance(nlri, EvpnMacIp):
        found |= {"type": 2, "mac": str(nlri.mac), "vni": nlri.vni}
        if nlri.ip is not None:
            found["ip"] = str(nlri.ip)
    else:
        found |= {"type": 5, "prefix": str(nlri.prefix), "vni": nlri.vni}
        if nlri.gateway is not None:
            found["gateway"] = str(nlri.gateway)
    attributes = attributes_json(path.attributes)
    if attributes.get("origin") == "igp":
        del attributes["origin"]
    if not attributes.get("as-path"):
        del attributes["as-path"]
    attributes.pop("route-targets", None)  # part of the extended communities
    if attributes:
        found["attributes"] = attributes
    for key, value in (
        ("neighbor", context.neighbor),
        ("neighbor-address", context.address and str(context.address)),
        ("neighbor-as", context.asn),
        ("own-as", context.own_asn),
        ("ccn", context.ccn),
        ("vpc", context.vpc),
        ("idc", context.idc),
        ("region", context.region),
        ("origin-kind", context.origin_kind),
    ):
        if value:
            found[key] = value
    if context.exportable is not None:
        found["exportable"] = sorted(map(str, context.exportable))
    return found
