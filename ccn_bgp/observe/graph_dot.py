"""A Picture as DOT text for Graphviz: in comes the picture, out goes one digraph."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ccn_bgp.observe.graph import Picture


def dot(picture: Picture) -> str:
    """Regions are clusters, CCNs colours; red edges are witnesses, numbered as the findings are."""
    return "\n".join(_lines(picture)) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _lines(picture: Picture) -> Iterator[str]:
    yield f"digraph {_quoted(picture.name)} {{"
    yield '  graph [rankdir=LR, fontname="sans-serif", compound=true];'
    yield '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];'
    yield '  edge [fontname="sans-serif", fontsize=9];'
    hue = {b.ccn: f"{n * 0.381966 % 1:.3f}" for n, b in enumerate(picture.bands)}
    for number, (region, gateways) in enumerate(picture.gateways.items()):
        yield f"  subgraph cluster_{number} {{"
        yield f"    label={_quoted('region ' + region)};"
        for name, detail in gateways:
            label = _quoted(f"{name}\n{detail}")
            yield f'    {_quoted("gateway " + name)} [label={label}, fillcolor="#dddddd"];'
        for band in picture.bands:
            cell = band.cells.get(region)
            if cell is None:
                continue
            fill = f'fillcolor="{hue[band.ccn]} 0.18 0.97"'
            for gateway in cell.gateways:
                key = _quoted(f"{gateway}/{band.ccn}")
                yield f"    {key} [shape=ellipse, {fill}];"
            for member in cell.members:
                silent = ("announces nothing",) if member.silent else ()
                label = _quoted("\n".join([member.key, *member.lines, *silent]))
                yield f"    {_quoted(member.key)} [label={label}, {fill}];"
        yield "  }"
    for band in picture.bands:
        tables = [f"{g}/{band.ccn}" for c in band.cells.values() for g in c.gateways]
        for cell in band.cells.values():
            for gateway in cell.gateways:
                table = f"{gateway}/{band.ccn}"
                way = f"{_quoted('gateway ' + gateway)} -> {_quoted(table)}"
                yield f"  {way} [style=dotted, arrowhead=none];"
                for member in cell.members:
                    yield f"  {_quoted(member.key)} -> {_quoted(table)} [dir=both];"
        for left, right in pairwise(tables):
            yield f"  {_quoted(left)} -> {_quoted(right)} [dir=both, style=bold];"
    first = {
        b.ccn: next((f"{g}/{b.ccn}" for c in b.cells.values() for g in c.gateways), "")
        for b in picture.bands
    }
    for reach in picture.reaches:
        ends = first[reach.consumer], first[reach.provider]
        if all(ends):
            color = "darkgreen" if reach.shared else "red"
            label = _quoted("reaches " + (", ".join(reach.prefixes[:3]) or "nothing"))
            yield f"  {_quoted(ends[0])} -> {_quoted(ends[1])} [color={color}, label={label}];"
    for mark in picture.marks:
        color = "red" if mark.finding.severity == "error" else "orange"
        label = _quoted(f"{mark.number} {mark.finding.rule}")
        path = mark.path if len(mark.path) > 1 else mark.path * 2
        for left, right in pairwise(path):
            yield (
                f"  {_quoted(left)} -> {_quoted(right)}"
                f" [color={color}, fontcolor={color}, style=dashed, label={label}];"
            )
    for mark in picture.marks:
        yield f"  // {mark.number} {mark.finding.rule} {mark.finding.where}: {mark.finding.message}"
    if picture.hidden:
        yield f"  // and {picture.hidden} more CCNs"
    yield "}"
