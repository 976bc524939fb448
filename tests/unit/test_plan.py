"""What a plan says of two snapshots: rows by kind, nothing for equal content, one line of text."""

from __future__ import annotations

import time

from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route, VmEntry
from ccn_bgp.table.plan import diff
from ccn_bgp.table.snapshot import NOTHING, InterfaceEntry, Snapshot, VniEntry
from ccn_bgp.table.tables import Table

LINK = NextHop(Kind.ON_LINK, 10001)
FAR = NextHop(Kind.VTEP, 20100, Ip.parse("198.51.100.21"), Mac.parse("02:cc:c6:33:64:15"))
MAC = Mac.parse("02:00:00:00:00:01")


def table(
    routes: dict[str, NextHop], name: str = "retail", number: int = 100, peer: str = "hk"
) -> Table:
    full = f"bj/{name}"
    return Table.build(
        full,
        number,
        name,
        [
            Route(
                full,
                Prefix.parse(p),
                f"hk/{name}",
                hop,
                "",
                Path(peer, Unicast(Prefix.parse(p)), PathAttributes()),
            )
            for p, hop in routes.items()
        ],
    )


def snapshot(*tables: Table, vms: tuple[VmEntry, ...] = ()) -> Snapshot:
    return Snapshot("bj", {t.name: t for t in tables}, vms=vms)


def test_rows_by_kind() -> None:
    before = table({"10.1.0.0/16": LINK, "10.2.0.0/16": FAR, "fd00::/64": FAR, "fd00::/65": FAR})
    after = table({"10.1.0.0/16": FAR, "10.2.0.0/16": FAR, "10.2.0.0/17": FAR, "fd00::/65": FAR})
    plan = diff(snapshot(before), snapshot(after))
    v4, v6 = plan.tables.v4, plan.tables.v6
    assert [str(after.v4.prefix(r)) for r in v4.added] == ["10.2.0.0/17"]
    assert [str(after.v4.prefix(r)) for r in v4.changed] == ["10.1.0.0/16"]
    assert [str(before.v6.prefix(r)) for r in v6.removed] == ["fd00::/64"]
    assert plan.tables.counts(9) == (1, [("retail", [1, 1, 1])])
    assert plan.tables.next_hops() == ([], [LINK])
    assert plan.summary() == "+1 ~1 -1 routes in retail"
    assert not plan.is_empty


def test_same_content_is_empty() -> None:
    first, again = table({"10.1.0.0/16": LINK}), table({"10.1.0.0/16": LINK}, peer="reflector")
    plan = diff(snapshot(first), snapshot(again))
    assert plan.is_empty
    assert plan.tables.rows_stay
    assert plan.tables.counts(9) == (0, [])
    assert plan.summary() == ""
    assert snapshot(first).digest == snapshot(again).digest


def test_first_load_and_the_end() -> None:
    held = snapshot(table({"10.1.0.0/16": LINK}), table({}, "finance", 200))
    plan = diff(NOTHING, held)
    assert plan.summary() == "+1 route in retail; 2 tables added"
    assert [c.id for c in plan.ccsis.added] == [100, 200]
    plan = diff(held, NOTHING)
    assert plan.summary() == "-1 route in retail; 2 tables removed"


def test_vms_move() -> None:
    here = VmEntry(10001, Ip.parse("10.1.0.10"), MAC, Ip.parse("192.0.2.101"))
    there = here._replace(vtep=Ip.parse("192.0.2.102"))
    other = here._replace(ip=Ip.parse("10.1.0.11"))
    plan = diff(snapshot(vms=(here, other)), snapshot(vms=(there,)))
    assert plan.vms.replaced == (there,)
    assert plan.vms.removed == (other,)
    assert plan.summary() == "1 VM moved; 1 VM removed"


def test_many_tables_are_counted() -> None:
    tables = [table({"10.1.0.0/16": LINK}, f"c{n}", n) for n in range(1, 8)]
    words = diff(NOTHING, snapshot(*tables)).summary().split("; ")
    assert words[3:] == ["+1 route in c4", "routes in 3 more tables", "7 tables added"]


def test_a_tap_with_another_id_is_rebound() -> None:
    def held(*taps: str) -> Snapshot:
        interfaces = tuple(
            InterfaceEntry(n, 2, "eth2", 0, 100, tap, MAC, Ip(bytes(4)), 0, Ip(bytes(4)), 1500)
            for n, tap in enumerate(taps, 1)
        )
        return Snapshot("bj", {}, interfaces=interfaces, vnis=(VniEntry(1, 100, 1),))

    plan = diff(held("a", "b"), held("b"))
    assert plan.rebound == {"a", "b"}
    assert plan.taps == {"b": 1}


def test_a_hundred_thousand_routes() -> None:
    many = {f"20.{n >> 8}.{n & 255}.0/24": FAR for n in range(50_000)}
    many |= {f"2001:db8:{n:x}::/48": FAR for n in range(50_000)}
    before = snapshot(table(many))
    after = snapshot(table(many | {"20.0.0.0/24": LINK}))
    began = time.perf_counter()
    plan = diff(before, after)
    assert time.perf_counter() - began < 0.5
    assert plan.summary() == "~1 route in retail"
