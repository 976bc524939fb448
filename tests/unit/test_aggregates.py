"""Aggregates: when they are in force, what is told of them and instead of whom, and what drops."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from oracle.aggregates import POLICY, Router, from_hk, from_idc, intent_of, row, topology_of

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.gateway.aggregate_views import aggregates, around
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import read_intent, topology_findings
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.model.bgp import Asn, Ip, Prefix
from ccn_bgp.model.path import EvpnPrefix, Origin
from ccn_bgp.model.route import Kind
from ccn_bgp.policy.load import load_policies

COOKBOOK = Path(__file__).parents[2] / "topologies" / "policies" / "cookbook"
TEN = "tens: {prefix: 10.0.0.0/8, summary-only: true}"


def test_it_stands_while_something_lies_in_it(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, "far: {prefix: 10.2.0.0/15}", "far")
    rib = new_rib(intent)
    rib.settle()
    assert row(rib, "10.2.0.0/15") is None
    from_hk(rib, "10.2.0.0/16", "10.3.0.0/16")
    found = row(rib, "10.2.0.0/15")
    assert found.next_hop.kind is Kind.DROP
    assert (found.origin, found.path.peer) == ("bj-gw1/retail", "aggregate far")
    (standing,) = rib.aggregates.of("bj-gw1/retail")
    assert (standing.contributing, standing.held) == (2, True)
    named = rib.aggregates.contributing("bj-gw1/retail", "far", 10)
    assert [str(p) for p in named] == ["10.2.0.0/16", "10.3.0.0/16"]
    from_hk(rib, "10.2.0.0/16", say=False)
    assert row(rib, "10.2.0.0/15") is not None
    from_hk(rib, "10.3.0.0/16", say=False)
    assert row(rib, "10.2.0.0/15") is None


def test_so_many_must_contribute(tmp_path: Path) -> None:
    rib = new_rib(intent_of(tmp_path, "far: {prefix: 10.2.0.0/15, min-contributing: 2}", "far"))
    from_hk(rib, "10.2.0.0/16")
    assert row(rib, "10.2.0.0/15") is None
    from_hk(rib, "10.2.7.0/24")
    assert row(rib, "10.2.0.0/15") is not None
    from_hk(rib, "10.2.0.0/16", say=False)
    assert row(rib, "10.2.0.0/15") is None


def test_its_own_prefix_does_not_contribute_and_goes_before_it(tmp_path: Path) -> None:
    rib = new_rib(intent_of(tmp_path, "far: {prefix: 10.2.0.0/16}\n", "far", (ORDERS, WIDER)))
    from_hk(rib, "10.2.0.0/16")
    assert row(rib, "10.2.0.0/16").next_hop.kind is Kind.VTEP
    from_hk(rib, "10.2.5.0/24")
    assert row(rib, "10.2.0.0/16").next_hop.kind is Kind.VTEP
    table = rib.tables["bj-gw1/retail"]
    ours = [c for c in table.held(Prefix.parse("10.2.0.0/16")).values() if not c.speaker.name]
    assert "only where no route does" in str(table.reason(Prefix.parse("10.2.0.0/16"), ours[0]))
    from_hk(rib, "10.2.0.0/16", say=False)
    assert row(rib, "10.2.0.0/16").next_hop.kind is Kind.DROP


ORDERS = 'cidrs: [10.2.0.0/16, "fd00:2::/64"]'
WIDER = 'cidrs: [10.2.0.0/17, 10.2.128.0/17, "fd00:2::/64"]'


def test_summary_only_is_told_in_the_place_of_the_rest(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, TEN, "tens")
    rib = new_rib(intent)
    router = Router(intent, rib)
    rib.settle()
    assert set(router.told()) == {"10.0.0.0/8"}
    from_hk(rib, "10.2.0.0/16", "10.99.0.0/24", "192.168.0.0/16")
    from_idc(rib, "172.16.1.0/24")
    assert set(router.told()) == {"10.0.0.0/8", "192.168.0.0/16"}
    assert router.denied() == dict.fromkeys(
        ("10.1.0.0/16", "10.2.0.0/16", "10.99.0.0/24"),
        f"held back by aggregate tens, summary-only 10.0.0.0/8 ({tmp_path}/policies/idc.yaml:7:3)",
    )
    said = router.told()["10.0.0.0/8"]
    assert said.as_path_text == "64601"
    assert said.aggregator == (Asn(64601), Ip.parse("192.0.2.11"))
    assert said.atomic_aggregate, "an AS of Hong Kong is missing"
    assert said.next_hop == Ip.parse("169.254.1.1")
    assert not said.extended_communities


def test_without_summary_only_both_are_told(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, "tens: {prefix: 10.0.0.0/8}", "tens")
    rib = new_rib(intent)
    router = Router(intent, rib)
    rib.settle()
    told = router.told()
    assert set(told) == {"10.0.0.0/8", "10.1.0.0/16"}
    assert not told["10.0.0.0/8"].atomic_aggregate, "no AS is missing"


def test_what_was_held_back_is_told_once_the_aggregate_is_gone(tmp_path: Path) -> None:
    two = "far: {prefix: 10.2.0.0/15, summary-only: true, min-contributing: 2}"
    intent = intent_of(tmp_path, two, "far")
    rib = new_rib(intent)
    router = Router(intent, rib)
    from_hk(rib, "10.2.0.0/16")
    assert set(router.told()) == {"10.1.0.0/16", "10.2.0.0/16"}
    from_hk(rib, "10.3.0.0/16")
    assert set(router.told()) == {"10.1.0.0/16", "10.2.0.0/15"}
    from_hk(rib, "10.2.0.0/16", say=False)
    assert set(router.told()) == {"10.1.0.0/16", "10.3.0.0/16"}


def test_a_data_centre_is_not_told_what_is_all_its_own(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, "its: {prefix: 172.0.0.0/8, summary-only: true}", "its")
    rib = new_rib(intent)
    router = Router(intent, rib)
    from_idc(rib, "172.16.1.0/24", "172.16.2.0/24")
    assert row(rib, "172.0.0.0/8") is not None
    assert set(router.told()) == {"10.1.0.0/16"}
    from_hk(rib, "172.20.0.0/16")
    assert set(router.told()) == {"10.1.0.0/16", "172.0.0.0/8"}
    from_hk(rib, "172.20.0.0/16", say=False)
    assert set(router.told()) == {"10.1.0.0/16"}


def test_the_export_policy_decides_over_it_and_holds_nothing_back_for_it(tmp_path: Path) -> None:
    """What refuses the aggregate is told of the routes in it."""
    file = topology_of(tmp_path, TEN, "tens")
    policies = tmp_path / "policies" / "idc.yaml"
    policies.write_text(
        policies.read_text().replace(
            "to-idc: [", "to-idc: [{name: no, match: {origin-kind: aggregate}, then: reject}, "
        )
    )
    intent = read_intent(file, "bj-gw1")
    rib = new_rib(intent)
    router = Router(intent, rib)
    rib.settle()
    assert set(router.told()) == {"10.1.0.0/16"}


def test_it_has_the_attributes_that_the_file_wants(tmp_path: Path) -> None:
    wants = '{local-pref: 50, med: 7, community: {add: ["64600:1"]}, as-path-prepend: 1}'
    intent = intent_of(tmp_path, f"tens: {{prefix: 10.0.0.0/8, set: {wants}}}", "tens")
    rib = new_rib(intent)
    router = Router(intent, rib)
    rib.settle()
    said = router.told()["10.0.0.0/8"]
    assert (said.med, said.communities) == (7, (64600 << 16 | 1,))
    assert said.as_path_text == "64601 64601"


def test_origin_is_the_worst_of_those_that_contribute(tmp_path: Path) -> None:
    rib = new_rib(intent_of(tmp_path, "its: {prefix: 172.0.0.0/8}", "its"))
    from_idc(rib, "172.16.1.0/24")
    assert row(rib, "172.0.0.0/8").path.attributes.origin is Origin.IGP
    from_idc(rib, "172.16.2.0/24", origin=Origin.INCOMPLETE)
    assert row(rib, "172.0.0.0/8").path.attributes.origin is Origin.INCOMPLETE
    from_idc(rib, "172.16.2.0/24", say=False)
    assert row(rib, "172.0.0.0/8").path.attributes.origin is Origin.IGP


def test_gateways_never_hear_of_it(tmp_path: Path) -> None:
    rib = new_rib(intent_of(tmp_path, TEN, "tens"))
    from_idc(rib, "172.16.1.0/24")
    said = {str(n.prefix) for n, _ in rib.exports.values() if isinstance(n, EvpnPrefix)}
    assert "10.0.0.0/8" not in said
    assert "172.16.1.0/24" in said


def test_six(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, 'six: {prefix: "fd00::/16", summary-only: true}', "six")
    rib = new_rib(intent)
    from_hk(rib, "fd00:2::/64")
    (standing,) = rib.aggregates.of("bj-gw1/retail")
    assert (standing.contributing, standing.held) == (2, True)
    assert row(rib, "fd00::/16").next_hop.kind is Kind.DROP


def test_the_verifier_has_nothing_against_it_and_the_order_is_nothing(tmp_path: Path) -> None:
    intent = intent_of(tmp_path, f"{TEN}\nits: {{prefix: 172.0.0.0/8}}", "tens, its")
    digests = set()
    words = (
        lambda rib: from_hk(rib, "10.2.0.0/16", "172.20.0.0/16"),
        lambda rib: from_idc(rib, "172.16.1.0/24"),
        lambda rib: from_idc(rib, "172.16.2.0/24", origin=Origin.EGP),
    )
    for order in itertools.permutations(words):
        rib = new_rib(intent)
        for word in order:
            word(rib)
        proved = Guard(intent, rib).prove()
        assert not [f for f in proved.findings if f.stands]
        digests.add(proved.snapshot.digest)
    assert len(digests) == 1


LEDGER = "shares:\n  - {from: finance, to: retail, prefixes: [10.77.0.0/16]}\npolicies:"
BACK = "shares:\n  - {from: retail, to: finance, prefixes: [10.2.0.0/16]}\npolicies:"


@pytest.mark.parametrize(
    ("prefix", "edits", "found"),
    [
        ("10.0.0.0/8", (), None),
        ("0.0.0.0/0", (), None),
        ("10.1.64.0/18", (), "blackhole: …lies in 10.1.0.0/16 of vpc/web"),
        ("10.1.0.0/16", (), "blackhole: …lies in 10.1.0.0/16 of vpc/web"),
        ("10.99.0.0/25", (), "blackhole: …lies in 10.99.0.0/24 of vpc/orders"),
        ("172.16.0.0/20", (), "blackhole: …lies in 172.16.0.0/16 of idc/langfang"),
        ("192.0.0.0/8", (), "owned-space: …holds the VTEP of bj-gw1 (192.0.2.11/32)"),
        ("169.0.0.0/8", (), "bogon: …overlaps 169.254.0.0/16, which is never routed"),
        (
            "10.0.0.0/8",
            (("policies:", LEDGER),),
            "hijack: …overlaps 10.77.0.0/16, which CCN finance shares with it",
        ),
        ("10.2.0.0/15", (("policies:", BACK),), "blackhole: …covers 10.2.0.0/16 of vpc/archive"),
        (
            "10.2.0.0/15",
            (("vpc/orders,", "{member: vpc/orders, propagate: false},"),),
            "blackhole: …covers 10.2.0.0/16 of vpc/orders",
        ),
    ],
)
def test_what_would_harm_somebody_is_a_finding(
    tmp_path: Path, prefix: str, edits: tuple[tuple[str, str], ...], found: str | None
) -> None:
    file = topology_of(tmp_path, f"it: {{prefix: {prefix}}}", "it", *edits)
    said = [f for f in topology_findings(load_topology(file)) if f.severity == "error" and f.prefix]
    if found is None:
        assert not said
        return
    rule, _, text = found.partition(": …")
    (first, *_) = said
    assert (first.rule, first.where) == (rule, f"{tmp_path}/policies/idc.yaml:7:3")
    assert first.message.startswith(f"the aggregate it, {prefix}, of CCN retail {text}")


def test_two_of_one_prefix_are_a_finding(tmp_path: Path) -> None:
    two = "one: {prefix: 10.0.0.0/8}\ntwo: {prefix: 10.0.0.0/8}"
    file = topology_of(tmp_path, two, "one, two")
    (found,) = [f for f in topology_findings(load_topology(file)) if f.severity == "error"]
    assert found.rule == "ambiguous-owner"
    assert found.message == "the aggregates one and two of CCN retail have one prefix"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("it: [10.0.0.0/8]", "7:3: aggregates.it must be a mapping"),
        ("it: {}", "7:3: the key 'prefix' is missing"),
        ("it: {prefix: 10.0.0.0/33}", "7:16: prefix: "),
        ("it: {prefix: 10.0.0.1/8}", "7:16: prefix: "),
        ("it: {prefix: 10.0.0.0/8, summary-only: 1}", "7:42: summary-only: 1 is neither"),
        ("it: {prefix: 10.0.0.0/8, as-set: true}", "7:36: as-set: True cannot be had (RFC 9774"),
        ("it: {prefix: 10.0.0.0/8, min-contributing: 0}", "7:46: min-contributing: 0 is not"),
        ("it: {prefix: 10.0.0.0/8, summary: true}", "7:28: unknown key 'summary' (did you mean"),
        ("it: {prefix: 10.0.0.0/8, set: {pref: 1}}", "7:34: unknown key 'pref'"),
    ],
)
def test_bad_entries_cost_a_line(tmp_path: Path, entry: str, said: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(POLICY + f"  {entry}\n")
    with pytest.raises(InputError) as caught:
        load_policies([file])
    (line,) = str(caught.value).splitlines()
    assert line.removeprefix(f"{file}:").startswith(said), line


def test_a_ccn_names_what_a_file_defines(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_topology(topology_of(tmp_path, TEN, "ten"))
    assert "aggregate 'ten' is not defined (did you mean 'tens'?)" in str(caught.value)


def test_what_is_shown(tmp_path: Path) -> None:
    text = "far: {prefix: 10.2.0.0/15, summary-only: true, min-contributing: 2}"
    intent = intent_of(tmp_path, text, "far")
    rib = new_rib(intent)
    router = Router(intent, rib)
    sessions = SimpleNamespace(peers={"lf-r1": router.session})
    running = SimpleNamespace(name="bj-gw1", rib=rib, sessions=sessions)
    from_hk(rib, "10.2.0.0/16")
    (found,) = aggregates(running, {})["aggregates"]  # type: ignore[arg-type]
    assert found == {
        "ccn": "retail",
        "name": "far",
        "prefix": "10.2.0.0/15",
        "state": "needs 2 contributing",
        "summary-only": True,
        "contributing": 1,
        "routes": ["10.2.0.0/16"],
        "told-to": [],
        "where": f"{tmp_path}/policies/idc.yaml:7:3",
    }
    from_hk(rib, "10.3.0.0/16", "10.2.7.0/24")
    router.told()
    (found,) = around(running, "bj-gw1/retail", Prefix.parse("10.3.9.0/24"))  # type: ignore[arg-type]
    assert (found["state"], found["told-to"]) == ("in force", ["lf-r1"])
    assert found["routes"] == ["10.2.0.0/16", "10.2.7.0/24", "10.3.0.0/16"]
    assert around(running, "bj-gw1/retail", Prefix.parse("10.4.0.0/16")) == []  # type: ignore[arg-type]
    from_hk(rib, "10.2.0.0/15")
    (found,) = aggregates(running, {"ccn": "retail"})["aggregates"]  # type: ignore[arg-type]
    assert found["state"] == "not used: a route of hk-gw1"
    assert aggregates(running, {"ccn": "finance"})["aggregates"] == []  # type: ignore[arg-type]


def test_the_recipe_of_the_cookbook(tmp_path: Path) -> None:
    """One prefix of each other region, all of our own."""
    file = topology_of(tmp_path, TEN, "hongkong, singapore")
    recipe = (COOKBOOK / "aggregate-per-region.yaml").read_text()
    recipe = recipe.replace("policies:\n", "policies:\n  from-idc: [{then: accept}]\n", 1)
    (tmp_path / "policies" / "idc.yaml").write_text(recipe)
    intent = read_intent(file, "bj-gw1")
    rib = new_rib(intent)
    router = Router(intent, rib)
    from_hk(rib, "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.99.0.0/24")
    assert set(router.told()) == {"10.1.0.0/16", "10.2.0.0/15"}
    from_hk(rib, "10.5.0.0/16")
    told = router.told()
    assert set(told) == {"10.1.0.0/16", "10.2.0.0/15", "10.4.0.0/15"}
    assert told["10.4.0.0/15"].communities == (64600 << 16 | 65,)
    from_hk(rib, "10.2.0.0/16", "10.3.0.0/16", say=False)
    assert set(router.told()) == {"10.1.0.0/16", "10.4.0.0/15"}
