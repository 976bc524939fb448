"""Draining (RFC 8326) as FRR sees it, and FRR's own graceful shutdown as we take it."""

import json
import signal

import pytest

pytestmark = pytest.mark.smoke

OWN, OTHER = "172.16.1.0/24", "172.16.2.0/24"
GSHUT = "gracefulShutdown"  # how FRR writes 65535:0


@pytest.fixture
def gateway(net):
    net.frrs = [
        net.idc("lf-r1", "eth2.101t", [OWN, OTHER]),
        net.idc("tj-r1", "eth3.0t", [OWN]),
    ]
    made = net.gateway("bj-gw1", net.topology(idcs=True))
    net.until(lambda: made.established("lf-r1", "tj-r1"))
    net.until(lambda: all("10.1.0.0/16" in f.heard() for f in net.frrs))
    return made


def communities(frr, prefix="10.1.0.0/16"):
    (path,) = frr.json(f"show bgp ipv4 unicast {prefix}")["paths"]
    return path.get("community", {}).get("list", [])


def preference(gateway, prefix=OWN, peer="lf-r1"):
    """What the path of this peer counts for, after import policy."""
    done = gateway.ccn("explain", prefix, "--ccn", "retail", "--json")
    (path,) = [p for p in json.loads(done.stdout)["paths"] if p["peer"] == peer]
    return path["attributes"].get("local-pref"), path.get("least-preferred", "")


def test_a_drained_router_hears_it_and_keeps_every_route(net, gateway):
    frr, other = net.frrs
    assert gateway.ccn("neighbor", "lf-r1", "drain").returncode == 0
    net.until(lambda: communities(frr) == [GSHUT])
    assert communities(other) == []
    assert gateway.neighbor("lf-r1")["drained"] and "drained" not in gateway.neighbor("tj-r1")
    net.until(lambda: preference(gateway)[0] == 0)
    assert "is being drained" in preference(gateway)[1]
    assert OWN in gateway.routes()  # the only way goes on

    # Over SIGHUP, with another network of the router in between.
    gateway.file.write_text(gateway.file.read_text().replace("mtu: 1500", "mtu: 1400"))
    gateway.signal(signal.SIGHUP)
    net.until(lambda: gateway.lines("is in force"))
    assert gateway.neighbor("lf-r1")["drained"]
    net.until(lambda: preference(gateway)[0] == 0 and communities(frr) == [GSHUT])

    shown = gateway.ccn("show", "neighbors").stdout
    assert "drained" in shown.splitlines()[0] and " yes" in shown
    assert gateway.ccn("neighbor", "lf-r1", "undrain").returncode == 0
    net.until(lambda: communities(frr) == [] and preference(gateway) == (200, ""))
    assert [f.sessions("169.254.1.1") for f in net.frrs] == [1, 1]


def test_the_file_drains_from_the_start(net):
    frr = net.idc("lf-r1", "eth2.101t", [OWN])
    file = net.topology(idcs=True)
    file.write_text(file.read_text().replace("lf-r1:\n", "lf-r1:\n        drained: true\n", 1))
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: "10.1.0.0/16" in frr.heard())
    assert communities(frr) == [GSHUT]
    assert gateway.neighbor("lf-r1")["drained"]


def test_a_router_that_shuts_down_gracefully_is_left(net, gateway):
    """FRR's `bgp graceful-shutdown` marks everything that it says."""
    assert preference(gateway) == (200, "")
    net.frrs[0].configure("router bgp 65101", "bgp graceful-shutdown")
    net.until(lambda: preference(gateway)[0] == 0)
    assert "carries GRACEFUL_SHUTDOWN" in preference(gateway)[1]
    net.frrs[0].configure("router bgp 65101", "no bgp graceful-shutdown")
    net.until(lambda: preference(gateway) == (200, ""))
