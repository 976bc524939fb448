"""`ccn validate FILE`: everything that can be known about a topology without touching a network.

In: a topology file with its policies. Out: findings on stdout as text, JSON or SARIF; exit 0 if
there is no error (warnings allowed), 2 if a file cannot be used, 3 with errors.
"""

from __future__ import annotations

import json as json_form
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.model.finding import ERRORS, WARNINGS, Finding
from ccn_bgp.source import place

MAX_RANGES = 4
"""Ranges printed as text for one finding; JSON has all."""


class Form(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def validate(
    file: Annotated[Path, typer.Argument(help="The topology file.", metavar="FILE")],
    form: Annotated[Form, typer.Option("--format", help="What to print.")] = Form.TEXT,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Check a topology and its policies; no network is touched.

    Exit 0: no error (there may be warnings). Exit 2: a file cannot be used. Exit 3: errors.
    """
    form = Form.JSON if json else form
    try:
        findings = topology_findings(load_topology(file))
    except InputError as error:
        if form is not Form.TEXT:
            schema = [
                Finding(
                    rule="schema",
                    message=p.what + (f" ({p.hint})" if p.hint else ""),
                    where=p.where if place(p.where)[1] else f"{p.where}:1:1",
                )
                for p in error.problems
            ]
            show(schema, form, file)
        raise
    show(findings, form, file)
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(3)


def show(findings: Sequence[Finding], form: Form, file: Path) -> None:
    """Print findings on stdout; colours on a terminal only."""
    if form is Form.JSON:
        ok = all(f.severity == "warning" for f in findings)
        document = {"ok": ok, "findings": [f.as_json() for f in findings]}
        typer.echo(json_form.dumps(document, indent=2))
    elif form is Form.SARIF:
        typer.echo(json_form.dumps(sarif(findings), indent=2))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(soft_wrap=True, highlight=False)
        for finding in findings:
            line = Text(f"{finding.where}: ")
            style = "bold red" if finding.severity == "error" else "yellow"
            line.append(f"{finding.severity} {finding.rule}", style=style)
            line.append(f": {finding.message}")
            console.print(line)
            for text in witness_lines(finding):
                console.print(Text(f"    {text}", style="dim"))
        console.print(Text(summary(findings, file)))


def summary(findings: Sequence[Finding], file: Path) -> str:
    """``two-regions.yaml: no errors, 4 warnings``."""
    words = []
    for kind in ("error", "warning"):
        count = sum(f.severity == kind for f in findings)
        words.append(f"{count or 'no'} {kind}{'' if count == 1 else 's'}")
    return f"{file}: {', '.join(words)}"


def witness_lines(finding: Finding) -> list[str]:
    """The witness as text, a line per part."""
    witness = finding.witness
    lines = []
    if chain := witness.get("chain"):
        lines.append(" -> ".join(chain))
    if ranges := witness.get("ranges"):
        shown = [a if a == b else f"{a} - {b}" for a, b in ranges[:MAX_RANGES]]
        more = f" and {len(ranges) - MAX_RANGES} more" if len(ranges) > MAX_RANGES else ""
        lines.append(f"addresses {', '.join(shown)}{more}")
    if hops := witness.get("hops"):
        lines.append(f"{witness['address']}: {' -> '.join(hops)}")
    return lines


def sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """SARIF 2.1.0: what code hosts and editors show beside the line."""
    rules = sorted({f.rule for f in findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "ccn",
                        "rules": [
                            {
                                "id": rule,
                                "defaultConfiguration": {
                                    "level": "warning" if rule in WARNINGS else "error"
                                },
                            }
                            for rule in rules
                            if rule in ERRORS or rule in WARNINGS
                        ],
                    }
                },
                "results": [_sarif_result(f) for f in findings],
            }
        ],
    }


def _sarif_result(finding: Finding) -> dict[str, Any]:
    file, line, column = place(finding.where)
    text = "\n".join([finding.message, *witness_lines(finding)])
    return {
        "ruleId": finding.rule,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": file},
                    "region": {"startLine": max(line, 1), "startColumn": max(column, 1)},
                }
            }
        ],
    }
