"""All routes that conditions can tell apart. In: the conditions of policies. Out: for each of them
a literal over dimensions of a few cells, and a route for an assignment of cells.

Exact for prefixes, numbers, words, names without ``*`` and (as far as automata.py comes) for
communities and AS paths. Of the rest each set is a dimension of its own that may hold or not: more
routes than there are, never fewer. So "no route" is always true, and a route is tried before it is
shown.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteDistinguisher, Vni
from ccn_bgp.model.path import EvpnMacIp, EvpnOther, EvpnPrefix, Nlri, Origin, Path, PathAttributes
from ccn_bgp.model.path import Unicast as UnicastNlri
from ccn_bgp.policy.automata import AS_PATHS, Automaton, automaton, text_for
from ccn_bgp.policy.classes import PrefixClasses
from ccn_bgp.policy.communities import CommunitySet
from ccn_bgp.policy.conditions import (
    AsPathCondition,
    CommunityCondition,
    Condition,
    GatewayIpCondition,
    NameCondition,
    NeighborCondition,
    NextHopCondition,
    NumberCondition,
    PrefixCondition,
    WordCondition,
)
from ccn_bgp.policy.expressions import expression, holders, patterned
from ccn_bgp.policy.flight import ORIGIN_KINDS, Context
from ccn_bgp.policy.routes import RouteError, read_attributes
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.sets import AsPathMember
from ccn_bgp.policy.solve import Clause, Literal, TooHardError, solve

SHAPES = ("ipv4-unicast", "ipv6-unicast", "5", "5+gateway", "2", "1", "3", "4")
_EVPN = 0b11111100
_TYPES = {"5": 0b1100, "2": 1 << 4, "1": 1 << 5, "3": 1 << 6, "4": 1 << 7}
_NUMBER_TOPS = {"vni": 2**24 - 1, "local-pref": 2**32 - 1, "med": 2**32 - 1, "tag": 2**32 - 1}
_EXTENDED = ("extended-community", "route-target")
MAX_AT_ONCE = 300
"""Members of sets that are asked for with ``all``."""
_YES, _NO = 0b10, 0b01


class Space:
    """The routes that some chains of policies can tell apart."""

    def __init__(self, policies: PolicySet, names: Sequence[str]) -> None:
        self.full: list[int] = []
        self.clauses: list[Clause] = []
        self._literals: dict[Hashable, Literal] = {}
        self._ranges: dict[str, tuple[int, list[int]]] = {}
        self._names: dict[str, tuple[int, list[str]]] = {}
        self._members: dict[AsPathMember, int] = {}
        self._atoms: dict[str, list[tuple[int, Hashable, int]]] = {}
        self._bits: dict[tuple[str, Hashable], int] = {}
        chain = [s for name in names for s in policies.policies[name].statements]
        conditions = [c for s in chain for c in s.conditions]
        self._classes = PrefixClasses(policies, names)
        self._shape = self._dimension(len(SHAPES))
        self._cells: list[tuple[int, Prefix | None]] = [(0, None)]
        self._cells += [cell for width in (4, 16) for cell in self._classes.cells(width)]
        self._prefix = self._dimension(len(self._cells))
        self._words = {
            "origin": self._dimension(3),
            "origin-kind": self._dimension(len(ORIGIN_KINDS) + 1),
        }
        self._fit_shapes()
        for field in _NUMBER_TOPS:
            self._lay_numbers(field, [c for c in conditions if isinstance(c, NumberCondition)])
        for kind in ("ccn", "vpc", "idc", "region"):
            self._lay_names(
                kind, [c for c in conditions if isinstance(c, NameCondition) and c.kind == kind]
            )
        communities = [c for c in conditions if isinstance(c, CommunityCondition) and c.sets]
        for words in (("community",), ("large-community",), _EXTENDED):
            self._lay_communities(words, [c for c in communities if c.union.kind.word in words])

    # -- dimensions -----------------------------------------------------------------------------

    def _dimension(self, cells: int) -> int:
        self.full.append((1 << cells) - 1)
        return len(self.full) - 1

    def _fit_shapes(self) -> None:
        """Which prefixes there are with which kind of route."""

        def prefixes(test: Any) -> int:
            return sum(1 << n for n, (_, prefix) in enumerate(self._cells) if test(prefix))

        def host(prefix: Prefix | None) -> bool:
            return prefix is None or prefix.length == (len(prefix) - 1) * 8

        allowed = (
            (1 << 0, prefixes(lambda p: p is not None and p.version == 4)),
            (1 << 1, prefixes(lambda p: p is not None and p.version == 6)),
            (_TYPES["5"], prefixes(lambda p: p is not None)),
            (_TYPES["2"], prefixes(host)),
            (_TYPES["1"] | _TYPES["3"] | _TYPES["4"], 1),
        )
        for shapes, mask in allowed:
            others = self.full[self._shape] & ~shapes
            # The first word counts where both would do: then the route is plain unicast.
            self.clauses.append(((self._prefix, mask), (self._shape, others)))

    def _lay_numbers(self, field: str, conditions: Iterable[NumberCondition]) -> None:
        """Cell 0: unset; then one for each elementary interval."""
        starts = {1 if field == "vni" else 0}
        for condition in conditions:
            if condition.field == field:
                for low, high in condition.ranges:
                    starts.update((low, high + 1))
        order = sorted(s for s in starts if s <= _NUMBER_TOPS[field])
        if field == "vni":
            order.append(
                0
            )  # of a type 5 with a gateway IP, say (RFC 9136 §3.2); nobody asks for it
        dimension = self._dimension(len(order) + 1)
        self._ranges[field] = dimension, order
        if field == "vni":
            has = _TYPES["5"] | _TYPES["2"]
            self.clauses.append(((self._shape, self.full[self._shape] & ~has), (dimension, ~1)))
            self.clauses.append(((self._shape, has), (dimension, 1)))

    def _lay_names(self, kind: str, conditions: Sequence[NameCondition]) -> None:
        """Cell 0: unset; 1: another name; then the names. With ``*``, a set is a dimension."""
        names = sorted({n for c in conditions for held in c.sets for n in held.names})
        if not any("*" in name for name in names):
            self._names[kind] = self._dimension(len(names) + 2), names

    def _lay_communities(self, words: tuple[str, ...], asked: Sequence[CommunityCondition]) -> None:
        """One dimension (absent, present) for every kind of value that the sets tell apart."""
        bits: dict[Hashable, int] = {}
        sets: list[tuple[CommunitySet, int]] = []
        for condition in asked:
            union = condition.union
            if condition.option == "all":
                if len(union.members) > MAX_AT_ONCE:
                    continue
                sets += [
                    (CommunitySet("", "", union.kind, (m,)), self._bit(bits, union.kind.word, m))
                    for m in union.members
                ]
            else:
                sets.append((union, self._bit(bits, union.kind.word, union)))
        self._bits |= {(words[0], key): bit for key, bit in bits.items()}
        found: dict[int, Hashable] = {}
        for value in {m.value for held, _ in sets for m in held.members if m.value is not None}:
            found.setdefault(holders(sets, value), value)
        patterns = list(
            dict.fromkeys(m for held, _ in sets for m in held.members if m.value is None)
        )
        for matched, value in patterned(words[0], patterns):
            held_by = 0
            for held, bit in sets:
                if any(m in matched for m in held.members):
                    held_by |= bit
            found.setdefault(held_by, value)
        found.pop(0, None)
        self._atoms[words[0]] = [
            (self._dimension(2), value, held_by) for held_by, value in sorted(found.items())
        ]

    @staticmethod
    def _bit(bits: dict[Hashable, int], word: str, key: Hashable) -> int:
        return bits.setdefault((word, key), 1 << len(bits))

    # -- literals -------------------------------------------------------------------------------

    def literal(self, condition: Condition, version: Hashable = None) -> Literal:
        """What says that this condition holds. ``version``: something that may have changed what it
        looks at before; then nothing is known of it, but that it is the same for equal versions."""
        if version is not None:
            return self._own(("changed", str(condition), version)), _YES
        found = self._literals.get(id(condition))
        if found is None:
            found = self._literals[id(condition)] = self._made(condition)
        return found

    def _made(self, condition: Condition) -> Literal:
        if isinstance(condition, PrefixCondition):
            asked = self._classes.bits_of(condition.sets)
            holds = self._classes.bits
            mask = sum(
                1 << n
                for n, (class_, prefix) in enumerate(self._cells)
                if (prefix is not None and bool(holds[class_] & asked)) is not condition.invert
            )
            return self._prefix, mask
        if isinstance(condition, WordCondition):
            return self._word(condition)
        if isinstance(condition, GatewayIpCondition):
            return self._shape, 1 << 3 if condition.wanted else self.full[self._shape] & ~(1 << 3)
        if isinstance(condition, NumberCondition):
            dimension, order = self._ranges[condition.field]
            cells = sum(1 << n for n, at in enumerate(order, 1) if condition.matches(at))
            return dimension, cells | condition.unset
        if isinstance(condition, NameCondition) and condition.kind in self._names:
            dimension, names = self._names[condition.kind]
            values = ["", "\0", *names]
            held = (any(s.matches(v) for s in condition.sets) for v in values)
            return dimension, sum(1 << n for n, h in enumerate(held) if h is not condition.invert)
        if isinstance(condition, CommunityCondition) and condition.sets:
            return self._communities(condition)
        if isinstance(condition, AsPathCondition):
            members = [self._member(m) for held in condition.sets for m in held.members]
            if condition.option == "all":
                return self._every(members)
            return self._some(members, condition.option == "invert")
        if isinstance(condition, (NeighborCondition, NextHopCondition, NameCondition)):
            kind = condition.kind if isinstance(condition, NameCondition) else ""
            held_ = [self._own(("set", type(condition), kind, s)) for s in condition.sets]
            return self._some(held_, condition.invert)
        return self._own(("condition", str(condition))), _YES

    def _word(self, condition: WordCondition) -> Literal:
        words = condition.words
        if condition.field == "family":
            mask = sum(1 << n for n in (0, 1) if SHAPES[n] in words)
            return self._shape, mask | (_EVPN if "evpn" in words else 0)
        if condition.field == "route-type":
            return self._shape, sum(_TYPES[word] for word in words)
        if condition.field == "origin":
            cells = [o.name.lower() in words for o in Origin]
        else:
            cells = [False, *(kind in words for kind in ORIGIN_KINDS)]
        return self._words[condition.field], sum(1 << n for n, held in enumerate(cells) if held)

    def _communities(self, condition: CommunityCondition) -> Literal:
        union = condition.union
        word = union.kind.word
        section = _EXTENDED[0] if word in _EXTENDED else word
        atoms = self._atoms[section]

        def held(key: Hashable) -> list[int]:
            bit = self._bits[section, (word, key)]
            return [dimension for dimension, _, held_by in atoms if held_by & bit]

        if condition.option != "all":
            return self._some(held(union), condition.option == "invert")
        if len(union.members) > MAX_AT_ONCE:
            return self._own(("all", word, union.members)), _YES
        return self._every([self._some(held(m), False)[0] for m in union.members])

    def _member(self, member: AsPathMember) -> int:
        if member not in self._members:
            self._members[member] = self._dimension(2)
        return self._members[member]

    def _own(self, key: Hashable) -> int:
        found = self._literals.get(key)
        if found is None:
            found = self._literals[key] = self._dimension(2), _YES
        return found[0]

    def _some(self, members: Sequence[int], invert: bool) -> Literal:
        """That one of these holds, or (``invert``) that none does."""
        found = self._dimension(2)
        self.clauses.append(((found, _NO), *((m, _YES) for m in members)))
        self.clauses += [((m, _NO), (found, _YES)) for m in members]
        return found, _NO if invert else _YES

    def _every(self, members: Sequence[int]) -> Literal:
        """That all of these hold; where none is asked for, nothing does (an empty set)."""
        if not members:
            return self._some(members, False)
        found = self._dimension(2)
        self.clauses.append(((found, _YES), *((m, _NO) for m in members)))
        self.clauses += [((m, _YES), (found, _NO)) for m in members]
        return found, _YES

    def both(self, literals: Sequence[Literal]) -> Literal:
        """That all of these literals hold, as one."""
        if len(literals) == 1:
            return literals[0]
        found = self._dimension(2)
        self.clauses.append(((found, _YES), *(self.negated(one) for one in literals)))
        self.clauses += [(one, (found, _NO)) for one in literals]
        return found, _YES

    def negated(self, literal: Literal) -> Literal:
        """The opposite."""
        dimension, mask = literal
        return dimension, self.full[dimension] & ~mask

    # -- answers --------------------------------------------------------------------------------

    def find(self, clauses: Sequence[Clause]) -> list[int] | None:
        """An assignment under which these hold, too; None: there is none. TooHardError."""
        extra: list[Clause] = []
        for _ in range(100):
            state = solve(self.full, [*self.clauses, *clauses, *extra])
            if state is None or (conflict := self._no_path(state)) is None:
                return state
            extra.append(conflict)
        raise TooHardError

    def _no_path(self, state: Sequence[int]) -> Clause | None:
        """A clause against what is asked of the AS path together, if there is no such path; of no
        more than it takes."""
        wanted, unwanted, _ = self._path_parts(state)
        if (not wanted and not unwanted) or _one_path(wanted, unwanted):
            return None
        for part in (unwanted, wanted):
            for one in list(part):
                part.remove(one)
                if _one_path(wanted, unwanted):
                    part.append(one)
        return (*((d, _NO) for d, _ in wanted), *((d, _YES) for d, _ in unwanted))

    def _path_parts(
        self, state: Sequence[int]
    ) -> tuple[list[tuple[int, Automaton]], list[tuple[int, Automaton]], bool]:
        """(members that must match, that must not, whether all are understood)."""
        sides: dict[int, list[tuple[int, Automaton]]] = {_YES: [], _NO: []}
        whole = True
        for member, dimension in self._members.items():
            if dimension < len(state) and state[dimension] in sides:
                made = automaton(expression(member), AS_PATHS.alphabet)
                whole = whole and made is not None
                if made is not None:
                    sides[state[dimension]].append((dimension, made))
        return sides[_YES], sides[_NO], whole

    def route(self, state: Sequence[int]) -> tuple[Path, Context] | None:
        """A route as an assignment describes it; None where no value is known. It still has to be
        tried: what cannot be said of it (neighbors, next hops) is unset."""
        wanted, unwanted, _ = self._path_parts(state)
        text, _ = text_for(AS_PATHS, [a for _, a in wanted], [a for _, a in unwanted])
        communities: dict[str, list[Any]] = {}
        for section, atoms in self._atoms.items():
            present = [value for dimension, value, _ in atoms if state[dimension] == _YES]
            if text is None or any(value is None for value in present):
                return None
            communities[section] = present

        def number(field: str) -> int | None:
            dimension, order = self._ranges[field]
            cell = _lowest(state[dimension])
            return order[cell - 1] if cell else None

        def name(kind: str) -> str:
            if kind not in self._names:
                return ""
            dimension, names = self._names[kind]
            return ["", "other", *names][_lowest(state[dimension])]

        kind = _lowest(state[self._words["origin-kind"]])
        try:
            as_path = read_attributes({"as-path": text or ""}).as_path
        except RouteError:
            return None
        attributes = PathAttributes(
            origin=Origin(_lowest(state[self._words["origin"]])),
            as_path=as_path,
            med=number("med"),
            local_pref=number("local-pref"),
            tag=number("tag"),
            communities=tuple(sorted(communities["community"])),
            large_communities=tuple(sorted(communities["large-community"])),
            extended_communities=tuple(sorted(communities["extended-community"])),
        )
        context = Context(
            ccn=name("ccn"),
            vpc=name("vpc"),
            idc=name("idc"),
            region=name("region"),
            origin_kind=ORIGIN_KINDS[kind - 1] if kind else None,
        )
        return Path("", self._nlri(state, number("vni") or 0), attributes), context

    def _nlri(self, state: Sequence[int], vni: int) -> Nlri:
        shape = SHAPES[_lowest(state[self._shape])]
        prefix = self._cells[_lowest(state[self._prefix])][1]
        rd = RouteDistinguisher(bytes(8))
        if shape == "2":
            ip = None if prefix is None else prefix.address
            return EvpnMacIp(rd, bytes(10), 0, Mac(bytes(6)), ip, Vni(vni), None)
        if prefix is None:
            return EvpnOther(int(shape), bytes(rd))
        if shape.startswith("5"):
            gateway = Ip.parse("192.0.2.1") if shape != "5" else None
            return EvpnPrefix(rd, bytes(10), 0, prefix, gateway, Vni(vni))
        return UnicastNlri(prefix)


def _one_path(
    wanted: Sequence[tuple[int, Automaton]], unwanted: Sequence[tuple[int, Automaton]]
) -> bool:
    """Whether there may be a path that all of the first match and none of the others."""
    text, certain = text_for(AS_PATHS, [a for _, a in wanted], [a for _, a in unwanted])
    return text is not None or not certain


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
