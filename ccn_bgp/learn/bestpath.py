"""The decision process, numbered. In: the candidates of one prefix. Out: the best, those that share
the prefix with it, and for each loser the step that it lost at.

RFC 4271 §9.1.2.2 and RFC 4456 §9; steps are numbered as ``ccn explain`` prints them. The order of
the candidates never matters: the last step compares keys, which are unique.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ccn_bgp.learn.candidate import Candidate, Source, owner
from ccn_bgp.model.path import HIGHEST_PREFERENCE, EvpnMacIp, PathAttributes
from ccn_bgp.model.reason import NotBest
from ccn_bgp.model.route import Kind, Member, NextHop

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
    "over fewer CCNs, lower route distinguisher or first by name",  # 11: ours: no tie is left
)
PREFERENCE = 3
PREFERRED = "higher preference by policy"
"""What step 3 asks first."""
MED = 6
"""The step that compares groups, not ranks."""
_STANDING = {Source.DECLARED: 0, Source.AGGREGATE: 2}
"""What step 1 compares; 1 is all else. An aggregate drops: any route of its prefix is better."""
AGGREGATED = "an aggregate fills its prefix only where no route does"
"""What step 1 says of one that does not."""


def _before_med(candidate: Candidate) -> tuple[int, ...]:
    attributes = candidate.path.attributes
    local_pref = attributes.local_pref
    return (
        _STANDING.get(candidate.source, 1),
        -(DEFAULT_LOCAL_PREF if local_pref is None else local_pref),
        (HIGHEST_PREFERENCE - attributes.preference) << 1
        | (0 if candidate.source <= Source.IDC else 1),
        attributes.as_path_length,
        int(attributes.origin),
    )


def _after_med(candidate: Candidate) -> tuple[int, bytes, int, bytes, tuple[int, bytes]]:
    attributes = candidate.path.attributes
    speaker = candidate.speaker
    return (
        0 if speaker.external else 1,
        attributes.originator_id or speaker.router_id,
        len(attributes.cluster_list),
        speaker.address,
        # Without the way, two tables that say on to each other would each believe whoever had the
        # route first.
        (len(candidate.trail), candidate.key),
    )


def _med(attributes: PathAttributes) -> int:
    return 0 if attributes.med is None else attributes.med


def select(candidates: Sequence[Candidate]) -> Candidate:
    """The best of at least one candidate."""
    if len(candidates) == 1:
        return candidates[0]
    return min(_through_med(candidates), key=_after_med)


def _through_med(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those left after step 6."""
    ranks = [_before_med(c) for c in candidates]
    least = min(ranks)
    survivors = [c for c, rank in zip(candidates, ranks, strict=True) if rank == least]
    return _without_higher_med(survivors) if len(survivors) > 1 else survivors


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
            if loser.source is Source.AGGREGATE:
                return NotBest(1, AGGREGATED)
            preferred = step + 1 == PREFERENCE and mine >> 1 != wins >> 1
            return NotBest(step + 1, PREFERRED if preferred else STEPS[step])
    survivors = [c for c, rank in zip(candidates, ranks, strict=True) if rank == least]
    if loser not in _without_higher_med(survivors):
        return NotBest(MED, STEPS[MED - 1])
    for offset, (a, b) in enumerate(zip(_after_med(loser), _after_med(best), strict=True)):
        if a != b:
            return NotBest(MED + 1 + offset, STEPS[MED + offset])
    raise AssertionError("the best path does not lose")


def latest_vms(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of at least one type 2 of one address: those of the highest mobility sequence (RFC 7432 §15),
    and of these the ones with the MAC of the best."""
    highest = max(c.path.attributes.mobility.sequence for c in candidates)
    latest = [c for c in candidates if c.path.attributes.mobility.sequence == highest]
    mac = _mac(select(latest))
    return [c for c in latest if _mac(c) == mac]


def _mac(candidate: Candidate) -> bytes:
    nlri = candidate.path.nlri
    assert isinstance(nlri, EvpnMacIp)
    return nlri.mac


# -- multipath ------------------------------------------------------------------------------------


def equals(
    candidates: Sequence[Candidate], limit: int, leads: Callable[[Candidate], NextHop]
) -> list[Candidate]:
    """The best, and after it those that share the prefix with it (RFC 4271 §9.1.2.2 leaves it at
    one; what is announced is the best alone).

    They are as good through step 7, of the same CCN, and each leads somewhere that none before it
    does; in the order of the remaining steps as many as make up ``limit`` next hops. What came
    through another table of this gateway shares with nobody: it is that table's group already, and
    two tables that say on to each other would keep alive what both have lost. ``leads``: the next
    hop of a candidate, which may be a group itself.
    """
    best = select(candidates)
    if limit < 2 or best.trail or not _spreads(leads(best)):
        return [best]
    found, met = [best], set(leads(best).hops)
    for candidate in sorted(_through_med(candidates), key=_after_med):
        if candidate.trail or candidate.speaker.external != best.speaker.external:
            continue
        hop = leads(candidate)
        if owner(candidate.origin) != owner(best.origin) or not _spreads(hop):
            continue
        fresh = met.union(hop.hops)
        if len(met) < len(fresh) <= limit:
            found.append(candidate)
            met = fresh
    return found


def _spreads(hop: NextHop) -> bool:
    return hop.kind not in (Kind.DROP, Kind.ON_LINK)


def spread(offers: Sequence[tuple[NextHop, int]]) -> NextHop:
    """One next hop of several, each with its link bandwidth: weighted by it where all have said one
    (none is 0), else equal. A group among them divides its share as it does alone."""
    if len(offers) == 1:
        return offers[0][0]
    told = all(bandwidth for _, bandwidth in offers)
    whole = math.lcm(*(_weight(hop) for hop, _ in offers))
    members = []
    for hop, bandwidth in offers:
        share = (bandwidth if told else 1) * (whole // _weight(hop))
        members += [Member(share * m.weight, m.hop) for m in hop.members or (Member(1, hop),)]
    return NextHop.group(members)


def _weight(hop: NextHop) -> int:
    return sum(m.weight for m in hop.members) or 1
