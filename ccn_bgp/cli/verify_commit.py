"""``ccn verify-commit``: prove a commit of a running gateway again, by other means."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ccn_bgp.model.counted import counted


def verify_commit(
    number: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="Of `ccn show commits`.", show_default="the last"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every commit that is kept.")] = False,
    sample: Annotated[
        int | None,
        typer.Option(help="Ask about so many end-points only; said in the answer."),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(help="Which gateway; not needed where one runs.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Prove a commit of a running gateway again, by other means.

    A small, independent checker asks address by address, at every interval end-point: not a line of
    it is shared with the check that let the commit pass.

    Exit 0: it holds. Exit 3: it does not, or its tables are not those of the certificate.
    """
    from ccn_bgp.observe.api import ask

    first = ask(gateway, {"command": "commit", "id": number})
    held = [first]
    if every:
        held = [ask(gateway, {"command": "commit", "id": n}) for n in first["kept"]]
    answers = [_proved(answer, sample) for answer in held]
    if as_json:
        ok = all(a["ok"] for a in answers)
        print(json.dumps({"ok": ok, "gateway": first["gateway"], "commits": answers}, indent=1))
    else:
        for answer in answers:
            _say(answer)
    if not all(a["ok"] for a in answers):
        raise typer.Exit(3)


def _proved(answer: dict[str, Any], sample: int | None) -> dict[str, Any]:
    from ccn_bgp.table.verify.recheck import recheck

    certificate = answer["certificate"]
    found, asked = recheck(answer["world"], sample)
    accepted = {tuple(words) for words in answer["accepted"]}
    faults = [fault for fault in found if fault[:3] not in accepted]
    differs = [
        name
        for name, now in (
            ("digest", answer["digest"]),
            ("intent", answer["intent"]),
            ("routes", len(answer["world"]["routes"])),
            ("tables", len(answer["world"]["tables"])),
        )
        if certificate[name] != now
    ]
    return {
        "ok": not faults and not differs,
        "id": certificate["id"],
        "generation": certificate["generation"],
        "routes": certificate["routes"],
        "addresses-asked": asked,
        "sampled": sample is not None,
        "certificate-differs-in": differs,
        "accepted": len(found) - len(faults),
        "faults": [fault._asdict() for fault in faults],
    }


def _say(answer: dict[str, Any]) -> None:
    how = "sampled" if answer["sampled"] else "all end-points"
    asked = counted(answer["addresses-asked"], "address", "addresses")
    verdict = "holds" if answer["ok"] else "DOES NOT HOLD"
    print(
        f"commit {answer['id']} (generation {answer['generation']}) {verdict}: "
        f"{counted(answer['routes'], 'route')}, {asked} asked ({how})"
    )
    if answer["accepted"]:
        print(f"  accepted by `suppress` in the topology: {counted(answer['accepted'], 'fault')}")
    for name in answer["certificate-differs-in"]:
        print(f"  the {name} is not that of the certificate")
    for fault in answer["faults"]:
        print(f"  {fault['rule']}: {fault['table']} {fault['prefix']} at {fault['address']}")
