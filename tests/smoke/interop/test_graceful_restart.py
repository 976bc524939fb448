"""Graceful restart (RFC 4724) as FRR reads it in our OPENs: restart time, R bit, and an F bit that
is set only where a forwarder really went on with what FRR was told."""

import os
import signal

import pytest

pytestmark = pytest.mark.smoke

KEEPS = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state"
OWN, OURS = "172.16.1.0/24", "10.1.0.0/16"
TIME = 77


def offered(frr):
    """(restart time, R bit, F bit) of the last OPEN that FRR had from us."""
    info = frr.json("show bgp neighbors 169.254.1.1")["169.254.1.1"]["gracefulRestartInfo"]
    assert info["nBit"] is False  # RFC 8538 is not offered
    forwarding = info.get("ipv4Unicast", {}).get("fBit")
    return info["timers"]["receivedRestartTimer"], info["rBit"], forwarding


@pytest.fixture
def frr(net):
    return net.idc("lf-r1", "eth2.101t", [OWN], KEEPS)


def topology(net):
    file = net.topology(idcs=True)
    file.write_text(file.read_text() + f"\nsessions: {{restart-time: {TIME}}}\n")
    return file


def back(net, gateway, frr, sessions):
    """This many sessions later everything has been told again."""
    net.until(lambda: frr.sessions("169.254.1.1") == sessions)
    # A gateway that has begun again waits 30 s for the peers that are not there, and then tells.
    net.until(lambda: gateway.established("lf-r1") and fresh(frr), 60)


def fresh(frr):
    heard = frr.heard()
    return OURS in heard and not any(p.get("stale") for paths in heard.values() for p in paths)


def test_what_a_forwarder_holds_is_kept_by_frr(net, frr):
    path = net.forwarder("bj", "eth1", "eth2", "eth3")
    forwarder = net.processes[-1]
    gateway = net.gateway("bj-gw1", topology(net), "--forwarder", f"{path}")
    back(net, gateway, frr, 1)
    assert offered(frr) == (TIME, False, False)  # nothing was before

    os.kill(gateway.speaker("idcs"), signal.SIGKILL)
    while frr.sessions("169.254.1.1") == 1:
        assert OURS in frr.heard()
    back(net, gateway, frr, 2)
    assert offered(frr) == (TIME, True, True)

    gateway.signal(signal.SIGKILL)
    gateway.process.wait()
    net.until(lambda: all(p.get("stale") for p in frr.heard()[OURS]))
    gateway.begin()
    while frr.sessions("169.254.1.1") == 2:
        assert OURS in frr.heard()
    back(net, gateway, frr, 3)
    assert offered(frr) == (TIME, True, True)

    # A session that breaks is no restart of ours, and packets went on meanwhile.
    frr.vtysh("clear bgp 169.254.1.1")
    back(net, gateway, frr, 4)
    assert offered(frr) == (TIME, False, True)

    forwarder.kill()
    forwarder.wait()
    net.until(lambda: gateway.lines("does not answer: waiting for it"))
    os.kill(gateway.speaker("idcs"), signal.SIGKILL)
    back(net, gateway, frr, 5)
    assert offered(frr) == (TIME, True, False)


def test_without_a_forwarder_nothing_is_promised(net, frr):
    gateway = net.gateway("bj-gw1", topology(net))
    back(net, gateway, frr, 1)
    assert offered(frr) == (TIME, False, False)
    os.kill(gateway.speaker("idcs"), signal.SIGKILL)
    back(net, gateway, frr, 2)
    assert offered(frr) == (TIME, True, False)
