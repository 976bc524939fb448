"""Every key of ``match:`` and ``set:`` is known to look at what it looks at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from oracle.policy_documents import CHANGES, CONDITIONS

from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.looks import looked_at

EXTENDED = ("extended_communities",)
ASKED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "prefix-set": ("s", ()),
    "neighbor-set": ("s", ()),
    "next-hop-set": ("s", ("next_hop",)),
    "as-path-set": ("s", ("as_path",)),
    "community-set": ("s", ("communities",)),
    "large-community-set": ("s", ("large_communities",)),
    "extended-community-set": ("s", EXTENDED),
    "route-target-set": ("s", EXTENDED),
    "family": ("evpn", ()),
    "route-type": (5, ()),
    "gateway-ip": (True, ()),
    "origin": ("igp", ("origin",)),
    "local-pref": (100, ("local_pref",)),
    "med": (5, ("med",)),
    "tag": (5, ("tag",)),
}
OF_MEMBER: dict[str, Any] = {
    "ccn-set": "s",
    "vpc-set": "s",
    "idc-set": "s",
    "region-set": "s",
    "origin-kind": "vpc",
    "vni": 5,
}
CHANGED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "origin": ("igp", ("origin",)),
    "next-hop": ("10.1.2.3", ("next_hop",)),
    "local-pref": (100, ("local_pref",)),
    "med": ("+1", ("med",)),
    "tag": (5, ("tag",)),
    "preference": (200, ("preference",)),
    "as-path-prepend": (2, ("as_path",)),
    "community": ({"add": ["1:2"]}, ("communities",)),
    "large-community": ({"add": ["1:2:3"]}, ("large_communities",)),
    "extended-community": ({"add": ["rt:1:2"]}, EXTENDED),
    "route-target": ({"add": ["1:2"]}, EXTENDED),
}
SETS = {
    "prefix-sets": {"s": ["10.0.0.0/8"]},
    "neighbor-sets": {"s": ["r1"]},
    "next-hop-sets": {"s": ["10.0.0.0/8"]},
    "as-path-sets": {"s": ["_65001_"]},
    "community-sets": {"s": ["1:2"]},
    "large-community-sets": {"s": ["1:2:3"]},
    "extended-community-sets": {"s": ["rt:1:2"]},
    "route-target-sets": {"s": ["1:2"]},
    **{f"{kind}-sets": {"s": ["x"]} for kind in ("ccn", "vpc", "idc", "region")},
}


def looks(tmp_path: Path, *, at_site: bool, **statement: Any) -> tuple[str, ...] | None:
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({**SETS, "policies": {"p": [{"name": "s", **statement}]}}))
    return looked_at(load_policies([file]), ["p"], at_site=at_site)


def test_every_key_is_here() -> None:
    assert set(CONDITIONS) == {*ASKED, *OF_MEMBER}
    assert set(CHANGES) == set(CHANGED)


@pytest.mark.parametrize("key", ASKED)
def test_conditions(key: str, tmp_path: Path) -> None:
    value, fields = ASKED[key]
    for at_site in (True, False):
        assert looks(tmp_path, at_site=at_site, match={key: value}, then="accept") == fields


@pytest.mark.parametrize("key", OF_MEMBER)
def test_what_is_one_for_a_site_is_many_for_a_gateway(key: str, tmp_path: Path) -> None:
    match = {key: OF_MEMBER[key]}
    assert looks(tmp_path, at_site=True, match=match, then="accept") == ()
    assert looks(tmp_path, at_site=False, match=match, then="accept") is None


@pytest.mark.parametrize("key", CHANGED)
def test_changes(key: str, tmp_path: Path) -> None:
    value, fields = CHANGED[key]
    assert looks(tmp_path, at_site=True, set={key: value}, then="accept") == fields
