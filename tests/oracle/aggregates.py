"""The demo with aggregates in it, its peers, and the definition of an aggregate read naively.

No columns and no state: from the routes of a table alone it says what stands and what a router is
told. Shared by unit and property tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ccn_bgp.gateway.intent import Intent, read_intent
from ccn_bgp.gateway.peer import PeerSession
from ccn_bgp.gateway.prefix_classes import export_classes
from ccn_bgp.gateway.telling import ExportChanges, UpdateGroups
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Asn, Family, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.route import Kind, Route
from ccn_bgp.session.decode import Decoder, SessionParameters, Update
from ccn_bgp.session.events import OpenFacts

DEMO = (Path(__file__).parents[2] / "topologies" / "two-regions.yaml").read_text()
POLICY = """
prefix-sets: {hidden: [{prefix: 10.1.0.0/16}]}
policies:
  from-idc: [{name: all, then: accept}]
  to-idc: [{name: all, then: accept}]
aggregates:
"""
TEN = "tens: {prefix: 10.0.0.0/8, summary-only: true}"
OPEN = OpenFacts(
    asn=Asn(65101),
    router_id=Ip.parse("10.9.9.9"),
    hold_time=90,
    asn4=True,
    families=frozenset(Family),
    route_refresh=True,
    enhanced_refresh=False,
    max_message=4096,
    restart_time=None,
    restarted=False,
    restart_families=frozenset(),
    forwarding=frozenset(),
)


def topology_of(folder: Path, aggregates: str, names: str, *edits: tuple[str, str]) -> Path:
    (folder / "policies").mkdir(parents=True)
    text = POLICY + "".join(f"  {line}\n" for line in aggregates.split("\n"))
    (folder / "policies" / "idc.yaml").write_text(text)
    topology = DEMO.replace("retail:  {", "retail: {").replace(
        "retail: {id: 100,", f"retail: {{aggregates: [{names}], id: 100,"
    )
    for old, new in edits:
        assert old in topology, old
        topology = topology.replace(old, new)
    file = folder / "t.yaml"
    file.write_text(topology)
    return file


def intent_of(folder: Path, aggregates: str, names: str, *edits: tuple[str, str]) -> Intent:
    return read_intent(topology_of(folder, aggregates, names, *edits), "bj-gw1")


def attributes(*asns: int, hop: str = "169.254.1.2", **more: object) -> PathAttributes:
    segments = (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),) if asns else ()
    return PathAttributes(as_path=segments, next_hop=Ip.parse(hop), **more)  # type: ignore[arg-type]


def from_hk(rib: Rib, *prefixes: str, say: bool = True) -> None:
    communities = tunnel_communities(
        [RouteTarget.parse("64600:100")], Mac.parse("02:cc:c6:33:64:15")
    )
    rd = RouteDistinguisher.parse("198.51.100.21:100")
    nlris = [EvpnPrefix(rd, bytes(10), 0, Prefix.parse(p), None, 20100) for p in prefixes]
    said = attributes(64602, hop="198.51.100.21", extended_communities=communities)
    rib.receive("hk-gw1", nlris if say else [], [] if say else nlris, said if say else None)
    rib.settle()


def from_idc(rib: Rib, *prefixes: str, say: bool = True, **more: object) -> None:
    nlris = [Unicast(Prefix.parse(p)) for p in prefixes]
    said = attributes(65101, **more) if say else None
    rib.receive("lf-r1", nlris if say else [], [] if say else nlris, said)
    rib.settle()


class Router:
    """lf-r1: what it holds after all that was sent."""

    def __init__(self, intent: Intent, rib: Rib) -> None:
        self.session = PeerSession(rib.peers["lf-r1"], intent.export_policy)
        self.session.establish(OPEN, rib.vocabulary)
        peer = self.session.peer
        self.decoder = Decoder(
            SessionParameters(
                "us", peer.local_asn, peer.asn, asn4=True, families=self.session.families
            )
        )
        members = intent.contexts.members
        self.groups = UpdateGroups(
            classes=lambda peer: export_classes(intent.policies, peer, members)
        )
        self.rib = rib
        self.held: dict[str, PathAttributes] = {}

    def told(self) -> dict[str, PathAttributes]:
        changes = ExportChanges.of(self.rib)
        news = [octets for _, octets in self.groups.tell([self.session], self.rib, changes)]
        rest = iter(lambda: self.groups.next_piece(self.session, self.rib), None)
        for octets in (*news, *rest):
            assert octets is not None
            at = 0
            while at < len(octets):
                size = int.from_bytes(octets[at + 16 : at + 18], "big")
                for item in self.decoder.message(octets[at : at + size]):
                    assert isinstance(item, Update), item
                    for nlri in item.withdrawn:
                        del self.held[str(nlri.prefix)]
                    for nlri in item.announced:
                        self.held[str(nlri.prefix)] = item.attributes
                at += size
        self.rib.dirty_exports.clear()
        self.rib.dirty_routes.clear()
        return {prefix: said for prefix, said in self.held.items() if ":" not in prefix}

    def denied(self) -> dict[str, str]:
        found = self.session.out.denied.items()
        return {str(Prefix(key)): str(reason) for key, reason in found}


def row(rib: Rib, prefix: str):
    return rib.tables["bj-gw1/retail"].routes.get(Prefix.parse(prefix))


def standing(aggregate: Aggregate, routes: Mapping[Prefix, Route]) -> list[Prefix]:
    """The routes that contribute, if they are enough; else none."""
    found = [
        prefix
        for prefix, route in routes.items()
        if prefix != aggregate.prefix
        and aggregate.prefix.covers(prefix)
        and route.next_hop.kind is not Kind.DROP
    ]
    return sorted(found) if len(found) >= aggregate.least else []


def expected(
    aggregates: list[Aggregate], routes: Mapping[Prefix, Route], site: bytes
) -> dict[str, str]:
    """What a router of this site is told, prefixes with who says them; it accepts all."""

    def foreign(prefix: Prefix) -> bool:
        return site not in routes[prefix].path.attributes.extended_communities

    told = {
        str(prefix): "route"
        for prefix, route in routes.items()
        if route.next_hop.kind is not Kind.DROP and foreign(prefix) and prefix.version == 4
    }
    for aggregate in aggregates:
        route = routes.get(aggregate.prefix)
        if aggregate.prefix.version != 4 or route is None:
            continue
        if route.path.peer != f"aggregate {aggregate.name}":
            continue
        others = [prefix for prefix in standing(aggregate, routes) if foreign(prefix)]
        if len(others) >= aggregate.least:
            told[str(aggregate.prefix)] = aggregate.name
    summaries = [a for a in aggregates if a.summary_only and told.get(str(a.prefix)) == a.name]
    return {
        text: by
        for text, by in told.items()
        if not any(a.prefix.covers(Prefix.parse(text)) and str(a.prefix) != text for a in summaries)
    }
