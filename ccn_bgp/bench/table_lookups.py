"""Look-ups in the forwarder's tables alone, by ``ccn-table-bench``, which is built beside it.

In: which tables. Out: a figure for each line "name value unit" that it prints.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

from ccn_bgp.bench.figure import Figure
from ccn_bgp.bench.forward_peers import cpu
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.forwarder.process import find_forwarder

HIGHER_IS_BETTER = ("M/s",)
"""Units of figures of which more is better."""


def lookups(case: str, tables: str, quick: bool, say: Callable[[str], None]) -> Iterator[Figure]:
    """``tables``: what names of figures begin with. CcnError if the program is not there."""
    program = find_forwarder().with_name("ccn-table-bench")
    command = [str(program), str(cpu()), "quick" if quick else "full", tables]
    try:
        done = subprocess.run(command, text=True, capture_output=True, check=True)
    except FileNotFoundError:
        raise CcnError(Problem(str(program), "is not there", "run `make setup`")) from None
    except subprocess.CalledProcessError as error:
        raise CcnError(Problem(str(program), error.stderr.strip() or "failed")) from None
    for line in done.stdout.splitlines():
        say(line)
        yield figure(case, line)


def figure(case: str, line: str) -> Figure:
    """Of one line."""
    name, value, unit = line.split(maxsplit=2)
    return Figure(case, name, unit, float(value), higher_is_better=unit in HIGHER_IS_BETTER)
