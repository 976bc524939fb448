"""``ccn policy diff``: what an edit of policies changes. In: two policy files, and perhaps routes
as JSON, a recording or a running gateway. Out: the routes that are treated otherwise, in groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Annotated, Any

import typer

from ccn_bgp.cli.policy_routes import read_routes
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.counted import counted
from ccn_bgp.model.path import Path
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.aggregation import Aggregation, changes, gathers, prefix_of
from ccn_bgp.policy.difference import Both, Group, differing, prove
from ccn_bgp.policy.evaluate import Accepted
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.routes import (
    RouteError,
    attributes_json,
    read_route,
    route_json,
)


class Default(StrEnum):
    """What happens to a route that no statement decides."""

    ACCEPT = "accept"
    REJECT = "reject"


def diff(
    old: Annotated[FilePath, typer.Argument(help="The policy file as it was.", metavar="OLD")],
    new: Annotated[FilePath, typer.Argument(help="The policy file as it is to be.", metavar="NEW")],
    *,
    policy: Annotated[
        list[str],
        typer.Option("--policy", help="The policy; several times: a chain, in this order."),
    ],
    routes: Annotated[
        FilePath | None,
        typer.Option(
            help="Routes: JSON lines (- is standard input), or a recording (.mrt, .mrt.gz).",
            show_default=False,
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(help="What this running gateway has received.", show_default=False),
    ] = None,
    neighbor: Annotated[
        str | None,
        typer.Option(help="Only from this neighbor, with --gateway.", show_default=False),
    ] = None,
    default: Annotated[
        Default,
        typer.Option(help="What happens to a route that no statement decides."),
    ] = Default.REJECT,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Which routes an edit of policies treats otherwise, and how.

    With --routes or --gateway: of those. Without: a route for each way in which the two can be told
    apart, or the proof that there is none.

    Exit 0: nothing differs. Exit 3: something does, or it cannot be ruled out.
    """
    before, after = load_policies([old]), load_policies([new])
    for file, policies in ((old, before), (new, after)):
        for name in policy:
            if name not in policies.policies:
                hint = nearest(name, policies.policies, "it has") or "it has none"
                raise InputError(Problem(str(file), f"there is no policy '{name}'", hint))
    if routes is not None and gateway is not None:
        raise InputError("--routes and --gateway exclude each other")
    old_aggregates, new_aggregates = Aggregation(before), Aggregation(after)
    if routes is None and gateway is None:
        proof = prove(before, after, policy, default.value)
        groups, count = [Group(both, 0) for both in proof.found], None
        open_ = [{"before": one, "after": other} for one, other in proof.open]
    else:
        given = _recorded(routes) if routes and _is_recording(routes) else None
        if given is None:
            given = _received(gateway, neighbor) if routes is None else _listed(routes)

        def watch(both: Both) -> None:
            old_aggregates.add(both.path, both.before)
            new_aggregates.add(both.path, both.after)

        groups, count = differing(before, after, policy, given, default.value, watch=watch)
        open_ = []
    aggregates = list(changes(old_aggregates, new_aggregates, counted=count is not None))
    document: dict[str, Any] = {"equal": not groups and not open_ and not aggregates}
    if count is not None:
        document["routes"] = count
    document["differences"] = [_group_json(group, count is not None) for group in groups]
    if old_aggregates.rules or new_aggregates.rules:
        document["aggregates"] = aggregates
        for group, found in zip(groups, document["differences"], strict=True):
            if names := _touched(group.example, old_aggregates, new_aggregates):
                found["aggregates"] = names
    if count is None:
        document["not-ruled-out"] = open_
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        for line in _lines(document):
            typer.echo(line)
    if not document["equal"]:
        raise typer.Exit(3)


def _group_json(group: Group, counted: bool) -> dict[str, Any]:
    both = group.example
    before, after, _ = both.group
    found: dict[str, Any] = {"before": before, "after": after}
    if counted:
        found["routes"] = group.count
    if both.attributes:
        found["attributes"] = {
            key: {"before": old, "after": new} for key, (old, new) in both.attributes.items()
        }
    found["example"] = route_json(both.path, both.context)
    found["results"] = {"before": _result(both, after=False), "after": _result(both, after=True)}
    return found


