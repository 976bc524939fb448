"""GoBGP as a third EVPN speaker: type 5 and type 2 by its command line, in both directions."""

import signal

import pytest

pytestmark = pytest.mark.smoke

RT = "64600:100"
VM = "10.99.0.77"


@pytest.fixture
def speakers(net):
    """hk-gw1 and gobgpd, which is AS 64999 at 203.0.113.9."""
    gobgp = net.gobgp_peer("hk-gw1", net.stranger, 64999)
    neighbor = {
        "name": "gobgp", "gateway": "hk-gw1", "address": net.stranger, "asn": 64999,
        "role": "gateway",
    }  # fmt: skip
    gateway = net.gateway("hk-gw1", net.topology([neighbor]))
    net.until(lambda: gateway.established("gobgp"))
    return gateway, gobgp


def test_what_gobgp_says_is_learned_resolved_and_withdrawn(net, speakers):
    gateway, gobgp = speakers
    before = gateway.digest()
    plain = (
        "evpn prefix 10.7.0.0/16 esi 0 etag 0 label 20100 rd 64999:1 rt 64600:100 encap vxlan"
        " router-mac 02:99:00:00:00:09"
    )
    six = plain.replace("10.7.0.0/16", "fd00:7::/48").replace("64999:1", "64999:6")
    over = (
        f"evpn prefix 10.8.0.0/24 gw {VM} esi 0 etag 0 label 20100 rd 64999:1"
        " rt 64600:100 encap vxlan router-mac 02:99:00:00:00:09"
    )
    mac = (
        f"evpn macadv 02:77:00:00:00:4d {VM} esi 0 etag 0 label 30001,20100 rd 64999:1"
        " rt 64600:100 encap vxlan router-mac 02:99:00:00:00:09"
    )
    foreign = plain.replace("64600:100", "64600:999").replace("10.7.", "10.9.")
    for words in (plain, over, foreign):
        gobgp(f"global rib add -a {words}")
    gobgp(f"global rib add -a {six}")
    net.until(lambda: {"10.7.0.0/16", "fd00:7::/48"} <= gateway.routes().keys())
    tunnel = {"kind": "vtep", "vni": 20100, "ip": net.stranger, "mac": "02:99:00:00:00:09"}
    assert gateway.routes()["10.7.0.0/16"]["next-hop"] == tunnel
    assert gateway.routes()["10.7.0.0/16"]["as-path"] == "64999"
    assert gateway.routes()["fd00:7::/48"]["next-hop"] == tunnel

    # The overlay index waits for its type 2, and the foreign route target for nobody.
    heard = {r["prefix"]: r for r in gateway.show("received", neighbor="gobgp")}
    assert heard["10.8.0.0/24"]["gateway"] == VM
    assert heard["10.9.0.0/16"]["tables"] == []
    assert "64600:999" in heard["10.9.0.0/16"]["reason"]
    assert "10.8.0.0/24" not in gateway.routes()
    told = gateway.ccn("explain", "10.8.0.0/24", "--ccn", "retail").stdout
    assert f"{VM}" in told and "type-2" in told
    gobgp(f"global rib add -a {mac}")
    net.until(lambda: "10.8.0.0/24" in gateway.routes())
    assert gateway.routes()["10.8.0.0/24"]["next-hop"] == tunnel
    assert gateway.routes("finance").keys() & {"10.7.0.0/16", "10.8.0.0/24", "10.9.0.0/16"} == set()

    # Its end takes the prefix along; what is withdrawn leaves the tables as they were.
    gobgp(f"global rib del -a {mac}")
    net.until(lambda: "10.8.0.0/24" not in gateway.routes())
    assert "10.7.0.0/16" in gateway.routes()
    for words in (plain, over, foreign, six):
        gobgp(f"global rib del -a {words}")
    net.until(lambda: not gateway.show("received", neighbor="gobgp"))
    net.until(lambda: gateway.digest() == before)
    assert gateway.neighbor("gobgp")["malformed"] == 0


def test_what_we_say_stands_right_in_gobgps_rib(net, speakers):
    gateway, gobgp = speakers
    retail, finance = "198.51.100.21:100", "198.51.100.21:200"
    wanted = {
        f"5 {retail} 10.2.0.0/16", f"5 {retail} fd00:2::/64", f"5 {retail} 10.99.0.0/24",
        f"2 {retail} 10.2.0.10", f"2 {retail} fd00:2::10", f"2 {retail} 10.2.0.11",
        f"5 {finance} 10.2.0.0/16", f"2 {finance} 10.2.0.10",
    }  # fmt: skip
    net.until(lambda: gobgp.rib().keys() == wanted)
    for text, paths in gobgp.rib().items():
        (path,) = paths
        attributes, nlri = path["attrs"], path["nlri"]["value"]
        target, vni, vpc = ("64600:100", 20100, 10002) if retail in text else (
            "64600:200", 20200, 10004,
        )  # fmt: skip
        assert attributes.keys() == {1, 2, 14, 16}, "ORIGIN, AS_PATH, MP_REACH, communities"
        assert attributes[1]["value"] == 0
        assert [s["asns"] for s in attributes[2]["as_paths"]] == [[64602]]
        assert attributes[14]["nexthop"] == net.addresses["hk-gw1"]
        assert attributes[16]["value"] == [
            {"type": 0, "subtype": 2, "value": target},
            {"type": 3, "subtype": 12, "tunnel_type": 8},
            {"type": 6, "subtype": 3, "mac": "02:cc:c6:33:64:15"},
        ]
        assert nlri["esi"] == "single-homed" and nlri["etag"] == 0
        if text.startswith("2"):
            assert nlri["labels"] == [vpc, vni]
        else:
            via = {"10.99.0.0/24": "10.2.0.10", "fd00:2::/64": "::"}
            assert nlri["label"] == vni
            assert nlri["gateway"] == via.get(nlri["prefix"], "0.0.0.0")
    assert gobgp.rib()[f"2 {retail} 10.2.0.11"][0]["nlri"]["value"]["mac"] == "02:00:0a:02:00:0b"

    # An edit of the topology withdraws what is no longer declared, and nothing else.
    text = gateway.file.read_text()
    gateway.file.write_text("".join(x for x in text.splitlines(True) if "10.99.0.0/24" not in x))
    gateway.signal(signal.SIGHUP)
    net.until(lambda: gobgp.rib().keys() == wanted - {f"5 {retail} 10.99.0.0/24"})
    gateway.file.write_text(text)
    gateway.signal(signal.SIGHUP)
    net.until(lambda: gobgp.rib().keys() == wanted)
    assert not gateway.lines("down:")
