"""Access lists from the file to rows: what is taken, what is refused and where, what is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ccn_bgp.config.catalogue import declared_findings
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError
from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.acl_records import acl_records, surplus_records
from ccn_bgp.gateway.fixed import acls
from ccn_bgp.model.acl import Acl, AclRule
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.topology import Topology
from ccn_bgp.table.plan import AclChange, diff
from ccn_bgp.table.snapshot import AclEntry, Snapshot

BASE = """\
name: t
fabric: {asn: 64600}
gateways:
  gw1: {region: east, asn: 64601, vtep: 192.0.2.11, uplinks: [{port: eth1, address: 192.0.2.11/24}]}
vpcs:
  web: {region: east, vni: 10001, cidrs: [10.1.0.0/16, "fd00:1::/64"]}
ccns:
  blue: {id: 1, vni: 20001, attach: [vpc/web], acl: front}
acls:
"""


def load(tmp_path: Path, acl: str) -> Topology:
    (tmp_path / "t.yaml").write_text(BASE + acl)
    return load_topology(tmp_path / "t.yaml")


def test_rules_become_rows_in_order(tmp_path: Path) -> None:
    topology = load(
        tmp_path,
        """\
  front:
    default: permit
    rules:
      - {name: web, action: permit, protocol: tcp, destination: [10.1.0.0/16, "fd00:1::/64"],
         destination-ports: [80, 8000-8099]}
      - {name: v6, action: deny, family: ipv6, protocol: 50}
""",
    )
    (entry,) = acls(topology, topology.gateways["gw1"])
    rows = acl_records([entry])
    assert entry.ccsi == 1
    assert rows["sequence"].tolist() == list(range(7))
    assert rows["family"].tolist() == [4, 4, 6, 6, 6, 4, 6]
    assert rows["rule"].tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert rows["action"].tolist() == [1, 1, 1, 1, 2, 1, 1]
    assert rows["destination_port"].tolist()[:2] == [[80, 80], [8000, 8099]]
    assert rows["source_port"].tolist()[0] == [0, 65535]
    assert rows["any_protocol"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert [wire.text_of(n) for n in rows["name"]][-1] == "default"
    assert rows["destination_length"].tolist() == [16, 16, 64, 64, 0, 0, 0]


def test_a_list_alone_denies_by_default(tmp_path: Path) -> None:
    topology = load(tmp_path, "  front: [{name: all-v4, action: permit, family: ipv4}]\n")
    acl = topology.acls["front"]
    assert acl.default == "deny"
    assert [(r.name, r.version) for r in acl.rows] == [
        ("all-v4", 4),
        ("default", 4),
        ("default", 6),
    ]


FAULTS = {
    # name: (list, line:column, part of the text)
    "undefined": ("  other: [{name: a, action: deny}]\n", "8:53", "acl 'front' is not defined"),
    "unknown key": ("  front: [{name: a, action: deny, port: 1}]\n", "10:35", "unknown key 'port'"),
    "unknown key, long": (
        "  front:\n    rules:\n      - {name: a, action: deny, port: 1}\n", "12:33", "unknown key"),
    "action": ("  front: [{name: a, action: drop}]\n", "10:29", "'drop' is not known"),
    "no action": ("  front: [{name: a}]\n", "10:11", "the key 'action' is missing"),
    "protocol": ("  front: [{name: a, action: deny, protocol: tpc}]\n", "10:45", "not a protocol"),
    "ports": (
        "  front: [{name: a, action: deny, protocol: tcp, source-ports: [22, 90-80]}]\n",
        "10:69", "the lower one first"),
    "port 0": (
        "  front: [{name: a, action: deny, protocol: tcp, source-ports: 0}]\n",
        "10:64", "ports are 1 to 65535"),
    "ports of none": (
        "  front: [{name: a, action: deny, source-ports: [22]}]\n",
        "10:35", "names ports of any protocol"),
    "ports of icmp": (
        "  front: [{name: a, action: deny, protocol: icmp, destination-ports: [22]}]\n",
        "10:51", "names ports of protocol icmp"),
    "mixed": (
        "  front: [{name: a, action: deny, source: 10.0.0.0/8, destination: 'fd00::/8'}]\n",
        "10:11", "matches no packet"),
    "family": (
        "  front: [{name: a, action: deny, family: ipv6, source: 10.0.0.0/8}]\n",
        "10:11", "family is ipv6, source is IPv4"),
    "one of another version": (
        "  front: [{name: a, action: deny, source: [10.0.0.0/8, 'fd00::/8'], "
        "destination: 10.0.0.0/8}]\n", "10:56", "fd00::/8 can match no packet"),
    "icmp over IPv6": (
        "  front: [{name: a, action: deny, protocol: icmp, source: 'fd00::/8'}]\n",
        "10:11", "icmp is IPv4"),
    "name twice": (
        "  front: [{name: a, action: deny, protocol: 1}, {name: a, action: permit}]\n",
        "10:56", "two rules called 'a'"),
    "default": ("  front: [{name: default, action: deny}]\n", "10:18", "cannot be called 'def"),
    "long name": (f"  front: [{{name: {'a' * 33}, action: deny}}]\n", "10:18", "at most 32"),
    "too many rows": (
        "  front: [{name: a, action: deny, protocol: tcp, "
        f"source-ports: [{', '.join(str(n) for n in range(1, 34))}], "
        f"destination-ports: [{', '.join(str(n) for n in range(1, 34))}]}}]\n",
        "10:3", "1090 rows for IPv4"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, name: str) -> None:
    text, place, words = FAULTS[name]
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    said = [str(problem) for problem in caught.value.problems]
    assert any(f"t.yaml:{place}: " in line and words in line for line in said), said


def test_a_rule_that_several_cover_together_is_found(tmp_path: Path) -> None:
    halves = """\
  front:
    - {name: low, action: deny, source: 10.0.0.0/9, protocol: udp}
    - {name: high, action: permit, source: 10.128.0.0/9}
    - {name: mid, action: deny, source: 10.64.0.0/10, protocol: tcp, source-ports: 1-100}
    - {name: both, action: permit, source: 10.0.0.0/8, protocol: udp}
    - {name: more, action: permit, source: 10.0.0.0/8, protocol: tcp, source-ports: [1-100]}