def _touched(both: Both, old: Aggregation, new: Aggregation) -> list[str]:
    """The aggregates that the example contributes to in one version and not in the other."""
    prefix = prefix_of(both.path)
    if prefix is None or isinstance(both.before, Accepted) is isinstance(both.after, Accepted):
        return []
    of = old if isinstance(both.before, Accepted) else new
    return sorted(name for name, rule in of.rules.items() if gathers(rule, prefix))


def _aggregate_lines(found: dict[str, Any]) -> Iterator[str]:
    before, after = found["before"], found["after"]
    if before is None or after is None:
        held = before or after
        numbers = f", {_routes(held['contributing'])} contributing" if "in-force" in held else ""
        word = "is new" if before is None else "is gone"
        yield f"aggregate {found['name']} {word}: {held['prefix']}{numbers}"
    else:
        yield f"aggregate {found['name']}, {after['prefix']}:"
        for key in sorted(before.keys() | after.keys()):
            one, other = before.get(key), after.get(key)
            if one != other:
                yield f"    {key}: {_text(one)} → {_text(other)}"
    for key, words in (
        ("no-longer", "no longer contributing"),
        ("besides", "contributing besides"),
    ):
        if key in found and before is not None and after is not None:
            some = found[key]
            yield f"    {words}: {_routes(some['routes'])}, such as {some['example']}"


def _result(both: Both, *, after: bool) -> dict[str, Any]:
    result = both.after if after else both.before
    if not isinstance(result, Accepted):
        return {"result": "reject", "reason": str(result)}
    return {"result": "accept", "attributes": attributes_json(result.attributes)}


def _lines(document: dict[str, Any]) -> Iterator[str]:
    for found in document["differences"]:
        number = f"{_routes(found['routes'])}: " if "routes" in found else ""
        yield f"{number}{found['before']} → {found['after']}"
        for key, values in found.get("attributes", {}).items():
            yield f"    {key}: {_text(values['before'])} → {_text(values['after'])}"
        yield f"    such as {json.dumps(found['example'])}"
        if "aggregates" in found:
            yield f"    which contributes to: {', '.join(found['aggregates'])}"
    for found in document.get("aggregates", ()):
        yield from _aggregate_lines(found)
    for pair in document.get("not-ruled-out", ()):
        yield f"not ruled out: {pair['before']} before, {pair['after']} after"
    if document["equal"]:
        count = document.get("routes")
        what = (
            "no route can tell the two apart" if count is None else f"{_routes(count)}: no change"
        )
        yield what


def _routes(count: int) -> str:
    return counted(count, "route")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(held)}" for key, held in value.items())
    return "unset" if value is None else str(value) or "empty"


def _is_recording(file: FilePath) -> bool:
    return file.name.endswith((".mrt", ".mrt.gz"))


def _listed(file: FilePath) -> Iterator[tuple[Path, Context]]:
    for _, _, path, context in read_routes(file):
        yield path, context


def _recorded(file: FilePath) -> Iterator[tuple[Path, Context]]:
    """What peers have announced in a recording, each time that they did."""
    from ccn_bgp.gateway.replay_bgp import recorded
    from ccn_bgp.session.decode import Decoder, SessionParameters, Update
    from ccn_bgp.session.mrt import Link, Message

    decoders: dict[tuple[Link, bool], tuple[Decoder, Context]] = {}
    for _, record in recorded([file]):
        if not isinstance(record, Message) or record.ours:
            continue
        link, key = record.link, (record.link, record.asn4)
        if key not in decoders:
            parameters = SessionParameters(
                str(link.peer), link.peer_asn, link.local_asn, record.asn4, enforce_first_as=False
            )
            context = Context(address=link.peer, asn=link.peer_asn, own_asn=link.local_asn)
            decoders[key] = Decoder(parameters), context
        decoder, context = decoders[key]
        for update in decoder.message(record.octets):
            if isinstance(update, Update) and update.attributes is not None:
                for nlri in update.announced:
                    yield Path("", nlri, update.attributes), context


def _received(gateway: str | None, neighbor: str | None) -> Iterator[tuple[Path, Context]]:
    """What a gateway holds of its peers, before policy."""
    from ccn_bgp.observe.api import ask

    filters = {"form": "policy"} | ({} if neighbor is None else {"neighbor": neighbor})
    answer = ask(gateway, {"command": "show", "what": "received", "filters": filters})
    known: dict[Context, Context] = {}
    for row in answer["received"]:
        try:
            path, context = read_route(row)
        except RouteError as error:
            raise InputError(Problem(f"gateway {gateway or ''}", str(error))) from None
        yield path, known.setdefault(context, context)
