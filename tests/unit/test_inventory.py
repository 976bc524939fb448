"""VM inventories: what is read, where a problem stands, and what a change of a file is."""

import json

import pytest

from ccn_bgp.config import inventory
from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.inventory import read_inventory, stamps, stamps_read, with_inventory
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.model.bgp import Ip, Mac
from ccn_bgp.model.topology import Vm

VPCS = ("web", "orders")
HEAD = "vpc,ip,mac,host\n"
GOOD = (
    "web,10.1.0.20,02:00:00:00:00:20,192.0.2.101\norders,fd00:2::20,02-00-00-00-00-21,192.0.2.102\n"
)
TOPOLOGY = """\
name: small
fabric: {asn: 64600}
gateways:
  gw: {region: r, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}]}
vpcs:
  web: {region: r, vni: 10001, cidrs: [10.1.0.0/16], vms: [
    {ip: 10.1.0.10, mac: "02:00:00:00:00:10", host: 192.0.2.101}]}
  orders: {region: r, vni: 10002, cidrs: [10.2.0.0/16, "fd00:2::/64"]}
ccns:
  retail: {id: 100, vni: 20100, attach: [vpc/web, vpc/orders]}
inventory: [vms.csv, more.jsonl]
"""


def problems(tmp_path, text, suffix="csv"):
    """What is wrong with a file, as ``line:column: what``."""
    file = tmp_path / f"vms.{suffix}"
    file.write_text(text) if isinstance(text, str) else file.write_bytes(text)
    with pytest.raises(InputError) as error:
        read_inventory(file, VPCS)
    return [str(p).removeprefix(f"{file}:") for p in error.value.problems]


def rows(tmp_path, text, suffix="csv"):
    file = tmp_path / f"vms.{suffix}"
    file.write_text(text)
    found = read_inventory(file, VPCS)
    return list(zip(found.vpcs, found.vms, found.lines, strict=True))


def vm(ip, mac, host, sequence=0):
    return Vm(Ip.parse(ip), Mac.parse(mac), Ip.parse(host), sequence)


WANTED = [
    ("web", vm("10.1.0.20", "02:00:00:00:00:20", "192.0.2.101"), 2),
    ("orders", vm("fd00:2::20", "02:00:00:00:00:21", "192.0.2.102"), 3),
]


def test_csv_in_any_order_of_columns_and_with_quotes(tmp_path):
    assert rows(tmp_path, HEAD + GOOD) == WANTED
    assert rows(tmp_path, (HEAD + GOOD).replace("\n", "\r\n")) == WANTED
    assert rows(tmp_path, HEAD + GOOD.rstrip("\n")) == WANTED
    quoted = HEAD + GOOD.replace("web", '"web"').replace("192.0.2.102", '"192.0.2.102"')
    assert rows(tmp_path, quoted) == WANTED
    swapped = "host,sequence,mac,ip,vpc\n192.0.2.101,7,02:00:00:00:00:20,10.1.0.20,web\n"
    assert rows(tmp_path, swapped) == [("web", WANTED[0][1]._replace(sequence=7), 2)]
    assert rows(tmp_path, HEAD) == []
    assert rows(tmp_path, "\ufeff" + HEAD + GOOD) == WANTED


def test_json_lines(tmp_path):
    objects = [
        {"vpc": "web", "ip": "10.1.0.20", "mac": "02:00:00:00:00:20", "host": "192.0.2.101"},
        {
            "vpc": "orders", "ip": "fd00:2::20", "mac": "02:00:00:00:00:21", "host": "192.0.2.102",
            "sequence": 3,
        },
    ]  # fmt: skip
    text = "\n".join(json.dumps(o) for o in objects)
    wanted = [
        (n, v._replace(sequence=s), x - 1) for (n, v, x), s in zip(WANTED, (0, 3), strict=True)
    ]
    assert rows(tmp_path, text, "jsonl") == wanted
    spaced = "\n" + text.replace("\n", "\n\n") + "\n"
    assert [r[2] for r in rows(tmp_path, spaced, "jsonl")] == [2, 4]
    assert rows(tmp_path, "", "jsonl") == []


