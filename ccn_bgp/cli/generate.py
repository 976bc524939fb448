"""`ccn generate`: a large topology file to measure with. In: a size and a seed. Out: a file and its
policy file beside it, the same octets for the same words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ccn_bgp.config.generate import POLICY, Size
from ccn_bgp.config.generate import generate as lines_of
from ccn_bgp.config.generate import problem as problem_of
from ccn_bgp.errors import InputError, Problem


def generate(
    output: Annotated[Path, typer.Option("-o", "--output", help="The topology file to write.")],
    ccsis: Annotated[int, typer.Option(min=1, help="Tables over all gateways.")] = 10_000,
    vms: Annotated[int, typer.Option(min=0, help="Virtual machines over all VPCs.")] = 100_000,
    gateways: Annotated[
        int, typer.Option(min=1, max=60, help="Gateways, one for each region.")
    ] = 2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
) -> None:
    """Write a large topology without a fault, for measuring.

    Its policy file is written beside it, as NAME-policy.yaml.
    """
    size = Size(ccsis, vms, gateways, seed)
    if why := problem_of(size):
        raise InputError(Problem("ccn generate", why))
    name = re.sub(r"[^A-Za-z0-9_-]", "-", output.stem).lstrip("-_")[:63] or "generated"
    policy = output.with_name(f"{output.stem}-policy.yaml")
    try:
        with output.open("w", encoding="utf-8") as file:
            for line in lines_of(size, name, f'"{policy.name}"'):
                file.write(line + "\n")
        policy.write_text(POLICY, encoding="utf-8")
    except OSError as error:
        words = error.strerror or str(error)
        raise InputError(Problem(str(output), f"cannot be written: {words}")) from None
