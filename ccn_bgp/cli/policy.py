"""``ccn policy``: policy files by themselves, without a network.

In: a policy file (and what it includes) and routes as JSON. Out: results, traces, failed tests.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Annotated, Any

import typer

from ccn_bgp.cli.policy_diff import diff
from ccn_bgp.cli.policy_routes import read_routes
from ccn_bgp.cli.validate import Form, show
from ccn_bgp.config.catalogue import in_file_order
from ccn_bgp.errors import InputError, Problem, RefusedError
from ccn_bgp.model.path import Path
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.evaluate import Accepted, Result, evaluate
from ccn_bgp.policy.lint import lint, undecided
from ccn_bgp.policy.load import load_policies, read_policies
from ccn_bgp.policy.routes import RouteError, attributes_json, read_route
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.schema import schema
from ccn_bgp.policy.testing import coverage, run
from ccn_bgp.policy.trace import trace

app = typer.Typer(
    help="Policy files by themselves: lint, test, explain, evaluate. No network is touched.",
    no_args_is_help=True,
)


class Default(StrEnum):
    """What happens to a route that no statement decides."""

    ACCEPT = "accept"
    REJECT = "reject"


File = Annotated[FilePath, typer.Argument(help="The policy file.", metavar="FILE")]
Names = Annotated[
    list[str],
    typer.Option("--policy", help="The policy; several times: a chain, in this order."),
]
DefaultOption = Annotated[
    Default,
    typer.Option(help="What happens to a route that no statement decides: reject on IDC sessions."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@app.command("eval")
def evaluate_routes(
    file: File,
    policy: Names,
    routes: Annotated[
        FilePath, typer.Option(help="Routes, one JSON object per line; - is standard input.")
    ],
    default: DefaultOption = Default.REJECT,
    as_json: Json = False,
) -> None:
    """Routes in, results out: one line for each route, in their order.

    A line is a route, or what `ccn decode --json` has written of a message.
    """
    policies = _with(load_policies([file]), file, policy)
    for number, entry, path, context in read_routes(routes):
        result = evaluate(policies, policy, path, default=default.value, context=context)
        if as_json:
            typer.echo(json.dumps(_result_json(number, entry, path, result, default)))
        else:
            shown = entry if isinstance(entry, str) else entry.get("prefix") or entry.get("ip", "")
            typer.echo(f"{number}: {shown}: {_result_text(path, result, default)}")


@app.command("explain")
def explain(
    file: File,
    policy: Names,
    route: Annotated[str, typer.Option(help="A prefix, or a route as a JSON object.")],
    default: DefaultOption = Default.REJECT,
    as_json: Json = False,
) -> None:
    """One route, statement by statement: what matched and why, what was changed, the result."""
    policies = _with(load_policies([file]), file, policy)
    try:
        entry = json.loads(route) if route.lstrip().startswith("{") else route
        path, context = read_route(entry)
    except (RouteError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(Problem("--route", str(error))) from None
    told = trace(policies, policy, path, default=default.value, context=context)
    if as_json:
        found = told.as_json()
        if isinstance(told.result, Accepted):
            found["attributes"] = attributes_json(told.result.attributes)
        typer.echo(json.dumps(found, indent=2))
        return
    for line in told.lines():
        typer.echo(line)


@app.command("test")
def test(file: File, as_json: Json = False) -> None:
    """Run the tests that stand in policy files, and tell which statements none of them reaches.

    Exit 0: all passed. Exit 3: some failed.
    """
    policies = load_policies([file])
    outcomes = list(run(policies))
    covered = coverage(policies, outcomes)
    failed = [o for o in outcomes if o.differences]
    count = len(covered.reached) + len(covered.missed)
    if as_json:
        document = {
            "ok": not failed,
            "tests": [
                {
                    "name": o.test.name,
                    "where": o.test.where,
                    "passed": not o.differences,
                    "differences": list(o.differences),
                }
                for o in outcomes
            ],
            "coverage": {
                "statements": count,
                "reached": len(covered.reached),
                "missed": [
                    {"policy": s.policy, "statement": s.name, "where": s.where}
                    for s in covered.missed
                ],
            },
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        for outcome in outcomes:
            typer.echo(f"{'FAILED' if outcome.differences else 'passed'}  {outcome.test.name}")
            if outcome.differences:
                ways = (line for told in outcome.traces for line in told.lines())
                for line in (*outcome.differences, *ways):
                    typer.echo(f"    {line}")
        typer.echo(f"coverage: {len(covered.reached)} of {count} statements")
        for statement in covered.missed:
            typer.echo(f"    not reached: {statement}")
    if failed:
        raise RefusedError(
            *(
                Problem(o.test.where, f"test '{o.test.name}' failed: {o.differences[0]}")
                for o in failed
            )
        )


@app.command("lint")
def lint_files(
    file: File,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", help="Policies that are used as one chain, in this order."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="What to print.")] = Form.TEXT,
    as_json: Json = False,
) -> None:
    """Everything that is wrong with a policy file, and what each policy leaves undecided.

    Exit 0: no error (there may be warnings). Exit 2: the file cannot be used. Exit 3: errors.
    """
    form = Form.JSON if as_json else form
    policies = read_policies([file])
    if policy:
        _with(policies, file, policy)
    chains = [tuple(policy)] if policy else [(name,) for name in sorted(policies.policies)]
    findings = in_file_order(lint(policies, chains))
    show(findings, form, file)
    if form is Form.TEXT:
        for chain in chains:
            if example := undecided(policies, chain):
                typer.echo(f"policy {', '.join(chain)}: left to the default, such as {example}")
    if any(f.stands for f in findings):
        raise typer.Exit(3)


@app.command("schema")
def print_schema() -> None:
    """The JSON Schema of policy files, for editors: they complete and check while one writes."""
    typer.echo(json.dumps(schema(), indent=2))


app.command("diff")(diff)


def _with(policies: PolicySet, file: FilePath, names: list[str]) -> PolicySet:
    """The same, if it has these policies."""
    for name in names:
        if name not in policies.policies:
            hint = nearest(name, policies.policies, "it has") or "it has none"
            raise InputError(Problem(str(file), f"there is no policy '{name}'", hint))
    return policies


def _result_json(
    number: int, entry: Any, path: Path, result: Result, default: Default
) -> dict[str, Any]:
    found: dict[str, Any] = {"line": number}
    found["route"] = {"prefix": entry} if isinstance(entry, str) else entry
    accepted = isinstance(result, Accepted)
    found |= {"result": "accept" if accepted else "reject", "by": None}
    found |= {"default": default.value, "by-default": True}
    if isinstance(result, Accepted):
        decider = None if result.by_default or not result.trace else result.trace[-1]
        if decider is not None:
            found["by"] = {
                "policy": decider.policy,
                "statement": decider.name,
                "where": decider.where,
            }
        before, after = attributes_json(path.attributes), attributes_json(result.attributes)
        keys = sorted(before.keys() | after.keys())
        found["attributes"] = after
        found["changed"] = [key for key in keys if before.get(key) != after.get(key)]
    elif result.where:
        found["by"] = {
            "policy": result.policy,
            "statement": result.statement,
            "where": result.where,
        }
    found["by-default"] = found["by"] is None
    return found


def _result_text(path: Path, result: Result, default: Default) -> str:
    if not isinstance(result, Accepted):
        return str(result)
    before, after = attributes_json(path.attributes), attributes_json(result.attributes)
    changed = [
        f"{key} {_shown(before.get(key))} → {_shown(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return "; ".join([str(result), *changed])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "unset" if value is None else str(value) or "empty"
