"""Keys of sessions: timers, hard limits, GTSM, draining; and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.config.sessions import neighbor_mismatches
from ccn_bgp.errors import InputError
from ccn_bgp.model.ccsi import peers
from ccn_bgp.model.topology import HardLimit, Timers, Topology

FILE = """\
name: t
fabric: {asn: 64600}
gateways:
  gw: {region: r, asn: 64601, vtep: 192.0.2.11}
idcs:
  dc:
    region: r
    cidrs: [172.16.0.0/16]
    routers:
      r1: {gateway: gw, port: eth2, ccn: c, asn: 65101, address: 169.254.1.2/30,
           gateway-address: 169.254.1.1/30ROUTER}
ccns:
  c: {id: 1, vni: 100, attach: [idc/dc]}
neighbors:
  - {name: rr, gateway: gw, address: 192.0.2.9, asn: 64601, role: reflectorNEIGHBOR}
"""


def load(tmp_path: Path, router: str = "", neighbor: str = "", rest: str = "") -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(FILE.replace("ROUTER", router).replace("NEIGHBOR", neighbor) + rest)
    return load_topology(file)


def test_defaults(tmp_path: Path) -> None:
    topology = load(tmp_path)
    assert topology.timers == Timers(hold=90, restart=120, stale=120, hold_back=30)
    assert load(tmp_path, rest="sessions:\n").timers == Timers()
    for peer in peers(topology, topology.gateways["gw"]):
        assert (peer.hard_limit, peer.ttl_security, peer.drained) == (None, None, False)


def test_everything_reaches_the_peer(tmp_path: Path) -> None:
    topology = load(
        tmp_path,
        ", max-prefixes: {limit: 9, mode: hard, restart: 60}, ttl-security: 1, drained: true",
        ", max-prefixes: {limit: 5, mode: hard}, ttl-security: 254, drained: true",
        "sessions: {hold-time: 9, restart-time: 4095, stale-time: 1, hold-back: 2}\n",
    )
    assert topology.timers == Timers(hold=9, restart=4095, stale=1, hold_back=2)
    router, reflector = peers(topology, topology.gateways["gw"])
    assert (router.hard_limit, router.ttl_security, router.drained) == (HardLimit(9, 60), 1, True)
    assert router.router is not None and router.router.max_prefixes is None
    assert router.router.most_prefixes == 9
    assert reflector.hard_limit == HardLimit(5) and reflector.ttl_security == 254
    assert reflector.drained


@pytest.mark.parametrize("text", ["7", "{limit: 7}", "{limit: 7, mode: soft}"])
def test_a_soft_limit_in_any_spelling(tmp_path: Path, text: str) -> None:
    (router,) = load(tmp_path, f", max-prefixes: {text}").routers
    assert (router.max_prefixes, router.hard_limit, router.most_prefixes) == (7, None, 7)


@pytest.mark.parametrize(
    ("router", "neighbor", "rest", "line", "words"),
    [
        (", max-prefixes: many", "", "", 11, "'many' is not a whole number from 1"),
        (", max-prefixes: {mode: hard}", "", "", 11, "the key 'limit' is missing"),
        (", max-prefixes: {limit: 1, mode: harsh}", "", "", 11, "did you mean 'hard'?"),
        (", max-prefixes: {limit: 1, restart: 5}", "", "", 11, "'restart' goes with 'mode: hard'"),
        (", max-prefixes: {limit: 1, hard: true}", "", "", 11, "unknown key 'hard'"),
        ("", ", max-prefixes: 5", "", 15, "the limit of an EVPN speaker is hard"),
        (", ttl-security: 255", "", "", 11, "'255' is not a whole number from 1 to 254"),
        (", drained: 1", "", "", 11, "'1' is neither true nor false"),
        ("", "", "sessions: {hold-time: 2}\n", 16, "'2' is neither 0 nor a whole number from 3"),
        ("", "", "sessions: {restart-time: 4096}\n", 16, "from 1 to 4095"),
        ("", "", "sessions: {hold: 9}\n", 16, "unknown key 'hold'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, router: str, neighbor: str, rest: str, line: int, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, router, neighbor, rest)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/t.yaml:{line}:") and words in str(problem)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("address: 2001:db8::9", ["2001:db8::9 cannot be reached from the vtep 192.0.2.11"]),
        ("address: 2001:db8::9, local-address: 2001:db8::11", []),
        ('address: "::1"', []),
        ("address: 2001:db8::9, local-address: 192.0.2.11", ["are of different IP versions"]),
        ("address: 192.0.2.9, local-address: 192.0.2.12", ["is no address of gateway gw"]),
    ],
)
def test_sessions_over_ipv6_name_their_own_address(
    tmp_path: Path, address: str, words: list[str]
) -> None:
    file = tmp_path / "t.yaml"
    text = FILE.replace("ROUTER", "").replace("NEIGHBOR", "")
    file.write_text(text.replace("address: 192.0.2.9", address))
    found = [f.message for f in neighbor_mismatches(load_topology(file))]
    assert len(found) == len(words)
    assert all(w in f for w, f in zip(words, found, strict=True))