def test_every_problem_of_a_csv_is_told_with_its_place(tmp_path):
    text = (
        HEAD
        + "web,10.1.0.300,02:00:00:00:00:20,192.0.2.101\n"
        + "wed,10.1.0.20,02:00:00:00:00:2,192.0.2.101\n"
        + "web,10.1.0.21,01:00:00:00:00:20,\n"
        + "web,10.1.0.22\n"
        + GOOD
    )
    assert problems(tmp_path, text) == [
        "2:5: ip: '10.1.0.300' is not an IP address",
        "3:1: vpc: vpc 'wed' is not defined (did you mean 'web'?)",
        "3:15: mac: '02:00:00:00:00:2' is not a MAC address (six octets: 02:00:0a:01:00:0a)",
        "4:15: mac: '01:00:00:00:00:20' is not the MAC address of one station",
        "4:33: host: is missing",
        "5:1: 2 fields, the first line names 4",
    ]
    sequence = "vpc,ip,mac,host,sequence\nweb,10.1.0.20,02:00:00:00:00:20,192.0.2.101,-1\n"
    (line,) = problems(tmp_path, sequence)
    assert line == "2:45: sequence: '-1' is not a whole number from 0 to 4294967295"


def test_a_csv_whose_first_line_is_wrong(tmp_path):
    found = problems(tmp_path, "vpc,ip,mac,hosts\n" + GOOD)
    assert found == [
        "1:1: the column 'host' is missing (the first line names the columns)",
        "1:1: unknown column 'hosts' (did you mean 'host'?)",
    ]
    assert "the column 'ip' stands there twice" in problems(tmp_path, "vpc,ip,ip,mac,host\n")[0]
    assert len(problems(tmp_path, "")) == 4


def test_every_problem_of_json_lines_is_told_with_its_place(tmp_path):
    good = '{"vpc": "web", "ip": "10.1.0.20", "mac": "02:00:00:00:00:20", "host": "192.0.2.101"}'
    text = "\n".join(
        (
            good,
            good[:-1],
            "[1]",
            good.replace('"web"', "7"),
            good.replace('"host"', '"hots"'),
            good.replace("}", ', "ip": "10.1.0.21"}'),
            good.replace("}", ', "sequence": true}'),
        )
    )
    found = problems(tmp_path, text, "jsonl")
    assert [line.split(":")[0] for line in found] == ["2", "3", "4", "5", "5", "6", "7"]
    words = (
        "not JSON", "each line is one object", "vpc: 7 is not text", "host: is missing",
        "unknown key 'hots'", "a key is given twice", "sequence: 'True' is not a whole number",
    )  # fmt: skip
    assert [w in line for w, line in zip(words, sorted(found), strict=True)] == [True] * 7, found
    assert len(problems(tmp_path, f"{good},{good}\n{good}", "jsonl")) == 1


def test_hostile_files_are_one_line(tmp_path):
    assert problems(tmp_path, HEAD.encode() + b"web,\xff\n") == ["2:5: is not UTF-8 text"]
    assert "not CSV" in problems(tmp_path, HEAD + 'web,"10.1.0.20\n')[0]
    assert len(problems(tmp_path, "[" * 100_000, "jsonl")) == 1
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_inventory(tmp_path / "absent.csv", VPCS)
    many = problems(tmp_path, HEAD + "x,x,x,x\n" * 200_000)
    assert len(many) < 300 and "more problems" in many[-1]


@pytest.fixture
def topology(tmp_path):
    (tmp_path / "vms.csv").write_text(HEAD + GOOD)
    (tmp_path / "more.jsonl").write_text("")
    file = tmp_path / "topology.yaml"
    file.write_text(TOPOLOGY)
    return file


