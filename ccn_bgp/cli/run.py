"""``ccn run``: one gateway in the foreground."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def run(
    file: Annotated[Path, typer.Argument(help="Topology file.", show_default=False)],
    gateway: Annotated[
        str, typer.Option(help="Which gateway of the file this machine is.", show_default=False)
    ],
    *,
    forwarder: Annotated[
        str | None,
        typer.Option(
            metavar="SOCKET|none",
            help="Control socket of a forwarder that runs already; 'none' learns and verifies "
            "without one. Without this option it starts its own on the ports of the topology.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Sockets, pids and logs.", show_default="/run/ccn/NAME"),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Record what every peer says as MRT files there, at most 1 GiB; "
            "'ccn replay-bgp' learns it again without a network.",
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every detail.")] = False,
) -> None:
    """Run one gateway until SIGTERM.

    SIGHUP reads the file again, as one plan, without a session reset; an edit that is wrong or
    would leak is refused and the old state goes on.
    """
    import asyncio

    from ccn_bgp.gateway.daemon import Daemon
    from ccn_bgp.observe.api import RUN

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    daemon = Daemon(file, gateway, (state or RUN / gateway).absolute(), forwarder, record)
    asyncio.run(daemon.run())
