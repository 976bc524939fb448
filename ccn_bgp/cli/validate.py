"""`ccn validate FILE`: everything that can be known about a topology without touching a network.

In: a topology file with its policies. Out: findings on stdout as text, JSON or SARIF; exit 0 if
there is no error (warnings allowed), 2 if a file cannot be used, 3 with errors.
"""

from __future__ import annotations

import gc
import json as json_form
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.model.finding import Finding
from ccn_bgp.observe.findings import sarif, text_lines
from ccn_bgp.source import Progress, place

READING = 0.6
"""Part of the whole that reading the file takes, as measured."""


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
    # Nothing here makes garbage in circles, and a million live values are slow to look through.
    gc.disable()
    try:
        with reading(file) as progress:
            topology = load_topology(file, progress)
            progress(1)
            findings = topology_findings(topology)
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
    finally:
        gc.enable()
    show(findings, form, file)
    if any(f.stands for f in findings):
        raise typer.Exit(3)


@contextmanager
def reading(file: Path) -> Iterator[Progress]:
    """A bar on stderr if that is a terminal, gone again when the answer is there."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"reading {file.name}", total=1.0)

        def tell(done: float) -> None:
            text = f"reading {file.name}" if done < 1 else f"proving {file.name}"
            # What comes after the reading costs about as much again and has no steps to tell.
            bar.update(task, completed=done * READING, description=text)

        yield tell
        bar.update(task, completed=1.0)


def show(findings: Sequence[Finding], form: Form, file: Path) -> None:
    """Print findings on stdout; colours on a terminal only."""
    if form is Form.JSON:
        ok = not any(f.stands for f in findings)
        document = {"ok": ok, "findings": [f.as_json() for f in findings]}
        typer.echo(json_form.dumps(document, indent=2))
    elif form is Form.SARIF:
        typer.echo(json_form.dumps(sarif(findings), indent=2))
    else:
        from rich.console import Console

        console = Console(soft_wrap=True, highlight=False)
        for line in text_lines(findings, file):
            console.print(line)