def test_the_topology_has_the_vms_of_its_files_after_its_own(topology):
    found = load_topology(topology)
    assert [str(v.ip) for v in found.vpcs["web"].vms] == ["10.1.0.10", "10.1.0.20"]
    assert found.at("vpcs", "web", "vms", 0, "ip").startswith(f"{topology}:7:")
    assert found.at("vpcs", "web", "vms", 1, "ip") == f"{topology.parent}/vms.csv:2:1"
    assert found.at("vpcs", "orders", "vms", 0) == f"{topology.parent}/vms.csv:3:1"
    assert declared_findings(found) == []


def test_duplicates_and_strays_are_findings_as_if_declared(topology):
    more = [
        {"vpc": "web", "ip": "10.1.0.10", "mac": "02:00:00:00:00:30", "host": "192.0.2.101"},
        {"vpc": "web", "ip": "10.9.0.1", "mac": "02:00:00:00:00:31", "host": "192.0.2.101"},
        {"vpc": "orders", "ip": "10.2.0.9", "mac": "02:00:00:00:00:21", "host": "192.0.2.103"},
        {"vpc": "orders", "ip": "10.2.0.1", "mac": "02:00:00:00:00:32", "host": "192.0.2.103"},
    ]
    (topology.parent / "more.jsonl").write_text("\n".join(map(json.dumps, more)))
    found = [(f.rule, f.where) for f in declared_findings(load_topology(topology))]
    place = f"{topology.parent}/more.jsonl"
    assert found == [
        ("duplicate-vm", f"{place}:1:1"),
        ("vm-outside-cidr", f"{place}:2:1"),
        ("duplicate-vm", f"{place}:3:1"),
        ("duplicate-vm", f"{place}:4:1"),
    ]


def test_problems_of_all_files_are_told_at_once(topology):
    (topology.parent / "vms.csv").write_text("ip\n")
    (topology.parent / "more.jsonl").write_text("nothing\n")
    with pytest.raises(InputError) as error:
        load_topology(topology)
    assert {p.where.rsplit("/", 1)[1].split(":")[0] for p in error.value.problems} == {
        "vms.csv", "more.jsonl",
    }  # fmt: skip
    topology.write_text(TOPOLOGY.replace("vms.csv, more.jsonl", "vms.txt, absent.csv"))
    with pytest.raises(InputError) as error:
        load_topology(topology)
    assert [p.where.split(":", 1)[1] for p in error.value.problems] == ["11:13", "11:22"]


def test_read_again_after_a_change(topology):
    before = load_topology(topology)
    assert stamps_read(before) == stamps(before.inventory)
    scratch = topology.parent / "new"
    scratch.write_text(HEAD + "web,10.1.0.30,02:00:00:00:00:30,192.0.2.101\n")
    scratch.replace(topology.parent / "vms.csv")
    assert stamps_read(before) != stamps(before.inventory)
    after = with_inventory(before)
    assert stamps_read(after) == stamps(before.inventory)
    assert [str(v.ip) for v in after.vpcs["web"].vms] == ["10.1.0.10", "10.1.0.30"]
    assert after.vpcs["orders"].vms == ()
    assert after.at("vpcs", "web", "vms", 1) == f"{topology.parent}/vms.csv:2:1"
    assert with_inventory(after) == after
    (topology.parent / "vms.csv").unlink()
    assert stamps(before.inventory)[0] is None
    with pytest.raises(InputError, match="No such file"):
        with_inventory(after)


def test_whole_columns_and_single_rows_read_alike(tmp_path, monkeypatch):
    quick = rows(tmp_path, HEAD + GOOD * 3)
    monkeypatch.setattr(inventory, "_whole_csv", lambda *_: None)
    assert rows(tmp_path, HEAD + GOOD * 3) == quick
    monkeypatch.setattr(inventory, "_columns", lambda *_: None)
    assert rows(tmp_path, HEAD + GOOD * 3) == quick
