"""What regular expressions can match at all. In: expressions, and the language of the texts that
there are (AS paths, communities). Out: a text that some match and others do not, or none.

For lint and symbolic differences alone; routes are matched by RE2. Expressions are read by
Python's parser, turned into nondeterministic automata, and walked side by side with an automaton of
the valid texts, shortest texts first. What is not understood, or needs too many states, is None:
nothing is claimed of it.
"""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]  # no stub names them
from re import _parser  # type: ignore[attr-defined]
from typing import Any

MAX_NODES = 5_000
MAX_STATES = 8_000
_POSIX = {
    "[:digit:]": "0-9", "[:alpha:]": "a-zA-Z", "[:alnum:]": "0-9a-zA-Z", "[:space:]": " ",
    "[:xdigit:]": "0-9a-fA-F", "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:punct:]": ":,{}()._",
}  # fmt: skip
_FREE, _START, _END = 0, 1, 2
State = Hashable


class _NotUnderstoodError(Exception):
    """Something that is not part of the common ground of the two dialects, or too much of it."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that there are: ``step`` is the next state or None, ``done`` whether one may end
    here."""

    alphabet: str
    begin: State
    step: Callable[[Any, str], State | None]
    done: Callable[[Any], bool]


class Automaton:
    """One expression, looked for anywhere in a text. Nodes are numbers; ``_loose`` are edges that
    take nothing, with the place where they may be taken."""

    def __init__(self, alphabet: str) -> None:
        self._alphabet = alphabet
        self._edges: list[list[tuple[frozenset[str], int]]] = []
        self._loose: list[list[tuple[int, int]]] = []
        self._closures: dict[tuple[frozenset[int], int], frozenset[int]] = {}
        self.begin = self._node()
        self.end = self._node()
        every = frozenset(alphabet)
        self._edges[self.begin].append((every, self.begin))
        self._edges[self.end].append((every, self.end))

    def _node(self) -> int:
        if len(self._edges) >= MAX_NODES:
            raise _NotUnderstoodError
        self._edges.append([])
        self._loose.append([])
        return len(self._edges) - 1

    def read(self, items: Any, node: int) -> int:
        """Add what a parsed expression says behind ``node``; returns the node behind it."""
        for what, value in items:
            node = self._one(what, value, node)
        return node

    def join(self, node: int) -> None:
        """Whoever comes to this node has found it."""
        self._loose[node].append((self.end, _FREE))

    def _one(self, what: Any, value: Any, node: int) -> int:
        after = self._node()
        if what in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            self._edges[node].append((_symbols(what, value, self._alphabet), after))
        elif what is op.AT:
            places = {
                op.AT_BEGINNING: _START,
                op.AT_BEGINNING_STRING: _START,
                op.AT_END: _END,
                op.AT_END_STRING: _END,
            }
            if value not in places:
                raise _NotUnderstoodError
            self._loose[node].append((after, places[value]))
        elif what is op.SUBPATTERN:
            self._loose[self.read(value[3], node)].append((after, _FREE))
        elif what is op.BRANCH:
            for branch in value[1]:
                self._loose[self.read(branch, node)].append((after, _FREE))
        elif what in (op.MAX_REPEAT, op.MIN_REPEAT):
            self._repeat(value, node, after)
        else:
            raise _NotUnderstoodError
        return after

    def _repeat(self, value: Any, node: int, after: int) -> None:
        least, most, items = value
        for _ in range(least):
            node = self.read(items, node)
        if most == op.MAXREPEAT:
            loop = self._node()
            self._loose[node].append((loop, _FREE))
            self._loose[self.read(items, loop)].append((loop, _FREE))
            self._loose[loop].append((after, _FREE))
            return
        for _ in range(most - least):
            self._loose[node].append((after, _FREE))
            node = self.read(items, node)
        self._loose[node].append((after, _FREE))

    def _close(self, nodes: frozenset[int], places: int) -> frozenset[int]:
        """With all that is reached without a symbol at such a place."""
        key = nodes, places
        found = self._closures.get(key)
        if found is None:
            seen, waiting = set(nodes), list(nodes)
            while waiting:
                for other, place in self._loose[waiting.pop()]:
                    if other not in seen and place & ~places == 0:
                        seen.add(other)
                        waiting.append(other)
            found = self._closures[key] = frozenset(seen)
        return found

    def first(self) -> frozenset[int]:
        """The nodes before any symbol."""
        return self._close(frozenset((self.begin,)), _START)

    def next(self, nodes: frozenset[int], symbol: str) -> frozenset[int]:
        """The nodes after one more symbol."""
        if self.end in nodes:
            return frozenset((self.end,))
        moved = {to for node in nodes for symbols, to in self._edges[node] if symbol in symbols}
        return self._close(frozenset(moved), _FREE)

    def found(self, nodes: frozenset[int], *, first: bool) -> bool:
        """Whether it has been found, should the text end here."""
        return self.end in self._close(nodes, _END | (_START if first else _FREE))

    def certain(self, nodes: frozenset[int]) -> bool:
        """Whether it has been found already, however the text goes on."""
        return self.end in nodes


