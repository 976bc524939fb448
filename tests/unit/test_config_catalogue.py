# ruff: noqa: E501  the table of cases is read by line
"""The catalogue: each rule finds its fault, says where, and is silent on what is legal."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.config.space import Claim, overlaps
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import ERRORS, WARNINGS, Finding

BASE = """\
name: t
fabric: {asn: 64600}
gateways:
  gw1: {region: east, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}]}
  gw2: {region: west, asn: 64602, vtep: 198.51.100.21, uplinks: [{port: eth1, address: 198.51.100.21/24}]}
vpcs:
  web:
    region: east
    vni: 10001
    cidrs: [10.1.0.0/16]
    vms:
      - {ip: 10.1.0.10, mac: "02:00:00:00:00:0a", host: 192.0.2.101}
      - {ip: 10.1.0.11, mac: "02:00:00:00:00:0b", host: 192.0.2.102}
  far: {region: west, vni: 10002, cidrs: [10.2.0.0/16]}
  red: {region: east, vni: 10003, cidrs: [10.1.0.0/16]}
idcs:
  dc:
    region: east
    cidrs: [172.16.0.0/16]
    routers:
      r1: {gateway: gw1, port: eth2, vlan: 101, ccn: blue, asn: 65101, address: 169.254.1.2/30, gateway-address: 169.254.1.1/30, import: [p], export: [p], password-file: secret}
      r2: {gateway: gw1, port: eth2, vlan: 102, ccn: blue, asn: 65101, address: 169.254.2.2/30, gateway-address: 169.254.2.1/30, import: [p], export: [p], password-file: secret}
ccns:
  blue: {id: 1, vni: 20001, attach: [vpc/web, vpc/far, idc/dc]}
  crimson: {id: 2, vni: 20002, attach: [vpc/red]}
neighbors:
  - {name: rr, gateway: gw1, address: 127.0.0.1, port: 1790, asn: 64601, role: reflector}
