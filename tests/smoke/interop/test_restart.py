"""Stopped, killed and restarted beside FRR and GoBGP: what they keep, and what is learned after."""

import os
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

HOLD = 9  # offered by FRR: `timers bgp 3 9`


@pytest.fixture
def gateway(net):
    """bj-gw1 with FRR in its data centres and GoBGP as an EVPN peer; all of them told all. Only the
    FRR of retail says that it keeps its own routes while it restarts. Peers keep ours only because
    there is a forwarder that goes on with them (the F bit)."""
    keeps = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state"
    net.frrs = [
        net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24"], keeps),
        net.idc("tj-r1", "eth3.0t", ["172.16.1.0/24"]),
    ]
    net.evpn = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], 64602, HOLD)
    net.evpn(f"global rib add -a {REMOTE}")
    path = net.forwarder("bj-gw1", "eth1", "eth2", "eth3")
    made = net.gateway("bj-gw1", net.topology(idcs=True), "--forwarder", f"{path}")
    net.until(lambda: made.established("lf-r1", "tj-r1", "hk-gw1"))
    net.until(lambda: net.evpn.rib().keys() >= OURS)
    net.until(lambda: all("10.2.0.0/16" in f.heard() for f in net.frrs[:1]))
    net.until(lambda: "10.1.0.0/16" in net.frrs[1].heard())
    return made


REMOTE = (
    "evpn prefix 10.2.0.0/16 esi 0 etag 0 label 20100 rd 198.51.100.21:100 rt 64600:100"
    " encap vxlan router-mac 02:cc:c6:33:64:15"
)
OURS = {
    "5 192.0.2.11:100 10.1.0.0/16", "5 192.0.2.11:100 172.16.1.0/24",
    "5 192.0.2.11:200 10.1.0.0/16", "5 192.0.2.11:200 172.16.1.0/24",
}  # fmt: skip


def network(frr, third, word=""):
    frr.configure(
        "router bgp 65101", "address-family ipv4 unicast", f"{word} network 172.16.{third}.0/24"
    )


@pytest.mark.parametrize("seconds", [15, pytest.param(30, marks=pytest.mark.long)])
def test_a_stopped_gateway_costs_no_session_and_no_route(net, gateway, seconds):
    frr = net.frrs[0]
    assert gateway.neighbor("lf-r1")["hold-time"] == HOLD < seconds
    gateway.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    for third in range(2, 52):
        network(frr, third)
    network(frr, 1, "no")
    network(frr, 51, "no")
    net.evpn(f"global rib add -a {REMOTE.replace('10.2.0.0/16', '10.2.128.0/17')}")
    time.sleep(seconds - (time.monotonic() - stopped))
    gateway.signal(signal.SIGCONT)
    wanted = {f"172.16.{third}.0/24" for third in range(2, 51)}

    def learned():
        return {p for p in gateway.routes() if p.startswith("172.16.")} == wanted

    net.until(lambda: learned() and "10.2.128.0/17" in gateway.routes(), 10)
    assert "172.16.1.0/24" in gateway.routes("finance")
    assert not gateway.lines("down:")
    assert [f.sessions("169.254.1.1") for f in net.frrs] == [1, 1]
    ours = {f"5 192.0.2.11:100 {p}" for p in wanted}
    net.until(lambda: ours <= net.evpn.rib().keys(), 10)
    assert "5 192.0.2.11:100 172.16.1.0/24" not in net.evpn.rib()


@pytest.mark.long
def test_a_stopped_forwarder_costs_no_session_and_holds_up_no_question(net, gateway):
    frr = net.frrs[0]
    (forwarder,) = [p for p in net.processes if "ccn-forwarder" in str(p.args)]
    forwarder.send_signal(signal.SIGSTOP)
    stopped, slowest = time.monotonic(), 0.0
    for third in range(2, 52):
        network(frr, third)
    while time.monotonic() - stopped < 3 * HOLD:
        asked = time.monotonic()
        gateway.show("neighbors")
        slowest = max(slowest, time.monotonic() - asked)
    forwarder.send_signal(signal.SIGCONT)
    wanted = {f"172.16.{third}.0/24" for third in range(1, 52)}
    net.until(lambda: wanted <= set(gateway.routes()), 10)
    net.until(lambda: gateway.lines("taken over"), 10)
    assert slowest < 2
    assert not gateway.lines("down:")
    assert [f.sessions("169.254.1.1") for f in net.frrs] == [1, 1]


