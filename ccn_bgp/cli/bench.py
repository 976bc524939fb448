"""``ccn bench``: our figures and the peers', measured in the same run."""

from __future__ import annotations

import enum
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


class Area(enum.StrEnum):
    """What can be measured."""

    LEARN = "learn"
    VERIFY = "verify"
    FORWARD = "forward"
    COMMIT = "commit"
    POLICY = "policy"


def lines(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each figure, peers and ratios beside it."""
    for figure in results:
        line = f"{figure['case']:<24}{figure['metric']:<30}{figure['ours']:>12g} {figure['unit']}"
        for peer, value in figure["peers"].items():
            line += f"   {peer} {value:g} (ours {figure['ratio'][peer]:.2f} x)"
        yield line


def bench(
    area: Annotated[Area, typer.Argument(help="What to measure.", show_default=False)],
    case: Annotated[
        str | None, typer.Option(help="Only this case of it.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer samples: does it work? Not for the record.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="CCN_BENCH_DATA",
            exists=True,
            file_okay=False,
            help="Folder with a real full table and a trace of UPDATEs; without it they are drawn.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Measure our figures and the peers', in the same run.

    Learning, verification, forwarding, commits or policy, with the real processes and the peers
    that are installed here. A ratio over 1 says how many times better ours is. What is under way
    goes to stderr.
    """
    from ccn_bgp.bench.cases import Run, chosen

    # what a case has started and laid is put away however it ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    busy, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if busy > cpus / 4:
        text = f"load average is {busy:.1f} on {cpus} CPUs: only ratios mean something"
        print(f"ccn: this machine is busy, {text}", file=sys.stderr)
    results = []
    for name, run in chosen(area.value, case).items():
        print(f"{name}:", file=sys.stderr)
        for figure in run(Run(quick, lambda line: print(f"  {line}", file=sys.stderr), data)):
            results.append(figure.as_json())
    if as_json:
        print(json.dumps({"results": results}, indent=1))
    else:
        for line in lines(results):
            print(line)
