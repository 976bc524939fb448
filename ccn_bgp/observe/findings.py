"""Findings as text and as SARIF 2.1.0. In: Findings. Out: lines to print, or plain data.

Text says rule, witness and the way out; SARIF is what code hosts and editors show beside the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.text import Text

from ccn_bgp import __version__
from ccn_bgp.model.finding import WARNINGS, Finding
from ccn_bgp.observe.advice import ADVICE, hint
from ccn_bgp.source import place

MAX_RANGES = 4
"""Ranges printed as text for one finding; JSON has all."""
MAX_SHOWN = 2_000
"""Findings printed as text; JSON and SARIF have all."""
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def text_lines(findings: Sequence[Finding], file: Path) -> list[Text]:
    """Styled lines: each finding with witness and hint, then one line that counts them.

    Of accepted findings the errors are listed, with the reason; warnings are only counted.
    """
    lines: list[Text] = []
    told = [f for f in findings if not f.suppressed or f.severity == "error"]
    for finding in told[:MAX_SHOWN]:
        style = "bold red" if finding.stands else "yellow"
        accepted = "suppressed " if finding.suppressed else ""
        line = Text(f"{finding.where}: ")
        line.append(f"{accepted}{finding.severity} {finding.rule}", style=style)
        line.append(f": {finding.message}")
        lines.append(line)
        lines += [Text(f"    {text}", style="dim") for text in witness_lines(finding)]
        if finding.suppressed:
            lines.append(Text(f"    reason: {finding.suppressed}", style="cyan"))
        elif way := hint(finding):
            lines.append(Text(f"    hint: {way}", style="cyan"))
    if len(told) > MAX_SHOWN:
        more = len(told) - MAX_SHOWN
        lines.append(Text(f"and {more} more findings; --format json has them all"))
    lines.append(Text(summary(findings, file)))
    return lines


def summary(findings: Sequence[Finding], file: Path) -> str:
    """``two-regions.yaml: no errors, 4 warnings, 1 suppressed``."""
    words = []
    for kind in ("error", "warning"):
        count = sum(f.severity == kind and not f.suppressed for f in findings)
        words.append(f"{count or 'no'} {kind}{'' if count == 1 else 's'}")
    if count := sum(bool(f.suppressed) for f in findings):
        words.append(f"{count} suppressed")
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
    """One SARIF 2.1.0 log with one run."""
    rules = sorted({f.rule for f in findings} & ADVICE.keys())
    index = {rule: number for number, rule in enumerate(rules)}
    driver = {"name": "ccn", "version": __version__, "rules": [_sarif_rule(r) for r in rules]}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(f, index) for f in findings],
            }
        ],
    }


def _sarif_rule(rule: str) -> dict[str, Any]:
    return {
        "id": rule,
        "shortDescription": {"text": ADVICE[rule].meaning},
        "help": {"text": ADVICE[rule].hint.format(ccn="the CCN", prefix="it", peer="the peer")},
        "defaultConfiguration": {"level": "warning" if rule in WARNINGS else "error"},
    }


def _sarif_result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    file, line, column = place(finding.where)
    text = [finding.message, *witness_lines(finding)]
    if way := hint(finding):
        text.append(f"hint: {way}")
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": finding.severity,
        "message": {"text": "\n".join(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(file)},
                    "region": {"startLine": max(line, 1), "startColumn": max(column, 1)},
                }
            }
        ],
    }
    if finding.suppressed:
        result["suppressions"] = [
            {"kind": "inSource", "status": "accepted", "justification": finding.suppressed}
        ]
    return result
