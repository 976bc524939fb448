"""The decision process, numbered. In: the candidates of one prefix. Out: the best, and for each
loser the step that it lost at.

RFC 4271 §9.1.2.2 and RFC 4456 §9; steps are numbered as ``ccn explain`` prints them. The order of
the candidates never matters: the last step compares keys, which are unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ccn_bgp.learn.candidate import Candidate, Source
from ccn_bgp.model.path import Path, PathAttributes
from ccn_bgp.model.reason import NotBest

DEFAULT_LOCAL_PREF = 100

STEPS = (
    "declared in this region",  # 1: RFC 4271 §9.1.2 leaves local routes to the implementation
    "higher local preference",  # 2: §9.1.2
    "learned from a data centre here",  # 3: ours, the precedence between members of a CCN
    "shorter AS path",  # 4: §9.1.2.2 a
    "lower origin",  # 5: b
    "lower MED of the same neighbouring AS",  # 6: c
    "external over internal",  # 7: d
    "lower router-id or originator",  # 8: f, RFC 4456 §9
    "shorter cluster list",  # 9: RFC 4456 §9
    "lower peer address",  # 10: g
    "lower route distinguisher or first by name",  # 11: ours, so that no tie is left
)
MED = 6
"""The step that compares groups, not ranks."""


def _before_med(candidate: Candidate) -> tuple[int, ...]:
    attributes = candidate.path.attributes
    local_pref = attributes.local_pref
    return (
        0 if candidate.source is Source.DECLARED else 1,
        -(DEFAULT_LOCAL_PREF if local_pref is None else local_pref),
        0 if candidate.source <= Source.IDC else 1,
        attributes.as_path_length,
        int(attributes.origin),
    )


def _after_med(candidate: Candidate) -> tuple[int, bytes, int, bytes, bytes]:
    attributes = candidate.path.attributes
    speaker = candidate.speaker
    return (
        0 if speaker.external else 1,
        attributes.originator_id or speaker.router_id,
        len(attributes.cluster_list),
        speaker.address,
        candidate.key,
    )


def _med(attributes: PathAttributes) -> int:
    return 0 if attributes.med is None else attributes.med


def select(candidates: Sequence[Candidate]) -> Candidate:
    """The best of at least one candidate."""
    if len(candidates) == 1:
        return candidates[0]
    ranks = [_before_med(c) for c in candidates]
    least = min(ranks)
    survivors = [c for c, rank in zip(candidates, ranks, strict=True) if rank == least]
    if len(survivors) > 1:
        survivors = _without_higher_med(survivors)
    return min(survivors, key=_after_med)


def _without_higher_med(survivors: Iterable[Candidate]) -> list[Candidate]:
    """RFC 4271 §9.1.2.2 c: compare only among paths of the same neighbouring AS, all at once."""
    groups: dict[int | None, list[Candidate]] = {}
    for candidate in survivors:
        groups.setdefault(candidate.path.attributes.first_asn, []).append(candidate)
    kept: list[Candidate] = []
    for group in groups.values():
        lowest = min(_med(c.path.attributes) for c in group)
        kept.extend(c for c in group if _med(c.path.attributes) == lowest)
    return kept


def why_not(loser: Candidate, candidates: Sequence[Candidate]) -> NotBest:
    """The step at which ``loser`` fell out of ``candidates``."""
    best = select(candidates)
    ranks = [_before_med(c) for c in candidates]
    least, own = min(ranks), _before_med(loser)
    for step, (mine, wins) in enumerate(zip(own, least, strict=True)):
        if mine != wins:
            return NotBest(step + 1, STEPS[step])
    survivors = [c for c, rank in zip(candidates, ranks, strict=True) if rank == least]
    if loser not in _without_higher_med(survivors):
        return NotBest(MED, STEPS[MED - 1])
    for offset, (a, b) in enumerate(zip(_after_med(loser), _after_med(best), strict=True)):
        if a != b:
            return NotBest(MED + 1 + offset, STEPS[MED + offset])
    raise AssertionError("the best path does not lose")


def select_vm(paths: Sequence[tuple[Path, Candidate]]) -> Candidate:
    """Of several type 2 of one address: highest mobility sequence (RFC 7432 §15), then as above."""
    highest = max(path.attributes.mobility.sequence for path, _ in paths)
    return select([c for path, c in paths if path.attributes.mobility.sequence == highest])
