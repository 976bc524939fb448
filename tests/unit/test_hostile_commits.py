"""Commits that fail: what is in force is never guessed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ccn_bgp.errors import Problem, UnreachableError
from ccn_bgp.forwarder.client import Nak, Records
from ccn_bgp.forwarder.wire import MessageType, NakCode
from ccn_bgp.gateway.commit import Committer
from ccn_bgp.gateway.guard import LOGGED, new_findings
from ccn_bgp.model.bgp import Ip, Mac, Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.model.route import Kind, NextHop, Route
from ccn_bgp.table.snapshot import Snapshot
from ccn_bgp.table.tables import Table

HOPS = [
    NextHop(Kind.VTEP, 20100, Ip.parse(f"198.51.100.{n}"), Mac.parse("02:cc:c6:33:64:15"))
    for n in range(21, 25)
]


def snapshot(**routes: int) -> Snapshot:
    """``p1=0``: 10.1.0.0/16 by the first next hop."""
    rows = [
        Route(
            "bj/retail",
            Prefix.parse(f"10.{name[1:]}.0.0/16"),
            "hk/retail",
            HOPS[hop],
            "",
            Path("hk", Unicast(Prefix.parse(f"10.{name[1:]}.0.0/16")), PathAttributes()),
        )
        for name, hop in routes.items()
    ]
    return Snapshot("bj", {"bj/retail": Table.build("bj/retail", 100, "retail", rows)})


class Forwarder:
    """Holds rows as records by key, as the wire contract has it; refuses when it is told to."""

    def __init__(self) -> None:
        self.generation = 0
        self.refusals: list[Exception] = []
        self.rows: dict[MessageType, dict[bytes, Any]] = {}
        self.prepared: Records | None = None

    def prepare(self, records: Records) -> None:
        assert self.prepared is None, "one at a time"
        if self.refusals:
            raise self.refusals.pop(0)
        self.prepared = records

    def finish(self, digest: bytes) -> None:
        assert self.prepared is not None
        records, self.prepared = self.prepared, None
        self.commit(records, digest, full=False)

    def give_up(self) -> None:
        assert self.prepared is not None
        self.prepared = None

    def commit(self, records: Records, digest: bytes, *, full: bool) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        if full:
            self.rows.clear()
        for kind, flags, array in records:
            held = self.rows.setdefault(MessageType(kind), {})
            for record in array:
                if flags:
                    assert held.pop(_key(kind, record), None) is not None, "removed, never held"
                else:
                    held[_key(kind, record)] = record.copy()
        self.generation += 1

    def dump(self) -> Mapping[MessageType, Any]:
        import numpy as np

        return {k: np.array(list(held.values())) for k, held in self.rows.items() if held}

    def meaning(self) -> dict[str, str]:
        """Prefix → the next hop's address: what a packet would really do."""
        slots = {int(r["slot"]): r for r in self.rows.get(MessageType.NEXT_HOP, {}).values()}
        return {
            f"10.{route['prefix'][1]}": ".".join(
                str(o) for o in slots[int(route["next_hop"])]["ip"][:4]
            )
            for route in self.rows.get(MessageType.ROUTE, {}).values()
        }


def _key(kind: int, record: Any) -> bytes:
    if kind == MessageType.NEXT_HOP:
        return bytes(record["slot"].tobytes())
    if kind == MessageType.ROUTE:
        return bytes(
            record["ccsi"].tobytes() + record["prefix"].tobytes() + bytes((record["length"],))
        )
    return bytes(record.tobytes())


def refusal() -> Nak:
    return Nak(NakCode.MEMORY, "no memory", 1)


def test_a_commit_refused_twice_leaves_no_guess_behind() -> None:
    """The next hops that it numbered were never installed; old rows must keep theirs."""
    forwarder = Forwarder()
    committer = Committer(forwarder)
    committer.commit(snapshot(p1=3))
    committer.commit(snapshot(p1=3, p2=1))  # numbered by arrival; a full transaction sorts them
    forwarder.refusals = [refusal(), refusal()]
    with pytest.raises(Nak):
        committer.commit(snapshot(p1=3, p2=1, p3=2))
    committer.commit(snapshot(p1=3, p2=1, p4=0, p5=1))
    assert forwarder.meaning() == {
        "10.1": "198.51.100.24",
        "10.2": "198.51.100.22",
        "10.4": "198.51.100.21",
        "10.5": "198.51.100.22",
    }