def _symbols(what: Any, value: Any, alphabet: str) -> frozenset[str]:
    if what is op.ANY:
        return frozenset(alphabet)
    if what is op.LITERAL:
        return frozenset(chr(value)) & frozenset(alphabet)
    if what is op.NOT_LITERAL:
        return frozenset(alphabet) - {chr(value)}
    found: set[str] = set()
    negated = False
    for kind, item in value:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found.add(chr(item))
        elif kind is op.RANGE:
            found.update(c for c in alphabet if item[0] <= ord(c) <= item[1])
        elif kind is op.CATEGORY:
            found.update(_category(item, alphabet))
        else:
            raise _NotUnderstoodError
    held = found & set(alphabet)
    return frozenset(set(alphabet) - held if negated else held)


def _category(item: Any, alphabet: str) -> Iterator[str]:
    tests: dict[Any, Callable[[str], bool]] = {
        op.CATEGORY_DIGIT: str.isdigit,
        op.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
        op.CATEGORY_SPACE: str.isspace,
        op.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
        op.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
        op.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    }
    if item not in tests:
        raise _NotUnderstoodError
    return (c for c in alphabet if tests[item](c))


def _without_posix(expression: str) -> str:
    """``[[:digit:]]`` as ``[0-9]``; outside of a class ``[:digit:]`` is a class of its letters."""
    found: list[str] = []
    at, since = 0, -1  # where the class has begun
    while at < len(expression):
        if expression[at] == "\\":
            step = expression[at : at + 2]
        elif since >= 0:
            name = next((n for n in _POSIX if expression.startswith(n, at)), "")
            step = name or expression[at]
            if step == "]" and at > since:
                since = -1
            at, step = at + len(step) - len(_POSIX.get(name, step)), _POSIX.get(name, step)
        elif expression[at] == "[":
            step = "[^" if expression.startswith("[^", at) else "["
            since = at + len(step)
        else:
            step = expression[at]
        found.append(step)
        at += len(step)
    return "".join(found)


