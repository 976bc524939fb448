"""Names that refer to names: the raw data of a topology file comes in, problems go out.

Works on the data as read, before and beside the schema, so that one run shows wrong types and
undefined names together; whatever has the wrong shape is passed over here (the schema says so).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ccn_bgp.errors import Problem
from ccn_bgp.model.suppression import EXPLICIT
from ccn_bgp.nearest import nearest
from ccn_bgp.source import Positions

Raw = Mapping[str, Any]


def undefined_names(
    data: Raw,
    positions: Positions,
    policies: frozenset[str] | None,
    aggregates: frozenset[str] | None = None,
) -> list[Problem]:
    """Every name that nothing defines, with the nearest right one.

    ``policies`` and ``aggregates`` are those of the policy files; None if they could not be read.
    """
    gateways, vpcs, idcs, ccns = (_section(data, k) for k in ("gateways", "vpcs", "idcs", "ccns"))
    regions = {g["region"] for g in gateways.values() if isinstance(g.get("region"), str)}
    found: list[Problem] = []

    def need(word: Any, known: Collection[str], kind: str, plural: str, *path: str | int) -> None:
        if isinstance(word, str) and word not in known:
            what = f"{kind} '{word}' is not defined"
            hint = nearest(word, known, plural) or f"no {kind} is defined"
            found.append(Problem(positions.near(*path), what, hint))

    def bound(entry: Raw, *path: str | int) -> None:
        """The policies of a session or a share."""
        for key in ("import", "export") if policies is not None else ():
            for index, word in enumerate(_items(entry, key)):
                need(word, policies or (), "policy", "policies", *path, key, index)

    for name, gateway in gateways.items():
        bound(gateway, "gateways", name)
    for section, entries in (("vpcs", vpcs), ("idcs", idcs)):
        for name, entry in entries.items():
            need(
                entry.get("region"),
                regions,
                "region",
                "regions with a gateway",
                section,
                name,
                "region",
            )
    for idc, router, entry in _routers(idcs):
        at = ("idcs", idc, "routers", router)
        need(entry.get("gateway"), gateways, "gateway", "gateways", *at, "gateway")
        need(entry.get("ccn"), ccns, "ccn", "ccns", *at, "ccn")
        bound(entry, *at)
    for name, ccn in ccns.items():
        for index, item in enumerate(_items(ccn, "attach")):
            member = item.get("member") if isinstance(item, dict) else item
            if not isinstance(member, str):
                continue
            kind, _, word = member.partition("/")
            at2: tuple[str | int, ...] = ("ccns", name, "attach", index)
            if isinstance(item, dict):
                at2 = (*at2, "member")
            if kind == "vpc":
                need(word, vpcs, "vpc", "vpcs", *at2)
            elif kind == "idc":
                need(word, idcs, "idc", "idcs", *at2)
    lists = data.get("acls")
    names = lists if isinstance(lists, dict) else {}
    for name, ccn in ccns.items():
        need(ccn.get("acl"), names, "acl", "acls", "ccns", name, "acl")
        for index, word in enumerate(_items(ccn, "aggregates") if aggregates is not None else ()):
            at3 = ("ccns", name, "aggregates", index)
            need(word, aggregates or (), "aggregate", "aggregates", *at3)
    for index, share in enumerate(_dicts(data, "shares")):
        for key in ("from", "to"):
            need(share.get(key), ccns, "ccn", "ccns", "shares", index, key)
        bound(share, "shares", index)
    for index, neighbor in enumerate(_dicts(data, "neighbors")):
        bound(neighbor, "neighbors", index)
        need(
            neighbor.get("gateway"), gateways, "gateway", "gateways", "neighbors", index, "gateway"
        )
    speakers = {str(n.get("name")) for n in _dicts(data, "neighbors")} | set(gateways)
    speakers |= {router for _, router, _ in _routers(idcs)}
    for index, item in enumerate(_dicts(data, "suppress")):
        for key in ("ccn", "from"):
            need(item.get(key), ccns, "ccn", "ccns", "suppress", index, key)
        need(item.get("peer"), speakers, "peer", "speakers", "suppress", index, "peer")
        path = item.get("where")
        if isinstance(path, str) and positions.get(path) is None:
            what = f"there is no key '{path[:80]}' in this file"
            hint = "written with dots, as vpcs.web or shares.0"
            found.append(Problem(positions.near("suppress", index, "where"), what, hint))
    return found


def names_given_twice(data: Raw, positions: Positions) -> list[Problem]:
    """Speakers are told apart by name: gateways, IDC routers and neighbors share one name space.

    Also: the same member attached twice, a share of a CCN with itself, a neighbor twice.
    """
    found: list[Problem] = []
    speakers: dict[str, str] = {}

    def speaker(name: Any, kind: str, where: str) -> None:
        if not isinstance(name, str):
            return
        if name in speakers:
            what = f"the name '{name}' of this {kind} is taken"
            found.append(Problem(where, what, f"first at {speakers[name]}"))
        else:
            speakers[name] = where

    for name in _section(data, "gateways"):
        speaker(name, "gateway", positions.near("gateways", name))
    for idc, router, _ in _routers(_section(data, "idcs")):
        speaker(router, "IDC router", positions.near("idcs", idc, "routers", router))
    for index, neighbor in enumerate(_dicts(data, "neighbors")):
        speaker(neighbor.get("name"), "neighbor", positions.near("neighbors", index, "name"))
    for name, ccn in _section(data, "ccns").items():
        seen: set[str] = set()
        for index, item in enumerate(_items(ccn, "attach")):
            member = item.get("member") if isinstance(item, dict) else item
            if not isinstance(member, str):
                continue
            if member in seen:
                where = positions.near("ccns", name, "attach", index)
                found.append(Problem(where, f"'{member}' is attached twice to ccn '{name}'"))
            seen.add(member)
    for index, share in enumerate(_dicts(data, "shares")):
        if isinstance(share.get("from"), str) and share.get("from") == share.get("to"):
            where = positions.near("shares", index, "to")
            found.append(Problem(where, f"ccn '{share['to']}' is shared with itself"))
    return found


def contradictions(data: Raw, positions: Positions) -> list[Problem]:
    """Keys of one entry that exclude or need each other."""
    found: list[Problem] = []
    for name, vpc in _section(data, "vpcs").items():
        for index, route in enumerate(_dicts(vpc, "routes")):
            where = positions.near("vpcs", name, "routes", index)
            if "via" in route and route.get("blackhole") is True:
                found.append(Problem(where, "a route is either 'via' a VM or 'blackhole: true'"))
            elif "via" not in route and route.get("blackhole") is not True:
                what = "this route goes nowhere"
                found.append(Problem(where, what, "give 'via: ADDRESS' or 'blackhole: true'"))
            elif _version(route.get("via"), route.get("prefix")):
                found.append(Problem(where, "'via' and 'prefix' are of different IP versions"))
    for name, gateway in _section(data, "gateways").items():
        vtep = gateway.get("vtep")
        if isinstance(vtep, str) and ":" in vtep and "router-id" not in gateway:
            where = positions.near("gateways", name, "vtep")
            found.append(Problem(where, "a gateway with an IPv6 vtep needs 'router-id'"))
    found += _limits(data, positions)
    for index, item in enumerate(_dicts(data, "suppress")):
        rule = item.get("rule")
        needed = EXPLICIT.get(rule, ()) if isinstance(rule, str) else ()
        if absent := [key for key in needed if key not in item]:
            what = f"a suppression of {rule} must name " + " and ".join(f"'{k}'" for k in absent)
            hint = "errors of isolation are accepted one by one"
            found.append(Problem(positions.near("suppress", index), what, hint))
    return found


def _limits(data: Raw, positions: Positions) -> list[Problem]:
    """A soft limit never ends a session; the routes of EVPN speakers are not limited softly."""
    found: list[Problem] = []
    for idc, router, entry in _routers(_section(data, "idcs")):
        limit = entry.get("max-prefixes")
        if isinstance(limit, dict) and "restart" in limit and limit.get("mode") != "hard":
            where = positions.near("idcs", idc, "routers", router, "max-prefixes", "restart")
            found.append(Problem(where, "'restart' goes with 'mode: hard'"))
    for index, entry in enumerate(_dicts(data, "neighbors")):
        limit = entry.get("max-prefixes")
        if "max-prefixes" in entry and not (
            isinstance(limit, dict) and limit.get("mode") == "hard"
        ):
            where = positions.near("neighbors", index, "max-prefixes")
            what = "the limit of an EVPN speaker is hard"
            found.append(Problem(where, what, "write {limit: NUMBER, mode: hard}"))
    return found


def _version(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str) and (":" in left) != (":" in right)


def _section(data: Raw, key: str) -> dict[str, dict[str, Any]]:
    found = data.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)}


def _items(data: Raw, key: str) -> list[Any]:
    found = data.get(key)
    return found if isinstance(found, list) else []


def _dicts(data: Raw, key: str) -> Iterator[dict[str, Any]]:
    """Items of a list; one of the wrong shape counts as an empty entry, to keep the index."""
    for item in _items(data, key):
        yield item if isinstance(item, dict) else {}


def _routers(idcs: Mapping[str, Raw]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for idc, entry in idcs.items():
        for router, found in _section(entry, "routers").items():
            yield idc, router, found


Check = Callable[[Raw, Positions], list[Problem]]
CHECKS: tuple[Check, ...] = (names_given_twice, contradictions)
