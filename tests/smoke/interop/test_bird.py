"""BIRD 2 as the router of a data centre: an IPv4 and an IPv6 session beside each other, both ways.

GoBGP stands behind the gateway, as the gateway of the other region, and shows what goes on to it.
"""

import json

import pytest

pytestmark = pytest.mark.smoke

ROUTER4, GATEWAY4 = "169.254.1.2", "169.254.1.1"
ROUTER6, GATEWAY6 = "fd00:fe::2", "fd00:fe::1"
ROUTER_MAC = "02:cc:c0:00:02:0b"
REMOTE = (
    "evpn prefix {} esi 0 etag 0 label 20100 rd 198.51.100.21:100 rt 64600:100 encap vxlan"
    " router-mac 02:cc:c6:33:64:15"
)


class Bird:
    """The daemon with the very configuration of docs/interop.md, and its command line."""

    def __init__(self, net, namespace, one_session=False):
        self.net, self.directory = net, net.directory / "bird"
        self.directory.mkdir()
        text = (net.ccn_source / "docs" / "interop.md").read_text()
        blocks = text.split("### BIRD\n", 1)[1].split("```")
        lines = blocks[1].partition("\n")[2]
        if one_session:
            lines = lines[: lines.index("protocol bgp gw4")] + blocks[3].partition("\n")[2]
        self.file = self.directory / "bird.conf"
        self.file.write_text(lines)
        self.process = net.start(
            namespace, "/usr/sbin/bird", "-f", "-c", f"{self.file}", "-s", f"{self.socket}"
        )
        net.until(self.socket.exists)

    @property
    def socket(self):
        return self.directory / "bird.ctl"

    def __call__(self, *words):
        return self.net.run(
            "birdc", "-r" if words[0] == "show" else "-v", "-s", self.socket, *words
        )

    def routes(self, protocol):
        """Prefix → the attributes that BIRD has of it from this session."""
        found, now = {}, {}
        for line in self("show", "route", "all", "protocol", protocol).splitlines():
            if " unicast [" in line:
                now = found.setdefault(line.split()[0], {})
            elif line.startswith("\tBGP.") or line.startswith("\tvia "):
                name, _, value = (
                    line.strip().removeprefix("BGP.").replace("via ", "via: ", 1).partition(":")
                )
                now[name] = value.strip()
        return found

    def reconfigure(self, old, new):
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        self("configure")


def topology(net):
    """The demo's, with IPv6 space in Langfang and a second session to its router, over IPv6."""
    file = net.topology(idcs=True)
    text = file.read_text()
    langfang, tianjin = text.index("  langfang:"), text.index("  tianjin:")
    router = {
        "gateway": "bj-gw1", "port": "eth2", "vlan": 102, "ccn": "retail", "asn": 65101,
        "address": f"{ROUTER6}/64", "gateway-address": f"{GATEWAY6}/64",
        "import": ["from-idc6"], "export": ["to-idc"],
    }  # fmt: skip
    part = text[langfang:tianjin].replace("[172.16.0.0/16]", '[172.16.0.0/16, "fd00:16::/32"]')
    part += f"      lf-r1-v6: {json.dumps(router)}\n"
    rest = text[text.index("\nccns:") :].replace(", idc/tianjin", "")
    rest = rest.replace("policies: [", f"policies: [{net.directory}/idc6.yaml, ")
    (net.directory / "idc6.yaml").write_text(
        'prefix-sets: {idc6-space: [{prefix: "fd00:16::/32", le: 64}]}\n'
        "policies:\n  from-idc6:\n"
        "    - {name: own, match: {prefix-set: idc6-space}, set: {local-pref: 200}, then: accept}\n"
    )
    file.write_text(text[:langfang] + part + rest)
    return file


@pytest.fixture
def peers(net):
    """bj-gw1 between BIRD and GoBGP, everything told."""
    net.namespace("lf-r1")
    wires = (
        ("eth0", "eth2.101t", f"{ROUTER4}/30", f"{GATEWAY4}/30"),
        ("eth1", "eth2.102t", f"{ROUTER6}/64", f"{GATEWAY6}/64"),
    )
    for device, tap, router, own in wires:
        net.ip("lf-r1", "link", "add", device, "type", "veth", "peer", "name", tap,
               "netns", net.names["core"])  # fmt: skip
        for place, name, address in (("lf-r1", device, router), ("core", tap, own)):
            net.ip(place, "address", "add", address, "dev", name, "nodad")
            net.ip(place, "link", "set", name, "up")
    bird = Bird(net, "lf-r1")
    gobgp = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], 64602)
    for prefix in ("10.2.0.0/16", "fd00:2::/64"):
        gobgp(f"global rib add -a {REMOTE.format(prefix)}")
    gateway = net.gateway("bj-gw1", topology(net))
    net.until(lambda: gateway.established("lf-r1", "lf-r1-v6", "hk-gw1"))
    net.until(lambda: "fd00:2::/64" in gateway.routes())
    return gateway, bird, gobgp