policies: [p.yaml]
"""


def findings(tmp_path: Path, *edits: tuple[str, str], added: str = "") -> list[Finding]:
    text = BASE
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "p.yaml").write_text("policies: {p: [{then: accept}]}\n")
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "t.yaml").write_text(text + added)
    return declared_findings(load_topology(tmp_path / "t.yaml"))


def test_a_good_network_has_no_finding(tmp_path: Path) -> None:
    """The same CIDR in two CCNs, and two hand-offs of one port, are no faults."""
    assert findings(tmp_path) == []


def test_order_is_that_of_the_file(tmp_path: Path) -> None:
    found = findings(tmp_path, ("vni: 20002", "vni: 10001"), ("10.1.0.11,", "10.3.0.11,"))
    assert [f.rule for f in found] == ["vm-outside-cidr", "vni-collision"]
    assert [f.where.rsplit(":", 2)[1] for f in found] == ["13", "25"]


CASES: dict[str, tuple[str, str, str, str]] = {
    # name: (old, new, rule, part of the message)
    "vni of vpc and ccn": ("vni: 20002", "vni: 10001", "vni-collision", "ccn crimson is already that of vpc/web"),
    "vni of two ccns": ("vni: 20002", "vni: 20001", "vni-collision", "ccn crimson is already that of ccn blue"),
    "vpc in two ccns": ("attach: [vpc/red]", "attach: [vpc/red, vpc/web]", "vni-collision", "attached to ccn blue and to ccn crimson"),
    "rt by id": ("id: 2", "id: 1", "rt-collision", "64600:1, which is already that of ccn blue"),
    "rd by id": ("id: 2", "id: 1", "rd-collision", "on gateway gw1 both have the route distinguisher 192.0.2.11:1"),
    "rt by export": ("vni: 20002", 'vni: 20002, export-rts: ["64600:9", "64600:1"]', "rt-collision", "ccn crimson exports"),
    "rd by router-id": ("vtep: 198.51.100.21", "vtep: 198.51.100.21, router-id: 192.0.2.11", "rd-collision", "gateway gw2 has the router-id"),
    "vtep twice": ("vtep: 198.51.100.21", "vtep: 192.0.2.11, router-id: 1.1.1.1", "vtep-collision", "gateway gw2 has the address 192.0.2.11"),
    "uplink is a vtep": ("address: 198.51.100.21/24", "address: 192.0.2.11/24", "vtep-collision", "gateway gw2 has the address 192.0.2.11"),
    "host is a vtep": ("host: 192.0.2.102", "host: 198.51.100.21", "vtep-collision", "of gateway gw2"),
    "same vm": ("ip: 10.1.0.11", "ip: 10.1.0.10", "duplicate-vm", "already has this address on host 192.0.2.101"),
    "same mac": ("00:0b", "00:0a", "duplicate-vm", "already has this MAC on host 192.0.2.101"),
    "vm is the gateway": ("ip: 10.1.0.11", "ip: 10.1.0.1", "duplicate-vm", "the VPC's own gateway"),
    "vm outside": ("ip: 10.1.0.11", "ip: 10.2.0.11", "vm-outside-cidr", "VM 10.2.0.11 lies outside"),
    "gateway outside": ("    cidrs: [10.1.0.0/16]\n    vms", "    cidrs: [10.1.0.0/16]\n    gateway: 10.3.0.1\n    vms", "vm-outside-cidr", "gateway address 10.3.0.1"),
    "via nowhere": ("    vms:", "    routes: [{prefix: 10.9.0.0/24, via: 10.1.0.12}]\n    vms:", "unresolved-gateway", "10.9.0.0/24 goes via 10.1.0.12"),
    "mtu": ("asn: 64600", "asn: 64600, mtu: 1551", "mtu", "needs 1601"),
    "bogon vpc": ("vni: 10002, cidrs: [10.2.0.0/16]", "vni: 10002, cidrs: [224.1.0.0/16]", "bogon", "224.0.0.0/3 is reserved"),
    "bogon idc": ("cidrs: [172.16.0.0/16]", "cidrs: ['fe80:1::/32']", "bogon", "fe80::/10 is reserved"),
    "bogon covered": ("cidrs: [172.16.0.0/16]", "cidrs: [126.0.0.0/7]", "bogon", "127.0.0.0/8 is reserved"),
    "idc owns vpc": ("cidrs: [172.16.0.0/16]", "cidrs: [10.0.0.0/8]", "owned-space", "but 10.1.0.0/16 is vpc/web"),
    "idc inside vpc": ("cidrs: [172.16.0.0/16]", "cidrs: [10.2.7.0/24]", "owned-space", "but 10.2.0.0/16 is vpc/far"),
    "idc owns vtep": ("cidrs: [172.16.0.0/16]", "cidrs: [198.51.100.0/28]", "owned-space", "the underlay of region west"),
    "subnets differ": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.5/30", "session-mismatch", "are in different subnets"),
    "lengths differ": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.1/29", "session-mismatch", "gateway-address is /29, address is /30"),
    "same address": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.2/30", "session-mismatch", "are both 169.254.1.2"),
    "versions differ": ("gateway-address: 169.254.1.1/30", "gateway-address: 'fd00::1/64'", "session-mismatch", "different IP versions"),
    "IPv6 of one end": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.1/30, address6: 'fd00::2/64'", "session-mismatch", "address6 stands alone"),
    "IPv6 that is none": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.1/30, address6: 169.254.9.2/30, gateway-address6: 169.254.9.1/30", "session-mismatch", "address6 169.254.9.2/30 is not IPv6"),
    "IPv6 subnets differ": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.1/30, address6: 'fd00::2/64', gateway-address6: 'fd01::1/64'", "session-mismatch", "gateway-address6 fd01::1/64 and address6 fd00::2/64 are in different subnets"),
    "one IPv6 subnet, two hand-offs": ("169.254.1.1/30, import: [p], export: [p], password-file: secret}\n      r2: {gateway: gw1, port: eth2, vlan: 102, ccn: blue, asn: 65101, address: 169.254.2.2/30, gateway-address: 169.254.2.1/30", "169.254.1.1/30, address6: 'fd00::2/64', gateway-address6: 'fd00::1/64', import: [p], export: [p], password-file: secret}\n      r2: {gateway: gw1, port: eth2, vlan: 102, ccn: blue, asn: 65101, address: 169.254.2.2/30, gateway-address: 169.254.2.1/30, address6: 'fd00::6/64', gateway-address6: 'fd00::5/64'", "session-mismatch", "its subnet fd00::/64 is also that of router r1"),
    "broadcast": ("gateway-address: 169.254.1.1/30", "gateway-address: 169.254.1.3/30", "session-mismatch", "broadcast address"),
    "iBGP": ("asn: 65101", "asn: 64601", "session-mismatch", "must be eBGP"),
    "uplink: via elsewhere": ("uplinks: [{port: eth1, address: 192.0.2.11/24}]", "uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.3.1}]", "uplink-mismatch", "via 192.0.3.1 is not in its subnet 192.0.2.0/24"),
    "uplink: via is itself": ("uplinks: [{port: eth1, address: 192.0.2.11/24}]", "uplinks: [{port: eth1, address: 192.0.2.11/24, via: 192.0.2.11}]", "uplink-mismatch", "is its own address"),
    "uplink: port twice": ("uplinks: [{port: eth1, address: 192.0.2.11/24}]", "uplinks: [{port: eth1, address: 192.0.2.11/24}, {port: eth1, address: 192.0.3.11/24}]", "uplink-mismatch", "same port"),
    "uplink: subnet twice": ("uplinks: [{port: eth1, address: 192.0.2.11/24}]", "uplinks: [{port: eth1, address: 192.0.2.11/24}, {port: eth7, address: 192.0.2.12/25}]", "uplink-mismatch", "192.0.2.0/25 is also that of uplink eth1"),
    "IPv6 host": ("host: 192.0.2.101", "host: '2001:db8::1'", "underlay-family", "host 2001:db8::1 of VM 10.1.0.10 in vpc/web is not reached"),
    "one host of two IPv6": ("host: 192.0.2.101", "host: [192.0.2.101, '2001:db8::1']", "underlay-family", "host 2001:db8::1 of VM 10.1.0.10 in vpc/web is not reached"),
    "uplink port": ("port: eth2", "port: eth1", "session-mismatch", "is an uplink"),
    "one hand-off, two ccns": ("vlan: 102, ccn: blue", "vlan: 101, ccn: crimson", "session-mismatch", "a hand-off has one ccn"),
    "one hand-off, two gateway addresses": ("vlan: 102", "vlan: 101", "session-mismatch", "has the gateway address 169.254.1.1/30 by router r1"),
    "one subnet, two hand-offs": ("169.254.2.2/30, gateway-address: 169.254.2.1/30", "169.254.1.2/30, gateway-address: 169.254.1.1/30", "session-mismatch", "also that of router r1"),
    "not attached": (", idc/dc]", "]", "session-mismatch", "does not attach idc/dc"),
    "neighbor is us": ("address: 127.0.0.1", "address: 192.0.2.11", "session-mismatch", "is gateway gw1 itself"),
    "neighbor asn": ("address: 127.0.0.1", "address: 198.51.100.21", "session-mismatch", "whose AS is 64602, not 64601"),
    "local address": ("address: 127.0.0.1", "address: 127.0.0.1, local-address: 192.0.2.12", "session-mismatch", "no address of gateway gw1"),
    "local version": ("address: 127.0.0.1", "address: 127.0.0.1, local-address: '::1'", "session-mismatch", "different IP versions"),
    "no import": (" import: [p],", "", "missing-policy", "no import policy is named: nothing is learned"),
    "no export": (" export: [p],", "", "missing-policy", "no export policy is named: nothing is announced"),
    "one router": ("ccn: blue, asn: 65101, address: 169.254.2", "ccn: crimson, asn: 65101, address: 169.254.2", "single-homed", "only way of idc/dc into ccn"),
    "no router": ("attach: [vpc/red]", "attach: [vpc/red, idc/dc]", "single-homed", "has no router in it"),
    "no password": (", password-file: secret", "", "no-authentication", "has no password-file"),
    "neighbor without password": ("address: 127.0.0.1", "address: 192.0.2.99", "no-authentication", "neighbor rr"),
    "equal members": ("vni: 10002, cidrs: [10.2.0.0/16]", "vni: 10002, cidrs: [10.1.0.0/16]", "overlap-in-ccn", "at gw2 vpc/far (declared in its region)"),
    "contained member": ("vni: 10002, cidrs: [10.2.0.0/16]", "vni: 10002, cidrs: [10.1.4.0/24]", "overlap-in-ccn", "vpc/far wins there, vpc/web loses"),
    "silent member": ("attach: [vpc/web,", "attach: [{member: vpc/web, propagate: false},", "asymmetric", "propagate: false"),
    "unused list": ("ccns:", "acls: {front: [{name: r, action: deny}]}\nccns:", "unused-acl", "no ccn attaches it"),
    "rule of another's packets": ("ccns:", "acls: {front: [{name: r, action: deny}, {name: s, action: permit, protocol: 6}]}\nccns:", "unreachable-rule", "rule s: every packet that it matches is decided before, by r"),
    "too many routes": ("import: [p],", "import: [p], max-prefixes: 1000000,", "capacity", "1000002 routes"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rule_finds_its_fault(tmp_path: Path, name: str) -> None:
    old, new, rule, words = CASES[name]
    found = [f for f in findings(tmp_path, (old, new)) if f.rule == rule and words in f.message]
    assert found, [f"{f.rule}: {f.message}" for f in findings(tmp_path, (old, new))]
    for finding in found:
        assert finding.where.startswith(f"{tmp_path}/t.yaml:")
        assert finding.witness
        assert finding.severity == ("error" if rule in ERRORS else "warning")


def test_every_rule_that_needs_no_tables_is_covered() -> None:
    elsewhere = {
        "schema", "leak", "rt-leak", "hijack", "ambiguous-owner", "transit-leak", "blackhole",
        "loop", "misdelivery", "undefined-set", "latent-leak", "unreachable-statement",
        "unused-suppression", "policy-target", "unused-set", "dead-regex", "undone-action",
        "falls-through",
    }  # fmt: skip
    assert {case[2] for case in CASES.values()} == (ERRORS | WARNINGS) - elsewhere


def test_a_share_one_way_is_asymmetric_and_both_ways_is_not(tmp_path: Path) -> None:
    one = "shares:\n  - {from: crimson, to: blue, prefixes: [10.1.0.0/16]}\n"
    found = findings(tmp_path, added=one)
    assert [f.rule for f in found] == ["asymmetric"]
    assert "ccn blue reaches ccn crimson" in found[0].message
    both = one + "  - {from: blue, to: crimson, prefixes: [10.2.0.0/16]}\n"
    assert findings(tmp_path, added=both) == []


def test_ipv6_underlay_needs_twenty_octets_more(tmp_path: Path) -> None:
    host = ("host: 192.0.2.102", "host: '2001:db8::1'")
    enough = findings(tmp_path, ("asn: 64600", "asn: 64600, underlay-mtu: 1570"), host)
    assert [f.rule for f in enough] == ["underlay-family"]  # a warning: there is no such tunnel
    found = findings(tmp_path, ("asn: 64600", "asn: 64600, underlay-mtu: 1569"), host)
    assert [f.rule for f in found] == ["mtu", "underlay-family"]
    assert findings(tmp_path, ("asn: 64600", "asn: 64600, underlay-mtu: 1550")) == []


def test_an_ipv6_underlay_carries_1280_octets(tmp_path: Path) -> None:
    ipv6 = [
        (
            "vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}]",
            "vtep: '2001:db8::b', router-id: 192.0.2.11, uplinks: [{port: eth1, address: '2001:db8::b/64'}]",
        )
    ]
    for octets, expected in (1280, []), (1279, ["2"]):
        mtus = ("asn: 64600", f"asn: 64600, mtu: 600, underlay-mtu: {octets}")
        found = [f for f in findings(tmp_path, mtus, *ipv6) if f.rule == "mtu"]
        assert [f.where.split(":")[1] for f in found] == expected
    assert not [f for f in findings(tmp_path, mtus) if f.rule == "mtu"]


def test_a_default_route_of_a_data_centre_is_legal(tmp_path: Path) -> None:
    edit = ("cidrs: [172.16.0.0/16]", "cidrs: [172.16.0.0/16, 0.0.0.0/0, '::/0']")
    assert findings(tmp_path, edit) == []


def test_the_same_address_and_mac_with_two_ips_on_one_host_is_legal(tmp_path: Path) -> None:
    edit = ("ip: 10.1.0.11, mac: \"02:00:00:00:00:0b\", host: 192.0.2.102", "ip: 10.1.0.11, mac: \"02:00:00:00:00:0a\", host: 192.0.2.101")  # fmt: skip
    assert findings(tmp_path, edit) == []


def test_two_data_centres_with_the_same_addresses_in_two_ccns(tmp_path: Path) -> None:
    other = BASE[BASE.index("  dc:\n") : BASE.index("ccns:\n")]
    other = other.replace("dc:", "dd:").replace("r1:", "s1:").replace("r2:", "s2:")
    other = other.replace("eth2", "eth3").replace("ccn: blue", "ccn: crimson")
    found = findings(
        tmp_path, ("ccns:\n", f"{other}ccns:\n"), ("attach: [vpc/red]", "attach: [vpc/red, idc/dd]")
    )
    assert found == []


def test_overlaps_finds_every_pair() -> None:
    texts = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.2.0.0/16",
        "11.0.0.0/8",
        "fd00::/8",
        "fd00::/16",
    ]
    claims = [Claim(Prefix.parse(t), t, (t,)) for t in reversed(texts)]
    found = {(a.owner, b.owner) for a, b in overlaps(claims)}
    expected = {
        (a, b) for a in texts for b in texts if a != b and Prefix.parse(a).covers(Prefix.parse(b))
    }
    assert found == expected
