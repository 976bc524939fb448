"""The nearest right name: a wrong word and the right ones come in, a hint goes out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], kind: str = "known") -> str:
    """``did you mean 'web'?``, or the list of what there is, or nothing if there is nothing."""
    names = sorted(known)
    if close := difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return f"did you mean '{close[0]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"{kind}: {shown}"
