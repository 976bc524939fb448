"""`ccn reach FILE`: which CCN can receive whose routes, in how many hops, by which chain.

In: a topology file. Out: the answers of the route-target graph on stdout, as text or JSON; exit 0
if shares declare all of them, 2 if the file cannot be used, 3 if something is undeclared.
"""

from __future__ import annotations

import json as json_form
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.topology import Topology
from ccn_bgp.nearest import nearest

if TYPE_CHECKING:
    from rich.text import Text

    from ccn_bgp.table.verify.targets_reach import Answers

MAX_SHOWN = 2_000
"""Answers of a kind printed as text; JSON has all."""
UNDECLARED = "no share declares it"


def reach(
    file: Annotated[Path, typer.Argument(help="The topology file.", metavar="FILE")],
    provider: Annotated[
        str, typer.Option("--from", metavar="CCN", help="Only what begins in this CCN.")
    ] = "",
    receiver: Annotated[
        str, typer.Option("--to", metavar="CCN", help="Only what this CCN can receive.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Who can receive whose routes, by route targets alone, each with the shortest chain.

    Exit 0: shares declare all of it. Exit 3: something is undeclared.
    """
    from ccn_bgp.table.verify.declared import declared_world
    from ccn_bgp.table.verify.targets_reach import answers

    topology = load_topology(file)
    for option, name in (("--from", provider), ("--to", receiver)):
        known(topology, file, option, name)
    found = answers(declared_world(topology), provider, receiver)
    if json:
        typer.echo(json_form.dumps(as_json(found), indent=2))
    else:
        from rich.console import Console

        console = Console(soft_wrap=True, highlight=False)
        for line in text_lines(found):
            console.print(line)
    if not found.declared:
        raise typer.Exit(3)


def known(topology: Topology, file: Path, option: str, name: str) -> None:
    """InputError: a CCN was named that is not in the file."""
    if name and name not in topology.ccns:
        hint = nearest(name, topology.ccns, "CCNs")
        raise InputError(Problem(str(file), f"{option}: there is no CCN '{name}'", hint))


def as_json(found: Answers) -> dict[str, Any]:
    """Plain data. ``ok``: all is declared. ``by`` names what carried the route at each step."""
    return {
        "ok": found.declared,
        "reaches": [
            {
                "from": r.provider,
                "to": r.receiver,
                "hops": len(r.by),
                "chain": list(r.chain),
                "by": list(r.by),
                "declared": r.declared,
                "returned": r.returned,
            }
            for r in found.receptions
        ],
        "undeclared-imports": [
            {
                "ccn": i.ccn,
                "table": i.table,
                "target": i.target,
                "from": i.provider,
                "chain": list(i.chain),
                "by": [i.target],
            }
            for i in found.imports
        ],
        "one-way-imports": [
            {"from": r.provider, "to": r.receiver, "chain": list(r.chain), "by": list(r.by)}
            for r in found.receptions
            if r.one_way
        ],
        "cycles": [
            {"ccns": list(c.ccns), "chain": list(c.chain), "by": list(c.by), "declared": c.declared}
            for c in found.cycles
        ],
    }


def text_lines(found: Answers) -> Iterator[Text]:
    """Styled lines: each kind of answer with its chains, then one line that counts them."""
    from rich.text import Text

    def entry(head: str, declared: bool, way: str) -> tuple[Text, Text]:
        words = "declared by a share" if declared else UNDECLARED
        line = Text(f"{head}: ").append(words, style="green" if declared else "bold red")
        return line, Text(f"    {way}", style="dim")

    one_way = [r for r in found.receptions if r.one_way]
    yield from _few(
        entry(
            f"{r.receiver} can receive routes of {r.provider} in {_count(len(r.by), 'hop')}",
            r.declared,
            arrows(r.chain, r.by),
        )
        for r in found.receptions
    )
    yield from _few(
        entry(
            f"undeclared import: {i.table} imports {i.target} of {i.provider}",
            False,
            arrows(i.chain, (i.target,)),
        )
        for i in found.imports
    )
    yield from _few(
        entry(
            f"one-way import: {r.receiver} hears {r.provider}, {r.provider} does not hear "
            f"{r.receiver}",
            False,
            arrows(r.chain, r.by),
        )
        for r in one_way
    )
    yield from _few(
        entry(f"cycle through {', '.join(c.ccns)}", c.declared, arrows(c.chain, c.by))
        for c in found.cycles
    )
    undeclared = sum(not r.declared for r in found.receptions)
    counts = (
        _count(len(found.receptions), "pair"),
        f"{undeclared or 'none'} undeclared",
        _count(len(found.imports), "undeclared import"),
        _count(len(one_way), "one-way import"),
        _count(len(found.cycles), "cycle"),
    )
    yield Text(", ".join(counts))


def arrows(names: Sequence[str], by: Sequence[str]) -> str:
    """``gw/a -(64600:100)-> gw/b``."""
    steps = (f" -({way})-> {name}" for way, name in zip(by, names[1:], strict=True))
    return names[0] + "".join(steps)


def _few(entries: Iterable[tuple[Text, Text]]) -> Iterator[Text]:
    from rich.text import Text

    held = list(entries)
    yield from chain.from_iterable(held[:MAX_SHOWN])
    if len(held) > MAX_SHOWN:
        yield Text(f"and {len(held) - MAX_SHOWN} more; --json has them all")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