@pytest.fixture
def one_session(net):
    """The same over one IPv4 session, on a hand-off with addresses of both families."""
    net.namespace("lf-r1")
    net.ip("lf-r1", "link", "add", "eth0", "type", "veth", "peer", "name", "eth2.101t",
           "netns", net.names["core"])  # fmt: skip
    ends = ("lf-r1", "eth0", ROUTER4, ROUTER6), ("core", "eth2.101t", GATEWAY4, GATEWAY6)
    for place, device, four, six in ends:
        for address in (f"{four}/30", f"{six}/64"):
            net.ip(place, "address", "add", address, "dev", device, "nodad")
        net.ip(place, "link", "set", device, "up")
    file = topology(net)
    text = file.read_text()
    second = text.index("      lf-r1-v6:")
    text = text[:second] + text[text.index("\n", second) + 1 :]
    ours = f"        gateway-address: {GATEWAY4}/30\n"
    both = f'        address6: "{ROUTER6}/64"\n        gateway-address6: "{GATEWAY6}/64"\n'
    imports = "        import: [from-idc, from-idc6]\n"
    file.write_text(
        text.replace(ours, ours + both).replace("        import: [from-idc]\n", imports)
    )
    bird = Bird(net, "lf-r1", one_session=True)
    gobgp = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], 64602)
    for prefix in ("10.2.0.0/16", "fd00:2::/64"):
        gobgp(f"global rib add -a {REMOTE.format(prefix)}")
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: gateway.established("lf-r1", "hk-gw1"))
    net.until(lambda: "fd00:2::/64" in gateway.routes())
    return gateway, bird, gobgp


def told(gateway, neighbor):
    return {r["prefix"]: r for r in gateway.show("received", neighbor=neighbor)}


def test_what_bird_says_is_learned_and_goes_on(net, peers):
    gateway, bird, gobgp = peers
    for neighbor, prefix, next_hop in (
        ("lf-r1", "172.16.1.0/24", ROUTER4), ("lf-r1-v6", "fd00:16:1::/64", ROUTER6),
    ):  # fmt: skip
        (route,) = told(gateway, neighbor).values()
        assert (route["prefix"], route["tables"]) == (prefix, ["bj-gw1/retail"])
        assert route["attributes"] == {
            "origin": "igp", "as-path": "65101", "next-hop": next_hop, "med": 50,
            "communities": ["65101:7"], "large-communities": ["65101:1:2"],
        }  # fmt: skip
        chosen = gateway.routes()[prefix]
        assert chosen["peer"] == neighbor
        assert (chosen["next-hop"]["kind"], chosen["next-hop"]["ip"]) == ("hand-off", next_hop)
        # To the other region as type 5: the path kept, next hop and Router's MAC our own, and of
        # what BIRD has set the communities, not the MED.
        (path,) = net.until(lambda p=prefix: gobgp.rib().get(f"5 192.0.2.11:100 {p}"))
        attributes = path["attrs"]
        assert attributes.keys() == {1, 2, 8, 14, 16, 32}
        assert [s["asns"] for s in attributes[2]["as_paths"]] == [[64601, 65101]]
        assert attributes[8]["communities"] == [65101 << 16 | 7]
        assert attributes[32]["value"] == [{"ASN": 65101, "LocalData1": 1, "LocalData2": 2}]
        assert attributes[14]["nexthop"] == net.addresses["bj-gw1"]
        target, tunnel, mac, origin = attributes[16]["value"]
        assert (target["subtype"], target["value"]) == (2, "64600:100")
        assert (tunnel["tunnel_type"], mac["mac"]) == (8, ROUTER_MAC)
        assert (origin["type"], origin["subtype"]) == (0, 3), "site of origin"
        assert path["nlri"]["value"]["label"] == 20100

    # Other attributes and a route less: they arrive, nothing else moves. The route target of
    # another CCN brings the route neither there nor along.
    bird.reconfigure("bgp_med = 50", "bgp_ext_community.add((rt, 64600, 200)); bgp_med = 70")
    bird("reload", "out", "all")
    net.until(lambda: told(gateway, "lf-r1")["172.16.1.0/24"]["attributes"]["med"] == 70)
    now = told(gateway, "lf-r1")["172.16.1.0/24"]
    assert now["attributes"]["route-targets"] == ["64600:200"]
    assert now["tables"] == ["bj-gw1/retail"]
    (path,) = gobgp.rib()["5 192.0.2.11:100 172.16.1.0/24"]
    targets = [c["value"] for c in path["attrs"][16]["value"] if c["subtype"] == 2]
    assert targets == ["64600:100"]
    bird.reconfigure("  route fd00:16:1::/64 unreachable;\n", "")
    net.until(lambda: "fd00:16:1::/64" not in gateway.routes())
    net.until(lambda: "5 192.0.2.11:100 fd00:16:1::/64" not in gobgp.rib())
    assert "172.16.1.0/24" in gateway.routes()
    assert not gateway.lines("down:")
    assert [gateway.neighbor(n)["malformed"] for n in ("lf-r1", "lf-r1-v6")] == [0, 0]


