"""``ccn show policy``: which statement has decided how often; and policies of gateway sessions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccn_bgp.gateway.explain import explain
from ccn_bgp.gateway.intent import read_intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.gateway.out_feed import routes_of
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.policy_views import policy
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.views import received
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.outgoing import Origination
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.path import Path as Path_
from ccn_bgp.policy.routes import read_route

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


def shown(
    intent: Any, rib: Rib, out: dict[str, AdjRibOut] | None = None
) -> dict[tuple[str, str, str], Any]:
    peers = {n: PeerSession(p, intent.export_policy) for n, p in rib.peers.items()}
    for name, told in (out or {}).items():
        peers[name].out = told
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
        "last": "172.16.1.128/25",
    }
    rib.receive("lf-r1", own[:1], [], attributes)
    rib.settle()
    assert shown(intent, rib)["lf-r1", "import", "small"]["hits"] == 10, "nothing was judged anew"
    assert found["lf-r1", "export", "all"]["hits"] == 0, "nobody has been told anything"


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
        found = shown(intent, rib, {"hk-gw1": out})
        assert found["hk-gw1", "export", "no-idc"]["hits"] == 1
        assert found["hk-gw1", "export", "no-idc"]["last"] == "172.16.1.0/24"
        assert found["hk-gw1", "export", "default"]["hits"] == len(out.told)


def test_what_a_data_centre_is_told_is_counted_row_by_row_and_in_columns(intent: Any) -> None:
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
        EvpnPrefix(rd, bytes(10), 0, Prefix.parse(f"10.2.{n}.0/24"), None, 20100) for n in range(20)
    ]
    rib.receive("hk-gw1", said, [], attributes)
    rib.settle()
    peer, table = rib.peers["lf-r1"], rib.tables["bj-gw1/retail"]
    sets, _, routes = rib.row_exports.whole()
    for classes in (None, export_classes(intent.policies, peer, intent.contexts.members)):
        out = AdjRibOut(peer, intent.export_policy, {}, classes)
        for prefix, (route, best) in table.single.items():
            out.offer_route(prefix, route, best)
        single = len(out.take().announce)
        for rows in routes:
            out.offer_rows(routes_of(rows, table.ccsi.id), sets)
        out.take()
        counted = shown(intent, rib, {"lf-r1": out})["lf-r1", "export", "all"]
        assert counted["hits"] == len(out.told) >= 20
        assert single < 20
        assert counted["last"] in {str(nlri.prefix) for nlri, _ in out.told.values()}


def test_explain_tells_the_way_of_live_routes(intent: Any) -> None:
    rib = new_rib(intent)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
    )
    own, long = (Unicast(Prefix.parse(p)) for p in ("172.16.1.0/24", "172.16.2.128/25"))
    rib.receive("lf-r1", [own, long], [], attributes)
    rib.settle()
    session = PeerSession(rib.peers["hk-gw1"], intent.export_policy)
    session.open = SimpleNamespace()  # type: ignore[assignment]
    session.out = out = AdjRibOut(session.peer, intent.export_policy)
    out.offer_evpn(*next((k, e) for k, e in rib.exports.items() if k[-5:] == own.prefix))
    gateway: Any = SimpleNamespace(
        name="bj-gw1",
        intent=intent,
        rib=rib,
        sessions=SimpleNamespace(peers={"hk-gw1": session}, withdrawn=()),
        proved=SimpleNamespace(findings=()),
        counters=list,
        lookup=lambda ccsi, ip: None,
    )
    found = explain(gateway, "172.16.1.0/24", "retail")
    (path,) = (p for p in found["paths"] if p["prefix"] == "172.16.1.0/24")
    steps = [(s["statement"], s["matched"]) for s in path["policy"]["steps"]]
    assert steps == [("mark", True), ("small", True)]
    assert path["policy"]["steps"][0]["changes"] == ["med unset → 5"]
    (told,) = found["told"]
    assert told["neighbor"] == "hk-gw1"
    assert told["result"].startswith("denied")
    assert [s["statement"] for s in told["policy"]["steps"]] == ["no-idc"]

    (path,) = (p for p in explain(gateway, "172.16.2.128/25", "retail")["paths"] if "policy" in p)
    assert path["policy"]["by-default"] is True
    assert [s["matched"] for s in path["policy"]["steps"]] == [True, False]


def test_what_was_heard_is_told_as_policies_see_it(intent: Any) -> None:
    """For ``ccn policy diff --gateway``: nothing that a condition may ask for is left away."""
    rib = new_rib(intent)
    attributes = PathAttributes(
        as_path=(Segment(SegmentType.AS_SEQUENCE, (Asn(65101),)),),
        next_hop=Ip.parse("169.254.1.2"),
        med=7,
        communities=(1 << 16 | 1,),
        extended_communities=(bytes.fromhex("0003fc5800000064"),),
    )
    path = Path_("lf-r1", Unicast(Prefix.parse("172.16.1.0/24")), attributes)
    rib.receive("lf-r1", [path.nlri], [], attributes)
    rib.settle()
    gateway: Any = SimpleNamespace(name="bj-gw1", intent=intent, rib=rib)
    (row,) = received(gateway, {"form": "policy", "neighbor": "lf-r1"})["received"]
    said, context = read_route(json.loads(json.dumps(row)))
    assert said == path
    assert context == intent.contexts.heard(rib.peers["lf-r1"], path)
