"""``ccn replay``: packets from a file through a real forwarder with the topology's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def replay(
    file: Annotated[Path, typer.Argument(help="Topology file.", show_default=False)],
    gateway: Annotated[str, typer.Option(help="Whose tables.", show_default=False)],
    packets_in: Annotated[
        Path, typer.Option("--in", metavar="A.pcap", help="Frames to send in.", show_default=False)
    ],
    packets_out: Annotated[
        Path, typer.Option("--out", metavar="B.pcap", help="Frames sent.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="The same; JSON is all it says.")] = False,
) -> None:
    """Put the topology's tables into a real forwarder on pcap ports and send packets through it.

    The tables are those that everything declared would lead to, IDC cidrs included. Every underlay
    or hand-off address resolves to MAC 02:00 + its four bytes, and frames to any destination MAC
    are taken. Prints the counters as JSON.
    """
    from ccn_bgp.gateway.intent import read_intent
    from ccn_bgp.gateway.replay import replay as run

    print(json.dumps(run(read_intent(file, gateway), packets_in, packets_out), indent=1))
