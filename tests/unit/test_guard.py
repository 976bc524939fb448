"""The guard: what would leak is quarantined, and only that; the rest of the same UPDATE goes on."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path as FilePath

import pytest

from ccn_bgp.gateway.declared import declared_tables
from ccn_bgp.gateway.guard import Guard
from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType
from ccn_bgp.model.reason import Refused

TOPOLOGY = FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml"
RETAIL, FINANCE = 20100, 20200


@pytest.fixture
def intent() -> Intent:
    return read_intent(TOPOLOGY, "bj-gw1")


@pytest.fixture
def rib(intent: Intent) -> Rib:
    return new_rib(intent)


def heard(prefix: str, vni: int, number: int = 100) -> EvpnPrefix:
    rd = RouteDistinguisher.parse(f"198.51.100.21:{number}")
    return EvpnPrefix(rd, bytes(10), 0, Prefix.parse(prefix), None, vni)


def attributes(*targets: str) -> PathAttributes:
    return PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities(
            map(RouteTarget.parse, targets or ("64600:100",)), Mac.parse("02:cc:c6:33:64:15")
        ),
    )


def rows(proved, ccn: str = "retail") -> set[str]:
    table = proved.snapshot.tables[f"bj-gw1/{ccn}"]
    return {str(table.v4.prefix(i)) for i in range(len(table.v4))}


def test_a_wrong_route_target_is_quarantined_and_the_good_routes_go_on(
    intent: Intent, rib: Rib
) -> None:
    """A second gateway exports finance's prefix with retail's target: the VNI gives it away."""
    guard = Guard(intent, rib)
    wrong, good = heard("10.77.0.0/16", FINANCE), heard("10.2.0.0/16", RETAIL)
    rib.receive("hk-gw1", [wrong, good], [], attributes())
    proved = guard.prove()
    assert rows(proved) == {"10.1.0.0/16", "10.2.0.0/16"}
    (finding,) = [f for f in proved.findings if f.severity == "error"]
    assert (finding.rule, finding.prefix, finding.peer) == ("leak", "10.77.0.0/16", "hk-gw1")
    assert finding.witness["address"]
    table = rib.tables["bj-gw1/retail"]
    (candidate,) = table.candidates[Prefix.parse("10.77.0.0/16")].values()
    assert isinstance(table.reason(Prefix.parse("10.77.0.0/16"), candidate), Refused)

    again = guard.prove()
    assert again.snapshot.digest == proved.snapshot.digest
    assert [f.sort_key for f in again.findings] == [f.sort_key for f in proved.findings]

    rib.receive("hk-gw1", [], [wrong], None)
    assert not [f for f in guard.prove().findings if f.severity == "error"]


def test_a_longer_prefix_of_another_ccn_is_a_hijack(intent: Intent, rib: Rib) -> None:
    guard = Guard(intent, rib)
    rib.receive(
        "hk-gw1",
        [heard("10.50.0.0/16", RETAIL), heard("10.50.9.0/24", FINANCE)],
        [],
        attributes(),
    )
    proved = guard.prove()
    assert "10.50.0.0/16" in rows(proved)
    assert "10.50.9.0/24" not in rows(proved)
    assert {"hijack", "leak"} & {f.rule for f in proved.findings}


def test_quarantine_is_the_same_whatever_the_order(intent: Intent) -> None:
    nlris = [heard(p, v) for p, v in (("10.50.0.0/16", RETAIL), ("10.50.9.0/24", FINANCE))]
    nlris.append(heard("10.60.0.0/16", FINANCE))
    digests = set()
    for order in (nlris, nlris[::-1], [nlris[1], nlris[2], nlris[0]]):
        rib = new_rib(intent)
        guard = Guard(intent, rib)
        for nlri in order:
            rib.receive("hk-gw1", [nlri], [], attributes())
            guard.prove()
        proved = guard.prove()
        digests.add((proved.snapshot.digest, tuple(f.sort_key for f in proved.findings)))
    assert len(digests) == 1


def test_what_two_tables_take_is_not_mixed_up_with_what_is_refused_before_it(
    intent: Intent,
) -> None:
    """The middle of three rows is in no table, the last in two: each table gets its own."""
    said = [
        (heard("0.0.0.0/0", RETAIL), attributes()),
        (heard("10.1.0.0/16", RETAIL), attributes()),
        (heard("0.0.0.0/0", RETAIL, 200), attributes("64600:100", "64600:200")),
    ]
    found = set()
    for order in permutations(said):
        rib = new_rib(intent)
        for nlri, held in order:
            rib.receive("hk-gw1", [nlri], [], held)
        proved = Guard(intent, rib).prove()
        found.add(tuple((f.rule, f.table, f.prefix) for f in proved.findings))
    assert found == {
        (
            ("leak", "bj-gw1/finance", "0.0.0.0/0"),
            ("owned-space", "bj-gw1/retail", "10.1.0.0/16"),
        )
    }


def test_an_unchanged_table_is_taken_over_as_it_is(intent: Intent, rib: Rib) -> None:
    guard = Guard(intent, rib)
    before = guard.prove().snapshot.tables
    rib.receive("hk-gw1", [heard("10.2.0.0/16", RETAIL)], [], attributes())
    after = guard.prove().snapshot.tables
    assert after["bj-gw1/finance"] is before["bj-gw1/finance"]
    assert after["bj-gw1/retail"] is not before["bj-gw1/retail"]


def test_declared_tables_hold_what_everybody_would_announce(intent: Intent) -> None:
    proved = declared_tables(intent)
    assert not [f for f in proved.findings if f.severity == "error"]
    expected = {"10.1.0.0/16", "10.2.0.0/16", "10.99.0.0/24", "172.16.0.0/16"}
    assert rows(proved) == expected
    assert rows(proved, "finance") == {"10.1.0.0/16", "10.2.0.0/16", "172.16.0.0/16"}
