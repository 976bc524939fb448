"""EVPN over IPv6 sessions: GoBGP both ways, FRR behind TCP-MD5 and GTSM. IPv6 of an IDC router over
its IPv4 session, by FRR as docs/interop.md has it. (An IDC router over IPv6: test_bird.py.)"""

import pytest

pytestmark = pytest.mark.smoke

OURS, GOBGP, FRR = "fd00:c0::11", "fd00:c0::9", "fd00:c0::a"
ANNOUNCED = {"5 192.0.2.11:100 10.1.0.0/16", "5 192.0.2.11:200 10.1.0.0/16"}
REMOTE = (
    "evpn prefix 10.2.0.0/16 esi 0 etag 0 label 20100 rd 198.51.100.21:100 rt 64600:100"
    " encap vxlan router-mac 02:cc:c6:33:64:15 nexthop 198.51.100.21"
)


def neighbor(net, name, address, **more):
    common = {"gateway": "bj-gw1", "local-address": OURS, "asn": 64602, "role": "gateway"}
    net.ip("core", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    return {"name": name, "address": address, **common, **more}


@pytest.fixture
def ours(net):
    net.ip("core", "address", "add", f"{OURS}/128", "dev", "lo", "nodad")


def test_gobgp_both_ways(net, ours):
    peer = neighbor(net, "gobgp6", GOBGP)
    gobgp = net.gobgp(
        "[global.config]\nas = 64602\nrouter-id = '198.51.100.21'\n"
        f"local-address-list = ['{GOBGP}']\n"
        f"[[neighbors]]\n[neighbors.config]\nneighbor-address = '{OURS}'\npeer-as = 64601\n"
        f"[neighbors.transport.config]\npassive-mode = true\nlocal-address = '{GOBGP}'\n"
        "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 30\n"
        "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = 'l2vpn-evpn'\n"
        "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
    )
    gobgp(f"global rib add -a {REMOTE}")
    gateway = net.gateway("bj-gw1", net.topology([peer]))
    net.until(lambda: gateway.established("gobgp6"))
    row = gateway.neighbor("gobgp6")
    assert (row["address"], row["local-address"], row["malformed"]) == (GOBGP, OURS, 0)
    net.until(lambda: "10.2.0.0/16" in gateway.routes())
    next_hop = gateway.routes()["10.2.0.0/16"]["next-hop"]
    assert (next_hop["kind"], next_hop["ip"], next_hop["vni"]) == ("vtep", "198.51.100.21", 20100)
    net.until(lambda: gobgp.rib().keys() >= ANNOUNCED)
    (path,) = gobgp.rib()["5 192.0.2.11:100 10.1.0.0/16"]
    assert path["attrs"][14]["nexthop"] == "192.0.2.11"  # the VTEP, whatever the session runs over
    gobgp(f"global rib del -a {REMOTE}")
    net.until(lambda: "10.2.0.0/16" not in gateway.routes())


def test_frr_behind_a_key_and_gtsm(net, ours):
    secret = net.directory / "secret"
    secret.write_text("six\n")
    peer = neighbor(
        net, "frr6", FRR, **{"password-file": str(secret), "ttl-security": 1, "drained": True}
    )
    frr = net.frr(
        "frr6",
        f"router bgp 64602\n bgp router-id 10.0.0.6\n no bgp ebgp-requires-policy\n"
        f" neighbor {OURS} remote-as 64601\n neighbor {OURS} passive\n"
        f" neighbor {OURS} password six\n neighbor {OURS} ttl-security hops 1\n"
        f" address-family l2vpn evpn\n  neighbor {OURS} activate\n",
        FRR,
    )
    gateway = net.gateway("bj-gw1", net.topology([peer]))
    net.until(lambda: gateway.established("frr6"))

    def heard():
        return frr.json("show bgp l2vpn evpn").get("192.0.2.11:100", {})

    net.until(lambda: any("[10.1.0.0]" in key for key in heard()))
    assert gateway.neighbor("frr6")["drained"]
    told = frr.vtysh("show bgp l2vpn evpn route detail")
    assert told.count("Community: graceful-shutdown") >= len(ANNOUNCED)


def test_an_idc_router_says_both_families_over_ipv4(net):
    page = (net.ccn_source / "docs" / "interop.md").read_text()
    lines = page.split("IPv6 over the same session", 1)[1].split("```", 2)[1].strip("\n")
    text = net.topology(idcs=True).read_text()
    ours = "        gateway-address: 169.254.1.1/30\n"
    both = '        address6: "fd00:fe::2/64"\n        gateway-address6: "fd00:fe::1/64"\n'
    text = text.replace(ours, ours + both, 1)
    text = text.replace("cidrs: [172.16.0.0/16]", 'cidrs: [172.16.0.0/16, "fd00:16::/32"]', 1)
    policy = net.directory / "both.yaml"
    policy.write_text(
        "policies:\n  from-idc: [{name: all, then: accept}]\n"
        "  to-idc: [{name: all, then: accept}]\n"
    )
    start = text.index("policies: [")
    text = text[:start] + f"policies: [{policy}]" + text[text.index("]", start) + 1 :]
    file = net.directory / "both-families.yaml"
    file.write_text(text)
    family, route_map = lines.split("\nroute-map ")
    frr = net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24"], extra=family)
    frr.configure(*f"route-map {route_map}".splitlines())
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: gateway.established("lf-r1"))
    assert gateway.neighbor("lf-r1")["families"] == ["ipv4-unicast", "ipv6-unicast"]

    net.until(lambda: {"172.16.1.0/24", "fd00:16:1::/64"} <= gateway.routes().keys())
    hops = {p: gateway.routes()[p]["next-hop"] for p in ("172.16.1.0/24", "fd00:16:1::/64")}
    assert [h["kind"] for h in hops.values()] == ["hand-off"] * 2
    assert [h["ip"] for h in hops.values()] == ["169.254.1.2", "fd00:fe::2"]

    def heard(family):
        return frr.json(f"show bgp {family} unicast")["routes"]

    net.until(lambda: {"fd00:1::/64"} <= heard("ipv6").keys())
    net.until(lambda: {"10.1.0.0/16"} <= heard("ipv4").keys())
    (path,) = heard("ipv6")["fd00:1::/64"]
    assert path["path"] == "64601"
    assert "fd00:fe::1" in [hop["ip"] for hop in path["nexthops"]]
    assert "10.1.0.0/16" not in heard("ipv6")

    # Another next hop is not on the hand-off: said so, and not used.
    frr.configure("route-map own-next-hop permit 10", "set ipv6 next-hop global fd00:99::2")
    net.until(lambda: "fd00:16:1::/64" not in gateway.routes())
    said = gateway.ccn("explain", "fd00:16:1::/64", "--ccn", "retail").stdout
    assert "fd00:99::2 is not in the hand-off subnet fd00:fe::/64" in said
    assert "172.16.1.0/24" in gateway.routes() and not gateway.lines("down:")
    assert gateway.neighbor("lf-r1")["malformed"] == 0
