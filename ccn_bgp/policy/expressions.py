"""Members of sets as expressions of automata.py. In: literals, patterns and regexes of policies.
Out: what is looked for in the text of a path or a community, and which kinds of values there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.policy.automata import COMMUNITIES, LARGE_COMMUNITIES, automaton, signatures
from ccn_bgp.policy.communities import CommunitySet, Member
from ccn_bgp.policy.sets import AsPathMember

_TEXTS = {"community": COMMUNITIES, "large-community": LARGE_COMMUNITIES}


def holders(sets: Sequence[tuple[CommunitySet, int]], value: Any) -> int:
    """Which sets hold a community of one kind (a target is an extended community, too)."""
    found = 0
    for held, bit in sets:
        if held.kind.word == "route-target" and not RouteTarget.is_target(value):
            continue
        if held.holds(value):
            found |= bit
    return found


def patterned(
    word: str, patterns: Sequence[Member]
) -> Iterable[tuple[frozenset[Member], Hashable]]:
    """Kinds of values that are no literals: (patterns that match them, such a value or None)."""
    if not patterns:
        return
    texts = _TEXTS.get(word)
    if texts is not None:
        made = [automaton(pattern_expression(m), texts.alphabet) for m in patterns]
        understood = [a for a in made if a is not None]
        found = signatures(texts, understood) if len(understood) == len(made) else None
        if found is not None:
            for matched, text in found.items():
                held = frozenset(m for m, hit in zip(patterns, matched, strict=True) if hit)
                yield held, patterns[0].kind.parse(text)
            return
    # As if each could be met by itself: then any of them can be met together, by several values.
    yield from ((frozenset((m,)), None) for m in patterns)


def pattern_expression(member: Member) -> str:
    """A pattern on communities as an expression that is looked for in their text."""
    if member.regex is not None:
        return member.regex.translated
    return "^" + "[^:]*".join(member.text.split("*")) + "$"


def expression(member: AsPathMember) -> str:
    """A member of an as-path-set as an expression that is looked for in the text of the path."""
    border = "(?:^|[ ,{}()]|$)"
    if member.regex is not None:
        return member.regex.translated
    if member.contains is not None:
        return f"{border}{member.contains}{border}"
    if member.origin is not None:
        return rf"(?:^|[ (]){member.origin}\)?$"
    low, high = member.length or (0, 0)
    hop, confed = r"(?:[0-9]+|\{[0-9,]+\})", r"(?:\([0-9 ]+\))"
    nothing = f"^(?:{confed}(?: {confed})*)?$"
    if high == 0:
        return nothing
    upper = "" if high > 255 else str(high - 1)
    first, others = f"^(?:{confed} )*{hop}(?: {confed})*", f"(?: {hop}(?: {confed})*)"
    path = f"{first}{others}{{{max(low, 1) - 1},{upper}}}$"
    return path if low else f"{nothing}|{path}"
