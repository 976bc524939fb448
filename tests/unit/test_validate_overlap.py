"""Members of one CCN with the same addresses: what validate says wins is what the Rib holds, and
the loser takes over when the winner goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.config.overlap import overlaps_in_ccn
from ccn_bgp.learn.originate import tunnel_communities
from ccn_bgp.learn.rib import Rib
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from ccn_bgp.model.path import EvpnPrefix, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.model.reason import NotBest

SAME = Prefix.parse("10.9.0.0/16")
TEXT = """
name: overlap
fabric: {asn: 64600}
gateways:
  gw-a: {region: a, asn: 64601, vtep: 192.0.2.1}
  gw-b: {region: b, asn: 64602, vtep: 192.0.2.2}
vpcs:
  near: {region: a, vni: 11, cidrs: [CIDR-NEAR]}
  nearer: {region: a, vni: 13, cidrs: [CIDR-NEARER]}
  far: {region: b, vni: 12, cidrs: [CIDR-FAR]}
idcs:
  dc-a:
    region: a
    cidrs: [CIDR-A]
    routers:
      r-a: {gateway: gw-a, port: eth2, ccn: one, asn: 65001,
            address: 169.254.1.2/30, gateway-address: 169.254.1.1/30}
  dc-b:
    region: b
    cidrs: [CIDR-B]
    routers:
      r-b: {gateway: gw-b, port: eth2, ccn: one, asn: 65002,
            address: 169.254.2.2/30, gateway-address: 169.254.2.1/30}
ccns:
  one: {id: 1, vni: 101, attach: [vpc/near, vpc/nearer, vpc/far, idc/dc-a, idc/dc-b]}
