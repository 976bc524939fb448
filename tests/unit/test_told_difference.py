"""What a peer that was told one thing is sent to know another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.told_difference import difference
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.outgoing import OutRows
from ccn_bgp.model.path import PathAttributes, Unicast
from tests.unit.test_telling import INTENT, SETS, new_rib

PREFIX = Prefix.parse("10.9.0.0/16")
ROWS = OutRows(
    None,
    np.frombuffer(PREFIX.address, np.uint8)[None, :],
    np.array([PREFIX.length], np.uint8),
    np.array([0]),
)
PEER = new_rib(INTENT).peers["lf-r1"]


def in_columns() -> AdjRibOut:
    out = AdjRibOut(PEER, INTENT.export_policy)
    out.offer_rows(ROWS, SETS)
    out.take()
    return out


SAID: PathAttributes = in_columns().told[PREFIX][1]


def one_by_one(attributes: PathAttributes = SAID) -> AdjRibOut:
    out = AdjRibOut(PEER, INTENT.export_policy)
    out.offer(Unicast(PREFIX), attributes)
    out.take()
    return out


@pytest.mark.parametrize(
    ("before", "after", "announced"),
    [
        (in_columns(), in_columns(), 0),
        (one_by_one(), one_by_one(), 0),
        (in_columns(), one_by_one(), 0),
        (in_columns(), one_by_one(replace(SAID, med=9)), 1),
        (one_by_one(replace(SAID, med=9)), in_columns(), 1),
        (one_by_one(), in_columns(), 1),
    ],
)
def test_a_route_that_changes_its_form_is_not_withdrawn(
    before: AdjRibOut, after: AdjRibOut, announced: int
) -> None:
    """As when a SIGHUP makes a prefix one that several tables contend for."""
    assert difference(before, after).counts == (announced, 0)


def test_what_is_no_longer_told_is_withdrawn_in_either_form() -> None:
    nothing = AdjRibOut(PEER, INTENT.export_policy)
    for before in (in_columns(), one_by_one()):
        assert difference(before, nothing).counts == (0, 1)
        assert difference(nothing, before).counts == (1, 0)
