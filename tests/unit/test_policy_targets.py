"""Route targets that an import policy sets on routes of a data centre: those that its CCN may
export take effect, towards gateways and towards tables beside it; others are a finding.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.contexts import Contexts
from ccn_bgp.gateway.intent import Intent, _claims, read_intent, topology_findings
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Prefix, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.policy.load import load_policies

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
ONE, OTHER, FOREIGN = (RouteTarget.parse(t) for t in ("64600:100", "64600:101", "64600:200"))
BOTH = frozenset((ONE, OTHER))


def intent_of(folder: Path, statement: str, *, checked: bool = True) -> Intent:
    """retail exports 64600:100 and 64600:101; finance, beside it, imports the latter as well."""
    (folder / "policies").mkdir()
    (folder / "policies" / "idc.yaml").write_text(
        f"policies:\n  from-idc:\n    - {{name: s, {statement}then: accept}}\n"
        "  to-idc:\n    - {name: all, then: accept}\n"
    )
    text = "import: [to-idc]".join(
        (TOPOLOGIES / "two-regions.yaml").read_text().rsplit("import: [from-idc]", 1)
    )
    text = text.replace(
        "retail: {id: 100,", 'retail: {export-rts: ["64600:100", "64600:101"], id: 100,'
    )
    file = folder / "t.yaml"
    file.write_text(text)
    if checked:
        return read_intent(file, "bj-gw1")
    topology = load_topology(file)
    gateway, policies = topology.gateways["bj-gw1"], load_policies(topology.policies)
    return Intent(topology, gateway, policies, _claims(topology), Contexts(topology, gateway))


def exported(intent: Intent, *said: RouteTarget) -> frozenset[RouteTarget]:
    """The targets with which a route leaves that lf-r1 says with these."""
    rib = new_rib(intent)
    say(rib, said)
    (found,) = [
        attributes
        for nlri, attributes in rib.exports.values()
        if isinstance(nlri, EvpnPrefix) and nlri.prefix == Prefix.parse("172.16.5.0/24")
    ]
    return found.route_targets


def say(rib: Rib, targets: tuple[RouteTarget, ...] = ()) -> None:
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
        extended_communities=targets,
    )
    rib.receive("lf-r1", [Unicast(Prefix.parse("172.16.5.0/24"))], [], attributes)
    rib.settle()


@pytest.mark.parametrize(
    ("statement", "said", "leaves_with"),
    [
        ("", (), BOTH),
        ("", (OTHER,), BOTH),  # what the router says of itself means nothing
        ('set: {route-target: {add: ["64600:101"]}}, ', (), {OTHER}),
        ('set: {route-target: {add: ["64600:101"]}}, ', (ONE,), {OTHER}),
        ('set: {route-target: {replace: ["64600:100"]}}, ', (ONE,), {ONE}),
        ('set: {extended-community: {add: ["rt:64600:101"]}}, ', (), {OTHER}),
        ('set: {route-target: {add: ["64600:100", "64600:101"]}}, ', (), BOTH),
        ('set: {route-target: {remove: ["*:*"]}}, ', (ONE,), BOTH),
        ("set: {route-target: {replace: []}}, ", (ONE,), BOTH),
    ],
)
def test_what_policy_sets_is_what_the_route_leaves_with(
    tmp_path: Path, statement: str, said: tuple[RouteTarget, ...], leaves_with: frozenset
) -> None:
    assert exported(intent_of(tmp_path, statement), *said) == leaves_with


def test_what_the_ccn_may_not_export_is_a_finding_and_the_route_keeps_the_rest(
    tmp_path: Path,
) -> None:
    statement = 'set: {route-target: {add: ["64600:200", "64600:101"]}}, '
    intent = intent_of(tmp_path, statement, checked=False)
    (found,) = [f for f in topology_findings(intent.topology) if f.rule == "policy-target"]
    assert found.where.endswith("policies/idc.yaml:3:7")
    assert "64600:200 (it may: 64600:100, 64600:101)" in found.message
    assert exported(intent) == {OTHER}


def test_a_table_beside_it_hears_only_what_it_imports(tmp_path: Path) -> None:
    def holds(folder: Path, statement: str) -> bool:
        folder.mkdir()
        intent = intent_of(folder, statement)
        text = intent.topology.file.read_text()
        text = text.replace(
            "finance: {id: 200,", 'finance: {import-rts: ["64600:200", "64600:101"], id: 200,'
        )
        intent.topology.file.write_text(text)
        topology = load_topology(intent.topology.file)
        gateway = topology.gateways["bj-gw1"]
        rib = new_rib(
            Intent(topology, gateway, intent.policies, intent.claims, Contexts(topology, gateway))
        )
        say(rib)
        return Prefix.parse("172.16.5.0/24") in rib.tables["bj-gw1/finance"].routes

    assert holds(tmp_path / "other", 'set: {route-target: {add: ["64600:101"]}}, ')
    assert not holds(tmp_path / "one", 'set: {route-target: {add: ["64600:100"]}}, ')