def test_a_forwarder_that_was_only_out_of_reach_is_not_taken_for_empty() -> None:
    """Its control socket broke; it still holds rows that are no longer wanted."""
    forwarder = Forwarder()
    committer = Committer(forwarder)
    committer.commit(snapshot(p1=0, p2=1))
    forwarder.refusals = [UnreachableError("broken")]
    with pytest.raises(UnreachableError):
        committer.commit(snapshot(p1=2))
    committer.forget()
    committer.commit(snapshot(p1=2))
    assert forwarder.meaning() == {"10.1": "198.51.100.23"}


def test_a_forwarder_that_started_again_is_told_everything() -> None:
    forwarder = Forwarder()
    committer = Committer(forwarder)
    committer.commit(snapshot(p1=0, p2=1))
    forwarder.rows.clear()
    forwarder.generation = 0
    committer.forget()
    committer.commit(snapshot(p1=0, p2=1))
    assert forwarder.meaning() == {"10.1": "198.51.100.21", "10.2": "198.51.100.22"}


def test_a_peer_gone_wild_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    many = tuple(
        Finding(rule="owned-space", message=f"p announces 10.{n}.0.0/16", where="peer p")
        for n in range(250)
    )
    caplog.set_level("INFO")
    new_findings({}, many)
    assert len(caplog.records) == LOGGED + 1
    assert "230 more findings" in caplog.text
    caplog.clear()
    new_findings({f.sort_key: f for f in many}, many[:249])
    assert [r.getMessage() for r in caplog.records] == [
        "finding gone owned-space: p announces 10.249.0.0/16"
    ]


def test_what_was_prepared_is_put_in_force_or_given_up() -> None:
    """Slots that a given-up transaction had numbered are as they were before it."""
    forwarder = Forwarder()
    committer = Committer(forwarder)
    first, other, last = snapshot(p1=3), snapshot(p1=2, p2=1), snapshot(p1=3, p2=0)
    committer.prepare(first)
    assert forwarder.rows == {}
    assert "1 route" in committer.commit(first)
    assert forwarder.generation == 1 and forwarder.meaning() == {"10.1": "198.51.100.24"}
    committer.prepare(other)
    committer.commit(last)  # the proof refused the other
    assert forwarder.meaning() == {"10.1": "198.51.100.24", "10.2": "198.51.100.21"}
    committer.prepare(last)
    assert forwarder.prepared is None, "nothing differs"
    committer.prepare(other)
    committer.give_up()
    assert forwarder.prepared is None
    committer.commit(other)
    assert forwarder.meaning() == {"10.1": "198.51.100.23", "10.2": "198.51.100.22"}


def test_what_is_refused_while_it_is_sent_is_sent_again() -> None:
    forwarder = Forwarder()
    committer = Committer(forwarder)
    committer.commit(snapshot(p1=0, p2=1))
    then = snapshot(p1=2)
    forwarder.refusals = [refusal()]
    committer.prepare(then)
    committer.commit(then)
    assert forwarder.meaning() == {"10.1": "198.51.100.23"}


def test_what_was_prepared_is_refused() -> None:
    forwarder = Forwarder()
    committer = Committer(forwarder)
    committer.commit(snapshot(p1=0, p2=1))
    then = snapshot(p1=2)
    committer.prepare(then)
    forwarder.refusals = [refusal()]
    committer.commit(then)  # everything at once
    assert forwarder.meaning() == {"10.1": "198.51.100.23"}
    after = snapshot(p1=1, p3=2)
    committer.prepare(after)
    forwarder.refusals = [UnreachableError(Problem("s", "gone", "")), refusal()]
    with pytest.raises(UnreachableError):
        committer.commit(after)
    committer.prepare(after)
    assert forwarder.prepared is None, "what it holds is not known"
    forwarder.refusals = []
    committer.commit(after)
    assert forwarder.meaning() == {"10.1": "198.51.100.22", "10.3": "198.51.100.23"}
