"""A hard limit of prefixes as FRR meets it: Cease 6/1, held down, and served again."""

import time

import pytest

pytestmark = pytest.mark.smoke

RESTART = 5


def test_too_many_prefixes(net):
    frr = net.idc("lf-r1", "eth2.101t", [f"172.16.{n}.0/24" for n in range(1, 4)])
    other = net.idc("tj-r1", "eth3.0t", ["172.16.1.0/24"])
    file = net.topology(idcs=True)
    hard = f"max-prefixes: {{limit: 20, mode: hard, restart: {RESTART}}}"
    file.write_text(file.read_text().replace("max-prefixes: 1000", hard, 1))
    gateway = net.gateway("bj-gw1", file)
    net.until(lambda: gateway.established("lf-r1", "tj-r1"))
    net.until(lambda: gateway.neighbor("lf-r1")["received"] >= 3)

    def many_more(word=""):
        networks = [f"{word} network 172.16.{n}.0/24" for n in range(10, 30)]
        frr.configure("router bgp 65101", "address-family ipv4 unicast", *networks)

    many_more()
    net.until(lambda: gateway.neighbor("lf-r1")["state"] == "held-down")
    ended = time.monotonic()
    assert "max-prefixes, hard" in gateway.neighbor("lf-r1")["reason"]
    last = frr.json("show bgp neighbors 169.254.1.1")["169.254.1.1"]
    assert last["lastNotificationReason"] == "Cease/Maximum Number of Prefixes Reached"
    (finding,) = gateway.show("findings", neighbor="lf-r1")
    assert finding["rule"] == "capacity" and "held down" in finding["message"]
    assert gateway.lines("session ended (RFC 4486 6/1)")
    net.until(lambda: not any(p.startswith("172.16.") for p in gateway.routes()))

    many_more("no")
    net.until(lambda: gateway.established("lf-r1"), RESTART + 15)
    assert time.monotonic() - ended > RESTART - 1
    net.until(lambda: "172.16.3.0/24" in gateway.routes())
    assert not gateway.show("findings", neighbor="lf-r1")

    many_more()
    net.until(lambda: gateway.neighbor("lf-r1")["state"] == "held-down")
    many_more("no")
    assert gateway.ccn("neighbor", "lf-r1", "clear").returncode == 0  # the operator does not wait
    net.until(lambda: gateway.established("lf-r1"), RESTART + 10)
    assert frr.sessions("169.254.1.1") == 3
    assert other.sessions("169.254.1.1") == 1
