"""``ccn decode``: BGP messages in hex on standard input, one per line; a verdict for each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, PathAttributes, Unicast
from ccn_bgp.session.decode import Decoder, RouteRefresh, SessionParameters, Update, Verdict


def decode(
    peer_as: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4294967295,
            help="AS of the sender. Without it any external AS will do: "
            "the first AS of AS_PATH is not checked.",
        ),
    ] = None,
    local_as: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4294967295,
            help="Our AS; equal to --peer-as means iBGP. Without it the session is external.",
        ),
    ] = None,
    two_octet_as: Annotated[
        bool, typer.Option("--two-octet-as", help="The session has 2-octet AS numbers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Decode BGP messages: one in hex per line of standard input, one verdict per line of output.

    Exit code 2 if a line is not hexadecimal (the others are decoded all the same).
    """
    # AS 0 is nobody (RFC 7607): it differs from every AS, so the session is external.
    session = SessionParameters(
        peer="stdin",
        peer_asn=peer_as or 0,
        local_asn=local_as or (0 if peer_as else 1),
        asn4=not two_octet_as,
        enforce_first_as=peer_as is not None,
    )
    unreadable = False
    for number, line in enumerate(sys.stdin.buffer, start=1):
        updates, good = _decoded(session, line, number)
        unreadable = unreadable or not good
        typer.echo(json.dumps(to_json(updates)) if as_json else to_text(updates))
    if unreadable:
        raise typer.Exit(2)


