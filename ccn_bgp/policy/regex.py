"""Regular expressions of policy files. In: what an operator writes. Out: a linear-time matcher.

The engine is RE2: no expression, however it is built, takes more than time linear in the text, and
what needs too much memory is refused when it is read. ``_`` means what it means to routers: the
beginning, the end, a blank, or one of ``,{}()``.
"""

from __future__ import annotations

from typing import Any

import re2

LONGEST = 1000
"""Characters of one expression."""
MEMORY = 1 << 20
"""Octets that the automata of one expression may take."""
_BORDER = "(?:^|[ ,{}()]|$)"
_BORDER_IN_CLASS = " ,{}()"
_REMEMBERED = 8192


class Regex:
    """One expression; equal if written equally. ValueError says why it cannot be used.

    ``underscore``: whether ``_`` is a border (AS paths) or itself (communities).
    """

    __slots__ = ("_known", "_search", "text", "translated", "underscore")

    def __init__(self, text: str, *, underscore: bool) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"the regex is longer than {LONGEST} characters")
        self.text = text
        self.underscore = underscore
        self.translated = translate(text) if underscore else text
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY
        options.never_capture = True
        options.perl_classes = True
        try:
            self._search: Any = re2.compile(self.translated, options).search
        except (re2.error, UnicodeError) as error:
            raise ValueError(f"the regex '{text}' does not compile: {_words(error)}") from None
        self._known: dict[str, bool] = {}

    def search(self, text: str) -> bool:
        """True if it matches anywhere in the text."""
        found = self._known.get(text)
        if found is None:
            found = self._search(text) is not None
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[text] = found
        return found

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Regex)
            and self.text == other.text
            and self.underscore == other.underscore
        )

    def __hash__(self) -> int:
        return hash((self.text, self.underscore))

    def __repr__(self) -> str:
        return f"Regex({self.text!r})"


def translate(text: str) -> str:
    """``_`` outside and inside of classes, as RE2 says it; what is escaped stays."""
    found: list[str] = []
    within = False
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            found.append(text[at : at + 2])
            at += 2
            continue
        if within and text.startswith("[:", at) and (end := text.find(":]", at)) > 0:
            found.append(text[at : end + 2])
            at = end + 2
            continue
        if within:
            # a bracket that comes first is a member of the class
            within = char != "]" or found[-1] in ("[", "[^")
            found.append(_BORDER_IN_CLASS if char == "_" else char)
        elif char == "[":
            within = True
            found.append("[^" if text.startswith("[^", at) else "[")
            at += len(found[-1]) - 1
        else:
            found.append(_BORDER if char == "_" else char)
        at += 1
    return "".join(found)


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else str(error)
    if isinstance(said, bytes):
        return said.decode("utf-8", "replace")
    return " ".join(str(error).split())
