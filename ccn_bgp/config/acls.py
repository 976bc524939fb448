"""Access lists of a topology file: entries come in, lists of model/acl.py, problems and findings go
out.

Problems are of a list that cannot be used: no packet could match, or more rows than the forwarder
takes. Findings (`unused-acl`, `unreachable-rule`) are of one that can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ccn_bgp.config.schema import AclEntry, AclRuleEntry
from ccn_bgp.errors import Problem
from ccn_bgp.model.acl import (
    DEFAULT,
    ICMP,
    ICMPV6,
    MAX_ROWS,
    MAX_RULES,
    PROTOCOLS,
    WITH_PORTS,
    Acl,
    AclRow,
    AclRule,
)
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Topology
from ccn_bgp.source import Positions

MAX_PIECES = 500
"""What of a row earlier rows leave open: so many boxes, and it counts as reachable."""

Interval = tuple[int, int]
Box = tuple[Interval, ...]
"""Source, destination, protocol, source port, destination port."""


def acl_of(name: str, entry: AclEntry) -> Acl:
    """A list as the model has it."""
    return Acl(name, tuple(_rule(rule) for rule in entry.rules), entry.default)


def _rule(entry: AclRuleEntry) -> AclRule:
    return AclRule(
        name=entry.name,
        action=entry.action,
        version={None: None, "ipv4": 4, "ipv6": 6}[entry.family],
        source=tuple(entry.source),
        destination=tuple(entry.destination),
        protocol=entry.protocol,
        source_ports=tuple(entry.source_ports),
        destination_ports=tuple(entry.destination_ports),
    )


def rule_path(positions: Mapping[str, str], name: str, index: int) -> tuple[str | int, ...]:
    """Where a rule stands in the file: under ``rules:``, or in the list that is all of the ACL."""
    path = ("acls", name, index)
    return path if ".".join(map(str, path)) in positions else ("acls", name, "rules", index)


def problems(entries: Mapping[str, AclEntry], positions: Positions) -> list[Problem]:
    """What makes a list unusable."""
    found: list[Problem] = []
    for name, entry in entries.items():
        acl = acl_of(name, entry)
        seen: dict[str, str] = {}
        for index, rule in enumerate(acl.rules):
            at = rule_path(positions, name, index)
            where = positions.near(*at, "name")
            if rule.name == DEFAULT:
                hint = "it is what packets are counted under that no rule matches"
                found.append(Problem(where, f"a rule cannot be called '{DEFAULT}'", hint))
            elif rule.name in seen:
                what = f"acl '{name}' has two rules called '{rule.name}'"
                found.append(Problem(where, what, f"first at {seen[rule.name]}"))
            seen.setdefault(rule.name, where)
            found += _rule_problems(rule, at, positions)
        if len(acl.rules) > MAX_RULES:
            what = f"acl '{name}' has {len(acl.rules)} rules; at most {MAX_RULES} are taken"
            found.append(Problem(positions.near("acls", name), what))
        for version in (4, 6):
            rows = sum(rule.row_count(version) for rule in acl.all_rules)
            if rows > MAX_ROWS:
                what = (
                    f"acl '{name}' comes to {rows} rows for IPv{version}; at most {MAX_ROWS} are"
                    " taken"
                )
                hint = "a rule has a row for each combination of its prefixes and ports"
                found.append(Problem(positions.near("acls", name), what, hint))
    return found


def _rule_problems(
    rule: AclRule, at: tuple[str | int, ...], positions: Positions
) -> Iterator[Problem]:
    ports = {"source-ports": rule.source_ports, "destination-ports": rule.destination_ports}
    for key, ranges in ports.items():
        if ranges and rule.protocol not in WITH_PORTS:
            has = "any protocol" if rule.protocol is None else f"protocol {_name(rule.protocol)}"
            yield Problem(
                positions.near(*at, key),
                f"rule '{rule.name}' names ports of {has}",
                "ports go with protocol tcp, udp or sctp",
            )
    if not rule.versions:
        yield Problem(
            positions.near(*at), f"rule '{rule.name}' matches no packet", _mixed_versions(rule)
        )
        return
    for key, prefixes in (("source", rule.source), ("destination", rule.destination)):
        for index, prefix in enumerate(prefixes):
            if prefix.version not in rule.versions:
                yield Problem(
                    positions.near(*at, key, index),
                    f"rule '{rule.name}': {prefix} can match no packet",
                    f"the rest of the rule is of IPv{rule.versions[0]} alone",
                )


def _mixed_versions(rule: AclRule) -> str:
    said = []
    if rule.version is not None:
        said.append(f"family is ipv{rule.version}")
    for key, side in (("source", rule.source), ("destination", rule.destination)):
        if side:
            said.append(f"{key} is {' and '.join(sorted({f'IPv{p.version}' for p in side}))}")
    if rule.protocol in (ICMP, ICMPV6):
        said.append(f"{_name(rule.protocol)} is IPv{4 if rule.protocol == ICMP else 6}")
    return ", ".join(said)


def _name(protocol: int | None) -> str:
    return next((name for name, n in PROTOCOLS.items() if n == protocol), str(protocol))


# -- findings --------------------------------------------------------------------------------------


def unused_acls(topology: Topology) -> Iterator[Finding]:
    """Lists that no CCN attaches."""
    used = {ccn.acl for ccn in topology.ccns.values()}
    for name in topology.acls:
        if name not in used:
            yield Finding(
                "unused-acl",
                f"acl {name}: no ccn attaches it",
                where=topology.at("acls", name),
                witness={"chain": [f"acl {name}", "no ccn"]},
            )


def unreachable_rules(topology: Topology) -> Iterator[Finding]:
    """Rules all of whose packets earlier rules decide."""
    for name, acl in topology.acls.items():
        decided = _deciders(acl.rows)
        for index, rule in enumerate(acl.rules):
            by = decided.get(index)
            if by is None:
                continue
            names = [acl.rules[earlier].name for earlier in sorted(by)]
            yield Finding(
                "unreachable-rule",
                f"acl {name}, rule {rule.name}: every packet that it matches is decided before, by"
                f" {' and '.join(names)}",
                where=topology.at(*rule_path(topology.positions, name, index)),
                witness={"chain": [f"acl {name}", *(f"rule {n}" for n in (*names, rule.name))]},
            )


def _deciders(rows: Sequence[AclRow]) -> dict[int, set[int]]:
    """Rules without a packet of their own, each with the rules that decide for it."""
    boxes = [(_box(row), row.version, row.rule) for row in rows]
    open_rules: set[int] = set()
    decided: dict[int, set[int]] = {}
    for place, (box, version, rule) in enumerate(boxes):
        if rule in open_rules:
            continue
        pieces = [box]
        by: set[int] = set()
        for earlier, other, decider in boxes[:place]:
            if other != version or decider == rule or not _meet(box, earlier):
                continue
            left = [part for piece in pieces for part in _without(piece, earlier)]
            if left != pieces:
                by.add(decider)
            pieces = left
            if not pieces or len(pieces) > MAX_PIECES:
                break
        if pieces:
            open_rules.add(rule)
            decided.pop(rule, None)
        else:
            decided.setdefault(rule, set()).update(by)
    return decided


def _box(row: AclRow) -> Box:
    protocol = (0, 255) if row.protocol is None else (row.protocol, row.protocol)
    source, destination = row.source, row.destination
    return (
        (source.first, source.last),
        (destination.first, destination.last),
        protocol,
        row.source_ports,
        row.destination_ports,
    )


def _meet(left: Box, right: Box) -> bool:
    return all(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(left, right, strict=True))


def _without(box: Box, taken: Box) -> list[Box]:
    """What of a box another leaves, as boxes that do not overlap."""
    if not _meet(box, taken):
        return [box]
    found = []
    for axis, ((low, high), (first, last)) in enumerate(zip(box, taken, strict=True)):
        for part in ((low, first - 1), (last + 1, high)):
            if part[0] <= part[1]:
                found.append((*box[:axis], part, *box[axis + 1 :]))
        box = (*box[:axis], (max(low, first), min(high, last)), *box[axis + 1 :])
    return found
