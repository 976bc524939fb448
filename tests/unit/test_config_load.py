# ruff: noqa: E501  the tables of messages are read by line
"""Loading a topology: what comes out, and what every kind of fault says and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.forwarder.process import settings_arguments
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteTarget
from ccn_bgp.model.topology import Attachment, Topology

ROOT = Path(__file__).parents[2]

BASE = """\
name: t
fabric: {asn: 64600}
gateways:
  gw1: {region: east, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}]}
vpcs:
  web:
    region: east
    vni: 10001
    cidrs: [10.1.0.0/16, "fd00:1::/64"]
    vms: [{ip: 10.1.0.10, mac: "02:00:0a:01:00:0a", host: 192.0.2.101}]
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web]}
"""


def load(tmp_path: Path, text: str) -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(text)
    return load_topology(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    """The problems of a text, without the directory."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    return [str(p).replace(f"{tmp_path}/", "") for p in caught.value.problems]


def edited(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ""),
        ("workers: 2, fan-out: true", "--workers 2 --fan-out"),
        ("cpus: 3", "--cpu 3"),
        ("cpus: [2, 5], memory: 512", "--cpu 2,5 --memory 512"),
        ("cpus: 2-5, hugepages: true, busy-poll: true", "--cpu 2-5 --busy-poll --huge"),
        ("cpus: auto, workers: 4", "--workers 4 --cpu auto"),
    ],
)
def test_settings_of_the_forwarder_become_its_arguments(tmp_path, text, arguments):
    file = tmp_path / "t.yaml"
    file.write_text(edited("uplinks:", f"forwarder: {{{text}}}, uplinks:"))
    settings = load_topology(file).gateways["gw1"].forwarder
    assert settings_arguments(settings) == arguments.split()


def test_the_example_loads_with_every_default() -> None:
    topology = load_topology(ROOT / "topologies" / "two-regions.yaml")
    gateway = topology.gateways["bj-gw1"]
    assert gateway.router_id == gateway.vtep == Ip.parse("192.0.2.11")
    assert gateway.mac == Mac.parse("02:cc:c0:00:02:0b")
    assert gateway.uplinks[0].driver == "auto"
    assert topology.vpcs["web"].gateways == (Ip.parse("10.1.0.1"), Ip.parse("fd00:1::1"))
    assert topology.vpcs["orders"].routes[0].via == Ip.parse("10.2.0.10")
    assert topology.vpcs["orders"].routes[1].via is None
    first, second = topology.routers
    assert (first.vlan, second.vlan) == (101, None)
    assert first.address == second.address
    assert first.import_ == ("from-idc",)
    assert topology.ccns["retail"].import_rts is None
    assert topology.ccns["retail"].attach[2] == Attachment("idc", "langfang")
    assert topology.policies == (ROOT / "topologies" / "policies" / "idc.yaml",)


def test_name_fabric_and_gateways_are_enough(tmp_path: Path) -> None:
    topology = load(
        tmp_path,
        "name: t\nfabric: {asn: 1}\ngateways: {g: {region: r, asn: 2, vtep: 192.0.2.1}}\nvpcs:\n",
    )
    assert topology.vpcs == {}
    assert topology.fabric.underlay_mtu == 1600


def test_what_is_given_overrides_what_is_derived(tmp_path: Path) -> None:
    text = BASE.replace(
        "vtep: 192.0.2.11,", "vtep: 192.0.2.11, router-id: 1.2.3.4, mac: '02:00:00:00:00:01',"
    )
    text = text.replace("region: east\n", "region: east\n    gateway: 10.1.0.254\n")
    text = text.replace(
        "attach: [vpc/web]",
        'import-rts: ["64600:1"], export-rts: ["1.2.3.4:5"], reexport: true,'
        " attach: [{member: vpc/web, propagate: false}]",
    )
    topology = load(tmp_path, text)
    assert str(topology.gateways["gw1"].router_id) == "1.2.3.4"
    assert str(topology.gateways["gw1"].mac) == "02:00:00:00:00:01"
    assert topology.vpcs["web"].gateways == (Ip.parse("10.1.0.254"), Ip.parse("fd00:1::1"))
    ccn = topology.ccns["retail"]
    assert ccn.import_rts == (RouteTarget.parse("64600:1"),)
    assert ccn.export_rts == (RouteTarget.parse("1.2.3.4:5"),)
    assert ccn.reexport is True
    assert ccn.attach == (Attachment("vpc", "web", propagate=False),)


