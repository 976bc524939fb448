"""The generated configuration, read back by ExaBGP's own parser."""

from pathlib import Path

import pytest
from exabgp.configuration.configuration import Configuration

from ccn_bgp.errors import InputError
from ccn_bgp.model.bgp import Asn, Ip
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.session import launcher
from ccn_bgp.session.exabgp_config import render


def peer(name="p", **changes):
    values = {
        "name": name,
        "role": "gateway",
        "asn": Asn(64602),
        "address": Ip.parse("198.51.100.21"),
        "local_address": Ip.parse("192.0.2.11"),
        "local_asn": Asn(64601),
        "router_id": Ip.parse("192.0.2.11"),
        "port": 179,
        "passive": False,
        "source_interface": None,
        "password_file": None,
    }
    return Peer(**{**values, **changes})


def parsed(tmp_path, peers, **options):
    file = tmp_path / "x.conf"
    file.write_text(render(peers, **options))
    launcher.environment("stderr")
    configuration = Configuration([str(file)])
    assert configuration.reload(), str(configuration.error)
    return {n["description"]: n for n in configuration.neighbors.values()}


def test_what_a_peer_says_is_what_exabgp_reads(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret with $igns; {and} #more\n")
    idc = {
        "role": "idc",
        "address": Ip.parse("169.254.1.2"),
        "local_address": Ip.parse("169.254.1.1"),
        "asn": Asn(4200000000),
    }
    got = parsed(
        tmp_path,
        [
            peer("hk-gw1", passive=True, port=1790, password_file=secret),
            peer("six", address=Ip.parse("2001:db8::2"), local_address=Ip.parse("2001:db8::1")),
            peer("lf-r1", **idc, source_interface="eth2.101t", router_id=Ip.parse("10.11.0.100")),
            peer("lf-r2", **idc, source_interface="eth3.0t", router_id=Ip.parse("10.11.0.200")),
        ],
        hold_time=9,
    )
    assert set(got) == {"hk-gw1", "six", "lf-r1", "lf-r2"}
    gateway, router = got["hk-gw1"], got["lf-r1"]
    assert (gateway["passive"], gateway["listen"], gateway["connect"]) == (True, 1790, 0)
    assert gateway["md5-password"] == "s3cret with $igns; {and} #more"
    assert [f"{a} {s}" for a, s in gateway.families()] == ["l2vpn evpn"]
    assert (router["passive"], router["listen"], router["connect"]) == (False, 0, 179)
    assert router["source-interface"] == "eth2.101t" and router["peer-as"] == 4200000000
    assert [f"{a} {s}" for a, s in router.families()] == ["ipv4 unicast", "ipv6 unicast"]
    for n in got.values():
        assert n["hold-time"] == 9 and n["manual-eor"] and not n["adj-rib-in"]
        assert n["capability"]["graceful-restart"] == 120 and n["capability"]["extended-message"]
        assert n["capability"]["asn4"] and n["capability"]["route-refresh"]
    assert len({n.name() for n in got.values()}) == 4


def test_gtsm_and_timers(tmp_path):
    """RFC 5082 §3: sent with 255; a peer one hop away must arrive with 255, two hops 254."""
    got = parsed(
        tmp_path,
        [
            peer("near", ttl_security=1),
            peer("far", ttl_security=3, address=Ip.parse("192.0.2.12")),
            peer("off", address=Ip.parse("192.0.2.13")),
        ],
        hold_time=0,
        restart_time=77,
    )
    ttls = {name: (n["incoming-ttl"], n["outgoing-ttl"]) for name, n in got.items()}
    assert ttls == {"near": (255, 255), "far": (253, 255), "off": (None, None)}
    assert {n["capability"]["graceful-restart"] for n in got.values()} == {77}
    assert {n["hold-time"] for n in got.values()} == {0}


def test_no_peers_is_a_configuration_too(tmp_path):
    assert parsed(tmp_path, []) == {}


@pytest.mark.parametrize(
    ("peers", "text"),
    [
        ([peer("a"), peer("b")], "b: same addresses, AS numbers and router-id as a"),
        ([peer("a"), peer("a", address=Ip.parse("192.0.2.9"))], "a: two sessions have this name"),
        (
            [
                peer("a", passive=True),
                peer("b", passive=True, local_address=Ip.parse("192.0.2.12")),
            ],
            "b: waits for the same address 198.51.100.21 as a",
        ),
        ([peer(password_file=Path("/nowhere/key"))], "/nowhere/key: cannot read: No such file"),
    ],
)
def test_what_exabgp_cannot_serve_is_an_input_error(peers, text):
    with pytest.raises(InputError) as caught:
        render(peers)
    assert text in str(caught.value) and len(caught.value.problems) == 1


@pytest.mark.parametrize("key", ["", "\n", "x" * 81, 'quo"te', "back\\slash", "tab\there", "naïve"])
def test_passwords_that_cannot_be_keys(tmp_path, key):
    file = tmp_path / "key"
    file.write_text(key)
    with pytest.raises(InputError, match="not a TCP-MD5 password for p"):
        render([peer(password_file=file)])


def test_all_problems_are_listed(tmp_path):
    with pytest.raises(InputError) as caught:
        render([peer("a", password_file=tmp_path / "no"), peer("b")], hold_time=2)
    assert len(caught.value.problems) == 3
