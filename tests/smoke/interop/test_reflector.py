"""FRR and GoBGP between the gateways: what is learned through them equals the full mesh.

Two data centres with the very same addresses take part, so that foreign AS paths pass as well.
"""

import pytest

pytestmark = pytest.mark.smoke

GATEWAYS = ("bj-gw1", "hk-gw1")
VIA = "10.99.0.0/24"
FROM_IDC = "172.16.1.0/24"


REFLECTORS = {"FRR as route server": 0, "FRR as route reflector": 64600,
              "GoBGP as route server": 0, "GoBGP as route reflector": 64600}  # fmt: skip
"""Headings of docs/interop.md, and the AS of all gateways (0: as in the topology)."""


def start_reflector(net, heading):
    """With the very configuration that the documentation gives to operators."""
    text = (net.ccn_source / "docs" / "interop.md").read_text()
    section = text.split(f"### {heading}\n", 1)[1]
    lines = section.split("```", 2)[1].partition("\n")[2]
    if heading.startswith("FRR"):
        net.frr("reflector", lines)
    else:
        net.gobgp(lines, "reflector")


def full_mesh(net, file):
    """Both gateways on this file, when everything is learned."""
    gateways = {name: net.gateway(name, file) for name in GATEWAYS}
    bj, hk = gateways.values()
    net.until(lambda: bj.established("hk-gw1") and hk.established("bj-gw1"))
    net.until(lambda: VIA in bj.routes() and "fd00:2::/64" in bj.routes())
    net.until(lambda: FROM_IDC in hk.routes())
    net.until(lambda: {FROM_IDC, "172.16.2.0/24"} <= hk.routes("finance").keys())
    net.until(lambda: bj.established("lf-r1", "tj-r1"))
    return gateways


def state(gateways):
    """Per gateway: its digest, and its routes without who said them."""
    return {
        name: (
            gateway.digest(),
            [{k: v for k, v in r.items() if k != "peer"} for r in gateway.show("routes")],
        )
        for name, gateway in gateways.items()
    }


@pytest.fixture
def idcs(net):
    return (
        net.idc("lf-r1", "eth2.101t", [FROM_IDC]),
        net.idc("tj-r1", "eth3.0t", [FROM_IDC, "172.16.2.0/24"]),
    )


@pytest.mark.parametrize("kind", REFLECTORS)
def test_a_reflector_gives_the_tables_of_the_full_mesh(net, idcs, kind):
    asn = REFLECTORS[kind]
    mesh = full_mesh(net, net.topology(idcs=True, asn=asn))
    wanted = state(mesh)
    frr = idcs[0].heard()
    for gateway in mesh.values():
        gateway.end()

    start_reflector(net, kind)
    neighbors = [
        {"name": f"rr-{name}", "gateway": name, "address": net.reflector, "asn": 64600,
         "role": "reflector"}
        for name in GATEWAYS
    ]  # fmt: skip
    file = net.topology(neighbors, idcs=True, asn=asn)
    gateways = {name: net.gateway(name, file) for name in GATEWAYS}
    bj, hk = gateways.values()
    net.until(lambda: state(gateways) == wanted)
    assert bj.neighbor("rr-bj-gw1")["state"] == "established"
    assert {r["peer"] for r in bj.show("routes")} == {"declared", "rr-bj-gw1", "lf-r1", "tj-r1"}
    # The gateway IP has survived the reflector, and so has the next hop.
    heard = {r.get("prefix"): r for r in bj.show("received", neighbor="rr-bj-gw1", ccn="retail")}
    assert heard[VIA]["gateway"] == "10.2.0.10"
    assert heard[VIA]["attributes"]["next-hop"] == net.addresses["hk-gw1"]
    assert hk.routes()[FROM_IDC]["as-path"].endswith("65101")
    assert [g.neighbor(f"rr-{g.name}")["malformed"] for g in (bj, hk)] == [0, 0]
    net.until(lambda: idcs[0].heard().keys() == frr.keys())
    assert {p: v[0]["path"] for p, v in idcs[0].heard().items()} == {
        p: v[0]["path"] for p, v in frr.items()
    }

    # A withdrawal passes, too.
    idcs[0].configure(
        "router bgp 65101", "address-family ipv4 unicast", f"no network {FROM_IDC}"
    )  # fmt: skip
    net.until(lambda: FROM_IDC not in hk.routes())
    assert FROM_IDC in hk.routes("finance")