def test_what_bird_hears(net, peers):
    gateway, bird, gobgp = peers
    for protocol, own, remote, next_hop, device in (
        ("gw4", "10.1.0.0/16", "10.2.0.0/16", GATEWAY4, "eth0"),
        ("gw6", "fd00:1::/64", "fd00:2::/64", GATEWAY6, "eth1"),
    ):  # fmt: skip
        net.until(lambda p=protocol, both={own, remote}: bird.routes(p).keys() == both)
        heard = bird.routes(protocol)
        for prefix, path, origin in ((own, "64601", "IGP"), (remote, "64601 64602", "Incomplete")):
            # No MED, no community, nothing of EVPN: that it is for customers only (RFC 9234) and
            # BIRD's own local preference is all besides.
            assert heard[prefix] == {
                "via": f"{next_hop} on {device}", "origin": origin, "as_path": path,
                "next_hop": next_hop, "local_pref": "100", "otc": "64601",
            }  # fmt: skip

    # BIRD asks for everything again (RFC 2918), and hears of what goes.
    bird("reload", "in", "all")
    net.until(lambda: gateway.neighbor("lf-r1")["state"] == "established")
    gobgp(f"global rib del -a {REMOTE.format('fd00:2::/64')}")
    net.until(lambda: bird.routes("gw6").keys() == {"fd00:1::/64"})
    assert bird.routes("gw4").keys() == {"10.1.0.0/16", "10.2.0.0/16"}
    assert not gateway.lines("down:")

    # An end without a word: what BIRD announced graceful restart for is kept, as stale.
    bird.process.kill()
    net.until(lambda: gateway.neighbor("lf-r1")["state"] != "established")
    assert told(gateway, "lf-r1")["172.16.1.0/24"]["stale"]
    assert "172.16.1.0/24" in gateway.routes()


def test_ipv6_over_the_ipv4_session_both_ways(net, one_session):
    gateway, bird, gobgp = one_session
    assert gateway.neighbor("lf-r1")["families"] == ["ipv4-unicast", "ipv6-unicast"]
    for prefix, next_hop in (("172.16.1.0/24", ROUTER4), ("fd00:16:1::/64", ROUTER6)):
        route = told(gateway, "lf-r1")[prefix]
        assert route["attributes"] == {
            "origin": "igp", "as-path": "65101", "next-hop": next_hop, "med": 50,
            "communities": ["65101:7"], "large-communities": ["65101:1:2"],
        }  # fmt: skip
        hop = gateway.routes()[prefix]["next-hop"]
        assert (hop["kind"], hop["ip"]) == ("hand-off", next_hop)
        (path,) = net.until(lambda p=prefix: gobgp.rib().get(f"5 192.0.2.11:100 {p}"))
        assert [s["asns"] for s in path["attrs"][2]["as_paths"]] == [[64601, 65101]]
        assert path["attrs"][14]["nexthop"] == net.addresses["bj-gw1"]
    wanted = {
        "10.1.0.0/16": ("64601", GATEWAY4), "10.2.0.0/16": ("64601 64602", GATEWAY4),
        "fd00:1::/64": ("64601", GATEWAY6), "fd00:2::/64": ("64601 64602", GATEWAY6),
    }  # fmt: skip
    net.until(lambda: bird.routes("both").keys() == wanted.keys())
    for prefix, route in bird.routes("both").items():
        path, next_hop = wanted[prefix]
        assert (route["as_path"], route["otc"]) == (path, "64601")
        assert route["next_hop"].split()[0] == next_hop
        assert route["via"] == f"{next_hop} on eth0"
    assert gateway.neighbor("lf-r1")["advertised"] == len(wanted)
    gobgp(f"global rib del -a {REMOTE.format('fd00:2::/64')}")
    net.until(lambda: bird.routes("both").keys() == wanted.keys() - {"fd00:2::/64"})
    assert not gateway.lines("down:")

    # Another next hop is not on the hand-off: said so, and not used. BIRD's own choice is.
    chosen = " next hop address fd00:fe::2;"
    bird.reconfigure(chosen, " next hop address fd00:99::2;")
    bird("restart", "both")
    net.until(lambda: "fd00:16:1::/64" not in gateway.routes())
    said = gateway.ccn("explain", "fd00:16:1::/64", "--ccn", "retail").stdout
    assert "fd00:99::2 is not in the hand-off subnet fd00:fe::/64" in said
    assert "172.16.1.0/24" in gateway.routes()
    bird.reconfigure(" next hop address fd00:99::2;", "")
    bird("restart", "both")
    net.until(lambda: "fd00:16:1::/64" in gateway.routes())
    assert gateway.routes()["fd00:16:1::/64"]["next-hop"]["ip"] == ROUTER6

    # RFC 8950 is not ours to speak: a router that offers it goes on as before.
    bird.reconfigure("ipv4 { import all; export", "ipv4 { extended next hop; import all; export")
    net.until(lambda: bird.routes("both").keys() == wanted.keys() - {"fd00:2::/64"})
    net.until(lambda: gateway.established("lf-r1") and "172.16.1.0/24" in gateway.routes())
    assert gateway.routes()["172.16.1.0/24"]["next-hop"]["ip"] == ROUTER4
    assert gateway.neighbor("lf-r1")["malformed"] == 0
