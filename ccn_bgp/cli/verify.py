"""`ccn verify FILE... [--json]`: verification alone, on tables written as JSON.

In: what `ccn show fib --json` of several gateways exports, or files made by hand. Out: findings on
stdout; exit 0 without any, 3 with, 2 for a file that cannot be used.
"""

from __future__ import annotations

import json as json_form
from pathlib import Path
from typing import Annotated, Any

import typer

from ccn_bgp.model.counted import counted
from ccn_bgp.model.finding import Finding

MAX_RANGES = 8
"""Ranges printed as text for one finding; JSON has all."""


def finding_json(finding: Finding) -> dict[str, Any]:
    """The form of ``--json``: rt-leak also says ``from`` and ``to``; empty keys are left out."""
    form = {key: value for key, value in finding.as_json().items() if value != ""}
    if finding.rule == "rt-leak":
        chain = finding.witness["chain"]
        form["from"], form["to"] = chain[0], chain[-1]
    return form


def finding_text(finding: Finding) -> str:
    """One line of what, then the witness, indented."""
    lines = [f"{finding.severity} {finding.rule}: {finding.message}"]
    if chain := finding.witness.get("chain"):
        lines.append(f"  chain: {' -> '.join(chain)}")
    if ranges := finding.witness.get("ranges"):
        shown = [a if a == b else f"{a} - {b}" for a, b in ranges[:MAX_RANGES]]
        more = f" and {len(ranges) - MAX_RANGES} more" if len(ranges) > MAX_RANGES else ""
        lines.append(f"  addresses: {', '.join(shown)}{more}")
    if hops := finding.witness.get("hops"):
        lines.append(f"  {finding.witness['address']} meets: {' -> '.join(hops)}")
    return "\n".join(lines)


def verify(
    files: Annotated[
        list[Path], typer.Argument(help="Tables as JSON; several files are joined.", metavar="FILE")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check tables for isolation: leaks, hijacks, blackholes, loops, misdelivery.

    Exit 0: no finding. Exit 3: findings. Exit 2: a file cannot be used.
    """
    from ccn_bgp.table.verify import parse_world, verify_world

    world = parse_world(files)
    findings = verify_world(world)
    if json:
        form = {"ok": not findings, "findings": [finding_json(f) for f in findings]}
        typer.echo(json_form.dumps(form, indent=2))
    elif findings:
        for finding in findings:
            typer.echo(finding_text(finding))
    else:
        routes = len(world.v4) + len(world.v6)
        typer.echo(
            f"no finding in {counted(len(world.tables), 'table')}, {counted(routes, 'route')}"
        )
    if findings:
        raise typer.Exit(3)
