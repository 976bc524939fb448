"""FRR as a real PE of the CCN: L3VNI in a VRF (a network namespace, `zebra -n`), type 5 both ways.

bgpd and zebra run in a namespace of their own; what they learn stands in the VRF's kernel tables.
"""

import json
import signal

import pytest

pytestmark = pytest.mark.smoke

PE, PE_MAC = "203.0.113.20", "02:99:cb:00:71:14"
GATEWAY, GATEWAY_MAC = "192.0.2.11", "02:cc:c0:00:02:0b"
L3VNI = 20100


class ProviderEdge:
    """zebra and bgpd with the very configuration of docs/interop.md, and the VRF's kernel."""

    def __init__(self, net):
        self.net = net
        for name in ("pe", "vrf"):
            net.namespace(name)
        self.vrf = net.names["vrf"]
        self._wire()
        self._l3vni()
        self.directory = net.directory / "pe"
        self.directory.mkdir()
        text = (net.ccn_source / "docs" / "interop.md").read_text()
        lines = text.split("### FRR as a PE\n", 1)[1].split("```")[3].partition("\n")[2]
        (self.directory / "frr.conf").write_text(lines)
        self._start("zebra", "-n")
        self._start("bgpd", "-l", PE)

    def _wire(self):
        """The underlay: one veth to the gateway's namespace."""
        net = self.net
        net.ip("pe", "link", "add", "eth0", "type", "veth", "peer", "name", "to-pe",
               "netns", net.names["core"])  # fmt: skip
        net.ip("pe", "address", "add", f"{PE}/32", "dev", "eth0")
        for place, device in (("pe", "eth0"), ("core", "to-pe")):
            net.ip(place, "link", "set", device, "up")
        net.ip("pe", "route", "add", f"{GATEWAY}/32", "dev", "eth0")
        net.ip("core", "route", "add", f"{PE}/32", "dev", "to-pe", "src", GATEWAY)

    def _l3vni(self):
        """A VXLAN device of the underlay in a bridge of the VRF, which has the Router's MAC."""
        net = self.net
        net.ip("vrf", "link", "add", "br0", "address", PE_MAC, "type", "bridge")
        net.ip("pe", "link", "add", "vx0", "type", "vxlan", "id", f"{L3VNI}", "local", PE,
               "dstport", "4789", "nolearning")  # fmt: skip
        net.ip("pe", "link", "set", "vx0", "netns", self.vrf)
        net.ip("vrf", "link", "set", "vx0", "master", "br0")
        net.ip("vrf", "link", "add", "lan0", "type", "veth", "peer", "name", "host0")
        net.ip("vrf", "address", "add", "10.50.0.1/24", "dev", "lan0")
        net.ip("vrf", "address", "add", "fd00:50::1/64", "dev", "lan0", "nodad")
        for device in ("br0", "vx0", "lan0", "host0"):
            net.ip("vrf", "link", "set", device, "up")

    def _start(self, daemon, *words):
        """With /run/netns of its own: zebra takes every namespace there for a VRF of its own."""
        seen = (
            'd="$1"; shift; touch "$d/ns"; mount --bind "$1" "$d/ns"; shift;'
            "mount -t tmpfs none /run/netns; touch /run/netns/vrf-retail;"
            'mount --bind "$d/ns" /run/netns/vrf-retail; exec "$@"'
        )
        self.net.start(
            "pe", "sh", "-ec", seen, "sh", f"{self.directory}", f"/run/netns/{self.vrf}",
            f"/usr/lib/frr/{daemon}", *words, "-u", "root", "-g", "frrvty", "-P", "0",
            "-z", f"{self.directory}/zserv.api", "-f", f"{self.directory}/frr.conf",
            "-i", f"{self.directory}/{daemon}.pid", "--vty_socket", f"{self.directory}",
            "--log", f"file:{self.directory}/{daemon}.log",
        )  # fmt: skip
        self.net.until((self.directory / f"{daemon}.vty").exists)

    def __call__(self, *lines):
        words = [word for line in lines for word in ("-c", line)]
        return self.net.run("vtysh", "--vty_socket", self.directory, *words)

    def json(self, command):
        return json.loads(self(f"{command} json") or "{}")

    def kernel(self, *words):
        """A table of the VRF's namespace: the first word of each line → the line."""
        lines = self.net.run("ip", "-n", self.vrf, *words).splitlines()
        return {line.split()[0]: line for line in lines}


