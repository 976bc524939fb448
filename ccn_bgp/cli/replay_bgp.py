"""``ccn replay-bgp``: learn again, offline, what a gateway has recorded."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ccn_bgp.cli.show import View
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.counted import counted


def replay_bgp(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.mrt...", help="Recordings, oldest first.", show_default=False),
    ],
    topology: Annotated[Path, typer.Option(help="Topology file.", show_default=False)],
    gateway: Annotated[str, typer.Option(help="Whose recording.", show_default=False)],
    *,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop after this moment: 2026-03-01T03:00:00Z, or seconds since 1970.",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        View | None,
        typer.Option("--show", help="A view as of then, as 'ccn show' has it.", show_default=False),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every event.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Learn again, offline, what a gateway has recorded with 'ccn run --record'.

    The messages go through the same code: the digest is that of 'ccn show digest' at that moment,
    and so are the findings. Exit 3: an error stands that live would have kept the old tables for.
    """
    from ccn_bgp.gateway import views
    from ccn_bgp.gateway.intent import read_intent
    from ccn_bgp.gateway.replay_bgp import replay_bgp as run
    from ccn_bgp.gateway.replay_bgp import summary
    from ccn_bgp.observe.render import draw

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR,
        format="%(levelname).1s %(name)s: %(message)s",
    )
    moment = None if until is None else moment_of(until)
    replayed = run(read_intent(topology, gateway), files, moment)
    answer = summary(replayed)
    if view is not None:
        answer = views.show(replayed, view.value, {})
    if as_json:
        print(json.dumps(answer, indent=1))
    elif view is not None:
        draw(view.value, answer)
    else:
        describe(answer)
    if replayed.proved.standing:
        raise typer.Exit(3)


def describe(answer: dict[str, Any]) -> None:
    """The summary as text."""
    from rich.console import Console

    from ccn_bgp.observe.render import draw

    console = Console(soft_wrap=True, highlight=False, markup=False)
    words = {key: answer[key] for key in ("gateway", "digest", "routes", "records")}
    for key in ("from", "to"):
        words[key] = datetime.fromtimestamp(answer[key], UTC).isoformat()
    draw("digest", words)
    for stranger in answer["strangers"]:
        records = counted(stranger["records"], "record")
        who = f"{stranger['address']} AS {stranger['asn']}"
        console.print(f"left out: {records} of {who}, no neighbor of this file")
    for name in answer["cut-short"]:
        console.print(f"incomplete: the recording of {name} begins in the midst of a session")
    draw("neighbors", {"neighbors": answer["neighbors"]})
    if answer["findings"]:
        draw("findings", {"findings": answer["findings"]})


def moment_of(text: str) -> int:
    """Microseconds since 1970. InputError: the text is no time; without a zone it is UTC."""
    try:
        if text.replace(".", "", 1).isdecimal():
            return round(float(text) * 1_000_000)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        hint = "2026-03-01T03:00:00Z, or seconds since 1970"
        raise InputError(Problem("--until", f"'{text}' is no time", hint)) from None
