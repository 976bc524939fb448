"""A naive interpreter of policy documents: the YAML's own mappings and a route in, a result out.

It shares no code with ccn_bgp.policy: sets are expanded at every question, AS-path expressions are
turned into Python's by hand, and attributes are plain dictionaries. docs/policy.md in the shortest
words, not in the quickest.

A route: {"prefix", "family", "type", "gateway", "vni", "context": {...}, "attributes": {...}}, the
attributes being {"origin", "as-path": [("seq"|"set"|"confed-seq"|"confed-set", [AS])],
"next-hop", "med", "local-pref", "tag", "preference", "community": {int},
"large-community": {tuple}, "extended-community": [bytes]}.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from typing import Any

Route = dict[str, Any]
WELL_KNOWN = {"blackhole": 0xFFFF029A, "no-export": 0xFFFFFF01}


def interpret(document: dict[str, Any], chain: list[str], route: Route, default: str) -> Any:
    """("accept", attributes, [names of statements that matched]) or ("reject", statement or "")."""
    now = copy.deepcopy(route)
    hits = []
    for policy in chain:
        for index, statement in enumerate(document["policies"][policy]):
            name = f"{policy}/{statement.get('name', index + 1)}"
            conditions = statement.get("match") or {}
            if not all(holds(document, key, value, now) for key, value in conditions.items()):
                continue
            if statement["then"] == "reject":
                return "reject", name
            apply(document, statement.get("set") or {}, now)
            hits.append(name)
            if statement["then"] == "accept":
                return "accept", now["attributes"], hits
            if statement["then"] == "next-policy":
                break
    if default == "accept":
        return "accept", now["attributes"], hits
    return "reject", ""


def members(document: dict[str, Any], section: str, name: str) -> list[Any]:
    found = []
    for item in document[section][name]:
        if isinstance(item, dict) and "set" in item:
            found += members(document, section, item["set"])
        else:
            found.append(item)
    return found


def holds(document: dict[str, Any], key: str, value: Any, route: Route) -> bool:
    if key.endswith("-set"):
        option = "any"
        if isinstance(value, dict):
            ((option, value),) = value.items()
        names = value if isinstance(value, list) else [value]
        items = [m for name in names for m in members(document, f"{key}s", name)]
        if option == "all":
            return bool(items) and all(meets(key, item, route) for item in items)
        found = any(meets(key, item, route) for item in items)
        return found if option == "any" else not found
    attributes = route["attributes"]
    if key == "gateway-ip":
        return (route.get("gateway") is not None) == value
    had = {
        "family": route["family"],
        "route-type": route.get("type"),
        "origin-kind": route["context"].get("origin-kind"),
        "origin": attributes["origin"],
        "vni": route.get("vni"),
        "local-pref": attributes["local-pref"],
        "med": attributes["med"],
        "tag": attributes["tag"],
    }[key]
    return any(one_of(had, item) for item in (value if isinstance(value, list) else [value]))


def one_of(had: Any, item: Any) -> bool:
    if item == "unset":
        return had is None
    if isinstance(item, dict):
        return had is not None and item.get("ge", 0) <= had <= item.get("le", 2**32)
    return had is not None and had == item


def meets(key: str, item: Any, route: Route) -> bool:
    attributes, context = route["attributes"], route["context"]
    if key == "prefix-set":
        return route.get("prefix") is not None and in_range(item, route["prefix"])
    if key == "next-hop-set":
        return inside(item, attributes["next-hop"])
    if key == "neighbor-set":
        if isinstance(item, dict):
            return context.get("asn") == item["asn"]
        if item[0].isdigit() or ":" in item:
            return inside(item, context.get("address"))
        return wild(item, context.get("neighbor"))
    if key in ("ccn-set", "vpc-set", "idc-set", "region-set"):
        return wild(item, context.get(key[:-4]))
    if key == "as-path-set":
        return path_meets(item, attributes["as-path"])
    kind = key[:-4]
    return any(community_meets(kind, item, value) for value in values_of(kind, attributes))


def in_range(item: Any, prefix: str) -> bool:
    entry = {"prefix": item} if isinstance(item, str) else item
    outer, inner = ipaddress.ip_network(entry["prefix"]), ipaddress.ip_network(prefix)
    if outer.version != inner.version or not inner.subnet_of(outer):  # type: ignore[arg-type]
        return False
    low = entry.get("ge", outer.prefixlen)
    high = entry.get("le", inner.max_prefixlen if "ge" in entry else outer.prefixlen)
    return bool(low <= inner.prefixlen <= high)


def inside(item: str, address: str | None) -> bool:
    return address is not None and ipaddress.ip_address(address) in ipaddress.ip_network(item)


def wild(item: str, name: str | None) -> bool:
    return bool(name) and re.fullmatch(item.replace("*", ".*"), name or "") is not None


def text_of_path(path: list[tuple[str, list[int]]]) -> str:
    words = []
    for kind, asns in path:
        if kind == "seq":
            words.append(" ".join(map(str, asns)))
        elif kind == "set":
            words.append("{" + ",".join(map(str, asns)) + "}")
        else:
            words.append("(" + " ".join(map(str, asns)) + ")")
    return " ".join(words)


def path_meets(item: Any, path: list[tuple[str, list[int]]]) -> bool:
    if isinstance(item, str):
        item = {"regex": item}
    if "regex" in item:
        pattern = item["regex"].replace("_", "(?:^|[ ,{}()]|$)")
        return re.search(pattern, text_of_path(path)) is not None
    if "contains" in item:
        return any(item["contains"] in asns for _, asns in path)
    if "origin-as" in item:
        return bool(path) and "set" not in path[-1][0] and path[-1][1][-1] == item["origin-as"]
    length = sum(len(a) if kind == "seq" else kind == "set" for kind, a in path)
    wanted = item["length"]
    if isinstance(wanted, int):
        return length == wanted
    return bool(wanted.get("ge", 0) <= length <= wanted.get("le", 2**32))


def values_of(kind: str, attributes: dict[str, Any]) -> list[Any]:
    if kind in ("community", "large-community"):
        return list(attributes[kind])
    held = attributes["extended-community"]
    return list(held) if kind == "extended-community" else [v for v in held if is_target(v)]


def is_target(value: bytes) -> bool:
    return value[0] in (0, 1, 2) and value[1] == 2


def community_text(kind: str, value: Any) -> str:
    if kind == "community":
        return f"{value >> 16}:{value & 0xFFFF}"
    if kind == "large-community":
        return ":".join(map(str, value))
    if value[:1] == b"\0" and value[1] in (2, 3):  # the tests use this form only
        number = f"{int.from_bytes(value[2:4], 'big')}:{int.from_bytes(value[4:], 'big')}"
        return number if kind == "route-target" else ("rt:", "soo:")[value[1] - 2] + number
    return str(value.hex())


def community_meets(kind: str, item: Any, value: Any) -> bool:
    text = community_text(kind, value)
    if isinstance(item, dict):
        return re.search(item["regex"], text) is not None
    if "*" in item:
        return re.fullmatch(item.replace("*", "[^:]*"), text) is not None
    return bool(value == parse(kind, item))


def parse(kind: str, text: str) -> Any:
    if kind == "community":
        if text in WELL_KNOWN:
            return WELL_KNOWN[text]
        high, low = text.split(":")
        return int(high) << 16 | int(low)
    if kind == "large-community":
        return tuple(int(word) for word in text.split(":"))
    if len(text) == 16 and ":" not in text:
        return bytes.fromhex(text)
    *word, admin, number = text.split(":")
    sub = 3 if word == ["soo"] else 2
    return bytes((0, sub)) + int(admin).to_bytes(2, "big") + int(number).to_bytes(4, "big")


def apply(document: dict[str, Any], change: dict[str, Any], route: Route) -> None:
    attributes, context = route["attributes"], route["context"]
    for key in ("origin", "next-hop", "local-pref", "tag", "preference"):
        if key in change:
            attributes[key] = change[key]
    if "med" in change:
        med = change["med"]
        if isinstance(med, str) or med < 0:
            med = min(max((attributes["med"] or 0) + int(med), 0), 2**32 - 1)
        attributes["med"] = med
    prepends = change.get("as-path-prepend", [])
    for item in prepends if isinstance(prepends, list) else [prepends]:
        entry = {"count": item} if isinstance(item, int) else item
        asn = entry.get("asn", context.get("own-asn"))
        for _ in range(entry.get("count", 1) if asn else 0):
            path = attributes["as-path"]
            if not path or path[0][0] != "seq" or len(path[0][1]) >= 255:
                path.insert(0, ("seq", []))
            path[0][1].insert(0, asn)
    for kind in ("community", "large-community", "extended-community", "route-target"):
        if kind in change:
            communities(document, kind, change[kind], attributes, context)


def communities(
    document: dict[str, Any], kind: str, change: dict[str, Any], attributes: Any, context: Any
) -> None:
    had = values_of(kind, attributes)
    held = had
    if "replace" in change:
        held = []
    removed = []
    for item in change.get("remove", []):
        named = isinstance(item, dict) and "set" in item
        removed += members(document, f"{kind}-sets", item["set"]) if named else [item]
    held = [v for v in held if not any(community_meets(kind, item, v) for item in removed)]
    may = context.get("exportable")
    for text in [*change.get("replace", []), *change.get("add", [])]:
        value = parse(kind, text)
        target = isinstance(value, bytes) and is_target(value)
        if target and may is not None and value not in may:
            continue
        if target and context.get("narrows") and value not in had:
            continue
        if value not in held:
            held.append(value)
    if kind == "route-target":
        others = [v for v in attributes["extended-community"] if not is_target(v)]
        attributes["extended-community"] = others + held
    elif kind == "extended-community":
        attributes[kind] = held
    else:
        attributes[kind] = set(held)
