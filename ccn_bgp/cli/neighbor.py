"""``ccn neighbor``: an operator's work on one peer."""

from __future__ import annotations

import enum
from typing import Annotated

import typer


class Action(enum.StrEnum):
    """What can be done to a session."""

    CLEAR = "clear"
    REFRESH = "refresh"
    DRAIN = "drain"
    UNDRAIN = "undrain"


def neighbor(
    name: Annotated[str, typer.Argument(help="Name of the peer.", show_default=False)],
    action: Annotated[
        Action,
        typer.Argument(
            help="clear: end the session, it comes up again. refresh: ask for all routes again "
            "and say ours again. drain: send traffic elsewhere before the session ends (RFC 8326). "
            "undrain: take that back.",
            show_default=False,
        ),
    ],
    gateway: Annotated[
        str | None,
        typer.Option(help="Which gateway; not needed where one runs.", show_default=False),
    ] = None,
) -> None:
    """Work on one peer of a running gateway."""
    from ccn_bgp.observe.api import ask

    ask(gateway, {"command": "neighbor", "name": name, "action": action.value})
    print(f"{name}: {action.value} done")
