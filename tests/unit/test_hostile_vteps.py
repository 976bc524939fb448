"""Who may send on which VNI: made once of the intent and once of each changed table."""

from __future__ import annotations

from pathlib import Path as FilePath
from random import Random

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.fixed import LegalVteps
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, Member, NextHop, Route, VmEntry
from ccn_bgp.table.tables import Table

TOPOLOGY = load_topology(FilePath(__file__).parents[2] / "topologies" / "two-regions.yaml")
GATEWAY = TOPOLOGY.gateways["bj-gw1"]
HK = {"20100 198.51.100.21", "20200 198.51.100.21"}


def table(*vteps: str) -> Table:
    rows = [
        Route(
            "bj-gw1/retail",
            Prefix.parse(f"10.{n}.0.0/16"),
            "hk-gw1/retail",
            NextHop(Kind.VTEP, 20100, Ip.parse(vtep), Mac(bytes(6))),
            "",
            Path("hk-gw1", Unicast(Prefix.parse(f"10.{n}.0.0/16")), PathAttributes()),
        )
        for n, vtep in enumerate(vteps)
    ]
    return Table.build("bj-gw1/retail", 100, "retail", rows)


def texts(rows) -> set[str]:
    return {f"{r.vni} {r.address}" for r in rows}


def test_declared_gateways_hosts_and_learned_next_hops() -> None:
    legal = LegalVteps(TOPOLOGY, GATEWAY)
    vms = (VmEntry(10001, Ip.parse("10.1.0.10"), Mac(bytes(6)), Ip.parse("192.0.2.101")),)
    assert texts(legal.rows(vms, {})) == HK | {"10001 192.0.2.101"}
    one = {"bj-gw1/retail": table("203.0.113.9")}
    first = legal.rows(vms, one)
    assert texts(first) == HK | {"10001 192.0.2.101", "20100 203.0.113.9"}
    assert list(first) == sorted(first)
    assert legal.rows(vms, one) is first
    again = {"bj-gw1/retail": table("203.0.113.9", "203.0.113.9")}
    assert legal.rows(vms, again) is first, "another row, the same senders"


def test_every_member_of_a_group_may_answer() -> None:
    one, two = (
        NextHop(Kind.VTEP, 20100, Ip.parse(vtep), Mac(bytes(6)))
        for vtep in ("203.0.113.9", "203.0.113.10")
    )
    group = NextHop.group([Member(1, one), Member(3, two)])
    prefix = Prefix.parse("10.7.0.0/16")
    path = Path("hk-gw1", Unicast(prefix), PathAttributes())
    route = Route("bj-gw1/retail", prefix, "hk-gw1/retail", group, "", path)
    tables = {"bj-gw1/retail": Table.build("bj-gw1/retail", 100, "retail", [route])}
    found = texts(LegalVteps(TOPOLOGY, GATEWAY).rows((), tables))
    assert found == HK | {"20100 203.0.113.9", "20100 203.0.113.10"}


def test_a_sender_goes_with_its_last_route_and_its_last_vm() -> None:
    legal = LegalVteps(TOPOLOGY, GATEWAY)
    vms = (VmEntry(10001, Ip.parse("10.1.0.10"), Mac(bytes(6)), Ip.parse("192.0.2.101")),)
    legal.rows(vms, {"bj-gw1/retail": table("203.0.113.9")})
    assert texts(legal.rows(vms, {"bj-gw1/retail": table()})) == HK | {"10001 192.0.2.101"}
    assert texts(legal.rows((), {"bj-gw1/retail": table()})) == HK
    legal.rows((), {"bj-gw1/retail": table("203.0.113.9")})
    assert texts(legal.rows((), {})) == HK


def test_what_is_kept_is_what_would_be_made_anew() -> None:
    """Whatever came before, also where an entry is declared, a VM's host and a next hop."""
    random = Random(7)
    legal = LegalVteps(TOPOLOGY, GATEWAY)
    hosts = [(), (VmEntry(20100, Ip.parse("10.1.0.10"), Mac(bytes(6)), Ip.parse("203.0.113.9")),)]
    vteps = ["203.0.113.9", "203.0.113.10", "198.51.100.21", "203.0.113.200"]
    vms: tuple[VmEntry, ...] = ()
    for _ in range(200):
        if random.random() < 0.2:
            vms = random.choice(hosts)
        tables = {"bj-gw1/retail": table(*random.sample(vteps, random.randint(0, 4)))}
        kept = legal.rows(vms, tables)
        assert kept == LegalVteps(TOPOLOGY, GATEWAY).rows(vms, tables)
        many = {"bj-gw1/retail": table(*(f"10.77.{n}.1" for n in range(random.choice([0, 150]))))}
        assert legal.rows(vms, many) == LegalVteps(TOPOLOGY, GATEWAY).rows(vms, many)
