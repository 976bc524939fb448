"""Aggregates are what the definition, read naively, makes of the routes; whatever came before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.aggregates import Router, expected, from_hk, from_idc, intent_of, standing

from ccn_bgp.gateway.aggregates import aggregates_of
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.path import Origin

WANTED = """\
tens: {prefix: 10.0.0.0/8, summary-only: true, min-contributing: 3}
far: {prefix: 10.2.0.0/15}
farther: {prefix: 10.0.0.0/14, summary-only: true, min-contributing: 2}
its: {prefix: 172.0.0.0/8, summary-only: true, min-contributing: 2}
six: {prefix: "fd00::/16"}"""
HK = ["10.2.0.0/16", "10.2.0.0/15", "10.2.9.0/24", "10.3.0.0/16", "10.99.0.0/24", "10.0.0.0/8"]
HK += ["172.20.0.0/16", "172.20.1.0/24", "172.0.0.0/8", "192.168.0.0/16", "fd00:2::/64"]
IDC = ["172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24", "172.16.1.0/25"]
words = st.one_of(
    st.tuples(st.just("hk"), st.sampled_from(HK), st.booleans(), st.just(Origin.IGP)),
    st.tuples(st.just("idc"), st.sampled_from(IDC), st.booleans(), st.sampled_from(list(Origin))),
)


@pytest.fixture(scope="module")
def intent(tmp_path_factory: pytest.TempPathFactory) -> Intent:
    folder: Path = tmp_path_factory.mktemp("aggregates")
    return intent_of(folder, WANTED, "tens, far, farther, its, six")


def say(rib: Rib, word: tuple[str, str, bool, Origin]) -> None:
    who, prefix, announced, origin = word
    if who == "hk":
        from_hk(rib, prefix, say=announced)
    else:
        from_idc(rib, prefix, say=announced, **({"origin": origin} if announced else {}))


@settings(max_examples=150, deadline=None)
@given(script=st.lists(words, max_size=25), shuffled=st.randoms(use_true_random=False))
def test_tables_and_routers_hold_what_the_definition_says(
    intent: Intent, script: list[tuple[str, str, bool, Origin]], shuffled: object
) -> None:
    rib = new_rib(intent)
    router = Router(intent, rib)
    wanted = list(aggregates_of(intent.topology, intent.policies, intent.gateway)["retail"])
    table = rib.tables["bj-gw1/retail"]
    rib.settle()
    for word in [None, *script]:
        if word is not None:
            say(rib, word)
        routes = {prefix: route for prefix, route, _ in table.each()}
        for aggregate, found in zip(wanted, rib.aggregates.of(table.ccsi.name), strict=True):
            inside = standing(aggregate, routes)
            assert bool(inside) is (found.contributing >= aggregate.least)
            real = {p for p in routes if not routes[p].path.peer.startswith("aggregate ")}
            assert found.held is (bool(inside) and aggregate.prefix not in real)
            if found.held:
                given_by = [routes[prefix].path.attributes for prefix in inside]
                made = routes[aggregate.prefix].path.attributes
                assert made.origin is max(a.origin for a in given_by)
                assert made.atomic_aggregate is any(a.as_path for a in given_by)
                assert rib.aggregates.contributing(table.ccsi.name, aggregate.name, 99) == inside
        told = {prefix: f"{said.aggregator is not None}" for prefix, said in router.told().items()}
        want = expected(wanted, routes, router.session.peer.site)
        assert told == {prefix: f"{by != 'route'}" for prefix, by in want.items()}
    last: dict[tuple[str, str], tuple[str, str, bool, Origin]] = {}
    for word in script:
        last[word[0], word[1]] = word
    again, order = new_rib(intent), list(last.values())
    shuffled.shuffle(order)  # type: ignore[attr-defined]
    for word in order:
        say(again, word)
    again.settle()
    assert {p: r for p, r, _ in table.each()} == {
        p: r for p, r, _ in again.tables["bj-gw1/retail"].each()
    }
