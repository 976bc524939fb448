"""``ccn explain``: why a prefix or an address is, or is not, reached."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def explain(
    target: Annotated[
        str, typer.Argument(metavar="PREFIX|IP", help="What to explain.", show_default=False)
    ],
    ccn: Annotated[str, typer.Option(help="In the table of this CCN.", show_default=False)],
    gateway: Annotated[
        str | None,
        typer.Option(help="Which gateway; not needed where one runs.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Say why a prefix or an address is, or is not, reached.

    Every path heard, what policy did, which step chose, how it resolved, what the verifier said,
    and which row the forwarder holds.
    """
    from ccn_bgp.observe.api import ask
    from ccn_bgp.observe.render import draw_explanation

    answer = ask(gateway, {"command": "explain", "target": target, "ccn": ccn})
    if as_json:
        print(json.dumps(answer, indent=1))
    else:
        draw_explanation(answer)
