"""``ccn``: registers every command and maps errors to exit codes, here and nowhere else.

0 done and clean · 1 fault · 2 input unreadable or invalid · 3 verification found errors ·
4 gateway or forwarder not reached. JSON goes to stdout alone, diagnostics to stderr.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from ccn_bgp.cli import (
    bench,
    decode,
    explain,
    generate,
    graph,
    lab,
    neighbor,
    policy,
    reach,
    replay,
    replay_bgp,
    run,
    show,
    trace,
    validate,
    verify,
    verify_commit,
)
from ccn_bgp.errors import CcnError, InputError, RefusedError, UnreachableError

MANUAL = """
Control plane and DPDK gateway of a Cloud Connect Network.

A topology file declares regions, gateways, VPCs, data centres (IDCs) and the CCNs that join \
them. [bold]ccn validate[/] proves a file before it is used, [bold]ccn run[/] runs one gateway of \
it, [bold]ccn lab up[/] runs all of it on this machine with real routers and real packets, and \
[bold]ccn show[/] and [bold]ccn explain[/] answer questions at any hour.

Every command that shows something takes [bold]--json[/].

Exit codes: 0 done and clean, 1 fault, 2 the input cannot be read or is invalid, 3 verification \
found errors, 4 the gateway or forwarder could not be reached.
"""

app = typer.Typer(
    name="ccn",
    help=MANUAL,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """``ccn --version``."""
    if wanted:
        print(f"ccn {metadata.version('ccn-bgp')}")
        raise typer.Exit


@app.callback()
def ccn(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Say which."),
    ] = False,
) -> None:
    """Options of ``ccn`` itself."""


BEFORE = "Before: prove it"
RUNNING = "Running: one gateway"
ASKING = "Asking: at 3 a.m."
TRYING = "Trying: on this machine"

app.command("validate", rich_help_panel=BEFORE)(validate.validate)
app.command("graph", rich_help_panel=BEFORE)(graph.graph)
app.command("reach", rich_help_panel=BEFORE)(reach.reach)
app.command("generate", rich_help_panel=BEFORE)(generate.generate)
app.command("verify", rich_help_panel=BEFORE)(verify.verify)
app.command("decode", rich_help_panel=BEFORE)(decode.decode)
app.add_typer(policy.app, name="policy", rich_help_panel=BEFORE)
app.command("run", rich_help_panel=RUNNING)(run.run)
app.command("neighbor", rich_help_panel=RUNNING)(neighbor.neighbor)
app.command("show", rich_help_panel=ASKING)(show.show)
app.command("verify-commit", rich_help_panel=ASKING)(verify_commit.verify_commit)
app.command("explain", rich_help_panel=ASKING)(explain.explain)
app.command("trace", rich_help_panel=ASKING)(trace.trace)
app.command("replay-bgp", rich_help_panel=ASKING)(replay_bgp.replay_bgp)
app.command("replay", rich_help_panel=TRYING)(replay.replay)
app.add_typer(lab.app, name="lab", rich_help_panel=TRYING)
app.command("bench", rich_help_panel=TRYING)(bench.bench)

EXIT_CODES: tuple[tuple[type[CcnError], int], ...] = (
    (InputError, 2),
    (RefusedError, 3),
    (UnreachableError, 4),
    (CcnError, 1),
)


def exit_code(error: CcnError) -> int:
    """The exit code of an error: that of its nearest class in the tree of errors.py."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def usage_line(error: typer.TyperException) -> str:
    """What is wrong with the words on the command line, and where the manual is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ccn"
    words = " ".join(error.format_message().split())
    return f"{words} (see '{command} --help')"


def main() -> None:
    """Run one command; the only place where an error becomes a line on stderr and an exit code."""
    try:
        status = app(standalone_mode=False)
    except CcnError as error:
        for problem in error.problems:
            print(f"ccn: {problem}", file=sys.stderr)
        status = exit_code(error)
    except typer.TyperException as error:
        if error.format_message():  # without one it was `ccn` alone: the manual has been shown
            print(f"ccn: {usage_line(error)}", file=sys.stderr)
        status = 2
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        # The reader has left (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
