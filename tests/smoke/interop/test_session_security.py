"""GTSM (RFC 5082) and TCP-MD5 (RFC 2385) against FRR, and what a change of them costs."""

import signal
import time

import pytest

pytestmark = pytest.mark.smoke


def edited(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def with_key(file, router, key):
    edited(file, f"{router}:\n", f"{router}:\n        {key}\n")


def test_gtsm_both_ways(net):
    """FRR takes what arrives with TTL 255 only, and so do we; with the default TTL of an eBGP
    session (1) neither would hear the other."""
    gtsm = " neighbor 169.254.1.1 ttl-security hops 1"
    frr = net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24"], gtsm)
    file = net.topology(idcs=True)
    with_key(file, "lf-r1", "ttl-security: 1")
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: gateway.established("lf-r1"))
    state = frr.json("show bgp neighbors 169.254.1.1")["169.254.1.1"]
    assert state["externalBgpNbrMaxHopsAway"] == 1
    net.until(lambda: "172.16.1.0/24" in gateway.routes())


def test_gtsm_refuses_whoever_is_further_away(net):
    """The router does not know of GTSM: what it sends has a TTL as of two hops away."""
    frr = net.idc(
        "lf-r1", "eth2.101t", ["172.16.1.0/24"], " neighbor 169.254.1.1 ebgp-multihop 254"
    )
    file = net.topology(idcs=True)
    with_key(file, "lf-r1", "ttl-security: 1")
    gateway = net.gateway("bj-gw1", file)
    time.sleep(4)
    assert gateway.neighbor("lf-r1")["state"] == "down"
    assert frr.sessions("169.254.1.1") == 0
    edited(file, "ttl-security: 1", "ttl-security: 2")
    gateway.signal(signal.SIGHUP)
    net.until(lambda: gateway.established("lf-r1"))


def test_one_session_changes_and_no_other_ends(net):
    """Reloads that touch one neighbor: its key, its GTSM, its limit, its policy, its end."""
    secret = net.directory / "secret"
    secret.write_text("first\n")
    frr = net.idc("lf-r1", "eth2.101t", ["172.16.1.0/24"], " neighbor 169.254.1.1 password first")
    other = net.idc("tj-r1", "eth3.0t", ["172.16.1.0/24"])
    evpn = net.gobgp_peer("bj-gw1", net.addresses["hk-gw1"], net.asns["hk-gw1"])
    file = net.topology(idcs=True)
    with_key(file, "lf-r1", f"password-file: {secret}")
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: gateway.established("lf-r1", "tj-r1", "hk-gw1"))
    reloads = 0

    def reload():
        nonlocal reloads
        reloads += 1
        gateway.signal(signal.SIGHUP)
        net.until(lambda: len(gateway.lines("is in force")) == reloads)

    # Ours alone: no session ends.
    edited(file, "max-prefixes: 1000", "max-prefixes: {limit: 500, mode: hard}")
    edited(file, "import: [from-idc]", "drained: true\n        import: [from-idc]")
    reload()
    time.sleep(1)
    assert frr.sessions("169.254.1.1") == 1
    net.until(lambda: gateway.neighbor("lf-r1").get("drained"))

    # Another key in the same file: the session ends, and is back when the peer has it, too.
    secret.write_text("second\n")
    frr.configure("router bgp 65101", "neighbor 169.254.1.1 password second")
    reload()
    net.until(lambda: frr.sessions("169.254.1.1") >= 2, 40)
    net.until(lambda: gateway.established("lf-r1"))
    before = frr.sessions("169.254.1.1")

    edited(file, "password-file:", "ttl-security: 1\n        password-file:")
    frr.configure("router bgp 65101", "neighbor 169.254.1.1 ttl-security hops 1")
    reload()
    net.until(lambda: frr.sessions("169.254.1.1") > before, 40)
    net.until(lambda: gateway.established("lf-r1"))

    assert (
        gateway.neighbor("tj-r1")["state"] == gateway.neighbor("hk-gw1")["state"] == "established"
    )
    assert other.sessions("169.254.1.1") == 1
    assert len(gateway.lines("peer tj-r1: up")) == len(gateway.lines("peer hk-gw1: up")) == 1
    assert evpn.process.poll() is None
