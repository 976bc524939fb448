"""``ccn show policy``: which statement has decided how often; and policies of gateway sessions."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.policy_views import policy
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.outgoing import Origination
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast

DEMO = (Path(__file__).parents[2] / "topologies" / "two-regions.yaml").read_text()
POLICIES = """
prefix-sets:
  own: [{prefix: 172.16.0.0/16, le: 24}]
  tens: [{prefix: 10.2.0.0/16, le: 32}]
  never: [{prefix: 10.2.66.0/24}]
policies:
  from-idc:
    - {name: mark, set: {med: 5}, then: next-statement}
    - {name: small, match: {prefix-set: own}, set: {local-pref: 200}, then: accept}
  to-idc: [{name: all, then: accept}]
  from-gateways:
    - {name: not-that, match: {prefix-set: never}, then: reject}
    - {name: rest, match: {prefix-set: tens}, set: {local-pref: 300}, then: accept}
  to-gateways:
    - {name: no-idc, match: {prefix-set: own}, then: reject}
"""


@pytest.fixture
def intent(tmp_path: Path) -> Any:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "idc.yaml").write_text(POLICIES)
    bound = "vtep: 192.0.2.11\n    import: [from-gateways]\n    export: [to-gateways]\n"
    text = DEMO.replace("vtep: 192.0.2.11\n", bound, 1)
    assert text != DEMO
    file = tmp_path / "t.yaml"
    file.write_text(text)
    return read_intent(file, "bj-gw1")


def shown(intent: Any, rib: Rib) -> dict[tuple[str, str, str], Any]:
    peers = {n: PeerSession(p, intent.export_policy) for n, p in rib.peers.items()}
    sessions = SimpleNamespace(peers=peers)
    rows = policy(SimpleNamespace(intent=intent, rib=rib, sessions=sessions), {})["policy"]  # type: ignore[arg-type]
    return {(r["neighbor"], r["direction"], r["statement"]): r for r in rows}


def test_each_statement_counts_what_it_matched(intent: Any) -> None:
    rib = new_rib(intent)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
    )
    own = [Unicast(Prefix.parse(f"172.16.{n}.0/24")) for n in range(10)]
    long = [Unicast(Prefix.parse("172.16.1.128/25"))]
    rib.receive("lf-r1", [*own, *long], [], attributes)
    rib.settle()
    found = shown(intent, rib)
    small = found["lf-r1", "import", "small"]
    assert (small["hits"], small["then"], small["policy"]) == (10, "accept", "from-idc")
    assert small["last"].startswith("172.16.")
    assert small["where"].endswith("idc.yaml:9:7")
    assert found["lf-r1", "import", "mark"]["hits"] == 10, "of what was accepted"
    assert found["lf-r1", "import", "default"] == {
        "neighbor": "lf-r1",
        "direction": "import",
        "policy": "",
        "statement": "default",
        "then": "reject",
        "hits": 1,
    }
    rib.receive("lf-r1", own[:1], [], attributes)
    rib.settle()
    assert shown(intent, rib)["lf-r1", "import", "small"]["hits"] == 10, "nothing was judged anew"
    assert "hits" not in found["lf-r1", "export", "all"]


def test_policies_bind_the_sessions_of_gateways(intent: Any) -> None:
    rib = new_rib(intent)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(64602),)),),
        next_hop=Ip.parse("198.51.100.21"),
        extended_communities=tunnel_communities(
            [RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15")
        ),
    )
    rd = RouteDistinguisher.parse("198.51.100.21:100")
    said = [
        EvpnPrefix(rd, bytes(10), 0, Prefix.parse(p), None, 20100)
        for p in ("10.2.0.0/16", "10.2.66.0/24", "10.99.0.0/24")
    ]
    rib.receive("hk-gw1", said, [], attributes)
    rib.settle()
    routes = rib.tables["bj-gw1/retail"].routes
    taken = routes[Prefix.parse("10.2.0.0/16")]
    assert taken.path.attributes.local_pref == 300
    assert routes[Prefix.parse("10.99.0.0/24")].path.attributes.local_pref is None, "by default"
    assert Prefix.parse("10.2.66.0/24") not in routes
    found = shown(intent, rib)
    assert found["hk-gw1", "import", "not-that"]["hits"] == 1
    assert found["hk-gw1", "import", "rest"]["hits"] == 1
    assert found["hk-gw1", "import", "default"]["then"] == "accept"
    assert found["hk-gw1", "import", "default"]["hits"] == 1


def test_what_gateways_are_told_goes_through_their_policy(intent: Any) -> None:
    rib = new_rib(intent)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
    )
    rib.receive("lf-r1", [Unicast(Prefix.parse("172.16.1.0/24"))], [], attributes)
    rib.settle()
    peer = rib.peers["hk-gw1"]
    sets, exports, _ = rib.row_exports.whole()
    for classes in (None, export_classes(intent.policies, peer, intent.contexts.members)):
        originations = {t.ccsi.id: Origination(t.ccsi.rd, t.ccsi.vni) for t in rib.tables.values()}
        out = AdjRibOut(peer, intent.export_policy, originations, classes)
        for rows in exports:
            out.offer_rows(rows, sets)
        for key, export in rib.exports.one_by_one():
            out.offer_evpn(key, export)
        told = {str(n.prefix) for _, ns in out.take().announce for n in ns if hasattr(n, "prefix")}
        assert "10.1.0.0/16" in told
        assert "172.16.1.0/24" not in told
        assert len(exports) == 1