"""
    found = declared_findings(load(tmp_path, halves))
    assert [f.rule for f in found] == ["unreachable-rule"]
    assert found[0].where.endswith("t.yaml:14:7")
    assert "rule both: every packet that it matches is decided before, by low and high" in (
        found[0].message
    )


def test_plan_and_digest_follow_content_not_names() -> None:
    rule = AclRule("a", "deny", source=(Prefix.parse("10.0.0.0/8"),))
    one, same = Acl("x", (rule,), "permit"), Acl("y", (rule,), "permit")
    other = Acl("x", (rule,), "deny")
    held = Snapshot("gw", {}, acls=(AclEntry(1, one), AclEntry(2, one)))
    renamed = Snapshot("gw", {}, acls=(AclEntry(1, same), AclEntry(2, one)))
    moved = Snapshot("gw", {}, acls=(AclEntry(1, one), AclEntry(2, other)))
    assert held.digest == renamed.digest != moved.digest
    assert diff(held, renamed).is_empty
    plan = diff(held, moved)
    assert plan.acls == AclChange((AclEntry(2, one),), (AclEntry(2, other),))
    assert "ACL of 1 CCSI changed" in plan.summary()
    assert diff(held, Snapshot("gw", {})).acls.before == held.acls


def test_shorter_lists_remove_what_is_left_over() -> None:
    long = Acl("x", tuple(AclRule(f"r{n}", "deny", version=4) for n in range(5)))
    short = Acl("x", long.rules[:2])
    change = AclChange((AclEntry(1, long), AclEntry(2, long)), (AclEntry(1, short),))
    gone = surplus_records(change, frozenset())
    assert [(int(r["ccsi"]), int(r["sequence"])) for r in gone] == [
        *((1, n) for n in range(4, 7)),
        *((2, n) for n in range(7)),
    ]
    assert np.unique(surplus_records(change, frozenset({2}))["ccsi"]).tolist() == [1]