def test_unquoted_mac_is_text(tmp_path: Path) -> None:
    """YAML 1.1 would read 02:00:00:01:00:10 as a number of seconds."""
    topology = load(tmp_path, edited('"02:00:0a:01:00:0a"', "02:00:00:01:00:10"))
    assert str(topology.vpcs["web"].vms[0].mac) == "02:00:00:01:00:10"


def test_positions_point_at_values_and_keys(tmp_path: Path) -> None:
    topology = load(tmp_path, BASE)
    file = tmp_path / "t.yaml"
    assert topology.at("vpcs", "web", "vni") == f"{file}:8:10"
    assert topology.at("vpcs", "web", "cidrs", 1) == f"{file}:9:26"
    assert topology.at("vpcs", "web", "vms", 0, "mac") == f"{file}:10:32"
    assert topology.at("vpcs", "web") == f"{file}:6:3"
    assert topology.at("ccns", "retail", "import-rts") == f"{file}:12:3"
    assert topology.at("nothing", "at", "all") == f"{file}:1:1"
    assert "vpcs.web.vms.0.mac" in topology.positions
    assert set(topology.positions) >= {"name", "vpcs.web.cidrs.0", "ccns.retail.attach.0"}


def test_first_host_of_a_narrow_prefix(tmp_path: Path) -> None:
    text = edited('cidrs: [10.1.0.0/16, "fd00:1::/64"]', "cidrs: [10.1.0.10/32, 10.1.0.0/29]")
    topology = load(tmp_path, text)
    assert topology.vpcs["web"].cidrs[0] == Prefix.parse("10.1.0.10/32")
    assert [str(g) for g in topology.vpcs["web"].gateways] == ["10.1.0.10", "10.1.0.1"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fabric: {asn: 64600}", "fabric: {asn: 65536}",
         "t.yaml:2:15: fabric.asn: '65536' is not a whole number from 1 to 65535"),
        ("asn: 64601", "asn: true",
         "t.yaml:4:28: gateways.gw1.asn: 'true' is not a whole number from 1 to 4294967295"),
        ("asn: 64601", "asn: '64601'",
         "t.yaml:4:28: gateways.gw1.asn: the text '64601' is not a whole number from 1 to 4294967295"),
        ("vtep: 192.0.2.11", "vtep: 192.0.2.300",
         "t.yaml:4:41: gateways.gw1.vtep: '192.0.2.300' is not an IP address"),
        ("vtep: 192.0.2.11", "vtep: 17", "t.yaml:4:41: gateways.gw1.vtep: '17' is not an IP address"),
        ("vni: 10001", "vni: 0", "t.yaml:8:10: vpcs.web.vni: '0' is not a whole number from 1 to 16777215"),
        ("vni: 10001", "vin: 10001", "t.yaml:8:5: unknown key 'vin' (did you mean 'vni'?)"),
        ("10.1.0.0/16", "10.1.0.0/33",
         "t.yaml:9:13: vpcs.web.cidrs.0: '10.1.0.0/33' has a length over 32"),
        ("10.1.0.0/16", "10.1.5.0/16",
         "t.yaml:9:13: vpcs.web.cidrs.0: '10.1.5.0/16' has host bits set; did you mean 10.1.0.0/16?"),
        ("02:00:0a:01:00:0a", "02:00:0a:01:00",
         "t.yaml:10:32: vpcs.web.vms.0.mac: '02:00:0a:01:00' is not a MAC address"
         " (six octets: 02:00:0a:01:00:0a)"),
        ("02:00:0a:01:00:0a", "01:00:0a:01:00:0a",
         "t.yaml:10:32: vpcs.web.vms.0.mac: '01:00:0a:01:00:0a' is not the MAC address of one station"),
        ("address: 192.0.2.11/24", "address: 192.0.2.11",
         "t.yaml:4:85: gateways.gw1.uplinks.0.address: '192.0.2.11' lacks the length of its subnet;"
         " write it as ADDRESS/LENGTH"),
        ("port: eth1", "port: eth1, driver: afxdp",
         "t.yaml:4:84: gateways.gw1.uplinks.0.driver: 'afxdp' is not known (did you mean 'af_xdp'?)"),
        ("uplinks:", "forwarder: {workers: 33}, uplinks:",
         "t.yaml:4:74: gateways.gw1.forwarder.workers: '33' is not a whole number from 1 to 32"),
        ("uplinks:", "forwarder: {cpus: 2-}, uplinks:",
         "t.yaml:4:71: gateways.gw1.forwarder.cpus: '2-' is neither CPUs (2-5 or [2, 3]) nor 'auto'"),
        ("uplinks:", "forwarder: {cpu: 2}, uplinks:",
         "t.yaml:4:65: unknown key 'cpu' (did you mean 'cpus'?)"),
        ("attach: [vpc/web]", "attach: [vpc/wbe]",
         "t.yaml:12:42: vpc 'wbe' is not defined (did you mean 'web'?)"),
        ("attach: [vpc/web]", "attach: [web]",
         "t.yaml:12:42: ccns.retail.attach.0.member: 'web' is not a member;"
         " write it as vpc/NAME or idc/NAME"),
        ("attach: [vpc/web]", "attach: [vpc/web, {member: vpc/web}]",
         "t.yaml:12:51: 'vpc/web' is attached twice to ccn 'retail'"),
        ("attach: [vpc/web]", "attach: [vpc/web], export-rts: [1]",
         "t.yaml:12:65: ccns.retail.export-rts.0: '1' is not a route target (ASN:NUMBER)"),
        ("    region: east", "    region: esat",
         "t.yaml:7:13: region 'esat' is not defined (did you mean 'east'?)"),
        ("  web:", "  we/b:", "t.yaml:6:3: 'we/b' is not a name (letters, digits, - and _, at most 63)"),
        ("asn: 64600", "asn: 64600, mtu:1500",
         "t.yaml:2:22: unknown key 'mtu:1500' (a blank must follow the colon: mtu: 1500)"),
        ("vpcs:", "vpc:", "t.yaml:5:1: unknown key 'vpc' (did you mean 'vpcs'?)"),
        ("name: t\n", "", "t.yaml:1:1: the key 'name' is missing"),
        ("    vni: 10001\n", "    vni: 10001\n    vni: 10002\n",
         "t.yaml:9:5: the key 'vni' stands here twice (first in line 8)"),
        ("    vni: 10001\n", "    vni: 10001\n    routes: [{prefix: 10.9.0.0/24}]\n",
         "t.yaml:9:14: this route goes nowhere (give 'via: ADDRESS' or 'blackhole: true')"),
        ("    vni: 10001\n", "    vni: 10001\n    routes: [{prefix: 10.9.0.0/24, via: 'fd00::1'}]\n",
         "t.yaml:9:14: 'via' and 'prefix' are of different IP versions"),
        ("ccns:", "policies: [none.yaml]\nccns:", "t.yaml:11:12: the file 'none.yaml' cannot be read:"
         " No such file or directory (looked for none.yaml; paths are relative to the topology file)"),
        ("ccns:", "policies: [.]\nccns:", "t.yaml:11:12: the file '.' cannot be read:"
         " Is a directory"),
        ("ccns:", "shares: [{from: retail, to: retail, prefixes: [10.0.0.0/8]}]\nccns:",
         "t.yaml:11:29: ccn 'retail' is shared with itself"),
        ("ccns:", "neighbors: [{name: gw1, gateway: gw1, address: 127.0.0.1, asn: 1, role: host}]\nccns:",
         "t.yaml:11:20: the name 'gw1' of this neighbor is taken"),
        ("ccns:", "neighbors: [{name: n, gateway: gw2, address: 127.0.0.1, asn: 1, role: peer}]\nccns:",
         "t.yaml:11:32: gateway 'gw2' is not defined (did you mean 'gw1'?)"),
        ("vtep: 192.0.2.11", "vtep: '2001:db8::1'", "t.yaml:4:41: a gateway with an IPv6 vtep needs 'router-id'"),
    ],
)  # fmt: skip
def test_each_fault_says_where_what_and_the_way_out(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    found = problems(tmp_path, edited(old, new))
    assert any(line.startswith(expected) for line in found), found


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = edited("asn: 64600", "asm: 64600").replace("vni: 10001", "vni: x")
    text = text.replace("attach: [vpc/web]", "attach: [vpc/x, idc/y]")
    text = text.replace("region: east\n", "region: west\n")
    found = problems(tmp_path, text)
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == sorted(lines)
    words = "\n".join(found)
    for part in (
        "unknown key 'asm'",
        "the key 'asn'",
        "vni: the text 'x'",
        "vpc 'x'",
        "idc 'y'",
        "region 'west'",
    ):
        assert part in words


def test_undefined_policy_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("policies:\n  from-idc: [{then: accept}]\n")
    text = (
        BASE.replace("attach: [vpc/web]", "attach: [vpc/web, idc/dc]")
        + "policies: [p.yaml]\nidcs:\n  dc:\n    region: east\n    cidrs: [172.16.0.0/16]\n"
        "    routers:\n      r1: {gateway: gw1, port: eth2, ccn: retial, asn: 65101,\n"
        "           address: 169.254.1.2/30, gateway-address: 169.254.1.1/30,\n"
        "           import: [form-idc], password-file: secret}\n"
    )
    found = problems(tmp_path, text)
    assert found[0] == "t.yaml:19:43: ccn 'retial' is not defined (did you mean 'retail'?)"
    assert found[1] == "t.yaml:21:21: policy 'form-idc' is not defined (did you mean 'from-idc'?)"
    assert found[2].startswith("t.yaml:21:47: the file 'secret' cannot be read: No such file")


def test_the_same_problem_is_told_once_and_few_are_told_of_many(tmp_path: Path) -> None:
    items = "\n".join("  - a" for _ in range(1000))
    found = problems(tmp_path, BASE + f"shares:\n{items}\n")
    assert len(found) == 201
    assert found[-1] == "t.yaml: and 800 more problems"


def test_route_targets_and_ipv6_need_no_quotes_in_lists(tmp_path: Path) -> None:
    text = BASE.replace('"fd00:1::/64"', "fd00:1::/64").replace(
        "attach: [vpc/web]", "import-rts: [64600:100, 64600:7], attach: [vpc/web]"
    )
    topology = load(tmp_path, text)
    assert topology.vpcs["web"].cidrs[1] == Prefix.parse("fd00:1::/64")
    assert topology.ccns["retail"].import_rts == tuple(
        RouteTarget.parse(t) for t in ("64600:100", "64600:7")
    )


def test_gateway_addresses_stand_in_the_order_of_the_cidrs(tmp_path: Path) -> None:
    text = edited(
        "    region: east\n", '    region: east\n    gateway: ["fd00:1::fe", 10.1.0.254]\n'
    )
    topology = load(tmp_path, text)
    assert [str(g) for g in topology.vpcs["web"].gateways] == ["10.1.0.254", "fd00:1::fe"]


@pytest.mark.parametrize("text", ["gateways: {}", "gateways:", "gateways: []", "gateways: x"])
def test_a_topology_needs_a_gateway(tmp_path: Path, text: str) -> None:
    found = problems(tmp_path, f"name: t\nfabric: {{asn: 1}}\n{text}\n")
    assert len(found) == 1
    assert found[0].startswith("t.yaml:3:")
    assert "gateways: must" in found[0]


def test_a_file_that_is_not_there_brings_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "two-regions.yaml").write_text("x: 1\n")
    with pytest.raises(InputError) as caught:
        load_topology(tmp_path / "two-region.yaml")
    (problem,) = caught.value.problems
    assert problem.what == "cannot be read: No such file or directory"
    assert problem.hint == "did you mean 'two-regions.yaml'?"
    with pytest.raises(InputError) as caught:
        load_topology(tmp_path / "none" / "x.yaml")
    assert caught.value.problems[0].hint == ""
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        load_topology(tmp_path / "x.yaml")
