"""``ccn show``: the state of a running gateway."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer


class View(enum.StrEnum):
    """What can be shown."""

    STATUS = "status"
    NEIGHBORS = "neighbors"
    CCSIS = "ccsis"
    ROUTES = "routes"
    RECEIVED = "received"
    ADVERTISED = "advertised"
    VMS = "vms"
    FIB = "fib"
    COMMITS = "commits"
    FINDINGS = "findings"
    COUNTERS = "counters"
    DIGEST = "digest"
    MALFORMED = "malformed"
    POLICY = "policy"
    AGGREGATES = "aggregates"


def show(
    what: Annotated[View, typer.Argument(help="What to show.")] = View.STATUS,
    gateway: Annotated[
        str | None,
        typer.Option(help="Which gateway; not needed where one runs.", show_default=False),
    ] = None,
    ccn: Annotated[str | None, typer.Option(help="Only this CCN.", show_default=False)] = None,
    neighbor: Annotated[
        str | None, typer.Option(help="Only this neighbor.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show the state of a running gateway: what is wrong (status), sessions, tables, VMs."""
    from ccn_bgp.observe.api import ask, running
    from ccn_bgp.observe.render import draw

    if what is View.STATUS and gateway is None and not as_json and len(names := running()) > 1:
        for name in names:
            draw("status", ask(name, {"command": "show", "what": "status"}))
        return
    filters = {k: v for k, v in (("ccn", ccn), ("neighbor", neighbor)) if v is not None}
    answer = ask(gateway, {"command": "show", "what": what.value, "filters": filters})
    if as_json:
        print(json.dumps(answer, indent=1))
    else:
        draw(what.value, answer)
