"""`ccn graph FILE -o OUT`: the topology, who can reach whom, and where each finding shows.

In: a topology file. Out: OUT as SVG, stand-alone HTML or DOT, by the end of its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.gateway.intent import topology_findings
from ccn_bgp.observe.graph import picture_of
from ccn_bgp.observe.graph_dot import dot
from ccn_bgp.observe.graph_svg import html, svg

FORMS = {".svg": svg, ".html": html, ".dot": dot}


def graph(
    file: Annotated[Path, typer.Argument(help="The topology file.", metavar="FILE")],
    output: Annotated[Path, typer.Option("-o", "--output", help="OUT.svg, OUT.html or OUT.dot.")],
) -> None:
    """Draw a topology: regions, CCNs and members, who reaches whom, and each finding's witness.

    Exit 0 whatever is found: `ccn validate` judges.
    """
    from ccn_bgp.table.verify.declared import declared_world

    form = FORMS.get(output.suffix.lower())
    if form is None:
        ends = ", ".join(FORMS)
        raise InputError(Problem(str(output), "the end of its name says no form", f"one of {ends}"))
    topology = load_topology(file)
    picture = picture_of(topology, declared_world(topology), topology_findings(topology))
    try:
        output.write_text(form(picture), encoding="utf-8")
    except OSError as error:
        words = error.strerror or str(error)
        raise InputError(Problem(str(output), f"cannot be written: {words}")) from None