@lru_cache(maxsize=4096)
def automaton(expression: str, alphabet: str) -> Automaton | None:
    """An expression as RE2 takes it (already translated); None if it is not understood."""
    if "{," in expression:  # ``a{,3}``: a text for RE2, a repetition for Python
        return None
    expression = _without_posix(expression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _parser.parse(expression)
        made = Automaton(alphabet)
        made.join(made.read(parsed, made.begin))
    except (_NotUnderstoodError, re.error, RecursionError, OverflowError, Warning):
        return None
    return made


def text_for(
    texts: Texts, wanted: Sequence[Automaton], unwanted: Sequence[Automaton]
) -> tuple[str | None, bool]:
    """(a shortest valid text that all of ``wanted`` find and none of ``unwanted``, or None; whether
    that is certain)."""
    both = [*wanted, *unwanted]
    asked = len(wanted)

    def dead(states: tuple[frozenset[int], ...]) -> bool:
        return any(a.certain(s) for a, s in zip(unwanted, states[asked:], strict=True))

    for text, found in _walk(texts, both, dead):
        if text is None:
            return None, False
        if all(found[:asked]) and not any(found[asked:]):
            return text, True
    return None, True


def signatures(texts: Texts, automata: Sequence[Automaton]) -> dict[tuple[bool, ...], str] | None:
    """Which of the expressions can match together and alone, with a shortest text for each; None:
    too many states."""
    found: dict[tuple[bool, ...], str] = {}
    for text, matched in _walk(texts, automata, lambda _: False):
        if text is None:
            return None
        found.setdefault(matched, text)
    return found


def _walk(
    texts: Texts,
    automata: Sequence[Automaton],
    dead: Callable[[tuple[frozenset[int], ...]], bool],
) -> Iterator[tuple[str | None, tuple[bool, ...]]]:
    """Valid texts, one for each state that there is, shortest first; None: too many."""
    first = (texts.begin, tuple(a.first() for a in automata))
    seen = {first}
    waiting: deque[tuple[Any, str]] = deque([(first, "")])
    while waiting:
        (state, states), text = waiting.popleft()
        if texts.done(state):
            yield (
                text,
                tuple(a.found(s, first=not text) for a, s in zip(automata, states, strict=True)),
            )
        for symbol in texts.alphabet:
            after = texts.step(state, symbol)
            if after is None:
                continue
            moved = tuple(a.next(s, symbol) for a, s in zip(automata, states, strict=True))
            key = (after, moved)
            if key in seen or dead(moved):
                continue
            if len(seen) >= MAX_STATES:
                yield None, ()
                return
            seen.add(key)
            waiting.append((key, text + symbol))


# -- the texts that there are ---------------------------------------------------------------------

_Number = tuple[int, int]
"""Digits so far, and how they compare with those of the highest number: -1, 0, 1."""


def _digit(number: _Number, symbol: str, top: str) -> _Number | None:
    count, order = number
    if count >= len(top) or (count == 1 and order == -2):
        return None
    if not count and symbol == "0":
        return 1, -2  # nothing follows a leading zero
    return count + 1, order or (symbol > top[count]) - (symbol < top[count])


def _whole(number: _Number, top: str) -> bool:
    return 0 < number[0] < len(top) or (number[0] == len(top) and number[1] <= 0)


def numbers(*tops: int) -> Texts:
    """``NUMBER:NUMBER…``, each at most so high: communities, large communities."""
    highest = [str(top) for top in tops]

    def step(state: tuple[int, _Number], symbol: str) -> State | None:
        field, number = state
        if symbol == ":":
            last = field + 1 == len(highest)
            return None if last or not _whole(number, highest[field]) else (field + 1, (0, 0))
        digit = _digit(number, symbol, highest[field])
        return None if digit is None else (field, digit)

    def done(state: tuple[int, _Number]) -> bool:
        return state[0] + 1 == len(highest) and _whole(state[1], highest[-1])

    return Texts("0123456789:", (0, (0, 0)), step, done)


_HIGHEST_AS = str(2**32 - 1)
_CLOSING = {"{": "}", "(": ")"}


def _as_step(state: tuple[str, _Number], symbol: str) -> State | None:
    """State: (what surrounds the number: "", "{", "(", or ")" after a group; the number)."""
    around, number = state
    if symbol.isdigit():
        if around == ")" or (not number[0] and symbol == "0"):
            return None
        digit = _digit(number, symbol, _HIGHEST_AS)
        return None if digit is None else (around, digit)
    if symbol in _CLOSING:
        return (symbol, (0, 0)) if not around and not number[0] else None
    whole = _whole(number, _HIGHEST_AS)
    if symbol == _CLOSING.get(around):
        return (")", (0, 0)) if whole else None
    if symbol == ("," if around == "{" else " ") and (whole or around == ")"):
        return ("gap" if around in ("", ")") else around), (0, 0)
    return None


def _as_path_step(state: tuple[str, _Number], symbol: str) -> State | None:
    around, number = state
    # Behind a gap something must follow: it is no end of a path, but begins as one.
    return _as_step(("", number) if around == "gap" else state, symbol)


AS_PATHS = Texts(
    "0123456789 ,{}()",
    ("begin", (0, 0)),
    lambda state, symbol: _as_path_step(("", state[1]) if state[0] == "begin" else state, symbol),
    lambda state: state[0] in ("begin", ")") or (not state[0] and _whole(state[1], _HIGHEST_AS)),
)
"""As ``PathAttributes.as_path_text`` writes them."""
COMMUNITIES = numbers(0xFFFF, 0xFFFF)
LARGE_COMMUNITIES = numbers(*[2**32 - 1] * 3)
ROUTE_TARGETS = numbers(2**32 - 1, 2**32 - 1)
"""More than there are: one of the two numbers has 16 bits. What is empty here is empty there."""
