"""``ccn trace``: one marked packet through the real forwarders, and what each table made of it.

In: who it is from and to. Out: the steps at the first gateway and at each that it is handed to,
as far as those run here.
"""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any

import typer

from ccn_bgp.errors import InputError, Problem, UnreachableError

MOST = 8
"""Gateways that a probe is followed through: more is a loop."""


class Protocol(enum.StrEnum):
    """What the probe is."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


def trace(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="VPC:IP",
            help="The VM it is from; or ROUTER:IP, a machine behind an IDC router.",
            show_default=False,
        ),
    ],
    *,
    to: Annotated[str, typer.Option(metavar="IP", help="Its destination.", show_default=False)],
    gateway: Annotated[
        str | None,
        typer.Option(help="Which gateway; else one of the VPC's region.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop before it leaves the gateway.")
    ] = False,
    protocol: Annotated[
        Protocol, typer.Option(help="An echo request, a TCP SYN or a UDP datagram.")
    ] = Protocol.ICMP,
    port: Annotated[
        int | None, typer.Option(help="Destination port of tcp and udp.", show_default="33434")
    ] = None,
    source_port: Annotated[
        int | None, typer.Option(help="Source port of tcp and udp.", show_default="33434")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Send a marked packet through the real forwarders and say each table that it met.

    The packet is a copy of what the VM's host or IDC router would send: it takes the path that
    every packet takes, is counted like one, and arrives, unless --dry-run is given. A gateway that
    it is handed to is asked in its turn if it runs here. Exit code 1 if it was dropped.
    """
    from ccn_bgp.observe.render import draw_trace

    request = {
        "command": "trace",
        "from": source,
        "to": to,
        "dry-run": dry_run,
        "protocol": protocol.value,
        "port": port,
        "source-port": source_port,
    }
    answer = _followed(gateway, request)
    if as_json:
        print(json.dumps(answer, indent=1))
    else:
        draw_trace(answer)
    if answer["result"] == "dropped":
        raise typer.Exit(1)


def _followed(gateway: str | None, request: dict[str, Any]) -> Any:
    """The answer of the first gateway; those of the further ones in ``onward``.

    At each but the last the probe stops before the wire, and its frame is given to the next gateway
    instead: it must not arrive twice. So every gateway is asked what would become of it, and the
    last once more for good.
    """
    from ccn_bgp.observe.api import ask, running

    names = running()
    first = _asked(gateway, {**request, "dry-run": True})
    legs, asked = [first], [(first["gateway"], request)]
    while len(legs) < MOST and (follower := legs[-1].get("next")) in names:
        before = {key: legs[-1][key] for key in ("frame", "from", "to", "protocol", "mark")}
        question = {"command": "trace", **before}
        try:
            legs.append(ask(follower, {**question, "dry-run": True}))
        except UnreachableError:
            break
        asked.append((follower, question))
    if not request["dry-run"]:
        name, question = asked[-1]
        legs[-1] = ask(name, {**question, "dry-run": False})
    for leg in legs:
        leg.pop("frame", None)
    if len(legs) > 1:
        first |= {"onward": legs[1:], "result": legs[-1]["result"], "dry-run": request["dry-run"]}
        return first
    return legs[0]


def _asked(gateway: str | None, request: dict[str, Any]) -> Any:
    """The answer of the gateway that is named, or of one here that has the VM."""
    from ccn_bgp.observe.api import ask, running

    names = running()
    answer = ask(gateway or (names[0] if names else None), request)
    if "elsewhere" not in answer:
        return answer
    others = [name for name in answer["elsewhere"] if name in names]
    if gateway is None and others:
        return ask(others[0], request)
    what = f"{request['from']} is not in region {answer['region']} of gateway {answer['gateway']}"
    raise InputError(Problem("--from", what, f"ask {' or '.join(answer['elsewhere'])}"))
