"""What is kept of the snapshot before makes no difference to the digest of the next one."""

from __future__ import annotations

from random import Random

import pytest

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.table import snapshot as module
from ccn_bgp.table.snapshot import Snapshot, VtepEntry
from ccn_bgp.table.tables import Table


def table(number: int, rows: int) -> Table:
    name = f"gw/c{number}"
    prefixes = [Prefix.parse(f"10.{n}.0.0/16") for n in range(rows)]
    hop = NextHop(Kind.ON_LINK, vni=number)
    routes = [
        Route(name, p, name, hop, "", Path("peer", Unicast(p), PathAttributes())) for p in prefixes
    ]
    return Table.build(name, number, f"c{number}", routes)


def anew(monkeypatch: pytest.MonkeyPatch, made: Snapshot) -> tuple[bytes, int]:
    """As if nothing had been asked about before, with the tables in another order."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "_vteps", module._Packed(22, module._vtep_octets))
        patch.setattr(module, "_tables", module._Packed(36, module._table_octets))
        tables = dict(reversed(made.tables.items()))
        again = Snapshot("gw", tables, vteps=tuple(VtepEntry(*e) for e in made.vteps))
        return again.digest, again.route_count


def test_digests_do_not_depend_on_what_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(3)
    tables = {f"gw/c{n}": table(n, n % 5) for n in range(1, 20)}
    vteps = {VtepEntry(n, Ip.parse("192.0.2.1")) for n in range(30)}
    seen: dict[bytes, tuple] = {}
    for _ in range(200):
        number = random.randint(1, 22)
        match random.randint(0, 3):
            case 0:
                tables = {**tables, f"gw/c{number}": table(number, random.randint(0, 5))}
            case 1:
                tables = {name: t for name, t in tables.items() if t.id != number}
            case _:
                vteps = vteps ^ {VtepEntry(number, Ip.parse("192.0.2.9"))}
        made = Snapshot("gw", tables, vteps=tuple(sorted(vteps)))
        assert (made.digest, made.route_count) == anew(monkeypatch, made)
        assert made.route_count == sum(len(t) for t in tables.values())
        content = tuple(sorted((t.id, t.digest) for t in tables.values())), made.vteps
        assert seen.setdefault(made.digest, content) == content
    assert len(seen) > 50