@pytest.fixture
def peers(net):
    pe = ProviderEdge(net)
    neighbor = {
        "name": "pe", "gateway": "bj-gw1", "address": PE, "asn": 64777, "role": "gateway",
    }  # fmt: skip
    gateway = net.gateway("bj-gw1", net.topology([neighbor]))
    net.until(lambda: gateway.established("pe"))
    return gateway, pe


def told(gateway, rd):
    rows = gateway.show("received", neighbor="pe")
    return {r["prefix"]: r for r in rows if r["rd"] == rd and r["type"] == 5}


def test_what_the_pe_says_is_learned(net, peers):
    gateway, pe = peers
    before = {"10.50.0.0/24", "fd00:50::/64"}
    net.until(lambda: before <= gateway.routes().keys())
    rows = told(gateway, f"{PE}:100")
    assert rows.keys() == before
    for prefix, row in rows.items():
        assert (row["vni"], row["tables"], row["attributes"]) == (L3VNI, ["bj-gw1/retail"], {
            "origin": "incomplete", "as-path": "64777", "next-hop": PE, "med": 0,
            "route-targets": ["64600:100"], "router-mac": PE_MAC, "encapsulation": 8,
        })  # fmt: skip
        assert "gateway" not in row and "esi" not in row
        chosen = gateway.routes()[prefix]
        assert (chosen["peer"], chosen["as-path"]) == ("pe", "64777")
        assert chosen["next-hop"] == {"kind": "vtep", "vni": L3VNI, "ip": PE, "mac": PE_MAC}
    assert "10.50.0.0/24" not in gateway.routes("finance")
    # FRR says our own routes back to us, which counts for nothing.
    back = told(gateway, f"{GATEWAY}:100")["10.1.0.0/16"]
    assert (back["tables"], back["reason"].split(":")[0]) == ([], "loop")

    # A withdrawal of FRR has label 0 and is found all the same.
    pe.kernel("address", "del", "10.50.0.1/24", "dev", "lan0")
    net.until(lambda: "10.50.0.0/24" not in gateway.routes())
    assert told(gateway, f"{PE}:100").keys() == {"fd00:50::/64"}
    assert (gateway.neighbor("pe")["malformed"], gateway.lines("down:")) == (0, [])


def test_what_the_pe_hears_stands_in_its_kernel(net, peers):
    gateway, pe = peers
    net.until(lambda: "10.1.0.0/16" in pe.kernel("route"))
    (rd,) = (v for k, v in pe.json("show bgp l2vpn evpn").items() if k == f"{GATEWAY}:100")
    (paths,) = (v["paths"] for k, v in rd.items() if k == "[5]:[0]:[16]:[10.1.0.0]")
    (path,) = paths[0] if isinstance(paths[0], list) else paths
    assert (path["path"], path["origin"], path["valid"]) == ("64601", "IGP", True)
    assert path["nexthops"][0]["ip"] == GATEWAY
    assert set(path["extendedCommunity"]["string"].split()) == {
        "RT:64600:100", "ET:8", f"Rmac:{GATEWAY_MAC}",
    }  # fmt: skip
    rmacs = pe.json(f"show evpn rmac vni {L3VNI}")
    assert rmacs["numRmacs"] == 1 and rmacs[GATEWAY_MAC]["vtepIp"] == GATEWAY

    # The VPC by type 5, each VM by type 2; the neighbour of all is our VTEP with our Router's MAC.
    routes, six = pe.kernel("route"), pe.kernel("-6", "route")
    for prefix in ("10.1.0.0/16", "10.1.0.10"):
        assert f"via {GATEWAY} dev br0 proto bgp" in routes[prefix]
    for prefix in ("fd00:1::/64", "fd00:1::10"):
        assert f"via ::ffff:{GATEWAY} dev br0 proto bgp" in six[prefix]
    assert f"dev br0 lladdr {GATEWAY_MAC}" in pe.kernel("neigh")[GATEWAY]
    tunnels = net.run("bridge", "-n", pe.vrf, "fdb", "show", "dev", "vx0").splitlines()
    assert any(line.startswith(f"{GATEWAY_MAC} dst {GATEWAY} ") for line in tunnels)

    # A VM that is no longer declared leaves the kernel, the rest of its VPC stays.
    text = gateway.file.read_text()
    gateway.file.write_text(
        "".join(x for x in text.splitlines(True) if 'ip: "fd00:1::10"' not in x)
    )
    gateway.signal(signal.SIGHUP)
    net.until(lambda: "fd00:1::10" not in pe.kernel("-6", "route"))
    assert "fd00:1::/64" in pe.kernel("-6", "route") and "10.1.0.10" in pe.kernel("route")
    assert not gateway.lines("down:")