def _decoded(
    session: SessionParameters, line: bytes, number: int
) -> tuple[tuple[Update | RouteRefresh, ...] | str, bool]:
    try:
        raw = bytes.fromhex(line.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return f"line {number} is not hexadecimal", False
    if not raw:
        return f"line {number} is empty", False
    return Decoder(session).message(raw), True


def to_json(decoded: tuple[Update | RouteRefresh, ...] | str) -> dict[str, Any]:
    """One message as the JSON object of ``ccn decode``; a text is an unreadable line."""
    if isinstance(decoded, str):
        error = {"rfc": "", "text": decoded}
        return _object(Verdict.SESSION_RESET, [], [], {}, [error])
    updates = [u for u in decoded if isinstance(u, Update)]
    verdict = max((u.verdict for u in updates), key=lambda v: v.severity, default=Verdict.OK)
    announce = [
        nlri_json(nlri) | next_hop_json(u.attributes) for u in updates for nlri in u.announced
    ]
    withdraw = [nlri_json(nlri) for u in updates for nlri in u.withdrawn]
    attributes = next((attributes_json(u.attributes) for u in updates if u.attributes), {})
    errors = dict.fromkeys(error for u in updates for error in u.errors)
    found = _object(
        verdict,
        announce,
        withdraw,
        attributes,
        [{"rfc": error.rfc, "text": error.text} for error in errors],
    )
    for item in decoded:
        if isinstance(item, RouteRefresh):
            found["route-refresh"] = {"family": item.family.text, "subtype": item.subtype}
        elif item.end_of_rib:
            found["end-of-rib"] = item.end_of_rib.text
        elif item.notification:
            found["notification"] = list(item.notification)
    return found


def _object(
    verdict: Verdict,
    announce: list[dict[str, Any]],
    withdraw: list[dict[str, Any]],
    attributes: dict[str, Any],
    errors: list[dict[str, str]],
) -> dict[str, Any]:
    return {
        "verdict": verdict.value,
        "announce": announce,
        "withdraw": withdraw,
        "attributes": attributes,
        "errors": errors,
    }


def nlri_json(nlri: Nlri) -> dict[str, Any]:
    """One NLRI; keys that do not apply are absent."""
    entry: dict[str, Any] = {"family": nlri.family.text}
    if isinstance(nlri, Unicast):
        return entry | {"prefix": str(nlri.prefix)}
    if isinstance(nlri, EvpnOther):
        return entry | {"type": nlri.kind} | nlri.fields
    entry |= {"type": 5 if isinstance(nlri, EvpnPrefix) else 2}
    entry |= {"rd": str(nlri.rd), "etag": nlri.etag, "esi": nlri.esi.hex(":")}
    if isinstance(nlri, EvpnMacIp):
        entry["mac"] = str(nlri.mac)
        if nlri.ip is not None:
            entry["ip"] = str(nlri.ip)
        entry["vni"] = nlri.vni
        if nlri.vni2 is not None:
            entry["vni2"] = nlri.vni2
        return entry
    entry["prefix"] = str(nlri.prefix)
    if nlri.gateway is not None:
        entry["gateway"] = str(nlri.gateway)
    entry["vni"] = nlri.vni
    return entry


def next_hop_json(attributes: PathAttributes | None) -> dict[str, Any]:
    """The next hop of an announcement."""
    if attributes is None or attributes.next_hop is None:
        return {}
    return {"next-hop": str(attributes.next_hop)}


def attributes_json(attributes: PathAttributes) -> dict[str, Any]:
    """The attributes by name; those that are not there are absent."""
    a = attributes
    found: dict[str, Any] = {"origin": a.origin.name.lower(), "as-path": a.as_path_text}
    found |= next_hop_json(a)
    if a.med is not None:
        found["med"] = a.med
    if a.local_pref is not None:
        found["local-pref"] = a.local_pref
    if a.atomic_aggregate:
        found["atomic-aggregate"] = True
    if a.aggregator:
        found["aggregator"] = f"{a.aggregator[0]} {a.aggregator[1]}"
    if a.communities:
        found["communities"] = [f"{c >> 16}:{c & 0xFFFF}" for c in a.communities]
    if a.large_communities:
        found["large-communities"] = [":".join(map(str, c)) for c in a.large_communities]
    if a.extended_communities:
        found["extended-communities"] = [c.hex() for c in a.extended_communities]
        targets = [c for c in a.extended_communities if RouteTarget.is_target(c)]
        if targets:
            found["route-targets"] = [str(RouteTarget(c)) for c in targets]
        if a.router_mac is not None:
            found["router-mac"] = str(a.router_mac)
        if a.encapsulation is not None:
            found["encapsulation"] = a.encapsulation
        if a.link_bandwidth:
            found["link-bandwidth"] = a.link_bandwidth
        if any(c[:2] == b"\x06\x00" for c in a.extended_communities):
            mobility = {"sequence": a.mobility.sequence, "sticky": a.mobility.sticky}
            found["mac-mobility"] = mobility
    if a.originator_id is not None:
        found["originator-id"] = str(a.originator_id)
    if a.cluster_list:
        found["cluster-list"] = [str(c) for c in a.cluster_list]
    if a.only_to_customer is not None:
        found["only-to-customer"] = a.only_to_customer
    if a.unknown:
        found["unknown"] = [
            {"flags": u.flags, "code": u.code, "value": u.value.hex()} for u in a.unknown
        ]
    return found


def to_text(decoded: tuple[Update | RouteRefresh, ...] | str) -> str:
    """One message as one line to read."""
    found = to_json(decoded)
    return "; ".join([found["verdict"], *_phrases(found)])


def _phrases(found: dict[str, Any]) -> Iterator[str]:
    for word in ("announce", "withdraw"):
        if found[word]:
            yield f"{word} " + ", ".join(_entry_text(entry) for entry in found[word])
    if found["attributes"]:
        yield ", ".join(f"{name} {_value_text(v)}" for name, v in found["attributes"].items())
    for key in ("end-of-rib", "route-refresh", "notification"):
        if key in found:
            yield f"{key} {_value_text(found[key])}"
    for error in found["errors"]:
        yield f"{error['text']} ({error['rfc']})" if error["rfc"] else error["text"]


def _entry_text(entry: dict[str, Any]) -> str:
    return " ".join(str(v) if k in ("family", "prefix") else f"{k} {v}" for k, v in entry.items())


def _value_text(value: object) -> str:
    if isinstance(value, list):
        return "[" + " ".join(_value_text(v) for v in value) + "]"
    if isinstance(value, dict):
        return " ".join(f"{k} {_value_text(v)}" for k, v in value.items())
    return str(value)
