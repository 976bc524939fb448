"""The tables that a topology would lead to if everything declared were announced, offline.

In: a topology that has passed the catalogue. Out: one proved Snapshot per gateway, made by the very
code that learns from live peers: every gateway hears the others' exports, and every IDC router
announces the cidrs of its data centre. `ccn replay` puts one of them into a real forwarder.
"""

from __future__ import annotations

from dataclasses import replace

from ccn_bgp.gateway.guard import Guard, Proved
from ccn_bgp.gateway.intent import Intent
from ccn_bgp.gateway.learning import new_rib
from ccn_bgp.learn.adj_rib_out import AdjRibOut
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.path import PathAttributes, Segment, SegmentType, Unicast


def declared_tables(intent: Intent) -> Proved:
    """The proved snapshot of the intent's gateway after everybody has said what is declared."""
    topology = intent.topology
    own = _rib(intent, intent.gateway.name)
    for name in topology.gateways:
        if name == intent.gateway.name:
            continue
        other = _rib(intent, name)
        _routers_speak(other)
        other.settle()
        heard_as = _heard_as(own, name)
        if heard_as is None:
            continue
        said = AdjRibOut(_mirror(heard_as, topology.gateways[name].asn), intent.export_policy)
        for key, export in other.exports.items():
            said.offer_evpn(key, export)
        for attributes, nlris in said.take().announce:
            own.receive(heard_as.name, nlris, (), attributes)
    _routers_speak(own)
    return Guard(intent, own).prove()


def _rib(intent: Intent, name: str) -> Rib:
    return new_rib(intent, intent.topology.gateways[name])


def _heard_as(rib: Rib, name: str) -> Peer | None:
    """The session over which a gateway's routes arrive: its own, or a reflector's."""
    if name in rib.peers:
        return rib.peers[name]
    reflectors = [p for p in rib.peers.values() if p.role == "reflector"]
    return min(reflectors, key=lambda p: p.name) if reflectors else None


def _mirror(peer: Peer, asn: int) -> Peer:
    """The same session as the other gateway sees it: only the AS numbers matter here."""
    return replace(peer, local_asn=Asn(asn), asn=peer.local_asn)


def _routers_speak(rib: Rib) -> None:
    for peer in rib.peers.values():
        if peer.router is None:
            continue
        cidrs = rib.topology.idcs[peer.router.idc].cidrs
        for version in (4, 6):
            if (ends := peer.router.ends(version)) is None:
                continue
            attributes = PathAttributes(
                as_path=(Segment(SegmentType.AS_SEQUENCE, (peer.asn,)),), next_hop=ends[0].address
            )
            fitting = [Unicast(c) for c in cidrs if c.version == version]
            rib.receive(peer.name, fitting, (), attributes)