def stale_everywhere(net):
    """FRR and GoBGP hold what we said, marked as stale."""
    frr = all(
        paths and all(p.get("stale") for p in paths)
        for f in net.frrs
        for paths in f.heard().values()
    )
    rib = net.evpn.rib()
    return frr and all(f.heard() for f in net.frrs) and all(
        text in rib and all(p["stale"] for p in rib[text]) for text in OURS
    )  # fmt: skip


def fresh_everywhere(net):
    """Nothing stale is left, nothing is missing."""
    frr = not any(p.get("stale") for f in net.frrs for v in f.heard().values() for p in v)
    rib = net.evpn.rib()
    return frr and rib.keys() >= OURS and not any(p["stale"] for v in rib.values() for p in v)


def test_a_killed_speaker_costs_no_route_on_either_side(net, gateway):
    before, heard = gateway.digest(), [f.heard().keys() for f in net.frrs]
    routes = gateway.show("routes")
    for group in ("gateways", "idcs"):
        os.kill(gateway.speaker(group), signal.SIGKILL)
    net.until(lambda: len(gateway.lines("speaker down")) == 2, every=0.02)
    looks = 0
    while not gateway.established("lf-r1", "tj-r1", "hk-gw1"):
        looks += 1
        assert gateway.show("routes") == routes
        assert [f.heard().keys() for f in net.frrs] == heard
        assert net.evpn.rib().keys() >= OURS
    assert looks
    net.until(lambda: fresh_everywhere(net))
    assert gateway.digest() == before
    assert [f.sessions("169.254.1.1") for f in net.frrs] == [2, 2]


def ended(pid):
    """True if the process runs no more; its new parent may take its time to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def test_a_killed_gateway_is_kept_as_stale_and_comes_back_with_the_same_tables(net, gateway):
    before, heard = gateway.digest(), [f.heard().keys() for f in net.frrs]
    speakers = [gateway.speaker(group) for group in ("gateways", "idcs")]
    gateway.signal(signal.SIGKILL)
    gateway.process.wait()
    net.until(lambda: stale_everywhere(net), 5)
    assert [f.heard().keys() for f in net.frrs] == heard
    for pid in speakers:
        net.until(lambda p=pid: ended(p), 5)
    gateway.begin()
    net.until(lambda: gateway.digest() == before)
    net.until(lambda: fresh_everywhere(net))
    assert [f.heard().keys() for f in net.frrs] == heard
    assert gateway.established("lf-r1", "tj-r1", "hk-gw1")


def test_a_planned_end_is_told(net, gateway):
    gateway.end()
    net.until(lambda: not any(f.heard() for f in net.frrs), 5)
    net.until(lambda: not net.evpn.rib().keys() & OURS, 5)
    assert "Administrative Shutdown" in net.frrs[0].vtysh("show bgp neighbors 169.254.1.1")
    assert sorted(p.name for p in gateway.state.iterdir()) == [
        "lock", "speaker-gateways.err", "speaker-gateways.log", "speaker-idcs.err",
        "speaker-idcs.log",
    ]  # fmt: skip


def test_a_killed_router_keeps_its_routes_if_it_said_so(net, gateway):
    before, own = gateway.digest(), "172.16.1.0/24"
    for frr in net.frrs:
        frr.kill()
    net.until(lambda: all(gateway.neighbor(n)["state"] == "down" for n in ("lf-r1", "tj-r1")), 5)
    net.until(lambda: own not in gateway.routes("finance"), 5)
    assert own in gateway.routes()

    def stale():
        heard = {r["prefix"]: r["stale"] for r in gateway.show("received", neighbor="lf-r1")}
        return heard[own]  # FRR says our own routes back to us: they are there, too

    assert stale()
    assert not gateway.show("received", neighbor="tj-r1")
    net.frrs[0].begin()
    while not gateway.established("lf-r1"):
        assert own in gateway.routes()
    net.until(lambda: not stale())
    net.frrs[1].begin()
    net.until(lambda: gateway.digest() == before)
