"""Our policies as those of others write them: an FRR route-map, GoBGP's policy definitions.

In: a PolicySet, a chain of names, the default and our own AS. Out: lines of configuration.
UnsupportedError names what the other language cannot say; what it can say, it says equally
(tests/smoke/interop/test_policy_peers.py compares them route by route). IPv4 unicast alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.policy.changes import Change, CommunityChange
from ccn_bgp.policy.communities import CommunitySet, Member
from ccn_bgp.policy.conditions import (
    AsPathCondition,
    CommunityCondition,
    Condition,
    NeighborCondition,
    NumberCondition,
    PrefixCondition,
    WordCondition,
)
from ccn_bgp.policy.evaluate import Default
from ccn_bgp.policy.rules import PolicySet, Statement
from ccn_bgp.policy.sets import AsPathMember, PrefixRange

MAP = "policy"
"""The name of the route-map."""
_STEP, _LAST = 10, 65000
_NUMBER = "[0-9]+"
_CROSSES = re.compile(r"\.|\[\^|\\")
"""In a regex on one community: what could match more than one in FRR, which joins them."""


class UnsupportedError(ValueError):
    """The other language has no word for it."""


def frr(policies: PolicySet, names: Sequence[str], default: Default, own_asn: int) -> str:
    """Lists and the route-map MAP. A statement is an entry; ``next-statement`` is ``on-match
    next``, ``next-policy`` goes to the first entry of the next one."""
    entries = _entries(policies, names)
    lists: list[str] = []
    maps: list[str] = []
    for number, (statement, after) in enumerate(entries):
        word = "deny" if statement.then == "reject" else "permit"
        maps.append(f"route-map {MAP} {word} {_STEP * (number + 1)}")
        for index, condition in enumerate(statement.conditions):
            made, match = _frr_match(condition, f"s{number + 1}c{index + 1}")
            lists += made
            maps += match
        if statement.then != "reject" and statement.change is not None:
            made, sets = _frr_set(statement.change, f"s{number + 1}", own_asn)
            lists += made
            maps += sets
        if statement.then == "next-statement":
            maps.append(" on-match next")
        elif statement.then == "next-policy":
            target = _STEP * (after + 1) if after < len(entries) else _LAST
            maps.append(f" on-match goto {target}")
        maps.append("exit")
    maps += [f"route-map {MAP} {'permit' if default == 'accept' else 'deny'} {_LAST}", "exit"]
    return "\n".join([*lists, *maps, ""])


def _entries(policies: PolicySet, names: Sequence[str]) -> list[tuple[Statement, int]]:
    """The statements of a chain, each with the number of the first one behind its policy."""
    found: list[tuple[Statement, int]] = []
    for name in names:
        statements = policies.policies[name].statements
        found += [(s, len(found) + len(statements)) for s in statements]
    return found


def _frr_match(condition: Condition, name: str) -> tuple[list[str], list[str]]:
    """(lists, match lines) of one condition."""
    if isinstance(condition, PrefixCondition):
        return _frr_prefixes(condition, name), [f" match ip address prefix-list {name}"]
    if isinstance(condition, CommunityCondition):
        return _frr_communities(condition, name)
    if isinstance(condition, AsPathCondition):
        word, rest = ("deny", ["permit .*"]) if condition.option == "invert" else ("permit", [])
        if condition.option == "all":
            raise UnsupportedError("all members of an as-path set")
        members = [m for held in condition.sets for m in held.members]
        lines = [f"{word} {as_path_regex(m)}" for m in members] + (rest or ["deny .*"])
        return [f"bgp as-path access-list {name} {line}" for line in lines], [
            f" match as-path {name}"
        ]
    if isinstance(condition, NeighborCondition):
        return [], [f" match peer {_one_neighbor(condition)}"]
    if isinstance(condition, NumberCondition) and condition.field in ("med", "local-pref"):
        word = "metric" if condition.field == "med" else "local-preference"
        if condition.unset or len(condition.ranges) != 1 or len(set(condition.ranges[0])) != 1:
            raise UnsupportedError(f"{condition}: one number alone can be asked for")
        return [], [f" match {word} {condition.ranges[0][0]}"]
    if isinstance(condition, WordCondition) and condition.field == "origin":
        if len(condition.words) != 1:
            raise UnsupportedError("more than one origin")
        return [], [f" match origin {next(iter(condition.words))}"]
    raise UnsupportedError(str(condition))


def _frr_prefixes(condition: PrefixCondition, name: str) -> list[str]:
    inside, outside = ("deny", "permit") if condition.invert else ("permit", "deny")
    lines = []
    for item in _ranges(condition):
        least = f" ge {item.low}" if item.low > item.prefix.length else ""
        most = f" le {item.high}" if item.high > max(item.low, item.prefix.length) else ""
        if least and not most:
            most = f" le {item.high}"
        lines.append(f"{inside} {item.prefix}{least}{most}")
    if condition.invert or not lines:  # what no line names is denied
        lines.append(f"{outside} any")
    return [
        f"ip prefix-list {name} seq {number} {line}" for number, line in enumerate(lines, start=1)
    ]


def _ranges(condition: PrefixCondition) -> Iterator[PrefixRange]:
    """Those of IPv4, each once."""
    every = dict.fromkeys(item for held in condition.sets for item in held.ranges)
    yield from (item for item in every if item.prefix.version == 4)


def _frr_communities(condition: CommunityCondition, name: str) -> tuple[list[str], list[str]]:
    members = _communities(condition)
    literal = all(m.value is not None for m in members)
    kind, everything = ("standard", "internet") if literal else ("expanded", ".*")
    texts = [m.text if literal else community_regex(m) for m in members]
    if condition.option == "all":
        if not literal:
            raise UnsupportedError("all members of a set with patterns")
        lines = [f"permit {' '.join(texts)}"] if texts else ["permit internet"]
    elif condition.option == "invert":
        lines = [*(f"deny {text}" for text in texts), f"permit {everything}"]
    else:
        lines = [*(f"permit {text}" for text in texts), f"deny {everything}"]
    made = [f"bgp community-list {kind} {name} {line}" for line in lines]
    return made, [f" match community {name}"]


def _communities(condition: CommunityCondition) -> list[Member]:
    members = [m for held in condition.sets for m in held.members]
    if any(m.kind.word != "community" for m in members):
        raise UnsupportedError("another kind of community")
    return list(dict.fromkeys(members))


def community_regex(member: Member) -> str:
    """On the communities of a route as FRR writes them, with blanks between."""
    if member.value is not None:
        return f"_{member.text}_"
    if member.regex is None:
        return "_" + re.sub(r"[*]+", _NUMBER, member.text) + "_"
    text = member.regex.text
    if _CROSSES.search(text):
        raise UnsupportedError(f"the regex {text} might match more than one community")
    return re.sub(r"^\^", "_", re.sub(r"\$$", "_", text))


def as_path_regex(member: AsPathMember) -> str:
    """``_`` is a border for all of us."""
    if member.regex is not None:
        return member.regex.text
    if member.contains is not None:
        return f"_{member.contains}_"
    if member.origin is not None:
        return f"_{member.origin}$"
    raise UnsupportedError("the length of an AS path")


def _one_neighbor(condition: NeighborCondition) -> str:
    prefixes = [p for held in condition.sets for p in held.prefixes]
    others = any(held.names or held.asns for held in condition.sets)
    if condition.invert or others or len(prefixes) != 1 or prefixes[0].length != 32:
        raise UnsupportedError("neighbors other than one address")
    return str(prefixes[0].address)


def _frr_set(change: Change, name: str, own_asn: int) -> tuple[list[str], list[str]]:
    """(lists, set lines) of one statement."""
    lists: list[str] = []
    sets: list[str] = []
    if change.next_hop is not None or change.tag is not None or change.preference is not None:
        raise UnsupportedError("next hop, tag or preference")
    if change.origin is not None:
        sets.append(f" set origin {change.origin.name.lower()}")
    if change.local_pref is not None:
        sets.append(f" set local-preference {change.local_pref}")
    if change.med is not None:
        sets.append(f" set metric {_relative(change)}")
    if change.prepend:
        # The last one stands first in the path.
        asns = [str(p.asn or own_asn) for p in reversed(change.prepend) for _ in range(p.count)]
        sets.append(f" set as-path prepend {' '.join(asns)}")
    for communities in change.communities:
        made, words = _frr_set_communities(communities, name)
        lists += made
        sets += words
    return lists, sets


def _frr_set_communities(change: CommunityChange, name: str) -> tuple[list[str], list[str]]:
    text = change.kind.text
    if change.kind.word != "community":
        raise UnsupportedError("another kind of community")
    if change.replace is not None:
        every = [text(v) for v in dict.fromkeys((*change.replace, *change.add))]
        return [], [f" set community {' '.join(every) or 'none'}"]
    lists: list[str] = []
    sets: list[str] = []
    if change.remove is not None:
        lists, kind = [], _kind(change.remove)
        for member in change.remove.members:
            word = member.text if kind == "standard" else community_regex(member)
            lists.append(f"bgp community-list {kind} {name}r permit {word}")
        sets.append(f" set comm-list {name}r delete")
    if change.add:
        if change.remove is not None:
            raise UnsupportedError("to add communities and to remove others in one step")
        sets.append(f" set community {' '.join(text(v) for v in change.add)} additive")
    return lists, sets


def _kind(held: CommunitySet) -> str:
    return "standard" if all(m.value is not None for m in held.members) else "expanded"


def _relative(change: Change) -> str:
    assert change.med is not None
    return f"{change.med.value:+d}" if change.med.relative else str(change.med.value)


# -- GoBGP ----------------------------------------------------------------------------------------


def gobgp(policies: PolicySet, names: Sequence[str], default: Default, own_asn: int) -> str:
    """Defined sets and policy definitions in TOML, applied as global import policy."""
    sets: list[str] = []
    found: list[str] = []
    for policy in names:
        found += ["[[policy-definitions]]", f"name = {_quoted(policy)}"]
        for number, statement in enumerate(policies.policies[policy].statements):
            name = f"{policy}-{number + 1}"
            found += ["[[policy-definitions.statements]]", f"name = {_quoted(name)}"]
            for index, condition in enumerate(statement.conditions):
                made, match = _gobgp_match(condition, f"{name}-{index + 1}")
                sets += made
                found += match
            found += _gobgp_actions(statement, own_asn)
    applied = [
        "[global.apply-policy.config]",
        f"import-policy-list = [{', '.join(map(_quoted, names))}]",
        f'default-import-policy = "{default}-route"',
    ]
    return "\n".join([*applied, *sets, *found, ""])


def _quoted(text: str) -> str:
    return json.dumps(text)


def _texts(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"


def _gobgp_match(condition: Condition, name: str) -> tuple[list[str], list[str]]:
    """(defined sets, condition) of one condition."""
    at = "policy-definitions.statements.conditions"
    bgp = "defined-sets.bgp-defined-sets"
    if isinstance(condition, PrefixCondition):
        made = ["[[defined-sets.prefix-sets]]", f"prefix-set-name = {_quoted(name)}"]
        for prefix, low, high in _spread(list(_ranges(condition))):
            made += [
                "[[defined-sets.prefix-sets.prefix-list]]",
                f'ip-prefix = "{prefix}"',
                f'masklength-range = "{low}..{high}"',
            ]
        option = "invert" if condition.invert else "any"
        return made, [
            f"[{at}.match-prefix-set]",
            f"prefix-set = {_quoted(name)}",
            f'match-set-options = "{option}"',
        ]
    if isinstance(condition, NeighborCondition):
        address = _one_neighbor(condition)
        return [
            "[[defined-sets.neighbor-sets]]",
            f"neighbor-set-name = {_quoted(name)}",
            f'neighbor-info-list = ["{address}/32"]',
        ], [f"[{at}.match-neighbor-set]", f"neighbor-set = {_quoted(name)}"]
    if isinstance(condition, CommunityCondition):
        patterns = [_anchored(m) for m in _communities(condition)]
        return [
            f"[[{bgp}.community-sets]]",
            f"community-set-name = {_quoted(name)}",
            f"community-list = {_texts(patterns)}",
        ], [
            f"[{at}.bgp-conditions.match-community-set]",
            f"community-set = {_quoted(name)}",
            f'match-set-options = "{condition.option}"',
        ]
    if isinstance(condition, AsPathCondition):
        # Alone, a pattern such as _65001_ is taken for a look-up that leaves AS_SETs out.
        members = [m for held in condition.sets for m in held.members]
        patterns = [f"({as_path_regex(m)})" for m in members]
        return [
            f"[[{bgp}.as-path-sets]]",
            f"as-path-set-name = {_quoted(name)}",
            f"as-path-list = {_texts(patterns)}",
        ], [
            f"[{at}.bgp-conditions.match-as-path-set]",
            f"as-path-set = {_quoted(name)}",
            f'match-set-options = "{condition.option}"',
        ]
    raise UnsupportedError(str(condition))


def _spread(ranges: Sequence[PrefixRange]) -> Iterator[tuple[Prefix, int, int]]:
    """GoBGP looks at the lengths of the longest prefix that holds a route, and at no shorter one:
    each says what those above it say, too."""
    for prefix in dict.fromkeys(item.prefix for item in ranges):
        for item in ranges:
            if item.prefix.covers(prefix) and item.high >= prefix.length:
                yield prefix, max(item.low, prefix.length), item.high


def _anchored(member: Member) -> str:
    """One community alone."""
    if member.value is not None:
        return member.text
    if member.regex is not None:
        return member.regex.text
    return "^" + re.sub(r"[*]+", _NUMBER, member.text) + "$"


def _gobgp_actions(statement: Statement, own_asn: int) -> Iterator[str]:
    at = "policy-definitions.statements.actions"
    if statement.then == "next-policy":
        raise UnsupportedError("next-policy")
    word = {"accept": "accept-route", "reject": "reject-route"}.get(statement.then, "none")
    yield f"[{at}]"
    yield f'route-disposition = "{word}"'
    change = statement.change
    if change is None or statement.then == "reject":
        return
    if any(v is not None for v in (change.origin, change.next_hop, change.tag, change.preference)):
        raise UnsupportedError("origin, next hop, tag or preference")
    yield f"[{at}.bgp-actions]"
    if change.local_pref is not None:
        yield f"set-local-pref = {change.local_pref}"
    if change.med is not None:
        yield f'set-med = "{_relative(change)}"'
    if len(change.prepend) > 1:
        raise UnsupportedError("to prepend more than one AS")
    for prepend in change.prepend:
        yield f"[{at}.bgp-actions.set-as-path-prepend]"
        yield f'as = "{prepend.asn or own_asn}"'
        yield f"repeat-n = {prepend.count}"
    for communities in change.communities:
        option, texts = _gobgp_communities(communities)
        yield f"[{at}.bgp-actions.set-community]"
        yield f'options = "{option}"'
        yield f"[{at}.bgp-actions.set-community.set-community-method]"
        yield f"communities-list = {_texts(texts)}"


def _gobgp_communities(change: CommunityChange) -> tuple[str, list[str]]:
    text = change.kind.text
    if change.kind.word != "community":
        raise UnsupportedError("another kind of community")
    if change.replace is not None:
        return "replace", [text(v) for v in dict.fromkeys((*change.replace, *change.add))]
    if change.remove is not None and change.add:
        raise UnsupportedError("to add communities and to remove others in one step")
    if change.remove is not None:
        return "remove", [_anchored(m) for m in change.remove.members]
    return "add", [text(v) for v in change.add]
