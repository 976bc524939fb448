"""What is told in portions, all at once."""

from __future__ import annotations

from ccn_bgp.learn.out_changes import Changes
from ccn_bgp.learn.portions import Parts, Whole
from ccn_bgp.learn.told import Told
from ccn_bgp.model.bgp import Family
from ccn_bgp.model.path import Nlri, PathAttributes


def whole(told: Told, *families: Family) -> list[Changes]:
    """All portions of what has been told in these families, or in all. What is known after each is
    what ``so_far`` says."""
    portions = Whole(told, frozenset(families or Family))
    found = [portions.portion(number) for number in range(len(portions))]
    known: dict[bytes, tuple[Nlri, PathAttributes]] = {}
    for number, changes in enumerate([Changes(), *found]):
        for attributes, nlris in changes.announced():
            for nlri in nlris:
                assert nlri.key not in known
                known[nlri.key] = nlri, attributes
        assert not [*changes.withdrawn()]
        if not families:
            assert dict(portions.so_far(number).told) == known
            assert len(told.told) - len(known) == portions.left(number)
    return found


def parts(changes: Changes) -> list[Changes]:
    """All portions of changes."""
    found = Parts(changes)
    return [found.portion(number) for number in range(len(found))]