"""
APART = {"NEARER": "10.13.0.0/16", "NEAR": "10.11.0.0/16", "FAR": "10.12.0.0/16",
         "A": "172.16.0.0/16", "B": "172.17.0.0/16"}  # fmt: skip


def topology(tmp_path: Path, *same: str):
    """The members named have SAME, the others addresses of their own."""
    text = TEXT
    for name, cidr in APART.items():
        text = text.replace(f"CIDR-{name}]", f"{SAME if name in same else cidr}]")
    (tmp_path / "t.yaml").write_text(text)
    return load_topology(tmp_path / "t.yaml")


def winners(tmp_path: Path, *same: str) -> dict[str, tuple[str, str]]:
    (finding,) = overlaps_in_ccn(topology(tmp_path, *same))
    assert finding.prefix == str(SAME)
    return {row["gateway"]: (row["winner"], row["by"]) for row in finding.witness["winners"]}


def from_router(asn: int, hop: str) -> PathAttributes:
    path = (Segment(SegmentType.AS_SEQUENCE, (Asn(asn), Asn(asn), Asn(asn))),)
    return PathAttributes(as_path=path, next_hop=Ip.parse(hop))


def from_gateway(vtep: str, *asns: int) -> tuple[EvpnPrefix, PathAttributes]:
    rd = RouteDistinguisher.parse(f"{vtep}:1")
    path = (Segment(SegmentType.AS_SEQUENCE, tuple(Asn(a) for a in asns)),)
    target, mac = RouteTarget.parse("64600:1"), Mac.parse("02:cc:c0:00:02:02")
    attributes = PathAttributes(
        as_path=path,
        next_hop=Ip.parse(vtep),
        extended_communities=tunnel_communities([target], mac),
    )
    return EvpnPrefix(rd, bytes(10), 0, SAME, None, 101), attributes


def rib_of(found, gateway: str) -> Rib:
    rib = Rib(found, found.gateways[gateway], lambda _, path: path.attributes, lambda *_: None)
    rib.settle()
    return rib


def holder(rib: Rib) -> str:
    """Who the packets go to: the VPC by its VNI, a peer by its name, or nobody."""
    (table,) = rib.tables.values()
    route = table.routes.get(SAME)
    if route is None:
        return ""
    by_vni = {11: "vpc/near", 13: "vpc/nearer", 12: "vpc/far"}
    return route.path.peer or by_vni[route.next_hop.vni]


@pytest.mark.parametrize(
    ("same", "expected"),
    [
        (("NEAR", "FAR"), {"gw-a": ("vpc/near", "declared in its region"),
                           "gw-b": ("vpc/far", "declared in its region")}),
        (("A", "B"), {"gw-a": ("idc/dc-a", "learned from a data centre here"),
                      "gw-b": ("idc/dc-b", "learned from a data centre here")}),
        (("NEAR", "NEARER"), {"gw-a": ("vpc/near", "first by name"),
                              "gw-b": ("", "the best-path steps")}),
    ],
)  # fmt: skip
def test_validate_names_winner_and_loser_at_each_gateway(
    tmp_path: Path, same: tuple[str, ...], expected: dict
) -> None:
    assert winners(tmp_path, *same) == expected


def test_a_longer_prefix_wins_everywhere(tmp_path: Path) -> None:
    text = TEXT.replace("CIDR-NEAR]", "10.9.0.0/16]").replace("CIDR-FAR]", "10.9.4.0/24]")
    for name, cidr in APART.items():
        text = text.replace(f"CIDR-{name}]", f"{cidr}]")
    (tmp_path / "t.yaml").write_text(text)
    (finding,) = overlaps_in_ccn(load_topology(tmp_path / "t.yaml"))
    assert finding.witness["winner"] == "vpc/far"
    assert finding.witness["loser"] == "vpc/near"
    assert finding.witness["address"] == "10.9.4.0"


def test_declared_over_learned_over_remote_and_each_loser_is_promoted(tmp_path: Path) -> None:
    """The remote path is the shortest, and still last: precedence comes before the AS path."""
    rib = rib_of(topology(tmp_path, "NEAR"), "gw-a")
    learned = Unicast(SAME)
    remote, attributes = from_gateway("192.0.2.2", 64602)
    rib.receive("gw-b", [remote], [], attributes)
    rib.receive("r-a", [learned], [], from_router(65001, "169.254.1.2"))
    rib.settle()
    (table,) = rib.tables.values()
    assert holder(rib) == "vpc/near"
    reasons = {
        c.path.peer: table.reason(SAME, c) for c in table.candidates[SAME].values() if c.path.peer
    }
    assert reasons == {
        "gw-b": NotBest(1, "declared in this region"),
        "r-a": NotBest(1, "declared in this region"),
    }

    # The VPC is given up by a new file: the data centre's route takes over, then the remote one.
    after = rib_of(topology(tmp_path), "gw-a")
    after.adopt(rib)
    after.settle()
    assert holder(after) == "r-a"
    (table,) = after.tables.values()
    (loser,) = [c for c in table.candidates[SAME].values() if c.path.peer == "gw-b"]
    assert table.reason(SAME, loser) == NotBest(3, "learned from a data centre here")
    after.receive("r-a", [], [learned], None)
    after.settle()
    assert holder(after) == "gw-b"
    after.receive("gw-b", [], [remote], None)
    after.settle()
    assert holder(after) == ""


def test_of_two_vpcs_of_a_region_the_first_by_name_wins_and_the_other_is_seen(
    tmp_path: Path,
) -> None:
    rib = rib_of(topology(tmp_path, "NEAR", "NEARER"), "gw-a")
    (table,) = rib.tables.values()
    assert holder(rib) == "vpc/near"
    held = table.candidates[SAME].values()
    assert {c.fixed.vni for c in held} == {11, 13}
    (loser,) = [c for c in held if c.fixed.vni == 13]
    assert isinstance(table.reason(SAME, loser), NotBest)
    assert holder(rib_of(topology(tmp_path, "NEARER"), "gw-a")) == "vpc/nearer"


def test_local_preference_is_the_operators_word_and_comes_before_precedence(
    tmp_path: Path,
) -> None:
    found = topology(tmp_path)
    drained = PathAttributes(
        as_path=from_router(65001, "169.254.1.2").as_path,
        next_hop=Ip.parse("169.254.1.2"),
        local_pref=0,
    )
    rib = rib_of(found, "gw-a")
    remote, attributes = from_gateway("192.0.2.2", 64602, 65002)
    rib.receive("r-a", [Unicast(SAME)], [], drained)
    rib.receive("gw-b", [remote], [], attributes)
    rib.settle()
    assert holder(rib) == "gw-b"
